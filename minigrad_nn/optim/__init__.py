"""Optimisers: what changes parameters once their gradients are known. Reading order: optimizer, sgd, adam, lr_scheduler."""

from typing import TYPE_CHECKING, Any

from minigrad.missing import explain

from . import lr_scheduler
from .adagrad import Adadelta, Adagrad
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise AttributeError(explain("optim", name, __all__))
