"""The functions and operands whose meeting `test_promotion` compares with PyTorch, and `test_recorded` with its recorded answers."""

from __future__ import annotations

import numpy as np
from compare import settle

DEFAULTS = ("float32", "float64")
DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
NUMBERS = (2, 1.5, True, False, 0, -1)
SCALARS = (np.float64(2), np.float32(2), np.int64(2), np.int32(2), np.float16(2), np.uint8(2), np.bool_(True))

FUNCTIONS = (
    "x0 + x1", "x0 - x1", "x0 * x1", "x0 / x1", "x0 // x1", "x0 % x1", "x0 ** x1", "x0 == x1", "x0 < x1", "x0 >= x1", "x0 & x1", "x0 | x1",
    "x0 ^ x1", "T.maximum(x0, x1)", "T.minimum(x0, x1)", "T.where(x0 > 0, x0, x1)", "T.where(T.tensor([True, False]), x0, x1)",
    "T.lerp(x0, x1, 0.5)", "T.logical_and(x0, x1)", "T.div(x0, x1, rounding_mode='trunc')", "T.div(x0, x1, rounding_mode='floor')",
    "T.add(x0, x1, alpha=2)", "T.sub(x0, x1, alpha=2)", "T.add(x0, x1, alpha=2.5)", "T.add(x0, x1, alpha=True)", "x0.clamp(x1)",
    "x0.clamp(min=x1, max=x1)", "x0.clamp(max=x1)", "T.isclose(x0, x1)", "T.equal(x0, x1)", "x0.masked_fill(x0 > 0, x1)",
    "x0.clone().add_(x1)", "x0.clone().mul_(x1)", "x0.clone().div_(x1)", "x0.clone().pow_(x1)", "x0.clone().copy_(x1)",
    "x0.clone().fill_(x1)",
    "x0.clone().masked_fill_(x0 > 0, x1)", "x0.type_as(x1)", "T.cat([x0.reshape(-1), x1.reshape(-1)])", "T.stack([x0, x1])", "x0 @ x1",
    "T.addmm(x0, x1.reshape(-1, 1), x1.reshape(1, -1))",
)  # fmt: skip

SINGLE = (
    *[f"T.{name}(x0)" for name in (
        "abs", "neg", "sign", "exp", "log", "sqrt", "rsqrt", "reciprocal", "sin", "tanh", "sigmoid", "square", "floor", "ceil", "round",
        "trunc",
        "erf", "positive", "isnan", "isfinite", "logical_not", "bitwise_not", "nan_to_num", "clone", "sum", "mean", "prod", "var", "std",
        "max",
        "min", "amax", "argmax", "argmin", "any", "all", "count_nonzero", "sort", "nonzero", "zeros_like", "relu",
    )],
    "x0.cumsum(0)", "x0.cumprod(0)", "x0.softmax(0)", "x0.logsumexp(0)", "x0.norm()", "x0.clamp(0, 1)", "x0.clamp(0.5)",
    "x0.sum(dtype=T.float64)",
    "x0.prod(dtype=T.float32)", "x0.mean(dtype=T.float32)", "x0.sum(dtype=T.int32)", "x0.half()", "x0.to(T.int8)", "x0.bool()",
    "x0.to(T.uint8)",
    "T.full_like(x0, 2)", "T.full((2,), 2.5, dtype=x0.dtype)", "T.full((2,), -1, dtype=x0.dtype)", "T.full((2,), 300, dtype=x0.dtype)",
    "T.tensor([1.7, 2], dtype=x0.dtype)", "T.tensor([300], dtype=x0.dtype)", "T.tensor([-1], dtype=x0.dtype)", "T.full((2,), 2.5)",
    "T.full((2,), 2)",
    "T.full((2,), True)", "T.arange(3)", "T.arange(3.0)", "T.tensor([1, 2.5])", "T.tensor([True, 2])", "T.tensor([])",
    "T.linspace(0, 1, 3)", "~x0",
    "-x0", "+x0", "x0 ** 2", "x0 ** -1", "x0 ** 0.5", "2 ** x0", "1 / x0", "1 - x0", "x0.masked_fill(x0 > 0, -1)",
    "x0.masked_fill(x0 > 0, 300)",
    "x0.clone().fill_(2.5)", "x0.clone().fill_(-1)", "x0.clone().add_(1.5)", "x0.clone().mul_(2)", "x0.clone().sqrt_()",
    "x0.clone().neg_()",
    "T.where(x0 > 0, 1, 2.5)", "T.where(x0 > 0, x0, -1)", "x0.topk(1)", "x0.new_full((2,), 3)", "x0.new_tensor([1.5])", "x0.repeat(2)",
    "x0 + 300",
)  # fmt: skip


def tensors():
    """One array of every dtype, with axes and without."""
    return [np.array(value, dtype) for dtype in DTYPES for value in ([3, 2] if dtype != "bool" else [1, 0], 3 if dtype != "bool" else 1)]


def singles():
    """One operand: every dtype, with axes and without, and the ends of what integers hold."""
    ends = [np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 0], dtype) for dtype in DTYPES if np.dtype(dtype).kind in "iu"]
    return [(each,) for each in (*tensors(), *ends, np.array([-0.0, np.inf, np.nan, -np.inf], np.float32))]


def operands(text):
    """All pairs of tensors, and tensors beside numbers; on either side where both sides take numbers."""
    either = not text.startswith("x0.") and "T.cat" not in text and "T.stack" not in text and "x0 > 0" not in text
    numbers = (*NUMBERS, *SCALARS)
    pairs = [(a, b) for a in tensors() for b in (*tensors(), *numbers)]
    return pairs + [(b, a) for a in tensors() for b in numbers if either]


def found(T, text, given, default):
    """What comes out: an array, or several in one list, or something plain, or the error."""
    T.set_default_dtype(getattr(T, default))
    try:
        names = {f"x{place}": T.tensor(each) if isinstance(each, np.ndarray) else each for place, each in enumerate(given)}
        result = eval(text, {"T": T, **names})
        settle()
    except Exception as problem:
        return problem
    finally:
        T.set_default_dtype(T.float32)
    result = result[0] if isinstance(result, tuple) else result
    return result.detach().numpy(force=True) if hasattr(result, "detach") else result


def label(result):
    """A result in a few characters: its dtype and number of axes, or the name of the error's class."""
    if isinstance(result, np.ndarray):
        return f"{result.dtype}{result.ndim}"
    return type(result).__name__
