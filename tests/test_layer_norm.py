"""Layer normalization: values, first and second gradients against PyTorch and against plain NumPy."""

import numpy as np
import pytest
from compare import host

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn import functional as F

SHAPES = [
    ((2, 3), (3,)), ((3,), (3,)), ((4, 2, 3), (2, 3)), ((4, 2, 3), (3,)), ((0, 3), (3,)), ((2, 0), (0,)), ((5, 1), (1,)), ((2, 3), (2, 3)),
]  # fmt: skip


def layer_norm(x, n, weight, bias, eps):
    """Equation by equation, in the order of the paper."""
    axes = tuple(range(x.ndim - n, x.ndim))
    if not x.size:
        return x
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    y = (x - mean) / np.sqrt(var + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def draw(shape, sizes, affine, seed=0):
    rng = np.random.default_rng(seed)
    x, weight, bias = rng.standard_normal(shape), rng.standard_normal(sizes), rng.standard_normal(sizes)
    return x, weight if affine[0] else None, bias if affine[1] else None


def derivatives(lib, normalize, arrays, order):
    """The value, and gradients up to `order`, of a function with all mixed derivatives."""
    given = [None if each is None else lib.tensor(each, requires_grad=True) for each in arrays]
    leaves = [each for each in given if each is not None]
    y = normalize(*given)
    found, value = [y], (y**3 + y).sum()
    for _ in range(order):
        grads = lib.autograd.grad(value, leaves, create_graph=True, allow_unused=True, materialize_grads=True)
        found += grads
        value = sum([((k + 2) * each * each).sum() for k, each in enumerate(grads)])
    return [host(each) for each in found]


def composed(lib, n, eps):
    """The same out of operations that every library differentiates by itself."""

    def normalize(x, weight, bias):
        axes = tuple(range(x.ndim - n, x.ndim))
        away = x - x.mean(axes, keepdim=True)
        y = away / ((away * away).mean(axes, keepdim=True) + eps).sqrt()
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    return normalize


def agree(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert np.allclose(one, other, rtol=1e-8, atol=1e-9 * max(1, np.abs(other).max(initial=0)))


@pytest.mark.parametrize("affine", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize(("shape", "sizes"), SHAPES)
def test_agrees_with_pytorch_in_first_and_second_gradients(shape, sizes, affine):
    torch = pytest.importorskip("torch")
    # PyTorch's own second gradients fail for a bias without a weight, and for nothing at all.
    arrays, order = draw(shape, sizes, affine), 1 if 0 in shape or affine == (False, True) else 2
    theirs = derivatives(torch, lambda x, w, b: torch.nn.functional.layer_norm(x, sizes, w, b, eps=0.01), arrays, order)
    agree(derivatives(mg, lambda x, w, b: F.layer_norm(x, sizes, w, b, eps=0.01), arrays, order), theirs)


@pytest.mark.parametrize("affine", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize(("shape", "sizes"), [each for each in SHAPES if 0 not in each[0]])
def test_the_third_gradient_is_right_too(shape, sizes, affine):
    """PyTorch's own is not: the rule of its second gradient takes mean and deviation for constants."""
    arrays = draw(shape, sizes, affine)
    ours = derivatives(mg, lambda x, w, b: F.layer_norm(x, sizes, w, b, eps=0.5), arrays, 3)
    agree(ours, derivatives(mg, composed(mg, len(sizes), 0.5), arrays, 3))


@pytest.mark.parametrize("affine", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize(("shape", "sizes"), SHAPES)
def test_values_and_derivatives_along_a_random_direction(shape, sizes, affine):
    arrays, eps = draw(shape, sizes, affine), 0.1
    rng = np.random.default_rng(1)
    dy, far = rng.standard_normal(shape), 1e-6
    given = [None if each is None else mg.tensor(each, requires_grad=True) for each in arrays]
    y = F.layer_norm(given[0], sizes, *given[1:], eps)
    assert np.allclose(host(y), layer_norm(arrays[0], len(sizes), *arrays[1:], eps))
    y.backward(mg.tensor(dy))
    away = [None if each is None else rng.standard_normal(each.shape) for each in arrays]
    moved = [[None if each is None else each + sign * far * step for each, step in zip(arrays, away, strict=True)] for sign in (1, -1)]
    ahead, behind = ((layer_norm(x, len(sizes), w, b, eps) * dy).sum() for x, w, b in moved)
    expected = sum((host(each.grad) * step).sum() for each, step in zip(given, away, strict=True) if each is not None)
    assert np.isclose((ahead - behind) / (2 * far), expected, rtol=1e-6, atol=1e-7)


def test_is_one_node_that_keeps_two_arrays_and_not_its_input():
    x, weight = mg.randn(8, 5, requires_grad=True), mg.randn(5, requires_grad=True)
    with mg.trace() as seen:
        y = F.layer_norm(x, (5,), weight)
    assert seen.nodes == 1 and seen.held == (8 * 5 + 8 + 5) * 4
    assert y.grad_fn.name() == "LayerNormBackward0"
    x.data.zero_()
    y.sum().backward()  # the input may change: it is not needed


def test_changed_results_are_noticed_where_they_are_kept():
    x = mg.randn(2, 3, requires_grad=True)
    y = F.layer_norm(x, (3,))  # without weight and bias the result is what is kept
    y.mul_(2)
    with pytest.raises(RuntimeError, match="in place"):
        y.sum().backward()


def test_half_precision_does_not_overflow():
    x = mg.tensor([[1000.0, -3000.0, 2000.0]])
    ours = F.layer_norm(x.half(), (3,), mg.ones(3).half())
    assert ours.dtype == mg.float16
    assert mg.allclose(ours.float(), F.layer_norm(x, (3,)), atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (((2, 3), 3), TypeError, "tuple"), (((2, 3), ()), RuntimeError, "one axis"), (((2, 3), (2,)), RuntimeError, r"\(2, 3\)"),
        (((), ()), RuntimeError, "one axis"), (((3,), (1, 3)), RuntimeError, "last axes"),
        (((2, 3), (3,), mg.ones(2)), RuntimeError, "weight"), (((2, 3), (3,), None, mg.ones(2)), RuntimeError, "bias"),
        (((2, 3), (3,), mg.ones(3).double()), RuntimeError, "dtype"),
    ],
)  # fmt: skip
def test_refuses_what_does_not_fit(arguments, error, match):
    shape, *rest = arguments
    with pytest.raises(error, match=match):
        F.layer_norm(mg.ones(shape), *rest)
    with pytest.raises(RuntimeError, match="floating point"):
        F.layer_norm(mg.ones(2, 3).long(), (3,))


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"elementwise_affine": False}, {"eps": 0.5}])
@pytest.mark.parametrize("sizes", [3, (2, 3)])
def test_the_module_is_pytorchs(sizes, options):
    torch = pytest.importorskip("torch")
    theirs, ours = torch.nn.LayerNorm(sizes, **options).double(), nn.LayerNorm(sizes, **options).double()
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    assert all(np.array_equal(host(value), host(theirs.state_dict()[name])) for name, value in ours.state_dict().items())
    for each in theirs.parameters():
        torch.nn.init.normal_(each)
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(3).standard_normal((4, 2, 3))
    assert np.allclose(host(ours(mg.tensor(x))), host(theirs(torch.tensor(x))))
