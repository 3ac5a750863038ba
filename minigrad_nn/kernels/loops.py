"""What happens to a step's numbers between two products, each cell's in one loop: compiled by Numba, float32, on a CPU.

The kernels do the same by one NumPy call per operation, and each call is a pass over memory: an LSTM step makes about
twenty. Here every number is read once and written once. Read lstm.py and gru.py first: the equation numbers are theirs.

All arrays are flat: n = H · b numbers for a state, rows of n for gates. This file needs Numba; `compiled.py` decides
whether it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["gru_backward", "gru_forward", "lstm_backward", "lstm_forward", "tanh"]

HALF, ONE = np.float32(0.5), np.float32(1)

# tanh(a) = a p(a²) / q(a²) up to |a| = 8, and ±1 beyond, so that a gate can be shut altogether. The coefficients, from a⁰
# on, were fitted by least squares with weights that level the largest relative error; a test holds them against tanh.
LIMIT = np.float32(8)
P0, P1, P2, P3, P4 = (np.float32(p) for p in (0.99999999, 0.1344454692, 0.003571656123, 2.1895620701e-05, 1.5231758224e-08))
Q1, Q2, Q3, Q4 = (np.float32(q) for q in (0.46777874263, 0.026164663975, 0.00034113871034, 8.522992341e-07))


def loop(signature: str) -> Callable[[Any], Any]:
    """Compile for these types; kept beside this file, or wherever Numba can write, for the next start.

    Where nothing can be kept (no place to write to, a full disk), or what was kept is damaged, it is compiled at every start.
    `contract` lets a · b + c be one instruction; NaN and inf stay what they are.
    """
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz"}, "nogil": True}

    def compile_it(function: Any) -> Any:
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except Exception:  # whatever befell the cache; what is wrong with the function itself is said by the next line
            return numba.njit(signature, **options)(function)

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


@loop("void(f4[:, ::1], f4[:, ::1], f4[::1], f4[::1])")
def lstm_forward(kept: Any, recurrent: Any, c: Any, h: Any) -> None:
    """kept (5, n): from the projected inputs of i, f, g, o in its first rows to i, f, g, o, v. c is carried on; h is written."""
    for j in range(c.size):
        i = sigmoid(kept[0, j] + recurrent[0, j])  # (1)
        f = sigmoid(kept[1, j] + recurrent[1, j])  # (2)
        g = tanh(kept[2, j] + recurrent[2, j])  # (3)
        o = sigmoid(kept[3, j] + recurrent[3, j])  # (4)
        v = f * c[j]
        kept[0, j], kept[1, j], kept[2, j], kept[3, j], kept[4, j] = i, f, g, o, v
        c[j] = v + i * g  # (5)
        h[j] = o * tanh(c[j])  # (6)


@loop("void(f4[:, ::1], f4[:, ::1], f4[::1], f4[::1], f4[::1])")
def lstm_backward(kept: Any, da: Any, dy: Any, dh: Any, dc: Any) -> None:
    """da (4, n): the gradients of the pre-activations of i, f, g, o is written; dc is carried on. dy comes on top of dh."""
    for j in range(dc.size):
        i, f, g, o, v = kept[0, j], kept[1, j], kept[2, j], kept[3, j], kept[4, j]
        u, d = i * g, dh[j] + dy[j]
        t = tanh(u + v)
        m = o * t
        e = dc[j] + d * (o - m * t)  # (6')
        da[0, j] = e * u * (ONE - i)  # (1')
        da[1, j] = e * v * (ONE - f)  # (2')
        da[2, j] = e * (i - u * g)  # (3')
        da[3, j] = d * m * (ONE - o)  # (4')
        dc[j] = e * f  # (5')


@loop("void(f4[:, ::1], f4[:, ::1], f4[::1], f4[::1], f4[::1])")
def gru_forward(kept: Any, recurrent: Any, inside: Any, before: Any, h: Any) -> None:
    """kept (5, n): from the projected inputs of r, z, n in its first rows to r, z, n, s, d. h is written."""
    for j in range(h.size):
        r = sigmoid(kept[0, j] + recurrent[0, j])  # (1)
        z = sigmoid(kept[1, j] + recurrent[1, j])  # (2)
        s = recurrent[2, j] + inside[j]
        n = tanh(kept[2, j] + r * s)  # (3)
        d = before[j] - n
        kept[0, j], kept[1, j], kept[2, j], kept[3, j], kept[4, j] = r, z, n, s, d
        h[j] = n + z * d  # (4)


@loop("void(f4[:, ::1], f4[:, ::1], f4[::1], f4[::1], f4[::1])")
def gru_backward(kept: Any, da: Any, dy: Any, dh: Any, directly: Any) -> None:
    """da (4, n): the gradients of the pre-activations of n, r, z, and of s, are written, and what dh passes on directly."""
    for j in range(dh.size):
        r, z, n, s, d = kept[0, j], kept[1, j], kept[2, j], kept[3, j], kept[4, j]
        e = dh[j] + dy[j]
        dn = e * (ONE - z) * (ONE - n * n)  # (3')
        ds = dn * r
        da[0, j] = dn
        da[1, j] = ds * s * (ONE - r)  # (1')
        da[2, j] = e * d * z * (ONE - z)  # (2')
        da[3, j] = ds
        directly[j] = e * z  # (4')
