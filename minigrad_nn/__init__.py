"""Recurrent networks on minigrad, under PyTorch's names. Reading order: cells, recurrent, module, layers.

>>> import minigrad_nn as nn
>>> nn.Linear(3, 2)
Linear(in_features=3, out_features=2, bias=True)
"""

from . import conventions, functional, init, masks, optim, states, utils
from .cells import LSTMCell
from .container import ModuleList, Sequential
from .layers import CrossEntropyLoss, Dropout, Embedding, Linear, MSELoss, NLLLoss, ReLU, Sigmoid, Tanh
from .masks import masked_cross_entropy, masked_mean, sequence_mask, sequence_mask_
from .module import Module
from .parameter import Parameter
from .recurrent import LSTM
from .states import InitialState, StateBridge, detach_state, last_outputs, last_states, require_matching_states, top_state

__all__ = [
    "LSTM", "CrossEntropyLoss", "Dropout", "Embedding", "InitialState", "LSTMCell", "Linear", "MSELoss", "Module", "ModuleList",
    "NLLLoss", "Parameter", "ReLU", "Sequential", "Sigmoid", "StateBridge", "Tanh", "conventions", "detach_state", "functional", "init",
    "last_outputs", "last_states", "masked_cross_entropy", "masked_mean", "masks", "optim", "require_matching_states",
    "sequence_mask", "sequence_mask_", "states", "top_state", "utils",
]  # fmt: skip
