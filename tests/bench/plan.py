"""What is measured together, by whom, and what becomes of it in the last table."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cells
import moves
import race
import report

BOTH = ("minigrad", "torch")


@dataclass(frozen=True)
class Group:
    """Cells that share a process, and the libraries that take turns at them."""

    cells: tuple[str, ...]
    libraries: tuple[str, ...] = BOTH
    once: bool = False  # in the first round only: values that hardly vary, or that take long

    def only(self, word: str) -> Group:
        """The same with those cells alone whose names contain a word."""
        return Group(tuple(cell for cell in self.cells if word in cell), self.libraries, self.once)


def groups(opponents: Sequence[str] = (), plain: bool | None = None) -> list[Group]:
    """Everything, in order. `plain` adds minigrad without Numba to the training step; by default, where Numba is installed."""
    plain = importlib.util.find_spec("numba") is not None if plain is None else plain
    return [
        *(Group((name,)) for name in ("chain_constant", "chain_number", "chain_leaf", "lstm_loop", "lstm_memory", "char_lm")),
        *(Group((name,), ("minigrad",)) for name in ("backward_1000", "backward_100000", "import")),
        *_race(plain),
        *_against(opponents),
        Group(tuple(f"part_{part}" for part in cells.PARTS)),
        *(Group((race.cell("memory", kind, race.LONG),), once=True) for kind in race.KINDS),
        *(Group(tuple(race.cell("length", kind, (T, *race.GROWING)) for T in race.LENGTHS), once=True) for kind in race.KINDS),
        *(Group((race.cell("growth", "LSTM", (T, *race.GROWING)),), once=True) for T in race.LENGTHS),
        Group((*moves.VARIANTS, *(moves.WITH_NUMBA if plain else ())), ("moves",), once=True),
    ]


def _against(opponents: Sequence[str]) -> list[Group]:
    """Compiled opponents at every training step, those that loop in Python at the first shape."""
    return [
        Group((race.cell("train", kind, shape),), (library,))
        for library in opponents
        for kind in race.KINDS
        for shape in (race.SHAPES if library == "jax" else race.SHAPES[:1])
    ]


def _race(plain: bool) -> list[Group]:
    both = (*BOTH, "products")
    return [
        Group(tuple(race.cell(family, kind, shape) for shape in race.SHAPES), (*both, "plain") if plain and family == "train" else both)
        for family in race.FAMILIES
        for kind in race.KINDS
    ]


def rows_of(values: Mapping[tuple[str, str], Sequence[float]]) -> list[report.Row]:
    """The last table's rows, those without values included."""
    chain = "2 000 alternating multiplications and additions of 4 float32 elements, forward + backward, µs per operation; "
    long = " × ".join(map(str, race.LONG))
    pairs = [
        ("chain, a constant", chain + "`a` is a constant tensor", "chain_constant", _micro, "no slower", 1.0),
        ("chain, a number", chain + "`a` is a Python number", "chain_number", _micro, "no slower", 1.0),
        ("chain, a leaf", chain + "`a` wants a gradient too", "chain_leaf", _micro, "no slower", 1.0),
        ("LSTMCell loop", LOOP, "lstm_loop", _milli, "no slower", 1.0),
        ("LSTMCell memory", MEMORY, "lstm_memory", _mega, "≤ 1.1× PyTorch's", 1 / 1.1),
        ("char LM", CHAR, "char_lm", _rate, "no slower", 1.0),
        *((f"{kind} memory", f"growth of the peak of memory by a training step of nn.{kind}, (T, B, I, H) = {long}, fresh processes",
           race.cell("memory", kind, race.LONG), _mega, "≤ PyTorch's", 1.0) for kind in race.KINDS),
    ]  # fmt: skip
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


def _over(values: Mapping[tuple[str, str], Sequence[float]], cell: str) -> list[float] | None:
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
