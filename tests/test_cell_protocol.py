"""What a cell promises, held against every cell there is, and one written by hand: see docs/cells.md.

The reference is a plain loop over one sequence at a time. A run prints its seed; MINIGRAD_SEED repeats it,
MINIGRAD_CASES says how many networks are drawn at random.
"""

import copy
import os
import pickle
import random

import numpy as np
import pytest
from compare import host

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

SEED = int(os.environ.get("MINIGRAD_SEED", random.SystemRandom().getrandbits(32)))
CASES = int(os.environ.get("MINIGRAD_CASES", 40))


class Own(nn.Module):
    """A cell with three states, and written as readers write theirs: h gathers slowly, m remembers the largest, n counts."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.into, self.back = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, input, state=None):
        if state is None:
            state = [mg.zeros_like(input, shape=(*input.shape[:-1], self.hidden_size))] * 3
        h, m, n = state
        h = 0.9 * h + mg.tanh(self.into(input) + self.back(h) + m)
        return h, mg.maximum(m, h), n + 1


def _relu(i, h):
    return nn.RNNCell(i, h, nonlinearity="relu")


CELLS = {
    "RNNCell": nn.RNNCell,
    "RNNCell relu": _relu,
    "LSTMCell": nn.LSTMCell,
    "LSTMCell without bias": lambda i, h: nn.LSTMCell(i, h, bias=False),
    "GRUCell": nn.GRUCell,
    "GRUCell of the papers": lambda i, h: nn.GRUCell(i, h, reset_after=False),
    "LayerNormLSTMCell": nn.LayerNormLSTMCell,
    "LayerNormLSTMCell without bias": lambda i, h: nn.LayerNormLSTMCell(i, h, bias=False),
    "LayerNormGRUCell": nn.LayerNormGRUCell,
    "LayerNormGRUCell without bias": lambda i, h: nn.LayerNormGRUCell(i, h, bias=False),
    "PeepholeLSTMCell": nn.PeepholeLSTMCell,
    "PeepholeLSTMCell without bias": lambda i, h: nn.PeepholeLSTMCell(i, h, bias=False),
    "VariationalDropout": lambda i, h: nn.VariationalDropout(nn.LSTMCell(i, h), 0.3, 0.3, 0.3).eval(),
    "VariationalDropout of nothing": lambda i, h: nn.VariationalDropout(nn.GRUCell(i, h)),
    "Zoneout": lambda i, h: nn.Zoneout(nn.LSTMCell(i, h), 0.2, 0.4).eval(),
    "Zoneout of a GRU": lambda i, h: nn.Zoneout(nn.GRUCell(i, h), 0.2).eval(),
    "one written by hand": Own,
}
each_cell = pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)


def made(make, i=3, h=4, dtype=mg.float64, seed=0):
    """A cell whose every parameter is drawn, so that no bias is 0 and no gain is 1."""
    mg.manual_seed(seed)
    cell = make(i, h).to(dtype)
    for each in cell.parameters():
        nn.init.normal_(each, std=0.7)
    return cell


def listed(state):
    return [state] if isinstance(state, mg.Tensor) else list(state)


def as_given(states):
    return states[0] if len(states) == 1 else tuple(states)


def own(cell, state):
    """The states that are the cell's, without a wrapper's masks."""
    return listed(cell.bare(state) if hasattr(cell, "bare") else state)


def drawn_state(cell, rows, rng, dtype=mg.float64):
    """Initial states of the cell's own shape, as leaves."""
    size = next(each.input_size for each in cell.modules() if hasattr(each, "input_size"))
    shapes = [each.shape[1:] for each in own(cell, cell(mg.zeros(1, size, dtype=dtype)))]
    return [mg.tensor(rng.standard_normal((rows, *shape)), dtype=dtype, requires_grad=True) for shape in shapes]


def close(one, other, tolerance=1e-10):
    return one.shape == other.shape and np.allclose(host(one), host(other), rtol=tolerance, atol=tolerance)


def agree(ones, others, tolerance=1e-10):
    return all(close(one, other, tolerance) for one, other in zip(ones, others, strict=True))


def alone(cell, x, state, reverse=False):
    """One sequence x (T, I) by a loop over time: what the cell showed (T, 1, H), in the input's order, and its last state."""
    shown = [None] * len(x)
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        state = cell(x[t : t + 1], state)
        shown[t] = listed(state)[0]
    return mg.stack(shown), state


# ----------------------------------------------------------------------------------------------------------- one step


@each_cell
@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
def test_a_row_alone_is_a_row_of_a_batch(make, dtype):
    cell, rng = made(make, dtype=dtype), np.random.default_rng(0)
    x, states = mg.tensor(rng.standard_normal((5, 3)), dtype=dtype), drawn_state(make(3, 4).to(dtype), 5, rng, dtype)
    for given in (None, as_given(states)):
        after = own(cell, cell(x, given))
        assert all(each.dtype == dtype and each.shape == (5, 4) for each in after)
        for row in range(5):
            single = own(cell, cell(x[row], None if given is None else as_given([each[row] for each in states])))
            assert agree(single, [each[row] for each in after], 1e-5 if dtype == mg.float32 else 1e-12)


@each_cell
def test_no_state_is_a_state_of_zeros(make):
    cell = made(make)
    x, states = mg.randn(5, 3, dtype=mg.float64), drawn_state(made(make), 5, np.random.default_rng(0))
    assert agree(own(cell, cell(x)), own(cell, cell(x, as_given([each.detach() * 0 for each in states]))))


@each_cell
def test_a_batch_of_nobody(make):
    cell = made(make)
    states = drawn_state(cell, 0, np.random.default_rng(0))
    for given in (None, as_given(states)):
        after = own(cell, cell(mg.zeros(0, 3, dtype=mg.float64), given))
        assert [tuple(each.shape) for each in after] == [(0, 4)] * len(states)
    output, last = nn.scan(cell, mg.zeros(6, 0, 3, dtype=mg.float64, requires_grad=True))
    assert output.shape == (6, 0, 4) and [tuple(each.shape) for each in own(cell, last)] == [(0, 4)] * len(states)
    output.sum().backward()
    assert all(each.grad is None or not each.grad.any() for each in cell.parameters())


@each_cell
def test_copies_and_saved_values_compute_the_same(make):
    cell, x = made(make), mg.randn(5, 2, 3, dtype=mg.float64)
    expected = nn.scan(cell, x)[0]
    other = made(make, seed=1)
    assert not close(nn.scan(other, x)[0], expected)
    other.load_state_dict(cell.state_dict())
    twins = [copy.deepcopy(cell), pickle.loads(pickle.dumps(cell)), other]
    for twin in twins:
        assert type(twin) is type(cell) and repr(twin) == repr(cell) and mg.equal(nn.scan(twin, x)[0], expected)
        assert not {id(each) for each in twin.parameters()} & {id(each) for each in cell.parameters()}
    with mg.no_grad():
        for each in cell.parameters():
            each.zero_()
    assert all(mg.equal(nn.scan(twin, x)[0], expected) for twin in twins)


# ---------------------------------------------------------------------------------------------------------- over time


@each_cell
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("form", ["padded", "batch first", "packed", "packed, any order"])
@pytest.mark.parametrize("given", [False, True])
def test_a_scan_is_each_sequence_by_itself(make, reverse, form, given):
    cell, rng = made(make), np.random.default_rng(5)
    lengths = {"packed": [6, 4, 4, 1], "packed, any order": [2, 6, 1, 4]}.get(form, [6] * 4)
    x, states = mg.tensor(rng.standard_normal((6, 4, 3)), requires_grad=True), drawn_state(cell, 4, rng)
    leaves = [x, *(states if given else []), *cell.parameters()]
    packed, first = form.startswith("packed"), form == "batch first"
    inputs = pack_padded_sequence(x, lengths, enforce_sorted=False) if packed else x.transpose(0, 1) if first else x
    state = as_given(states) if given else None
    whole = cell.begin(state) if given and packed and reverse and hasattr(cell, "begin") else state
    output, last = nn.scan(cell, inputs, whole, reverse=reverse, batch_first=first)
    output = pad_packed_sequence(output)[0] if packed else output.transpose(0, 1) if first else output
    ones = [alone(cell, x[:length, row], as_given([each[row : row + 1] for each in states]) if given else None, reverse)
            for row, length in enumerate(lengths)]  # fmt: skip
    together = separate = 0.0
    for row, (length, (shown, end)) in enumerate(zip(lengths, ones, strict=True)):
        ends = [each[row : row + 1] for each in own(cell, last)]
        pairs = [(output[:length, row : row + 1], shown), *zip(ends, own(cell, end), strict=True)]
        for ours, theirs in pairs:
            assert close(ours, theirs)
            weight = mg.tensor(rng.standard_normal(ours.shape))
            together, separate = together + (ours * weight).sum(), separate + (theirs * weight).sum()
        assert not output[length:, row].any()
    assert agree(mg.autograd.grad(together, leaves, materialize_grads=True), mg.autograd.grad(separate, leaves, materialize_grads=True))


def test_what_stands_in_the_padding_does_not_matter():
    for make in CELLS.values():
        cell, x = made(make), mg.randn(5, 2, 3, dtype=mg.float64)
        spoilt = x.clone()
        spoilt[3:, 1] = float("nan")
        outputs = [nn.scan(cell, pack_padded_sequence(each, [5, 3]), reverse=True)[0].data for each in (x, spoilt)]
        assert mg.equal(*outputs)


# ------------------------------------------------------------------------------------------------------------- networks

MERGES = {"cat": lambda a, b: mg.cat([a, b], -1), "sum": lambda a, b: a + b, "mean": lambda a, b: (a + b) / 2}


class Drawn:
    """A network of random cells, and its plain reference: one sequence at a time, one step at a time."""

    def __init__(self, draw, inputs, depth=0):
        self.kind = draw.choice(["cell", "reverse", "both"] + ["stack"] * (depth < 2))
        if self.kind == "stack":
            self.parts, self.size = [], inputs
            for _ in range(draw.randint(1, 3)):
                self.parts.append(Drawn(draw, self.size, depth + 1))
                self.size = self.parts[-1].size
            self.module = nn.Stacked([each.module for each in self.parts])
            return
        cells = [made(draw.choice(list(CELLS.values())), inputs, draw.randint(1, 5), seed=draw.getrandbits(30)) for _ in range(2)]
        sizes = [len(own(each, each(mg.zeros(1, inputs, dtype=mg.float64)))[0][0]) for each in cells]
        self.cells, self.size = cells, sizes[0]
        if self.kind == "both":
            self.merge = draw.choice(list(MERGES)) if sizes[0] == sizes[1] else "cat"
            self.module, self.size = nn.Bidirectional(*cells, merge=self.merge), sum(sizes) if self.merge == "cat" else sizes[0]
        else:
            self.module = nn.Scan(cells[0], reverse=self.kind == "reverse")
            if depth and self.kind == "cell" and draw.random() < 0.5:
                self.module = cells[0]  # Stacked puts bare cells into a Scan

    def states(self, rows, rng):
        """Initial states for the module, and a function from a row to those of that row."""
        if self.kind == "stack":
            return tuple(each.states(rows, rng) for each in self.parts)
        given = [as_given(drawn_state(each, rows, rng)) for each in self.cells]
        given = [cell.begin(state) if hasattr(cell, "begin") else state for cell, state in zip(self.cells, given, strict=True)]
        return tuple(given) if self.kind == "both" else given[0]

    def alone(self, x, state):
        """x (T, 1, I) and the state of one row → (T, 1, size) and the last state"""
        if self.kind == "stack":
            ends = []
            for each, part in zip(self.parts, state or [None] * len(self.parts), strict=True):
                x, end = each.alone(x, part)
                ends.append(end)
            return x, tuple(ends)
        if self.kind != "both":
            return alone(self.cells[0], x.squeeze(1), state, self.kind == "reverse")
        ahead, end = alone(self.cells[0], x.squeeze(1), state and state[0])
        back, start = alone(self.cells[1], x.squeeze(1), state and state[1], True)
        return MERGES[self.merge](ahead, back), (end, start)


def leaves_of(state):
    """The floating-point tensors in nested tuples; a wrapper's masks left out."""
    if isinstance(state, mg.Tensor):
        return [state] if state.is_floating_point() else []
    return [leaf for each in state for leaf in leaves_of(each)]


def rows_of(state, row):
    return None if state is None else state[row : row + 1] if isinstance(state, mg.Tensor) else tuple(rows_of(each, row) for each in state)


@pytest.mark.parametrize("case", range(CASES))
def test_networks_drawn_at_random(case):
    print(f"MINIGRAD_SEED={SEED}")
    draw = random.Random(f"{SEED} {case}")
    rng = np.random.default_rng(draw.getrandbits(32))
    inputs, steps, rows = draw.randint(1, 4), draw.randint(1, 6), draw.randint(1, 5)
    network = Drawn(draw, inputs)
    packed, given = draw.random() < 0.6, draw.random() < 0.5
    lengths = [draw.randint(1, steps) for _ in range(rows)] if packed else [steps] * rows
    x = mg.tensor(rng.standard_normal((steps, rows, inputs)), requires_grad=True)
    state = network.states(rows, rng) if given else None
    output, last = network.module(pack_padded_sequence(x, lengths, enforce_sorted=False) if packed else x, state)
    assert isinstance(output, PackedSequence) == packed
    output = pad_packed_sequence(output)[0] if packed else output
    ones = [network.alone(x[:length, row : row + 1], rows_of(state, row)) for row, length in enumerate(lengths)]
    assert output.shape == (max(lengths), rows, network.size)
    together = separate = 0.0
    for row, (length, (shown, end)) in enumerate(zip(lengths, ones, strict=True)):
        pairs = [(output[:length, row : row + 1], shown)]
        pairs += list(zip(leaves_of(rows_of(last, row)), leaves_of(end), strict=True))
        for ours, theirs in pairs:
            assert close(ours, theirs, 1e-8)
            weight = mg.tensor(rng.standard_normal(ours.shape))
            together, separate = together + (ours * weight).sum(), separate + (theirs * weight).sum()
    leaves = [x, *network.module.parameters(), *([each for each in leaves_of(state) if each.requires_grad] if given else [])]
    grads = [mg.autograd.grad(each, leaves, materialize_grads=True) for each in (together, separate)]
    assert agree(*grads, 1e-7)
