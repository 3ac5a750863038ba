"""A series of numbers: read from a file, cut into parts, forecast by the simple means that a network has to beat."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ["Series", "errors", "histories", "last_value", "least_squares", "prepare", "read_series", "stretches"]


class Series(NamedTuple):
    """A series in units of its training part, cut at `train` and `tuned`: values to learn from, to choose by, and those held out.

    `z` is the standardized series, or with `changes` that of its changes; `values` are as in the file, one for each of `z`.
    """

    name: str
    values: np.ndarray
    z: np.ndarray
    mean: float
    scale: float
    train: int
    tuned: int
    changes: bool

    def starts(self, ahead: int) -> np.ndarray:
        """Where forecasts begin: every place in the held-out part that has `ahead` values after it."""
        return np.arange(self.tuned, len(self.z) - ahead + 1)

    def in_its_units(self, forecasts: np.ndarray) -> np.ndarray:
        """Forecasts (N, ahead) of z, one from each start, as values of the file."""
        found = forecasts.astype(np.float64) * self.scale + self.mean
        if not self.changes:
            return found
        return self.values[self.starts(found.shape[1]) - 1, None] + np.cumsum(found, 1)

    def truth(self, ahead: int) -> np.ndarray:
        """What came, (N, ahead)."""
        return np.stack([self.values[start : start + ahead] for start in self.starts(ahead)])


def read_series(path: str, column: str | None) -> tuple[str, np.ndarray]:
    """(name, values) of a column of a file of separated values: by name, by number from 1, or the last one.

    Raises: ValueError that says in one line what is wrong with the file or with the column
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: byte {error.start} does not fit") from None
    numbered = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if not numbered:
        raise ValueError(f"{path} is empty")
    separator = max(",;\t", key=numbered[0][1].count)
    rows = list(csv.reader([line for _, line in numbered], delimiter=separator))
    named = _number(rows[0][-1]) is None
    names = [name.strip() for name in rows[0]] if named else [str(index + 1) for index in range(len(rows[0]))]
    place = _place(path, names, column)
    values = []
    for (number, _), row in list(zip(numbered, rows))[named:]:
        value = _number(row[place]) if place < len(row) else None
        if value is None:
            what = f"{row[place]!r} in column {names[place]} is no number" if place < len(row) else f"there is no column {names[place]}"
            raise ValueError(f"{path}, line {number}: {what}")
        values.append(value)
    return names[place], np.array(values)


def _place(path: str, names: list[str], column: str | None) -> int:
    if column is None:
        return len(names) - 1
    if column in names:
        return names.index(column)
    if column.isdecimal() and 1 <= int(column) <= len(names):
        return int(column) - 1
    raise ValueError(f"{path} has no column {column}; it has {', '.join(names)}")


def _number(text: str) -> float | None:
    """The finite number that is written there; None if there is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def prepare(name: str, values: np.ndarray, changes: bool, stretch: int, ahead: int) -> Series:
    """The series cut at 7/10 and 8/10, in units in which its first part has mean 0 and standard deviation 1.

    Raises: ValueError if the parts are too short for the models to read, or if the first is constant
    """
    z = np.diff(values) if changes else values
    values = values[1:] if changes else values
    train, tuned = len(z) * 7 // 10, len(z) * 8 // 10
    if train < stretch + 2 or tuned == train or len(z) - tuned < ahead:
        raise ValueError(
            f"{len(z)} values are too few: {train} to learn from for --stretch {stretch}, {len(z) - tuned} held out for --ahead {ahead}"
        )
    mean, scale = z[:train].mean(), z[:train].std()
    if not scale > 1e-9 * abs(mean):
        raise ValueError(f"the first {train} values are all alike; there is nothing to learn")
    return Series(name, values, ((z - mean) / scale).astype(np.float32), float(mean), float(scale), train, tuned, changes)


def stretches(series: Series, length: int) -> np.ndarray:
    """Every piece of the training part with `length` values in a row: (N, length)."""
    return np.lib.stride_tricks.sliding_window_view(series.z[: series.train], length).copy()


def histories(series: Series, length: int, ahead: int) -> np.ndarray:
    """The `length` values before every start of a forecast: (length, N)."""
    return np.stack([series.z[start - length : start] for start in series.starts(ahead)], 1)


def last_value(series: Series, ahead: int) -> np.ndarray:
    """The naive forecast: everything stays as it is. (N, ahead)"""
    return np.repeat(series.values[series.starts(ahead) - 1, None], ahead, 1)


def least_squares(series: Series, window: int, ahead: int) -> np.ndarray:
    """The linear forecast: the next value is a weighted sum of the last `window`, which is fed its own forecasts. (N, ahead)"""
    known = series.z[: series.tuned]
    rows = np.lib.stride_tricks.sliding_window_view(known, window + 1)
    weights = np.linalg.lstsq(np.c_[rows[:, :-1], np.ones(len(rows))], rows[:, -1], rcond=None)[0]
    seen = histories(series, window, ahead).T  # (N, window)
    for _ in range(ahead):
        following = seen[:, seen.shape[1] - window :] @ weights[:-1] + weights[-1]
        seen = np.c_[seen, following]
    return series.in_its_units(seen[:, window:])


def errors(forecasts: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The root of the mean squared error, for each number of steps ahead: (ahead,)"""
    return np.sqrt(((forecasts - truth) ** 2).mean(0))
