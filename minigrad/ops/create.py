"""Tensors made from nothing but numbers: nothing here has a gradient of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend, types
from ..tape import Leaf, Variable, record, wrap
from .elementwise import _of, _quiet, fitting, plain
from .shape import ints

if TYPE_CHECKING:
    from ..tensor import Tensor


def finish(host: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    """A leaf tensor with the elements of a NumPy array, on the device asked for."""
    where = backend.current_device() if device is None else types.device(device)
    array = np.asarray(host) if dtype is None else _converted(np.asarray(host), types.numpy_dtype(dtype))
    made = wrap(backend.on(where).from_host(array, where.index))
    return made.requires_grad_() if requires_grad else made


def _converted(array: Any, dtype: np.dtype[Any]) -> Any:
    """An array in another dtype; what does not fit becomes infinite, or wraps round, as in PyTorch."""
    with _quiet():
        return array.astype(dtype, copy=False)


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of `data`: numbers, nested lists of numbers or tensors, a NumPy array, a tensor.

    Floating-point numbers take the default dtype (float32), integers int64, arrays keep theirs.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.tensor.html

    >>> import minigrad
    >>> minigrad.tensor([[1.0, 2.5], [3, 4]])
    tensor([[1.0000, 2.5000],
            [3.0000, 4.0000]])
    """
    if isinstance(data, Variable):
        if device is None:
            device = data.device  # type: ignore[attr-defined]
        data = _of(data.array).to_host(data.array)
    elif data.__class__ in backend.ARRAYS and not isinstance(data, np.ndarray):
        source = backend.of(data)
        device, data = source.device_of(data) if device is None else device, source.to_host(data)
    elif isinstance(data, (list, tuple, range)):
        data = _host_lists(data)
    array = np.array(data)
    if not hasattr(data, "dtype"):
        if array.dtype.kind == "O" and all(isinstance(each, (int, float)) for each in array.flat):
            array = array.astype(np.float64)  # integers of more than 64 bits
        if dtype is not None:
            _require_fitting(array, types.numpy_dtype(dtype))
        elif array.dtype.kind in "fbiu":
            dtype = _dtype_of_lists(data)
            if dtype.kind == "i" and array.dtype.kind in "fu":
                raise ValueError("integers must fit the 64 bits of minigrad.int64, some do not; dtype=minigrad.float64 takes larger ones")
    if dtype is None:
        if array.dtype.kind not in "fbiu":
            kind = RuntimeError if array.dtype.kind == "O" else TypeError
            raise kind(f"a tensor holds numbers, got {type(data).__name__} of {array.dtype}; are all rows equally long?")
        types.of_numpy(array.dtype)
    return finish(array, dtype, device, requires_grad)


def _require_fitting(array: Any, dtype: np.dtype[Any]) -> None:
    """RuntimeError where Python numbers do not fit the integers they shall be stored in; those of an array wrap round."""
    if dtype.kind in "iu" and array.size and array.dtype.kind in "iuf":
        for extreme in (array.min(), array.max()):
            fitting(extreme.item(), dtype)


def _host_lists(data: Any) -> Any:
    """Nested lists with the tensors among them as arrays of numbers; ValueError where rows differ in length."""
    try:
        converted = [_host_lists(each) if isinstance(each, (list, tuple, range)) else _host_number(each) for each in data]
        numbers = [each for each in converted if not isinstance(each, list)]
        if numbers and all(isinstance(each, np.ndarray) for each in numbers) and len(numbers) == len(converted):
            return np.stack(numbers).astype(_dtype_of_lists(numbers))
        np.shape(converted)
        return converted
    except ValueError as problem:
        raise ValueError(f"nested lists must be rectangular, all rows equally long ({problem})") from None


def _dtype_of_lists(data: Any) -> np.dtype[Any]:
    """The dtype for nested lists: the widest among their numbers and the arrays (once tensors) in them."""
    if isinstance(data, (list, tuple, range)):
        kinds = {_dtype_of_lists(each) for each in data if not (isinstance(each, (list, tuple)) and not each)}
        floating = {kind for kind in kinds if kind.kind == "f"}
        return np.result_type(*(floating or kinds)) if kinds else types.default_dtype().numpy
    if hasattr(data, "dtype"):
        return data.dtype
    return types.default_dtype().numpy if isinstance(data, float) else np.dtype(bool if isinstance(data, bool) else np.int64)


def _host_number(each: Any) -> Any:
    return _of(each.array).to_host(each.array) if isinstance(each, Variable) else each


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory where nothing has to change."""
    if isinstance(data, Variable):
        return data.to(device=device, dtype=dtype)  # type: ignore[attr-defined]
    stays = (backend.current_device() if device is None else types.device(device)).type == "cpu"
    if isinstance(data, np.ndarray) and (dtype is None or types.numpy_dtype(dtype) == data.dtype) and stays:
        return from_numpy(data)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(array: Any) -> Tensor:
    """A tensor that shares the memory of a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy needs a NumPy array, got {type(array).__name__}; use tensor(...)")
    types.of_numpy(array.dtype)
    return wrap(array)


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A vector that shares the memory of bytes, a bytearray, a memoryview, an array.array"""
    made = wrap(np.frombuffer(buffer, types.numpy_dtype(dtype), count, offset))
    return made.requires_grad_() if requires_grad else made


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor that shares the memory of another library's array: NumPy's, PyTorch's, CuPy's, JAX's, …

    Source: https://docs.pytorch.org/docs/stable/dlpack.html
    """
    if not hasattr(ext_tensor, "__dlpack_device__"):
        raise TypeError(f"from_dlpack needs an array with __dlpack__, got {type(ext_tensor).__name__}; use tensor(...)")
    kind = _DLPACK_DEVICES.get(int(ext_tensor.__dlpack_device__()[0]))
    if kind is None:
        raise RuntimeError(f"from_dlpack takes arrays in the memory of a CPU or an NVIDIA GPU, not {ext_tensor.__dlpack_device__()}")
    array = backend.on(types.device(kind)).from_dlpack(ext_tensor)
    types.of_numpy(array.dtype)
    return wrap(array)


_DLPACK_DEVICES = {1: "cpu", 2: "cuda"}  # DLPack's numbers


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A number as a tensor without axes, in the default dtype"""
    return tensor(s, dtype=dtype or types.default_dtype(), device=device, requires_grad=requires_grad)


def _filled(value: Any, size: tuple[Any, ...], dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    where = backend.current_device() if device is None else types.device(device)
    shape = ints(size)
    if any(each < 0 for each in shape):
        raise RuntimeError(f"sizes must not be negative, got {shape}")
    kind = types.default_dtype().numpy if dtype is None else types.numpy_dtype(dtype)
    xp, value = backend.on(where), fitting(plain(value), kind)
    with xp.at(where.index):
        made = wrap(xp.full(shape, value, kind))
    return made.requires_grad_() if requires_grad else made


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: zeros(2, 3) or zeros((2, 3))."""
    return _filled(0, size, dtype, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return _filled(1, size, dtype, device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor for values to be filled in; it happens to start as zeros."""
    return _filled(0, size, dtype, device, requires_grad)


def full(size: Sequence[int], fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one value repeated; its dtype follows the value."""
    if isinstance(fill_value, Variable):
        if fill_value.array.ndim:
            raise TypeError(f"full takes a number or a tensor without axes, got shape {tuple(fill_value.array.shape)}")
        fill_value = fill_value.item()  # type: ignore[attr-defined]
    if dtype is None:
        dtype = {bool: np.bool_, int: np.int64}.get(type(fill_value))
    return _filled(fill_value, (tuple(size),), dtype, device, requires_grad)


def _like(x: Any, value: Any, dtype: Any, device: Any, requires_grad: bool, shape: Any = None) -> Tensor:
    if device is not None and types.device(device) != x.device:
        return _filled(value, (tuple(x.array.shape if shape is None else shape),), dtype or x.dtype, device, requires_grad)
    kind = x.array.dtype if dtype is None else types.numpy_dtype(dtype)
    made = wrap(_of(x.array).full_like(x.array, value, dtype=kind, shape=x.array.shape if shape is None else shape))
    return made.requires_grad_() if requires_grad else made


def zeros_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, shape: Any = None) -> Tensor:
    """Zeros in the shape, dtype and place of another tensor."""
    return _like(input, 0, dtype, device, requires_grad, shape)


def ones_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, shape: Any = None) -> Tensor:
    """Ones in the shape, dtype and place of another tensor."""
    return _like(input, 1, dtype, device, requires_grad, shape)


def empty_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor to be filled in, in the shape, dtype and place of another."""
    return _like(input, 0, dtype, device, requires_grad)


def full_like(input: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """One value repeated, in the shape, dtype and place of another tensor."""
    return _like(input, fill_value, dtype, device, requires_grad)


def arange(
    start: Any = None, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """start, start + step, … below end: arange(3) is 0, 1, 2"""
    start, end, step = (each.item() if isinstance(each, Variable) else each for each in (start, end, step))  # type: ignore[attr-defined]
    if end is None:
        start, end = 0, start
    if end is None:
        raise TypeError("arange needs the number to end before: arange(3) is 0, 1, 2")
    start = start or 0
    if not math.isfinite(end - start) or math.isnan(step):
        raise RuntimeError(f"arange needs finite ends, got {start} and {end}")
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"arange from {start} to {end} needs a step in that direction, got {step}")
    if dtype is None:
        dtype = np.int64 if all(isinstance(each, (int, np.integer)) for each in (start, end, step)) else types.default_dtype()
    _refuse_bools("arange", dtype)
    count = math.ceil((end - start) / step)
    where = backend.current_device() if device is None else types.device(device)
    xp = backend.on(where)
    with xp.at(where.index):
        made = wrap((xp.arange(count) * step + start).astype(types.numpy_dtype(dtype)))
    return made.requires_grad_() if requires_grad else made


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`steps` numbers, evenly spaced, from start to end, both included"""
    if steps < 0:
        raise RuntimeError(f"linspace needs at least 0 steps, got {steps}")
    _refuse_bools("linspace", dtype)
    return finish(np.linspace(start, end, steps), dtype or types.default_dtype(), device, requires_grad)


def _refuse_bools(name: str, dtype: Any) -> None:
    if dtype is not None and types.numpy_dtype(dtype).kind == "b":
        raise NotImplementedError(f"{name} makes numbers, not bools")


def logspace(
    start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` powers of `base`, whose exponents are evenly spaced from start to end, both included"""
    return finish(np.logspace(start, end, steps, base=base), dtype or types.default_dtype(), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A matrix with ones on its diagonal"""
    if min(n, n if m is None else m) < 0:
        raise RuntimeError(f"eye needs sizes of at least 0, got {n} and {m}")
    return finish(np.eye(n, m), dtype or types.default_dtype(), device, requires_grad)


def clone(x: Any) -> Tensor:
    """y = x in memory of its own        dx = dy"""
    return record("clone", x.array.copy(), (x,), (lambda xp, dy: dy,))


def cast(x: Any, dtype: Any) -> Tensor:
    """y = x in another dtype        dx = dy, which the tape returns to x's dtype; integers and bools have no gradient"""
    with _quiet():  # what does not fit becomes infinite or wraps round, without a word, as in PyTorch
        value = x.array.astype(types.numpy_dtype(dtype))
    return record("to_copy", value, (x,), (lambda xp, dy: dy,)) if value.dtype.kind == "f" else wrap(value)


def to_device(x: Any, device: Any) -> Tensor:
    """y = x on another device        dx = dy, moved back"""
    here, there = x.device, types.device(device)
    host = _of(x.array).to_host(x.array)
    value = backend.on(there).from_host(host, there.index)
    rule = lambda xp, dy: dy.to(here) if isinstance(dy, Variable) else backend.on(here).from_host(_of(dy).to_host(dy), here.index)  # type: ignore[attr-defined]
    return record("to_device", value, (x,), (rule,))


def requires_grad(x: Any, wanted: bool) -> None:
    """Make a leaf want a gradient, or stop wanting one."""
    if x.node is not None and not isinstance(x.node, Leaf):
        if not wanted:
            raise RuntimeError("only leaves can stop wanting a gradient; use x.detach() to cut a computed tensor from the tape")
        return
    if wanted and x.array.dtype.kind != "f":
        raise RuntimeError(f"only tensors of floating point can require gradients, got {x.dtype}")
    if wanted and x.node is None:
        x.node = Leaf(x)
    elif not wanted:
        x.node = None
