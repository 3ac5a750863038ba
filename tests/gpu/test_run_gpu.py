"""What `./run gpu` does with what it finds, tried without a GPU: time, programs that fail or hang, missing tools, the page."""

import argparse
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cuda_on_cpu
import gpu_cells
import gpu_page
import gpu_run
import gpu_small
import gpu_smoke
import gpu_worker
import numpy as np
import pytest
from gpu_cells import Cell
from gpu_page import Found, Part
from gpu_run import Budget

import minigrad as mg
from minigrad_nn.kernels.cuda import gru, lstm, rnn

pytestmark = pytest.mark.host_only("about programs on the host")
ROOT = Path(__file__).resolve().parents[2]
OPTIONS = argparse.Namespace(full=False, only=None, seconds=450.0, into=None)


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
    assert budget.share(100, 150) == 100
    now[0] = 300.0
    assert budget.share(130, 100) == 50
    now[0] = 445.0
    assert budget.share(130, 100) == 0 and budget.left == 5
    now[0] = 1000.0
    assert budget.left == 0 == budget.share(130, 0)


def test_all_parts_fit_into_eight_minutes():
    assert list(gpu_run.PARTS) == ["smoke", "bench", "kernels", "suite", "sanitizer"]
    assert sum(least for _, least, _ in gpu_run.PARTS.values()) <= gpu_run.TOTAL <= 470
    assert all(gpu_run.GRACE < least <= most for _, least, most in gpu_run.PARTS.values())


def test_a_part_that_breaks_does_not_stop_the_others(monkeypatch):
    def breaks(seconds, found, options):
        raise OSError("no such thing\nat all")

    called, kept = [], []
    fine = lambda *given: called.append(given) or ("fine", True)
    monkeypatch.setattr(gpu_run, "PARTS", {"one": (breaks, 5, 10), "two": (fine, 5, 20), "three": (breaks, 85, 90)})
    found = Found({}, keep=lambda: kept.append(len(found.parts)))
    gpu_run.run_parts(["one", "two", "three"], Budget(100), found, OPTIONS)
    assert [(each.outcome, each.good) for each in found.parts] == [
        ("broke: OSError: no such thing", False), ("fine", True), ("broke: OSError: no such thing", False),
    ]  # fmt: skip
    assert 10 < called[0][0] <= 15 and kept == [1, 2, 3]
    found = Found({})
    gpu_run.run_parts(["one", "two"], Budget(0), found, OPTIONS)
    assert [each.outcome for each in found.parts] == ["not run: no time was left"] * 2


def test_what_is_known_is_written_when_somebody_stops_it(monkeypatch, tmp_path):
    def slow(seconds, found, options):
        found.checked["a"] = {"failed": "x"}
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    before = signal.getsignal(signal.SIGTERM)
    for name, value in (("PARTS", {"slow": (slow, 5, 10)}), ("missing", str), ("facts", lambda: {"GPU": "one"}), ("warm", lambda: None)):
        monkeypatch.setattr(gpu_run, name, value)
    monkeypatch.setattr(gpu_run, "ROOT", tmp_path)
    monkeypatch.setattr(gpu_run, "PAGE", tmp_path / "docs" / "page.md")
    try:
        assert gpu_run.main(["--into", str(tmp_path / "into")]) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    for page in (tmp_path / "docs" / "page.md", tmp_path / "into" / "page.md"):
        assert "| slow | was stopped |" in page.read_text(encoding="utf-8")
    assert "interrupted" in (tmp_path / "into" / "gpu.log").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------ programs


def test_lines_come_as_they_are_written():
    lines: list[str] = []
    code = "import sys, os; print(sys.stdin.read()); print('ä', os.environ['X']); print('err', file=sys.stderr); sys.exit(3)"
    assert gpu_run.follow([sys.executable, "-c", code], 600, lines.append, given="in", X="y") == 3
    assert sorted(lines) == ["err", "in", "ä y"]


def test_a_program_that_hangs_is_asked_and_then_made_to_stop():
    lines: list[str] = []
    polite = "import time\nprint('on', flush=True)\ntry: time.sleep(600)\nexcept KeyboardInterrupt: print('summed up')"
    start = time.monotonic()
    assert gpu_run.follow([sys.executable, "-c", polite], 12, lines.append) is None
    assert lines == ["on", "summed up"]
    deaf = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('on', flush=True)\ntime.sleep(600)"
    assert gpu_run.follow([sys.executable, "-c", deaf], 6, lines.append) is None
    assert time.monotonic() - start < 120


def test_a_program_that_says_nothing_is_stopped_and_so_is_what_it_started():
    lines: list[str] = []
    code = "import subprocess, sys, time\nother = subprocess.Popen(['sleep', '600'])\nprint(other.pid, flush=True)\ntime.sleep(600)"
    with pytest.raises(gpu_run.Silent, match="no word for 8 s"):
        gpu_run.follow([sys.executable, "-c", code], 300, lines.append, silence=8)
    for _ in range(100):
        state = Path(f"/proc/{lines[0]}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.1)
    else:
        pytest.fail("the other program is still there")


def test_a_program_that_reads_nothing_is_no_trouble():
    assert gpu_run.follow([sys.executable, "-c", "import os; os.close(0)"], 600, print, given="x" * 10**6) == 0


@pytest.mark.parametrize(
    ("lines", "status", "outcome"),
    [
        (["t/a.py::b PASSED [  1%]", "t/a.py::c[x y-1] PASSED [100%]", "2 passed in 3.1s"], 0, ("2 passed", True)),
        (["t/a.py::b PASSED [  1%]", "t/a.py::c SKIPPED (no torch) [ 2%]", "2 passed in 3.1s"], 0, ("1 passed, 1 skipped", True)),
        (["t/a.py::b FAILED [  1%]", "t/a.py::c PASSED", "FAILED t/a.py::b - boo"], 1, ("1 passed, 1 failed: t/a.py::b", False)),
        (["[gw1] [ 3%] FAILED t/a.py::b[1] ", "[gw0] [ 4%] PASSED t/a.py::b[2] "], 1, ("1 passed, 1 failed: t/a.py::b[1]", False)),
        (["[gw1] [ 3%] FAILED [location]", "worker 'gw0' crashed while running 't/a.py::b'"], 1, ("1 failed: t/a.py::b", False)),
        (["t/a.py::b PASSED", "ERROR t/c.py::d[x y] - boo"], 1, ("1 passed, 1 failed: t/c.py::d[x y]", False)),
        (["t/a.py::b PASSED"], 1, ("1 passed; pytest ended with 1", False)),
        (["t/a.py::b PASSED [  1%]", "t/a.py::c "], None, ("1 passed, then the time was used up", True)),
        (["t/a.py::b PASSED", "t/a.py::b ERROR [ 1%]"], None, ("1 failed, then the time was used up: t/a.py::b", False)),
        (["t/a.py::b PASSED", "!!! the GPU answers no more"], 3, ("1 passed; pytest ended with 3", False)),
        (["ERROR: cannot open shared object"], 4, ("no test ended (ERROR: cannot open shared object); pytest ended with 4", False)),
        ([], None, ("no test ended (), then the time was used up", False)),
    ],
)
def test_what_pytest_said_is_summed_up(lines, status, outcome):
    tests = gpu_run.Tests()
    for line in lines:
        tests.hear(line)
    assert tests.summed_up(status) == outcome


def test_what_breaks_a_test_is_shown_once(capsys):
    tests = gpu_run.Tests()
    shown = ["t/a.py::b FAILED [  1%]", "t/a.py:3: in b", "E   assert 1 == 2"]
    for line in (*shown, "t/a.py::c PASSED [  2%]", "=== FAILURES ===", shown[-1]):
        tests.hear(line)
    assert capsys.readouterr().out.split("\n    ") == [f"    {shown[0]}", shown[1], shown[2] + "\n"]


def test_missing_tools_are_said_and_nothing_else(monkeypatch):
    monkeypatch.setattr(gpu_run.shutil, "which", lambda name: None)
    monkeypatch.setattr(gpu_run, "Path", lambda text: SimpleNamespace(exists=lambda: False))
    assert gpu_run.sanitizer(50, Found({}), OPTIONS) == ("not run: compute-sanitizer was not found", None)
    monkeypatch.setattr(gpu_run.importlib.util, "find_spec", lambda name: None)
    assert gpu_run.pytest_run([], 50) == ("not run: pytest is not installed", None)
    assert gpu_run.installed("torch") == "not installed"


def test_the_sanitizers_last_words(monkeypatch, tmp_path):
    clean, late = "memcheck: ERROR SUMMARY: 0 errors", "the time was used up after: RNN"
    bad = "ERROR SUMMARY: 2 errors (first: Invalid __global__ read of size 4 bytes)"
    for lines, status, outcome in (
        (["========= ERROR SUMMARY: 0 errors"], 0, (f"{clean}; racecheck: ERROR SUMMARY: 0 errors", True)),
        (["========= Invalid __global__ read of size 4 bytes", "========= ERROR SUMMARY: 2 errors"], 9,
         (f"memcheck: {bad}; racecheck: {bad}", False)),
        (["========= Device not supported"], 1, ("memcheck: Device not supported", True)),
        (["RNN"], None, (f"memcheck: {late}; racecheck: {late}", True)),
    ):  # fmt: skip
        monkeypatch.setattr(gpu_run, "follow", lambda command, seconds, each, lines=lines, status=status: [*map(each, lines)] and status)
        monkeypatch.setattr(gpu_run.shutil, "which", lambda name: "/bin/tool")
        assert gpu_run.sanitizer(50, Found({}), OPTIONS) == outcome


def told(cell, **row):
    return json.dumps({"cell": cell.name, **(row or {"kernel": "b", "ours": [0.002, 0.001, 9], "theirs": [0.004, 0.003, 9], "off": 1e-6})})


def test_what_the_worker_says_is_kept_and_what_it_breaks_by_is_told(monkeypatch):
    first = Cell("LSTM", 200, 64, 128)

    def follow(command, seconds, each, given, silence, **more):
        cells = json.loads(given)
        assert all(Cell(**cell).tf32 == (more["CUPY_TF32"] == "1") for cell in cells)
        each("a warning")
        if more["CUPY_TF32"] == "0":
            each(told(first))
            return None
        each("CudaError: out of memory")
        return 1

    monkeypatch.setattr(gpu_run, "follow", follow)
    found = Found({})
    outcome, good = gpu_run.bench(100, found, OPTIONS)
    count, lost = len(gpu_cells.usual()), next(cell for cell in gpu_cells.usual() if cell.tf32)
    fate = "the process ended with 1: CudaError: out of memory"
    assert outcome == f"2 of {count} cells; failed or wrong: {lost.name}; nothing more was tried after: {fate}" and not good
    assert found.rows[first.name]["theirs"] == [0.004, 0.003, 9] and found.rows[lost.name] == {"failed": fate}


def test_a_cell_that_hangs_or_kills_the_process_is_named_and_the_others_go_on(monkeypatch):
    cells = [Cell("LSTM", 1, 1, H) for H in range(1, 8)]
    heard, calls = {}, []

    def follow(command, seconds, each, given, silence):
        waiting = [Cell(**cell) for cell in json.loads(given)]
        calls.append([cell.H for cell in waiting])
        for cell in waiting:
            if cell.H == 2:
                raise gpu_run.Silent("no word for 45 s")
            if cell.H == 4:
                return -11
            if cell.H == 6:
                each(told(cell, failed="CUDA_ERROR_ILLEGAL_ADDRESS"))
                return gpu_run.UNUSABLE
            each(told(cell))
        return 0

    monkeypatch.setattr(gpu_run, "follow", follow)
    assert gpu_run.in_turn("gpu_worker.py", cells, 100, lambda cell, row: heard.update({cell.H: row.get("failed")})) == []
    assert calls == [[1, 2, 3, 4, 5, 6, 7], [3, 4, 5, 6, 7], [5, 6, 7], [7]]
    assert heard == {
        1: None, 2: "hangs: no word for 45 s", 3: None, 4: "the process ended with -11", 5: None, 6: "CUDA_ERROR_ILLEGAL_ADDRESS", 7: None,
    }  # fmt: skip


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
    found.checked["a"] = {"off": 1e-7, "same": True, "first": 1, "then": 1, "kernels": {"lstm_forward 128": [124, 0, 97 * 1024]}}
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
        "| lstm_forward 128 | 124 | 0 | 97 |",
    ):  # fmt: skip
        assert line in text.splitlines(), line
    assert "Not measured" in text and "RNN T=200 B=64 H=128" in text


def test_a_page_of_nothing():
    text = gpu_page.page(Found({"GPU": "one"}, [Part("bench", "broke", False)]), gpu_cells.usual())
    assert "not measured" in text and "PyTorch is ahead" not in text and "the part smoke was not run" in text
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


def test_the_cells_that_are_checked_hold_every_kernel():
    cells = gpu_cells.smoke()
    assert len({cell.name for cell in cells}) == len(cells) < 50
    for kind in ("RNN", "LSTM", "GRU"):
        for wanted in ({"kernel": "d1", "packed": True}, {"kernel": "d2", "directions": 2}, {"kernel": "b", "packed": True}, {"T": 200}):
            assert any(cell.kind == kind and all(getattr(cell, name) == value for name, value in wanted.items()) for cell in cells), wanted
    served = {"RNN": rnn.MOST, "LSTM": lstm.MOST, "GRU": gru.MOST}
    assert all((served[cell.kind] >= cell.H) == (cell.kernel == "d1") for cell in cells if cell.kernel != "b")


@pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="g++ runs the CUDA functions here, and is missing")
def test_the_check_of_kernels_runs_and_sees_what_is_wrong(monkeypatch, capsys):
    cells = [Cell("LSTM", 4, 3, 5, packed=True, kernel="b"), Cell("GRU", 4, 3, 5, directions=2, kernel="b")]
    cells += [Cell("GRU", 4, 3, 5, kernel="d1")]
    monkeypatch.setattr(sys, "argv", ["gpu_smoke.py", "--device", "strict"])
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps([dataclasses.asdict(cell) for cell in cells])))
    assert gpu_smoke.main() == 0
    one, two, three = map(json.loads, capsys.readouterr().out.splitlines())
    assert [gpu_page.trouble_of(each) for each in (one, two)] == ["", ""] and "none computes this gru" in three["failed"]
    assert gpu_page.trouble_of(one | {"same": False}).startswith("RACES") and gpu_page.trouble_of(one | {"off": np.nan}).startswith("WRONG")
    assert "off by" in gpu_page.checked_line(cells[0], one) and "FAILED" in gpu_page.checked_line(cells[2], three)


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
