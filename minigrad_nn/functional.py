"""Layers and losses as functions: what a Module computes, given its parameters.

Source: https://docs.pytorch.org/docs/stable/nn.functional.html
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import Tensor, backend, ops
from minigrad.ops import log_softmax, relu, sigmoid, softmax, tanh
from minigrad.ops.elementwise import _quiet, gelu, leaky_relu, silu, softplus
from minigrad.ops.index import one_hot, placed
from minigrad.ops.matrix import linear
from minigrad.random import Generator, stream
from minigrad.tape import record, wrap

__all__ = [
    "cross_entropy", "dropout", "embedding", "gelu", "leaky_relu", "linear", "log_softmax", "mse_loss", "nll_loss", "one_hot",
    "relu", "sigmoid", "silu", "softmax", "softplus", "tanh",
]  # fmt: skip


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """The rows of `weight` that ids name        dweight: dy added to the rows it came from, none to `padding_idx`

    Shapes: input (*) of integers, weight (V, D) → (*, D)
    Raises: IndexError for ids outside [0, V), RuntimeError for ids that are no integers
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html

    >>> import minigrad
    >>> embedding(minigrad.tensor([2, 0]), minigrad.eye(3)).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    ids, shape = input.array, weight.array.shape
    if ids.dtype.kind not in "iu":
        raise RuntimeError(f"embedding looks up integers, got {input.dtype}; use x.long()")
    if isinstance(ids, np.ndarray) and ids.size and not (ids.min() >= 0 and ids.max() < shape[0]):
        raise IndexError(f"embedding has rows 0 to {shape[0] - 1}, got ids from {ids.min()} to {ids.max()}")
    flat = ids.reshape(-1)

    def rule(xp: Any, dy: Any) -> Any:
        rows = dy.reshape((flat.size, shape[1]))
        if padding_idx is not None:
            rows = rows * (wrap(flat != padding_idx) if isinstance(dy, Tensor) else flat != padding_idx)[:, None]
        return xp.placed(rows, shape, (flat,), True)

    return record("embedding", weight.array[ids], (weight,), (rule,))


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None) -> Tensor:
    """y = x with each element 0 with probability p and the others divided by 1 - p; x itself when not training

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout's probability must lie in [0, 1], got {p}")
    if not training or p == 0:
        return input
    kept = stream(generator).random(input.array.shape, dtype=np.float32) >= p
    scale = (kept * (0.0 if p == 1 else 1 / (1 - p))).astype(input.array.dtype)
    there = input.device
    mask = wrap(backend.on(there).from_host(scale, there.index))
    return ops.mul(input, mask)


# ------------------------------------------------------------------------------------------------------------- losses


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-ln softmax(input) at the target class, averaged; in one node when targets are classes

    (1)  yₙ = ln Σ_v exp(x_nv) - x_n,target        (1')  dx_nv = dyₙ (softmax(xₙ)_v - [v = target])

    Shapes: input (N, C), target (N,) of class ids; or (N, C, d1, …) and (N, d1, …); or (C,) and (). A target of
        input's shape holds probabilities. Targets equal to `ignore_index` count for nothing: their logits, NaN included,
        reach neither the loss nor any gradient, and their own gradient is 0 (PyTorch's is NaN where they are NaN).
    Raises: IndexError for classes outside [0, C), RuntimeError for shapes that do not fit
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html

    >>> import minigrad
    >>> cross_entropy(minigrad.zeros(2, 4), minigrad.tensor([1, 3]))
    tensor(1.3863)
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    if target.is_floating_point() or label_smoothing:
        return _soft_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)
    logits, ids = _rows_and_classes(input, target)
    losses = _class_losses(logits, ids, _weights(ids, weight, ignore_index, input), reduction)
    return losses.reshape(target.array.shape) if reduction == "none" and target.array.ndim != 1 else losses


def _rows_and_classes(input: Tensor, target: Tensor) -> tuple[Tensor, Any]:
    """Logits as (N, C) and targets as (N,)."""
    x, shape = input, input.array.shape
    fits = target.array.shape == (shape[:1] + shape[2:] if len(shape) > 1 else ())
    if not shape or not fits:
        raise RuntimeError(f"cross_entropy needs logits (N, C, …) and classes (N, …), got shapes {tuple(shape)} and {tuple(target.shape)}")
    if len(shape) == 1:
        x = x.unsqueeze(0)
    elif len(shape) > 2:
        x = x.movedim(1, -1).reshape(-1, shape[1])
    return x, target.array.reshape(-1)


def _weights(ids: Any, weight: Tensor | None, ignore_index: int, input: Tensor) -> Any:
    """How much each row counts, or None where all count alike."""
    classes = input.array.shape[0 if input.array.ndim == 1 else 1]
    ignored = ids == ignore_index
    if isinstance(ids, np.ndarray):
        bad = (ids < 0) | (ids >= classes)
        if (bad & ~ignored).any():
            raise IndexError(f"cross_entropy has classes 0 to {classes - 1}, got target {ids[bad & ~ignored][0]}")
        if weight is None and not ignored.any():
            return None
    xp = backend.of(ids)
    counts = xp.ones(ids.shape, input.array.dtype) if weight is None else weight.array[xp.where(ignored, 0, ids)]
    return xp.where(ignored, 0, counts).astype(input.array.dtype)


def _class_losses(logits: Tensor, ids: Any, counts: Any, reduction: str) -> Tensor:
    """One node: the losses of rows of logits (N, V), each times how much it counts, reduced."""
    x, xp = logits.array, backend.of(logits.array)
    rows = xp.arange(ids.size)
    void = None if counts is None else counts == 0  # rows that count for nothing: whatever they hold, NaN included, stays there
    safe = ids if void is None else xp.where(void, 0, ids)
    shifted = _shifted(x, void)
    picked = shifted[rows, safe]
    p = xp.exp(shifted, out=shifted)
    sums = p.sum(axis=1, keepdims=True)
    p /= sums
    value = xp.log(sums[:, 0]) - picked  # (1)
    if counts is not None:
        value = value * counts
    weights = xp.ones(ids.shape, x.dtype) if counts is None else counts
    total = xp.asarray(weights.sum()) if reduction == "mean" else None
    if reduction != "none":
        with _quiet():  # the mean of nothing is NaN
            value = value.sum() if total is None else value.sum() / total

    divisor = None if total is None else xp.where(total == 0, 1, total).astype(x.dtype)  # nothing counts: no gradient, not NaN

    def rule(xp: Any, dy: Any, x: Any, p: Any, weights: Any, divisor: Any) -> Any:
        scale = weights * (dy if divisor is None else dy / divisor)
        if void is not None and divisor is None:
            scale = xp.where(wrap(void) if isinstance(dy, Tensor) else void, 0.0, scale)
        if isinstance(dy, Tensor):
            x = x if void is None else ops.masked_fill(x, wrap(void[:, None]), 0.0)
            return ops.softmax(x, 1) * scale[:, None] - placed(scale, x.array.shape, (rows, safe), False)
        dx = p * scale[:, None]  # (1')
        dx[rows, safe] -= scale
        return dx

    return record("cross_entropy", value, (logits,), (rule,), (logits, p, weights, divisor))


def _shifted(x: Any, void: Any) -> Any:
    """Each row of x less its largest element, and 0 in the rows that are void."""
    if void is None:
        return x - x.max(axis=1, keepdims=True) if x.size else x.copy()
    with _quiet():  # void rows may hold infinities
        shifted = x - x.max(axis=1, keepdims=True) if x.size else x.copy()
    shifted[void] = 0
    return shifted


def _soft_cross_entropy(input: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: str, smoothing: float) -> Tensor:
    """Cross-entropy with probabilities as targets, or with classes smoothed into probabilities."""
    axis = 0 if input.array.ndim == 1 else 1
    if not target.is_floating_point():
        _rows_and_classes(input, target)
        input = ops.masked_fill(input, wrap(target.array == ignore_index).unsqueeze(axis), 0.0)  # NaN in ignored rows stays there
    classes = input.array.shape[axis]
    log_p = ops.log_softmax(input, axis)
    scaled = log_p if weight is None else log_p * weight.reshape([-1 if each == axis else 1 for each in range(input.array.ndim)])
    if target.is_floating_point():
        if target.array.shape != input.array.shape:
            raise RuntimeError(f"target probabilities need the input's shape {tuple(input.shape)}, got {tuple(target.shape)}")
        smoothed = target * (1 - smoothing) + smoothing / classes if smoothing else target
        losses = -(scaled * smoothed).sum(dim=axis)
        rows = losses.array.size if input.array.ndim > 1 else 1
        return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.sum() / rows
    hard = cross_entropy(input, target, weight, ignore_index, "none")
    used = wrap((target.array != ignore_index).astype(input.array.dtype))
    losses = hard * (1 - smoothing) - scaled.sum(dim=axis) * used * (smoothing / classes)
    if reduction != "mean":
        return losses if reduction == "none" else losses.sum()
    safe = backend.of(used.array).where(used.array != 0, target.array, 0)
    counts = used if weight is None else wrap(weight.array[safe]) * used
    return losses.sum() / _or_nan(counts.sum())


def _or_nan(count: Tensor) -> Tensor:
    """A count to divide by: NaN for 0, so that the mean of nothing is NaN without a warning, there and on the way back."""
    return count.masked_fill(count == 0, float("nan"))


def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """-input at the target class, averaged: what `cross_entropy` does after log_softmax

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.nll_loss.html
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    rows, ids = _rows_and_classes(input, target)
    counts = _weights(ids, weight, ignore_index, input)
    xp = backend.of(ids)
    void = None if counts is None else counts == 0
    safe = ids if void is None else xp.where(void, 0, ids)
    losses = -rows[wrap(xp.arange(ids.size)), wrap(safe)]
    if void is not None:
        losses = ops.masked_fill(losses, wrap(void), 0.0) * wrap(counts)
    if reduction == "none":
        return losses.reshape(target.array.shape)
    if reduction == "sum":
        return losses.sum()
    return losses.sum() / (_or_nan(wrap(counts.sum())) if counts is not None else ids.size or float("nan"))


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input - target)², averaged

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    away = ops.square(input - target)
    return away if reduction == "none" else away.sum() if reduction == "sum" else away.mean()
