"""Functions of single elements, at usual and at special values, alone and in pairs."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from oracle import INTS, check  # noqa: E402

import minigrad  # noqa: E402

FAMILIES = {}


def family(draw):
    """Enter a function from a Draw to (lines of source, input arrays) into the list of families."""
    FAMILIES[draw.__name__] = draw
    return draw


UNARY = [
    "abs", "neg", "sign", "exp", "log", "log1p", "expm1", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "tan", "tanh",
    "sigmoid", "relu", "square", "floor", "ceil", "round", "trunc", "erf", "positive", "isnan", "isinf", "isfinite", "logical_not",
    "bitwise_not", "nan_to_num", "clone",
]  # fmt: skip
EDGY = [name for name in UNARY[:23] if name != "relu"]  # relu's gradient at NaN is 0 here and dy there
BINARY = [
    "add", "sub", "mul", "div", "maximum", "minimum", "pow", "remainder", "floor_divide", "eq", "ne", "lt", "le", "gt", "ge",
    "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "isclose",
]  # fmt: skip
SIGNS = ("+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "&", "|", "^")


@family
def unary(draw):
    """Functions of one tensor, and those of torch.nn.functional."""
    x = draw.array(draw.shape(), draw.dtype())
    options = [f"T.{draw.one(*UNARY)}(x0)"] * 5
    options += [f"F.{draw.one('softplus', 'gelu', 'silu', 'leaky_relu')}(x0)"]
    options += [f"F.softplus(x0, {draw.one(1.0, 2.0, 0.5)}, {draw.one(20.0, 1.1)})"]
    options += ["F.gelu(x0, approximate='tanh')", f"F.leaky_relu(x0, {draw.one(0.1, 0.3)})"]
    return "y = " + draw.one(*options), [x]


@family
def edges(draw):
    """The same at 0, 1, infinity and NaN: gradients too, where PyTorch's are finite or not."""
    values = np.array([0.0, 1.0, -1.0, 0.5, 2.0, 3.0, -2.5, np.inf, -np.inf, np.nan, 100.0, -100.0])
    x, z = (draw.numpy.choice(values, draw.shape(1, 2)) for _ in range(2))
    z = draw.numpy.choice(values, x.shape)
    number = draw.one(0, 1, 2, -1, 3, 0.0, 2.0)
    text = draw.one(
        f"T.{draw.one(*EDGY)}(x0)", f"x0 ** {number}", f"{abs(number)} ** x0", "x0 ** x1", "T.maximum(x0, x1)", "T.minimum(x0, x1)",
        "x0 / x1", f"x0.clamp({draw.one(-1, -1.0, None)}, {draw.one(0.5, 2)})", f"{number} / x0", "F.softplus(x0)", "F.silu(x0)",
        "x0.logsumexp(0)", "x0.softmax(0)", "x0.log_softmax(-1)", "x0.sum()", "x0.amax(0)", "T.nan_to_num(x0)", "x0.sort(0)",
        "x0.argmax(0)", "x0.argmin()", "x0.cumsum(0)", "x0.isclose(x1, equal_nan=True)", "x0.max(0)", "x0.min(-1)",
        "T.where(x0 > 0, x0, x1)", "F.gelu(x0)", "x0.norm()", "x0.std()", "x0.mean()", "x0 // x1", "x0 % x1", "x0.floor_divide(2)",
    )  # fmt: skip
    return "y = " + text, [x, z], "first"


@family
def binary(draw):
    """Functions and operators of two tensors that broadcast, or of a tensor and a number."""
    shape = draw.shape()
    arrays = [draw.array(draw.broadcast(shape), draw.dtype()) for _ in range(2)]
    number = draw.one(2, 3, 0.5, -1.5, 1, 0, True)
    kind = draw.randrange(5)
    if kind == 0:
        text = f"T.{draw.one(*BINARY)}(x0, x1)"
    elif kind == 1:
        text = f"x0 {draw.one(*SIGNS)} x1"
    elif kind == 2:
        text = draw.one(f"x0 {draw.one(*SIGNS)} {number}", f"{number} {draw.one(*SIGNS)} x0", f"x0.{draw.one(*BINARY[:-4])}({number})")
    elif kind == 3:
        text = draw.one(
            f"T.{draw.one('add', 'sub')}(x0, x1, alpha={draw.one(2, 0.5)})", f"T.lerp(x0, x1, {number})",
            f"T.div(x0, x1, rounding_mode={draw.one('trunc', 'floor', None)!r})", "T.where(x0 > 0, x0, x1)",
            f"T.where(x0 > 0, x0, {number})", f"T.where(x0 > 0, {number}, x0)", "T.where(x0 > 0, 1, 2.5)", "T.where(x0 > 0)",
            "T.where(x0, 1, 2)", "T.allclose(x0, x1)", "T.equal(x0, x1)", "T.equal(x0, x0)", "x0.where(x0 > 1, x1)",
        )  # fmt: skip
    else:
        text = draw.one(
            f"x0.clamp({draw.one(None, 0.25, -0.5, 0)}, {draw.one(None, 1, 0.5)})", "x0.clamp(x1)", "x0.clamp(max=x1)",
            "x0.clamp(min=x1, max=x1 + 1)", f"x0.clamp(min={abs(number)})", f"x0.clamp(max={number})", f"x0.clip({number}, 2)",
        )  # fmt: skip
    return "y = " + text, arrays


@family
def lerp_and_powers(draw):
    """lerp with three tensors; powers with positive bases, where all gradients exist."""
    shape = draw.shape()
    x, z, w = (draw.array(draw.broadcast(shape, 0), low=0.1) for _ in range(3))
    return "y = " + draw.one(
        "T.lerp(x0, x1, x2)", "x0 ** x1 * x2", "T.pow(x0, x1) + x2", "2.5 ** x0", "(x0 * x1) ** 3", "0 ** x0", "x0.pow(-2)"
    ), [x, z, w]


FLOATING = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, np.inf, -np.inf, np.nan, 1e-310, -1e-310, 1e300, -1e300, 1e-45, 7.0, -7.0, 3.0)


@family
def special_values(draw):
    """NaN, infinities, both zeros, denormal and huge numbers, in values and first gradients; the extremes of integers."""
    dtype = draw.one("float64", "float64", "float32", "float16", *INTS)
    shape = tuple(max(size, 1) for size in draw.shape(0, 2))
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        lowest = limits.min + (dtype in ("int32", "int64"))  # PyTorch ends the process where it divides the very lowest by -1
        pool = [lowest, limits.min + 1, limits.max, limits.max - 1, 0, 1, 2, 3, 7] + [-1, -2, -3, -7] * (dtype != "uint8")
    else:
        pool = FLOATING  # below, NumPy's vectorised pow has NaN for -inf ** 1.5 in float32 on some processors
    with np.errstate(all="ignore"):
        arrays = [np.asarray(draw.numpy.choice(np.array(pool), shape)).astype(dtype) for _ in range(2)]
    a, b = draw.one(0, 1, 2, -1, 3, 0.5, -2.5), draw.one(1, 2, 0.25, -3)
    text = draw.one(
        *[f"T.{draw.one(*EDGY)}(x0)"] * 4, "x0.nan_to_num(neginf=-7.0) ** x1", "x0 // x1", "x0 % x1", "x0 / x1", "T.maximum(x0, x1)",
        "T.minimum(x0, x1)",
        "x0 - x1", "x0 * x1", "x0 + x1", f"x0 // {b}", f"x0 % {b}", f"x0 / {b}", f"{a} // x0", f"{a} % x0",
        f"(x0.nan_to_num(neginf=-7.0) ** {a}).detach()",
        f"{b} ** x0",
        f"T.div(x0, {b}, rounding_mode={draw.one('trunc', 'floor')!r})", f"T.div(x0, x1, rounding_mode={draw.one('trunc', 'floor')!r})",
        f"x0.clamp({draw.one(-1, 0, 2, 'T.nan', '-T.inf')}, {draw.one(-2, 1, 'T.nan', 'T.inf')})", "x0.clamp(x1)", "x0.clamp(max=x1)",
        "x0.clamp(x1, x1 + 1).detach()", "x0.clamp(x1 + 1, x1).detach()", "T.where(x0 > 0, x0, x1)", "T.where(x0 > 0, T.log(x0), x1)",
        "x0 == x1", "x0 < x1",
        "x0 >= x1", "T.isclose(x0, x1)", "T.isclose(x0, x1, equal_nan=True)", "T.nan_to_num(x0, 1.0, 2.0, -2.0)", "x0.sum()",
        "x0.prod().detach()",
        "x0.amax()", "x0.amin()", "x0.max()", "x0.min()", "x0.argmax()", "x0.argmin()", "x0.any()", "x0.all()", "x0.cumsum(-1)",
        "x0.cumprod(-1).detach()",
        "x0.sort(-1)", "x0.sort(-1, descending=True)", "x0.topk(1).values.detach()", "T.unique(x0)", "x0.logsumexp(-1)", "x0.softmax(-1)",
        "x0.log_softmax(-1)",
        "x0.mean()", "x0.max(-1)", "x0.min(-1)", "x0 & 3", "x0 | 1", "x0 ^ 5", "~x0", "x0.bool()", "x0.equal(x1)",
        "T.allclose(x0, x1)", "x0.count_nonzero()", "T.lerp(x0, x1, 0.5)", "T.lerp(x0, x1, 0.25)", "F.softplus(x0)", "F.leaky_relu(x0)",
        "F.silu(x0)", "x0.masked_fill(x1 > 0, 1)", "x0.to(T.float32)", "x0.nonzero()", "x0.tolist()", "x0.abs() * x1",
    )  # fmt: skip
    if dtype not in INTS and any(sign in text for sign in ("//", "%", "rounding")):
        # Where a / b overflows, PyTorch has NaN for the rest of the division; ours is right.
        arrays = [np.where(np.abs(each) < 1e-44, np.sign(each), each).astype(dtype) for each in arrays]
    if dtype == "float32" and minigrad.get_default_device().type == "cuda":  # there CuPy takes denormal numbers for zero
        arrays = [np.where(np.abs(each) < np.finfo(dtype).smallest_normal, each * 0, each) for each in arrays]
    if dtype == "float64" and any(name in text for name in ("sum", "mean")):  # what huge numbers leave of small ones hangs on the order
        arrays = [np.where(np.abs(each) == 1e300, np.sign(each) * 4.0, each) for each in arrays]
    return "y = " + text, arrays, "first"


@pytest.mark.parametrize("name", FAMILIES)
def test_programs_give_what_pytorch_gives(name):
    check(FAMILIES[name], name)
