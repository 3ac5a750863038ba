"""`Function`: an operation with a backward rule of the user's own."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .. import backend
from ..ops.inplace import hang_on_root, require_changeable, require_followable
from ..state import no_grad, state
from ..tape import (
    NUMBER,
    Node,
    Variable,
    View,
    branch_of,
    check_usable,
    keep_with_aliases,
    kept_as_tensor,
    make_node,
    note_change,
    parents_of,
    record,
    refresh,
    tell_made,
    version_of,
    wrap,
)  # fmt: skip

__all__ = ["Function", "FunctionCtx", "once_differentiable"]

_RETURNED = "a custom Function made it, by its own rule, out of its input's memory"


class FunctionCtx:
    """What the forward of a `Function` leaves to its backward: saved tensors, settings, and any attributes.

    needs_input_grad  per input, whether it wants a gradient
    """

    needs_input_grad: tuple[bool, ...]

    def __init__(self) -> None:
        self._to_save: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._without_gradient: tuple[Any, ...] = ()
        self._materialize = True
        self._node: Callable[[], Any] = lambda: None

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for `saved_tensors`; a change of them in place afterwards is noticed.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.function.FunctionCtx.save_for_backward.html
        """
        for position, each in enumerate(tensors):
            if each is not None and not isinstance(each, Variable):
                raise TypeError(
                    f"save_for_backward takes tensors and None, got {type(each).__name__} at position {position}; "
                    "keep other things as attributes: ctx.name = value"
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` was given; RuntimeError if it was given back, or changed in place since."""
        node = self._node()
        if node is None:
            raise RuntimeError("saved_tensors are there in backward, when the Function was recorded; this one was not")
        check_usable(node)
        return tuple([kept_as_tensor(each, node) for each in node.kept])

    def mark_dirty(self, *tensors: Any) -> None:
        """Say that these inputs were changed in place; each must be returned, too."""
        self._dirty = _tensors_only("mark_dirty", tensors)

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say that these outputs have no gradient. Integers and bools need no saying."""
        self._without_gradient = _tensors_only("mark_non_differentiable", tensors)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (as it does unless told otherwise) or None for an output that nobody used."""
        self._materialize = bool(value)


def _tensors_only(name: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
    for each in given:
        if not isinstance(each, Variable):
            raise RuntimeError(f"{name} takes tensors, got {type(each).__name__}")
    return given


class FunctionNode(Node):
    """The node of a user's Function; pictures and messages name it after its class."""

    __slots__ = ("ctx",)

    ctx: FunctionCtx

    def name(self) -> str:
        return f"{self.op}Backward"

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What the Function saved for its backward."""
        return self.ctx.saved_tensors


class Function:
    """An operation whose value and gradient are the user's: a subclass with static methods, called by `apply`.

    forward(ctx, *inputs)             the value or a tuple of values; or forward(*inputs), which leaves ctx to
    setup_context(ctx, inputs, output)
    backward(ctx, *dy)                per input the gradient, or None; with create_graph it is itself differentiated

    Raises: RuntimeError where backward returns too few or too many gradients, one for what is no tensor, or one that
    does not fit its input.

    Source: https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.Function

    >>> import minigrad
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...
    ...     @staticmethod
    ...     def backward(ctx, dy):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x**2 * dy
    >>> x = minigrad.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x)
    tensor(8., grad_fn=<CubeBackward>)
    >>> (dx,) = minigrad.autograd.grad(Cube.apply(x), x, create_graph=True)
    >>> dx.item(), minigrad.autograd.grad(dx, x)[0].item()
    (12.0, 12.0)
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"a Function is not made and called, it is applied: {type(self).__name__}.apply(...)")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The value, or a tuple of values."""
        raise NotImplementedError("a Function needs a static method forward(ctx, *inputs)")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what backward needs, where forward takes no ctx."""
        raise NotImplementedError("setup_context(ctx, inputs, output) is not defined")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the inputs."""
        raise NotImplementedError("a Function needs a static method backward(ctx, *grad_outputs), or vjp, to have a gradient")

    vjp = backward

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """What forward makes of the arguments, recorded with backward as its rule."""
        for each in args:
            if isinstance(each, Variable):
                refresh(each)
        ctx = FunctionCtx()
        ctx.needs_input_grad = tuple([isinstance(each, Variable) and each.node is not None for each in args])
        parents = parents_of(args)  # before forward may change an input in place
        output = _forward(cls, ctx, args)
        outputs = output if isinstance(output, tuple) else (output,)
        _check_dirty(cls, ctx, outputs)
        made = tuple([_own(each, args, ctx._dirty) for each in outputs])
        if state.recording and any(ctx.needs_input_grad):
            _put_on_tape(cls, ctx, args, parents, made, [_has_gradient(*pair, ctx) for pair in zip(made, outputs, strict=True)])
        return made if isinstance(output, tuple) else made[0]


def _forward(cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...]) -> Any:
    with no_grad():
        if cls.setup_context is Function.setup_context:
            output = cls.forward(ctx, *args)
        else:
            output = cls.forward(*args)
            cls.setup_context(ctx, args, output)
    if isinstance(output, list):
        raise TypeError(f"{cls.__name__}.forward must return a tensor or a tuple of them, got a list")
    return output


def _check_dirty(cls: type[Function], ctx: FunctionCtx, outputs: tuple[Any, ...]) -> None:
    for each in ctx._dirty:
        if not any(each is given for given in outputs):
            raise RuntimeError(f"{cls.__name__}: an input marked as dirty, of shape {tuple(each.array.shape)}, must be returned too")


def _put_on_tape(
    cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], parents: Any, made: tuple[Any, ...], differentiable: list[bool]
) -> None:
    """Give the outputs that have a gradient a node, one for all."""
    for each in ctx._dirty:
        require_changeable(each)
        require_followable(each)
        note_change(each)
    if not any(differentiable):
        return
    with_history = [each if has else object() for each, has in zip(made, differentiable, strict=True)]
    node = make_node(FunctionNode, cls.__name__, parents, None, keep_with_aliases(ctx._to_save, with_history, made))
    facts = [(each.array.shape, each.array.dtype) if isinstance(each, Variable) else ((), None) for each in made]
    node.shape, node.dtype = facts[0] if len(made) == 1 else map(list, zip(*facts, strict=True))
    node.rule = _Rule(cls, ctx, node)
    ctx._to_save, ctx._node, node.ctx = (), weakref.ref(node), ctx
    for index, each in enumerate(made):
        if differentiable[index]:
            _place(each, node if len(made) == 1 else branch_of(node, index))
    if state.observers:
        tell_made(node, [each for each in made if isinstance(each, Variable)], args)


def _own(output: Any, args: tuple[Any, ...], dirty: tuple[Any, ...]) -> Any:
    """An output as a tensor of its own: for one that is an input, or shows an input's memory, a view of that input."""
    if not isinstance(output, Variable) or any(output is each for each in dirty):
        return output
    for each in args:
        if isinstance(each, Variable) and _buffer(each) is _buffer(output):
            view = wrap(output.array)
            view.version = version_of(each)
            view.base = View(each, _nothing, _RETURNED)
            return view
    return output


def _buffer(x: Variable) -> Any:
    return x.array if x.array.base is None else x.array.base


def _nothing(x: Any) -> Any:
    raise AssertionError("a view that is fixed is never made anew")


def _has_gradient(made: Any, given: Any, ctx: FunctionCtx) -> bool:
    return isinstance(made, Variable) and made.array.dtype.kind == "f" and not any(given is each for each in ctx._without_gradient)


def _place(output: Any, node: Node) -> None:
    """Give an output its node, and where it is a view of a tensor that shall follow, that tensor its history."""
    if output.base is not None and output.base.fixed is None:
        result = wrap(output.array)
        result.node = node
        hang_on_root(output, result)
    else:
        output.node = node


class _Rule:
    """The rule of a recorded Function: the user's backward, on Tensors, its answers checked."""

    __slots__ = ("backward", "ctx", "name", "outputs", "parents")

    def __init__(self, cls: type[Function], ctx: FunctionCtx, node: Node) -> None:
        self.backward = cls.backward if cls.backward is not Function.backward else cls.vjp
        self.ctx, self.name, self.parents = ctx, node.name(), node.parents
        single = not isinstance(node.shape, list)
        self.outputs = [(node.shape, node.dtype)] if single else list(zip(node.shape, node.dtype, strict=True))

    def __call__(self, xp: Any, dy: Any, *kept: Any) -> list[Any]:
        dys = dy if isinstance(dy, list) else [dy]
        like = next(each for each in dys if each is not None)
        recorded = isinstance(like, Variable)
        answers = self.backward(self.ctx, *[self._shown(each, out, like) for each, out in zip(dys, self.outputs, strict=True)])
        checked = self._checked(answers if isinstance(answers, tuple) else (answers,))
        return [each if each is None or recorded else each.array for each in checked]

    def _shown(self, dy: Any, output: tuple[Any, Any], like: Any) -> Any:
        """The gradient of one output as backward is given it."""
        if dy is None and self.ctx._materialize and output[1] is not None:
            array = like.array if isinstance(like, Variable) else like
            return wrap(backend.of(array).zeros_like(array, shape=output[0], dtype=output[1]))
        return dy if dy is None or isinstance(dy, Variable) else wrap(dy)

    def _checked(self, answers: tuple[Any, ...]) -> Sequence[Any]:
        """The gradients, one per input, or a RuntimeError that says which is wrong."""
        count = len(self.parents)
        if len(answers) < count or any(each is not None for each in answers[count:]):
            raise RuntimeError(f"{self.name}: backward must return one gradient per input, {count} in all, got {len(answers)}")
        for position, (answer, parent) in enumerate(zip(answers[:count], self.parents, strict=True)):
            if answer is None:
                continue
            if not isinstance(answer, Variable):
                raise RuntimeError(f"{self.name}: gradient {position} must be a tensor or None, got {type(answer).__name__}")
            if parent is NUMBER:
                raise RuntimeError(f"{self.name}: gradient {position} must be None: that input is not a tensor")
            if parent.number >= 0 and not _reduces_to(answer.array.shape, parent.shape):
                raise RuntimeError(
                    f"{self.name}: gradient {position} has shape {tuple(answer.array.shape)}, and its input {tuple(parent.shape)}; "
                    "the two must be equal, or the gradient's one that its input's broadcasts to"
                )
        return answers[:count]


def _reduces_to(larger: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether summing over axes along which `shape` would be repeated turns `larger` into it."""
    if len(larger) < len(shape):
        return False
    return all(size in (1, was) for size, was in zip(reversed(shape), reversed(larger), strict=False))


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """`backward`, computed off the tape; differentiating its results again is a RuntimeError, never a wrong gradient.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.function.once_differentiable.html
    """

    @functools.wraps(backward)
    def once(ctx: Any, *dys: Any) -> Any:
        with no_grad():
            answers = backward(ctx, *dys)
        sources = [each for each in (*dys, *ctx.saved_tensors) if isinstance(each, Variable) and each.node is not None]
        if not state.recording or not sources:
            return answers
        guarded = [_guarded(each, sources) for each in (answers if isinstance(answers, tuple) else (answers,))]
        return tuple(guarded) if isinstance(answers, tuple) else guarded[0]

    return once


def _guarded(answer: Any, sources: list[Any]) -> Any:
    return record("once_differentiable", answer.array, sources, _refuse_twice) if isinstance(answer, Variable) else answer


def _refuse_twice(xp: Any, dy: Any, *kept: Any) -> Any:
    raise RuntimeError("differentiating twice a Function whose backward is marked @once_differentiable: it has one derivative only")
