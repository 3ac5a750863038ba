"""Collating: a list of examples becomes one batch.

Source: https://docs.pytorch.org/docs/stable/data.html#working-with-collate-fn
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import minigrad
from minigrad import Tensor

__all__ = ["default_collate", "default_convert"]


def default_collate(batch: Sequence[Any]) -> Any:
    """The examples of a batch as one: tensors and arrays stacked, numbers in one tensor, containers filled element by element.

    Floats come as float64, integers as int64, strings as the list they are, tuples as lists (named ones as themselves).

    Raises: TypeError for what cannot be stacked; RuntimeError for sequences or tensors of different lengths: pad them
    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.default_collate

    >>> default_collate([{"x": 1, "y": "a"}, {"x": 2, "y": "b"}])
    {'x': tensor([1, 2]), 'y': ['a', 'b']}
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return minigrad.stack(list(batch), 0)
    if isinstance(first, np.ndarray):
        if first.dtype.kind in "SUO":
            raise _cannot(first.dtype)
        return default_collate([minigrad.as_tensor(each) for each in batch])
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, float) and not isinstance(first, np.generic):
        return minigrad.tensor(list(batch), dtype=minigrad.float64)
    if isinstance(first, (int, np.bool_, np.number)):
        return minigrad.as_tensor(np.asarray(batch)) if isinstance(first, np.generic) else minigrad.tensor(list(batch))
    if isinstance(first, Mapping):
        return _filled(first, {key: default_collate([each[key] for each in batch]) for key in first})
    if isinstance(first, Sequence):
        return _collate_sequences(batch, first)
    raise _cannot(type(first))


def _collate_sequences(batch: Sequence[Any], first: Sequence[Any]) -> Any:
    sizes = [len(each) for each in batch]
    if any(size != sizes[0] for size in sizes) and not hasattr(first, "_fields"):
        raise RuntimeError(f"each element of a batch must be of equal size, got {sizes}; pad them in a collate_fn of your own")
    return _filled(first, [default_collate(column) for column in zip(*batch, strict=True)])


def default_convert(data: Any) -> Any:
    """An example with its arrays as tensors, and the rest as it is: what a DataLoader without batches does.

    Source: https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.default_convert
    """
    if isinstance(data, np.ndarray) and data.dtype.kind in "SUO":
        return data
    if isinstance(data, (np.ndarray, np.bool_, np.number)):
        return minigrad.as_tensor(data)
    if isinstance(data, Mapping):
        return _filled(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _filled(data, [default_convert(each) for each in data])
    return data


def _filled(like: Any, values: Any) -> Any:
    """A container like `like` that holds `values`, a dict or a list; these themselves where its kind cannot be made from them."""
    make: Callable[[Any], Any] = type(like)
    if isinstance(like, tuple):
        return make(*values) if hasattr(like, "_fields") else values
    try:
        if isinstance(like, MutableMapping):
            twin = copy.copy(like)  # keeps what else the container has: the default of a defaultdict
            twin.update(values)
            return twin
        if isinstance(like, MutableSequence):
            row = copy.copy(like)
            for position, value in enumerate(values):
                row[position] = value
            return row
        return make(values)
    except TypeError:
        return values


def _cannot(kind: Any) -> TypeError:
    return TypeError(
        f"default_collate puts tensors, arrays, numbers, strings, and dicts and sequences of them into batches; got {kind}. "
        "Give the DataLoader a collate_fn of your own"
    )
