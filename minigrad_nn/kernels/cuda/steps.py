"""What the drivers of all kernels have in common: the table of steps, products before and after, and what was saved."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import accumulate
from typing import Any

import numpy as np

from minigrad.backend import Array, of

from ..rows import sums, with_states
from ..steps import Steps
from .beside import join
from .launch import Kernel, launch

__all__ = ["Saved", "ahead", "back", "contiguous", "entered", "gradients", "offsets_of", "path", "projected"]

NUMBERS = 1000  # that travel with a launch, whose arguments may have 4 KB
TABLE = Kernel("steps.cu", "write_table", (("NUMBERS", NUMBERS),), threads=256)


class Saved:
    """What a forward pass keeps for backward passes: arrays (N, …) by name. Nobody changes them."""

    def __init__(self, steps: Steps, hidden_size: int, offsets: Array | None, **kept: Array) -> None:
        self.steps, self.hidden_size, self.offsets, self.kept = steps, hidden_size, offsets, kept

    @property
    def arrays(self) -> list[Array]:
        """Everything that is kept here, for those who count bytes."""
        return list(self.kept.values())

    def gates(self) -> dict[str, Array]:
        """The gates at every step, (N, H) each, by name; a cell without gates has none."""
        return {}

    def gate(self, k: int) -> Array:
        """Gate number k at every step, (N, H)."""
        return self.kept["gates"][:, k * self.hidden_size : (k + 1) * self.hidden_size].copy()


def offsets_of(xp: Any, steps: Steps) -> Array | None:
    """The row where each step begins, (T + 1,), on the device, without a copy from the host; None where all steps are alike."""
    if steps.uniform:
        return None
    table, numbers = xp.empty(steps.T + 1, np.int32), [0, *accumulate(steps.sizes)]
    for first in range(0, len(numbers), NUMBERS):
        part = numbers[first : first + NUMBERS]
        brought = np.zeros((), [("value", np.int32, (NUMBERS,))])
        brought["value"][: len(part)] = part
        launch(xp, TABLE, 1, table, np.int32(first), np.int32(len(part)), brought)
    return table


def path(steps: Steps, offsets: Array | None) -> tuple[Any, ...]:
    """The arguments by which a block finds its rows: offsets, T, B, reverse."""
    return offsets, np.int32(steps.T), np.int32(steps.B), np.int32(steps.reverse)


def contiguous(array: Array | None) -> Array | None:
    """`array`, copied if its numbers are not neighbours in memory."""
    return None if array is None else of(array).ascontiguousarray(array)


def entered(xp: Any, wanted: Collection[str], steps: Steps, H: int, dtype: Any) -> Array | None:
    """Room (N, H) for the state that entered each row, where the gradient of W_hh needs it: of padded sequences it is in y."""
    return xp.empty((steps.N, H), dtype) if "w_hh" in wanted and not steps.uniform else None


def ahead(xp: Any, kernel: Kernel, steps: Steps, *arguments: Any) -> None:
    """Launch a way through all steps; of a layer's two directions the first beside the second."""
    launch(xp, kernel, steps.B, *arguments, aside=steps.paired and not steps.reverse)
    if steps.paired and steps.reverse:
        join(xp)  # what comes after the second may read the results of both


def back(xp: Any, kernel: Kernel, steps: Steps, *arguments: Any) -> bool:
    """Launch a way back, on which the reverse direction comes first; returns whether it went beside, and needs a join."""
    return launch(xp, kernel, steps.B, *arguments, aside=steps.paired and steps.reverse)


def projected(x: Array, w_ih: Array) -> Array:
    """x @ W_ihᵀ for all steps, (N, G·H), with numbers that are neighbours."""
    xp = of(x)
    return xp.matmul(x, w_ih.T, out=xp.empty((x.shape[0], w_ih.shape[0]), x.dtype))


def gradients(
    wanted: Collection[str], steps: Steps, x: Array, y: Array, h_0: Array | None, w_ih: Array, da_x: Array, da_h: Array,
    h_before: Array | None, states: dict[str, Array], later: bool,
) -> dict[str, Array] | Callable[[], dict[str, Array]]:  # fmt: skip
    """The gradients named in `wanted`: those of states as they are, the others as products over all rows at once.

    With the gradients of W_ih x + b_ih as rows da_x (N, G·H), those of W_hh h + b_hh as da_h, and see `sums` in ../rows.py:

        dx = da_x @ W_ih

    With `later`, for gradients that are still being computed beside, it is a function that joins and then gives them.
    """
    xp = of(x)

    def work_out() -> dict[str, Array]:
        if later:
            join(xp)
        dw_hh = lambda: with_states(xp, steps, da_h, y, h_0) if h_before is None else da_h.T @ h_before
        found = {"x": da_x @ w_ih} if "x" in wanted else {}
        return found | sums(xp, wanted, x, da_x, da_h, dw_hh) | {name: states[name] for name in wanted if name in states}

    return work_out if later else work_out()
