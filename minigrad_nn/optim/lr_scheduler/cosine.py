"""Schedules that rise or fall along half a cosine: annealing, annealing with restarts, one cycle."""

from __future__ import annotations

import math
from typing import Any

from ..optimizer import Optimizer, require
from .schedule import LRScheduler, rates, require_optimizer

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts", "OneCycleLR"]


class CosineAnnealingLR(LRScheduler):
    """η_min + (η₀ − η_min) (1 + cos(π t / T_max)) / 2

    Source: Loshchilov & Hutter 2017, equation 5, without restarts;
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rate each group has, scaled by how the cosine changes in this step."""
        self._warn_if_asked_from_outside()
        t, low = self.last_epoch, self.eta_min
        if self._is_initial:
            return rates(self.optimizer)
        if self._step_count == 1 and t > 0:
            return self._get_closed_form_lr()
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:  # at its lowest there is nothing left to scale
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [lr + (base - low) * rise for lr, base in zip(rates(self.optimizer), self.base_lrs, strict=True)]
        factor = (1 + math.cos(math.pi * t / self.T_max)) / (1 + math.cos(math.pi * (t - 1) / self.T_max))
        return [factor * (lr - low) + low for lr in rates(self.optimizer)]

    def _get_closed_form_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """η_min + (η₀ − η_min) (1 + cos(π T_cur / T_i)) / 2, begun again after T_i steps; each turn is T_mult times as long

    Raises: ValueError for a T_0 or T_mult that is no positive integer, an eta_min that is no number, a negative epoch
    Source: Loshchilov & Hutter 2017, equation 5;
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.html
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        require(isinstance(T_0, int) and T_0 > 0, f"T_0 must be an integer above 0, got {T_0!r}")
        require(isinstance(T_mult, int) and T_mult >= 1, f"T_mult must be an integer above 0, got {T_mult!r}")
        require(isinstance(eta_min, (int, float)), f"eta_min must be a number, got {eta_min!r}")
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rate of each group at T_cur steps into a turn of T_i."""
        self._warn_if_asked_from_outside()
        height = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * height / 2 for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on by one step, or jump to `epoch`, which may have a fraction: epoch + batch / batches."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
        else:
            self._jump(epoch)
        self._step_count += 1
        self.last_epoch = math.floor(epoch)
        self._get_lr_called_within_step = True
        try:
            self._set(self.get_lr())
        finally:
            self._get_lr_called_within_step = False

    def _update_lr(self, epoch: float | None = None) -> None:
        self.step(epoch)

    def _jump(self, epoch: float) -> None:
        require(epoch >= 0, f"an epoch is not negative, got {epoch}")
        if epoch < self.T_0:
            self.T_cur, self.T_i = epoch, self.T_0
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:  # n whole turns, of T_0 (T_mult^n − 1) / (T_mult − 1) steps, are over
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n


class OneCycleLR(LRScheduler):
    """From max_lr / div_factor up to max_lr, then down to a final_div_factor-th of where it began, in total_steps steps.

    The rise takes the share pct_start of the steps, along half a cosine or a line (anneal_strategy); with three_phase the
    way down has a stop at the first rate. Momentum (SGD's, or Adam's β₁) goes the opposite way with cycle_momentum.

    Raises: ValueError for options out of range, one step too many, and an optimiser without momentum
    Source: Smith & Topin 2019; https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        require_optimizer(optimizer)
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        require(isinstance(pct_start, float) and 0 <= pct_start <= 1, f"pct_start must be a float in [0, 1], got {pct_start!r}")
        require(anneal_strategy in ("cos", "linear"), f"anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        peaks = _per_group("max_lr", optimizer, max_lr)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            has = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
            require(has, f"cycle_momentum=True needs an optimiser with momentum or betas, which {type(optimizer).__name__} has not")
            self.use_beta1 = "betas" in optimizer.defaults
            highs, lows = _per_group("max_momentum", optimizer, max_momentum), _per_group("base_momentum", optimizer, base_momentum)
        if last_epoch == -1:
            for number, group in enumerate(optimizer.param_groups):
                first = peaks[number] / div_factor
                group.update(initial_lr=first, max_lr=peaks[number], min_lr=first / final_div_factor)
                if cycle_momentum:
                    self._set_momentum(group, highs[number])
                    group.update(max_momentum=highs[number], base_momentum=lows[number])
        super().__init__(optimizer, last_epoch)

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum

    def get_lr(self) -> list[float]:
        """The rate of each group at this step; sets the momentum besides."""
        self._warn_if_asked_from_outside()
        t = self.last_epoch
        require(t <= self.total_steps, f"step {t} is one too many: the cycle has total_steps={self.total_steps}")
        phase, start = self._phase_at(t)
        share = (t - start) / (phase["end_step"] - start)
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                self._set_momentum(group, self._anneal(group[phase["start_momentum"]], group[phase["end_momentum"]], share))
        return [self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], share) for group in groups]

    def _phase_at(self, t: int) -> tuple[dict[str, Any], float]:
        """The phase in which step t lies, and the step at which it begins."""
        start = 0.0
        for phase in self._schedule_phases[:-1]:
            if t <= phase["end_step"]:
                return phase, start
            start = phase["end_step"]
        return self._schedule_phases[-1], start

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)
        return (end - start) * share + start


def _total(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is None and (epochs is None or steps_per_epoch is None):
        raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
    given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch} if total_steps is None else {"total_steps": total_steps}
    for name, value in given.items():
        require(isinstance(value, int) and value > 0, f"{name} must be an integer above 0, got {value!r}")
    return math.prod(given.values())  # type: ignore[arg-type]


def _phases(total: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    """Where each phase ends, and between which options of a group it goes."""
    rise = float(pct_start * total) - 1
    names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
    up = (rise, "initial_lr", "max_lr", "max_momentum", "base_momentum")
    if three_phase:
        back = (float(2 * pct_start * total) - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum")
        rows = [up, back, (total - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum")]
    else:
        rows = [up, (total - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _per_group(name: str, optimizer: Optimizer, value: float | list[float]) -> list[float]:
    groups = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
    require(len(values) == groups, f"{name} has {len(values)} values for {groups} groups; give one for each, or one number")
    return values
