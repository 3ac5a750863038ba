"""One layer on several cores: rows of a batch have nothing to do with each other, so each core takes a share of them.

A library of products takes all cores for each product instead, and waits for the last of them every time: once a step
forward, once backward. What stands between two products is then done by one core alone, with numbers of which the others have
computed a part, and which have to come over first. Here a core goes through the whole sequence, forward or backward, with rows
that nobody else touches; compiled loops let other threads of Python work meanwhile.

NumPy's own threads must not be in the way: idle ones keep cores busy with waiting for some milliseconds, unless they were told
to go to sleep sooner (minigrad/blas.py). If NumPy was loaded before they could be told, they are begun anew. Where neither is possible,
one core computes the whole batch.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..steps import Steps

__all__ = ["FEWEST_MULTIPLICATIONS", "FEWEST_ROWS", "shares", "together"]

FEWEST_ROWS = 3  # of a share: with fewer, a core waits for the weights to come from memory
FEWEST_MULTIPLICATIONS = 2**21  # in a share, all steps together: fewer are done before another thread has begun
LONGEST_WAIT = 22  # of an idle thread for its next product, as a power of 2, in cycles: a millisecond or two
FUNCTIONS = ("openblas_get_num_threads", "openblas_thread_timeout", "openblas_read_env", "blas_thread_shutdown_")
FORMS = ("scipy_{}64_", "{}")  # of a name in OpenBLAS, in NumPy's own wheels and elsewhere


def shares(steps: Steps, multiplications: int) -> list[tuple[int, int]]:
    """(first row, end) of each core's share of the batch; each row takes so many multiplications at each step.

    Rows that stand first have the longest sequences: shares have about as much to do, not as many rows.

    >>> balanced(Steps([4, 4, 2, 1]), 2)
    [(0, 2), (2, 4)]
    """
    most = min(steps.B // FEWEST_ROWS, steps.N * multiplications // FEWEST_MULTIPLICATIONS)
    return balanced(steps, max(1, min(most, cores()))) if most > 1 else [(0, steps.B)]


def balanced(steps: Steps, count: int) -> list[tuple[int, int]]:
    """So many shares of the batch, each with about as many rows at all steps together."""
    if steps.uniform:
        ends = [steps.B * (k + 1) // count for k in range(count)]
    else:
        done = list(accumulate(lengths(steps)))
        ends = [int(np.searchsorted(done, done[-1] * (k + 1) / count)) + 1 for k in range(count)]
    return [share for share in zip([0, *ends], ends) if share[0] < share[1]]


def lengths(steps: Steps) -> Iterator[int]:
    """How many steps each row of the batch has, the longest first."""
    at = steps.T
    for row in range(steps.B):
        while steps.sizes[at - 1] <= row:
            at -= 1
        yield at


def together(compute: Callable[[int, int], None], parts: list[tuple[int, int]]) -> None:
    """Call `compute` for each share, all at the same time."""
    first, *others = parts
    running: list[Future[None]] = []
    try:
        try:
            for other in others:
                running.append(_pool(len(others)).submit(compute, *other))
        except RuntimeError:  # once the main thread has ended, no pool takes work any more; other threads may go on
            if threading.main_thread().is_alive():
                raise
        for each in (first, *others[len(running) :]):
            compute(*each)
    finally:
        wait(running)
    for future in running:
        future.result()


def cores() -> int:
    """Among how many cores a batch may be shared: as many as NumPy multiplies with, if its threads let go of them when idle."""
    blas = _openblas()
    return blas.openblas_get_num_threads() if blas is not None and _sleeps_soon(blas) else 1


def _sleeps_soon(blas: SimpleNamespace) -> bool:
    """Whether idle threads of OpenBLAS go to sleep soon; they are begun anew if they began before the environment said so."""
    asked = os.environ.get("OPENBLAS_THREAD_TIMEOUT", "")
    soon = asked.isascii() and asked.isdecimal() and 0 < int(asked) <= LONGEST_WAIT  # else there is nothing to begin anew for
    if soon and blas.openblas_thread_timeout() == 0 and threading.active_count() == 1:  # nobody else is multiplying
        blas.openblas_read_env()
        blas.blas_thread_shutdown_()  # the next product begins them, as in a process that was forked
    return 0 < blas.openblas_thread_timeout() <= LONGEST_WAIT


@cache
def _openblas() -> SimpleNamespace | None:
    """Functions of the library that NumPy multiplies with; None where it is another."""
    for library in _libraries():
        for form in FORMS:
            found: dict[str, Any] = {name: getattr(library, form.format(name) if "num" in name else name, None) for name in FUNCTIONS}
            if None not in found.values():
                for function in found.values():
                    function.restype, function.argtypes = ctypes.c_int, []
                return SimpleNamespace(**found)
    return None


def _libraries() -> Iterator[ctypes.CDLL]:
    """NumPy's own, which finds what it is linked with too, except on Windows; there OpenBLAS lies in a folder beside NumPy."""
    yield ctypes.CDLL(importlib.import_module("numpy._core._multiarray_umath").__file__)
    if sys.platform == "win32":
        yield from (ctypes.CDLL(str(each)) for each in Path(np.__file__).parents[1].glob("numpy.libs/*openblas*.dll"))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="minigrad")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of its parent's threads
