"""A strict device array: NumPy's numbers behind CuPy's manners, so that what would break or wait on a GPU shows without one.

`StrictArray` holds a NumPy array and lets nobody have it. It answers only to names, keywords and element types recorded
from CuPy (`cupy_names.json`), returns arrays without axes where NumPy returns scalars, refuses what CuPy refuses, and
does otherwise than NumPy where CuPy does: indices out of range wrap around, of values assigned to one element twice not
the last wins, `add.at` adds in any order. `register()` makes it the device "strict", whose backend is the one for CUDA
with this library in CuPy's place, so that the code for GPUs runs as it is.

What it allows, it counts: `with counting() as counted:` tells how often the device was waited for, and how many arrays
were copied between host and device. It proves nothing about speed, nor about CuPy itself.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import functools
import inspect
import itertools
import json
import math
import operator
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cuda_on_cpu
import numpy as np

from minigrad import backend

NAMES: dict[str, Any] = json.loads(Path(__file__).with_name("cupy_names.json").read_text(encoding="utf-8"))
NUMBERS = (bool, int, float, np.generic)  # what CuPy takes beside arrays, and hands to a kernel without a copy
WAITING = {
    "argwhere", "average", "extract", "flatnonzero", "histogram", "histogram2d", "histogramdd", "intersect1d", "median", "nonzero",
    "percentile", "quantile", "ravel_multi_index", "setdiff1d", "trim_zeros", "union1d", "unravel_index",
}  # fmt: skip
MAKING = {"array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"}  # take host arrays, which they copy
ABOUT = {  # answered by the host, in Python's own types
    "result_type", "promote_types", "can_cast", "min_scalar_type", "ndim", "shape", "size", "broadcast_shapes", "isscalar",
    "may_share_memory", "shares_memory", "isrealobj", "iscomplexobj",
}  # fmt: skip


class Counted:
    """How often the device was waited for, and how many arrays went between host and device, with the name of each."""

    def __init__(self) -> None:
        self.waits: list[str] = []
        self.copies: list[str] = []


_counted = Counted()


@contextlib.contextmanager
def counting() -> Iterator[Counted]:
    """Count inside; blocks may not be nested."""
    global _counted
    before, _counted = _counted, Counted()
    try:
        yield _counted
    finally:
        _counted = before


def wait(name: str) -> None:
    _counted.waits.append(name)


def copied(name: str) -> None:
    _counted.copies.append(name)


# ------------------------------------------------------------------------------------------------------- signatures


@functools.cache
def signature(words: str) -> inspect.Signature | None:
    """The signature that a line of words stands for, see record_cupy.py; None where CuPy does not tell."""
    if words == "?":
        return None
    kind, parameters = inspect.Parameter.POSITIONAL_OR_KEYWORD, []
    for word in words.split():
        if word == "/":
            parameters = [each.replace(kind=each.POSITIONAL_ONLY) for each in parameters]
        elif word.startswith("*"):
            several = inspect.Parameter.VAR_KEYWORD if word.startswith("**") else inspect.Parameter.VAR_POSITIONAL
            if word != "*":
                parameters.append(inspect.Parameter(word.lstrip("*"), several))
            kind = inspect.Parameter.KEYWORD_ONLY
        else:
            default = None if word.endswith("=") else inspect.Parameter.empty
            parameters.append(inspect.Parameter(word.rstrip("="), kind, default=default))
    return inspect.Signature(parameters)


def check_call(name: str, words: str, args: Any, kwargs: Any) -> None:
    """TypeError for arguments that CuPy's function of that name does not take."""
    problem = _problem(words, len(args), tuple(kwargs))
    if problem:
        raise TypeError(f"cupy {NAMES['cupy']} {name}({words}): {problem}")


@functools.cache
def _problem(words: str, count: int, names: tuple[str, ...]) -> str:
    """What is wrong with so many arguments by place and these by name; nothing, if empty."""
    expected = signature(words)
    try:
        if expected is not None:
            expected.bind(*[None] * count, **dict.fromkeys(names))
    except TypeError as problem:
        return str(problem)
    return ""


# --------------------------------------------------------------------------------------------------- in and out again


def held(given: Any, what: str) -> Any:
    """What NumPy shall compute with in place of an argument; TypeError for host arrays."""
    if given.__class__ is StrictArray:
        return given._held
    if isinstance(given, np.ndarray):
        raise TypeError(f"{what}: a host array of shape {given.shape} among arrays of the device; CuPy refuses it, or copies it silently")
    if given.__class__ in (list, tuple):
        return given.__class__(held(each, what) for each in given)
    return given


def made(result: Any, *sources: Any) -> Any:
    """NumPy's result as CuPy would return it: scalars as arrays without axes, views as views of the same base."""
    if isinstance(result, (np.ndarray, np.generic, bool)):
        return _wrapped(np.asarray(result), sources)
    if isinstance(result, (tuple, list)):  # NumPy's named tuples come as tuples
        return (list if isinstance(result, list) else tuple)(made(each, *sources) for each in result)
    return result


def _wrapped(array: np.ndarray[Any, Any], sources: tuple[Any, ...]) -> StrictArray:
    for source in sources:
        if source.__class__ is StrictArray and source._held is array:
            return source
    base = None
    if array.base is not None:
        for source in sources:
            if source.__class__ is StrictArray and (array.base is source._held or array.base is source._held.base):
                base = source if source.base is None else source.base
    return StrictArray(array if array.flags.writeable else _unlocked(array), base)


def _unlocked(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same memory for writing too: CuPy's arrays can all be written to."""
    memory = dict(array.__array_interface__)
    memory["data"] = (memory["data"][0], False)
    return np.asarray(types.SimpleNamespace(__array_interface__=memory, keeps=array))


def quiet(function: Any) -> Any:
    """No floating-point warnings: a GPU gives none."""
    return np.errstate(all="ignore")(function)


# ----------------------------------------------------------------------------------------------------------- functions


class Ufunc:
    """One of CuPy's element-by-element functions."""

    def __init__(self, name: str) -> None:
        self.name, self.numpy, self.words = name, getattr(np, name), " ".join(
            [*[f"x{place}" for place in range(NAMES["ufuncs"][name]["inputs"])], "/ out= * casting= dtype="]
        )  # fmt: skip

    @quiet
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inputs = NAMES["ufuncs"][self.name]["inputs"]
        for each in args[:inputs]:
            if each.__class__ is not StrictArray and not isinstance(each, NUMBERS):
                held(each, self.name)
                raise TypeError(f"{self.name}: unsupported type {type(each).__name__}")
        check_call(self.name, self.words, args, kwargs)
        out = kwargs.get("out", args[inputs] if len(args) > inputs else None)
        if out is not None and out.__class__ is not StrictArray:
            raise TypeError(f"{self.name}: out must be an array of the device, got {type(out).__name__}")
        require_loop(self.name, args[:inputs])
        result = self.numpy(*[held(each, self.name) for each in args], **{name: held(each, self.name) for name, each in kwargs.items()})
        return made(result) if out is None else out

    def __getattr__(self, method: str) -> Any:
        if method not in NAMES["ufunc_methods"] or self.name not in NAMES["ufunc_methods"][method]:
            raise NotImplementedError(f"`cupy_{self.name}.{method}` is not supported")
        if method == "at":
            return functools.partial(_at, self.name)
        raise NotImplementedError(f"{self.name}.{method}: CuPy has it, but {self.why(method)}")

    @staticmethod
    def why(method: str) -> str:
        """What speaks against a method that CuPy has."""
        return "takes differences of running sums, which are not exact" if method == "reduceat" else "a function does the same; use that"


@functools.cache
def _loops(name: str) -> list[tuple[str, str]]:
    return [tuple(each.split("->")) for each in NAMES["ufuncs"][name]["types"].split()]  # type: ignore[misc]


def require_loop(name: str, args: Any) -> None:
    """TypeError where CuPy's function is not written for these types of elements."""
    arrays = [each for each in args if each.__class__ is StrictArray]
    if arrays:
        common = np.result_type(*[each._held.dtype if each.__class__ is StrictArray else each for each in args])
        kinds = tuple([each._held.dtype.char if each.__class__ is StrictArray else common.char for each in args])
        if not _has_loop(name, kinds):
            raise TypeError(f"cupy's {name} is not written for elements of {', '.join(kinds)}")


@functools.cache
def _has_loop(name: str, kinds: tuple[str, ...]) -> bool:
    return any(all(np.can_cast(kind, wanted) for kind, wanted in zip(kinds, inputs)) for inputs, _ in _loops(name))


_order = np.random.default_rng()  # unseeded: atomic additions come in an order of their own in every run
_AT = {"add": "iILQefd", "subtract": "iI"}


def _at(name: str, target: StrictArray, index: Any, values: Any) -> None:
    place = _index(target, index)
    kinds = _AT.get(name, "ifdILQ" if name in ("maximum", "minimum") else "ilIL")
    if target._held.dtype.char not in kinds:
        raise TypeError(f"cupy.{name}.at only supports elements of {', '.join(kinds)}, got {target._held.dtype}")
    positions = np.arange(target._held.size).reshape(target._held.shape)[place]
    spread = np.broadcast_to(held(values, name), positions.shape).reshape(-1)
    shuffled = _order.permutation(positions.size)
    flat = target._held.reshape(-1)
    getattr(np, name).at(flat, positions.reshape(-1)[shuffled], spread[shuffled])
    if not np.shares_memory(flat, target._held):
        target._held[...] = flat.reshape(target._held.shape)


class Library:
    """What stands in for the module cupy: names that were recorded there, computed by NumPy."""

    ndarray: Any = None

    def __init__(self) -> None:
        self.random = types.SimpleNamespace(Generator=Generator, Philox4x3210=np.random.Philox)
        self.cuda = types.SimpleNamespace(
            Device=Device, Stream=Stream, Event=Event, get_current_stream=current_stream, runtime=Runtime, MemoryHook=MemoryHook,
            get_cublas_handle=lambda: HANDLE,
        )  # fmt: skip
        self.linalg = Linear()
        self.get_default_memory_pool = Pool
        self.RawModule = cuda_on_cpu.RawModule

    def __getattr__(self, name: str) -> Any:
        if name in NAMES["ufuncs"]:
            found: Any = Ufunc(name)
        elif name in NAMES["functions"]:
            found = SPECIAL_FORMS.get(name) or _function(name)
        elif name in NAMES["others"] and isinstance(getattr(np, name, None), (type, float)):
            found = getattr(np, name)
        else:
            raise AttributeError(f"cupy {NAMES['cupy']} has no {name!r}")
        setattr(self, name, found)
        return found


def _function(name: str) -> Any:
    words, numpy = NAMES["functions"][name], getattr(np, name)

    @quiet
    def function(*args: Any, **kwargs: Any) -> Any:
        check_call(name, words, args, kwargs)
        _refuse_lists(name, args)
        for each in args[: ARRAYS_FIRST.get(name, 0)]:
            _device_array(each, name)
        if name in WAITING or (name == "where" and len(args) == 1):
            wait(name)
        result = numpy(*[held(each, name) for each in args], **{key: held(each, name) for key, each in kwargs.items()})
        return result if name in ABOUT else made(result, *args, *kwargs.values())

    return function


ARRAYS_FIRST = {"dot": 2, "where": 1}  # how many arguments cannot be numbers, where others can
TAKING_LISTS = {"concatenate", "stack", "vstack", "hstack", "dstack", "column_stack", "concat", "broadcast_arrays", "lexsort"}


def _refuse_lists(name: str, args: Any) -> None:
    """TypeError for a list where CuPy wants an array, and for host numbers in a list of arrays."""
    first = args[0] if args else None
    if first.__class__ in (list, tuple) and name not in ABOUT:
        if name not in TAKING_LISTS and name not in ("zeros", "ones", "empty", "full", "indices", "tri", "identity"):
            raise TypeError(f"{name}: a list where CuPy wants an array")
        if name in TAKING_LISTS and any(each.__class__ is not StrictArray for each in first):
            raise TypeError(f"{name}: only arrays of the device can be joined")


def _make(name: str) -> Any:
    words = NAMES["functions"][name]

    def function(a: Any, *args: Any, **kwargs: Any) -> Any:
        check_call(name, words, (a, *args), kwargs)
        if a.__class__ is not StrictArray:
            if a.__class__ in (list, tuple) and any(each.__class__ is StrictArray for each in a):
                raise TypeError(f"{name}: a list of arrays; use stack")
            copied(name)
            return StrictArray(np.array(a, *args, **{key: each for key, each in kwargs.items() if key != "copy"}))
        result = getattr(np, name)(a._held, *args, **kwargs)
        return a if result is a._held else made(result, a)

    return function


def _sorting(name: str) -> Any:
    words = NAMES["functions"][name]

    @quiet
    def sorting(a: Any, *args: Any, **kwargs: Any) -> Any:
        check_call(name, words, (a, *args), kwargs)
        kind = kwargs.pop("kind", args[1] if len(args) > 1 else None)
        if kind not in (None, "stable"):
            raise ValueError(f"{name}: CuPy knows one kind of sorting, 'stable', got {kind!r}")
        return made(getattr(np, name)(_device_array(a, name), *args[:1], kind="stable", **kwargs))

    return sorting


def _device_array(given: Any, what: str) -> Any:
    """What NumPy shall compute with in place of an argument that has to be an array of the device."""
    if given.__class__ is not StrictArray:
        raise TypeError(f"{what}: {type(given).__name__} {given!r} where CuPy wants an array")
    return given._held


def _like(name: str) -> Any:
    words = NAMES["functions"][name]

    def like(a: Any, *args: Any, **kwargs: Any) -> Any:
        check_call(name, words, (a, *args), kwargs)
        if kwargs.get("shape") == ():  # CuPy takes it for no shape given
            kwargs.pop("shape")
        return made(getattr(np, name)(_device_array(a, name), *[held(each, name) for each in args], **kwargs))

    return like


@quiet
def _nan_to_num(x: Any, *args: Any, **kwargs: Any) -> Any:
    check_call("nan_to_num", NAMES["functions"]["nan_to_num"], (x, *args), kwargs)
    copied("nan_to_num")  # the numbers to put in place of others, as arrays
    return made(np.nan_to_num(held(x, "nan_to_num"), *args, **kwargs))


@quiet
def _unique(ar: Any, *args: Any, **kwargs: Any) -> Any:
    check_call("unique", NAMES["functions"]["unique"], (ar, *args), kwargs)
    wait("unique")
    if kwargs.get("axis") is not None and ar.dtype == bool:
        raise TypeError("unique: CuPy compares slices by subtracting them, which bools do not allow")
    return made(np.unique(held(ar, "unique"), *args, **kwargs))


def _bincount(x: Any, weights: Any = None, minlength: Any = None) -> Any:
    wait("bincount")
    ids, minlength = held(x, "bincount"), minlength or 0
    if weights is None:
        return made(np.bincount(ids, None, minlength))
    shuffled = _order.permutation(ids.size)  # weights are added by atomic additions
    return made(np.bincount(ids[shuffled], held(weights, "bincount")[shuffled], minlength))


def _asnumpy(a: Any, *args: Any, **kwargs: Any) -> Any:
    check_call("asnumpy", NAMES["functions"]["asnumpy"], (a, *args), kwargs)
    return a.get()


SPECIAL_FORMS = {**{name: _make(name) for name in MAKING}, "asnumpy": _asnumpy, "bincount": _bincount}
SPECIAL_FORMS |= {name: _sorting(name) for name in ("sort", "argsort")}
SPECIAL_FORMS |= {"unique": _unique, "nan_to_num": _nan_to_num}
SPECIAL_FORMS |= {name: _like(name) for name in ("zeros_like", "ones_like", "empty_like", "full_like")}


class Special:
    """What stands in for cupyx.scipy.special."""

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES["special"]:
            raise AttributeError(f"cupyx.scipy.special of cupy {NAMES['cupy']} has no {name!r}")
        if name not in ("erf", "erfc"):
            raise NotImplementedError(f"the strict array has no {name} yet; add one to tests/strict.py")
        compute = getattr(math, name)
        return lambda x: StrictArray(np.array([compute(each) for each in x._held.reshape(-1).tolist()], x.dtype).reshape(x.shape))


class Cublas:
    """What stands in for cupy_backends.cuda.libs.cublas: it sees addresses, counts along columns, and looks at nothing else."""

    elements = types.MappingProxyType({0: np.float32, 1: np.float64, 2: np.float16})
    sums = types.MappingProxyType({68: (np.float32, (0, 2)), 77: (np.float32, (0,)), 70: (np.float64, (1,))})

    def __init__(self) -> None:
        self.products = collections.deque[tuple[int, int, int]](maxlen=1000)  # m, n and k of the latest, for tests that count

    def gemmEx(
        self, handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int, A: int, Atype: int, lda: int,
        B: int, Btype: int, ldb: int, beta: int, C: int, Ctype: int, ldc: int, computeType: int, algo: int,
    ) -> None:  # fmt: skip
        """C = alpha · A @ B + beta · C, (m, k) @ (k, n), A or B transposed where that is said; all by place."""
        number, allowed = self.sums[computeType]
        if handle != HANDLE or algo != -1 or not Atype == Btype == Ctype or Atype not in allowed or min(m, n, k) < 1:
            raise RuntimeError(f"CUBLAS_STATUS_INVALID_VALUE: {handle, m, n, k, Atype, Btype, Ctype, computeType, algo}")
        a, b, c = self.matrix(A, Atype, lda, m, k, transa), self.matrix(B, Btype, ldb, k, n, transb), self.matrix(C, Ctype, ldc, m, n, 0)
        one, zero = (_memory(where, 1, number)[0] for where in (alpha, beta))
        product = one * (a.astype(number) @ b.astype(number))
        c[...] = product if zero == 0 else product + zero * c
        self.products.append((m, n, k))

    def matrix(self, address: int, kind: int, ahead: int, rows: int, columns: int, transposed: int) -> np.ndarray[Any, Any]:
        """The matrix whose columns, or if transposed, rows, lie `ahead` elements apart from an address on."""
        high, wide = (columns, rows) if transposed else (rows, columns)
        if ahead < high or not address:
            raise RuntimeError(f"CUBLAS_STATUS_INVALID_VALUE: columns of {high} elements, {ahead} apart, at {address}")
        memory = _memory(address, ahead * (wide - 1) + high, self.elements[kind])
        columns_of = np.lib.stride_tricks.as_strided(memory, (high, wide), (memory.itemsize, ahead * memory.itemsize))
        return columns_of.T if transposed else columns_of


class Exactness:
    """What stands in for CuPy's settings of how exact products are: it notes what it is told, and multiplies as ever."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES["exactness"] or not name.isupper():
            raise AttributeError(f"cupy._core._routines_linalg of cupy {NAMES['cupy']} has no {name!r}, or no stand-in here")
        return name

    def set_compute_type(self, dtype: np.dtype[Any], compute_type: str) -> None:
        """For products of this dtype from now on."""
        self.told[np.dtype(dtype).name] = compute_type


HANDLE = 7  # of cuBLAS: any number


def _memory(address: int, count: int, kind: Any) -> np.ndarray[Any, Any]:
    size = count * np.dtype(kind).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(address), kind)


class Linear:
    """What stands in for cupy.linalg: like it, silent about matrices without an inverse unless asked to tell, which waits."""

    telling = False

    def __getattr__(self, name: str) -> Any:
        if name not in ("solve", "inv"):
            raise NotImplementedError(f"the strict array has no linalg.{name} yet; add one to tests/strict.py")

        @quiet
        def compute(*arrays: StrictArray) -> StrictArray:
            given = [held(each, name) for each in arrays]
            if self.telling:
                wait(name)
                return StrictArray(getattr(np.linalg, name)(*given))
            try:
                return StrictArray(getattr(np.linalg, name)(*given))
            except np.linalg.LinAlgError:
                return StrictArray(np.full_like(given[-1], math.nan))

        return compute

    @contextlib.contextmanager
    def tell(self) -> Iterator[None]:
        """What stands in for cupyx.errstate(linalg="raise")."""
        self.telling = True
        try:
            yield
        finally:
            self.telling = False


class Generator:
    """What stands in for cupy.random.Generator: a stream of the device."""

    def __init__(self, bit_generator: Any) -> None:
        self._stream = np.random.Generator(bit_generator)

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES["random_generator"]:
            raise AttributeError(f"the random generator of cupy {NAMES['cupy']} has no {name!r}")

        def draw(*args: Any, **kwargs: Any) -> StrictArray:
            check_call(name, NAMES["random_generator"][name], args, kwargs)
            return StrictArray(np.asarray(getattr(self._stream, name)(*args, **kwargs)))

        return draw


class Device:
    """What stands in for cupy.cuda.Device: there is one, number 0."""

    def __init__(self, index: int | None = None) -> None:
        if index not in (None, 0):
            raise RuntimeError(f"there is one strict device, number 0, got {index}")
        self.id = 0

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def synchronize(self) -> None:
        wait("synchronize")


class Stream:
    """What stands in for cupy.cuda.Stream, and knows what is certain to be done before what it is asked for next.

    `clock` says of every stream, by number, how much of what it was asked for is; streams.py looks at it.
    """

    numbers = itertools.count()

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None) -> None:
        if not null and not non_blocking:
            raise NotImplementedError("a stream that waits for the default one at every launch gains nothing; use non_blocking=True")
        self.number = next(Stream.numbers)
        self.clock = collections.Counter[int]()

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.clock = self.clock.copy()
        return event

    def wait_event(self, event: Event) -> None:
        self.clock |= event.clock

    def synchronize(self) -> None:
        wait("synchronize")

    def __enter__(self) -> Stream:
        _streams.current.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _streams.current.pop()


class Event:
    """What stands in for cupy.cuda.Event."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.clock = collections.Counter[int]()


class _Streams(threading.local):
    default = Stream(null=True)

    def __init__(self) -> None:
        self.current = [self.default]


_streams = _Streams()


def current_stream(device_id: int = -1) -> Stream:
    """What stands in for cupy.cuda.get_current_stream."""
    return _streams.current[-1]


class Runtime:
    """What stands in for cupy.cuda.runtime, with numbers that tests can tell apart."""

    getDeviceCount = staticmethod(lambda: 1)
    getDevice = staticmethod(lambda: 0)
    getDeviceProperties = staticmethod(lambda number: {"name": b"strict"})
    memGetInfo = staticmethod(lambda: (3, 4))


class Pool:
    """What stands in for CuPy's memory pool."""

    used_bytes = staticmethod(lambda: 1)
    total_bytes = staticmethod(lambda: 2)


_hooks: list[Any] = []


class MemoryHook:
    """What stands in for cupy.cuda.MemoryHook."""

    def __enter__(self) -> MemoryHook:
        _hooks.append(self)
        return self


def allocate(size: int) -> None:
    """Tell the hooks that so many bytes were allocated, or with a minus, given back."""
    for hook in _hooks:
        facts = {"device_id": 0, "mem_size": abs(size), "mem_ptr": 0, "pmem_id": 0}
        hook.malloc_postprocess(size=size, **facts) if size > 0 else hook.free_postprocess(**facts)


# ----------------------------------------------------------------------------------------------------------- the array


def _index(array: StrictArray, index: Any) -> Any:
    """An index for NumPy from one for CuPy: arrays of the device only, integers in them taken modulo the axis' size."""
    parts = index if isinstance(index, tuple) else (index,)
    covered = [each._held.ndim if each.__class__ is StrictArray and each._held.dtype == bool else 1 for each in parts]
    used = sum(size for each, size in zip(parts, covered) if each is not None and each is not ...)
    axis, result = 0, []
    for each, size in zip(parts, covered):
        if each is ...:
            size = array._held.ndim - used
        elif each is None:
            size = 0
        elif each.__class__ is StrictArray:
            each = _index_array(array, each, axis)
        elif not isinstance(each, (slice, int, np.integer)):
            raise TypeError(f"an index is made of integers, slices and arrays of the device, got {type(each).__name__}")
        axis += size
        result.append(each)
    return tuple(result) if isinstance(index, tuple) else result[0]


def _index_array(array: StrictArray, part: StrictArray, axis: int) -> Any:
    ids = part._held
    if ids.dtype == bool:
        wait("boolean mask")
        return ids
    if ids.dtype.kind not in "iu":
        raise IndexError("arrays used as indices must be of integer or boolean type")
    size = array._held.shape[axis] if axis < array._held.ndim else 1
    if size == 0 and ids.size:
        raise IndexError("cannot do a non-empty take from an empty axes.")
    return ids.astype(np.int64) % max(size, 1)


class StrictArray:
    """An array on the device "strict"."""

    __slots__ = ("__weakref__", "_held", "base")
    __hash__ = None  # type: ignore[assignment]
    __array_priority__ = 100

    def __init__(self, array: np.ndarray[Any, Any], base: StrictArray | None = None) -> None:
        self._held, self.base = array, base

    # what it is: known to the host, no waiting
    shape = property(lambda self: self._held.shape)
    dtype = property(lambda self: self._held.dtype)
    ndim = property(lambda self: self._held.ndim)
    size = property(lambda self: self._held.size)
    itemsize = property(lambda self: self._held.itemsize)
    nbytes = property(lambda self: self._held.nbytes)
    strides = property(lambda self: self._held.strides)
    device = property(lambda self: Device(0))
    T = property(lambda self: made(self._held.T, self))
    mT = property(lambda self: made(self._held.mT, self))

    @property
    def flags(self) -> Any:
        flags = {"c_contiguous": self._held.flags.c_contiguous, "f_contiguous": self._held.flags.f_contiguous, "owndata": self.base is None}
        return types.SimpleNamespace(**flags)

    @property
    def data(self) -> Any:
        return types.SimpleNamespace(ptr=self._held.ctypes.data)

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[StrictArray]:
        if self.ndim == 0:
            raise TypeError("iteration over an array without axes")
        return (self[place] for place in range(len(self)))

    # what waits for the device
    def item(self) -> Any:
        wait("item")
        return self._held.item()

    def tolist(self) -> Any:
        wait("tolist")
        return self._held.tolist()

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray[Any, Any]:
        wait("get")
        copied("get")
        return self._held.copy(order="C")

    def __float__(self) -> float:
        wait("float")
        return float(self._held)

    def __int__(self) -> int:
        wait("int")
        return int(self._held)

    def __bool__(self) -> bool:
        wait("bool")
        return bool(self._held)

    def __repr__(self) -> str:
        wait("repr")
        return repr(self._held)

    def __format__(self, spec: str) -> str:
        wait("format")
        return format(self._held, spec)

    def __reduce__(self) -> Any:
        return _unpickled, (self.get(),)

    # what is refused
    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("implicit conversion to a host array; use backend.to_host")

    def __array_function__(self, function: Any, *rest: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} on an array of the device; use its backend's")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = method == "__call__" and not kwargs and all(each.__class__ is StrictArray or isinstance(each, NUMBERS) for each in inputs)
        if not plain or not any(isinstance(each, np.generic) for each in inputs):
            raise TypeError(f"numpy.{ufunc.__name__} on an array of the device; use its backend's, or move the host array there")
        return getattr(LIBRARY, ufunc.__name__)(*inputs)  # a NumPy scalar stood on the left

    # indices
    def __getitem__(self, index: Any) -> StrictArray:
        place = _index(self, index)
        value = self._held[place]
        if not isinstance(value, np.ndarray):  # an array without axes that shows the same memory, where NumPy makes a scalar
            value = self._held[(*place, ...) if isinstance(place, tuple) else (place, ...)]
        return made(value, self)

    def __setitem__(self, index: Any, value: Any) -> None:
        place, given = _index(self, index), held(value, "assignment")
        arrays = [each for each in (place if isinstance(place, tuple) else (place,)) if isinstance(each, np.ndarray)]
        if value.__class__ is not StrictArray:
            if not isinstance(value, NUMBERS):
                raise TypeError(f"only arrays of the device and numbers can be assigned, got {type(value).__name__}")
            if arrays:
                copied("number assigned at an index")
        if not any(each.dtype != bool for each in arrays):
            self._held[place] = given
            return
        positions = np.arange(self._held.size).reshape(self._held.shape)[place]
        spread = np.broadcast_to(_without_leading_ones(given, positions.ndim), positions.shape).astype(self.dtype)
        self._held.flat[positions.reshape(-1)[::-1]] = spread.reshape(-1)[::-1]  # not the last wins, as it does in NumPy

    # other forms
    def __copy__(self) -> StrictArray:
        return StrictArray(self._held.copy())

    def __deepcopy__(self, memo: Any) -> StrictArray:
        return StrictArray(self._held.copy())

    def fill(self, value: Any) -> None:
        self._held.fill(held(value, "fill"))


def _without_leading_ones(value: Any, ndim: int) -> Any:
    shape = np.shape(value)
    return value.reshape(shape[len(shape) - ndim :]) if len(shape) > ndim and set(shape[: len(shape) - ndim]) == {1} else value


def _unpickled(array: np.ndarray[Any, Any]) -> StrictArray:
    return StrictArray(array)


def _method(name: str) -> Any:
    words = NAMES["ndarray_methods"][name]

    @quiet
    def method(self: StrictArray, *args: Any, **kwargs: Any) -> Any:
        check_call(f"ndarray.{name}", words, args, kwargs)
        if name == "nonzero":
            wait(name)
        passed = {key: held(each, name) for key, each in kwargs.items()}
        return made(getattr(self._held, name)(*[held(each, name) for each in args], **passed), self, *args, *kwargs.values())

    method.__name__ = name
    return method


_METHODS = (
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "copy", "cumprod", "cumsum", "diagonal", "dot", "flatten", "max",
    "mean", "min", "nonzero", "prod", "ravel", "repeat", "reshape", "round", "searchsorted", "squeeze", "std", "sum", "swapaxes",
    "take", "trace", "transpose", "var", "view",
)  # fmt: skip
_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
    "matmul": "matmul", "lt": "less", "le": "less_equal", "eq": "equal", "ne": "not_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip
_SIGNS = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}


def _operator(name: str, reflected: bool = False) -> Any:
    numpy_operator = getattr(operator, {"and": "and_", "or": "or_"}.get(name, name))

    @quiet
    def binary(self: StrictArray, other: Any) -> Any:
        if other.__class__ is not StrictArray and not isinstance(other, NUMBERS):
            if isinstance(other, (np.ndarray, list, tuple, str, types.NoneType)):
                raise TypeError(f"{name}: unsupported type {type(other).__name__} beside an array of the device")
            return NotImplemented
        if name != "matmul":
            require_loop(_OPERATORS[name], (self, other))
        elif other.__class__ is not StrictArray:
            return NotImplemented
        mine, others = self._held, other._held if other.__class__ is StrictArray else other
        return made(numpy_operator(others, mine) if reflected else numpy_operator(mine, others))

    return binary


def _in_place(name: str) -> Any:
    numpy_operator = getattr(operator, f"i{name}")

    @quiet
    def changed(self: StrictArray, other: Any) -> StrictArray:
        if other.__class__ is not StrictArray and not isinstance(other, NUMBERS):
            raise TypeError(f"{name}: unsupported type {type(other).__name__} beside an array of the device")
        require_loop(_OPERATORS[name], (self, other))
        given = self._held if self.ndim else self._held[...]
        numpy_operator(given, held(other, name))
        return self

    return changed


def _sign(name: str) -> Any:
    @quiet
    def unary(self: StrictArray) -> StrictArray:
        require_loop(_SIGNS[name], (self,))
        return made(getattr(np, _SIGNS[name])(self._held))

    return unary


for _name in _METHODS:
    setattr(StrictArray, _name, _method(_name))
for _name in _OPERATORS:
    setattr(StrictArray, f"__{_name}__", _operator(_name))
    if f"__r{_name}__" in NAMES["ndarray_operators"]:
        setattr(StrictArray, f"__r{_name}__", _operator(_name, True))
    if f"__i{_name}__" in NAMES["ndarray_operators"]:
        setattr(StrictArray, f"__i{_name}__", _in_place(_name))
for _name in _SIGNS:
    setattr(StrictArray, f"__{_name}__", _sign(_name))


# --------------------------------------------------------------------------------------------------------- the backend


LIBRARY: Any = Library()
LIBRARY.ndarray = StrictArray


class StrictBackend(backend.CudaBackend):
    """The backend for CUDA, on the strict array instead of CuPy."""

    device_type = "strict"
    special = Special()
    cublas = Cublas()
    told = LIBRARY.linalg.tell
    exactness = Exactness()


def register() -> None:
    """Make "strict" a device; once is enough, more does no harm."""
    if StrictArray not in backend.ARRAYS:
        backend.register(StrictBackend(LIBRARY), StrictArray)
