"""States: cut from the tape, read at the true last step, carried from encoder to decoder, learnt."""

import collections
import copy

import numpy as np
import pytest

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn.states import StateSizes
from minigrad_nn.utils import rnn

Pair = collections.namedtuple("Pair", "h c")


def test_detach_state_keeps_the_form_and_the_memory():
    h = mg.ones(1, 2, requires_grad=True) * 2
    assert nn.detach_state(None) is None
    cut = nn.detach_state(h)
    assert not cut.requires_grad and cut.array is h.array
    nested = nn.detach_state((h, [h, None, (h,)], {"c": h}))
    assert type(nested) is tuple and type(nested[1]) is list and type(nested[1][2]) is tuple and nested[1][1] is None
    assert not any(each.requires_grad for each in (nested[0], nested[1][0], nested[1][2][0], nested[2]["c"]))
    assert type(nn.detach_state(Pair(h, h))) is Pair
    with pytest.raises(TypeError, match="str"):
        nn.detach_state((h, "c"))


def test_gradients_end_at_a_detached_state():
    lstm, x = nn.LSTM(2, 3), mg.ones(2, 1, 2, requires_grad=True)
    _, state = lstm(x)
    output, _ = lstm(mg.ones(2, 1, 2), nn.detach_state(state))
    output.sum().backward()
    assert x.grad is None


def run(lengths, layers=2, directions=2, hidden=3, seed=0):
    """An LSTM over each sequence of a batch alone: its outputs, h_n and c_n."""
    mg.manual_seed(seed)
    lstm = nn.LSTM(2, hidden, num_layers=layers, bidirectional=directions == 2)
    rows = [lstm(mg.randn(length, 2)) for length in lengths]
    h_n, c_n = (mg.stack([states[part] for _, states in rows], dim=1) for part in (0, 1))
    return [output for output, _ in rows], h_n, c_n


def test_last_and_top_states_are_those_of_each_layer_and_direction():
    outputs, h_n, c_n = run([4, 1, 2])
    h, c = nn.last_states((h_n, c_n), num_layers=2, bidirectional=True)
    assert h.shape == (2, 2, 3, 3) and c.shape == (2, 2, 3, 3)
    assert all(np.array_equal(h[k, d].detach().numpy(), h_n[2 * k + d].detach().numpy()) for k in range(2) for d in range(2))
    top = nn.top_state(h_n, bidirectional=True)
    for row, output in enumerate(outputs):
        wanted = np.concatenate([output[-1, :3].detach().numpy(), output[0, 3:].detach().numpy()])
        assert np.array_equal(top[row].detach().numpy(), wanted)
    assert [each.shape for each in nn.top_state([h_n, c_n])] == [(3, 3), (3, 3)]
    assert nn.last_states(mg.zeros(1, 3)).shape == (1, 1, 3)
    assert nn.top_state(mg.zeros(4, 3), bidirectional=True).shape == (6,)
    assert nn.last_states(mg.zeros(4, 0, 3), 2, True).shape == (2, 2, 0, 3)


@pytest.mark.parametrize(("shape", "layers", "both"), [((3, 2, 4), 2, False), ((2, 2, 4), 2, True), ((4,), 4, False)])
def test_last_states_refuse_what_has_other_rows(shape, layers, both):
    with pytest.raises(RuntimeError, match=r"L·D, B, H"):
        nn.last_states(mg.zeros(*shape), layers, both)


def test_top_state_refuses_what_cannot_be():
    for shape in ((3, 2, 4), (0, 2, 4), (4,)):
        with pytest.raises(RuntimeError, match="D = 2"):
            nn.top_state(mg.zeros(*shape), bidirectional=True)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("trailing", [(), (2,), (2, 3)])
def test_last_outputs(batch_first, trailing):
    lengths = [3, 1, 5]
    array = np.random.default_rng(0).standard_normal((3, 5, *trailing))
    for row, length in enumerate(lengths):
        array[row, length:] = np.nan
    x = mg.tensor(array if batch_first else array.swapaxes(0, 1), requires_grad=True)
    last = nn.last_outputs(x, mg.tensor(lengths), batch_first)
    assert np.array_equal(last.detach().numpy(), np.stack([array[row, length - 1] for row, length in enumerate(lengths)]))
    (dx,) = mg.autograd.grad((last**3).sum(), x, create_graph=True)
    (dx**2).sum().backward()
    found, second = (each.detach().numpy() if batch_first else each.detach().numpy().swapaxes(0, 1) for each in (dx, x.grad))
    for row, length in enumerate(lengths):
        assert np.allclose(found[row, length - 1], 3 * array[row, length - 1] ** 2)
        found[row, length - 1] = 0
        second[row, length - 1] = 0
    assert not found.any() and not second.any()
    packed = rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
    assert np.array_equal(nn.last_outputs(packed, batch_first=batch_first).detach().numpy(), last.detach().numpy())


@pytest.mark.parametrize("lengths", [[1], [0, 1], [1, 4], [[1, 2]]])
def test_last_outputs_refuses_lengths_that_do_not_fit(lengths):
    with pytest.raises(RuntimeError, match="lengths"):
        nn.last_outputs(mg.zeros(3, 2), lengths)


def test_last_outputs_needs_lengths_and_two_axes():
    with pytest.raises(TypeError, match="lengths"):
        nn.last_outputs(mg.zeros(3, 2))
    with pytest.raises(RuntimeError, match="axis"):
        nn.last_outputs(mg.zeros(3), [1])


# -------------------------------------------------------------------------------------------- from encoder to decoder


SIZES = [
    StateSizes(num_layers, hidden, directions, proj, cell)
    for num_layers, hidden, directions, proj, cell in [
        (1, 4, 1, 0, True), (2, 3, 2, 0, True), (3, 5, 1, 2, True), (1, 4, 2, 0, False), (2, 4, 1, 0, False),
    ]
]  # fmt: skip


@pytest.mark.parametrize("decoder", SIZES, ids=str)
@pytest.mark.parametrize("encoder", SIZES, ids=str)
def test_a_bridge_between_any_two_sizes(encoder, decoder):
    mg.manual_seed(1)
    bridge = nn.StateBridge(encoder, decoder).double()
    for batch in ((4,), (), (0,), (1,)):
        given = [mg.randn(encoder.rows, *batch, width, dtype=mg.float64, requires_grad=True) for width in encoder.widths]
        made = bridge(tuple(given) if encoder.cell else given[0])
        made = made if decoder.cell else (made,)
        assert [each.shape for each in made] == [(decoder.rows, *batch, width) for width in decoder.widths]
        for name, mine, theirs in zip("hc", (given[0], given[-1]), made, strict=False):
            linear = getattr(bridge, name)
            flat = mine.detach().numpy().reshape(encoder.rows, -1, mine.shape[-1]).swapaxes(0, 1)
            flat = flat.reshape(flat.shape[0], encoder.rows * mine.shape[-1])
            rows = flat @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
            rows = rows.reshape(-1, decoder.rows, theirs.shape[-1]).swapaxes(0, 1)
            assert np.allclose(rows.reshape(theirs.shape), theirs.detach().numpy(), rtol=1e-12, atol=1e-14)
        sum((each**2).sum() for each in made).backward()
        used = given if decoder.cell or not encoder.cell else given[:1]
        assert all(each.grad is not None for each in used)


def test_a_bridge_from_an_encoder_to_a_decoder():
    encoder, decoder = nn.LSTM(3, 4, bidirectional=True), nn.LSTM(2, 6, num_layers=2, proj_size=5)
    bridge = nn.StateBridge(encoder, decoder, tanh=True)
    state = bridge(encoder(mg.randn(5, 3, 3))[1])
    assert abs(state[0].detach().numpy()).max() < 1
    decoder(mg.randn(4, 3, 2), state)[0].sum().backward()
    assert encoder.weight_ih_l0.grad is not None and bridge.c.weight.grad is not None
    assert set(bridge.state_dict()) == {"h.weight", "h.bias", "c.weight", "c.bias"}
    assert bridge(encoder(mg.randn(5, 3))[1])[0].shape == (2, 5)
    assert set(nn.StateBridge(encoder, decoder, bias=False).state_dict()) == {"h.weight", "c.weight"}
    assert str(bridge.target) in repr(bridge) and "tanh=True" in repr(bridge)


def test_a_bridge_refuses_the_state_of_another_encoder():
    bridge = nn.StateBridge(StateSizes(1, 4), StateSizes(1, 3))
    for state in (mg.zeros(1, 2, 4), (mg.zeros(1, 2, 4), mg.zeros(1, 2, 5)), (mg.zeros(2, 2, 4), mg.zeros(2, 2, 4)), (mg.zeros(4),) * 2):
        with pytest.raises(RuntimeError, match=r"made for 1 layer, one direction, h: \(1, B, 4\)"):
            bridge(state)


def test_matching_states():
    nn.require_matching_states(nn.LSTM(3, 4), nn.LSTM(9, 4))
    nn.require_matching_states(StateSizes(2, 4), StateSizes(1, 4, directions=2))  # two rows either way
    others = [{"hidden_size": 5}, {"num_layers": 2}, {"directions": 2}, {"proj_size": 2}, {"cell": False}]
    for other in [StateSizes(**({"num_layers": 1, "hidden_size": 4} | changed)) for changed in others]:
        with pytest.raises(RuntimeError) as raised:
            nn.require_matching_states(nn.LSTM(3, 4), other)
        assert "StateBridge" in str(raised.value) and str(other) in str(raised.value) and str(StateSizes(1, 4)) in str(raised.value)
    with pytest.raises(TypeError, match="Linear"):
        StateSizes.of(nn.Linear(2, 3))


# ------------------------------------------------------------------------------------------------ before the first step


def test_an_initial_state_is_learnt():
    lstm = nn.LSTM(2, 4, num_layers=2, bidirectional=True, proj_size=3)
    start = nn.InitialState.of(lstm)
    h_0, c_0 = start(5)
    assert h_0.shape == (4, 5, 3) and c_0.shape == (4, 5, 4) and not h_0.detach().numpy().any()
    lstm(mg.randn(3, 5, 2), (h_0, c_0))[0].sum().backward()
    assert start.h.grad.shape == (4, 1, 3) and start.c.grad.numpy().any()
    h, c = start(None)
    assert h.shape == (4, 3) and c.shape == (4, 4)
    lstm(mg.randn(3, 2), (h, c))
    assert start(0)[0].shape == (4, 0, 3)
    assert set(start.state_dict()) == {"h", "c"} and set(nn.InitialState(1, 4, cell=False).state_dict()) == {"h"}
    assert nn.InitialState.of(lstm.double()).h.dtype is mg.float64
    assert "h: (4, 1, 3)" in repr(start)
    assert copy.deepcopy(start)(2)[1].shape == (4, 2, 4)


def test_the_gradient_of_an_initial_state_is_the_sum_over_the_batch():
    start = nn.InitialState(1, 2, cell=False)
    (start(3) * mg.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])).sum().backward()
    assert start.h.grad.tolist() == [[[9, 12]]]
