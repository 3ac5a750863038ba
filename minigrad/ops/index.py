"""Operations that pick elements by position, and their opposites that put them there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import ARRAYS
from ..tape import Variable, record, record_view, wrap
from .elementwise import _both, _of, _require_same_device, fitting, plain, where
from .shape import axis_of

if TYPE_CHECKING:
    from ..tensor import Tensor


_INT64 = np.dtype(np.int64)
_IDS = (_INT64, np.dtype(np.int32))  # what PyTorch takes for positions


def getitem(x: Any, index: Any) -> Tensor:
    """y = x[index]: integers, slices, None, ..., boolean masks, tensors or lists of integers, and mixtures.

    dx = 0 with dy put where y came from. Integers, slices, None and ... give a view of the same memory; the others copy.

    Source: https://docs.pytorch.org/docs/stable/tensor_view.html, https://numpy.org/doc/stable/user/basics.indexing.html

    >>> import minigrad
    >>> x = minigrad.arange(12).reshape(3, 4)
    >>> x[1].tolist(), x[:, -1].tolist(), x[x > 9].tolist(), x[[0, 2], [1, 1]].tolist()
    ([4, 5, 6, 7], [3, 7, 11], [10, 11], [1, 9])
    """
    direct, chosen = split_index(x, index)
    if direct is not None:
        x = _plain(x, direct)
    if chosen is None:
        return x
    parts = index if isinstance(index, (tuple, list)) else (index,)
    return _chosen(x, reachable(x, chosen), tuple([each for each in parts if isinstance(each, Variable)]))


def _plain(x: Any, index: Any) -> Tensor:
    shape = x.array.shape
    try:
        value = x.array[index]
    except IndexError as problem:
        raise IndexError(f"{problem}; the tensor has shape {tuple(shape)}") from None
    if value.__class__ not in ARRAYS:
        value = x.array[(*index, ...)] if isinstance(index, tuple) else x.array[index, ...]
    return record_view("getitem", value, x, lambda xp, dy: xp.placed(dy, shape, index, False), lambda x: _plain(x, index))


def _chosen(x: Any, index: tuple[Any, ...], keep: tuple[Any, ...] = ()) -> Tensor:
    """x[index] with arrays in the index; `keep` are the tensors it was made of, which must not change before the way back."""
    shape = x.array.shape
    try:
        value = x.array[index]
    except IndexError as problem:
        raise IndexError(f"{problem}; the tensor has shape {tuple(shape)}") from None
    repeats = not all(each.__class__ is slice or each.dtype == bool for each in index)
    return record("index", value, (x,), (lambda xp, dy, *keep: xp.placed(dy, shape, index, repeats),), keep)


def reachable(x: Any, index: tuple[Any, ...]) -> tuple[Any, ...]:
    """`index`, safe to index with; where the tensor has no elements PyTorch does not look at integers, which are 0 then."""
    if x.array.size:
        return _of(x.array).in_shape(index, x.array.shape)
    return tuple([each * 0 if _is_array(each) and each.dtype != bool else each for each in index])


def placed(values: Any, shape: tuple[int, ...], index: Any, repeats: bool) -> Tensor:
    """y = 0 in `shape` with `values` added at `index`: the gradient of indexing        dvalues = dy[index]"""
    part = _of(values.array).placed(values.array, shape, index, repeats)
    return record("placed", part.whole(), (values,), (lambda xp, dy: dy[index],))


def split_index(x: Any, index: Any) -> tuple[Any, Any]:
    """`index` as a plain part, to be applied first, and a part with arrays for what remains; None for a part not there.

    Like PyTorch and unlike NumPy, integers are applied first and do not count as arrays where the two stand together.
    """
    if isinstance(index, Variable) and index.array.dtype is _INT64 and index.array.ndim and x.array.ndim:
        _require_same_device(x.array, index.array)  # the commonest, x[ids], needs nothing of what follows
        return None, (index.array,)
    parts = tuple(index) if isinstance(index, tuple) or _is_nested(index) else (index,)
    for each in parts:
        if each.__class__ is slice and each.step is not None and each.step <= 0:
            raise ValueError(f"a slice of a tensor needs a step of at least 1, got {each.step}; use flip to go backwards")
    if all([each is None or each is ... or each.__class__ in (int, slice) for each in parts]):
        return parts, None
    arrays = [_as_index(x, each) for each in parts]
    full = _without_ellipsis(x, arrays)
    _require_fitting(x, full)
    # A bool without axes makes an axis of size 1, and chooses that one entry or none.
    sizes = [max(_covers(each), 1) for each in full]
    direct = tuple([_beside_arrays(each) for each, size in zip(full, sizes, strict=True) for _ in range(size)])
    chosen: list[Any] = []
    for each in full:
        if _is_array(each):
            chosen.append(each if each.ndim else _of(x.array).zeros(int(each), np.int64))
        elif each.__class__ is not int:
            chosen.append(slice(None))
    while chosen and chosen[-1].__class__ is slice:
        chosen.pop()
    trivial = all([each.__class__ is slice and each == slice(None) for each in direct])
    return (None if trivial else direct), (tuple(chosen) or None)


def safe_index(x: Any, parts: Sequence[Any]) -> tuple[Any, ...]:
    """Tensors of integers and masks as arrays to index with, one for each of the first axes."""
    full = _without_ellipsis(x, [_as_index(x, each) for each in parts])
    _require_fitting(x, full)
    return reachable(x, tuple(full))


def _is_nested(index: Any) -> bool:
    """Whether a list stands for a tuple of indices: PyTorch reads x[[[0, 1], [2, 3]]] as x[[0, 1], [2, 3]]."""
    kinds = (list, tuple, range, slice, Variable, np.ndarray)
    return isinstance(index, list) and any([each is None or each is ... or isinstance(each, kinds) for each in index])


def _require_fitting(x: Any, full: Sequence[Any]) -> None:
    """IndexError where a mask has not the shape of the axes it covers; NumPy does not look where there are no elements."""
    axis, shape = 0, x.array.shape
    for each in full:
        if each is not None:
            if _is_array(each) and each.dtype == bool and each.shape != shape[axis : axis + each.ndim]:
                raise IndexError(f"a mask of shape {tuple(each.shape)} does not fit axis {axis} of a tensor of shape {tuple(shape)}")
            axis += _covers(each)


def _beside_arrays(part: Any) -> Any:
    """What stands for a part in the index that is applied before the arrays are."""
    return part if not _is_array(part) else slice(None) if part.ndim else None


def _is_array(part: Any) -> bool:
    return part.__class__ in ARRAYS


def _covers(part: Any) -> int:
    """How many axes a part of an index uses up."""
    return part.ndim if _is_array(part) and part.dtype == bool else 1


def _as_index(x: Any, part: Any) -> Any:
    """One part of an index, arrays and lists as arrays on the tensor's device, what counts as an integer as one."""
    if part is None or part is ... or part.__class__ is slice:
        return part
    if isinstance(part, (str, bytes)):
        raise TypeError(f"a tensor is not indexed by text, got {part!r}")
    if isinstance(part, Variable):
        part = part.array
    elif isinstance(part, np.ndarray) and (part.dtype.kind == "i" or (part.dtype.kind == "f" and part.size == 0)):
        part = part.astype(np.int64)
    if isinstance(part, (list, tuple, range)):
        part = np.asarray([each.array.item() if isinstance(each, Variable) else each for each in part])
        part = part.astype(np.int64) if part.size == 0 else part
    if isinstance(part, np.ndarray) and not isinstance(x.array, np.ndarray):
        part = _of(x.array).from_host(part)
    if _is_array(part) and (part.dtype.name in ("int64", "int32", "uint8", "bool") or (part.dtype.kind == "i" and part.ndim == 0)):
        _require_same_device(x.array, part)
        part = part.astype(bool) if part.dtype == np.uint8 else part  # a mask, from before there was bool
        return int(part) if part.ndim == 0 and part.dtype != bool else part
    if isinstance(part, (bool, np.bool_)):
        return np.asarray(part)
    if hasattr(part, "__index__") and not _is_array(part):
        return part.__index__()
    kind = getattr(part, "dtype", type(part).__name__)
    raise IndexError(f"a tensor is indexed by integers, slices, None, ..., and tensors or lists of integers or bools, not by {kind}")


def _without_ellipsis(x: Any, parts: Sequence[Any]) -> list[Any]:
    """The parts with ... written out as full slices."""
    used = sum([_covers(each) for each in parts if each is not None and each is not ...])
    if used > x.array.ndim:
        raise IndexError(f"too many indices: {used} for a tensor of shape {tuple(x.shape)}")
    full: list[Any] = []
    for each in parts:
        full.extend([slice(None)] * (x.array.ndim - used) if each is ... else [each])
    return full


# ----------------------------------------------------------------------------------------------------- along one axis


def gather(input: Any, dim: int, index: Any) -> Tensor:
    """y[i, j] = x[index[i, j], j] for dim 0, x[i, index[i, j]] for dim 1, and so on        dx: dy added where y came from

    Source: https://docs.pytorch.org/docs/stable/generated/torch.gather.html
    """
    if _some_without_axes(input, index):
        return gather(input.reshape(-1), dim, index.reshape(-1)).reshape(index.array.shape)
    shape = input.array.shape
    if index.array.size == 0 and index.array.ndim != len(shape):
        return gather(input.reshape(-1)[:0], 0, index.reshape(-1)).reshape(index.array.shape)
    place = _places(input, dim, index, "gather")
    value = input.array[place]
    return record("gather", value, (input,), (lambda xp, dy, index: xp.placed(dy, shape, place, True),), (index,))


def _places(x: Any, dim: int, index: Any, name: str) -> tuple[Any, ...]:
    """`index` along `dim` and every entry's own position along the other axes, as one index into `x`."""
    axis, ids = axis_of(x, dim), index.array
    if ids.size and ids.dtype not in _IDS:
        raise RuntimeError(f"{name} needs an index of int64 or int32, got {index.dtype}")
    if ids.ndim != x.array.ndim:
        raise RuntimeError(f"{name} needs an index with as many axes as the tensor, got shapes {tuple(index.shape)} and {tuple(x.shape)}")
    if any(size > limit and each != axis for each, (size, limit) in enumerate(zip(ids.shape, x.array.shape, strict=True))):
        larger = f"an index of shape {tuple(index.shape)} is larger than the tensor's {tuple(x.shape)}"
        raise RuntimeError(f"{name} along dim {dim}: {larger} elsewhere")
    _require_same_device(x.array, ids)
    ids = _of(ids).in_range(ids, 0, (x.array.shape[axis] if x.array.ndim else 1) - 1, f"{name}: ids", RuntimeError)
    if ids.ndim == 0:
        return ()
    xp = _of(ids)
    one, ids = [1] * ids.ndim, ids.astype(np.int64, copy=False)
    others = [xp.arange(size).reshape((*one[:place], size, *one[place + 1 :])) for place, size in enumerate(ids.shape)]
    return tuple([ids if each == axis else other for each, other in enumerate(others)])


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Tensor:
    """`gather` with the axes other than `dim` broadcast; without `dim`, of the flattened tensor"""
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    if indices.array.dtype != np.int64:
        raise RuntimeError(f"take_along_dim needs indices of int64, got {indices.dtype}")
    if indices.array.ndim != input.array.ndim:
        shapes = f"{tuple(input.shape)} and {tuple(indices.shape)}"
        raise RuntimeError(f"take_along_dim needs a tensor and indices with as many axes, got shapes {shapes}")
    _require_same_device(input.array, indices.array)
    axis = axis_of(input, dim)
    xp = _of(input.array)
    one = lambda shape: tuple([1 if each == axis else size for each, size in enumerate(shape)])
    shape = _both(lambda x, ids: np.broadcast_shapes(one(x.shape), one(ids.shape)), input.array, indices.array)
    both = [(*shape[:axis], each.array.shape[axis], *shape[axis + 1 :]) for each in (input, indices)]
    size, ids = input.array.shape[axis] if input.array.ndim else 1, indices.array
    ids = xp.in_range(ids, -size, size - 1, "take_along_dim: ids", RuntimeError)
    return gather(input.expand(both[0]), axis, wrap(xp.broadcast_to(xp.where(ids < 0, ids + size, ids), both[1])))


def index_select(input: Any, dim: int, index: Any) -> Tensor:
    """y = the entries of x along `dim` that a vector of integers names        dx: dy added where y came from"""
    if input.array.ndim == 0:
        return index_select(input.reshape(1), dim, index).reshape(())
    axis = axis_of(input, dim)
    if index.array.ndim > 1 or index.array.dtype not in _IDS:
        raise (IndexError if index.array.ndim > 1 else RuntimeError)(
            f"index_select needs a vector of integers, got shape {tuple(index.shape)} of {index.dtype}"
        )
    _require_same_device(input.array, index.array)
    ids = _of(index.array).in_range(index.array, 0, input.array.shape[axis] - 1, "index_select: ids")
    return _chosen(input, (*(slice(None),) * axis, ids.reshape(-1)), (index,))


def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: float | None = None, reduce: str | None = None) -> Tensor:
    """y = x with y[index[i, j], j] = src[i, j] for dim 0, and so on; `src` may be a number

    dx = dy, 0 where it was replaced        dsrc = dy from where it was put

    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.scatter_.html
    """
    src = value if src is None else src
    if reduce == "add":
        return scatter_add(input, dim, index, _filled(index, src, input))
    if reduce is not None:
        raise NotImplementedError(f"scatter with reduce={reduce!r} is not here; there are None and 'add'")
    if _some_without_axes(input, index, src):
        src = src.reshape(-1) if isinstance(src, Variable) else src  # type: ignore[attr-defined]
        return scatter(input.reshape(-1), dim, index.reshape(-1), src).reshape(input.array.shape)
    place, taken = _source_of(input, dim, index, src, "scatter")
    result = input.array.copy()
    _of(result).put(result, place, taken.array if isinstance(taken, Variable) else taken)
    rule = (lambda xp, dy, index: _zeroed(xp, dy, place), lambda xp, dy, index: dy[place])
    return record("scatter", result, (input, taken), rule, (index,))


def _some_without_axes(*given: Any) -> bool:
    """Whether tensors with no axes and with one stand together: there both count as one."""
    return {each.array.ndim for each in given if isinstance(each, Variable)} == {0, 1}


def _filled(index: Any, src: Any, like: Any) -> Any:
    return src if isinstance(src, Variable) else wrap(_of(index.array).full_like(index.array, src, dtype=like.array.dtype))


def _zeroed(xp: Any, dy: Any, place: Any) -> Any:
    """dy with zeros at `place`."""
    if isinstance(dy, Variable):
        touched = _of(dy.array).zeros(dy.array.shape, bool)
        _of(dy.array).put(touched, place, True)
        return where(wrap(touched), 0.0, dy)
    result = xp.array(dy)
    xp.put(result, place, 0)
    return result


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Tensor:
    """y = x with src[i, j] added to y[index[i, j], j] for dim 0, and so on        dx = dy        dsrc = dy from there"""
    if _some_without_axes(input, index, src):
        return scatter_add(input.reshape(-1), dim, index.reshape(-1), src.reshape(-1)).reshape(input.array.shape)
    place, taken = _source_of(input, dim, index, src, "scatter_add")
    result = input.array.copy()
    _of(result).add_at(result, place, taken.array)
    return record("scatter_add", result, (input, taken), (lambda xp, dy, index: dy, lambda xp, dy, index: dy[place]), (index,))


def _source_of(x: Any, dim: int, index: Any, src: Any, name: str) -> tuple[Any, Any]:
    """Where to put, and what, cut to the size of the index."""
    axis_of(x, dim)
    if isinstance(src, Variable) and src.array.dtype != x.array.dtype:
        raise RuntimeError(f"{name} needs source and tensor of one dtype, got {src.dtype} and {x.dtype}")  # type: ignore[attr-defined]
    if index.array.ndim != x.array.ndim or index.array.size == 0:
        place = _places(x, dim, index, name) if index.array.size else tuple([slice(0, 0)] * x.array.ndim)
        nothing = index.array.size == 0 and isinstance(src, Variable)
        return place, src.reshape(-1)[:0].reshape(x.array[place].shape) if nothing and x.array.ndim else src
    place = _places(x, dim, index, name)
    if not isinstance(src, Variable):
        return place, src
    _require_same_device(x.array, src.array)
    if src.array.ndim != index.array.ndim or any(a > b for a, b in zip(index.array.shape, src.array.shape, strict=True)):
        shapes, lacks_axes = f"{tuple(src.array.shape)} and {tuple(index.shape)}", 0 < src.array.ndim < index.array.ndim
        large = all(a <= b for a, b in zip(index.array.shape, src.array.shape))
        error = IndexError if lacks_axes and large else RuntimeError
        raise error(f"{name} needs a source at least as large as the index, got shapes {shapes}")
    return place, src[tuple([slice(0, size) for size in index.array.shape])] if src.array.shape != index.array.shape else src  # type: ignore[index]


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
    """y = x with the entries of `source` along `dim` added where a vector of integers says        dsource = alpha dy[index]"""
    if index.array.ndim > 1:
        raise IndexError(f"index_add needs a vector of integers, got shape {tuple(index.shape)}")
    if index.array.dtype not in _IDS:
        raise RuntimeError(f"index_add needs ids of int64 or int32, got {index.dtype}")
    if input.array.ndim == 0:
        if source.array.ndim:
            raise RuntimeError(f"index_add to a tensor without axes needs a source without, got shape {tuple(source.shape)}")
        return index_add(input.reshape(1), dim, index, source.reshape(-1), alpha=alpha).reshape(())
    axis, ids, shape = axis_of(input, dim), index.array.reshape(-1), input.array.shape
    if source.array.shape != (*shape[:axis], ids.size, *shape[axis + 1 :]):
        sizes = f"{ids.size} ids and a source of {tuple(source.shape)}"
        raise RuntimeError(f"index_add along dim {dim} of shape {tuple(shape)}: {sizes} differ")
    _require_same_device(input.array, index.array)
    _require_same_device(input.array, source.array)
    ids = _of(ids).in_range(ids, 0, shape[axis] - 1, "index_add: ids")
    if source.array.dtype != input.array.dtype:
        raise RuntimeError(f"index_add needs source and tensor of one dtype, got {source.dtype} and {input.dtype}")
    place = (*(slice(None),) * axis, ids)
    result = input.array.copy()
    _of(result).add_at(result, place, source.array * alpha)
    rule = (lambda xp, dy, index: dy, lambda xp, dy, index: dy[place] * alpha)
    return record("index_add", result, (input, source), rule, (index,))


# -------------------------------------------------------------------------------------------------------------- masks


def masked_fill(input: Any, mask: Any, value: Any) -> Tensor:
    """y = `value`, a number or a tensor without axes, where the mask holds, else x        dx = dy, 0 where it holds"""
    _require_mask(input, mask)
    if isinstance(value, Variable) and value.array.ndim:
        raise RuntimeError(f"masked_fill takes a number or a tensor without axes, got shape {tuple(value.array.shape)}")
    if isinstance(value, Variable):
        _require_same_device(input.array, value.array)
    fill = value.array.astype(input.array.dtype) if isinstance(value, Variable) else fitting(plain(value), input.array.dtype)
    rule = (lambda xp, dy, mask: xp.where(mask, 0.0, dy), lambda xp, dy, mask: xp.where(mask, dy, 0.0))
    result = _both(lambda mask, x: _of(x).where(mask, fill, x), mask.array, input.array)
    return record("masked_fill", result, (input, value), rule, (mask,))


def masked_select(input: Any, mask: Any) -> Tensor:
    """y = the elements of x where the mask holds, in order, as a vector"""
    _require_mask(input, mask)
    shape = _both(lambda x, mask: np.broadcast_shapes(x.shape, mask.shape), input.array, mask.array)
    return input.expand(shape)[mask.expand(shape)]


def _require_mask(x: Any, mask: Any) -> None:
    _require_same_device(x.array, mask.array)
    if mask.array.dtype != bool:
        raise RuntimeError(f"a mask holds bools, got {mask.dtype}; make one by comparing: mask != 0")


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Where x is not 0: (N, axes) positions, or one vector per axis with `as_tuple`"""
    found = _of(input.array).nonzero(input.array if input.array.ndim else input.array.reshape(1))
    if as_tuple:
        return tuple([wrap(each) for each in found])
    return wrap(_of(input.array).stack(found, axis=1)) if input.array.ndim else wrap(found[0].reshape(-1, 1)[:, :0])


# ------------------------------------------------------------------------------------------------- repeating, triangles


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Tensor:
    """y repeats each entry of x along `dim` (of the flattened tensor without one), all alike or each by its own count"""
    if dim is None:
        return repeat_interleave(input.reshape(-1), repeats, 0)
    if input.array.ndim == 0:
        raise IndexError("repeat_interleave along a dim needs one, got a tensor without axes")
    axis = axis_of(input, dim)
    xp = _of(input.array)
    counts = _of(repeats.array).to_host(repeats.array) if isinstance(repeats, Variable) else np.asarray(repeats)
    size = input.array.shape[axis]
    if counts.ndim > 1 or counts.dtype not in _IDS:
        raise RuntimeError(f"repeat_interleave needs a vector of counts of int64 or int32, got shape {counts.shape} of {counts.dtype}")
    if counts.size and counts.min() < 0:
        raise RuntimeError(f"repeat_interleave needs counts of at least 0, got {counts.min()}")
    if counts.ndim and counts.size not in (1, size):
        raise RuntimeError(f"repeat_interleave needs one count, or one for each of the {size} entries, got {counts.size}")
    ids = xp.repeat(xp.arange(size), int(counts.item())) if counts.size == 1 else xp.from_host(np.repeat(np.arange(size), counts))
    return _chosen(input, (*(slice(None),) * axis, ids))


def tril(input: Any, diagonal: int = 0) -> Tensor:
    """y = x with zeros above the given diagonal of its last two axes"""
    return _triangle("tril", input, diagonal)


def triu(input: Any, diagonal: int = 0) -> Tensor:
    """y = x with zeros below the given diagonal of its last two axes"""
    return _triangle("triu", input, diagonal)


def _triangle(name: str, x: Any, diagonal: int) -> Tensor:
    if x.array.ndim < 2:
        raise RuntimeError(f"{name} needs at least two axes, got shape {tuple(x.shape)}")
    return record(name, getattr(_of(x.array), name)(x.array, diagonal), (x,), (lambda xp, dy: getattr(xp, name)(dy, diagonal),))


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """y = the diagonal of two axes of x, as the last axis: a view        dx = 0 with dy on that diagonal"""
    one, other = axis_of(input, dim1), axis_of(input, dim2)
    if one == other:
        raise RuntimeError(f"diagonal needs two different dims, got {dim1} and {dim2} for shape {tuple(input.shape)}")
    return _last_diagonal(input.movedim((one, other), (-2, -1)), offset)


def _last_diagonal(x: Any, offset: int) -> Tensor:
    xp, shape = _of(x.array), x.array.shape
    value = xp.diagonal(x.array, offset)
    steps = xp.arange(value.shape[-1])
    index = (*(slice(None),) * (len(shape) - 2), steps + max(-offset, 0), steps + max(offset, 0))
    return record_view("diagonal", value, x, lambda xp, dy: xp.placed(dy, shape, index, False), lambda x: _last_diagonal(x, offset))


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """y[..., k] = 1 where x is k, else 0; as many classes as the largest id needs if none are given

    >>> import minigrad
    >>> minigrad.nn.functional.one_hot(minigrad.tensor([2, 0])).tolist()
    [[0, 0, 1], [1, 0, 0]]
    """
    ids = tensor.array
    if ids.dtype != np.int64:
        raise RuntimeError(f"one_hot needs ids of int64, got {tensor.dtype}; use x.long()")
    if num_classes == -1:
        if ids.size == 0:
            raise RuntimeError("one_hot cannot tell the number of classes from no ids; give num_classes")
        num_classes = int(ids.max()) + 1
    ids = _of(ids).in_range(ids, 0, num_classes - 1, "one_hot: ids", RuntimeError)
    return wrap((ids[..., None] == _of(ids).arange(num_classes)).astype(np.int64))
