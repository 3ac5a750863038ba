"""Layers and losses against PyTorch where it is installed, and against what they promise everywhere."""

import math

import numpy as np
import pytest

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn import functional as F


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2), (3,), (0, 3)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "options", [{}, {"weight": True}, {"ignore_index": 1}, {"label_smoothing": 0.1}, {"weight": True, "label_smoothing": 0.2}]
)
def test_cross_entropy_agrees_with_pytorch(shape, reduction, options):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    logits = rng.standard_normal(shape)
    target = rng.integers(0, 3, shape[:1] + shape[2:] if len(shape) > 1 else ())
    weight = rng.random(3) + 0.5 if options.get("weight") else None
    results = []
    for lib, functional in ((torch, torch.nn.functional), (mg, F)):
        x = lib.tensor(logits, requires_grad=True)
        kwargs = {**options, "weight": None if weight is None else lib.tensor(weight), "reduction": reduction}
        loss = functional.cross_entropy(x, lib.tensor(target), **kwargs)
        (dx,) = lib.autograd.grad((loss * loss).sum(), x, create_graph=True)
        (ddx,) = lib.autograd.grad((dx * dx).sum(), x)
        results.append([loss.detach().cpu().numpy(), dx.detach().cpu().numpy(), ddx.cpu().numpy()])
    for theirs, ours in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        assert np.allclose(ours, theirs, atol=1e-10, equal_nan=True)


def test_cross_entropy_is_one_node_and_safe_for_large_logits():
    x = mg.tensor([[1e4, 0.0], [-1e4, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, mg.tensor([0, 0]), reduction="none")
    assert loss.tolist() == [0.0, 1e4]
    loss.sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0], [-1.0, 1.0]]
    for reduction in ("mean", "sum", "none"):
        node = F.cross_entropy(x, mg.tensor([0, 0]), reduction=reduction).grad_fn
        assert node.op == "cross_entropy" and node.next_functions[0][0].name() == "AccumulateGrad"


@pytest.mark.parametrize(("target", "error"), [([0, 3], IndexError), ([0, -1], IndexError), ([0], RuntimeError)])
def test_cross_entropy_refuses_what_does_not_fit(target, error):
    with pytest.raises(error, match="cross_entropy"):
        F.cross_entropy(mg.zeros(2, 3), mg.tensor(target)).item()  # where a device is waited for, if not before


LOGITS = {  # made from logits near 0; the targets are on the diagonal
    "near 0": lambda x: x,
    "all large": lambda x: x + 300,
    "all small": lambda x: x - 300,
    "one row large": lambda x: x + np.array([[0.0], [80.0], [0.0]]),
    "one row small": lambda x: x - np.array([[0.0], [80.0], [0.0]]),
    "a target far below": lambda x: x - np.array([[0.0, 0.0, 0.0], [0.0, 200.0, 0.0], [0.0, 0.0, 0.0]]),
    "a target far above": lambda x: x + np.array([[0.0, 0.0, 0.0], [0.0, 30.0, 0.0], [0.0, 0.0, 0.0]]),
    "impossible classes": lambda x: np.where(np.eye(3)[[2, 0, 1]] > 0, -np.inf, x),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", LOGITS)
def test_cross_entropy_is_exact_wherever_the_logits_lie(kind, dtype):
    x = LOGITS[kind](np.random.default_rng(0).standard_normal((3, 3))).astype(dtype)
    wide = x.astype(np.longdouble) - x.max(axis=1, keepdims=True)
    log_p = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    logits = mg.tensor(x, requires_grad=True)
    losses = F.cross_entropy(logits, mg.tensor([0, 1, 2]), reduction="none")
    losses.sum().backward()
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}
    assert np.allclose(losses.detach().cpu().numpy(), -log_p.diagonal().astype(float), **tolerance)
    assert np.allclose(logits.grad.cpu().numpy(), (np.exp(log_p) - np.eye(3)).astype(float), **tolerance)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_stays_in_its_row_of_a_cross_entropy(bad):
    logits = mg.tensor([[1.0, 2.0], [bad, 0.0], [0.5, 0.0]], requires_grad=True)
    losses = F.cross_entropy(logits, mg.tensor([0, 0, 1]), reduction="none")
    losses.sum().backward()
    assert np.isnan(losses.detach().cpu().numpy()).tolist() == [False, True, False]
    assert np.isnan(logits.grad.cpu().numpy()).tolist() == [[False] * 2, [True] * 2, [False] * 2]


def test_cross_entropy_is_for_floating_point():
    with pytest.raises(NotImplementedError, match="floating point, got"):
        F.cross_entropy(mg.tensor([[1, 2]]), mg.tensor([0]))


@pytest.mark.parametrize("dtype", [mg.float32, mg.float64, mg.float16])
@pytest.mark.parametrize("width", [1, 2, 3, 6])
def test_embedding_gradients_add_up_element_by_element(width, dtype):
    ids = np.random.default_rng(0).integers(0, 5, 40)
    dy = np.random.default_rng(1).integers(-4, 5, (40, width)).astype(float)
    dy[7, 0] = math.nan  # what is no number stays where it is
    table = mg.zeros(300, width, dtype=dtype, requires_grad=True)
    F.embedding(mg.tensor(ids), table).backward(mg.tensor(dy, dtype=dtype))
    expected = np.zeros((300, width))
    for row, each in zip(ids, dy, strict=True):
        expected[row] += each
    assert np.array_equal(table.grad.cpu().numpy(), expected, equal_nan=True)


def test_embedding_gradients_add_up_for_repeated_ids():
    table = nn.Embedding(4, 2, padding_idx=0)
    assert table.weight[0].tolist() == [0.0, 0.0]
    out = table(mg.tensor([[1, 1, 0], [3, 1, 0]]))
    (out * mg.arange(3).reshape(1, 3, 1)).sum().backward()
    assert table.weight.grad.tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]
    with pytest.raises(IndexError, match=r"embedding: ids must lie in \[0, 3\]"):
        table(mg.tensor([1, 4])).tolist()
    with pytest.raises(RuntimeError, match="integers"):
        table(mg.ones(2))


def test_embedding_twice_differentiable():
    weight = mg.randn(4, 2, dtype=mg.float64, requires_grad=True)
    out = F.embedding(mg.tensor([1, 1, 3]), weight)
    (dw,) = mg.autograd.grad((out**3).sum(), weight, create_graph=True)
    (ddw,) = mg.autograd.grad(dw.sum(), weight)
    expected = 6 * weight.detach() * mg.tensor([[0.0], [2.0], [0.0], [1.0]])
    assert mg.allclose(ddw, expected)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3), (0, 3), (2, 0, 3)])
def test_linear_takes_any_number_of_axes(shape):
    layer = nn.Linear(3, 2).double()
    x = mg.randn(*shape, dtype=mg.float64, requires_grad=True)
    y = layer(x)
    assert y.shape == (*shape[:-1], 2)
    (y * y).sum().backward()
    again = x.detach().cpu().numpy() @ layer.weight.detach().cpu().numpy().T + layer.bias.detach().cpu().numpy()
    assert np.allclose(y.detach().cpu().numpy(), again)
    assert np.allclose(x.grad.cpu().numpy(), 2 * again @ layer.weight.detach().cpu().numpy())


def test_dropout_scales_what_it_keeps_and_repeats_with_the_seed():
    x = mg.ones(10_000, requires_grad=True)
    mg.manual_seed(3)
    y = F.dropout(x, 0.25)
    mg.manual_seed(3)
    assert mg.equal(y, F.dropout(x, 0.25))
    assert abs((y == 0).float().mean().item() - 0.25) < 0.02 and abs(y.max().item() - 4 / 3) < 1e-6
    y.sum().backward()
    assert mg.equal(x.grad, y.detach())
    assert F.dropout(x, 1.0).abs().sum().item() == 0 and F.dropout(x, 0.5, training=False) is x
    with pytest.raises(ValueError, match="probability"):
        nn.Dropout(1.5)


def test_a_batch_of_nothing_but_padding_has_a_gradient_of_zero():
    x = mg.zeros(4, 3, requires_grad=True)
    loss = F.cross_entropy(x, mg.tensor([-100] * 4))
    loss.backward()
    assert math.isnan(loss.item()) and not x.grad.any()


def test_ids_and_targets_that_changed_give_no_wrong_gradient():
    table, logits = mg.ones(4, 3, requires_grad=True), mg.randn(2, 4, requires_grad=True)
    ids, target = mg.tensor([0, 1]), mg.tensor([2, 3])
    losses = [nn.functional.embedding(ids, table).sum(), nn.functional.cross_entropy(logits, target)]
    ids.fill_(3)
    target.fill_(0)
    for loss in losses:
        with pytest.raises(RuntimeError, match="was changed in place afterwards"):
            loss.backward()
