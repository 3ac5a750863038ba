"""Attention: a mean of values, weighted by how well each one's key answers a query. As functions, then as Modules.

    scores   (B, L, S)  how well key s answers query l       two ways: a small network, or a dot product
    weights  (B, L, S)  softmax of the scores over s         0 where the mask says that key s is not there
    context  (B, L, D)  Σ_s weights * value s

A mask holds True where a key may be looked at (as in `scaled_dot_product_attention` of PyTorch; its MultiheadAttention
says the opposite). What stands where no query may look, NaN included, reaches neither a value nor a gradient, and a
query that may look nowhere gets zeros.

Sizes: L queries and S keys, as PyTorch calls them; E or A of both when they are compared, D of a value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import minigrad
from minigrad import Tensor, backend, ops
from minigrad.ops.elementwise import _quiet
from minigrad.tape import record

from . import functional as F
from .checks import require_sizes
from .layers import Linear
from .masks import sequence_mask
from .module import Module
from .parameter import Parameter

__all__ = [
    "AdditiveAttention", "Attention", "DotProductAttention", "additive_scores", "dot_product_weights", "masked_softmax",
    "scaled_dot_product_attention",
]  # fmt: skip


def masked_softmax(x: Tensor, lengths: Any = None, mask: Tensor | None = None, dim: int = -1) -> Tensor:
    """y = eˣ / Σ eˣ over the elements along `dim` that are there, 0 for the others        dx = y (dy - Σ dy y)

    lengths, mask  which are there, at most one of the two: how many of the first along the last axis, or bools

    Where nothing is there, y is 0 and no gradient passes; NaN that is not there changes nothing.

    Shapes: x (B, …, S) and lengths (B,), or (B, L) where x is (B, L, S); a mask that broadcasts to x → x's
    Raises: RuntimeError for lengths or masks that do not fit, ValueError for both

    >>> x = minigrad.tensor([[0.0, 0.0, float("nan")], [1.0, 2.0, 3.0]])
    >>> masked_softmax(x, lengths=[2, 0])
    tensor([[0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 0.0000]])
    """
    mask = _mask_for(x.array.shape, lengths, mask, dim, x)
    if mask is None:
        return ops.softmax(x, dim)
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"masked_softmax is for floating point, got {x.dtype}; use x.float()")
    _require_mask(mask, x.array.shape, "masked_softmax")
    xp, there = backend.of(x.array), mask.array
    with _quiet():  # rows of -inf alone are NaN until the mask takes them out
        seen = xp.where(there, x.array, x.array.dtype.type(-math.inf))
        y = xp.exp(seen - seen.max(axis=dim, keepdims=True)) if seen.size else seen
        y = xp.where(there, y / y.sum(axis=dim, keepdims=True), x.array.dtype.type(0))

    def dx(xp: Any, dy: Any, there: Any, y: Any) -> Any:
        dy = xp.where(there, dy, 0.0)
        return y * (dy - (dy * y).sum(axis=dim, keepdims=True))

    return record("masked_softmax", y, (x,), (dx,), (there, y))


def additive_scores(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
    """score[l, s] = Σ_a v[a] * tanh(query[l, a] + key[s, a]): how well each key answers each query, Bahdanau's way.

    Shapes: query (…, L, A), key (…, S, A), v (A,) → (…, L, S)
    Cost: keeps L · S · A numbers for the walk back
    Source: Bahdanau, Cho & Bengio 2014, appendix A.1.2

    >>> additive_scores(minigrad.zeros(2, 1, 3), minigrad.zeros(2, 5, 3), minigrad.ones(3)).shape
    minigrad.Size([2, 1, 5])
    """
    return ops.tanh(query.unsqueeze(-2) + key.unsqueeze(-3)) @ v


def dot_product_weights(
    query: Tensor, key: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, scale: float | None = None
) -> Tensor:
    """softmax over s of query[l] · key[s] * scale + attn_mask: the weights of `scaled_dot_product_attention`, for pictures.

    Shapes: query (…, L, E), key (…, S, E), attn_mask that broadcasts to the result → (…, L, S)

    >>> dot_product_weights(minigrad.zeros(2, 4), minigrad.zeros(2, 4), is_causal=True)
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000]])
    """
    there, added = _split_mask(query, key, attn_mask, is_causal)
    query, key = _without_padding(query, there, -1), _without_padding(key, there, -2)
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
    query, (key, value) = _without_padding(query, there, -1), [_without_padding(each, there, -2) for each in (key, value)]
    return F.dropout(_softmax_of_products(query, key, there, added, scale), dropout_p) @ value  # (1)


def _softmax_of_products(query: Tensor, key: Tensor, there: Tensor | None, added: Tensor | None, scale: float | None) -> Tensor:
    scale = 1 / math.sqrt(max(query.array.shape[-1], 1)) if scale is None else scale
    scores = (query * scale) @ key.mT  # (…, L, S)
    return masked_softmax(scores if added is None else scores + added, mask=there)


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
    _require_mask(there, (*batch, left[-2], right[-2]), "attn_mask")
    return there, attn_mask.masked_fill(~there, 0.0) if numbers else None


def _without_padding(x: Tensor, there: Tensor | None, axis: int) -> Tensor:
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


def _mask_for(shape: tuple[int, ...], lengths: Any, mask: Tensor | None, dim: int, like: Tensor) -> Tensor | None:
    """The mask that is meant for scores of this shape, None for everything."""
    if lengths is None:
        return mask
    if mask is not None:
        raise ValueError("give lengths or a mask, not both")
    if dim not in (-1, len(shape) - 1):
        raise ValueError(f"lengths count along the last axis; for dim={dim} give a mask")
    given = lengths if isinstance(lengths, Tensor) else ops.tensor(lengths, device=like.device)
    counts = given.array
    if not shape or counts.ndim == 0 or counts.ndim >= len(shape) or counts.shape != shape[: counts.ndim]:
        raise RuntimeError(f"scores of shape {tuple(shape)} need lengths (B,) or (B, L), its first axes, got shape {tuple(given.shape)}")
    if counts.size and (int(counts.min()) < 0 or int(counts.max()) > shape[-1]):
        raise RuntimeError(f"lengths must lie in [0, {shape[-1]}] for scores of shape {tuple(shape)}, got {given.tolist()}")
    made = sequence_mask(given, shape[-1]).to(like.device)
    return made.reshape((*counts.shape, *[1] * (len(shape) - 1 - counts.ndim), shape[-1]))


def _require_mask(mask: Tensor, shape: tuple[int, ...], name: str) -> None:
    """RuntimeError for a mask that holds no bools, or does not broadcast to this shape."""
    if mask.array.dtype != bool:
        raise RuntimeError(f"{name}: a mask holds bools, True where something is there, got {mask.dtype}; compare first: mask != 0")
    sizes = mask.array.shape
    if len(sizes) > len(shape) or any(one not in (1, size) for one, size in zip(sizes[::-1], shape[::-1])):
        raise RuntimeError(f"{name}: a mask of shape {tuple(sizes)} does not broadcast to scores of shape {tuple(shape)}")


# ------------------------------------------------------------------------------------------------------------- modules


class Attention(Module):
    """What both kinds share: keys are projected once, then any number of queries may ask.

    query_size, key_size  the last sizes of what comes in
    dropout               probability that a weight becomes 0, in training

    Shapes: query (B, L, Q), key (B, S, K), value (B, S, D) (the key by default); lengths (B,) or (B, L), or a mask (B, L, S) or what
        broadcasts to it → context (B, L, D), weights (B, L, S), those before dropout
    """

    def __init__(self, query_size: int, key_size: int, dropout: float = 0.0) -> None:
        require_sizes(query_size=query_size, key_size=key_size)
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout's probability must lie in [0, 1], got {dropout}")
        super().__init__()
        self.query_size, self.key_size, self.dropout = query_size, key_size, dropout

    def project(self, key: Tensor) -> Tensor:
        """(B, S, K) → (B, S, A): the part that does not depend on the query"""
        raise NotImplementedError(f"{type(self).__name__} is no attention of its own; use AdditiveAttention or DotProductAttention")

    def score(self, query: Tensor, projected: Tensor) -> Tensor:
        """(B, L, Q), (B, S, A) → (B, L, S)"""
        raise NotImplementedError(f"{type(self).__name__} is no attention of its own; use AdditiveAttention or DotProductAttention")

    def attend(self, query: Tensor, projected: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Context and weights, for keys that were projected, and padding that is free of NaN"""
        weights = masked_softmax(self.score(query, projected), mask=mask)
        return F.dropout(weights, self.dropout, self.training) @ value, weights

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor | None = None, lengths: Any = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, L, Q), (B, S, K), (B, S, D) → (B, L, D), (B, L, S)"""
        value = key if value is None else value
        shape = self._checked(query, key, value)
        mask = _mask_for(shape, lengths, mask, -1, query)
        if mask is not None:
            _require_mask(mask, shape, type(self).__name__)
            query = _without_padding(query, mask, -1)
            key, value = _without_padding(key, mask, -2), _without_padding(value, mask, -2)
        return self.attend(query, self.project(key), value, mask)

    def _checked(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[int, ...]:
        """(B, L, S); RuntimeError where the shapes do not fit."""
        shapes = [tuple(each.array.shape) for each in (query, key, value)]
        sizes = (self.query_size, self.key_size)
        fits = all(len(shape) == 3 for shape in shapes) and len({shape[0] for shape in shapes}) == 1
        if not fits or shapes[1][1] != shapes[2][1] or (shapes[0][2], shapes[1][2]) != sizes:
            wanted = f"a query (B, L, {sizes[0]}), a key (B, S, {sizes[1]}) and a value (B, S, D)"
            raise RuntimeError(f"this {type(self).__name__} takes {wanted}, got shapes {', '.join(map(str, shapes))}")
        return (*shapes[0][:2], shapes[1][1])

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.key_size}" + (f", dropout={self.dropout}" if self.dropout else "")


class AdditiveAttention(Attention):
    """Attention by a small network with one hidden layer, equation (1); everything else: `Attention`.

        (1)  score = v @ tanh(W_q @ query + W_k @ key)

    Source: Bahdanau, Cho & Bengio 2014, appendix A.1.2

    >>> context, weights = AdditiveAttention(4, 6, hidden_size=5)(minigrad.zeros(2, 1, 4), minigrad.ones(2, 3, 6), lengths=[3, 1])
    >>> context.shape, weights[1].tolist()
    (minigrad.Size([2, 1, 6]), [[1.0, 0.0, 0.0]])
    """

    def __init__(
        self, query_size: int, key_size: int, hidden_size: int, dropout: float = 0.0, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(query_size, key_size, dropout)
        require_sizes(hidden_size=hidden_size)
        self.hidden_size = hidden_size
        self.query = Linear(query_size, hidden_size, False, device, dtype)
        self.key = Linear(key_size, hidden_size, False, device, dtype)
        self.v = Parameter(minigrad.empty(hidden_size, device=device, dtype=dtype).uniform_(-1, 1) / math.sqrt(hidden_size))

    def project(self, key: Tensor) -> Tensor:
        """W_k @ key"""
        return self.key(key)

    def score(self, query: Tensor, projected: Tensor) -> Tensor:
        """(1)"""
        return additive_scores(self.query(query), projected, self.v)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, hidden_size={self.hidden_size}"


class DotProductAttention(Attention):
    """Attention by a product, equation (1), or (2) where key_size is given: then sizes may differ. Everything else: `Attention`.

        (1)  score = query · key * scale                       scale is 1/√(their size) by default
        (2)  score = query · (W @ key) * scale

    Source: Vaswani et al. 2017; Luong, Pham & Manning 2015, section 3.1, for (2)

    >>> context, weights = DotProductAttention(4)(minigrad.zeros(2, 1, 4), minigrad.ones(2, 3, 4), lengths=[2, 0])
    >>> weights.tolist(), context[1].tolist()
    ([[[0.5, 0.5, 0.0]], [[0.0, 0.0, 0.0]]], [[0.0, 0.0, 0.0, 0.0]])
    """

    def __init__(
        self,
        query_size: int,
        key_size: int | None = None,
        dropout: float = 0.0,
        scale: float | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(query_size, query_size if key_size is None else key_size, dropout)
        self.scale = 1 / math.sqrt(query_size) if scale is None else scale
        self.key = None if key_size is None else Linear(key_size, query_size, False, device, dtype)

    def project(self, key: Tensor) -> Tensor:
        """W @ key, or the key itself"""
        return key if self.key is None else self.key(key)

    def score(self, query: Tensor, projected: Tensor) -> Tensor:
        """(1)"""
        return (query * self.scale) @ projected.mT
