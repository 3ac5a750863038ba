"""Finding the operation that made the first NaN or infinity: in a value on the way forward, in a gradient on the way back."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from .. import backend
from ..state import state
from ..tape import Node, Variable, walk
from ..trace import Facts, Observer, users_line

__all__ = ["detect_anomaly", "is_anomaly_enabled", "set_detect_anomaly"]


class _Watch(Observer):
    """Looks at every value and gradient that is recorded, and raises at the first that went wrong."""

    def __init__(self, check_nan: bool) -> None:
        self.check_nan = check_nan

    def made(self, node: Node, tensors: Sequence[Any], inputs: Sequence[Any]) -> None:
        if node.facts is None:
            node.facts = Facts(users_line(), {}, None)
        fault = _new_fault([each.array for each in tensors], inputs) if self.check_nan else None
        if fault is not None:
            walked = _node_being_walked()
            raise RuntimeError(_report(node, fault, inputs) if walked is None else _report_gradient(walked, fault, f" ({node.op})"))

    def passed(self, node: Node, gradients: Sequence[Any], dy: Any) -> None:
        if not self.check_nan:
            return
        arriving = dy if isinstance(dy, list) else [dy]
        if _fault_of(arriving) is not None:
            raise RuntimeError(
                f"the gradient that arrived at {_where(node)} already held {_fault_of(arriving)}: it was given so to backward(), or "
                "finite gradients of several uses of the value added up to it, or a hook returned it"
            )
        fault = _fault_of(gradients)
        if fault is not None:
            raise RuntimeError(_report_gradient(node, fault, ""))


def _new_fault(values: Iterable[Any], inputs: Sequence[Any]) -> str | None:
    """What is wrong with values that their inputs cannot be blamed for: a NaN where none was, an infinity where all was finite."""
    fault = _fault_of(values)
    if fault is None:
        return None
    before = _fault_of(inputs)
    return fault if before is None or (fault == "NaN" and before == "infinity") else None


def _fault_of(many: Iterable[Any]) -> str | None:
    """'NaN' if any of these arrays, tensors and numbers holds one, else 'infinity' if any does, else None."""
    infinite = False
    for each in many:
        array = each.peek() if each.__class__ in backend.UNFINISHED else each.array if isinstance(each, Variable) else each
        if array.__class__ is float:
            if array != array:
                return "NaN"
            infinite = infinite or array in (float("inf"), -float("inf"))
        elif getattr(getattr(array, "dtype", None), "kind", "") == "f":
            xp = backend.of(array)
            if not bool(xp.isfinite(array).all()):
                if bool(xp.isnan(array).any()):
                    return "NaN"
                infinite = True
    return "infinity" if infinite else None


def _node_being_walked() -> Node | None:
    """The node whose gradient is being computed, with create_graph, by a walk further up this thread's stack."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code is not walk.__code__:
        frame = frame.f_back
    return None if frame is None else frame.f_locals.get("node")


def _report(node: Node, fault: str, inputs: Sequence[Any]) -> str:
    given = [f"{tuple(each.array.shape)} of {each.array.dtype}" if isinstance(each, Variable) else repr(each) for each in inputs]
    return f"forward: the first {fault} in a value came out of {_where(node)}, from {', '.join(given)}{_line(node)}"


def _report_gradient(node: Node, fault: str, detail: str) -> str:
    shapes = [str(tuple(parent.shape)) for parent in node.parents]
    return (
        f"backward: the first {fault} in a gradient came out of the rule{detail} of {_where(node)}, for inputs of shape "
        f"{', '.join(shapes)}. Their operation{_line(node)}"
    )


def _where(node: Node) -> str:
    shapes = node.shape if isinstance(node.shape, list) else [node.shape]
    return f"{node.op} (node {node.number}, {node.place}, result of shape {', '.join(str(tuple(each)) for each in shapes)})"


def _line(node: Node) -> str:
    """Where the user's code asked for it, and what stands there."""
    if node.facts is None or not node.facts.line:
        return " was made before anomalies were looked for, so its line is not known"
    name, _, number = node.facts.line.rpartition(":")
    text = linecache.getline(name, int(number)).strip()
    return f", at {node.facts.line}" + (f"\n    {text}" if text else "")


def _watching() -> _Watch | None:
    return next((each for each in state.observers if isinstance(each, _Watch)), None)


def is_anomaly_enabled() -> bool:
    """Whether anomalies are looked for in this thread."""
    return _watching() is not None


class set_detect_anomaly:
    """Looking for anomalies on or off from here on, or inside a block, by a value, in this thread; see `detect_anomaly`.

    Source: https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.set_detect_anomaly
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = _watching()
        _watch(_Watch(check_nan) if mode else None)

    def __enter__(self) -> None: ...

    def __exit__(self, *exception: object) -> None:
        _watch(self.before)


def _watch(watch: _Watch | None) -> None:
    others = tuple([each for each in state.observers if not isinstance(each, _Watch)])
    state.observers = others if watch is None else (*others, watch)


class detect_anomaly:
    """Raise, inside the block, where a value or a gradient first goes NaN or infinite, and say which line made it.

    A value counts as an anomaly, at the operation that made it and at once, if it holds a NaN and no input of the
    operation does, or if it holds an infinity and every input is finite. So `log` of 0 is reported and a mask filled
    with -inf on purpose (`masked_fill`, `full`, `where` with a number) is not, nor what carries it on; the NaN that
    softmax makes of a row of nothing but -inf is. On the way back, a gradient counts that is not finite although the
    gradient its rule was given is. The message names the operation, module scope, layer, time step, shapes, and the
    line of the user's code.

    Only what is recorded is looked at: nothing under `no_grad()`, and no operation whose inputs want no gradient.
    With check_nan=False only the lines are noted.

    Cost: every value and gradient is read once more.

    Source: https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.detect_anomaly

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 0.0], requires_grad=True)
    >>> with detect_anomaly():
    ...     x.log()
    Traceback (most recent call last):
    RuntimeError: forward: the first infinity in a value came out of log (node ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self.before = _watching()
        _watch(_Watch(self.check_nan))

    def __exit__(self, *exception: object) -> None:
        _watch(self.before)
