"""Norms, and inner, against PyTorch's: every order along every dim, of empty and axis-less tensors too, values, gradients and errors."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from compare import host  # noqa: E402

import minigrad  # noqa: E402

SHAPES = [(), (3,), (0,), (2, 3), (1, 1), (3, 0), (0, 2), (2, 3, 2)]
ORDERS = [None, "fro", 2, 1, 0, 3, 0.5, -1, -2, math.inf, -math.inf, "nuc", "else"]
DIMS = [None, 0, -1, 1, (0, 1), (1, 0), [-1], (), (0, 1, 2), 5]
NORMS = {
    "norm": lambda library, x, order, dim, keepdim: x.norm(order, dim, keepdim),
    "torch.norm": lambda library, x, order, dim, keepdim: library.norm(x, p=order, dim=dim, keepdim=keepdim),
    "vector_norm": lambda library, x, order, dim, keepdim: library.linalg.vector_norm(x, ord=order, dim=dim, keepdim=keepdim),
    "linalg.norm": lambda library, x, order, dim, keepdim: library.linalg.norm(x, ord=order, dim=dim, keepdim=keepdim),
    "matrix_norm": lambda library, x, order, dim, keepdim: library.linalg.matrix_norm(x, ord=order, dim=dim, keepdim=keepdim),
    "normalize": lambda library, x, order, dim, keepdim: library.nn.functional.normalize(x, order, dim),
    "dist": lambda library, x, order, dim, keepdim: library.dist(x, x.detach() * 0.5 - 1, order),
}
TWO = (None, "fro")  # stand for 2 in every norm here; in PyTorch not in all
NOT_HERE = ("nuc", "else")  # singular values: refused, where PyTorch has some of them


def numbers(shape):
    """Ones, zeros, equal and opposite numbers: where norms have corners."""
    return np.random.default_rng(sum(shape)).choice([0.0, 1.0, -1.0, 2.0, -2.0, 0.5], shape)


def computed(library, compute, shape):
    """(value, gradient) of a norm, or the error it raised."""
    x = library.tensor(numbers(shape).tolist(), dtype=library.float64).reshape(shape).requires_grad_()
    try:
        y = compute(library, x)
        weights = library.tensor(np.linspace(-1.0, 2.0, y.numel()).tolist(), dtype=y.dtype).reshape(y.shape)
        (y * weights).sum().backward()
    except Exception as error:
        return error
    return tuple(y.shape), np.array(y.detach().tolist(), float), None if x.grad is None else np.array(x.grad.tolist(), float)


def assert_alike(ours, theirs, what):
    if isinstance(theirs, Exception):
        assert isinstance(ours, (RuntimeError, IndexError, ValueError, TypeError)) or what[2] in TWO, (what, ours, theirs)
        return
    assert not isinstance(ours, Exception), (what, ours, theirs)
    assert ours[0] == theirs[0] and np.allclose(ours[1], theirs[1], equal_nan=True), (what, ours, theirs)
    assert (ours[2] is None) == (theirs[2] is None), (what, ours, theirs)
    assert ours[2] is None or np.allclose(ours[2], theirs[2], equal_nan=True), (what, ours, theirs)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_a_norm_is_pytorchs(name, order):
    for shape, dim, keepdim in itertools.product(SHAPES, DIMS, (False, True)):
        compute = lambda library, x, dim=dim, keepdim=keepdim: NORMS[name](library, x, order, dim, keepdim)
        ours, theirs = computed(minigrad, compute, shape), computed(torch, compute, shape)
        if isinstance(ours, NotImplementedError):
            assert order in NOT_HERE or name in ("linalg.norm", "matrix_norm"), (shape, dim, ours)
        else:
            assert_alike(ours, theirs, (name, shape, order, dim, keepdim))


@pytest.mark.parametrize(
    "shapes", [((3,), (3,)), ((2, 3), (3,)), ((2, 1, 3), (4, 3)), ((), (3,)), ((2, 0), (3, 0)), ((0, 3), (2, 3)), ((2, 3), (2, 4))], ids=str
)
def test_inner_is_pytorchs(shapes):
    a, b = (numbers(shape) for shape in shapes)
    results = []
    for library in (minigrad, torch):
        left, right = (library.tensor(each.tolist(), dtype=library.float64).reshape(each.shape).requires_grad_() for each in (a, b))
        try:
            y = left.inner(right)
            (y * y).sum().backward()
            results.append([y.detach(), left.grad, right.grad])
        except RuntimeError:
            results.append([])
    assert len(results[0]) == len(results[1])
    for ours, theirs in zip(*results, strict=True):
        assert tuple(ours.shape) == tuple(theirs.shape) and np.allclose(host(ours), theirs.numpy())
