"""How good a model is, in the numbers people compare: perplexity, accuracy, confusion, BLEU."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

import minigrad
from minigrad import Tensor

__all__ = ["Bleu", "accuracy", "bleu", "confusion_matrix", "perplexity"]


def perplexity(loss: Any) -> float:
    """e^loss for a mean of −ln p per symbol, a number or a tensor of one element: among how many a model seems to choose.

    inf where it is too large for a float.

    >>> round(perplexity(math.log(26)), 6)
    26.0
    """
    try:
        return math.exp(float(loss))
    except OverflowError:
        return math.inf


def accuracy(predicted: Any, target: Any, ignore_index: int = -100) -> float:
    """The share of targets that were predicted, those equal to ignore_index left out; nan if none is left.

    Shapes  target (*) of class numbers; predicted (*) of class numbers, or (*, C) of scores, the largest of which counts
    Raises  ValueError for other shapes

    >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    """
    p, y = _classes(predicted, target)
    counted = y != ignore_index
    return float((p == y)[counted].mean()) if counted.any() else math.nan


def confusion_matrix(predicted: Any, target: Any, num_classes: int | None = None, ignore_index: int = -100) -> Tensor:
    """How often class `row` was taken for class `column`: (C, C) of int64; C is one more than the largest class unless given.

    Shapes  as for accuracy
    Raises  ValueError for other shapes and for classes outside [0, C)

    >>> confusion_matrix([0, 1, 1, 1], [0, 0, 1, 1])
    tensor([[1, 1],
            [0, 2]])
    """
    p, y = _classes(predicted, target)
    p, y = p[y != ignore_index], y[y != ignore_index]
    C = num_classes if num_classes is not None else max(p.max(initial=-1), y.max(initial=-1)) + 1
    for name, classes in (("predicted", p), ("target", y)):
        if classes.size and not 0 <= classes.min() <= classes.max() < C:
            raise ValueError(f"{name} classes must lie in [0, {C}), got {classes.min()} … {classes.max()}")
    return minigrad.from_numpy(np.bincount(y * C + p, minlength=C * C).reshape(C, C))


def _classes(predicted: Any, target: Any) -> tuple[Any, Any]:
    """Both as flat arrays of class numbers."""
    p, y = (np.asarray(each.detach().cpu().numpy() if isinstance(each, Tensor) else each) for each in (predicted, target))
    if p.ndim == y.ndim + 1 and p.shape[:-1] == y.shape and p.shape[-1] > 0:
        p = p.argmax(-1)
    if p.shape != y.shape:
        raise ValueError(f"for targets {y.shape}, predicted must be {y.shape} of classes or {(*y.shape, 'C')} of scores, got {p.shape}")
    return p.reshape(-1).astype(np.int64), y.reshape(-1).astype(np.int64)


class Bleu(NamedTuple):
    """A BLEU score in percent, and what it is made of."""

    score: float
    precisions: tuple[float, ...]  # in percent, of 1-grams, 2-grams, …, smoothed
    brevity_penalty: float
    length: int  # of all candidates
    reference_length: int  # of the references closest to them in length


def bleu(
    candidates: Sequence[Sequence[Hashable]],
    references: Sequence[Sequence[Sequence[Hashable]]],
    smoothing: str = "exp",
    smooth_value: float | None = None,
    max_order: int = 4,
) -> Bleu:
    """How much of the n-grams of all candidates together is in their references, with a penalty for being too short:

    (1)  p_n = Σ min(count in the candidate, most in one reference) / Σ count in the candidate,  n = 1 … max_order
    (2)  b = 1, or e^(1 − r / c) where the candidates are shorter (c tokens) than the closest references (r)
    (3)  score = 100 b (p_1 ⋯ p_N)^(1/N)

    candidates  token sequences; references: for each candidate a list of one or several token sequences
    smoothing   for orders without a match: "none"; "floor": smooth_value (0.1) matches; "add-k": smooth_value (1) more of both,
                matches and n-grams, from n = 2 on; "exp": a half, a quarter, … of one match. The same as sacrebleu's

    Raises  ValueError for no candidates, not as many references, a candidate without any, an unknown smoothing
    Source  Papineni et al. 2002; Chen & Cherry 2014 for smoothing; numbers as sacrebleu's with tokenize='none' (Post 2018)

    >>> bleu(["the cat sat on the mat".split()], [["the cat sat on a mat".split()]]).score
    53.7284965911771
    """
    if smoothing not in _DEFAULTS:
        raise ValueError(f"smoothing must be one of {', '.join(_DEFAULTS)}, got {smoothing!r}")
    if not len(candidates) or len(candidates) != len(references) or not all(len(each) for each in references):
        raise ValueError(f"BLEU needs candidates and one or more references for each, got {len(candidates)} and {len(references)}")
    if any(isinstance(tokens, str) for several in (candidates, *references) for tokens in several):
        raise ValueError("candidates and references are sequences of tokens, got strings; split them, each reference inside a list")
    matches, totals = [0.0] * max_order, [0.0] * max_order
    for candidate, several in zip(candidates, references, strict=True):
        _count(candidate, several, matches, totals)
    c = sum(len(each) for each in candidates)
    r = sum(_closest(len(each), several) for each, several in zip(candidates, references, strict=True))
    b = 1.0 if c >= r else math.exp(1 - r / c) if c else 0.0
    if not any(matches):
        return Bleu(0.0, (0.0,) * max_order, b, c, r)
    precisions = _precisions(matches, totals, smoothing, _DEFAULTS[smoothing] if smooth_value is None else smooth_value)
    mean = math.exp(sum(map(math.log, precisions)) / max_order) if all(precisions) else 0.0
    return Bleu(b * mean, precisions, b, c, r)


_DEFAULTS = {"none": 0.0, "floor": 0.1, "add-k": 1.0, "exp": 0.0}


def _count(candidate: Sequence[Hashable], several: Sequence[Sequence[Hashable]], matches: list[float], totals: list[float]) -> None:
    """Add the n-grams of a candidate, and those that match, to the counts of each order."""
    for order in range(1, len(matches) + 1):
        most: Counter[Any] = Counter()
        for reference in several:
            most |= _ngrams(reference, order)
        own = _ngrams(candidate, order)
        matches[order - 1] += (own & most).total()
        totals[order - 1] += own.total()


def _ngrams(tokens: Sequence[Hashable], order: int) -> Counter[Any]:
    return Counter(tuple(tokens[start : start + order]) for start in range(len(tokens) - order + 1))


def _closest(length: int, several: Sequence[Sequence[Hashable]]) -> int:
    """The length of the reference closest in length; of two, the shorter."""
    return min((len(each) for each in several), key=lambda other: (abs(other - length), other))


def _precisions(matches: list[float], totals: list[float], smoothing: str, value: float) -> tuple[float, ...]:
    """Equation (1) in percent, smoothed; 0 from the first order on of which the candidates have no n-grams."""
    found, share = [0.0] * len(matches), 1.0
    for n, (matched, total) in enumerate(zip(matches, totals, strict=True)):
        if smoothing == "add-k" and n > 0:
            matched, total = matched + value, total + value
        if total == 0:
            break
        if matched == 0 and smoothing == "exp":
            share /= 2
            matched = share
        elif matched == 0 and smoothing == "floor":
            matched = value
        found[n] = 100 * matched / total
    return tuple(found)
