"""How a DataLoader's batches are made: each when it is asked for, or some ahead by a thread."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from .dataset import IterableDataset, several

__all__ = ["Ahead", "OnDemand"]

_LAST = object()  # the order that ends the thread


class OnDemand:
    """An iterator over batches, each made when it is asked for."""

    def __init__(self, loader: Any, epoch: Any) -> None:
        if loader.num_workers == 0 and loader.timeout != 0:
            raise AssertionError("timeout is for batches made in the background; set num_workers above 0, or timeout to 0")
        self._loader, self._epoch = loader, epoch
        self._fetch = _fetcher(loader)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            batch = self._next()
        except StopIteration:
            if self._loader._epoch is self._epoch:
                self._loader._epoch = None
            raise
        self._epoch.batches += 1
        return batch

    def _next(self) -> Any:
        return self._fetch(next(self._epoch.indices))

    def skip(self, count: int) -> None:
        """Make batches and throw them away, as many as there are."""
        with suppress(StopIteration):
            for _ in range(count):
                self._next()

    def __len__(self) -> int:
        return len(self._loader)


class Ahead(OnDemand):
    """The same, with a thread that makes the next batches. Indices are drawn here, not there, so that the order is certain."""

    def __init__(self, loader: Any, epoch: Any) -> None:
        super().__init__(loader, epoch)
        self._orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._made: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._waiting = 0
        self._stop = threading.Event()
        arguments = (self._fetch, loader.worker_init_fn, self._orders, self._made, self._stop)
        self._thread = threading.Thread(target=_work, args=arguments, name="DataLoader", daemon=True)
        self._end = weakref.finalize(self, _end, self._thread, self._orders, self._stop)  # when dropped, and when Python ends
        self._thread.start()
        for _ in range(max(1, loader.num_workers * (loader.prefetch_factor or 0))):
            self._order()

    def _order(self) -> None:
        for index in self._epoch.indices:
            self._orders.put(index)
            self._waiting += 1
            return

    def _next(self) -> Any:
        if self._waiting == 0:
            self._end()
            raise StopIteration
        try:
            batch, error = self._made.get(timeout=self._loader.timeout or None)
        except queue.Empty:
            raise RuntimeError(f"DataLoader timed out after {self._loader.timeout} seconds without a batch") from None
        self._waiting -= 1
        self._order()
        if error is None:
            return batch
        if isinstance(error, StopIteration):
            self._waiting = 0
            self._end()
        raise error


def _work(fetch: Callable[[Any], Any], init: Any, orders: Any, made: Any, stop: threading.Event) -> None:
    """What the thread does: a batch, or what went wrong with it, for every order, until told to stop."""
    begun = init is None
    while (index := orders.get()) is not _LAST and not stop.is_set():
        try:
            if not begun:
                init(0)
                begun = True
            made.put((fetch(index), None))
        except BaseException as error:
            if not isinstance(error, StopIteration):
                error.add_note("raised in DataLoader's background thread")
            made.put((None, error))


def _end(thread: threading.Thread, orders: Any, stop: threading.Event) -> None:
    """Stop the thread and wait until it has: at most for the batch it is making."""
    stop.set()
    orders.put(_LAST)
    if thread is not threading.current_thread():
        thread.join()


def _fetcher(loader: Any) -> Callable[[Any], Any]:
    """What makes a batch of its indices; holds the dataset, not the loader."""
    dataset, collate, batched, drop_last = loader.dataset, loader.collate_fn, loader.batch_sampler is not None, loader.drop_last
    if not isinstance(dataset, IterableDataset):
        return lambda index: collate(several(dataset, index) if batched else dataset[index])
    examples = iter(dataset)

    def fetch(index: Any) -> Any:
        if not batched:
            return collate(next(examples))
        batch = [example for _, example in zip(index, examples, strict=False)]
        if not batch or (drop_last and len(batch) < len(index)):
            raise StopIteration
        return collate(batch)

    return fetch
