"""Weights from and to other frameworks: their published equations in plain NumPy against the cells; the table is held to the code."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn import conventions

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "conventions.md"


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


# --------------------------------------------- Keras, as documented: x @ kernel + h @ recurrent_kernel + bias, per gate


def keras_rnn(x, h, kernel, recurrent_kernel, bias):
    return np.tanh(x @ kernel + h @ recurrent_kernel + bias)


def keras_lstm(x, h, c, kernel, recurrent_kernel, bias):
    z_i, z_f, z_c, z_o = np.split(x @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
    i, f = sigmoid(z_i), sigmoid(z_f)
    c = f * c + i * np.tanh(z_c)
    return sigmoid(z_o) * np.tanh(c), c


def keras_gru(x, h, kernel, recurrent_kernel, bias, reset_after):
    input_bias, recurrent_bias = bias if reset_after else (bias, 0 * bias)
    x_z, x_r, x_h = np.split(x @ kernel + input_bias, 3, axis=1)
    if reset_after:
        h_z, h_r, h_h = np.split(h @ recurrent_kernel + recurrent_bias, 3, axis=1)
        z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
        candidate = np.tanh(x_h + r * h_h)
    else:
        U_z, U_r, U_h = np.split(recurrent_kernel, 3, axis=1)
        z, r = sigmoid(x_z + h @ U_z), sigmoid(x_r + h @ U_r)
        candidate = np.tanh(x_h + (r * h) @ U_h)
    return z * h + (1 - z) * candidate


# --------------------------------------------------------------- ONNX, as in its operator pages, one direction, one step


def onnx_lstm(X, H, C, W, R, B):
    (Wi, Wo, Wf, Wc), (Ri, Ro, Rf, Rc) = np.split(W, 4), np.split(R, 4)
    Wbi, Wbo, Wbf, Wbc, Rbi, Rbo, Rbf, Rbc = np.split(B, 8)
    it = sigmoid(X @ Wi.T + H @ Ri.T + Wbi + Rbi)
    ft = sigmoid(X @ Wf.T + H @ Rf.T + Wbf + Rbf)
    ct = np.tanh(X @ Wc.T + H @ Rc.T + Wbc + Rbc)
    Ct = ft * C + it * ct
    ot = sigmoid(X @ Wo.T + H @ Ro.T + Wbo + Rbo)
    return ot * np.tanh(Ct), Ct


def onnx_gru(X, H, W, R, B, linear_before_reset):
    (Wz, Wr, Wh), (Rz, Rr, Rh) = np.split(W, 3), np.split(R, 3)
    Wbz, Wbr, Wbh, Rbz, Rbr, Rbh = np.split(B, 6)
    zt = sigmoid(X @ Wz.T + H @ Rz.T + Wbz + Rbz)
    rt = sigmoid(X @ Wr.T + H @ Rr.T + Wbr + Rbr)
    gated = rt * (H @ Rh.T + Rbh) if linear_before_reset else (rt * H) @ Rh.T + Rbh
    ht = np.tanh(X @ Wh.T + gated + Wbh)
    return (1 - zt) * ht + zt * H


# -------------------------------------------------------------------------------------------- ours, and PyTorch's cells


def our_gru(x, h, entries, reset_after=True):
    W, U = entries["weight_ih"].numpy(), entries["weight_hh"].numpy()
    b, d = entries["bias_ih"].numpy(), entries["bias_hh"].numpy()
    x_r, x_z, x_n = np.split(x @ W.T + b, 3, axis=1)
    h_r, h_z, h_n = np.split(h @ U.T + d, 3, axis=1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = np.tanh(x_n + (r * h_n if reset_after else (r * h) @ np.split(U, 3)[2].T + np.split(d, 3)[2]))
    return (1 - z) * n + z * h


def cells(kind, inputs, hidden, entries):
    """One cell of that kind from every library that has it here, with these weights; as functions of arrays."""
    name = {"lstm": "LSTMCell", "gru": "GRUCell", "rnn": "RNNCell"}[kind]
    libraries = [(mg, nn)]
    try:
        import torch

        libraries.append((torch, torch.nn))
    except ImportError:
        pass
    for lib, room in libraries:
        if hasattr(room, name):
            cell = getattr(room, name)(inputs, hidden, bias="bias_ih" in entries).double()
            cell.load_state_dict({key: lib.tensor(value.numpy()) for key, value in entries.items()})
            yield lambda *arrays, lib=lib, cell=cell: run(lib, cell, *arrays)


def run(lib, cell, x, h, *c):
    states = lib.tensor(h) if not c else (lib.tensor(h), lib.tensor(*c))
    with lib.no_grad():
        result = cell(lib.tensor(x), states)
    return [each.numpy() for each in (result if c else (result,))]


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


IN, H, B = 3, 4, 5
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


@pytest.mark.parametrize("kind", GATES)
def test_keras_layers_compute_what_their_equations_say(kind):
    width = GATES[kind] * H
    x, h, c, kernel, recurrent, bias = arrays((B, IN), (B, H), (B, H), (IN, width), (H, width), (2, width) if kind == "gru" else (width,))
    entries = conventions.from_keras(kind, kernel, recurrent, bias)
    state = (c,) if kind == "lstm" else ()
    if kind == "lstm":
        expected = keras_lstm(x, h, c, kernel, recurrent, bias)
    else:
        expected = [keras_rnn(x, h, kernel, recurrent, bias) if kind == "rnn" else keras_gru(x, h, kernel, recurrent, bias, True)]
    results = [cell(x, h, *state) for cell in cells(kind, IN, H, entries)]
    results += [[our_gru(x, h, entries)]] if kind == "gru" else []
    for result in results:
        assert all(np.allclose(*pair, rtol=1e-12) for pair in zip(result, expected, strict=True))
    assert results or kind == "rnn"
    for mine, theirs in zip(conventions.to_keras(kind, entries), (kernel, recurrent, bias), strict=True):
        assert np.array_equal(mine, theirs)


def test_keras_gru_that_resets_before_the_product():
    x, h, kernel, recurrent, bias = arrays((B, IN), (B, H), (IN, 3 * H), (H, 3 * H), (3 * H,))
    entries = conventions.from_keras("gru", kernel, recurrent, bias, reset_after=False)
    expected = keras_gru(x, h, kernel, recurrent, bias, False)
    assert np.allclose(our_gru(x, h, entries, reset_after=False), expected, rtol=1e-12)
    assert not np.allclose(our_gru(x, h, entries, reset_after=True), expected)
    entries["bias_hh"] = mg.tensor(arrays((3 * H,), seed=3)[0])  # training moves both: their sum goes back
    kernel, recurrent, both = conventions.to_keras("gru", entries, reset_after=False)
    assert np.allclose(keras_gru(x, h, kernel, recurrent, both, False), our_gru(x, h, entries, reset_after=False), rtol=1e-12)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_onnx_operators_compute_what_their_equations_say(kind):
    width = GATES[kind] * H
    x, h, c, W, R, bias = arrays((B, IN), (B, H), (B, H), (1, width, IN), (1, width, H), (1, 2 * width), seed=1)
    entries = conventions.from_onnx(kind, W, R, bias)
    expected = onnx_lstm(x, h, c, W[0], R[0], bias[0]) if kind == "lstm" else [onnx_gru(x, h, W[0], R[0], bias[0], 1)]
    results = [cell(x, h, *((c,) if kind == "lstm" else ())) for cell in cells(kind, IN, H, entries)]
    if kind == "gru":
        results.append([our_gru(x, h, entries)])
        assert np.allclose(our_gru(x, h, entries, reset_after=False), onnx_gru(x, h, W[0], R[0], bias[0], 0), rtol=1e-12)
    for result in results:
        assert all(np.allclose(*pair, rtol=1e-12) for pair in zip(result, expected, strict=True))
    assert results
    for mine, theirs in zip(conventions.to_onnx(kind, entries), (W, R, bias), strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("bias", [True, False])
def test_a_bidirectional_layer_goes_to_onnx_and_back(bias):
    lstm = nn.LSTM(IN, H, num_layers=2, bidirectional=True, bias=bias)
    entries = lstm.state_dict()
    for layer in (0, 1):
        sent = conventions.to_onnx("LSTM", entries, suffix=f"_l{layer}")
        assert [each.shape[0] for each in sent] == [2] * (3 if bias else 2)
        for name, value in conventions.from_onnx("LSTM", *sent, suffix=f"_l{layer}").items():
            assert value.dtype is entries[name].dtype and np.array_equal(value.numpy(), entries[name].numpy())


def test_a_layer_goes_to_keras_and_computes_the_same():
    lstm = nn.LSTM(IN, H).double()
    kernel, recurrent, bias = conventions.to_keras("lstm", lstm.state_dict(), suffix="_l0")
    x, h = arrays((6, B, IN))[0], np.zeros((B, H))
    c, outputs = h, []
    for step in x:
        h, c = keras_lstm(step, h, c, kernel, recurrent, bias)
        outputs.append(h)
    assert np.allclose(lstm(mg.tensor(x))[0].detach().numpy(), outputs, rtol=1e-10)
    assert len(conventions.to_keras("lstm", nn.LSTMCell(IN, H, bias=False).state_dict())) == 2


def test_the_other_role_of_the_update_gate():
    """Chung et al. 2014: h = (1 - z) h + z n, with the reset before the product."""
    x, h, W, U, b = arrays((B, IN), (B, H), (3 * H, IN), (3 * H, H), (3 * H,), seed=4)
    W_r, W_z, W_n = np.split(W, 3)
    U_r, U_z, U_n = np.split(U, 3)
    b_r, b_z, b_n = np.split(b, 3)
    r, z = sigmoid(x @ W_r.T + h @ U_r.T + b_r), sigmoid(x @ W_z.T + h @ U_z.T + b_z)
    chung = (1 - z) * h + z * np.tanh(x @ W_n.T + (r * h) @ U_n.T + b_n)
    entries = {"weight_ih": W, "weight_hh": U, "bias_ih": b, "bias_hh": 0 * b}
    assert np.allclose(our_gru(x, h, conventions.swap_update_gate(entries), reset_after=False), chung, rtol=1e-12)
    twice = conventions.swap_update_gate(conventions.swap_update_gate(entries))
    assert all(np.array_equal(twice[name].numpy(), entries[name]) for name in entries)


def test_reorder_gates():
    weight = arrays((8, 3))[0]
    there = conventions.reorder_gates(weight, "ifgo", "iofc")
    assert np.array_equal(there[2:4], weight[6:8]) and np.array_equal(conventions.reorder_gates(there, "iofg", "ifgo"), weight)
    assert np.array_equal(conventions.reorder_gates(weight.T, "ifgo", "iofc", dim=1), there.T)
    tensor = mg.tensor(weight, requires_grad=True)
    conventions.reorder_gates(tensor, "ifgo", "ogfi")[:2].sum().backward()
    assert np.array_equal(tensor.grad.numpy()[6:], np.ones((2, 3))) and not tensor.grad.numpy()[:6].any()
    assert conventions.reorder_gates(np.arange(3), "rzn", "urn").tolist() == [1, 0, 2]
    for wrong in (("ifgo", "ifg"), ("iigo", "ifgo"), ("iigo", "iigo"), ("rzn", "ifg"), ("", "")):
        with pytest.raises(ValueError):
            conventions.reorder_gates(weight[:6], *wrong)
    with pytest.raises(ValueError, match="multiple of 3"):
        conventions.reorder_gates(weight, "rzn", "zrh")


@pytest.mark.parametrize(
    "call",
    [
        lambda: conventions.from_keras("tcn", *arrays((IN, H), (H, H))),
        lambda: conventions.from_keras("lstm", *arrays((4 * H, IN), (4 * H, H))),  # not transposed
        lambda: conventions.from_keras("lstm", *arrays((IN, 3 * H), (H, 3 * H))),
        lambda: conventions.from_keras("gru", *arrays((IN, 3 * H), (H, 3 * H), (3 * H,))),  # reset_after has two biases
        lambda: conventions.from_keras("gru", *arrays((IN, 3 * H), (H, 3 * H), (2, 3 * H)), reset_after=False),
        lambda: conventions.from_onnx("lstm", *arrays((4 * H, IN), (4 * H, H))),  # no axis of directions
        lambda: conventions.from_onnx("lstm", *arrays((1, 4 * H, IN), (1, 4 * H, H), (1, 4 * H))),
        lambda: conventions.from_onnx("gru", *arrays((3, 3 * H, IN), (3, 3 * H, H))),
        lambda: conventions.to_keras("gru", nn.LSTMCell(IN, H).state_dict()),
        lambda: conventions.to_onnx("lstm", nn.LSTM(IN, H, proj_size=2).state_dict(), suffix="_l0"),
    ],
)
def test_what_does_not_fit_is_a_value_error(call):
    with pytest.raises(ValueError):
        call()


def test_missing_weights_are_named():
    with pytest.raises(KeyError, match="weight_ih_l0"):
        conventions.to_keras("lstm", nn.LSTMCell(IN, H).state_dict(), suffix="_l0")


# -------------------------------------------------------------------------------------------------------- the document


def test_the_documents_orders_are_the_codes():
    rows = re.findall(r"^\| ([^|]+) \| `((?:\w )+\w)` \| (?:`((?:\w )+\w)` )?\|$", DOCUMENT.read_text(encoding="utf-8"), re.M)
    assert [name for name, _, _ in rows] == list(conventions.GATES)
    for name, lstm, gru in rows:
        assert lstm.replace(" ", "") == conventions.GATES[name]["lstm"]
        assert gru.replace(" ", "") == conventions.GATES[name].get("gru", "")


def test_the_documents_code_runs():
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, DOCUMENT.name, str(DOCUMENT), 0)
    assert len(test.examples) > 5
    assert doctest.DocTestRunner().run(test).failed == 0
