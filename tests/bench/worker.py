"""Measurements in a process of its own: `python worker.py --library minigrad lstm_loop char_lm` prints one line of JSON.

{"values": {cell: [...]}} are seconds per unit of the cell's work, or bytes, or seconds of an import; smaller is better everywhere.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from typing import Any

LIBRARIES = ("minigrad", "torch", "plain", "products", "moves", "jax", "autograd", "dezero")


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=LIBRARIES, required=True, help="plain is minigrad as if Numba were not installed")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long to go on repeating each cell")
    parser.add_argument("cells", nargs="+", help="names from cells.py, race.py or moves.py, or import")
    given = parser.parse_args()
    if given.library == "plain":
        sys.modules["numba"] = None  # type: ignore[assignment]  # what asks for it finds nothing
    measured = importing() if given.cells == ["import"] else running(given.library, given.cells, given.seconds)
    print(json.dumps(measured))


def importing() -> dict[str, Any]:
    """What minigrad's import adds to NumPy's."""
    importlib.import_module("numpy")
    start = time.perf_counter()
    for name in ("minigrad", "minigrad_nn"):
        importlib.import_module(name)
    return {"values": {"import": [time.perf_counter() - start]}}


def running(name: str, cells: list[str], seconds: float) -> dict[str, Any]:
    """The cells' times per unit of work, or their memory; the library's version, and how many threads it says it uses."""
    if name in ("jax", "autograd", "dezero"):
        opponents = importlib.import_module("opponents")
        values = {cell: times(opponents.job(name, cell), seconds) for cell in cells}
        return {"values": values, "version": importlib.import_module("importlib.metadata").version(name), "threads": None}
    library = importlib.import_module("cells").Library("torch" if name == "torch" else "minigrad")
    values = {cell: measure(name, library, cell, seconds) for cell in cells}
    threads = library.torch.get_num_threads() if name == "torch" else None  # NumPy cannot be asked
    return {"values": values, "version": library.torch.__version__, "threads": threads}


def measure(name: str, library: Any, cell: str, seconds: float) -> list[float]:
    """One cell's values."""
    import cells  # NumPy comes with these, and `importing` must come first to it
    import race

    if name == "products":
        return times(importlib.import_module("products").job(cell), seconds)
    if name == "moves":
        return times(importlib.import_module("moves").job(cell), seconds)
    if cell in cells.CELLS:
        job = cells.CELLS[cell](library)
        return [growth(job)] if cell == "lstm_memory" else times(job, seconds)
    if cell.startswith(("memory", "growth")):
        race.warm_up(library, cell)
        return [growth(race.job(library, cell))]
    return times(race.job(library, cell), seconds)


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


if __name__ == "__main__":
    main()
