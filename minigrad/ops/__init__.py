"""Everything that can be computed. Each file is one family; each function gives a value and the rules for its gradient.

Reading order: elementwise, matrix, shape, reduce, index, create, inplace. The tape hands this package to rules as `xp`
when gradients shall themselves be differentiable, so it also answers to the few NumPy names that rules use.
"""

from .create import (
    arange, as_tensor, cast, clone, empty, empty_like, eye, from_numpy, full, full_like, linspace, ones, ones_like, tensor,
    to_device, zeros, zeros_like,
)  # fmt: skip
from .elementwise import (
    abs, add, allclose, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, ceil, clamp, cos, div, eq, equal, erf, exp, expm1,
    floor, floor_divide, ge, gelu, gt, isclose, isfinite, isinf, isnan, le, leaky_relu, lerp, log, log1p, log2, log10,
    logical_and, logical_not, logical_or, logical_xor, lt, maximum, minimum, mul, nan_to_num, ne, neg, positive, pow,
    reciprocal, relu, remainder, round, rsqrt, sigmoid, sign, silu, sin, softplus, sqrt, square, sub, tan, tanh, trunc, where,
)  # fmt: skip
from .index import (
    diagonal, gather, getitem, index_add, index_select, masked_fill, masked_select, nonzero, one_hot, placed,
    repeat_interleave, scatter, scatter_add, take_along_dim, tril, triu,
)  # fmt: skip
from .inplace import copy_, fill_, in_place, setitem, zero_
from .matrix import addmm, baddbmm, bmm, dot, einsum, linear, matmul, mm, mv, outer, tensordot
from .reduce import (
    all, amax, amin, any, argmax, argmin, argsort, bincount, count_nonzero, cumprod, cumsum, log_softmax, logsumexp, max, mean,
    min, norm, prod, softmax, sort, std, sum, topk, unique, var,
)  # fmt: skip
from .shape import (
    broadcast_to, cat, chunk, concat, concatenate, expand, flatten, flip, movedim, narrow, permute, permute_dims, repeat,
    reshape, roll, select, split, squeeze, stack, t, tile, transpose, unbind, unflatten, unsqueeze, view,
)  # fmt: skip

matmul_later = matmul  # a product that is recorded gains nothing from waiting
moveaxis = movedim
swapaxes = swapdims = transpose
true_divide = divide = div
multiply, subtract, negative, absolute = mul, sub, neg, abs
clip = clamp
argwhere = nonzero


__all__ = [
    "abs", "absolute", "add", "addmm", "all", "allclose", "amax", "amin", "any", "arange", "argmax", "argmin", "argsort",
    "argwhere", "as_tensor", "baddbmm", "bincount", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "bmm",
    "broadcast_to", "cat", "ceil", "chunk", "clamp", "clip", "clone", "concat", "concatenate", "cos", "count_nonzero", "cumprod",
    "cumsum", "diagonal", "div", "divide", "dot", "einsum", "empty", "empty_like", "eq", "equal", "erf", "exp", "expm1", "eye",
    "flatten", "flip", "floor", "floor_divide", "from_numpy", "full", "full_like", "gather", "ge", "gt", "index_add",
    "index_select", "isclose", "isfinite", "isinf", "isnan", "le", "lerp", "linspace", "log", "log10", "log1p", "log2",
    "log_softmax", "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "lt", "masked_fill", "masked_select",
    "matmul", "max", "maximum", "mean", "min", "minimum", "mm", "moveaxis", "movedim", "mul", "multiply", "mv", "nan_to_num",
    "narrow", "ne", "neg", "negative", "nonzero", "norm", "ones", "ones_like", "outer", "permute", "permute_dims", "positive",
    "pow", "prod", "reciprocal", "relu", "remainder", "repeat_interleave", "reshape", "roll", "round", "rsqrt", "scatter",
    "scatter_add", "select", "sigmoid", "sign", "sin", "softmax", "sort", "split", "sqrt", "square", "squeeze", "stack", "std",
    "sub", "subtract", "sum", "swapaxes", "swapdims", "t", "take_along_dim", "tan", "tanh", "tensor", "tensordot", "tile", "topk",
    "transpose", "tril", "triu", "true_divide", "trunc", "unbind", "unflatten", "unique", "unsqueeze", "var", "where", "zeros",
    "zeros_like",
]  # fmt: skip
