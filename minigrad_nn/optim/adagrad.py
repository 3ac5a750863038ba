"""Adagrad and Adadelta: each element of a gradient is divided by its own past, all of it or the recent one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.backend import Array
from minigrad.ops.create import full_like, zeros_like

from .optimizer import Group, Optimizer, State, axpby, require

__all__ = ["Adadelta", "Adagrad"]


class Adagrad(Optimizer):
    """Steps against the gradient g, each element divided by the root of the sum v of all its squares so far:

    (1)  d = g + λ p                              λ: weight_decay; −g in place of g with maximize
    (2)  v = v + d²                               from initial_accumulator_value
    (3)  p = p − η / (1 + (t − 1) κ) d / (√v + ε)     η: lr, κ: lr_decay, t: how many steps were taken, this one included

    Raises  ValueError for a negative option
    Cost    one array per parameter, for v
    Source  Duchi, Hazan & Singer 2011; https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html

    >>> import minigrad
    >>> p = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = Adagrad([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.9000, 1.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay, "eps": eps, "maximize": maximize}
        super().__init__(params, {**defaults, "initial_accumulator_value": initial_accumulator_value})

    def check(self, options: dict[str, Any]) -> None:
        """ValueError if an option is out of range."""
        for name in ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            require(options[name] >= 0, f"Adagrad needs {name} >= 0, got {options[name]}")

    def prepare(self, parameter: Any, state: State, group: Group) -> tuple[list[Array], float]:
        """[v], and the rate of this step."""
        if "sum" not in state:
            state["sum"] = full_like(parameter, group["initial_accumulator_value"])
        state["step"] = state.get("step", 0) + 1
        return [state["sum"].array], group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])

    def update(self, xp: Any, p: Array, g: Array, kept: list[Array], numbers: Any, group: Group, scratch: list[Array]) -> None:
        """Equations (1) to (3)."""
        (v,), (s, t) = kept, scratch
        d = _decayed(xp, p, g, group, s, t)  # (1)
        xp.add(v, xp.multiply(d, d, out=t), out=v)  # (2)
        r = xp.divide(d, xp.add(xp.sqrt(v, out=t), group["eps"], out=t), out=t)
        axpby(xp, -numbers, r, 1, p, t)  # (3)

    def launch(self, group: Group) -> tuple[Any, ...]:
        """The same in tensors.cu."""
        return "adagrad", float(group["eps"]), float(group["weight_decay"]), -1.0 if group["maximize"] else 1.0

    def of_each(self, numbers: Any, group: Group) -> tuple[float, ...]:
        """The rate of this step."""
        return (numbers,)


class Adadelta(Optimizer):
    """Steps of the size u that steps had lately, over the size v that gradients had, so that units agree without a rate:

    (1)  d = g + λ p                        λ: weight_decay; −g in place of g with maximize
    (2)  v = ρ v + (1 − ρ) d²               from 0
    (3)  r = √(u + ε) / √(v + ε) d
    (4)  u = ρ u + (1 − ρ) r²               from 0
    (5)  p = p − η r                        η: lr

    Raises  ValueError for a negative lr, eps or weight_decay, and for rho outside [0, 1]
    Cost    two arrays per parameter, for v and u
    Source  Zeiler 2012, algorithm 1; https://docs.pytorch.org/docs/stable/generated/torch.optim.Adadelta.html

    >>> import minigrad
    >>> p = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = Adadelta([p], eps=1e-2)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.6877, 1.6848], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def check(self, options: dict[str, Any]) -> None:
        """ValueError if an option is out of range."""
        for name in ("lr", "eps", "weight_decay"):
            require(options[name] >= 0, f"Adadelta needs {name} >= 0, got {options[name]}")
        require(0 <= options["rho"] <= 1, f"Adadelta needs rho in [0, 1], got {options['rho']}")

    def prepare(self, parameter: Any, state: State, group: Group) -> tuple[list[Array], None]:
        """[v, u]"""
        for name in ("square_avg", "acc_delta"):
            if name not in state:
                state[name] = zeros_like(parameter)
        state["step"] = state.get("step", 0) + 1
        return [state["square_avg"].array, state["acc_delta"].array], None

    def update(self, xp: Any, p: Array, g: Array, kept: list[Array], numbers: Any, group: Group, scratch: list[Array]) -> None:
        """Equations (1) to (5)."""
        (v, u), (s, t) = kept, scratch
        rho, eps = group["rho"], group["eps"]
        d = _decayed(xp, p, g, group, s, t)  # (1)
        axpby(xp, 1 - rho, xp.multiply(d, d, out=t), rho, v, t)  # (2)
        r = xp.divide(d, xp.sqrt(xp.add(v, eps, out=t), out=t), out=s)
        r = xp.multiply(r, xp.sqrt(xp.add(u, eps, out=t), out=t), out=s)  # (3)
        axpby(xp, 1 - rho, xp.multiply(r, r, out=t), rho, u, t)  # (4)
        axpby(xp, -group["lr"], r, 1, p, t)  # (5)

    def launch(self, group: Group) -> tuple[Any, ...]:
        """The same in tensors.cu."""
        options = [float(group[name]) for name in ("lr", "rho", "eps", "weight_decay")]
        return "adadelta", *options, -1.0 if group["maximize"] else 1.0


def _decayed(xp: Any, p: Array, g: Array, group: Group, s: Array, t: Array) -> Array:
    """d of equation (1), in `s` if it is not g itself"""
    d = xp.negative(g, out=s) if group["maximize"] else g
    if group["weight_decay"] != 0:
        d = xp.add(xp.multiply(p, group["weight_decay"], out=t), d, out=s)
    return d
