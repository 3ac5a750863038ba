"""Attention by products, as functions: how well each key answers each query, and the mean of the values so weighted.

    scores   (…, L, S)  query[l] · key[s] * scale
    weights  (…, L, S)  softmax of the scores over s         0 where the mask says that key s is not there
    y        (…, L, D)  Σ_s weights * value s

`attention` builds Modules on this, and says what masks mean and what sizes are called.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import Tensor, backend, ops
from minigrad.ops.elementwise import _quiet
from minigrad.tape import record

from .activations import dropout

__all__ = ["dot_product_weights", "require_mask", "scaled_dot_product_attention", "softmax_there", "without_padding"]


def softmax_there(x: Tensor, mask: Tensor | None, dim: int = -1) -> Tensor:
    """y = eˣ / Σ eˣ over the elements along `dim` where the mask holds, 0 for the others        dx = y (dy - Σ dy y)"""
    if mask is None:
        return ops.softmax(x, dim)
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"masked_softmax is for floating point, got {x.dtype}; use x.float()")
    require_mask(mask, x.array.shape, "masked_softmax")
    xp, there = backend.of(x.array), mask.array
    with _quiet():  # rows of -inf alone are NaN until the mask takes them out
        seen = xp.where(there, x.array, x.array.dtype.type(-math.inf))
        y = xp.exp(seen - seen.max(axis=dim, keepdims=True)) if seen.size else seen
        y = xp.where(there, y / y.sum(axis=dim, keepdims=True), x.array.dtype.type(0))

    def dx(xp: Any, dy: Any, there: Any, y: Any) -> Any:
        dy = xp.where(there, dy, 0.0)
        return y * (dy - (dy * y).sum(axis=dim, keepdims=True))

    return record("masked_softmax", y, (x,), (dx,), (there, y))


def dot_product_weights(
    query: Tensor, key: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, scale: float | None = None
) -> Tensor:
    """softmax over s of query[l] · key[s] * scale + attn_mask: the weights of `scaled_dot_product_attention`, for pictures.

    Shapes: query (…, L, E), key (…, S, E), attn_mask that broadcasts to the result → (…, L, S)

    >>> import minigrad
    >>> dot_product_weights(minigrad.zeros(2, 4), minigrad.zeros(2, 4), is_causal=True)
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000]])
    """
    there, added = _split_mask(query, key, attn_mask, is_causal)
    query, key = without_padding(query, there, -1), without_padding(key, there, -2)
    return _softmax_of_products(query, key, there, added, scale)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """(1)  y[l] = Σ_s dropout(softmax_s(query[l] · key[s] * scale + attn_mask[l, s])) * value[s]

    attn_mask   bools, True where query l may look at key s; or numbers to be added, -inf where it may not
    dropout_p   probability that a weight becomes 0, as given, in training or not
    is_causal   query l looks at keys 0 … l only
    scale       1/√E by default
    enable_gqa  several heads of queries, the third axis from the end, share one of keys and values

    Shapes: query (…, L, E), key (…, S, E), value (…, S, D) → (…, L, D)
    Raises: RuntimeError for shapes or dtypes that do not fit, and for attn_mask beside is_causal
    Source: Vaswani et al. 2017, equation 1; https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html

    >>> import minigrad
    >>> key = minigrad.eye(2) * 100
    >>> scaled_dot_product_attention(key, key, minigrad.tensor([[1.0], [2.0]])).tolist()
    [[1.0], [2.0]]
    """
    if value.array.ndim < 2 or key.array.ndim < 2 or value.array.shape[-2] != key.array.shape[-2]:
        raise RuntimeError(f"attention needs one value (…, S, D) per key (…, S, E), got shapes {tuple(value.shape)} and {tuple(key.shape)}")
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(f"dropout_p must lie in [0, 1], got {dropout_p}")
    if enable_gqa:
        key, value = _shared_heads(query, key), _shared_heads(query, value)
    there, added = _split_mask(query, key, attn_mask, is_causal)
    query, (key, value) = without_padding(query, there, -1), [without_padding(each, there, -2) for each in (key, value)]
    return dropout(_softmax_of_products(query, key, there, added, scale), dropout_p) @ value  # (1)


def _softmax_of_products(query: Tensor, key: Tensor, there: Tensor | None, added: Tensor | None, scale: float | None) -> Tensor:
    scale = 1 / math.sqrt(max(query.array.shape[-1], 1)) if scale is None else scale
    scores = (query * scale) @ key.mT  # (…, L, S)
    return softmax_there(scores if added is None else scores + added, there)


def _shared_heads(query: Tensor, x: Tensor) -> Tensor:
    """Keys or values with each head repeated for the heads of queries that share it."""
    if query.array.ndim < 3 or x.array.ndim < 3 or x.array.shape[-3] == 0 or query.array.shape[-3] % x.array.shape[-3]:
        raise RuntimeError(
            f"enable_gqa needs heads (…, heads, S, E) that divide the queries' heads, got shapes {tuple(x.shape)} and {tuple(query.shape)}"
        )
    return x.repeat_interleave(query.array.shape[-3] // x.array.shape[-3], -3)


# --------------------------------------------------------------------------------------------------------------- masks


def _split_mask(query: Tensor, key: Tensor, attn_mask: Tensor | None, is_causal: bool) -> tuple[Tensor | None, Tensor | None]:
    """Where queries may look, and what to add there, None for everywhere and nothing; after every check."""
    left, right = query.array.shape, key.array.shape
    if len(left) < 2 or len(right) < 2 or left[-1] != right[-1]:
        raise RuntimeError(f"attention needs queries (…, L, E) and keys (…, S, E), got shapes {tuple(left)} and {tuple(right)}")
    if attn_mask is not None and is_causal:
        raise RuntimeError("is_causal is a mask of its own: give it or attn_mask, not both")
    if is_causal:
        return ops.ones(left[-2], right[-2], dtype=bool, device=query.device).tril(), None
    if attn_mask is None:
        return None, None
    numbers = attn_mask.array.dtype != bool
    if numbers and attn_mask.dtype != query.dtype:
        raise RuntimeError(f"attn_mask must hold bools, or numbers of the query's dtype {query.dtype}, got {attn_mask.dtype}")
    there = attn_mask != -math.inf if numbers else attn_mask
    try:
        batch = np.broadcast_shapes(left[:-2], right[:-2])
    except ValueError:
        raise RuntimeError(f"the first axes of queries and keys must broadcast, got shapes {tuple(left)} and {tuple(right)}") from None
    require_mask(there, (*batch, left[-2], right[-2]), "attn_mask")
    return there, attn_mask.masked_fill(~there, 0.0) if numbers else None


def without_padding(x: Tensor, there: Tensor | None, axis: int) -> Tensor:
    """Queries (axis -1) that may look nowhere, keys and values (axis -2) that nobody may look at, as zeros.

    A weight of 0 is not enough: 0 * NaN is NaN, in the product and in its gradients.
    """
    if there is None:
        return x
    shape = (*[1] * (2 - there.array.ndim), *there.array.shape)
    used = there.reshape(shape).any(axis)  # over S: (…, L), or over L: (…, S)
    extra = used.array.ndim + 1 - x.array.ndim
    if extra > 0:  # x is shared along axes that the mask has: used if any of them uses it
        used = used.reshape(math.prod(used.array.shape[:extra]), *used.array.shape[extra:]).any(0)
    used = _shrunk(used, x.array.shape[:-1])
    return x.masked_fill(~used.unsqueeze(-1), 0.0)


def _shrunk(used: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`used` with any() taken along axes on which x of this shape has size 1 and the mask has more."""
    for axis in range(-1, -1 - used.array.ndim, -1):
        if shape[axis] == 1 and used.array.shape[axis] != 1:
            used = used.any(axis, keepdim=True)
    return used


def require_mask(mask: Tensor, shape: tuple[int, ...], name: str) -> None:
    """RuntimeError for a mask that holds no bools, or does not broadcast to this shape."""
    if mask.array.dtype != bool:
        raise RuntimeError(f"{name}: a mask holds bools, True where something is there, got {mask.dtype}; compare first: mask != 0")
    sizes = mask.array.shape
    if len(sizes) > len(shape) or any(one not in (1, size) for one, size in zip(sizes[::-1], shape[::-1])):
        raise RuntimeError(f"{name}: a mask of shape {tuple(sizes)} does not broadcast to scores of shape {tuple(shape)}")
