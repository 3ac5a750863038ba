"""The simple RNN by design b. The equations stand in ../rnn.py, and as they are computed here in steps.cu."""

from __future__ import annotations

from collections.abc import Collection

from minigrad.backend import Array, of

from ..rnn import NAMES, Weights
from ..rows import bias, in_order, state, sums, with_states, without_gaps
from ..steps import Steps
from .launch import functions
from .product import multiplier

__all__ = ["NAMES", "Saved", "backward", "forward"]

ACTIVATIONS = {"tanh": 0, "relu": 1, "sigmoid": 2}  # as steps.cu numbers them


class Saved:
    """The steps and which activation it was: the states themselves are the outputs."""

    def __init__(self, steps: Steps, activation: str) -> None:
        self.steps, self.activation = steps, activation

    arrays: tuple[Array, ...] = ()  # everything that is kept here, for those who count bytes

    def gates(self) -> dict[str, Array]:
        """An RNN has none."""
        return {}


def forward(
    x: Array, steps: Steps, h_0: Array | None, weights: Weights, activation: str, keep: bool
) -> tuple[Array, Array, Saved | None]:  # fmt: skip
    """(y, h_n, saved): the outputs, the last state of each row, and with `keep` what backward needs; shapes as in ../rnn.py.

    Cost: two launches per step; one product with (H, I + H) per row; nothing but the outputs is kept
    """
    (w_ih, w_hh, b_ih, b_hh), xp, H = weights, of(x), weights[1].shape[0]
    launch, kind = functions(xp, x.dtype), ACTIVATIONS[activation]
    y, h, recurrent = x @ w_ih.T, state(xp, h_0, steps.B, H, x.dtype), xp.empty((steps.B, H), x.dtype)
    biases = [bias(xp, each, H, x.dtype) for each in (b_ih, b_hh)]
    launch.require(y, h, *biases)
    multiply = multiplier(xp, h, w_hh.T, recurrent)
    for first, b in in_order(steps):
        multiply(b)
        launch("rnn_forward", b, H, first, kind, y, recurrent, *biases, h)  # (1)
    return y, h, Saved(steps, activation) if keep else None


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, wanted: Collection[str],
) -> dict[str, Array]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y and h_n, either of which may be None; as in ../rnn.py.

    Cost: two launches per step; twice forward's products
    """
    xp, steps, w_hh, H = of(x), saved.steps, weights[1], weights[1].shape[0]
    launch, kind = functions(xp, x.dtype), ACTIVATIONS[saved.activation]
    da, dh, states = xp.empty(y.shape, x.dtype), state(xp, dh_n, steps.B, H, x.dtype), xp.ascontiguousarray(y)
    dys = without_gaps(xp, dy)
    launch.require(da, dh, states, *([] if dy is None else [dys]))
    multiply = multiplier(xp, da, w_hh, dh)
    for first, b in reversed(in_order(steps)):
        launch("rnn_backward", b, H, first, kind, da, states, dh, dys)  # (1')
        multiply(b, first)
    found = sums(xp, wanted, x, da, da, lambda: with_states(xp, steps, da, y, h_0))
    found |= {"x": da @ weights[0]} if "x" in wanted else {}
    return found | ({"h_0": dh} if "h_0" in wanted else {})
