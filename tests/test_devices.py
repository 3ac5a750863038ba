"""Devices other than the CPU, tried on the strict one: steps that wait for nothing and copy nothing, operands on two
devices, ids out of range, sums that come out alike in every run, dropout, defaults, and minigrad.cuda."""

import contextlib
import importlib.util
import threading
import warnings

import numpy as np
import pytest
import strict
from compare import host
from test_ops import NOT_DIFFERENTIABLE, ROWS, drawn, value_of

import minigrad as mg
import minigrad_nn as nn
from minigrad import backend, ops
from minigrad_nn import functional as F
from minigrad_nn.utils import clip_grad_norm_, clip_grad_value_
from minigrad_nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence, unpad_sequence

pytestmark = pytest.mark.host_only("names its devices")
ON = "strict"


@pytest.fixture(autouse=True)
def _on_the_strict_device(_default_device):
    mg.set_default_device(ON)
    yield
    with contextlib.suppress(Exception):  # what a test left to be told
        backend.on(mg.device(ON)).synchronize()


def ids(*numbers, shape=None):
    made = mg.tensor(numbers)
    return made if shape is None else made.reshape(shape)


# ------------------------------------------------------------------------------------------- nothing waits, or is copied

X = (5, 4, 3)  # T, B, I
OPTIONS = {
    "": {}, "without bias": {"bias": False}, "everything": {"num_layers": 2, "batch_first": True, "dropout": 0.5, "bidirectional": True},
    "checkpoint": {"checkpoint": True, "bidirectional": True}, "checkpoint of two": {"checkpoint": 2, "num_layers": 2, "dropout": 0.5},
}  # fmt: skip
WAYS = {
    "RNN": OPTIONS | {"relu": {"nonlinearity": "relu"}, "sigmoid": {"nonlinearity": "sigmoid"}},
    "LSTM": OPTIONS | {"projected": {"proj_size": 2, "bidirectional": True}, "projected, checkpoint": {"proj_size": 2, "checkpoint": 2}},
    "GRU": OPTIONS | {"reset before": {"reset_after": False, "bidirectional": True}},
}


class Held(nn.Module):
    """A Module whose parts stand in containers."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({"one": nn.Linear(3, 3)})
        self.factors = nn.ParameterList([nn.Parameter(mg.ones(3))])

    def forward(self, x):
        return self.parts["one"](x) * self.factors[0]


LAYERS = {
    "Linear": lambda: (nn.Linear(3, 2), [mg.randn(*X)]),
    "Linear without bias": lambda: (nn.Linear(3, 2, bias=False), [mg.randn(4, 3)]),
    "Embedding": lambda: (nn.Embedding(6, 3), [ids(1, 5, 1, 0, shape=(2, 2))]),
    "Embedding with padding": lambda: (nn.Embedding(6, 3, padding_idx=0), [ids(1, 5, 1, 0)]),
    "Dropout": lambda: (nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)), [mg.randn(*X)]),
    "Tanh": lambda: (nn.Sequential(nn.Linear(3, 3), nn.Tanh()), [mg.randn(*X)]),
    "Sigmoid": lambda: (nn.Sequential(nn.Linear(3, 3), nn.Sigmoid()), [mg.randn(*X)]),
    "ReLU": lambda: (nn.Sequential(nn.Linear(3, 3), nn.ReLU()), [mg.randn(*X)]),
    "LSTMCell": lambda: (nn.LSTMCell(3, 2), [mg.randn(4, 3)]),
    "LSTMCell with a state": lambda: (nn.LSTMCell(3, 2), [mg.randn(4, 3), (mg.randn(4, 2), mg.randn(4, 2))]),
    "LSTMCell without a batch": lambda: (nn.LSTMCell(3, 2), [mg.randn(3)]),
    **{
        f"{name} with {option}": lambda name=name, options=options: (getattr(nn, name)(3, 2, **options), [mg.randn(4, 3)])
        for name, option, options in (
            ("RNNCell", "tanh", {}), ("RNNCell", "relu", {"nonlinearity": "relu"}), ("RNNCell", "sigmoid", {"nonlinearity": "sigmoid"}),
            ("GRUCell", "reset after", {}), ("GRUCell", "reset before", {"reset_after": False}), ("LayerNormLSTMCell", "bias", {}),
            ("LayerNormGRUCell", "bias", {}), ("PeepholeLSTMCell", "bias", {}), ("PeepholeLSTMCell", "no bias", {"bias": False}),
        )
    },
    **{
        f"{kind}, {path}, {form}, {option}": lambda kind=kind, path=path, form=form, options=options: (
            getattr(nn, kind)(3, 4, path=path, **options), sequences(form, options.get("batch_first", False))
        )
        for kind in ("RNN", "LSTM", "GRU")
        for path in ("fused", "stepwise")
        for form in ("padded", "packed", "packed in any order", "with a state", "alone")
        for option, options in WAYS[kind].items()
    },
    **{
        name: lambda name=name, options=options: (nn.Sequential(nn.Linear(3, 4), getattr(nn, name)(*options)), [mg.randn(*X)])
        for name, options in {
            "Identity": (), "Flatten": (), "Unflatten": (-1, (2, 2)), "GELU": (), "SiLU": (), "LeakyReLU": (), "ELU": (), "Softplus": (),
            "Softmax": (-1,), "LogSoftmax": (-1,),
        }.items()
    },
    **{
        name: lambda name=name: (getattr(nn, name)(), [mg.rand(4, 3, requires_grad=True), mg.rand(4, 3)])
        for name in ("L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss")
    },
    "ModuleDict, ParameterList": lambda: (Held(), [mg.randn(*X)]),
    "Scan": lambda: (nn.Scan(nn.LSTMCell(3, 2)), [mg.randn(*X)]),
    "Scan in reverse, packed": lambda: (nn.Scan(nn.GRUCell(3, 2), reverse=True), sequences("packed in any order")),
    "Stacked": lambda: (nn.Stacked([nn.LayerNormLSTMCell(3, 4), nn.GRU(4, 2)], dropout=0.5, batch_first=True), [mg.randn(*X)]),
    "Stacked, packed": lambda: (nn.Stacked([nn.GRUCell(3, 4), nn.PeepholeLSTMCell(4, 2)], dropout=0.5), sequences("packed")),
    "Bidirectional": lambda: (nn.Bidirectional(nn.GRUCell(3, 6), nn.LSTMCell(3, 2)), [mg.randn(*X)]),
    "Bidirectional, packed": lambda: (nn.Bidirectional(nn.RNNCell(3, 2), nn.GRUCell(3, 2), "mean"), sequences("packed in any order")),
    "VariationalDropout": lambda: (nn.Scan(nn.VariationalDropout(nn.LSTMCell(3, 4), 0.5, 0.5, 0.5)), [mg.randn(*X)]),
    "VariationalDropout, packed": lambda: (nn.Scan(nn.VariationalDropout(nn.GRUCell(3, 4), 0.5), reverse=True), sequences("packed")),
    "VariationalDropout evaluated": lambda: (nn.Scan(nn.VariationalDropout(nn.GRUCell(3, 4), 0.5).eval()), [mg.randn(*X)]),
    "Zoneout": lambda: (nn.Scan(nn.Zoneout(nn.LSTMCell(3, 4), 0.1, 0.5)), [mg.randn(*X)]),
    "Zoneout evaluated": lambda: (nn.Scan(nn.Zoneout(nn.LSTMCell(3, 4), 0.1, 0.5).eval()), [mg.randn(*X)]),
    "LayerNorm": lambda: (nn.LayerNorm(3), [mg.randn(*X)]),
    "LayerNorm of two axes": lambda: (nn.LayerNorm((4, 3), bias=False), [mg.randn(*X)]),
    "LayerNorm between": lambda: (nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3, elementwise_affine=False)), [mg.randn(*X)]),
    "StateBridge": lambda: (nn.StateBridge(nn.GRU(3, 4, 2), nn.LSTM(3, 2, 3), tanh=True), [mg.randn(2, 5, 4)]),
    "InitialState": lambda: (nn.InitialState(2, 4), [3]),
    "CrossEntropyLoss": lambda: (WithLoss(nn.CrossEntropyLoss()), [mg.randn(4, 3), ids(0, 4, -100, 1)]),
    "CrossEntropyLoss, everything": lambda: (
        WithLoss(nn.CrossEntropyLoss(mg.rand(5), ignore_index=1, label_smoothing=0.1)), [mg.randn(4, 3), ids(0, 4, 1, 1)],
    ),
    "CrossEntropyLoss of probabilities": lambda: (WithLoss(nn.CrossEntropyLoss()), [mg.randn(4, 3), mg.rand(4, 5)]),
    "NLLLoss": lambda: (WithLoss(nn.Sequential(nn.Linear(5, 5)), nn.NLLLoss()), [mg.randn(4, 3), ids(0, 4, -100, 1)]),
    "MSELoss": lambda: (WithLoss(nn.MSELoss()), [mg.randn(4, 3), mg.randn(4, 5)]),
    "ModuleList": lambda: (Several(nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])), [mg.randn(4, 3)]),
    "AdditiveAttention": lambda: (nn.AdditiveAttention(3, 2, 4), [mg.randn(4, 1, 3), mg.randn(4, 5, 2)]),
    "DotProductAttention": lambda: (nn.DotProductAttention(3, 2), [mg.randn(4, 1, 3), mg.randn(4, 5, 2)]),
    "EncoderDecoder with Encoder and Decoder": lambda: (
        nn.EncoderDecoder(nn.Encoder(6, 3, 2), nn.Decoder(6, 3, 2, context_size=2, attention=nn.AdditiveAttention(2, 2, 3))),
        [ids(1, 5, 1, 0, shape=(2, 2)), ids(1, 5, 1, 0, shape=(2, 2))],
    ),
}  # fmt: skip
UNSEEN = {"Module", "RNNBase", "RNNCellBase", "Parameter", "Sequential"}  # bases, no layer, and seen in the others


def sequences(form, batch_first=False):
    """What a recurrent layer is given: a batch (T, B, I), packed, with a state as large as the layer wants it, or one sequence."""
    if form == "alone":
        return [mg.randn(5, 3, requires_grad=True)]
    x = mg.randn(*((4, 5, 3) if batch_first else X), requires_grad=True)
    if form.startswith("packed"):
        lengths = [5, 4, 2, 2] if form == "packed" else [2, 5, 2, 4]
        return [pack_padded_sequence(x, lengths, batch_first=batch_first, enforce_sorted=form == "packed")]
    return [x, "a state"] if form == "with a state" else [x]


def given_a_state(layer, inputs):
    """`inputs` with a random state, as an RNN, LSTM or GRU takes it, in place of the words for one."""
    if inputs[-1] != "a state":
        return inputs
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = [layer.proj_size or layer.hidden_size, layer.hidden_size][: len(layer.state_names)]
    states = [mg.randn(rows, 4, size, requires_grad=True) for size in sizes]
    return [inputs[0], tuple(states) if len(states) > 1 else states[0]]


class WithLoss(nn.Module):
    """A layer in front of a loss."""

    def __init__(self, *after):
        super().__init__()
        self.front, self.after = nn.Linear(3, 5), after

    def forward(self, x, target):
        y = self.front(x)
        for each in self.after[:-1]:
            y = each(y)
        return self.after[-1](y, target)


class Several(nn.Module):
    """Layers in a container, one after the other."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        for each in self.inside:
            x = each(x)
        return x


def sum_of(result):
    """A loss of everything a layer returned."""
    if isinstance(result, PackedSequence):
        result = result.data
    if result.__class__ is mg.Tensor and result.dtype == mg.int8:  # the masks in a state
        return 0.0
    if isinstance(result, (tuple, list)):
        return sum((sum_of(each) for each in result[1:]), sum_of(result[0]))
    return (result * result).sum()


def test_every_layer_is_tried():
    built = set(" ".join(LAYERS).replace(",", "").split())
    classes = [name for name in dir(nn) if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)]
    assert [name for name in classes if name not in built and name not in UNSEEN] == []


@pytest.mark.parametrize("name", LAYERS)
def test_a_step_of_a_layer_waits_for_nothing_and_copies_nothing(name):
    layer, inputs = LAYERS[name]()
    inputs = given_a_state(layer, inputs)
    sum_of(layer(*inputs)).backward()  # the first dropout asks the device for a stream
    with strict.counting() as counted:
        loss = sum_of(layer(*inputs))
        loss.backward()
        layer.zero_grad()
    assert counted.waits == [] and counted.copies == []
    assert np.isfinite(loss.item()) and all(each.device == mg.device("strict:0") for each in layer.parameters())


LENGTHS = [5, 4, 2, 2]
PACKING = {  # what is made before, what is counted, how it waits, how many arrays it copies
    "numbers as lengths": (lambda x: x, lambda x: pack_padded_sequence(x, LENGTHS), [], 2),  # where real elements stand: steps, rows
    "lengths on the device": (lambda x: (x, ids(*LENGTHS)), lambda given: pack_padded_sequence(*given), ["get"], 3),  # and the lengths
    "any order": (lambda x: x, lambda x: pack_padded_sequence(x, [2, 5, 2, 4], enforce_sorted=False), [], 4),  # and the order, both ways
    "padded again": (lambda x: pack_padded_sequence(x, LENGTHS), lambda packed: pad_packed_sequence(packed)[0], [], 2),
    "padded again, any order": (
        lambda x: pack_padded_sequence(x, [2, 5, 2, 4], enforce_sorted=False), lambda packed: pad_packed_sequence(packed)[0], ["get"], 3,
    ),  # the order comes to the host, for the lengths there
    "cut": (lambda x: x, lambda x: unpad_sequence(x, LENGTHS), [], 2),
    "last outputs": (lambda x: x, lambda x: nn.last_outputs(x, LENGTHS), [], 2),
    "a loss with lengths": (lambda x: x, lambda x: nn.masked_cross_entropy(x, mg.zeros(5, 4).long(), LENGTHS), [], 1),
    "a loss with a mask": (
        lambda x: (x, mg.zeros(5, 4).long(), None, nn.sequence_mask(ids(*LENGTHS), 5).t()),
        lambda given: nn.masked_cross_entropy(*given), [], 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PACKING)
def test_packing_copies_lengths_and_places_and_nothing_else(name):
    prepare, call, waits, copies = PACKING[name]
    given = prepare(mg.randn(*X, requires_grad=True))
    with strict.counting() as counted:
        sum_of(call(given)).backward()
    assert counted.waits == waits and len(counted.copies) == copies, counted.copies


OPTIMISERS = {
    "SGD": lambda p: mg.optim.SGD(p, lr=0.1),
    "SGD with everything": lambda p: mg.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "Adam": lambda p: mg.optim.Adam(p, lr=0.1, weight_decay=0.1),
    "Adam with amsgrad": lambda p: mg.optim.Adam(p, lr=0.1, amsgrad=True, maximize=True),
    "AdamW": lambda p: mg.optim.AdamW(p, lr=0.1),
    "RMSprop": lambda p: mg.optim.RMSprop(p, lr=0.1),
    "RMSprop with everything": lambda p: mg.optim.RMSprop(p, lr=0.1, momentum=0.9, centered=True, weight_decay=0.1),
    "Adagrad": lambda p: mg.optim.Adagrad(p, lr=0.1, lr_decay=0.1, weight_decay=0.1),
    "Adadelta": lambda p: mg.optim.Adadelta(p, lr=0.1),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_step_of_an_optimiser_waits_for_nothing_and_copies_nothing(name):
    layer = nn.Linear(3, 2)
    optimiser = OPTIMISERS[name](layer.parameters())
    x = mg.randn(4, 3)
    for steps in range(3):
        with strict.counting() as counted:
            optimiser.zero_grad(set_to_none=steps != 1)
            layer(x).square().mean().backward()
            clip_grad_norm_(layer.parameters(), 0.5)
            clip_grad_value_(layer.parameters(), 0.1)
            optimiser.step()
        assert counted.waits == [] and counted.copies == []
    assert np.isfinite(host(layer.weight)).all()


def test_every_optimiser_is_tried():
    assert {name for name in mg.optim.__all__ if name not in ("Optimizer", "lr_scheduler")} <= set(" ".join(OPTIMISERS).split())


@pytest.mark.parametrize("name", ROWS)
def test_operations_and_their_gradients_wait_for_nothing(name):
    tensors = [mg.tensor(array, requires_grad=True) for array in drawn(ROWS[name])]
    with strict.counting() as counted:
        value_of(ROWS[name], tensors).sum().backward()
    sized = {"masked_select": {"boolean mask"}, "unique_consecutive": {"boolean mask"}, "repeat_interleave": {"get"}}
    assert set(counted.waits) == sized.get(name, set())  # there the size of what comes out stands in the input


ANSWERS = {
    **{name: lambda x, y, name=name: getattr(ops, name)(x, y) for name in ("eq", "ne", "lt", "le", "gt", "ge", "isclose", "floor_divide")},
    **{name: lambda x, y, name=name: getattr(ops, name)(x > 0, y > 0) for name in ("logical_and", "logical_or", "logical_xor")},
    **{name: lambda x, y, name=name: getattr(ops, name)(x > 0, y > 0) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    **{name: lambda x, y, name=name: getattr(ops, name)(x, 1) for name in ("argmax", "argmin", "argsort", "any", "all", "count_nonzero")},
    **{name: lambda x, y, name=name: getattr(ops, name)(x) for name in ("logical_not", "isnan", "isinf", "isfinite")},
    "bitwise_not": lambda x, y: ~(x > 0),
    "sign": lambda x, y: x.sign(),
    "nan_to_num": lambda x, y: x.nan_to_num(posinf=3.0),
    "whole numbers divided": lambda x, y: x.long() // (y.long() * 0 + 1),
    "whole numbers to a power": lambda x, y: x.long() ** y.long(),
    "where of numbers": lambda x, y: ops.where(x > 0, 1.0, 0.0),
    "a slice": lambda x, y: x[1:, ::2],
    "a NumPy integer": lambda x, y: x[np.int64(1)],
    "a NumPy number": lambda x, y: x * np.float32(2),
    "a slice assigned": lambda x, y: x.__setitem__((slice(None), 0), 1.0),
    "ids assigned": lambda x, y: x.__setitem__(x.argmax(0), y.sum()),
    "a number at ids": lambda x, y: x.__setitem__(x.argmax(0), 0.0),
    "a quantile": lambda x, y: x.quantile(0.3),
    "quantiles": lambda x, y: x.quantile(y.sigmoid()[0], 1),
    "repeated": lambda x, y: x.repeat_interleave(2, 1),
    "windows": lambda x, y: x.unfold(1, 2, 1),
    "isin": lambda x, y: ops.isin(x, y),
    "isin a number": lambda x, y: ops.isin(x, 1.5),
    "searchsorted": lambda x, y: ops.searchsorted(x[0].sort().values, y),
    "bucketize a number": lambda x, y: ops.bucketize(0.5, x[0].sort().values),
    "cosine_similarity": lambda x, y: ops.cosine_similarity(x, y),
    "masked_scatter": lambda x, y: x.masked_scatter(x > 0, y),
    "values put": lambda x, y: ops.index_put(x, (x.argmax(1),), y[0], True),
    "index_copy": lambda x, y: ops.index_copy(x, 1, x.argmax(1), y[:, :2]),
    "running extremes": lambda x, y: (x.cummax(1), x.long().cummin(0)),
    "one_hot": lambda x, y: ops.one_hot(x.argmax(1), 3),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_wait_for_nothing_and_copy_nothing(name):
    x, y = mg.randn(2, 3), mg.randn(2, 3)
    with strict.counting() as counted:
        ANSWERS[name](x, y)
    assert counted.waits == counted.copies == []


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "bool"])
@pytest.mark.parametrize("given", [{}, {"nan": 2.0}, {"nan": 1.0, "posinf": 5.0, "neginf": -1.0}])
def test_nan_to_num_is_numpys(dtype, given):
    xp = backend.on(mg.device(ON))
    with np.errstate(all="ignore"):
        x = np.array([np.nan, np.inf, -np.inf, 1.0, 0.0]).astype(dtype)
    expected = np.nan_to_num(x, **given)
    np.testing.assert_array_equal(xp.to_host(xp.nan_to_num(xp.from_host(x), **given)), expected, strict=True)


def test_what_cupy_does_otherwise_is_set_right():
    x = mg.tensor([[True, False], [True, False], [False, True]])
    assert mg.zeros_like(x, shape=()).shape == mg.ones_like(x, shape=()).shape == ()
    assert x.unique(dim=0).tolist() == [[False, True], [True, False]]
    values, where_to, counts = x.unique(dim=0, return_inverse=True, return_counts=True)
    assert values.dtype == mg.bool and where_to.tolist() == [1, 1, 0] and counts.tolist() == [1, 2]


def test_running_extremes_are_numpys():
    rng = np.random.default_rng(0)
    for shape, axis in (((1,), 0), ((7,), 0), ((0, 2), 0), ((3, 8, 2), 1), ((2, 5), -1)):
        x = rng.integers(-9, 9, shape).astype(rng.choice(["float32", "int64", "int8"]))
        for name in ("maximum", "minimum"):
            xp, expected = backend.on(mg.device(ON)), getattr(np, name).accumulate(x, axis)
            np.testing.assert_array_equal(xp.to_host(xp.running(name, xp.from_host(x), axis)), expected, strict=True)


def test_a_matrix_without_an_inverse_is_told():
    for call in (mg.linalg.inv, lambda x: mg.linalg.solve(x, x)):
        with strict.counting() as counted, pytest.raises(mg.linalg.LinAlgError, match="no solution"):
            call(mg.ones(2, 2))
        assert len(counted.waits) == 1  # PyTorch waits for it too
    assert mg.linalg.inv(mg.eye(2) * 2).tolist() == [[0.5, 0], [0, 0.5]]


def test_what_is_made_of_tensors_lies_where_they_do():
    with mg.device("cpu"):
        x = mg.ones(2, device=ON)
        for made in (mg.normal(x, x), mg.normal(0.0, x), x.bernoulli_(0.5), mg.tril_indices(2, 2, device=ON)):
            assert made.device == x.device
    assert mg.tril_indices(2, 2).device.type == ON


def test_numbers_are_written_on_the_device():
    with strict.counting() as counted:
        mg.zeros(2), mg.ones(2, dtype=mg.int64), mg.full((2,), 3.0), mg.arange(5), mg.empty(2), mg.zeros_like(mg.ones(2))
    assert counted.copies == counted.waits == []
    assert mg.arange(1.0, 2.0, 0.25).tolist() == [1.0, 1.25, 1.5, 1.75]


def test_rules_make_nothing_on_the_default_device():
    """Gradients of gradients, whose rules compute with Tensors, while the default device is another."""
    for name, row in ROWS.items():
        tensors = [mg.tensor(array, requires_grad=True) for array in drawn(row)]
        loss = value_of(row, tensors).sum()
        with mg.device("cpu"):
            gradients = mg.autograd.grad(loss, tensors, create_graph=True, materialize_grads=True)
            again = sum(((each * each).sum() for each in gradients[1:]), (gradients[0] * gradients[0]).sum())
            if again.requires_grad:
                second = mg.autograd.grad(again, tensors, materialize_grads=True)
                assert all(each.device.type == ON for each in second), name


# ------------------------------------------------------------------------------------------------ operands on two devices


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if len(row.shapes) > 1 and name != "copy_"])
@pytest.mark.parametrize("place", [0, 1])
def test_operands_on_two_devices_are_refused(name, place):
    tensors = [mg.tensor(array, device="cpu" if each == place else ON) for each, array in enumerate(drawn(ROWS[name]))]
    if name in ("where", "masked_fill"):
        tensors = [mg.tensor(array, device="cpu") for array in drawn(ROWS[name])]  # beside a mask on the other device
    with pytest.raises(RuntimeError, match=r"'(cpu|strict:0)'.*'(cpu|strict:0)'.*\.to\('(cpu|strict:0)'\)"):
        value_of(ROWS[name], tensors)


INDEXED = ("gather", "take_along_dim", "index_select", "getitem", "masked_select", "masked_fill", "scatter", "index_add")


@pytest.mark.parametrize("name", INDEXED)
def test_indices_and_masks_on_another_device_are_refused(name):
    tensors = [mg.tensor(array, device="cpu") for array in drawn(ROWS[name])]
    with pytest.raises(RuntimeError, match=r"'(cpu|strict:0)'.*'(cpu|strict:0)'.*\.to\('(cpu|strict:0)'\)"):
        value_of(ROWS[name], tensors)


OF_TWO = (
    "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "isclose", "allclose", "equal", "floor_divide",
)  # fmt: skip
OTHERS = ("mse_loss", "cross_entropy", "nll_loss", "embedding", "Linear", "Embedding", "LSTM", "LSTMCell", "bincount", "clamp")


@pytest.mark.parametrize("name", OF_TWO + OTHERS)
def test_so_are_they_elsewhere(name):
    assert name in NOT_DIFFERENTIABLE or name in OTHERS
    x, y = mg.ones(2, 3, device="cpu"), mg.ones(2, 3)
    calls = {
        "mse_loss": lambda: F.mse_loss(x, y),
        "cross_entropy": lambda: F.cross_entropy(x, ids(0, 1)),
        "nll_loss": lambda: F.nll_loss(x, ids(0, 1)),
        "embedding": lambda: F.embedding(ids(0, 1), x),
        "Linear": lambda: nn.Linear(3, 3)(x),
        "Embedding": lambda: nn.Embedding(3, 3)(mg.tensor([0], device="cpu")),
        "LSTM": lambda: nn.LSTM(3, 3)(x.unsqueeze(0)),
        "LSTMCell": lambda: nn.LSTMCell(3, 3)(x),
        "bincount": lambda: ops.bincount(ids(0, 1), mg.ones(2, device="cpu")),
        "clamp": lambda: y.clamp(min=x),
    }
    with pytest.raises(RuntimeError, match=r"'?(cpu|strict:0)'?.*'?(cpu|strict:0)'?.*to\("):
        calls.get(name, lambda: getattr(ops, name)(x, y))()


@pytest.mark.parametrize("call", [lambda x, a: x * a, lambda x, a: a * x, lambda x, a: np.add(x, a), lambda x, a: np.subtract(a, x)])
def test_numpys_arrays_are_on_the_cpu(call):
    with pytest.raises(RuntimeError, match=r"'(cpu|strict:0)'.*'(cpu|strict:0)'"):
        call(mg.ones(2), np.ones(2, np.float32))
    assert (mg.ones(2) * np.float32(2)).tolist() == [2, 2]


def test_gradients_go_back_to_where_the_tensor_came_from():
    x = mg.ones(2, device="cpu", requires_grad=True)
    (x.to(ON) * ids(2, 3)).sum().backward()
    assert x.grad.device.type == "cpu" and x.grad.tolist() == [2, 3]


# -------------------------------------------------------------------------------------------------------- out of range

OUT_OF_RANGE = {
    "embedding": (lambda: F.embedding(ids(0, 4), mg.ones(4, 2)), IndexError, r"embedding: ids must lie in \[0, 3\]"),
    "negative": (lambda: F.embedding(ids(-1), mg.ones(4, 2)), IndexError, r"embedding: ids must lie in \[0, 3\]"),
    "cross_entropy": (lambda: F.cross_entropy(mg.ones(2, 3), ids(0, 3)), IndexError, r"cross_entropy: target classes must lie in \[0, 2\]"),
    "nll_loss": (lambda: F.nll_loss(mg.ones(2, 3), ids(0, -1)), IndexError, r"target classes must lie in \[0, 2\]"),
    "gather": (lambda: mg.ones(2, 3).gather(1, ids(3, shape=(1, 1))), RuntimeError, r"gather: ids must lie in \[0, 2\]"),
    "scatter": (lambda: mg.ones(2, 3).scatter(1, ids(3, shape=(1, 1)), 0.0), RuntimeError, r"scatter: ids must lie in \[0, 2\]"),
    "index_select": (lambda: mg.ones(2, 3).index_select(0, ids(2)), IndexError, r"index_select: ids must lie in \[0, 1\]"),
    "index_add": (lambda: mg.ones(2).index_add(0, ids(2), mg.ones(1)), IndexError, r"index_add: ids must lie in \[0, 1\]"),
    "getitem": (lambda: mg.ones(2, 3)[:, ids(0, -4)], IndexError, r"ids for axis 1 .* must lie in \[-3, 2\]"),
    "setitem": (lambda: mg.ones(2).__setitem__(ids(2), 0.0), IndexError, r"ids for axis 0 .* must lie in \[-2, 1\]"),
    "index_put": (lambda: ops.index_put(mg.ones(2), (ids(2),), mg.ones(1), True), IndexError, r"ids for axis 0 .* must lie in \[-2, 1\]"),
    "index_copy": (lambda: ops.index_copy(mg.ones(2), 0, ids(2), mg.ones(1)), IndexError, r"index_copy: ids must lie in \[0, 1\]"),
    "masked_scatter": (lambda: mg.ones(2).masked_scatter(mg.ones(2) > 0, mg.ones(1)), RuntimeError, r"more often than the source's 1"),
    "quantile": (lambda: mg.ones(2).quantile(1.5), RuntimeError, r"in \[0, 1\]"),
    "fmod": (lambda: ops.fmod(ids(1, 2), ids(1, 0)), RuntimeError, r"integers cannot be divided by 0"),
    "division": (lambda: ids(1, 2) // ids(1, 0), RuntimeError, r"integers cannot be divided by 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", OUT_OF_RANGE)
@pytest.mark.parametrize("waits", ["item", "tolist", "cpu", "numpy", "print", "synchronize", "float"])
def test_ids_out_of_range_are_told_by_the_next_call_that_waits(name, waits):
    call, error, message = OUT_OF_RANGE[name]
    other = mg.ones(())
    with strict.counting() as counted:
        call()
    assert counted.waits == []
    with pytest.raises(error, match=message):
        {
            "item": other.item, "tolist": other.tolist, "cpu": other.cpu, "numpy": lambda: other.numpy(force=True),
            "print": lambda: repr(other), "synchronize": backend.on(mg.device(ON)).synchronize, "float": lambda: float(other),
        }[waits]()  # fmt: skip
    assert other.item() == 1  # told once


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_on_the_cpu_they_are_told_at_once(name):
    call, error, message = OUT_OF_RANGE[name]
    message = "out of bounds for axis" if name in ("getitem", "setitem", "index_put") else message  # NumPy's words
    with mg.device("cpu"), pytest.raises(error, match=message):
        call()


def test_ids_in_range_are_told_by_nobody():
    F.embedding(ids(0, 3), mg.ones(4, 2)), F.cross_entropy(mg.ones(2, 3), ids(2, -100)), mg.ones(3)[ids(-3, 2)]
    assert mg.arange(300)[mg.tensor([255, 0], dtype=mg.uint8).long()].tolist() == [255, 0]
    assert mg.arange(300)[mg.tensor([-1, 100], dtype=mg.int32)].tolist() == [299, 100]
    backend.on(mg.device(ON)).synchronize()


def test_a_table_without_rows_has_no_ids():
    with pytest.raises(IndexError, match="which holds nothing"):
        F.embedding(ids(0), mg.ones(0, 2))
    assert F.embedding(mg.zeros(0, dtype=mg.int64), mg.ones(0, 2)).shape == (0, 2)


# --------------------------------------------------------------------------------------- the same bits in every run


def embedding_gradient(rows, seed=0):
    """Gradients of a table from which 500 rows were looked up, some very often, on the strict device and on the CPU."""
    rng = np.random.default_rng(seed)
    chosen, given = rng.integers(0, rows, 500) ** 2 // rows, rng.normal(size=(500, 3)).astype(np.float32) * 1e3
    found = []
    for where in (ON, "cpu"):
        table = mg.zeros(rows, 3, device=where, requires_grad=True)
        F.embedding(mg.tensor(chosen, device=where), table).backward(mg.tensor(given, device=where))
        found.append(host(table.grad))
    return found


@pytest.mark.parametrize("rows", [1, 2, 7, 600])
def test_sums_at_repeated_ids_are_the_same_in_every_run(rows):
    first, on_cpu = embedding_gradient(rows)
    np.testing.assert_allclose(first, on_cpu, 1e-3, 1.0)
    for _ in range(5):
        np.testing.assert_array_equal(embedding_gradient(rows)[0], first)


def test_so_are_weighted_counts():
    rng = np.random.default_rng(0)
    counted, weights = rng.integers(0, 3, 2000), rng.normal(size=2000) * 1e3
    runs = [mg.tensor(counted).bincount(mg.tensor(weights), minlength=5).tolist() for _ in range(5)]
    np.testing.assert_allclose(runs[0], np.bincount(counted, weights, 5), 1e-9)
    assert all(each == runs[0] for each in runs)
    assert mg.zeros(0, dtype=mg.int64).bincount(mg.zeros(0), minlength=2).tolist() == [0, 0]


def test_unless_the_user_wants_speed():
    try:
        mg.use_deterministic_algorithms(False)
        assert not mg.are_deterministic_algorithms_enabled()
        runs = [embedding_gradient(2)[0] for _ in range(8)]
        assert any((each != runs[0]).any() for each in runs)
    finally:
        mg.use_deterministic_algorithms(True)


@pytest.mark.host_only("changes how a GPU would multiply")
def test_precision_of_products():
    told = mg.backend.on(mg.device("strict")).exactness.told
    assert mg.get_float32_matmul_precision() == "highest"
    try:
        mg.set_float32_matmul_precision("high")
        assert mg.get_float32_matmul_precision() == "high" and told == {"float32": "COMPUTE_TYPE_TF32"}
        for wrong, error in (("low", ValueError), ("HIGH", ValueError), (None, RuntimeError), (1, RuntimeError)):
            with pytest.raises(error, match="one of highest, high, medium; got"):
                mg.set_float32_matmul_precision(wrong)
        assert mg.get_float32_matmul_precision() == "high"
    finally:
        mg.set_float32_matmul_precision("highest")
    assert told == {"float32": "COMPUTE_TYPE_DEFAULT"}


INDICES = {
    "rows": lambda: (np.array([2, 0, 2, -1]),),
    "no rows": lambda: (np.array([], np.int64),),
    "columns": lambda: (slice(None), np.array([1, 1])),
    "places": lambda: (np.array([[0, 1], [0, 1]]), np.array([0, 3])),
    "middle": lambda: (np.array([1, 1]), slice(1, 3)),
    "apart": lambda: (np.array([0, 0, 2]), slice(None), np.array([1, 1, 0])),
    "mask and ids": lambda: (np.array([True, False, True]), np.array([1, 1])),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int8", "bool"])
@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("turned", [False, True])
def test_add_at_and_put_are_numpys(name, dtype, turned):
    shape = (3, 4, 2) if name == "apart" else (3, 4)
    index = INDICES[name]()
    xp = backend.on(mg.device(ON))
    there = tuple([each if isinstance(each, slice) else xp.from_host(each) for each in index])
    start = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    values = (np.arange(start[index].size) % 5 + 1).reshape(start[index].shape).astype(dtype)
    for expected, method in ((np.add.at, "add_at"), (lambda x, i, v: x.__setitem__(i, v), "put")):
        x = start.copy()
        expected(x, index, values)
        y = xp.from_host(start.T.copy() if turned else start)
        y = y.T if turned else y  # in another order in memory
        getattr(xp, method)(y, there, xp.from_host(values))
        np.testing.assert_array_equal(xp.to_host(y), x, strict=True)


def test_values_that_broadcast_can_be_put():
    xp = backend.on(mg.device(ON))
    y = xp.zeros((3, 2))
    xp.put(y, (xp.from_host(np.array([0, 0])),), xp.from_host(np.array([[[1.0, 2.0]]])))
    xp.put(y, (xp.from_host(np.array([2])),), 5)
    assert xp.to_host(y).tolist() == [[1, 2], [0, 0], [5, 5]]


@pytest.mark.parametrize("where", ["cpu", ON])
def test_expanded_tensors_cannot_be_changed(where):
    for change in (lambda y: y.add_(1), lambda y: y.zero_(), lambda y: y.__setitem__(0, 1.0)):
        x = mg.zeros(1, 2, device=where)
        with pytest.raises(RuntimeError):
            change(x.expand(3, 2))
        assert x.tolist() == [[0, 0]]


def test_of_values_assigned_to_one_element_the_last_stays():
    x = mg.zeros(4, 2)
    x[ids(1, 3, 1)] = mg.tensor([[1.0, 1], [2, 2], [3, 3]])
    assert x.tolist() == [[0, 0], [3, 3], [0, 0], [2, 2]]
    assert mg.zeros(1, 2).scatter(1, ids(1, 1, 1, shape=(1, 3)), mg.tensor([[1.0, 2, 3]])).tolist() == [[0, 3]]


# ------------------------------------------------------------------------------------------------------------- dropout


def test_dropout_is_drawn_on_the_device_from_a_stream_that_the_seed_starts():
    masks = []
    for seed in (1, 1, 2):
        mg.manual_seed(seed)
        masks.append([F.dropout(mg.ones(20, 10), 0.25).tolist() for _ in range(2)])
    assert masks[0] == masks[1] != masks[2] and masks[0][0] != masks[0][1]
    assert {value for row in masks[0][0] for value in row} == {0.0, float(np.float32(1 / 0.75))}


def test_dropout_goes_on_from_a_saved_state():
    mg.manual_seed(3)
    F.dropout(mg.ones(9), 0.5)
    state = mg.get_rng_state()
    after = [F.dropout(mg.ones(30), 0.5).tolist() for _ in range(2)]
    mg.set_rng_state(state)
    assert [F.dropout(mg.ones(30), 0.5).tolist() for _ in range(2)] == after


def test_one_seed_means_one_model_on_all_devices():
    models = []
    for where in ("cpu", ON):
        mg.manual_seed(5)
        with mg.device(where):
            models.append(nn.LSTM(3, 2))
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_array_equal(host(one), host(other))


# ------------------------------------------------------------------------------------------------------------ defaults


def test_a_device_is_a_block():
    with mg.device("cpu"):
        assert mg.zeros(1).device == mg.device("cpu") == mg.get_default_device()
        with mg.device(ON) as inner, inner:
            assert mg.zeros(1).device.type == ON
        assert mg.tensor(np.ones(2)).device.type == "cpu"
    assert mg.zeros(1).device.type == ON and mg.tensor(np.ones(2)).device.type == ON
    with pytest.raises(KeyError), mg.device("cpu"):
        raise KeyError
    assert mg.zeros(1).device.type == ON


def test_each_thread_has_a_default_of_its_own():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(mg.zeros(1).device.type))
    thread.start()
    thread.join()
    assert seen == ["cpu"] and mg.zeros(1).device.type == ON


def test_a_default_that_is_not_there_is_refused():
    with pytest.raises(RuntimeError, match="there is no device 'mps'; devices are 'cpu', 'cuda'"):
        mg.set_default_device("mps")
    assert mg.zeros(1).device.type == ON
    with pytest.raises(RuntimeError, match="there is no device 'mps'"), mg.device("mps"):
        mg.zeros(1)
    mg.set_default_device(None)
    assert mg.zeros(1).device.type == "cpu"


def test_where_data_goes():
    array = np.ones(2, np.float32)
    assert mg.as_tensor(array).device.type == ON and mg.from_numpy(array).device.type == "cpu"
    assert mg.tensor(mg.zeros(1, device="cpu")).device.type == "cpu" and mg.tensor(mg.zeros(1).array).device.type == ON
    assert mg.zeros(1).cpu().numpy().tolist() == [0]
    with pytest.raises(TypeError, match=r"x\.cpu\(\)\.numpy\(\)"):
        mg.zeros(1).numpy()


# ---------------------------------------------------------------------------------------------------------------- cuda

NO_GPU = not mg.cuda.is_available()


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_without_a_gpu_cuda_says_so():
    assert mg.cuda.is_available() is False and mg.cuda.device_count() == 0
    mg.cuda.empty_cache()
    mg.cuda.manual_seed(1)
    mg.cuda.manual_seed_all(1)
    mg.cuda.reset_peak_memory_stats()
    assert mg.cuda.memory_allocated() == mg.cuda.max_memory_allocated(0) == mg.cuda.memory_reserved("cuda:1") == 0
    what = "pip install cupy-cuda13x" if importlib.util.find_spec("cupy") is None else "no usable NVIDIA GPU"
    asking = [
        mg.cuda.synchronize, mg.cuda.current_device, mg.cuda.get_device_name, mg.cuda.mem_get_info, mg.zeros(1).cuda,
        lambda: mg.zeros(1, device="cuda:1"), lambda: mg.set_default_device("cuda"), lambda: nn.Linear(1, 1).to("cuda"),
    ]  # fmt: skip
    for each in asking:
        with pytest.raises(RuntimeError, match=what):
            each()


def test_cupy_that_cannot_be_imported_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(backend.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError("libnvrtc is missing")))
    with pytest.raises(RuntimeError, match="cannot be imported \\(libnvrtc is missing\\)"):
        backend._load_cuda()


def test_cupy_that_cannot_write_to_its_own_folder_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(backend.importlib, "import_module", lambda name: (_ for _ in ()).throw(PermissionError("'/root/.cupy'")))
    with pytest.raises(RuntimeError, match=r"no place for what it compiles \('/root/.cupy'\); set CUPY_CACHE_DIR"):
        backend._load_cuda()


def test_cuda_asks_cupy(monkeypatch):
    """The functions of minigrad.cuda on a library that has what they ask CuPy for."""
    monkeypatch.setattr(mg.cuda, "_cupy", lambda: strict.LIBRARY)
    monkeypatch.setattr(mg.cuda, "is_available", lambda: True)
    monkeypatch.setattr(mg.cuda._peaks, "of", {})
    assert mg.cuda.current_device() == 0 and mg.cuda.get_device_name("cuda:0") == "strict"
    assert mg.cuda.mem_get_info() == (3, 4) and mg.cuda.memory_allocated() == 1 and mg.cuda.memory_reserved(0) == 2
    assert mg.cuda.max_memory_allocated() == 1
    for size in (5, -2, 1):
        strict.allocate(size)
    assert mg.cuda.max_memory_allocated() == 6
    mg.cuda.reset_peak_memory_stats()
    assert mg.cuda.max_memory_allocated() == 1
    with mg.cuda.device(0), mg.cuda.device(None):
        pass
    seeded = []
    monkeypatch.setattr(mg.random.default_generator, "seed_on", lambda where, seed: seeded.append((str(where), seed)))
    monkeypatch.setattr(mg.cuda, "device_count", lambda: 2)
    mg.cuda.manual_seed(3)
    mg.cuda.manual_seed_all(4)
    assert seeded == [("cuda:0", 3), ("cuda:0", 4), ("cuda:1", 4)]


@pytest.mark.parametrize("ask", [mg.cuda.memory_allocated, mg.cuda.max_memory_allocated, mg.cuda.reset_peak_memory_stats])
def test_the_memory_of_a_cpu_is_not_told(ask):
    with pytest.raises(ValueError, match="expected a GPU"):
        ask("cpu")


def test_a_device_draws_from_a_seed_of_its_own():
    where = mg.zeros(1, device=ON).device
    draw = lambda: mg.nn.functional.dropout(mg.ones(100, device=ON)).tolist()
    mg.random.default_generator.seed_on(where, 5)
    first = draw()
    mg.random.default_generator.seed_on(where, 5)
    assert first == draw() != draw()


def test_importing_minigrad_imports_no_cupy():
    """test_house.py says so of the engine; here that asking whether there is a GPU is no reason to fail, or to warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mg.cuda.is_available()
