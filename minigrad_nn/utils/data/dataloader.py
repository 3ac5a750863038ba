"""DataLoader: batches of a dataset, in order or shuffled, made ahead in the background, and resumed where they stopped."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, Generic

from minigrad.random import Generator, default_generator

from .batches import Ahead, OnDemand
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset, T_co
from .sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader", "get_worker_info"]

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class DataLoader(Generic[T_co]):
    """Batches of a dataset, an epoch at each iteration.

    batch_size       examples in a batch; None gives single examples
    shuffle          a new random order in every epoch, drawn from `generator` or the default stream
    sampler          an order of your own; batch_sampler: batches of your own, as BucketSampler's
    collate_fn       makes a batch of a list of examples
    num_workers      above 0, one thread makes num_workers · prefetch_factor batches ahead, in order. It is a thread, not processes:
                     nothing is copied, and a dataset that computes in Python gains little. It should draw no random numbers
                     from the default stream, which the training loop draws from meanwhile
    timeout          seconds to wait for a batch of the thread; 0 waits for ever
    worker_init_fn   called by the thread, with 0, before it begins

    Accepted for PyTorch's sake, without effect here: pin_memory, multiprocessing_context, persistent_workers, pin_memory_device,
    in_order. `state_dict` tells the position inside an epoch, and `load_state_dict` goes on from there.

    Raises: ValueError for options out of range or that exclude each other; RuntimeError after `timeout`;
        in the loop, what dataset or collate_fn raised, with the traceback of where
    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader

    >>> [batch.tolist() for batch in DataLoader(range(5), batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Dataset[T_co] | Sequence[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_background(num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context)
        by_number = not isinstance(dataset, IterableDataset)
        _check_order(by_number, batch_size, shuffle, sampler, batch_sampler, drop_last)
        if sampler is None and by_number:
            examples: Any = dataset
            sampler = RandomSampler(examples, generator=generator) if shuffle else SequentialSampler(examples)
        elif sampler is None:
            sampler = repeat(None)  # of an iterable dataset, how many is all there is to say
        if batch_sampler is not None:
            batch_size, drop_last = None, False
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory, self.pin_memory_device, self.in_order = pin_memory, pin_memory_device, in_order
        self.multiprocessing_context, self.persistent_workers = multiprocessing_context, persistent_workers
        self._epoch: _Epoch | None = None  # the last one begun, until it ends
        self._resume: dict[str, Any] | None = None  # loaded, and not begun yet

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and "_resume" in vars(self):
            raise ValueError(f"{name} of a DataLoader cannot be changed; make a new one")
        super().__setattr__(name, value)

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self) -> int:
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        examples, size = len(self.dataset), self.batch_size  # type: ignore[arg-type]
        if size is None:
            return examples
        return examples // size if self.drop_last else -(-examples // size)

    def __iter__(self) -> Iterator[Any]:
        if self.pin_memory:
            warnings.warn("pin_memory=True has no effect: there is no page-locked memory here; leave it out", UserWarning, stacklevel=2)
        resume, self._resume = self._resume, None
        self._epoch = _Epoch(self, resume)
        batches = Ahead(self, self._epoch) if self.num_workers > 0 else OnDemand(self, self._epoch)
        if isinstance(self.dataset, IterableDataset):
            batches.skip(self._epoch.batches)
        return batches

    # -------------------------------------------------------------------------------------------- saving and resuming

    def _stream(self) -> Generator:
        """The generator that the order of an epoch is drawn from."""
        for holder in (self.batch_sampler, getattr(self.batch_sampler, "sampler", None), self.sampler, self):
            found = getattr(holder, "generator", None)
            if isinstance(found, Generator):
                return found
        return default_generator

    def state_dict(self) -> dict[str, Any]:
        """The position in the data: how many batches of the epoch were given out, and the generator's states.

        batches  given out in the epoch last begun; None if it has ended, or none has begun
        begun    the generator's state when that epoch began, of which its order follows
        now      the generator's state; None where it is the default stream, which is not the loader's to restore
        """
        if self._resume is not None:
            return dict(self._resume)
        stream = self._stream()
        now = None if stream is default_generator else stream.get_state()
        if self._epoch is None:
            return {"batches": None, "begun": None, "now": now}
        return {"batches": self._epoch.batches, "begun": self._epoch.begun, "now": now}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next iteration go on where a loader like this one stood: same dataset, same options.

        What was given out is skipped without being made (of an IterableDataset, made and thrown away). The order is that of the
        interrupted epoch, bit for bit, for all samplers here, and for others that draw from a generator they show as `generator`.

        Raises  ValueError for what is no state of a DataLoader, or beyond its end, before anything changes
        """
        self._check_state(state_dict)
        if state_dict["now"] is not None:
            self._stream().set_state(state_dict["now"])
        self._epoch = None
        self._resume = dict(state_dict) if state_dict["batches"] is not None else None

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        if not isinstance(state_dict, dict) or state_dict.keys() != {"batches", "begun", "now"}:
            raise ValueError("this is no state_dict of a DataLoader: it has the keys 'batches', 'begun', 'now'")
        batches, own = state_dict["batches"], self._stream() is not default_generator
        if own != (state_dict["now"] is not None):
            with_, without = ("has", "had none") if own else ("has none", "had one")
            raise ValueError(f"this loader {with_} a generator of its own, the one that was saved {without}; make it as it was")
        _require_generator_states(state_dict)
        if batches is None:
            return
        if not isinstance(batches, int) or batches < 0:
            raise ValueError(f"'batches' of the state must be a count or None, got {batches!r}")
        if not isinstance(self.dataset, IterableDataset) and batches > len(self):
            raise ValueError(f"the state stands after batch {batches}, and this loader has {len(self)}; is it of other data?")


def _require_generator_states(state_dict: dict[str, Any]) -> None:
    if (state_dict["batches"] is None) != (state_dict["begun"] is None):
        raise ValueError("'batches' and 'begun' of the state belong together: both are None, or neither")
    for name in ("now", "begun"):
        try:
            Generator() if state_dict[name] is None else Generator().set_state(state_dict[name])
        except (AttributeError, RuntimeError) as problem:
            raise ValueError(f"{name!r} of the state is no generator's state: {problem}") from None


class _Epoch:
    """One pass over the data: the indices of its batches still to come, and how many batches were given out."""

    def __init__(self, loader: DataLoader[Any], resume: dict[str, Any] | None) -> None:
        stream = loader._stream()
        now = stream.get_state()
        self.begun = now if resume is None else resume["begun"]
        self.batches = 0 if resume is None else resume["batches"]
        stream.set_state(self.begun)
        self.indices = iter(loader._index_sampler)
        if resume is not None:
            if not isinstance(loader.dataset, IterableDataset):
                for _ in range(self.batches):
                    next(self.indices)
            stream.set_state(now)


def get_worker_info() -> None:
    """None: there is one reader of the data, in whatever thread, and nothing for a dataset to divide up.

    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.get_worker_info
    """


def _check_background(num_workers: int, timeout: float, prefetch_factor: int | None, persistent: bool, context: Any) -> None:
    checks = [
        (num_workers >= 0, f"num_workers must not be negative, got {num_workers}; 0 makes batches in the loop itself"),
        (timeout >= 0, f"timeout must not be negative, got {timeout}"),
        (num_workers > 0 or prefetch_factor is None, "prefetch_factor needs num_workers above 0"),
        (prefetch_factor is None or prefetch_factor >= 0, f"prefetch_factor must not be negative, got {prefetch_factor}"),
        (num_workers > 0 or not persistent, "persistent_workers needs num_workers above 0"),
        (num_workers > 0 or context is None, "multiprocessing_context needs num_workers above 0"),
    ]
    for holds, message in checks:
        if not holds:
            raise ValueError(message)


def _check_order(by_number: bool, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool) -> None:
    named = {"shuffle": shuffle, "sampler": sampler, "batch_sampler": batch_sampler}
    given = [name for name, value in named.items() if value is not None and value is not False]
    checks = [
        (by_number or not given, f"an IterableDataset says itself what comes when; leave out {' and '.join(given)}"),
        (sampler is None or not shuffle, "sampler and shuffle exclude each other: both say in which order examples come"),
        (
            batch_sampler is None or (batch_size == 1 and not shuffle and sampler is None and not drop_last),
            "batch_sampler excludes batch_size, shuffle, sampler and drop_last: it says all that they say",
        ),
        (batch_sampler is not None or batch_size is not None or not drop_last, "drop_last has nothing to drop where batch_size is None"),
    ]
    for holds, message in checks:
        if not holds:
            raise ValueError(message)
