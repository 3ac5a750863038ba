"""RMSprop, Adagrad, Adadelta: PyTorch's numbers, PyTorch's state there and back, refusals, pieces."""

import numpy as np
import pytest

import minigrad
from minigrad_nn import optim
from minigrad_nn.optim import optimizer as machinery

SHAPES = [(4, 3), (5,), (), (2, 3, 2), (0,)]

CASES = [
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9, "maximize": True}),
    ("RMSprop", {"centered": True, "eps": 1e-4}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "weight_decay": 0.2, "maximize": True, "eps": 1e-4}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.3, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.3, "maximize": True, "weight_decay": 0.1}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.5, "eps": 1e-2, "weight_decay": 0.1, "maximize": True}),
]


def leaves(dtype="float64"):
    draw = np.random.default_rng(0)
    return [minigrad.tensor(draw.standard_normal(shape), dtype=dtype, requires_grad=True) for shape in SHAPES]


def give_gradients(seed, *families):
    draw = np.random.default_rng(seed)
    for position, shape in enumerate(SHAPES):
        gradient = np.asarray(draw.standard_normal(shape) * 10 ** draw.uniform(-3, 1))
        for params, make in families:
            params[position].grad = None if position == 1 and seed % 3 == 0 else make(gradient)


def ours(gradient):
    return minigrad.tensor(gradient, dtype="float64")


def values(params):
    return [each.detach().cpu().numpy().copy() for each in params]


def twins(torch, name, options, groups):
    mine = leaves()
    theirs = [torch.tensor(each.detach().cpu().numpy(), requires_grad=True) for each in mine]
    pair = []
    for library, params in ((optim, mine), (torch.optim, theirs)):
        split = [{"params": params[:2]}, {"params": params[2:], "lr": 0.03, "weight_decay": 0.05}] if groups else params
        pair.append(getattr(library, name)(split, **options))
    return mine, theirs, *pair


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_thirty_steps_agree_with_pytorch(name, options, groups):
    torch = pytest.importorskip("torch")
    mine, theirs, optimizer, reference = twins(torch, name, options, groups)
    for seed in range(30):
        give_gradients(seed, (mine, ours), (theirs, torch.tensor))
        optimizer.step()
        reference.step()
    for got, expected in zip(values(mine), values(theirs), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_state_goes_to_pytorch_and_back(name, options):
    torch = pytest.importorskip("torch")
    mine, theirs, optimizer, reference = twins(torch, name, options, True)
    for seed in range(1, 4):
        give_gradients(seed, (mine, ours), (theirs, torch.tensor))
        reference.step()
        optimizer.step()
    back, as_torch = reference.state_dict(), optimizer.state_dict()
    for number, state in as_torch["state"].items():
        tensors = {key: torch.tensor(value.cpu().numpy()) for key, value in state.items() if key != "step"}
        as_torch["state"][number] = {"step": torch.tensor(float(state["step"])), **tensors}
    optimizer.load_state_dict(back)
    reference.load_state_dict(as_torch)
    for seed in range(4, 8):
        give_gradients(seed, (mine, ours), (theirs, torch.tensor))
        optimizer.step()
        reference.step()
    for got, expected in zip(values(mine), values(theirs), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_defaults_are_pytorchs(name, options):
    torch = pytest.importorskip("torch")
    _, _, optimizer, reference = twins(torch, name, {}, False)
    theirs = reference.param_groups[0]
    assert {key: theirs[key] for key in optimizer.param_groups[0] if key != "params"} == {
        key: value for key, value in optimizer.param_groups[0].items() if key != "params"
    }


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_restored_optimiser_goes_on_and_pieces_change_nothing(monkeypatch, name, options):
    results = []
    for piece, restored in ((10**9, False), (10**9, True), (5, False)):
        monkeypatch.setitem(machinery._PIECE, "cpu", piece)
        params = leaves("float32")
        optimizer = getattr(optim, name)(params, **options)
        for seed in range(1, 4):
            if restored and seed == 3:
                state, optimizer = optimizer.state_dict(), getattr(optim, name)(params)
                optimizer.load_state_dict(state)
            give_gradients(seed, (params, lambda g: minigrad.tensor(g, dtype="float32")))
            before = values([params[0].grad])[0]
            optimizer.step()
            np.testing.assert_array_equal(values([params[0].grad])[0], before)
        results.append(values(params))
    for whole, again, pieces in zip(*results, strict=True):
        np.testing.assert_array_equal(whole, pieces)
        np.testing.assert_array_equal(whole, again)


@pytest.mark.parametrize(
    ("name", "options"),
    [("RMSprop", {key: -1}) for key in ("lr", "alpha", "eps", "weight_decay", "momentum")]
    + [("Adagrad", {key: -1}) for key in ("lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value")]
    + [("Adadelta", {key: -1}) for key in ("lr", "rho", "eps", "weight_decay")]
    + [("Adadelta", {"rho": 1.1}), ("RMSprop", {"lr": float("nan")})],
)
def test_options_out_of_range_are_refused(name, options):
    with pytest.raises(ValueError, match=name):
        getattr(optim, name)([minigrad.ones(2, requires_grad=True)], **options)
