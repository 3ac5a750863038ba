"""Whole sequences of each cell as one loop, compiled by Numba: float32, on a CPU.

Without it the kernels make one NumPy call per operation, and each call costs a microsecond and a pass over memory: an LSTM
step makes eleven, and seven more backward. Here a step is its products (tiles.py) and one pass over its numbers, and no step comes
back to Python. Read ../rnn.py, ../lstm.py and ../gru.py first: the equation numbers are theirs.

Rows are as they come in, those of step t from starts[t] to starts[t + 1], the features last. A call goes through all steps with
the rows `low` to `high` of each step, as far as it has them: the batch, or one core's share of it. States are carried in arrays
(B, H) with a place for each row; a row that has ended, or has not begun yet, keeps its state there. In the loops, n is a row of the
sequence and `at` its place in a state.

`w_ih` and `w_hh` are the weights in panels (tiles.py), which `write_panels` writes: forward for products rows @ Wᵀ, backward, with
`columns`, for rows @ W. Steps are taken in groups, those from groups[g] to groups[g + 1]: forward, inputs are projected for a whole
group before its steps; backward, dx is computed for it after them. `last_first` is the order of computing: from the last step to
the first, as a forward pass does in a layer that reads in reverse, and a backward pass in one that does not.

This file needs Numba; `usable.py` decides whether it is used.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types

from .tiles import PANEL, add_product, compiled, pack, pack_columns, product_and

__all__ = [
    "PANEL", "gru_backward", "gru_forward", "lstm_backward", "lstm_forward", "rnn_backward", "rnn_forward", "tanh", "write_panels",
]  # fmt: skip

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)

CACHED = 2**17  # weights that stay in a core's cache while they are multiplied with row after row

# tanh(a) = a p(a²) / q(a²) up to |a| = 8, and ±1 beyond, so that a gate can be shut altogether. The coefficients, from a⁰
# on, were fitted by least squares with weights that level the largest relative error; a test holds them against tanh.
LIMIT = np.float32(8)
P0, P1, P2, P3, P4 = (np.float32(p) for p in (0.99999999, 0.1344454692, 0.003571656123, 2.1895620701e-05, 1.5231758224e-08))
Q1, Q2, Q3, Q4 = (np.float32(q) for q in (0.46777874263, 0.026164663975, 0.00034113871034, 8.522992341e-07))

# Kinds of arguments: float32 with one, two, three axes; then places of rows, and switches.
NUMBERS, ROWS, BLOCKS = (types.Array(types.float32, axes, "C") for axes in (1, 2, 3))
WEIGHTS = types.Array(types.float32, 2, "C", readonly=True)  # weights may be memory that nobody may write to
PLACES, PLACE, FLAG = types.Array(types.int64, 1, "C"), types.int64, types.boolean


def loop(*arguments: Any) -> Callable[[Any], Any]:
    """Compile for these types of arguments. `contract` lets a · b + c be one instruction; NaN and inf stay what they are."""
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz"}, "nogil": True}
    return functools.partial(compiled, numba.njit, types.void(*arguments), **options)


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a part of the loops, put in where it is used."""
    found: Callable[..., Any] = numba.njit(error_model="numpy", inline="always")(function)
    return found


@part
def tanh(a: Any) -> Any:
    """tanh(a), to 4e-7."""
    s = a * a
    t = a * (P0 + s * (P1 + s * (P2 + s * (P3 + s * P4)))) / (ONE + s * (Q1 + s * (Q2 + s * (Q3 + s * Q4))))
    t = ONE if a > LIMIT else t  # a NaN stays what it is
    return -ONE if a < -LIMIT else t


@part
def sigmoid(a: Any) -> Any:
    """σ(a) = ½ tanh(½a) + ½"""
    return HALF * tanh(HALF * a) + HALF


@loop(WEIGHTS, BLOCKS, FLAG)
def write_panels(w: Any, panels: Any, columns: bool) -> None:
    """Write W into panels for products rows @ Wᵀ, or with `columns` for rows @ W."""
    if columns:
        pack_columns(w, panels)
    else:
        pack(w, panels)


@part
def order(first: int, end: int, last_first: bool) -> Any:
    """The numbers from `first` to before `end`, or these backwards."""
    return range(end - 1, first - 1, -1) if last_first else range(first, end)


@part
def end_of(step: int, starts: Any, high: int) -> int:
    """Where the rows of a step end that are below `high`."""
    return min(starts[step] + high, starts[step + 1])


@part
def piece_of(group: int, piece: int, starts: Any, groups: Any, low: int, high: int) -> Any:
    """(first row, end) of a step of a group; of all its steps at once, which are neighbours, if the share is the whole batch.

    The whole batch is starts[1] rows, those of the first step.
    """
    step = groups[group] + piece
    return starts[step] + low, end_of(step, starts, high) if low > 0 or high < starts[1] else starts[groups[group + 1]]


@part
def multiply_group(
    out: Any, back: int, bias: Any, rows: Any, panels: Any, group: int, starts: Any, groups: Any, low: int, high: int
) -> None:  # fmt: skip
    """out = rows @ Wᵀ + bias for all steps of a group; row n of the sequence stands in out[n - back].

    Some panels after the others, each for all steps: so weights that are larger than the cache are fetched once for a group. A share
    of the batch may have no rows left in a step, and then its end is below its first row.
    """
    pieces = groups[group + 1] - groups[group] if low > 0 or high < starts[1] else 1
    some = max(1, CACHED // (PANEL * max(1, rows.shape[1])))
    for p in range(0, len(panels), some):
        for piece in range(pieces):
            row, stop = piece_of(group, piece, starts, groups, low, high)
            here = out[row - back : max(row, stop) - back, p * PANEL : min((p + some) * PANEL, out.shape[1])]
            product_and(bias[p * PANEL :], here, rows[row : max(row, stop)], panels[p : p + some])


@part
def add_row(rows: Any, at: int, others: Any, n: int) -> None:
    """rows[at] += others[n], if there are others."""
    if len(others):
        for j in range(rows.shape[1]):
            rows[at, j] += others[n, j]


@part
def room_for_a_group(starts: Any, groups: Any, H: int) -> Any:
    """An array (rows of the largest group, 5, H), in which each group overwrites the one before: nobody looks at its gates again."""
    most = 0
    for group in range(len(groups) - 1):
        most = max(most, starts[groups[group + 1]] - starts[groups[group]])
    return np.empty((most, 5, H), np.float32)


@loop(ROWS, BLOCKS, BLOCKS, NUMBERS, ROWS, ROWS, PLACES, PLACES, PLACE, PLACE, FLAG, FLAG)
def rnn_forward(
    x: Any, w_ih: Any, w_hh: Any, bias: Any, h: Any, y: Any, starts: Any, groups: Any, low: int, high: int, relu: bool, last_first: bool
) -> None:  # fmt: skip
    """The outputs y (N, H) of the inputs x (N, I); h (B, H) is carried on."""
    H = h.shape[1]
    for group in order(0, len(groups) - 1, last_first):
        multiply_group(y, 0, bias, x, w_ih, group, starts, groups, low, high)
        for step in order(groups[group], groups[group + 1], last_first):
            row, stop = starts[step] + low, end_of(step, starts, high)
            add_product(y[row:stop], h[low : low + stop - row], w_hh)
            for n in range(row, stop):
                at = n - starts[step]
                for j in range(H):
                    h[at, j] = y[n, j] = (ZERO if y[n, j] < ZERO else y[n, j]) if relu else tanh(y[n, j])  # (1)


@loop(ROWS, ROWS, BLOCKS, BLOCKS, ROWS, ROWS, ROWS, PLACES, PLACES, PLACE, PLACE, FLAG, FLAG)
def rnn_backward(
    y: Any, da: Any, w_ih: Any, w_hh: Any, dy: Any, dh: Any, dx: Any, starts: Any, groups: Any, low: int, high: int,
    relu: bool, last_first: bool,
) -> None:  # fmt: skip
    """da (N, H): the gradients of the pre-activations are written, and so is dx (N, I), unless it has no rows; dh (B, H) is
    carried on. dy (N, H), if it has rows, comes on top of it."""
    H = dh.shape[1]
    nothing = np.zeros(max(H, dx.shape[1]), np.float32)
    for group in order(0, len(groups) - 1, last_first):
        for step in order(groups[group], groups[group + 1], last_first):
            row, stop = starts[step] + low, end_of(step, starts, high)
            for n in range(row, stop):
                at = n - starts[step]
                add_row(dh, at, dy, n)
                for j in range(H):
                    # The slope of ReLU at 0 is 0, and that of NaN is NaN.
                    slope = (ONE if y[n, j] > ZERO else ZERO if y[n, j] == ZERO else y[n, j]) if relu else ONE - y[n, j] * y[n, j]
                    da[n, j] = dh[at, j] * slope  # (1')
            product_and(nothing[:H], dh[low : low + stop - row], da[row:stop], w_hh)
        if len(dx):
            multiply_group(dx, 0, nothing, da, w_ih, group, starts, groups, low, high)


@loop(ROWS, BLOCKS, BLOCKS, NUMBERS, ROWS, ROWS, BLOCKS, ROWS, PLACES, PLACES, PLACE, PLACE, FLAG, FLAG)
def lstm_forward(
    x: Any, w_ih: Any, w_hh: Any, bias: Any, h: Any, c: Any, kept: Any, y: Any, starts: Any, groups: Any, low: int, high: int,
    keep: bool, last_first: bool,
) -> None:  # fmt: skip
    """The outputs y (N, H), and i, f, g, o, v of each row in kept (N, 5, H), unless `keep` is false; h and c (B, H)
    are carried on."""
    H = h.shape[1]
    if not keep:
        kept = room_for_a_group(starts, groups, H)
    gates = kept.reshape(len(kept), 5 * H)[:, : 4 * H]
    for group in order(0, len(groups) - 1, last_first):
        back = 0 if keep else starts[groups[group]]
        multiply_group(gates, back, bias, x, w_ih, group, starts, groups, low, high)
        for step in order(groups[group], groups[group + 1], last_first):
            row, stop = starts[step] + low, end_of(step, starts, high)
            add_product(gates[row - back : stop - back], h[low : low + stop - row], w_hh)
            for n in range(row, stop):
                at, k = n - starts[step], n - back
                for j in range(H):
                    i, f = sigmoid(kept[k, 0, j]), sigmoid(kept[k, 1, j])  # (1), (2)
                    g, o = tanh(kept[k, 2, j]), sigmoid(kept[k, 3, j])  # (3), (4)
                    v = f * c[at, j]
                    kept[k, 0, j], kept[k, 1, j], kept[k, 2, j], kept[k, 3, j], kept[k, 4, j] = i, f, g, o, v
                    c[at, j] = v + i * g  # (5)
                    h[at, j] = y[n, j] = o * tanh(c[at, j])  # (6)


@loop(BLOCKS, BLOCKS, BLOCKS, BLOCKS, ROWS, ROWS, ROWS, ROWS, ROWS, PLACES, PLACES, PLACE, PLACE, FLAG)
def lstm_backward(
    kept: Any, da: Any, w_ih: Any, w_hh: Any, dy: Any, dcells: Any, dh: Any, dc: Any, dx: Any, starts: Any, groups: Any,
    low: int, high: int, last_first: bool,
) -> None:  # fmt: skip
    """da (N, 4, H): the gradients of the pre-activations of i, f, g, o are written, and so is dx (N, I), unless it has no rows;
    dh and dc (B, H) are carried on. dy and dcells (N, H), if they have rows, come on top of them."""
    H = dh.shape[1]
    nothing = np.zeros(max(H, dx.shape[1]), np.float32)
    rows = da.reshape(len(da), 4 * H)
    for group in order(0, len(groups) - 1, last_first):
        for step in order(groups[group], groups[group + 1], last_first):
            row, stop = starts[step] + low, end_of(step, starts, high)
            for n in range(row, stop):
                at = n - starts[step]
                add_row(dh, at, dy, n)
                add_row(dc, at, dcells, n)
                for j in range(H):
                    i, f, g, o, v = kept[n, 0, j], kept[n, 1, j], kept[n, 2, j], kept[n, 3, j], kept[n, 4, j]
                    u, d = i * g, dh[at, j]
                    t = tanh(u + v)
                    m = o * t
                    e = dc[at, j] + d * (o - m * t)  # (6')
                    da[n, 0, j] = e * u * (ONE - i)  # (1')
                    da[n, 1, j] = e * v * (ONE - f)  # (2')
                    da[n, 2, j] = e * (i - u * g)  # (3')
                    da[n, 3, j] = d * m * (ONE - o)  # (4')
                    dc[at, j] = e * f  # (5')
            product_and(nothing[:H], dh[low : low + stop - row], rows[row:stop], w_hh)
        if len(dx):
            multiply_group(dx, 0, nothing, rows, w_ih, group, starts, groups, low, high)


@loop(ROWS, BLOCKS, BLOCKS, BLOCKS, NUMBERS, NUMBERS, ROWS, BLOCKS, ROWS, PLACES, PLACES, PLACE, PLACE, FLAG, FLAG)
def gru_forward(
    x: Any, w_ih: Any, w_hrz: Any, w_hn: Any, bias: Any, b_hn: Any, h: Any, kept: Any, y: Any, starts: Any, groups: Any,
    low: int, high: int, keep: bool, last_first: bool,
) -> None:  # fmt: skip
    """The outputs y (N, H), and r, z, n, s, d of each row in kept (N, 5, H), unless `keep` is false; h (B, H) is
    carried on. `bias` (3H,) has every bias but b_hn (H,), which stands inside the product with r."""
    H = h.shape[1]
    if not keep:
        kept = room_for_a_group(starts, groups, H)
    rows = kept.reshape(len(kept), 5 * H)
    for group in order(0, len(groups) - 1, last_first):
        back = 0 if keep else starts[groups[group]]
        multiply_group(rows[:, : 3 * H], back, bias, x, w_ih, group, starts, groups, low, high)
        for step in order(groups[group], groups[group + 1], last_first):
            row, stop = starts[step] + low, end_of(step, starts, high)
            before, product = h[low : low + stop - row], rows[row - back : stop - back, 3 * H : 4 * H]
            product_and(b_hn, product, before, w_hn)
            add_product(rows[row - back : stop - back, : 2 * H], before, w_hrz)
            for n in range(row, stop):
                at, k = n - starts[step], n - back
                for j in range(H):
                    r, z, s = sigmoid(kept[k, 0, j]), sigmoid(kept[k, 1, j]), kept[k, 3, j]  # (1), (2)
                    new = tanh(kept[k, 2, j] + r * s)  # (3), n of the equations; n is a row here
                    d = h[at, j] - new
                    kept[k, 0, j], kept[k, 1, j], kept[k, 2, j], kept[k, 4, j] = r, z, new, d
                    h[at, j] = y[n, j] = new + z * d  # (4)


@loop(BLOCKS, BLOCKS, BLOCKS, BLOCKS, ROWS, ROWS, ROWS, PLACES, PLACES, PLACE, PLACE, FLAG)
def gru_backward(
    kept: Any, da: Any, w_ih: Any, w_hh: Any, dy: Any, dh: Any, dx: Any, starts: Any, groups: Any, low: int, high: int, last_first: bool
) -> None:
    """da (N, 4, H): the gradients of the pre-activations of n, r, z, and of s, are written, and so is dx (N, I), unless it has no
    rows; dh (B, H) is carried on. dy (N, H), if it has rows, comes on top of it."""
    H = dh.shape[1]
    nothing = np.zeros(max(H, dx.shape[1]), np.float32)
    rows = da.reshape(len(da), 4 * H)
    for group in order(0, len(groups) - 1, last_first):
        for step in order(groups[group], groups[group + 1], last_first):
            row, stop = starts[step] + low, end_of(step, starts, high)
            for n in range(row, stop):
                at = n - starts[step]
                add_row(dh, at, dy, n)
                for j in range(H):
                    r, z, new, s, d = kept[n, 0, j], kept[n, 1, j], kept[n, 2, j], kept[n, 3, j], kept[n, 4, j]
                    e = dh[at, j]
                    dn = e * (ONE - z) * (ONE - new * new)  # (3'), (4')
                    ds = dn * r
                    da[n, 0, j] = dn
                    da[n, 1, j] = ds * s * (ONE - r)  # (1'), (3')
                    da[n, 2, j] = e * d * z * (ONE - z)  # (2'), (4')
                    da[n, 3, j] = ds
                    dh[at, j] = e * z  # (4')
            add_product(dh[low : low + stop - row], rows[row:stop, H:], w_hh)
        if len(dx):
            multiply_group(dx, 0, nothing, rows[:, : 3 * H], w_ih, group, starts, groups, low, high)
