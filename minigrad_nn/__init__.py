"""Recurrent networks on minigrad, under PyTorch's names. Reading order: cells, recurrent, module, layers.

>>> import minigrad_nn as nn
>>> nn.Linear(3, 2)
Linear(in_features=3, out_features=2, bias=True)
"""

from typing import TYPE_CHECKING, Any

from minigrad.missing import explain

from . import functional, init, optim, utils, wrapped
from .cells import LSTMCell
from .container import ModuleDict, ModuleList, ParameterList, Sequential
from .layers import CrossEntropyLoss, Dropout, Embedding, Linear, MSELoss, NLLLoss, ReLU, Sigmoid, Tanh
from .module import Module
from .parameter import Parameter
from .recurrent import LSTM
from .wrapped import *  # noqa: F403

__all__ = [
    "LSTM", "CrossEntropyLoss", "Dropout", "Embedding", "LSTMCell", "Linear", "MSELoss", "Module", "ModuleDict", "ModuleList", "NLLLoss",
    "Parameter", "ParameterList", "ReLU", "Sequential", "Sigmoid", "Tanh", "functional", "init", "optim", "utils",
]  # fmt: skip
__all__ += wrapped.__all__


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise AttributeError(explain("nn", name, __all__))
