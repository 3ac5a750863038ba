"""Order, counts and spread: medians and quantiles, running extremes, searches in sorted values, distances."""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..tape import Variable, record, wrap
from .create import full, tensor
from .elementwise import _of, _require_same_device, _tensors, isnan, maximum, where
from .reduce import Dims, ValuesAndIndices, amax, amin, argsort, mean, norm, sort, std, sum, var
from .shape import axis_of, cat, flatten, narrow, unsqueeze

if TYPE_CHECKING:
    from ..tensor import Tensor


class Extremes(NamedTuple):
    """What aminmax returns: the smallest, and the largest."""

    min: Any
    max: Any


# ---------------------------------------------------------------------------------------------------------------- ranks


def kthvalue(x: Any, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """(values, indices) of the k-th smallest along `dim`, counted from 1"""
    size = x.array.shape[axis_of(x, dim)] if x.array.ndim else 1
    if size == 0:
        raise IndexError(f"kthvalue of no elements is not defined: shape {tuple(x.shape)} along {dim}")
    if not 1 <= k <= size:
        raise RuntimeError(f"k must lie in [1, {size}], the size of dim {dim} in shape {tuple(x.shape)}, got {k}")
    if x.array.ndim == 0:
        return sort(x)
    return _picked(x, narrow(argsort(x, dim), dim, k - 1, 1), dim, keepdim)


def _picked(x: Any, indices: Any, dim: int, keepdim: bool) -> ValuesAndIndices:
    """The elements at `indices`, of size 1 along `dim`, and the indices; that axis is kept or not."""
    values = x.take_along_dim(indices, dim)
    return ValuesAndIndices(values, indices) if keepdim else ValuesAndIndices(values.squeeze(dim), indices.squeeze(dim))


def median(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, the lower of two, of all or as (values, indices) along `dim`; NaN where there is one

    Source: https://docs.pytorch.org/docs/stable/generated/torch.median.html
    """
    if dim is None:
        return _median_of_all(x)
    if x.array.ndim == 0:
        return sort(x)
    size = x.array.shape[axis_of(x, dim)]
    if size == 0:
        raise IndexError(f"the median of no elements is not defined: shape {tuple(x.shape)} along {dim}")
    indices, missing = narrow(argsort(x, dim), dim, (size - 1) // 2, 1), isnan(x)
    first = missing.to(indices.dtype).argmax(dim, keepdim=True)
    return _picked(x, where(missing.any(dim, keepdim=True), first, indices), dim, keepdim)


def _median_of_all(x: Any) -> Tensor:
    """dx = dy, shared equally among the elements that equal the median"""
    if x.array.size == 0:
        if x.array.dtype.kind != "f":
            raise RuntimeError(f"the median of no integers is not defined: shape {tuple(x.shape)} of {x.dtype}")
        return full((), math.nan, dtype=x.dtype, device=x.device)
    value = median(flatten(x).detach(), 0).values.array
    hit = (x.array == value) | ((x.array != x.array) & (value != value))
    share = (hit / hit.sum()).astype(x.array.dtype)
    return record("median", value, (x,), (lambda xp, dy, share: dy * share,), (share,))


def quantile(x: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear") -> Tensor:
    """The value below which a part q (a number or a vector of them) of the elements lies, between elements by `interpolation`

    Source: https://docs.pytorch.org/docs/stable/generated/torch.quantile.html
    """
    made = {"dtype": x.dtype, "device": x.device}
    parts = q if isinstance(q, Variable) else full((), q, **made) if isinstance(q, (int, float)) else tensor(q, **made)
    if x.array.dtype.kind != "f" or parts.array.dtype != x.array.dtype:
        raise RuntimeError(f"quantile needs x and q of one floating-point dtype, got {x.dtype} and {parts.dtype}")  # type: ignore[attr-defined]
    if x.array.size == 0:
        raise RuntimeError(f"a quantile of no elements is not defined: shape {tuple(x.shape)}")
    refused = RuntimeError("quantile needs q as a number or a vector, in [0, 1]")
    if parts.array.ndim > 1:
        raise refused
    _of(parts.array).refuse_where(~((parts.array >= 0) & (parts.array <= 1)), refused)
    if dim is not None and x.array.ndim == 0 and axis_of(x, dim) == 0:
        dim = None  # no axis counts as one
    ordered = sort(flatten(x) if dim is None else x.movedim(dim, -1), -1).values
    rank = parts.array.reshape(-1) * (ordered.array.shape[-1] - 1)
    low, high, weight = _between(rank, interpolation)
    value = ordered[..., low].lerp(ordered[..., high], weight.expand((*ordered.array.shape[:-1], *weight.array.shape)))
    value = where(isnan(ordered[..., -1:]), math.nan, value)
    value = value.movedim(-1, 0) if parts.array.ndim else value.squeeze(-1)
    if not keepdim:
        return value
    return value.reshape((*parts.array.shape, *[1] * x.array.ndim)) if dim is None else value.unsqueeze(axis_of(x, dim) + parts.array.ndim)


def _between(rank: Any, interpolation: str) -> tuple[Any, Any, Any]:
    """The positions below and above each rank, and how far it lies from the first to the second."""
    xp = _of(rank)
    rounded = {"nearest": xp.rint, "lower": xp.floor, "higher": xp.ceil, "linear": None, "midpoint": None}
    if interpolation not in rounded:
        raise RuntimeError(f"interpolation must be one of {', '.join(rounded)}, got {interpolation!r}")
    if rounded[interpolation] is not None:
        rank = rounded[interpolation](rank)
    low, high = xp.floor(rank), xp.ceil(rank)
    weight = rank - low if interpolation == "linear" else (high - low) / 2
    return wrap(xp.asarray(low).astype(np.int64)), wrap(xp.asarray(high).astype(np.int64)), wrap(weight)


def cummax(x: Any, dim: int) -> ValuesAndIndices:
    """(values, indices) of the largest element so far along `dim`, the last of equal ones"""
    return _running("maximum", x, dim)


def cummin(x: Any, dim: int) -> ValuesAndIndices:
    """(values, indices) of the smallest element so far along `dim`, the last of equal ones"""
    return _running("minimum", x, dim)


def _running(name: str, x: Any, dim: int) -> ValuesAndIndices:
    axis = axis_of(x, dim)
    if x.array.ndim == 0:
        return sort(x)
    xp = _of(x.array)
    best = xp.running(name, x.array, axis)
    at_best = (x.array == best) | (x.array != x.array)
    places = xp.arange(x.array.shape[axis]).reshape([-1 if each == axis else 1 for each in range(x.array.ndim)])
    indices = wrap(xp.running("maximum", xp.where(at_best, places, 0), axis))
    return ValuesAndIndices(x.take_along_dim(indices, dim), indices)


def msort(x: Any) -> Tensor:
    """x in order along its first axis"""
    return sort(x, 0).values


def aminmax(x: Any, *, dim: int | None = None, keepdim: bool = False) -> Extremes:
    """(min, max) of all elements, or along `dim`"""
    return Extremes(amin(x, dim, keepdim), amax(x, dim, keepdim))


# --------------------------------------------------------------------------------------------------------------- counts


def unique_consecutive(x: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """The elements (or slices along `dim`) without those equal to the one before; on request where each went, and how many there are"""
    turned = flatten(x) if dim is None else x.movedim(dim, 0)
    array = turned.array
    differs = (array[1:] != array[:-1]).any(axis=tuple(range(1, array.ndim)))
    xp = _of(array)
    starts = xp.concatenate([xp.ones(min(len(array), 1), bool), differs])
    values = turned[wrap(starts)]
    results = [values if dim is None else values.movedim(0, dim)]
    if return_inverse:
        inverse = xp.cumsum(starts) - 1
        results.append(wrap(inverse.reshape(x.array.shape) if dim is None else inverse))
    if return_counts:
        results.append(wrap(xp.diff(xp.nonzero(xp.concatenate([starts, xp.ones(1, bool)]))[0])))
    return results[0] if len(results) == 1 else tuple(results)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Where the elements of one tensor (or number) occur among those of another"""
    like = elements if isinstance(elements, Variable) else test_elements
    xp = _of(like.array)
    x, y = (each.array if isinstance(each, Variable) else xp.full((), each) for each in (elements, test_elements))
    _require_same_device(x, y)
    return wrap(xp.isin(x, y, invert=invert))


def searchsorted(sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None) -> Tensor:
    """Where to insert values so that a sorted vector (or each row of several) stays sorted; before equals, or after if `right`

    Source: https://docs.pytorch.org/docs/stable/generated/torch.searchsorted.html
    """
    right = right if side is None else side == "right"
    rows, wanted = sorted_sequence.array, input.array if isinstance(input, Variable) else _of(sorted_sequence.array).full((), input)
    _require_same_device(rows, wanted)
    if rows.ndim > 1 and rows.shape[:-1] != wanted.shape[:-1]:
        raise RuntimeError(f"searchsorted needs a vector, or as many rows as values: {tuple(rows.shape)} and {tuple(wanted.shape)}")
    kind = np.int32 if out_int32 else np.int64
    find = lambda row, values: _of(rows).searchsorted(row, values, side="right" if right else "left")
    if rows.ndim == 1:
        return wrap(_of(rows).asarray(find(rows, wanted)).astype(kind))
    pairs = zip(rows.reshape((-1, rows.shape[-1])), wanted.reshape((-1, wanted.shape[-1])), strict=True)
    return wrap(_of(rows).stack([find(row, values) for row, values in pairs]).reshape(wanted.shape).astype(kind))


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval between sorted boundaries that each value falls in

    >>> import minigrad
    >>> bucketize(minigrad.tensor([0.5, 1.0, 9.0]), minigrad.tensor([1.0, 2.0]))
    tensor([0, 0, 2])
    """
    if boundaries.array.ndim != 1:
        raise RuntimeError(f"bucketize needs a vector of boundaries, got shape {tuple(boundaries.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def histc(x: Any, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of `bins` equal intervals from min to max, or from the smallest to the largest element"""
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"histc is for floating point, got {x.dtype}; bincount counts integers")
    if min == max and x.array.size:
        min, max = float(x.array.min()), float(x.array.max())
    if min > max or not math.isfinite(max - min):
        raise RuntimeError(f"histc needs a finite range with min below max, got {min} to {max}")
    low, high = (min - 1, max + 1) if min == max else (min, max)
    return wrap(_of(x.array).histogram(x.array, bins=bins, range=(low, high))[0].astype(x.array.dtype))


# --------------------------------------------------------------------------------------------------- sums and distances


def std_mean(x: Any, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None) -> Any:
    """(std, mean) along `dim`"""
    return std(x, dim, unbiased, keepdim, correction=correction), mean(x, None if isinstance(dim, bool) else dim, keepdim)


def var_mean(x: Any, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None) -> Any:
    """(var, mean) along `dim`"""
    return var(x, dim, unbiased, keepdim, correction=correction), mean(x, None if isinstance(dim, bool) else dim, keepdim)


def nansum(x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`sum` with NaN counted as 0"""
    return sum(where(isnan(x), 0, x), dim, keepdim, dtype=dtype)


def nanmean(x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`mean` of those elements that are not NaN"""
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"the mean of {x.dtype} is not of that type; use x.float().nanmean()")
    return nansum(x, dim, keepdim, dtype=dtype) / sum(~isnan(x), dim, keepdim)


def diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """y = the differences of neighbours along `dim`, n times over, after joining `prepend` and `append` to x"""
    if x.array.ndim == 0:
        raise RuntimeError("diff needs an axis, got a tensor without axes")
    parts = [each for each in (prepend, x, append) if each is not None]
    y = cat(parts, dim) if len(parts) > 1 else x
    for _ in range(builtins.min(n, y.array.shape[axis_of(y, dim)])):
        size = y.array.shape[axis_of(y, dim)]
        after, before = narrow(y, dim, 1, size - 1), narrow(y, dim, 0, size - 1)
        y = after ^ before if y.array.dtype == bool else after - before
    return y


def dist(a: Any, b: Any, p: float = 2) -> Tensor:
    """y = the p-norm of a - b"""
    return norm(a - b, p)


def cdist(a: Any, b: Any, p: float = 2.0) -> Tensor:
    """y[..., i, j] = the p-norm of a[..., i, :] - b[..., j, :]"""
    for each in _tensors("cdist", a, b):
        if each.array.ndim < 2:
            raise RuntimeError(f"cdist needs rows of points, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return norm(unsqueeze(a, -2) - unsqueeze(b, -3), p, -1)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """y = the p-norm of x1 - x2 + eps along the last axis"""
    return norm(x1 - x2 + eps, p, -1, keepdim)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """y = x1 · x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cosine_similarity.html
    """
    product = x1 * x2
    lengths = [maximum(norm(each, 2, dim, True), full((), eps, dtype=each.dtype, device=each.device)) for each in (x1, x2)]
    return sum(product / lengths[0] / lengths[1], dim)
