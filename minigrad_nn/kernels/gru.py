"""The GRU for all steps. It computes what `gru_step` in cells.py computes: read that first.

Its equations, and a prime for the derivative of each:

    (1)  r = sigmoid(W_ir @ x + b_ir + W_hr @ h + b_hr)
    (2)  z = sigmoid(W_iz @ x + b_iz + W_hz @ h + b_hz)
    (3)  n = tanh(W_in @ x + b_in + r * (W_hn @ h + b_hn))      or, reset before the product,
    (3b) n = tanh(W_in @ x + b_in + W_hn @ (r * h) + b_hn)
    (4)  h = (1 - z) * n + z * h = n + z * (h - n)

Where the cell writes rows (B, H), a step here is (H, b), the batch last (see steps.py). The moves that make it fast:

    (a) input projections, with every bias that stands outside a product with r, are computed for many steps in one call,
        before the loop over them
    (b) gates overwrite their pre-activations
    (c) sigmoid(a) = ½ tanh(½a) + ½, for r and z in one call; it is exact to the rounding of 1, as in lstm.py
    (d) kept for backward are r, z, n, then s, which is what r multiplies in (3), W_hn h + b_hn, but the product r ⊙ h itself
        in (3b), and d = h - n of (4)
    (e) how large each gate's gradient is per unit of dh does not depend on later steps: these slopes are worked
        out for a run at once, and the loop only multiplies
    (f) gradients of weights, biases and inputs are products over many steps, after the loop over them
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from minigrad.backend import Array, of

from .gradients import Gradients, Total
from .steps import Run, State, Steps, columns, previous, project, to_blocks, to_columns, to_rows
from .steps import Saved as Kept

__all__ = ["NAMES", "Saved", "backward", "forward"]

NAMES = ("x", "h_0", "w_ih", "w_hh", "b_ih", "b_hh")  # what there are gradients of

Weights = tuple[Array, Array, Array | None, Array | None]


class Saved(Kept):
    """For each run r, z, n, s, d (K, 5, H, b) (d), and where the reset gate acted."""

    def __init__(self, xp: Any, steps: Steps, hidden_size: int, reset_after: bool) -> None:
        super().__init__(xp, steps, hidden_size)
        self.reset_after = reset_after

    def gates(self) -> dict[str, Array]:
        """r, z and n at every step, (N, H) each."""
        return {name: self.rows(kept[:, k] for kept in self.kept) for k, name in enumerate("rzn")}


# ------------------------------------------------------------------------------------------------------------- forward


def forward(
    x: Array, steps: Steps, h_0: Array | None, weights: Weights, keep: bool, reset_after: bool = True
) -> tuple[Array, Array, Saved | None]:
    """(y, h_n, saved): the outputs, the last state of each row, and with `keep` what backward needs.

    Shapes: x (N, I), h_0 (B, H) or None for zeros, weights (w_ih (3H, I), w_hh (3H, H), b_ih (3H,) or None, b_hh (3H,) or None)
        → y (N, H), h_n (B, H)
    Cost: one product with (3H, I + H) per row; 5H numbers per row are kept
    """
    (w_ih, w_hh, b_ih, b_hh), xp, H = weights, of(x), weights[1].shape[1]
    y, h_n = xp.empty((steps.N, H), x.dtype), xp.empty((steps.B, H), x.dtype)
    h = State(xp, H, x.dtype, h_0, h_n)
    saved = Saved(xp, steps, H, reset_after)
    outside, b_hn = _split_bias(b_hh, H, reset_after)
    for run in saved.runs:
        kept = xp.empty((run.K, 5, H, run.size), x.dtype)
        project(xp, x, run, w_ih, (b_ih, outside), out=kept[:, :3])  # (a)
        h.resize(run.size)
        if reset_after:
            outputs = _advance(xp, kept, h.array, w_hh, b_hn, steps.order(run))  # (K, H, b)
        else:
            outputs = _advance_reset_before(xp, kept, h.array, w_hh, steps.order(run))
        to_rows(run, outputs, y)
        if keep:
            saved.kept.append(kept)
    h.resize(0)
    return y, h_n, saved if keep else None


def _split_bias(b_hh: Array | None, H: int, reset_after: bool) -> tuple[Array | None, Array | None]:
    """b_hh as what can be added to the projections beforehand (3H,), and what (3) multiplies with r (H, 1)."""
    if b_hh is None or not reset_after:
        return b_hh, None
    outside = b_hh.copy()
    outside[2 * H :] = 0
    return outside, b_hh[2 * H :].reshape(H, 1)


def _advance(xp: Any, kept: Array, h: Array, w_hh: Array, b_hn: Array | None, order: range) -> Array:
    """The outputs (K, H, b) of a run whose projected inputs stand in kept[:, :3], by (3); h is carried on in place."""
    outputs = xp.empty((kept.shape[0], *h.shape), h.dtype)
    recurrent = xp.empty((3, *h.shape), h.dtype)
    product, sigmoids, last, inside = recurrent.reshape(w_hh.shape[0], h.shape[1]), recurrent[:2], recurrent[2], xp.zeros_like(h)
    if b_hn is not None:
        inside += b_hn
    before, half = h, xp.full_like(sigmoids, 0.5)
    for k in order:
        gates, (r, _, n, s, _) = kept[k, :2], kept[k]
        xp.matmul(w_hh, before, out=product)  # (3H, b)
        gates += sigmoids
        _sigmoid(xp, gates, half)  # (1), (2) by (b), (c)
        xp.add(last, inside, out=s)
        xp.multiply(r, s, out=last)
        n += last
        before = _mix(xp, kept[k], before, out=outputs[k])
    h[...] = before
    return outputs


def _advance_reset_before(xp: Any, kept: Array, h: Array, w_hh: Array, order: range) -> Array:
    """The same by (3b)."""
    outputs = xp.empty((kept.shape[0], *h.shape), h.dtype)
    H, b = h.shape
    recurrent = xp.empty((2, H, b), h.dtype)
    product, last = recurrent.reshape(2 * H, b), xp.empty_like(h)
    before, half = h, xp.full_like(recurrent, 0.5)
    for k in order:
        gates, (r, _, n, s, _) = kept[k, :2], kept[k]
        xp.matmul(w_hh[: 2 * H], before, out=product)  # (2H, b)
        gates += recurrent
        _sigmoid(xp, gates, half)  # (1), (2)
        xp.multiply(r, before, out=s)
        xp.matmul(w_hh[2 * H :], s, out=last)
        n += last
        before = _mix(xp, kept[k], before, out=outputs[k])
    h[...] = before
    return outputs


def _sigmoid(xp: Any, a: Array, half: Array) -> None:
    """a = sigmoid(a) (c); `half` is ½ in the shape of a, which is cheaper to multiply with than a number."""
    a *= half
    xp.tanh(a, out=a)
    a *= half
    a += half


def _mix(xp: Any, kept: Array, before: Array, out: Array) -> Array:
    """The new state (H, b), from the pre-activation of n and the state before."""
    _, z, n, _, d = kept
    xp.tanh(n, out=n)  # (3)
    xp.subtract(before, n, out=d)
    xp.multiply(z, d, out=out)
    out += n  # (4)
    return out


# ------------------------------------------------------------------------------------------------------------ backward


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, wanted: Collection[str],
) -> dict[str, Array]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y and h_n, either of which may be None.

    x, y, h_0, w_ih and w_hh must be as forward took and gave them; the biases are not looked at again.

    Shapes: dy (N, H), dh_n (B, H) → each gradient in the shape of what it is the gradient of
    Cost: twice forward's products
    """
    xp, steps, H, w_hh = of(x), saved.steps, saved.hidden_size, weights[1]
    found = _Collected(saved.reset_after, wanted, steps, x, y, h_0, weights[0], w_hh)
    dh = State(xp, H, x.dtype, dh_n, found.dh_0)
    all_kept, retreat = reversed(saved.kept), _retreat if saved.reset_after else _retreat_reset_before
    for panel in reversed(saved.panels):
        found.begin(panel)
        for run in reversed(panel):
            kept = next(all_kept)
            dys, order = None if dy is None else to_blocks(xp, run, dy), steps.order(run)[::-1]
            slopes = _slopes(xp, kept, saved.reset_after)
            retreat(xp, slopes, kept, dys, dh.resize(run.size), w_hh, order)
            found.add_run(panel, run, slopes, kept)
        found.end(panel)  # (f)
    dh.resize(0)
    return found.results()


def _slopes(xp: Any, kept: Array, reset_after: bool) -> Array:
    """The slopes of a run (e) as (K, 4, H, b): of the pre-activations of n, r and z, and of s, per unit of dh.

    With (3b) that of r is per unit of ds instead, and that of s stays empty.
    """
    slopes = xp.empty((kept.shape[0], 4, *kept.shape[2:]), kept.dtype)
    (r, z, n, s, d), (dn, dr, dz, ds) = kept.swapaxes(0, 1), slopes.swapaxes(0, 1)
    xp.multiply(n, n, out=dz)
    xp.subtract(1, dz, out=dz)
    xp.multiply(dz, z, out=dn)
    xp.subtract(dz, dn, out=dn)  # (3'), (4')  (1 - n²) (1 - z)
    xp.multiply(d, z, out=dz)
    dz -= dz * z  # (2'), (4')  (h - n) z (1 - z)
    if reset_after:
        xp.multiply(dn, r, out=ds)
        xp.multiply(ds, s, out=dr)
        dr -= dr * r  # (1'), (3')  dn s r (1 - r)
    else:
        xp.multiply(s, r, out=dr)
        xp.subtract(s, dr, out=dr)  # (1'), (3b')  h r (1 - r)
    return slopes


def _retreat(xp: Any, slopes: Array, kept: Array, dys: Array | None, dh: Array, w_hh: Array, order: range) -> None:
    """Turn `slopes` of a run into gradients, in place, and carry dh on in place, by (3)."""
    w_hh_T, directly = w_hh.T, xp.empty_like(dh)
    for k in order:
        if dys is not None:
            dh += dys[k]
        da = slopes[k]
        da *= dh  # (1') to (3')
        xp.multiply(dh, kept[k, 1], out=directly)  # (4')
        xp.matmul(w_hh_T, da[1:].reshape(w_hh.shape[0], dh.shape[1]), out=dh)
        dh += directly


def _retreat_reset_before(xp: Any, slopes: Array, kept: Array, dys: Array | None, dh: Array, w_hh: Array, order: range) -> None:
    """The same by (3b)."""
    (H, b), directly, ds = dh.shape, xp.empty_like(dh), xp.empty_like(dh)
    for k in order:
        if dys is not None:
            dh += dys[k]
        (dn, dr, dz, _), (r, z, *_) = slopes[k], kept[k]
        dn *= dh  # (3b')
        dz *= dh  # (2')
        xp.matmul(w_hh[2 * H :].T, dn, out=ds)
        dr *= ds  # (1')
        xp.multiply(dh, z, out=directly)  # (4')
        ds *= r
        directly += ds
        xp.matmul(w_hh[: 2 * H].T, slopes[k, 1:3].reshape(2 * H, b), out=dh)
        dh += directly


class _Collected(Gradients):
    """Gradients of a GRU, whose pre-activations on the side of the input and on that of the state differ in n."""

    def __init__(self, reset_after: bool, wanted: Collection[str], *rest: Any) -> None:
        super().__init__(wanted, *rest)
        self.reset_after = reset_after
        self.w_hn = Total("w_hh" in wanted)  # with (3b), where the rows of n have a factor of their own

    def begin(self, panel: list[Run]) -> None:
        """Room for a panel."""
        dtype, H = self.x.dtype, self.y.shape[1]
        self.input = columns(self.xp, 3 * H, panel, dtype)  # r, z, n
        if self.reset_after:
            self.state = columns(self.xp, 3 * H, panel, dtype)  # r, z, s
        else:
            self.reset = columns(self.xp, H, panel, dtype)  # r ⊙ h

    def add_run(self, panel: list[Run], run: Run, slopes: Array, kept: Array) -> None:
        """Put a run's gradients, n, r, z, s, where they belong."""
        if not self.of_products:
            return
        xp, H = self.xp, kept.shape[2]
        to_columns(xp, panel, run, slopes[:, 1:3], self.input[: 2 * H])
        to_columns(xp, panel, run, slopes[:, 0], self.input[2 * H :])
        if self.reset_after:
            to_columns(xp, panel, run, slopes[:, 1:], self.state)
        else:
            to_columns(xp, panel, run, kept[:, 3], self.reset)

    def end(self, panel: list[Run]) -> None:
        """Add the products of a panel."""
        self.add_input(panel, self.input)
        if self.reset_after:
            self.add_recurrent(panel, self.state)
            return
        self.add_bias("b_hh", self.input)
        if self.w_hn.wanted:
            H = self.y.shape[1]
            self.totals["w_hh"].add(self.input[: 2 * H], previous(self.steps, panel, self.y, self.h_0))
            self.w_hn.add(self.input[2 * H :], self.reset.T)

    def results(self) -> dict[str, Array]:
        """Everything wanted, by name."""
        if not self.reset_after and self.w_hn.wanted:
            self.totals["w_hh"].value = self.xp.concatenate([self.totals["w_hh"].value, self.w_hn.value])
        return super().results()
