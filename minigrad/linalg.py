"""Linear algebra as far as networks need it, under the names of torch.linalg. Factorisations are NumPy's: x.numpy().

Source: https://docs.pytorch.org/docs/stable/linalg.html
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import backend, ops
from .missing import explain
from .ops import diagonal, matmul, matrix_power
from .ops.elementwise import _of, _require_same_device
from .tape import Variable, record

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = [
    "LinAlgError", "cross", "diagonal", "inv", "matmul", "matrix_norm", "matrix_power", "multi_dot", "norm", "solve", "vecdot",
    "vector_norm",
]  # fmt: skip


def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """y = (Σ |x|ᵒ)^(1/o) along `dim`, of all elements by default"""
    return ops.norm(x if dtype is None else x.to(dtype), ord, dim, keepdim)


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """y = the norm of matrices: "fro" (all elements as a vector), 1 or -1 (over columns), inf or -inf (over rows)"""
    A = A if dtype is None else A.to(dtype)
    if A.array.ndim < 2 or A.array.dtype.kind != "f":
        raise RuntimeError(f"matrix_norm needs matrices of floating point, got shape {tuple(A.shape)} of {A.dtype}")
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise RuntimeError(f"matrix_norm needs two dims, those of rows and of columns, got {dim}")
    if ord == "fro":
        return ops.norm(A, 2, dim, keepdim)
    if ord not in (1, -1, math.inf, -math.inf):
        raise NotImplementedError(f"matrix_norm has 'fro', 1, -1, inf and -inf, not {ord!r}; for singular values: numpy.linalg.norm")
    rows, columns = (axis % A.array.ndim for axis in dim)
    summed, left = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = A.abs().sum(summed, keepdim=True)
    y = sums.amax(left, keepdim=True) if ord > 0 else sums.amin(left, keepdim=True)
    return y if keepdim else y.squeeze((rows, columns))


def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The vector norm, or with two dims (or a matrix and an `ord`) the matrix norm"""
    if isinstance(dim, (tuple, list)) and len(dim) not in (1, 2):
        raise RuntimeError(f"linalg.norm is of vectors along one dim or of matrices along two, got {tuple(dim)}; use vector_norm")
    if ord is not None and dim is None and A.array.ndim not in (1, 2):
        raise RuntimeError(f"linalg.norm with an ord, {ord!r}, needs a vector or a matrix, or a dim, got shape {tuple(A.shape)}")
    if ord is None or (isinstance(dim, int) or (dim is not None and len(dim) == 1) or (dim is None and A.array.ndim == 1)):
        return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)
    return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)


def inv(A: Any) -> Tensor:
    """Y = A⁻¹        dA = -Yᵀ dY Yᵀ"""
    value = _solved(lambda: _of(A.array).inv(_square(A)))
    rule = lambda xp, dy, y: -(y.swapaxes(-1, -2) @ dy @ y.swapaxes(-1, -2))
    return record("inv", value, (A,), (rule,), (value,))


def solve(A: Any, B: Any) -> Tensor:
    """The X for which A X = B; a vector B where it has one axis less than A        dB = A⁻ᵀ dX        dA = -dB Xᵀ"""
    if B.array.ndim == 1 or (B.array.ndim == A.array.ndim - 1 and B.array.shape == A.array.shape[:-1]):
        return solve(A, B.unsqueeze(-1)).squeeze(-1)
    _require_same_device(A.array, B.array)
    if A.array.dtype != B.array.dtype:
        raise RuntimeError(f"solve needs A and B of one dtype, got {A.dtype} and {B.dtype}")
    value = _solved(lambda: _of(A.array).solve(_square(A), B.array))
    rule = (
        lambda xp, dy, A, x: -(_solve(A.swapaxes(-1, -2), dy) @ x.swapaxes(-1, -2)),
        lambda xp, dy, A, x: _solve(A.swapaxes(-1, -2), dy),
    )
    return record("solve", value, (A, B), rule, (A, value))


def _solve(A: Any, b: Any) -> Any:
    return solve(A, b) if isinstance(A, Variable) else backend.of(A).solve(A, b)


def _square(A: Any) -> Any:
    shape = tuple(A.array.shape)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise RuntimeError(f"expected square matrices, got shape {shape}")
    if A.array.dtype.kind != "f":
        raise RuntimeError(f"expected floating point, got {A.dtype}; use x.float()")
    return A.array


def _solved(compute: Any) -> Any:
    try:
        return compute()
    except np.linalg.LinAlgError as problem:
        raise LinAlgError(f"{problem}: no solution, or many") from None
    except ValueError as problem:
        raise RuntimeError(f"the sizes do not go together: {problem}") from None


class LinAlgError(RuntimeError):
    """A matrix has no inverse."""


def multi_dot(tensors: Any) -> Tensor:
    """y = the product of several matrices, from left to right"""
    product = tensors[0]
    for each in tensors[1:]:
        product = matmul(product, each)
    return product


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Tensor:
    """z = Σ x y along `dim`"""
    return (x * y).sum(dim)


def cross(input: Any, other: Any, *, dim: int = -1) -> Tensor:
    """y = the vector at right angles to two others, along an axis of size 3"""
    return ops.cross(input, other, dim)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise AttributeError(explain("linalg", name, __all__))
