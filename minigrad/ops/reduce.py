"""Operations that gather many elements into fewer, and their running forms."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import types
from ..tape import Variable, record, wrap
from .elementwise import _floating, _of, _quiet, _refuse, _require_same_device
from .shape import axes_of, axis_of

if TYPE_CHECKING:
    from ..tensor import Tensor


class ValuesAndIndices(NamedTuple):
    """What max, min, sort and topk return along an axis: the values, and where they stood."""

    values: Tensor
    indices: Tensor


Dims = int | Sequence[int] | None


def _axes(x: Any, dim: Dims) -> tuple[int, ...]:
    """The axes to reduce; all of them for None and for ()."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(x.array.ndim))
    axes = axes_of(x, [dim] if isinstance(dim, int) else dim)
    return axes if x.array.ndim else ()


def _spread(xp: Any, dy: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """dy, whose `axes` were reduced away, repeated along them to `shape`."""
    return xp.broadcast_to(dy.reshape(tuple([1 if axis in axes else size for axis, size in enumerate(shape)])), shape)


# -------------------------------------------------------------------------------------------------------- sums and products


def sum(x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, axis: Dims = None, keepdims: bool = False) -> Tensor:
    """y = Σ x along `dim`, all axes by default        dx = dy, repeated

    Integers and bools are counted in int64. `axis` and `keepdims` are NumPy's names for the same arguments.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.sum.html

    >>> import minigrad
    >>> minigrad.ones(2, 3).sum(dim=1)
    tensor([3., 3.])
    """
    axes, shape = _axes(x, dim if axis is None else axis), x.array.shape
    if keepdim.__class__ is int:
        raise TypeError(f"sum() takes several dims as one tuple: sum(({dim}, {keepdim}))")
    kind = types.numpy_dtype(dtype) if dtype is not None else _counting(x.array)
    with _quiet():
        value = x.array.sum(axis=axes, dtype=_wide(kind), keepdims=keepdim or keepdims).astype(kind, copy=False)
    return record("sum", value, (x,), (lambda xp, dy: _spread(xp, dy, axes, shape),))


def _counting(array: Any) -> Any:
    return array.dtype if array.dtype.kind == "f" else np.dtype(np.int64)


_HALF, _SINGLE = np.dtype(np.float16), np.dtype(np.float32)


def _wide(kind: Any) -> Any:
    """The dtype to add up in: float32 for float16, whose 2049th one would no longer count."""
    return _SINGLE if kind is _HALF else kind


def _widened(array: Any) -> Any:
    return array.astype(_SINGLE) if array.dtype is _HALF else array


def mean(x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, axis: Dims = None, keepdims: bool = False) -> Tensor:
    """y = Σ x / n along `dim`        dx = dy / n, repeated"""
    array = x.array if dtype is None else x.array.astype(types.numpy_dtype(dtype))
    if array.dtype.kind != "f":
        raise RuntimeError(f"the mean of {x.dtype} is not of that type; use x.float().mean()")
    axes, shape = _axes(x, dim if axis is None else axis), array.shape
    count = math.prod([shape[each] for each in axes])
    with _quiet():
        wide = _widened(array)
        value = (wide.sum(axis=axes, keepdims=keepdim or keepdims) / _divisor(wide, count)).astype(array.dtype, copy=False)
    return record("mean", value, (x,), (lambda xp, dy: _spread(xp, dy / (count or 1), axes, shape),))


def _divisor(array: Any, count: float) -> Any:
    """A count to divide by, as an array's own kind of number, so that dividing by 0 gives NaN rather than an error."""
    return array.dtype.type(count)


def prod(x: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """y = Π x along `dim`        dx = dy times the product of all the other elements, right where some are 0"""
    if dim is None:
        return prod(x.reshape(-1), 0, dtype=dtype)
    axis = axis_of(x, dim)
    kind = types.numpy_dtype(dtype) if dtype is not None else _counting(x.array)
    if x.array.ndim == 0:
        return x.to(types.of_numpy(kind)) * 1
    with _quiet():
        value = x.array.prod(axis=axis, dtype=_wide(kind), keepdims=keepdim).astype(kind, copy=False)

    def rule(xp: Any, dy: Any, x: Any) -> Any:
        before, after = _product_before(xp, x, axis), xp.flip(_product_before(xp, xp.flip(x, (axis,)), axis), (axis,))
        return dy.reshape(tuple([1 if each == axis else size for each, size in enumerate(x.shape)])) * (before * after)

    return record("prod", value, (x,), (rule,), (x,))


def _product_before(xp: Any, x: Any, axis: int) -> Any:
    """For each element along `axis`, the product of those before it."""
    front = (slice(None),) * axis
    first = x[(*front, slice(0, 1))]
    return xp.concatenate([xp.ones_like(first), xp.cumprod(x[(*front, slice(0, -1))], axis)], axis) if x.shape[axis] else x


def cumsum(x: Any, dim: int | None = None, *, dtype: Any = None, axis: int | None = None) -> Tensor:
    """yₖ = x₀ + … + xₖ along `dim`        dxₖ = dyₖ + dyₖ₊₁ + …"""
    along = axis_of(x, _given(dim, axis, "cumsum"))
    kind = types.numpy_dtype(dtype) if dtype is not None else _counting(x.array)
    if x.array.ndim == 0:
        return sum(x, dtype=kind)
    rule = lambda xp, dy: xp.flip(xp.cumsum(xp.flip(dy, (along,)), axis=along), (along,))
    with _quiet():
        value = _of(x.array).cumsum(x.array, axis=along, dtype=_wide(kind)).astype(kind, copy=False)
    return record("cumsum", value, (x,), (rule,))


def cumprod(x: Any, dim: int | None = None, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """yₖ = x₀ … xₖ along `dim`        dxⱼ = Σₖ dyₖ ∂yₖ/∂xⱼ, right where elements are 0"""
    along = axis_of(x, _given(dim, axis, "cumprod"))
    kind = types.numpy_dtype(dtype) if dtype is not None else _counting(x.array)
    if x.array.ndim == 0:
        return prod(x, dtype=kind)
    with _quiet():
        value = _of(x.array).cumprod(x.array, axis=along, dtype=_wide(kind)).astype(kind, copy=False)

    def rule(xp: Any, dy: Any, x: Any) -> Any:
        # ∂yₖ/∂xⱼ is the product of x₀ … xₖ without xⱼ: what stands before j, times a running product that starts after j.
        front, length, before = (slice(None),) * along, x.shape[along], _product_before(xp, x, along)
        pieces = []
        for j in range(length):
            one = xp.ones_like(x[(*front, slice(0, 1))])
            running = xp.cumprod(xp.concatenate([one, x[(*front, slice(j + 1, None))]], along), along) if j + 1 < length else one
            pieces.append((dy[(*front, slice(j, None))] * running).sum(axis=along, keepdims=True) * before[(*front, slice(j, j + 1))])
        return xp.concatenate(pieces, along) if pieces else dy

    return record("cumprod", value, (x,), (rule,), (x,))


def _given(dim: int | None, axis: int | None, name: str) -> int:
    if dim is None and axis is None:
        raise TypeError(f"{name} needs a dim")
    return axis if dim is None else dim  # type: ignore[return-value]


# ------------------------------------------------------------------------------------------------------------- spread


def var(x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None) -> Tensor:
    """y = Σ (x - mean)² / (n - correction) along `dim`; correction 1 by default (unbiased)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.var.html
    """
    if isinstance(dim, bool):  # x.var(False): PyTorch's first positional may be `unbiased`
        dim, unbiased = None, dim
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"the variance of {x.dtype} is not of that type; use x.float().var()")
    axes, shape = _axes(x, dim), x.array.shape
    less = (1 if unbiased else 0) if correction is None else correction
    size = math.prod([shape[axis] for axis in axes])
    count = size - less
    with _quiet():
        array = _widened(x.array)
        away = array - array.sum(axis=axes, keepdims=True) / _divisor(array, size)
        value = (away * away).sum(axis=axes, keepdims=keepdim) / _divisor(array, builtins.max(count, 0))
        value = value.astype(x.array.dtype, copy=False)

    def rule(xp: Any, dy: Any, x: Any) -> Any:
        away = x - (x / (size or math.nan)).sum(axis=axes, keepdims=True)
        if count <= 0 and (dim is None or not shape):  # as PyTorch has it; along a dim it divides by the negative count
            return _spread(xp, dy, axes, shape) * xp.where(away == 0, math.nan, math.inf)
        return _spread(xp, dy, axes, shape) * away * (2 / count if count else math.inf)

    return record("var", value, (x,), (rule,), (x,))


def std(x: Any, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None) -> Tensor:
    """y = √var        dvar = dy / 2y, and 0 where y is 0"""
    if x.array.dtype is _HALF:  # whose variance may be too large for it
        return std(x.float(), dim, unbiased, keepdim, correction=correction).half()
    variance = var(x, dim, unbiased, keepdim, correction=correction)
    value = _of(variance.array).sqrt(variance.array)
    rule = lambda xp, dy, y: xp.where(y == 0, 0.0, dy / xp.where(y == 0, 1.0, 2 * y))
    return record("std", value, (variance,), (rule,), (value,))


def norm(x: Any, p: float | str | None = "fro", dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """y = (Σ |x|ᵖ)^(1/p) along `dim`: the length for p = 2 ("fro"), the largest |x| for p = inf

    dx = dy sign x (|x| / y)ᵖ⁻¹, and 0 where y is 0
    """
    if dtype is not None:
        x = x.to(dtype)
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"the norm is for floating point, got {x.dtype}; use x.float()")
    if p == "fro" and isinstance(dim, (tuple, list)) and len(dim) > 2:
        raise RuntimeError(f"the Frobenius norm is of vectors and matrices, along one dim, two or all, got {tuple(dim)}; use p=2")
    if isinstance(p, str) and p != "fro":
        raise NotImplementedError(f"norm has p a number or 'fro', not {p!r}; numpy.linalg.norm has 'nuc'")
    order, axes, shape = 2.0 if p in ("fro", None) else float(p), _axes(x, dim), x.array.shape
    if (order < 0 or order == math.inf) and 0 in [shape[axis] for axis in axes]:
        raise RuntimeError(f"a norm with p = {p} of no elements is not defined: shape {tuple(shape)} along {axes}")
    if order == math.inf:
        return amax(x.abs(), dim, keepdim)
    if order == -math.inf:
        return amin(x.abs(), dim, keepdim)
    if order == 0:  # a count: PyTorch, too, passes no gradient on, and does not refuse one
        return record("norm", sum((x != 0).to(x.dtype), dim, keepdim).array, (x,), lambda xp, dy: [None])
    if order == 1:
        return sum(x.abs(), dim, keepdim)
    with _quiet():
        array = _widened(x.array)
        powers = array * array if order == 2 else _of(array).abs(array) ** order
        value = (powers.sum(axis=axes, keepdims=keepdim) ** (1 / order)).astype(x.array.dtype, copy=False)

    def rule(xp: Any, dy: Any, x: Any, y: Any) -> Any:
        length = _spread(xp, y, axes, shape)
        zero = length == 0 if order == 2 else (x == 0) | (length == 0)
        part = xp.where(zero, 1.0, x / xp.where(zero, 1.0, length))
        slope = part if order == 2 else xp.sign(part) * xp.abs(part) ** (order - 1)
        return _spread(xp, dy, axes, shape) * xp.where(zero, 0.0, slope)

    return record("norm", value, (x,), (rule,), (x, value))


# ----------------------------------------------------------------------------------------------------------- extremes


def amax(x: Any, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """y = the largest along `dim`        dx = dy, shared equally among those that are largest"""
    return _extreme("amax", x, dim, keepdim)


def amin(x: Any, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """y = the smallest along `dim`        dx = dy, shared equally among those that are smallest"""
    return _extreme("amin", x, dim, keepdim)


def _extreme(name: str, x: Any, dim: Dims, keepdim: bool, among_nan: bool = False) -> Tensor:
    axes, shape = _axes(x, dim), x.array.shape
    if dim in (None, ()) and x.array.size == 0:
        raise RuntimeError(f"{name} of no elements is not defined: shape {tuple(shape)}; give a dim that has some")
    if 0 in [shape[axis] for axis in axes]:
        raise IndexError(f"{name} of no elements is not defined: shape {tuple(shape)} along {axes}")
    value = getattr(_of(x.array), name)(x.array, axis=axes, keepdims=keepdim)
    best = x.array == value.reshape(tuple([1 if axis in axes else size for axis, size in enumerate(shape)]))
    if among_nan:  # where the extreme is NaN, those share that are
        best = best | (x.array != x.array)
    with _quiet():
        share = best / best.sum(axis=axes, keepdims=True)
    rule = lambda xp, dy, share: _spread(xp, dy, axes, shape) * share
    return record(name, value, (x,), (rule,), (share.astype(x.array.dtype, copy=False),))


def max(x: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest element; with `dim`, (values, indices) along it; with a tensor, the larger element by element."""
    return _max_or_min(x, dim if other is None else other, keepdim, "amax", "argmax", "maximum")


def min(x: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest element; with `dim`, (values, indices) along it; with a tensor, the smaller element by element."""
    return _max_or_min(x, dim if other is None else other, keepdim, "amin", "argmin", "minimum")


def _max_or_min(x: Any, dim: Any, keepdim: bool, all_of: str, where_in: str, pairwise: str) -> Any:
    if dim is None:
        if x.array.size == 0:
            raise RuntimeError(f"the extreme of no elements is not defined: shape {tuple(x.shape)}")
        return _extreme(all_of, x, None, False, among_nan=True)
    if isinstance(dim, Variable):
        return getattr(x, pairwise)(dim)
    indices = _position(where_in, x, dim, True)
    values = x.take_along_dim(indices, dim) if x.array.ndim else x.clone()
    return ValuesAndIndices(values, indices) if keepdim else ValuesAndIndices(values.squeeze(dim), indices.squeeze(dim))


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the largest element along `dim`, or in the flattened tensor; no gradient"""
    _refuse("argmax", "b", x.array, error=RuntimeError)
    return _position("argmax", x, dim, keepdim)


def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the smallest element along `dim`, or in the flattened tensor; no gradient"""
    _refuse("argmin", "b", x.array, error=RuntimeError)
    return _position("argmin", x, dim, keepdim)


def _position(name: str, x: Any, dim: int | None, keepdim: bool) -> Tensor:
    axis = None if dim is None else axis_of(x, dim)
    if x.array.size == 0 and (axis is None or x.array.shape[axis] == 0):
        raise IndexError(f"{name} of no elements is not defined: shape {tuple(x.shape)}")
    find = getattr(_of(x.array), name)
    if axis is None or x.array.ndim == 0:
        value = find(x.array.reshape(-1), axis=0)
        return wrap(value.reshape((1,) * x.array.ndim) if keepdim else value)
    value = find(x.array, axis=axis)
    return wrap(_of(x.array).expand_dims(value, axis) if keepdim else value)


# ------------------------------------------------------------------------------------------------------------- logic


def any(x: Any, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether any element along `dim` is not 0; unlike elsewhere, dim=() reduces nothing"""
    return _answer((x.array != 0).any(axis=() if dim == () else _axes(x, dim), keepdims=keepdim), x)


def all(x: Any, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether every element along `dim` is not 0; unlike elsewhere, dim=() reduces nothing"""
    return _answer((x.array != 0).all(axis=() if dim == () else _axes(x, dim), keepdims=keepdim), x)


def _answer(holds: Any, x: Any) -> Tensor:
    """Bools, but for uint8, which held them before there was bool, uint8 again: so PyTorch has it to this day."""
    return wrap(holds.astype(np.uint8) if x.array.dtype == np.uint8 else holds)


def count_nonzero(x: Any, dim: Dims = None) -> Tensor:
    """How many elements along `dim` are not 0"""
    return wrap((x.array != 0).sum(axis=_axes(x, dim), dtype=np.int64))


# ----------------------------------------------------------------------------------------------- exponentials, normalised


def logsumexp(x: Any, dim: Dims, keepdim: bool = False) -> Tensor:
    """y = ln Σ eˣ along `dim`, without overflow        dx = dy eˣ⁻ʸ"""
    if dim is None:
        raise TypeError("logsumexp needs a dim, or several: dim=-1, dim=(0, 1)")
    axes, shape = _axes(x, dim), x.array.shape
    array = _floating(x.array)
    top = _top(array, axes)
    with _quiet():
        total = _of(array).exp(array - top).sum(axis=axes, keepdims=True, dtype=_wide(array.dtype))
        kept = (_of(array).log(total) + top).astype(array.dtype, copy=False)
    value = kept if keepdim else kept.reshape(tuple([size for axis, size in enumerate(shape) if axis not in axes]))
    rule = lambda xp, dy, x, y: _spread(xp, dy, axes, shape) * xp.exp(x - _spread(xp, y, axes, shape))
    return record("logsumexp", value, (x,), (rule,), (x, value))


def _top(array: Any, axes: Any) -> Any:
    """The largest elements along `axes`, 0 where they are infinite: what to subtract before an exponential."""
    xp = _of(array)
    if array.size == 0:
        return xp.zeros_like(array, shape=tuple([1 if axis in axes else size for axis, size in enumerate(array.shape)]))
    top = array.max(axis=axes, keepdims=True)
    return xp.where(xp.isfinite(top), top, 0.0).astype(array.dtype, copy=False)


def softmax(x: Any, dim: int | None = None, dtype: Any = None) -> Tensor:
    """y = eˣ / Σ eˣ along `dim`        dx = y (dy - Σ dy y)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html
    """
    axis, array = _softmax_input(x, dim, dtype, "softmax")
    with _quiet():
        value = _of(array).exp(array - array.max(axis=axis, keepdims=True)) if array.size else array
        value = value / value.sum(axis=axis, keepdims=True, dtype=_wide(array.dtype)) if array.size else array
        value = value.astype(array.dtype, copy=False)
    rule = lambda xp, dy, y: y * (dy - (dy * y).sum(axis=axis, keepdims=True))
    return record("softmax", value, (x,), (rule,), (value,))


def log_softmax(x: Any, dim: int | None = None, dtype: Any = None) -> Tensor:
    """y = x - ln Σ eˣ along `dim`, without overflow        dx = dy - eʸ Σ dy"""
    axis, array = _softmax_input(x, dim, dtype, "log_softmax")
    xp = _of(array)
    with _quiet():
        value = array - array.max(axis=axis, keepdims=True) if array.size else array
        if array.size:
            value = (value - xp.log(xp.exp(value).sum(axis=axis, keepdims=True, dtype=_wide(array.dtype)))).astype(array.dtype, copy=False)
    rule = lambda xp, dy, y: dy - xp.exp(y) * dy.sum(axis=axis, keepdims=True)
    return record("log_softmax", value, (x,), (rule,), (value,))


def _softmax_input(x: Any, dim: int | None, dtype: Any, name: str) -> tuple[Any, Any]:
    if dim is None:
        raise TypeError(f"{name} needs the dim along which the result shall sum to 1, often dim=-1")
    axis, array = axis_of(x, dim), x.array if dtype is None else x.array.astype(types.numpy_dtype(dtype))
    if array.size:
        _refuse(name, "biu", array)
    return axis if array.ndim else None, array


# ------------------------------------------------------------------------------------------------------------- order


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesAndIndices:
    """(values, indices) of x in order along `dim`; equal elements keep their order        dx = dy, put back"""
    indices = argsort(x, dim, descending, stable)
    return ValuesAndIndices(x.take_along_dim(indices, dim) if x.array.ndim else x.clone(), indices)


def argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """Where the elements stand that come first, second, … along `dim`; NaN counts as largest"""
    axis = axis_of(x, dim)
    if x.array.ndim == 0:
        return wrap(_of(x.array).zeros_like(x.array, dtype=np.int64))
    xp = _of(x.array)
    if not descending:
        return wrap(xp.argsort(x.array, axis=axis, kind="stable").astype(np.int64, copy=False))
    turned = (slice(None),) * axis + (slice(None, None, -1),)
    return wrap(x.array.shape[axis] - 1 - xp.argsort(x.array[turned], axis=axis, kind="stable")[turned])


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesAndIndices:
    """(values, indices) of the k largest (or smallest) along `dim`, in order"""
    axis = axis_of(x, dim)
    size = x.array.shape[axis] if x.array.ndim else 1
    _refuse("topk", "b", x.array, error=RuntimeError)
    if not 0 <= k <= size:
        raise RuntimeError(f"k must lie in [0, {size}], the size of dim {dim} in shape {tuple(x.shape)}, got {k}")
    if x.array.ndim == 0:
        return sort(x)
    indices = argsort(x, dim, descending=largest).narrow(dim, 0, k)
    return ValuesAndIndices(x.take_along_dim(indices, dim), indices)


def unique(x: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """The distinct elements in order (or distinct slices along `dim`); on request where each went, and how many there are"""
    if dim is not None:
        dim = axis_of(x, dim) if x.array.ndim else _no_axis("unique")
        if 0 in (*x.array.shape[:dim], *x.array.shape[dim + 1 :]):
            raise RuntimeError(f"unique along dim {dim} compares slices, which have no elements in shape {tuple(x.shape)}")
    found = _of(x.array).unique(x.array, return_inverse=return_inverse, return_counts=return_counts, axis=dim)
    if not isinstance(found, tuple):
        return wrap(found)
    values, *rest = found
    if return_inverse:
        rest[0] = rest[0].reshape(x.array.shape if dim is None else x.array.shape[dim])
    return (wrap(values), *[wrap(each) for each in rest])


def _no_axis(name: str) -> int:
    raise IndexError(f"{name} along a dim needs one, got a tensor without axes")


def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, … occurs in a vector of integers, or the sum of its weights"""
    _refuse("bincount", "bf", x.array)
    if x.array.ndim != 1:
        raise RuntimeError(f"bincount is for a vector of integers, got shape {tuple(x.shape)} of {x.dtype}")
    if x.array.size and int(x.array.min()) < 0:
        raise RuntimeError("bincount counts no negative numbers")
    if weights is not None:
        _require_same_device(x.array, weights.array)
    counts = _of(x.array).bincount(x.array, None if weights is None else weights.array, minlength)
    return wrap(counts.astype(np.float32) if weights is not None and weights.array.dtype == np.float32 else counts)
