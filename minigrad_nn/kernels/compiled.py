"""Whether a kernel's element-wise part runs as a compiled loop (loops.py) or as NumPy calls: the same numbers either way.

Loops serve float32 on a CPU where Numba is installed (`pip install "minigrad-nn[fast]"`); everything else is NumPy's.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import Any

from minigrad.backend import Array

__all__ = ["choice", "loops_for"]


class Choice:
    """What the user asked for: None to use loops where Numba is installed, False never, True always where they can serve."""

    wanted: bool | None = None


choice = Choice()


def loops_for(xp: Any, array: Array) -> Any | None:
    """The compiled loops, if they can serve an array like this and are wanted; else None."""
    if choice.wanted is False or xp.device_type != "cpu" or array.dtype.char != "f" or not array.size:
        return None
    return _load() if choice.wanted or _installed() else None


@cache
def _installed() -> bool:
    return importlib.util.find_spec("numba") is not None


@cache
def _load() -> Any:
    """loops.py, compiled: a matter of seconds the first time, of a tenth later. It is loaded when it is first needed."""
    return importlib.import_module(".loops", __package__)
