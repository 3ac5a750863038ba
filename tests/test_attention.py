"""Attention: against plain loops and PyTorch, gradients numerically, and padding that must change nothing."""

import itertools
import math

import numpy as np
import pytest
from compare import host

import minigrad as mg
import minigrad_nn as nn
import minigrad_nn.functional as F
from minigrad_nn.attention import Attention, additive_scores, dot_product_weights

NAN, INF = float("nan"), float("inf")
rng = np.random.default_rng(0)


def double(array, wanted=False):
    return mg.tensor(array, dtype=mg.float64, requires_grad=wanted)


def looped_softmax(x, there):
    """Row by row, one number after the other."""
    y = np.zeros_like(x)
    for place in np.ndindex(x.shape[:-1]):
        ids = [s for s in range(x.shape[-1]) if there[place][s]]
        total = sum(math.exp(x[place][s]) for s in ids)
        for s in ids:
            y[place][s] = math.exp(x[place][s]) / total
    return y


# ------------------------------------------------------------------------------------------------------- masked softmax


@pytest.mark.parametrize(("shape", "lengths"), [
    ((3, 4), [4, 0, 2]), ((2, 3, 4), [1, 3]), ((2, 3, 4), [[1, 2, 3], [4, 0, 1]]), ((2, 1, 1), [1, 0]), ((2, 3, 0), [0, 0]), ((0, 3), []),
    ((2, 2, 3, 4), [4, 2]),
])  # fmt: skip
def test_masked_softmax_by_lengths(shape, lengths):
    x, counts = rng.standard_normal(shape), np.asarray(lengths, int)
    there = np.broadcast_to(np.arange(shape[-1]) < counts.reshape(*counts.shape, *[1] * (len(shape) - counts.ndim)), shape)
    x[~there] = NAN
    expected = looped_softmax(x, there)
    for given in (lengths, mg.tensor(counts)):
        assert np.allclose(host(nn.masked_softmax(double(x), given)), expected, atol=1e-15)
    assert np.allclose(host(nn.masked_softmax(double(x), mask=mg.tensor(there.copy()))), expected, atol=1e-15)


def test_masked_softmax_gradients():
    there = rng.random((3, 2, 5)) < 0.6
    there[0, 0] = False
    x = double(rng.standard_normal(there.shape), True)
    f = lambda x: nn.masked_softmax(x, mask=mg.tensor(there))
    assert mg.autograd.gradcheck(f, (x,)) and mg.autograd.gradgradcheck(f, (x,))
    first = lambda x: nn.masked_softmax(x, mask=mg.tensor(there), dim=0)
    assert mg.autograd.gradcheck(first, (x,))


@pytest.mark.parametrize("padding", [NAN, INF, -INF])
def test_what_stands_in_the_padding_changes_nothing(padding):
    x = rng.standard_normal((2, 3))
    x[0, 2] = x[1] = padding
    found = double(x, True)
    with mg.autograd.detect_anomaly():
        (nn.masked_softmax(found, [2, 0]) ** 2).sum().backward()
    gradient = host(found.grad)
    assert np.isfinite(gradient).all() and not gradient[1].any() and gradient[0, :2].any()


def test_masked_softmax_is_softmax_where_everything_is_there():
    x = mg.tensor(rng.standard_normal((2, 3)), dtype=mg.float32)
    assert mg.equal(nn.masked_softmax(x), x.softmax(-1)) and mg.equal(nn.masked_softmax(x, [3, 3]), x.softmax(-1))
    assert nn.masked_softmax(x.half(), [1, 3]).dtype is mg.float16
    assert np.isnan(host(nn.masked_softmax(mg.tensor([[NAN, 1.0]]), [2]))).all(), "NaN that is there is not hidden"


@pytest.mark.parametrize(("change", "error", "words"), [
    (dict(lengths=[1, 2], mask=mg.ones(2, 3, dtype=mg.bool)), ValueError, "not both"), (dict(lengths=[1]), RuntimeError, "lengths"),
    (dict(lengths=[1, 4]), RuntimeError, r"\[0, 3\]"), (dict(lengths=[1, -1]), RuntimeError, r"\[0, 3\]"),
    (dict(lengths=[1.0, 2.0]), RuntimeError, "integers"), (dict(mask=mg.ones(2, 3)), RuntimeError, "bools"),
    (dict(mask=mg.ones(3, 2, dtype=mg.bool)), RuntimeError, "broadcast"),
    (dict(mask=mg.ones(1, 2, 3, dtype=mg.bool)), RuntimeError, "broadcast"),
    (dict(lengths=[1, 2], dim=0), ValueError, "last axis"), (dict(lengths=2), RuntimeError, "lengths"),
])  # fmt: skip
def test_masks_that_do_not_fit(change, error, words):
    change = {name: each.to(mg.get_default_device()) if isinstance(each, mg.Tensor) else each for name, each in change.items()}
    with pytest.raises(error, match=words):
        nn.masked_softmax(mg.zeros(2, 3), **change)


# ------------------------------------------------------------------------------------------ scaled dot-product attention


def looped_attention(q, k, v, added, scale):
    """y[l] = Σ_s softmax_s(q[l] · k[s] * scale + added[l, s]) v[s] for one (L, E), (S, E), (S, D)."""
    y = np.zeros((len(q), v.shape[1]))
    for position, query in enumerate(q):
        scores = [float(sum(query * key)) * scale + added[position][s] for s, key in enumerate(k)]
        e = [math.exp(score) for score in scores]
        y[position] = sum((e[s] / sum(e) * v[s] for s in range(len(k)) if e[s]), np.zeros(v.shape[1]))
    return y


@pytest.mark.parametrize(("L", "S"), [(1, 1), (3, 5), (5, 3), (1, 4), (4, 1)])
@pytest.mark.parametrize("mask", ["none", "bools", "numbers", "causal"])
def test_attention_against_a_loop(L, S, mask):
    q, k, v = rng.standard_normal((L, 4)), rng.standard_normal((S, 4)), rng.standard_normal((S, 2))
    there = rng.random((L, S)) < 0.6 if mask == "bools" else np.tril(np.ones((L, S), bool)) if mask == "causal" else np.ones((L, S), bool)
    added = np.where(there, rng.standard_normal((L, S)) if mask == "numbers" else 0.0, -INF)
    given = {"bools": mg.tensor(there), "numbers": double(added)}.get(mask)
    y = F.scaled_dot_product_attention(double(q), double(k), double(v), given, is_causal=mask == "causal")
    assert np.allclose(host(y), looped_attention(q, k, v, added, 0.5), atol=1e-12)
    weights = dot_product_weights(double(q), double(k), given, is_causal=mask == "causal")
    assert np.allclose(host(weights) @ v, host(y), atol=1e-12) and not host(weights)[~there].any()


SHAPES = {
    "plain": ((3, 4), (5, 4), (5, 2)),
    "heads": ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 7)),
    "shared": ((2, 3, 4, 6), (1, 3, 5, 6), (5, 2)),
}
MASKS = {
    "none": None, "rows": lambda L, S: rng.random((L, S)) < 0.5, "keys": lambda L, S: np.arange(S)[None] < S - 1,
    "per sequence": lambda L, S: rng.random((2, 1, 1, S)) < 0.6, "numbers": lambda L, S: rng.standard_normal((L, S)),
    "numbers, some -inf": lambda L, S: np.where(rng.random((L, S)) < 0.5, -INF, 0.5),
}  # fmt: skip


@pytest.mark.parametrize(("shapes", "mask", "scale"), list(itertools.product(SHAPES, MASKS, (None, 0.3))))
def test_attention_agrees_with_pytorch(shapes, mask, scale):
    torch = pytest.importorskip("torch")
    if mask == "per sequence" and shapes == "plain":
        return
    arrays = [rng.standard_normal(shape) for shape in SHAPES[shapes]]
    made = None if MASKS[mask] is None else MASKS[mask](arrays[0].shape[-2], arrays[1].shape[-2])
    batch = np.broadcast_shapes(*[each.shape[:-2] for each in arrays])
    target = rng.standard_normal((*batch, arrays[0].shape[-2], arrays[2].shape[-1]))

    def run(library, function, tensor):
        inputs = [tensor(each, True) for each in arrays]
        added = None if made is None else library.tensor(made) if made.dtype == bool else tensor(made, False)
        y = function(*inputs, attn_mask=added, scale=scale)
        (y * tensor(target, False)).sum().backward()
        found = [y.detach(), *[each.grad for each in inputs]]
        return host(found) if library is mg else [each.numpy() for each in found]

    ours = run(mg, F.scaled_dot_product_attention, double)
    twin = lambda x, wanted: torch.tensor(x, dtype=torch.float64, requires_grad=wanted)
    theirs = run(torch, torch.nn.functional.scaled_dot_product_attention, twin)
    for one, other in zip(ours, theirs, strict=True):
        assert np.allclose(one, other, rtol=1e-10, atol=1e-12)


def test_shared_heads_agree_with_pytorch():
    torch = pytest.importorskip("torch")
    arrays = [rng.standard_normal(shape) for shape in ((2, 6, 3, 4), (2, 2, 5, 4), (2, 2, 5, 3))]
    y = F.scaled_dot_product_attention(*map(double, arrays), enable_gqa=True, is_causal=True)
    expected = torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, arrays), enable_gqa=True, is_causal=True)
    assert np.allclose(host(y), expected.numpy(), atol=1e-12)
    with pytest.raises(RuntimeError, match="heads"):
        F.scaled_dot_product_attention(double(arrays[0][:, :5]), *map(double, arrays[1:]), enable_gqa=True)


def test_attention_gradients():
    q, k, v = (double(rng.standard_normal(shape), True) for shape in ((2, 2, 3), (2, 4, 3), (2, 4, 2)))
    there = rng.random((2, 2, 4)) < 0.6
    there[1, 0] = there[:, :, 3] = False
    f = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mg.tensor(there))
    assert mg.autograd.gradcheck(f, (q, k, v)) and mg.autograd.gradgradcheck(f, (q, k, v))
    bias = double(rng.standard_normal((2, 4)), True)
    assert mg.autograd.gradcheck(lambda bias: F.scaled_dot_product_attention(q, k, v, bias), (bias,))


@pytest.mark.parametrize("padding", [NAN, INF])
@pytest.mark.parametrize("numbers", [False, True])
def test_nan_where_nobody_may_look_changes_nothing(padding, numbers):
    there = np.ones((2, 1, 3, 4), bool)
    there[0, ..., 2:] = there[1, :, 1] = False
    arrays = [rng.standard_normal(shape) for shape in ((2, 2, 3, 5), (2, 2, 4, 5), (2, 2, 4, 5))]
    results = []
    for filling in (0.0, padding):
        arrays[0][1, :, 1] = arrays[1][0, :, 2:] = arrays[2][0, :, 2:] = filling
        inputs = [double(each, True) for each in arrays]
        mask = double(np.where(there, 0.0, -INF)) if numbers else mg.tensor(there)
        y = F.scaled_dot_product_attention(*inputs, mask)
        (y**2).sum().backward()
        results.append([host(y.detach()), *[host(each.grad) for each in inputs]])
    assert all(np.array_equal(*pair) for pair in zip(*results, strict=True)) and not results[0][0][1, :, 1].any()


def test_dropout_of_weights():
    mg.manual_seed(0)
    q, v = mg.zeros(1, 4), mg.ones(1000, 1)
    y = F.scaled_dot_product_attention(q, mg.zeros(1000, 4), v, dropout_p=0.5)
    assert abs(y.item() - 1) < 0.2 and y.item() != 1
    assert F.scaled_dot_product_attention(q, mg.zeros(1000, 4), v, dropout_p=1.0).item() == 0


def test_attention_to_nothing_is_zero():
    assert F.scaled_dot_product_attention(mg.ones(2, 3), mg.ones(0, 3), mg.ones(0, 4)).tolist() == [[0.0] * 4] * 2
    assert F.scaled_dot_product_attention(mg.ones(0, 3), mg.ones(2, 3), mg.ones(2, 4)).shape == (0, 4)
    assert F.scaled_dot_product_attention(mg.ones(0, 2, 3), mg.ones(0, 2, 3), mg.ones(0, 2, 3)).shape == (0, 2, 3)


def test_attention_refuses_what_does_not_fit():
    q, k = mg.zeros(2, 3, 4), mg.zeros(2, 5, 4)
    attend = F.scaled_dot_product_attention
    attend(q, k, k)
    for bad, words in (
        (lambda: attend(q, k[..., :3], k), "queries"), (lambda: attend(q, k, k[:, :4]), "value"),
        (lambda: attend(mg.zeros(4), k, k), "queries"), (lambda: attend(q, k, mg.zeros(5)), "value"),
        (lambda: attend(q, k, k, mg.ones(3, 5, dtype=mg.bool), is_causal=True), "not both"),
        (lambda: attend(q, k, k, mg.ones(5, 3, dtype=mg.bool)), "broadcast"),
        (lambda: attend(q, k, k, mg.ones(3, 5, dtype=mg.int64)), "bools"),
        (lambda: attend(q, mg.zeros(3, 5, 4), mg.zeros(3, 5, 4)), "go together"),
        (lambda: attend(q, k.double(), k.double()), "dtype"), (lambda: attend(q, k, k, dropout_p=1.5), "dropout_p"),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=words):
            bad()


# ------------------------------------------------------------------------------------------------------------- modules


def attentions():
    mg.manual_seed(1)
    return [nn.AdditiveAttention(4, 6, 5), nn.DotProductAttention(4, 6), nn.DotProductAttention(6)]


@pytest.mark.parametrize("which", range(3))
def test_modules_against_a_loop(which):
    module = attentions()[which].double()
    q, k, v = rng.standard_normal((2, 3, module.query_size)), rng.standard_normal((2, 5, 6)), rng.standard_normal((2, 5, 2))
    lengths = [5, 2]
    context, weights = module(double(q), double(k), double(v), lengths)
    W = {name: host(each.detach()) for name, each in module.named_parameters()}
    for b, position in itertools.product(range(2), range(3)):
        scores = []
        for key in k[b, : lengths[b]]:
            if which == 0:
                scores.append(W["v"] @ np.tanh(W["query.weight"] @ q[b, position] + W["key.weight"] @ key))
            else:
                scores.append(q[b, position] @ (W["key.weight"] @ key if which == 1 else key) / math.sqrt(module.query_size))
        e = np.exp(np.array(scores))
        assert np.allclose(host(weights.detach())[b, position], np.append(e / e.sum(), np.zeros(5 - lengths[b])))
        assert np.allclose(host(context.detach())[b, position], e / e.sum() @ v[b, : lengths[b]])


@pytest.mark.parametrize("which", range(3))
def test_modules_gradients_and_padding(which):
    module = attentions()[which].double()
    q, k = rng.standard_normal((2, 1, module.query_size)), rng.standard_normal((2, 3, 6))
    f = lambda q, k: module(q, k, lengths=[2, 0])[0]
    assert mg.autograd.gradcheck(f, (double(q, True), double(k, True)))
    results = []
    for filling in (0.0, NAN):
        k[0, 2], k[1], q[1] = filling, filling, filling
        module.zero_grad()
        inputs = double(q, True), double(k, True)
        context, weights = module(*inputs, lengths=mg.tensor([2, 0]))
        (context**2).sum().backward()
        results.append([host(each) for each in (context.detach(), weights.detach(), *[x.grad for x in (*inputs, *module.parameters())])])
    assert all(np.array_equal(*pair) for pair in zip(*results, strict=True)) and not results[0][0][1].any()


def test_modules_return_weights_before_dropout_and_check_shapes():
    mg.manual_seed(0)
    module = nn.AdditiveAttention(4, 6, 5, dropout=0.9)
    q, k = mg.ones(2, 1, 4), mg.ones(2, 8, 6)
    assert np.allclose(host(module(q, k)[1].detach()), 1 / 8) and not mg.allclose(module(q, k)[0], module(q, k)[0])
    module.eval()
    assert mg.equal(module(q, k)[0], module(q, k)[0])
    for bad in ((q, k[:1]), (q, k[..., :5]), (q[0], k), (k, q), (q, k, mg.ones(2, 7, 6))):
        with pytest.raises(RuntimeError, match="takes a query"):
            module(*bad)
    with pytest.raises(ValueError, match="dropout"):
        nn.AdditiveAttention(4, 6, 5, dropout=2)
    with pytest.raises(ValueError, match="positive"):
        nn.DotProductAttention(0)
    with pytest.raises(NotImplementedError, match="AdditiveAttention"):
        Attention(2, 2)(mg.ones(1, 1, 2), mg.ones(1, 1, 2))
    assert repr(nn.DotProductAttention(3)) == "DotProductAttention(3, 3)"


def test_additive_scores_are_the_sum_written_out():
    q, k, v = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 5, 4)), rng.standard_normal(4)
    found = host(additive_scores(double(q), double(k), double(v)))
    for b, position, s in np.ndindex(found.shape):
        assert math.isclose(found[b, position, s], sum(v * np.tanh(q[b, position] + k[b, s])), abs_tol=1e-12)
