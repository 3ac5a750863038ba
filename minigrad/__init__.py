"""A small autograd engine: tensors that remember how they were computed, on NumPy or CuPy.

Names, arguments and defaults are PyTorch's. Reading order: tape, ops/elementwise, tensor.
"""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

from . import blas as _before_numpy  # isort: skip  # noqa: F401
from . import autograd, cuda, legacy, linalg, missing, ops, random
from .tensor import Tensor  # isort: skip  # before ops: `minigrad.tensor` is the function, not this module
from .autograd.anomaly_mode import is_anomaly_enabled
from .backend import current_device as get_default_device
from .backend import (
    are_deterministic_algorithms_enabled, get_float32_matmul_precision, set_default_device, set_float32_matmul_precision,
    use_deterministic_algorithms,
)  # fmt: skip
from .elsewhere import Elsewhere as Elsewhere
from .legacy import *  # noqa: F403
from .ops import *  # noqa: F403
from .printing import set_printoptions
from .public import public as public
from .random import *  # noqa: F403
from .serialization import load, save
from .state import (
    enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, scope, set_grad_enabled, step,
)  # fmt: skip
from .trace import trace
from .types import DTYPES, Size, device, dtype, finfo, iinfo, set_default_dtype
from .types import default_dtype as get_default_dtype

__all__ = [
    "Size", "Tensor", "are_deterministic_algorithms_enabled", "autograd", "bool", "cuda", "device", "double", "dtype", "e",
    "enable_grad", "finfo", "float", "float16", "float32", "float64", "get_default_device", "get_default_dtype",
    "get_float32_matmul_precision", "half", "iinfo", "inf", "inference_mode", "int", "int16", "int32", "int64", "int8",
    "is_anomaly_enabled", "is_grad_enabled", "is_inference_mode_enabled", "linalg", "load", "long", "nan", "newaxis", "no_grad",
    "pi", "save", "scope", "set_default_device", "set_default_dtype", "set_float32_matmul_precision", "set_grad_enabled",
    "set_printoptions", "short", "step", "trace", "uint8", "use_deterministic_algorithms",
]  # fmt: skip
__all__ += legacy.__all__
__all__ += ops.__all__
__all__ += random.__all__

__version__ = "0.1.0"

float16, float32, float64 = DTYPES["float16"], DTYPES["float32"], DTYPES["float64"]
int8, int16, int32, int64, uint8 = DTYPES["int8"], DTYPES["int16"], DTYPES["int32"], DTYPES["int64"], DTYPES["uint8"]
bool = DTYPES["bool"]
half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
inf, nan, pi, e = math.inf, math.nan, math.pi, math.e
newaxis = None

globals().update({name: public(getattr(ops, name)) for name in ops.__all__})
globals().update({name: public(getattr(random, name)) for name in random.DRAWING})

# What stands above the engine and PyTorch keeps under its own name, so that `import minigrad as torch` is enough.
_ABOVE = {"nn": "minigrad_nn", "optim": "minigrad_nn.optim", "utils": "minigrad_nn.utils", "viz": "minigrad.viz"}
Elsewhere({f"minigrad.{name}": own for name, own in _ABOVE.items() if own != f"minigrad.{name}"}).install()

if TYPE_CHECKING:
    import minigrad_nn as nn
    from minigrad_nn import optim, utils

    from . import viz

    __all__ += ["nn", "optim", "utils", "viz"]
else:

    def __getattr__(name: str) -> Any:
        if name in _ABOVE:
            return importlib.import_module(_ABOVE[name])
        raise AttributeError(missing.explain("minigrad", name, __all__, Tensor))
