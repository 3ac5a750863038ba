"""Everything that differs between NumPy and CuPy, side by side.

A `Backend` is one array library on one kind of device. Code that computes asks for the one its arrays belong to,
calls it `xp`, and uses NumPy's names on it: `xp = backend.of(x)`, then `xp.exp(x)`. What the two libraries name or do
differently, or lack, is a method here, once for each. `Part`, `Product` and `Later` are the forms in which a backward rule
may hand over a gradient of arrays before it is worked out; the tape finishes them. Another library is added by `register`.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import importlib.util
import math
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .types import DEVICES, current_device, defaults, device

__all__ = [
    "ARRAYS", "BY_CLASS", "UNFINISHED", "Array", "Backend", "Later", "Part", "Product", "are_deterministic_algorithms_enabled",
    "current_device", "get_float32_matmul_precision", "is_loaded", "of", "on", "register", "set_default_device",
    "set_float32_matmul_precision", "takes_tf32", "use_deterministic_algorithms",
]  # fmt: skip

Array = Any  # numpy.ndarray or cupy.ndarray: their common surface has no type of its own


class Part:
    """A gradient that is zero outside `index`: kept as its values, so that a hundred steps of one sequence are not a
    hundred arrays of the sequence's size."""

    __slots__ = ("dtype", "index", "repeats", "shape", "values")

    def __init__(self, values: Array, shape: tuple[int, ...], index: Any, repeats: bool) -> None:
        self.values, self.shape, self.index, self.repeats = values, shape, index, repeats
        self.dtype = values.dtype

    def whole(self) -> Array:
        """The gradient as an array."""
        target = of(self.values).zeros(self.shape, self.dtype)
        if self.repeats:
            self.add_to(target)
        else:
            target[self.index] = self.values
        return target

    def add_to(self, target: Array) -> None:
        """target += this, in place"""
        if self.repeats:
            of(target).add_at(target, self.index, self.values)
        else:
            target[self.index] += self.values

    def peek(self) -> Array:
        """The gradient as an array, for those who only look on."""
        return self.whole()

    def begin(self) -> Array:
        """What waits for a node after this, its first gradient."""
        return self.whole()

    def join(self, waiting: Any, own: bool) -> Any:
        """What waits for a node after this was added to it; `own` says that it may be changed in place."""
        if waiting.__class__ in UNFINISHED:
            waiting += self.whole()
            return waiting
        if not self.shape:
            return waiting + self.whole()  # NumPy adds arrays without axes to numbers, which cannot be changed in place
        waiting = waiting if own else waiting.copy()
        self.add_to(waiting)
        return waiting


class Product:
    """A gradient that is a product of two matrices, not multiplied yet.

    A weight that all steps share gets one from every step. Put side by side they are a single product, several times
    faster than many thin ones and their sum: Σₜ leftₜ rightₜ = [left₁ … left_T] [right₁; …; right_T].
    """

    __slots__ = ("dtype", "lefts", "rights", "shape", "total", "width")
    ENOUGH = 1024  # columns on the left from which on waiting for more gains nothing, and only holds memory

    def __init__(self, left: Array, right: Array) -> None:
        self.shape, self.dtype = (left.shape[0], right.shape[1]), left.dtype
        self.lefts, self.rights, self.width = [left], [right], left.shape[1]
        self.total: Array = None

    def peek(self) -> Array:
        """The gradient as it came from its rule, for those who only look on: this stays as it is."""
        return self.lefts[0] @ self.rights[0]

    def whole(self) -> Array:
        """The gradient as an array."""
        if self.lefts:
            xp = of(self.lefts[0])
            one = len(self.lefts) == 1
            left, right = (self.lefts[0], self.rights[0]) if one else (xp.concatenate(self.lefts, 1), xp.concatenate(self.rights, 0))
            product = left @ right
            if self.total is None:
                self.total = product
            else:
                self.total += product
            self.lefts, self.rights, self.width = [], [], 0
        return self.total

    def begin(self) -> Product:
        """What waits for a node after this, its first gradient."""
        if self.width >= self.ENOUGH:
            self.whole()
        return self

    def join(self, waiting: Any, own: bool) -> Any:
        """What waits for a node after this was added to it; `own` says that it may be changed in place."""
        if waiting.__class__ is not Product:
            return waiting + self.whole()
        if self.total is not None:
            waiting += self.whole()
            return waiting
        waiting.lefts += self.lefts
        waiting.rights += self.rights
        waiting.width += self.width
        return waiting.begin()

    def __iadd__(self, gradient: Array) -> Product:
        self.total = self.whole()
        self.total += gradient
        return self


class Later:
    """A gradient that is still being computed, on a device that does other work meanwhile: whoever needs it waits for it.

    Those that are waited for together are worked out together, by a function that gives them by name.
    """

    __slots__ = ("dtype", "name", "shape", "value", "work")

    def __init__(self, name: str, like: Array, work: list[Any]) -> None:
        self.name, self.shape, self.dtype = name, like.shape, like.dtype
        self.work = work  # one for all: the function, and once it was called, what it gave
        self.value: Array = None

    @classmethod
    def several(cls, work_out: Callable[[], dict[str, Array]], likes: dict[str, Array]) -> dict[str, Later]:
        """One for each name, in the shape and dtype of the array there."""
        work: list[Any] = [work_out]
        return {name: cls(name, like, work) for name, like in likes.items()}

    def whole(self) -> Array:
        """The gradient as an array."""
        if self.value is None:
            if callable(self.work[0]):
                self.work[0] = self.work[0]()
            self.value = self.work[0].pop(self.name)
        return self.value

    def peek(self) -> Array:
        """The gradient as an array, for those who only look on: this one will be added to."""
        return self.whole().copy()

    def begin(self) -> Later:
        """What waits for a node after this, its first gradient."""
        return self

    def join(self, waiting: Any, own: bool) -> Any:
        """What waits for a node after this was added to it; `own` says that it may be changed in place."""
        if own:
            waiting += self.whole()
            return waiting
        return waiting + self.whole()

    def __iadd__(self, gradient: Array) -> Array:
        total = self.whole()
        total += gradient
        return total

    __add__ = __iadd__


UNFINISHED: Any = frozenset([Later, Part, Product])  # gradients that the tape finishes when they are needed


class Backend:
    """NumPy on the CPU. Attributes not defined here are looked up in the array library itself."""

    device_type = "cpu"
    run_elements = 2**16  # numbers in an array that is worked on at once: a few of them in float32 fit the cache of one core
    panel_rows = 2**10  # rows that make a product of matrices fast

    def __init__(self, library: Any) -> None:
        self.library = library

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.library, name)
        setattr(self, name, value)  # so that the next look-up is direct
        return value

    def device_of(self, array: Array) -> device:
        """The device that holds `array`."""
        return _HOST

    def at(self, index: int | None) -> contextlib.AbstractContextManager[Any]:
        """A block in which new arrays are made on device number `index`; None stands for the current one."""
        return contextlib.nullcontext()

    def from_host(self, array: np.ndarray[Any, Any], index: int | None = None) -> Array:
        """`array`, which is NumPy's, on this backend's device number `index`."""
        return array

    def to_host(self, array: Array) -> np.ndarray[Any, Any]:
        """`array` as NumPy's."""
        return np.asarray(array)

    def twin(self, array: Array, memo: dict[Any, Any]) -> Array:
        """A copy of `array` in memory of its own, which it shares with the twins of those that `array` shares its own with.

        memo   what was copied before, as copy.deepcopy has it
        """
        root = array
        while root.base.__class__ is np.ndarray:
            root = root.base
        copied = self._copied(root, memo)
        if array is root or array.size == 0:
            return copied if array is root else array.copy()
        memory = copied.ravel(order="K")
        if memory.base is not copied or copied.strides != root.strides:  # with gaps between its elements: not NumPy's own
            return array.copy()
        made = np.ndarray(array.shape, array.dtype, memory, array.ctypes.data - root.ctypes.data, array.strides)
        made.flags.writeable = all(step or size < 2 for step, size in zip(array.strides, array.shape))
        return made

    def _copied(self, array: Array, memo: dict[Any, Any]) -> Array:
        """A copy of `array`, the same one whenever it is asked for."""
        key = "memory", id(array)
        if key not in memo:
            memo[key] = array.copy(order="K"), array  # held, so that no other array gets this id meanwhile
        copied: Array = memo[key][0]
        return copied

    def add_at(self, target: Array, index: Any, values: Array) -> None:
        """target[index] += values, where an element named several times gets every addition."""
        rows = index[0] if isinstance(index, tuple) and len(index) == 1 else index
        whole_rows = rows.__class__ is np.ndarray and rows.dtype.kind in "iu" and rows.ndim == 1
        if whole_rows and values.ndim > 1 and values.shape[0] == rows.size > 1:
            # Sorted by where they go, each group is added up in one call, many times faster than add.at.
            rows = rows % target.shape[0]  # the last row and row -1 are one
            rows = rows.astype(np.min_scalar_type(target.shape[0]), copy=False)  # numbers of two bytes are sorted in no time
            order = rows.argsort(kind="stable")
            sorted_rows = rows[order]
            starts = np.flatnonzero(np.concatenate([[True], sorted_rows[1:] != sorted_rows[:-1]]))
            target[sorted_rows[starts]] += _sums_of_groups(values.take(order, axis=0), starts)
        else:
            self.library.add.at(target, index, values)

    def is_writeable(self, array: Array) -> bool:
        """Whether `array` can be changed: not one whose elements share memory, which broadcasting makes, or that is read-only."""
        return array.flags.writeable

    def put(self, target: Array, index: Any, values: Any) -> None:
        """target[index] = values, where of several values for one element the last stays."""
        target[index] = values

    def in_range(self, ids: Array, low: int, high: int, what: str, error: type[Exception] = IndexError, ignored: Any = None) -> Array:
        """`ids`, safe to index with; an `error` where one of them is neither in [low, high] nor `ignored`.

        On the CPU it comes at once. A device would have to be waited for, so there ids are moved into the range and the
        error comes from the next call that waits anyway, see `report`.
        """
        if ids.size and not (ids.min() >= low and ids.max() <= high):
            bad = (ids < low) | (ids > high) if ignored is None else ((ids < low) | (ids > high)) & (ids != ignored)
            if bad.any():
                raise error(f"{what} must lie in [{low}, {high}], got {ids[bad].flat[0]}")
        return ids

    def in_shape(self, index: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
        """`index`, safe to index an array of that shape with; NumPy itself looks at it while it indexes."""
        return index

    def refuse_where(self, bad: Array, error: Exception) -> None:
        """Raise `error` if `bad` holds anywhere: on the CPU at once, on a device with the next call that waits anyway."""
        if bad.any():
            raise error

    def report(self) -> None:
        """Raise the error that `refuse_where` has found meanwhile."""

    def known_empty(self, mask: Array) -> bool:
        """Whether `mask` holds nowhere, if that can be told without waiting: on a device, False."""
        return not mask.any()

    def random_stream(self, seed: int, index: int | None) -> Any:
        """A stream of random numbers on device number `index`, with NumPy's methods `random` and `standard_normal`."""
        return np.random.Generator(np.random.PCG64(seed))

    def placed(self, values: Array, shape: tuple[int, ...], index: Any, repeats: bool) -> Part:
        """Zeros of `shape` with `values` added at `index`, which may name an element several times if `repeats`."""
        return Part(values, shape, index, repeats)

    def matmul_later(self, left: Array, right: Array) -> Product:
        """left @ right as a gradient that can wait for others like it."""
        return Product(left, right)

    def permute_dims(self, x: Array, axes: tuple[int, ...]) -> Array:
        """The axes of `x` in another order."""
        return x.transpose(axes)

    def diagonal(self, x: Array, offset: int) -> Array:
        """The diagonal of the last two axes, in the same memory."""
        view = x.diagonal(offset, -2, -1)
        if x.flags.writeable:
            view.flags.writeable = True  # NumPy hands out views of diagonals that cannot be written to
        return view

    def erf(self, x: Array) -> Array:
        """The error function."""
        return np.fromiter(map(math.erf, x.ravel().tolist()), x.dtype, x.size).reshape(x.shape)

    def erfc(self, x: Array) -> Array:
        """1 - erf(x), exact where that is near 0."""
        return np.fromiter(map(math.erfc, x.ravel().tolist()), x.dtype, x.size).reshape(x.shape)

    def running(self, name: str, x: Array, axis: int) -> Array:
        """What "maximum" or "minimum" gives of every element and all before it along `axis`."""
        best: Array = getattr(np, name).accumulate(x, axis)
        return best

    def solve(self, A: Array, B: Array) -> Array:
        """The X for which A X = B; LinAlgError where there is none, which a device is waited for to tell."""
        return np.linalg.solve(A, B)

    def inv(self, A: Array) -> Array:
        """A⁻¹; LinAlgError where there is none, which a device is waited for to tell."""
        return np.linalg.inv(A)

    def sigmoid(self, x: Array) -> Array:
        """1 / (1 + e⁻ˣ)"""
        y = self.exp(-x)
        y += 1
        return 1 / y

    def synchronize(self) -> None:
        """Wait until everything asked of the device is done."""

    def use_tf32(self, allowed: bool) -> None:
        """Let products of float32 be taken in TF32, or not; a CPU never does."""


class CudaBackend(Backend):
    """CuPy on an NVIDIA GPU."""

    device_type = "cuda"
    run_elements = 2**22  # enough to keep all cores of a GPU busy, and the calls that start them few
    panel_rows = 2**14

    def __init__(self, library: Any) -> None:
        super().__init__(library)
        self._found: dict[Any, tuple[Exception, Array]] = {}  # errors, and whether they happened, which only the device knows
        self._changing = threading.Lock()
        self._devices: dict[int, device] = {}

    @functools.cached_property
    def special(self) -> Any:
        """CuPy's further functions, in a module of their own."""
        return importlib.import_module("cupyx.scipy.special")

    @functools.cached_property
    def cublas(self) -> Any:
        """The library of matrix products as CuPy hands it on, addresses and numbers in place of arrays."""
        return importlib.import_module("cupy_backends.cuda.libs.cublas")

    @functools.cached_property
    def exactness(self) -> Any:
        """How exact CuPy's products are: a module without a public name; its public way is the environment, which it reads once."""
        return importlib.import_module("cupy._core._routines_linalg")

    def device_of(self, array: Array) -> device:
        index = array.device.id
        if index not in self._devices:
            self._devices[index] = device(self.device_type, index)
        return self._devices[index]

    def at(self, index: int | None) -> contextlib.AbstractContextManager[Any]:
        return self.library.cuda.Device(index)

    def from_host(self, array: np.ndarray[Any, Any], index: int | None = None) -> Array:
        with self.at(index):
            return self.library.asarray(array)

    def to_host(self, array: Array) -> np.ndarray[Any, Any]:
        host: np.ndarray[Any, Any] = self.library.asnumpy(array)
        self.report()
        return host

    def twin(self, array: Array, memo: dict[Any, Any]) -> Array:
        return self._copied(array, memo)  # views that differ get memory of their own

    def add_at(self, target: Array, index: Any, values: Array) -> None:
        if values.dtype.kind != "f":
            wide = target.astype(np.uint64)  # atomic additions know no int64; without a sign, 64 bits add up alike
            self.library.add.at(wide, index, values.astype(np.uint64))
            target[...] = wide.astype(target.dtype)
        elif _deterministic:
            self._add_in_order(target, index, values)
        else:
            self.library.add.at(target, index, values)

    def _add_in_order(self, target: Array, index: Any, values: Array) -> None:
        """`add_at` with the same last bits in every run.

        CuPy's add.at adds in whatever order its threads come. Here what goes to one place is put side by side and added
        up in log₂ n rounds; add.at then meets one sum for each place, and zeros, whose order does not matter.
        """
        rows, places, sums = self._as_rows(target, index, values)
        order = self.argsort(places, kind="stable")
        places, sums, step = places[order], sums[order], 1
        while step < places.size:  # sums[n] is the sum of the last `step` rows up to n that go where n goes
            same = (places[step:] == places[:-step])[:, None]
            sums = self.concatenate([sums[:step], sums[step:] + self.where(same, sums[:-step], 0)], 0)
            step *= 2
        ends = self.concatenate([places[1:] != places[:-1], self.ones(min(places.size, 1), bool)], 0)[:, None]
        self.library.add.at(rows, places, self.where(ends, sums, 0).astype(target.dtype, copy=False))
        if not target.flags.c_contiguous:  # then `rows` is a copy
            target[...] = rows.reshape(target.shape)

    def _as_rows(self, target: Array, index: Any, values: Array) -> tuple[Array, Array, Array]:
        """`target` as a matrix, which rows of it `index` names, and what to add to each."""
        ids = index[0] if isinstance(index, tuple) and len(index) == 1 else index
        if getattr(ids, "ndim", 0) == 1 and ids.dtype.kind in "iu" and target.size:
            rows = target.reshape(target.shape[0], math.prod(target.shape[1:]))
            values = self.broadcast_to(values, (ids.size, *target.shape[1:]))
            return rows, ids % target.shape[0], values.reshape(ids.size, rows.shape[1])  # the last row and row -1 are one
        places = self.arange(target.size).reshape(target.shape)[index]
        return target.reshape(target.size, 1), places.reshape(-1), self.broadcast_to(values, places.shape).reshape(places.size, 1)

    def is_writeable(self, array: Array) -> bool:
        return not array.size or all(step != 0 or size == 1 for step, size in zip(array.strides, array.shape))

    def put(self, target: Array, index: Any, values: Any) -> None:
        arrays = [each for each in (index if isinstance(index, tuple) else (index,)) if hasattr(each, "dtype")]
        if not hasattr(values, "ndim") or isinstance(values, np.generic):
            values = self.full((), values, target.dtype) if arrays else values  # CuPy would copy it from the host
        elif _deterministic and any(each.dtype.kind in "iu" and each.size > 1 for each in arrays):
            values = self._winners(target, index, values)
        target[index] = values

    def _winners(self, target: Array, index: Any, values: Array) -> Array:
        """`values` with those that go to one element all replaced by the last of them: else the fastest thread wins."""
        places = self.arange(target.size).reshape(target.shape)[index]
        values = values.reshape(values.shape[max(values.ndim - places.ndim, 0) :])
        values, flat = self.broadcast_to(values, places.shape).reshape(-1), places.reshape(-1)
        order = self.argsort(flat, kind="stable")
        last = order[self.searchsorted(flat[order], flat, side="right") - 1]
        return values[last].reshape(places.shape)

    def full_like(self, x: Array, value: Any, dtype: Any = None, shape: tuple[int, ...] | None = None) -> Array:
        """`value` repeated like `x`, or in another shape; CuPy's own takes the shape () for none given."""
        if shape == ():
            return self.full((), value, x.dtype if dtype is None else dtype)
        return self.library.full_like(x, value, dtype=dtype, shape=shape)

    def zeros_like(self, x: Array, dtype: Any = None, shape: tuple[int, ...] | None = None) -> Array:
        """Zeros like `x`."""
        return self.full_like(x, 0, dtype, shape)

    def ones_like(self, x: Array, dtype: Any = None, shape: tuple[int, ...] | None = None) -> Array:
        """Ones like `x`."""
        return self.full_like(x, 1, dtype, shape)

    def nan_to_num(self, x: Array, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Array:
        """NaN and infinities replaced, by the largest and smallest numbers if none are given; CuPy's own copies these from the host."""
        if x.dtype.kind != "f":
            return x.copy()
        limit = float(np.finfo(x.dtype).max)
        x = self.where(x == math.inf, limit if posinf is None else posinf, x)
        x = self.where(x == -math.inf, -limit if neginf is None else neginf, x)
        return self.where(self.isnan(x), nan, x)

    def unique(self, x: Array, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None) -> Any:
        """What is distinct in `x`; CuPy's own compares slices by subtracting them, which bools do not allow."""
        numbers = x.astype(np.int8) if axis is not None and x.dtype == bool else x
        found = self.library.unique(numbers, return_inverse=return_inverse, return_counts=return_counts, axis=axis)
        if numbers is x:
            return found
        return (found[0].astype(bool), *found[1:]) if isinstance(found, tuple) else found.astype(bool)

    def bincount(self, x: Array, weights: Array = None, minlength: int = 0) -> Array:
        """How often 0, 1, 2, … occur, or the sums of their weights, where CuPy's own would add in any order."""
        if weights is None or x.size == 0 or not _deterministic:
            return self.library.bincount(x, weights, minlength)
        sums = self.zeros(max(int(x.max()) + 1, minlength), np.float64)
        self.add_at(sums, x, weights.astype(np.float64))
        return sums

    def in_range(self, ids: Array, low: int, high: int, what: str, error: type[Exception] = IndexError, ignored: Any = None) -> Array:
        if ids.size == 0:
            return ids
        if high < low:
            raise error(f"{what} must lie in [{low}, {high}], which holds nothing, got {ids.size} of them")
        ids = ids.astype(np.int64, copy=False)  # in fewer bits, the limits may not fit
        bad = (ids < low) | (ids > high)
        bad = bad if ignored is None else bad & (ids != ignored)
        where = f"and one used on {self.device_type!r} since its last wait did not"
        self.refuse_where(bad, error(f"{what} must lie in [{low}, {high}], {where}"))
        return ids.clip(low, high)

    def in_shape(self, index: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
        axis, safe = 0, []
        for each in index:
            mask = getattr(each, "dtype", None) == np.bool_
            if not mask and each.__class__ not in (slice, int):
                each = self.in_range(each, -shape[axis], shape[axis] - 1, f"ids for axis {axis} of a tensor of shape {tuple(shape)}")
            axis += each.ndim if mask else 1
            safe.append(each)
        return tuple(safe)

    def refuse_where(self, bad: Array, error: Exception) -> None:
        found, key = bad.any(), (type(error), str(error), bad.device.id)
        with self._changing:
            before = self._found.get(key)
            self._found[key] = (error, found if before is None else before[1] | found)

    def report(self) -> None:
        if not self._found:
            return
        with self._changing:
            pending, self._found = self._found, {}
        for error, found in pending.values():
            if bool(found):
                raise error

    def known_empty(self, mask: Array) -> bool:
        return False

    def random_stream(self, seed: int, index: int | None) -> Any:
        with self.at(index):
            return self.library.random.Generator(self.library.random.Philox4x3210(seed))

    def diagonal(self, x: Array, offset: int) -> Array:
        return x.diagonal(offset, -2, -1)

    def erf(self, x: Array) -> Array:
        return self.special.erf(x)

    def erfc(self, x: Array) -> Array:
        return self.special.erfc(x)

    def running(self, name: str, x: Array, axis: int) -> Array:
        best, step, choose = x.swapaxes(0, axis), 1, getattr(self.library, name)  # CuPy's own accumulates sums and products only
        while step < best.shape[0]:  # best[n] is of the last `step` elements up to n
            best = self.concatenate([best[:step], choose(best[step:], best[:-step])], 0)
            step *= 2
        return best.swapaxes(0, axis)

    @functools.cached_property
    def told(self) -> Any:
        """A block in which CuPy tells that a matrix has no inverse, instead of computing on with what is no number."""
        return functools.partial(importlib.import_module("cupyx").errstate, linalg="raise")

    def solve(self, A: Array, B: Array) -> Array:
        with self.told():
            return self.library.linalg.solve(A, B)

    def inv(self, A: Array) -> Array:
        with self.told():
            return self.library.linalg.inv(A)

    def use_tf32(self, allowed: bool) -> None:
        how = self.exactness.COMPUTE_TYPE_TF32 if allowed else self.exactness.COMPUTE_TYPE_DEFAULT
        self.exactness.set_compute_type(np.dtype(np.float32), how)

    def synchronize(self) -> None:
        self.library.cuda.get_current_stream().synchronize()
        self.report()


def _sums_of_groups(values: Array, starts: Array) -> Array:
    """values[starts[0] : starts[1]].sum(axis=0) and so on, for NumPy; two floats at a time, taken for a complex number, if they pair."""
    pair = {"f": np.complex64, "d": np.complex128}.get(values.dtype.char)
    if pair is None or values.shape[-1] % 2:
        return np.add.reduceat(values, starts, axis=0)
    return np.add.reduceat(values.view(pair), starts, axis=0).view(values.dtype)


_deterministic = True


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Whether a GPU shall compute the same last bits in every run, as it does by default here, unlike in PyTorch.

    With False, gradients of embeddings and other additions at repeated indices are added in any order, and of several
    values assigned to one element any may stay; both are faster. The CPU always computes the same, and `warn_only`
    changes nothing: everything here can be computed in one order.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html
    """
    global _deterministic
    _deterministic = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """Whether a GPU computes the same last bits in every run."""
    return _deterministic


_PRECISIONS = ("highest", "high", "medium")
_precision = "high" if os.environ.get("CUPY_TF32", "0") not in ("", "0") else "highest"  # as CuPy reads it


def set_float32_matmul_precision(precision: str) -> None:
    """How exact products of matrices of float32 are on a GPU: "highest" is float32, "high" and "medium" are TF32.

    TF32 rounds the factors to 11 significant bits, about three digits, and adds up in float32; tensor cores compute it several times
    as fast. Where it is allowed, it is used for every product that cuBLAS takes, those of `@`, of Linear and of recurrent layers,
    and in kernels that keep large weights on the chip. A CPU always multiplies in float32. With CUPY_TF32=1 in the environment a
    program begins with "high".

    Raises: RuntimeError, ValueError for what is none of the three, where PyTorch may only warn
    Source: https://docs.pytorch.org/docs/stable/generated/torch.set_float32_matmul_precision.html

    >>> before = get_float32_matmul_precision()
    >>> set_float32_matmul_precision("high")
    >>> get_float32_matmul_precision()
    'high'
    >>> set_float32_matmul_precision(before)
    """
    global _precision
    if not isinstance(precision, str):
        raise RuntimeError(f"precision must be a text, one of {', '.join(_PRECISIONS)}; got {type(precision).__name__}")
    if precision not in _PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(_PRECISIONS)}; got {precision!r}")
    _precision = precision
    for each in ARRAYS.values():
        each.use_tf32(takes_tf32())


def get_float32_matmul_precision() -> str:
    """How exact products of matrices of float32 are on a GPU."""
    return _precision


def takes_tf32() -> bool:
    """Whether products of float32 may be taken in TF32."""
    return _precision != "highest"


def _keep_freed_memory() -> None:
    """Ask the C library to keep the memory of arrays that were freed, for the next arrays.

    By default glibc hands large blocks back to the system at once, and the system clears every page before it lends it
    again. A training step allocates the same arrays as the step before, so nearly all of that is waste: with it, an
    LSTM over 100 steps takes half as long again. The most memory a program holds is the same either way. Values that
    the user set in the environment (MALLOC_…) are left alone; other C libraries have no such call.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and not any(name.startswith("MALLOC_") for name in os.environ):
        trim_threshold, mmap_threshold, arenas = -1, -3, -8  # the numbers malloc.h gives these settings
        mallopt(mmap_threshold, 32 * 2**20)  # the most it accepts
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(arenas, 1)  # memory that one thread freed serves the others too


_keep_freed_memory()
_HOST = device("cpu")
CPU = Backend(np)
ARRAYS: dict[type, Backend] = {np.ndarray: CPU}  # by array class, so that a look-up is one dictionary access
_SCALARS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool_")
BY_CLASS: dict[type, Backend] = {  # and by the classes that NumPy's functions return in place of arrays without axes
    **ARRAYS,
    **{getattr(np, name): CPU for name in _SCALARS},
}
_BY_DEVICE: dict[str, Backend] = {"cpu": CPU}
_LOADERS: dict[str, Callable[[], Backend]] = {}


def of(array: Array) -> Backend:
    """The backend whose library made `array`."""
    try:
        return BY_CLASS[array.__class__]
    except KeyError:
        raise TypeError(f"expected an array of a known library, got {type(array).__name__}") from None


def on(where: device) -> Backend:
    """The backend for a device; RuntimeError that says what to install where there is none."""
    if where.type not in _BY_DEVICE:
        _LOADERS[where.type]()
    return _BY_DEVICE[where.type]


def is_loaded(device_type: str) -> bool:
    """Whether a device of this type was asked for already, or registered."""
    return device_type in _BY_DEVICE


def register(backend: Backend, array_class: type) -> Backend:
    """Make arrays of `array_class` belong to `backend`, and its device type a name that `device=` accepts."""
    ARRAYS[array_class] = BY_CLASS[array_class] = backend
    _BY_DEVICE[backend.device_type] = backend
    if backend.device_type not in DEVICES:
        DEVICES.append(backend.device_type)
    return backend


def _load_cuda() -> Backend:
    if importlib.util.find_spec("cupy") is None:
        raise RuntimeError(
            "device 'cuda' needs CuPy, which is not installed: pip install cupy-cuda13x (or cupy-cuda12x, to match the driver)"
        )
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as problem:
        raise RuntimeError(f"device 'cuda': CuPy is installed but cannot be imported ({problem}); install it anew") from problem
    except OSError as problem:
        where = "set CUPY_CACHE_DIR to a folder"
        raise RuntimeError(f"device 'cuda': CuPy finds no place for what it compiles ({problem}); {where}") from problem
    if not cupy.is_available():
        raise RuntimeError(f"device 'cuda': CuPy {cupy.__version__} is installed but finds no usable NVIDIA GPU or driver; see nvidia-smi")
    loaded = register(CudaBackend(cupy), cupy.ndarray)
    if takes_tf32():
        loaded.use_tf32(True)
    return loaded


_LOADERS["cuda"] = _load_cuda


def set_default_device(where: Any) -> None:
    """Make `where` the device of new tensors in this thread; RuntimeError where it is not there.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.set_default_device.html
    """
    chosen = device("cpu") if where is None else device(where)
    on(chosen)
    defaults.device = chosen
