"""What all examples share: the same options, a seed, a device, a progress bar, plots into files.

lines = running.parser(__doc__, epochs=10, out="out/names")
lines.add_argument("--hidden", type=running.size, default=64)      # an option of the example's own
options = running.begin(lines, arguments)                          # read, checked, seeded
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minigrad as mg
from tqdm import tqdm

__all__ = [
    "Losses", "begin", "number", "parser", "positive", "progress", "pyplot", "require_device", "require_folders", "size", "table", "whole",
]  # fmt: skip


def number(kind: type, least: float, allowed: bool) -> Callable[[str], Any]:
    """A function for argparse that reads a finite number above `least`, or `least` itself where that is allowed."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {'a whole' if kind is int else 'a'} number") from None
        if not math.isfinite(value) or value >= 2**63 or value < least or (value == least and not allowed):
            raise argparse.ArgumentTypeError(f"must be {'at least' if allowed else 'more than'} {least}, got {text}")
        return value

    return read


size, positive, whole = number(int, 1, True), number(float, 0, False), number(int, 0, True)


def parser(description: str | None, epochs: int, out: str) -> argparse.ArgumentParser:
    """The options every example has; `description` is its docstring, of which the first paragraph is shown."""
    first = (description or "").strip().split("\n\n")[0]
    lines = argparse.ArgumentParser(description=first, allow_abbrev=False)
    add = lines.add_argument
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--seed", type=whole, default=0, help="the same seed gives the same run (default: 0)")
    add("--epochs", type=size, metavar="N", default=epochs, help=f"passes over the data (default: {epochs})")
    add("--save", metavar="FILE", help="where the trained model goes (default: model.safetensors in --out)")
    add("--load", metavar="FILE", help="do not train: use a saved model")
    add("--out", metavar="FOLDER", default=out, help=f"where pictures and models go (default: {out})")
    add("--quick", action="store_true", help="a small model on little data, in seconds: to see that everything works")
    return lines


def begin(lines: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line, refuse in one line what cannot be done, make the folders, and seed everything random."""
    options = lines.parse_args(arguments)
    require_device(lines, options.device)
    if options.load and not Path(options.load).is_file():
        lines.error(f"--load: there is no file {options.load}")
    require_folders(lines, options)
    mg.manual_seed(options.seed)
    return options


def require_device(lines: argparse.ArgumentParser, name: str) -> None:
    """Exit with one line if there is no such device here."""
    try:
        mg.zeros(1, device=name)
    except (RuntimeError, ValueError, TypeError) as error:
        lines.error(f"--device {name}: {str(error).splitlines()[0]}")


def require_folders(lines: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Make --out and the folder of --save, so that nothing fails after a long training; exit with one line if that is impossible."""
    options.save = options.save or str(Path(options.out) / "model.safetensors")
    for folder in (Path(options.out), Path(options.save).parent):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            lines.error(f"cannot make the folder {folder}: {error.strerror}")
    if Path(options.save).is_dir():
        lines.error(f"--save {options.save} is a folder; name a file")


def progress(total: int, unit: str, what: str = "training") -> tqdm:
    """A bar that is redrawn now and then; seldom where nobody watches, so that a log file is not flooded."""
    seconds = 0.2 if sys.stderr.isatty() else 10
    return tqdm(total=total, desc=what, unit=unit, unit_scale=True, mininterval=seconds, maxinterval=seconds)


class Losses:
    """The losses of all training steps as numbers, in `numbers`; `last` is the latest that is known.

    To read a loss is to wait until a GPU has done everything before it, and while it is waited for, nothing is prepared for
    it to do next. So on a GPU losses are read together, every 20 steps.

    >>> losses = Losses()
    >>> losses.add(mg.tensor(0.5)), losses.last, losses.all()
    (None, 0.5, [0.5])
    """

    def __init__(self, numbers: list[float] | None = None) -> None:
        self.numbers = numbers or []
        self._waiting: list[mg.Tensor] = []

    def add(self, loss: mg.Tensor) -> None:
        """Note the loss of a step."""
        self._waiting.append(loss.detach())
        if loss.device.type == "cpu" or len(self._waiting) == 20 or not self.numbers:
            self.all()

    def all(self) -> list[float]:
        """Every loss so far, the last ones included: this waits."""
        if self._waiting:
            self.numbers += mg.stack(self._waiting).tolist()
            self._waiting = []
        return self.numbers

    @property
    def last(self) -> float:
        """The latest loss that is known, NaN before the first."""
        return self.numbers[-1] if self.numbers else math.nan


def pyplot() -> Any | None:
    """matplotlib's pyplot, drawing into files; None with a line that says so where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        print("no plots: matplotlib is not installed (pip install matplotlib)")
        return None
    matplotlib.use("Agg")  # a file, also where there is no screen
    from matplotlib import pyplot as plots

    return plots


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table to print: the first column to the left, numbers to the right.

    >>> print(table(["cell", "error"], [["GRU", "0.12"], ["an RNN", "1.5"]]))
    cell      error
    GRU        0.12
    an RNN      1.5
    """
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        line[0].ljust(widths[0]) + "".join(f"  {text:>{max(width, 7)}}" for text, width in zip(line[1:], widths[1:])) for line in lines
    )
