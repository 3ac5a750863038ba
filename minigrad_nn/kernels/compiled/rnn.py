"""The simple RNN in compiled loops. Its equation stands in ../../cells.py, and as it is computed here in loops.py."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from minigrad.backend import Array, of

from ..rnn import NAMES, Weights
from ..rows import state, sums, with_states
from ..steps import Steps
from .sequence import Saved as Kept
from .sequence import biases, fit, in_panels, places, plain
from .usable import loops

__all__ = ["ACTIVATIONS", "NAMES", "Saved", "backward", "forward"]

ACTIVATIONS = ("tanh", "relu")


class Saved(Kept):
    """Nothing but which activation it was: the states themselves are the outputs."""

    activation = "tanh"


def forward(
    x: Array, steps: Steps, h_0: Array | None, weights: Weights, activation: str, keep: bool
) -> tuple[Array, Array, Saved | None]:  # fmt: skip
    """(y, h_n, saved): the outputs, the last state of each row, and with `keep` what backward needs; shapes as in ../rnn.py.

    Cost: two products with (H, I) and (H, H) per step; nothing but the outputs is kept
    """
    (w_ih, w_hh, b_ih, b_hh), xp, H = weights, of(x), weights[1].shape[0]
    fit(x, steps, weights, 1)
    where, h, y = places(steps, w_ih.size + w_hh.size), state(xp, h_0, steps.B, H, x.dtype), np.empty((steps.N, H), x.dtype)
    given = (plain(x, x.shape[1]), in_panels(w_ih), in_panels(w_hh), biases(H, b_ih, b_hh))
    where.run(loops().rnn_forward, *given, h, y, flags=(activation == "relu", steps.reverse))
    saved = Saved(steps, where, np.empty((0, 0, H), x.dtype))
    saved.activation = activation
    return y, h, saved if keep else None


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, wanted: Collection[str],
) -> dict[str, Array]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y and h_n, either of which may be None; as in ../rnn.py.

    Cost: twice forward's products
    """
    (w_ih, w_hh), xp, steps, H = weights[:2], of(x), saved.steps, weights[1].shape[0]
    dh, da = state(xp, dh_n, steps.B, H, x.dtype), np.empty((steps.N, H), x.dtype)
    dx = np.empty((steps.N if "x" in wanted else 0, x.shape[1]), x.dtype)
    panels = [in_panels(each, columns=True) for each in (w_ih if len(dx) else w_ih[:, :0], w_hh)]
    given = (plain(y, H), da, *panels, plain(dy, H))
    saved.places.run(loops().rnn_backward, *given, dh, dx, flags=(saved.activation == "relu", not steps.reverse))
    found = sums(xp, wanted, x, da, da, lambda: with_states(xp, steps, da, y, h_0))
    return found | {name: each for name, each in (("x", dx), ("h_0", dh)) if name in wanted}
