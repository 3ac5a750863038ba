"""What RNN, LSTM, GRU and their cells refuse, case by case, with the error classes of PyTorch, and with nothing computed before."""

import warnings

import pytest

import minigrad as mg
import minigrad_nn as nn

LAYERS, CELLS = ["RNN", "LSTM", "GRU"], ["RNNCell", "LSTMCell", "GRUCell"]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"dropout": None}, TypeError),
        ({"dropout": "a half"}, ValueError),
        ({"dropout": "0.5"}, ValueError),
        ({"dropout": True}, ValueError),
        ({"dropout": -0.1}, ValueError),
        ({"dropout": 1.1}, ValueError),
        ({"bias": 1}, TypeError),
        ({"batch_first": "yes"}, TypeError),
        ({"input_size": 3.0}, TypeError),
        ({"hidden_size": None}, TypeError),
        ({"input_size": 0}, ValueError),
        ({"hidden_size": -1}, ValueError),
        ({"num_layers": 0}, ValueError),
        ({"path": "quick"}, ValueError),
        ({"checkpoint": -1}, ValueError),
        ({"checkpoint": "often"}, ValueError),
        ({"unknown": 1}, TypeError),
    ],
)
def test_constructor(kind, arguments, error):
    with pytest.raises(error):
        getattr(nn, kind)(**({"input_size": 3, "hidden_size": 4} | arguments))


def test_numpy_integers_are_no_sizes():
    numpy = pytest.importorskip("numpy")
    with pytest.raises(TypeError, match="input_size must be an int, got int64"):
        nn.GRU(numpy.int64(3), 4)


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_only_an_lstm_has_projections(kind):
    with pytest.raises(ValueError, match="proj_size"):
        getattr(nn, kind)(3, 4, proj_size=2)
    assert getattr(nn, kind)(3, 4, proj_size=0).proj_size == 0


def test_a_projection_in_the_position_where_pytorch_misses_it():
    with pytest.raises(ValueError, match="proj_size"):
        nn.GRU(3, 4, 1, True, False, 0.0, False, 2)
    with pytest.raises(ValueError, match="proj_size"):
        nn.RNN(3, 4, 1, "tanh", True, False, 0.0, False, 2)


@pytest.mark.parametrize("size", [-1, 4, 5])
def test_projections_are_smaller_than_the_hidden_size(size):
    with pytest.raises(ValueError, match="proj_size"):
        nn.LSTM(3, 4, proj_size=size)


@pytest.mark.parametrize("kind", LAYERS)
def test_dropout_with_one_layer_is_a_warning(kind):
    with pytest.warns(UserWarning, match="only one"):
        getattr(nn, kind)(3, 4, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(nn, kind)(3, 4, num_layers=2, dropout=0.5)


@pytest.mark.parametrize("make", [lambda **given: nn.RNN(3, 4, **given), lambda **given: nn.RNNCell(3, 4, **given)])
def test_unknown_nonlinearity(make):
    with pytest.raises(ValueError, match="nonlinearity"):
        make(nonlinearity="softsign")


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"bias": 1}, TypeError), ({"input_size": 3.0}, TypeError), ({"input_size": 0}, ValueError), ({"hidden_size": -2}, ValueError),
        ({"device": 2}, ValueError),
    ],
)  # fmt: skip
def test_cells_check_at_construction(kind, arguments, error):
    with pytest.raises(error):
        getattr(nn, kind)(**({"input_size": 3, "hidden_size": 4} | arguments))


def _states(kind, shape, cells=None, dtype=None):
    h = mg.zeros(shape, dtype=dtype)
    return (h, mg.zeros(cells or shape, dtype=dtype)) if kind == "LSTM" else h


@pytest.mark.parametrize("path", ["fused", "stepwise"])
@pytest.mark.parametrize("kind", LAYERS)
def test_forward_checks(kind, path):
    layer = getattr(nn, kind)(3, 4, num_layers=2, path=path)
    x, before = mg.zeros(5, 2, 3), mg.get_rng_state().tolist()
    cases = [
        (ValueError, "takes an input", (mg.zeros(3), None)),
        (ValueError, "takes an input", (mg.zeros(1, 5, 2, 3), None)),
        (RuntimeError, "axes", (x, _states(kind, (2, 4)))),
        (RuntimeError, "axes", (mg.zeros(5, 3), _states(kind, (2, 1, 4)))),
        (ValueError, "dtype", (x.double(), None)),
        (RuntimeError, "input_size=3", (mg.zeros(5, 2, 2), None)),
        (RuntimeError, "h_0", (x, _states(kind, (1, 2, 4)))),
        (RuntimeError, "h_0", (x, _states(kind, (2, 3, 4)))),
        (RuntimeError, "h_0", (x, _states(kind, (2, 2, 5)))),
        (RuntimeError, "time step", (mg.zeros(0, 2, 3), None)),
        (RuntimeError, "dtype", (x, _states(kind, (2, 2, 4), dtype=mg.float64))),
        (TypeError, "takes a tensor", ([[1.0]], None)),
    ]
    for error, words, (input, state) in cases:
        with pytest.raises(error, match=words):
            layer(input, state)
    assert mg.get_rng_state().tolist() == before


def test_an_lstm_takes_a_pair_and_checks_h_before_c():
    lstm, x = nn.LSTM(3, 4, proj_size=2), mg.zeros(5, 2, 3)
    with pytest.raises(RuntimeError, match="pair"):
        lstm(x, mg.zeros(1, 2, 2))
    with pytest.raises(RuntimeError, match="pair"):
        lstm(x, (mg.zeros(1, 2, 2),))
    with pytest.raises(RuntimeError, match="h_0"):
        lstm(x, (mg.zeros(1, 2, 4), mg.zeros(1, 2, 2)))
    with pytest.raises(RuntimeError, match="c_0"):
        lstm(x, (mg.zeros(1, 2, 2), mg.zeros(1, 2, 2)))
    lstm(x, [mg.zeros(1, 2, 2), mg.zeros(1, 2, 4)])


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_a_pair_of_states_is_an_lstms(kind):
    with pytest.raises(TypeError, match="takes tensors as states"):
        getattr(nn, kind)(3, 4)(mg.zeros(5, 2, 3), (mg.zeros(1, 2, 4), mg.zeros(1, 2, 4)))


@pytest.mark.parametrize("kind", LAYERS)
def test_packed_input_is_checked_like_any_other(kind):
    layer, pack = getattr(nn, kind)(3, 4), nn.utils.rnn.pack_padded_sequence
    good = pack(mg.zeros(5, 2, 3), [5, 3])
    layer(good)
    with pytest.raises(RuntimeError, match="packed data"):
        layer(pack(mg.zeros(5, 2, 3, 1), [5, 3]))
    with pytest.raises(RuntimeError, match="input_size"):
        layer(pack(mg.zeros(5, 2, 2), [5, 3]))
    with pytest.raises(RuntimeError, match="h_0"):
        layer(good, _states(kind, (1, 3, 4)))
    with pytest.raises(RuntimeError, match="axes"):
        layer(good, _states(kind, (2, 4)))
    with pytest.raises(ValueError, match="dtype"):
        layer(good.double())
    with pytest.raises(RuntimeError, match="batch_sizes"):
        layer(nn.utils.rnn.PackedSequence(good.data, mg.tensor([2, 2], device="cpu")))
    with pytest.raises(RuntimeError, match="batch_sizes"):
        layer(nn.utils.rnn.PackedSequence(good.data, mg.tensor([1, 2, 2, 2, 1], device="cpu")))


@pytest.mark.parametrize("kind", CELLS)
def test_cells_check_what_they_are_given(kind):
    cell = getattr(nn, kind)(3, 4)
    state = lambda *shape: (mg.zeros(shape), mg.zeros(shape)) if kind == "LSTMCell" else mg.zeros(shape)
    for error, input, hx in [
        (ValueError, mg.zeros(5, 2, 3), None),
        (ValueError, mg.zeros(2, 3), state(1, 2, 4)),
        (RuntimeError, mg.zeros(2, 2), None),
        (RuntimeError, mg.zeros(2, 3), state(2, 5)),
        (RuntimeError, mg.zeros(2, 3), state(3, 4)),
        (RuntimeError, mg.zeros(2, 3), state(4)),
        (RuntimeError, mg.zeros(3), state(1, 4)),
    ]:
        with pytest.raises(error):
            cell(input, hx)


def test_the_kernels_refuse_by_name_what_they_do_not_know():
    def softsign(x):
        return x / (1 + abs(x))

    with pytest.raises(ValueError, match="path='stepwise'"):
        nn.RNN(3, 4, nonlinearity=softsign)(mg.zeros(5, 2, 3))
    output, _ = nn.RNN(3, 4, nonlinearity=softsign, path="stepwise")(mg.ones(5, 2, 3))
    assert bool((output.abs() < 1).all())


def test_windows_cannot_be_looked_into():
    with pytest.raises(ValueError, match="checkpoint"):
        nn.LSTM(3, 4, checkpoint=True)(mg.zeros(5, 2, 3), return_steps=True)


@pytest.mark.parametrize("kind", LAYERS)
def test_repr_shows_what_is_not_default(kind):
    layer = getattr(nn, kind)
    assert repr(layer(3, 4)) == f"{kind}(3, 4)"
    assert repr(layer(3, 4, bias=False, num_layers=2, batch_first=True)) == f"{kind}(3, 4, num_layers=2, bias=False, batch_first=True)"
