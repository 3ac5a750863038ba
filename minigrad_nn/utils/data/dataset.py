"""Datasets: examples by number, or one after another; parts of them, and several as one.

Source: https://docs.pytorch.org/docs/stable/data.html#dataset-types
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

import minigrad
from minigrad import Tensor
from minigrad.random import Generator

__all__ = [
    "ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "StackDataset", "Subset", "TensorDataset", "random_split",
    "several",
]  # fmt: skip

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Examples by number; one of your own writes `__getitem__` and `__len__`, and `__getitems__` if several at once are cheaper.

    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.Dataset
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} must say in __getitem__ what its examples are")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Examples one after another; one of your own writes `__iter__`, and `__len__` if it is known.

    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must say in __iter__ what its examples are")

    def __add__(self, other: Dataset[Any]) -> ChainDataset[Any]:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Example i is the tuple of the i-th rows of all tensors.

    Raises: AssertionError for tensors of different length; IndexError for no tensors
    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.TensorDataset

    >>> TensorDataset(minigrad.tensor([[1, 2], [3, 4]]), minigrad.tensor([5, 6]))[1]
    (tensor([3, 4]), tensor(6))
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise IndexError("TensorDataset needs at least one tensor, got none")
        lengths = [tensor.shape[0] for tensor in tensors]
        if any(length != lengths[0] for length in lengths):
            raise AssertionError(f"tensors of one dataset must agree in their first axis, got lengths {lengths}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


class StackDataset(Dataset[Any]):
    """Example i is the tuple of the i-th examples of several datasets, or the dict of them where they are given by name.

    Raises: ValueError for no datasets, some with and some without names, or different lengths
    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.StackDataset
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError("StackDataset takes datasets, either all with names or all without; " + ("got both" if args else "got none"))
        lengths = [len(each) for each in args or kwargs.values()]
        if any(length != lengths[0] for length in lengths):
            raise ValueError(f"datasets that are stacked must be of one length, got {lengths}")
        self.datasets: tuple[Any, ...] | dict[str, Any] = args or kwargs
        self._length = lengths[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: each[index] for name, each in self.datasets.items()}
        return tuple(each[index] for each in self.datasets)

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        named = isinstance(self.datasets, dict)
        columns = [several(each, indices) for each in (self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)]
        for column in columns:
            if len(column) != len(indices):
                raise ValueError(f"a stacked dataset gave {len(column)} examples for {len(indices)} indices")
        rows = zip(*columns, strict=True)
        return [dict(zip(self.datasets, row, strict=True)) if named else row for row in rows]

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """The examples of several datasets, one after another.

    Raises: AssertionError for no datasets or an IterableDataset; ValueError for an index before the first
    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.ConcatDataset
    """

    def __init__(self, datasets: Iterable[Dataset[T_co] | Sequence[T_co]]) -> None:
        self.datasets: list[Any] = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset needs at least one dataset, got none")
        if any(isinstance(each, IterableDataset) for each in self.datasets):
            raise AssertionError("ConcatDataset finds examples by number, which an IterableDataset has not; use ChainDataset")
        self.cumulative_sizes = list(accumulate(len(each) for each in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if index < -len(self):
            raise ValueError(f"index {index} is before the first of {len(self)} examples")
        index = index + len(self) if index < 0 else index
        part = bisect_right(self.cumulative_sizes, index)
        if part == len(self.datasets):
            raise IndexError(f"index {index} is behind the last of {len(self)} examples")
        return self.datasets[part][index - (self.cumulative_sizes[part - 1] if part else 0)]


class ChainDataset(IterableDataset[T_co]):
    """The examples of several IterableDatasets, one after another.

    Raises: AssertionError for what is no IterableDataset, when it comes to it
    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.ChainDataset
    """

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets: Iterable[Any] = datasets

    def __iter__(self) -> Iterator[Any]:
        for each in self.datasets:
            yield from _require_iterable(each)

    def __len__(self) -> int:
        return sum(len(_require_iterable(each)) for each in self.datasets)


class Subset(Dataset[T_co]):
    """The examples of a dataset that stand at `indices`, numbered anew.

    Raises: NotImplementedError for a subclass that writes `__getitem__` without `__getitems__`
    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.Subset
    """

    def __init__(self, dataset: Dataset[T_co] | Sequence[T_co], indices: Sequence[int]) -> None:
        mine = type(self)
        if mine.__getitem__ is not Subset.__getitem__ and mine.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(f"{mine.__name__} writes __getitem__, so it must write __getitems__ too: a DataLoader calls that")
        self.dataset: Any = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[each] for each in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return several(self.dataset, [self.indices[each] for each in indices])

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset[T_co] | Sequence[T_co], lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset[T_co]]:
    """Subsets of these lengths, or of these shares of the whole if they sum to 1, that have no example in common.

    Shares are rounded down, and what is left goes to the first subsets, one example each.

    Raises: ValueError for lengths that do not sum to the dataset's, and shares outside [0, 1]
    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.random_split

    >>> [len(each) for each in random_split(range(10), [0.5, 0.25, 0.25])]
    [6, 2, 2]
    """
    count = len(dataset)  # type: ignore[arg-type]  # a Dataset need not have a length, but this one must
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _whole_lengths(count, lengths)
    if sum(lengths) != count:
        raise ValueError(f"lengths {list(lengths)} sum to {sum(lengths)}, and the dataset has {count} examples")
    order = minigrad.randperm(count, generator=generator).tolist()
    ends = accumulate(int(length) for length in lengths)
    return [Subset(dataset, order[end - int(length) : end]) for end, length in zip(ends, lengths, strict=True)]


def _whole_lengths(total: int, shares: Sequence[float]) -> list[int]:
    for position, share in enumerate(shares):
        if not 0 <= share <= 1:
            raise ValueError(f"share {position} of the split must be in [0, 1], got {share}")
    lengths = [math.floor(total * share) for share in shares]
    for extra in range(total - sum(lengths)):
        lengths[extra % len(lengths)] += 1
    for position, length in enumerate(lengths):
        if length == 0:
            warnings.warn(f"part {position} of the split has no examples", UserWarning, stacklevel=3)
    return lengths


def several(dataset: Any, indices: list[Any]) -> list[Any]:
    """Several examples, in one call where the dataset can."""
    if callable(getattr(dataset, "__getitems__", None)):
        return list(dataset.__getitems__(indices))
    return [dataset[index] for index in indices]


def _require_iterable(dataset: Any) -> Any:
    if not isinstance(dataset, IterableDataset):
        raise AssertionError(f"ChainDataset takes IterableDatasets, got {type(dataset).__name__}; use ConcatDataset")
    return dataset
