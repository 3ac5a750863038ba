"""Everything that differs between NumPy and CuPy, side by side.

A `Backend` is one array library on one kind of device. Code that computes asks for the one its arrays belong to,
calls it `xp`, and uses NumPy's names on it: `xp = backend.of(x)`, then `xp.exp(x)`. What the two libraries name or do
differently, or lack, is a method here, once for each. `Part` and `Product` are the two forms in which a backward rule may
hand over a gradient of arrays before it is worked out; the tape finishes them. Another library is added by `register`.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import math
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .types import device

__all__ = [
    "ARRAYS", "BY_CLASS", "UNFINISHED", "Array", "Backend", "Part", "Product", "current_device", "of", "on", "register",
    "set_default_device",
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
        if waiting.__class__ is Product:
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


UNFINISHED: Any = frozenset([Part, Product])  # gradients that the tape finishes when they are needed


class Backend:
    """NumPy on the CPU. Attributes not defined here are looked up in the array library itself."""

    device_type = "cpu"

    def __init__(self, library: Any) -> None:
        self.library = library

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.library, name)
        setattr(self, name, value)  # so that the next look-up is direct
        return value

    def device_of(self, array: Array) -> device:
        """The device that holds `array`."""
        return device("cpu")

    def from_host(self, array: np.ndarray[Any, Any], index: int | None = None) -> Array:
        """`array`, which is NumPy's, on this backend's device number `index`."""
        return array

    def to_host(self, array: Array) -> np.ndarray[Any, Any]:
        """`array` as NumPy's."""
        return np.asarray(array)

    def add_at(self, target: Array, index: Any, values: Array) -> None:
        """target[index] += values, where an element named several times gets every addition."""
        rows = index[0] if isinstance(index, tuple) and len(index) == 1 else index
        whole_rows = rows.__class__ is np.ndarray and rows.dtype.kind in "iu" and rows.ndim == 1
        if whole_rows and values.ndim > 1 and values.shape[0] == rows.size > 1:
            # Sorted by where they go, each group is added up in one call, many times faster than add.at.
            rows = rows % target.shape[0]  # the last row and row -1 are one
            order = rows.argsort(kind="stable")
            sorted_rows = rows[order]
            starts = np.flatnonzero(np.concatenate([[True], sorted_rows[1:] != sorted_rows[:-1]]))
            target[sorted_rows[starts]] += np.add.reduceat(values[order], starts, axis=0)
        else:
            self.library.add.at(target, index, values)

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

    def sigmoid(self, x: Array) -> Array:
        """1 / (1 + e⁻ˣ)"""
        y = self.exp(-x)
        y += 1
        return 1 / y

    def synchronize(self) -> None:
        """Wait until everything asked of the device is done."""


class CudaBackend(Backend):
    """CuPy on an NVIDIA GPU."""

    device_type = "cuda"

    def device_of(self, array: Array) -> device:
        return device("cuda", array.device.id)

    def from_host(self, array: np.ndarray[Any, Any], index: int | None = None) -> Array:
        with self.library.cuda.Device(index):
            return self.library.asarray(array)

    def to_host(self, array: Array) -> np.ndarray[Any, Any]:
        return np.asarray(self.library.asnumpy(array))

    def diagonal(self, x: Array, offset: int) -> Array:
        return x.diagonal(offset, -2, -1)

    def erf(self, x: Array) -> Array:
        return importlib.import_module("cupyx.scipy.special").erf(x)

    def erfc(self, x: Array) -> Array:
        return importlib.import_module("cupyx.scipy.special").erfc(x)

    def synchronize(self) -> None:
        self.library.cuda.get_current_stream().synchronize()


def _keep_freed_memory() -> None:
    """Ask the C library to keep the memory of arrays that were freed, for the next arrays.

    By default glibc hands large blocks back to the system at once, and the system clears every page before it lends it
    again. A training step allocates the same arrays as the step before, so nearly all of that is waste: with it, an
    LSTM over 100 steps takes half as long again. The most memory a program holds is the same either way. Values that
    the user set in the environment (MALLOC_…) are left alone; other C libraries have no such call.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and not any(name.startswith("MALLOC_") for name in os.environ):
        trim_threshold, mmap_threshold = -1, -3  # the numbers malloc.h gives these two settings
        mallopt(mmap_threshold, 32 * 2**20)  # the most it accepts
        mallopt(trim_threshold, 2**31 - 1)


_keep_freed_memory()
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
        if where.type not in _LOADERS:
            raise RuntimeError(f"there is no device {str(where)!r}; devices are 'cpu' and 'cuda'")
        _LOADERS[where.type]()
    return _BY_DEVICE[where.type]


def register(backend: Backend, array_class: type) -> Backend:
    """Make arrays of `array_class` belong to `backend`, and its device type a name that `device=` accepts."""
    ARRAYS[array_class] = BY_CLASS[array_class] = backend
    _BY_DEVICE[backend.device_type] = backend
    return backend


def _load_cuda() -> Backend:
    if importlib.util.find_spec("cupy") is None:
        raise RuntimeError(
            "device 'cuda' needs CuPy, which is not installed: pip install cupy-cuda13x (or cupy-cuda12x, to match the driver)"
        )
    cupy = importlib.import_module("cupy")
    if not cupy.is_available():
        raise RuntimeError(f"device 'cuda': CuPy {cupy.__version__} is installed but finds no usable NVIDIA GPU or driver; see nvidia-smi")
    return register(CudaBackend(cupy), cupy.ndarray)


_LOADERS["cuda"] = _load_cuda


class _Default(threading.local):
    device = device("cpu")


_default = _Default()


def current_device() -> device:
    """The device of tensors nobody gave one, in this thread."""
    return _default.device


def set_default_device(where: Any) -> None:
    """Make `where` the device of new tensors in this thread; RuntimeError where it is not there.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.set_default_device.html
    """
    chosen = device("cpu") if where is None else device(where)
    on(chosen)
    _default.device = chosen
