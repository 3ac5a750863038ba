"""What fuzzing against PyTorch once found different, one line each: it stays right where PyTorch is not installed."""

from __future__ import annotations

import numpy as np
import pytest
from compare import host, settle

import minigrad as T


def tensor(values, dtype="float32"):
    return T.tensor(np.array(values, dtype))


BYTES, HALVES, BOOLS = tensor([255, 3], "uint8"), tensor([1, 2], "float32"), tensor([True, False], "bool")

EQUAL = [  # what is computed, its dtype, its elements
    (lambda: HALVES * np.float64(2), "float32", [2, 4]),
    (lambda: tensor([1, 2], "int32") + np.int64(2), "int32", [3, 4]),
    (lambda: BYTES / -1, "float32", [-255, -3]),
    (lambda: T.add(BOOLS, BOOLS, alpha=2), "bool", [True, False]),
    (lambda: T.add(2, HALVES, alpha=2.5), "float32", [4.5, 7]),
    (lambda: BYTES.masked_fill(BYTES > 4, -1), "uint8", [255, 3]),
    (lambda: BOOLS.clone().fill_(2.5), "bool", [True, True]),
    (lambda: HALVES.clone().copy_(3), "float32", [3, 3]),
    (lambda: BYTES.all(), "uint8", 1),
    (lambda: BOOLS.any(dim=()), "bool", [True, False]),
    (lambda: HALVES.clamp(T.tensor(float("nan"))), "float32", [np.nan, np.nan]),
    (lambda: HALVES.clamp(3, 1), "float32", [1, 1]),
    (lambda: T.tensor([T.tensor(1), T.tensor(2.5)]), "float32", [1, 2.5]),
    (lambda: T.tensor([-1], dtype=T.uint8), "uint8", [255]),
    (lambda: HALVES[tensor([1, 0], "uint8")], "float32", [1]),
    (lambda: HALVES[[T.tensor(1)]], "float32", 2),
    (lambda: T.tensor(3.0).gather(0, T.tensor([0, 0])), "float32", [3, 3]),
    (lambda: T.tensor(3.0).scatter(0, T.tensor([0]), 5), "float32", 5),
    (lambda: HALVES.take_along_dim(T.tensor([-1]), 0), "float32", [2]),
    (lambda: T.zeros(0, 1)[:, T.tensor([5])], "float32", []),
    (lambda: T.nn.functional.linear(HALVES, HALVES), "float32", 5),
    (lambda: tensor([1e300], "float64").float(), "float32", [np.inf]),
    (lambda: T.nn.functional.softplus(tensor([15, -20], "float16")), "float16", [15, 0]),
    (lambda: T.lerp(tensor([1]), tensor([np.inf]), 0.25), "float32", [np.inf]),
]


@pytest.mark.parametrize("case", range(len(EQUAL)))
def test_gives(case):
    compute, dtype, elements = EQUAL[case]
    found = host(compute())
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.ravel(), np.ravel(elements))


REFUSED = [
    (lambda: BYTES**-1, RuntimeError),
    (lambda: T.lerp(HALVES, 2, 0.5), TypeError),
    (lambda: T.add(HALVES, HALVES, alpha=True), RuntimeError),
    (lambda: 2 @ HALVES, TypeError),
    (lambda: T.addmm(HALVES, T.ones(1, 1), T.ones(1, 1)), RuntimeError),
    (lambda: BYTES.clone().fill_(300), RuntimeError),
    (lambda: BYTES.clone().__setitem__(0, 300), RuntimeError),
    (lambda: HALVES.clone().fill_(HALVES), RuntimeError),
    (lambda: T.tensor([300], dtype=T.int8), RuntimeError),
    (lambda: T.full((2,), float("nan"), dtype=T.int32), RuntimeError),
    (lambda: BOOLS.abs(), NotImplementedError),
    (lambda: BOOLS // BOOLS, NotImplementedError),
    (lambda: tensor([1], "int64").softmax(0), NotImplementedError),
    (lambda: ~HALVES, TypeError),
    (lambda: HALVES & 1, NotImplementedError),
    (lambda: BOOLS.argmax(), RuntimeError),
    (lambda: T.arange(float("inf")), RuntimeError),
    (lambda: T.zeros(2.0), TypeError),
    (lambda: T.eye(-1), RuntimeError),
    (lambda: HALVES[tensor([0], "int8")], IndexError),
    (lambda: HALVES["a"], TypeError),
    (lambda: HALVES[[0], ::-1], ValueError),
    (lambda: HALVES.gather(0, tensor([0], "int16")), RuntimeError),
    (lambda: HALVES.index_add(0, T.tensor([[0]]), HALVES), IndexError),
    (lambda: HALVES.repeat_interleave(T.tensor([[1]])), RuntimeError),
    (lambda: T.logsumexp(HALVES, None), TypeError),
    (lambda: T.einsum("ij->k", T.ones(2, 2)), RuntimeError),
    (lambda: T.ones(2, 2).roll((1, 1)), RuntimeError),
    (lambda: T.ones(1, 1, 1).norm("fro", (0, 1, 2)), RuntimeError),
    (lambda: HALVES.permute(), TypeError),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refuses(case):
    compute, error = REFUSED[case]
    with pytest.raises(Exception) as caught:
        compute()
        settle()
    assert caught.type is error


def test_what_is_overwritten_keeps_its_history():
    x = T.ones(2, requires_grad=True)
    y = x * 2
    y.zero_()
    y.sum().backward()
    assert x.grad.tolist() == [0, 0]


def test_einsum_where_a_named_axis_is_broadcast():
    a, b = T.ones(3, 1, requires_grad=True), T.ones(3, 2, requires_grad=True)
    T.einsum("bi,bi->b", a, b).sum().backward()
    assert a.grad.tolist() == [[2]] * 3 and b.grad.tolist() == [[1, 1]] * 3


def test_an_assigned_place_hides_an_infinite_gradient():
    x = T.tensor([2.0, 3.0], requires_grad=True)
    y = x * 1
    y[0] = 1.0
    (gradient,) = T.autograd.grad(y, x, T.tensor([float("inf"), 1.0]), create_graph=True)
    assert gradient.tolist() == [0, 1]


def test_second_gradients_of_tensors_without_axes():
    x = T.tensor([2.0, 3.0], requires_grad=True)
    mean = x.mean(-1)
    picked = mean.gather(0, T.zeros((), dtype=T.int64))
    (gradient,) = T.autograd.grad(picked / (mean * mean), x, create_graph=True)
    (second,) = T.autograd.grad(gradient.sum(), x)
    np.testing.assert_allclose(host(second), [0.064, 0.064], rtol=1e-5)


def test_the_largest_is_shared_among_nan():
    x = T.tensor([1.0, float("nan"), float("nan")], requires_grad=True)
    x.max().backward()
    assert x.grad.tolist() == [0, 0.5, 0.5]


def test_changes_in_place_by_floor_division_and_remainder():
    x = T.tensor([7.0])
    same = x
    x //= 2
    x %= 2
    assert same is x and x.item() == 1


def test_true_alone_stands_for_everything():
    x = T.tensor([1, 2])
    x[True] = T.tensor([2.5, 3.5])
    x[False] = 9
    with pytest.raises(TypeError, match="expected a tensor, a number or an array, got list"):
        x[False] = []
    assert x.tolist() == [2, 3]


def test_strides_without_elements():
    assert T.zeros(2, 0, 3).stride() == (3, 3, 1)


def test_lines_break_where_pytorchs_do():
    x = tensor([1e9, -1.445e8, 1.2492e8, -1971900]).requires_grad_()
    assert repr(x) == "tensor([ 1.0000e+09, -1.4450e+08,  1.2492e+08, -1.9719e+06],\n       requires_grad=True)"


@pytest.mark.parametrize(
    "use",
    [
        lambda x, ids, mask: x[ids],
        lambda x, ids, mask: x[0:, ids],
        lambda x, ids, mask: x[mask],
        lambda x, ids, mask: x.masked_select(mask.view(2, 2)),
        lambda x, ids, mask: x.masked_fill(mask, 0.0),
        lambda x, ids, mask: T.where(mask, x, 0.0),
        lambda x, ids, mask: x.index_select(1, ids),
        lambda x, ids, mask: x.gather(0, ids[None]),
        lambda x, ids, mask: x.scatter(0, ids[None], 1.0),
        lambda x, ids, mask: T.zeros(2, 2).scatter_add(0, ids[None], x),
        lambda x, ids, mask: T.zeros(2, 2).index_add(0, ids, x),
    ],
)
def test_an_index_or_mask_that_changed_gives_no_wrong_gradient(use):
    x, ids, mask = T.ones(2, 2, requires_grad=True), T.tensor([0, 0]), T.tensor([[True, False], [False, True]])
    y = use(x, ids, mask)
    use(x, ids, mask).sum().backward()
    ids.fill_(1)
    mask.fill_(True)
    with pytest.raises(RuntimeError, match="was changed in place afterwards"):
        y.sum().backward()


def test_an_index_assigned_through_may_change_later():
    x, value, ids, factors = T.ones(3, requires_grad=True), T.ones(2, requires_grad=True), T.tensor([0, 2]), T.tensor([1.0, 2.0, 4.0])
    y = x * 1
    y[ids] = value
    loss = (y * factors).sum() + (x.index_copy(0, ids, value) * factors).sum()
    ids.fill_(1)
    loss.backward()
    assert x.grad.tolist() == [0, 4, 0] and value.grad.tolist() == [2, 8]


def test_integers_and_bools_want_no_gradient():
    x = T.ones(2, requires_grad=True)
    assert not any(each.requires_grad for each in (x.long(), x.int(), x.bool(), x.to(T.uint8))) and x.double().requires_grad


def test_a_tensor_without_axes_is_formatted_as_its_number():
    loss = T.tensor(0.5, requires_grad=True)
    assert f"{loss} {T.tensor(2)} {T.tensor(True)} {loss:.2f} {loss * 2}" == "0.5 2 True 0.50 1.0"
    assert f"{T.ones(1)}" == "tensor([1.])" and f"{T.nn.Parameter(T.tensor(1.0))}".startswith("Parameter containing:")


def test_add_in_place_takes_the_old_order_with_a_warning():
    x = T.ones(2)
    with pytest.warns(UserWarning, match=r"write x.add_\(y, alpha=alpha\)"):
        assert x.add_(-0.5, T.tensor([1.0, 2.0])) is x
    assert x.tolist() == [0.5, 0]
    for wrong in ((T.ones(2), 2), (1, T.ones(2), 3), ("1", T.ones(2))):
        with pytest.raises(TypeError):
            x.add_(*wrong)
    assert x.tolist() == [0.5, 0]
