"""LSTM and LSTMCell: values and every gradient against PyTorch, shapes, errors, length."""

import random

import numpy as np
import pytest
from compare import host

import minigrad as mg
import minigrad_nn as nn


def _configurations(count):
    rng = random.Random(7)
    for _ in range(count):
        hidden = rng.randint(2, 6)
        yield {
            "sizes": (rng.randint(1, 5), hidden),
            "options": {
                "num_layers": rng.randint(1, 3), "bias": rng.random() < 0.7, "batch_first": rng.random() < 0.5,
                "bidirectional": rng.random() < 0.5, "proj_size": rng.choice([0, hidden - 1]),
            },
            "steps": rng.randint(1, 5), "batch": rng.choice([None, 0, 1, 3]), "states": rng.random() < 0.6, "subset": rng.randint(1, 7),
        }  # fmt: skip


@pytest.mark.parametrize("case", list(_configurations(60)))
def test_lstm_agrees_with_pytorch_in_every_gradient(case):
    torch = pytest.importorskip("torch")
    options, (inputs, hidden) = case["options"], case["sizes"]
    theirs, ours = torch.nn.LSTM(inputs, hidden, **options).double(), nn.LSTM(inputs, hidden, **options).double()
    ours.load_state_dict(theirs.state_dict())
    rng = np.random.default_rng(0)
    batch = () if case["batch"] is None else (case["batch"],)
    sequence = (*batch, case["steps"]) if options["batch_first"] and batch else (case["steps"], *batch)
    rows = options["num_layers"] * (1 + options["bidirectional"])
    x = rng.standard_normal((*sequence, inputs))
    h, c = rng.standard_normal((rows, *batch, options["proj_size"] or hidden)), rng.standard_normal((rows, *batch, hidden))
    results = []
    for lib, lstm in ((torch, theirs), (mg, ours)):
        leaves = [lib.tensor(each, requires_grad=True) for each in (x, h, c)]
        output, (h_n, c_n) = lstm(leaves[0], tuple(leaves[1:])) if case["states"] else lstm(leaves[0])
        parts = [each for bit, each in enumerate((output, h_n, c_n)) if case["subset"] >> bit & 1]
        sum((part**3).sum() for part in parts).backward()
        gradients = [each.grad for each in (*(leaves if case["states"] else leaves[:1]), *lstm.parameters())]
        values = [host(each) for each in (output, h_n, c_n)]
        results.append(values + [None if each is None else host(each) for each in gradients])
    for theirs_, ours_ in zip(*results, strict=True):
        if theirs_ is None or ours_ is None:
            assert (theirs_ is None or not theirs_.any()) and (ours_ is None or not ours_.any())
        else:
            assert ours_.shape == theirs_.shape
            assert np.abs(ours_ - theirs_).max(initial=0) <= 1e-10 * max(1, np.abs(theirs_).max(initial=0))


def test_third_derivatives_of_a_step_agree_with_pytorch():
    torch = pytest.importorskip("torch")
    theirs, ours, results = torch.nn.LSTMCell(2, 3).double(), nn.LSTMCell(2, 3).double(), []
    ours.load_state_dict(theirs.state_dict())
    for lib, cell in ((torch, theirs), (mg, ours)):
        x = lib.tensor([[0.3, -0.2]], dtype=lib.float64, requires_grad=True)
        h, c = cell(x)
        y = h.sum() + (c * c).sum()
        for _ in range(3):
            (dx,) = lib.autograd.grad(y, x, create_graph=True)
            y = dx.sum()
        results.append([y.item(), *[host(each) for each in lib.autograd.grad(y, [cell.weight_ih, cell.bias_ih])]])
    for theirs_, ours_ in zip(*results, strict=True):
        assert np.allclose(ours_, theirs_, rtol=1e-9, atol=1e-12)


def test_the_cell_shows_every_equation_on_the_tape():
    cell = nn.LSTMCell(2, 3)
    h, _ = cell(mg.ones(1, 2))
    ops, seen, waiting = [], set(), [h.grad_fn]
    while waiting:
        node = waiting.pop()
        if isinstance(node, mg.tape.Branch):
            node = node.parents[0]
        if node.number in seen or node.rule is None:
            continue
        seen.add(node.number)
        ops.append(node.op)
        waiting.extend(each for each in node.parents if isinstance(each, mg.tape.Node))
    assert sorted(ops) == sorted(["linear"] * 2 + ["add"] * 2 + ["split"] + ["sigmoid"] * 3 + ["tanh"] * 2 + ["mul"] * 3)


def test_the_layer_is_its_cell_repeated():
    lstm, cell = nn.LSTM(3, 4), nn.LSTMCell(3, 4)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in lstm.state_dict().items()})
    x = mg.randn(6, 2, 3)
    output, (h_n, c_n) = lstm(x)
    state = None
    for t in range(6):
        state = cell(x[t], state)
        assert mg.allclose(output[t], state[0], atol=1e-6)
    assert mg.allclose(h_n[0], state[0], atol=1e-6) and mg.allclose(c_n[0], state[1], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"dropout": None}, TypeError), ({"dropout": "a"}, ValueError), ({"dropout": "0.5"}, ValueError),
        ({"dropout": True}, ValueError), ({"dropout": 1.5}, ValueError), ({"bias": 1}, TypeError),
        ({"batch_first": None}, TypeError), ({"input_size": np.int64(3)}, TypeError),
        ({"hidden_size": 2.0}, TypeError), ({"input_size": 0}, ValueError), ({"num_layers": 0}, ValueError), ({"proj_size": 4}, ValueError),
        ({"proj_size": -1}, ValueError),
    ],
)  # fmt: skip
def test_constructors_refuse(arguments, error):
    with pytest.raises(error):
        nn.LSTM(**{"input_size": 3, "hidden_size": 4, **arguments})


def test_dropout_with_one_layer_warns():
    with pytest.warns(UserWarning, match="between layers"):
        nn.LSTM(3, 4, dropout=0.5)


def test_dropout_between_layers_acts_in_training_only():
    lstm, x = nn.LSTM(3, 4, 2, dropout=0.5), mg.randn(5, 2, 3)
    assert not mg.equal(lstm(x)[0], lstm(x)[0])
    lstm.eval()
    assert mg.equal(lstm(x)[0], lstm(x)[0])
    lstm.train().dropout = 1.0
    assert mg.equal(lstm(x)[0], lstm(x * 2)[0])  # the second layer sees exact zeros


@pytest.mark.parametrize(
    ("x", "states", "error"),
    [
        ((3,), None, ValueError), ((2, 2, 2, 3), None, ValueError), ((5, 2, 4), None, RuntimeError), ((0, 2, 3), None, RuntimeError),
        ((5, 2, 3), ((1, 3, 4), (1, 3, 4)), RuntimeError), ((5, 2, 3), ((1, 4), (1, 4)), RuntimeError),
        ((5, 3), ((1, 2, 4), (1, 2, 4)), RuntimeError), ((5, 2, 3), ((1, 2, 4), (1, 2, 5)), RuntimeError),
    ],
)  # fmt: skip
def test_forward_refuses(x, states, error):
    with pytest.raises(error):
        nn.LSTM(3, 4)(mg.zeros(x), None if states is None else tuple(mg.zeros(each) for each in states))


def test_forward_refuses_another_dtype():
    with pytest.raises(ValueError, match="one dtype"):
        nn.LSTM(3, 4)(mg.zeros(5, 2, 3, dtype=mg.float64))


@pytest.mark.parametrize(("x", "error"), [((2, 2, 3), ValueError), ((), ValueError), ((2, 4), RuntimeError)])
def test_cells_refuse(x, error):
    with pytest.raises(error):
        nn.LSTMCell(3, 4)(mg.zeros(x))
    with pytest.raises(RuntimeError, match="state h"):
        nn.LSTMCell(3, 4)(mg.zeros(2, 3), (mg.zeros(3, 4), mg.zeros(3, 4)))


def test_the_same_seed_gives_the_same_training_bit_for_bit():
    def train():
        mg.manual_seed(5)
        lstm = nn.LSTM(3, 4)
        adam = nn.optim.Adam(lstm.parameters(), lr=0.01)
        for _ in range(5):
            adam.zero_grad()
            lstm(mg.randn(6, 2, 3))[0].square().sum().backward()
            adam.step()
        return np.concatenate([host(each).ravel() for each in lstm.parameters()])

    assert train().tobytes() == train().tobytes()


def test_two_thousand_steps_go_backward():
    lstm = nn.LSTM(1, 2)
    x = mg.ones(2000, 1, 1, requires_grad=True)
    lstm(x)[0][-1].sum().backward()
    assert np.isfinite(host(x.grad)).all() and x.grad[-1].abs().item() > 0
