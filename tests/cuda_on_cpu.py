"""CUDA functions in which no thread waits for another, run on the CPU: what stands in for cupy.RawModule on the strict device.

The very source a GPU would get is compiled by g++, with a few lines in front that give CUDA's words a meaning, and for each
function a loop over all blocks and threads. Arguments are passed as CuPy passes them: an array as its address, an integer
as 64 bits, a float as a double, a NumPy array of one
element as a struct; so an integer where the source has a double is found, and so is an array on the host.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

COMPILER = shutil.which("g++")
FRONT = """\
#include <cmath>
using std::exp; using std::tanh; using std::sqrt; using std::pow; using std::fmax; using std::isnan;
#define __global__
#define __device__ static
#define __restrict__
typedef _Float16 __half;
struct Three { unsigned x, y, z; };
static thread_local __attribute__((tls_model("initial-exec"))) Three blockIdx, threadIdx, blockDim, gridDim;
static inline float exp(_Float16 a) { return exp(float(a)); }
"""
LOOP = """
extern "C" void loop_{name}(unsigned bx, unsigned by, unsigned bz, unsigned tx, unsigned ty, unsigned tz, {parameters}) {{
    gridDim = {{bx, by, bz}}; blockDim = {{tx, ty, tz}};
    for (blockIdx.z = 0; blockIdx.z < bz; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < by; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < bx; blockIdx.x++)
                for (threadIdx.z = 0; threadIdx.z < tz; threadIdx.z++)
                    for (threadIdx.y = 0; threadIdx.y < ty; threadIdx.y++)
                        for (threadIdx.x = 0; threadIdx.x < tx; threadIdx.x++) {name}({names});
}}
"""
FUNCTION = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')


class RawModule:
    """What stands in for cupy.RawModule: compiled when the first function is asked for."""

    def __init__(self, *, code: str, options: tuple[str, ...] = ()) -> None:
        self.code = code

    def get_function(self, name: str) -> Any:
        """A function to be called with grid, block and arguments."""
        library, kinds = _compiled(self.code)
        if name not in kinds:
            raise RuntimeError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}")
        loop = getattr(library, f"loop_{name}")

        def function(grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
            sizes = (*(*grid, 1, 1)[:3], *(*block, 1, 1)[:3])
            if min(sizes) < 1 or max(sizes[1:3]) > 65535 or block[0] > 1024:
                raise RuntimeError(f"CUDA_ERROR_INVALID_VALUE: grid {grid}, block {block}")
            if len(args) != len(kinds[name]):
                raise TypeError(f"{name} takes {len(kinds[name])} arguments, got {len(args)}; a GPU would read what it finds")
            passed = [_passed(name, kind, each, library) for kind, each in zip(kinds[name], args, strict=True)]
            loop(*[ctypes.c_uint(size) for size in sizes], *passed)
            launched.append(name)

        return function


launched: list[str] = []  # the functions that were launched, for tests that count


def _passed(name: str, kind: str, value: Any, library: Any) -> Any:
    if isinstance(value, np.ndarray) and kind not in ("*", "long long", "double"):  # a struct, by value
        size = ctypes.c_longlong.in_dll(library, f"size_of_{kind}").value
        if value.size != 1 or value.nbytes != size or size > 4000:
            raise TypeError(f"{name}: {value.nbytes} bytes for a {kind} of {size}, of which all arguments may have 4096")
        return _struct(size).from_buffer_copy(value.tobytes())
    if value.__class__ is float and kind == "double":
        return ctypes.c_double(value)
    if value.__class__ is int and (kind == "long long" or (kind == "*" and value == 0)):
        return ctypes.c_longlong(value)
    if kind == "*" and hasattr(value, "_held"):
        return ctypes.c_void_p(value.data.ptr)
    raise TypeError(f"{name}: {type(value).__name__} {value if not hasattr(value, '_held') else ''} for a parameter of type {kind}")


@functools.cache
def _struct(size: int) -> Any:
    return type("Struct", (ctypes.Structure,), {"_fields_": [("words", ctypes.c_longlong * (size // 8))]})


@functools.cache
def _compiled(code: str) -> tuple[Any, dict[str, list[str]]]:
    """The library of a source, and the kinds of each function's parameters: "*", "long long" or "double"."""
    if COMPILER is None:
        raise RuntimeError("the strict device runs CUDA functions through g++, which is not installed; or use design 'arrays'")
    found = {name: [" ".join(each.split()) for each in parameters.split(",")] for name, parameters in FUNCTION.findall(code)}
    loops = "".join(
        LOOP.format(name=name, parameters=", ".join(each), names=", ".join(re.findall(r"\w+$", one)[0] for one in each))
        for name, each in found.items()
    )
    plain = re.sub(r"#include <cuda_fp16.h>\n", "", code)
    structs = re.findall(r"^struct (\w+)", code, re.MULTILINE)
    for each in structs:  # of thousands of bytes: all threads read one copy, which they cannot write to
        plain = re.sub(rf"\bconst {each} (?=\w)", f"const {each}& ", plain)
    sizes = "".join(f'extern "C" long long size_of_{each} = sizeof({each});\n' for each in structs)
    source = FRONT + plain + sizes + loops
    path = Path(tempfile.gettempdir()) / f"minigrad-{os.getuid()}-{hashlib.sha256(source.encode()).hexdigest()[:20]}.so"
    if not path.exists():
        _build(source, path)
    kinds = {name: [_kind(one) for one in each] for name, each in found.items()}
    return ctypes.CDLL(str(path)), kinds


def _build(source: str, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text, library = Path(folder) / "source.cpp", Path(folder) / "source.so"
        text.write_text(source, encoding="utf-8")
        command = [str(COMPILER), "-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wno-unused-function", "-o", str(library), str(text)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"g++ refuses the source:\n{done.stderr}")
        ready = path.with_suffix(f".{os.getpid()}")
        shutil.copy(library, ready)
        os.replace(ready, path)


def _kind(parameter: str) -> str:
    kind = "*" if "*" in parameter else parameter.rpartition(" ")[0].removeprefix("const ")
    if kind not in ("*", "long long", "double") and not kind[:1].isupper():
        raise TypeError(f"parameter {parameter!r}: CuPy passes addresses, 64-bit integers, doubles and structs")
    return kind
