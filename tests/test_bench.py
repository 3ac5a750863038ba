"""The bench itself: what its tables compute, that its page can be written, and that every worker runs, on tiny sizes."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.host_only("measures processes on the CPU")
ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "tests" / "bench"
NAMES = ("cells", "machine", "moves", "opponents", "plan", "plots", "products", "race", "report", "run", "standings", "worker")


@pytest.fixture(scope="module")
def bench():
    """The bench's modules, by name; they import each other as programs do, from their own folder, and others of these names wait."""
    others = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    sys.path.insert(0, str(BENCH))
    yield importlib.import_module
    sys.path.remove(str(BENCH))
    for name in NAMES:
        sys.modules.pop(name, None)
    sys.modules.update(others)


def measured(bench, ours=1.0, theirs=1.5, products=0.8):
    """Values as a run leaves them, every cell alike."""
    values = {}
    for group in bench("plan").groups(plain=True):
        for cell in group.cells:
            for library in group.libraries:
                base = {"torch": theirs, "products": products}.get(library, ours)
                values[cell, library] = [base, 1.25 * base, 1.5 * base]
    return values


# ---------------------------------------------------------------------------------------------------- ratios and marks


def test_ratios_take_minima_or_medians_and_are_missing_where_a_side_is(bench):
    standings = bench("standings")
    values = {("a", "minigrad"): [2.0, 4.0, 9.0], ("a", "torch"): [3.0, 8.0, 8.5], ("b", "minigrad"): [1.0]}
    assert standings.ratio(values, "a", "torch") == 1.5
    assert standings.ratio(values, "a", "torch", of="median") == 2.0
    assert standings.ratio(values, "a", "minigrad", "torch") == pytest.approx(2 / 3)
    assert standings.ratio(values, "b", "torch") is None


def test_the_geometric_mean(bench):
    mean = bench("standings").geometric_mean
    assert mean([1.0, 4.0]) == 2.0
    assert mean([2.0, None]) is None
    assert mean([]) is None


@pytest.mark.parametrize(
    ("kind", "ours", "theirs", "products", "one", "met"),
    [
        ("RNN", 1.0, 1.31, 0.1, None, True), ("RNN", 1.0, 1.29, 0.1, None, False), ("GRU", 1.0, 2.0, 0.1, 0.99, False),
        ("GRU", 1.0, 2.0, 0.1, 1.0, True), ("LSTM", 1.0, 1.01, 0.8, None, True), ("LSTM", 1.0, 0.99, 0.8, None, False),
        ("LSTM", 1.0, 2.0, 0.7, None, False), ("LSTM", 1.0, 2.0, 0.8, 0.5, True),
    ],
)  # fmt: skip
def test_marks_look_at_the_mean_and_at_every_cell(bench, kind, ours, theirs, products, one, met):
    standing = bench("standings").Standing("train", kind, measured(bench, ours, theirs, products))
    if one is not None:
        standing.values[standing.cells[2], "torch"] = [one]
    assert standing.met is met


def test_a_mark_is_open_while_a_cell_is_missing(bench):
    standing = bench("standings").Standing("train", "LSTM", measured(bench))
    del standing.values[standing.cells[0], "products"]
    assert standing.met is None and standing.mean == pytest.approx(1.5)


def test_rows_and_their_marks(bench):
    row = bench("report").Row("x", "", str, [2.0, 3.0], [3.0, 6.0], "no slower", 1.0)
    assert row.ratio == 1.5 and row.met and row.cells()[-1] == "met"
    row.theirs = [1.0]
    assert row.met is False and row.cells()[-1] == "NOT MET"
    row.theirs = None
    assert row.met is None and row.cells()[-1] == "not measured"


# ------------------------------------------------------------------------------------------------------------- the page


def test_the_page_is_written_whole_from_recorded_values(bench, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    run, values = bench("run"), measured(bench)
    values["train-LSTM-35x20x200x200", "jax"] = [0.5]
    monkeypatch.setattr(bench("machine"), "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    run.write_page(bench("plan").rows_of(values), values, {"Quiet": "yes", "Date": "today"}, 3, 0.1)
    text = (tmp_path / "docs" / "performance.md").read_text(encoding="utf-8")
    for heading in ("The race", "Other opponents", "part by part", "Growth with T", "moves are worth", "Everything else"):
        assert heading in text
    assert "| RNN" in text and "1.50 (1.50), 1.25×" in text and "NOT MET" in text  # JAX took half our time
    for picture in (tmp_path / "docs").glob("*.svg"):
        assert f"({picture.name})" in text and picture.stat().st_size < 100_000
    assert len(list((tmp_path / "docs").iterdir())) == 4
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_what_was_not_measured_is_left_out(bench):
    values = {("chain_leaf", "minigrad"): [1e-6]}
    rows = [row for row in bench("plan").rows_of(values) if row.ours]
    assert [row.title for row in rows] == ["chain, a leaf"]
    found = bench("report").sections(rows, values, bench("moves").table(values))
    assert len(found) == 1 and "1.00 µs" in found[0][1]
    assert bench("plots").draw(values, Path("nowhere")) == []


def test_a_busy_machine_is_told(bench):
    watched = bench("run").Bench(0.1)
    assert "not known" in watched.noise()
    watched.others = [0.0, 0.1]
    assert watched.noise().startswith("yes")
    watched.others = [0.0, 1.5]
    assert watched.noise().startswith("**NO**: while 1 of 2") and "1.5" in watched.noise()


def test_every_move_that_a_kernel_lists_is_measured(bench):
    moves = bench("moves")
    listed = moves.listed()
    assert {name for name, _, _ in listed} == {"rnn", "lstm", "gru"} and len(listed) >= 16
    for name, letter, text in listed:
        assert moves.variants_of(text), f"{name} ({letter}): give it a phrase in PHRASES of tests/bench/moves.py"
        assert set(moves.variants_of(text)) <= {*moves.VARIANTS, "plain"}


# ----------------------------------------------------------------------------------------------------------- the workers


def work(library, *cells):
    """What a worker prints, in a process of its own."""
    command = [sys.executable, str(BENCH / "worker.py"), "--library", library, "--seconds", "0", *cells]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    values = json.loads(done.stdout.splitlines()[-1])["values"]
    assert list(values) == list(cells) and all(each >= 0 for found in values.values() for each in found)
    return values


FAMILIES = ("train", "bidirectional", "packed", "inference")
TINY = [f"{family}-{kind}-{shape}" for family in FAMILIES for kind in ("RNN", "LSTM", "GRU") for shape in ("5x3x4x2", "5x1x4x2")]


@pytest.mark.parametrize("library", ["minigrad", "plain", "products"])
def test_workers_run_every_family(library):
    assert all(len(found) >= 2 for found in work(library, *TINY).values())


def test_the_opponent_runs_every_family():
    pytest.importorskip("torch")
    work("torch", "train-LSTM-5x3x4x2", "bidirectional-GRU-5x3x4x2", "packed-RNN-5x3x4x2", "inference-GRU-5x3x4x2", "part_clipping")


def test_workers_measure_parts_memory_and_imports(bench):
    work("minigrad", *(f"part_{part}" for part in bench("cells").PARTS), "memory-LSTM-50x3x4x8", "growth-GRU-9x3x4x2", "length-RNN-9x3x4x2")
    work("minigrad", "import")


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_noted_products_are_those_that_the_layer_needs(bench, kind):
    products, race, cells = bench("products"), bench("race"), bench("cells")
    for family in ("train", "bidirectional", "inference"):
        name = race.cell(family, kind, (6, 3, 4, 5))
        once = race.job(cells.Library("minigrad"), name)
        with products.recording() as noted:
            once.work(None)
        assert products.operations(noted) == products.needed(name)


def test_kernels_are_as_before_after_a_recording(bench):
    kernels = importlib.import_module("minigrad_nn").kernels
    before = kernels.lstm.forward
    with bench("products").recording():
        assert kernels.lstm.forward is not before
    assert kernels.lstm.forward is before


@pytest.mark.parametrize("shape", [(7, 3, 4, 5), (40, 50, 3, 6), (1, 1, 1, 1)])
def test_every_variant_gives_the_kernels_numbers(bench, shape):
    moves = bench("moves")
    for name in moves.UNDONE:
        moves.job(name, shape).work(None)  # which compares before it times
    given = moves.drawn(shape)
    wrong = moves.kernel(*given)
    wrong["dw_hh"] = wrong["dw_hh"] + np.float32(0.1)
    with pytest.raises(ValueError, match="dw_hh differs"):
        moves.compare(wrong, moves.kernel(*given), "wrong")


def test_sizes_are_set_for_the_work_and_put_back(bench):
    moves, backend = bench("moves"), importlib.import_module("minigrad.backend")
    usual = backend.CPU.run_elements, backend.CPU.panel_rows
    for name in (*moves.SIZES, *(moves.LOOPS if importlib.util.find_spec("numba") else ())):
        job = moves.job(f"{name}-GRU", (5, 3, 4, 2))
        job.prepare()
        job.work(None)
        assert (backend.CPU.run_elements, backend.CPU.panel_rows) == usual


def test_products_are_timed_after_a_look_at_their_numbers(bench):
    pytest.importorskip("numba")
    for name in ("product-ours-3x33x5", "product-NumPy-3x33x5"):
        assert bench("moves").job(name).work(None) is None


@pytest.mark.parametrize("library", ["jax", "autograd", "dezero"])
def test_other_opponents_give_our_numbers(bench, library):
    pytest.importorskip(library)
    for kind in ("RNN", "LSTM", "GRU"):
        bench("opponents").job(library, f"train-{kind}-5x3x4x2").work(None)


def test_the_equations_of_other_opponents_are_ours(bench):
    opponents = bench("opponents")
    for kind in ("RNN", "LSTM", "GRU"):
        given = opponents.drawn((4, 3, 2, 5), kind)
        x, w_ih, w_hh, b_ih, b_hh, _ = given
        step = opponents.equations(kind, np, lambda a: 1 / (1 + np.exp(-a)))
        state, outputs = opponents.zeros(kind, 3, 5), []
        for rows in x:
            state, h = step(rows @ w_ih.T + b_ih, state, w_hh, b_hh)
            outputs.append(h)
        np.testing.assert_allclose(np.stack(outputs), opponents.ours(kind, given)[0], rtol=1e-4, atol=1e-5)
