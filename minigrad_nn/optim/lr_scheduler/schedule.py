"""What all schedules share: counting calls, setting rates, saving and restoring."""

from __future__ import annotations

import copy
import warnings
import weakref
from typing import Any

from ..optimizer import Optimizer

__all__ = ["LRScheduler", "rates", "require_optimizer"]

_ORDER = (
    "lr_scheduler.step() was called before optimizer.step(), which skips the first rate of the schedule; "
    "call optimizer.step() first, then lr_scheduler.step()"
)
_OVERRIDDEN = (
    "optimizer.step was replaced after the schedule was made, so the schedule cannot see whether it is called; "
    "replace it before, and call optimizer.step() before lr_scheduler.step()"
)
_EPOCH = "step(epoch) is deprecated in PyTorch and here; call step() once per epoch or batch, and load_state_dict() to resume"


class LRScheduler:
    """The base of all schedules; a new one writes `get_lr`.

    A schedule counts calls of `step` in `last_epoch` and gives every group of the optimiser a new rate at each. `get_lr`
    works from the rate that a group has now, so that several schedules can act on one optimiser, each multiplying in its part.

    last_epoch   −1 begins anew; anything else goes on from there, and needs "initial_lr" in every group

    Raises  TypeError for what is no optimiser; KeyError where last_epoch is given and a group has no "initial_lr"
    Source  https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LRScheduler.html
    """

    _apart: tuple[str, ...] = ("optimizer",)  # attributes that are no part of the state_dict

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        require_optimizer(optimizer)
        self.optimizer = optimizer
        if last_epoch == -1:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
        for number, group in enumerate(optimizer.param_groups):
            if "initial_lr" not in group:
                raise KeyError(
                    f"group {number} of the optimiser has no 'initial_lr', which last_epoch={last_epoch} goes on from; "
                    "load the optimiser's state_dict first, or leave last_epoch out"
                )
        self.base_lrs = rates(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._get_lr_called_within_step = False
        _watch(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the first rates; `_is_initial` tells `get_lr` that no time passes by it."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    # ------------------------------------------------------------------------------------------ what a schedule says

    def get_lr(self) -> list[float]:
        """The rate of each group at `last_epoch`; called by `step` only."""
        raise NotImplementedError(f"{type(self).__name__} must say in get_lr() what the rates are")

    # --------------------------------------------------------------------------------------------------- what it does

    def step(self, epoch: int | None = None) -> None:
        """Give every group its next rate.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LRScheduler.html
        """
        if self._step_count == 1:
            noting = vars(self.optimizer).get("step")
            if not isinstance(noting, _NotingStep):
                warnings.warn(_OVERRIDDEN, UserWarning, stacklevel=2)
            elif not noting.called:
                warnings.warn(_ORDER, UserWarning, stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warnings.warn(_EPOCH, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, or jump to the one given, by the closed form where there is one."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed = getattr(self, "_get_closed_form_lr", None)
        self._get_lr_called_within_step = True
        try:
            values = self.get_lr() if epoch is None or closed is None else closed()
        finally:
            self._get_lr_called_within_step = False
        self._set(values)

    def _set(self, values: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            group["lr"] = lr
        self._last_lr = rates(self.optimizer)

    def _warn_if_asked_from_outside(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn("get_lr() computes the next rates; get_last_lr() returns those in use", UserWarning, stacklevel=3)

    def get_last_lr(self) -> list[float]:
        """The rate of each group as the last `step` set it."""
        return self._last_lr

    # --------------------------------------------------------------------------------------------- saving and restoring

    def state_dict(self) -> dict[str, Any]:
        """All that the schedule knows, in plain values, under PyTorch's names; the optimiser is no part of it."""
        return {name: copy.deepcopy(value) for name, value in vars(self).items() if name not in self._apart}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state_dict, ours or PyTorch's. The optimiser's own must be loaded too: the rates are in it.

        Raises  ValueError for one of another kind of schedule, or for another number of groups, before anything changes
        """
        self._check_state(state_dict)
        vars(self).update({name: copy.deepcopy(value) for name, value in state_dict.items() if name not in self._apart})

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        """ValueError where a state_dict is no state of this kind of schedule; changes nothing."""
        own = self.state_dict()
        if not isinstance(state_dict, dict) or state_dict.keys() != own.keys():
            given = sorted(state_dict) if isinstance(state_dict, dict) else type(state_dict).__name__
            raise ValueError(f"this is no state_dict of a {type(self).__name__}: it should have {sorted(own)}, got {given}")
        for name in ("base_lrs", "_last_lr"):
            if name in own and len(state_dict[name]) != len(self.optimizer.param_groups):
                groups = len(self.optimizer.param_groups)
                raise ValueError(f"{name!r} of the state_dict has {len(state_dict[name])} rates, the optimiser {groups} groups")


def require_optimizer(optimizer: Any) -> None:
    """TypeError for what is no optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"a schedule needs an Optimizer of minigrad_nn.optim, got {type(optimizer).__name__}")


def rates(optimizer: Optimizer, name: str = "lr") -> list[float]:
    """An option of every group of the optimiser, as a list of its own."""
    return [group[name] for group in optimizer.param_groups]


class _NotingStep:
    """Stands in for `optimizer.step` and notes that it was called, so that calls in the wrong order can be told.

    Refers weakly to the optimiser, which holds it, and copies and pickles with it.
    """

    def __init__(self, optimizer: Optimizer, instead: Any = None, called: bool = False) -> None:
        self._optimizer = weakref.ref(optimizer)
        self._instead = instead  # a `step` that somebody had put on this one optimiser before
        self.called = called

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.called = True
        if self._instead is not None:
            return self._instead(*args, **kwargs)
        optimizer = self._optimizer()
        return type(optimizer).step(optimizer, *args, **kwargs)  # type: ignore[arg-type, union-attr]

    def __reduce__(self) -> Any:
        return type(self), (self._optimizer(), self._instead, self.called)


def _watch(optimizer: Optimizer) -> None:
    present = vars(optimizer).get("step")
    if not isinstance(present, _NotingStep):
        vars(optimizer)["step"] = _NotingStep(optimizer, present)
