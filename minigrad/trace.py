"""Looking on while the tape is written and walked: source lines, bytes kept for backward, gradient norms.

The tape tells observers of every node it makes, passes and frees. Nothing here is asked when nobody looks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from . import backend
from .state import state
from .tape import Node, Variable

__all__ = ["Facts", "Observer", "buffers_kept", "trace"]

_HERE = tuple(os.path.dirname(os.path.abspath(__file__)) + end for end in (os.sep, "_nn" + os.sep))


class Facts:
    """What a trace noted of one node.

    line       "file:number" of the user's code that caused it
    saved      {address of a buffer: its bytes} kept for the backward rule
    value      a copy of the node's value, if the trace was asked for values
    gradients  norm of the gradient that went to each input, None where none went
    """

    __slots__ = ("gradients", "line", "saved", "value")

    def __init__(self, line: str, saved: dict[int, int], value: Any) -> None:
        self.line, self.saved, self.value = line, saved, value
        self.gradients: list[float | None] | None = None


class Observer:
    """Is told what happens on the tape, in this thread, inside a `with` block."""

    def __enter__(self) -> Any:
        state.observers = (*state.observers, self)
        return self

    def __exit__(self, *exception: object) -> None:
        state.observers = tuple(each for each in state.observers if each is not self)

    def made(self, node: Node, tensors: Sequence[Any], inputs: Sequence[Any]) -> None:
        """An operation was recorded: its node, its outputs, its inputs."""

    def passed(self, node: Node, gradients: Sequence[Any], dy: Any) -> None:
        """The walk passed a node, whose rule made of `dy` these gradients for its inputs."""

    def freed(self, node: Node) -> None:
        """What a node had kept was given back."""


class trace(Observer):
    """Note, for every node made inside: source line, bytes kept, and on the way back the norm of each gradient.

    `held` is how many bytes are kept for backward right now, a buffer that several nodes share counted once; `peak` is
    the most it has been. Each node's `facts` have the rest.

    >>> import minigrad
    >>> x = minigrad.ones(100, requires_grad=True)
    >>> with trace() as seen:
    ...     y = x.tanh().sum()
    ...     before = seen.held
    ...     y.backward()
    >>> before, seen.held
    (400, 0)
    """

    def __init__(self, values: bool = False) -> None:
        if isinstance(values, Variable):
            raise TypeError("minigrad.trace looks on while the tape is written; the sum of a matrix's diagonal is x.trace()")
        self.values = values
        self.held = self.peak = 0
        self.nodes = 0
        self._sharing: dict[int, int] = {}

    def made(self, node: Node, tensors: Sequence[Any], inputs: Sequence[Any]) -> None:
        saved = buffers_kept(node)
        for buffer, size in saved.items():
            self._sharing[buffer] = self._sharing.get(buffer, 0) + 1
            self.held += size if self._sharing[buffer] == 1 else 0
        self.nodes += 1
        self.peak = max(self.peak, self.held)
        value = [each.array.copy() for each in tensors] if self.values else None
        node.facts = Facts(users_line(), saved, value)

    def passed(self, node: Node, gradients: Sequence[Any], dy: Any) -> None:
        if node.facts is not None:
            node.facts.gradients = [None if each is None else _norm(each) for each in gradients]

    def freed(self, node: Node) -> None:
        if node.facts is None:
            return
        for buffer, size in node.facts.saved.items():
            if buffer in self._sharing:
                self._sharing[buffer] -= 1
                if not self._sharing[buffer]:
                    del self._sharing[buffer]
                    self.held -= size


def buffers_kept(node: Node) -> dict[int, int]:
    """{address of a buffer: its bytes} that a node keeps for its backward rule now."""
    saved = {}
    for kept in node.kept or ():
        for array in _arrays_of(kept):
            if type(array) in backend.ARRAYS:
                buffer = array if array.base is None else array.base
                saved[id(buffer)] = int(getattr(buffer, "nbytes", array.nbytes))
    return saved


def _arrays_of(kept: Any) -> Sequence[Any]:
    """The arrays in something that a node keeps: a tensor, an array, or an object that lists several as its `arrays`."""
    if isinstance(kept, Variable):
        return (kept.array,)
    return getattr(kept, "arrays", (kept,))


def _norm(gradient: Any) -> float:
    array = gradient.peek() if gradient.__class__ in backend.UNFINISHED else gradient
    array = array.array if isinstance(array, Variable) else array
    return float((array.astype("float64") ** 2).sum() ** 0.5)


def users_line() -> str:
    """The innermost line that does not stand in this project."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
