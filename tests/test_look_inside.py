"""What a layer shows of its steps on request, which path it takes, and how it prints."""

import threading

import numpy as np
import pytest
from compare import host

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn.utils.rnn import PackedSequence, pack_padded_sequence

KINDS = {"RNN": ["h"], "LSTM": ["c", "f", "g", "h", "i", "o"], "GRU": ["h", "n", "r", "z"]}
FORMS = ["batched", "unbatched", "packed"]


def bare(value):
    return value.data if isinstance(value, PackedSequence) else value


def looked_at(layer, form, path, x):
    """(output, states, steps) of a layer whose input came in one of the forms."""
    given = {"batched": x, "unbatched": x[0]}.get(form, x)
    if form == "packed":
        given = pack_padded_sequence(x, [2, 3, 1, 3] if layer.batch_first else [2, 4, 1], layer.batch_first, enforce_sorted=False)
    with nn.path(path):
        return layer(given, return_steps=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_both_paths_show_the_same_steps_with_the_same_gradients(kind, batch_first, form):
    layer = getattr(nn, kind)(3, 5, num_layers=2, bidirectional=True, batch_first=batch_first, dtype=mg.float64)
    numbers = mg.randn(4, 3, 3, dtype=mg.float64)
    results = []
    for path in ("fused", "stepwise"):
        x = numbers.detach().requires_grad_()
        output, _, steps = looked_at(layer, form, path, x)
        assert len(steps) == 4 and all(sorted(each) == KINDS[kind] for each in steps)
        assert all(type(value) is type(output) for each in steps for value in each.values())
        shown = [bare(each[name]) for each in steps for name in KINDS[kind]]
        assert [value.requires_grad for value in shown] == [name in "hc" for _ in steps for name in KINDS[kind]]
        assert all(value.shape == (*bare(output).shape[:-1], 5) for value in shown)
        loss = sum((value**2 * (2 + at)).sum() for at, value in enumerate(shown) if value.requires_grad)
        results.append([*shown, *mg.autograd.grad(loss, [x, *layer.parameters()])])
    for one, other in zip(*results):
        assert np.allclose(host(one), host(other), atol=1e-10)


@pytest.mark.parametrize("path", ["fused", "stepwise"])
def test_what_is_shown_is_what_the_equations_say(path):
    layer = nn.LSTM(3, 5, path=path, dtype=mg.float64)
    output, (h_n, c_n), [steps] = layer(mg.randn(6, 2, 3, dtype=mg.float64), return_steps=True)
    i, f, g, o, c, h = (host(steps[name]) for name in "ifgoch")
    assert np.allclose(c[1:], f[1:] * c[:-1] + i[1:] * g[1:]) and np.allclose(h, o * np.tanh(c))
    assert np.allclose(h, host(output)) and np.allclose(c[-1], host(c_n)[0]) and np.allclose(h[-1], host(h_n)[0])


def test_a_layer_looks_inside_without_gradients_too():
    for kind, names in KINDS.items():
        with mg.no_grad():
            output, _, [steps] = getattr(nn, kind)(3, 5)(mg.randn(4, 2, 3), return_steps=True)
        assert sorted(steps) == names and not any(value.requires_grad for value in steps.values())
        assert np.array_equal(host(steps["h"]), host(output))


def path_taken(layer, x):
    nodes, found = [layer(x)[0].grad_fn], set()
    while nodes:
        node = nodes.pop()
        found.add(node.name())
        nodes += [each for each, _ in node.next_functions if each is not None]
    return "fused" if "GruBackward0" in found else "stepwise"


def test_the_path_holds_inside_its_block_and_thread_only():
    layer, x, seen = nn.GRU(2, 3), mg.zeros(3, 1, 2), []  # a thread has a default device of its own
    with nn.path("stepwise") as nothing, pytest.raises(KeyError):
        assert nothing is None and path_taken(layer, x) == "stepwise"
        with nn.path("fused"):
            assert path_taken(layer, x) == "fused"
        other = threading.Thread(target=lambda: seen.append(path_taken(layer, x)))
        other.start()
        other.join()
        assert seen == ["fused"] and path_taken(layer, x) == "stepwise"
        raise KeyError
    assert path_taken(layer, x) == "fused"


def test_a_path_set_later_counts_and_an_unknown_one_is_refused():
    layer, x = nn.GRU(2, 3), mg.zeros(3, 1, 2)
    layer.path = "stepwise"
    assert path_taken(layer, x) == "stepwise"
    layer.path = "step"
    with pytest.raises(ValueError, match="'stepwise'"):
        layer(x)


def test_a_nonlinearity_set_later_counts_on_both_paths_and_in_the_cell():
    layer, cell, x = nn.RNN(2, 3), nn.RNNCell(2, 3), mg.randn(4, 5, 2)
    layer.nonlinearity = cell.nonlinearity = "relu"
    cell.load_state_dict({name.removesuffix("_l0"): each for name, each in layer.state_dict().items()})
    fused = host(layer(x)[0])
    with nn.path("stepwise"):
        assert np.allclose(fused, host(layer(x)[0]), atol=1e-6) and (fused >= 0).all()
    assert np.allclose(fused[0], host(cell(x[0])), atol=1e-6)
    layer.nonlinearity = "swish"
    for path in ("fused", "stepwise"):
        with nn.path(path), pytest.raises(ValueError, match="swish"):
            layer(x)


def test_the_number_of_layers_may_be_numpys_and_nothing_else_may():
    assert repr(nn.GRU(3, 4, num_layers=np.int64(2))) == "GRU(3, 4, num_layers=2)"
    for wrong in (2.0, "2", np.float64(2), True):
        with pytest.raises(TypeError, match="num_layers"):
            nn.GRU(3, 4, num_layers=wrong)


def test_the_error_of_a_state_of_another_size_names_the_bridge():
    _, state = nn.LSTM(3, 4)(mg.zeros(5, 2, 3))
    with pytest.raises(RuntimeError, match="StateBridge"):
        nn.LSTM(3, 6)(mg.zeros(5, 2, 3), state)


def test_repr_is_pytorchs_where_pytorch_has_the_thing():
    assert repr(nn.RNN(3, 4, nonlinearity="relu")) == "RNN(3, 4)"
    assert repr(nn.RNN(3, 4, nonlinearity="sigmoid")) == "RNN(3, 4, nonlinearity='sigmoid')"
    assert repr(nn.RNNCell(3, 4, nonlinearity="relu")) == "RNNCell(3, 4, nonlinearity=relu)"
    assert repr(nn.GRU(3, 4, reset_after=False, path="stepwise")) == "GRU(3, 4, path='stepwise', reset_after=False)"
