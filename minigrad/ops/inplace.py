"""Changes in place: compute as usual, write the result into the tensor's own memory, and let its history follow.

A tensor that others show through views shares its memory and its version with them. After a change their own nodes no
longer tell where their values come from; `refresh` makes them anew at their next use.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..backend import ARRAYS
from ..public import public
from ..state import no_grad, state
from ..tape import Leaf, Variable, keep_retaining, note_change, record, refresh, version_of, wrap
from .elementwise import _of, _require_same_device, as_variable, fitting, plain
from .index import _zeroed, getitem, reachable, split_index
from .shape import expand

if TYPE_CHECKING:
    from ..tensor import Tensor


def in_place(operation: Callable[..., Any]) -> Callable[..., Tensor]:
    """The form of an operation that writes its result into its first argument: x.add_(y) for add(x, y)."""

    called = public(operation)

    @functools.wraps(operation)
    def changed(x: Any, *args: Any, **kwargs: Any) -> Any:
        require_changeable(x)
        result = called(x, *args, **kwargs)
        if result.node is not None and result.node.kept and any([kept is x for kept in result.node.kept]):
            before = wrap(x.array.copy())  # the rule wants the elements as they were
            before.node = x.node
            result.node.kept = tuple([before if kept is x else kept for kept in result.node.kept])
        return write(x, result)

    changed.__name__ = changed.__qualname__ = operation.__name__ + "_"
    changed.__doc__ = f"`{operation.__name__}`, written into the tensor itself, which is returned."
    return changed


def either_order(add_: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`add_` that also takes the number before the tensor, as programs of before 2020 have it, and warns as PyTorch does."""

    @functools.wraps(add_)
    def added(x: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 2 and not kwargs and isinstance(args[0], (int, float)) and isinstance(args[1], Variable):
            warnings.warn("x.add_(alpha, y) is an old form; write x.add_(y, alpha=alpha)", UserWarning, stacklevel=2)
            return add_(x, args[1], alpha=args[0])
        return add_(x, *args, **kwargs)

    return added


def require_changeable(x: Any) -> None:
    """RuntimeError for a leaf that wants a gradient, or a view of one, while operations are recorded."""
    if not state.recording:
        return
    root = x
    while root.base is not None:
        root = root.base.of
    if isinstance(root.node, Leaf):
        what = "a leaf that requires grad" if root is x else "a view of a leaf that requires grad"
        raise RuntimeError(
            f"{what} (shape {tuple(x.array.shape)}) cannot be changed in place while operations are recorded: its gradient would be "
            "lost. Wrap the change in `with no_grad():`, or compute a new tensor"
        )


def write(x: Any, result: Any) -> Tensor:
    """Put a result into the memory of x, and give x the result's history."""
    if result.array.shape != x.array.shape:
        raise RuntimeError(
            f"a tensor of shape {tuple(x.array.shape)} cannot take a result of shape {tuple(result.array.shape)} in place; "
            "use the out-of-place form"
        )
    if result.array.dtype != x.array.dtype:
        if "biuf".index(result.array.dtype.kind.replace("u", "i")) > "biuf".index(x.array.dtype.kind.replace("u", "i")):
            raise RuntimeError(f"a tensor of {x.dtype} cannot take a result of {result.dtype} in place; use the out-of-place form")
        result = result.to(x.dtype)
    refresh(x)
    tracked = state.recording and (x.node is not None or result.node is not None or _root(x).node is not None)
    if tracked:
        require_followable(x)
    _put(x.array, ..., result)
    note_change(x)
    if tracked:
        before = x.node
        if x.base is None:
            x.node = result.node
        else:
            hang_on_root(x, result)
        keep_retaining(x, before)
    return x


def require_followable(x: Any) -> None:
    """RuntimeError for a view whose changes the tensor whose memory it shows cannot follow."""
    view = x
    while view.base is not None:
        if view.base.fixed is not None:
            raise RuntimeError(
                f"a view of shape {tuple(x.array.shape)} cannot be changed in place where gradients are wanted: {view.base.fixed}. "
                "Use the out-of-place form of the operation (x = x + 1 instead of x += 1), or change a clone() of it"
            )
        view = view.base.of


def _root(x: Any) -> Any:
    while x.base is not None:
        x = x.base.of
    return x


def hang_on_root(x: Any, result: Any) -> None:
    """x is a view, and has just been overwritten by `result`: so was a part of the tensor whose memory it shows."""
    chain, root = [], x
    while root.base is not None:
        chain.append(root.base.again)
        root = root.base.of
    with no_grad():
        where = wrap(_of(root.array).arange(root.array.size).reshape(root.array.shape))
        for again in reversed(chain):
            where = again(where)
    place, shape = where.array, root.array.shape
    rule = (
        lambda xp, dy: _zeroed(xp, dy.reshape((-1,)), place).reshape(shape),
        lambda xp, dy: dy.reshape((-1,))[place],
    )
    root.node = record("copy_slices", root.array, (root, result), rule).node
    x.base.number = -2  # older than any change, so that refresh makes x's node anew
    refresh(x)


def setitem(x: Any, index: Any, value: Any) -> None:
    """x[index] = value, a number or a tensor that broadcasts        dx = dy, 0 there        dvalue = dy[index]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.index_put_.html
    """
    require_changeable(x)
    refresh(x)
    if index is True:  # alone, True stands for all of x, in any dtype, and False for none of it
        return setitem(x, None, value)
    value = plain(value)
    value = fitting(value, x.array.dtype) if value.__class__ in (float, int, bool) else as_variable(value, x)
    if index is False:
        return None
    direct, chosen = split_index(x, index)
    if chosen is not None and isinstance(value, Variable) and value.array.dtype != x.array.dtype and not _fills_mask(chosen, value):
        getitem(wrap(x.array), index)  # an index that fits nowhere is named first
        raise RuntimeError(f"arrays as indices assign values of the tensor's own dtype, {x.dtype}, got {value.dtype}")  # type: ignore[attr-defined]
    tracked = state.recording and (x.node is not None or getattr(value, "node", None) is not None or _root(x).node is not None)
    if (direct is not None and chosen is not None) or (tracked and x.base is not None and direct is not None):
        target = getitem(x, index if direct is None or chosen is None else direct)
        if chosen is not None:
            return setitem(target, chosen, value)
        write(target, _broadcast(value, target))
        return None
    place = direct if chosen is None else reachable(x, chosen)
    if tracked and x.base is not None:
        result = wrap(x.array.copy())
        result.node = x.node
        setitem(result, place, value)
        write(x, result)
        return None
    if isinstance(value, Variable) and value.array.ndim:
        value = _without_leading_ones(value, x.array[place].ndim)
    _put(x.array, place, value)
    if tracked:
        own = tuple([each.copy() if each.__class__ in ARRAYS else each for each in place])  # type: ignore[attr-defined]  # the user's may change
        rule = (lambda xp, dy: _zeroed(xp, dy, own), lambda xp, dy: dy[own])
        made = record("setitem", x.array, (x, value), rule)
        x.node = made.node
    note_change(x)
    return None


def _fills_mask(chosen: Any, value: Any) -> bool:
    """Whether one element is assigned wherever a mask holds, which PyTorch takes in any dtype."""
    masks = [each for each in chosen if each.__class__ is not slice]
    return value.array.size == 1 and len(masks) == 1 and masks[0].dtype == bool


def _put(array: Any, place: Any, value: Any) -> None:
    given = value.array if isinstance(value, Variable) else value
    if not _of(array).is_writeable(array):
        raise RuntimeError(
            f"several elements of a tensor of shape {tuple(array.shape)} lie in one place in memory (expand() makes such), or it shows "
            "memory that must not change: it cannot be changed in place. Use the out-of-place form, or change a clone() of it"
        )
    if isinstance(value, Variable):
        _require_same_device(array, given)
    try:
        _of(array).put(array, place, given)
    except (TypeError, ValueError) as problem:
        raise RuntimeError(
            f"a value of shape {getattr(given, 'shape', ())} does not fit the place of shape {array[place].shape} it is assigned to"
        ) from problem


def _broadcast(value: Any, like: Any) -> Any:
    if not isinstance(value, Variable):
        return wrap(_of(like.array).full_like(like.array, value))
    return _without_leading_ones(value, like.array.ndim).expand(like.array.shape)


def _without_leading_ones(value: Any, ndim: int) -> Any:
    """The value with no more than `ndim` axes, if the first of them have size 1: assigning lets these be too many."""
    extra = max(value.array.ndim - ndim, 0)
    return value.reshape(value.array.shape[extra:]) if extra and set(value.array.shape[:extra]) == {1} else value


def copy_(x: Any, source: Any) -> Tensor:
    """The elements of `source`, broadcast, written into x."""
    source = plain(source)
    if source.__class__ in (float, int, bool):
        return fill_(x, source)
    require_changeable(x)
    return _replace(x, as_variable(source, x).to(x.device, x.dtype))


def fill_(x: Any, value: Any) -> Tensor:
    """`value`, a number or a tensor without axes, written into every element of x."""
    require_changeable(x)
    value = plain(value)
    if value.__class__ in (float, int, bool):
        return _replace(x, wrap(_of(x.array).full((), fitting(value, x.array.dtype), x.array.dtype)))
    given = as_variable(value, x)
    if given.array.ndim:
        raise RuntimeError(f"fill_ takes a number or a tensor without axes, got shape {tuple(given.array.shape)}; use copy_")
    _require_same_device(x.array, given.array)
    return _replace(x, given.to(x.dtype))


def _replace(x: Any, given: Any) -> Tensor:
    """x = given, broadcast        dx = 0, for what x was before        dgiven = dy"""
    value = expand(given, x.array.shape).array
    return write(x, record("replaced", value, (x, given), (lambda xp, dy: xp.zeros_like(dy), lambda xp, dy: dy)))


def zero_(x: Any) -> Tensor:
    """0 written into every element of x."""
    return fill_(x, 0)


def turned(operation: Callable[..., Any]) -> Callable[..., Tensor]:
    """The form of an operation on shapes that changes its argument's own shape: x.t_() for t(x). The memory stays as it is."""

    @functools.wraps(operation)
    def changed(x: Any, *args: Any, **kwargs: Any) -> Any:
        require_changeable(x)
        if x.base is not None or (x.version is not None and sys.getrefcount(x.version) > _OWN):
            raise RuntimeError(
                f"the shape {tuple(x.array.shape)} of this tensor cannot be changed in place: other tensors show its memory, and know it "
                f"in that shape. Use the out-of-place form, x = x.{operation.__name__}(...)"
            )
        before = wrap(x.array)
        before.node, before.version = x.node, version_of(x)
        made = operation(before, *args, **kwargs)
        x.array = made.array
        if isinstance(x.node, Leaf):
            x.node.shape = x.array.shape
        else:
            x.node = made.node
        note_change(x)  # nodes that kept x want its old shape
        return x

    changed.__name__ = changed.__qualname__ = operation.__name__ + "_"
    changed.__doc__ = f"`{operation.__name__}`, of the tensor itself, which is returned."
    return changed


_OWN = sys.getrefcount([]) + 1  # references to a list that one attribute holds, as getrefcount counts them


def fill_diagonal_(x: Any, fill_value: float) -> Tensor:
    """One number written into the diagonal of a matrix."""
    if x.array.ndim != 2:
        raise RuntimeError(f"fill_diagonal_ needs a matrix, got shape {tuple(x.shape)}")
    steps = _of(x.array).arange(min(x.array.shape))
    setitem(x, (wrap(steps), wrap(steps)), fill_value)
    return x
