"""Measurements as tables and prose: what is printed, and the page docs/performance.md."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cells
import race
from standings import AHEAD, Standing, Values, minimum, ratio, standings

HEAD = ("", "minigrad", "PyTorch", "ratio", "of medians", "mark", "")

INTRODUCTION = """\
# Performance

Written by `./run bench --write`; do not edit by hand.

{facts}

Measurements run in processes of their own; minigrad's and PyTorch's take turns, {rounds} rounds, and each repeats its work for
about {seconds:g} s. A ratio is PyTorch's figure over ours (above 1: minigrad is faster or smaller). Ratios and marks look at the
minima over all rounds: they are what the machine can do; the medians, which stand beside them, show how busy it was.
"""

RACE = """\
## The race: whole layers

float32, the fused path. A cell's text is PyTorch's time over ours, that ratio of medians in brackets, then ours as a multiple of our own
matrix products alone. Those products, noted while the kernel runs on all rows at once and then repeated with nothing between them, by
NumPy on all cores, are a floor for a kernel that multiplies with NumPy: what lies above 1 is everything else it does. Compiled loops
multiply faster (below), so their cells can fall under it.
"""

REASONS = """\
## Where PyTorch is ahead, and why

PyTorch's LSTM runs in oneDNN, which is written for each processor, and brings W_hh into the order its products want once for the
whole sequence. Since compiled loops do the same, what is left between the two is small, and goes either way with the machine:
see the medians beside the minima.

**One row (B = 1), as a multiple of the products.** A whole layer is then a fraction of a millisecond of work, and what surrounds
a kernel (checks, the tape, weights brought into order) is a tenth of one, whatever the sizes.

**One row of a very large layer** (more than a million recurrent weights) is left to NumPy: there the time goes into fetching weights
from slow memory, which two cores do faster than one.

## Why Numba is optional, and why it is there

With NumPy alone every operation between two products is a call and a pass over memory, about twenty for a step of an LSTM forward and
backward, and each product brings its weights into order again: see the column *without Numba*. Numba compiles
`minigrad_nn/kernels/compiled/`, which states the same equations for one number at a time, in loops over rows and steps, and one further
thing: a product of a few rows with weights that are in order already (`tiles.py`). It is the only file that speaks of vectors and
registers, and it was weighed for long whether it should be there: a reader of an LSTM has no need of it. But without it the products
alone took as long as all of PyTorch's forward pass, and it is about two hundred lines with a picture, so it stands in a
file of its own, and a test holds it against NumPy.

It is used where Numba is installed (`pip install "minigrad-nn[fast]"`), in float32 on a CPU with
AVX2 and FMA or AVX-512 (on ARM it is written, not run); tests hold both ways to the same numbers, and
`nn.path("fused", kernel="arrays")`, `minigrad_nn.kernels.compiled.choice.wanted = False` or `NUMBA_DISABLE_JIT=1` turn it off. It is
not required, because everything runs without it, because it is larger than the framework and its other dependencies, and because
the first start compiles for some ten seconds. Not taken: C of our own, which needs a compiler on every reader's machine, and a second
library of products beside NumPy's.

**One core, one share of the batch.** Compiled loops let other threads of Python work meanwhile. So where every core gets three rows or
more, each goes through the whole sequence with rows of its own (`cores.py`). A library of products divides every single product
among cores instead: then all cores wait for the last one twice a step, what stands between two products is done by one of
them, and it needs numbers which the others have in their caches. How far cores are from each other differs from machine to
machine; on the virtual one this was written on it changes within seconds.
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
        verdict = word(self.met) if self.mark else ""
        return [self.title, self._figures(self.ours), self._figures(self.theirs), times(self.ratio), times(medians), self.mark, verdict]

    def _figures(self, values: Sequence[float] | None) -> str:
        return f"{self.show(min(values))} / {self.show(statistics.median(values))}" if values else "–"


def word(met: bool | None) -> str:
    """Whether a mark is met, in words."""
    return {True: "met", False: "NOT MET", None: "not measured"}[met]


def times(ratio: float | None) -> str:
    """A ratio to print."""
    return "–" if ratio is None else f"{ratio:.2f}"


def milli(seconds: float | None) -> str:
    """A time to print."""
    return "–" if seconds is None else f"{seconds * 1e3:.3g} ms"


def grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table that can also be read in a terminal."""
    every = [head, *lines]
    widths = [max(len(line[column]) for line in every) for column in range(len(head))]
    printed = ["| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in every]
    return "\n".join([printed[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *printed[1:]])


def table(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    return grid(HEAD, [row.cells() for row in rows])


# ------------------------------------------------------------------------------------------------------------ the race


def race_tables(values: Values) -> str:
    """The standings, family by family, and below each what was timed."""
    found = standings(values)
    head = ("", *(" ".join(map(str, shape)) for shape in race.SHAPES), "mean", "mark", "")
    parts = []
    for family, meaning in race.FAMILIES.items():
        lines = [_standing(each) for each in found if each.family == family]
        if lines:
            parts.append(f"**{family}**: {meaning}; T B I H:\n\n{grid(head, lines)}")
    return "\n\n".join(parts)


def _standing(each: Standing) -> list[str]:
    figures = zip(each.ratios(), each.ratios(of="median"), each.ratios("minigrad", "products"), strict=True)
    return [each.kind, *(f"{times(a)} ({times(b)}), {times(c)}×" for a, b, c in figures), times(each.mean), each.mark, word(each.met)]


def race_times(values: Values) -> str:
    """The times behind the ratios."""
    libraries = [each for each in ("minigrad", "plain", "products", "torch") if any(library == each for _, library in values)]
    names = {"plain": "without Numba", "products": "products", "torch": "PyTorch"}
    lines = [
        [cell, *(milli(minimum(values, cell, library)) for library in libraries)]
        for each in standings(values)
        for cell in each.cells
        if (cell, "minigrad") in values
    ]
    return grid(("cell", *(names.get(each, each) for each in libraries)), lines)


def opponents_table(values: Values) -> str:
    """Other opponents on the training step; empty where none was measured."""
    lines = []
    for (cell, library), seconds in values.items():
        if library in AHEAD:
            found = ratio(values, cell, library)
            met = None if found is None else found >= AHEAD[library]
            lines.append([cell, library, milli(min(seconds)), times(found), f"≥ {AHEAD[library]:g}", word(met)])
    return grid(("cell", "opponent", "its time", "over ours", "mark", ""), lines) if lines else ""


# ------------------------------------------------------------------------------------------------- parts, and growth with T


def parts_table(values: Values) -> str:
    """The character model's parts."""
    names = [f"part_{part}" for part in cells.PARTS]
    lines = [
        [name[5:].replace("_", "-"), *(milli(minimum(values, name, library)) for library in ("minigrad", "torch")),
         times(ratio(values, name, "torch"))]
        for name in names if (name, "minigrad") in values
    ]  # fmt: skip
    return grid(("part", "minigrad", "PyTorch", "ratio"), lines) if lines else ""


def growth_table(values: Values) -> str:
    """Time and memory by T, and what the longest takes per step over what the shortest takes."""
    lines = []
    for family, kinds, show in (("length", race.KINDS, milli), ("growth", ("LSTM",), _mega)):
        for kind in kinds:
            for library in ("minigrad", "torch"):
                found = [minimum(values, race.cell(family, kind, (T, *race.GROWING)), library) for T in race.LENGTHS]
                if found[0] and found[-1]:
                    per_step = found[-1] / found[0] / (race.LENGTHS[-1] / race.LENGTHS[0])
                    name = f"{'time' if family == 'length' else 'memory'}, {kind}, {'PyTorch' if library == 'torch' else library}"
                    lines.append([name, *(show(each) for each in found), times(per_step)])
    return grid(("", *(f"T = {T}" for T in race.LENGTHS), "growth / growth of T"), lines) if lines else ""


def _mega(size: float | None) -> str:
    return "–" if size is None else f"{size / 1e6:.0f} MB"


# ------------------------------------------------------------------------------------------------------------ the page


def sections(rows: Sequence[Row], values: Values, moves: str = "") -> list[tuple[str, str]]:
    """(heading with its prose, table) of everything that was measured."""
    B, I, H = race.GROWING
    every = [
        (RACE, race_tables(values)),
        ("### The times behind it\n", race_times(values) if standings(values) else ""),
        ("## Other opponents\n\nThe same equations written with other libraries (tests/bench/opponents.py), training step.\n",
         opponents_table(values)),
        ("## The character model, part by part\n\nEach part alone, forward and backward; its characters per second stand in the last "
         "table.\n", parts_table(values)),
        (f"## Growth with T\n\nA training step, (B, I, H) = ({B}, {I}, {H}); the last column is 1 where growth is linear.\n",
         growth_table(values)),
        ("## What the kernels' moves are worth\n", moves),
        ("## Everything else\n", table(rows) if rows else ""),
    ]  # fmt: skip
    return [(heading, text) for heading, text in every if text]


def page(
    rows: Sequence[Row], values: Values, facts: dict[str, str], rounds: int, seconds: float, moves: str = "",
    pictures: Sequence[tuple[str, str]] = (),
) -> str:  # fmt: skip
    """The whole of docs/performance.md; `pictures` are (file name, what it shows)."""
    head = INTRODUCTION.format(facts="\n".join(f"- {name}: {value}" for name, value in facts.items()), rounds=rounds, seconds=seconds)
    shown = "\n\n".join(f"![{text}]({name})" for name, text in pictures)
    meanings = "\n".join(f"- **{row.title}**: {row.meaning}" for row in rows)
    tables = [f"{heading}\n{text}" for heading, text in sections(rows, values, moves)]
    return "\n\n".join(filter(None, [head.rstrip(), shown, *tables, meanings, REASONS.rstrip()])) + "\n"


def write(path: Path, text: str) -> None:
    """Put `text` at `path` at once: a reader sees the old page or the new one, never half of one."""
    path.parent.mkdir(exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
