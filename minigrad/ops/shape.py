"""Operations that move elements without changing them: reshape, transpose, expand, join, cut, turn.

Where the array library can, the result shows the same memory as the input (`record_view`), as in PyTorch.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import types
from ..tape import Variable, record, record_several, record_view, show_memory_of, version_of, wrap
from .elementwise import _of, _require_same_device, result_type

if TYPE_CHECKING:
    from ..tensor import Tensor


def ints(given: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence: f(2, 3) and f((2, 3))."""
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = tuple(given[0])
    return tuple([operator.index(each) for each in given])


def axis_of(x: Any, dim: int, extra: int = 0) -> int:
    """`dim` counted from the front; IndexError where there is no such axis. A tensor without axes has -1 and 0."""
    ndim = max(len(x.shape) + extra, 1)
    if not -ndim <= dim < ndim:
        raise IndexError(f"dim must lie in [{-ndim}, {ndim - 1}] for a tensor of shape {tuple(x.shape)}, got {dim}")
    return dim % ndim


def axes_of(x: Any, dims: Sequence[int]) -> tuple[int, ...]:
    """Several axes, each counted from the front; RuntimeError where one is named twice."""
    axes = tuple([axis_of(x, dim) for dim in dims])
    if len(set(axes)) < len(axes):
        raise RuntimeError(f"a dim is named twice in {tuple(dims)} for a tensor of shape {tuple(x.shape)}")
    return axes


# ------------------------------------------------------------------------------------------------------ other shapes


def reshape(x: Any, *shape: Any) -> Tensor:
    """y has the same elements in the same order in another shape; one size may be -1.        dx = dy in x's shape

    >>> import minigrad
    >>> minigrad.arange(6).reshape(2, -1).shape
    minigrad.Size([2, 3])
    """
    sizes, before = resolve(x.array.size, ints(shape)), x.array.shape
    return record_view("reshape", x.array.reshape(sizes), x, lambda xp, dy: dy.reshape(before), lambda x: reshape(x, sizes))


def resolve(count: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """`sizes` with -1 replaced by what `count` elements leave; RuntimeError where they do not fit."""
    known = math.prod([size for size in sizes if size != -1])
    fits = count == known if -1 not in sizes else known and count % known == 0
    if not fits or sizes.count(-1) > 1 or any(size < -1 for size in sizes):
        raise RuntimeError(f"a tensor of {count} elements has no shape {sizes}; their product must be {count}, and one size may be -1")
    return tuple([count // known if size == -1 else size for size in sizes])


def view(x: Any, *shape: Any, dtype: Any = None) -> Tensor:
    """`reshape` without a copy; or, given a dtype, the same bytes read as elements of it.

    Raises  RuntimeError where x is a view whose elements do not lie so in memory that another can show them in that
            shape. While nothing is recorded nobody knows which tensors are views, and such elements are copied.
    """
    if dtype is not None or (len(shape) == 1 and isinstance(shape[0], types.dtype)):
        return _reread(x, shape[0] if dtype is None else dtype)
    y = reshape(x, *shape)
    if x.base is not None and not x.array.flags.c_contiguous and not _of(x.array).may_share_memory(x.array, y.array):
        root = x
        while root.base is not None:
            root = root.base.of
        if root.array.flags.c_contiguous:  # otherwise an operation chose that layout here, and may have chosen another in PyTorch
            raise RuntimeError(f"a view of shape {tuple(x.shape)} and strides {x.stride()} cannot be seen as {tuple(y.shape)}; use reshape")
    return y


def _reread(x: Any, kind: types.dtype) -> Tensor:
    try:
        result = wrap(x.array.view(types.numpy_dtype(kind)))
    except ValueError as problem:
        raise RuntimeError(f"the bytes of shape {tuple(x.shape)} of {x.dtype} cannot be read as {kind}: {problem}") from None
    result.version = version_of(x)
    return result


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """y has the axes from start_dim to end_dim joined into one; x itself where that changes nothing."""
    start, end = axis_of(x, start_dim), axis_of(x, end_dim)
    if start > end:
        raise RuntimeError(f"start_dim must not come after end_dim, got {start_dim} and {end_dim} for shape {tuple(x.shape)}")
    shape = x.array.shape
    if shape and start == end:
        return x
    return reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def unflatten(x: Any, dim: int, sizes: Sequence[int]) -> Tensor:
    """y has axis `dim` cut into several of the given sizes."""
    axis, shape = axis_of(x, dim), x.array.shape
    if not shape:
        raise RuntimeError("unflatten needs an axis to cut, got a tensor without axes")
    return reshape(x, (*shape[:axis], *resolve(shape[axis], tuple(sizes)), *shape[axis + 1 :]))


def squeeze(x: Any, dim: int | Sequence[int] | None = None) -> Tensor:
    """y lacks the axes of size 1: all of them, or those named in `dim`."""
    shape = x.array.shape
    axes = range(len(shape)) if dim is None else axes_of(x, [dim] if isinstance(dim, int) else dim)
    return reshape(x, tuple([size for axis, size in enumerate(shape) if axis not in axes or size != 1]))


def unsqueeze(x: Any, dim: int) -> Tensor:
    """y has one more axis, of size 1, at `dim`."""
    axis = axis_of(x, dim, extra=1)
    return reshape(x, (*x.array.shape[:axis], 1, *x.array.shape[axis:]))


def expand(x: Any, *size: Any) -> Tensor:
    """y repeats axes of size 1 (and new ones in front) without copying; -1 leaves a size as it is.        dx = dy, summed"""
    shape = x.array.shape
    wanted = ints(size)
    old = (None,) * (len(wanted) - len(shape)) + shape
    if len(wanted) < len(shape) or any(size == -1 and was is None for size, was in zip(wanted, old, strict=False)):
        raise RuntimeError(f"a tensor of shape {tuple(shape)} cannot be expanded to {wanted}: new axes come in front and need a size")
    full = tuple([was if size == -1 else size for size, was in zip(wanted, old, strict=True)])
    if any(was not in (None, 1, size) for size, was in zip(full, old, strict=True)):
        raise RuntimeError(f"a tensor of shape {tuple(shape)} cannot be expanded to {wanted}: only axes of size 1 can")
    value = x.array[...] if full == shape else _of(x.array).broadcast_to(x.array, full)  # only the first can be written to
    return record_view("expand", value, x, lambda xp, dy: dy, lambda x: expand(x, full))


def broadcast_to(x: Any, size: Sequence[int]) -> Tensor:
    """`expand`, under NumPy's name."""
    return expand(x, *size)


def repeat(x: Any, *repeats: Any) -> Tensor:
    """y repeats x as a whole, `repeats` times along each axis, new axes in front (NumPy's tile).

    >>> import minigrad
    >>> minigrad.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    times = ints(repeats)
    new = len(times) - x.array.ndim
    if new < 0:
        raise RuntimeError(f"repeat needs a count for every axis of shape {tuple(x.shape)}, got {times}")
    shape = (1,) * new + x.array.shape
    spread = [size for pair in zip(times, shape, strict=True) for size in pair]
    thin = [size for each in shape for size in (1, each)]
    return reshape(expand(reshape(x, thin), spread), [time * size for time, size in zip(times, shape, strict=True)])


def tile(x: Any, *dims: Any) -> Tensor:
    """`repeat`, where missing counts in front are 1."""
    times = ints(dims)
    return repeat(x, *((1,) * (x.array.ndim - len(times)) + times))


# ------------------------------------------------------------------------------------------------------ other orders


def transpose(x: Any, dim0: int, dim1: int) -> Tensor:
    """y has two axes swapped        dx = dy, swapped back"""
    one, other = axis_of(x, dim0), axis_of(x, dim1)
    if x.array.ndim == 0:
        return x
    return record_view(
        "transpose", x.array.swapaxes(one, other), x, lambda xp, dy: dy.swapaxes(one, other), lambda x: transpose(x, one, other)
    )


def permute(x: Any, *dims: Any) -> Tensor:
    """y has its axes in the given order        dx = dy in the old order

    >>> import minigrad
    >>> minigrad.zeros(2, 3, 4).permute(2, 0, 1).shape
    minigrad.Size([4, 2, 3])
    """
    if not dims:
        raise TypeError("permute needs the axes in their new order: x.permute(1, 0)")
    order = axes_of(x, ints(dims))
    if len(order) != x.array.ndim:
        raise RuntimeError(f"permute needs every axis of shape {tuple(x.shape)} once, got {order}")
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    rule = lambda xp, dy: xp.permute_dims(dy, back)
    return record_view("permute", x.array.transpose(order), x, rule, lambda x: permute(x, order))


def permute_dims(x: Any, axes: Sequence[int]) -> Tensor:
    """`permute`, under NumPy's name."""
    return permute(x, tuple(axes))


def movedim(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """y has the axes in `source` moved to the places in `destination`, the others in order."""
    old = axes_of(x, [source] if isinstance(source, int) else source)
    new = axes_of(x, [destination] if isinstance(destination, int) else destination)
    if len(old) != len(new):
        raise RuntimeError(f"movedim needs as many destinations as sources, got {source} and {destination}")
    if x.array.ndim == 0:
        return x
    order = [axis for axis in range(x.array.ndim) if axis not in old]
    for place, axis in sorted(zip(new, old, strict=True)):
        order.insert(place, axis)
    return permute(x, *order)


def t(x: Any) -> Tensor:
    """y is the transpose of a matrix; of a vector, itself."""
    if x.array.ndim > 2:
        raise RuntimeError(f"t() is for at most 2 axes, got shape {tuple(x.shape)}; use transpose(-2, -1), or .mT")
    return transpose(x, 0, 1) if x.array.ndim == 2 else x


def flip(x: Any, *dims: Any) -> Tensor:
    """y has the axes in `dims` backwards        dx = dy, turned back"""
    axes = axes_of(x, ints(dims))
    axes = axes if x.array.ndim else ()
    turned = tuple([slice(None, None, -1) if axis in axes else slice(None) for axis in range(x.array.ndim)])
    return record("flip", x.array[turned].copy(), (x,), (lambda xp, dy: xp.flip(dy, axes),))


def roll(x: Any, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """y is moved along each axis, what leaves at the end coming back at the front        dx = dy, moved back"""
    many = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims is None and len(many) == 1:
        return reshape(roll(flatten(x), many, (0,)), x.array.shape)
    dims = () if dims is None else dims
    axes = tuple([axis_of(x, dim) for dim in ((dims,) if isinstance(dims, int) else dims)])
    if len(axes) != len(many):
        raise RuntimeError(f"roll needs as many dims as shifts, got {shifts} and {dims}")
    if not many:
        raise RuntimeError("roll needs at least one shift")
    if x.array.ndim == 0:
        raise IndexError("roll along a dim needs one, got a tensor without axes")
    back = tuple([-shift for shift in many])
    return record("roll", _of(x.array).roll(x.array, many, axes), (x,), (lambda xp, dy: xp.roll(dy, back, axes),))


# ---------------------------------------------------------------------------------------------------- joining, cutting


def cat(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """y holds the tensors one after the other along `dim`        each gets its piece of dy

    >>> import minigrad
    >>> minigrad.cat([minigrad.zeros(2, 1), minigrad.ones(2, 2)], dim=1)
    tensor([[0., 1., 1.],
            [0., 1., 1.]])
    """
    if isinstance(tensors, Variable) or not tensors:
        raise (TypeError if isinstance(tensors, Variable) else ValueError)("cat needs a list of at least one tensor")
    arrays = _alike(tensors)
    if any(array.ndim != 1 or array.size for array in arrays):
        arrays = [array for array in arrays if array.ndim != 1 or array.size] or arrays  # PyTorch skips the empty vector
        tensors = [tensor for tensor in tensors if tensor.array.ndim != 1 or tensor.array.size] or tensors
    if 0 in [array.ndim for array in arrays]:
        raise RuntimeError("cat needs tensors with axes; use stack for those without")
    axis = axis_of(arrays[0], dim)
    rest = {(*array.shape[:axis], *array.shape[axis + 1 :], array.ndim) for array in arrays}
    if len(rest) > 1:
        raise RuntimeError(f"cat along dim {dim} needs equal sizes elsewhere, got shapes {[tuple(each.shape) for each in arrays]}")
    ends = [0]
    for array in arrays:
        ends.append(ends[-1] + array.shape[axis])
    front = (slice(None),) * axis
    pieces = [(*front, slice(start, end)) for start, end in itertools.pairwise(ends)]
    return record("cat", _of(arrays[0]).concatenate(arrays, axis), tensors, lambda xp, dy: [dy[piece] for piece in pieces])


def concatenate(tensors: Sequence[Any], axis: int = 0, dim: int | None = None) -> Tensor:
    """`cat`, under NumPy's name."""
    return cat(tensors, axis if dim is None else dim)


concat = concatenate


def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """y holds the tensors side by side along a new axis `dim`        each gets its piece of dy"""
    if isinstance(tensors, Variable) or not tensors:
        raise (TypeError if isinstance(tensors, Variable) else RuntimeError)("stack needs a list of at least one tensor")
    arrays = _alike(tensors)
    if len({array.shape for array in arrays}) > 1:
        raise RuntimeError(f"stack needs equal shapes, got {[tuple(each.shape) for each in arrays]}")
    axis = axis_of(arrays[0], dim, extra=1)
    front = (slice(None),) * axis
    value = _of(arrays[0]).stack(arrays, axis)
    return record("stack", value, tensors, lambda xp, dy: [dy[(*front, index)] for index in range(len(arrays))])


def _alike(tensors: Sequence[Any]) -> list[Any]:
    """The arrays of several tensors in one dtype."""
    arrays = []
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, Variable):
            raise TypeError(f"expected tensors, got {type(tensor).__name__} at position {position}")
        arrays.append(tensor.array)
    dtype = arrays[0].dtype
    if all(array.dtype is dtype and array.__class__ is arrays[0].__class__ for array in arrays):
        return arrays
    meeting = arrays[0]
    for array in arrays[1:]:
        _require_same_device(meeting, array)
        dtype = result_type(meeting, array)
        meeting = (meeting if meeting.ndim >= array.ndim else array).astype(dtype)
    return [array.astype(dtype, copy=False) for array in arrays]


def split(x: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """x cut along `dim` into pieces of one size (the last may be smaller), or of the sizes listed; one node for all"""
    if x.array.ndim == 0:
        raise RuntimeError("split needs an axis to cut, got a tensor without axes")
    axis = axis_of(x, dim)
    length = x.array.shape[axis]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size <= 0 and length:
            raise RuntimeError(f"split needs a positive size, got {size}")
        sections = [min(size, length - start) for start in range(0, length, size)] if length else [0]
    else:
        sections = list(split_size_or_sections)
    if sum(sections) != length or min(sections) < 0:
        raise RuntimeError(f"the sections {sections} must add up to {length}, the size of dim {dim} in shape {tuple(x.shape)}")
    front, end, pieces = (slice(None),) * axis, 0, []
    for size in sections:
        pieces.append((*front, slice(end, end + size)))
        end += size
    values = [x.array[piece] for piece in pieces]
    shapes = [value.shape for value in values]

    def rule(xp: Any, dys: Any) -> Any:
        like = next(dy for dy in dys if dy is not None)
        filled = [zeros_like_shape(xp, like, shape) if dy is None else dy for dy, shape in zip(dys, shapes, strict=True)]
        return [xp.concatenate(filled, axis)]

    tensors = record_several("split", values, (x,), rule)
    for tensor, piece in zip(tensors, pieces, strict=True):
        show_memory_of(x, tensor, functools.partial(_piece, piece), _ONE_OF_SEVERAL)
    return tuple(tensors)


_ONE_OF_SEVERAL = "it is one of several that one operation (split, chunk, unbind, iteration) gave, with one node for them all"


def _piece(piece: Any, x: Any) -> Any:
    return x[piece]


def zeros_like_shape(xp: Any, like: Any, shape: Sequence[int]) -> Any:
    """Zeros of another shape, on the device and in the dtype of `like`."""
    return xp.zeros_like(like, shape=shape)


def chunk(x: Any, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """x cut along `dim` into at most `chunks` pieces of one size, the last may be smaller; one node for all

    >>> import minigrad
    >>> [piece.tolist() for piece in minigrad.arange(5).chunk(2)]
    [[0, 1, 2], [3, 4]]
    """
    if chunks <= 0:
        raise RuntimeError(f"chunk needs at least one chunk, got {chunks}")
    if x.array.ndim == 0:
        raise RuntimeError("chunk needs an axis to cut, got a tensor without axes")
    length = x.array.shape[axis_of(x, dim)]
    return split(x, -(-length // chunks) if length else [0] * chunks, dim)


def unbind(x: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """x cut along `dim` into pieces without that axis; one node for all"""
    axis = axis_of(x, dim)
    front = (slice(None),) * axis
    values = [x.array[(*front, index, ...)] for index in range(x.array.shape[axis])]  # ... keeps a single element a view
    shape = x.array.shape[:axis] + x.array.shape[axis + 1 :]

    def rule(xp: Any, dys: Any) -> Any:
        like = next(dy for dy in dys if dy is not None)
        return [xp.stack([zeros_like_shape(xp, like, shape) if dy is None else dy for dy in dys], axis)]

    tensors = record_several("unbind", values, (x,), rule)
    for index, tensor in enumerate(tensors):
        show_memory_of(x, tensor, lambda x, index=index: x[(*front, index)], _ONE_OF_SEVERAL)  # type: ignore[misc]
    return tuple(tensors)


def narrow(x: Any, dim: int, start: int, length: int) -> Tensor:
    """The `length` entries of x from `start` on along `dim`"""
    if x.array.ndim == 0:
        raise RuntimeError("narrow needs an axis, got a tensor without axes")
    axis = axis_of(x, dim)
    size = x.array.shape[axis]
    if not -size <= start <= size:
        raise IndexError(f"narrow must start within [{-size}, {size}] along dim {dim} of shape {tuple(x.shape)}, got {start}")
    start = start + size if start < 0 else start
    if not (0 <= start <= size and 0 <= length <= size - start):
        raise RuntimeError(f"narrow from {start} for {length} does not fit dim {dim} of shape {tuple(x.shape)}")
    return x[(*(slice(None),) * axis, slice(start, start + length))]


def select(x: Any, dim: int, index: int) -> Tensor:
    """Entry `index` of x along `dim`, without that axis"""
    return x[(*(slice(None),) * axis_of(x, dim), index)]
