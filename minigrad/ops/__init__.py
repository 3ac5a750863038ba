"""Everything that can be computed. Each file is one family; each function gives a value and the rules for its gradient.

Reading order: elementwise, matrix, shape, reduce, index, create, inplace;
the others are built from these. The tape hands this package to rules as `xp`
when gradients shall themselves be differentiable, so it also answers to the few NumPy names that rules use.
"""

from .about import (
    can_cast, is_complex, is_floating_point, is_nonzero, is_same_size, is_signed, is_tensor, numel, promote_types, result_type,
)  # fmt: skip
from .analysis import (
    acos, acosh, addcdiv, addcmul, asin, asinh, atan, atan2, atanh, bitwise_left_shift, bitwise_right_shift, clamp_max, clamp_min,
    copysign, cosh, deg2rad, erfc, exp2, float_power, fmax, fmin, fmod, frac, heaviside, hypot, isneginf, isposinf, logaddexp,
    logit, rad2deg, rsub, signbit, sinc, sinh, xlogy,
)  # fmt: skip
from .arrange import (
    addbmm, addmv, addr, adjoint, atleast_1d, atleast_2d, atleast_3d, block_diag, broadcast_shapes, broadcast_tensors,
    cartesian_prod, column_stack, cross, diag, diag_embed, diagflat, dsplit, dstack, fliplr, flipud, hsplit, hstack, index_copy,
    index_fill, index_put, masked_scatter, matrix_power, meshgrid, ravel, rot90, split_with_sizes, take, tensor_split, trace,
    tril_indices, triu_indices, unfold, vsplit, vstack,
)  # fmt: skip
from .create import (
    arange, as_tensor, cast, clone, empty, empty_like, eye, from_dlpack, from_numpy, frombuffer, full, full_like, linspace, logspace,
    ones, ones_like, scalar_tensor, tensor, to_device, zeros, zeros_like,
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
from .matrix import addmm, baddbmm, bmm, dot, einsum, inner, linear, matmul, mm, mv, outer, tensordot
from .reduce import (
    all, amax, amin, any, argmax, argmin, argsort, bincount, count_nonzero, cumprod, cumsum, log_softmax, logsumexp, max, mean,
    min, norm, prod, softmax, sort, std, sum, topk, unique, var,
)  # fmt: skip
from .statistics import (
    aminmax, bucketize, cdist, cosine_similarity, cummax, cummin, diff, dist, histc, isin, kthvalue, median, msort, nanmean,
    nansum, pairwise_distance, quantile, searchsorted, std_mean, unique_consecutive, var_mean,
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
clip, fix, sgn = clamp, trunc, sign
less, less_equal, greater, greater_equal, not_equal = lt, le, gt, ge, ne
arcsin, arccos, arctan, arcsinh, arccosh, arctanh, arctan2 = asin, acos, atan, asinh, acosh, atanh, atan2
argwhere, asarray, ger, row_stack, vdot = nonzero, as_tensor, outer, vstack, dot


__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "addbmm", "addcdiv", "addcmul", "addmm", "addmv", "addr", "adjoint", "all",
    "allclose", "amax", "amin", "aminmax", "any", "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2",
    "arctanh", "argmax", "argmin", "argsort", "argwhere", "as_tensor", "asarray", "asin", "asinh", "atan", "atan2", "atanh",
    "atleast_1d", "atleast_2d", "atleast_3d", "baddbmm", "bincount", "bitwise_and", "bitwise_left_shift", "bitwise_not",
    "bitwise_or", "bitwise_right_shift", "bitwise_xor", "block_diag", "bmm", "broadcast_shapes", "broadcast_tensors",
    "broadcast_to", "bucketize", "can_cast", "cartesian_prod", "cat", "cdist", "ceil", "chunk", "clamp", "clamp_max",
    "clamp_min", "clip", "clone", "column_stack", "concat", "concatenate", "copysign", "cos", "cosh", "cosine_similarity",
    "count_nonzero", "cross", "cummax", "cummin", "cumprod", "cumsum", "deg2rad", "diag", "diag_embed", "diagflat",
    "diagonal", "diff", "dist", "div", "divide", "dot", "dsplit", "dstack", "einsum", "empty", "empty_like", "eq", "equal",
    "erf", "erfc", "exp", "exp2", "expm1", "eye", "fix", "flatten", "flip", "fliplr", "flipud", "float_power", "floor",
    "floor_divide", "fmax", "fmin", "fmod", "frac", "from_dlpack", "from_numpy", "frombuffer", "full", "full_like",
    "gather", "ge", "ger", "greater", "greater_equal", "gt", "heaviside", "histc", "hsplit", "hstack", "hypot", "index_add",
    "index_copy", "index_fill", "index_put", "index_select", "inner", "is_complex", "is_floating_point", "is_nonzero",
    "is_same_size", "is_signed", "is_tensor", "isclose", "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf",
    "kthvalue", "le", "lerp", "less", "less_equal", "linspace", "log", "log10", "log1p", "log2", "log_softmax", "logaddexp",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logit", "logspace", "logsumexp", "lt", "masked_fill",
    "masked_scatter", "masked_select", "matmul", "matrix_power", "max", "maximum", "mean", "median", "meshgrid", "min",
    "minimum", "mm", "moveaxis", "movedim", "msort", "mul", "multiply", "mv", "nan_to_num", "nanmean", "nansum", "narrow",
    "ne", "neg", "negative", "nonzero", "norm", "not_equal", "numel", "ones", "ones_like", "outer", "pairwise_distance",
    "permute", "permute_dims", "positive", "pow", "prod", "promote_types", "quantile", "rad2deg", "ravel", "reciprocal",
    "relu", "remainder", "repeat_interleave", "reshape", "result_type", "roll", "rot90", "round", "row_stack", "rsqrt",
    "rsub", "scalar_tensor", "scatter", "scatter_add", "searchsorted", "select", "sgn", "sigmoid", "sign", "signbit", "sin",
    "sinc", "sinh", "softmax", "sort", "split", "split_with_sizes", "sqrt", "square", "squeeze", "stack", "std", "std_mean",
    "sub", "subtract", "sum", "swapaxes", "swapdims", "t", "take", "take_along_dim", "tan", "tanh", "tensor",
    "tensor_split", "tensordot", "tile", "topk", "transpose", "tril", "tril_indices", "triu", "triu_indices",
    "true_divide", "trunc", "unbind", "unflatten", "unique", "unique_consecutive", "unsqueeze", "var", "var_mean", "vdot",
    "vsplit", "vstack", "where", "xlogy", "zeros", "zeros_like",
]  # fmt: skip
