"""What a translator has to beat: the nearest sentence seen, and a dictionary of words that come together. Neither knows any order."""

from __future__ import annotations

from collections import Counter

import numpy as np

from sentence_pairs import join, tokens

__all__ = ["nearest_pair", "word_by_word"]


def word_by_word(train: list[tuple[str, str]], sources: list[str]) -> list[str]:
    """Each word replaced by the one that comes with it most exclusively, by Dice's 2 n(s, t) / (n(s) + n(t)) over pairs; others copied."""
    here, there, both = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    for source, target in train:
        left, right = set(tokens(source, "word")), set(tokens(target, "word"))
        here.update(left)
        there.update(right)
        both.update((s, t) for s in left for t in right)
    best: dict[str, tuple[float, str]] = {}
    for (s, t), together in both.items():
        best[s] = max(best.get(s, (0.0, s)), (2 * together / (here[s] + there[t]), t))
    return [join([best.get(word, (0.0, word))[1] for word in tokens(source, "word")], "word") for source in sources]


def nearest_pair(train: list[tuple[str, str]], sources: list[str], level: str) -> list[str]:
    """The translation of the training source whose counts of tokens are at the smallest angle to the source's; of several, the first."""
    number = {token: i for i, token in enumerate(sorted({token for source, _ in train for token in tokens(source, level)}))}

    def directions(texts: list[str]) -> np.ndarray:
        counts = np.zeros((len(texts), len(number)), np.float32)
        for row, text in zip(counts, texts, strict=True):
            for token in tokens(text, level):
                if token in number:
                    row[number[token]] += 1
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)

    asked = directions(sources)
    best, row = np.full(len(sources), -1.0, np.float32), np.zeros(len(sources), int)
    for start in range(0, len(train), 2000):
        cosines = asked @ directions([source for source, _ in train[start : start + 2000]]).T
        better = cosines.max(1) > best
        best, row = np.where(better, cosines.max(1), best), np.where(better, start + cosines.argmax(1), row)
    return [train[each][1] for each in row]
