"""First values of parameters, written into them in place and off the tape; each function returns its tensor.

Random numbers come from `generator`, or from the stream that `minigrad.manual_seed` starts.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.missing import explain
from minigrad.state import no_grad
from minigrad.tensor import Tensor

__all__ = [
    "calculate_gain", "constant_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_", "orthogonal_",
    "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

# ------------------------------------------------------------------------------------------------- fixed numbers


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` in every element.

    >>> import minigrad
    >>> constant_(minigrad.empty(3), 0.5)
    tensor([0.5000, 0.5000, 0.5000])
    """
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """1 in every element.

    >>> import minigrad
    >>> ones_(minigrad.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """0 in every element.

    >>> import minigrad
    >>> zeros_(minigrad.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal of a matrix, zeros elsewhere.

    Raises  ValueError for a tensor that is no matrix

    >>> import minigrad
    >>> eye_(minigrad.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_ fills a matrix, got shape {tuple(tensor.shape)}")
    with no_grad():
        return tensor.copy_(np.eye(*tensor.shape, dtype=tensor.dtype.numpy))


# ------------------------------------------------------------------------------------------------ random numbers


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Numbers uniform in [a, b).

    >>> import minigrad
    >>> bool((uniform_(minigrad.empty(9), -1, 1).abs() <= 1).all())
    True
    """
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Numbers from the normal distribution.

    >>> import minigrad
    >>> normal_(minigrad.empty(2), mean=3.0, std=0.0)
    tensor([3., 3.])
    """
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None) -> Tensor:
    """Numbers from the normal distribution, of which those outside [a, b] were drawn again.

    Raises  ValueError unless a < b and std > 0
    Source  https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.trunc_normal_

    >>> import minigrad
    >>> bool((trunc_normal_(minigrad.empty(99)).abs() <= 2).all())
    True
    """
    if not (a < b and std > 0):
        raise ValueError(f"trunc_normal_ needs a < b and std > 0, got a={a}, b={b}, std={std}")
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn("mean is more than 2 std from [a, b] in trunc_normal_; few models want that", stacklevel=2)
    with no_grad():
        return tensor._draw(lambda stream: _truncated(stream, tensor.array.size, mean, std, a, b).reshape(tensor.array.shape), generator)


def _truncated(stream: Any, count: int, mean: float, std: float, a: float, b: float) -> Any:
    """`count` numbers from the normal distribution within [a, b], by rejection."""
    often_inside = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std) > 0.3
    mode = min(max(a, mean), b)  # where the density is largest; beyond 10 deviations from it there is nothing to find
    low, high = max(a, mode - 10 * std), min(b, mode + 10 * std)
    drawn, missing = np.empty(count), np.arange(count)
    while missing.size:
        if often_inside:
            tried = stream.normal(mean, std, missing.size)
            taken = (tried >= a) & (tried <= b)
        else:  # uniform numbers, each taken with its density as the chance
            tried = stream.uniform(low, high, missing.size)
            density = np.exp((((mode - mean) / std) ** 2 - ((tried - mean) / std) ** 2) / 2)
            taken = stream.random(missing.size) < density
        drawn[missing[taken]] = tried[taken]
        missing = missing[~taken]
    return drawn


def _normal_cdf(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """`gain` times a random matrix (size(0), all other axes) with orthonormal rows, or columns where there are more rows.

    Raises  ValueError for fewer than 2 axes
    Source  Saxe, McClelland & Ganguli 2014; https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.orthogonal_

    >>> import minigrad
    >>> w = orthogonal_(minigrad.empty(2, 3))
    >>> minigrad.allclose(w @ w.T, minigrad.eye(2), atol=1e-6)
    True
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_ needs 2 axes or more, got shape {tuple(tensor.shape)}")
    if tensor.array.size == 0:
        return tensor
    rows, shape = tensor.array.shape[0], tensor.array.shape
    with no_grad():
        return tensor._draw(lambda stream: gain * _orthogonal(stream, rows, tensor.array.size // rows).reshape(shape), generator)


def _orthogonal(stream: Any, rows: int, columns: int) -> Any:
    q, r = np.linalg.qr(stream.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diagonal(r))  # makes all such matrices equally likely, Mezzadri 2007
    return q if rows >= columns else q.T


# --------------------------------------------------------------------- scaled by how many numbers a unit adds up


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on a weight's deviation that makes up for what a nonlinearity takes from its input's.

    Raises  ValueError for an unknown nonlinearity or a slope that is no number
    Source  https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.calculate_gain

    >>> calculate_gain("tanh"), calculate_gain("leaky_relu", 1.0)
    (1.6666666666666667, 1.0)
    """
    if nonlinearity == "leaky_relu":
        if isinstance(param, bool) or not isinstance(param, (int, float, type(None))):
            raise ValueError(f"the slope of leaky_relu is a number, got {param!r}")
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"no gain is known for {nonlinearity!r}; there are: leaky_relu, {', '.join(_GAINS)}")
    return _GAINS[nonlinearity]


_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_GAINS = {**dict.fromkeys((*_LINEAR, "sigmoid"), 1.0), "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Numbers uniform in [-a, a) with a = gain √(6 / (fan_in + fan_out)).

    Raises  ValueError for fewer than 2 axes
    Source  Glorot & Bengio 2010, equation 16

    >>> import minigrad
    >>> bool((xavier_uniform_(minigrad.empty(3, 3)).abs() <= 1).all())
    True
    """
    bound = gain * math.sqrt(6 / max(1, sum(_fans(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Numbers from the normal distribution with deviation gain √(2 / (fan_in + fan_out)).

    Raises  ValueError for fewer than 2 axes
    Source  Glorot & Bengio 2010, equation 12

    >>> import minigrad
    >>> xavier_normal_(minigrad.empty(3, 5)).shape
    minigrad.Size([3, 5])
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(1, sum(_fans(tensor)))), generator)


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None) -> Tensor:
    """Numbers uniform in [-b, b) with b = gain √(3 / fan); `a` is the slope of leaky_relu, `mode` says which fan.

    Raises  ValueError for fewer than 2 axes, an unknown mode or nonlinearity
    Source  He et al. 2015, equation 10

    >>> import minigrad
    >>> bool((kaiming_uniform_(minigrad.empty(3, 6)).abs() <= 1).all())
    True
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None) -> Tensor:
    """Numbers from the normal distribution with deviation gain / √fan; see `kaiming_uniform_`.

    Raises  ValueError for fewer than 2 axes, an unknown mode or nonlinearity
    Source  He et al. 2015, equation 10

    >>> import minigrad
    >>> kaiming_normal_(minigrad.empty(3, 5), mode="fan_out", nonlinearity="tanh").shape
    minigrad.Size([3, 5])
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', got {mode!r}")
    fan_in, fan_out = _fans(tensor)
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, fan_in if mode == "fan_in" else fan_out))


def _fans(tensor: Tensor) -> tuple[int, int]:
    """How many numbers each output adds up, and into how many outputs each input goes, for a weight (out, in, …)."""
    if tensor.ndim < 2:
        raise ValueError(f"a weight with a fan in and a fan out has 2 axes or more, got shape {tuple(tensor.shape)}; use uniform_")
    fan_out, fan_in, *window = tensor.array.shape
    return fan_in * math.prod(window), fan_out * math.prod(window)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise AttributeError(explain("nn.init", name, __all__))
