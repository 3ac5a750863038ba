"""Products of matrices in a loop over time, handed to cuBLAS without being looked at in every step.

`xp.matmul(rows[first : first + b], matrix, out=out[:b])` makes two views, then looks at the shapes, types and strides of three
arrays, and asks for a product at last. On a GPU a step is as short as that takes. Here all is looked at once, before the
loop: where the arrays lie does not change in it.

cuBLAS counts along columns, arrays here along rows. Memory that holds rows of a matrix holds columns of its transpose, so what it
is asked for is outᵀ = matrixᵀ @ rowsᵀ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.backend import Array, takes_tf32

__all__ = ["multiplier"]

AS_IS, TRANSPOSED = 0, 1  # as CUDA numbers them, in cublas_api.h and library_types.h
R_32F, R_64F, R_16F = 0, 1, 2  # types of elements
IN_32F, IN_64F, IN_32F_FAST_TF32 = 68, 70, 77  # types in which sums are taken
ANY_ALGORITHM = -1
KINDS = {"e": (R_16F, IN_32F, np.float32), "f": (R_32F, IN_32F, np.float32), "d": (R_64F, IN_64F, np.float64)}


def multiplier(xp: Any, rows: Array, matrix: Array, out: Array) -> Callable[..., None]:
    """multiply(b, first=0), which computes out[:b] = rows[first : first + b] @ matrix.

    Shapes: rows (N, K) and out (B, M) without gaps, matrix (K, M) of any strides
    Raises: TypeError for shapes, dtypes or strides that do not go together
    """
    _check(rows, matrix, out)
    (K, M), step = matrix.shape, rows.shape[1] * rows.itemsize
    matrix, how, apart = _in_columns(xp, matrix)
    kind, in_type, number = KINDS[matrix.dtype.char]
    if kind == R_32F and takes_tf32():  # as in CuPy's own products
        in_type = IN_32F_FAST_TF32
    one, zero = np.ones(1, number), np.zeros(1, number)
    gemm, handle = xp.cublas.gemmEx, xp.library.cuda.get_cublas_handle()
    one_at, zero_at, matrix_at, rows_at, out_at = one.ctypes.data, zero.ctypes.data, matrix.data.ptr, rows.data.ptr, out.data.ptr

    def multiply(b: int, first: int = 0) -> None:
        if b and M:
            gemm(
                handle, how, AS_IS, M, b, K, one_at, matrix_at, kind, apart, rows_at + first * step, kind, K,
                zero_at, out_at, kind, M, in_type, ANY_ALGORITHM,
            )  # fmt: skip

    multiply.held = (one, zero, matrix, rows, out)  # type: ignore[attr-defined]  # as long as their addresses are
    return multiply


def _in_columns(xp: Any, matrix: Array) -> tuple[Array, int, int]:
    """A matrix (K, M), copied if need be, how its memory is to be read as columns of (M, K), and how far apart they are."""
    (K, M), (down, along), size = matrix.shape, matrix.strides, matrix.itemsize
    if (along == size or M == 1) and (down >= M * size or K == 1):
        return matrix, AS_IS, M if K == 1 else down // size
    if (down == size or K == 1) and (along >= K * size or M == 1):
        return matrix, TRANSPOSED, K if M == 1 else along // size
    return _in_columns(xp, xp.ascontiguousarray(matrix))


def _check(rows: Array, matrix: Array, out: Array) -> None:
    K, M = matrix.shape
    fitting = rows.shape[1:] == (K,) and out.shape[1:] == (M,) and rows.dtype == matrix.dtype == out.dtype
    if not fitting or not rows.flags.c_contiguous or not out.flags.c_contiguous or matrix.dtype.char not in KINDS:
        shown = ", ".join(f"{each.dtype} {each.shape} with strides {each.strides}" for each in (rows, matrix, out))
        raise TypeError(f"expected rows (N, K), a matrix (K, M) and room (B, M) of one dtype, rows and room without gaps, got {shown}")
