"""First values: the distribution asked for, in place, from the generator given, nothing changed by what is refused."""

import math

import numpy as np
import pytest
from compare import host

import minigrad
from minigrad_nn import init

RANDOM = [
    init.uniform_,
    init.normal_,
    init.trunc_normal_,
    init.orthogonal_,
    init.xavier_uniform_,
    init.xavier_normal_,
    init.kaiming_uniform_,
    init.kaiming_normal_,
]


def weight(*shape, dtype="float32"):
    return minigrad.full(shape, 7.0, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("fill", RANDOM)
def test_a_leaf_is_filled_in_place_off_the_tape_from_the_generator(fill, dtype):
    w, again = weight(5, 4, dtype=dtype), weight(5, 4, dtype=dtype)
    array = w.array
    assert fill(w, generator=minigrad.Generator().manual_seed(3)) is w
    fill(again, generator=minigrad.Generator().manual_seed(3))
    assert w.array is array and w.is_leaf and w.requires_grad and w._version == 1
    assert w.dtype is again.dtype and w.array.dtype == dtype
    np.testing.assert_array_equal(host(w), host(again))
    assert not (w.array == 7).any()
    minigrad.manual_seed(3)
    np.testing.assert_array_equal(host(fill(again)), host(w))


def test_fixed_numbers():
    assert init.constant_(weight(2), 0.25).tolist() == [0.25, 0.25]
    assert init.ones_(weight(2)).tolist() == [1, 1]
    assert init.zeros_(weight(2)).tolist() == [0, 0]
    assert init.eye_(weight(3, 2)).tolist() == [[1, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("fill", "options", "std", "bound"),
    [
        (init.uniform_, {"a": -1.0, "b": 3.0}, 4 / math.sqrt(12), None),
        (init.normal_, {"mean": 1.0, "std": 0.5}, 0.5, None),
        (init.xavier_uniform_, {"gain": 2.0}, 2 * math.sqrt(2 / 900), 2 * math.sqrt(6 / 900)),
        (init.xavier_normal_, {"gain": 2.0}, 2 * math.sqrt(2 / 900), None),
        (init.kaiming_uniform_, {"a": math.sqrt(5)}, 1 / math.sqrt(3 * 600), 1 / math.sqrt(600)),
        (init.kaiming_normal_, {"mode": "fan_out", "nonlinearity": "relu"}, math.sqrt(2 / 300), None),
    ],
)
def test_deviations(fill, options, std, bound):
    w = fill(weight(300, 600), generator=minigrad.Generator().manual_seed(1), **options).detach().cpu().numpy()
    assert w.std() == pytest.approx(std, rel=0.01)
    assert w.mean() == pytest.approx({init.uniform_: 1.0, init.normal_: 1.0}.get(fill, 0.0), abs=0.01)
    assert bound is None or 0.99 * bound < abs(w).max() <= bound


def test_fans_count_the_window_of_a_convolution():
    w = init.kaiming_uniform_(weight(8, 16, 5, 5), nonlinearity="linear").detach().cpu().numpy()
    assert 0.98 * math.sqrt(3 / 400) < abs(w).max() <= math.sqrt(3 / 400)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"), [(0, 1, -2, 2), (0.5, 0.1, 0.45, 0.8), (0, 1, 1.5, 9), (0, 1, 0.1, 0.2), (0, 1, 1, 1e6)]
)
def test_truncated_normal_has_the_density_of_the_normal_inside_and_none_outside(mean, std, a, b):
    w = init.trunc_normal_(weight(200, 200, dtype="float64"), mean, std, a, b).detach().cpu().numpy()
    assert w.min() >= a and w.max() <= b
    grid = np.linspace(a, min(b, mean + 9 * std), 200_001)
    density = np.exp(-(((grid - mean) / std) ** 2) / 2)
    expected = (grid * density).sum() / density.sum()
    assert w.mean() == pytest.approx(expected, abs=5 * w.std() / 200)


def test_truncated_normal_far_from_its_mean_warns():
    with pytest.warns(UserWarning, match="2 std"):
        w = init.trunc_normal_(weight(50), 0.0, 1.0, 30.0, 40.0)
    assert 30 <= w.min().item() <= w.max().item() <= 31


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (4, 2, 3), (1, 5)])
def test_orthogonal(shape):
    w = init.orthogonal_(weight(*shape, dtype="float64"), gain=2.0).detach().cpu().numpy().reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_what_makes_no_sense_is_refused_and_changes_nothing():
    vector, matrix = weight(3), weight(3, 2)
    for attempt, words in [
        (lambda: init.eye_(vector), "matrix"),
        (lambda: init.orthogonal_(vector), "2 axes"),
        (lambda: init.xavier_uniform_(vector), "2 axes"),
        (lambda: init.kaiming_normal_(vector), "2 axes"),
        (lambda: init.kaiming_normal_(matrix, mode="fan"), "mode"),
        (lambda: init.kaiming_normal_(matrix, nonlinearity="swish"), "swish"),
        (lambda: init.trunc_normal_(matrix, a=2.0, b=-2.0), "a < b"),
        (lambda: init.trunc_normal_(matrix, std=0.0), "std > 0"),
        (lambda: init.calculate_gain("leaky_relu", True), "slope"),
    ]:
        with pytest.raises(ValueError, match=words):
            attempt()
    assert (vector.array == 7).all() and (matrix.array == 7).all()


def test_tensors_without_elements_stay_as_they_are():
    for fill in RANDOM:
        assert fill(weight(0, 3)).shape == (0, 3)


def test_gains_are_pytorchs():
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.3))
