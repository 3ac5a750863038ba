"""Programs drawn at random, run here and by PyTorch: values, gradients, second gradients, promotion, errors.

A case is a few lines of source text over inputs x0, x1, … in which `T` stands for either library and `F` for its
functional namespace. Both run the same text. A run prints its seed; MINIGRAD_SEED repeats it, MINIGRAD_CASES says how
many cases each family draws.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from compare import settle  # noqa: E402

import minigrad  # noqa: E402

SEED = int(os.environ.get("MINIGRAD_SEED", random.SystemRandom().getrandbits(32)))
CASES = int(os.environ.get("MINIGRAD_CASES", 250))
SHOWN = int(os.environ.get("MINIGRAD_SHOWN", 5))  # failures printed per family
F = {torch: torch.nn.functional, minigrad: minigrad.ops}
FLOATS, INTS = ("float64", "float32"), ("int64", "int32", "int16", "int8", "uint8")
DTYPES = (*FLOATS, "float16", *INTS, "bool")
FAMILIES = {}


def family(draw):
    """Enter a function from a Draw to (lines of source, input arrays) into the list of families."""
    FAMILIES[draw.__name__] = draw
    return draw


class Draw(random.Random):
    """The random choices of one case."""

    def __init__(self, name):
        super().__init__(name)
        self.numpy = np.random.default_rng(self.getrandbits(64))

    def one(self, *choices):
        return self.choice(choices)

    def coin(self, chance=0.5):
        return self.random() < chance

    def size(self):
        return self.one(0, 1, 1, 2, 2, 3, 3, 4) if self.coin(0.3) else self.one(1, 2, 3)

    def shape(self, low=0, high=3):
        return tuple(self.size() for _ in range(self.randint(low, high)))

    def dim(self, ndim, wrong=0.04):
        """A dim, from either end; now and then one that does not exist."""
        ndim = max(ndim, 1)
        return self.one(-ndim - 1, ndim) if self.coin(wrong) else self.randrange(-ndim, ndim)

    def dims(self, ndim):
        """One dim, several as a tuple, or None."""
        kind = self.randrange(4)
        if kind == 0:
            return None
        return self.dim(ndim) if kind == 1 or ndim == 0 else tuple(self.sample(range(-ndim, 0), self.randint(1, ndim)))

    def array(self, shape, dtype="float64", low=-2.0, high=2.0):
        """Numbers between low and high; one time in four only halves, so that there are ties, zeros and ones."""
        numbers = self.numpy.uniform(low, high, shape)
        if dtype == "bool":
            return numbers > 0
        if np.dtype(dtype).kind in "iu":
            return np.floor(numbers * 2 if dtype != "uint8" else numbers * 2 + 4).astype(dtype)
        return np.asarray(np.round(numbers * 2) / 2 if self.coin(0.25) else numbers, dtype)

    def dtype(self):
        return self.one(*DTYPES) if self.coin(0.25) else "float64"

    def broadcast(self, shape, wrong=0.02):
        """A shape that broadcasts to another, or now and then does not."""
        kept = tuple(1 if self.coin(0.25) else size for size in shape)[self.randint(0, len(shape)) if self.coin(0.3) else 0 :]
        return (*kept, 5) if self.coin(wrong) else kept


def integers(draw, shape, limit):
    """Source text of a tensor of int64 below limit, which indices and ids are."""
    return f"T.tensor({draw.numpy.integers(0, max(limit, 1), shape).tolist()}, dtype=T.int64).reshape({tuple(shape)})"


# ---------------------------------------------------------------------------------------------------------- the families

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


@family
def products(draw):
    """matmul of all ranks, and its relatives."""
    n, k, m, b = (draw.size() for _ in range(4))
    wrong = k + 1 if draw.coin(0.05) else k
    front = draw.shape(0, 2)
    shapes, text = draw.one(
        ([(*draw.broadcast(front), n, k), (*draw.broadcast(front), wrong, m)], "x0 @ x1"), ([(k,), (wrong,)], "T.matmul(x0, x1)"),
        ([(k,), (*front, wrong, m)], "T.matmul(x0, x1)"), ([(*front, n, k), (wrong,)], "x0.matmul(x1)"),
        ([(n, k), (wrong, m)], draw.one("T.mm(x0, x1)", "x0.mm(x1)", "T.bmm(x0, x1)" if draw.coin(0.1) else "x0 @ x1")),
        ([(b, n, k), (b, wrong, m)], "T.bmm(x0, x1)"), ([(n, k), (wrong,)], "T.mv(x0, x1)"), ([(k,), (wrong,)], "T.dot(x0, x1)"),
        ([(n,), (m,)], "T.outer(x0, x1)"),
        ([draw.broadcast((n, m), 0), (n, k), (k, m)], f"T.addmm(x0, x1, x2, beta={draw.one(1, 0.5, 0)}, alpha={draw.one(1, 2.0)})"),
        ([draw.broadcast((b, n, m), 0), (b, n, k), (b, k, m)], f"T.baddbmm(x0, x1, x2, beta={draw.one(1, 0.5)}, alpha={draw.one(1, 2.0)})"),
        ([(*front, k), (m, wrong), (m,)], "F.linear(x0, x1, x2)"), ([(*front, k), (m, k)], "F.linear(x0, x1)"),
        ([(n, k, m), (k, m, b)], "T.tensordot(x0, x1)"), ([(n, k), (k, m)], "T.tensordot(x0, x1, dims=1)"),
    )  # fmt: skip
    dtype = draw.one("float64", "float64", "float64", "float32", "float64" if "add" in text else "int64")
    second = dtype if draw.coin(0.97) or 0 in sum(shapes, ()) else "float32"
    return "y = " + text, [draw.array(shape, dtype if place == 0 else second) for place, shape in enumerate(shapes)]


@family
def einsum(draw):
    """einsum with random letters, repeated ones, ellipses, implicit and explicit results."""
    sizes = {letter: draw.one(1, 2, 3) for letter in "abcde"}
    operands = [[draw.one(*"abcde") for _ in range(draw.randint(0, 3))] for _ in range(draw.randint(1, 3))]
    dots = [draw.coin(0.25) for _ in operands]
    spread = draw.shape(0, 2)
    arrays = [
        draw.array((*(draw.broadcast(spread, 0) if dot else ()), *[sizes[letter] for letter in letters]))
        for dot, letters in zip(dots, operands)
    ]
    left = ",".join("..." * dot + "".join(letters) for dot, letters in zip(dots, operands))
    letters = sorted(set(itertools.chain(*operands)))
    draw.shuffle(letters)
    right = ("..." if any(dots) else "") + "".join(letters[: draw.randint(0, len(letters))])
    equation = left if draw.coin(0.25) else f"{left}->{right}"
    names = ", ".join(f"x{place}" for place in range(len(arrays)))
    return f"y = T.einsum({equation!r}, {names})", arrays


@family
def shapes(draw):
    """Everything that moves elements."""
    x = draw.array(shape := draw.shape(0, 4), draw.dtype())
    ndim, dim, other = x.ndim, draw.dim(x.ndim), draw.dim(x.ndim)
    divisors = [each for each in (1, 2, 3, 4, 6) if x.size % each == 0]
    part = draw.choice(divisors)
    wanted = (*draw.shape(0, 1), *(size if size != 1 else draw.one(1, 3, -1, 0) for size in shape))
    order = draw.sample(range(-ndim, 0), ndim)
    some = tuple(draw.sample(range(-ndim, 0), draw.randint(0, ndim)))
    others = tuple(draw.sample(range(ndim), len(some)))
    times = tuple(draw.one(0, 1, 2, 2) for _ in range(ndim + draw.one(-1, 0, 0, 1) if ndim else 1))
    length = shape[dim] if ndim and -ndim <= dim < ndim else 1
    cut = draw.randint(0, length)
    text = draw.one(
        f"x0.reshape({part}, -1)", f"x0.reshape(-1, {part})", f"T.reshape(x0, ({part}, {x.size // part}))", "x0.view(-1)",
        f"x0.reshape({draw.one(5, -1, 0)})", f"x0.reshape(0, {draw.one(-1, 0, 2)})", f"x0.flatten({dim}, {other})",
        f"T.flatten(x0, {dim})", "x0.flatten()", f"x0.unflatten({dim}, (-1, {draw.one(1, 2)}))", f"x0.transpose({dim}, {other})",
        f"T.permute(x0, {tuple(order)})", f"x0.permute({order})", "x0.t()", "x0.mT" if ndim > 1 else "x0",
        f"T.movedim(x0, {dim}, {other})", f"x0.movedim({some}, {others})", "x0.squeeze()", f"x0.squeeze({dim})", f"x0.squeeze({some})",
        f"x0.unsqueeze({draw.dim(ndim + 1)})", f"x0.expand({wanted})", f"x0.expand({list(wanted)})", f"x0.repeat({times})",
        f"x0.tile({times})", f"T.tile(x0, {times})", f"x0.repeat_interleave({draw.randint(0, 3)})",
        f"T.repeat_interleave(x0, {draw.randint(0, 3)}, {dim})",
        f"x0.repeat_interleave(T.tensor({[draw.randint(0, 2) for _ in range(length)]}, dtype=T.int64), dim={dim})",
        f"x0.split({draw.randint(0, 3)}, {dim})", f"T.split(x0, [{cut}, {length - cut}], {dim})", f"x0.split([{cut}, {length - cut}])",
        f"T.chunk(x0, {draw.randint(1, 4)}, {dim})", f"x0.unbind({dim})", f"T.flip(x0, {some})", f"x0.flip({dim})",
        f"x0.roll({draw.randint(-3, 4)})", f"T.roll(x0, {draw.randint(-3, 4)}, {dim})",
        f"x0.roll({tuple(draw.randint(-2, 2) for _ in some)}, {some})", f"x0.narrow({dim}, {draw.randint(-1, 2)}, {draw.randint(0, 2)})",
        f"x0.select({dim}, {draw.randint(-2, 2)})", f"T.tril(x0, {draw.randint(-2, 2)})", f"x0.triu({draw.randint(-2, 2)})",
        f"T.diagonal(x0, {draw.randint(-1, 1)}, {dim}, {other})", "x0.T" if ndim == 2 else "x0.t()", f"x0.broadcast_to({wanted})",
        f"T.cat([x0, x0 * 2], {dim})", f"T.stack([x0, x0], {draw.dim(ndim + 1)})", "T.cat([x0, x0[:0], x0], 0)", "x0.contiguous()",
        "list(x0)", f"x0.{draw.one('half', 'float', 'double', 'int', 'long', 'bool')}()", f"x0.to(T.{draw.one(*DTYPES)})",
        f"T.{draw.one('zeros', 'ones')}_like(x0)", "x0.numel()", f"T.full_like(x0, {draw.one(1, 0, 2)})", "x0.tolist()", "x0.item()",
        "len(x0)", "bool(x0)", "T.swapaxes(x0, 0, -1)", f"x0.size({dim})", "x0.diagonal()", "x0.type_as(x0.float())",
        f"x0.view({part}, {x.size // part}).t()", f"x0.chunk({draw.randint(1, 3)})", "float(x0.amax())", "int(x0.amin())",
    )  # fmt: skip
    return f"y = {text}", [x]


@family
def joining(draw):
    """cat and stack of tensors of several dtypes."""
    shape = draw.shape(1, 3)
    dim = draw.randrange(-len(shape), len(shape))
    arrays = []
    for _ in range(draw.randint(1, 3)):
        size = draw.size() if draw.coin(0.5) else shape[dim]
        full = list(shape)
        full[dim] = size
        full = full if draw.coin(0.97) else [*full, 2]
        arrays.append(draw.array((0,) if arrays and draw.coin(0.05) else tuple(full), draw.dtype()))
    names = ", ".join(f"x{place}" for place in range(len(arrays)))
    return f"y = T.{draw.one('cat', 'cat', 'stack', 'concat')}([{names}], {draw.one(f'dim={dim}', dim)})", arrays


@family
def along(draw):
    """gather, scatter and relatives along a dim, and masks."""
    shape = draw.shape(0, 3)
    x = draw.array(shape, draw.one("float64", "float64", "float32", "int64"))
    dim = draw.dim(x.ndim, 0.02)
    axis = dim % max(x.ndim, 1)
    length = shape[axis] if shape else 1
    index = tuple(draw.randint(0, 4) if place == axis else draw.randint(0, size) for place, size in enumerate(shape))
    bad = 1 if draw.coin(0.03) else 0
    ids = integers(draw, index, length + bad)
    vector = draw.one((draw.randint(0, 4) if length else 0,), ()) if length and shape else (1,) if length else (0,)
    row = integers(draw, vector, length)
    source = draw.array(tuple(size + draw.one(0, 0, 1) for size in index), x.dtype.name)
    one = tuple((draw.randint(1, 3)) if place == axis else draw.one(1, size) for place, size in enumerate(shape))
    added = draw.array(
        tuple(vector[0] if place == axis and vector else 1 if place == axis else size for place, size in enumerate(shape)), x.dtype.name
    )
    mask = draw.array(draw.broadcast(shape), "bool")
    number = draw.one(0, 1, 2.5, "-T.inf", True)
    text = draw.one(
        f"T.gather(x0, {dim}, {ids})", f"x0.scatter({dim}, {ids}, x1)", f"x0.scatter({dim}, {ids}, {draw.one(0, 2.0)})",
        f"T.scatter_add(x0, {dim}, {ids}, x1)", f"x0.take_along_dim({integers(draw, one, length)}, {dim})",
        f"T.take_along_dim(x0, {integers(draw, (2,), x.size)})", f"x0.index_select({dim}, {row})",
        f"x0.index_add({dim}, {row}, x2, alpha={draw.one(1, 2)})", f"x0.masked_fill(x3, {number})", "x0.masked_fill(x3, x1.sum())",
        "T.masked_select(x0, x3)", "x0[x3]", "x0.clone().masked_fill_(x3, 1)", f"x0.clone().scatter_({dim}, {ids}, 1)",
        f"x0.clone().scatter_add_({dim}, {ids}, x1)", f"x0.clone().index_add_({dim}, {row}, x2)", f"F.one_hot({ids})",
        f"F.one_hot({row}, {length + 1})",
    )  # fmt: skip
    return f"y = {text}", [x, source, added, mask]


@family
def creating(draw):
    """Tensors made from numbers."""
    dtype = f"T.{draw.one(*DTYPES)}"
    size = draw.shape(0, 3)
    start, step = draw.one(0, 1, -2, 0.5, 1.0), draw.one(1, 2, 0.3, -1, 0.1)
    text = draw.one(
        f"T.zeros({size})", f"T.ones({size}, dtype={dtype})", f"T.full({size}, {draw.one(1, 2.5, True)})",
        f"T.full({size}, 3, dtype={dtype})", f"T.empty({size}).shape == {size}", f"T.arange({draw.one(0, 3, 2.5, 5)})",
        f"T.arange({start}, {draw.one(3, 4, 0, 2.5)}, {step})", f"T.arange({draw.randint(0, 4)}, dtype={dtype})",
        f"T.linspace({start}, {draw.one(3, -1.5, 0)}, {draw.randint(0, 5)})", f"T.eye({draw.randint(0, 3)})",
        f"T.eye(2, {draw.randint(0, 3)}, dtype={dtype})", f"x0.new_zeros({size})", f"x0.new_ones({size}, dtype={dtype})",
        f"x0.new_full({size}, 2)", "x0.new_tensor([1, 2])", f"T.zeros_like(x0, dtype={dtype})", "T.ones_like(x0)",
        f"T.full_like(x0, {draw.one(1, 0)})",
        f"T.tensor({draw.one(1, 1.5, True, [], [[1, 2], [3, 4]], [1, 2.5], [True, False], [[]], [True, 2])})",
        f"T.tensor([1, 0, 2], dtype={dtype})", "T.tensor([x0.sum(), 1.0])", "T.as_tensor([1, 2])", "T.tensor([[1], [1, 2]])",
        f"T.tensor({draw.one(1, 2.0)}, dtype={dtype})",
    )  # fmt: skip
    return f"y = {text}", [draw.array(draw.shape(), draw.dtype())]


def index_text(draw, shape, distinct=False):
    """Source text of an index for a tensor of that shape: integers, slices, None, ..., masks, tensors, lists, mixed."""
    parts, axis, many = [], 0, draw.one((2,), (3,), (1,), (2, 1), (2, 2), ())
    while axis < len(shape) and draw.coin(0.8):
        size = shape[axis]
        kind = draw.choice(["int", "slice", "slice", "none", "full", "tensor", "list", "mask", "wide"])
        if draw.coin(0.01):
            kind, size = "int", size + 3
        if kind in ("int", "tensor", "list") and size == 0:
            kind = "slice"
        if kind == "none":
            parts.append("None")
            continue
        axis += 1
        if kind == "int":
            parts.append(str(draw.randrange(-size, size)))
        elif kind == "full":
            parts.append(":")
        elif kind == "slice":
            low, high = draw.one("", draw.randint(-3, 3)), draw.one("", draw.randint(-3, 4))
            parts.append(f"{low}:{high}{draw.one('', '', ':2', ':3')}")
        elif kind in ("tensor", "list"):
            ids = draw.numpy.integers(-size, size, many).tolist()
            parts.append(f"T.tensor({ids})" if kind == "tensor" or not many else str(ids))
        elif kind == "wide" and axis < len(shape):
            wide = shape[axis - 1 : axis + 1]
            parts.append(f"T.tensor({draw.array(wide, 'bool').tolist()}, dtype=T.bool).reshape({wide})")
            axis += 1
        else:
            parts.append(f"T.tensor({draw.array((size,), 'bool').tolist()}, dtype=T.bool)")
    if draw.coin(0.25):
        parts.insert(draw.randint(0, len(parts)) if axis == len(shape) else len(parts), "...")
    return ", ".join(parts) or "..."


@family
def reading(draw):
    """x[index], and indices of indices."""
    x = draw.array(shape := draw.shape(0, 4))
    lines = [f"y = x0[{index_text(draw, shape)}]"]
    if draw.coin(0.2):
        odd = (0, -1, ":", "...", "None", "x0 > 0", "True", "False", "0.5", "::-1", "[0, 0]", "[[0, 0]]", "()", "x0", "x0 > 0, None")
        lines = [f"y = x0[{draw.choice(odd)}]"]
    if draw.coin(0.3):
        lines.append("y = [y, y * x0.sum()]")
    return "\n".join(lines), [x]


@family
def assigning(draw):
    """x[index] = value with gradients to both; values are numbers or tensors that broadcast."""
    x = draw.array(shape := draw.shape(0, 4))
    index = index_text(draw, shape)
    try:
        target = eval(f"x[{index}]", {"x": torch.zeros(shape), "T": torch}).shape
        dtype = draw.one("float64", "float64", "float64", "float32", "int64")
    except Exception:
        target, dtype = (), "float64"
    value = draw.array((1, *target) if draw.coin(0.05) else draw.broadcast(tuple(target)), dtype)
    given = draw.one("x1", "x1", "x1", "x1 * 2", "1", "2.5")
    start = draw.one("z = x0 * 2", "z = x0.clone()", "z = x0.detach().clone()", "z = T.zeros_like(x0)")
    lines = [start, *["w = z * z"] * (draw.coin(0.3)), f"z[{index}] = {given}"]
    if draw.coin(0.3):
        lines.append(f"z[{index_text(draw, shape)}] {draw.one('=', '+=', '*=')} {draw.one('1.5', 'x0.sum()')}")
    lines.append("y = z * z" + (" + w.sum()" if len(lines) > 3 and draw.coin(0.3) and "w = " in lines[1] else ""))
    return "\n".join(lines), [x, value]


@family
def changing(draw):
    """Programs of in-place operations on tensors with history, on their views, and views of those; all used afterwards."""
    shape = draw.one((2, 3), (3, 2), (2, 2, 2), (4,), (1, 3), (3, 3))
    x, z = draw.numpy.uniform(-2, 2, (2, *shape))  # no ties: finite differences are taken where PyTorch refuses
    lines = [draw.one("a = x0 * 2", "a = x0.tanh()", "a = x0 + x1", "a = x0.clone()", "a = x0.detach().clone()", "a = x0.exp()")]
    pool = ["a"]
    fresh = iter("bcdefghijk")
    for _ in range(draw.randint(2, 7)):
        name, other = draw.choice(pool), draw.choice(pool)
        kind = draw.randrange(6)
        if kind in (0, 1):
            pool.append(new := next(fresh))
            view = draw.one(
                "[0]",
                "[..., 0]",
                "[1:]",
                ".reshape(-1)",
                ".flatten()",
                ".transpose(0, -1)",
                "[None]",
                ".unsqueeze(-1)",
                "[-1:]",
                "[:]",
                ".squeeze()",
                "[...]",
                ".t()",
                ".detach()",
                ".expand_as({0})",
            )
            lines.append(f"{new} = {name}{view.format(name)}")
        elif kind == 2:
            pool.append(new := next(fresh))
            lines.append(f"{new} = {name} * {draw.one('2', other + '.sum()', name)}")
        elif kind == 3:
            call = draw.one(
                "mul_(3)", "add_(1)", f"mul_({other}.sum())", f"add_({name})", "tanh_()", "neg_()", "zero_()", "fill_(2.0)", "relu_()",
                f"copy_({other}.sum())", "mul_(x1.sum())", "exp_()", "sub_(x1.mean())", f"div_(3 + {other}.sum() ** 2)", "clamp_(-1, 1)",
                "sigmoid_()",
            )  # fmt: skip
            lines.append(f"{name}.{call}")
        elif kind == 4:
            place = draw.one("0", "...", "-1:", "..., 0", "..., -1:", f"{name} > 0", "[0]", "None", "0:1")
            lines.append(f"{name}[{place}] {draw.one('=', '=', '+=', '*=')} {draw.one('2.0', other + '.sum()', 'x1.sum()')}")
        else:
            lines.append(f"{name} {draw.one('+=', '*=', '-=')} {draw.one('2', 'x1.mean()', other + '.sum()', name)}")
    lines.append(f"y = [{', '.join(pool)}]" if draw.coin() else f"y = [{', '.join(draw.sample(pool, draw.randint(1, len(pool))))}]")
    return "\n".join(lines), [x, z]


@family
def programs(draw):
    """Expressions that use earlier results several times."""
    shape = draw.shape(1, 2)
    arrays = [draw.array(draw.broadcast(shape, 0)) for _ in range(3)]
    pool, lines = ["x0", "x1", "x2"], []
    for number in range(draw.randint(3, 8)):
        a, b = draw.choice(pool), draw.choice(pool)
        text = draw.one(
            f"{a} * {b}", f"{a} + {b}", f"{a} - {b}", f"{a} / ({b} * {b} + 1)", f"T.tanh({a})", f"T.sigmoid({a})", f"{a}.exp().log1p()",
            f"T.maximum({a}, {b})", f"T.where({a} > {b}, {a}, {b} * 2)", f"{a}.softmax(-1)", f"{a}.sum(-1, keepdim=True)",
            f"{a} * {b}.mean()", f"T.cat([{a}, {a}], -1)[..., :{a}.shape[-1]]", f"{a}.flip(0)", f"{a}.cumsum(-1)",
            f"({a} ** 2 + 1).sqrt()", f"{a}.transpose(0, -1).transpose(0, -1)", f"{a} - {a}.amax(-1, keepdim=True)",
            f"{a}[..., :1] * {a}", f"({a} * {a} + 1) ** {b}.tanh()", f"{a}.unsqueeze(0).squeeze(0)", f"T.log_softmax({a}, 0)",
            f"{a}.logsumexp(-1, keepdim=True)", f"{a}.sin() * {b}.cos()", f"T.stack([{a}, {a} * 2]).prod(0)",
            f"{a}.var(-1, keepdim=True, correction=0)", f"{a}.sort(-1)[0]", f"{a}.cumprod(-1)", f"F.gelu({a})", f"F.softplus({a})",
            f"{a}.norm() + {b}", f"sum({a}.unbind(0), {a}.sum())", f"sum(c.sum() for c in {a}.chunk(2, -1)) * {b}",
            f"{a} @ {a}.mT if {a}.dim() > 1 else {a}.dot({a})", f"{a}.expand_as({a} + {b}) * {b}",
        )  # fmt: skip
        lines.append(f"p{number} = {text}")
        pool.append(f"p{number}")
    lines.append(f"y = [{', '.join(pool[-2:])}]")
    return "\n".join(lines), arrays


# ----------------------------------------------------------------------------------------------------------- the comparison


def run(T, lines, arrays, wanted, orders):
    """What a program gives: its values, or its error; its gradients, or theirs; its second gradients."""
    inputs = [T.tensor(array) for array in arrays]
    for tensor, each in zip(inputs, wanted, strict=True):
        if each and tensor.is_floating_point():
            tensor.requires_grad_()
    names = {"T": T, "F": F[T], **{f"x{place}": tensor for place, tensor in enumerate(inputs)}}
    try:
        exec(lines, names)
        settle()
    except Exception as problem:
        with contextlib.suppress(Exception):
            settle()
        return {"error": problem}
    values = flat(names["y"])
    results = {"values": [plain(each) for each in values], "used": [isinstance(each, T.Tensor) and each.requires_grad for each in values]}
    leaves = [each for each in inputs if each.requires_grad]
    for order in range(1, orders + 1):
        used = [each for each in values if isinstance(each, T.Tensor) and each.requires_grad]
        if not used:
            break
        try:
            given = [T.tensor(weights(each)) for each in used]
            found = T.autograd.grad(used, leaves, given, create_graph=order < orders, allow_unused=True)
        except Exception as problem:
            results[f"gradient {order}"] = problem
            break
        results[f"gradient {order}"] = [
            np.zeros_like(plain(each)) if gradient is None else plain(gradient) for each, gradient in zip(leaves, found, strict=True)
        ]
        values = [each for each in found if each is not None]
    return results


def flat(result):
    """The values of a program in one list."""
    if isinstance(result, (list, tuple)):
        return [each for part in result for each in flat(part)]
    return [result]


def plain(value):
    """A tensor as NumPy's, anything else as it is."""
    return value.detach().numpy(force=True).copy() if isinstance(value, (torch.Tensor, minigrad.Tensor)) else value


def weights(tensor):
    """Numbers to multiply a value with, so that no two elements have the same gradient."""
    count = int(np.prod(tensor.shape))
    return np.cos(np.arange(count) + 1.0).reshape(tuple(tensor.shape)).astype(str(tensor.dtype).split(".")[-1])


TOLERANCE = {"float64": 1e-8, "float32": 1e-3, "float16": 2e-2}


def difference(lines, ours, theirs, arrays):
    """What differs between two results of `run`, or None."""
    tolerance = max(TOLERANCE.get(array.dtype.name, TOLERANCE["float32"]) for array in arrays)
    tolerance = max(tolerance, TOLERANCE["float32"] * ("float" in lines))
    if "error" in ours or "error" in theirs:
        mine, other = ours.get("error"), theirs.get("error")
        if (isinstance(other, NotImplementedError) or "not support" in str(other) or "2-tuple" in str(other)) and not isinstance(
            mine, Warning
        ):
            return None  # a dtype that PyTorch has no kernel for
        if type(mine) is type(other) or (mine is not None and "a leaf Var" in str(other)):
            return None
        return f"ours: {mine!r}\n      theirs: {other!r}"[:600]
    for what in theirs.keys() - {"used"}:
        mine, other = ours.get(what), theirs[what]
        if mine is None and isinstance(other, list) and not any(np.any(np.abs(each) > 1e-6) for each in other):
            continue  # no gradient at all, where PyTorch computes zeros
        if isinstance(other, RuntimeError) and (isinstance(mine, RuntimeError) or "not implemented" in str(other)):
            continue
        if isinstance(mine, Exception) or isinstance(other, Exception) or mine is None:
            return f"{what}: ours {mine!r}, theirs {other!r}"[:900]
        if what == "gradient 2" and any(array.dtype == np.float16 for array in arrays):
            continue  # PyTorch divides by the input in some, and what is left of three digits cannot be compared
        if len(mine) != len(other):
            return f"{what}: {len(mine)} instead of {len(other)}"
        for a, b in zip(mine, other, strict=True):
            if not isinstance(b, np.ndarray):
                if (a != b and not (a != a and b != b)) or type(a) is not type(b):
                    return f"{what}: {a!r} instead of {b!r}"
                continue
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                return f"{what}: {a.dtype} {a.shape} instead of {b.dtype} {b.shape}"
            tolerance = max(tolerance, TOLERANCE.get(b.dtype.name, 0))
            if what == "gradient 2":  # PyTorch's own formulas may give inf * 0 there
                a = np.where(np.isfinite(b), a, b)
            with np.errstate(all="ignore"):
                if not np.allclose(a, b, tolerance, tolerance, equal_nan=True):
                    return f"{what}:\n{a}\n      instead of\n{b}"
    return None


def compare(lines, arrays, wanted, orders=2):
    """Run one program on both sides; what differs, as text, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = run(torch, lines, arrays, wanted, orders)
    with warnings.catch_warnings():  # sums and products say so when numbers overflow: silencing them would cost each a microsecond
        warnings.filterwarnings("ignore", message=".*encountered in (add|subtract|multiply|matmul)")
        ours = run(minigrad, lines, arrays, wanted, orders)
    refused = [
        what for what, result in theirs.items() if (isinstance(result, RuntimeError) and "gradient" in what) or "a leaf Var" in str(result)
    ]
    if refused and "error" not in ours and not isinstance(ours.get("gradient 1"), Exception):  # PyTorch refuses more than we do
        return by_differences(lines, arrays, wanted, ours) if "a = " in lines else None
    if refused and isinstance(ours.get("gradient 1"), RuntimeError):
        return None
    return difference(lines, ours, theirs, arrays)


def by_differences(lines, arrays, wanted, ours):
    """What differs between our gradient of a program and finite differences along a random direction, or None."""
    if any(array.dtype != np.float64 for array in arrays) or ".detach()" in lines:
        return None
    steps = [np.sin(np.arange(array.size) * 3.0 + 1).reshape(array.shape) * wants for array, wants in zip(arrays, wanted, strict=True)]
    sums = []
    for size in (1e-6, -1e-6):
        moved = run(minigrad, lines, [array + size * step for array, step in zip(arrays, steps, strict=True)], wanted, 0)
        with np.errstate(all="ignore"):
            sums.append(sum((value * weights(value)).sum() for value, used in zip(moved["values"], ours["used"], strict=True) if used))
    slope = (sums[0] - sums[1]) / 2e-6
    gradients = ours.get("gradient 1") or [np.zeros(array.shape) for array, wants in zip(arrays, wanted, strict=True) if wants]
    expected = sum((gradient * step).sum() for gradient, step in zip(gradients, [s for s, w in zip(steps, wanted) if w], strict=True))
    close = np.isclose(slope, expected, 1e-4, 1e-4, equal_nan=True)
    return None if close else f"PyTorch refuses, ours slopes {expected}, finite differences {slope}"


PROMOTING = (
    "x0 + x1",
    "x0 * x1",
    "x0 / x1",
    "x0 // x1",
    "x0 ** x1",
    "x0 - x1",
    "x0 % x1",
    "T.maximum(x0, x1)",
    "x0 < x1",
    "T.where(x0 > 0, x0, x1)",
)


@pytest.mark.parametrize("text", PROMOTING)
def test_promotion_is_pytorchs(text):
    """All pairs of dtypes, with axes and without, and all dtypes beside Python numbers on either side."""
    failures = []
    inputs = [np.asarray(value, dtype) for dtype in DTYPES for value in (1, [2, 1])]
    programs = [(text, [a, b]) for a in inputs for b in inputs]
    for number in ("2", "1.5", "True"):
        programs += [(text.replace("x1", number), [a]) for a in inputs] + [
            (text.replace("x0", number).replace("x1", "x0"), [a]) for a in inputs
        ]
    for lines, arrays in programs:
        if "x0 > 0" in lines or "> 0" not in lines:
            found = compare(f"y = {lines}", arrays, [False] * len(arrays), 0)
            if found is not None:
                failures.append(f"{lines} {[(array.dtype.name, array.ndim) for array in arrays]} -> {found}")
    assert not failures, f"{len(failures)} of {len(programs)}\n" + "\n".join(failures[:SHOWN])


def test_seed_is_told(capsys):
    with capsys.disabled():
        print(f" test_ops_torch: MINIGRAD_SEED={SEED}", end=" ")


@pytest.mark.parametrize("name", FAMILIES)
def test_programs_give_what_pytorch_gives(name):
    failures = []
    for number in range(CASES):
        draw = Draw(f"{SEED} {name} {number}")
        lines, arrays, *rest = FAMILIES[name](draw)
        wanted = [draw.coin(0.85) for _ in arrays]
        found = compare(lines, arrays, wanted, 1 if rest else 2)
        if found is not None:
            given = "; ".join(f"x{place}: {array.dtype}{list(array.shape)}" for place, array in enumerate(arrays)) + f" wanted {wanted}"
            failures.append(f"{name} {number} ({given})\n    " + lines.replace("\n", "\n    ") + f"\n   -> {found}")
    if failures:
        pytest.fail(f"MINIGRAD_SEED={SEED}: {len(failures)} of {CASES}\n" + "\n".join(failures[:SHOWN]), pytrace=False)
