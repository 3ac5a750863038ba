"""The ready-made variants against plain NumPy, written from the papers one row at a time, in values and gradients."""

import numpy as np
import pytest
from compare import host

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

sigmoid = lambda v: 1 / (1 + np.exp(-v))


def norm(v, eps=1e-5):
    return (v - v.sum() / v.size) / np.sqrt(((v - v.sum() / v.size) ** 2).sum() / v.size + eps)


def layer_norm_lstm(p, x, h, c):
    a = norm(p["weight_ih"] @ x) * p["gain_ih"] + p.get("bias_ih", 0) + norm(p["weight_hh"] @ h) * p["gain_hh"] + p.get("bias_hh", 0)
    i, f, g, o = np.split(a, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(norm(c) * p["gain_c"] + p.get("bias_c", 0)), c


def layer_norm_gru(p, x, h):
    H = h.size
    zero = np.zeros(3 * H)
    given, kept = p["weight_ih"] @ x, p["weight_hh"] @ h
    parts = []
    for rows in (slice(0, 2 * H), slice(2 * H, None)):
        parts.append(norm(given[rows]) * p["gain_ih"][rows] + p.get("bias_ih", zero)[rows])
        parts.append(norm(kept[rows]) * p["gain_hh"][rows] + p.get("bias_hh", zero)[rows])
    r, z = np.split(sigmoid(parts[0] + parts[1]), 2)
    return ((1 - z) * np.tanh(parts[2] + r * parts[3]) + z * h,)


def peephole_lstm(p, x, h, c):
    rows = p["weight_ih"] @ x + p.get("bias_ih", 0) + p["weight_hh"] @ h + p.get("bias_hh", 0)
    i, f, g, o = np.split(rows, 4)
    i, f = sigmoid(i + p["weight_ci"] * c), sigmoid(f + p["weight_cf"] * c)
    c = f * c + i * np.tanh(g)
    return sigmoid(o + p["weight_co"] * c) * np.tanh(c), c


REFERENCES = {nn.LayerNormLSTMCell: layer_norm_lstm, nn.LayerNormGRUCell: layer_norm_gru, nn.PeepholeLSTMCell: peephole_lstm}
KINDS = list(REFERENCES)
both = pytest.mark.parametrize("bias", [True, False])
each_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind, bias, seed=0):
    """A cell in float64 whose every parameter, gains and shifts too, is drawn at random."""
    cell, rng = kind(3, 4, bias).double(), np.random.default_rng(seed)
    cell.load_state_dict({name: rng.standard_normal(value.shape) for name, value in cell.state_dict().items()})
    return cell


def looped(kind, parameters, sequence, state, reverse):
    """One sequence (T, I) alone, in NumPy: what was shown, in the order of the input, and the last state."""
    shown = [None] * len(sequence)
    for t in reversed(range(len(sequence))) if reverse else range(len(sequence)):
        state = REFERENCES[kind](parameters, sequence[t], *state)
        shown[t] = state[0]
    return np.stack(shown), state


@each_kind
@both
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, [5, 3, 3, 1]])
@pytest.mark.parametrize("given", [False, True])
def test_values_and_derivatives_against_numpy(kind, bias, reverse, lengths, given):
    cell, rng, far = made(kind, bias), np.random.default_rng(1), 1e-6
    count = len(cell.state_names)
    x, states = rng.standard_normal((5, 4, 3)), [rng.standard_normal((4, 4)) * given for _ in range(count)]
    weigh = [rng.standard_normal((5, 4, 4)), *(rng.standard_normal((4, 4)) for _ in range(count))]
    start = {name: host(value).copy() for name, value in cell.state_dict().items()}

    def loss(parameters, x, states):
        """In NumPy, each sequence alone."""
        total = 0.0
        for row, length in enumerate(lengths or [5] * 4):
            shown, last = looped(kind, parameters, x[:length, row], [each[row] for each in states], reverse)
            total += (shown * weigh[0][:length, row]).sum() + sum((one * by[row]).sum() for one, by in zip(last, weigh[1:], strict=True))
        return total

    inputs = [mg.tensor(x, requires_grad=True), *(mg.tensor(each, requires_grad=True) for each in states)]
    state = None if not given else inputs[1] if count == 1 else tuple(inputs[1:])
    output, last = nn.scan(cell, inputs[0] if lengths is None else pack_padded_sequence(inputs[0], lengths), state, reverse=reverse)
    output = output if lengths is None else pad_packed_sequence(output)[0]
    last = [last] if count == 1 else list(last)
    value = sum((each * mg.tensor(by)).sum() for each, by in zip([output, *last], weigh, strict=True))
    assert np.isclose(value.item(), loss(start, x, states), rtol=1e-10)
    value.backward()
    directions = {name: rng.standard_normal(each.shape) for name, each in start.items()}
    along_x, along_states = rng.standard_normal(x.shape), [rng.standard_normal((4, 4)) * given for _ in states]
    moved = [
        loss({name: each + s * directions[name] for name, each in start.items()}, x + s * along_x,
             [each + s * step for each, step in zip(states, along_states, strict=True)]) for s in (far, -far)
    ]  # fmt: skip
    expected = sum((host(each.grad) * directions[name]).sum() for name, each in cell.named_parameters())
    along = zip(inputs, [along_x, *along_states], strict=True)
    expected += sum((host(each.grad) * step).sum() for each, step in along if each.grad is not None)
    assert np.isclose((moved[0] - moved[1]) / (2 * far), expected, rtol=1e-5)


@each_kind
def test_second_derivatives_of_a_step(kind):
    cell, rng, far = made(kind, True), np.random.default_rng(2), 1e-6
    x, direction = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))

    def slope(at, twice=False):
        leaf = mg.tensor(at, requires_grad=True)
        last = cell(leaf)
        value = sum((each * each).sum() for each in (last if isinstance(last, tuple) else (last,)))
        (dx,) = mg.autograd.grad(value, leaf, create_graph=twice)
        return host(mg.autograd.grad((dx * dx).sum(), leaf)[0]) if twice else host(dx)

    sums = [(slope(x + s * direction) ** 2).sum() for s in (far, -far)]
    assert np.isclose((sums[0] - sums[1]) / (2 * far), (slope(x, True) * direction).sum(), rtol=1e-5)


@each_kind
def test_parameters_begin_as_promised_and_can_be_drawn_anew(kind):
    mg.manual_seed(1)
    cell, bound = kind(3, 16), 0.25
    for _ in range(2):
        for name, each in cell.named_parameters():
            if name.startswith("gain_"):
                assert bool((each == 1).all())
            elif name == "bias_c":
                assert bool((each == 0).all())
            else:
                assert 0 < each.abs().max().item() <= bound and each.std().item() > 0.05, name
            mg.nn.init.constant_(each, 7.0)
        cell.reset_parameters()
    assert kind(3, 4, bias=False).bias_ih is None and "bias" in repr(kind(3, 4, False))


def test_the_norms_make_the_scale_of_the_weights_matter_not():
    for kind in (nn.LayerNormLSTMCell, nn.LayerNormGRUCell):
        cell = kind(3, 4, eps=0.0).double()
        x, h = mg.randn(2, 3, dtype=mg.float64), mg.randn(2, 4, dtype=mg.float64)
        state = h if kind is nn.LayerNormGRUCell else (h, h)
        before = nn.scan(cell, x[None], state)[0]
        with mg.no_grad():
            cell.weight_ih.mul_(100.0)
            cell.weight_hh.mul_(0.01)
        assert mg.allclose(nn.scan(cell, x[None], state)[0], before, atol=1e-9)


def test_without_peepholes_it_is_an_lstm():
    cell, plain = nn.PeepholeLSTMCell(3, 4), nn.LSTMCell(3, 4)
    cell.load_state_dict({**plain.state_dict(), **{f"weight_c{gate}": mg.zeros(4) for gate in "ifo"}})
    x, state = mg.randn(2, 3), (mg.randn(2, 4), mg.randn(2, 4))
    assert all(mg.allclose(one, other) for one, other in zip(cell(x, state), plain(x, state), strict=True))
