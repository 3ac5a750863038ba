"""Perplexity, accuracy, confusion, and BLEU with the numbers sacrebleu gives for the same tokens."""

import math
import random

import numpy as np
import pytest

import minigrad
from minigrad_nn import metrics

METHODS = [("none", None), ("floor", None), ("floor", 0.02), ("add-k", None), ("add-k", 0.5), ("exp", None)]

# Recorded from sacrebleu 2.6.0, BLEU(tokenize="none", smooth_method=…, smooth_value=…): a row for each seed of `corpus`.
RECORDED = [
    [0.0, 3.5148776046742505, 1.0511935884582804, 13.97639637098138, 9.66386143968492, 6.988198185490689],
    [0.0, 18.398412980286235, 12.303760307518775, 34.79159475128448, 28.505549810382067, 27.512044426475697],
    [0.0, 11.555666798758564, 7.727740139207715, 22.1200604011935, 18.021935671004695, 17.27975226372214],
    [0.0, 20.38040971673075, 13.629201409510959, 36.79746482208511, 30.732992197173186, 30.475820830702457],
    [34.6697783111003, 34.6697783111003, 34.6697783111003, 41.85918788182775, 38.69141912728321, 34.6697783111003],
    [0.0, 2.8549313995624885, 1.2767641361040678, 9.408867039902512, 6.532842194234817, 5.36813192587208],
]


def corpus(seed):
    """Random candidates and references; some candidates are empty."""
    dice = random.Random(seed)
    words = [f"w{i}" for i in range(dice.choice([3, 6, 15]))]

    def sentence(low):
        return [dice.choice(words) for _ in range(dice.randint(low, 12))]

    several, n = dice.randint(1, 3), dice.randint(1, 8)
    return [sentence(0) for _ in range(n)], [[sentence(1) for _ in range(several)] for _ in range(n)]


@pytest.mark.parametrize("seed", range(len(RECORDED)))
def test_bleu_is_sacrebleus(seed):
    candidates, references = corpus(seed)
    for (method, value), expected in zip(METHODS, RECORDED[seed], strict=True):
        assert metrics.bleu(candidates, references, method, value).score == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_bleu_of_numbers_perfect_empty_and_short():
    perfect = metrics.bleu([[1, 2, 3, 4, 5]], [[[1, 2, 3, 4, 5]]], "none")
    assert perfect.score == pytest.approx(100) and perfect.brevity_penalty == 1
    assert metrics.bleu([[]], [[[1]]]).score == 0 and metrics.bleu([[7]], [[[1]]]).score == 0
    short = metrics.bleu([[1, 2, 3, 4]], [[[1, 2, 3, 4, 5, 6, 7, 8]]], "none")
    assert short.brevity_penalty == pytest.approx(math.exp(-1)) and (short.length, short.reference_length) == (4, 8)
    assert metrics.bleu([[1, 2, 3]], [[[1, 2], [1, 2, 3, 4]]]).reference_length == 2


def test_bleu_refuses():
    for arguments in (([], []), ([[1]], []), ([[1]], [[]]), ([[1]], [[[1]]], "other"), (["a"], [[["a"]]]), ([["a"]], [["a"]])):
        with pytest.raises(ValueError):
            metrics.bleu(*arguments)


def test_perplexity():
    assert metrics.perplexity(minigrad.tensor(0.0)) == 1 and metrics.perplexity(1e4) == math.inf
    assert math.isnan(metrics.perplexity(math.nan))


def test_accuracy_and_confusion_count_what_counts():
    draw = np.random.default_rng(0)
    scores, target = draw.standard_normal((4, 5, 3)), draw.integers(0, 3, (4, 5))
    target[0, 1] = target[2, 2] = -100
    real = target != -100
    expected = (scores.argmax(-1) == target)[real].mean()
    assert metrics.accuracy(minigrad.tensor(scores), minigrad.tensor(target)) == pytest.approx(expected)
    table = metrics.confusion_matrix(scores.argmax(-1), target, 4)
    assert table.shape == (4, 4) and table.sum().item() == real.sum()
    assert sum(table[i, i].item() for i in range(4)) / real.sum() == pytest.approx(expected)
    assert table[1, 2].item() == ((target == 1) & (scores.argmax(-1) == 2)).sum()
    assert math.isnan(metrics.accuracy([1], [-100])) and metrics.confusion_matrix([], []).shape == (0, 0)
    for wrong in (([1, 2], [1]), ([[1.0]], [[1], [2]]), (np.zeros((2, 0)), [0, 0])):
        with pytest.raises(ValueError):
            metrics.accuracy(*wrong)
    for wrong in (([1], [3], 3), ([-1], [0]), ([3], [0], 3)):
        with pytest.raises(ValueError, match="classes"):
            metrics.confusion_matrix(*wrong)
