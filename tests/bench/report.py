"""Rows of measurements as a table, and the page docs/performance.md made of them."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HEAD = ("", "minigrad", "PyTorch", "ratio", "of medians", "mark", "")

INTRODUCTION = """\
# Performance

Written by `./run bench --write`; do not edit by hand.

{facts}

Every measurement is a process of its own; minigrad's and PyTorch's run in turn, {rounds} rounds, and each repeats its work for
about {seconds:g} s. Figures are minimum / median over all rounds. The ratio is PyTorch's figure over ours (above 1: minigrad is
faster or smaller; for characters per second likewise), of minima and then of medians. Marks look at the minima: they are
what the machine can do, the medians show how busy it was.

{table}

## What the rows mean

{meanings}
"""


@dataclass
class Row:
    """One line of the table. `ours` and `theirs` are values of which smaller is better; None: not measured."""

    title: str
    meaning: str
    show: Callable[[float], str]
    ours: Sequence[float] | None
    theirs: Sequence[float] | None = None
    mark: str = ""
    least: float | None = None  # the mark as a ratio
    most: float | None = None  # or as our own value

    @property
    def ratio(self) -> float | None:
        """PyTorch's minimum over ours."""
        return min(self.theirs) / min(self.ours) if self.ours and self.theirs else None

    @property
    def met(self) -> bool | None:
        """Whether the mark is met; None where there is none or it could not be seen."""
        if self.most is not None:
            return min(self.ours) <= self.most if self.ours else None
        return None if self.least is None or self.ratio is None else self.ratio >= self.least

    def cells(self) -> list[str]:
        """The line's texts, one per column."""
        medians = statistics.median(self.theirs) / statistics.median(self.ours) if self.ours and self.theirs else None
        verdict = {True: "met", False: "NOT MET", None: "not measured" if self.mark else ""}[self.met]
        return [self.title, self._figures(self.ours), self._figures(self.theirs), _times(self.ratio), _times(medians), self.mark, verdict]

    def _figures(self, values: Sequence[float] | None) -> str:
        return f"{self.show(min(values))} / {self.show(statistics.median(values))}" if values else "–"


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that can also be read in a terminal."""
    lines = [list(HEAD), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    printed = ["| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines]
    return "\n".join([printed[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *printed[1:]])


def page(rows: Sequence[Row], facts: dict[str, str], rounds: int, seconds: float) -> str:
    """The whole of docs/performance.md."""
    return INTRODUCTION.format(
        facts="\n".join(f"- {name}: {value}" for name, value in facts.items()),
        rounds=rounds,
        seconds=seconds,
        table=table(rows),
        meanings="\n".join(f"- **{row.title}**: {row.meaning}" for row in rows),
    )


def write(path: Path, text: str) -> None:
    """Put `text` at `path` at once: a reader sees the old page or the new one, never half of one."""
    path.parent.mkdir(exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
