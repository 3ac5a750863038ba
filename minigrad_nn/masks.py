"""Masks for padded batches: which steps are real, and losses and means over those alone.

Whatever stands in the padding, NaN and ids of no class included, reaches neither a value nor a gradient. Sequences
that shall not run through padding in the first place are packed, see `minigrad_nn.utils.rnn`.

Other texts' `sequence_mask(X, valid_len, value)`, which fills the padding of X (B, T, *) in place, is spelt
`sequence_mask_(X, valid_len, value, batch_first=True)` here; the name without `_` makes the mask itself.
"""

from __future__ import annotations

from typing import Any

from minigrad import Tensor, backend, ops
from minigrad.tape import wrap

from . import functional as F
from .utils.rnn import host_lengths

__all__ = ["masked_cross_entropy", "masked_mean", "sequence_mask", "sequence_mask_"]


def sequence_mask(lengths: Any, max_len: int | None = None, dtype: Any = bool) -> Tensor:
    """Whether each step of a padded batch is real: step t of sequence b is where t < lengths[b].

    Shapes: lengths (*), a tensor or numbers in any form → (*, max_len), the longest length by default
    Raises: RuntimeError for lengths that are not integers, or a negative max_len

    >>> sequence_mask([2, 0, 3]).tolist()
    [[True, True, False], [False, False, False], [True, True, True]]
    >>> sequence_mask([2, 1], max_len=3, dtype="float32")
    tensor([[1., 1., 0.],
            [1., 0., 0.]])
    """
    counts = (lengths if isinstance(lengths, Tensor) else ops.create.tensor(lengths)).array
    if counts.dtype.kind not in "iu" and counts.size:
        raise RuntimeError(f"sequence_mask needs lengths of integers, got {counts.dtype}; use lengths.long()")
    if max_len is None:
        max_len = int(counts.max()) if counts.size else 0
    if max_len < 0:
        raise RuntimeError(f"max_len must not be negative, got {max_len}")
    return wrap(backend.of(counts).arange(max_len) < counts[..., None]).to(dtype=dtype)


def sequence_mask_(x: Tensor, lengths: Any, value: float = 0.0, batch_first: bool = False) -> Tensor:
    """x, with `value` written into its padding, in place        dx = dy, 0 in the padding

    Shapes: x (T, B, *), or (B, T, *) with batch_first; lengths (B,)
    Raises: RuntimeError for lengths that are not one per sequence, or for a leaf that requires grad

    >>> import minigrad
    >>> sequence_mask_(minigrad.ones(2, 3), [1, 2], value=-1, batch_first=True)
    tensor([[ 1., -1., -1.],
            [ 1.,  1., -1.]])
    """
    real = _real_steps(tuple(x.shape), lengths, batch_first, x)
    return x.masked_fill_(_beside(~real, x), value)


def masked_mean(x: Tensor, mask: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """The mean of the elements where the mask holds, over everything or along `dim`; NaN where there are none.

    Shapes: x (*), mask of x's shape, or of its first axes: (T, B) beside (T, B, H) chooses whole vectors
    Raises: RuntimeError for a mask that is not of bools or does not fit, and for an x of integers

    >>> import minigrad
    >>> x = minigrad.tensor([[1.0, 2.0, float("nan")], [3.0, float("nan"), float("nan")]])
    >>> masked_mean(x, sequence_mask([2, 1], 3)), masked_mean(x, sequence_mask([2, 1], 3), dim=1)
    (tensor(2.), tensor([1.5000, 3.0000]))
    """
    if mask.array.dtype != bool:
        raise RuntimeError(f"a mask holds bools, got {mask.dtype}; make one by comparing: mask != 0")
    if not x.is_floating_point():
        raise RuntimeError(f"a mean needs floating point, got {x.dtype}; use x.float()")
    if mask.array.shape != x.array.shape[: mask.array.ndim]:
        raise RuntimeError(f"a mask must have the shape of x, {tuple(x.shape)}, or of its first axes, got {tuple(mask.shape)}")
    real = _beside(mask, x).expand(x.array.shape)
    total, count = ops.sum(x.masked_fill(~real, 0.0), dim), ops.sum(real, dim).to(x.dtype)
    return total / count.masked_fill(count == 0, float("nan"))


def masked_cross_entropy(
    input: Tensor,
    target: Tensor,
    lengths: Any = None,
    mask: Tensor | None = None,
    batch_first: bool = False,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-ln softmax(input) at the target class, over the real steps of a padded batch only.

    lengths, mask   which steps are real, one of the two: (B,) numbers, or bools of the target's shape
    reduction       'mean': per token, so that long sequences weigh more, as `cross_entropy` of all real tokens in one row;
                    'sequence_mean': per sequence first, then over the sequences that have a token, so that all weigh alike;
                    'sum'; 'none': one loss per step, 0 in the padding

    Shapes: input (T, B, V) and target (T, B), or (B, T, V) and (B, T) with batch_first → (), or the target's with 'none'
    Raises: RuntimeError for shapes that do not fit, IndexError for real targets outside [0, V), ValueError for an unknown reduction or
        for both or neither of lengths and mask

    >>> import minigrad
    >>> masked_cross_entropy(minigrad.zeros(3, 2, 4), minigrad.tensor([[1, 2], [0, 99], [3, 99]]), lengths=[3, 1])
    tensor(1.3863)
    """
    if reduction not in ("mean", "sequence_mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sequence_mean', 'sum' or 'none', got {reduction!r}")
    real = _which_are_real(input, target, lengths, mask, batch_first)
    ids = target.long().masked_fill(~real, ignore_index)
    how = "none" if reduction == "sequence_mean" else reduction
    losses = F.cross_entropy(input.flatten(0, 1), ids.reshape(-1), weight, ignore_index, how, label_smoothing)
    if reduction in ("mean", "sum"):
        return losses
    losses = losses.reshape(target.array.shape)
    return losses if reduction == "none" else _mean_of_means(losses, ids, weight, ignore_index, time=1 if batch_first else 0)


def _mean_of_means(losses: Tensor, ids: Tensor, weight: Tensor | None, ignore_index: int, time: int) -> Tensor:
    """The mean over sequences of each one's mean loss, as `cross_entropy` would give it for that sequence alone."""
    counted = ids != ignore_index
    counts = counted.to(losses.dtype)
    if weight is not None:
        counts = counts * weight.detach()[ids.masked_fill(~counted, 0)]
    sums = counts.sum(time)  # (B,)
    means = losses.sum(time) / sums.masked_fill(sums == 0, 1.0)
    return masked_mean(means, sums != 0)


def _which_are_real(input: Tensor, target: Tensor, lengths: Any, mask: Tensor | None, batch_first: bool) -> Tensor:
    """The mask of `masked_cross_entropy`, after its checks."""
    if (lengths is None) == (mask is None):
        raise ValueError(f"masked_cross_entropy needs either lengths or a mask, got {'neither' if mask is None else 'both'}")
    shape = tuple(target.shape)
    if input.array.ndim != 3 or tuple(input.shape[:2]) != shape:
        axes = "(B, T, V) and targets (B, T)" if batch_first else "(T, B, V) and targets (T, B)"
        raise RuntimeError(f"masked_cross_entropy needs logits {axes}, got shapes {tuple(input.shape)} and {shape}")
    if target.array.dtype.kind not in "iu":
        raise RuntimeError(f"masked_cross_entropy needs classes as targets, integers, got {target.dtype}; use target.long()")
    if mask is None:
        return _real_steps(shape, lengths, batch_first, input)
    if mask.array.dtype != bool or tuple(mask.shape) != shape:
        raise RuntimeError(f"the mask must hold bools in the target's shape {shape}, got {mask.dtype} in {tuple(mask.shape)}")
    return mask


def _real_steps(shape: tuple[int, ...], lengths: Any, batch_first: bool, like: Tensor) -> Tensor:
    """(T, B), or (B, T) with batch_first, on the device of `like`; RuntimeError for lengths that are not B numbers from 0 to T."""
    if len(shape) < 2:
        raise RuntimeError(f"a padded batch has at least two axes, {'(B, T)' if batch_first else '(T, B)'}, got shape {shape}")
    batch, steps = shape[:2] if batch_first else shape[1::-1]
    sizes = host_lengths(lengths)
    if sizes.size != batch or ((sizes < 0) | (sizes > steps)).any():
        raise RuntimeError(
            f"shape {shape} with batch_first={batch_first} needs {batch} lengths from 0 to {steps}, got {sizes.size}: {sizes.tolist()}"
        )
    real = sequence_mask(sizes, steps).to(like.device)
    return real if batch_first else real.t()


def _beside(mask: Tensor, x: Tensor) -> Tensor:
    """A mask of the first axes of x with axes of size 1 behind, so that it broadcasts."""
    return mask.reshape((*mask.array.shape, *[1] * (x.array.ndim - mask.array.ndim)))
