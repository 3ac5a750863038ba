"""Optimisers and gradient clipping: PyTorch's numbers, PyTorch's state, nothing changed by what is refused."""

import copy

import numpy as np
import pytest

import minigrad
from minigrad_nn import optim
from minigrad_nn.optim import optimizer as machinery
from minigrad_nn.utils import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm

SHAPES = [(4, 3), (5,), (), (2, 3, 2)]

CASES = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "maximize": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.2, "amsgrad": True, "maximize": True}),
]


def leaves(dtype="float64", seed=0):
    draw = np.random.default_rng(seed)
    return [minigrad.tensor(draw.standard_normal(shape), dtype=dtype, requires_grad=True) for shape in SHAPES]


def give_gradients(seed, *families):
    """The same random gradients to every family of parameters; every third call the second parameter gets none."""
    draw = np.random.default_rng(seed)
    for position, shape in enumerate(SHAPES):
        gradient = np.asarray(draw.standard_normal(shape) * 10 ** draw.uniform(-3, 1))
        for params, make in families:
            skipped = position == 1 and seed % 3 == 0
            params[position].grad = None if skipped else make(gradient)


def ours(gradient):
    return minigrad.tensor(gradient, dtype="float64")


def values(params):
    return [each.detach().cpu().numpy().copy() for each in params]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def twins(torch, name, options, groups=False):
    """The same optimiser on the same parameters, ours and PyTorch's."""
    mine = leaves()
    theirs = [torch.tensor(each.detach().cpu().numpy(), requires_grad=True) for each in mine]
    pair = []
    for library, params in ((optim, mine), (torch.optim, theirs)):
        split = [{"params": params[:2]}, {"params": params[2:], "lr": 0.03, "weight_decay": 0.05}] if groups else params
        pair.append(getattr(library, name)(split, **options))
    return mine, theirs, *pair


# ------------------------------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_twenty_steps_agree_with_pytorch(torch, name, options, groups):
    mine, theirs, optimizer, reference = twins(torch, name, options, groups)
    for seed in range(20):
        give_gradients(seed, (mine, ours), (theirs, torch.tensor))
        optimizer.step()
        reference.step()
    for got, expected in zip(values(mine), values(theirs), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_pieces_change_nothing(monkeypatch, name, options):
    results = []
    for piece in (10**9, 5):
        monkeypatch.setitem(machinery._PIECE, "cpu", piece)
        params = leaves("float32")
        optimizer = getattr(optim, name)(params, **options)
        for seed in range(3):
            give_gradients(seed, (params, lambda g: minigrad.tensor(g, dtype="float32")))
            optimizer.step()
        results.append(values(params))
    for whole, pieces in zip(*results, strict=True):
        np.testing.assert_array_equal(whole, pieces)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [  # recorded from PyTorch 2.13, float64
        ("Adam", {"lr": 0.1}, [0.701586273, -1.700623392, 0.5]),
        ("SGD", {"lr": 0.1, "momentum": 0.9}, [0.062, 1.08, 0.5]),
    ],
)
def test_three_steps_on_a_fixed_vector(name, options, expected):
    p = minigrad.tensor([1.0, -2.0, 0.5], dtype="float64", requires_grad=True)
    optimizer = getattr(optim, name)([p], **options)
    for _ in range(3):
        optimizer.zero_grad()
        (p * p * minigrad.tensor([1.0, 2.0, 0.0], dtype="float64")).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(p.detach().cpu().numpy(), expected, atol=1e-9)


def test_a_transposed_parameter_is_changed_too():
    p = minigrad.from_numpy(np.arange(6.0).reshape(2, 3).T).requires_grad_()
    p.grad = minigrad.ones_like(p)
    optim.SGD([p], lr=1.0).step()
    np.testing.assert_array_equal(p.detach().cpu().numpy(), np.arange(6.0).reshape(2, 3).T - 1)


# ----------------------------------------------------------------------------------------------- what a step leaves alone


@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradients_and_parameters_without_one_stay(name, options):
    params = leaves()
    give_gradients(3, (params, ours))
    before, without = values([params[0].grad]), values([params[1]])
    optimizer = getattr(optim, name)(params, **options)
    optimizer.step()
    np.testing.assert_array_equal(values([params[0].grad])[0], before[0])
    np.testing.assert_array_equal(values([params[1]])[0], without[0])
    assert params[1] not in optimizer.state


def test_a_step_is_a_change_in_place_that_the_tape_notices():
    p = minigrad.tensor([1.0, 2.0], requires_grad=True)
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    array = p.array
    optim.Adam([p]).step()
    assert p.array is array and p.is_leaf and p._version == 1
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_a_huge_gradient_is_no_warning():
    p = minigrad.tensor([1.0], requires_grad=True)
    p.grad = minigrad.tensor([1e30])
    optim.Adam([p]).step()
    assert p.item() == 1.0  # the square overflowed: a step of 1e30 / inf


def test_closure_is_recorded_and_its_loss_returned():
    p = minigrad.tensor([3.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with minigrad.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert p.item() == 0.0


def test_zero_grad():
    params = leaves()
    give_gradients(1, (params, ours))
    optimizer = optim.SGD(params)
    optimizer.zero_grad(set_to_none=False)
    assert all((p.grad == 0).all() for p in params)
    optimizer.zero_grad()
    assert all(p.grad is None for p in params)


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"lr": -1}),
        ("SGD", {"lr": float("nan")}),
        ("SGD", {"momentum": -0.1}),
        ("SGD", {"weight_decay": -0.1}),
        ("SGD", {"nesterov": True}),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
        ("Adam", {"lr": -1}),
        ("Adam", {"eps": -1}),
        ("Adam", {"betas": (1.0, 0.9)}),
        ("Adam", {"betas": (0.9, -0.1)}),
        ("AdamW", {"weight_decay": -1}),
    ],
)
def test_options_out_of_range_are_refused(name, options):
    p = minigrad.ones(2, requires_grad=True)
    with pytest.raises(ValueError):
        getattr(optim, name)([p], **options)
    optimizer = getattr(optim, name)([p])
    with pytest.raises(ValueError):
        optimizer.add_param_group({"params": [minigrad.ones(1, requires_grad=True)], **options})
    state = optimizer.state_dict()
    state["param_groups"][0].update(options)
    with pytest.raises(ValueError):
        optimizer.load_state_dict(state)
    assert len(optimizer.param_groups) == 1
    assert all(optimizer.param_groups[0][name] == optimizer.defaults[name] for name in options)


def test_parameters_that_cannot_be_optimised_are_refused():
    p = minigrad.ones(2, requires_grad=True)
    optimizer = optim.SGD([p])
    for given, error, words in [
        ([p], ValueError, "given twice"),
        ([minigrad.ones(1)] * 2, ValueError, "given twice"),
        ([p * 2], ValueError, "no leaf"),
        ([1.0], TypeError, "float"),
        ({p}, TypeError, "order"),
        ([("name", minigrad.ones(1)), minigrad.ones(1)], ValueError, "names"),
        ([("name", minigrad.ones(1))], ValueError, "names"),
    ]:
        with pytest.raises(error, match=words):
            optimizer.add_param_group({"params": given})
    with pytest.raises(TypeError, match="dict"):
        optimizer.add_param_group([p])
    assert len(optimizer.param_groups) == 1
    with pytest.raises(ValueError, match="empty"):
        optim.SGD([])
    with pytest.raises(TypeError, match="one tensor"):
        optim.SGD(p)


# --------------------------------------------------------------------------------------------- saving and restoring


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_restored_optimiser_goes_on_as_if_nothing_had_happened(name, options):
    params = leaves()
    optimizer = getattr(optim, name)(params, **options)
    for seed in range(1, 3):
        give_gradients(seed, (params, ours))
        optimizer.step()
    twin_params = copy.deepcopy(params)
    twin = getattr(optim, name)(twin_params)
    twin.load_state_dict(optimizer.state_dict())
    for each, group in ((optimizer, params), (twin, twin_params)):
        give_gradients(5, (group, ours))
        each.step()
    for got, expected in zip(values(twin_params), values(params), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_state_goes_to_pytorch_and_back(torch, name, options):
    mine, theirs, optimizer, reference = twins(torch, name, options, groups=True)
    for seed in range(1, 4):
        give_gradients(seed, (mine, ours), (theirs, torch.tensor))
        reference.step()
        optimizer.step()
    back = reference.state_dict()
    as_torch = optimizer.state_dict()
    for number, state in as_torch["state"].items():
        tensors = {key: torch.tensor(value.cpu().numpy()) for key, value in state.items() if key != "step"}
        as_torch["state"][number] = {**state, **tensors}
    optimizer.load_state_dict(back)
    reference.load_state_dict(as_torch)
    for seed in range(4, 8):
        give_gradients(seed, (mine, ours), (theirs, torch.tensor))
        optimizer.step()
        reference.step()
    for got, expected in zip(values(mine), values(theirs), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)


def test_state_dict_that_does_not_fit_is_refused_and_changes_nothing():
    params = leaves()
    optimizer = optim.Adam(params)
    give_gradients(1, (params, ours))
    optimizer.step()
    before, state = repr(optimizer), optimizer.state
    good = optimizer.state_dict()
    wrong_shape = {**good, "state": {**good["state"], 0: {**good["state"][0], "exp_avg": minigrad.zeros(7)}}}
    fewer = {**good, "param_groups": [{**good["param_groups"][0], "params": [0, 1]}]}
    for bad, words in [(wrong_shape, "shape"), (fewer, "groups"), ({"weight": 1}, "state_dict")]:
        with pytest.raises(ValueError, match=words):
            optimizer.load_state_dict(bad)
    assert repr(optimizer) == before and optimizer.state is state


def test_loaded_state_is_a_copy_in_the_parameters_dtype():
    p = minigrad.ones(2, requires_grad=True)
    optimizer = optim.SGD([p], momentum=0.9)
    given = minigrad.ones(2, dtype="float64")
    optimizer.load_state_dict({"state": {0: {"momentum_buffer": given}}, "param_groups": optimizer.state_dict()["param_groups"]})
    assert optimizer.state[p]["momentum_buffer"].dtype is minigrad.float32
    same = optim.SGD([p], momentum=0.9)
    same.load_state_dict(optimizer.state_dict())
    assert same.state[p]["momentum_buffer"].array is not optimizer.state[p]["momentum_buffer"].array


def test_repr_is_pytorchs(torch):
    _, _, optimizer, reference = twins(torch, "SGD", {"lr": 0.1}, groups=True)
    only_theirs = ("differentiable", "foreach", "fused")
    expected = [line for line in repr(reference).splitlines() if not line.strip().startswith(only_theirs)]
    assert repr(optimizer).splitlines() == expected


def test_names_are_kept():
    optimizer = optim.SGD([("weight", minigrad.ones(2)), ("bias", minigrad.ones(1))])
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    assert copy.deepcopy(optimizer).param_groups[0]["param_names"] == ["weight", "bias"]


# ---------------------------------------------------------------------------------------------------------- clipping


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3, float("inf"), "inf", 0.5])
@pytest.mark.parametrize("max_norm", [1e-2, 1e6])
def test_clipping_agrees_with_pytorch(torch, norm_type, max_norm):
    mine = leaves()
    theirs = [torch.tensor(each.detach().cpu().numpy(), requires_grad=True) for each in mine]
    give_gradients(3, (mine, ours), (theirs, torch.tensor))
    got = clip_grad_norm_(mine, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert got.shape == () and got.item() == pytest.approx(expected.item(), rel=1e-12)
    for p, q in zip(mine, theirs, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            np.testing.assert_allclose(p.grad.cpu().numpy(), q.grad.cpu().numpy(), rtol=1e-12)


def test_clipping_by_value_and_by_a_known_norm():
    p = minigrad.zeros(3, requires_grad=True)
    p.grad = minigrad.tensor([3.0, -4.0, 0.0])
    version = p.grad._version
    clip_grads_with_norm_([p], 10.0, get_total_norm([p.grad]))
    assert p.grad.tolist() == [3.0, -4.0, 0.0]
    clip_grad_value_([p], 3.5)
    assert p.grad.tolist() == [3.0, -3.5, 0.0]
    assert p.grad._version == version + 2


def test_half_precision_norms_do_not_overflow():
    p = minigrad.zeros(4, dtype="float16", requires_grad=True)
    p.grad = minigrad.full((4,), 1000.0, dtype="float16")
    assert clip_grad_norm_(p, 1.0).item() == 2000.0
    np.testing.assert_allclose(p.grad.cpu().numpy(), 0.5, rtol=1e-2)


def test_gradients_that_are_not_finite():
    p = minigrad.zeros(2, requires_grad=True)
    p.grad = minigrad.tensor([float("inf"), 1.0])
    with pytest.raises(RuntimeError, match="inf"):
        clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert p.grad.tolist() == [float("inf"), 1.0]
    assert clip_grad_norm_([p], 1.0).item() == float("inf")
    assert np.isnan(p.grad.tolist()[0]) and p.grad.tolist()[1] == 0.0


def test_nothing_to_clip():
    assert clip_grad_norm_([minigrad.ones(2)], 1.0).item() == 0.0
    with pytest.warns(UserWarning, match="used up"):
        clip_grad_norm_((p for p in ()), 1.0)
