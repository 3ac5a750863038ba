"""Recurrent networks on minigrad, under PyTorch's names. Reading order: cells, recurrent, module, layers.

>>> import minigrad_nn as nn
>>> nn.Linear(3, 2)
Linear(in_features=3, out_features=2, bias=True)
"""

from . import checkpoint, conventions, functional, init, masks, metrics, optim, states, utils
from .cells import LSTMCell
from .checkpoint import load_checkpoint, save_checkpoint
from .container import ModuleList, Sequential
from .layers import CrossEntropyLoss, Dropout, Embedding, Linear, MSELoss, NLLLoss, ReLU, Sigmoid, Tanh
from .masks import masked_cross_entropy, masked_mean, sequence_mask, sequence_mask_
from .module import Module
from .parameter import Parameter
from .recurrent import LSTM
from .states import InitialState, StateBridge, detach_state, last_outputs, last_states, require_matching_states, top_state
from .vocabulary import Vocabulary

__all__ = [
    "LSTM", "CrossEntropyLoss", "Dropout", "Embedding", "InitialState", "LSTMCell", "Linear", "MSELoss", "Module", "ModuleList",
    "NLLLoss", "Parameter", "ReLU", "Sequential", "Sigmoid", "StateBridge", "Tanh", "Vocabulary", "checkpoint", "conventions",
    "detach_state", "functional", "init", "last_outputs", "last_states", "load_checkpoint", "masked_cross_entropy",
    "masked_mean", "masks", "metrics", "optim", "require_matching_states", "save_checkpoint", "sequence_mask", "sequence_mask_",
    "states", "top_state", "utils",
]  # fmt: skip
