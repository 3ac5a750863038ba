"""What a call from outside meets: PyTorch's names for the arguments, and a TypeError where a tensor is missing.

An operation trusts what it is given and names its inputs as its formula does (x, a, b), which keeps it short and fast.
`public` makes of it what users see as `minigrad.f` and, if there is more than one argument, as `Tensor.f`. Operators, backward
rules and layers call the operation itself. In between stands one Python call: 25 ns for a function of one tensor,
100 ns for one with options.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .tape import Variable

__all__ = ["public", "takes_one"]

F = TypeVar("F", bound=Callable[..., Any])

# Where PyTorch does not call the second of two operands `other`.
_SECOND = {
    "bmm": "mat2", "dot": "tensor", "float_power": "exponent", "mm": "mat2", "mv": "vec", "outer": "vec2", "pow": "exponent",
    "vdot": "other", "cdist": "x2", "repeat_interleave": "repeats",
}  # fmt: skip
_ALSO = {  # other names that PyTorch takes for the same argument, NumPy's among them
    "axis": "dim", "axis0": "dim0", "axis1": "dim1", "keepdims": "keepdim", "x1": "input", "x2": "other", "x": "input", "a": "input",
    "split_size": "split_size_or_sections", "sections": "indices_or_sections", "indices": "indices_or_sections",
}  # fmt: skip


def public(operation: F, module: str = "minigrad") -> F:
    """The operation under PyTorch's names of its arguments; TypeError where an argument should have been a tensor."""
    made = _of_one(operation) if takes_one(operation) else _of_several(operation)
    made.__name__, made.__doc__, made.__module__ = operation.__name__, operation.__doc__, module
    made.__qualname__, made.__wrapped__ = operation.__name__, operation  # type: ignore[attr-defined]
    return made  # type: ignore[return-value]


def takes_one(operation: Callable[..., Any]) -> bool:
    """Whether an operation has one argument, and no more are possible."""
    code = operation.__code__
    return bool(code.co_argcount == 1 and not code.co_kwonlyargcount and not code.co_flags & 0x04)


def _of_one(operation: Callable[..., Any]) -> Callable[..., Any]:
    def one(input: Any) -> Any:
        try:
            return operation(input)
        except AttributeError as problem:
            raise _explained(problem, operation, (input,)) from None

    return one


def _of_several(operation: Callable[..., Any]) -> Callable[..., Any]:
    names, spread = own_names(operation)
    first = operation.__code__.co_varnames[0] if operation.__code__.co_argcount else ""

    def several(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            kwargs = {names.get(name, name): given for name, given in kwargs.items()}
            if "out" in kwargs and kwargs.pop("out") is not None:
                raise TypeError(f"{operation.__name__}() takes no out=: write the result with y.copy_(result), or use y[...] = result")
            if spread in kwargs:
                args = (*(args or [kwargs.pop(first) for _ in range(first in kwargs)]), kwargs.pop(spread))
        try:
            return operation(*args, **kwargs)
        except AttributeError as problem:
            raise _explained(problem, operation, (*args, *kwargs.values())) from None

    return several


def own_names(operation: Callable[..., Any]) -> tuple[dict[str, str], str]:
    """What an operation calls the arguments that PyTorch calls otherwise, and its argument that takes any number of sizes."""
    code = operation.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    own = code.co_varnames[:count]
    pytorchs = {"where": ["condition", "input", "other"]}.get(operation.__name__, ["input", _SECOND.get(operation.__name__, "other")])
    names = {theirs: ours for theirs, ours in zip(pytorchs, own) if theirs not in own and (len(ours) == 1 or ours == "start")}
    for also, theirs in _ALSO.items():
        if also not in own and names.get(theirs, theirs) in own:
            names[also] = names.get(theirs, theirs)
    return names, code.co_varnames[count] if code.co_flags & 0x04 else ""


def _explained(problem: AttributeError, operation: Callable[..., Any], given: tuple[Any, ...]) -> Exception:
    """A TypeError if what lacks the attribute is an argument and no tensor; the problem itself otherwise."""
    flat = [part for each in given for part in (each if isinstance(each, (list, tuple)) else ())]
    if isinstance(problem.obj, Variable) or not any(problem.obj is each for each in [*given, *flat]):
        return problem
    kind, name = type(problem.obj).__name__, operation.__name__
    return TypeError(f"{name}() expected a tensor, got {kind}; make one of it: minigrad.tensor(...)")
