"""Reductions, running sums and products, order."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from oracle import FLOATS, check  # noqa: E402

FAMILIES = {}


def family(draw):
    """Enter a function from a Draw to (lines of source, input arrays) into the list of families."""
    FAMILIES[draw.__name__] = draw
    return draw


@family
def reducing(draw):
    """Reductions over one dim, several or all."""
    x = draw.array(draw.shape(0, 4), draw.dtype().replace("uint8", "int8"))  # all() of uint8 is uint8 there
    x = x if x.size else x.astype("float64")
    dims, dim, keep = draw.dims(x.ndim), draw.dim(x.ndim), draw.one(True, False)
    name = draw.one("sum", "mean", "amax", "amin", "any", "all", "logsumexp", "var", "std", "norm", "count_nonzero")
    x = x.astype("float32") if name == "norm" and x.dtype == "float16" else x  # PyTorch's own steps overflow there
    where = "" if dims is None else f"dim={dims}, "
    plain = {
        "logsumexp": f"T.logsumexp(x0, {dim if dims is None else dims}, keepdim={keep})",
        "var": f"T.var(x0, {where}correction={draw.one(0, 1, 0.5)}, keepdim={keep})",
        "std": f"x0.std({where}unbiased={draw.one(True, False)}, keepdim={keep})" if dims is not None else "x0.std()",
        "norm": f"T.norm(x0, p={draw.one(2, 1, 3, 0, 2.5, 0.5, -1, chr(39) + 'fro' + chr(39), 'T.inf', '-T.inf')}, {where}keepdim={keep})",
        "count_nonzero": f"T.count_nonzero(x0, dim={dims})",
    }
    text = plain.get(name) or (f"x0.{name}({where}keepdim={keep})" if dims is not None else f"x0.{name}()")
    one = draw.one("prod", "max", "min", "argmax", "argmin", "cumsum", "cumprod", "softmax", "log_softmax")
    single = (
        f"T.{one}(x0, {dim})"
        if "cum" in one or "soft" in one
        else draw.one(f"T.{one}(x0, {dim}, {keep})", f"x0.{one}()", f"x0.{one}(dim={dim})")
    )
    typed = f"x0.{draw.one('sum', 'mean', 'prod')}(dtype=T.{draw.one(*FLOATS)})"
    soft = f"x0.{draw.one('softmax', 'log_softmax')}(dim={dim}, dtype=T.float64)"
    extra = draw.one(
        typed,
        soft,
        "x0.sum(dim=())",
        f"x0.sum({dim}, {keep})",
        f"x0.mean({dim})",
        f"x0.cumsum(dim={dim}, dtype=T.float64)",
        "x0.var(False)",
    )
    return "y = " + draw.one(text, text, single, single, extra), [x]


@family
def ordering(draw):
    """sort, topk, unique and the like; where values repeat, values are compared and positions only if unique."""
    x = (
        draw.numpy.permutation(np.prod(shape := draw.shape(), dtype=int))
        .reshape(shape)
        .astype(draw.one("float64", "float64", "float32", "int64", "int32"))
    )
    dim = draw.dim(x.ndim)
    text = draw.one(
        f"x0.sort({dim})", f"x0.sort({dim}, True)", f"T.sort(x0, descending={draw.coin()}, stable=True)", f"x0.argsort({dim})",
        f"x0.topk({draw.randint(0, 3)}, {dim})", f"x0.topk({draw.randint(0, 2)}, dim={dim}, largest=False)", "T.unique(x0 // 2)",
        "T.unique(x0 // 2, return_inverse=True, return_counts=True)", "T.unique(x0, return_counts=True)", f"T.unique(x0 // 3, dim={dim})",
        f"x0.max({dim})", f"(x0 // 2).max({dim})", f"(x0 // 2).min({dim}, keepdim=True)", f"(x0 // 2).argmax({dim})",
        f"(x0 // 2).sort(dim={dim}, stable=True)", f"T.argsort(x0 // 2, dim={dim}, descending={draw.coin()}, stable=True)",
        "T.bincount(x0.flatten().long())", f"T.bincount(x0.flatten().long(), minlength={draw.randint(0, 9)})",
        "T.bincount(x0.flatten().long(), weights=x0.flatten().double())", "T.nonzero(x0 % 2)", "T.nonzero(x0, as_tuple=True)",
        "(x0 > 1).nonzero()",
    )  # fmt: skip
    return "y = " + text, [x]


@family
def reducing_wrongly(draw):
    """dims that are named twice or do not exist, nothing to reduce, keepdim, ties, dtypes."""
    shape = draw.shape(0, 3)
    x = draw.array(shape, draw.one("float64", "float64", "float32", "int64", "bool", "int8", "uint8"))
    ndim, keep = max(x.ndim, 1), draw.one("", ", keepdim=True", ", keepdim=False")
    dims = draw.one(
        f"{draw.dim(ndim, 0.15)}",
        f"{tuple(draw.dim(ndim, 0) for _ in range(draw.randint(0, 3)))}",
        f"[{draw.dim(ndim, 0.05)}]",
        "()",
        "None",
    )
    one = f"{draw.dim(ndim, 0.15)}"
    several = ["sum", "mean", "amax", "amin", "any", "all", "count_nonzero", "norm", "var", "std", "logsumexp"]
    name = draw.choice(several if dims != "()" else several[:-3])  # logsumexp of () fails there by accident
    text = draw.one(
        f"x0.{name}(dim={dims}{keep})" if name != "count_nonzero" else f"x0.count_nonzero(dim={dims})",
        f"T.{draw.one('sum', 'mean', 'prod')}(x0)",
        f"x0.{draw.one('prod', 'max', 'min', 'argmax', 'argmin')}({one}{keep})",
        f"x0.{draw.one('max', 'min', 'argmax', 'argmin', 'amax', 'amin')}()",
        f"x0.{draw.one('cumsum', 'cumprod', 'softmax', 'log_softmax', 'argsort', 'sort', 'unbind')}({one})",
        f"x0.topk({draw.randint(-1, 4)}, {one}).values",
        f"x0.sum({one}, dtype=T.{draw.one('float32', 'int32', 'bool', 'int64')})", f"x0.var({one}, correction={draw.one(0, 1, 2, 5)})",
        f"x0.std(correction={draw.one(0, 1, 3)})", f"x0.std({one}, False)", f"x0.var({one}, True, True)",
        f"T.logsumexp(x0, {dims if dims != '()' else 0})",
        f"x0.norm({draw.one(0, 1, 2, 3, 0.5, -1, 'T.inf', '-T.inf')}, {dims if dims[0] != '(' else one}{keep})", f"x0.unique(dim={one})",
    )  # fmt: skip
    return f"y = {text}", [x]


@family
def ties(draw):
    """Values that repeat: how gradients are shared, and what comes first where order is kept."""
    x = np.round(draw.numpy.uniform(-1.5, 1.5, shape := draw.shape(1, 3))).astype(draw.one("float64", "float32"))
    dim, keep = draw.dim(len(shape), 0), draw.one(True, False)
    text = draw.one(
        f"x0.amax({dim}, {keep})", f"x0.amin({dim}, {keep})", "x0.amax()", "x0.max()", "x0.min()", f"x0.max({dim}, {keep})",
        f"x0.min({dim}, {keep})",
        f"x0.sort(dim={dim}, stable=True)" if draw.coin() else f"T.sort(x0, dim={dim}, stable=True, descending=True)",
        f"x0.argmax({dim})", "x0.argmin()",
        f"x0.prod({dim})", "x0.prod()", f"x0.cumprod({dim})", "x0.norm()", f"x0.norm(1, {dim})", f"x0.norm(3, {dim})",
        f"x0.norm(0.5, {dim})",
        f"x0.norm(T.inf, {dim})", f"x0.norm(-T.inf, {dim})", f"x0.norm(0, {dim})", f"x0.std({dim}, correction=0)", f"x0.var({dim})",
        "x0.abs()",
        "x0.sign()", "x0.relu()", "x0.clamp(-1, 1)", "T.maximum(x0, x0.flip(0))", "T.minimum(x0, x0.flip(-1))", f"x0.norm(1.5, {dim})",
        f"x0.sort({dim}).values", "T.unique(x0, return_inverse=True, return_counts=True)", f"x0.logsumexp({dim})",
        "x0.norm(4)", f"x0.max({dim}).indices", "T.where(x0 == 0, x0, x0 * 2)", "x0.mean()",
    )  # fmt: skip
    return f"y = {text}", [x], "first"


@pytest.mark.parametrize("name", FAMILIES)
def test_programs_give_what_pytorch_gives(name):
    check(FAMILIES[name], name)
