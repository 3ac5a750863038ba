"""Gradients that are products over many steps: those of the input, the weights and the biases.

The kernels beside this file collect them here, panel by panel; the others take one product for the whole sequence.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from minigrad.backend import Array, of

from .steps import Run, Steps, previous, rows_of

__all__ = ["Gradients", "Total"]


class Total:
    """A sum of products of matrices: Σ left @ right over panels."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.value: Array = None

    def add(self, left: Array, right: Array) -> None:
        """total += left @ right"""
        product = left @ right
        if self.value is None:
            self.value = product
        else:
            self.value += product


class Gradients:
    """What a backward pass gives back: only what is named in `wanted` is computed.

    With the gradients of all pre-activations of a panel as columns, da (G·H, W), and the rows x (W, I) and h (W, R) that entered:

        dx = daᵀ @ W_ih        dW_ih = da @ x        dW_hh = da @ h        db = da @ 1
    """

    def __init__(self, wanted: Collection[str], steps: Steps, x: Array, y: Array, h_0: Array | None, w_ih: Array, w_hh: Array) -> None:
        self.wanted, self.steps, self.x, self.y, self.h_0, self.w_ih = wanted, steps, x, y, h_0, w_ih
        self.xp: Any = of(x)
        self.dx = self.room("x", x.shape)
        self.dh_0 = self.room("h_0", (steps.B, w_hh.shape[1]))
        self.dc_0 = self.room("c_0", (steps.B, w_hh.shape[0] // 4))
        self.totals = {name: Total(name in wanted) for name in ("w_ih", "w_hh", "b_ih", "b_hh", "w_hr")}
        self.of_products = "x" in wanted or any(total.wanted for total in self.totals.values())

    def room(self, name: str, shape: tuple[int, ...]) -> Array | None:
        """Room for a result, if somebody wants it."""
        return self.xp.empty(shape, self.x.dtype) if name in self.wanted else None

    def add_input(self, panel: list[Run], da: Array) -> None:
        """The part of a panel in dx, dW_ih and db_ih, from the gradients (G·H, W) of what W_ih x + b_ih is added to."""
        here = rows_of(panel)
        if self.dx is not None:
            self.xp.matmul(da.T, self.w_ih, out=self.dx[here])
        if self.totals["w_ih"].wanted:
            self.totals["w_ih"].add(da, self.x[here])
        self.add_bias("b_ih", da)

    def add_recurrent(self, panel: list[Run], da: Array) -> None:
        """The part of a panel in dW_hh and db_hh, from the gradients (G·H, W) of what W_hh h + b_hh is added to."""
        if self.totals["w_hh"].wanted:
            self.totals["w_hh"].add(da, previous(self.steps, panel, self.y, self.h_0))
        self.add_bias("b_hh", da)

    def add_bias(self, name: str, da: Array) -> None:
        """db += da @ 1"""
        if self.totals[name].wanted:
            self.totals[name].add(da, self.xp.ones(da.shape[1], da.dtype))

    def results(self) -> dict[str, Array]:
        """Everything wanted, by name."""
        found = {"x": self.dx, "h_0": self.dh_0, "c_0": self.dc_0} | {name: total.value for name, total in self.totals.items()}
        return {name: found[name] for name in self.wanted}
