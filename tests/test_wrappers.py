"""Dropout with one mask per sequence, and zoneout: against plain NumPy with the same masks, packed, reversed, cut, evaluated."""

import copy

import numpy as np
import pytest
from compare import host

import minigrad as mg
import minigrad_nn as nn
from minigrad.random import stream_on
from minigrad_nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

sigmoid = lambda v: 1 / (1 + np.exp(-v))
LENGTHS = [5, 4, 2, 2, 1]


class Echo(nn.Module):
    """A cell that shows its input and counts its steps."""

    input_size = 3

    def forward(self, input, state=None):
        h, count = (mg.zeros_like(input), mg.zeros_like(input)) if state is None else state
        return input + 0 * h, count + 1


def lstm(p, x, h, c):
    i, f, g, o = np.split(p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ h + p["bias_hh"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


# Not: packed, in reverse, with a bare state. A batch that grows takes its rows from the state given, so `begin` makes it whole.
WAYS = [(reverse, packed, given) for reverse in (False, True) for packed in (False, True) for given in (None, "bare", "begun")]
WAYS.remove((True, True, "bare"))


@pytest.mark.parametrize(("reverse", "packed", "given"), WAYS)
def test_dropout_against_numpy_and_its_derivative(reverse, packed, given):
    rng, far = np.random.default_rng(3), 1e-6
    mg.manual_seed(3)
    wrapped = nn.VariationalDropout(nn.LSTMCell(3, 4).double(), input=0.4, state=0.5, output=0.3)
    start = {name: host(value).copy() for name, value in wrapped.cell.state_dict().items()}
    x, h, c = (rng.standard_normal(shape) for shape in ((5, 5, 3), (5, 4), (5, 4)))
    h, c = (h, c) if given else (h * 0, c * 0)
    leaves = [mg.tensor(each, requires_grad=True) for each in (x, h, c)]
    state = None if given is None else tuple(leaves[1:]) if given == "bare" else wrapped.begin(tuple(leaves[1:]))
    output, last = nn.scan(wrapped, pack_padded_sequence(leaves[0], LENGTHS) if packed else leaves[0], state, reverse=reverse)
    output = pad_packed_sequence(output)[0] if packed else output
    _, *own, m_x, m_h, m_y = last
    assert all(one is other for one, other in zip(own, wrapped.bare(last), strict=True))
    masks = [np.where(host(each) > 0, 1 / (1 - p), 0) for each, p in ((m_x, 0.4), (m_h, 0.5), (m_y, 0.3))]
    assert all(0 < (each == 0).mean() < 1 and len(np.unique(each, axis=0)) > 1 for each in masks)
    weigh = [rng.standard_normal(each.shape) for each in (output, *own)]

    def loss(p, x, h, c):
        total = 0.0
        for row, length in enumerate(LENGTHS if packed else [5] * 5):
            state = h[row], c[row]
            for t in reversed(range(length)) if reverse else range(length):
                state = lstm(p, x[t, row] * masks[0][row], state[0] * masks[1][row], state[1])
                total += (state[0] * masks[2][row] * weigh[0][t, row]).sum()
            total += (state[0] * weigh[1][row]).sum() + (state[1] * weigh[2][row]).sum()
        return total

    value = sum((each * mg.tensor(by)).sum() for each, by in zip((output, *own), weigh, strict=True))
    assert np.isclose(value.item(), loss(start, x, h, c), rtol=1e-12)
    value.backward()
    steps = [rng.standard_normal(each.shape) * bool(given or not k) for k, each in enumerate((x, h, c))]
    by_name = {name: rng.standard_normal(each.shape) for name, each in start.items()}
    moved = [
        loss({name: each + s * by_name[name] for name, each in start.items()}, *(a + s * b for a, b in zip((x, h, c), steps, strict=True)))
        for s in (far, -far)
    ]
    expected = sum((host(each.grad) * by_name[name]).sum() for name, each in wrapped.cell.named_parameters())
    expected += sum((host(each.grad) * step).sum() for each, step in zip(leaves, steps, strict=True) if each.grad is not None)
    assert np.isclose((moved[0] - moved[1]) / (2 * far), expected, rtol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_row_keeps_its_mask_while_the_batch_shrinks_and_grows(reverse):
    wrapped = nn.VariationalDropout(Echo(), input=0.5)
    output, (_, count, m_x) = nn.scan(wrapped, pack_padded_sequence(mg.ones(5, 5, 3), LENGTHS), reverse=reverse)
    padded, _ = pad_packed_sequence(output, padding_value=float("nan"))
    assert count[:, 0].tolist() == LENGTHS
    for row, length in enumerate(LENGTHS):
        expected = np.where(host(m_x[row]) > 0, 2.0, 0.0)
        assert (host(padded[:length, row]) == expected).all()


def test_masks_are_new_for_new_sequences_and_the_same_in_windows_of_one():
    wrapped = nn.VariationalDropout(nn.LSTMCell(3, 4), input=0.5, state=0.5, output=0.5)
    x = mg.randn(6, 8, 3)
    mg.manual_seed(0)
    whole, last = nn.scan(wrapped, x)
    mg.manual_seed(0)
    first, state = nn.scan(wrapped, x[:2])
    second, end = nn.scan(wrapped, x[2:], tuple(each.detach() for each in state))
    assert mg.equal(whole, mg.cat([first, second])) and all(mg.equal(one, other) for one, other in zip(last, end, strict=True))
    _, anew = nn.scan(wrapped, x[2:], wrapped.bare(state))
    assert not any(mg.equal(one, other) for one, other in zip(state[3:], anew[3:], strict=True))
    assert not mg.equal(nn.scan(wrapped, x)[0], whole)
    mg.manual_seed(0)
    assert mg.equal(nn.scan(copy.deepcopy(wrapped), x)[0], whole)


def test_when_not_training_a_wrapper_drops_nothing_and_draws_nothing():
    cell = nn.LSTMCell(3, 4)
    wrapped, x = nn.VariationalDropout(cell, 0.5, 0.5, 0.5), mg.randn(6, 8, 3)
    _, state = nn.scan(wrapped, x)
    before = mg.get_rng_state()
    wrapped.eval()
    output, last = nn.scan(wrapped, x)
    assert mg.equal(output, nn.scan(cell, x)[0]) and len(last) == len(state)
    again, kept = nn.scan(wrapped, x, state)  # masks that come along are passed on
    assert mg.equal(again, nn.scan(cell, x, wrapped.bare(state))[0])
    assert all(mg.equal(one, other) for one, other in zip(kept[3:], state[3:], strict=True))
    assert mg.equal(mg.get_rng_state(), before)
    wrapped.train()
    assert all(bool((each != 0).all()) for each in nn.scan(wrapped, x, last)[1][3:])  # drawn where evaluation left them open


def test_the_extremes_of_probability():
    x = mg.randn(4, 2, 3)
    cell = nn.LSTMCell(3, 4)
    assert mg.equal(nn.scan(nn.VariationalDropout(cell), x)[0], nn.scan(cell, x)[0])
    assert len(nn.scan(nn.VariationalDropout(cell), x)[1]) == 2
    assert not nn.scan(nn.VariationalDropout(cell, output=1.0), x)[0].any()
    assert mg.equal(nn.scan(nn.VariationalDropout(cell, input=1.0), x)[0], nn.scan(cell, x * 0)[0])
    y = nn.scan(nn.VariationalDropout(Echo(), input=0.25), mg.ones(1, 4000, 3))[0]
    assert abs((y == 0).float().mean().item() - 0.25) < 0.02 and abs(y.mean().item() - 1) < 0.03


def test_masks_are_those_of_functional_dropout():
    mg.manual_seed(9)
    ours = nn.scan(nn.VariationalDropout(Echo(), input=0.3), mg.ones(3, 4, 3))[0]
    mg.manual_seed(9)
    assert mg.equal(ours[2], nn.functional.dropout(mg.ones(4, 3), 0.3))


@pytest.mark.parametrize("make", [nn.GRUCell, nn.LayerNormGRUCell])
def test_the_memory_of_a_gru_is_not_dropped(make):
    with pytest.raises(ValueError, match="memory"):
        nn.VariationalDropout(make(3, 4), state=0.5)
    with pytest.raises(ValueError, match="memory"):
        nn.VariationalDropout(nn.VariationalDropout(make(3, 4), input=0.5), state=0.5)
    _, (h, m_x) = nn.scan(nn.VariationalDropout(make(3, 4), input=0.5), mg.randn(5, 2, 3))
    assert h.shape == (2, 4) and m_x.shape == (2, 3)


def test_wrappers_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="inside"):
        nn.VariationalDropout(nn.Zoneout(nn.LSTMCell(3, 4), 0.1), state=0.5)
    with pytest.raises(ValueError, match="outside"):
        nn.Zoneout(nn.VariationalDropout(nn.LSTMCell(3, 4), output=0.5), 0.1)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), "0.5", True, None])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="probability"):
        nn.VariationalDropout(nn.LSTMCell(3, 4), input=p)
    with pytest.raises(ValueError, match="probability"):
        nn.Zoneout(nn.LSTMCell(3, 4), p)


# ------------------------------------------------------------------------------------------------------------ zoneout


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_zoneout_against_numpy_and_its_derivative(training, reverse, given):
    rng, far = np.random.default_rng(4), 1e-6
    zoned = nn.Zoneout(nn.LSTMCell(3, 4).double(), p_h=0.3, p_c=0.6).train(training)
    p = {name: host(value).copy() for name, value in zoned.cell.state_dict().items()}
    x, h, c = (rng.standard_normal(shape) for shape in ((4, 2, 3), (2, 4), (2, 4)))
    h, c = (h, c) if given else (h * 0, c * 0)
    mg.manual_seed(11)
    draws = [host(stream_on(mg.get_default_device()).random((2, 4), dtype=np.float32)) for _ in range(8)]
    mg.manual_seed(11)
    leaves = [mg.tensor(each, requires_grad=True) for each in (x, h, c)]
    output, last = nn.scan(zoned, leaves[0], tuple(leaves[1:]) if given else None, reverse=reverse)
    weigh = [rng.standard_normal(each.shape) for each in (output, *last)]

    def loss(x, h, c):
        total, dice = 0.0, iter(draws)
        for t in reversed(range(4)) if reverse else range(4):
            new = [np.stack(each) for each in zip(*[lstm(p, x[t, row], h[row], c[row]) for row in range(2)], strict=True)]
            keep_h, keep_c = ((next(dice) < 0.3), (next(dice) < 0.6)) if training else (0.3, 0.6)
            h, c = keep_h * h + (1 - keep_h) * new[0], keep_c * c + (1 - keep_c) * new[1]
            total += (h * weigh[0][t]).sum()
        return total + (h * weigh[1]).sum() + (c * weigh[2]).sum()

    value = sum((each * mg.tensor(by)).sum() for each, by in zip((output, *last), weigh, strict=True))
    assert np.isclose(value.item(), loss(x, h, c), rtol=1e-12)
    value.backward()
    steps = [rng.standard_normal(each.shape) * bool(given or not k) for k, each in enumerate((x, h, c))]
    moved = [loss(*(a + s * b for a, b in zip((x, h, c), steps, strict=True))) for s in (far, -far)]
    expected = sum((host(each.grad) * step).sum() for each, step in zip(leaves, steps, strict=True) if each.grad is not None)
    assert np.isclose((moved[0] - moved[1]) / (2 * far), expected, rtol=1e-6)


def test_zoneout_keeps_everything_or_nothing_at_the_extremes():
    x, state = mg.randn(4, 2, 3), (mg.randn(2, 4), mg.randn(2, 4))
    cell = nn.LSTMCell(3, 4)
    for training in (True, False):
        _, last = nn.scan(nn.Zoneout(cell, 1.0, 1.0).train(training), x, state)
        assert all(mg.equal(one, other) for one, other in zip(last, state, strict=True))
        assert mg.equal(nn.scan(nn.Zoneout(cell, 0.0).train(training), x, state)[0], nn.scan(cell, x, state)[0])
    with pytest.raises(ValueError, match="only h"):
        nn.scan(nn.Zoneout(nn.GRUCell(3, 4), 0.1, 0.1), x)
    h = nn.scan(nn.Zoneout(nn.GRUCell(3, 4), 0.1), x)[1]
    assert h.shape == (2, 4)


@pytest.mark.parametrize("reverse", [False, True])
def test_wrappers_inside_each_other(reverse):
    inner = nn.VariationalDropout(nn.LSTMCell(3, 4), state=0.5)
    outer = nn.VariationalDropout(nn.Zoneout(inner, 0.1, 0.4), input=0.5, output=0.5)
    packed = pack_padded_sequence(mg.randn(5, 5, 3), LENGTHS)
    _, state = nn.scan(outer, packed, reverse=reverse)
    assert [tuple(each.shape) for each in state] == [(5, 4)] * 4 + [(5, 3), (5, 4)]  # y, h, c, m_h, m_x, m_y
    assert [each.dtype for each in state[3:]] == [mg.int8] * 3 and all(bool((each != 0).all()) for each in state[3:])
    assert [each is other for each, other in zip(outer.bare(state), state[1:3], strict=True)] == [True, True]
    nn.scan(outer, packed, state, reverse=reverse)
    begun = outer.begin(outer.bare(state))
    assert [(tuple(each.shape), each.dtype) for each in begun] == [(tuple(each.shape), each.dtype) for each in state]
    drawn = nn.scan(outer, packed, begun, reverse=reverse)[1][3:]
    assert all(bool((each != 0).all()) for each in drawn)
    outer.eval()
    evaluated = nn.scan(outer, packed, reverse=reverse)[0].data
    assert mg.allclose(evaluated, nn.scan(nn.Zoneout(inner.cell, 0.1, 0.4).eval(), packed, reverse=reverse)[0].data)


def test_begin_leaves_the_cells_state_and_forgets_the_masks():
    wrapped, x = nn.VariationalDropout(nn.LSTMCell(3, 4), 0.5, 0.5, 0.5), mg.randn(2, 3)
    state = wrapped(x)
    for begun in (wrapped.begin(state), wrapped.begin(wrapped.bare(state))):
        assert all(one is other for one, other in zip(wrapped.bare(begun), wrapped.bare(state), strict=True))
        assert [tuple(each.shape) for each in begun] == [tuple(each.shape) for each in state]
        assert not any(each.any() for each in begun[3:])
    nameless = nn.VariationalDropout(lambda x, h: x, input=0.5)
    with pytest.raises(TypeError, match="input_size"):
        nameless.begin(x)
