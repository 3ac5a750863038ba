"""What `./run gpu` does with what it finds, tried without a GPU: time, programs that fail or hang, missing tools, the page."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import gpu_cells
import gpu_page
import gpu_run
import gpu_small
import gpu_worker
import numpy as np
import pytest
from gpu_cells import Cell
from gpu_page import Found, Part
from gpu_run import Budget

import minigrad as mg

pytestmark = pytest.mark.host_only("about programs on the host")
ROOT = Path(__file__).resolve().parents[2]
OPTIONS = argparse.Namespace(full=False, only=None, seconds=450.0)


# --------------------------------------------------------------------------------------------------------------- cells


def test_about_forty_cells_with_names_of_their_own():
    cells = gpu_cells.usual()
    assert 38 <= len(cells) <= 52 and len({cell.name for cell in cells}) == len(cells)
    assert Cell("LSTM", 200, 64, 160) in cells and {cell.H for cell in cells} >= set(gpu_cells.HIDDEN)
    assert [cell.tf32 for cell in cells] == sorted(cell.tf32 for cell in cells)
    for wanted in ({"packed": True}, {"layers": 2}, {"directions": 2}, {"tf32": True}, {"path": "stepwise"}, {"kernel": "b"}):
        assert any(all(getattr(cell, name) == value for name, value in wanted.items()) for cell in cells), wanted


def test_the_whole_table_holds_every_combination_once():
    cells = gpu_cells.everything()
    assert cells[:20] == gpu_cells.usual()[:20] and len({cell.name for cell in cells}) == len(cells)
    assert len({cell for cell in cells if cell.compared and cell.H != 160}) == 3 * 5 * 4 * 2 * 2 * 2 * 2 * 2


def test_lengths_fall_from_the_longest():
    drawn = gpu_cells.lengths(Cell("LSTM", 50, 16, 8, packed=True), np.random.default_rng(0))
    assert len(drawn) == 16 and drawn[0] == 50 and drawn == sorted(drawn, reverse=True) and min(drawn) >= 12
    assert gpu_cells.lengths(Cell("LSTM", 50, 1, 8, packed=True), np.random.default_rng(0)) == [50]


# ---------------------------------------------------------------------------------------------------------------- time


def test_no_part_takes_what_later_parts_need():
    now = [0.0]
    budget = Budget(450, lambda: now[0])
    assert budget.share(100, 350) == 100
    now[0] = 300.0
    assert budget.share(130, 200) == 50  # the later ones keep half of what they want
    now[0] = 445.0
    assert budget.share(130, 200) == 0 and budget.left == 5
    now[0] = 1000.0
    assert budget.left == 0 == budget.share(130, 0)


def test_all_parts_fit_into_eight_minutes():
    assert sum(most for _, most in gpu_run.PARTS.values()) <= gpu_run.TOTAL <= 470


def test_a_part_that_breaks_does_not_stop_the_others(monkeypatch):
    def breaks(seconds, found, options):
        raise OSError("no such thing\nat all")

    called = []
    parts = {"one": (breaks, 10), "two": (lambda *given: called.append(given) or ("fine", True), 20), "three": (breaks, 5)}
    monkeypatch.setattr(gpu_run, "PARTS", parts)
    found = Found({})
    gpu_run.run_parts(["one", "two", "three"], Budget(100), found, OPTIONS)
    assert [(each.outcome, each.good) for each in found.parts] == [
        ("broke: OSError: no such thing", False), ("fine", True), ("broke: OSError: no such thing", False),
    ]  # fmt: skip
    assert 15 < called[0][0] <= 20
    found = Found({})
    gpu_run.run_parts(["one", "two"], Budget(0), found, OPTIONS)
    assert [each.outcome for each in found.parts] == ["not run: no time was left"] * 2


# ------------------------------------------------------------------------------------------------------------ programs


def test_lines_come_as_they_are_written():
    lines: list[str] = []
    code = "import sys, os; print(sys.stdin.read()); print('ä', os.environ['X']); print('err', file=sys.stderr); sys.exit(3)"
    assert gpu_run.follow([sys.executable, "-c", code], 60, lines.append, given="in", X="y") == 3
    assert sorted(lines) == ["err", "in", "ä y"]


def test_a_program_that_hangs_is_asked_and_then_made_to_stop(monkeypatch):
    timer = gpu_run.threading.Timer
    monkeypatch.setattr(gpu_run.threading, "Timer", lambda seconds, *rest: timer(min(seconds, 4), *rest))
    lines: list[str] = []
    polite = "import time\nprint('on', flush=True)\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('summed up')"
    start = time.monotonic()
    assert gpu_run.follow([sys.executable, "-c", polite], 1.5, lines.append) is None
    assert lines == ["on", "summed up"]
    deaf = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('on', flush=True)\ntime.sleep(60)"
    assert gpu_run.follow([sys.executable, "-c", deaf], 1.5, lines.append) is None
    assert time.monotonic() - start < 50


def test_a_program_that_reads_nothing_is_no_trouble():
    assert gpu_run.follow([sys.executable, "-c", "import os; os.close(0)"], 60, print, given="x" * 10**6) == 0


@pytest.mark.parametrize(
    ("lines", "status", "outcome"),
    [
        (["....", "12 passed in 3.1s"], 0, ("12 passed in 3.1s", True)),
        (["== 3 passed, 2 skipped in 1.0s =="], 0, ("3 passed, 2 skipped in 1.0s", True)),
        (["FAILED tests/a.py::b - boo", "1 failed, 3 passed in 2s"], 1, ("1 failed, 3 passed in 2s: tests/a.py::b", False)),
        (["ERROR tests/a.py - x", "1 error in 2s"], 2, ("1 error in 2s: tests/a.py", False)),
        (["...F. [ 50%]", ".. [100%]"], 0, ("6 passed, 1 failed", True)),
        (["..... [ 50%]"], None, ("5 passed, 0 failed, then the time was used up", True)),
        (["..F.. [ 50%]"], None, ("4 passed, 1 failed, then the time was used up", False)),
        (["cannot open shared object"], 4, ("no test ended", False)),
        ([], None, ("no test ended, then the time was used up", False)),
    ],
)
def test_what_pytest_said_is_summed_up(lines, status, outcome):
    assert gpu_run.summed_up(lines, status) == outcome


def test_missing_tools_are_said_and_nothing_else(monkeypatch):
    monkeypatch.setattr(gpu_run.shutil, "which", lambda name: None)
    monkeypatch.setattr(gpu_run, "Path", lambda text: SimpleNamespace(exists=lambda: False))
    assert gpu_run.sanitizer(50, Found({}), OPTIONS) == ("not run: compute-sanitizer was not found", None)
    monkeypatch.setattr(gpu_run.importlib.util, "find_spec", lambda name: None)
    assert gpu_run.pytest_run([], 50) == ("not run: pytest is not installed", None)
    assert gpu_run.installed("torch") == "not installed"


def test_the_sanitizers_last_words(monkeypatch, tmp_path):
    for text, status, outcome in (
        ("========= ERROR SUMMARY: 0 errors", 0, ("memcheck: ERROR SUMMARY: 0 errors; racecheck: ERROR SUMMARY: 0 errors", True)),
        ("========= ERROR SUMMARY: 2 errors", 9, ("memcheck: ERROR SUMMARY: 2 errors; racecheck: ERROR SUMMARY: 2 errors", False)),
        ("========= Device not supported", 1, ("memcheck: Device not supported", True)),
    ):
        monkeypatch.setattr(gpu_run, "follow", lambda command, seconds, each, text=text, status=status: each(text) or status)
        monkeypatch.setattr(gpu_run.shutil, "which", lambda name: "/bin/tool")
        assert gpu_run.sanitizer(50, Found({}), OPTIONS) == outcome


def test_what_the_worker_says_is_kept_and_what_it_breaks_by_is_told(monkeypatch):
    name = Cell("LSTM", 200, 64, 128).name
    said = [json.dumps({"cell": name, "kernel": "b", "ours": [0.002, 0.001, 9], "theirs": [0.004, 0.003, 9], "off": 1e-6})]

    def follow(command, seconds, each, given, **more):
        cells = json.loads(given)
        assert all(Cell(**cell).tf32 == (more["CUPY_TF32"] == "1") for cell in cells)
        if more["CUPY_TF32"] == "0":
            each(said[0])
            return 0
        each("CudaError: out of memory")
        return 1

    monkeypatch.setattr(gpu_run, "follow", follow)
    found = Found({})
    outcome, good = gpu_run.bench(100, found, OPTIONS)
    count = len(gpu_cells.usual())
    assert outcome == f"1 of {count} cells; CudaError: out of memory; the process for TF32 ended with 1" and not good
    assert found.rows[name]["theirs"] == [0.004, 0.003, 9]


# ------------------------------------------------------------------------------------------------------------ the page

ROWS = {
    Cell("LSTM", 200, 64, 128): {"kernel": "d1", "ours": [0.002, 0.0019, 20], "theirs": [0.004, 0.004, 20], "off": 1e-6},
    Cell("LSTM", 200, 64, 512): {"kernel": "b", "ours": [0.02, 0.019, 20], "theirs": [0.005, 0.004, 20], "off": 1e-6},
    Cell("LSTM", 200, 64, 128, packed=True): {"kernel": "d1", "ours": [0.001, 0.001, 20], "theirs": [0.008, 0.008, 20], "off": 1e-6},
    Cell("GRU", 200, 64, 128): {"kernel": "b", "ours": [0.001, 0.001, 20], "theirs": [0.5, 0.5, 20], "off": 0.7},
    Cell("GRU", 200, 64, 256): {"failed": "MemoryError: a | b"},
    Cell("LSTM", 200, 64, 128, path="stepwise"): {"kernel": "stepwise", "ours": [0.1, 0.1, 20]},
    Cell("LSTM", 200, 64, 512, tf32=True): {"kernel": "b", "ours": [0.004, 0.004, 20], "theirs": [0.004, 0.004, 20], "off": 1e-3},
}


def recorded():
    found = Found({"GPU": "one", "Commit": "abc"}, [Part("bench", "7 of 46 cells", True, 31.2)])
    found.rows = {cell.name: row for cell, row in ROWS.items()}
    return found


def test_the_page_says_what_was_found():
    text = gpu_page.page(recorded(), gpu_cells.usual())
    for line in (
        "- GPU: one", "| bench | 7 of 46 cells | 31 |",
        "| LSTM T=200 B=64 H=128 | d1 | 2.000 | 10.00 | 4.000 | 2.00 |",
        "| GRU T=200 B=64 H=128 | b | 1.000 | 5.00 | 500.000 | WRONG: off by 7.0e-01 |",
        "| GRU T=200 B=64 H=256 | – | FAILED: MemoryError: a / b | – | – | – |",
        "| LSTM T=200 B=64 H=128, op by op | stepwise | 100.000 | 500.00 | – | – |",
        "- IEEE, all: geometric mean 1.59 over 3 cells; the smallest is 0.25, LSTM T=200 B=64 H=512",
        "- IEEE, packed with H ≤ 128: geometric mean 8.00 over 1 cells; the smallest is 8.00, LSTM T=200 B=64 H=128, packed",
        "- TF32, all: geometric mean 1.00 over 1 cells; the smallest is 1.00, LSTM T=200 B=64 H=512, TF32",
        "- the kernel over our own op-by-op path, LSTM T=200 B=64 H=128, op by op: 50.0×",
        "PyTorch is ahead in 1 of them: LSTM T=200 B=64 H=512 (0.25).",
    ):  # fmt: skip
        assert line in text.splitlines(), line
    assert "Not measured" in text and "RNN T=200 B=64 H=128" in text


def test_a_page_of_nothing():
    text = gpu_page.page(Found({"GPU": "one"}, [Part("bench", "broke", False)]), gpu_cells.usual())
    assert "not measured" in text and "PyTorch is ahead" not in text
    ratio = gpu_page.ratio({"ours": [1.0], "theirs": [2.0], "off": float("nan")}, Cell("LSTM", 1, 1, 1))
    assert ratio is None


# ---------------------------------------------------------------------------------------------------------- the worker


class FakeCupy:
    """What the worker asks of CuPy, on the CPU."""

    asnumpy = staticmethod(np.asarray)
    get_default_memory_pool = staticmethod(lambda: SimpleNamespace(free_all_blocks=lambda: None))

    class cuda:
        class Event:
            def record(self):
                self.at = time.perf_counter()

            def synchronize(self):
                pass

        get_elapsed_time = staticmethod(lambda one, other: (other.at - one.at) * 1e3)


CELLS = [
    Cell("LSTM", 5, 3, 4), Cell("GRU", 5, 3, 4, layers=2, directions=2, packed=True), Cell("RNN", 5, 3, 4, packed=True),
    Cell("LSTM", 5, 3, 4, path="stepwise"),
]  # fmt: skip


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_both_libraries_compute_the_same_and_are_timed(cell, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(gpu_worker, "SECONDS", 0.01)
    with mg.device("cpu"):
        found = gpu_worker.Bench(FakeCupy, torch).run(cell)
    assert len(found["ours"]) >= gpu_worker.LEAST and all(each > 0 for each in found["ours"])
    assert ("theirs" in found) == cell.compared == ("off" in found)
    if cell.compared:
        assert found["off"] < 1e-4 and not gpu_page.wrong(found, cell)
    assert found["kernel"] == ("stepwise" if cell.path == "stepwise" else "arrays")


def test_without_pytorch_ours_alone_are_timed(monkeypatch):
    monkeypatch.setattr(gpu_worker, "SECONDS", 0.01)
    with mg.device("cpu"):
        found = gpu_worker.Bench(FakeCupy, None).run(CELLS[0])
    assert "theirs" not in found and len(found["ours"]) >= gpu_worker.LEAST


def test_results_that_differ_are_seen():
    one, other = [np.ones(3), np.array([1.0, 2.0])], [np.ones(3), np.array([1.0, 2.2])]
    assert gpu_worker.furthest(one, other) == pytest.approx(0.2 / 2.2)


def test_what_the_sanitizer_watches_runs(capsys):
    gpu_small.main("strict")
    assert capsys.readouterr().out.splitlines()[-1] == "done"


# ------------------------------------------------------------------------------------------------------------- ./run


@pytest.mark.skipif(mg.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_in_one_line_what_is_missing():
    done = subprocess.run([str(ROOT / "run"), "gpu"], capture_output=True, text=True, env={**os.environ, "PATH": "/usr/bin:/bin"})
    assert done.returncode != 0 and done.stdout == "" and done.stderr.count("\n") == 1 and "./run" in done.stderr
    found = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "gpu" / "gpu_run.py")], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "bench")])},
    )  # fmt: skip
    assert found.returncode == 1 and found.stdout == "" and found.stderr.count("\n") == 1 and "device 'cuda'" in found.stderr


def test_warnings_of_cupys_own_are_no_errors_and_others_are(tmp_path):
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text("import warnings\nwarnings.warn('CUDA path could not be detected')\n")
    (tmp_path / "test_a.py").write_text("import warnings\ndef test_a():\n import cupy\ndef test_b():\n warnings.warn('ours')\n")
    command = [sys.executable, "-m", "pytest", "-o", gpu_run.FILTERS, "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert "1 failed, 1 passed" in done.stdout, done.stdout
