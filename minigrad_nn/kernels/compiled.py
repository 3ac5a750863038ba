"""Whether a kernel goes through its steps in a compiled loop (loops.py) or by NumPy calls: the same numbers, but for rounding.

Loops serve float32 on a CPU where Numba is installed (`pip install "minigrad-nn[fast]"`) and compiles, and where
NumPy's own library of products can be called from them (products.py); everything else is NumPy's.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from functools import cache
from typing import Any

from minigrad.backend import Array

__all__ = ["choice", "loops_for"]


class Choice:
    """What the user asked for: None to use loops where Numba is installed, False never, True as None does, but with
    an error where they cannot be had."""

    wanted: bool | None = None


choice = Choice()


def loops_for(xp: Any, *arrays: Array) -> Any | None:
    """The compiled loops, if they can serve arrays like these and are wanted; else None."""
    if choice.wanted is False or xp.device_type != "cpu":
        return None
    if any(array.dtype.char != "f" or not array.dtype.isnative or not array.size for array in arrays):
        return None
    return _load() if choice.wanted else _load_if_usable()


@cache
def _load_if_usable() -> Any | None:
    """The loops where Numba is installed; a warning, once, where it is but cannot be used: a layer computes without it as well."""
    try:
        switched_off = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")  # loops would run as Python
        return None if switched_off or importlib.util.find_spec("numba") is None else _load()
    except Exception as error:
        warnings.warn(
            f"Numba is installed but cannot be used here ({type(error).__name__}: {error}); recurrent layers compute with NumPy alone, "
            "more slowly. A Numba and a NumPy that fit each other end this warning, and so does no Numba",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


@cache
def _load() -> Any:
    """loops.py, compiled: a matter of seconds the first time, of a tenth later. It is loaded when it is first needed."""
    return importlib.import_module(".loops", __package__)
