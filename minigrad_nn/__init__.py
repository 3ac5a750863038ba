"""Recurrent networks on minigrad, under PyTorch's names. Reading order: cells, recurrent, module, layers.

>>> import minigrad_nn as nn
>>> nn.Linear(3, 2)
Linear(in_features=3, out_features=2, bias=True)
"""

from . import functional, init, optim, utils
from .cells import LSTMCell
from .container import ModuleList, Sequential
from .layers import CrossEntropyLoss, Dropout, Embedding, Linear, MSELoss, NLLLoss, ReLU, Sigmoid, Tanh
from .module import Module
from .parameter import Parameter
from .recurrent import LSTM

__all__ = [
    "LSTM", "CrossEntropyLoss", "Dropout", "Embedding", "LSTMCell", "Linear", "MSELoss", "Module", "ModuleList", "NLLLoss",
    "Parameter", "ReLU", "Sequential", "Sigmoid", "Tanh", "functional", "init", "optim", "utils",
]  # fmt: skip
