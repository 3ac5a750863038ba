"""Two directions of a layer at the same time: a second stream, beside the current one.

A GPU works off what it is asked for in streams: each in its order, several at the same time. So the direction that comes
first is launched on a second stream, and the other one, as ever, on the current stream:

    current   x W_ih1ᵀ ─┬─ x W_ih2ᵀ ─ direction 2 ─┬─ cat …
                       fork                       join
    second              └─ direction 1 ────────────┘

    fork    the second stream waits for everything that the current one was asked for so far
    join    the current stream waits for everything that the second one was asked for so far

Nothing but these launches goes to the second stream; memory is taken and filled, and matrices are multiplied, on the current one.

    CuPy keeps memory that was given back for the stream on which it was taken, and lends it to that stream again at once.
    That is right as long as nobody but this stream still uses it; so what a launch beside was given is held until the join.

    cuBLAS promises the same last bits in every run only where one stream at a time uses it.

All threads share the second stream of a device. Kernels whose blocks wait for each other would do so for ever if two of them were
there in part, each without room for its other blocks. So one that needs more than half of the device starts when the
second stream is empty, and smaller ones are never more than two: one here, one there.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

__all__ = ["alone", "join", "launch_beside"]


class _Held(threading.local):
    """What a thread's launches on the second stream of each device were given, since its last join there."""

    def __init__(self) -> None:
        self.on: defaultdict[int, list[Any]] = defaultdict(list)


_held = _Held()
_seconds: dict[int, Any] = {}  # the second stream of each device, by its number
_ordering = threading.Lock()  # between waiting for a stream and launching, no other thread may launch


def launch_beside(xp: Any, start: Callable[[], None], given: Any) -> None:
    """Call `start`, which launches a kernel with the arguments `given`, with the second stream as the current one."""
    cupy = xp.library
    _held.on[cupy.cuda.Device().id].append(given)
    with _ordering:
        second = _second_of(cupy)
        _after(cupy, cupy.cuda.get_current_stream(), second)  # fork
        with second:
            start()


def join(xp: Any) -> None:
    """Let the current stream wait for all that this thread launched beside it; nothing to do where there was nothing."""
    held = _held.on[xp.library.cuda.Device().id]
    if held:
        _wait_for_second(xp.library)
        held.clear()  # what the current stream does with that memory from here on comes after


def alone(xp: Any, start: Callable[[], None]) -> None:
    """Call `start`, which launches a kernel that has the device to itself: after all that any thread launched beside."""
    with _ordering:
        if _seconds:
            _wait_for_second(xp.library)
        start()


def _wait_for_second(cupy: Any) -> None:
    _after(cupy, _second_of(cupy), cupy.cuda.get_current_stream())


def _after(cupy: Any, one: Any, other: Any) -> None:
    """Let all that a stream, `other`, is asked for from here on wait for all that `one` was asked for so far."""
    other.wait_event(one.record(cupy.cuda.Event(disable_timing=True)))


def _second_of(cupy: Any) -> Any:
    """The second stream of the current device."""
    number = cupy.cuda.Device().id
    if number not in _seconds:
        _seconds[number] = cupy.cuda.Stream(non_blocking=True)
    return _seconds[number]
