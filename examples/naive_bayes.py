"""The baseline that a classifier has to beat: naive Bayes, which counts features and takes them to be independent.

    log p(label | features) = log p(label) + Σ log p(feature | label) + a constant
    p(feature | label)      = (count(feature, label) + α) / Σ_f (count(f, label) + α)

Features are character n-grams of a name, or the words of a text; those never seen in training say nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["NaiveBayes", "character_ngrams"]


class NaiveBayes:
    """A naive Bayes model over lists of features.

    >>> model = NaiveBayes().fit([["a", "b"], ["a", "c"], ["d"]], [0, 0, 1], 2)
    >>> model.predict([["a"], ["d", "d"], ["never seen"]]).tolist()
    [0, 1, 0]
    """

    def __init__(self, alpha: float = 1) -> None:
        self.alpha = alpha
        self.numbers: dict[str, int] = {}

    def fit(self, texts: Sequence[Iterable[str]], labels: Sequence[int], V: int) -> NaiveBayes:
        """Count the features of texts with labels from 0 to V - 1; returns the model."""
        features = [[self.numbers.setdefault(each, len(self.numbers)) for each in text] for text in texts]
        counts = np.zeros((len(self.numbers), V))
        for text, label in zip(features, labels):
            np.add.at(counts[:, label], np.array(text, dtype=np.int64), 1)
        counts += self.alpha
        self.log_likelihood = np.log(counts / counts.sum(axis=0))  # (features, V)
        self.log_prior = np.log(np.bincount(labels, minlength=V) / len(labels))  # (V,)
        return self

    def predict(self, texts: Sequence[Iterable[str]]) -> np.ndarray:
        """(N,): the likeliest label of each text."""
        known = [[self.numbers[each] for each in text if each in self.numbers] for text in texts]
        scores = [self.log_prior + self.log_likelihood[np.array(text, dtype=np.int64)].sum(axis=0) for text in known]
        return np.array(scores).reshape(len(texts), -1).argmax(axis=1)


def character_ngrams(name: str, longest: int = 3) -> list[str]:
    """All runs of up to `longest` characters, with marks for the beginning and the end.

    >>> character_ngrams("Bo", 2)
    ['^', 'b', 'o', '$', '^b', 'bo', 'o$']
    """
    marked = f"^{name.lower()}$"
    return [marked[start : start + n] for n in range(1, longest + 1) for start in range(len(marked) - n + 1)]
