"""Layers and losses as functions: what a Module computes, given its parameters.

Source: https://docs.pytorch.org/docs/stable/nn.functional.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import Tensor, backend, cosine_similarity, ops, pairwise_distance
from minigrad.missing import explain
from minigrad.ops import index
from minigrad.ops.elementwise import _quiet
from minigrad.ops.elementwise import _require_same_device as require_same_device
from minigrad.ops.index import placed
from minigrad.ops.matrix import linear
from minigrad.public import public
from minigrad.tape import record, record_several, wrap

from . import activations, losses
from .activations import *  # noqa: F403
from .dot_products import scaled_dot_product_attention
from .losses import *  # noqa: F403

__all__ = [
    "cosine_similarity", "cross_entropy", "embedding", "layer_norm", "linear", "nll_loss", "normalize", "one_hot", "pad",
    "pairwise_distance", "scaled_dot_product_attention",
]  # fmt: skip
__all__ += activations.__all__
__all__ += losses.__all__

one_hot = public(index.one_hot)


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
    require_same_device(weight.array, ids)
    ids = backend.of(ids).in_range(ids, 0, shape[0] - 1, "embedding: ids")
    flat = ids.reshape(-1)

    def rule(xp: Any, dy: Any, input: Any) -> Any:
        rows = dy.reshape((flat.size, shape[1]))
        if padding_idx is not None:
            rows = rows * (wrap(flat != padding_idx) if isinstance(dy, Tensor) else flat != padding_idx)[:, None]
        return xp.placed(rows, shape, (flat,), True)

    return record("embedding", weight.array.take(ids, axis=0), (weight,), (rule,), (input,))  # kept so that a change of the ids is noticed


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """The input with mean 0 and deviation 1 over its last axes, whose sizes are `normalized_shape`, then scaled and shifted.

    With n elements to a mean, μ(v) their mean of v, and s how much a row is scaled:

        (1)  s = 1 / sqrt(μ((x - μ(x))²) + eps)
        (2)  u = (x - μ(x)) * s                     (2')  dx = s * (du - μ(du) - u * μ(du * u)) - ds * s² * u / n
        (3)  y = u * weight + bias                  (3')  du = dy * weight,  dweight = Σ dy * u,  dbias = Σ dy

    One node, which keeps u and s but not x. Both are outputs of it that nobody sees: the rule is written in them, so
    that a gradient of the gradient comes back through them, as `du` and as `ds`.

    Shapes: input (*, normalized_shape), weight and bias of normalized_shape → input's
    Raises: RuntimeError for shapes or dtypes that do not fit, TypeError for a normalized_shape that is no sequence
    Source: Ba, Kiros & Hinton 2016; https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html

    >>> import minigrad
    >>> layer_norm(minigrad.tensor([[1.0, 3.0], [5.0, 5.0]]), (2,))
    tensor([[-1.0000,  1.0000],
            [ 0.0000,  0.0000]])
    """
    axes = _normalized_axes(input, normalized_shape, weight, bias)
    n = math.prod([input.array.shape[axis] for axis in axes]) or 1
    x = input.array if input.array.itemsize > 2 else input.array.astype(np.float32)  # squares overflow in float16
    with _quiet():
        away = x - x.sum(axis=axes, keepdims=True) / n
        s = 1 / backend.of(x).sqrt((away * away).sum(axis=axes, keepdims=True) / n + eps)  # (1)
        u = away * s  # (2)
    y = u if weight is None else u * weight.array
    y = y if bias is None else y + bias.array  # (3)

    def dx(xp: Any, dys: Any, u: Any, s: Any, weight: Any) -> Any:
        dy, du, ds = dys
        if dy is not None:
            du = _sum_of_both(du, dy if weight is None else dy * weight)  # (3')
        found = None if du is None else s * (du - _mean(du, axes, n) - u * _mean(du * u, axes, n))  # (2')
        return found if ds is None else _sum_of_both(found, ds * s * s * u * (-1 / n))

    given = [(input, dx), (weight, _LAYER_NORM_AFFINE[0]), (bias, _LAYER_NORM_AFFINE[1])]
    inputs, rules = zip(*[each for each in given if each[0] is not None])
    return record_several("layer_norm", (y.astype(input.array.dtype, copy=False), u, s), inputs, rules, (u, s, weight))[0]


_LAYER_NORM_AFFINE = (lambda xp, dys, u, s, weight: None if dys[0] is None else dys[0] * u, lambda xp, dys, u, s, weight: dys[0])


def _sum_of_both(one: Any, other: Any) -> Any:
    """one + other, where one may be missing."""
    return other if one is None else one + other


def _mean(x: Any, axes: tuple[int, ...], n: int) -> Any:
    return x.sum(axis=axes, keepdims=True) / n


def _normalized_axes(input: Tensor, normalized_shape: Any, weight: Tensor | None, bias: Tensor | None) -> tuple[int, ...]:
    """The axes that `layer_norm` takes means over, after every check."""
    if not isinstance(normalized_shape, Sequence):
        raise TypeError(f"normalized_shape must be a tuple of sizes, got {type(normalized_shape).__name__} {normalized_shape!r}")
    sizes, shape, dtype = tuple(normalized_shape), tuple(input.array.shape), input.array.dtype
    if not sizes or shape[-len(sizes) :] != sizes:
        raise RuntimeError(f"layer_norm needs an input whose last axes have the sizes {sizes}, one axis at least, got shape {shape}")
    if dtype.kind != "f":
        raise RuntimeError(f"layer_norm is for floating point, got {input.dtype}; use x.float()")
    for name, each in (("weight", weight), ("bias", bias)):
        if each is not None and tuple(each.array.shape) != sizes:
            raise RuntimeError(f"layer_norm needs a {name} of the shape it normalizes, {sizes}, got {tuple(each.shape)}")
        if each is not None and each.array.dtype != dtype and (dtype.itemsize, each.array.dtype) != (2, np.float32):
            raise RuntimeError(f"layer_norm needs a {name} of the input's dtype {input.dtype}, got {each.dtype}")
    return tuple(range(len(shape) - len(sizes), len(shape)))


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
    if input.array.dtype.kind != "f":
        raise NotImplementedError(f"cross_entropy is for floating point, got {input.dtype}; use x.float()")
    logits, ids = _rows_and_classes(input, target)
    ids, counts = _weights(ids, weight, ignore_index, input)
    losses = _class_losses(logits, target, ids, counts, reduction)
    return losses.reshape(target.array.shape) if reduction == "none" and target.array.ndim != 1 else losses


def _rows_and_classes(input: Tensor, target: Tensor) -> tuple[Tensor, Any]:
    """Logits as (N, C) and targets as (N,)."""
    x, shape = input, input.array.shape
    fits = target.array.shape == (shape[:1] + shape[2:] if len(shape) > 1 else ())
    if not shape or not fits:
        raise RuntimeError(f"cross_entropy needs logits (N, C, …) and classes (N, …), got shapes {tuple(shape)} and {tuple(target.shape)}")
    require_same_device(input.array, target.array)
    if len(shape) == 1:
        x = x.unsqueeze(0)
    elif len(shape) > 2:
        x = x.movedim(1, -1).reshape(-1, shape[1])
    return x, target.array.reshape(-1)


def _weights(ids: Any, weight: Tensor | None, ignore_index: int, input: Tensor) -> tuple[Any, Any]:
    """The classes, all of them possible, and how much each row counts, or None where all count alike."""
    classes, xp = input.array.shape[0 if input.array.ndim == 1 else 1], backend.of(ids)
    ignored = ids == ignore_index
    ids = xp.in_range(ids, 0, classes - 1, "cross_entropy: target classes", ignored=ignore_index)
    if weight is None and xp.known_empty(ignored):
        return ids, None
    ids = xp.where(ignored, 0, ids)
    counts = xp.ones(ids.shape, input.array.dtype) if weight is None else weight.array[ids]
    return ids, xp.where(ignored, 0, counts).astype(input.array.dtype)


def _class_losses(logits: Tensor, target: Tensor, ids: Any, counts: Any, reduction: str) -> Tensor:
    """One node: the losses of rows of logits (N, V), each times how much it counts, reduced; `ids` are the target's classes."""
    xp, shape, dtype = backend.of(ids), logits.array.shape, logits.array.dtype
    places = xp.arange(shape[0]) * shape[1] + ids  # where the targets' logits stand, counted through all rows
    void = None if counts is None else counts == 0  # rows that count for nothing: whatever they hold, NaN included, stays there
    weights = xp.ones(ids.shape, dtype) if counts is None else counts
    total = 1 if reduction != "mean" else ids.size if counts is None else xp.asarray(counts.sum())
    with _quiet():  # infinite logits and the mean of nothing give NaN
        e, sums, losses = _exponentials(logits.array, places, void)
        value = losses if counts is None else losses * counts
        value = value if reduction == "none" else value.sum() / total
    divisor = max(total, 1) if total.__class__ is int else xp.where(total == 0, 1, total).astype(dtype)  # of nothing: no gradient, not NaN

    def rule(xp: Any, dy: Any, x: Any, e: Any, sums: Any, weights: Any, divisor: Any, target: Any) -> Any:
        scale = weights * (dy / divisor)
        if void is not None:  # 0 times a gradient of NaN would not be 0
            scale = xp.where(wrap(void) if isinstance(dy, Tensor) else void, 0.0, scale)
        if isinstance(dy, Tensor):
            x = x if void is None else ops.masked_fill(x, wrap(void[:, None]), 0.0)
            return ops.softmax(x, 1) * scale[:, None] - placed(scale, (e.array.size,), (places,), False).reshape(shape)
        dx = e * (scale / sums)[:, None]  # (1'), where softmax is e / sums
        dx.reshape(-1)[places] = scale * (e.reshape(-1)[places] / sums - 1)
        return dx

    return record("cross_entropy", value.astype(dtype, copy=False), (logits,), (rule,), (logits, e, sums, weights, divisor, target))


def _exponentials(x: Any, places: Any, void: Any) -> tuple[Any, Any, Any]:
    """e = exp(x - c) with a c for each row, the sums of its rows, and the losses (1); rows that are void count as zeros.

    c = 0 saves two passes over x, and serves where no sum overflows and no target's e vanishes; elsewhere, c is the largest of
    the row, as on a GPU, which would have to be waited for to know.
    """
    xp = backend.of(x)
    x = x if void is None else xp.where(void[:, None], 0, x)
    x = xp.ascontiguousarray(x if x.itemsize > 2 else x.astype(np.float32))  # sums overflow in float16
    ones = xp.ones(x.shape[1], x.dtype)
    picked = x.reshape(-1)[places]
    if xp.known_empty(picked < -40):
        e = xp.exp(x)
        sums = e @ ones  # in a quarter of the time of e.sum(axis=1)
        if xp.known_empty(~(sums < 1e20)):
            return e, sums, xp.log(sums / e.reshape(-1)[places])
    largest = x.max(axis=1, keepdims=True)
    e = x - largest
    e = xp.exp(e, out=e)
    sums = e @ ones
    return e, sums, xp.log(sums) - (picked - largest[:, 0])


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
    ids, counts = _weights(ids, weight, ignore_index, input)
    void = None if counts is None else counts == 0
    losses = -rows[wrap(backend.of(ids).arange(ids.size)), wrap(ids)]
    if void is not None:
        losses = ops.masked_fill(losses, wrap(void), 0.0) * wrap(counts)
    if reduction == "none":
        return losses.reshape(target.array.shape)
    if reduction == "sum":
        return losses.sum()
    return losses.sum() / (_or_nan(wrap(counts.sum())) if counts is not None else ids.size or float("nan"))


# -------------------------------------------------------------------------------------------------------------- vectors


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x divided by its p-norm along `dim`, which is not taken below eps"""
    return input / input.norm(p, dim, True).clamp_min(eps).expand_as(input)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """x with `value` (0) put before and after its last axis, (before, after), then the one before it, and so on; negative sizes cut

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html

    >>> import minigrad
    >>> pad(minigrad.ones(2), (1, 2)).tolist()
    [0.0, 1.0, 1.0, 0.0, 0.0]
    """
    if mode != "constant":
        raise NotImplementedError(f"pad has mode 'constant', not {mode!r}; for others join pieces with minigrad.cat")
    if len(pad) % 2 or len(pad) > 2 * input.array.ndim:
        raise RuntimeError(f"pad needs two sizes per axis, for at most {input.array.ndim} axes, got {tuple(pad)}")
    for place in range(len(pad) // 2):
        axis = input.array.ndim - 1 - place
        before, after = pad[2 * place], pad[2 * place + 1]
        size = input.array.shape[axis]
        if min(before, 0) + min(after, 0) + size < 0:
            raise RuntimeError(f"pad cuts more than dim {axis} of shape {tuple(input.shape)} has: {tuple(pad)}")
        kept = input.narrow(axis, max(-before, 0), size + min(before, 0) + min(after, 0))
        sides = [_filling(kept, axis, max(each, 0), value) for each in (before, after)]
        input = ops.cat([sides[0], kept, sides[1]], axis)
    return input


def _filling(x: Tensor, axis: int, size: int, value: float | None) -> Tensor:
    shape = (*x.array.shape[:axis], size, *x.array.shape[axis + 1 :])
    return ops.full(shape, value or 0, dtype=x.dtype, device=x.device)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise AttributeError(explain("nn.functional", name, __all__))
