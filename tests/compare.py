"""What tests compare arrays by, wherever these lie."""

import os
from typing import Any

import numpy as np

import minigrad
from minigrad import backend


def host(given: Any) -> Any:
    """A tensor, PyTorch's too, or an array of any device, as NumPy's; lists and tuples of them as lists."""
    if isinstance(given, (list, tuple)):
        return [host(each) for each in given]
    if hasattr(given, "detach") and not isinstance(given, minigrad.Tensor):
        return given.detach().cpu().numpy()
    array = given.array if isinstance(given, minigrad.Tensor) else given
    return backend.of(array).to_host(array)


def on_device(array: Any) -> Any:
    """An array of NumPy's on the default device."""
    where = backend.current_device()
    return backend.on(where).from_host(array, where.index)


def several(cases: int) -> int:
    """How many of so many random cases to try: all on the CPU, a tenth on other devices, where the same cases take longer."""
    return cases if (os.environ.get("MINIGRAD_DEVICE") or "cpu") == "cpu" else max(cases // 10, 1)


def settle() -> None:
    """Wait for the default device, which raises what it found out of range meanwhile; on the CPU that came at once."""
    backend.on(backend.current_device()).synchronize()


def share_memory(one: Any, other: Any) -> bool:
    """Whether two arrays show the same memory; on a device, whether they are views of one array."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and np.shares_memory(one, other)
    owners = [each if each.base is None else each.base for each in (one, other)]
    return owners[0] is owners[1]


def writeable(array: Any) -> bool:
    """Whether an array can be changed; on a device, all can."""
    return getattr(array.flags, "writeable", True)
