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


@pytest.mark.parametrize("name", FAMILIES)
def test_programs_give_what_pytorch_gives(name):
    check(FAMILIES[name], name)
