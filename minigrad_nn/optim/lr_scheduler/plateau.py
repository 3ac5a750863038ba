"""A schedule that listens: the rate falls when a measure has stopped getting better."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..optimizer import Optimizer, require
from .schedule import _EPOCH, LRScheduler, rates, require_optimizer

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiplies the rate by `factor` once a measure was not better than its best for more than `patience` steps.

    mode             "min": smaller is better; "max": larger is
    threshold        how much better counts: by this share of the best ("rel" in threshold_mode), or by so much ("abs")
    cooldown         steps after a reduction in which nothing counts as bad
    min_lr           no rate falls below it; a list has one for each group
    eps              a smaller change of the rate is not made

    Raises: ValueError for factor ≥ 1, an unknown mode or another number of min_lr than groups; TypeError for no optimiser
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        require(factor < 1, f"factor must be below 1, or the rate would not fall; got {factor}")
        require_optimizer(optimizer)
        require(mode in ("min", "max"), f"mode must be 'min' or 'max', got {mode!r}")
        require(threshold_mode in ("rel", "abs"), f"threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        groups = len(optimizer.param_groups)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * groups
        require(len(self.min_lrs) == groups, f"the optimiser has {groups} groups, which need as many min_lr; got {len(self.min_lrs)}")
        self.optimizer = optimizer
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.last_epoch = 0
        self._last_lr = rates(optimizer)
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self._reset()

    def _reset(self) -> None:
        """Forget what was measured."""
        self.best, self.cooldown_counter, self.num_bad_epochs = self.mode_worse, 0, 0

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Hear the newest measure, a number or a tensor of one element, and lower the rates if it is time."""
        measured = float(metrics)
        if epoch is not None:
            warnings.warn(_EPOCH, UserWarning, stacklevel=2)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(measured, self.best):
            self.best, self.num_bad_epochs = measured, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = rates(self.optimizer)

    @property
    def in_cooldown(self) -> bool:
        """Whether a reduction was so recent that nothing counts as bad."""
        return self.cooldown_counter > 0

    def _is_better(self, measured: float, best: float) -> bool:
        if self.threshold_mode == "rel":
            bound = best * (1 - self.threshold if self.mode == "min" else self.threshold + 1)
        else:
            bound = best - self.threshold if self.mode == "min" else best + self.threshold
        return measured < bound if self.mode == "min" else measured > bound

    def _reduce_lr(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):  # a group was added since
            if self.default_min_lr is None:
                raise RuntimeError(f"the optimiser has {len(groups)} groups now, and min_lrs {len(self.min_lrs)} rates; make min_lrs fit")
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            lower = max(group["lr"] * self.factor, lowest)
            if group["lr"] - lower > self.eps:
                group["lr"] = lower
