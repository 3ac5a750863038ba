"""From a CUDA source to a running kernel: the one place that knows CuPy's RawKernel.

A source is a file beside this one. It is written for sizes that are constants, so that the compiler can lay out registers;
they are put in front of it, `constexpr int H = 128;`, and it is compiled when it is first used with these sizes. What runs a
kernel is a launcher, one for each type of device. Tests register one for the CPU, which compiles the same source for a processor.

RawKernel looks at nothing: it ignores strides and element types, hands Python's floats over as doubles, and makes a cooperative grid
that is too large smaller. What it ignores is an error here.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from .beside import alone, launch_beside

__all__ = ["LAUNCHERS", "CupyLauncher", "Kernel", "Launcher", "fits", "has_registers", "launch", "launcher_of", "read", "rooms"]

HERE = Path(__file__).parent
TYPES = "".join(np.dtype(each).char for each in (np.float32, np.int32, np.uint32))  # of what a kernel is given
CACHE_LINE = 32  # numbers between two counters: see spread.cuh
REGISTERS = 2**16  # of a multiprocessor, in all GPUs of the last ten years


class Kernel(NamedTuple):
    """A function in a CUDA source, the sizes it is compiled for, and what a block of it needs."""

    file: str
    function: str
    sizes: tuple[tuple[str, int], ...]
    threads: int
    shared_bytes: int = 0
    registers: int = 0  # that a thread needs, where this may be more than there are
    blocks: int = 0  # of a crew, which wait for each other and so have to be there at once; 0 where blocks wait for nobody
    crews: int = 0  # at most

    def source(self) -> str:
        """The whole text for a compiler, without signs that only comments have: CuPy may write it in any encoding."""
        sizes = "".join(f"constexpr int {name} = {value};\n" for name, value in self.sizes)
        return (sizes + read(self.file)).encode("ascii", "replace").decode()


@functools.cache
def read(file: str) -> str:
    """A source with the files it includes in their places: CuPy would not notice when one of these changes."""
    text = (HERE / file).read_text(encoding="utf-8")
    return re.sub(r'^#include "([^"]+)"$', lambda found: read(found[1]), text, flags=re.MULTILINE)


class Rooms(NamedTuple):
    """How a matrix is divided, see product.cuh: float4 of each row in a thread's registers, and bytes in shared memory."""

    held: int
    shared_bytes: int


def rooms(rows: int, team: int, columns: int, threads: int, working: int) -> Rooms:
    """As much of a matrix in registers as fits beside the `working` ones, the rest and two vectors in shared memory.

    >>> rooms(rows=4, team=4, columns=128, threads=512, working=48)  # 5 of 8: 80 of 128 registers hold weights
    Rooms(held=5, shared_bytes=99328)
    """
    registers = min(255, REGISTERS // (-(-threads // 128) * 128) // 8 * 8)  # see `has_registers`
    chunks = -(-columns // (4 * team))
    held = max(1, min(chunks, (registers - working) // (4 * rows)))
    return Rooms(held, (chunks - held) * rows * threads * 16 + 2 * chunks * team * 16)


class Launcher(Protocol):
    """What starts kernels on one type of device."""

    def limits(self, xp: Any) -> tuple[int, int]:
        """Shared memory that a block may have, in bytes, and how many multiprocessors there are."""

    def launch(self, xp: Any, kernel: Kernel, blocks: int, arguments: tuple[Any, ...]) -> None:
        """Start a kernel; the results are there when the device gets to them."""


class CupyLauncher:
    """Compiles with NVRTC at first use; CuPy keeps the result on disk."""

    def __init__(self) -> None:
        self.compiled: dict[tuple[Kernel, int], Any] = {}
        self.asked: dict[int, tuple[int, int]] = {}

    def limits(self, xp: Any) -> tuple[int, int]:
        """What the current device says about itself."""
        here = xp.library.cuda.Device()
        if here.id not in self.asked:
            attributes = here.attributes
            self.asked[here.id] = attributes["MaxSharedMemoryPerBlockOptin"], attributes["MultiProcessorCount"]
        return self.asked[here.id]

    def launch(self, xp: Any, kernel: Kernel, blocks: int, arguments: tuple[Any, ...]) -> None:
        """Start a kernel on the current stream."""
        number = xp.library.cuda.Device().id
        if (kernel, number) not in self.compiled:
            self.compiled[kernel, number] = self._compile(xp, kernel)
        if kernel.blocks and blocks > self.limits(xp)[1]:
            raise ValueError(f"{kernel.function} needs {blocks} blocks at once, but there are {self.limits(xp)[1]} multiprocessors")
        self.compiled[kernel, number]((blocks,), (kernel.threads,), arguments, shared_mem=kernel.shared_bytes)

    def _compile(self, xp: Any, kernel: Kernel) -> Any:
        compiled = xp.library.RawKernel(
            kernel.source(), kernel.function, options=("--std=c++17",), enable_cooperative_groups=kernel.blocks > 0
        )
        if kernel.shared_bytes > 48 * 1024:  # more than that has to be asked for
            compiled.max_dynamic_shared_size_bytes = kernel.shared_bytes
        return compiled


LAUNCHERS: dict[str, Launcher] = {"cuda": CupyLauncher()}


def launcher_of(xp: Any) -> Launcher:
    """What starts kernels where the arrays of `xp` lie."""
    if xp.device_type not in LAUNCHERS:
        raise ValueError(f"CUDA kernels run on {', '.join(map(repr, LAUNCHERS))}, not on {xp.device_type!r}")
    return LAUNCHERS[xp.device_type]


def launch(xp: Any, kernel: Kernel, rows: int, *arguments: Any, aside: bool = False) -> bool:
    """Start a kernel with arrays, numbers, structures and None for arrays that are not there; with no rows, do nothing.

    Each row is computed by a block, or by a crew of blocks, of which there are no more than fit; then the last argument is a counter
    for each crew. With `aside` it is started beside the current stream if it can be, and what it computes is there after a
    `join`: returns whether it was.
    """
    for place, each in enumerate(arguments):
        _check(kernel.function, place, each)
    if not rows:
        return False
    launcher, crews = launcher_of(xp), min(rows, kernel.crews)
    if kernel.blocks:
        arguments = (*arguments, xp.zeros(crews * CACHE_LINE, np.uint32))
    start = functools.partial(launcher.launch, xp, kernel, crews * kernel.blocks or rows, arguments)
    if 2 * crews * kernel.blocks > launcher.limits(xp)[1]:
        alone(xp, start)
        return False
    if aside:
        launch_beside(xp, start, arguments)
    else:
        start()
    return aside


def fits(xp: Any, kernel: Kernel) -> bool:
    """Whether the current device has what a block needs."""
    shared_bytes, multiprocessors = launcher_of(xp).limits(xp)
    return kernel.shared_bytes <= shared_bytes and kernel.blocks <= multiprocessors and has_registers(kernel)


def has_registers(kernel: Kernel) -> bool:
    """Whether a multiprocessor has as many as the threads of a block need: it has four parts, warps take turns, a thread has 255."""
    return kernel.registers < 256 and kernel.registers * -(-kernel.threads // 128) * 128 <= REGISTERS


def _check(function: str, place: int, given: Any) -> None:
    if given is None or given.__class__ is np.int32:
        return
    if not hasattr(given, "flags") or isinstance(given, np.generic):
        raise TypeError(f"{function}: argument {place} must be an array or numpy.int32, got {type(given).__name__}")
    if (given.dtype.char not in TYPES and given.dtype.names is None) or not given.flags.c_contiguous:
        layout = "contiguous" if given.flags.c_contiguous else "strided"
        raise TypeError(f"{function}: argument {place} must be contiguous, of float32, int32 or uint32, got {layout} {given.dtype}")
