"""Losses that compare element by element, under the names and arguments of torch.nn.functional.

Source: https://docs.pytorch.org/docs/stable/nn.functional.html#loss-functions
"""

from __future__ import annotations

from minigrad import Tensor, backend, ops

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "huber_loss", "kl_div", "l1_loss", "mse_loss", "smooth_l1_loss"]


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input - target)², averaged

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html
    """
    return _reduced(ops.square(input - target), reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|input - target|, averaged"""
    return _reduced((input - target).abs(), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d² / 2 beta where d = |input - target| < beta, else d - beta / 2; averaged"""
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss needs a beta of 0 or more, got {beta}")
    away = (input - target).abs()
    return _reduced(ops.where(away < beta, away * away * (0.5 / (beta or 1.0)), away - 0.5 * beta), reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """d² / 2 where d = |input - target| ≤ delta, else delta (d - delta / 2); averaged"""
    if delta <= 0:
        raise RuntimeError(f"huber_loss needs a positive delta, got {delta}")
    away = (input - target).abs()
    return _reduced(ops.where(away <= delta, away * away * 0.5, delta * (away - 0.5 * delta)), reduction)


def binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean") -> Tensor:
    """-(t ln p + (1 - t) ln(1 - p)) for probabilities p, the logarithms not below -100; averaged"""
    _require_same_shape("binary_cross_entropy", input, target)
    bad = RuntimeError("binary_cross_entropy needs probabilities in [0, 1]; for logits: binary_cross_entropy_with_logits")
    backend.of(input.array).refuse_where(~((input.array >= 0) & (input.array <= 1)), bad)
    losses = (target - 1) * ops.clamp(ops.log(1 - input), min=-100.0) - target * ops.clamp(ops.log(input), min=-100.0)
    return _reduced(losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None
) -> Tensor:
    """-(w t ln σ(x) + (1 - t) ln(1 - σ(x))), averaged; w is `pos_weight`, 1 by default"""
    _require_same_shape("binary_cross_entropy_with_logits", input, target)
    zeros = ops.zeros_like(input)
    positive, negative = ops.logaddexp(zeros, -input), ops.logaddexp(zeros, input)
    losses = target * (positive if pos_weight is None else pos_weight * positive) + (1 - target) * negative
    return _reduced(losses if weight is None else losses * weight, reduction)


def _require_same_shape(name: str, input: Tensor, target: Tensor) -> None:
    if input.array.shape != target.array.shape:
        raise ValueError(f"{name} needs a target of the input's shape {tuple(input.shape)}, got {tuple(target.shape)}")


def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """q (ln q - input) for log-probabilities `input` and probabilities q, averaged; "batchmean" is the divergence per row"""
    losses = target.exp() * (target - input) if log_target else ops.xlogy(target, target) - target * input
    return losses.sum() / input.array.shape[0] if reduction == "batchmean" else _reduced(losses, reduction)
