"""Schedules by one factor per step: constant, in steps, linear, exponential, polynomial, or any function.

Each gives what to multiply the rate by when time goes on by one (`get_lr`), and the rate after t steps from the start
(`_get_closed_form_lr`), in terms of the first rate η₀; they agree where nothing else changed the rate meanwhile.
"""

from __future__ import annotations

import types
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from ..optimizer import Optimizer, require
from .schedule import LRScheduler, rates, require_optimizer

__all__ = ["ConstantLR", "ExponentialLR", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "PolynomialLR", "StepLR"]


class _ByFactor(LRScheduler):
    """A schedule that multiplies the rate by `_factor()` when time goes on by one; by 1 is exact."""

    def _factor(self) -> float:
        raise NotImplementedError

    def _share(self) -> float:
        """The rate after `last_epoch` steps, as a share of the first."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        """The rate each group has, times this step's factor."""
        self._warn_if_asked_from_outside()
        factor = self._factor()
        return [lr * factor for lr in rates(self.optimizer)]

    def _get_closed_form_lr(self) -> list[float]:
        share = self._share()
        return [base * share for base in self.base_lrs]


class StepLR(_ByFactor):
    """η₀ γ^⌊t / step_size⌋

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        return 1 if self.last_epoch == 0 or self.last_epoch % self.step_size != 0 else self.gamma

    def _share(self) -> float:
        return self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(_ByFactor):
    """η₀ γ^n, where n counts the milestones up to t

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        return self.gamma ** self.milestones[self.last_epoch]

    def _share(self) -> float:
        return self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.milestones = Counter(self.milestones)  # a file gives a dict


class ConstantLR(_ByFactor):
    """η₀ factor for the first total_iters steps, then η₀

    Raises: ValueError for a factor outside [0, 1]
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ConstantLR.html
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        require(0 <= factor <= 1, f"ConstantLR needs a factor in [0, 1], got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        if self.last_epoch == 0:
            return self.factor
        return 1 / self.factor if self.last_epoch == self.total_iters else 1

    def _share(self) -> float:
        return self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor)


class LinearLR(_ByFactor):
    """η₀ times a factor that goes from start_factor to end_factor in total_iters steps, evenly, and stays

    Raises: ValueError for a start_factor outside (0, 1] or an end_factor outside [0, 1]
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LinearLR.html
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        require(0 < start_factor <= 1, f"LinearLR needs a start_factor in (0, 1], got {start_factor}")
        require(0 <= end_factor <= 1, f"LinearLR needs an end_factor in [0, 1], got {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        if self.last_epoch == 0:
            return self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1
        rise = self.end_factor - self.start_factor
        return 1 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)

    def _share(self) -> float:
        rise = self.end_factor - self.start_factor
        return self.start_factor + rise * min(self.total_iters, self.last_epoch) / self.total_iters


class ExponentialLR(_ByFactor):
    """η₀ γ^t

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ExponentialLR.html

    >>> import minigrad
    >>> from minigrad_nn.optim import SGD
    >>> optimizer = SGD([minigrad.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = ExponentialLR(optimizer, gamma=0.5)
    >>> for _ in range(3):
    ...     print(schedule.get_last_lr())
    ...     optimizer.step()
    ...     schedule.step()
    [1.0]
    [0.5]
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        return 1 if self._is_initial else self.gamma

    def _share(self) -> float:
        return self.gamma**self.last_epoch


class PolynomialLR(_ByFactor):
    """η₀ (1 − t / total_iters)^power, and 0 from total_iters on

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.PolynomialLR.html
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1
        left, before = 1 - self.last_epoch / self.total_iters, 1 - (self.last_epoch - 1) / self.total_iters
        return float((left / before) ** self.power)

    def _share(self) -> float:
        return float((1 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power)


class _ByFunction(LRScheduler):
    """A schedule by functions of the epoch: one for all groups, or a list with one for each."""

    _apart = ("optimizer", "lr_lambdas")

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        require_optimizer(optimizer)
        groups = len(optimizer.param_groups)
        given = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        require(len(given) == groups, f"the optimiser has {groups} groups, which need as many lr_lambdas; got {len(given)}")
        for function in given:
            if not callable(function):
                raise TypeError(f"an lr_lambda is a function of the epoch, got {type(function).__name__}")
        self.lr_lambdas: list[Callable[[int], float]] = given
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """As every schedule's; of callable objects their attributes, of functions None: the program brings them again."""
        kept = [None if isinstance(each, types.FunctionType) else dict(getattr(each, "__dict__", {})) for each in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for function, kept in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if kept:
                vars(function).update(kept)

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        super()._check_state(state_dict)
        here, there = len(self.lr_lambdas), len(state_dict["lr_lambdas"])
        require(here == there, f"the state_dict is of {there} lr_lambdas, this schedule has {here}")


class LambdaLR(_ByFunction):
    """η₀ f(t)

    Raises: ValueError for a list of another length than the optimiser has groups; TypeError for what cannot be called
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
    """

    def get_lr(self) -> list[float]:
        """The first rate of each group times what its function gives."""
        self._warn_if_asked_from_outside()
        return [base * f(self.last_epoch) for f, base in zip(self.lr_lambdas, self.base_lrs, strict=True)]


class MultiplicativeLR(_ByFunction):
    """η₀ f(1) f(2) … f(t)

    Raises: as LambdaLR
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiplicativeLR.html
    """

    def get_lr(self) -> list[float]:
        """The rate each group has times what its function gives."""
        self._warn_if_asked_from_outside()
        present = rates(self.optimizer)
        if self._is_initial:
            return present
        return [lr * f(self.last_epoch) for f, lr in zip(self.lr_lambdas, present, strict=True)]
