"""Measure minigrad against PyTorch and print tables; `./run bench` calls this.

python tests/bench/run.py              everything, in about four minutes
python tests/bench/run.py --only loop  the cells whose name contains a word: train-GRU, packed, 35x20, memory, move, ...
python tests/bench/run.py --write      more rounds, and write docs/performance.md with its pictures
python tests/bench/run.py --opponents  JAX, HIPS autograd and DeZero too; they are installed into an environment of their own
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import machine
import moves
import plan
import report

THREADS = 2
HERE = Path(__file__).resolve().parent
OPPONENTS = ("jax", "autograd", "dezero")
BUSY = 0.2  # cores that others may use while a process measures

Values = dict[tuple[str, str], list[float]]  # (cell, library): all values of all rounds


def main() -> int:
    """Measure, print, and return the exit status: 0 unless a measurement crashed."""
    given = _options()
    torch = importlib.util.find_spec("torch") is not None
    chosen = [group.only(given.only) for group in plan.groups(OPPONENTS if given.opponents else ())]
    chosen = [group for group in chosen if group.cells]
    if not chosen:
        names = dict.fromkeys(cell.rpartition("-")[0] or cell for group in plan.groups() for cell in group.cells)
        sys.exit(f"no cell's name contains {given.only!r}; there are: {', '.join(names)}")
    bench = Bench(given.seconds, {} if torch else {"torch": "not installed"})
    if given.opponents:
        bench.pythons = machine.opponents_python(OPPONENTS)
    bench.all_rounds(chosen, given.rounds)
    facts = {**machine.facts(bench.versions, THREADS), "Quiet": bench.noise()}
    rows = [row for row in plan.rows_of(bench.values) if row.ours or row.theirs]
    _print(rows, bench.values, facts)
    if not torch:
        print("The opponent is missing: PyTorch is not installed here (pip install torch==2.13.0), so these are our own numbers only.")
    if bench.crashed:
        print(f"crashed: {', '.join(sorted(bench.crashed))}", file=sys.stderr)
    elif given.write and not torch:
        print("docs/performance.md is left as it is: without the opponent there is nothing to compare.")
    elif given.write:
        write_page(rows, bench.values, facts, given.rounds, given.seconds)
    return 1 if bench.crashed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description="Measure minigrad against PyTorch.")
    parser.add_argument("--rounds", type=int, help="how many times libraries take turns (2; with --write 4)")
    parser.add_argument("--seconds", type=float, help="how long each process repeats each of its cells (0.1; with --write 0.3)")
    parser.add_argument("--only", default="", metavar="WORD", help="only cells whose name contains this word")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md from the results")
    parser.add_argument("--opponents", action="store_true", help="measure JAX, HIPS autograd and DeZero too")
    given = parser.parse_args()
    given.rounds = given.rounds if given.rounds is not None else 4 if given.write else 2
    given.seconds = given.seconds if given.seconds is not None else 0.3 if given.write else 0.1
    if given.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {given.rounds}")
    if given.write and given.only:
        parser.error("--write makes the whole page and needs every row; leave --only out")
    return given


def _print(rows: list[report.Row], values: Values, facts: dict[str, str]) -> None:
    print("\n".join(f"{name + ':':<11}{value}" for name, value in facts.items()))
    for heading, text in report.sections(rows, values, moves.table(values)):
        print(f"\n{heading.splitlines()[0]}\n\n{text}")
    print("\nRatios are PyTorch's figure over ours, of minima: above 1 minigrad is ahead.")


def write_page(rows: list[report.Row], values: Values, facts: dict[str, str], rounds: int, seconds: float) -> None:
    """docs/performance.md and its pictures, where matplotlib is installed."""
    folder = machine.ROOT / "docs"
    pictures = []
    if importlib.util.find_spec("matplotlib") is not None:
        import plots

        pictures = plots.draw(values, folder)
    report.write(folder / "performance.md", report.page(rows, values, facts, rounds, seconds, moves.section(values), pictures))
    print("written: docs/performance.md")


class Bench:
    """The measurements so far."""

    def __init__(self, seconds: float, missing: dict[str, str] | None = None) -> None:
        self.seconds, self.missing = seconds, missing or {}
        self.values: Values = {}
        self.crashed: set[str] = set()
        self.versions: dict[str, str] = dict(self.missing)
        self.pythons: dict[str, str] = {}
        self.others: list[float] = []  # cores that others used while each process ran

    def all_rounds(self, groups: list[plan.Group], rounds: int) -> None:
        """Every group, its libraries in turn, `rounds` times."""
        start = time.perf_counter()
        for number in range(rounds):
            for group in groups:
                for library in group.libraries if number == 0 or not group.once else ():
                    if library not in self.missing:
                        _progress(f"round {number + 1} of {rounds}: {group.cells[0]}, {library}")
                        self.measure(library, group.cells)
        _progress("")
        print(f"measured in {time.perf_counter() - start:.0f} s", file=sys.stderr)

    def measure(self, library: str, cells: tuple[str, ...]) -> None:
        """One process; nothing where these cells have crashed before."""
        name = f"{', '.join(cells)} of {library}"
        if name in self.crashed:
            return
        python = self.pythons.get(library, sys.executable)
        command = [python, str(HERE / "worker.py"), "--library", library, "--seconds", str(self.seconds), *cells]
        with machine.Others() as others:
            done = subprocess.run(command, env=_environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            _progress("")
            print(f"{name} crashed:\n{done.stderr.strip()}", file=sys.stderr)
            self.crashed.add(name)
            return
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        for cell, found in result["values"].items():
            self.values.setdefault((cell, library), []).extend(found)
        if others.cores is not None:
            self.others.append(others.cores)
        if result.get("version"):
            told = f", which says it uses {result['threads']} threads" if result["threads"] else ""
            self.versions[library] = f"{result['version']}{told}"

    def noise(self) -> str:
        """Whether the machine was quiet, in words."""
        if not self.others:
            return "not known: this system does not tell what others use"
        busy = sum(each > BUSY for each in self.others)
        if not busy:
            return f"yes, others never used more than {BUSY} cores while one of {len(self.others)} processes measured"
        most = f"more than {BUSY} cores (up to {max(self.others):.1f})"
        return f"**NO**: while {busy} of {len(self.others)} processes measured, others used {most}"


def _environment() -> dict[str, str]:
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
    threads["OPENBLAS_THREAD_TIMEOUT"] = "20"  # what minigrad asks for where it is imported before NumPy; here NumPy comes first
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(filter(None, [str(machine.ROOT), os.environ.get("PYTHONPATH")]))}


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
