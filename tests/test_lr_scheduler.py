"""Schedules: traces equal PyTorch's, alone, combined, with several groups, resumed in the middle, saved to a file."""

import copy
import json
import pickle
import random
import warnings

import pytest

import minigrad
from minigrad_nn import optim
from minigrad_nn.optim import lr_scheduler as ours

STEPS = 200


class Wave:
    """A function of the epoch that has state to save."""

    def __init__(self, height):
        self.height = height

    def __call__(self, epoch):
        return 1 + self.height / (1 + epoch)


def half_life(epoch):
    return 0.99**epoch


def nearly_one(epoch):
    return 0.97 if epoch % 3 else 1.01


def optimizers(torch, groups=2, name="SGD", **options):
    """The same optimiser here and there; one parameter without a gradient in each group."""
    pair = []
    for library, make in ((optim, minigrad.ones), (torch.optim if torch else None, torch.ones if torch else None)):
        if library:
            split = [{"params": [make(1, requires_grad=True)], "lr": 0.1 * (number + 1)} for number in range(groups)]
            pair.append(getattr(library, name)(split, **options))
    return pair


def rate_of(optimizer):
    """Rates and momenta of all groups, one after another."""
    return [each for group in optimizer.param_groups for each in (group["lr"], group.get("momentum", 0), *group.get("betas", ()))]


def draw(name, dice):
    """Random arguments for a schedule."""
    factor = round(dice.uniform(0.05, 0.99), 3)
    return {
        "StepLR": lambda: {"step_size": dice.randint(1, 30), "gamma": factor},
        "MultiStepLR": lambda: {"milestones": [dice.randint(0, STEPS) for _ in range(dice.randint(0, 6))], "gamma": factor},
        "ExponentialLR": lambda: {"gamma": dice.uniform(0.9, 1.01)},
        "LinearLR": lambda: {"start_factor": factor, "end_factor": dice.choice([0.0, 1.0, factor]), "total_iters": dice.randint(1, 300)},
        "ConstantLR": lambda: {"factor": factor, "total_iters": dice.randint(1, 300)},
        "PolynomialLR": lambda: {"total_iters": dice.randint(1, 300), "power": dice.choice([0.5, 1.0, 2.5])},
        "CosineAnnealingLR": lambda: {"T_max": dice.randint(1, 90), "eta_min": dice.choice([0.0, 0.01])},
        "CosineAnnealingWarmRestarts": lambda: {
            "T_0": dice.randint(1, 30), "T_mult": dice.randint(1, 3), "eta_min": dice.choice([0.0, 0.01]),
        },
        "LambdaLR": lambda: {"lr_lambda": dice.choice([half_life, [half_life, Wave(factor)]])},
        "MultiplicativeLR": lambda: {"lr_lambda": dice.choice([nearly_one, [half_life, nearly_one]])},
        "OneCycleLR": lambda: {
            "max_lr": dice.choice([0.5, [0.5, 0.25]]), "total_steps": STEPS + dice.randint(1, 50), "pct_start": factor,
            "anneal_strategy": dice.choice(["cos", "linear"]), "three_phase": factor < 0.45, "div_factor": dice.uniform(2, 30),
            "cycle_momentum": dice.random() < 0.8, "base_momentum": 0.8, "max_momentum": dice.choice([0.9, [0.9, 0.95]]),
        },
    }[name]()  # fmt: skip


NAMES = ["StepLR", "MultiStepLR", "ExponentialLR", "LinearLR", "ConstantLR", "PolynomialLR", "CosineAnnealingLR"]
NAMES += ["CosineAnnealingWarmRestarts", "LambdaLR", "MultiplicativeLR", "OneCycleLR"]


def trace(optimizer, schedule, steps):
    found = []
    for _ in range(steps):
        assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        found.append(rate_of(optimizer))
        optimizer.step()
        schedule.step()
    return found


def same(got, expected):
    for step, (mine, theirs) in enumerate(zip(got, expected, strict=True)):
        assert mine == pytest.approx(theirs, rel=1e-12, abs=1e-12), step


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


# -------------------------------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", NAMES)
def test_two_hundred_steps_are_pytorchs(torch, name, seed):
    dice = random.Random(f"{name}{seed}")
    arguments = draw(name, dice)
    kind = dice.choice(["SGD", "Adam"]) if name == "OneCycleLR" else "SGD"
    found = []
    for optimizer, library in zip(optimizers(torch, name=kind), (ours, torch.optim.lr_scheduler), strict=True):
        found.append(trace(optimizer, getattr(library, name)(optimizer, **copy.deepcopy(arguments)), STEPS))
    same(*found)


@pytest.mark.parametrize("seed", range(12))
def test_combined_schedules_are_pytorchs(torch, seed):
    dice = random.Random(seed)
    simple = NAMES[:8]
    arguments = [(name, draw(name, dice)) for name in dice.choices(simple, k=3)]
    milestones = sorted(dice.sample(range(0, STEPS), 2))
    nested = dice.random() < 0.5
    for combine in ("SequentialLR", "ChainedScheduler"):
        found = []
        for optimizer, library in zip(optimizers(torch), (ours, torch.optim.lr_scheduler), strict=True):
            parts = [getattr(library, name)(optimizer, **copy.deepcopy(given)) for name, given in arguments]
            if combine == "SequentialLR":
                schedule = library.SequentialLR(optimizer, parts, list(milestones))
            else:
                schedule = library.ChainedScheduler(parts)
                if nested:
                    schedule = library.ChainedScheduler([schedule, library.ExponentialLR(optimizer, 0.99)])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch warns about its own use of step(epoch)
                found.append(trace(optimizer, schedule, STEPS))
        same(*found)


@pytest.mark.parametrize("seed", range(20))
def test_plateaus_are_pytorchs(torch, seed):
    dice = random.Random(seed)
    arguments = {
        "mode": dice.choice(["min", "max"]), "factor": dice.uniform(0.1, 0.9), "patience": dice.randint(0, 6),
        "threshold": dice.choice([1e-4, 0.1]), "threshold_mode": dice.choice(["rel", "abs"]), "cooldown": dice.randint(0, 4),
        "min_lr": dice.choice([0, 1e-3, [1e-3, 1e-2]]), "eps": dice.choice([1e-8, 1e-3]),
    }  # fmt: skip
    measures = [dice.choice([dice.gauss(0, 1), float("nan"), 0.5]) for _ in range(STEPS)]
    found = []
    for optimizer, library in zip(optimizers(torch), (ours, torch.optim.lr_scheduler), strict=True):
        schedule = library.ReduceLROnPlateau(optimizer, **arguments)
        rates = []
        for measure in measures:
            optimizer.step()
            schedule.step(measure)
            rates.append(rate_of(optimizer))
            assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        found.append(rates)
    same(*found)


@pytest.mark.parametrize("name", ["StepLR", "CosineAnnealingWarmRestarts", "CosineAnnealingLR", "LinearLR", "MultiStepLR"])
def test_a_jump_to_an_epoch_is_pytorchs(torch, name):
    arguments = draw(name, random.Random(name))
    found = []
    for optimizer, library in zip(optimizers(torch), (ours, torch.optim.lr_scheduler), strict=True):
        schedule = getattr(library, name)(optimizer, **copy.deepcopy(arguments))
        optimizer.step()
        rates = []
        for epoch in (5, 0, 17, 90, 3):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                schedule.step(epoch)
            rates.append(rate_of(optimizer))
            schedule.step()
            rates.append(rate_of(optimizer))
        found.append(rates)
    same(*found)


def test_fractions_of_epochs_restart_as_pytorchs(torch):
    found = []
    for optimizer, library in zip(optimizers(torch), (ours, torch.optim.lr_scheduler), strict=True):
        schedule = library.CosineAnnealingWarmRestarts(optimizer, 3, 2)
        rates = []
        for part in range(60):
            schedule.step(part / 4)
            rates.append(rate_of(optimizer))
        found.append(rates)
    same(*found)


# ----------------------------------------------------------------------------------------------------- saving, resuming


def resumed(make, tmp_path, steps, pause, step=lambda schedule, number: schedule.step()):
    """Rates of a run that is saved to a file after `pause` steps and goes on in new objects."""
    found, optimizer = [], optimizers(None)[0]
    schedule = make(optimizer)
    for number in range(steps):
        if number == pause:
            path = tmp_path / "schedule.safetensors"
            minigrad.save({"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, path)
            saved = minigrad.load(path)
            optimizer = optimizers(None)[0]
            schedule = make(optimizer)
            optimizer.load_state_dict(saved["optimizer"])
            schedule.load_state_dict(saved["schedule"])
        found.append((rate_of(optimizer), schedule.get_last_lr()))
        optimizer.step()
        step(schedule, number)
    return found


@pytest.mark.parametrize("pause", [1, 2, 50, 117])
@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_schedule_goes_on_bit_for_bit(tmp_path, name, pause):
    arguments = draw(name, random.Random(f"{name}{pause}"))

    def make(optimizer):
        return getattr(ours, name)(optimizer, **copy.deepcopy(arguments))

    assert resumed(make, tmp_path, 150, pause) == resumed(make, tmp_path, 150, -1)


@pytest.mark.parametrize("pause", [1, 30, 60])
def test_combined_and_plateau_resume_too(tmp_path, pause):
    def sequence(optimizer):
        parts = [ours.LinearLR(optimizer, total_iters=20), ours.CosineAnnealingLR(optimizer, 30), ours.LambdaLR(optimizer, Wave(1.0))]
        return ours.SequentialLR(optimizer, parts, [20, 50])

    def chain(optimizer):
        return ours.ChainedScheduler([ours.StepLR(optimizer, 7, 0.5), ours.MultiStepLR(optimizer, [3, 3, 40])])

    for make in (sequence, chain):
        assert resumed(make, tmp_path, 100, pause) == resumed(make, tmp_path, 100, -1)

    def listen(schedule, number):
        schedule.step(abs(number % 37 - 20))

    def plateau(optimizer):
        return ours.ReduceLROnPlateau(optimizer, patience=3, cooldown=2, factor=0.7)

    assert resumed(plateau, tmp_path, 100, pause, listen) == resumed(plateau, tmp_path, 100, -1, listen)


def test_a_callable_object_is_saved_by_its_attributes():
    first, second = (ours.LambdaLR(optimizers(None)[0], [half_life, Wave(height)]) for height in (2.0, 7.0))
    second.load_state_dict(first.state_dict())
    assert second.lr_lambdas[1].height == 2.0 and first.state_dict()["lr_lambdas"] == [None, {"height": 2.0}]


@pytest.mark.parametrize("name", NAMES)
def test_state_dicts_have_pytorchs_names_and_load_from_it(torch, name):
    arguments = draw(name, random.Random(name))
    (mine, theirs), schedules = optimizers(torch), []
    for optimizer, library in ((mine, ours), (theirs, torch.optim.lr_scheduler)):
        schedules.append(getattr(library, name)(optimizer, **copy.deepcopy(arguments)))
    trace(theirs, schedules[1], 60)
    assert schedules[0].state_dict().keys() == schedules[1].state_dict().keys()
    schedules[0].load_state_dict(schedules[1].state_dict())
    mine.load_state_dict(theirs.state_dict())
    mine.step()
    same(trace(mine, schedules[0], 50), trace(theirs, schedules[1], 50))


def test_state_that_does_not_fit_is_refused_and_changes_nothing():
    optimizer, other = optimizers(None)[0], optimizers(None, groups=3)[0]
    schedule = ours.StepLR(optimizer, 3)
    before = json.dumps(schedule.state_dict())
    wrong = [ours.ExponentialLR(optimizer, 0.9).state_dict(), ours.StepLR(other, 3).state_dict(), {}, 3, None]
    for state in wrong:
        with pytest.raises(ValueError):
            schedule.load_state_dict(state)
    assert json.dumps(schedule.state_dict()) == before
    chain = ours.ChainedScheduler([schedule, ours.ExponentialLR(optimizer, 0.9)])
    state = chain.state_dict()
    state["_schedulers"].reverse()
    before = json.dumps(chain.state_dict())
    with pytest.raises(ValueError, match="StepLR"):
        chain.load_state_dict(state)
    assert json.dumps(chain.state_dict()) == before


def test_a_state_dict_is_a_copy():
    schedule = ours.MultiStepLR(optimizers(None)[0], [3])
    schedule.state_dict()["base_lrs"][0] = 99.0
    assert schedule.base_lrs == [0.1, 0.2]


# ---------------------------------------------------------------------------------------------------------- warnings


def test_the_wrong_order_is_a_warning_once(torch):
    for optimizer, library in zip(optimizers(torch), (ours, torch.optim.lr_scheduler), strict=True):
        schedule = library.ExponentialLR(optimizer, 0.9)
        with pytest.warns(UserWarning, match=r"before .?optimizer.step\(\)"):
            schedule.step()
        schedule.step()  # warnings are errors in this suite
        fine = library.ExponentialLR(optimizers(None)[0], 0.9) if library is ours else None
        if fine:
            fine.optimizer.step()
            fine.step()


def test_a_step_replaced_later_is_a_warning():
    optimizer = optimizers(None)[0]
    schedule = ours.ExponentialLR(optimizer, 0.9)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="replaced"):
        schedule.step()


def test_a_step_replaced_before_is_called():
    optimizer, called = optimizers(None)[0], []
    optimizer.step = lambda: called.append(1)
    schedule = ours.ExponentialLR(optimizer, 0.9)
    optimizer.step()
    schedule.step()
    assert called == [1]


def test_get_lr_from_outside_and_step_with_epoch_warn():
    optimizer = optimizers(None)[0]
    schedule = ours.StepLR(optimizer, 3)
    optimizer.step()
    with pytest.warns(UserWarning, match="get_last_lr"):
        schedule.get_lr()
    with pytest.warns(UserWarning, match="deprecated"):
        schedule.step(4)
    assert schedule.get_last_lr() == pytest.approx([0.01, 0.02])


def test_an_optimiser_with_a_schedule_can_be_copied_pickled_and_freed():
    optimizer = optimizers(None)[0]
    schedule = ours.ExponentialLR(optimizer, 0.5)
    for twin in (copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert twin.optimizer is not optimizer
        twin.optimizer.param_groups[0]["params"][0].grad = minigrad.ones(1)
        twin.optimizer.step()
        twin.step()
        assert twin.optimizer.param_groups[0]["params"][0].item() == pytest.approx(0.9)
        assert optimizer.param_groups[0]["params"][0].item() == 1.0 and optimizer.param_groups[0]["lr"] == 0.1


# ----------------------------------------------------------------------------------------------------------- refusals


def test_refusals_are_of_pytorchs_classes(torch):
    cases = [
        ("ConstantLR", {"factor": 1.1}), ("ConstantLR", {"factor": -0.1}), ("LinearLR", {"start_factor": 0}),
        ("LinearLR", {"end_factor": 2}),
        ("LinearLR", {"start_factor": 1.1}), ("CosineAnnealingWarmRestarts", {"T_0": 0}), ("CosineAnnealingWarmRestarts", {"T_0": 2.5}),
        ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 0}), ("CosineAnnealingWarmRestarts", {"T_0": 2, "eta_min": "x"}),
        ("OneCycleLR", {"max_lr": 1}), ("OneCycleLR", {"max_lr": 1, "total_steps": 0}), ("OneCycleLR", {"max_lr": 1, "epochs": 3}),
        ("OneCycleLR", {"max_lr": 1, "epochs": -3, "steps_per_epoch": 2}), ("OneCycleLR", {"max_lr": 1, "total_steps": 5, "pct_start": 1}),
        ("OneCycleLR", {"max_lr": [1], "total_steps": 5}), ("OneCycleLR", {"max_lr": 1, "total_steps": 5, "anneal_strategy": "x"}),
        ("LambdaLR", {"lr_lambda": [half_life]}), ("MultiplicativeLR", {"lr_lambda": 3}), ("ReduceLROnPlateau", {"factor": 1.0}),
        ("ReduceLROnPlateau", {"mode": "x"}), ("ReduceLROnPlateau", {"threshold_mode": "x"}), ("ReduceLROnPlateau", {"min_lr": [0]}),
        ("StepLR", {"step_size": 3, "last_epoch": 4}), ("SequentialLR", {"schedulers": [], "milestones": []}),
        ("SequentialLR", {"schedulers": [3], "milestones": []}),
    ]  # fmt: skip
    for name, arguments in cases:
        classes = []
        for optimizer, library in zip(optimizers(torch), (ours, torch.optim.lr_scheduler), strict=True):
            with pytest.raises(Exception) as caught:
                getattr(library, name)(optimizer, **arguments)
            classes.append(caught.type)
        assert classes[0] is classes[1], (name, arguments)
    for name in ("StepLR", "LambdaLR", "OneCycleLR", "ReduceLROnPlateau"):
        with pytest.raises(TypeError, match="Optimizer"):
            getattr(ours, name)(3, **({"step_size": 3} if name == "StepLR" else {"max_lr": 1} if name == "OneCycleLR" else
                                      {"lr_lambda": half_life} if name == "LambdaLR" else {}))  # fmt: skip


def test_combinations_that_do_not_fit_are_refused():
    optimizer, other = optimizers(None)[0], optimizers(None)[0]
    step, stranger, plateau = ours.StepLR(optimizer, 3), ours.StepLR(other, 3), ours.ReduceLROnPlateau(optimizer)
    for schedulers in ([], [step, stranger], [step, plateau]):
        with pytest.raises(ValueError):
            ours.ChainedScheduler(schedulers)
        with pytest.raises(ValueError):
            ours.SequentialLR(optimizer, schedulers, [3])
    with pytest.raises(ValueError, match="milestones"):
        ours.SequentialLR(optimizer, [step, step], [3, 4])
    with pytest.raises(TypeError):
        ours.ChainedScheduler([3])


def test_a_cycle_ends():
    optimizer = optimizers(None)[0]
    schedule = ours.OneCycleLR(optimizer, 1.0, total_steps=3)
    optimizer.step()
    for _ in range(3):
        schedule.step()
    with pytest.raises(ValueError, match="too many"):
        schedule.step()
    with pytest.raises(ValueError, match="momentum"):
        ours.OneCycleLR(optim.Adagrad([minigrad.ones(1, requires_grad=True)]), 1.0, total_steps=3)
