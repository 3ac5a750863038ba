"""Masks: made, applied and in losses; whatever the padding holds must change neither a value nor a gradient."""

import numpy as np
import pytest

import minigrad as mg
import minigrad_nn as nn
import minigrad_nn.functional as F

NAN, INF = float("nan"), float("inf")


# --------------------------------------------------------------------------------- ignored rows of plain cross-entropy


def ignored_rows(padding, loss, second=False, shape=(5, 4), dtype=mg.float64):
    """Loss and gradient of logits whose rows 1 and 4 are ignored and hold `padding`."""
    logits = np.random.default_rng(0).standard_normal(shape)
    logits[1::3] = padding
    x = mg.tensor(logits, dtype=dtype, requires_grad=True)
    value = loss(x, mg.tensor([0, -100, 3, 2, -100]))
    (dx,) = mg.autograd.grad(value.sum(), x, create_graph=second)
    if second:
        (dx,) = mg.autograd.grad((dx**3).sum(), x)
    return value.detach().numpy(), dx.detach().numpy()


LOSSES = {
    **{reduction: (lambda x, t, r=reduction: F.cross_entropy(x, t, reduction=r)) for reduction in ("mean", "sum", "none")},
    "weighted": lambda x, t: F.cross_entropy(x, t, mg.tensor([1.0, 2.0, 0.5, 0.0]).to(x.dtype)),
    "smoothed": lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1),
    "smoothed, weighted": lambda x, t: F.cross_entropy(x, t, mg.tensor([1.0, 2.0, 0.5, 3.0]).to(x.dtype), label_smoothing=0.2),
    **{f"nll {reduction}": (lambda x, t, r=reduction: F.nll_loss(x, t, reduction=r)) for reduction in ("mean", "sum", "none")},
    "nll weighted": lambda x, t: F.nll_loss(x, t, mg.tensor([1.0, 2.0, 0.5, 3.0]).to(x.dtype)),
}


# nll_loss is linear in its input and has no second gradient
@pytest.mark.parametrize(("name", "second"), [(name, second) for name in LOSSES for second in (False, True)[: 2 - name.startswith("nll")]])
@pytest.mark.parametrize("padding", [NAN, INF, -INF])
def test_logits_of_ignored_rows_change_nothing(name, padding, second):
    value, dx = ignored_rows(padding, LOSSES[name], second)
    clean_value, clean_dx = ignored_rows(0.0, LOSSES[name], second)
    assert np.array_equal(value, clean_value) and np.array_equal(dx, clean_dx)
    assert not dx[1::3].any() and np.isfinite(dx).all()


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_rows_agree_with_pytorch_where_it_is_finite(name):
    torch = pytest.importorskip("torch")
    value, dx = ignored_rows(0.5, LOSSES[name])
    logits = np.random.default_rng(0).standard_normal((5, 4))
    logits[1::3] = 0.5
    x = torch.tensor(logits, requires_grad=True)
    target = torch.tensor([0, -100, 3, 2, -100])
    weights = {"weighted": [1, 2, 0.5, 0], "smoothed, weighted": [1, 2, 0.5, 3], "nll weighted": [1, 2, 0.5, 3]}.get(name)
    reduction = name.split()[-1] if name.split()[-1] in ("sum", "none") else "mean"
    options = {"weight": None if weights is None else torch.tensor(weights, dtype=torch.float64), "reduction": reduction}
    if name.startswith("nll"):
        loss = torch.nn.functional.nll_loss(x, target, **options)
    else:
        smoothing = {"smoothed": 0.1, "smoothed, weighted": 0.2}.get(name, 0.0)
        loss = torch.nn.functional.cross_entropy(x, target, label_smoothing=smoothing, **options)
    loss.sum().backward()
    assert np.allclose(value, loss.detach().numpy(), rtol=1e-12) and np.allclose(dx, x.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_a_gradient_of_nan_at_ignored_rows_stays_there():
    x = mg.zeros(3, 2, requires_grad=True)
    losses = F.cross_entropy(x, mg.tensor([0, -100, 1]), reduction="none")
    losses.backward(mg.tensor([1.0, NAN, 1.0]))
    assert x.grad.tolist() == [[-0.5, 0.5], [0.0, 0.0], [0.5, -0.5]]


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_all_rows_ignored(loss):
    x = mg.tensor([[NAN, 1.0], [2.0, INF]], requires_grad=True)
    assert loss(x, mg.tensor([-100, -100]), reduction="sum").item() == 0
    assert loss(x, mg.tensor([-100, -100]), reduction="none").tolist() == [0, 0]
    mean = loss(x, mg.tensor([-100, -100]))
    mean.backward()
    assert np.isnan(mean.item()) and not x.grad.numpy().any()


def test_all_rows_ignored_with_smoothing():
    x = mg.tensor([[NAN, 1.0], [2.0, INF]], requires_grad=True)
    mean = F.cross_entropy(x, mg.tensor([-100, -100]), label_smoothing=0.1)
    mean.backward()
    assert np.isnan(mean.item()) and not x.grad.numpy().any()


def test_real_rows_of_nan_are_not_hidden():
    x = mg.tensor([[NAN, 1.0], [0.0, 0.0]])
    assert np.isnan(F.cross_entropy(x, mg.tensor([0, -100])).item())


# --------------------------------------------------------------------------------------------------------------- masks


def test_sequence_mask():
    assert nn.sequence_mask(mg.tensor([1, 3])).tolist() == [[True, False, False], [True, True, True]]
    assert nn.sequence_mask([2, 5], max_len=3).tolist() == [[True, True, False], [True, True, True]]
    assert nn.sequence_mask(np.array([[1], [0]], dtype=np.int32), 1).tolist() == [[[True]], [[False]]]
    assert nn.sequence_mask([1], 2, dtype=mg.int64).tolist() == [[1, 0]]
    assert nn.sequence_mask([1]).dtype is mg.bool
    assert nn.sequence_mask([]).shape == (0, 0) and nn.sequence_mask([0, 0]).shape == (2, 0) and nn.sequence_mask([2], 0).shape == (1, 0)
    assert nn.sequence_mask(mg.tensor(2), 3).tolist() == [True, True, False]
    with pytest.raises(RuntimeError, match="integers"):
        nn.sequence_mask([1.0])
    with pytest.raises(RuntimeError, match="negative"):
        nn.sequence_mask([1], -1)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("trailing", [(), (2,), (2, 3)])
def test_sequence_mask_in_place(batch_first, trailing):
    lengths = [3, 0, 1]
    x = np.random.default_rng(1).standard_normal((3, 4, *trailing) if batch_first else (4, 3, *trailing))
    expected = x.copy()
    for row, length in enumerate(lengths):
        expected[(row, slice(length, None)) if batch_first else (slice(length, None), row)] = -7
    given = mg.tensor(x)
    assert nn.sequence_mask_(given, lengths, -7, batch_first) is given
    assert np.array_equal(given.numpy(), expected)


def test_sequence_mask_in_place_has_a_gradient_of_zero_in_the_padding():
    leaf = mg.tensor([[1.0, NAN], [2.0, NAN]], requires_grad=True)
    x = leaf * 2
    (nn.sequence_mask_(x, [2, 0]) ** 2).sum().backward()
    assert leaf.grad.tolist() == [[8, 0], [16, 0]]
    with pytest.raises(RuntimeError, match="in place"):
        nn.sequence_mask_(leaf, [2, 0])
    for lengths in ([2], [2, 3], [-1, 2], [[1, 2]]):
        with pytest.raises(RuntimeError, match="lengths"):
            nn.sequence_mask_(x, lengths)
    with pytest.raises(RuntimeError, match="two axes"):
        nn.sequence_mask_(mg.zeros(3), [2])


@pytest.mark.parametrize("dim", [None, 0, 1, (0, 1), -1])
def test_masked_mean(dim):
    rng = np.random.default_rng(2)
    x, mask = rng.standard_normal((3, 4, 2)), rng.random((3, 4)) < 0.6
    mask[0, 0], mask[1] = True, False
    dirty = np.where(mask[..., None], x, NAN)
    given = mg.tensor(dirty, requires_grad=True)
    result = nn.masked_mean(given, mg.tensor(mask), dim)
    full = np.broadcast_to(mask[..., None], x.shape)
    count = full.sum(axis=dim)
    expected = np.where(count == 0, NAN, np.where(full, x, 0).sum(axis=dim) / np.maximum(count, 1))
    assert np.allclose(result.detach().numpy(), expected, equal_nan=True)
    result.sum().backward()
    assert not given.grad.numpy()[~mask].any()
    if dim is None:
        assert np.allclose(given.grad.numpy()[mask], 1 / count)


def test_masked_mean_of_nothing_and_of_what_does_not_fit():
    x = mg.tensor([1.0, NAN], requires_grad=True)
    nothing = nn.masked_mean(x, mg.tensor([False, False]))
    nothing.backward()
    assert np.isnan(nothing.item()) and x.grad.tolist() == [0, 0]
    with pytest.raises(RuntimeError, match="bools"):
        nn.masked_mean(x, mg.tensor([1, 0]))
    with pytest.raises(RuntimeError, match="first axes"):
        nn.masked_mean(x, mg.tensor([True]))
    with pytest.raises(RuntimeError, match="floating point"):
        nn.masked_mean(mg.tensor([1, 2]), mg.tensor([True, False]))


# ------------------------------------------------------------------------------------------------ masked cross-entropy


def batches(count, seed=5):
    """Random padded batches of logits, targets and lengths, clean and with padding of NaN and of classes there are not."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        steps, batch, classes = (int(each) for each in rng.integers(1, 6, 3))
        lengths = rng.integers(0, steps + 1, batch)
        lengths[rng.integers(batch)] = steps
        x, target = rng.standard_normal((steps, batch, classes)), rng.integers(0, classes, (steps, batch))
        real = np.arange(steps)[:, None] < lengths
        yield x, target, lengths, real, np.where(real[..., None], x, NAN), np.where(real, target, rng.choice([-1, 99, -100]))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "sequence_mean"])
def test_masked_cross_entropy_is_that_of_the_real_tokens(reduction, batch_first):
    for x, target, lengths, real, dirty, dirty_target in batches(40):
        turned = (lambda array: array.swapaxes(0, 1)) if batch_first else (lambda array: array)
        given = mg.tensor(turned(dirty), requires_grad=True)
        options = {"lengths": lengths.tolist()} if lengths[0] % 2 else {"mask": mg.tensor(turned(real))}
        loss = nn.masked_cross_entropy(given, mg.tensor(turned(dirty_target)), **options, batch_first=batch_first, reduction=reduction)
        clean = mg.tensor(x, requires_grad=True)
        expected = reference(clean, target, lengths, real, reduction)
        values = turned(loss.detach().numpy()) if reduction == "none" else loss.item()
        assert np.allclose(values, expected.detach().numpy(), rtol=1e-12)
        (loss**2).sum().backward()
        (expected**2).sum().backward()
        dx = turned(given.grad.numpy())
        assert np.allclose(dx, clean.grad.numpy(), rtol=1e-10, atol=1e-14) and not dx[~real].any()


def reference(x, target, lengths, real, reduction):
    """The loss of every sequence cut to its length, one after the other."""
    parts = [x[:length, row] for row, length in enumerate(lengths)]
    ids = [mg.tensor(target[:length, row]) for row, length in enumerate(lengths)]
    each = [F.cross_entropy(part, wanted, reduction="none") for part, wanted in zip(parts, ids, strict=True)]
    if reduction == "none":
        return mg.stack([mg.cat([loss, mg.zeros(len(real) - len(loss), dtype=mg.float64)]) for loss in each], dim=1)
    if reduction == "sequence_mean":
        means = [loss.mean() for loss in each if len(loss)]
        return mg.stack(means).mean()
    total = mg.cat(each).sum()
    return total if reduction == "sum" else total / int(real.sum())


@pytest.mark.parametrize("options", [{"weight": [1.0, 2.0, 0.25, 3.0]}, {"label_smoothing": 0.1}, {"ignore_index": 2}])
def test_masked_cross_entropy_takes_cross_entropys_options(options):
    rng = np.random.default_rng(8)
    x, target, lengths = rng.standard_normal((5, 3, 4)), rng.integers(0, 4, (5, 3)), [5, 2, 3]
    target[0] = [0, 1, 3]
    options = {name: mg.tensor(value, dtype=mg.float64) if name == "weight" else value for name, value in options.items()}
    alone = []
    for row, length in enumerate(lengths):
        alone.append(F.cross_entropy(mg.tensor(x[:length, row]), mg.tensor(target[:length, row]), **options).item())
    joined = [np.concatenate([array[:length, row] for row, length in enumerate(lengths)]) for array in (x, target)]
    together = F.cross_entropy(*map(mg.tensor, joined), **options).item()
    given = mg.tensor(x), mg.tensor(target), lengths
    assert np.isclose(nn.masked_cross_entropy(*given, **options).item(), together)
    assert np.isclose(nn.masked_cross_entropy(*given, **options, reduction="sequence_mean").item(), np.mean(alone))


def test_a_batch_of_padding_alone():
    x = mg.zeros(2, 2, 3, requires_grad=True)
    for reduction in ("mean", "sequence_mean"):
        loss = nn.masked_cross_entropy(x, mg.zeros(2, 2).long(), [0, 0], reduction=reduction)
        loss.backward()
        assert np.isnan(loss.item()) and not x.grad.numpy().any()


@pytest.mark.parametrize("shape", [(0, 2, 4), (3, 0, 4), (1, 1, 1)])
def test_masked_cross_entropy_of_small_sizes(shape):
    x, target = mg.zeros(*shape, requires_grad=True), mg.zeros(*shape[:2]).to(mg.uint8)
    losses = nn.masked_cross_entropy(x, target, [shape[0]] * shape[1], reduction="none")
    losses.sum().backward()
    assert losses.shape == shape[:2] and x.grad.shape == shape and not losses.detach().numpy().any()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"lengths": None}, ValueError, "neither"), ({"mask": mg.ones(3, 2).bool()}, ValueError, "both"),
        ({"reduction": "average"}, ValueError, "average"), ({"lengths": [4, 1]}, RuntimeError, "0 to 3"),
        ({"lengths": [1]}, RuntimeError, "2 lengths"), ({"target": mg.zeros(2, 3).long()}, RuntimeError, "(T, B, V)"),
        ({"input": mg.zeros(3, 2)}, RuntimeError, "(3, 2)"), ({"lengths": None, "mask": mg.ones(3, 2)}, RuntimeError, "bools"),
        ({"target": mg.zeros(3, 2)}, RuntimeError, "integers"),
        ({"lengths": None, "mask": mg.ones(2, 3).bool()}, RuntimeError, "(2, 3)"), ({"target": mg.full((3, 2), 4)}, IndexError, "target 4"),
    ],
)  # fmt: skip
def test_masked_cross_entropy_refuses_what_does_not_fit(change, error, words):
    given = {"input": mg.zeros(3, 2, 4), "target": mg.zeros(3, 2).long(), "lengths": [3, 1]} | change
    with pytest.raises(error) as raised:
        nn.masked_cross_entropy(**given)
    assert words in str(raised.value)
