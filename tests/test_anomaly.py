"""detect_anomaly: the message names the operation, the step and the user's line where numbers first went wrong."""

from __future__ import annotations

import inspect
import math
import threading

import pytest

import minigrad
import minigrad_nn as nn
from minigrad import autograd
from minigrad.autograd import detect_anomaly, set_detect_anomaly
from minigrad.autograd.anomaly_mode import is_anomaly_enabled


def leaf(*numbers):
    return minigrad.tensor(list(numbers), dtype=minigrad.float64, requires_grad=True)


def here(offset=0):
    """ "file:line" of the caller, `offset` lines further down."""
    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno + offset}"


# -------------------------------------------------------------------------------------------------------------- forward


def test_the_first_infinity_and_its_line():
    x = leaf(1.0, 0.0)
    with detect_anomaly(), pytest.raises(RuntimeError, match="forward: the first infinity") as caught:
        y = x * 2
        line = here(1)
        z = y.log()
        z.exp()
    message = str(caught.value)
    assert line in message and "z = y.log()" in message and "log (node" in message and "(2,)" in message and "float64" in message


def test_the_first_nan():
    with detect_anomaly(), pytest.raises(RuntimeError, match="the first NaN in a value came out of sqrt"):
        leaf(1.0, -1.0).sqrt()


def test_log_of_zero_in_a_loop_over_an_lstm_at_step_7():
    cell = nn.LSTMCell(2, 3)
    x = minigrad.randn(10, 1, 2)
    h = c = minigrad.zeros(1, 3)
    with detect_anomaly(), pytest.raises(RuntimeError, match="step=7") as caught:
        for t in range(10):
            with minigrad.step(t), minigrad.scope("decoder"):
                h, c = cell(x[t], (h, c))
                gap = h * 0.0 if t == 7 else h * 0 + 1.0
                line = here(1)
                h = h + gap.log()
    message = str(caught.value)
    assert line in message and "h = h + gap.log()" in message and "decoder" in message and t == 7


@pytest.mark.filterwarnings("ignore:overflow")
def test_an_exploding_rnn_of_cells():
    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent = nn.Linear(1, 1)
            minigrad.nn.init.constant_(self.recurrent.weight, 1e15)

        def forward(self, x, h):
            return (x + self.recurrent(h)).relu()

    cell, h = Cell(), minigrad.ones(1, 1)
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"infinity.*linear.*step=2\b") as caught:
        for t in range(5):
            with minigrad.step(t):
                h = cell(minigrad.zeros(1, 1), h)
    assert "return (x + self.recurrent(h)).relu()" in str(caught.value) and "recurrent" in str(caught.value)


@pytest.mark.parametrize(
    "masked",
    [
        lambda x: x.masked_fill(x > 1, -math.inf).softmax(0),
        lambda x: minigrad.where(x > 1, -math.inf, x).softmax(0),
        lambda x: (x + minigrad.tensor([0.0, -math.inf, 0.0], dtype=minigrad.float64)).softmax(0),
        lambda x: (x * minigrad.full((3,), math.inf, dtype=minigrad.float64)).tanh(),
        lambda x: x * math.inf,
    ],
)
def test_infinities_put_in_on_purpose_are_no_anomaly(masked):
    with detect_anomaly():
        masked(leaf(1.0, 2.0, 0.5))


def test_an_infinity_assigned_on_purpose_is_none_either():
    with detect_anomaly():
        h = leaf(1.0, 2.0, 0.5) * 1
        h[1] = -math.inf
        h.softmax(0)
        h.masked_fill_(h > 0.7, -math.inf)
        h.softmax(0)
        h.fill_(math.inf)


def test_but_the_nan_they_lead_to_is():
    with detect_anomaly(), pytest.raises(RuntimeError, match="first NaN in a value came out of softmax"):
        leaf(1.0, 2.0).masked_fill(minigrad.tensor([True, True]), -math.inf).softmax(0)


def test_what_is_not_recorded_is_not_looked_at():
    with detect_anomaly():
        with minigrad.no_grad():
            leaf(0.0).log()
        minigrad.tensor([0.0]).log()


# ------------------------------------------------------------------------------------------------------------- backward


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_first_bad_gradient_and_the_line_of_its_operation(create_graph):
    x = leaf(4.0, 0.0)
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"backward: the first infinity.*sqrt") as caught:
        line = here(1)
        y = x.sqrt()
        (y * 3).sum().backward(create_graph=create_graph)
    assert line in str(caught.value) and "y = x.sqrt()" in str(caught.value)


def test_the_trap_of_where():
    x = leaf(4.0, 0.0)
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"backward: the first NaN.*sqrt"):
        minigrad.where(x > 0, x.sqrt(), 0.0).sum().backward()
    leaf(4.0, 0.0)


def test_a_bad_gradient_of_a_function_of_ones_own_and_of_several_outputs():
    class Bad(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, one, other):
            return one * math.nan

    with detect_anomaly(), pytest.raises(RuntimeError, match=r"backward: the first NaN.*Bad"):
        Bad.apply(leaf(1.0, 2.0))[1].sum().backward()
    x = leaf(0.0, 1.0)
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"backward: the first infinity.*sqrt"):
        one, other = x.sqrt().split(1)
        (one + other).sum().backward()


def test_gradients_that_are_not_worked_out_yet():
    W, x = minigrad.ones(3, 2, requires_grad=True), minigrad.ones(4, 2, requires_grad=True)
    with detect_anomaly():
        for _ in range(3):
            (nn.functional.linear(x, W)[1:3] * x[0, 0]).sum().backward()
        big = minigrad.full((4, 3), 1e38)
        with pytest.raises(RuntimeError, match=r"backward: the first infinity.*linear"):
            (nn.functional.linear(x * 1e-20, W) * big).backward(minigrad.full((4, 3), 3.0))


def test_a_gradient_that_came_in_bad():
    x = leaf(1.0, 2.0)
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"arrived at mul.*already held NaN"):
        (x * 2).backward(minigrad.tensor([1.0, math.nan], dtype=minigrad.float64))


def test_an_operation_from_before():
    y = leaf(0.0).sqrt()
    with detect_anomaly(), pytest.raises(RuntimeError, match="made before anomalies were looked for"):
        y.sum().backward()


# ---------------------------------------------------------------------------------------------------- blocks and switches


def test_nested_switched_and_per_thread():
    assert not is_anomaly_enabled() and minigrad.is_anomaly_enabled is is_anomaly_enabled
    with detect_anomaly():
        with set_detect_anomaly(False):
            leaf(0.0).log()
        with detect_anomaly(check_nan=False):
            assert leaf(0.0).log().grad_fn.facts.line
        with pytest.raises(RuntimeError, match="infinity"):
            leaf(0.0).log()
        seen = []
        thread = threading.Thread(target=lambda: seen.append((is_anomaly_enabled(), leaf(0.0).log().item())))
        thread.start()
        thread.join()
        assert seen == [(False, -math.inf)]
    assert not is_anomaly_enabled()
    set_detect_anomaly(True)
    try:
        with pytest.raises(RuntimeError, match="infinity"):
            leaf(0.0).log()
    finally:
        set_detect_anomaly(False)
    leaf(0.0).log()


def test_beside_a_trace_nothing_changes():
    for order in ((detect_anomaly, minigrad.trace), (minigrad.trace, detect_anomaly)):
        x = leaf(1.0, 2.0)
        with order[0]() as one, order[1]() as other:
            y = x.exp()
            (y * y).sum().backward()
        seen = one or other
        assert seen.held == 0 and seen.nodes == 3 and y.grad_fn.facts.gradients
        assert x.grad.tolist() == pytest.approx([2 * math.exp(2), 2 * math.exp(4)])


def test_gradients_are_the_same_with_it():
    model, x = nn.LSTM(2, 3), minigrad.randn(4, 1, 2)
    model(x)[0].sum().backward()
    alone = [each.grad.clone() for each in model.parameters()]
    for each in model.parameters():
        each.grad = None
    with detect_anomaly():
        model(x)[0].sum().backward()
    assert all(minigrad.equal(one, each.grad) for one, each in zip(alone, model.parameters(), strict=True))
