"""The GRU by design b, in both forms. The equations stand in ../gru.py, and as they are computed here in steps.cu."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from minigrad.backend import Array, of

from ..gru import NAMES, Weights
from ..rows import bias, in_order, state, sums, with_states, without_gaps
from ..steps import Steps
from .launch import Functions, functions
from .product import multiplier

__all__ = ["NAMES", "Saved", "backward", "forward"]


class Saved:
    """r, z, n of all steps (N, 3H), s and d = h - n of (4) (N, H) each, and where the reset gate acted.

    s is what r multiplies in (3), W_hn h + b_hn, but the product r ⊙ h itself in (3b).
    """

    def __init__(self, steps: Steps, rzn: Array, s: Array, d: Array, reset_after: bool) -> None:
        self.steps, self.rzn, self.s, self.d, self.reset_after = steps, rzn, s, d, reset_after

    @property
    def arrays(self) -> list[Array]:
        """Everything that is kept here, for those who count bytes."""
        return [self.rzn, self.s, self.d]

    def gates(self) -> dict[str, Array]:
        """r, z and n at every step, (N, H) each."""
        H = self.s.shape[1]
        return {name: self.rzn[:, k * H : (k + 1) * H].copy() for k, name in enumerate("rzn")}


# ------------------------------------------------------------------------------------------------------------- forward


def forward(
    x: Array, steps: Steps, h_0: Array | None, weights: Weights, keep: bool, reset_after: bool = True
) -> tuple[Array, Array, Saved | None]:
    """(y, h_n, saved): the outputs, the last state of each row, and with `keep` what backward needs; shapes as in ../gru.py.

    Cost: two launches per step, four in the form (3b); one product with (3H, I + H) per row; 5H numbers per row are kept
    """
    (w_ih, w_hh, b_ih, b_hh), xp, H, dtype = weights, of(x), weights[1].shape[1], x.dtype
    launch, biases = functions(xp, dtype), [bias(xp, each, 3 * H, dtype) for each in (b_ih, b_hh)]
    rzn, h = x @ w_ih.T, state(xp, h_0, steps.B, H, dtype)
    s, d, y = (xp.empty((steps.N, H), dtype) for _ in range(3))
    launch.require(rzn, h, *biases)
    saved = Saved(steps, rzn, s, d, reset_after)
    advance = _advance if reset_after else _advance_reset_before
    advance(xp, launch, saved, w_hh, biases, h, y)
    return y, h, saved if keep else None


def _advance(xp: Any, launch: Functions, saved: Saved, w_hh: Array, biases: list[Array], h: Array, y: Array) -> None:
    """All steps by (3): fill `saved` and y, and carry h on in place."""
    B, H = h.shape
    recurrent = xp.empty((B, 3 * H), h.dtype)
    multiply = multiplier(xp, h, w_hh.T, recurrent)
    for first, b in in_order(saved.steps):
        multiply(b)
        launch("gru_forward", b, H, first, saved.rzn, recurrent, *biases, saved.s, saved.d, h, y)  # (1) to (4)


def _advance_reset_before(xp: Any, launch: Functions, saved: Saved, w_hh: Array, biases: list[Array], h: Array, y: Array) -> None:
    """The same by (3b)."""
    (B, H), s = h.shape, saved.s
    recurrent, last = xp.empty((B, 2 * H), h.dtype), xp.empty((B, H), h.dtype)
    multiply_rz, multiply_n = multiplier(xp, h, w_hh[: 2 * H].T, recurrent), multiplier(xp, s, w_hh[2 * H :].T, last)
    for first, b in in_order(saved.steps):
        multiply_rz(b)
        launch("gru_before_forward_1", b, H, first, saved.rzn, recurrent, *biases, s, h)  # (1), (2)
        multiply_n(b, first)
        launch("gru_before_forward_2", b, H, first, saved.rzn, last, *biases, saved.d, h, y)  # (3b), (4)


# ------------------------------------------------------------------------------------------------------------ backward


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, wanted: Collection[str],
) -> dict[str, Array]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y and h_n, either of which may be None; as in ../gru.py.

    Cost: two launches per step, four in the form (3b); twice forward's products
    """
    (w_ih, w_hh, _, _), xp, steps, H = weights, of(x), saved.steps, weights[1].shape[1]
    dh, direct = state(xp, dh_n, steps.B, H, x.dtype), xp.zeros((steps.B, H), x.dtype)
    dys, of_input = without_gaps(xp, dy), xp.empty(saved.rzn.shape, x.dtype)
    of_state = xp.empty_like(of_input) if saved.reset_after else of_input
    launch = functions(xp, x.dtype)
    launch.require(dh, saved.rzn, *([] if dy is None else [dys]))
    retreat = _retreat if saved.reset_after else _retreat_reset_before
    retreat(xp, launch, saved, w_hh, of_input, of_state, dh, direct, dys)
    found = sums(xp, wanted, x, of_input, of_state, lambda: with_states(xp, steps, of_state, y, h_0))
    found |= {"x": of_input @ w_ih} if "x" in wanted else {}
    if "w_hh" in wanted and not saved.reset_after:  # there the rows of n were multiplied with r ⊙ h instead
        xp.matmul(of_state[:, 2 * H :].T, saved.s, out=found["w_hh"][2 * H :])
    return found | ({"h_0": dh + direct} if "h_0" in wanted else {})


def _retreat(
    xp: Any, launch: Functions, saved: Saved, w_hh: Array, of_input: Array, of_state: Array, dh: Array, direct: Array, dys: Any
) -> None:
    """All steps by (3): fill the gradients of the pre-activations, and carry dh on in two parts."""
    multiply = multiplier(xp, of_state, w_hh, dh)
    for first, b in reversed(in_order(saved.steps)):
        launch("gru_backward", b, dh.shape[1], first, of_input, of_state, saved.rzn, saved.s, saved.d, dh, direct, dys)  # (1') to (4')
        multiply(b, first)


def _retreat_reset_before(
    xp: Any, launch: Functions, saved: Saved, w_hh: Array, da: Array, _: Array, dh: Array, direct: Array, dys: Any
) -> None:
    """All steps by (3b)."""
    B, H = dh.shape
    pair, dn, ds = xp.empty((B, 2 * H), dh.dtype), xp.empty((B, H), dh.dtype), xp.empty((B, H), dh.dtype)
    multiply_rz, multiply_n = multiplier(xp, pair, w_hh[: 2 * H], dh), multiplier(xp, dn, w_hh[2 * H :], ds)
    for first, b in reversed(in_order(saved.steps)):
        launch("gru_before_backward_1", b, H, first, da, pair, dn, saved.rzn, saved.d, dh, direct, dys)  # (2') to (4')
        multiply_n(b)
        launch("gru_before_backward_2", b, H, first, da, pair, saved.rzn, saved.s, ds, direct)  # (1')
        multiply_rz(b)
