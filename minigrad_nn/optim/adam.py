"""Adam, and AdamW, whose weight decay does not pass through the averages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.backend import Array
from minigrad.ops.create import zeros_like

from .optimizer import Group, Optimizer, State, axpby, require

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Steps along the running mean m of the gradients g, divided by the root of the running mean v of their squares:

    (1)  d = g + λ p                            λ: weight_decay; −g in place of g with maximize
    (2)  m = β₁ m + (1 − β₁) d                  from 0
    (3)  v = β₂ v + (1 − β₂) d²                 from 0
    (4)  v̂ = max(v̂, v)                          with amsgrad; else v̂ = v
    (5)  s = √v̂ + ε √(1 − β₂ᵗ)
    (6)  p = p − η √(1 − β₂ᵗ) / (1 − β₁ᵗ) m / s     t: how many steps were taken, this one included; η: lr

    Both averages start at 0 and are too small by 1 − βᵗ; (5) and (6) divide that out, in the order of the paper's section
    2 that leaves only numbers to compute, with ε where its algorithm 1 has it.

    Raises  ValueError for a negative lr, eps or weight_decay, and for betas outside [0, 1)
    Cost    two arrays per parameter, for m and v; three with amsgrad
    Source  Kingma & Ba 2015, algorithm 1; amsgrad: Reddi et al. 2018, algorithm 2;
            https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html

    >>> import minigrad
    >>> p = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = Adam([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.9000, 1.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, {**defaults, "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay})

    def check(self, options: dict[str, Any]) -> None:
        """ValueError if an option is out of range."""
        for name in ("lr", "eps", "weight_decay"):
            require(options[name] >= 0, f"{type(self).__name__} needs {name} >= 0, got {options[name]}")
        inside = len(options["betas"]) == 2 and all(0 <= beta < 1 for beta in options["betas"])
        require(inside, f"{type(self).__name__} needs two betas in [0, 1), got {options['betas']}")

    def prepare(self, parameter: Any, state: State, group: Group) -> tuple[list[Array], tuple[float, float]]:
        """[m, v], with v̂ if amsgrad, and the corrections 1 − β₁ᵗ and √(1 − β₂ᵗ)."""
        names = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"][: 3 if group["amsgrad"] else 2]
        for name in names:
            if name not in state:
                state[name] = zeros_like(parameter)
        t = state["step"] = state.get("step", 0) + 1
        beta1, beta2 = group["betas"]
        return [state[name].array for name in names], (1 - beta1**t, (1 - beta2**t) ** 0.5)

    def update(self, xp: Any, p: Array, g: Array, kept: list[Array], numbers: Any, group: Group, scratch: list[Array]) -> None:
        """Equations (1) to (6)."""
        m, v, *most = kept
        s, t = scratch
        (beta1, beta2), (correction1, correction2) = group["betas"], numbers
        d = self._decayed(xp, p, g, group, s, t)  # (1)
        axpby(xp, 1 - beta1, d, beta1, m, t)  # (2)
        axpby(xp, 1 - beta2, xp.multiply(d, d, out=s), beta2, v, s)  # (3)
        v_hat = xp.maximum(most[0], v, out=most[0]) if most else v  # (4)
        xp.add(xp.sqrt(v_hat, out=s), group["eps"] * correction2, out=s)  # (5)
        axpby(xp, -group["lr"] * correction2 / correction1, xp.divide(m, s, out=s), 1, p, s)  # (6)

    def _decayed(self, xp: Any, p: Array, g: Array, group: Group, s: Array, t: Array) -> Array:
        """d of equation (1), or with decoupled decay d = g and p = (1 − η λ) p at once"""
        d = xp.negative(g, out=s) if group["maximize"] else g
        decay = group["weight_decay"]
        if decay == 0:
            return d
        if group["decoupled_weight_decay"]:
            xp.multiply(p, 1 - group["lr"] * decay, out=p)
            return d
        return xp.add(xp.multiply(p, decay, out=t), d, out=s)

    def launch(self, group: Group) -> tuple[Any, ...]:
        """The same in tensors.cu."""
        (beta1, beta2), decay, decoupled = group["betas"], float(group["weight_decay"]), group["decoupled_weight_decay"]
        decay, shrink = (0.0, 1 - float(group["lr"]) * decay) if decoupled else (decay, 1.0)
        return "adam", float(beta1), float(beta2), decay, shrink, -1.0 if group["maximize"] else 1.0

    def of_each(self, numbers: Any, group: Group) -> tuple[float, ...]:
        """The size of a step, and ε √(1 − β₂ᵗ)."""
        correction1, correction2 = numbers
        return group["lr"] * correction2 / correction1, group["eps"] * correction2


class AdamW(Adam):
    """Adam with weights that shrink by a fixed share per step, whatever their gradients: in place of Adam's (1),

    (1)  p = (1 − η λ) p,  d = g

    Source  Loshchilov & Hutter 2019, algorithm 2; https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html

    >>> import minigrad
    >>> p = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> p.grad = minigrad.zeros(2)
    >>> AdamW([p], lr=0.1, weight_decay=0.5).step()
    >>> p
    tensor([0.9500, 1.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)
