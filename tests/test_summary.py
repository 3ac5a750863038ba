"""`summary`: every column adds up, against counts made by hand and the tape's own, and nothing is left behind."""

import importlib.util

import pytest

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn.utils.checkpoint import checkpoint
from minigrad_nn.utils.rnn import pack_sequence


def table(made):
    return {row.path: row for row in made.rows}


def held(model, *inputs):
    """What a trace says is kept after a call, while the result lives."""
    with mg.trace() as seen:
        result = model(*inputs)
    return seen.held if result is not None else 0


class Tagger(nn.Module):
    """Nested modules, a shared weight, one module called twice, one never, and several results."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.layers = nn.ModuleList([nn.LSTM(4, 4, path="stepwise"), nn.Scan(nn.GRUCell(4, 4))])
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embedding.weight
        self.drop, self.unused = nn.Dropout(0.5), nn.Linear(2, 2)

    def forward(self, ids):
        x = self.drop(self.embedding(ids))
        x, state = self.layers[0](x)
        x, h = self.layers[1](self.drop(x))
        return {"logits": self.head(x), "state": (state, h)}


def test_rows_of_a_nested_model():
    model, ids = Tagger(), mg.tensor([[1, 2], [3, 4], [0, 1]])
    made = nn.summary(model, ids)
    rows = table(made)
    assert list(rows) == [name for name, _ in model.named_modules()]
    assert (rows["drop"].calls, rows["head"].calls, rows["unused"].calls, rows["layers.1.cell"].calls) == (2, 1, 0, 3)
    assert rows["head"].parameters == 0 and rows["embedding"].parameters == 20  # shared: counted where it comes first
    assert made.parameters == sum(each.numel() for each in model.parameters()) == made.trainable
    assert rows["head"].output == "(3, 2, 5)" and rows["unused"].output == "-"
    assert rows["layers.0"].output == "[(3, 2, 4), [(1, 2, 4), (1, 2, 4)]]" and rows["layers.1.cell"].output == "(2, 4)"
    assert rows[""].output == "{logits: (3, 2, 5), state: [[(1, 2, 4), (1, 2, 4)], (2, 4)]}"
    assert rows["drop"].kept == 2 * 3 * 2 * 4 * 4 and rows["unused"].kept == 0
    assert made.kept == held(model, ids)


@pytest.mark.parametrize("reverse", [False, True])
def test_packed_input_and_wrapped_cells(reverse):
    zoned = nn.Scan(nn.Zoneout(nn.LayerNormLSTMCell(6, 2), 0.1), reverse)
    model = nn.Stacked([nn.Bidirectional(nn.LSTMCell(3, 4), nn.GRUCell(3, 2)), zoned])
    packed = pack_sequence([mg.randn(3, 3), mg.randn(2, 3), mg.randn(1, 3)])
    made = nn.summary(model, packed)
    rows = table(made)
    assert rows[""].output.startswith("[(6, 2) packed, [[")
    assert rows["layers.0.ahead.cell"].calls == 3
    assert rows["layers.1.cell.cell"].output == ("[(3, 2), (3, 2)]" if reverse else "[(1, 2), (1, 2)]")  # of its last call
    assert made.kept == held(model, packed) and made.parameters == sum(each.numel() for each in model.parameters())
    text = repr(made).splitlines()
    assert len(text) == len(made.rows) + 4 and len({len(line) for line in text}) == 1
    assert "LSTMCell x3" in repr(made) and text[-1].split()[-1] == f"{made.kept:,}"


def test_a_frozen_part_is_counted_but_not_as_trainable_and_keeps_nothing():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    rows = table(nn.summary(model, mg.zeros(2, 3)))
    assert (rows["0"].parameters, rows["0"].trainable, rows["0"].kept, rows["1"].kept) == (16, 0, 0, 0)
    assert rows["2"].kept == 2 * 4 * 4


def test_memory_that_several_operations_keep_counts_once():
    model = nn.Sequential(nn.Tanh(), nn.Tanh(), nn.Linear(100, 1))
    x = mg.zeros(10, 100, requires_grad=True)
    rows = table(nn.summary(model, x))
    assert [rows[name].kept for name in "012"] == [4000, 4000, 400]  # the last tanh's value and Linear's input are one


def test_what_checkpoint_throws_away_is_not_counted():
    class Remembering(nn.Module):
        def __init__(self, thrifty):
            super().__init__()
            self.cell, self.thrifty = nn.LSTMCell(3, 16), thrifty

        def forward(self, x):
            run = lambda x: nn.scan(self.cell, x)[0]
            return checkpoint(run, x) if self.thrifty else run(x)

    x = mg.zeros(50, 2, 3)
    rows = [nn.summary(Remembering(thrifty), x) for thrifty in (False, True)]
    assert rows[1].kept < rows[0].kept / 5


@pytest.mark.parametrize("training", [True, False])
def test_everything_is_as_before(training):
    model, ids = Tagger().train(training), mg.tensor([[1, 2]])
    model.head.weight.grad = mg.ones(5, 4)
    stream = mg.get_rng_state()
    with mg.no_grad():
        made = nn.summary(model, ids)
        assert not mg.is_grad_enabled()
    assert made.kept > 0 and mg.equal(mg.get_rng_state(), stream)
    assert all(each.training == training and not each._forward_hooks and not each._forward_pre_hooks for each in model.modules())
    assert [each.grad is not None for each in model.parameters()] == [each is model.head.weight for each in model.parameters()]
    assert mg.equal(model.head.weight.grad, mg.ones(5, 4))
    mg.set_rng_state(stream)
    once = model(ids)["logits"]
    mg.set_rng_state(stream)
    nn.summary(model, ids)
    assert mg.equal(model(ids)["logits"], once)


def test_after_an_error_nothing_is_left_behind():
    model, stream = nn.Sequential(nn.Dropout(), nn.Linear(3, 2)), mg.get_rng_state()
    with pytest.raises(RuntimeError, match="linear"):
        nn.summary(model, mg.zeros(2, 4))
    assert mg.equal(mg.get_rng_state(), stream)
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())
    with pytest.raises(TypeError, match="Module"):
        nn.summary(mg.tanh, mg.zeros(2))


# ------------------------------------------------------------------------------------------------ what kernels keep


NUMBA = importlib.util.find_spec("numba") is not None  # compiled loops of an RNN keep its outputs only


@pytest.mark.host_only("what the kernels of the CPU keep; those of a GPU keep less")
@pytest.mark.parametrize(
    ("layer", "each_row"),
    [
        (nn.LSTM(20, 16), 5 * 16 + 16 + 20), (nn.LSTM(20, 16, proj_size=4), 5 * 16 + 4 + 20),
        (nn.RNN(20, 16), (16 if NUMBA else 16 + 16) + 20),
        (nn.GRU(20, 16), 5 * 16 + 16 + 20), (nn.GRU(20, 16, reset_after=False), 5 * 16 + 16 + 20),
        (nn.LSTM(20, 16, bidirectional=True), 2 * (5 * 16 + 16) + 20),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("size", [3, 1])
def test_a_fused_layer_keeps_what_its_kernel_says(layer, each_row, size):
    """For each row what `Saved` names, y and x; and once the weights."""
    layer = layer.to(mg.get_default_device())
    x = mg.randn(50, size, 20)
    weights = sum(each.numel() for each in layer.parameters())
    assert held(layer, x) == nn.summary(layer, x).kept == 4 * (50 * size * each_row + weights)


def test_after_the_way_back_nothing_is_kept():
    with mg.trace() as seen:
        output, _ = nn.LSTM(3, 4, num_layers=2)(mg.randn(5, 2, 3))
        output.sum().backward()
    assert seen.held == 0 and seen.peak > 0


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_what_a_checkpointed_layer_keeps_grows_with_the_root_of_its_length(kind):
    """Beyond input, output and weights: a tenth of what the plain one keeps at most, and twice as much in four times the steps."""
    H, kept = 4, {}
    for T in (2_500, 10_000):
        x = mg.randn(T, 1, 2)
        for thrifty in (False, True):
            layer = getattr(nn, kind)(2, H, checkpoint=thrifty)
            both = x.numel() + T * H + sum(each.numel() for each in layer.parameters())
            kept[T, thrifty] = held(layer, x) - 4 * both
    assert kept[10_000, True] <= kept[10_000, False] / 10
    assert kept[10_000, True] <= 2.2 * kept[2_500, True]
