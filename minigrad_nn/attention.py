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

import minigrad
from minigrad import Tensor, ops

from . import functional as F
from .checks import require_sizes
from .dot_products import dot_product_weights, require_mask, scaled_dot_product_attention, softmax_there, without_padding
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
    return softmax_there(x, mask, dim)


def additive_scores(query: Tensor, key: Tensor, v: Tensor) -> Tensor:
    """score[l, s] = Σ_a v[a] * tanh(query[l, a] + key[s, a]): how well each key answers each query, Bahdanau's way.

    Shapes: query (…, L, A), key (…, S, A), v (A,) → (…, L, S)
    Cost: keeps L · S · A numbers for the walk back
    Source: Bahdanau, Cho & Bengio 2014, appendix A.1.2

    >>> additive_scores(minigrad.zeros(2, 1, 3), minigrad.zeros(2, 5, 3), minigrad.ones(3)).shape
    minigrad.Size([2, 1, 5])
    """
    return ops.tanh(query.unsqueeze(-2) + key.unsqueeze(-3)) @ v


# --------------------------------------------------------------------------------------------------------------- masks


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
        weights = softmax_there(self.score(query, projected), mask)
        return F.dropout(weights, self.dropout, self.training) @ value, weights

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor | None = None, lengths: Any = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, L, Q), (B, S, K), (B, S, D) → (B, L, D), (B, L, S)"""
        value = key if value is None else value
        shape = self._checked(query, key, value)
        mask = _mask_for(shape, lengths, mask, -1, query)
        if mask is not None:
            require_mask(mask, shape, type(self).__name__)
            query = without_padding(query, mask, -1)
            key, value = without_padding(key, mask, -2), without_padding(value, mask, -2)
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
