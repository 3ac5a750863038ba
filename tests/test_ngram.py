"""The n-gram baseline: a proper probability, counted right, and better with context than without."""

import importlib
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def ngram(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("ngram")


@pytest.fixture
def text_data(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("text_data")


def by_hand(text, context, symbol, V):
    """Witten and Bell's formula, straight from the docstring; the text's first characters have no longer contexts."""
    if context is None:
        return 1 / V
    shorter = by_hand(text, context[1:] if context else None, symbol, V)
    followers = [text[i + len(context)] for i in range(len(text) - len(context)) if text[i : i + len(context)] == context]
    if not followers:
        return shorter
    kinds = len(set(followers))
    return (followers.count(symbol) + kinds * shorter) / (len(followers) + kinds)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_sum_to_one_after_any_context(ngram, order):
    random = np.random.default_rng(0)
    model = ngram.NGram(order, V=7).fit(random.integers(0, 6, 500))  # symbol 6 never occurs
    for context in ([], [0], [6, 6, 6, 6], [1, 2, 3, 4, 5], list(random.integers(0, 7, 9))):
        p = model.distribution(np.array(context, dtype=np.int64))
        assert p.shape == (7,) and p.min() > 0
        assert p.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("order", [1, 3, 5])
def test_agrees_with_the_formula(ngram, order):
    text = [int(each) for each in np.random.default_rng(1).integers(0, 3, 60)]
    model = ngram.NGram(order, V=4).fit(np.array(text))
    for context in ([0, 1, 2, 0], [2, 2, 2, 2], [3, 1, 0, 1]):
        expected = [by_hand(text, context[len(context) - order + 1 :], symbol, 4) for symbol in range(4)]
        np.testing.assert_allclose(model.distribution(np.array(context)), expected, rtol=1e-12)


def test_beats_a_unigram_on_text_it_has_not_seen(ngram, text_data):
    train, held_out = text_data.split(text_data.python_help()[:60_000])
    letters = text_data.vocabulary(train)
    train, held_out = text_data.numbered(letters, train), text_data.numbered(letters, held_out)
    five, one = (ngram.NGram(n, len(letters)).fit(train).bits_per_character(held_out, before=train[-4:]) for n in (5, 1))
    assert five < 0.7 * one


def test_bits_are_the_mean_over_every_character_in_its_context(ngram):
    ids = np.random.default_rng(2).integers(0, 5, 40)
    model = ngram.NGram(3, V=5).fit(ids[:30])
    one_by_one = [-np.log2(model.distribution(ids[:i])[ids[i]]) for i in range(30, 40)]
    assert model.bits_per_character(ids[30:], before=ids[:30]) == pytest.approx(np.mean(one_by_one))
    assert model.bits_per_character(ids[30:], before=ids[28:30]) == pytest.approx(np.mean(one_by_one))


def test_a_large_vocabulary_does_not_overflow(ngram):
    ids = np.random.default_rng(3).integers(0, 60_000, 2_000)
    model = ngram.NGram(5, V=60_001).fit(ids)
    assert model.bits_per_character(ids) < 1.5  # every context of its own text is known, and nearly always once
    assert model.distribution(ids[:4]).sum() == pytest.approx(1)


def test_streams_lose_nothing_but_the_end(text_data):
    inputs, targets = text_data.parallel_streams(np.arange(23), 4)
    assert inputs.shape == targets.shape == (5, 4)
    assert (targets == inputs + 1).all()
    assert sorted(inputs.ravel()) == list(range(20))


def test_the_vocabulary_has_one_symbol_for_all_it_does_not_know(text_data):
    letters = text_data.vocabulary("cab")
    assert text_data.numbered(letters, "cxay").tolist() == [3, 0, 1, 0]
    assert letters.decode([1, 0]) == ["a", "\N{REPLACEMENT CHARACTER}"]
    assert text_data.vocabulary(list(letters)[1:]) == letters  # a saved model keeps the characters only


def test_shorter_orders_are_models_of_their_own(ngram):
    ids = np.random.default_rng(4).integers(0, 4, 300)
    longest = ngram.NGram(5, V=4).fit(ids[:200])
    by_order = longest.bits_by_order(ids[200:], before=ids[:200])
    for n in range(1, 6):
        model = ngram.NGram(n, V=4).fit(ids[:200])
        assert model.bits_per_character(ids[200:], before=ids[:200]) == pytest.approx(by_order[n - 1])
        assert longest.stored(n) == model.stored(n)
    text = [4, 4, *(int(each) for each in ids[:200])]  # what stands before the text is a symbol of its own
    seen = [{tuple(text[i - n + 1 : i + 1]) for i in range(2, len(text))} for n in (1, 2, 3)]
    contexts = [{each[:-1] for each in grams} for grams in seen]
    assert longest.stored(3) == (sum(map(len, contexts)), sum(map(len, seen)))
