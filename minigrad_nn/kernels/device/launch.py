"""Compiling CUDA sources for a type of numbers, and launching their functions."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from minigrad.backend import Array

__all__ = ["NOTHING", "STEPS", "THREADS", "TYPES", "Functions", "functions"]

STEPS = Path(__file__).with_name("steps.cu")
NOTHING = 0  # in place of an array that is not there: the address zero
THREADS = 128  # in a block; more bring nothing to functions that only read, compute and write
TYPES = {  # what stands in front of a file: half numbers are computed with in float32
    "e": "#include <cuda_fp16.h>\ntypedef __half number;\ntypedef float real;\n",
    "f": "typedef float number;\ntypedef float real;\n",
    "d": "typedef double number;\ntypedef double real;\n",
}


class Functions:
    """The functions of a CUDA file for arrays of one dtype, each compiled when it is first launched."""

    def __init__(self, xp: Any, dtype: Any, source: Path) -> None:
        if dtype.char not in TYPES:
            raise TypeError(f"kernels are written for float16, float32 and float64, got {dtype}")
        self.dtype = dtype
        self._module = xp.RawModule(code=TYPES[dtype.char] + source.read_text(encoding="utf-8"))
        self._found: dict[str, Any] = {}

    def launch(self, name: str, grid: tuple[int, int], arguments: tuple[Any, ...]) -> None:
        """Start a function in so many blocks. Nothing checks the arguments: see `require`."""
        function = self._found.get(name)
        if function is None:
            function = self._found[name] = self._module.get_function(name)
        function(grid, (THREADS,), arguments)

    def __call__(self, name: str, rows: int, features: int, *arguments: Any) -> None:
        """Launch a function of steps.cu for a state (rows, features); `arguments` are those after its H."""
        if rows and features:  # no launch may be empty
            self.launch(name, (rows, -(-features // THREADS)), (features, *arguments))

    def require(self, *arrays: Array) -> None:
        """Refuse arrays whose memory is not what the functions take it for: they see an address and no strides."""
        for each in arrays:
            if each.dtype != self.dtype or not each.flags.c_contiguous:
                raise TypeError(f"expected {self.dtype} without gaps, got {each.dtype} of shape {each.shape} with strides {each.strides}")


@functools.cache
def functions(xp: Any, dtype: Any, source: Path = STEPS) -> Functions:
    """The functions of a file for a dtype."""
    return Functions(xp, dtype, source)
