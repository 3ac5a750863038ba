"""Whether compiled loops can be had: where Numba is installed (`pip install "minigrad-nn[fast]"`), compiles for this
processor, and nobody has declined them. Everything runs without them as well, by NumPy's calls, but more slowly."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from functools import cache
from typing import Any

__all__ = ["choice", "load", "loops"]


class Choice:
    """What the user asked for: None to use loops where Numba is installed, False never, True as None does, but with
    an error where they cannot be had."""

    wanted: bool | None = None


choice = Choice()


def load() -> Any:
    """The compiled loops, if they are wanted and can be had; else None."""
    if choice.wanted is False:
        return None
    return loops() if choice.wanted else _loops_if_usable()


@cache
def _loops_if_usable() -> Any | None:
    """The loops where Numba is installed; a warning, once, where it is but cannot be used: a layer computes without it as well."""
    try:
        return None if _switched_off() or importlib.util.find_spec("numba") is None else loops()
    except Exception as error:
        warnings.warn(
            f"Numba is installed but cannot be used here ({type(error).__name__}: {error}); recurrent layers compute with NumPy alone, "
            "more slowly. A Numba and a NumPy that fit each other end this warning, and so does no Numba",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


@cache
def loops() -> Any:
    """loops.py, compiled, wanted or not: a matter of seconds the first time, of a tenth later. It is loaded when it is first needed."""
    if _switched_off():
        raise ImportError("loops are compiled by Numba, and NUMBA_DISABLE_JIT switches that off")
    return importlib.import_module(".loops", __package__)


def _switched_off() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
