"""What each thread is doing: whether operations are recorded, and where in the model and in time they stand.

The tape reads this at every operation, so a place is one object that is swapped, never a stack that is searched.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

if TYPE_CHECKING:
    from .trace import Observer

__all__ = [
    "Place", "enable_grad", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "no_grad", "place", "scope",
    "set_grad_enabled", "state", "step",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


class Place:
    """Where an operation stands: in which module, at which time step, in which direction of which layer.

    `scope` is a tuple of names from the outside in; `step` counts time from 0 and `direction` is "forward" or
    "reverse"; `rows` is how many rows of a packed batch are still live. `steps` is how many time steps one operation
    computes, where a kernel computes a whole layer. What is not known is None.
    """

    __slots__ = ("direction", "inner", "layer", "rows", "scope", "step", "steps")

    def __init__(
        self,
        scope: tuple[str, ...] = (),
        step: int | None = None,
        layer: int | None = None,
        direction: str | None = None,
        rows: int | None = None,
        steps: int | None = None,
    ) -> None:
        self.scope, self.step, self.layer, self.direction, self.rows, self.steps = scope, step, layer, direction, rows, steps
        self.inner: dict[str, Place] = {}

    def enter(self, name: str) -> Place:
        """The place one scope further in: the same object every time, so that entering costs one look-up."""
        found = self.inner.get(name)
        if found is None:
            found = self.inner[name] = Place((*self.scope, name), self.step, self.layer, self.direction, self.rows)
        return found

    def __repr__(self) -> str:
        facts = ((name, getattr(self, name)) for name in ("step", "layer", "direction", "rows", "steps"))
        return " ".join(["/".join(self.scope) or "(outside)", *(f"{name}={fact}" for name, fact in facts if fact is not None)])


class _State(threading.local):
    """One of these per thread; a new thread starts with these values."""

    def __init__(self) -> None:
        self.recording = True
        self.inference = False
        self.place = Place()
        self.observers: tuple[Observer, ...] = ()  # told of every node and gradient; see trace.py


state = _State()


class _GradMode:
    """A block, or a function, inside which recording is on or off; afterwards it is as it was before."""

    mode: bool

    def __enter__(self) -> None:
        self.before = state.recording
        state.recording = self.mode and not state.inference

    def __exit__(self, *exception: object) -> None:
        state.recording = self.before

    def __call__(self, function: F) -> F:
        mode = self.mode
        if inspect.isgeneratorfunction(function):
            return cast(F, _generator_in_mode(mode, function))

        @functools.wraps(function)
        def in_mode(*args: Any, **kwargs: Any) -> Any:
            before, state.recording = state.recording, mode and not state.inference
            try:
                return function(*args, **kwargs)
            finally:
                state.recording = before

        return cast(F, in_mode)


def _generator_in_mode(mode: bool, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with the mode on only while its own body runs, never while its caller holds the generator."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        generator, answer = function(*args, **kwargs), None
        while True:
            before, state.recording = state.recording, mode and not state.inference
            try:
                item = generator.send(answer)
            except StopIteration as end:
                return end.value
            finally:
                state.recording = before
            answer = yield item

    return wrapped


class no_grad(_GradMode):
    """Record nothing inside: `with no_grad():` or `@no_grad()`.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html

    >>> import minigrad
    >>> x = minigrad.ones(2, requires_grad=True)
    >>> with minigrad.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    mode = False

    @overload
    def __new__(cls) -> Self: ...
    @overload
    def __new__(cls, function: F) -> F: ...  # type: ignore[misc]  # @NAME without brackets gives the function back
    def __new__(cls, function: Any = None) -> Any:
        """The block, or with a function, that function with the mode inside."""
        made = super().__new__(cls)
        return made if function is None else made(function)


class enable_grad(_GradMode):
    """Record inside, also where an outer block said not to: `with enable_grad():` or `@enable_grad()`.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.enable_grad.html
    """

    mode = True

    @overload
    def __new__(cls) -> Self: ...
    @overload
    def __new__(cls, function: F) -> F: ...  # type: ignore[misc]  # @NAME without brackets gives the function back
    def __new__(cls, function: Any = None) -> Any:
        """The block, or with a function, that function with the mode inside."""
        made = super().__new__(cls)
        return made if function is None else made(function)


class set_grad_enabled(_GradMode):
    """Recording on or off from here on, or inside a block, by a value: `set_grad_enabled(training)`.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.set_grad_enabled.html
    """

    def __init__(self, mode: bool) -> None:
        self.before = state.recording
        self.mode = bool(mode)
        state.recording = self.mode and not state.inference

    def __enter__(self) -> None:
        state.recording = self.mode and not state.inference

    def __call__(self, function: F) -> F:
        state.recording = self.before  # a decorator changes its function, not the code around it
        return super().__call__(function)


class inference_mode:
    """Record nothing inside, and let no block inside switch recording on: `with inference_mode():` or `@inference_mode()`.

    `inference_mode(False)` records again inside. Unlike PyTorch's, tensors made inside are tensors like any other.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad_mode.inference_mode.html

    >>> import minigrad
    >>> x = minigrad.ones(2, requires_grad=True)
    >>> with minigrad.inference_mode(), minigrad.enable_grad():
    ...     (x * 2).requires_grad, minigrad.is_inference_mode_enabled()
    (False, True)
    """

    @overload
    def __new__(cls, mode: bool = True) -> Self: ...
    @overload
    def __new__(cls, mode: F) -> F: ...  # type: ignore[misc]  # @inference_mode without brackets gives the function back
    def __new__(cls, mode: Any = True) -> Any:
        """The block, or with a function, that function with the mode inside."""
        made = super().__new__(cls)
        made.mode = True if callable(mode) else bool(mode)
        return made(mode) if callable(mode) else made

    mode: bool

    def __enter__(self) -> None:
        self.before = state.recording, state.inference
        state.recording, state.inference = not self.mode, self.mode

    def __exit__(self, *exception: object) -> None:
        state.recording, state.inference = self.before

    def __call__(self, function: F) -> F:
        mode = self.mode
        if inspect.isgeneratorfunction(function):
            raise TypeError("inference_mode cannot wrap a generator function; use `with inference_mode():` inside it, or @no_grad()")

        @functools.wraps(function)
        def in_mode(*args: Any, **kwargs: Any) -> Any:
            with inference_mode(mode):
                return function(*args, **kwargs)

        return cast(F, in_mode)


class set_recording(_GradMode):
    """Recording on or off inside a block, by a value, whatever the mode outside: for the engine's own use."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        self.before = state.recording
        state.recording = self.mode


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode()`."""
    return state.inference


def is_grad_enabled() -> bool:
    """Whether operations on this thread are being recorded."""
    return state.recording


class place:
    """Everything inside happens at the place given; afterwards it is as it was before."""

    __slots__ = ("before", "inside")

    def __init__(self, inside: Place) -> None:
        self.inside = inside

    def __enter__(self) -> Place:
        self.before, state.place = state.place, self.inside
        return self.inside

    def __exit__(self, *exception: object) -> None:
        state.place = self.before


def scope(name: str) -> place:
    """A named part of the model: `with scope("encoder"):`. Modules open theirs by themselves.

    >>> import minigrad
    >>> with minigrad.scope("encoder"), minigrad.step(3):
    ...     y = minigrad.ones(2, requires_grad=True) * 2
    >>> y.grad_fn.place
    encoder step=3
    """
    return place(state.place.enter(str(name)))


def step(t: int, layer: int | None = None, direction: str | None = None, rows: int | None = None) -> place:
    """Time step `t`, counted from 0: `with step(t):`; layer, direction and live rows for those who know them."""
    outer = state.place
    return place(Place(outer.scope, t, outer.layer if layer is None else layer, direction or outer.direction, rows))
