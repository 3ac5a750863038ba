"""Tensors joined, cut, turned and put together in the many ways that have names; each in a line or three of other operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import types
from ..tape import Variable, wrap
from .create import clone, finish
from .elementwise import _of, _require_same_device, where
from .index import _chosen, _require_mask, diagonal, placed, safe_index
from .matrix import bmm, matmul, mv, outer
from .reduce import sum
from .shape import axis_of, cat, expand, flatten, flip, movedim, reshape, roll, split, stack, transpose

if TYPE_CHECKING:
    from ..tensor import Tensor


# -------------------------------------------------------------------------------------------------------------- joining


def atleast_1d(*tensors: Any) -> Any:
    """Tensors without axes get one; one tensor, or a tuple of several"""
    return _each(tensors, lambda x: x if x.array.ndim else reshape(x, 1))


def atleast_2d(*tensors: Any) -> Any:
    """Missing axes are put in front; one tensor, or a tuple of several"""
    return _each(tensors, lambda x: x if x.array.ndim > 1 else reshape(x, 1, -1))


def atleast_3d(*tensors: Any) -> Any:
    """At least three axes: a vector becomes (1, N, 1), a matrix (N, M, 1); one tensor, or a tuple of several"""
    return _each(tensors, lambda x: x if x.array.ndim > 2 else reshape(x, *x.array.shape, 1) if x.array.ndim == 2 else reshape(x, 1, -1, 1))


def _each(tensors: tuple[Any, ...], change: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Variable):
        return change(tensors[0])
    return tuple([change(each) for each in (tensors[0] if len(tensors) == 1 else tensors)])


def hstack(tensors: Sequence[Any]) -> Tensor:
    """y holds the tensors side by side: along the second axis, vectors along their only one"""
    joined = atleast_1d(*tensors) if len(tensors) > 1 else [atleast_1d(tensors[0])]
    return cat(joined, 0 if joined[0].array.ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Tensor:
    """y holds the tensors one below the other, vectors as rows"""
    return cat([atleast_2d(each) for each in tensors], 0)


def dstack(tensors: Sequence[Any]) -> Tensor:
    """y holds the tensors one behind the other, along the third axis"""
    return cat([atleast_3d(each) for each in tensors], 2)


def column_stack(tensors: Sequence[Any]) -> Tensor:
    """y holds the tensors side by side, vectors as columns"""
    return cat([each if each.array.ndim > 1 else reshape(each, -1, 1) for each in tensors], 1)


def block_diag(*tensors: Any) -> Tensor:
    """y holds the matrices along its diagonal, with zeros elsewhere"""
    blocks = [atleast_2d(each) for each in tensors]
    widths = [block.array.shape[1] for block in blocks]
    rows = []
    for place, block in enumerate(blocks):
        sides = [block.new_zeros(block.array.shape[0], int(np.sum(part))) for part in (widths[:place], widths[place + 1 :])]
        rows.append(cat([sides[0], block, sides[1]], 1))
    return cat(rows, 0)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors, each expanded to the shape they broadcast to"""
    shape = broadcast_shapes(*[each.array.shape for each in tensors])
    return tuple([expand(each, shape) for each in tensors])


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that several shapes broadcast to"""
    try:
        return types.Size(np.broadcast_shapes(*shapes))
    except ValueError as problem:
        raise RuntimeError(f"shapes {shapes} do not broadcast: counted from the last axis, sizes must be equal or 1") from problem


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """One grid per vector, on which it runs along its own axis: y₀[i, j] = x₀[i], y₁[i, j] = x₁[j]; "xy" swaps the first two axes"""
    vectors = list(tensors[0]) if len(tensors) == 1 and not isinstance(tensors[0], Variable) else list(tensors)
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"indexing must be 'ij' or 'xy', got {indexing!r}")
    sizes = [each.array.size for each in vectors]
    if any(each.array.ndim > 1 for each in vectors):
        raise RuntimeError(f"meshgrid needs vectors, got shapes {[tuple(each.shape) for each in vectors]}")
    grids = [expand(reshape(x, [-1 if axis == at else 1 for axis in range(len(sizes))]), sizes) for at, x in enumerate(vectors)]
    return tuple([transpose(grid, 0, 1) for grid in grids] if indexing == "xy" and len(grids) > 1 else grids)


def cartesian_prod(*tensors: Any) -> Tensor:
    """Every choice of one element from each vector, one per row"""
    return stack([flatten(grid) for grid in meshgrid(*tensors)], 1) if len(tensors) > 1 else tensors[0]


# -------------------------------------------------------------------------------------------------------------- cutting


def tensor_split(x: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """x cut along `dim` into so many nearly equal pieces, or before each of the positions listed"""
    if x.array.ndim == 0:
        raise RuntimeError("tensor_split needs an axis to cut, got a tensor without axes")
    size = x.array.shape[axis_of(x, dim)]
    given = indices_or_sections.array.tolist() if isinstance(indices_or_sections, Variable) else indices_or_sections
    if isinstance(given, int):
        if given <= 0:
            raise RuntimeError(f"tensor_split needs at least one section, got {given}")
        return split(x, [size // given + (place < size % given) for place in range(given)], dim)
    front = (slice(None),) * axis_of(x, dim)
    return tuple([x[(*front, slice(start, end))] for start, end in zip([None, *given], [*given, None], strict=True)])


def hsplit(x: Any, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along the second axis, of a vector along its only one"""
    return _exact_split("hsplit", x, indices_or_sections, 0 if x.array.ndim == 1 else 1, 1)


def vsplit(x: Any, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along the first axis"""
    return _exact_split("vsplit", x, indices_or_sections, 0, 2)


def dsplit(x: Any, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along the third axis"""
    return _exact_split("dsplit", x, indices_or_sections, 2, 3)


def _exact_split(name: str, x: Any, given: Any, dim: int, least: int) -> tuple[Tensor, ...]:
    if x.array.ndim < least:
        raise RuntimeError(f"{name} needs at least {least} axes, got shape {tuple(x.shape)}")
    if isinstance(given, int) and (given <= 0 or x.array.shape[dim] % given):
        raise RuntimeError(f"{name} cuts dim {dim} of shape {tuple(x.shape)} into equal pieces, which {given} of them are not")
    return tensor_split(x, given, dim)


def split_with_sizes(x: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """x cut along `dim` into pieces of the sizes listed"""
    return split(x, list(split_sizes), dim)


def unfold(x: Any, dimension: int, size: int, step: int = 1) -> Tensor:
    """y = windows of `size` entries along an axis, one every `step`; the window's own axis comes last. A copy, unlike PyTorch's"""
    axis = axis_of(x, dimension)
    length = x.array.shape[axis] if x.array.ndim else 1
    if not 0 <= size <= length or step <= 0:
        raise RuntimeError(f"unfold needs a window of at most {length} and a step of at least 1, got size {size} and step {step}")
    xp = _of(x.array)
    places = xp.arange(0, length - size + 1, step)[:, None] + xp.arange(size)
    if x.array.ndim == 0:
        return _chosen(reshape(x, 1), (places.reshape(-1),))
    return movedim(_chosen(x, (*(slice(None),) * axis, places)), axis + 1, -1)


# -------------------------------------------------------------------------------------------------------------- turning


def ravel(x: Any) -> Tensor:
    """y has the same elements in the same order in one axis"""
    return reshape(x, -1)


def fliplr(x: Any) -> Tensor:
    """y has the second axis backwards"""
    if x.array.ndim < 2:
        raise RuntimeError(f"fliplr needs at least two axes, got shape {tuple(x.shape)}")
    return flip(x, 1)


def flipud(x: Any) -> Tensor:
    """y has the first axis backwards"""
    if x.array.ndim < 1:
        raise RuntimeError("flipud needs an axis, got a tensor without axes")
    return flip(x, 0)


def rot90(x: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """y is turned k times by 90°, from the first towards the second of two axes"""
    if len(dims) != 2 or x.array.ndim < 2:
        raise RuntimeError(f"rot90 turns in two different dims, got {tuple(dims)} for shape {tuple(x.shape)}")
    one, other = axis_of(x, dims[0]), axis_of(x, dims[1])
    if one == other:
        raise RuntimeError(f"rot90 turns in two different dims, got {tuple(dims)} for shape {tuple(x.shape)}")
    if k % 4 == 2:
        return flip(x, one, other)
    if k % 4 == 0:
        return clone(x)
    return flip(transpose(x, one, other), one if k % 4 == 1 else other)


def adjoint(x: Any) -> Tensor:
    """y has the last two axes swapped"""
    return transpose(x, -2, -1)


# ------------------------------------------------------------------------------------------------------------ diagonals


def diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """y holds the last axis of x on a diagonal of two new axes, zeros elsewhere        dx = that diagonal of dy"""
    if x.array.ndim == 0:
        raise IndexError("diag_embed needs an axis, got a tensor without axes")
    length = x.array.shape[-1]
    size = length + abs(offset)
    steps = _of(x.array).arange(length)
    place = (..., steps + max(-offset, 0), steps + max(offset, 0))
    y = placed(x, (*x.array.shape[:-1], size, size), place, False)
    return movedim(y, (-2, -1), (dim1, dim2))


def diag(x: Any, diagonal: int = 0) -> Tensor:
    """A matrix with a vector on its diagonal, or a matrix's diagonal as a vector"""
    if x.array.ndim not in (1, 2):
        raise RuntimeError(f"diag needs a vector or a matrix, got shape {tuple(x.shape)}")
    return diag_embed(x, diagonal) if x.array.ndim == 1 else x.diagonal(diagonal)


def diagflat(x: Any, offset: int = 0) -> Tensor:
    """A matrix with all elements of x on its diagonal"""
    return diag_embed(reshape(x, -1), offset)


def trace(x: Any) -> Tensor:
    """y = the sum of a matrix's diagonal"""
    if x.array.ndim != 2:
        raise RuntimeError(f"trace needs a matrix, got shape {tuple(x.shape)}")
    return sum(diagonal(x))


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = "int64", device: Any = None) -> Tensor:
    """The rows and the columns, (2, N), of a matrix's entries on and below a diagonal"""
    return _indices(np.tril_indices(row, offset, col), dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = "int64", device: Any = None) -> Tensor:
    """The rows and the columns, (2, N), of a matrix's entries on and above a diagonal"""
    return _indices(np.triu_indices(row, offset, col), dtype, device)


def _indices(pairs: Any, dtype: Any, device: Any) -> Tensor:
    return finish(np.stack(pairs), dtype, device, False)


# ------------------------------------------------------------------------------------------------------------- products


def cross(a: Any, b: Any, dim: int | None = None) -> Tensor:
    """y = the vector at right angles to a and b, along an axis of size 3 (the first such)"""
    axis = (list(a.array.shape).index(3) if 3 in a.array.shape else 0) if dim is None else axis_of(a, dim)
    if a.array.ndim == 0 or a.array.shape[axis] != 3 or b.array.shape[axis] != 3:
        raise RuntimeError(f"cross needs an axis of size 3, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return roll(a, -1, axis) * roll(b, -2, axis) - roll(a, -2, axis) * roll(b, -1, axis)


def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta input + alpha mat vec"""
    return _weighted(input, mv(mat, vec), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta input + alpha vec1 vec2ᵀ"""
    return _weighted(input, outer(vec1, vec2), beta, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta input + alpha Σᵢ batch1[i] batch2[i]"""
    return _weighted(input, sum(bmm(batch1, batch2), 0), beta, alpha)


def _weighted(input: Any, product: Any, beta: float, alpha: float) -> Tensor:
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else (input if beta == 1 else input * beta) + product


def matrix_power(x: Any, n: int) -> Tensor:
    """y = x x … x, n times, for square matrices; the identity for n = 0"""
    if n < 0:
        raise RuntimeError(f"matrix_power needs n of 0 or more, got {n}; invert first: minigrad.linalg.inv(x)")
    if x.array.ndim < 2 or x.array.shape[-1] != x.array.shape[-2]:
        raise RuntimeError(f"matrix_power needs square matrices, got shape {tuple(x.shape)}")
    if n == 0:
        return expand(wrap(_of(x.array).eye(x.array.shape[-1], dtype=x.array.dtype)), x.array.shape)
    result = None
    while n:
        result = x if n & 1 and result is None else matmul(result, x) if n & 1 else result
        n >>= 1
        x = matmul(x, x) if n else x
    return clone(result) if result is x else result  # type: ignore[return-value]


# ---------------------------------------------------------------------------------------------------- put at a position


def take(x: Any, index: Any) -> Tensor:
    """y = the elements of the flattened x at the positions in `index`"""
    return reshape(x, -1)[index]


def index_copy(x: Any, dim: int, index: Any, source: Any) -> Tensor:
    """y = x with the entries along `dim` that a vector of integers names replaced by those of `source`"""
    axis = axis_of(x, dim)
    ids = _of(index.array).in_range(index.array, 0, x.array.shape[axis] - 1, "index_copy: ids")
    y = clone(x)
    y[(*(slice(None),) * axis, wrap(ids))] = source
    return y


def index_fill(x: Any, dim: int, index: Any, value: Any) -> Tensor:
    """y = x with one number in the entries along `dim` that a vector of integers names"""
    axis = axis_of(x, dim)
    if isinstance(value, Variable) and value.array.ndim:
        raise RuntimeError(f"index_fill takes a number or a tensor without axes, got shape {tuple(value.array.shape)}")
    y = clone(x)
    y[(*(slice(None),) * axis, index)] = value
    return y


def index_put(x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Tensor:
    """y = x with y[indices] = values, or with the values added there, every time a position is named, if `accumulate`"""
    if not accumulate:
        y = clone(x)
        y[tuple(indices)] = values
        return y
    _require_alike("index_put", x, values)
    place = safe_index(x, indices)
    return x + placed(expand(values, x.array[place].shape), x.array.shape, place, True)


def _require_alike(name: str, x: Any, source: Any) -> None:
    _require_same_device(x.array, source.array)
    if source.array.dtype != x.array.dtype:
        raise RuntimeError(f"{name} needs a source of the tensor's dtype, {x.dtype}, got {source.dtype}; use source.to(x.dtype)")


def masked_scatter(x: Any, mask: Any, source: Any) -> Tensor:
    """y = x with the first elements of `source`, in order, where the mask holds"""
    _require_mask(x, mask)
    _require_alike("masked_scatter", x, source)
    xp, size = _of(x.array), source.array.size
    x = expand(x, broadcast_shapes(x.array.shape, mask.array.shape))
    mask = xp.broadcast_to(mask.array, x.array.shape)
    counts = xp.cumsum(mask.reshape(-1))
    xp.refuse_where(counts[-1:] > size, RuntimeError(f"masked_scatter: the mask holds more often than the source's {size} elements"))
    if size == 0:
        return clone(x)
    place = (counts - 1).clip(0, size - 1).reshape(mask.shape)
    return where(wrap(mask), _chosen(reshape(source, -1), (place,)), x)
