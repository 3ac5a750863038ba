"""Functions as Modules, so that they can stand in a Sequential: activations, shapes, losses.

Each takes the options of the function of that name in `functional`, and PyTorch's page of its name applies.
"""

from __future__ import annotations

from typing import Any

from minigrad import Tensor

from . import functional as F
from .module import Module

__all__ = [
    "ELU", "GELU", "BCELoss", "BCEWithLogitsLoss", "Flatten", "HuberLoss", "Identity", "KLDivLoss", "L1Loss", "LeakyReLU", "LogSoftmax",
    "SiLU", "SmoothL1Loss", "Softmax", "Softplus", "Unflatten",
]  # fmt: skip


class _Function(Module):
    """A Module without parameters, whose printed form lists its options."""

    options: tuple[str, ...] = ()

    def extra_repr(self) -> str:
        named = [*self.options, *["inplace"] * getattr(self, "inplace", False)]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in named)


class Identity(Module):
    """Its input, whatever it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """(*) → (*)"""
        return input


class Flatten(_Function):
    """The axes from start_dim to end_dim joined into one."""

    options = ("start_dim", "end_dim")

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """(B, *) → (B, N)"""
        return input.flatten(self.start_dim, self.end_dim)


class Unflatten(_Function):
    """Axis `dim` cut into several of the given sizes."""

    options = ("dim", "unflattened_size")

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        """(B, N) → (B, *)"""
        return input.unflatten(self.dim, self.unflattened_size)


class GELU(_Function):
    """x Φ(x)"""

    options = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """(*) → (*)"""
        return F.gelu(input, approximate=self.approximate)


class SiLU(_Function):
    """x σ(x)"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """(*) → (*)"""
        return F.silu(input, self.inplace)


class LeakyReLU(_Function):
    """x where x > 0, else slope x"""

    options = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        """(*) → (*)"""
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class ELU(_Function):
    """x where x > 0, else alpha (eˣ - 1)"""

    options = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        """(*) → (*)"""
        return F.elu(input, self.alpha, self.inplace)


class Softplus(_Function):
    """ln(1 + e^(beta x)) / beta"""

    options = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        """(*) → (*)"""
        return F.softplus(input, self.beta, self.threshold)


class _AlongDim(_Function):
    options = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim


class Softmax(_AlongDim):
    """eˣ / Σ eˣ along `dim`"""

    def forward(self, input: Tensor) -> Tensor:
        """(*) → (*)"""
        return F.softmax(input, self.dim)


class LogSoftmax(_AlongDim):
    """ln softmax along `dim`, without overflow"""

    def forward(self, input: Tensor) -> Tensor:
        """(*) → (*)"""
        return F.log_softmax(input, self.dim)


# ------------------------------------------------------------------------------------------------------------- losses


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction


class L1Loss(_Loss):
    """|input - target|, averaged"""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(*) and (*) → ()"""
        return F.l1_loss(input, target, self.reduction)


class SmoothL1Loss(_Loss):
    """`functional.smooth_l1_loss` as a Module"""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(*) and (*) → ()"""
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(_Loss):
    """`functional.huber_loss` as a Module"""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(*) and (*) → ()"""
        return F.huber_loss(input, target, self.reduction, self.delta)


class BCELoss(_Loss):
    """`functional.binary_cross_entropy` as a Module"""

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = weight

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(*) and (*) → ()"""
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """`functional.binary_cross_entropy_with_logits` as a Module"""

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(reduction)
        self.weight, self.pos_weight = weight, pos_weight

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(*) and (*) → ()"""
        return F.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class KLDivLoss(_Loss):
    """`functional.kl_div` as a Module"""

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(*) and (*) → ()"""
        return F.kl_div(input, target, self.reduction, self.log_target)
