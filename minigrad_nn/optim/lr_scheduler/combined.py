"""Several schedules for one optimiser: one after another, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer, require
from .plateau import ReduceLROnPlateau
from .schedule import LRScheduler, rates

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Combined(LRScheduler):
    """What both share: the schedules are checked, saved and restored together."""

    _apart = ("optimizer", "_schedulers")
    _schedulers: Sequence[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        """As every schedule's, with those of the schedules inside."""
        return {**super().state_dict(), "_schedulers": [each.state_dict() for each in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for schedule, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            schedule.load_state_dict(state)

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        super()._check_state(state_dict)
        here, there = len(self._schedulers), len(state_dict["_schedulers"])
        require(here == there, f"the state_dict is of {there} schedules, here are {here}")
        for schedule, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            schedule._check_state(state)


class SequentialLR(_Combined):
    """One schedule until the first milestone, then the next from its beginning, and so on.

    Raises: ValueError for no schedules, ReduceLROnPlateau among them, another optimiser, or not one milestone fewer;
        TypeError for what has no optimiser
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.SequentialLR.html
    """

    def __init__(self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1) -> None:
        _require_fitting("SequentialLR", schedulers, optimizer)
        between = len(schedulers) - 1
        require(len(milestones) == between, f"{len(schedulers)} schedules need {between} milestones, got {len(milestones)}")
        self._schedulers, self._milestones = schedulers, milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _take_back(self)  # what the schedules did when they were made: all began, and one only should have
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """A step of the schedule whose turn it is; at a milestone, the beginning of the next."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            schedule._update_lr(0)
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()


class ChainedScheduler(_Combined):
    """All schedules at once: each multiplies its part into the rate.

    Raises: ValueError for no schedules, ReduceLROnPlateau among them, or different optimisers; TypeError for what has none
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ChainedScheduler.html
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        require(len(schedulers) >= 1, "ChainedScheduler needs schedules, got none")
        optimizer = optimizer or getattr(schedulers[0], "optimizer", None)
        _require_fitting("ChainedScheduler", schedulers, optimizer)
        self._schedulers = schedulers
        self.optimizer = schedulers[0].optimizer
        self._last_lr = rates(self.optimizer)

    def step(self) -> None:  # type: ignore[override]
        """A step of every schedule."""
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = rates(self.optimizer)


def _require_fitting(name: str, schedulers: Sequence[Any], optimizer: Any) -> None:
    require(len(schedulers) >= 1, f"{name} needs schedules, got none")
    for number, each in enumerate(schedulers):
        if not hasattr(each, "optimizer"):
            raise TypeError(f"{name} takes schedules, which have an optimizer; number {number} is a {type(each).__name__}")
        plateau = isinstance(each, ReduceLROnPlateau)
        require(not plateau, f"{name} cannot pass a metric on to ReduceLROnPlateau, which is schedule {number}; step it by itself")
        require(each.optimizer is optimizer, f"{name} takes schedules of one optimiser; number {number} has another")


def _take_back(schedule: Any) -> None:
    """Put `last_epoch` of all schedules inside back by one."""
    if hasattr(schedule, "_schedulers"):
        for each in schedule._schedulers:
            _take_back(each)
    elif hasattr(schedule, "last_epoch"):
        schedule.last_epoch -= 1
