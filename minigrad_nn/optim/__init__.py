"""Optimisers: what changes parameters once their gradients are known. Reading order: optimizer, sgd, adam."""

from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
