"""A tensor that a Module owns and an optimiser changes."""

from __future__ import annotations

from typing import Any

import minigrad
from minigrad.tape import Leaf, version_of, wrap

__all__ = ["Parameter"]


class Parameter(minigrad.Tensor):
    """A leaf that wants a gradient; assigned to an attribute of a Module it is registered there.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html

    >>> Parameter(minigrad.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        source = minigrad.empty(0) if data is None else data if isinstance(data, minigrad.Tensor) else minigrad.tensor(data)
        made: Parameter = wrap(source.array).as_subclass(cls)
        made.version = version_of(source)
        return made.requires_grad_(requires_grad)

    def requires_grad_(self, requires_grad: bool = True) -> Parameter:
        """Make the parameter want a gradient, or stop wanting one; returns it."""
        super().requires_grad_(requires_grad)
        if isinstance(self.node, Leaf):
            self.node.op = "parameter"
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """A Parameter with values of its own; as in PyTorch, it starts without a gradient."""
        memo[id(self)] = twin = Parameter(self.detach().clone(), self.requires_grad)
        return twin

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()
