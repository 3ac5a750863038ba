"""The product of matrices that NumPy itself calls, for loops that are compiled: they cannot come back to Python for `@`.

NumPy's wheels carry OpenBLAS, or on newer Macs use Apple's Accelerate. Their functions are found by their names in C, and Numba is
told their addresses and arguments; so compiled loops and NumPy multiply with one library, whose threads do not get in each other's
way. A NumPy that multiplies with something else (MKL from conda) has no function of these names: then this file cannot be
imported, and layers compute with NumPy alone. (Run on Linux; on Windows and Macs it is written after NumPy's own names.)

https://www.netlib.org/blas/blast-forum/cblas.tgz has the arguments.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np

__all__ = ["multiply", "threads", "threads_wait_briefly", "use_threads"]

BY_ROWS, AS_IT_IS, TRANSPOSED = 101, 111, 112  # CBLAS's words for how matrices lie in memory
LONGEST_WAIT = 22  # as a power of 2, in cycles
ONE = np.float32(1)

flag, size, address, number = numba.types.int32, numba.types.int64, numba.types.intp, numba.types.float32


NAMES = ("scipy_{}64_", "{}$NEWLAPACK$ILP64")  # in OpenBLAS and in Accelerate, both with sizes of 64 bits


def _libraries() -> Iterator[ctypes.CDLL]:
    """NumPy's own, which finds what it is linked with too, except on Windows; there OpenBLAS lies in a folder beside NumPy."""
    yield ctypes.CDLL(importlib.import_module("numpy._core._multiarray_umath").__file__)
    if sys.platform == "win32":
        yield from (ctypes.CDLL(str(each)) for each in Path(np.__file__).parents[1].glob("numpy.libs/*openblas*.dll"))


def function_of_blas(name: str) -> Any:
    """The function of this name in the library that NumPy multiplies with, for Python; ImportError if there is none."""
    for library in _libraries():
        for each in NAMES:
            if (found := getattr(library, each.format(name), None)) is not None:
                return found
    raise ImportError(
        f"compiled loops multiply with the OpenBLAS of NumPy's own wheels, but this NumPy ({np.__version__}) has no "
        f'{NAMES[0].format(name)}: it multiplies with another library; "pip install --force-reinstall numpy" brings one that has it'
    )


def compiled_can_call(name: str, *arguments: Any) -> Any:
    """The same for compiled code, with its arguments' types."""
    llvmlite.binding.add_symbol(f"minigrad_{name}", ctypes.cast(function_of_blas(name), ctypes.c_void_p).value)
    return numba.types.ExternalFunction(f"minigrad_{name}", numba.types.void(*arguments))


# C = α A B + β C, with how each is stored, their sizes, and how far apart the rows of A, B and C are; y = α A x + β y.
sgemm = compiled_can_call(
    "cblas_sgemm", flag, flag, flag, size, size, size, number, address, size, address, size, number, address, size
)  # fmt: skip
sgemv = compiled_can_call("cblas_sgemv", flag, flag, size, size, number, address, size, address, size, number, address, size)

try:
    threads, use_threads = function_of_blas("openblas_get_num_threads"), function_of_blas("openblas_set_num_threads")
    threads.restype, use_threads.argtypes, use_threads.restype = ctypes.c_int, [ctypes.c_int], None
except ImportError:  # Accelerate decides by itself

    def threads() -> int:
        """How many threads a product may use."""
        return 1

    def use_threads(count: int) -> None:
        """Let products use so many threads from now on."""


def threads_wait_briefly() -> bool:
    """Whether threads that have nothing to multiply leave their cores to others soon (see minigrad/blas.py)."""
    asked = (getattr(library, "openblas_thread_timeout", None) for library in _libraries())
    return any(0 < each() <= LONGEST_WAIT for each in asked if each is not None)


def _multiply(w: Any, transposed: bool, columns: Any, b: int, beta: Any, out: Any) -> None:
    """out = W v + β out, or Wᵀ v + β out, for the b columns of v and out, which are given by where they begin
    in memory, row after row; an array `out` that is larger keeps its rest."""
    height, width = w.shape
    rows, inner, how = (width, height, TRANSPOSED) if transposed else (height, width, AS_IT_IS)
    to_w, to_columns, to_out = w.ctypes.data, columns.ctypes.data, out.ctypes.data
    if b == 1:
        sgemv(BY_ROWS, how, height, width, ONE, to_w, width, to_columns, 1, beta, to_out, 1)
    else:
        sgemm(BY_ROWS, how, AS_IT_IS, rows, b, inner, ONE, to_w, width, to_columns, b, beta, to_out, b)


# Numba keeps loops.py compiled with this inside, and looks only at the date of loops.py: a change here needs __pycache__ emptied.
multiply: Any = numba.njit(error_model="numpy")(_multiply)
