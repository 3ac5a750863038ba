"""Measure minigrad against PyTorch and print the table; `./run bench` calls this.

python tests/bench/run.py              every row, in less than two minutes
python tests/bench/run.py --only loop  the rows whose cell's name contains a word
python tests/bench/run.py --write      and write docs/performance.md
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
import report

THREADS = 2
HERE = Path(__file__).resolve().parent
CELLS = {  # cell: how many libraries run it
    "chain_constant": 2, "chain_number": 2, "chain_leaf": 2, "lstm_loop": 2, "lstm_memory": 2, "char_lm": 2,
    "backward_1000": 1, "backward_100000": 1, "import": 1,
}  # fmt: skip

Values = dict[tuple[str, str], list[float]]  # (cell, library): all values of all rounds


def main() -> int:
    """Measure, print, and return the exit status: 0 unless a measurement crashed."""
    given = _options()
    opponent = importlib.util.find_spec("torch") is not None
    chosen = [cell for cell in CELLS if given.only in cell]
    if not chosen:
        sys.exit(f"no cell's name contains {given.only!r}; there are: {', '.join(CELLS)}")
    bench = Bench(given.seconds)
    bench.all_rounds(chosen, given.rounds, opponent)
    facts = machine.facts(bench.torch_version, THREADS)
    rows = [row for row in rows_of(bench.values) if row.ours or row.theirs]
    print("\n".join(f"{name + ':':<11}{value}" for name, value in facts.items()), end="\n\n")
    print(report.table(rows))
    print("\nFigures are minimum / median; the ratio is PyTorch's over ours, so above 1 minigrad is ahead.")
    if not opponent:
        print("The opponent is missing: PyTorch is not installed here (pip install torch==2.13.0), so these are our own numbers only.")
    if bench.crashed:
        print(f"crashed: {', '.join(sorted(bench.crashed))}", file=sys.stderr)
    elif given.write:
        _write_page(rows, facts, given, opponent)
    return 1 if bench.crashed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description="Measure minigrad against PyTorch.")
    parser.add_argument("--rounds", type=int, default=3, help="how many times the two take turns (3)")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each process repeats its work (0.5)")
    parser.add_argument("--only", default="", metavar="WORD", help="only cells whose name contains this word")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md from the results")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {given.rounds}")
    if given.write and given.only:
        parser.error("--write makes the whole page and needs every row; leave --only out")
    return given


def _write_page(rows: list[report.Row], facts: dict[str, str], given: argparse.Namespace, opponent: bool) -> None:
    if not opponent:
        print("docs/performance.md is left as it is: without the opponent there is nothing to compare.")
        return
    report.write(machine.ROOT / "docs" / "performance.md", report.page(rows, facts, given.rounds, given.seconds))
    print("written: docs/performance.md")


class Bench:
    """The measurements so far."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.values: Values = {}
        self.crashed: set[str] = set()
        self.torch_version: str | None = None

    def all_rounds(self, cells: list[str], rounds: int, opponent: bool) -> None:
        """Every cell, ours and PyTorch's in turn, `rounds` times."""
        start = time.perf_counter()
        for number in range(rounds):
            for cell in cells:
                for library in ("minigrad", "torch")[: CELLS[cell] if opponent else 1]:
                    _progress(f"round {number + 1} of {rounds}: {cell}, {library}")
                    self.measure(library, cell)
        _progress("")
        print(f"measured in {time.perf_counter() - start:.0f} s", file=sys.stderr)

    def measure(self, library: str, cell: str) -> None:
        """One process; nothing where this cell has crashed before."""
        name = f"{cell} of {library}"
        if name in self.crashed:
            return
        command = [sys.executable, str(HERE / "worker.py"), "--library", library, "--cell", cell, "--seconds", str(self.seconds)]
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            _progress("")
            print(f"{name} crashed:\n{done.stderr.strip()}", file=sys.stderr)
            self.crashed.add(name)
            return
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        self.values.setdefault((cell, library), []).extend(result["values"])
        if library == "torch":
            self.torch_version = f"{result['version']}, which says it uses {result['threads']} threads"


def _environment() -> dict[str, str]:
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(filter(None, [str(machine.ROOT), os.environ.get("PYTHONPATH")]))}


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def rows_of(values: Values) -> list[report.Row]:
    """The table's rows, those without values included."""
    chain = "2 000 alternating multiplications and additions of 4 float32 elements, forward + backward, µs per operation; "
    mark = "no slower"
    pairs = [
        ("chain, a constant", chain + "`a` is a constant tensor", "chain_constant", _micro, mark, 1.0),
        ("chain, a number", chain + "`a` is a Python number", "chain_number", _micro, mark, 1.0),
        ("chain, a leaf", chain + "`a` wants a gradient too", "chain_leaf", _micro, mark, 1.0),
        ("LSTMCell loop", LOOP, "lstm_loop", _milli, mark, 1.0),
        ("LSTMCell memory", MEMORY, "lstm_memory", _mega, "≤ 1.1× PyTorch's", 1 / 1.1),
        ("char LM", CHAR, "char_lm", _rate, "", None),
    ]
    rows = [
        report.Row(title, meaning, show, values.get((cell, "minigrad")), values.get((cell, "torch")), mark, least)
        for title, meaning, cell, show, mark, least in pairs
    ]
    rows += [
        report.Row("long chain", LONG, _plain, _over(values, "backward"), mark="≤ 1.5×", most=1.5),
        report.Row("import", IMPORT, _milli, values.get(("import", "minigrad")), mark="≤ 60 ms", most=0.06),
    ]
    return rows


LOOP = "a Python loop over LSTMCell, (T, B, I, H) = (35, 20, 200, 200), forward + backward, gradients of the input and of every weight"
MEMORY = "growth of the peak of memory (VmHWM, fresh processes) by one forward + backward of that loop at T = 1 000"
CHAR = (
    "characters per second of a training step: embedding 64, nn.LSTM 256, linear, B = 32, T = 100, V = 95, "
    "cross-entropy, clipping, Adam (more is better)"
)
LONG = "backward through a chain of 100 000 nodes: our time per node over that in a chain of 1 000"
IMPORT = "`import minigrad, minigrad_nn` after `import numpy`, fresh processes"


def _over(values: Values, cell: str) -> list[float] | None:
    long, short = (values.get((f"{cell}_{length}", "minigrad")) for length in (100_000, 1000))
    return [each / min(short) for each in long] if long and short else None


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:.2f} µs"


def _milli(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def _mega(size: float) -> str:
    return f"{size / 1e6:.0f} MB"


def _rate(seconds: float) -> str:
    return f"{1 / seconds:,.0f}/s"


def _plain(ratio: float) -> str:
    return f"{ratio:.2f}×"


if __name__ == "__main__":
    sys.exit(main())
