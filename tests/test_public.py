"""How calls from outside are met: PyTorch's names of arguments, TypeErrors, constructors, shapes changed in place."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import minigrad
from minigrad import ones, tensor, zeros


@pytest.mark.parametrize("name", ["tanh", "exp", "sum", "relu", "abs", "reshape", "softmax", "argmax", "sort", "nonzero", "clone"])
@pytest.mark.parametrize("given", [5.0, [1.0, 2.0], None, "text"])
def test_what_is_no_tensor_is_a_type_error(name: str, given: object) -> None:
    with pytest.raises(TypeError, match=r"expected a tensor, got|needs the dim"):
        getattr(minigrad, name)(given)


def test_arguments_have_pytorchs_names() -> None:
    x, y = tensor([[1.0, 2.0]]), tensor([3.0, 4.0])
    assert minigrad.add(input=x, other=y, alpha=2).tolist() == [[7.0, 10.0]]
    assert minigrad.sum(input=x, dim=1).tolist() == minigrad.sum(x, axis=1).tolist() == [3.0]
    assert minigrad.where(condition=x > 1, input=x, other=y).tolist() == [[3.0, 2.0]]
    assert minigrad.reshape(input=x, shape=(2,)).tolist() == [1.0, 2.0]
    assert minigrad.permute(x, dims=(1, 0)).shape == (2, 1) and zeros(size=(2, 1)).shape == (2, 1)
    assert x.pow(exponent=2).tolist() == [[1.0, 4.0]] and x.argmax(axis=1).tolist() == [1]
    assert x.clone().mul_(other=2).tolist() == [[2.0, 4.0]]


def test_results_are_not_written_elsewhere() -> None:
    with pytest.raises(TypeError, match="copy_"):
        minigrad.sum(ones(2), out=ones(()))
    assert minigrad.sum(ones(2), out=None).item() == 2


def test_functions_can_be_pickled_and_know_their_names() -> None:
    assert pickle.loads(pickle.dumps(minigrad.tanh)) is minigrad.tanh
    assert minigrad.add.__name__ == "add" and "alpha" in minigrad.add.__doc__


def test_constructors_named_after_dtypes() -> None:
    assert minigrad.LongTensor([1, 2]).dtype is minigrad.int64 and minigrad.FloatTensor(2, 3).shape == (2, 3)
    one = ones(2, device="cpu")  # PyTorch's constructors of these names are the CPU's
    assert isinstance(one, minigrad.FloatTensor) and not isinstance(one, minigrad.LongTensor)
    assert ones(2).type("torch.DoubleTensor").dtype is minigrad.float64 and ones(2).type() == "minigrad.FloatTensor"
    for wrong in (5.0, None, True):
        if wrong is not True:
            with pytest.raises(TypeError, match="sequence"):
                minigrad.Tensor(wrong)


def test_views_are_refused_where_elements_do_not_lie_so() -> None:
    x = minigrad.arange(6.0).reshape(2, 3)
    with pytest.raises(RuntimeError, match="use reshape"):
        x.t().view(-1)
    assert x.t().reshape(-1).tolist() == [0, 3, 1, 4, 2, 5] and x.t().view(3, 2, 1).shape == (3, 2, 1)
    rows = minigrad.ops.linear(x, x, batch_last=True)  # lies transposed here, and not in PyTorch
    assert rows.view(-1).tolist() == rows.reshape(-1).tolist()


def test_shapes_changed_in_place_keep_gradients_right() -> None:
    x = tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    y = x * 2
    y.t_().mul_(tensor([[1.0, 10.0]])).unsqueeze_(0)
    y[0, :, 1].sum().backward()
    assert y.shape == (1, 3, 2) and x.grad.tolist() == [[0.0] * 3, [20.0] * 3]


def test_shapes_of_memory_that_others_show_are_not_changed_in_place() -> None:
    y = ones(2, 2, requires_grad=True) * 2
    row = y[0]
    for each in (y, row, y.detach()):
        with pytest.raises(RuntimeError, match="other tensors show its memory"):
            each.unsqueeze_(0)
    del row, each
    assert y.unsqueeze_(0).shape == (1, 2, 2)


def test_what_kept_the_old_shape_is_refused() -> None:
    x = tensor(np.arange(4.0).reshape(2, 2), requires_grad=True)
    y = x * 1
    z = y * y
    y.t_()
    with pytest.raises(RuntimeError, match="changed in place"):
        z.sum().backward()


def test_shapes_of_leaves_change_only_while_nothing_is_recorded() -> None:
    x = ones(2, 1, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        x.squeeze_()
    with minigrad.no_grad():
        x.squeeze_()
    (x * 3).sum().backward()
    assert x.shape == (2,) and x.grad.tolist() == [3.0, 3.0]


def test_half_precision_adds_up_in_single() -> None:
    many = minigrad.full((5000, 2), 1.0, dtype=minigrad.float16)
    assert many.sum(0).tolist() == [5000.0] * 2 and many.cumsum(0)[-1].tolist() == [5000.0] * 2
    assert (many * 100).mean().item() == 100 and (many * 30).norm().item() == 3000 and many.softmax(0)[0, 0].item() > 0


def test_random_numbers_in_place() -> None:
    minigrad.manual_seed(0)
    drawn = zeros(1000, dtype=minigrad.int64).random_(3, 6)
    assert set(drawn.tolist()) == {3, 4, 5}
    assert zeros(100, dtype=minigrad.uint8).random_().max() > 200 and set(zeros(50).bool().random_().tolist()) == {True, False}
    assert 400 < zeros(1000).bernoulli_(0.5).sum() < 600 and zeros(1000).exponential_(2.0).mean().item() == pytest.approx(0.5, abs=0.1)
    assert (zeros(1000).log_normal_().log().mean() - 1).abs() < 0.3
    with pytest.raises(RuntimeError, match="empty"):
        zeros(2).random_(3, 3)


def test_linear_algebra_solves_and_differentiates() -> None:
    numbers = np.random.default_rng(0)
    A, B = (tensor(numbers.standard_normal(shape) + 3 * np.eye(3, shape[1]), requires_grad=True) for shape in ((3, 3), (3, 2)))
    np.testing.assert_allclose((A @ minigrad.linalg.solve(A, B)).tolist(), B.tolist())
    np.testing.assert_allclose((minigrad.linalg.inv(A) @ A).tolist(), np.eye(3), atol=1e-12)
    assert minigrad.autograd.gradcheck(minigrad.linalg.solve, (A, B)) and minigrad.autograd.gradcheck(minigrad.linalg.inv, (A,))
    assert minigrad.autograd.gradgradcheck(minigrad.linalg.solve, (A, B)) and minigrad.autograd.gradgradcheck(minigrad.linalg.inv, (A,))
    inv, solve = minigrad.linalg.inv, minigrad.linalg.solve
    for wrong in (lambda: inv(zeros(2, 2)), lambda: solve(ones(2, 2), ones(3)), lambda: inv(A[0])):
        with pytest.raises(RuntimeError, match=r"Singular|sizes|square"):
            wrong()


def test_nothing_to_rank_is_an_error() -> None:
    for call in (lambda: minigrad.quantile(ones(0), 0.5), lambda: zeros(0, dtype=minigrad.int64).median()):
        with pytest.raises(RuntimeError, match="not defined"):
            call()
    assert ones(0).median().isnan()
