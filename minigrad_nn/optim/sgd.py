"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.backend import Array
from minigrad.ops.create import zeros_like

from .optimizer import Group, Optimizer, State, axpby, require

__all__ = ["SGD"]


class SGD(Optimizer):
    """Steps against the gradient g of each parameter p, or along a running sum b of gradients:

    (1)  d = g + λ p              λ: weight_decay; −g in place of g with maximize
    (2)  b = μ b + (1 − τ) d      μ: momentum, τ: dampening; b = d in the first step
    (3)  d = b                    with momentum,
         d = d + μ b              or, with nesterov, as if the step had been taken already
    (4)  p = p − η d              η: lr

    Raises  ValueError for a negative lr, momentum or weight_decay, and for nesterov without momentum or with dampening
    Cost    one array per parameter for b, none without momentum
    Source  https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html (which differs from Sutskever et al. 2013
            in that η stands outside b)

    >>> import minigrad
    >>> p = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = SGD([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.8000, 1.6000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "nesterov": nesterov, "maximize": maximize})

    def check(self, options: dict[str, Any]) -> None:
        """ValueError if an option is out of range."""
        for name in ("lr", "momentum", "weight_decay"):
            require(options[name] >= 0, f"SGD needs {name} >= 0, got {options[name]}")
        steady = options["momentum"] > 0 and options["dampening"] == 0
        require(
            steady or not options["nesterov"],
            f"nesterov needs momentum > 0 and dampening = 0, got {options['momentum']} and {options['dampening']}",
        )

    def prepare(self, parameter: Any, state: State, group: Group) -> tuple[list[Array], float]:
        """[b] if there is momentum, and how much of d goes into b: all of it in the first step."""
        if group["momentum"] == 0:
            return [], 0.0
        first = state.get("momentum_buffer") is None
        if first:
            state["momentum_buffer"] = zeros_like(parameter)
        return [state["momentum_buffer"].array], 1.0 if first else 1.0 - group["dampening"]

    def update(self, xp: Any, p: Array, g: Array, kept: list[Array], numbers: Any, group: Group, scratch: list[Array]) -> None:
        """Equations (1) to (4)."""
        s, t = scratch
        d = xp.negative(g, out=s) if group["maximize"] else g
        if group["weight_decay"] != 0:
            d = xp.add(xp.multiply(p, group["weight_decay"], out=t), d, out=s)  # (1)
        if kept:
            (b,) = kept
            axpby(xp, numbers, d, group["momentum"], b, t)  # (2)
            d = xp.add(xp.multiply(b, group["momentum"], out=t), d, out=s) if group["nesterov"] else b  # (3)
        axpby(xp, -group["lr"], d, 1, p, t)  # (4)

    def launch(self, group: Group) -> tuple[Any, ...]:
        """The same in tensors.cu."""
        options = [float(group[name]) for name in ("lr", "momentum", "weight_decay")]
        return "sgd", *options, -1.0 if group["maximize"] else 1.0, int(group["nesterov"])

    def of_each(self, numbers: Any, group: Group) -> tuple[float, ...]:
        """How much of d goes into b."""
        return (numbers,)
