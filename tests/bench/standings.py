"""The race's results: ratios cell by cell, their geometric means, and whether the marks are met."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import race

Values = Mapping[tuple[str, str], Sequence[float]]  # (cell, library): all values of all rounds
MEAN = {"RNN": 1.3, "GRU": 1.3, "LSTM": 1.0}  # the least geometric mean of PyTorch's time over ours
LEAST = 1.0  # the least ratio of a single cell of an RNN or a GRU
OVER_PRODUCTS = 1.3  # how often its own products' time an LSTM's cell may take
AHEAD = {"jax": 1.0, "autograd": 5.0, "dezero": 5.0}  # the least ratio to other opponents


def minimum(values: Values, cell: str, library: str) -> float | None:
    """The best time; None where it was not measured."""
    found = values.get((cell, library))
    return min(found) if found else None


def ratio(values: Values, cell: str, over: str, under: str = "minigrad", of: str = "minimum") -> float | None:
    """The time of `over` over that of `under`."""
    both = values.get((cell, over)), values.get((cell, under))
    if not both[0] or not both[1]:
        return None
    return statistics.median(both[0]) / statistics.median(both[1]) if of == "median" else min(both[0]) / min(both[1])


def geometric_mean(ratios: Iterable[float | None]) -> float | None:
    """exp of the mean of logarithms; None where a ratio is missing.

    >>> geometric_mean([2.0, 0.5, 8.0])
    2.0
    """
    known = list(ratios)
    if not known or any(each is None for each in known):
        return None
    return round(math.exp(sum(math.log(each) for each in known if each) / len(known)), 12)


@dataclass
class Standing:
    """How one kind stands in one family."""

    family: str
    kind: str
    values: Values

    @property
    def cells(self) -> list[str]:
        """The names of its cells."""
        return [race.cell(self.family, self.kind, shape) for shape in race.SHAPES]

    def ratios(self, over: str = "torch", under: str = "minigrad", of: str = "minimum") -> list[float | None]:
        """Cell by cell, the time of `over` over that of `under`."""
        return [ratio(self.values, cell, over, under, of) for cell in self.cells]

    @property
    def mean(self) -> float | None:
        """The geometric mean of PyTorch's time over ours."""
        return geometric_mean(self.ratios())

    @property
    def mark(self) -> str:
        """What is asked for."""
        cells = f"no cell > {OVER_PRODUCTS}× its products" if self.kind == "LSTM" else f"no cell < {LEAST}"
        return f"mean ≥ {MEAN[self.kind]}, {cells}"

    @property
    def met(self) -> bool | None:
        """Whether the mark is met; None where a cell was not measured."""
        cells = self.ratios("minigrad", "products") if self.kind == "LSTM" else self.ratios()
        if self.mean is None or any(each is None for each in cells):
            return None
        fine = [each <= OVER_PRODUCTS if self.kind == "LSTM" else each >= LEAST for each in cells if each is not None]
        return self.mean >= MEAN[self.kind] and all(fine)


def standings(values: Values) -> list[Standing]:
    """All kinds in all families of which something was measured."""
    every = [Standing(family, kind, values) for family in race.FAMILIES for kind in race.KINDS]
    return [each for each in every if any((cell, "minigrad") in values for cell in each.cells)]
