"""Recurrent networks on minigrad, under PyTorch's names. Reading order: cells, recurrent, module, layers.

>>> import minigrad_nn as nn
>>> nn.Linear(3, 2)
Linear(in_features=3, out_features=2, bias=True)
"""

from . import conventions, functional, init, masks, optim, states, utils
from .cells import GRUCell, LSTMCell, RNNCell, RNNCellBase
from .container import ModuleList, Sequential
from .layers import CrossEntropyLoss, Dropout, Embedding, LayerNorm, Linear, MSELoss, NLLLoss, ReLU, Sigmoid, Tanh
from .masks import masked_cross_entropy, masked_mean, sequence_mask, sequence_mask_
from .module import Module
from .parameter import Parameter
from .recurrent import GRU, LSTM, RNN, RNNBase, path
from .scan import scan
from .stacked import Bidirectional, Scan, Stacked
from .states import InitialState, StateBridge, detach_state, last_outputs, last_states, require_matching_states, top_state
from .summary import summary
from .variants import LayerNormGRUCell, LayerNormLSTMCell, PeepholeLSTMCell
from .wrappers import VariationalDropout, Zoneout

__all__ = [
    "GRU", "LSTM", "RNN", "Bidirectional", "CrossEntropyLoss", "Dropout", "Embedding", "GRUCell", "InitialState", "LSTMCell",
    "LayerNorm", "LayerNormGRUCell", "LayerNormLSTMCell", "Linear", "MSELoss", "Module", "ModuleList", "NLLLoss", "Parameter",
    "PeepholeLSTMCell", "RNNBase", "RNNCell", "RNNCellBase", "ReLU", "Scan", "Sequential", "Sigmoid", "Stacked", "StateBridge", "Tanh",
    "VariationalDropout", "Zoneout", "conventions", "detach_state", "functional", "init", "last_outputs", "last_states",
    "masked_cross_entropy", "masked_mean", "masks", "optim", "path", "require_matching_states", "scan", "sequence_mask",
    "sequence_mask_", "states", "summary", "top_state", "utils",
]  # fmt: skip
