"""A kernel on several cores of a CPU: rows of a batch have nothing to do with each other, so each core takes a share of them.

A library of products takes all cores for each product instead, and waits for the last of them every time: once a step
forward, once backward. What stands between two products is then done by one core alone, with numbers of which the others have
computed a part, and which have to come over first. Here a core goes through the whole sequence, forward or backward, with rows
that nobody else touches. In the end outputs are put side by side, and the gradients of weights, which are sums over all rows, are
added up.

It serves where a kernel runs as compiled loops (loops.py), which let other threads work meanwhile, where each core gets enough
rows for its products to be fast, and where the library's own threads, idle meanwhile, do not keep the cores busy with waiting
(minigrad/blas.py). Elsewhere a kernel runs as it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache, reduce
from itertools import accumulate
from operator import add
from typing import Any

from minigrad.backend import Array, of

from .steps import Steps

__all__ = ["FEWEST_ROWS", "Share", "Shared"]

FEWEST_ROWS = 16  # of a share: products with fewer columns take a core nearly as long as products with as many
FEWEST_PRODUCTS = 2**23  # of numbers, in all recurrent products: fewer are done before another thread has begun


class Shared:
    """One of the kernels rnn, lstm and gru, with the same two functions; the batch is shared among cores where that is faster."""

    def __init__(self, kernel: Any) -> None:
        self.kernel, self.NAMES, self.__name__ = kernel, kernel.NAMES, kernel.__name__

    def forward(self, x: Array, steps: Steps, *given: Any, keep: bool, **options: Any) -> tuple[Any, ...]:
        """The kernel's outputs, last states, and with `keep` what backward needs; `given` is its initial states and weights."""
        loops, w_hh = self.kernel.loops(x, given[-1], **options), given[-1][1]
        cores = 1 if loops is None or steps.N * w_hh.size < FEWEST_PRODUCTS else cores_for(loops)
        if cores == 1 or steps.B // cores < FEWEST_ROWS:
            found: tuple[Any, ...] = self.kernel.forward(x, steps, *given, keep=keep, **options)
            return found
        xp, shares = of(x), [Share(of(x), steps, first, cores) for first in range(cores)]
        y = xp.empty((steps.N, w_hh.shape[1]), x.dtype)

        def compute(share: Share) -> Any:
            part, *last, saved = self.kernel.forward(share.taken(x), share.steps, *map(share.taken, given), keep=keep, **options)
            share.put(part, y)
            return *last, saved

        *last, saved = zip(*together(loops, compute, shares))
        return y, *(of_the_batch(shares, parts) for parts in last), Saved(loops, shares, saved) if keep else None

    def backward(self, saved: Any, x: Array, *given: Any) -> dict[str, Array]:
        """The kernel's gradients; `given` is all that its `backward` takes besides, the names of what is wanted at the end."""
        if not isinstance(saved, Saved):
            found: dict[str, Array] = self.kernel.backward(saved, x, *given)
            return found
        dx = of(x).empty_like(x) if "x" in given[-1] else None

        def compute(share: Share, kept: Any) -> Any:
            found = self.kernel.backward(kept, share.taken(x), *map(share.taken, given))
            if dx is not None:
                share.put(found["x"], dx)
            return found

        parts = together(saved.loops, compute, saved.shares, saved.parts)
        shares_of = {name: [part[name] for part in parts] for name in parts[0]}
        found = {
            name: of_the_batch(saved.shares, each) if name in ("h_0", "c_0") else dx if name == "x" else reduce(add, each)
            for name, each in shares_of.items()
        }
        return found


class Saved:
    """What the kernel saved for each share, read like what it saves for a whole batch."""

    def __init__(self, loops: Any, shares: list[Share], parts: Sequence[Any]) -> None:
        self.loops, self.shares, self.parts = loops, shares, parts

    @property
    def arrays(self) -> list[Array]:
        """Everything that is kept here, for those who count bytes."""
        return [array for part in self.parts for array in part.arrays]

    def gates(self) -> dict[str, Array]:
        """The gates at every step, (N, H) each, by name; a cell without gates has none."""
        found = [part.gates() for part in self.parts]
        return {name: self._rows([each[name] for each in found]) for name in found[0]}

    def cells(self) -> Array:
        """c at every step, (N, H)."""
        return self._rows([part.cells() for part in self.parts])

    def _rows(self, parts: Sequence[Array]) -> Array:
        whole = of(parts[0]).empty((self.shares[0].whole.N, parts[0].shape[1]), parts[0].dtype)
        for share, part in zip(self.shares, parts):
            share.put(part, whole)
        return whole


class Share:
    """Every `cores`-th row of each step, from the row `first` on: so all shares have about as many rows, whatever their lengths.

    >>> import numpy
    >>> share = Share(numpy, Steps([3, 3, 1]), first=1, cores=2)
    >>> share.steps.sizes, share.rows.tolist()
    ([1, 1], [1, 4])
    """

    def __init__(self, xp: Any, whole: Steps, first: int, cores: int) -> None:
        self.whole, self.of_batch = whole, slice(first, None, cores)
        sizes = [len(range(first, size, cores)) for size in whole.sizes]
        self.steps = Steps([size for size in sizes if size], whole.reverse)
        if not whole.uniform:
            starts = [end - size + first for end, size in zip(accumulate(whole.sizes), whole.sizes)]
            self.rows = xp.concatenate([xp.arange(start, start + cores * size, cores) for start, size in zip(starts, sizes)])

    def taken(self, each: Any) -> Any:
        """This share of an array (N, ...) or (B, ...); what is no array as it is."""
        if not hasattr(each, "shape"):
            return each
        return of(each).ascontiguousarray(each[self.rows] if self._scattered(each) else self._view(each)).reshape(-1, each.shape[1])

    def put(self, part: Array, into: Array) -> None:
        """Write this share of an array (N, ...) or (B, ...) where it belongs."""
        if self._scattered(into):
            into[self.rows] = part
        else:
            view = self._view(into)
            view[...] = part.reshape(view.shape)

    def _scattered(self, each: Array) -> bool:
        return len(each) == self.whole.N and not self.whole.uniform

    def _view(self, each: Array) -> Array:
        return each.reshape(-1, self.whole.B, each.shape[1])[:, self.of_batch]


def of_the_batch(shares: list[Share], parts: Sequence[Array]) -> Array:
    """The states (B, R) of which these are the shares."""
    whole = of(parts[0]).empty((shares[0].whole.B, parts[0].shape[1]), parts[0].dtype)
    for share, part in zip(shares, parts):
        whole[share.of_batch] = part
    return whole


def together(loops: Any, compute: Callable[..., Any], *of_shares: Sequence[Any]) -> list[Any]:
    """What `compute` gives for each share, all at the same time; products take one core each meanwhile."""
    first, *others = zip(*of_shares)
    running: list[Future[Any]] = []
    with _turn.lock, _one_thread_each(loops):
        try:
            try:
                for other in others:
                    running.append(_pool(len(others)).submit(copy_context().run, compute, *other))
            except RuntimeError:  # once the main thread has ended, no pool takes work any more; other threads may go on
                if threading.main_thread().is_alive():
                    raise
            found = [compute(*each) for each in (first, *others[len(running) :])]
        finally:
            wait(running)
    return [found[0], *(each.result() for each in running), *found[1:]]


@contextmanager
def _one_thread_each(loops: Any) -> Iterator[None]:
    threads = threads_of_a_product(loops)
    try:
        with _turn.change:
            _turn.threads = threads
            loops.use_threads(1)
        yield
    finally:
        with _turn.change:
            loops.use_threads(threads)
            _turn.threads = None


def cores_for(loops: Any) -> int:
    """Among how many cores a batch may be shared."""
    return threads_of_a_product(loops) if loops.threads_wait_briefly() else 1


def threads_of_a_product(loops: Any) -> int:
    """How many threads a product may use, apart from the one it is held to while a batch is shared."""
    with _turn.change:
        threads: int = _turn.threads or loops.threads()
    return threads


class _Turn:
    """One layer at a time has all cores, whichever threads of the program compute layers."""

    lock = threading.Lock()
    change = threading.Lock()  # held while `threads` and the library's own number change together
    threads: int | None = None  # what the library's number was before the layer that has its turn set it to 1


_turn = _Turn()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="minigrad")


def _begin_again() -> None:
    """In a forked process, which has none of its parent's threads."""
    _turn.lock, _turn.change = threading.Lock(), threading.Lock()  # `threads` stays: a layer may have held products to one thread
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
