"""Samplers: in which order examples come, and how they are put into batches.

The whole order of an epoch is drawn when its iteration begins, from the sampler's generator or the default stream: so it
hangs on the state of that generator at that moment and on nothing that happens later. Resuming in the middle rests on this.

Source: https://docs.pytorch.org/docs/stable/data.html#data-loading-order-and-sampler
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

import minigrad
from minigrad.random import Generator

__all__ = [
    "BatchSampler", "BucketSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler", "WeightedRandomSampler",
]  # fmt: skip

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """The base of all samplers; one of your own writes `__iter__`, and `__len__` if it is known.

    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.Sampler
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must say in __iter__ what comes in which order")


class SequentialSampler(Sampler[int]):
    """0 … len − 1

    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.SequentialSampler
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """0 … len − 1 in random order; or `num_samples` of them, which exceed len by going round again, or come with replacement.

    Raises: TypeError for a replacement that is no bool; ValueError for a num_samples that is not positive, so for no data
    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.RandomSampler
    """

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Generator | None = None
    ) -> None:
        self.data_source, self.replacement, self._num_samples, self.generator = data_source, replacement, num_samples, generator
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement must be True or False, got {replacement!r}")
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            what = "the data has no examples" if num_samples is None else f"got {num_samples!r}"
            raise ValueError(f"num_samples must be an integer above 0; {what}")

    @property
    def num_samples(self) -> int:
        """How many come; as many as there are unless told otherwise, even if the data has grown."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, wanted = len(self.data_source), self.num_samples
        if self.replacement:
            return iter(minigrad.randint(n, (wanted,), generator=self.generator).tolist())
        rounds = [minigrad.randperm(n, generator=self.generator).tolist() for _ in range(-(-wanted // n))]
        return islice((index for each in rounds for index in each), wanted)

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[Any]):
    """The given indices in random order.

    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.SubsetRandomSampler
    """

    def __init__(self, indices: Sequence[Any], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[Any]:
        order = minigrad.randperm(len(self.indices), generator=self.generator).tolist()
        return (self.indices[position] for position in order)

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` of 0 … len(weights) − 1, each with a probability proportional to its weight.

    Raises: ValueError for a num_samples that is no positive integer, a replacement that is no bool, weights of two axes
    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.WeightedRandomSampler
    """

    def __init__(self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None) -> None:
        _require_positive("num_samples", num_samples)
        _require_bool("replacement", replacement)
        self.weights = minigrad.as_tensor(weights, dtype=minigrad.float64)
        if len(self.weights.shape) != 1:
            raise ValueError(f"weights must have one axis, got shape {tuple(self.weights.shape)}")
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        return iter(minigrad.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator).tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """What another sampler gives, in lists of batch_size; the last, if it is shorter, is left out with drop_last.

    Raises: ValueError for a batch_size that is no positive integer or a drop_last that is no bool
    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.BatchSampler

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        _require_positive("batch_size", batch_size)
        _require_bool("drop_last", drop_last)
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        return self._batches(iter(self.sampler))

    def _batches(self, indices: Iterator[Any]) -> Iterator[list[Any]]:
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self) -> int:
        return _count(len(self.sampler), self.batch_size, self.drop_last)  # type: ignore[arg-type]


class BucketSampler(Sampler[list[int]]):
    """Batches of sequences of similar lengths, so that little is padded. PyTorch has none.

    With shuffle, all sequences are put into random order and cut into buckets of `bucket_size` batches; each bucket is sorted by
    length and cut into batches, and the batches come in random order. A larger bucket pads less and mixes less. Without
    shuffle everything is one bucket, and the shortest come first.

    lengths      of all sequences: numbers, an array or a tensor
    bucket_size  batches in a bucket

    Raises: ValueError for a batch_size or bucket_size that is no positive integer, flags that are no bool, lengths of two axes

    >>> [[each for each in batch] for batch in BucketSampler([5, 1, 4, 1, 3], batch_size=2, shuffle=False)]
    [[1, 3], [4, 2], [0]]
    """

    def __init__(
        self,
        lengths: Any,
        batch_size: int,
        shuffle: bool = True,
        drop_last: bool = False,
        bucket_size: int = 50,
        generator: Generator | None = None,
    ) -> None:
        _require_positive("batch_size", batch_size)
        _require_positive("bucket_size", bucket_size)
        _require_bool("shuffle", shuffle)
        _require_bool("drop_last", drop_last)
        self.lengths = lengths.tolist() if hasattr(lengths, "tolist") else list(lengths)
        if not isinstance(self.lengths, list) or any(isinstance(each, (list, tuple)) for each in self.lengths):
            raise ValueError("lengths must have one axis: one number for each sequence")
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.bucket_size, self.generator = bucket_size, generator

    def __iter__(self) -> Iterator[list[int]]:
        n = len(self.lengths)
        order = minigrad.randperm(n, generator=self.generator).tolist() if self.shuffle else list(range(n))
        bucket = self.bucket_size * self.batch_size if self.shuffle else max(n, 1)
        batches: list[list[int]] = []
        for start in range(0, n, bucket):
            by_length = sorted(order[start : start + bucket], key=self.lengths.__getitem__)
            batches += BatchSampler(by_length, self.batch_size, self.drop_last)
        if not self.shuffle:
            return iter(batches)
        return iter([batches[each] for each in minigrad.randperm(len(batches), generator=self.generator).tolist()])

    def __len__(self) -> int:
        return _count(len(self.lengths), self.batch_size, self.drop_last)


def _count(examples: int, batch_size: int, drop_last: bool) -> int:
    return examples // batch_size if drop_last else -(-examples // batch_size)


def _require_positive(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} must be an integer above 0, got {value!r}")


def _require_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")
