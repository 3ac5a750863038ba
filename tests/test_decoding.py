"""Decoding: against brute force over all sequences, against plain loops, and with states of every form."""

import itertools
import math

import numpy as np
import pytest
from compare import host

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn import decoding
from minigrad_nn.decoding import beam_search, filter_logits, greedy, sample, select_rows

EOS, V, T = 0, 3, 4


class Model:
    """Logits that depend on everything written so far and on the row's own number, which only the state knows."""

    def __init__(self, seed, V=V, sharp=1.5):
        self.seed, self.V, self.sharp, self.calls = seed, V, sharp, 0

    def logits(self, row, written):
        return np.random.default_rng([self.seed, row, *[1 + token for token in written]]).standard_normal(self.V) * self.sharp

    def step(self, tokens, state):
        """The state: (history (B, t), [numbers (1, B, 2), None])."""
        self.calls += 1
        history, (numbers, nothing) = state
        assert nothing is None and numbers.shape == (1, len(tokens), 2)
        history = mg.cat([history, tokens.unsqueeze(1)], 1)
        rows = host(numbers)[0, :, 0].astype(int)
        found = [self.logits(row, written[1:]) for row, written in zip(rows, host(history).tolist(), strict=True)]
        return mg.tensor(np.array(found).reshape(len(tokens), self.V)), (history, [numbers, None])

    def start(self, B):
        numbers = mg.arange(B).float().reshape(1, B, 1).expand(1, B, 2)
        return mg.zeros(B, dtype=mg.int64), (mg.zeros(B, 0, dtype=mg.int64), [numbers, None])

    def score(self, row, sequence):
        """Σ ln p of a sequence."""
        total = 0.0
        for t, token in enumerate(sequence):
            x = self.logits(row, sequence[:t])
            total += x[token] - math.log(np.exp(x).sum())
        return total

    def all_sequences(self, most):
        """Every sequence that ends with EOS, or has the maximum length."""
        for length in range(1, most + 1):
            for body in itertools.product(range(self.V), repeat=length):
                if EOS not in body[:-1] and (body[-1] == EOS or length == most):
                    yield list(body)


def written(found, row, place=None):
    """The tokens of a sequence with its EOS, its score."""
    at = row if place is None else (row, place)
    return host(found.tokens)[at][: int(host(found.lengths)[at])].tolist(), float(host(found.scores)[at])


# -------------------------------------------------------------------------------------------------------------- greedy


@pytest.mark.parametrize("seed", range(5))
def test_greedy_against_a_loop(seed):
    model, B = Model(seed), 4
    found = greedy(model.step, *model.start(B), eos=EOS, max_length=T)
    for row in range(B):
        sequence = []
        while len(sequence) < T and EOS not in sequence:
            sequence.append(int(model.logits(row, sequence).argmax()))
        tokens, score = written(found, row)
        assert tokens == sequence and math.isclose(score, model.score(row, sequence))
        assert bool(found.finished[row]) == (sequence[-1] == EOS)
        assert found.sequences()[row] == [token for token in sequence if token != EOS]
        assert set(host(found.tokens)[row, len(sequence) :].tolist()) <= {EOS}


def test_greedy_stops_when_all_have_ended_and_not_before():
    ends = lambda tokens, state: (nn.functional.one_hot(mg.where(state <= 0, 0, 1), 3).float(), state - 1)
    found = greedy(ends, mg.zeros(3, dtype=mg.int64), mg.tensor([2, 0, 1]), eos=0, max_length=9)
    assert found.tokens.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0]] and found.lengths.tolist() == [3, 1, 2]
    assert found.sequences() == [[1, 1], [], [1]]
    short = greedy(ends, mg.zeros(2, dtype=mg.int64), mg.tensor([5, 0]), eos=0, max_length=2)
    assert short.finished.tolist() == [False, True] and short.sequences() == [[1, 1], []]


def test_what_a_row_that_has_ended_gives_does_not_matter():
    def step(tokens, state):
        logits = np.array([[0.0, 9.0, 0.0], [9.0, 0.0, 0.0]])
        if state:
            logits[1] = np.nan
        return mg.tensor(logits), state + 1

    for search, more in ((greedy, {}), (sample, dict(top_k=1)), (beam_search, dict(width=1, reorder=lambda state, rows: state))):
        found = search(step, mg.zeros(2, dtype=mg.int64), 0, eos=0, max_length=3, **more)
        assert np.isfinite(host(found.scores)).all() and host(found.lengths).reshape(-1).tolist() == [3, 1]


def test_nothing_is_recorded():
    W = mg.randn(3, 3, requires_grad=True)
    step = lambda tokens, state: (W[tokens], state)
    for search in (greedy, sample, beam_search):
        assert not search(step, mg.zeros(2, dtype=mg.int64), None, eos=0, max_length=3).scores.requires_grad
    assert mg.is_grad_enabled()


# -------------------------------------------------------------------------------------------------------------- sample


def test_sampling_draws_with_the_models_probabilities():
    model, B = Model(3), 20_000
    start, (history, (numbers, none)) = model.start(B)
    state = (history, [mg.zeros_like(numbers), none])
    found = sample(model.step, start, state, eos=EOS, max_length=2, generator=mg.random.Generator().manual_seed(0))
    counts = {}
    for row in range(B):
        tokens, score = written(found, row)
        counts[tuple(tokens)] = counts.get(tuple(tokens), 0) + 1
        if row < 50:
            assert math.isclose(score, model.score(0, tokens))
    for sequence in model.all_sequences(2):
        p = math.exp(model.score(0, sequence))
        assert abs(counts.get(tuple(sequence), 0) / B - p) < 5 * math.sqrt(p / B) + 1e-4


def test_sampling_is_repeated_by_its_generator_alone():
    model = Model(1, V=9, sharp=0.3)
    draw = lambda seed, **how: sample(
        model.step, *model.start(5), eos=EOS, max_length=6, generator=mg.random.Generator().manual_seed(seed), **how
    ).sequences()  # fmt: skip
    assert draw(1) == draw(1) != draw(2)
    before = mg.get_rng_state()
    draw(3)
    assert mg.equal(before, mg.get_rng_state())


@pytest.mark.parametrize("how", [dict(top_k=1), dict(top_p=1e-9), dict(temperature=1e-6)])
def test_sampling_at_its_narrowest_is_greedy(how):
    model = Model(7)
    one, other = (search(model.step, *model.start(4), eos=EOS, max_length=T, **more) for search, more in ((greedy, {}), (sample, how)))
    assert one.sequences() == other.sequences() and np.allclose(host(one.scores), host(other.scores))


def test_filtering():
    inf, x = -math.inf, mg.tensor([[1.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    assert filter_logits(x, 0.5).tolist() == (x * 2).tolist() and filter_logits(x, top_k=9).tolist() == x.tolist()
    assert filter_logits(x, top_k=2).tolist() == [[inf, 3.0, inf, 3.0], [0.0, 0.0, inf, inf]]
    assert filter_logits(x, top_k=1).tolist() == [[inf, 3.0, inf, inf], [0.0, inf, inf, inf]]
    p = mg.tensor([0.1, 0.5, 0.15, 0.25]).log()
    kept = lambda top_p, **more: np.isfinite(host(filter_logits(p, top_p=top_p, **more))).tolist()
    assert kept(0.49) == [False, True, False, False] and kept(0.51) == [False, True, False, True] and kept(1.0) == [True] * 4
    assert kept(0.6, top_k=2) == [False, True, False, False], "of the two largest, the first has two thirds"
    for bad, error in (
        (dict(temperature=0), ValueError), (dict(temperature=-1), ValueError), (dict(top_k=0), ValueError), (dict(top_k=1.5), TypeError),
        (dict(top_p=0), ValueError), (dict(top_p=1.1), ValueError), (dict(temperature=math.nan), ValueError),
    ):  # fmt: skip
        with pytest.raises(error):
            filter_logits(x, **bad)
        calls = Model(0)
        with pytest.raises(error):
            sample(calls.step, *calls.start(1), eos=EOS, max_length=2, **bad)
        assert calls.calls == 0


# --------------------------------------------------------------------------------------------------------- beam search


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, -0.5])
def test_a_beam_as_wide_as_there_are_sequences_is_brute_force(seed, penalty):
    model, B = Model(seed), 2
    everything = list(model.all_sequences(T))
    found = beam_search(model.step, *model.start(B), eos=EOS, max_length=T, width=len(everything), length_penalty=penalty)
    for row in range(B):
        expected = sorted(((model.score(row, each) / len(each) ** penalty, each) for each in everything), reverse=True)
        for place, (score, sequence) in enumerate(expected):
            tokens, got = written(found, row, place)
            assert tokens == sequence and math.isclose(got, score, rel_tol=1e-9)


def test_places_without_a_sequence_say_so():
    model = Model(0)
    everything = list(model.all_sequences(2))
    found = beam_search(model.step, *model.start(2), eos=EOS, max_length=2, width=len(everything) + 4)
    scores = host(found.scores)
    assert np.isfinite(scores[:, : len(everything)]).all() and (scores[:, len(everything) :] == -math.inf).all()
    assert not host(found.finished)[:, len(everything) :].any() and found.tokens.shape == (2, len(everything) + 4, 2)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_beam_of_one_is_greedy(seed, penalty):
    model = Model(seed, V=6, sharp=1.0)
    one = greedy(model.step, *model.start(5), eos=EOS, max_length=8)
    other = beam_search(model.step, *model.start(5), eos=EOS, max_length=8, width=1, length_penalty=penalty)
    assert one.sequences() == [best for (best,) in other.sequences()] and mg.equal(one.lengths, other.lengths[:, 0])
    assert np.allclose(host(one.scores), host(other.scores)[:, 0] * host(one.lengths) ** penalty)


def test_a_beam_of_one_is_greedy_where_logits_are_equal():
    flat = lambda tokens, state: (mg.zeros(len(tokens), 4), state)
    start = mg.zeros(2, dtype=mg.int64)
    assert greedy(flat, start, None, eos=3, max_length=3).tokens.tolist() == beam_search(
        flat, start, None, eos=3, max_length=3, width=1
    ).tokens.squeeze(1).tolist()  # fmt: skip


def looped_beam(model, row, K, most, penalty):
    """Beam search with Python's lists: (score, sequence), the best first."""
    beam = [(0.0, [])]
    for _ in range(most):
        done = [each for each in beam if EOS in each[1]]
        going = []
        for total, sequence in beam:
            if EOS not in sequence:
                x = model.logits(row, sequence)
                going += [(total + x[token] - math.log(np.exp(x).sum()), [*sequence, token]) for token in range(model.V)]
        beam = done + sorted(going, reverse=True)[: K - len(done)]
    return sorted(((total / len(sequence) ** penalty, sequence) for total, sequence in beam), reverse=True)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("K", [2, 3, 5])
@pytest.mark.parametrize("penalty", [0.0, 0.75])
def test_beam_search_against_a_loop(seed, K, penalty):
    model, B = Model(seed, V=5), 3
    found = beam_search(model.step, *model.start(B), eos=EOS, max_length=6, width=K, length_penalty=penalty)
    for row in range(B):
        for place, (score, sequence) in enumerate(looped_beam(model, row, K, 6, penalty)):
            tokens, got = written(found, row, place)
            assert tokens == sequence and math.isclose(got, score, rel_tol=1e-9)
            assert math.isclose(got * len(sequence) ** penalty, model.score(row, sequence), rel_tol=1e-9), "the state went along"


def test_a_sequence_that_ended_early_is_never_lost():
    """<eos> has a half at once; everything else then follows with certainty, at the same sum or below."""

    def step(tokens, state):
        first = mg.tensor([0.5, 0.26, 0.24]).log()
        return mg.where((tokens == 9).unsqueeze(1), first, mg.tensor([-30.0, 0.0, -30.0])), state

    found = beam_search(step, mg.full((1,), 9), None, eos=0, max_length=20, width=2)
    assert found.sequences() == [[[], [1] * 20]] and np.allclose(host(found.scores.exp()), [[0.5, 0.26]], atol=1e-3)


def test_the_best_of_a_wider_beam_can_be_better():
    p = mg.tensor([[0.0, 0.6, 0.4], [0.45, 0.55, 0.0], [0.9, 0.1, 0.0]])
    step = lambda tokens, state: (p[tokens].log(), state)
    start = mg.tensor([0])
    narrow, wide = (beam_search(step, start, None, eos=0, max_length=2, width=K) for K in (1, 2))
    assert narrow.sequences()[0][0] == [1, 1] and wide.sequences()[0][0] == [2]
    assert math.isclose(math.exp(wide.scores.max().item()), 0.36, rel_tol=1e-6)


# ----------------------------------------------------------------------------------------------------- states, checks


def test_rows_of_every_form_of_state():
    rows = mg.tensor([2, 0, 0])
    pick = [2, 0, 0]
    vector, matrix, lstm, four = mg.randn(3), mg.randn(3, 5), mg.randn(2, 3, 5), mg.randn(3, 1, 2, 4)
    found = select_rows({"a": (vector, [matrix, None]), "b": (lstm, four)}, rows)
    assert mg.equal(found["a"][0], vector[pick]) and mg.equal(found["a"][1][0], matrix[pick]) and found["a"][1][1] is None
    assert mg.equal(found["b"][0], lstm[:, pick]) and mg.equal(found["b"][1], four[pick]) and isinstance(found["a"][1], list)
    packed = decoding.Decoded(vector, vector, vector, vector)
    assert isinstance(select_rows(packed, rows), decoding.Decoded)
    with pytest.raises(TypeError, match="state"):
        select_rows("h", rows)
    with pytest.raises(RuntimeError, match="axes"):
        select_rows(mg.tensor(1.0), rows)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("K", [1, 3])
def test_states_of_recurrent_layers(kind, K):
    """Each sequence's score is what the layers give when they read it in one go."""
    mg.manual_seed(0)
    table, layers, out = nn.Embedding(6, 4), kind(4, 5, num_layers=2), nn.Linear(5, 6)

    def step(tokens, state):
        output, state = layers(table(tokens.unsqueeze(0)), state)
        return out(output[0]) * 3, state

    B = 3
    h = mg.randn(2, B, 5)
    state = (h, mg.randn(2, B, 5)) if kind is nn.LSTM else h
    found = beam_search(step, mg.ones(B, dtype=mg.int64), state, eos=0, max_length=7, width=K)
    for row, place in itertools.product(range(B), range(K)):
        tokens, score = written(found, row, place)
        output, _ = layers(table(mg.tensor([1, *tokens[:-1]]).unsqueeze(1)), select_rows(state, mg.tensor([row])))
        log_p = host((out(output[:, 0]) * 3).log_softmax(1).detach())
        assert math.isclose(sum(log_p[t, token] for t, token in enumerate(tokens)), score, rel_tol=1e-4)


def test_no_sequences_at_all():
    step = lambda tokens, state: (mg.zeros(len(tokens), 3), state)
    none = mg.zeros(0, dtype=mg.int64)
    assert greedy(step, none, mg.zeros(1, 0, 2), eos=0, max_length=3).sequences() == []
    assert beam_search(step, none, mg.zeros(1, 0, 2), eos=0, max_length=3, width=2).sequences() == []
    assert sample(step, none, None, eos=0, max_length=3).sequences() == []


@pytest.mark.parametrize("search", [greedy, sample, beam_search])
def test_arguments_that_do_not_fit(search):
    good = lambda tokens, state: (mg.zeros(len(tokens), 3), state)
    start = mg.zeros(2, dtype=mg.int64)
    for step, start_, more, error, words in (
        (good, start.float(), {}, RuntimeError, "start"), (good, start.unsqueeze(0), {}, RuntimeError, "start"),
        (good, [0, 0], {}, RuntimeError, "start"),
        (good, start, dict(max_length=0), ValueError, "max_length"), (good, start, dict(max_length=2.0), TypeError, "max_length"),
        (good, start, dict(eos=-1), ValueError, "eos"), (good, start, dict(eos=3), ValueError, "eos"),
        (good, start, dict(eos=None), TypeError, "eos"),
        (lambda tokens, state: (mg.zeros(len(tokens)), state), start, {}, RuntimeError, "logits"),
        (lambda tokens, state: (mg.zeros(1, 3), state), start, {}, RuntimeError, "logits"),
        (lambda tokens, state: (tokens.unsqueeze(1), state), start, {}, RuntimeError, "logits"),
        (lambda tokens, state: (None, state), start, {}, TypeError, "logits"),
        (lambda tokens, state: (mg.full((len(tokens), 3), math.nan), state), start, {}, RuntimeError, "NaN"),
        (lambda tokens, state: (mg.full((len(tokens), 3), -math.inf), state), start, {}, RuntimeError, "-inf"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            search(step, start_, None, **{"eos": 0, "max_length": 3, **more})


def test_widths_that_do_not_fit():
    step, start = (lambda tokens, state: (mg.zeros(len(tokens), 3), state)), mg.zeros(2, dtype=mg.int64)
    for more, error in ((dict(width=0), ValueError), (dict(width=1.0), TypeError), (dict(length_penalty=math.inf), ValueError)):
        with pytest.raises(error):
            beam_search(step, start, None, eos=0, max_length=2, **more)
    found = beam_search(step, start, None, eos=np.int64(0), max_length=np.int64(2), width=np.int64(2))
    assert found.tokens.shape == (2, 2, 2)
