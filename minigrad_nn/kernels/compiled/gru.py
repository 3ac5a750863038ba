"""The GRU in compiled loops, where the reset gate acts after the product. Its equations stand in ../gru.py, and as they
are computed here in loops.py."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from minigrad.backend import Array, of

from ..gru import NAMES, Weights
from ..rows import state, sums, with_states
from ..steps import Steps
from .sequence import Saved as Kept
from .sequence import biases, fit, in_panels, places, plain
from .usable import loops

__all__ = ["NAMES", "Saved", "backward", "forward"]


class Saved(Kept):
    """r, z, n of all rows, s, which is what r multiplies in (3), and d = h - n of (4), (N, 5, H)."""

    GATES = "rzn"


def forward(
    x: Array, steps: Steps, h_0: Array | None, weights: Weights, keep: bool, reset_after: bool = True
) -> tuple[Array, Array, Saved | None]:
    """(y, h_n, saved): the outputs, the last state of each row, and with `keep` what backward needs; shapes as in ../gru.py.

    `reset_after` is true here: `serves` declines the other form.

    Cost: two products with (3H, I) and (3H, H) per step; 5H numbers per row are kept
    """
    (w_ih, w_hh, b_ih, b_hh), xp, H = weights, of(x), weights[1].shape[1]
    fit(x, steps, weights, 3)
    where, h = places(steps, w_ih.size + w_hh.size), state(xp, h_0, steps.B, H, x.dtype)
    y, kept = np.empty((steps.N, H), x.dtype), np.empty((steps.N if keep else 0, 5, H), x.dtype)
    outside, inside = biases(3 * H, b_ih), biases(H, None if b_hh is None else b_hh[2 * H :])
    outside[: 2 * H] += 0 if b_hh is None else b_hh[: 2 * H]
    given = (plain(x, x.shape[1]), *map(in_panels, (w_ih, w_hh[: 2 * H], w_hh[2 * H :])), outside, inside)
    where.run(loops().gru_forward, *given, h, kept, y, flags=(keep, steps.reverse))
    return y, h, Saved(steps, where, kept) if keep else None


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, wanted: Collection[str],
) -> dict[str, Array]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y and h_n, either of which may be None; as in ../gru.py.

    Cost: twice forward's products
    """
    (w_ih, w_hh), xp, steps, H = weights[:2], of(x), saved.steps, weights[1].shape[1]
    # In the order n, r, z, s: those of the input (n, r, z) are neighbours, and so are those of the state (r, z, s).
    dh, da = state(xp, dh_n, steps.B, H, x.dtype), np.empty((steps.N, 4, H), x.dtype)
    dx = np.empty((steps.N if "x" in wanted else 0, x.shape[1]), x.dtype)
    panels = [in_panels(each, columns=True) for each in (np.roll(w_ih, H, axis=0) if len(dx) else w_ih[:, :0], w_hh)]
    given = (saved.kept, da, *panels, plain(dy, H))
    saved.places.run(loops().gru_backward, *given, dh, dx, flags=(not steps.reverse,))
    rows = da.reshape(steps.N, 4 * H)
    of_input, of_state = rows[:, : 3 * H], rows[:, H:]
    found = sums(xp, wanted, x, of_input, of_state, lambda: with_states(xp, steps, of_state, y, h_0))
    found |= {name: np.roll(found[name], -H, axis=0) for name in ("w_ih", "b_ih") if name in found}  # n, r, z to r, z, n
    return found | {name: each for name, each in (("x", dx), ("h_0", dh)) if name in wanted}
