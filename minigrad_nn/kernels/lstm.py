"""The LSTM for all steps. It computes what `lstm_step` in cells.py computes: read that first.

Numbers in brackets are the cell's equations; a prime marks the derivative of one, (5') belongs to (5). Letters name the moves
below. A derivative is written d: dc is the gradient of c, da that of the pre-activations a of all four gates. Where the cell
writes rows (B, H), a step here is (H, b), the batch last (see steps.py for this, and for runs and panels). The moves that make it fast:

    (a) input projections W_ih x + b_ih + b_hh are computed for a run of steps in one call, before the loop over them
    (b) gates overwrite their pre-activations
    (c) all four gates go through one tanh, as sigmoid(a) = ½ tanh(½a) + ½; a gate is then exact to the rounding of 1, so
        one that is shut to 1e-9 is 0 in float32
    (d) kept for backward are i, f, g, o and v = f ⊙ c, the first half of (5): c is v + i ⊙ g again
    (e) how large each gate's gradient is per unit of dc or of dm, with m = o ⊙ tanh(c), does not depend on later
        steps: these slopes are worked out for a run at once, and the loop only multiplies
    (f) gradients of weights, biases and inputs are products over a panel of steps, after the loop over them
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from minigrad.backend import Array, of

from .gradients import Gradients
from .steps import Saved as Kept
from .steps import State, Steps, columns, project, to_blocks, to_columns, to_rows

__all__ = ["NAMES", "Saved", "backward", "forward"]

NAMES = ("x", "h_0", "c_0", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr")  # what there are gradients of

Weights = tuple[Array, Array, Array | None, Array | None, Array | None]


class Saved(Kept):
    """For each run i, f, g, o, v (K, 5, H, b) (d)."""

    def gates(self) -> dict[str, Array]:
        """i, f, g and o at every step, (N, H) each."""
        return {name: self.rows(kept[:, k] for kept in self.kept) for k, name in enumerate("ifgo")}

    def cells(self) -> Array:
        """c at every step, (N, H)."""
        return self.rows(kept[:, 4] + kept[:, 0] * kept[:, 2] for kept in self.kept)  # (5)


# ------------------------------------------------------------------------------------------------------------- forward


def forward(
    x: Array, steps: Steps, h_0: Array | None, c_0: Array | None, weights: Weights, keep: bool
) -> tuple[Array, Array, Array, Saved | None]:
    """(y, h_n, c_n, saved): the outputs, the last states of each row, and with `keep` what backward needs.

    Shapes: x (N, I), h_0 (B, R) and c_0 (B, H) or None for zeros, weights (w_ih (4H, I), w_hh (4H, R), b_ih (4H,) or None,
        b_hh (4H,) or None, w_hr (P, H) or None) → y (N, R), h_n (B, R), c_n (B, H); R is P with w_hr, else H
    Cost: one product with (4H, I + R) per row; 5H numbers per row are kept
    """
    xp, (R, H) = of(x), (weights[1].shape[1], weights[1].shape[0] // 4)
    y, h_n, c_n = xp.empty((steps.N, R), x.dtype), xp.empty((steps.B, R), x.dtype), xp.empty((steps.B, H), x.dtype)
    h, c = State(xp, R, x.dtype, h_0, h_n), State(xp, H, x.dtype, c_0, c_n)
    saved = Saved(xp, steps, H)
    for run in saved.runs:
        kept = xp.empty((run.K, 5, H, run.size), x.dtype)
        project(xp, x, run, weights[0], weights[2:4], out=kept[:, :4])  # (a)
        outputs = _advance(xp, kept, h.resize(run.size), c.resize(run.size), weights, steps.order(run))  # (K, R, b)
        to_rows(run, outputs, y)
        if keep:
            saved.kept.append(kept)
    h.resize(0)
    c.resize(0)
    return y, h_n, c_n, saved if keep else None


def _advance(xp: Any, kept: Array, h: Array, c: Array, weights: Weights, order: range) -> Array:
    """The outputs (K, R, b) of a run whose projected inputs stand in kept[:, :4]; h and c are carried on in place."""
    (w_hh, w_hr), (K, _, H, b) = (weights[1], weights[4]), kept.shape
    outputs = xp.empty((K, *h.shape), h.dtype)
    recurrent = xp.empty((4, H, b), h.dtype)
    product, u, m = recurrent.reshape(4 * H, b), recurrent[0], xp.empty((H, b), h.dtype)
    half, shift = _sigmoid_as_tanh(xp, recurrent)
    h_before = h
    for k in order:
        gates, (i, f, g, o, v) = kept[k, :4], kept[k]
        xp.matmul(w_hh, h_before, out=product)  # (4H, b)
        gates += recurrent
        gates *= half  # (1) to (4) by (b), (c)
        xp.tanh(gates, out=gates)
        gates *= half
        gates += shift
        xp.multiply(f, c, out=v)  # (5)
        xp.multiply(i, g, out=u)
        xp.add(v, u, out=c)
        xp.tanh(c, out=m)
        h_before = outputs[k]
        if w_hr is None:
            xp.multiply(o, m, out=h_before)  # (6)
        else:
            m *= o
            xp.matmul(w_hr, m, out=h_before)  # (7)
    h[...] = h_before
    return outputs


def _sigmoid_as_tanh(xp: Any, like: Array) -> tuple[Array, Array]:
    """Factors and shifts (4, H, b) for (c): ½ and ½ in i, f and o, but 1 and 0 in g."""
    half, shift = xp.full_like(like, 0.5), xp.full_like(like, 0.5)
    half[2], shift[2] = 1, 0
    return half, shift


# ------------------------------------------------------------------------------------------------------------ backward


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, dc_n: Array | None, dcells: Array | None, wanted: Collection[str],
) -> dict[str, Array]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y, h_n, c_n and of c at every step, any of which may be None.

    x, y, h_0, w_ih, w_hh and w_hr must be as forward took and gave them; c_0 and the biases are not looked at again. No two
    results share memory.

    Shapes: dy (N, R), dh_n (B, R), dc_n (B, H), dcells (N, H) → each gradient in the shape of what it is the gradient of
    Cost: twice forward's products
    """
    xp, steps, H, R = of(x), saved.steps, saved.hidden_size, weights[1].shape[1]
    found = Gradients(wanted, steps, x, y, h_0, weights[0], weights[1])
    dh, dc = State(xp, R, x.dtype, dh_n, found.dh_0), State(xp, H, x.dtype, dc_n, found.dc_0)
    all_kept = reversed(saved.kept)
    for panel in reversed(saved.panels):
        all_da = columns(xp, 4 * H, panel, x.dtype)  # (4H, W)
        shown, hidden = columns(xp, R, panel, x.dtype), columns(xp, H, panel, x.dtype)  # (R, W), (H, W), used by (7') only
        for run in reversed(panel):
            kept = next(all_kept)
            dys, dcs = (None if rows is None else to_blocks(xp, run, rows) for rows in (dy, dcells))
            order, states = steps.order(run)[::-1], (dh.resize(run.size), dc.resize(run.size))
            da, dc_per_dm, m = _slopes(xp, kept)  # slopes, which _retreat turns into gradients
            dhs = _retreat(xp, da, dc_per_dm, kept[:, 1], dys, dcs, states, weights, order)  # (K, R, b)
            if found.of_products:
                to_columns(xp, panel, run, da, all_da)
            if "w_hr" in wanted:
                to_columns(xp, panel, run, dhs, shown)
                to_columns(xp, panel, run, m, hidden)
        found.add_input(panel, all_da)  # (f)
        found.add_recurrent(panel, all_da)
        if "w_hr" in wanted:
            found.totals["w_hr"].add(shown, hidden.T)  # (7')
    dh.resize(0)
    dc.resize(0)
    return found.results()


def _slopes(xp: Any, kept: Array) -> tuple[Array, Array, Array]:
    """The slopes of a run (e) as (K, 4, H, b): of i, f, g per unit of dc, of o per unit of dm. Also the slope of c per unit of
    dm, and m itself, both (K, H, b)."""
    slopes = xp.empty((kept.shape[0], 4, *kept.shape[2:]), kept.dtype)
    (i, f, g, o, v), (di, df, dg, do) = kept.swapaxes(0, 1), slopes.swapaxes(0, 1)
    u = i * g
    _product_minus(xp, u, i, di)  # (1')  g i (1 - i)
    _product_minus(xp, v, f, df)  # (2')  c_before f (1 - f)
    xp.multiply(u, g, out=dg)
    xp.subtract(i, dg, out=dg)  # (3')  i (1 - g²)
    u += v  # (5)
    tanh_c = xp.tanh(u, out=u)
    m = o * tanh_c  # (6)
    _product_minus(xp, m, o, do)  # (4')  tanh(c) o (1 - o)
    tanh_c *= m
    return slopes, xp.subtract(o, tanh_c, out=tanh_c), m  # (6')  o (1 - tanh(c)²)


def _product_minus(xp: Any, a: Array, s: Array, out: Array) -> None:
    """out = a (1 - s)"""
    xp.multiply(a, s, out=out)
    xp.subtract(a, out, out=out)


def _retreat(
    xp: Any, slopes: Array, dc_per_dm: Array, forget: Array, dys: Array | None, dcs: Array | None,
    states: tuple[Array, Array], weights: Weights, order: range,
) -> Array | None:  # fmt: skip
    """Turn `slopes` of a run into gradients of the pre-activations, in place, and carry (dh, dc) on in place; dc_per_dm is used up.

    With a projection, returns dh at every step (K, R, b).
    """
    (dh, dc), w_hh_T, w_hr = states, weights[1].T, weights[4]
    dhs: Any = None if w_hr is None else xp.empty((len(order), *dh.shape), dh.dtype)
    dm = dh if w_hr is None else xp.empty_like(dc)
    for k in order:
        da, through = slopes[k], dc_per_dm[k]
        if dys is not None:
            dh += dys[k]
        if w_hr is not None:
            dhs[k] = dh
            xp.matmul(w_hr.T, dh, out=dm)  # (7')
        da[3] *= dm  # (4')
        through *= dm
        dc += through  # (6')
        if dcs is not None:
            dc += dcs[k]
        da[:3] *= dc  # (1') to (3')
        dc *= forget[k]  # (5')
        xp.matmul(w_hh_T, da.reshape(w_hh_T.shape[1], dh.shape[1]), out=dh)
    return dhs
