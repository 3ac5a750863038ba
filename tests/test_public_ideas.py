"""What other frameworks' own suites ask of recurrent layers, asked of ours in our words."""

import copy
import pickle

import numpy as np
import pytest
from compare import host

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn.utils import rnn as packing

KINDS, PATHS = ["RNN", "LSTM", "GRU"], ["fused", "stepwise"]


def first(states):
    return states[0] if isinstance(states, tuple) else states


# ------------------------------------------------------------------------------------------------- PyTorch's ideas


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("p", [0.0, 0.276, 0.731, 1.0])
@pytest.mark.parametrize("train", [True, False])
def test_dropout_stands_between_layers_and_keeps_the_mean(path, p, train):
    rnn = nn.RNN(10, 1000, 2, bias=False, dropout=p, nonlinearity="relu", path=path).train(train)
    with mg.no_grad():
        for weight in rnn.parameters():
            weight.fill_(1)
    output, hy = rnn(mg.ones(1, 1, 10), mg.zeros(2, 1, 1000))
    value = output.min().item()
    assert value == output.max().item()  # every unit above reads the same sum
    assert (hy[0] == 10).all() and (hy[1] == value).all()
    if not train or p == 0:
        assert value == 10_000
    elif p == 1:
        assert value == 0
    else:
        assert 8000 < value < 12_000
        assert abs(value * (1 - p) / 10 - round(value * (1 - p) / 10)) < 1e-2  # a whole number of units was kept


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_drawn_anew_at_each_call_and_repeats_with_the_stream(kind):
    layer, x = getattr(nn, kind)(4, 30, num_layers=2, dropout=0.5), mg.randn(3, 2, 4)
    stream = mg.get_rng_state()
    one, two = layer(x)[0], layer(x)[0]
    mg.set_rng_state(stream)
    assert not mg.equal(one, two) and mg.equal(layer(x)[0], one) and mg.equal(layer(x)[0], two)
    assert mg.equal(layer.eval()(x)[0], layer(x)[0])
    layer.train().dropout = 0.0
    assert mg.equal(layer(x)[0], layer.eval()(x)[0])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_states_are_states_of_zeros(kind, path):
    layer = getattr(nn, kind)(3, 5, num_layers=2, bidirectional=True, path=path)
    zeros = mg.zeros(4, 2, 5)
    x = mg.randn(6, 2, 3)
    assert mg.equal(layer(x)[0], layer(x, (zeros, zeros) if kind == "LSTM" else zeros)[0])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_batch_goes_forward_and_backward(kind, path):
    layer = getattr(nn, kind)(3, 4, num_layers=2, path=path)
    output, states = layer(mg.zeros(5, 0, 3, requires_grad=True))
    output.sum().backward()
    assert output.shape == (5, 0, 4) and first(states).shape == (2, 0, 4)
    assert all(not each.grad.any() for each in layer.parameters() if each.grad is not None)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_are_the_sequences_one_by_one(kind, path):
    layer = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True, dtype=mg.float64, path=path)
    parts = [mg.randn(length, 3, dtype=mg.float64, requires_grad=True) for length in (2, 5, 1, 5)]
    packed, states = layer(packing.pack_sequence(parts, enforce_sorted=False))
    ours = mg.autograd.grad(packed.data.pow(3).sum() + first(states).pow(2).sum(), [*parts, *layer.parameters()])
    alone = [layer(part) for part in parts]
    for each, (output, _) in zip(packing.unpack_sequence(packed), alone):
        assert np.allclose(host(each), host(output))
    assert np.allclose(host(first(states)), np.stack([host(first(end)) for _, end in alone], axis=1))
    loss = sum(output.pow(3).sum() + first(end).pow(2).sum() for output, end in alone)
    for one, other in zip(ours, mg.autograd.grad(loss, [*parts, *layer.parameters()])):
        assert np.allclose(host(one), host(other), atol=1e-10)


def test_weights_that_are_shared_stay_shared_and_add_their_gradients():
    layer, apart = nn.LSTM(3, 4, bidirectional=True), nn.LSTM(3, 4, bidirectional=True)
    layer.bias_ih_l0_reverse = layer.bias_ih_l0
    apart.load_state_dict(layer.state_dict())
    x = mg.randn(5, 2, 3)
    for each in (layer, apart):
        each(x)[0].pow(2).sum().backward()
    assert len(list(layer.parameters())) == 7 and len(layer.state_dict()) == 8
    assert np.allclose(host(layer.bias_ih_l0.grad), host(apart.bias_ih_l0.grad + apart.bias_ih_l0_reverse.grad), atol=1e-5)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), layer.double()):
        assert again.bias_ih_l0_reverse is again.bias_ih_l0


# --------------------------------------------------------------------------------------------------- Keras' ideas


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_in_two_parts_with_the_state_handed_on(kind):
    layer, x = getattr(nn, kind)(3, 4, num_layers=2), mg.randn(7, 2, 3)
    whole, end = layer(x)
    before, state = layer(x[:3])
    after, last = layer(x[3:], state)
    assert np.allclose(host(whole), np.concatenate([host(before), host(after)]), atol=1e-6)
    assert np.allclose(host(first(end)), host(first(last)), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reverse_direction_is_the_forward_one_on_the_sequence_turned_round(kind):
    both, one = getattr(nn, kind)(3, 4, bidirectional=True), getattr(nn, kind)(3, 4)
    one.load_state_dict({name.removesuffix("_reverse"): each for name, each in both.state_dict().items() if name.endswith("_reverse")})
    x = mg.randn(6, 2, 3)
    assert np.allclose(host(both(x)[0])[..., 4:], host(one(x.flip(0))[0])[::-1], atol=1e-6)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_the_padding_reaches_nothing(kind, path):
    layer = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True, path=path)
    lengths, clean, found = [2, 5, 3], mg.randn(5, 3, 3), []
    target = mg.randint(0, 8, (5, 3))
    for filling in (0.0, float("nan"), float("inf")):
        x = nn.sequence_mask_(clean.clone(), lengths, filling).requires_grad_()
        output, states = layer(packing.pack_padded_sequence(x, lengths, enforce_sorted=False))
        padded, _ = packing.pad_packed_sequence(output, padding_value=filling)
        loss = nn.masked_cross_entropy(padded, target, lengths) + nn.masked_mean(padded, nn.sequence_mask(lengths).t())
        loss = loss + first(states).sum() + nn.last_outputs(padded, lengths).sum()
        found.append([host(each) for each in (loss.detach(), *mg.autograd.grad(loss, [x, *layer.parameters()]))])
    for others in found[1:]:
        assert all(np.array_equal(one, other) for one, other in zip(found[0], others))


# ------------------------------------------------------------------------------------------------ JAX's and Flax' ideas


class Memory(nn.Module):
    """A cell with a learnt beginning, a vector, a buffer of three axes, and a count."""

    def __init__(self):
        super().__init__()
        self.read = nn.Linear(3, 4, dtype=mg.float64)
        self.begin = nn.Parameter(mg.randn(1, 4, dtype=mg.float64))

    def forward(self, x, state):
        B = x.shape[0]
        h, past, count = state or (self.begin.expand(B, 4), self.begin.reshape(1, 1, 4).expand(B, 2, 4), mg.zeros(B, dtype=mg.float64))
        h = mg.tanh(self.read(x) + h - past.sum(1))
        return h, mg.stack([past[:, 1], h], 1), count + 1


@pytest.mark.parametrize("layers", [1, 2])
def test_a_cell_of_ones_own_runs_on_packed_input_as_on_each_sequence(layers):
    cell = Memory()
    network = nn.Stacked([cell, nn.GRUCell(4, 2, dtype=mg.float64)][:layers])
    lengths, x = [2, 5, 3], mg.randn(5, 3, 3, dtype=mg.float64, requires_grad=True)
    packed, states = network(packing.pack_padded_sequence(x, lengths, enforce_sorted=False))
    together = mg.autograd.grad(packed.data.pow(2).sum(), [x, *network.parameters()])
    assert host(states[0][2]).tolist() == lengths
    alone = [network(x[:length, row : row + 1])[0] for row, length in enumerate(lengths)]
    apart = mg.autograd.grad(sum(each.pow(2).sum() for each in alone), [x, *network.parameters()])
    assert all(np.allclose(host(one), host(other)) for one, other in zip(together, apart))


def test_a_scan_is_a_loop_and_a_function_is_a_cell():
    weight = mg.randn(3, 3, dtype=mg.float64, requires_grad=True)

    def cell(x, h):
        return mg.tanh(x @ weight) if h is None else mg.tanh(x @ weight + h)

    x, h, shown = mg.randn(6, 2, 3, dtype=mg.float64), None, []
    for t in range(6):
        h = cell(x[t], h)
        shown.append(h)
    for output, last in (nn.scan(cell, x), nn.Scan(cell)(x), [each for each in nn.Stacked([cell])(x)]):
        assert np.allclose(host(output), host(mg.stack(shown)))
        assert np.allclose(host(last[0] if isinstance(last, tuple) else last), host(h))
    turned, _ = nn.scan(cell, x.transpose(0, 1), batch_first=True)
    assert np.allclose(host(turned), host(mg.stack(shown, 1)))
