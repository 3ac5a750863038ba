"""RMSprop: each element of a gradient is divided by its own recent size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.backend import Array
from minigrad.ops.create import zeros_like

from .optimizer import Group, Optimizer, State, axpby, require

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """Steps against the gradient g, each element divided by the root of the running mean v of its squares:

    (1)  d = g + λ p                    λ: weight_decay; −g in place of g with maximize
    (2)  v = α v + (1 − α) d²           from 0
    (3)  m = α m + (1 − α) d            from 0; with centered, else m = 0
    (4)  r = d / (√(v − m²) + ε)
    (5)  b = μ b + r                    from 0; μ: momentum
    (6)  p = p − η b                    η: lr

    Raises  ValueError for a negative option
    Cost    an array per parameter for v, one more for b with momentum, one more for m if centered
    Source  Tieleman & Hinton 2012, lecture 6e; centered: Graves 2013, equations 38 to 45;
            https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html

    >>> import minigrad
    >>> p = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = RMSprop([p], lr=0.01)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.9000, 1.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {**defaults, "centered": centered, "maximize": maximize})

    def check(self, options: dict[str, Any]) -> None:
        """ValueError if an option is out of range."""
        for name in ("lr", "alpha", "eps", "weight_decay", "momentum"):
            require(options[name] >= 0, f"RMSprop needs {name} >= 0, got {options[name]}")

    def prepare(self, parameter: Any, state: State, group: Group) -> tuple[list[Array], None]:
        """[v], with m if centered and b if there is momentum."""
        names = ["square_avg"] + ["grad_avg"] * bool(group["centered"]) + ["momentum_buffer"] * (group["momentum"] > 0)
        for name in names:
            if state.get(name) is None:
                state[name] = zeros_like(parameter)
        state["step"] = state.get("step", 0) + 1
        return [state[name].array for name in names], None

    def update(self, xp: Any, p: Array, g: Array, kept: list[Array], numbers: Any, group: Group, scratch: list[Array]) -> None:
        """Equations (1) to (6)."""
        s, t = scratch
        v, *others = kept
        m = others.pop(0) if group["centered"] else None
        alpha = group["alpha"]
        d = xp.negative(g, out=s) if group["maximize"] else g
        if group["weight_decay"] != 0:
            d = xp.add(xp.multiply(p, group["weight_decay"], out=t), d, out=s)  # (1)
        axpby(xp, 1 - alpha, xp.multiply(d, d, out=t), alpha, v, t)  # (2)
        variance = v
        if m is not None:
            axpby(xp, 1 - alpha, d, alpha, m, t)  # (3)
            variance = xp.subtract(v, xp.multiply(m, m, out=t), out=t)
        r = xp.divide(d, xp.add(xp.sqrt(variance, out=t), group["eps"], out=t), out=t)  # (4)
        if others:
            axpby(xp, 1, r, group["momentum"], others[0], t)  # (5)
        axpby(xp, -group["lr"], others[0] if others else r, 1, p, t)  # (6)

    def launch(self, group: Group) -> tuple[Any, ...]:
        """The same in tensors.cu."""
        options = [float(group[name]) for name in ("lr", "alpha", "eps", "weight_decay", "momentum")]
        return "rmsprop", *options, -1.0 if group["maximize"] else 1.0, int(group["centered"])
