"""The three small words every tensor is described with: `dtype`, `device`, `Size`.

Nothing here knows an array library other than NumPy's dtype objects, which CuPy shares.
"""

from __future__ import annotations

import operator
import re
import threading
from collections.abc import Iterable
from typing import Any, SupportsIndex, overload

import numpy as np

__all__ = [
    "CONSTRUCTORS", "DEVICES", "DTYPES", "Size", "current_device", "default_dtype", "device", "dtype", "finfo", "iinfo", "numpy_dtype",
    "require_sequence", "set_default_dtype",
]  # fmt: skip


class Size(tuple[int, ...]):
    """A shape: a tuple of integers that prints like PyTorch's and counts its elements; pieces, sums and multiples are shapes.

    >>> Size([2, 3]), Size([2, 3]).numel(), Size([2, 3])[1:] + (4,)
    (minigrad.Size([2, 3]), 6, minigrad.Size([3, 4]))
    """

    def __new__(cls, sizes: Iterable[Any] = ()) -> Size:
        sizes = tuple(sizes)
        for place, size in enumerate(sizes):
            if not hasattr(size, "__index__"):
                raise TypeError(f"a shape holds integers, got {type(size).__name__} {size!r} at position {place}")
        return tuple.__new__(cls, map(operator.index, sizes))

    @overload
    def __getitem__(self, place: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> Size: ...
    def __getitem__(self, place: SupportsIndex | slice) -> int | Size:
        found = tuple.__getitem__(self, place)
        return Size(found) if isinstance(found, tuple) else found

    def __add__(self, other: tuple[int, ...]) -> Size:  # type: ignore[override]
        return Size(tuple.__add__(self, other))

    def __radd__(self, other: tuple[int, ...]) -> Size:
        return Size(other + tuple(self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, times: SupportsIndex) -> Size:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"minigrad.Size([{', '.join(map(str, self))}])"

    def numel(self) -> int:
        """How many elements a tensor of this shape has."""
        count = 1
        for size in self:
            count *= size
        return count


class dtype:
    """The type of one element; there is exactly one object per type, so `is` compares them.

    >>> dtype("float32"), dtype("float32").itemsize, dtype("int64").is_floating_point
    (minigrad.float32, 4, False)
    """

    __slots__ = ("is_floating_point", "is_signed", "itemsize", "name", "numpy")

    name: str
    numpy: np.dtype[Any]
    itemsize: int
    is_floating_point: bool
    is_signed: bool
    is_complex = False  # there are no complex dtypes here

    def __new__(cls, name: str) -> dtype:
        if name in DTYPES:
            return DTYPES[name]
        raise TypeError(f"unknown dtype {name!r}; there are: {', '.join(DTYPES)}")

    def __repr__(self) -> str:
        return f"minigrad.{self.name}"

    def __reduce__(self) -> tuple[type[dtype], tuple[str]]:
        return dtype, (self.name,)


def _make(name: str) -> dtype:
    made = object.__new__(dtype)
    made.name = name
    made.numpy = np.dtype(name)
    made.itemsize = made.numpy.itemsize
    made.is_floating_point = made.numpy.kind == "f"
    made.is_signed = made.numpy.kind in "fi"
    return made


_NAMES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
DTYPES: dict[str, dtype] = {}
DTYPES.update({name: _make(name) for name in _NAMES})
CONSTRUCTORS = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "ByteTensor": "uint8", "CharTensor": "int8",
    "ShortTensor": "int16", "IntTensor": "int32", "LongTensor": "int64", "BoolTensor": "bool",
}  # fmt: skip
_OF_NUMPY = {made.numpy: made for made in DTYPES.values()}
_ALIASES: dict[Any, str] = {float: "float64", int: "int64", bool: "bool"}
_default = DTYPES["float32"]


class finfo:
    """What numbers a floating-point dtype can hold: `eps`, `max`, `min`, `tiny`, `resolution`, `bits`.

    >>> finfo("float32").max, finfo("float16").bits
    (3.4028234663852886e+38, 16)
    """

    def __init__(self, type: Any = None) -> None:
        kind = default_dtype() if type is None else of_numpy(numpy_dtype(type))
        if not kind.is_floating_point:
            raise TypeError(f"finfo is for floating-point dtypes, got {kind}; use iinfo")
        numbers = np.finfo(kind.numpy)
        self.bits, self.dtype = numbers.bits, kind.name
        self.eps, self.max, self.min, self.resolution = (float(getattr(numbers, name)) for name in ("eps", "max", "min", "resolution"))
        self.tiny = self.smallest_normal = float(numbers.smallest_normal)

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={getattr(self, name):g}" for name in ("resolution", "min", "max", "eps", "smallest_normal", "tiny"))
        return f"finfo({facts}, dtype={self.dtype})"


class iinfo:
    """What numbers an integer dtype can hold: `max`, `min`, `bits`.

    >>> iinfo("uint8")
    iinfo(min=0, max=255, dtype=uint8)
    """

    def __init__(self, type: Any) -> None:
        kind = of_numpy(numpy_dtype(type))
        if kind.numpy.kind not in "iu":
            raise TypeError(f"iinfo is for integer dtypes, got {kind}; use finfo")
        numbers = np.iinfo(kind.numpy)
        self.bits, self.dtype, self.max, self.min = numbers.bits, kind.name, int(numbers.max), int(numbers.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def numpy_dtype(kind: Any) -> np.dtype[Any]:
    """The NumPy dtype for one of ours, a NumPy dtype, its name, or `float`, `int`, `bool`.

    >>> numpy_dtype(dtype("float32")), numpy_dtype("int64")
    (dtype('float32'), dtype('int64'))
    """
    if isinstance(kind, dtype):
        return kind.numpy
    return of_numpy(np.dtype(_ALIASES.get(kind, kind))).numpy


def require_sequence(data: Any) -> None:
    """TypeError for a single number where PyTorch's old constructors want a sequence: Tensor(3) is three zeros, Tensor(3.0) nothing."""
    if data is None or isinstance(data, (bool, float, complex)):
        raise TypeError(f"a tensor is made here from sizes or from a sequence of numbers, got {type(data).__name__}; use tensor({data})")


def of_numpy(kind: np.dtype[Any]) -> dtype:
    """Our dtype for a NumPy one; TypeError for those a tensor cannot hold (complex, text, dates)."""
    made = _OF_NUMPY.get(kind) or _OF_NUMPY.get(kind.newbyteorder("="))
    if made is None:
        raise TypeError(f"a tensor cannot hold elements of type {kind}; it can hold: {', '.join(DTYPES)}")
    return made


def default_dtype() -> dtype:
    """The dtype of numbers nobody gave one: float32 unless `set_default_dtype` was called."""
    return _default


def set_default_dtype(kind: Any) -> None:
    """Make a floating-point dtype the default for new tensors, in every thread.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.set_default_dtype.html
    """
    global _default
    chosen = of_numpy(numpy_dtype(kind))
    if not chosen.is_floating_point:
        raise TypeError(f"the default dtype must be a floating-point one, not {chosen}")
    _default = chosen


DEVICES = ["cpu", "cuda"]  # the types of devices that there are; a backend that is registered adds its own


class device:
    """Where a tensor's elements live: `device("cpu")`, `device("cuda")`, `device("cuda", 1)`, `device("cuda:1")`.

    In a `with` block it is where new tensors of this thread go that nobody gave a device.

    Source: https://docs.pytorch.org/docs/stable/tensor_attributes.html#torch-device

    >>> device("cuda:1"), device("cuda", 1) == device("cuda:1"), str(device("cpu"))
    (device(type='cuda', index=1), True, 'cpu')
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: str | int | device, index: int | None = None) -> None:
        if isinstance(type, device):
            index = type.index
            type = type.type
        elif isinstance(type, int):
            index = type
            type = "cuda"
        elif not isinstance(type, str):
            raise TypeError(f"a device is named by a text or a number, as in 'cpu' or 'cuda:0', got {type.__class__.__name__}")
        match = re.fullmatch(r"([a-z]+)(?::(\d+))?", type)
        if not match or (match[2] and index is not None) or (index is not None and index < 0):
            raise RuntimeError(f"a device reads 'cpu', 'cuda' or 'cuda:0', not {type!r}{'' if index is None else f' with index {index}'}")
        if match[1] not in DEVICES:
            raise RuntimeError(f"there is no device {type!r}; devices are {', '.join(map(repr, DEVICES))}")
        self.type = match[1]
        self.index = int(match[2]) if match[2] else index

    def __repr__(self) -> str:
        return f"device(type={self.type!r}{'' if self.index is None else f', index={self.index}'})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __enter__(self) -> device:
        defaults.outer.append(defaults.device)
        defaults.device = self
        return self

    def __exit__(self, *exception: object) -> None:
        defaults.device = defaults.outer.pop()


class _Defaults(threading.local):
    """The device of new tensors in each thread, and those of the `with` blocks around."""

    def __init__(self) -> None:
        self.device = device("cpu")
        self.outer: list[device] = []


defaults = _Defaults()


def current_device() -> device:
    """The device of tensors nobody gave one, in this thread."""
    return defaults.device
