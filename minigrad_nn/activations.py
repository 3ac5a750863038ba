"""Functions between layers, under the names and arguments of torch.nn.functional; `inplace=True` writes into the input.

Source: https://docs.pytorch.org/docs/stable/nn.functional.html#non-linear-activation-functions
"""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad
from minigrad import Tensor, ops
from minigrad.ops import elementwise
from minigrad.ops.inplace import write
from minigrad.random import Generator, stream_on
from minigrad.tape import wrap

__all__ = [
    "celu", "dropout", "elu", "gelu", "glu", "gumbel_softmax", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_softmax",
    "logsigmoid", "mish", "relu", "relu6", "relu_", "selu", "sigmoid", "silu", "softmax", "softmin", "softplus", "softsign", "tanh",
    "tanhshrink", "threshold",
]  # fmt: skip

sigmoid, tanh = minigrad.sigmoid, minigrad.tanh
gelu, softplus = minigrad.public(elementwise.gelu), minigrad.public(elementwise.softplus)


def _into(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    return write(input, result) if inplace else result


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)"""
    return _into(input, minigrad.relu(input), inplace)


def relu_(input: Tensor) -> Tensor:
    """`relu`, written into the input"""
    return input.relu_()


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else slope x"""
    return _into(input, elementwise.leaky_relu(input, negative_slope), inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x held between 0 and 6"""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x held between two bounds; unlike `clamp`, no gradient passes on the bounds themselves"""
    inside = (input > min_val) & (input < max_val)
    return _into(input, ops.where(inside, input, ops.clamp(input.detach(), min_val, max_val)), inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (eˣ - 1)"""
    return _into(input, ops.where(input > 0, input, alpha * ops.expm1(ops.clamp(input, max=0.0))), inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (e^(x / alpha) - 1)"""
    return _into(input, ops.where(input > 0, input, alpha * ops.expm1(ops.clamp(input, max=0.0) / alpha)), inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """elu with the alpha and the scale that keep mean 0 and variance 1; Klambauer et al. 2017"""
    return _into(input, 1.0507009873554805 * elu(input, 1.6732632423543772), inplace)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x σ(x)"""
    return _into(input, elementwise.silu(input), inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x))"""
    return _into(input, input * ops.tanh(elementwise.softplus(input)), inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """x / 6 + 1/2, held between 0 and 1"""
    return _into(input, ops.clamp(input + 3, 0.0, 6.0) / 6, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x times `hardsigmoid` of x"""
    return _into(input, input * hardsigmoid(input), inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value"""
    return _into(input, ops.where(input > threshold, input, value), inplace)


def logsigmoid(input: Tensor) -> Tensor:
    """ln σ(x), without overflow"""
    return -ops.logaddexp(ops.zeros_like(input), -input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)"""
    return input / (input.abs() + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh x"""
    return input - input.tanh()


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """eˣ / Σ eˣ along `dim`"""
    return minigrad.softmax(input, dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """ln softmax, without overflow"""
    return minigrad.log_softmax(input, dim, dtype=dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax of -x"""
    return minigrad.softmax(-input, dim, dtype=dtype)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a σ(b), a and b the two halves of x along `dim`"""
    if input.shape[dim] % 2:
        raise RuntimeError(f"glu halves dim {dim}, whose size must be even, got shape {tuple(input.shape)}")
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


def gumbel_softmax(
    logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1, *, generator: Generator | None = None
) -> Tensor:
    """A random choice by logits, softened by the temperature tau; `hard` returns one-hot and keeps the soft one's gradient

    Source: Jang et al. 2017; https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gumbel_softmax.html
    """
    noise = -minigrad.empty_like(logits).exponential_(generator=generator).log()
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    chosen = minigrad.zeros_like(logits).scatter_(dim, soft.argmax(dim, keepdim=True), 1.0)
    return chosen - soft.detach() + soft


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None) -> Tensor:
    """y = x with each element 0 with probability p and the others divided by 1 - p; x itself when not training

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout's probability must lie in [0, 1], got {p}")
    if not training or p == 0:
        return input
    kept = stream_on(input.device, generator).random(input.array.shape, dtype=np.float32) >= p
    return ops.mul(input, wrap(kept.astype(input.array.dtype) * (0.0 if p == 1 else 1 / (1 - p))))
