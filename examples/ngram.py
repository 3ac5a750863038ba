"""The baseline that a recurrent network has to beat: an interpolated character n-gram model, counted in NumPy.

How likely is character c after the context h, the n-1 characters before it? Counts of long contexts are sharp but sparse, counts of
short ones blunt but plenty, so each order leans on the one below it (Witten and Bell, 1991):

    p(c | h) = (count(h c) + kinds(h) * p(c | h without its first character)) / (count(h) + kinds(h))

`count(h)` is how often h was seen, `kinds(h)` after how many different characters followed it: the more kinds, the likelier is one
more that was never seen. Below the empty context stands 1/V. A context that was never seen passes on what stands below it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["NGram"]


class _Order:
    """The counts of all contexts of one length.

    A context has a number: its place in `keys`, where it stands as (number of the context one shorter, the character before that),
    packed into one integer. So contexts of any length are plain integers, however large the vocabulary.
    """

    def __init__(self, keys: np.ndarray, number: np.ndarray, following: np.ndarray, V: int) -> None:
        self.keys = keys
        self.pairs, self.pair_counts = np.unique(number * V + following, return_counts=True)
        self.counts = np.bincount(number, minlength=len(keys))
        self.kinds = np.bincount(self.pairs // V, minlength=len(keys))


class NGram:
    """An interpolated n-gram model over V symbols.

    >>> model = NGram(order=2, V=3).fit(np.array([0, 1, 0, 1, 0, 1]))
    >>> model.distribution(np.array([0])).round(3).tolist()
    [0.115, 0.865, 0.021]
    """

    def __init__(self, order: int, V: int) -> None:
        self.order, self.V = order, V
        self.orders: list[_Order] = []

    def fit(self, ids: np.ndarray) -> NGram:
        """Count; returns the model."""
        contexts = self._contexts(ids)
        number = np.zeros(len(ids), dtype=np.int64)  # before the text, and in the empty context, there is nothing to tell apart
        self.orders = [_Order(np.zeros(1, dtype=np.int64), number, ids, self.V)]
        for length in range(1, self.order):
            keys, number = np.unique(self._key(number, contexts, length), return_inverse=True)
            self.orders.append(_Order(keys, number, ids, self.V))
        return self

    def stored(self, n: int) -> tuple[int, int]:
        """(contexts, counts) that a model of order n keeps: of the V^n there could be, those that the text has."""
        return sum(len(order.keys) for order in self.orders[:n]), sum(len(order.pairs) for order in self.orders[:n])

    def probabilities(self, contexts: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """(N,): how likely each of `ids` (N,) is after its row of `contexts` (N, order-1)."""
        return list(self._by_order(contexts, ids))[-1]

    def _by_order(self, contexts: np.ndarray, ids: np.ndarray) -> Iterator[np.ndarray]:
        """(N,) for order 1, 2, …: the longer context leans on the shorter one."""
        p = np.full(len(ids), 1 / self.V)
        number, seen = np.zeros(len(ids), dtype=np.int64), np.ones(len(ids), dtype=bool)
        for length, order in enumerate(self.orders):
            if length:
                number, found = _look_up(order.keys, self._key(number, contexts, length))
                seen = seen & found
            pair, found = _look_up(order.pairs, number * self.V + ids)
            count = np.where(found, order.pair_counts[pair], 0)
            mixed = (count + order.kinds[number] * p) / (order.counts[number] + order.kinds[number])
            p = np.where(seen, mixed, p)
            yield p

    def distribution(self, context: np.ndarray) -> np.ndarray:
        """(V,): how likely each symbol is after `context`; all of them together make 1."""
        contexts = self._contexts(np.append(context, 0))[-1:]
        return self.probabilities(np.repeat(contexts, self.V, axis=0), np.arange(self.V))

    def bits_per_character(self, ids: np.ndarray, before: np.ndarray | None = None) -> float:
        """Mean of -log2 p over `ids`, read in order; `before` is the text that comes before them and is not scored."""
        return self.bits_by_order(ids, before)[-1]

    def bits_by_order(self, ids: np.ndarray, before: np.ndarray | None = None) -> list[float]:
        """The same for order 1, 2, … up to the model's own: what it would be with shorter contexts."""
        before = ids[:0] if before is None else before
        contexts = self._contexts(np.concatenate([before, ids]))[len(before) :]
        return [float(-np.log2(p).mean()) + 0.0 for p in self._by_order(contexts, ids)]  # -0 would read oddly

    def _contexts(self, ids: np.ndarray) -> np.ndarray:
        """(N, order-1): the characters before each one, the nearest last; V, which is no symbol, stands before the text."""
        padded = np.concatenate([np.full(self.order - 1, self.V), ids])
        return np.lib.stride_tricks.sliding_window_view(padded, self.order)[:, :-1]

    def _key(self, number: np.ndarray, contexts: np.ndarray, length: int) -> np.ndarray:
        """(N,): contexts of this length as integers, from the numbers of those one shorter."""
        return number * (self.V + 1) + contexts[:, self.order - 1 - length]


def _look_up(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(where each wanted key stands among the sorted keys, whether it stands there at all)"""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted
