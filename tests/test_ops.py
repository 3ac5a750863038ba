"""One table with a row per operation, and the checks that every row gets.

A row says what to call on which inputs, and the same in plain NumPy. From it come: the value; the gradient and the
gradient of the gradient along a random direction, by finite differences in float64; that float32 stays float32; that
gradients are private; that an input which wants none gets none. An operation without a row fails.
"""

from __future__ import annotations

import math
import os
from typing import NamedTuple

import numpy as np
import pytest
from compare import share_memory, writeable

import minigrad
from minigrad import autograd, backend, ops, tensor

IDS = np.array([[0, 2, 1], [2, 2, 0]])
MASK = np.array([[True, False, True], [False, False, True]])


class Row(NamedTuple):
    """One operation: what to call on tensors, the shapes of its inputs, the same on arrays, and the inputs' range."""

    call: object
    shapes: tuple
    numpy: object
    low: float = -2.0
    high: float = 2.0


def positive(call, shapes, formula):
    """A row whose inputs must not be negative or too near 0."""
    return Row(call, shapes, formula, 0.3, 2.0)


def ids(array):
    return tensor(np.array(array))


def gathered(x):
    return np.take_along_axis(x, IDS, 1)


def scattered(x, source, add):
    y = x.copy()
    for (i, j), k in np.ndenumerate(IDS[:, :2]):
        y[i, k] = y[i, k] + source[i, j] if add else source[i, j]
    return y


def index_added(x, source):
    y = x.copy()
    for place, row in zip((2, 0, 2), source, strict=True):
        y[place] += row
    return y


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


erf = np.vectorize(math.erf)
A, B, V = (2, 3), (3,), (4,)  # two that broadcast, and a vector

ROWS = {
    # arithmetic
    "add": Row(ops.add, (A, B), np.add),
    "sub": Row(lambda a, b: ops.sub(a, b, alpha=2), (A, B), lambda a, b: a - 2 * b),
    "mul": Row(ops.mul, (A, B), np.multiply),
    "div": positive(ops.div, (A, B), np.divide),
    "remainder": positive(ops.remainder, (A, B), np.remainder),
    "pow": positive(ops.pow, (A, B), np.power),
    "neg": Row(ops.neg, (A,), np.negative),
    "lerp": Row(ops.lerp, (A, B, A), lambda a, b, w: a + w * (b - a)),
    "positive": Row(ops.positive, (A,), lambda x: x),
    # of one argument
    "abs": Row(ops.abs, (A,), np.abs),
    "sign": Row(ops.sign, (A,), np.sign),
    "exp": Row(ops.exp, (A,), np.exp),
    "expm1": Row(ops.expm1, (A,), np.expm1),
    "log": positive(ops.log, (A,), np.log),
    "log1p": positive(ops.log1p, (A,), np.log1p),
    "log2": positive(ops.log2, (A,), np.log2),
    "log10": positive(ops.log10, (A,), np.log10),
    "sqrt": positive(ops.sqrt, (A,), np.sqrt),
    "rsqrt": positive(ops.rsqrt, (A,), lambda x: x**-0.5),
    "reciprocal": positive(ops.reciprocal, (A,), lambda x: 1 / x),
    "square": Row(ops.square, (A,), np.square),
    "sin": Row(ops.sin, (A,), np.sin),
    "cos": Row(ops.cos, (A,), np.cos),
    "tan": Row(ops.tan, (A,), np.tan, -1.0, 1.0),
    "tanh": Row(ops.tanh, (A,), np.tanh),
    "sigmoid": Row(ops.sigmoid, (A,), lambda x: 1 / (1 + np.exp(-x))),
    "relu": Row(ops.relu, (A,), lambda x: np.where(x > 0, x, 0)),
    "leaky_relu": Row(ops.leaky_relu, (A,), lambda x: np.where(x > 0, x, 0.01 * x)),
    "softplus": Row(lambda x: ops.softplus(x, 2.0, 3.0), (A,), lambda x: np.where(2 * x > 3, x, np.log1p(np.exp(2 * x)) / 2)),
    "silu": Row(ops.silu, (A,), lambda x: x / (1 + np.exp(-x))),
    "gelu": Row(ops.gelu, (A,), lambda x: x * (1 + erf(x / math.sqrt(2))) / 2),
    "erf": Row(ops.erf, (A,), erf),
    "floor": Row(ops.floor, (A,), np.floor),
    "ceil": Row(ops.ceil, (A,), np.ceil),
    "round": Row(ops.round, (A,), np.round),
    "trunc": Row(ops.trunc, (A,), np.trunc),
    "clone": Row(ops.clone, (A,), lambda x: x),
    "nan_to_num": Row(ops.nan_to_num, (A,), lambda x: x),
    # choosing
    "maximum": Row(ops.maximum, (A, B), np.maximum),
    "minimum": Row(ops.minimum, (A, B), np.minimum),
    "clamp": Row(lambda x, low: ops.clamp(ops.clamp(x, -1, 1.5), min=low), (A, B), lambda x, low: np.maximum(np.clip(x, -1, 1.5), low)),
    "where": Row(lambda a, b: ops.where(tensor(MASK), a, b), (A, B), lambda a, b: np.where(MASK, a, b)),
    # reductions
    "sum": Row(lambda x: ops.sum(x, (0, -1)), ((2, 3, 4),), lambda x: x.sum((0, 2))),
    "mean": Row(lambda x: ops.mean(x, 1, keepdim=True), (A,), lambda x: x.mean(1, keepdims=True)),
    "prod": Row(lambda x: ops.prod(x * tensor([1.0, 0.0, 1.0], dtype=x.dtype), 0), (A,), lambda x: (x * [1, 0, 1]).prod(0)),
    "cumsum": Row(lambda x: ops.cumsum(x, -1), (A,), lambda x: x.cumsum(-1)),
    "cumprod": Row(lambda x: ops.cumprod(x, 1), (A,), lambda x: x.cumprod(1)),
    "var": Row(lambda x: ops.var(x, 1), (A,), lambda x: x.var(1, ddof=1)),
    "std": Row(lambda x: ops.std(x, (0, 1), correction=0), (A,), np.std),
    "norm": Row(lambda x: ops.norm(x) + ops.norm(x, 3, 1), (A,), lambda x: np.sqrt((x**2).sum()) + (np.abs(x) ** 3).sum(1) ** (1 / 3)),
    "amax": Row(lambda x: ops.amax(x, 1), (A,), lambda x: x.max(1)),
    "amin": Row(lambda x: ops.amin(x, (0, 1)), (A,), np.min),
    "max": Row(lambda x: ops.max(x, 1), (A,), lambda x: x.max(1)),
    "min": Row(ops.min, (A,), np.min),
    "logsumexp": Row(lambda x: ops.logsumexp(x, 1), (A,), lambda x: np.log(np.exp(x).sum(1))),
    "softmax": Row(lambda x: ops.softmax(x, 1), (A,), lambda x: softmax(x, 1)),
    "log_softmax": Row(lambda x: ops.log_softmax(x, 0), (A,), lambda x: np.log(softmax(x, 0))),
    "sort": Row(lambda x: ops.sort(x, 1, descending=True), (A,), lambda x: -np.sort(-x, 1)),
    "topk": Row(lambda x: ops.topk(x, 2), (A,), lambda x: -np.sort(-x, 1)[:, :2]),
    # products
    "matmul": Row(ops.matmul, ((2, 1, 3, 4), (5, 4, 2)), np.matmul),
    "mm": Row(ops.mm, ((2, 3), (3, 4)), np.matmul),
    "mv": Row(ops.mv, ((2, 3), (3,)), np.matmul),
    "dot": Row(ops.dot, (V, V), np.dot),
    "bmm": Row(ops.bmm, ((2, 3, 4), (2, 4, 1)), np.matmul),
    "inner": Row(ops.inner, ((2, 1, 4), (3, 4)), np.inner),
    "outer": Row(ops.outer, ((2,), V), np.outer),
    "addmm": Row(lambda x, a, b: ops.addmm(x, a, b, beta=2, alpha=3), (V, (2, 3), (3, 4)), lambda x, a, b: 2 * x + 3 * a @ b),
    "baddbmm": Row(ops.baddbmm, ((4,), (2, 2, 3), (2, 3, 4)), lambda x, a, b: x + a @ b),
    "linear": Row(ops.linear, ((2, 2, 3), (4, 3), V), lambda x, W, b: x @ W.T + b),
    "einsum": Row(lambda a, b: ops.einsum("...ii,ij->j...", a, b), ((2, 3, 3), (3, 4)), lambda a, b: np.einsum("...ii,ij->j...", a, b)),
    "tensordot": Row(lambda a, b: ops.tensordot(a, b, 1), ((2, 3), (3, 4)), np.matmul),
    # shapes
    "reshape": Row(lambda x: ops.reshape(x, 3, -1), (A,), lambda x: x.reshape(3, 2)),
    "view": Row(lambda x: ops.view(x, -1), (A,), np.ravel),
    "flatten": Row(ops.flatten, (A,), np.ravel),
    "unflatten": Row(lambda x: ops.unflatten(x, 0, (2, -1)), (V,), lambda x: x.reshape(2, 2)),
    "squeeze": Row(lambda x: ops.squeeze(x, (0, 1)), ((1, 3),), lambda x: x[0]),
    "unsqueeze": Row(lambda x: ops.unsqueeze(x, -1), (A,), lambda x: x[..., None]),
    "expand": Row(lambda x: ops.expand(x, 4, -1, 3), ((2, 1),), lambda x: np.broadcast_to(x, (4, 2, 3))),
    "broadcast_to": Row(lambda x: ops.broadcast_to(x, (2, 3)), (B,), lambda x: np.broadcast_to(x, (2, 3))),
    "repeat": Row(lambda x: ops.repeat(x, 2, 1, 2), (A,), lambda x: np.tile(x, (2, 1, 2))),
    "tile": Row(lambda x: ops.tile(x, 2), (A,), lambda x: np.tile(x, 2)),
    "repeat_interleave": Row(lambda x: ops.repeat_interleave(x, ids([2, 0, 1]), 1), (A,), lambda x: np.repeat(x, [2, 0, 1], 1)),
    "transpose": Row(lambda x: ops.transpose(x, 0, -1), ((2, 3, 4),), lambda x: x.swapaxes(0, 2)),
    "permute": Row(lambda x: ops.permute(x, 2, 0, 1), ((2, 3, 4),), lambda x: x.transpose(2, 0, 1)),
    "permute_dims": Row(lambda x: ops.permute_dims(x, (1, 0)), (A,), np.transpose),
    "movedim": Row(lambda x: ops.movedim(x, (0, 1), (2, 0)), ((2, 3, 4),), lambda x: np.moveaxis(x, (0, 1), (2, 0))),
    "t": Row(ops.t, (A,), np.transpose),
    "flip": Row(lambda x: ops.flip(x, 1), (A,), lambda x: x[:, ::-1]),
    "roll": Row(lambda x: ops.roll(x, (1, -1), (0, 1)), (A,), lambda x: np.roll(x, (1, -1), (0, 1))),
    "cat": Row(lambda a, b: ops.cat([a, b, a], 0), (A, (1, 3)), lambda a, b: np.concatenate([a, b, a])),
    "concatenate": Row(lambda a, b: ops.concatenate([a, b], axis=1), (A, (2, 1)), lambda a, b: np.concatenate([a, b], 1)),
    "stack": Row(lambda a, b: ops.stack([a, b], -1), (A, A), lambda a, b: np.stack([a, b], -1)),
    "split": Row(lambda x: ops.split(x, [1, 2], 1)[1], (A,), lambda x: x[:, 1:]),
    "chunk": Row(lambda x: ops.chunk(x, 2)[0] * ops.chunk(x, 2)[1], (A,), lambda x: x[:1] * x[1:]),
    "unbind": Row(lambda x: ops.unbind(x, 1)[2], (A,), lambda x: x[:, 2]),
    "narrow": Row(lambda x: ops.narrow(x, 1, 1, 2), (A,), lambda x: x[:, 1:]),
    "select": Row(lambda x: ops.select(x, 1, -1), (A,), lambda x: x[:, -1]),
    # indices
    "getitem": Row(lambda x: x[ids([1, 0, 1]), None, 1:], (A,), lambda x: x[[1, 0, 1]][:, None, 1:]),
    "gather": Row(lambda x: ops.gather(x, 1, ids(IDS)), (A,), gathered),
    "take_along_dim": Row(lambda x: ops.take_along_dim(x, ids(IDS[:1]), 1), (A,), lambda x: np.take_along_axis(x, IDS[:1].repeat(2, 0), 1)),
    "scatter": Row(lambda x, y: ops.scatter(x, 1, ids(IDS[:, :1]), y), (A, (2, 1)), lambda x, y: np.where(IDS[:, :1] == range(3), y, x)),
    "scatter_add": Row(lambda x, y: ops.scatter_add(x, 1, ids(IDS[:, :2]), y), (A, (2, 2)), lambda x, y: scattered(x, y, True)),
    "index_select": Row(lambda x: ops.index_select(x, 1, ids([2, 2, 0, 1])), (A,), lambda x: x[:, [2, 2, 0, 1]]),
    "index_add": Row(lambda x, y: ops.index_add(x, 0, ids([2, 0, 2]), y), ((3, 2), (3, 2)), index_added),
    "masked_fill": Row(lambda x, v: ops.masked_fill(x, tensor(MASK), v), (A, ()), lambda x, v: np.where(MASK, v, x)),
    "masked_select": Row(lambda x: ops.masked_select(x, tensor(MASK)), (A,), lambda x: x[MASK]),
    "placed": Row(lambda v: ops.placed(v, (4,), (ids([1, 3, 1]).array,), True), (B,), lambda v: np.array([0, v[0] + v[2], 0, v[1]])),
    "tril": Row(lambda x: ops.tril(x, 1), ((3, 3),), lambda x: np.tril(x, 1)),
    "triu": Row(lambda x: ops.triu(x, 1), ((3, 3),), lambda x: np.triu(x, 1)),
    "diagonal": Row(lambda x: ops.diagonal(x, 1, 0, 2), ((3, 2, 3),), lambda x: np.diagonal(x, 1, 0, 2)),
    "cast": Row(lambda x: ops.cast(x, "float64"), (A,), lambda x: x),
    # more functions of each element
    "asin": Row(ops.asin, (A,), np.arcsin, -0.9, 0.9),
    "acos": Row(ops.acos, (A,), np.arccos, -0.9, 0.9),
    "atan": Row(ops.atan, (A,), np.arctan),
    "sinh": Row(ops.sinh, (A,), np.sinh),
    "cosh": Row(ops.cosh, (A,), np.cosh),
    "asinh": Row(ops.asinh, (A,), np.arcsinh),
    "acosh": Row(ops.acosh, (A,), np.arccosh, 1.2, 3.0),
    "atanh": Row(ops.atanh, (A,), np.arctanh, -0.9, 0.9),
    "exp2": Row(ops.exp2, (A,), np.exp2),
    "erfc": Row(ops.erfc, (A,), lambda x: 1 - erf(x)),
    "sinc": Row(ops.sinc, (A,), np.sinc),
    "logit": Row(lambda x: ops.logit(x, 0.05), (A,), lambda x: np.log(x / (1 - x)), 0.1, 0.9),
    "deg2rad": Row(ops.deg2rad, (A,), np.deg2rad),
    "rad2deg": Row(ops.rad2deg, (A,), np.rad2deg, -0.1, 0.1),
    "frac": Row(ops.frac, (A,), lambda x: x - np.trunc(x)),
    "atan2": Row(ops.atan2, (A, B), np.arctan2),
    "hypot": Row(ops.hypot, (A, B), np.hypot),
    "logaddexp": Row(ops.logaddexp, (A, B), np.logaddexp),
    "xlogy": positive(ops.xlogy, (A, B), lambda a, b: a * np.log(b)),
    "fmod": positive(ops.fmod, (A, B), np.fmod),
    "fmax": Row(ops.fmax, (A, B), np.fmax),
    "fmin": Row(ops.fmin, (A, B), np.fmin),
    "copysign": Row(ops.copysign, (A, B), np.copysign),
    "float_power": positive(lambda a, b: ops.float_power(a, b).to(a.dtype), (A, B), np.power),
    "rsub": Row(lambda a, b: ops.rsub(a, b, alpha=3), (A, B), lambda a, b: b - 3 * a),
    "addcmul": Row(lambda x, a, b: ops.addcmul(x, a, b, value=2), (A, A, B), lambda x, a, b: x + 2 * a * b),
    "addcdiv": positive(lambda x, a, b: ops.addcdiv(x, a, b, value=2), (A, A, B), lambda x, a, b: x + 2 * a / b),
    "clamp_min": Row(lambda x: ops.clamp_min(x, 0.3), (A,), lambda x: np.maximum(x, 0.3)),
    "clamp_max": Row(lambda x: ops.clamp_max(x, 0.3), (A,), lambda x: np.minimum(x, 0.3)),
    # order, spread, distances
    "kthvalue": Row(lambda x: ops.kthvalue(x, 2), (A,), lambda x: np.sort(x, 1)[:, 1]),
    "median": Row(lambda x: ops.median(x, 1), (A,), lambda x: np.median(x, 1)),
    "quantile": Row(lambda x: ops.quantile(x, 0.3, 1, True), (A,), lambda x: np.quantile(x, 0.3, 1, keepdims=True)),
    "cummax": Row(lambda x: ops.cummax(x, 1), (A,), lambda x: np.maximum.accumulate(x, 1)),
    "cummin": Row(lambda x: ops.cummin(x, 0), (A,), lambda x: np.minimum.accumulate(x, 0)),
    "msort": Row(ops.msort, (A,), lambda x: np.sort(x, 0)),
    "aminmax": Row(ops.aminmax, (A,), np.min),
    "unique_consecutive": Row(ops.unique_consecutive, (A,), np.ravel),
    "std_mean": Row(lambda x: ops.std_mean(x, 1), (A,), lambda x: x.std(1, ddof=1)),
    "var_mean": Row(lambda x: ops.var_mean(x, 1)[0] * ops.var_mean(x, 1)[1], (A,), lambda x: x.var(1, ddof=1) * x.mean(1)),
    "nansum": Row(lambda x: ops.nansum(ops.where(tensor(MASK), math.nan, x), 1), (A,), lambda x: (x * ~MASK).sum(1)),
    "nanmean": Row(lambda x: ops.nanmean(ops.where(tensor(MASK), math.nan, x)), (A,), lambda x: (x * ~MASK).sum() / 3),
    "diff": Row(lambda x: ops.diff(x, 2, prepend=x), (A,), lambda x: np.diff(np.concatenate([x, x], 1), 2)),
    "dist": Row(ops.dist, (A, B), lambda a, b: np.sqrt(((a - b) ** 2).sum())),
    "cdist": Row(ops.cdist, (A, (4, 3)), lambda a, b: np.sqrt(((a[:, None] - b) ** 2).sum(-1))),
    "pairwise_distance": Row(ops.pairwise_distance, (A, A), lambda a, b: np.sqrt(((a - b + 1e-6) ** 2).sum(-1))),
    "cosine_similarity": Row(
        ops.cosine_similarity, (A, A), lambda a, b: (a * b).sum(1) / np.sqrt((a * a).sum(1)) / np.sqrt((b * b).sum(1))
    ),
    # joined, cut, turned, put together
    "atleast_1d": Row(ops.atleast_1d, ((),), np.atleast_1d),
    "atleast_2d": Row(ops.atleast_2d, (B,), np.atleast_2d),
    "atleast_3d": Row(ops.atleast_3d, (A,), np.atleast_3d),
    "hstack": Row(lambda a, b: ops.hstack([a, b]), (B, V), lambda a, b: np.hstack([a, b])),
    "vstack": Row(lambda a, b: ops.vstack([a, b]), (A, B), lambda a, b: np.vstack([a, b])),
    "dstack": Row(lambda a, b: ops.dstack([a, b]), (A, A), lambda a, b: np.dstack([a, b])),
    "column_stack": Row(lambda a, b: ops.column_stack([a, b]), (A, (2,)), lambda a, b: np.column_stack([a, b])),
    "block_diag": Row(ops.block_diag, (A, (1, 2)), lambda a, b: np.block([[a, np.zeros((2, 2))], [np.zeros((1, 3)), b]])),
    "broadcast_tensors": Row(lambda a, b: ops.broadcast_tensors(a, b)[1] * a, (A, B), np.multiply),
    "meshgrid": Row(lambda a, b: ops.meshgrid(a, b)[0] * b, (B, V), lambda a, b: a[:, None] * b),
    "cartesian_prod": Row(ops.cartesian_prod, (B, V), lambda a, b: np.stack([np.repeat(a, 4), np.tile(b, 3)], 1)),
    "tensor_split": Row(lambda x: ops.tensor_split(x, 2, 1)[1], (A,), lambda x: x[:, 2:]),
    "hsplit": Row(lambda x: ops.hsplit(x, 3)[1], (A,), lambda x: x[:, 1:2]),
    "vsplit": Row(lambda x: ops.vsplit(x, 2)[1], (A,), lambda x: x[1:]),
    "dsplit": Row(lambda x: ops.dsplit(x, [1])[0], ((2, 3, 2),), lambda x: x[..., :1]),
    "split_with_sizes": Row(lambda x: ops.split_with_sizes(x, [1, 2], 1)[0], (A,), lambda x: x[:, :1]),
    "unfold": Row(lambda x: ops.unfold(x, 1, 2), (A,), lambda x: np.stack([x[:, :2], x[:, 1:]], 1)),
    "ravel": Row(ops.ravel, (A,), np.ravel),
    "fliplr": Row(ops.fliplr, (A,), np.fliplr),
    "flipud": Row(ops.flipud, (A,), np.flipud),
    "rot90": Row(ops.rot90, (A,), np.rot90),
    "adjoint": Row(ops.adjoint, (A,), np.transpose),
    "diag": Row(lambda x: ops.diag(ops.diag(x, 1) * 2, 1), (B,), lambda x: 2 * x),
    "diag_embed": Row(lambda x: ops.diag_embed(x, 1), (A,), lambda x: np.stack([np.diag(row, 1) for row in x])),
    "diagflat": Row(ops.diagflat, (B,), np.diagflat),
    "trace": Row(ops.trace, (A,), np.trace),
    "cross": Row(ops.cross, (A, A), np.cross),
    "addmv": Row(lambda x, A, v: ops.addmv(x, A, v, beta=2, alpha=3), ((2,), A, B), lambda x, A, v: 2 * x + 3 * A @ v),
    "addr": Row(lambda x, a, b: ops.addr(x, a, b, alpha=2), (A, (2,), B), lambda x, a, b: x + 2 * np.outer(a, b)),
    "addbmm": Row(ops.addbmm, ((2, 4), (5, 2, 3), (5, 3, 4)), lambda x, a, b: x + (a @ b).sum(0)),
    "matrix_power": Row(lambda x: ops.matrix_power(x, 5), ((2, 2),), lambda x: np.linalg.matrix_power(x, 5)),
    "take": Row(lambda x: ops.take(x, ids([0, 4, 4])), (A,), lambda x: x.ravel()[[0, 4, 4]]),
    "index_copy": Row(
        lambda x, y: ops.index_copy(x, 1, ids([2, 0]), y), (A, (2, 2)), lambda x, y: np.stack([y[:, 1], x[:, 1], y[:, 0]], 1)
    ),
    "index_fill": Row(lambda x, v: ops.index_fill(x, 1, ids([0, 2]), v), (A, ()), lambda x, v: np.where([1, 0, 1], v, x)),
    "index_put": Row(
        lambda x, v: ops.index_put(x, (ids([1, 1]), ids([0, 0])), v, True), (A, (2,)), lambda x, v: x + np.outer([0, v.sum()], [1, 0, 0])
    ),
    "masked_scatter": Row(
        lambda x, v: ops.masked_scatter(x, tensor(MASK), v),
        (A, V),
        lambda x, v: np.array([[v[0], x[0, 1], v[1]], [x[1, 0], x[1, 1], v[2]]]),
    ),
    # in place, on a copy with history
    "setitem": Row(
        lambda x, v: changed(x, lambda y: y.__setitem__((slice(None), 1), v)), (A, (2,)), lambda x, v: np.stack([x[:, 0], v, x[:, 2]], 1)
    ),
    "copy_": Row(lambda x, v: changed(x, lambda y: y[1].copy_(v)), (A, B), lambda x, v: np.stack([x[0], v])),
    "fill_": Row(lambda x, v: changed(x, lambda y: y[0].fill_(v)), (A, ()), lambda x, v: np.stack([np.full(3, v), x[1]])),
    "zero_": Row(lambda x: changed(x, lambda y: y[0].zero_()), (A,), lambda x: np.stack([0 * x[0], x[1]])),
}
NOT_DIFFERENTIABLE = {
    "all", "allclose", "any", "arange", "argmax", "argmin", "argsort", "argwhere", "as_tensor", "asarray", "bincount",
    "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "broadcast_shapes", "bucketize", "can_cast", "count_nonzero", "empty", "empty_like", "eq", "equal", "eye",
    "floor_divide", "from_dlpack", "from_numpy", "frombuffer", "full", "full_like", "ge", "gt", "heaviside", "histc",
    "is_complex", "is_floating_point", "is_nonzero", "is_same_size", "is_signed", "is_tensor", "isclose", "isfinite",
    "isin", "isinf", "isnan", "isneginf", "isposinf", "le", "linspace", "logical_and", "logical_not", "logical_or",
    "logical_xor", "logspace", "lt", "ne", "nonzero", "numel", "ones", "ones_like", "promote_types", "result_type",
    "scalar_tensor", "searchsorted", "signbit", "tensor", "tril_indices", "triu_indices", "unique", "zeros", "zeros_like",
}  # fmt: skip


def changed(x, change):
    """A clone of x, changed in place."""
    y = x.clone()
    change(y)
    return y


def drawn(row, seed=0, dtype=np.float64):
    numbers = np.random.default_rng(seed)
    return [numbers.uniform(row.low, row.high, shape).astype(dtype) for shape in row.shapes]


def value_of(row, tensors):
    """The (first) value of a row's call."""
    made = row.call(*tensors)
    return made if isinstance(made, minigrad.Tensor) else made[0]


def leaves(arrays):
    return [tensor(array, requires_grad=True) for array in arrays]


def gradients(row, arrays, weights, create_graph=False):
    """The leaves, and the gradients of Σ weights * value for them."""
    inputs = leaves(arrays)
    loss = (value_of(row, inputs) * tensor(weights)).sum()
    return inputs, autograd.grad(loss, inputs, create_graph=create_graph, materialize_grads=True)


def slope(function, arrays, directions, step=1e-6):
    """The derivative of a function of arrays along a direction, by central differences."""
    ahead, behind = ([array + sign * step * each for array, each in zip(arrays, directions, strict=True)] for sign in (1, -1))
    return (function(ahead) - function(behind)) / (2 * step)


def inner(left, right):
    return sum(float((a * b).sum()) for a, b in zip(left, right, strict=True))


every_row = pytest.mark.parametrize("name", ROWS)


def test_the_suite_runs_on_the_device_it_was_asked_to():
    assert ops.zeros(1).device.type == tensor([1.0]).device.type == (os.environ.get("MINIGRAD_DEVICE") or "cpu")


def test_every_operation_has_a_row():
    having = {getattr(ops, name) for name in ROWS if hasattr(ops, name)}
    unlisted = {getattr(ops, name) for name in NOT_DIFFERENTIABLE}
    missing = [name for name in ops.__all__ if name not in NOT_DIFFERENTIABLE and getattr(ops, name) not in having | unlisted]
    assert not missing


@every_row
def test_value(name):
    row = ROWS[name]
    arrays = drawn(row)
    expected = row.numpy(*arrays)
    found = value_of(row, [tensor(array) for array in arrays])
    assert tuple(found.shape) == np.shape(expected)
    np.testing.assert_allclose(found.cpu().numpy(), expected, 1e-12, 1e-12)


@every_row
def test_gradient(name):
    row = ROWS[name]
    arrays, directions = drawn(row), drawn(row, seed=1)
    weights = np.cos(np.arange(1.0, 1 + np.size(row.numpy(*arrays)))).reshape(np.shape(row.numpy(*arrays)))
    expected = slope(lambda inputs: (row.numpy(*inputs) * weights).sum(), arrays, directions)
    _, found = gradients(row, arrays, weights)
    assert inner([each.cpu().numpy() for each in found], directions) == pytest.approx(expected, 1e-5, 1e-7)


@every_row
def test_gradient_of_the_gradient(name):
    row = ROWS[name]
    arrays, directions, probes = drawn(row), drawn(row, seed=1), drawn(row, seed=2)
    weights = np.cos(np.arange(1.0, 1 + np.size(row.numpy(*arrays)))).reshape(np.shape(row.numpy(*arrays)))
    expected = slope(lambda inputs: inner([each.cpu().numpy() for each in gradients(row, inputs, weights)[1]], probes), arrays, directions)
    inputs, first = gradients(row, arrays, weights, create_graph=True)
    probed = sum(((gradient * tensor(probe)).sum() for gradient, probe in zip(first, probes, strict=True)), tensor(0.0))
    if not probed.requires_grad:  # gradients that depend on nothing
        assert expected == pytest.approx(0, abs=1e-7)
        return
    second = autograd.grad(probed, inputs, materialize_grads=True)
    assert inner([each.cpu().numpy() for each in second], directions) == pytest.approx(expected, 1e-5, 1e-6)


@every_row
def test_float32_stays_float32(name):
    row = ROWS[name]
    if name == "cast":
        return
    arrays = drawn(row, dtype=np.float32)
    inputs = leaves(arrays)
    made = value_of(row, inputs)
    assert made.dtype == minigrad.float32
    made.sum().backward()
    assert all(each.grad.dtype == minigrad.float32 and each.grad.shape == each.shape for each in inputs)
    np.testing.assert_allclose(made.detach().cpu().numpy(), row.numpy(*[array.astype(np.float64) for array in arrays]), 1e-4, 1e-5)


@every_row
def test_gradients_are_private(name):
    row = ROWS[name]
    inputs = leaves(drawn(row))
    made = value_of(row, inputs)
    given = minigrad.ones_like(made)
    made.backward(given)
    arrays = [each.grad.array for each in inputs]
    for place, array in enumerate(arrays):
        assert writeable(array)
        others = [*arrays[:place], *arrays[place + 1 :], given.array, made.array, *[each.array for each in inputs]]
        assert not any(share_memory(array, other) for other in others)


@every_row
def test_inputs_that_want_no_gradient_get_none(name):
    row = ROWS[name]
    arrays = drawn(row)
    _, all_of_them = gradients(row, arrays, 1.0)
    for wanted in range(len(arrays)):
        inputs = [tensor(array, requires_grad=place == wanted) for place, array in enumerate(arrays)]
        value_of(row, inputs).sum().backward()
        assert [each.grad is None for each in inputs] == [place != wanted for place in range(len(arrays))]
        np.testing.assert_allclose(inputs[wanted].grad.cpu().numpy(), all_of_them[wanted].cpu().numpy(), 1e-12, 1e-12)
    assert not value_of(row, [tensor(array) for array in arrays]).requires_grad


def test_a_wrong_rule_is_caught():
    """The check of gradients fails for a rule that is off by a factor: nothing above passes by accident."""
    rule = lambda xp, dy, x: dy * xp.cos(x) * 1.001
    wrong = lambda x: minigrad.tape.record("wrong", backend.of(x.array).sin(x.array), (x,), (rule,), (x,))
    ROWS["wrong"] = Row(wrong, (A,), np.sin)
    try:
        test_value("wrong")
        with pytest.raises(AssertionError):
            test_gradient("wrong")
    finally:
        del ROWS["wrong"]
