"""The simple RNN for all steps. It computes what `rnn_step` in cells.py computes: read that first.

It has one equation, (1) h = tanh(W_ih x + b_ih + W_hh h + b_hh), or another activation; a prime marks its derivative. Where the
cell writes rows (B, H), a step here is (H, b), the batch last (see steps.py). The moves that make it fast:

    (a) input projections W_ih x + b_ih + b_hh are computed for many steps in one call, before the loop over them
    (b) states overwrite their pre-activations, and are all that is kept
    (c) the slope of the activation follows from its value, for a run at once; the loop only multiplies
    (d) gradients of weights, biases and inputs are products over many steps, after the loop over them
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from minigrad.backend import Array, of

from .gradients import Gradients
from .steps import Saved as Kept
from .steps import State, Steps, columns, project, to_blocks, to_columns, to_rows

__all__ = ["ACTIVATIONS", "NAMES", "Saved", "backward", "forward"]

NAMES = ("x", "h_0", "w_ih", "w_hh", "b_ih", "b_hh")  # what there are gradients of

Weights = tuple[Array, Array, Array | None, Array | None]


def _sigmoid(xp: Any, a: Array) -> None:
    a *= 0.5  # σ(a) = ½ tanh(½a) + ½
    xp.tanh(a, out=a)
    a *= 0.5
    a += 0.5


# The value in place of the pre-activation, and the slope as an expression of the value.
ACTIVATIONS: dict[str, tuple[Callable[[Any, Array], Any], Callable[[Any, Array], Array]]] = {
    "tanh": (lambda xp, a: xp.tanh(a, out=a), lambda xp, h: 1 - h * h),
    "relu": (lambda xp, a: xp.maximum(a, 0, out=a), lambda xp, h: xp.sign(h)),
    "sigmoid": (_sigmoid, lambda xp, h: h * (1 - h)),
}


class Saved(Kept):
    """For each run h (K, H, b) (b), and which activation led to it."""

    def __init__(self, xp: Any, steps: Steps, hidden_size: int, activation: str) -> None:
        super().__init__(xp, steps, hidden_size)
        self.activation = activation


def forward(
    x: Array, steps: Steps, h_0: Array | None, weights: Weights, activation: str, keep: bool
) -> tuple[Array, Array, Saved | None]:  # fmt: skip
    """(y, h_n, saved): the outputs, the last state of each row, and with `keep` what backward needs.

    Shapes: x (N, I), h_0 (B, H) or None for zeros, weights (w_ih (H, I), w_hh (H, H), b_ih (H,) or None, b_hh (H,) or None)
        → y (N, H), h_n (B, H)
    Cost: one product with (H, I + H) per row; H numbers per row are kept
    """
    xp, H = of(x), weights[1].shape[0]
    y, h_n = xp.empty((steps.N, H), x.dtype), xp.empty((steps.B, H), x.dtype)
    h = State(xp, H, x.dtype, h_0, h_n)
    saved = Saved(xp, steps, H, activation)
    for run in saved.runs:
        states = xp.empty((run.K, 1, H, run.size), x.dtype)
        project(xp, x, run, weights[0], weights[2:], out=states)  # (a)
        states = states[:, 0]  # (K, H, b)
        _advance(xp, states, h.resize(run.size), weights[1], activation, steps.order(run))
        to_rows(run, states, y)
        if keep:
            saved.kept.append(states)
    h.resize(0)
    return y, h_n, saved if keep else None


def _advance(xp: Any, states: Array, h: Array, w_hh: Array, activation: str, order: range) -> None:
    """Turn the projected inputs (K, H, b) of a run into its states, in place; h is carried on in place."""
    activate, recurrent, before = ACTIVATIONS[activation][0], xp.empty_like(h), h
    for k in order:
        xp.matmul(w_hh, before, out=recurrent)
        before = states[k]
        before += recurrent
        activate(xp, before)  # (1) by (b)
    h[...] = before


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, wanted: Collection[str],
) -> dict[str, Array]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y and h_n, either of which may be None.

    x, y, h_0, w_ih and w_hh must be as forward took and gave them; the biases are not looked at again.

    Shapes: dy (N, H), dh_n (B, H) → each gradient in the shape of what it is the gradient of
    Cost: twice forward's products
    """
    xp, steps, H = of(x), saved.steps, saved.hidden_size
    found = Gradients(wanted, steps, x, y, h_0, weights[0], weights[1])
    dh = State(xp, H, x.dtype, dh_n, found.dh_0)
    all_states = reversed(saved.kept)
    for panel in reversed(saved.panels):
        da = columns(xp, H, panel, x.dtype)  # (H, W)
        for run in reversed(panel):
            states, dys = next(all_states), None if dy is None else to_blocks(xp, run, dy)
            slopes = ACTIVATIONS[saved.activation][1](xp, states)  # (c)
            _retreat(xp, slopes, dys, dh.resize(run.size), weights[1].T, steps.order(run)[::-1])
            if found.of_products:
                to_columns(xp, panel, run, slopes, da)
        found.add_input(panel, da)  # (d)
        found.add_recurrent(panel, da)
    dh.resize(0)
    return found.results()


def _retreat(xp: Any, slopes: Array, dys: Array | None, dh: Array, w_hh_T: Array, order: range) -> None:
    """Turn `slopes` (K, H, b) into gradients of the pre-activations, in place, and carry dh on in place."""
    for k in order:
        if dys is not None:
            dh += dys[k]
        da = slopes[k]
        da *= dh  # (1')
        xp.matmul(w_hh_T, da, out=dh)
