"""Norms of gradients on a log scale: ten colours and widths from the smallest to the largest, and three special cases."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from .model import Scene

__all__ = ["Scale", "norms_of", "scale_of"]

_COLOURS = 10


class Scale(NamedTuple):
    """From the smallest norm that is not zero to the largest finite one."""

    low: float
    high: float

    def position(self, norm: float) -> float:
        """0 for the smallest, 1 for the largest, in between by logarithms."""
        span = math.log10(self.high) - math.log10(self.low)
        return 0.5 if span <= 0 else min(max((math.log10(norm) - math.log10(self.low)) / span, 0.0), 1.0)

    def colour(self, norm: float | None) -> str:
        """Which of the colours, "0" to "9"; nan, inf and nil are marked; "" where nothing was measured."""
        if norm is None:
            return ""
        if math.isnan(norm):
            return "nan"
        if math.isinf(norm):
            return "inf"
        return "nil" if norm == 0 else str(min(int(self.position(norm) * _COLOURS), _COLOURS - 1))

    def width(self, norm: float) -> float:
        """How wide a wire is drawn."""
        if not math.isfinite(norm):
            return 6.0
        return 1.2 if norm == 0 else 1.2 + 5.8 * self.position(norm)


def norms_of(scene: Scene) -> Iterable[float]:
    """Every norm that a picture of the scene may show."""
    for group in ((edge.norm for edge in scene.edges), (share.norm for share in scene.shares)):
        yield from (norm for norm in group if norm is not None)


def scale_of(norms: Iterable[float]) -> Scale | None:
    """The scale on which all of these can be shown; None where there is nothing to show.

    >>> scale_of([0.0, 1e-6, 2.0, float("nan")])
    Scale(low=1e-06, high=2.0)
    """
    norms = list(norms)
    usual = [norm for norm in norms if norm > 0 and math.isfinite(norm)]
    return Scale(min(usual), max(usual)) if usual else Scale(1.0, 1.0) if norms else None
