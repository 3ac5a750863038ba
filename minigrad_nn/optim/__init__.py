"""Optimisers: what changes parameters once their gradients are known. Reading order: optimizer, sgd, adam."""

from typing import TYPE_CHECKING, Any

from minigrad.missing import explain

from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise AttributeError(explain("optim", name, __all__))
