"""Writes cupy_names.json: what CuPy can be asked for, as far as it tells without a GPU.

    python tests/record_cupy.py            in an environment with CuPy (pip install 'cupy-cuda13x[ctk]'); no GPU is needed

The strict array of `strict.py` answers to nothing that is not in that file, and `test_cupy_names.py` holds the packages
against it. A signature is a line of words: `x` is needed, `x=` has a default, `*x` and `**x` take any number more, `/`
ends what only a position can say and `*` begins what only a keyword can; "?" stands where CuPy does not tell.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("cupy_names.json")


def record(cupy: Any, special: Any, flags: Any, cublas: Any, exactness: Any) -> dict[str, Any]:
    """Everything that is written, as plain values."""
    public = {name: getattr(cupy, name) for name in dir(cupy) if not name.startswith("_")}
    ufuncs = {name: value for name, value in public.items() if isinstance(value, cupy.ufunc)}
    functions = {name: words(value) for name, value in public.items() if name not in ufuncs and is_function(value)}
    array = {name: getattr(cupy.ndarray, name) for name in dir(cupy.ndarray) if not name.startswith("_") or is_operator(name)}
    runtime = cupy.cuda.runtime
    return {
        "cupy": cupy.__version__,
        "made": "by tests/record_cupy.py on a machine without a GPU; see there how to read signatures",
        "functions": functions,
        "ufuncs": {name: {"inputs": each.nin, "types": " ".join(each.types)} for name, each in ufuncs.items()},
        "ufunc_methods": {method: implementing(ufuncs, method) for method in ("accumulate", "at", "outer", "reduce", "reduceat")},
        "others": sorted(name for name, value in public.items() if name not in ufuncs and not is_function(value)),
        "ndarray_methods": {name: words(value) for name, value in array.items() if callable(value) and not name.startswith("__")},
        "ndarray_attributes": sorted(name for name, value in array.items() if not callable(value)),
        "ndarray_operators": sorted(name for name in array if name.startswith("__")),
        "flags": public_names(flags.Flags),
        "special": {name: words(getattr(special, name)) for name in public_names(special) if callable(getattr(special, name))},
        "random": sorted({*public_names(cupy.random), "Generator"}),  # this one is made when it is asked for
        "random_generator": {name: words(getattr(cupy.random.Generator, name)) for name in public_names(cupy.random.Generator)},
        "cublas": {"gemmEx": words(cublas.gemmEx)},
        "exactness": [name for name in public_names(exactness) if "compute_type" in name.lower()],
        "cuda": public_names(cupy.cuda),
        "cuda_runtime": [name for name in public_names(runtime) if callable(getattr(runtime, name)) or name == "CUDARuntimeError"],
        "cuda_device": public_names(cupy.cuda.Device),
        "cuda_stream": public_names(cupy.cuda.Stream),
        "cuda_memory_pool": public_names(cupy.cuda.MemoryPool),
        "cuda_memory_hook": public_names(cupy.cuda.MemoryHook),
    }


def public_names(thing: Any) -> list[str]:
    """The names that do not begin with an underscore."""
    return [name for name in dir(thing) if not name.startswith("_")]


def is_function(value: Any) -> bool:
    """Whether it is there to be called: classes and modules stand among the others."""
    return callable(value) and not inspect.isclass(value)


def is_operator(name: str) -> bool:
    """Whether a name with underscores is one Python asks for, and not part of every object; buffers are Python 3.12's."""
    if name in ("__buffer__", "__release_buffer__"):
        return False
    return (name.startswith("__") and name not in dir(object)) or name in ("__lt__", "__le__", "__eq__", "__ne__", "__gt__", "__ge__")


def implementing(ufuncs: dict[str, Any], method: str) -> list[str]:
    """The ufuncs whose method does more than raise NotImplementedError; it raises that before it looks at its arguments."""
    found = []
    for name, each in ufuncs.items():
        try:
            getattr(each, method)(None, None)
        except NotImplementedError:
            continue
        except Exception:
            found.append(name)
    return found


def words(function: Any) -> str:
    """A signature as a line of words."""
    if type(function).__name__ == "ufunc":
        return " ".join([*[f"x{place}" for place in range(function.nin)], "/ out= * casting= dtype="])
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return words_of_docstring(function)
    text = []
    for place, each in enumerate(parameters):
        before = parameters[place - 1].kind if place else None
        if before is each.POSITIONAL_ONLY and each.kind is not each.POSITIONAL_ONLY:
            text.append("/")
        if each.kind is each.KEYWORD_ONLY and before not in (each.KEYWORD_ONLY, each.VAR_POSITIONAL):
            text.append("*")
        sign = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        if each.name != "self":
            text.append(sign + each.name + ("=" if each.default is not each.empty else ""))
    return " ".join([*text, "/"] if parameters and parameters[-1].kind is inspect.Parameter.POSITIONAL_ONLY else text)


def words_of_docstring(function: Any) -> str:
    """The same from the first line that Cython writes into a docstring: `ndarray.sum(self, axis=None, int n=0) -> …`."""
    found = re.match(r"[\w.]+\((.*?)\)(?: ->.*)?$", (function.__doc__ or "").partition("\n")[0])
    if not found:
        return "?"
    text = []
    for part in filter(None, (part.strip() for part in found[1].split(","))):
        name, has_default, _ = part.partition("=")
        text.append(name.split()[-1] + ("=" if has_default else ""))
    return " ".join(each for each in text if each.rstrip("=") != "self")


if __name__ == "__main__":
    import cupy
    import cupyx.scipy.special
    from cupy._core import _routines_linalg, flags
    from cupy_backends.cuda.libs import cublas

    found = record(cupy, cupyx.scipy.special, flags, cublas, _routines_linalg)
    TARGET.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n", encoding="utf-8")
