"""The LSTM by design b. The equations stand in cells.py, and as they are computed here in steps.cu."""

from __future__ import annotations

from collections.abc import Collection

from minigrad.backend import Array, of

from ..lstm import NAMES, Weights
from ..rows import bias, in_order, state, sums, with_states, without_gaps
from ..steps import Steps
from .launch import NOTHING, functions
from .product import multiplier

__all__ = ["NAMES", "Saved", "backward", "forward"]


class Saved:
    """i, f, g, o of all steps (N, 4H), v = f ⊙ c (N, H), the first half of (5), and m (N, H) of (6), which (7) projects."""

    def __init__(self, steps: Steps, ifgo: Array, v: Array, m: Array | None) -> None:
        self.steps, self.ifgo, self.v, self.m = steps, ifgo, v, m

    @property
    def arrays(self) -> list[Array]:
        """Everything that is kept here, for those who count bytes."""
        return [each for each in (self.ifgo, self.v, self.m) if each is not None]

    def gates(self) -> dict[str, Array]:
        """i, f, g and o at every step, (N, H) each."""
        H = self.v.shape[1]
        return {name: self.ifgo[:, k * H : (k + 1) * H].copy() for k, name in enumerate("ifgo")}

    def cells(self) -> Array:
        """c at every step, (N, H)."""
        H = self.v.shape[1]
        return self.v + self.ifgo[:, :H] * self.ifgo[:, 2 * H : 3 * H]  # (5)


def forward(
    x: Array, steps: Steps, h_0: Array | None, c_0: Array | None, weights: Weights, keep: bool
) -> tuple[Array, Array, Array, Saved | None]:
    """(y, h_n, c_n, saved): the outputs, the last states of each row, and with `keep` what backward needs; shapes as in ../lstm.py.

    Cost: two launches per step, four with a projection; one product with (4H, I + R) per row; 5H numbers per row are kept
    """
    (w_ih, w_hh, b_ih, b_hh, w_hr), xp, dtype = weights, of(x), x.dtype
    (R, H), (N, B), launch = (w_hh.shape[1], w_hh.shape[0] // 4), (steps.N, steps.B), functions(xp, dtype)
    ifgo, v, m, recurrent = x @ w_ih.T, xp.empty((N, H), dtype), xp.empty((N, H), dtype), xp.empty((B, 4 * H), dtype)
    h, c, biases = state(xp, h_0, B, R, dtype), state(xp, c_0, B, H, dtype), [bias(xp, each, 4 * H, dtype) for each in (b_ih, b_hh)]
    y, shown = (m, h) if w_hr is None else (xp.empty((N, R), dtype), xp.empty((B, H), dtype))
    launch.require(ifgo, h, c, *biases)
    multiply, project = multiplier(xp, h, w_hh.T, recurrent), None if w_hr is None else multiplier(xp, shown, w_hr.T, h)
    for first, b in in_order(steps):
        multiply(b)
        launch("lstm_forward", b, H, first, ifgo, recurrent, *biases, v, c, m, shown)  # (1) to (6)
        if project is not None:
            project(b)  # (7)
            y[first : first + b] = h[:b]
    return y, h, c, Saved(steps, ifgo, v, None if w_hr is None else m) if keep else None


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, dc_n: Array | None, dcells: Array | None, wanted: Collection[str],
) -> dict[str, Array]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y, h_n, c_n and of c at every step, any of which may be None.

    As in ../lstm.py. Cost: two launches per step, four with a projection; twice forward's products
    """
    (w_ih, w_hh, _, _, w_hr), xp, steps = weights, of(x), saved.steps
    H, R, launch = saved.v.shape[1], w_hh.shape[1], functions(xp, x.dtype)
    dh, dc, da = state(xp, dh_n, steps.B, R, x.dtype), state(xp, dc_n, steps.B, H, x.dtype), xp.empty(saved.ifgo.shape, x.dtype)
    dys, dcs = without_gaps(xp, dy), without_gaps(xp, dcells)
    launch.require(dh, dc, da, *[each for each in (dys, dcs) if each is not NOTHING])
    shown: Array = None if w_hr is None else xp.empty((steps.N, R), x.dtype)  # dh of every step, with dy
    dm = dh if w_hr is None else xp.empty((steps.B, H), x.dtype)
    multiply, project = multiplier(xp, da, w_hh, dh), None if w_hr is None else multiplier(xp, shown, w_hr, dm)
    for first, b in reversed(in_order(steps)):
        rows = slice(first, first + b)
        if project is not None:
            shown[rows] = dh[:b] if dy is None else dh[:b] + dy[rows]
            project(b, first)  # (7')
        of_y = dys if w_hr is None else NOTHING
        launch("lstm_backward", b, H, first, da, saved.ifgo, saved.v, dm, dc, of_y, dcs)  # (1') to (6')
        multiply(b, first)
    found = sums(xp, wanted, x, da, da, lambda: with_states(xp, steps, da, y, h_0))
    found |= {"x": da @ w_ih} if "x" in wanted else {}
    found |= {"w_hr": shown.T @ saved.m} if "w_hr" in wanted else {}  # (7')
    return found | {name: each for name, each in (("h_0", dh), ("c_0", dc)) if name in wanted}
