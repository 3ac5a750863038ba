"""What the three cells share: the arguments of a loop, and how a call of one is given to all cores.

What they share with design b on a GPU stands in ../rows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from minigrad.backend import Array

from ..steps import Steps
from . import cores
from .usable import loops

__all__ = ["Places", "Saved", "biases", "fit", "in_panels", "places", "plain"]

ROWS_OF_A_GROUP = 64  # many for each fetch of W_ih, and few enough to be in the cache still when their step comes


class Places(NamedTuple):
    """The rows of each step, the steps of each group, as loops.py describes them, and who computes which rows of the batch."""

    starts: Array  # (T + 1,)
    groups: Array  # (number of groups + 1,)
    shares: list[tuple[int, int]]

    def run(self, loop: Callable[..., None], *given: Any, flags: tuple[bool, ...]) -> None:
        """Call a loop for each share of the batch, all at the same time."""
        cores.together(lambda low, high: loop(*given, self.starts, self.groups, low, high, *flags), self.shares)


def fit(x: Array, steps: Steps, weights: Sequence[Array | None], gates: int) -> None:
    """RuntimeError where these are not the arrays of a layer: loops go by addresses, and would read what belongs to others."""
    I, H = x.shape[-1], weights[1].shape[-1]  # type: ignore[union-attr]
    F, given = gates * H, dict(zip(("x", "w_ih", "w_hh", "b_ih", "b_hh"), (x, *weights)))
    for (name, each), shape in zip(given.items(), ((steps.N, I), (F, I), (F, H), (F,), (F,))):
        if each is not None and (each.shape != shape or each.dtype != np.float32):
            got = ", ".join(f"{name} {each.dtype} {each.shape}" for name, each in given.items() if each is not None)
            raise RuntimeError(f"{name} must be float32 of shape {shape} for I={I} and H={H}; got {got}. Set weights of the layer's shapes")


def in_panels(w: Array, columns: bool = False) -> Array:
    """W in panels (⌈F / PANEL⌉, K, PANEL): W (F, K) for products rows @ Wᵀ, or with `columns` W (K, F) for rows @ W."""
    K, F = w.shape if columns else w.shape[::-1]
    panels = np.empty((-(-F // loops().PANEL), K, loops().PANEL), np.float32)
    loops().write_panels(np.ascontiguousarray(w), panels, columns)
    return panels


def places(steps: Steps, multiplications: int) -> Places:
    """For a layer that takes so many multiplications for each row of a step."""
    starts = list(accumulate(steps.sizes, initial=0))
    return Places(np.array(starts), np.array(_groups(starts)), cores.shares(steps, multiplications))


def _groups(starts: list[int]) -> list[int]:
    """Where groups of neighbouring steps begin: as many steps as ROWS_OF_A_GROUP have room for, but at least one."""
    groups = [0]
    for step in range(1, len(starts) - 1):
        if starts[step + 1] - starts[groups[-1]] > ROWS_OF_A_GROUP:
            groups.append(step)
    return [*groups, len(starts) - 1]


class Saved:
    """What a forward pass keeps for backward passes. Nobody changes it."""

    GATES = ""

    def __init__(self, steps: Steps, places: Places, kept: Array) -> None:
        self.steps, self.places, self.kept = steps, places, kept

    @property
    def arrays(self) -> list[Array]:
        """Everything that is kept here, for those who count bytes."""
        return [self.kept]

    def gates(self) -> dict[str, Array]:
        """The gates at every step, (N, H) each, by name."""
        return {name: self.kept[:, k].copy() for k, name in enumerate(self.GATES)}


def plain(array: Array | None, features: int) -> Array:
    """Rows (N, features) as loops take them: without gaps, in memory that may be written to; no rows for None."""
    return np.empty((0, features), np.float32) if array is None else np.require(array, np.float32, ("C", "W"))


def biases(size: int, *given: Array | None) -> Array:
    """The sum of biases (size,), of which any may be None."""
    return sum((each for each in given if each is not None), np.zeros(size, np.float32))
