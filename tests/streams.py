"""Who touches which memory of the strict device in which stream: what a GPU might do in another order, told without one.

The strict device computes everything at once, and so in an order that is always right. `watching()` notes for every
access to memory what was certain to be done before it, by the clocks of strict.Stream: two accesses from two streams, one of them a
write, of which neither is certain to come first, are a race. So is memory that goes back to CuPy's pool and is lent out
again, by the stream it belongs to, while another stream may still use it; and so are kernels with a barrier of the grid
that may run at the same time although the device has no room for all of their blocks.

Reading the shape of an array, or making a view of it, touches nothing.
"""

from __future__ import annotations

import contextlib
import re
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import emulator
import numpy as np
import pytest
import strict
from numpy.lib.array_utils import byte_bounds
from strict import StrictArray, current_stream

FACTS = ("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides", "flags")
VIEWS = ("T", "mT", "__getitem__", "reshape", "transpose", "swapaxes", "squeeze")
CHANGES = ("__setitem__", "fill", *[name for name in vars(StrictArray) if re.fullmatch("__i(add|sub|mul|truediv)__", name)])
held_in = vars(StrictArray)["_held"].__get__


class Touch(NamedTuple):
    """An access: by which stream, as which of its accesses, to which bytes."""

    stream: int
    count: int
    first: int
    last: int
    writes: bool
    what: str

    def is_done(self) -> bool:
        """Whether it is certain to be done before what the current stream is asked for next."""
        return current_stream().clock[self.stream] >= self.count


class Launch(NamedTuple):
    """A kernel: its name, the stream, what was certain to be done before, and how many blocks have to be there at once."""

    name: str
    stream: int
    count: int
    before: dict[int, int]
    blocks: int

    def may_run_with(self, other: Launch) -> bool:
        """Whether neither is certain to end before the other begins."""
        return self.before.get(other.stream, 0) < other.count and other.before.get(self.stream, 0) < self.count


class Watch:
    """What was touched and launched, and what went wrong."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.launches: list[Launch] = []
        self._touches: dict[int, list[Touch]] = {}  # of each piece of memory, by the id of the array that owns it
        self._owners: dict[int, Any] = {}
        self._given_back: dict[int, list[Touch]] = {}  # by the stream in whose pool the memory is
        self.silent = 0

    def touched(self, array: np.ndarray[Any, Any], writes: bool, what: str) -> None:
        """Note an access by the current stream."""
        if self.silent or not array.size:
            return
        number, (first, last) = self._memory(array), byte_bounds(array)
        stream = current_stream()
        for each in self._touches[number]:
            apart = last <= each.first or each.last <= first or not (writes or each.writes)
            if each.stream != stream.number and not apart and not each.is_done():
                self.problems.append(f"{what} may come before {each.what} is done")
        stream.clock[stream.number] += 1
        self._touches[number].append(Touch(stream.number, stream.clock[stream.number], first, last, writes, what))

    def _memory(self, array: np.ndarray[Any, Any]) -> int:
        """The number of the memory of an array; with new memory, what had it before must be done with it."""
        while isinstance(array.base, np.ndarray):
            array = array.base
        number, stream = id(array), current_stream()
        if number not in self._touches:
            left = [each for each in self._given_back.get(stream.number, []) if each.stream != stream.number and not each.is_done()]
            self.problems += [f"memory may be lent out again before {each.what} is done" for each in left]
            self._given_back[stream.number] = left
            self._touches[number] = []
            self._owners[number] = weakref.ref(array, lambda _: self._give_back(number, stream.number))
        return number

    def _give_back(self, number: int, stream: int) -> None:
        del self._owners[number]
        self._given_back.setdefault(stream, []).extend(self._touches.pop(number))

    def launched(self, kernel: Any, blocks: int, arguments: Any, room: int) -> None:
        """Note a launch by the current stream, and what it touches; there is room for so many blocks that wait for each other."""
        parameters = re.search(rf"{kernel.function}\(([^)]*)\)", kernel.source())
        assert parameters is not None
        for each, parameter in zip(arguments, parameters[1].split(","), strict=True):
            if each.__class__ is StrictArray:
                name = f"{kernel.function} ({parameter.split()[-1]})"
                self.touched(held_in(each), "const" not in parameter, name)
        stream = current_stream()
        own = Launch(kernel.function, stream.number, stream.clock[stream.number] + 1, dict(stream.clock), blocks if kernel.blocks else 0)
        stream.clock[stream.number] += 1
        most = {each.stream: 0 for each in self.launches}  # those of one stream come one after the other
        for each in self.launches:
            if own.blocks and own.may_run_with(each):
                most[each.stream] = max(most[each.stream], each.blocks)
        self.launches.append(own)
        together = own.blocks + sum(most.values())
        if together > room:
            self.problems.append(f"{kernel.function} may wait for ever: {together} blocks have to be there at once")


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Watch every array of the strict device inside."""
    watch = Watch()
    with pytest.MonkeyPatch.context() as patch:
        for name in FACTS:
            patch.setattr(StrictArray, name, property(_silent(watch, vars(StrictArray)[name].fget)))
        for name in VIEWS:
            whole = vars(StrictArray)[name]
            viewing = _viewing(watch, whole.fget if isinstance(whole, property) else whole, name)
            patch.setattr(StrictArray, name, property(viewing) if isinstance(whole, property) else viewing)
        for name in CHANGES:
            patch.setattr(StrictArray, name, _changing(watch, vars(StrictArray)[name], name))
        patch.setattr(StrictArray, "__init__", _making(watch, StrictArray.__init__))
        patch.setattr(strict, "check_call", _calling(watch, strict.check_call))
        patch.setattr(emulator.Emulator, "launch", _launching(watch, emulator.Emulator.launch))
        slot = vars(StrictArray)["_held"]
        patch.setattr(StrictArray, "_held", property(_reading(watch), slot.__set__))
        yield watch


def _reading(watch: Watch) -> Callable[[StrictArray], Any]:
    def read(array: StrictArray) -> Any:
        watch.touched(held_in(array), False, f"reading {held_in(array).shape}")
        return held_in(array)

    return read


def _silent(watch: Watch, function: Callable[..., Any]) -> Callable[..., Any]:
    def silent(*args: Any, **kwargs: Any) -> Any:
        watch.silent += 1
        try:
            return function(*args, **kwargs)
        finally:
            watch.silent -= 1

    return silent


def _viewing(watch: Watch, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def view(array: StrictArray, *args: Any) -> Any:
        result = _silent(watch, function)(array, *args)
        if not np.may_share_memory(held_in(array), held_in(result)):
            watch.touched(held_in(array), False, name)
            watch.touched(held_in(result), True, name)
        return result

    return view


def _changing(watch: Watch, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def change(array: StrictArray, *args: Any) -> Any:
        result = function(array, *args)
        watch.touched(held_in(array), True, name)
        return result

    return change


def _making(watch: Watch, function: Callable[..., None]) -> Callable[..., None]:
    def make(self: StrictArray, array: np.ndarray[Any, Any], base: StrictArray | None = None) -> None:
        function(self, array, base)
        if base is None:
            watch.touched(array, True, f"making {array.shape}")

    return make


def _calling(watch: Watch, function: Callable[..., None]) -> Callable[..., None]:
    def check(name: str, words: str, args: Any, kwargs: Any) -> None:
        function(name, words, args, kwargs)
        if kwargs.get("out") is not None:
            watch.touched(held_in(kwargs["out"]), True, name)

    return check


def _launching(watch: Watch, function: Callable[..., None]) -> Callable[..., None]:
    def launch(self: Any, xp: Any, kernel: Any, blocks: int, arguments: Any) -> None:
        watch.launched(kernel, blocks, arguments, self.blocks_at_once)
        _silent(watch, function)(self, xp, kernel, blocks, arguments)

    return launch
