"""From scores to sequences: greedy, by chance, and by beam search, for any model that can take one step.

    step(tokens, state) -> (logits, state)        tokens (B,) of int64, logits (B, V)

A step reads the tokens written last and tells what may come next. What it hands on, its state, is a tensor, None, or
tuples, lists and dicts of them; it is given back as it is, or, in a beam search, with other rows.

Sizes: B sequences to write, V tokens to choose from, K places of a beam for each sequence, T tokens written.

Nothing here is recorded on the tape. Call `model.eval()` first if the model has dropout.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import minigrad
from minigrad import Tensor, ops
from minigrad.random import Generator

__all__ = ["Decoded", "beam_search", "filter_logits", "greedy", "sample", "select_rows"]

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


class Decoded(NamedTuple):
    """Sequences that were written; of a beam search K for each of B, the best first, else one.

    tokens    (B, T) or (B, K, T) of int64: `eos` where the sequence ended, and behind it
    lengths   (B,) or (B, K): how many tokens were written, the `eos` included
    scores    (B,) or (B, K): Σ ln p of those tokens, in a beam search divided by length ** length_penalty; -inf in places of a beam
              for which there was no sequence
    finished  (B,) or (B, K): whether `eos` came before the maximum length
    """

    tokens: Tensor
    lengths: Tensor
    scores: Tensor
    finished: Tensor

    def sequences(self) -> Any:
        """The tokens as nested lists, each as long as its sequence and without its `eos`.

        >>> one = minigrad.tensor
        >>> Decoded(one([[4, 2, 9], [5, 6, 7]]), one([2, 3]), one([0.0, 0.0]), one([True, False])).sequences()
        [[4], [5, 6, 7]]
        """
        return _cut(self.tokens.tolist(), (self.lengths - self.finished.long()).tolist())


def _cut(tokens: Any, count: Any) -> Any:
    return tokens[:count] if isinstance(count, int) else [_cut(*each) for each in zip(tokens, count)]


def select_rows(state: Any, rows: Tensor) -> Any:
    """A state with only these rows of the batch, in this order; rows may repeat.

    The batch is the second axis of tensors with three, as in (L·D, B, H), and the first of all others.

    Raises: TypeError for what is no state, RuntimeError for a tensor without axes

    >>> h, mask = select_rows((minigrad.arange(6).reshape(1, 3, 2), minigrad.tensor([7, 8, 9])), minigrad.tensor([2, 2]))
    >>> h.tolist(), mask.tolist()
    ([[[4, 5], [4, 5]]], [9, 9])
    """
    if state is None:
        return None
    if isinstance(state, Tensor):
        if state.array.ndim == 0:
            raise RuntimeError("a tensor without axes has no rows; keep it outside the state, or give it the shape (B,)")
        return state.index_select(1 if state.array.ndim == 3 else 0, rows)
    if isinstance(state, dict):
        return type(state)({name: select_rows(each, rows) for name, each in state.items()})
    if isinstance(state, (tuple, list)):
        parts = [select_rows(each, rows) for each in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    raise TypeError(f"a state is a tensor, None, or tuples, lists and dicts of them, got {type(state).__name__}")


# ------------------------------------------------------------------------------------------------ one sequence for each


def greedy(step: Step, start: Tensor, state: Any, *, eos: int, max_length: int) -> Decoded:
    """The likeliest token at every step, until `eos` or max_length tokens are written; of equally likely ones, the first.

    Shapes: start (B,) of int64, often all <bos>, which is not written itself → tokens (B, T), T at most max_length
    Raises: TypeError, ValueError, RuntimeError for arguments or logits that do not fit

    >>> def count(tokens, state):  # after n comes n + 1
    ...     return ops.one_hot(tokens + 1, 9).float(), state
    >>> greedy(count, minigrad.tensor([3, 0]), None, eos=5, max_length=4).sequences()
    [[4], [1, 2, 3, 4]]
    """
    return _write(step, start, state, lambda logits: logits.argmax(-1), eos, max_length)


def sample(
    step: Step,
    start: Tensor,
    state: Any,
    *,
    eos: int,
    max_length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: Generator | None = None,
) -> Decoded:
    """Tokens drawn one after another, each with its probability p ~ exp(logit / temperature), until `eos` or max_length.

    temperature  below 1 prefers the likely, above 1 evens out
    top_k, top_p  leave out all others, see `filter_logits`

    The scores returned are the model's own ln p, whatever was left out.

    Shapes: start (B,) of int64, often all <bos>, which is not written itself → tokens (B, T), T at most max_length
    Raises: TypeError, ValueError, RuntimeError for arguments or logits that do not fit

    >>> even = lambda tokens, state: (minigrad.zeros(len(tokens), 3), state)
    >>> draw = lambda: sample(even, minigrad.zeros(2, dtype=minigrad.int64), None, eos=2, max_length=9,
    ...                       generator=minigrad.random.Generator().manual_seed(1)).sequences()
    >>> draw() == draw()
    True
    """
    filter_logits(ops.zeros(1, 1), temperature, top_k, top_p)  # complains before any step

    def draw(logits: Tensor) -> Tensor:
        return _draw(ops.softmax(filter_logits(logits, temperature, top_k, top_p), -1), generator)

    return _write(step, start, state, draw, eos, max_length)


def filter_logits(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """logits / temperature, with -inf for all that shall not be drawn.

    top_k  keeps the k largest
    top_p  keeps the smallest set of the likeliest whose probabilities, after the above, add up to p at least

    Of equal logits, those with smaller numbers come first.

    Shapes: (…, V) → (…, V)
    Raises: ValueError for a temperature that is not positive, top_k below 1, or top_p outside (0, 1]
    Source: Fan, Lewis & Dauphin 2018 for top-k; Holtzman et al. 2020 for top-p

    >>> filter_logits(minigrad.tensor([0.0, 3.0, 1.0, 2.0]), top_k=2)
    tensor([-inf, 3., -inf, 2.])
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive, got {temperature}; for the likeliest token alone use greedy")
    top_k = None if top_k is None else _whole("top_k", top_k, 1)
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie in (0, 1], got {top_p!r}")
    logits = logits / temperature
    if top_k is None and top_p is None:
        return logits
    order = logits.argsort(-1, descending=True)
    ranked = logits.take_along_dim(order, -1)
    if top_k is not None:
        ranked = ranked.masked_fill(ops.arange(ranked.array.shape[-1], device=ranked.device) >= top_k, -math.inf)
    if top_p is not None:
        p = ops.softmax(ranked, -1)
        ranked = ranked.masked_fill(p.cumsum(-1) - p >= top_p, -math.inf)
    return ranked.take_along_dim(order.argsort(-1), -1)


@minigrad.no_grad()
def _write(step: Step, start: Tensor, state: Any, choose: Callable[[Tensor], Tensor], eos: int, max_length: int) -> Decoded:
    """One sequence for each row, every token chosen from the logits (B, V)."""
    eos, max_length = _require_start(start, eos, max_length)
    scores, lengths, ended = (ops.zeros_like(start, dtype=kind) for kind in ("float64", "int64", "bool"))
    tokens, written = start, []
    for _ in range(max_length):
        logits, state = step(tokens, state)
        log_p = _log_p(logits, len(start), eos, ended)
        chosen = choose(log_p)
        scores = scores + log_p.gather(1, chosen.unsqueeze(1)).squeeze(1).masked_fill(ended, 0.0)
        lengths = lengths + (~ended).long()
        tokens = chosen.masked_fill(ended, eos)
        written.append(tokens)
        ended = ended | (tokens == eos)
        if bool(ended.all()):
            break
    return Decoded(ops.stack(written, 1), lengths, scores, ended)


def _draw(p: Tensor, generator: Generator | None) -> Tensor:
    """One position for each row of p (B, V): where a random height falls on the stairs of its sums."""
    stairs = p.cumsum(1)
    height = minigrad.rand(p.array.shape[0], 1, generator=generator, dtype="float64", device=p.device) * stairs[:, -1:]
    last = (stairs < stairs[:, -1:]).sum(1)  # the last that has a probability, should rounding lift the height above it
    return (stairs <= height).sum(1).minimum(last)


# --------------------------------------------------------------------------------------------------------- beam search


@minigrad.no_grad()
def beam_search(
    step: Step,
    start: Tensor,
    state: Any,
    *,
    eos: int,
    max_length: int,
    width: int = 5,
    length_penalty: float = 0.0,
    reorder: Callable[[Any, Tensor], Any] = select_rows,
) -> Decoded:
    """The best `width` sequences found for each row when that many are followed side by side, the best first.

        (1)  sum = Σ ln p(token | those before it)
        (2)  score = sum / length ** length_penalty

    At every step, all continuations of all places that are still open compete by (1) for these places. A sequence that
    ends keeps its place and its sum, so none is ever lost to a longer one, and the search goes on in the places left.
    Ranked by (2) are the results. Width 1 is `greedy`; as wide as there are sequences, it finds the best of all.

    length_penalty  0 prefers short sequences, since every token lowers the sum; 1 compares means per token
    reorder         reorder(state, rows): the state with these rows, `select_rows` by default; for states with the batch elsewhere

    Shapes: start (B,) of int64, often all <bos>, which is not written itself; the state of B rows → tokens (B, width, T)
    Raises: TypeError, ValueError, RuntimeError for arguments or logits that do not fit
    Cost: `max_length` steps at most of B · width rows
    Source: Sutskever, Vinyals & Le 2014, section 3.2; Graves 2012

    >>> p = minigrad.tensor([[0.0, 0.6, 0.4], [0.45, 0.55, 0.0], [0.9, 0.1, 0.0]])  # after 1, both are poor; 2 is better
    >>> markov = lambda tokens, state: (p[tokens].log(), state)
    >>> found = beam_search(markov, minigrad.tensor([0]), None, eos=0, max_length=2, width=2)
    >>> found.sequences()[0], found.scores.exp().tolist()[0][0].__round__(2)
    ([[2], [1, 1]], 0.36)
    """
    eos, max_length = _require_start(start, eos, max_length)
    width = _whole("width", width, 1)
    if not math.isfinite(length_penalty):
        raise ValueError(f"length_penalty must be a finite number, got {length_penalty!r}")
    B, K = len(start), width
    first = ops.arange(B, device=start.device).unsqueeze(1) * K  # (B, 1): the row of each one's first place
    state = reorder(state, ops.arange(B, device=start.device).repeat_interleave(K))
    beam = _Beam.of(start.repeat_interleave(K).reshape(B, K))
    for _ in range(max_length):
        logits, state = step(beam.last.reshape(-1), state)
        log_p = _log_p(logits, B * K, eos, beam.closed.reshape(-1))
        beam, origin = beam.extended(log_p.unflatten(0, (B, K)), eos)
        if bool(beam.closed.all()):
            break
        state = reorder(state, (first + origin).reshape(-1))
    return beam.ranked(length_penalty)


class _Beam(NamedTuple):
    """K places for each of B rows. A place is open, closed by a sequence that has ended, or empty: closed with a sum of -inf."""

    tokens: Tensor  # (B, K, t): written so far
    last: Tensor  # (B, K): to be read next
    sums: Tensor  # (B, K) of float64
    lengths: Tensor  # (B, K)
    ended: Tensor  # (B, K)
    closed: Tensor  # (B, K)

    @classmethod
    def of(cls, start: Tensor) -> _Beam:
        """One empty sequence in the first place, and places that are empty."""
        none = ops.zeros_like(start, dtype=bool)
        empty = ops.arange(start.array.shape[1], device=start.device).expand(start.array.shape) > 0
        sums = ops.zeros_like(start, dtype="float64").masked_fill(empty, -math.inf)
        tokens = ops.zeros_like(start, dtype="int64", shape=(*start.array.shape, 0))
        return cls(tokens, start, sums, ops.zeros_like(start, dtype="int64"), none, empty)

    def extended(self, log_p: Tensor, eos: int) -> tuple[_Beam, Tensor]:
        """The beam one step later, from log_p (B, K, V), and the place (B, K) from which each of its places was continued."""
        B, K, V = log_p.array.shape
        stay = ops.full_like(self.sums, -math.inf).masked_fill(self.ended, math.inf)  # what has ended comes first
        go_on = (self.sums.unsqueeze(2) + log_p).masked_fill(self.closed.unsqueeze(2), -math.inf)  # (1)
        key, chosen = _largest(ops.cat([stay, go_on.reshape(B, K * V)], 1), K)
        stays, found = chosen < K, key > -math.inf
        origin = ops.where(stays, chosen, (chosen - K) // V)  # (B, K)
        last = ops.where(stays, eos, (chosen - K) % V)
        stays = stays & found
        kept = self.tokens.take_along_dim(origin.unsqueeze(2), 1)
        ended = stays | (found & (last == eos))
        return _Beam(
            tokens=ops.cat([kept, last.unsqueeze(2)], 2),
            last=last,
            sums=ops.where(stays, self.sums.take_along_dim(origin, 1), key),
            lengths=self.lengths.take_along_dim(origin, 1) + (~stays).long(),
            ended=ended,
            closed=ended | ~found,
        ), origin

    def ranked(self, penalty: float) -> Decoded:
        """The best first, by (2)."""
        scores = self.sums / self.lengths.double() ** penalty  # (2)
        order = scores.argsort(1, descending=True)
        tokens, lengths = self.tokens.take_along_dim(order.unsqueeze(2), 1), self.lengths.take_along_dim(order, 1)
        return Decoded(tokens, lengths, scores.take_along_dim(order, 1), self.ended.take_along_dim(order, 1))


def _largest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values and positions (B, k) of the k largest in each row, the first of equal ones first, as argmax has it."""
    values, positions = [], []
    for _ in range(k):
        place = x.argmax(1, keepdim=True)
        values.append(x.gather(1, place))
        positions.append(place)
        x = x.scatter(1, place, -math.inf)
    return ops.cat(values, 1), ops.cat(positions, 1)


# -------------------------------------------------------------------------------------------------------------- checks


def _require_start(start: Tensor, eos: int, max_length: int) -> tuple[int, int]:
    """The two numbers as Python's, after every check."""
    if not isinstance(start, Tensor) or start.array.ndim != 1 or start.array.dtype.kind not in "iu":
        got = f"shape {tuple(start.shape)} of {start.dtype}" if isinstance(start, Tensor) else type(start).__name__
        raise RuntimeError(f"start must hold one token for each sequence, (B,) of int64, got {got}")
    return _whole("eos", eos, 0), _whole("max_length", max_length, 1)


def _whole(name: str, value: Any, least: int) -> int:
    """`value` as an int; TypeError if it is none, ValueError if it is too small."""
    if isinstance(value, (bool, float)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, got {type(value).__name__} {value!r}")
    if operator.index(value) < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    return operator.index(value)


def _log_p(logits: Tensor, rows: int, eos: int, ended: Tensor) -> Tensor:
    """ln softmax of a step's logits, in float64 so that sums tell close ones apart; 0 in rows that have ended.

    RuntimeError where logits are not (rows, V), or where nothing can be chosen from a row that has not ended.
    """
    if not isinstance(logits, Tensor):
        raise TypeError(f"a step must give (logits, state), with a tensor as logits, got {type(logits).__name__}")
    shape = tuple(logits.array.shape)
    if len(shape) != 2 or shape[0] != rows or logits.array.dtype.kind != "f":
        raise RuntimeError(f"a step must give logits of shape ({rows}, V) for {rows} tokens, got shape {shape} of {logits.dtype}")
    if eos >= shape[1]:
        raise ValueError(f"eos is {eos}, and the logits know tokens up to {shape[1] - 1} only")
    log_p = ops.log_softmax(logits.double(), 1).masked_fill(ended.unsqueeze(1), 0.0)
    if bool(log_p.isnan().any()):
        raise RuntimeError("a step gave logits that are NaN, or -inf for every token; nothing can be chosen from them")
    return log_p
