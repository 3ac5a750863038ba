"""What there is of GPUs, and how full their memory is: PyTorch's names. Nothing here loads CuPy before it is asked.

Source: https://docs.pytorch.org/docs/stable/cuda.html
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from . import backend, types
from .missing import explain
from .random import default_generator

__all__ = [
    "current_device", "device", "device_count", "empty_cache", "get_device_name", "is_available", "manual_seed", "manual_seed_all",
    "max_memory_allocated", "mem_get_info", "memory_allocated", "memory_reserved", "reset_peak_memory_stats", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether tensors can be put on a GPU.

    >>> is_available() == (device_count() > 0)
    True
    """
    try:
        backend.on(types.device("cuda"))
    except RuntimeError:
        return False
    return True


def device_count() -> int:
    """How many GPUs there are; 0 without CuPy or a driver."""
    return int(_cupy().cuda.runtime.getDeviceCount()) if is_available() else 0


def current_device() -> int:
    """The number of the GPU that "cuda" stands for in this thread."""
    return int(_cupy().cuda.runtime.getDevice())


def get_device_name(device: Any = None) -> str:
    """What a GPU is called, as in "NVIDIA H100 80GB HBM3"."""
    name = _cupy().cuda.runtime.getDeviceProperties(_number(device))["name"]
    return name.decode() if isinstance(name, bytes) else str(name)


def synchronize(device: Any = None) -> None:
    """Wait until a GPU has done everything asked of it; raises what was found out of range meanwhile."""
    cupy, number = _cupy(), _number(device)
    cupy.cuda.Device(number).synchronize()
    backend.on(types.device("cuda")).report()


def manual_seed(seed: int) -> None:
    """Start what the current GPU draws itself, the zeros of dropout, from `seed`; nothing to do where there is no GPU.

    `minigrad.manual_seed` alone makes a run repeat itself, on any device: everything else is drawn on the host.
    """
    if is_available():
        default_generator.seed_on(types.device("cuda", current_device()), seed)


def manual_seed_all(seed: int) -> None:
    """`manual_seed`, for all GPUs."""
    for number in range(device_count()):
        default_generator.seed_on(types.device("cuda", number), seed)


class device:
    """What "cuda" stands for inside a `with` block: GPU number `device`; None changes nothing.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.cuda.device.html
    """

    def __init__(self, device: Any) -> None:
        self._there = None if device is None else _cupy().cuda.Device(_number(device))

    def __enter__(self) -> None:
        if self._there is not None:
            self._there.__enter__()

    def __exit__(self, *exception: object) -> None:
        if self._there is not None:
            self._there.__exit__(*exception)


# ---------------------------------------------------------------------------------------------------------- memory


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """(free, all) bytes of a GPU's memory, whoever holds the rest."""
    cupy = _cupy()
    with cupy.cuda.Device(_number(device)):
        free, total = cupy.cuda.runtime.memGetInfo()
    return int(free), int(total)


def memory_allocated(device: Any = None) -> int:
    """Bytes of a GPU's memory that arrays of this process use; 0 where there is no GPU."""
    return _pool_says("used_bytes", device)


def memory_reserved(device: Any = None) -> int:
    """Bytes of a GPU's memory that this process holds: those in use, and those kept for the next arrays; 0 where there is no GPU."""
    return _pool_says("total_bytes", device)


def empty_cache() -> None:
    """Give memory that was kept for the next arrays back to the GPU; nothing to do where no GPU was used."""
    if backend.is_loaded("cuda"):
        _cupy().get_default_memory_pool().free_all_blocks()


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes of a GPU's memory that arrays of this thread used at once; 0 where there is no GPU.

    CuPy does not keep count, so it is kept from the first call of this or of `reset_peak_memory_stats` on.
    """
    return _peak_of(_number(device)).most if _chosen(device) and is_available() else 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Count `max_memory_allocated` from here on; nothing to do where there is no GPU."""
    if not (_chosen(device) and is_available()):
        return
    peak = _peak_of(_number(device))
    peak.now = peak.most = memory_allocated(device)


class _Peak:
    """Bytes in use on one GPU, `now` and at `most`, as CuPy's memory hooks tell of them."""

    def __init__(self, number: int) -> None:
        self.now = self.most = memory_allocated(number)
        peak = self

        class Hook(_cupy().cuda.MemoryHook):  # type: ignore[misc]
            name = f"minigrad's peak of GPU {number}"

            def malloc_postprocess(self, **facts: Any) -> None:
                if facts["device_id"] == number:
                    peak.now += facts["mem_size"]
                    peak.most = max(peak.most, peak.now)

            def free_postprocess(self, **facts: Any) -> None:
                if facts["device_id"] == number:
                    peak.now -= facts["mem_size"]

        Hook().__enter__()  # CuPy keeps it; hooks belong to the thread that enters them


class _Peaks(threading.local):
    def __init__(self) -> None:
        self.of: dict[int, _Peak] = {}


_peaks = _Peaks()


def _peak_of(number: int) -> _Peak:
    if number not in _peaks.of:
        _peaks.of[number] = _Peak(number)
    return _peaks.of[number]


def _pool_says(method: str, device: Any) -> int:
    if not (_chosen(device) and is_available()):
        return 0
    cupy = _cupy()
    with cupy.cuda.Device(_number(device)):
        return int(getattr(cupy.get_default_memory_pool(), method)())


def _cupy() -> Any:
    """CuPy; RuntimeError that says what is missing."""
    return backend.on(types.device("cuda")).library


def _number(device: Any) -> int:
    """The number of a GPU given as "cuda", "cuda:1", 1 or None, which means the current one."""
    index = _chosen(device).index
    return current_device() if index is None else index


def _chosen(device: Any) -> types.device:
    """The GPU that is meant; ValueError for a device that is none."""
    chosen = types.device("cuda") if device is None else types.device(device)
    if chosen.type != "cuda":
        raise ValueError(f"expected a GPU, as in 'cuda:0', got {str(chosen)!r}")
    return chosen


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise AttributeError(explain("cuda", name, __all__))
