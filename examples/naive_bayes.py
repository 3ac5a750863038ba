"""The baseline that a classifier has to beat: naive Bayes, which counts features and takes them to be independent.

    log p(label | features) = log p(label) + Σ log p(feature | label) + a constant
    p(feature | label)      = (count(feature, label) + α) / Σ_f (count(f, label) + α)

Features are character n-grams of a name, or the words of a text; those never seen in training say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from labelled import Pairs, split

__all__ = ["Baseline", "NaiveBayes", "Reading", "baselines", "character_ngrams", "runs"]

ALPHAS = (1, 0.3, 0.1, 0.03, 0.01)  # from the usual add-one smoothing to hardly any
Reading = Callable[[str], list[str]]  # the features of a text


class NaiveBayes:
    """A naive Bayes model over lists of features.

    >>> model = NaiveBayes().fit([["a", "b"], ["a", "c"], ["d"]], [0, 0, 1], 2)
    >>> model.predict([["a"], ["d", "d"], ["never seen"]]).tolist()
    [0, 1, 0]
    """

    def __init__(self, alpha: float = 1) -> None:
        self.alpha = alpha  # may be changed after fit, which only counts
        self.numbers: dict[str, int] = {}

    def fit(self, texts: Sequence[Iterable[str]], labels: Sequence[int], V: int) -> NaiveBayes:
        """Count the features of texts with labels from 0 to V - 1; returns the model."""
        cells = [self.numbers.setdefault(each, len(self.numbers)) * V + label for text, label in zip(texts, labels) for each in text]
        self.counts = np.bincount(np.array(cells, dtype=np.int64), minlength=len(self.numbers) * V).reshape(-1, V)  # (features, V)
        with np.errstate(divide="ignore"):  # a label without a text is never the likeliest: log 0 = -inf
            self.log_prior = np.log(np.bincount(labels, minlength=V) / len(labels))  # (V,)
        return self

    def predict(self, texts: Sequence[Iterable[str]]) -> np.ndarray:
        """(N,): the likeliest label of each text."""
        smoothed = self.counts + self.alpha
        log_likelihood = np.log(smoothed / smoothed.sum(axis=0))  # (features, V)
        known = [[self.numbers[each] for each in text if each in self.numbers] for text in texts]
        scores = [self.log_prior + log_likelihood[np.array(text, dtype=np.int64)].sum(axis=0) for text in known]
        return np.array(scores).reshape(len(texts), -1).argmax(axis=1)


class Baseline(NamedTuple):
    """Naive Bayes that sees a text in one way, with the smoothing that did best on a validation part."""

    name: str
    alpha: float
    validated: float  # accuracy on the validation part, by which α was chosen
    guess: np.ndarray  # what a model trained on the whole training part says of the held-out texts


def baselines(train: Pairs, held_out: Pairs, labels: Sequence[str], readings: Mapping[str, Reading]) -> list[Baseline]:
    """A baseline for each way to see a text, the best last. A fifth of the training part chooses, never what is held out."""
    fitted, tried = split(train, digit=2)
    if not fitted or not tried:  # too few texts to set some apart
        fitted = tried = train
    found = []
    for name, features in readings.items():
        guesses = _guesses(fitted, tried, labels, features, ALPHAS)
        right = {alpha: float((guess == _numbers(tried, labels)).mean()) for alpha, guess in guesses.items()}
        alpha = max(ALPHAS, key=lambda each: right[each])
        found.append(Baseline(name, alpha, right[alpha], _guesses(train, held_out, labels, features, [alpha])[alpha]))
    return sorted(reversed(found), key=lambda each: each.validated)  # of equals, the one named first stands last


def _guesses(train: Pairs, asked: Pairs, labels: Sequence[str], features: Reading, alphas: Iterable[float]) -> dict[float, np.ndarray]:
    """What naive Bayes says with each smoothing; the texts are read and counted once."""
    model = NaiveBayes().fit([features(text) for text, _ in train], _numbers(train, labels), len(labels))
    texts = [features(text) for text, _ in asked]
    found = {}
    for alpha in alphas:
        model.alpha = alpha
        found[alpha] = model.predict(texts)
    return found


def _numbers(pairs: Pairs, labels: Sequence[str]) -> list[int]:
    return [labels.index(label) for _, label in pairs]


def runs(parts: Sequence[str], longest: int) -> list[str]:
    """All runs of up to `longest` neighbours, as of words.

    >>> runs(["the", "next", "cookie"], 2)
    ['the', 'next', 'cookie', 'the next', 'next cookie']
    """
    return [" ".join(parts[start : start + n]) for n in range(1, longest + 1) for start in range(len(parts) - n + 1)]


def character_ngrams(name: str, longest: int = 3) -> list[str]:
    """All runs of up to `longest` characters, with marks for the beginning and the end.

    >>> character_ngrams("Bo", 2)
    ['^', 'b', 'o', '$', '^b', 'bo', 'o$']
    """
    marked = f"^{name.lower()}$"
    return [marked[start : start + n] for n in range(1, longest + 1) for start in range(len(marked) - n + 1)]
