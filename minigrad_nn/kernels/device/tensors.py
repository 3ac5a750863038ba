"""Many tensors changed by one launch on a GPU, where a launch costs more than changing a small tensor does: see tensors.cu."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.backend import Array, of

from .launch import THREADS, TYPES, functions

__all__ = ["at_once", "launch", "squares"]

SOURCE = Path(__file__).with_name("tensors.cu")
MANY = 56  # as tensors.cu has it
TABLE = np.dtype([("tensors", np.uint64, (5, MANY)), ("sizes", np.int64, MANY), ("numbers", np.float64, (2, MANY))])
BLOCKS = 512  # at most, for one tensor: enough to fill a GPU
BLOCKS_OF_SUMS = 32  # for one tensor: each thread leaves a number to be added up later

Row = tuple[Sequence[Array], Sequence[float]]  # arrays of one size, and numbers


def at_once(arrays: Iterable[Array]) -> bool:
    """Whether these arrays, of one size, can be a row of a table: on a GPU, all of one dtype that tensors.cu knows, without gaps."""
    one, *others = arrays
    if of(one).device_type == "cpu" or os.environ.get("MINIGRAD_KERNEL") == "arrays":
        return False
    return one.dtype.char in TYPES and all(each.dtype == one.dtype and each.flags.c_contiguous for each in (one, *others))


def launch(name: str, rows: Sequence[Row], *arguments: Any) -> None:
    """Call a function of tensors.cu for all rows, of one dtype and device."""
    largest = max((arrays[0].size for arrays, _ in rows), default=0)
    _launch(name, rows, min(-(-largest // THREADS), BLOCKS), lambda first: arguments)


def squares(arrays: Sequence[Array]) -> Array:
    """Σ g² of all elements of all arrays, as an array ()."""
    xp, dtype = of(arrays[0]), arrays[0].dtype
    sums = xp.empty(len(arrays) * BLOCKS_OF_SUMS * THREADS, dtype)
    _launch("squares", [((each,), ()) for each in arrays], BLOCKS_OF_SUMS, lambda first: (sums, first))
    return sums.sum()


def _launch(name: str, rows: Sequence[Row], blocks: int, arguments: Callable[[int], tuple[Any, ...]]) -> None:
    if not blocks:
        return
    example = rows[0][0][0]
    found = functions(of(example), example.dtype, SOURCE)
    for first in range(0, len(rows), MANY):
        some = rows[first : first + MANY]
        found.launch(name, (blocks, len(some)), (_table(some), *arguments(first)))


def _table(rows: Sequence[Row]) -> Any:
    """The table as an array of one element, which is passed by value."""
    table = np.zeros(1, TABLE)
    (tensors,), (sizes,), (numbers,) = table["tensors"], table["sizes"], table["numbers"]
    for t, (arrays, own) in enumerate(rows):
        sizes[t] = arrays[0].size
        tensors[: len(arrays), t] = [each.data.ptr for each in arrays]
        numbers[: len(own), t] = own
    return table
