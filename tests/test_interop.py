"""Arrays of other libraries: memory shared by DLPack and NumPy, operators with NumPy arrays on either side."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from compare import host

import minigrad
from minigrad import Tensor, from_dlpack, tensor

DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow, operator.lt, operator.le,
    operator.gt, operator.ge, operator.eq, operator.ne, operator.matmul,
]  # fmt: skip


@pytest.mark.host_only("memory shared with NumPy")
@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_shares_memory_with_numpy_both_ways(dtype: str) -> None:
    array = np.ones((2, 3), dtype)
    x = from_dlpack(array)
    assert x.dtype is minigrad.dtype(dtype) and np.shares_memory(x.numpy(), array)
    back = np.from_dlpack(x)
    assert back.dtype == array.dtype and np.shares_memory(back, array)
    array[0, 0] = 0
    assert x[0, 0].item() == 0 and back[0, 0] == 0


@pytest.mark.host_only("memory shared with NumPy")
@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_shares_memory_with_pytorch_both_ways(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.ones(2, 3, dtype=getattr(torch, dtype))
    ours = from_dlpack(theirs)
    theirs[0, 0] = 0
    assert ours[0, 0].item() == 0
    ours[1, 1] = 0
    assert theirs[1, 1].item() == 0
    x = minigrad.ones(3, dtype=dtype)
    y = torch.from_dlpack(x)
    y[0] = 0
    assert x[0].item() == 0 and str(y.dtype) == f"torch.{dtype}"


@pytest.mark.host_only("memory shared with NumPy")
def test_dlpack_takes_views_and_empty_tensors() -> None:
    x = minigrad.arange(6).reshape(2, 3)
    assert np.from_dlpack(x.T[1:]).tolist() == [[1, 4], [2, 5]]
    assert from_dlpack(np.zeros((0, 2))).shape == (0, 2)
    assert from_dlpack(x) is not x and from_dlpack(x).data_ptr() == x.data_ptr()


@pytest.mark.host_only("memory shared with NumPy")
def test_dlpack_refuses_what_wants_a_gradient_and_what_is_no_array() -> None:
    x = minigrad.ones(2, requires_grad=True)
    for each in (x, x * 2):
        with pytest.raises(BufferError, match="detach"):
            np.from_dlpack(each)
    assert np.from_dlpack(x.detach()).tolist() == [1.0, 1.0]
    with pytest.raises(TypeError, match="__dlpack__"):
        from_dlpack([1, 2])
    with pytest.raises(TypeError, match="cannot hold"):
        from_dlpack(np.ones(2, complex))


@pytest.mark.host_only("NumPy's arrays are on the CPU")
@pytest.mark.parametrize("of_two", OPERATORS)
def test_operators_with_numpy_arrays_on_either_side_give_tensors(of_two: object) -> None:
    array, x = np.array([1.5, 2.0, 3.0]), tensor([2.0, 2.0, 2.0], dtype=minigrad.float64)
    for ours, expected in [(of_two(array, x), of_two(array, x.numpy())), (of_two(x, array), of_two(x.numpy(), array))]:
        assert isinstance(ours, Tensor)
        np.testing.assert_allclose(ours.numpy(), expected)


@pytest.mark.host_only("NumPy's arrays are on the CPU")
def test_operators_with_numpy_arrays_carry_gradients() -> None:
    x = minigrad.ones(3, requires_grad=True)
    (np.array([1.0, 2.0, 3.0], np.float32) * x).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0, 3.0]
    y = np.exp(x)
    assert isinstance(y, Tensor) and y.requires_grad


@pytest.mark.host_only("NumPy's arrays are on the CPU")
def test_in_place_with_the_other_kind() -> None:
    array, x = np.ones(2), tensor([1.0, 2.0])
    array += x
    assert isinstance(array, np.ndarray) and array.tolist() == [2.0, 3.0]
    x *= np.array([2.0, 3.0], np.float32)
    assert isinstance(x, Tensor) and x.tolist() == [2.0, 6.0]
    with pytest.raises(RuntimeError, match="detach"):
        array += tensor([1.0, 2.0], requires_grad=True)


def test_numpys_numbers_count_as_pytorch_counts_them() -> None:
    x = tensor([1, 2])
    assert (x * np.float64(1.5)).dtype is minigrad.float32  # a float, so the default dtype
    assert (np.float64(1.5) * tensor([1.0])).dtype is minigrad.float32
    assert (x * np.int64(2)).dtype is minigrad.int64


@pytest.mark.parametrize("name", ["exp", "tanh", "sqrt", "abs", "negative", "isnan", "floor", "rint", "square", "sign"])
def test_numpys_functions_give_tensors(name: str) -> None:
    x = tensor([1.0, 2.25, 0.5])
    made = getattr(np, name)(x)
    assert isinstance(made, Tensor)
    np.testing.assert_allclose(host(made), getattr(np, name)(host(x)), 1e-6)


def test_numpys_functions_that_are_not_here_say_so() -> None:
    for call in (lambda: np.cbrt(tensor([1.0])), lambda: np.add.reduce(tensor([1.0])), lambda: np.exp(tensor([1.0]), where=[True])):
        with pytest.raises(TypeError, match="numpy"):
            call()


@pytest.mark.host_only("starts a process of its own")
def test_overflow_is_silent_here_and_heard_elsewhere() -> None:
    import subprocess
    import sys

    code = """
import minigrad, numpy
x = minigrad.tensor([3e38])
assert (x * 10).item() == (x + x).item() == (x[None] @ x[:, None]).item() == float("inf")
try:
    numpy.float32([3e38]) * numpy.float32(10)
except RuntimeWarning:
    print("heard")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "heard", done.stderr


@pytest.mark.host_only("PyTorch without a GPU sees memory of the host only")
def test_our_weights_load_into_a_module_of_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = minigrad.nn.LSTM(3, 4, num_layers=2, bidirectional=True), torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    assert not any(theirs.load_state_dict(ours.state_dict()))
    for name, each in theirs.state_dict().items():
        assert each.tolist() == ours.state_dict()[name].tolist(), name
    with pytest.raises(RuntimeError, match="detach"):  # PyTorch could not carry its gradient
        torch.ones(3) * minigrad.ones(3, requires_grad=True)
    assert type(torch.stack([minigrad.ones(2), torch.zeros(2)])) is torch.Tensor
