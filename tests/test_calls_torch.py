"""Everyday calls, with all the ways to give their arguments, run here and by PyTorch; and new functions on drawn inputs.

calls.txt holds a call per line. In it `T` is either library, `F` its functional namespace; x is a matrix, v a vector, i
integers, m a mask, u bytes, h half precision, n holds a NaN, g wants a gradient, A is NumPy's, L indexes x along axis 1.
Both must give the same value, dtype, shape and requires_grad, or errors of one class. Lines with `;` run as statements.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from oracle import CASES, SEED, SHOWN, Draw, compare  # noqa: E402

import minigrad  # noqa: E402

CALLS = [line for line in Path(__file__).with_name("calls.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]

# Where the two differ, and why it stays so: (call, what is asked of ours).
DIFFERENT = [
    ("T.add(1, 2)", TypeError),  # PyTorch adds two numbers
    ("T.sigmoid(x, out=x)", TypeError),  # results are not written elsewhere: y.copy_(...)
    ("T.sigmoid(x, 1)", TypeError),
    ("T.sum(x, out=x)", TypeError),
    ("T.zeros(2, pin_memory=True)", TypeError),
    ("x.scatter(1, L, x, reduce='multiply')", NotImplementedError),
    ("T.detach(x)", AttributeError),  # methods only
    ("T.relu_(v)", AttributeError),
    ("T.strided", AttributeError),
    ("T.trace(x)", TypeError),  # minigrad.trace is another thing: x.trace()
    ("A + v", torch.Size([3])),  # NumPy's arrays on the left: PyTorch refuses most
    ("A @ v.double()", torch.Size([])),
    ("A < v", torch.Size([3])),
    ("np.exp(g)", torch.Size([3])),  # PyTorch refuses what wants a gradient
    ("np.sum(x, axis=0)", torch.Size([3])),
    ("np.add.reduce(v)", TypeError),
    ("T.zeros(2, dtype='float32')", torch.Size([2])),  # NumPy's names of dtypes are taken too
]


ON_THE_CPU = {  # asked of NumPy's arrays, or of the CPU by name
    "v*A", "v==A", "np.asarray(x)", "np.array(x)", "np.array([v,v])", "np.concatenate([v,v])", "np.stack([v,v])", "np.where(m,v,0)",
    "np.dot(A,v.double())", "np.allclose(v,A)", "np.from_dlpack(x)", "isinstance(x,T.FloatTensor)", "x.is_cuda", "x.device.type",
    "x.get_device()", "A + v", "A @ v.double()", "A < v", "A/v", "A==v", "np.multiply(A,v.double())", "np.minimum(A,v.double())",
}  # fmt: skip


def where_they_run(calls):
    """The calls as parameters of a test, those about the CPU marked."""
    mark = pytest.mark.host_only("about NumPy's arrays, or the CPU itself")
    return [pytest.param(each, marks=mark if each in ON_THE_CPU else ()) for each in calls]


def names(T):
    """What a call may use."""
    return {
        "T": T, "F": T.nn.functional, "np": np, "x": T.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), "v": T.tensor([1.0, -2.0, 3.0]),
        "i": T.tensor([1, 2, 3]), "m": T.tensor([True, False, True]), "u": T.tensor([1, 200], dtype=T.uint8),
        "g": T.tensor([1.0, -2.0, 3.0], requires_grad=True), "n": T.tensor([1.0, float("nan"), 3.0]),
        "h": T.tensor([1.0, 2.0], dtype=T.float16), "A": np.array([1.0, 2.0, 3.0]), "L": T.tensor([[2, 0, 1], [1, 1, 0]]),
    }  # fmt: skip


def answer(T, call):
    """What a call gives, in plain terms; an exception if it raises one."""
    space = names(T)
    *statements, expression = call.split(";")
    try:
        for statement in statements:
            exec(statement.strip(), space)
        return plain(T, eval(expression.strip(), space))
    except Exception as problem:
        return problem


def plain(T, value):
    if isinstance(value, T.Tensor):
        return str(value.dtype).split(".")[-1], tuple(value.shape), value.detach().numpy(force=True).copy(), value.requires_grad
    if isinstance(value, (tuple, list)) and type(value).__name__ != "Size":
        return [plain(T, each) for each in value]
    return str(value).split(".")[-1] if type(value).__name__ == "dtype" else tuple(value) if type(value).__name__ == "Size" else value


def alike(ours, theirs):
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        return isinstance(ours, Exception) and (type(ours).__name__ == type(theirs).__name__ or isinstance(ours, type(theirs)))
    if isinstance(theirs, tuple) and len(theirs) == 4 and isinstance(theirs[2], np.ndarray):
        tolerance = 1e-3 if theirs[0] == "float16" else 1e-5
        same = ours[:2] == theirs[:2] and ours[3] == theirs[3]
        return same and np.allclose(ours[2].astype(float), theirs[2].astype(float), tolerance, 1e-6, equal_nan=True)
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(theirs, np.ndarray):
        return isinstance(ours, np.ndarray) and ours.dtype == theirs.dtype and np.allclose(ours, theirs)
    return type(ours) is type(theirs) and (ours == theirs or ours == pytest.approx(theirs, rel=1e-6))


@pytest.mark.parametrize("call", where_they_run(CALLS))
def test_a_call_gives_what_pytorch_gives(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = answer(minigrad, call), answer(torch, call)
    assert alike(ours, theirs), f"{call}\n ours:   {ours!r}\n theirs: {theirs!r}"


@pytest.mark.parametrize("call", where_they_run(dict(DIFFERENT)))
def test_known_differences(call):
    ours, expected = answer(minigrad, call), dict(DIFFERENT)[call]
    if isinstance(expected, type):
        assert isinstance(ours, expected), ours
    else:
        assert ours[1] == tuple(expected)


# ------------------------------------------------------------------------------------------------- drawn at random

UNARY = [
    "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "exp2", "erfc", "sinc", "deg2rad", "rad2deg", "frac",
    "signbit", "isposinf", "isneginf", "nansum", "nanmean", "msort", "ravel", "median", "aminmax", "relu",
]  # fmt: skip
BINARY = ["atan2", "hypot", "logaddexp", "xlogy", "fmod", "fmax", "fmin", "float_power", "dist", "heaviside"]
ACTIVATIONS = [
    "elu", "celu", "selu", "relu6", "hardtanh", "mish", "hardsigmoid", "hardswish", "logsigmoid", "softsign", "tanhshrink",
    "leaky_relu",
]  # fmt: skip
LOSSES = ["l1_loss", "smooth_l1_loss", "huber_loss", "mse_loss", "binary_cross_entropy_with_logits", "kl_div"]


def one_function(draw):
    x = draw.array(draw.shape(), draw.dtype())
    x = x if x.size else x.astype("float64")  # PyTorch's median of no integers is whatever NaN becomes
    return f"y = T.{draw.one(*UNARY)}(x0)", [x]


def two_functions(draw):
    shape = draw.shape()
    x, z = (draw.array(draw.broadcast(shape, 0), draw.dtype().replace("uint8", "int8")) for _ in range(2))  # PyTorch's atan2 overflows
    return f"y = T.{draw.one(*BINARY)}(x0, x1)", [x, z]


def of_networks(draw):
    x, z = draw.numpy.uniform(-2, 2, (2, 2, draw.randint(1, 3)))  # no ties, at which second gradients are anyone's choice
    reduction = draw.one("mean", "sum", "none")
    return "y = " + draw.one(
        f"T.nn.functional.{draw.one(*ACTIVATIONS)}(x0)", f"T.nn.functional.{draw.one(*LOSSES)}(x0, x1, reduction={reduction!r})",
        f"T.nn.functional.normalize(x0, p={draw.one(1.0, 2.0, 3.0)}, dim={draw.one(0, 1)})",
        f"T.nn.functional.cosine_similarity(x0, x1, dim={draw.one(0, 1)})", "T.nn.functional.pairwise_distance(x0, x1)",
        f"T.nn.functional.pad(x0, {tuple(draw.randint(-1, 2) for _ in range(draw.one(2, 4)))}, value={draw.one(None, 1.5)})",
    ), [x, z]  # fmt: skip


def arranged(draw):
    shape = draw.shape(1, 3)
    shape = shape if math.prod(shape) else (2, 1)
    numbers = draw.numpy.permutation(math.prod(shape)).reshape(shape) - 3  # no ties: which of equals is chosen is anyone's choice
    x = numbers.astype(draw.one("float64", "float64", "int64")) * draw.one(1, 2)
    ndim, dim = x.ndim, draw.dim(x.ndim)
    return "y = " + draw.one(
        f"T.diff(x0, n={draw.randint(1, 3)}, dim={dim})", f"T.cummax(x0, {dim})", f"T.cummin(x0, dim={dim})",
        "T.flipud(x0)", "T.fliplr(x0)",
        f"x0.unfold({dim}, {draw.randint(0, 3)}, {draw.randint(1, 2)})", f"T.diag_embed(x0, {draw.randint(-2, 2)})",
        f"T.rot90(x0, {draw.randint(-3, 4)}, ({draw.dim(ndim)}, {draw.dim(ndim)}))", "T.hstack([x0, x0])", "T.vstack([x0, x0])",
        "T.dstack([x0, x0])", "T.atleast_3d(x0)", f"T.tensor_split(x0, {draw.randint(1, 4)}, {dim})",
        f"T.tensor_split(x0, ({draw.randint(0, 2)}, {draw.randint(-1, 3)}), dim={dim})",
        "T.meshgrid(x0.ravel(), x0.ravel(), indexing='xy')",
        f"x0.index_fill({dim}, T.tensor([0]), 2)", "T.take(x0, T.tensor([0, -1, 0]))", f"x0.median({dim})[0]",
        f"x0.kthvalue({draw.randint(0, 3)}, {dim})[0]",
        f"T.quantile(x0, {draw.one(0.0, 0.3, 0.5, 1.0)}, dim={draw.one(dim, None)}, keepdim={draw.coin()})",
        "T.unique_consecutive(x0 // 1, return_inverse=True, return_counts=True)", "T.block_diag(x0, x0)",
        "T.cartesian_prod(x0.ravel(), x0.ravel())",
        f"T.std_mean(x0, {dim})", "T.isin(x0, x0 * 2)", "T.column_stack([x0, x0])",
        "T.masked_scatter(x0, x0 > 0, x0 * 2)", "T.bucketize(x0, T.tensor([0.0, 1.0]))", "T.ravel(x0)",
        f"x0.clone().transpose_(0, {dim}).mul_(2)", "x0.clone().t_() * 2", f"x0.clone().unsqueeze_({dim}) + 1",
        "x0.clone().squeeze_() * x0.sum()",
    ), [x]  # fmt: skip


FAMILIES = {each.__name__: each for each in (one_function, two_functions, of_networks, arranged)}


@pytest.mark.parametrize("name", FAMILIES)
def test_functions_give_what_pytorchs_give(name):
    failures = []
    for number in range(CASES):
        draw = Draw(f"{SEED} {name} {number}")
        lines, arrays = FAMILIES[name](draw)
        found = compare(lines, arrays, [draw.coin(0.85) for _ in arrays])
        if found is not None:
            failures.append(f"{number}: {lines} {[(each.dtype.name, each.shape) for each in arrays]} -> {found}")
    if failures:
        pytest.fail(f"MINIGRAD_SEED={SEED}: {len(failures)} of {CASES}\n" + "\n".join(failures[:SHOWN]), pytrace=False)
