"""A run of steps of each cell as one loop, compiled by Numba: float32, on a CPU.

Without it the kernels make one NumPy call per operation, and each call costs a microsecond and a pass over memory: an LSTM
step makes eleven, and seven more backward. Here a step is one call of BLAS and one pass over its numbers, and no step comes
back to Python. Read rnn.py, lstm.py and gru.py first: the equation numbers are theirs.

A state (H, b) is flat here, n = H · b numbers, and gates are rows of n; a product of (4H, b) numbers therefore fills the first four
rows of `kept[k]`, and with a factor of ONE is added to what stands there. `last_first` is the order of computing: from the last of
K steps to the first, as a forward pass does in a layer that reads in reverse, and a backward pass in one that does not.

This file needs Numba; `compiled.py` decides whether it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types

from .products import multiply, threads, threads_wait_briefly, use_threads

__all__ = [
    "gru_backward", "gru_forward", "lstm_backward", "lstm_forward", "rnn_backward", "rnn_forward", "tanh", "threads",
    "threads_wait_briefly", "use_threads",
]  # fmt: skip

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)

# tanh(a) = a p(a²) / q(a²) up to |a| = 8, and ±1 beyond, so that a gate can be shut altogether. The coefficients, from a⁰
# on, were fitted by least squares with weights that level the largest relative error; a test holds them against tanh.
LIMIT = np.float32(8)
P0, P1, P2, P3, P4 = (np.float32(p) for p in (0.99999999, 0.1344454692, 0.003571656123, 2.1895620701e-05, 1.5231758224e-08))
Q1, Q2, Q3, Q4 = (np.float32(q) for q in (0.46777874263, 0.026164663975, 0.00034113871034, 8.522992341e-07))

# Kinds of arguments.
FLAT, ROWS, BLOCKS = (types.Array(types.float32, axes, "C") for axes in (1, 2, 3))
WEIGHTS, FLAG = types.Array(types.float32, 2, "C", readonly=True), types.boolean  # weights may be memory that nobody may write to


def loop(*arguments: Any) -> Callable[[Any], Any]:
    """Compile for these types of arguments; kept beside this file, or wherever Numba can write, for the next start.

    Where nothing can be kept (no place to write to, a full disk), or what was kept is damaged, it is compiled at every start.
    `contract` lets a · b + c be one instruction; NaN and inf stay what they are.
    """
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz"}, "nogil": True}

    def compile_it(function: Any) -> Any:
        try:
            return numba.njit(types.void(*arguments), cache=True, **options)(function)
        except Exception:  # whatever befell the cache; what is wrong with the function itself is said by the next line
            return numba.njit(types.void(*arguments), **options)(function)

    return compile_it


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


@loop(ROWS, WEIGHTS, ROWS, FLAG, FLAG)
def rnn_forward(states: Any, w_hh: Any, h: Any, relu: bool, last_first: bool) -> None:
    """states (K, n): from projected inputs to states. h (H, b) is carried on."""
    (K, n), b = states.shape, h.shape[1]
    before = last = h.reshape(n)
    for k in range(K - 1, -1, -1) if last_first else range(K):
        multiply(w_hh, False, before, b, ONE, states[k])
        before = states[k]
        for j in range(n):
            before[j] = (ZERO if before[j] < ZERO else before[j]) if relu else tanh(before[j])  # (1)
    last[:] = before


@loop(ROWS, ROWS, WEIGHTS, ROWS, ROWS, FLAG, FLAG)
def rnn_backward(states: Any, da: Any, w_hh: Any, dy: Any, dh: Any, relu: bool, last_first: bool) -> None:
    """da (K, n): the gradients of the pre-activations are written; dh (H, b) is carried on. dy (K, n) comes on top of it."""
    (K, n), b = states.shape, dh.shape[1]
    flat = dh.reshape(n)
    for k in range(K - 1, -1, -1) if last_first else range(K):
        for j in range(n):
            d, h = flat[j] + dy[k, j], states[k, j]
            slope = (ONE if h > ZERO else ZERO if h == ZERO else h) if relu else ONE - h * h
            da[k, j] = d * slope  # (1')
        multiply(w_hh, True, da[k], b, ZERO, flat)


@loop(BLOCKS, WEIGHTS, ROWS, FLAT, ROWS, FLAG)
def lstm_forward(kept: Any, w_hh: Any, h: Any, c: Any, outputs: Any, last_first: bool) -> None:
    """kept (K, 5, n): from the projected inputs of i, f, g, o in its first rows to i, f, g, o, v. h (H, b) and c (n,) are
    carried on; outputs (K, n) is written."""
    (K, n), b = outputs.shape, h.shape[1]
    before = last = h.reshape(n)
    for k in range(K - 1, -1, -1) if last_first else range(K):
        multiply(w_hh, False, before, b, ONE, kept[k])
        before = outputs[k]
        for j in range(n):
            i, f = sigmoid(kept[k, 0, j]), sigmoid(kept[k, 1, j])  # (1), (2)
            g, o = tanh(kept[k, 2, j]), sigmoid(kept[k, 3, j])  # (3), (4)
            v = f * c[j]
            kept[k, 0, j], kept[k, 1, j], kept[k, 2, j], kept[k, 3, j], kept[k, 4, j] = i, f, g, o, v
            c[j] = v + i * g  # (5)
            before[j] = o * tanh(c[j])  # (6)
    last[:] = before


@loop(BLOCKS, BLOCKS, WEIGHTS, ROWS, ROWS, FLAT, FLAG)
def lstm_backward(kept: Any, da: Any, w_hh: Any, dy: Any, dh: Any, dc: Any, last_first: bool) -> None:
    """da (K, 4, n): the gradients of the pre-activations of i, f, g, o are written; dh (H, b) and dc (n,) are carried on.
    dy (K, n) comes on top of dh."""
    (K, n), b = dy.shape, dh.shape[1]
    flat = dh.reshape(n)
    for k in range(K - 1, -1, -1) if last_first else range(K):
        for j in range(n):
            i, f, g, o, v = kept[k, 0, j], kept[k, 1, j], kept[k, 2, j], kept[k, 3, j], kept[k, 4, j]
            u, d = i * g, flat[j] + dy[k, j]
            t = tanh(u + v)
            m = o * t
            e = dc[j] + d * (o - m * t)  # (6')
            da[k, 0, j] = e * u * (ONE - i)  # (1')
            da[k, 1, j] = e * v * (ONE - f)  # (2')
            da[k, 2, j] = e * (i - u * g)  # (3')
            da[k, 3, j] = d * m * (ONE - o)  # (4')
            dc[j] = e * f  # (5')
        multiply(w_hh, True, da[k], b, ZERO, flat)


@loop(BLOCKS, WEIGHTS, FLAT, ROWS, ROWS, FLAG)
def gru_forward(kept: Any, w_hh: Any, inside: Any, h: Any, outputs: Any, last_first: bool) -> None:
    """kept (K, 5, n): from the projected inputs of r, z, n in its first rows to r, z, n, s, d. inside (n,) is b_hn for each
    number of s; h (H, b) is carried on; outputs (K, n) is written."""
    (K, n), b = outputs.shape, h.shape[1]
    recurrent = np.empty((3, n), np.float32)
    before = last = h.reshape(n)
    for k in range(K - 1, -1, -1) if last_first else range(K):
        multiply(w_hh, False, before, b, ZERO, recurrent)
        now = outputs[k]
        for j in range(n):
            r = sigmoid(kept[k, 0, j] + recurrent[0, j])  # (1)
            z = sigmoid(kept[k, 1, j] + recurrent[1, j])  # (2)
            s = recurrent[2, j] + inside[j]
            a = tanh(kept[k, 2, j] + r * s)  # (3)
            d = before[j] - a
            kept[k, 0, j], kept[k, 1, j], kept[k, 2, j], kept[k, 3, j], kept[k, 4, j] = r, z, a, s, d
            now[j] = a + z * d  # (4)
        before = now
    last[:] = before


@loop(BLOCKS, BLOCKS, WEIGHTS, ROWS, ROWS, FLAG)
def gru_backward(kept: Any, da: Any, w_hh: Any, dy: Any, dh: Any, last_first: bool) -> None:
    """da (K, 4, n): the gradients of the pre-activations of n, r, z, and of s, are written; dh (H, b) is carried on.
    dy (K, n) comes on top of it."""
    (K, n), b = dy.shape, dh.shape[1]
    flat = dh.reshape(n)
    for k in range(K - 1, -1, -1) if last_first else range(K):
        for j in range(n):
            r, z, a, s, d = kept[k, 0, j], kept[k, 1, j], kept[k, 2, j], kept[k, 3, j], kept[k, 4, j]
            e = flat[j] + dy[k, j]
            dn = e * (ONE - z) * (ONE - a * a)  # (3')
            ds = dn * r
            da[k, 0, j] = dn
            da[k, 1, j] = ds * s * (ONE - r)  # (1')
            da[k, 2, j] = e * d * z * (ONE - z)  # (2')
            da[k, 3, j] = ds
            flat[j] = e * z  # (4')
        multiply(w_hh, True, da[k, 1:], b, ONE, flat)
