"""The LSTM in compiled loops. Its equations stand in ../../cells.py, and as they are computed here in loops.py."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from minigrad.backend import Array, of

from ..lstm import NAMES, Weights
from ..rows import state, sums, with_states
from ..steps import Steps
from .sequence import Saved as Kept
from .sequence import biases, fit, in_panels, places, plain
from .usable import loops

__all__ = ["NAMES", "Saved", "backward", "forward"]


class Saved(Kept):
    """i, f, g, o, v of all rows (N, 5, H): v = f ⊙ c, the first half of (5), from which c follows again."""

    GATES = "ifgo"

    def cells(self) -> Array:
        """c at every step, (N, H)."""
        return self.kept[:, 4] + self.kept[:, 0] * self.kept[:, 2]  # (5)


def forward(
    x: Array, steps: Steps, h_0: Array | None, c_0: Array | None, weights: Weights, keep: bool
) -> tuple[Array, Array, Array, Saved | None]:
    """(y, h_n, c_n, saved): the outputs, the last states of each row, and with `keep` what backward needs; shapes as in ../lstm.py.

    Cost: two products with (4H, I) and (4H, H) per step; 5H numbers per row are kept
    """
    (w_ih, w_hh, b_ih, b_hh), xp, H = weights[:4], of(x), weights[1].shape[1]
    fit(x, steps, weights[:4], 4)
    where = places(steps, w_ih.size + w_hh.size)
    h, c = state(xp, h_0, steps.B, H, x.dtype), state(xp, c_0, steps.B, H, x.dtype)
    y, kept = np.empty((steps.N, H), x.dtype), np.empty((steps.N if keep else 0, 5, H), x.dtype)
    given = (plain(x, x.shape[1]), in_panels(w_ih), in_panels(w_hh), biases(4 * H, b_ih, b_hh))
    where.run(loops().lstm_forward, *given, h, c, kept, y, flags=(keep, steps.reverse))
    return y, h, c, Saved(steps, where, kept) if keep else None


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, dc_n: Array | None, dcells: Array | None, wanted: Collection[str],
) -> dict[str, Array]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y, h_n, c_n and of c at every step, any of which may be None.

    As in ../lstm.py. Cost: twice forward's products
    """
    (w_ih, w_hh), xp, steps, H = weights[:2], of(x), saved.steps, weights[1].shape[1]
    dh, dc = state(xp, dh_n, steps.B, H, x.dtype), state(xp, dc_n, steps.B, H, x.dtype)
    da, dx = np.empty((steps.N, 4, H), x.dtype), np.empty((steps.N if "x" in wanted else 0, x.shape[1]), x.dtype)
    panels = [in_panels(each, columns=True) for each in (w_ih if len(dx) else w_ih[:, :0], w_hh)]
    given = (saved.kept, da, *panels, plain(dy, H), plain(dcells, H))
    saved.places.run(loops().lstm_backward, *given, dh, dc, dx, flags=(not steps.reverse,))
    rows = da.reshape(steps.N, 4 * H)
    found = sums(xp, wanted, x, rows, rows, lambda: with_states(xp, steps, rows, y, h_0))
    return found | {name: each for name, each in (("x", dx), ("h_0", dh), ("c_0", dc)) if name in wanted}
