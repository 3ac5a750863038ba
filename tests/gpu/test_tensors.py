"""Optimisers and clipping by one launch for many tensors: the same numbers as one by one, and few launches."""

import itertools

import cuda_on_cpu
import numpy as np
import pytest
import strict
from compare import host
from test_devices import OPTIMISERS

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn.kernels.device import tensors
from minigrad_nn.kernels.device.launch import Functions
from minigrad_nn.utils import clip_grad_norm_, clip_grad_value_

ON = "cuda" if mg.get_default_device().type == "cuda" else "strict"
pytestmark = pytest.mark.skipif(ON == "strict" and cuda_on_cpu.COMPILER is None, reason="g++ runs the CUDA functions here, and is missing")
SHAPES = [(3, 4), (7,), (), (2, 0), (1,), (300, 5), (129,)]
MORE = OPTIMISERS | {
    "SGD with dampening": lambda p: mg.optim.SGD(p, lr=0.1, momentum=0.5, dampening=0.3, maximize=True),
    "RMSprop centered": lambda p: mg.optim.RMSprop(p, lr=0.1, centered=True, maximize=True),
    "RMSprop with momentum": lambda p: mg.optim.RMSprop(p, lr=0.1, momentum=0.3),
    "Adagrad with everything": lambda p: mg.optim.Adagrad(
        p, lr=0.1, lr_decay=0.2, weight_decay=0.3, initial_accumulator_value=0.5, eps=1e-3, maximize=True
    ),
    "Adadelta with everything": lambda p: mg.optim.Adadelta(p, lr=0.7, rho=0.6, eps=1e-3, weight_decay=0.3, maximize=True),
    "AdamW with everything": lambda p: mg.optim.AdamW(p, lr=0.1, weight_decay=0.3, amsgrad=True, eps=1e-3, betas=(0.5, 0.7)),
}


def trained(name, where, dtype, shapes=SHAPES, steps=4, clip=True, kinds=MORE):
    """Parameters, their state and the norms after some steps with random gradients."""
    rng, found = np.random.default_rng(1), []
    draw = lambda shape: mg.tensor(rng.normal(size=shape).astype(dtype), device=where)
    parameters = [draw(shape).requires_grad_() for shape in shapes]
    optimiser = kinds[name](parameters)
    for step in range(steps):
        for number, each in enumerate(parameters):
            each.grad = draw(each.shape) if (step + number) % 4 else None  # not all have one in every step, so counts differ
        if clip:
            found.append(clip_grad_norm_(parameters, 2.0))
            clip_grad_value_(parameters, 0.1)
        optimiser.step()
    states = [value for each in parameters for key, value in sorted(optimiser.state[each].items()) if key != "step"]
    return [host(each) for each in (*parameters, *states, *found)]


@pytest.mark.parametrize("name", MORE)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_the_same_numbers_as_one_by_one(name, dtype):
    if dtype == "float16" and "SGD" not in name:
        pytest.skip("one by one, squares of half numbers underflow; here they are computed in float32")
    tolerance = {"float32": 2e-3 if "RMSprop" in name else 2e-5, "float64": 1e-11, "float16": 2e-2}[dtype]  # centered: v - m² cancels
    for one, other in zip(trained(name, "cpu", dtype), trained(name, ON, dtype), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(other, one, tolerance, tolerance)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop with everything"])
def test_more_tensors_than_a_table_has_room_for(name):
    shapes = [(k % 7, 3) for k in range(2 * tensors.MANY + 3)]
    for one, other in zip(trained(name, "cpu", "float64", shapes), trained(name, ON, "float64", shapes), strict=True):
        np.testing.assert_allclose(other, one, 1e-12, 1e-12)


def test_tensors_of_which_a_thread_has_several_elements(monkeypatch):
    monkeypatch.setattr(tensors, "BLOCKS", 2)
    monkeypatch.setattr(tensors, "BLOCKS_OF_SUMS", 1)
    start, grids = Functions.launch, []
    monkeypatch.setattr(Functions, "launch", lambda self, name, grid, given: grids.append(grid) or start(self, name, grid, given))
    for name in ("SGD", "Adam"):
        for one, other in zip(trained(name, "cpu", "float64"), trained(name, ON, "float64"), strict=True):
            np.testing.assert_allclose(other, one, 1e-12, 1e-12)
    assert {blocks for blocks, _ in grids} == {1, 2}  # of sums, of others


def test_tensors_without_elements():
    with mg.device(ON):
        p = mg.zeros(2, 0, requires_grad=True)
        p.grad = mg.zeros(2, 0)
        assert clip_grad_norm_([p], 1.0).item() == 0
        clip_grad_value_([p], 1.0)
        mg.optim.Adam([p]).step()
    assert p.shape == (2, 0)


def test_a_largest_square_that_is_nan_stays():
    found = []
    for where in ("cpu", ON):
        p = mg.tensor([1.0, 2.0], device=where, requires_grad=True)
        optimiser = mg.optim.Adam([p], lr=0.1, amsgrad=True)
        for largest in (0.0, float("nan")):
            p.grad = mg.tensor([3.0, 4.0], device=where)
            optimiser.step()
            optimiser.state[p]["max_exp_avg_sq"][0] += largest
        p.grad = mg.tensor([3.0, 4.0], device=where)
        optimiser.step()
        found.append(host(p))
    np.testing.assert_allclose(found[1], found[0], 1e-6)
    assert np.isnan(found[0]).tolist() == [True, False]


def test_inf_and_nan_go_where_they_go_one_by_one():
    bad = [np.array([np.nan, np.inf, -np.inf, 1.0, 0.0], np.float32)]
    for name in MORE:
        found = []
        for where in ("cpu", ON):
            p = mg.tensor(np.array([0, 1, 2, 3, np.inf], np.float32), device=where, requires_grad=True)  # 0 · inf is NaN
            optimiser = MORE[name]([p])
            for values in (*bad, np.ones(5, np.float32), *bad):
                p.grad = mg.tensor(values, device=where)
                clip_grad_value_(p, 1e30)
                optimiser.step()
            p.grad = mg.tensor(bad[0], device=where)
            norm = clip_grad_norm_(p, 1.0)
            found.append([host(each) for each in (p, p.grad, norm)])
        for one, other in zip(*found, strict=True):
            np.testing.assert_allclose(other, one, 1e-5, 1e-6, err_msg=name)


def test_a_rule_of_ones_own_is_followed():
    class Signed(mg.optim.SGD):
        def update(self, xp, p, g, kept, numbers, group, scratch):
            p -= group["lr"] * xp.sign(g)

    class Renamed(mg.optim.SGD):
        pass

    for kind, expected in ((Signed, 0.9), (Renamed, -4.0)):
        p = mg.tensor([1.0], device=ON, requires_grad=True)
        p.grad = mg.tensor([50.0], device=ON)
        kind([p], lr=0.1).step()
        assert p.item() == pytest.approx(expected)


def test_views_and_gradients_in_another_order_are_changed_one_by_one():
    gradient = np.arange(1.0, 7.0).reshape(2, 3)
    for turned in (gradient, np.ascontiguousarray(gradient.T)):
        p = mg.tensor(np.zeros((2, 3)), device=ON).requires_grad_()
        p.grad = mg.tensor(turned, device=ON) if turned.shape == (2, 3) else mg.tensor(turned, device=ON).t()
        assert host(clip_grad_norm_(p, 5.0)) == pytest.approx(np.sqrt(91))
        clip_grad_value_(p, 2.9)
        mg.optim.SGD([p], lr=1.0).step()
        np.testing.assert_allclose(host(p), -np.minimum(gradient * 5 / np.sqrt(91), 2.9), 1e-6)


def test_a_gradient_given_twice_is_scaled_twice():
    found = []
    for where in ("cpu", ON):
        p = mg.tensor([3.0, 4.0], device=where, requires_grad=True)
        p.grad = mg.tensor([3.0, 4.0], device=where)
        found.append((host(clip_grad_norm_([p, p], 1.0)), host(p.grad)))
    np.testing.assert_allclose(found[0][1], found[1][1], 1e-6)


def test_parameters_of_two_types_in_one_group():
    found = []
    for where in ("cpu", ON):
        parameters = [mg.ones(3, dtype=dtype, device=where).requires_grad_() for dtype in (mg.float32, mg.float64, mg.float32)]
        for each in parameters:
            each.grad = mg.ones_like(each)
        clip_grad_norm_(parameters, 0.5)
        mg.optim.Adam(parameters, lr=0.1).step()
        found.append([host(each) for each in parameters])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, 1e-6)
        assert one.dtype == other.dtype


@pytest.mark.skipif(ON != "strict", reason="launches are counted on the strict device")
@pytest.mark.parametrize("name", MORE)
def test_one_launch_for_all_parameters(name):
    with mg.device(ON):
        layer = nn.LSTM(3, 4, 2, bidirectional=True)
        optimiser = MORE[name](layer.parameters())
        layer(mg.randn(5, 2, 3))[0].sum().backward()
        cuda_on_cpu.launched.clear()
        with strict.counting() as counted:
            clip_grad_norm_(layer.parameters(), 0.5)
            clip_grad_value_(layer.parameters(), 0.1)
            optimiser.step()
    assert [each for each, _ in itertools.groupby(cuda_on_cpu.launched)] == cuda_on_cpu.launched and len(cuda_on_cpu.launched) == 4
    assert counted.waits == counted.copies == []
