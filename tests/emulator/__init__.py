"""CUDA sources on a processor: compiled by g++ against emulator.h, each thread a fibre, in a random order.

`Emulator` is a launcher, see minigrad_nn/kernels/cuda/launch.py: the code that drives a GPU drives it unchanged. It is
stricter: types of arguments are compared with the kernel's own, and reading or writing past the end of an array, or writing past
that of the shared memory that was asked for, is an error.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import mmap
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minigrad_nn.kernels.cuda.launch import Kernel

HERE = Path(__file__).parent
FLAGS = ("-std=c++20", "-O1", "-fPIC", "-ffp-contract=off", "-Wall", "-Wno-unknown-pragmas", "-Werror=return-type")
GUARD = 256 * 1024  # bytes on both sides of every array that nobody may touch
LIBRARY = ctypes.CDLL(None, use_errno=True)
CANARY = np.uint32(0x7FC0BEEF)  # as a float, NaN: who reads it spoils the result


def is_there() -> bool:
    """Whether there is a compiler to emulate with."""
    return shutil.which("g++") is not None


@functools.cache
def _temporary() -> Any:
    """A folder for what is compiled, which goes when the tests end, with the part that never changes compiled in it."""
    folder = tempfile.TemporaryDirectory(prefix="emulator-")
    _compile("-c", str(HERE / "scheduler.cpp"), "-o", str(Path(folder.name) / "scheduler.o"))
    shutil.copy(HERE / "emulator.h", folder.name)
    _compile("-x", "c++-header", "-w", str(HERE / "emulator.h"), "-o", str(Path(folder.name) / "emulator.h.gch"))  # read once
    return folder


def _folder() -> Path:
    return Path(_temporary().name)


def _compile(*arguments: str) -> None:
    done = subprocess.run(["g++", *FLAGS, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"g++ {' '.join(arguments)}:\n{done.stderr}")


def functions_of(source: str) -> list[str]:
    """The kernels in a source."""
    return re.findall(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(", source)


@functools.cache
def library(source: str) -> Any:
    """A CUDA source as a shared library with a function `launch_NAME` and `signature_NAME` for each kernel."""
    name = _folder() / hashlib.sha256(source.encode()).hexdigest()[:16]
    source = re.sub(r"\*static_cast<volatile \w+\*>\((\w+)\)", r"read_volatile(\1)", source)
    source = re.sub(r"extern\s+__shared__\s+(\w+)\s+(\w+)\[\];", r"\1* const \2 = static_cast<\1*>(emulator::shared_memory());", source)
    wrappers = [
        f'extern "C" const char* signature_{each}() {{ return emulator::signature({each}); }}\n'
        f'extern "C" const char* launch_{each}(unsigned grid, unsigned size, unsigned bytes, unsigned seed, int together, void** given, '
        f"const size_t* sizes) {{ return emulator::launch({each}, grid, size, bytes, seed, together, given, sizes); }}\n"
        for each in functions_of(source)
    ]
    name.with_suffix(".cpp").write_text(f'#include "emulator.h"\n{source}\n{"".join(wrappers)}', encoding="utf-8")
    _compile("-shared", str(name.with_suffix(".cpp")), str(_folder() / "scheduler.o"), "-o", str(name.with_suffix(".so")))
    loaded = ctypes.CDLL(str(name.with_suffix(".so")))
    loaded.barriers.restype = ctypes.c_ulonglong
    for each in functions_of(source):
        getattr(loaded, f"signature_{each}").restype = ctypes.c_char_p
        getattr(loaded, f"launch_{each}").restype = ctypes.c_char_p
    return loaded


def held(array: Any) -> Any:
    """The NumPy array in an array of the strict device, or the array itself."""
    return getattr(array, "_held", array)


class Guarded:
    """A copy of an array for a kernel to work on, in pages of its own, behind which nothing can be touched.

    It begins at as odd an address as the array, and ends with these pages, or up to three numbers before.
    """

    def __init__(self, array: Any) -> None:
        self.array = held(array)
        pages = -(-(self.array.nbytes + 12) // mmap.PAGESIZE) * mmap.PAGESIZE
        self.memory = mmap.mmap(-1, pages + 2 * GUARD)
        whole = np.frombuffer(self.memory, np.uint32)
        self.room = whole[GUARD // 4 : (GUARD + pages) // 4]
        self.room[:] = CANARY
        last = self.room.size - self.array.size
        self.begin = last - (last - self.array.ctypes.data // 4) % 4  # four numbers are fetched in one go from even addresses only
        self.inner = self.room[self.begin : self.begin + self.array.size].view(self.array.dtype)
        self.inner[:] = self.array.reshape(-1)
        for guard in (whole.ctypes.data, whole.ctypes.data + GUARD + pages):
            if LIBRARY.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(GUARD), 0):
                raise OSError(ctypes.get_errno(), "mprotect")

    def end(self, what: str) -> None:
        """Hand the results over; RuntimeError where something was written beside the array."""
        margins = np.concatenate([self.room[: self.begin], self.room[self.begin + self.array.size :]])
        if not (margins == CANARY).all():
            raise RuntimeError(f"{what} wrote beside an array of shape {self.array.shape}")
        self.array[...] = self.inner.reshape(self.array.shape)


class Emulator:
    """A launcher that emulates; `seed` decides in which order threads run, and `change` what becomes of a source before."""

    shared_bytes = 227 * 1024  # what a block may have on an H100
    blocks_at_once = 132

    def __init__(self, seed: int = 0, change: Callable[[str], str] = str) -> None:
        self.seed, self.change = seed, change
        self.launched: list[str] = []
        self.barriers: list[int] = []  # how many opened in each launch, in all blocks

    def limits(self, xp: Any) -> tuple[int, int]:
        """Shared memory of a block in bytes, and how many blocks can be there at once."""
        return self.shared_bytes, self.blocks_at_once

    def launch(self, xp: Any, kernel: Kernel, blocks: int, arguments: tuple[Any, ...]) -> None:
        """Run a kernel to its end."""
        compiled, name = library(self.change(kernel.source())), kernel.function
        wanted = getattr(compiled, f"signature_{name}")().decode().rstrip(",").split(",")
        guarded = [Guarded(each) if _is_array(each) else None for each in arguments]
        got = [_kind(each, kind) for each, kind in zip(arguments, wanted)]
        if got != wanted or len(arguments) != len(wanted):
            raise TypeError(f"{name} takes {wanted}, got {got}")
        if kernel.threads % 32 or not 0 < kernel.threads <= 1024:
            raise ValueError(f"{name}: {kernel.threads} threads are no whole warps, of which a block may have 32")
        cells = [_cell(each, copy) for each, copy in zip(arguments, guarded)]
        pointers = (ctypes.c_void_p * len(cells))(*[cell.ctypes.data for cell in cells])
        sizes = (ctypes.c_size_t * len(cells))(*[copy.inner.nbytes if copy is not None else 0 for copy in guarded])
        self.seed += 1
        self.launched.append(name)
        problem = getattr(compiled, f"launch_{name}")(
            blocks, kernel.threads, kernel.shared_bytes, self.seed, int(kernel.blocks > 0), pointers, sizes
        )  # fmt: skip
        self.barriers.append(compiled.barriers())
        if problem:
            raise RuntimeError(f"{name}: {problem.decode()}")
        for copy in guarded:
            if copy is not None:
                copy.end(name)


def _is_array(given: Any) -> bool:
    """Whether an argument is an array of the device: neither missing, nor a number, nor a structure."""
    given = held(given)
    return isinstance(given, np.ndarray) and not given.dtype.names


def _kind(given: Any, wanted: str) -> str:
    """What an argument is, in the words of emulator.h; null is any pointer."""
    if given is None:
        return wanted if wanted.endswith("*") else "null"
    names = {"float32": "float", "int32": "int", "uint32": "unsigned"}
    given = held(given)
    if given.dtype.names:
        return f"{given.dtype.itemsize} bytes"
    return names.get(given.dtype.name, given.dtype.name) + ("" if isinstance(given, np.generic) else "*")


def _cell(given: Any, copy: Guarded | None) -> Any:
    """Memory that holds an argument: a number, a structure, or the address of an array."""
    if copy is not None:
        return np.array([copy.inner.ctypes.data], np.uintp)
    return np.array([0], np.uintp) if given is None else np.atleast_1d(np.asarray(given))
