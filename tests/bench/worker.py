"""One measurement in a process of its own: `python worker.py --library minigrad --cell lstm_loop` prints one line of JSON.

{"values": [...]} are seconds per unit of the cell's work, or bytes, or seconds of an import; smaller is better everywhere.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from typing import Any


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=["minigrad", "torch"], required=True)
    parser.add_argument("--cell", required=True, help="a name from cells.py, or import")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long to go on repeating")
    given = parser.parse_args()
    measured = importing() if given.cell == "import" else running(given.library, given.cell, given.seconds)
    print(json.dumps(measured))


def importing() -> dict[str, Any]:
    """What minigrad's import adds to NumPy's."""
    importlib.import_module("numpy")
    start = time.perf_counter()
    for name in ("minigrad", "minigrad_nn"):
        importlib.import_module(name)
    return {"values": [time.perf_counter() - start]}


def running(name: str, cell: str, seconds: float) -> dict[str, Any]:
    """A cell's times per unit of work, or its memory."""
    import cells  # NumPy comes with it, and `importing` must come first to it

    library = cells.Library(name)
    job = cells.CELLS[cell](library)
    values = [growth(job)] if cell == "lstm_memory" else times(job, seconds)
    return {"values": values, "version": library.torch.__version__, "threads": threads(library)}


def times(job: Any, seconds: float) -> list[float]:
    """Seconds per unit of work, at least twice, after one round to warm up."""
    job.work(job.prepare())
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < 2 or time.perf_counter() < end:
        given = job.prepare()
        start = time.perf_counter()
        job.work(given)
        taken.append((time.perf_counter() - start) / job.count)
    return taken


def growth(job: Any) -> int:
    """By how many bytes the peak of memory grows while the work is done once."""
    before = peak()
    job.work(job.prepare())
    return peak() - before


def peak() -> int:
    """The most memory this process has held so far, in bytes (VmHWM)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def threads(library: Any) -> int | None:
    """How many threads PyTorch says it uses; NumPy cannot be asked."""
    return library.torch.get_num_threads() if library.name == "torch" else None


if __name__ == "__main__":
    main()
