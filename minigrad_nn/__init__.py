"""Recurrent networks on minigrad, under PyTorch's names. Reading order: cells, recurrent, module, layers.

>>> import minigrad_nn as nn
>>> nn.Linear(3, 2)
Linear(in_features=3, out_features=2, bias=True)
"""

from typing import TYPE_CHECKING, Any

from minigrad.missing import explain

from . import (
    attention,
    checkpoint,
    conventions,
    decoding,
    functional,
    init,
    masks,
    metrics,
    optim,
    seq2seq,
    states,
    utils,
    wrapped,
)  # fmt: skip
from .attention import AdditiveAttention, DotProductAttention, masked_softmax
from .cells import GRUCell, LSTMCell, RNNCell, RNNCellBase
from .checkpoint import load_checkpoint, save_checkpoint
from .container import ModuleDict, ModuleList, ParameterList, Sequential
from .layers import CrossEntropyLoss, Dropout, Embedding, LayerNorm, Linear, MSELoss, NLLLoss, ReLU, Sigmoid, Tanh
from .masks import masked_cross_entropy, masked_mean, sequence_mask, sequence_mask_
from .module import Module
from .parameter import Parameter
from .recurrent import GRU, LSTM, RNN, RNNBase, path
from .scan import scan
from .seq2seq import Decoder, Encoder, EncoderDecoder
from .stacked import Bidirectional, Scan, Stacked
from .states import InitialState, StateBridge, detach_state, last_outputs, last_states, require_matching_states, top_state
from .summary import summary
from .variants import LayerNormGRUCell, LayerNormLSTMCell, PeepholeLSTMCell
from .vocabulary import Vocabulary
from .wrapped import *  # noqa: F403
from .wrappers import VariationalDropout, Zoneout

__all__ = [
    "GRU", "LSTM", "RNN", "AdditiveAttention", "Bidirectional", "CrossEntropyLoss", "Decoder", "DotProductAttention", "Dropout",
    "Embedding", "Encoder", "EncoderDecoder", "GRUCell", "InitialState", "LSTMCell", "LayerNorm", "LayerNormGRUCell",
    "LayerNormLSTMCell", "Linear", "MSELoss", "Module", "ModuleDict", "ModuleList", "NLLLoss", "Parameter", "ParameterList",
    "PeepholeLSTMCell", "RNNBase", "RNNCell", "RNNCellBase", "ReLU", "Scan", "Sequential", "Sigmoid", "Stacked", "StateBridge", "Tanh",
    "VariationalDropout", "Vocabulary", "Zoneout", "attention", "checkpoint", "conventions", "decoding", "detach_state", "functional",
    "init", "last_outputs", "last_states", "load_checkpoint", "masked_cross_entropy", "masked_mean", "masked_softmax", "masks",
    "metrics", "optim", "path", "require_matching_states", "save_checkpoint", "scan", "seq2seq", "sequence_mask", "sequence_mask_",
    "states", "summary", "top_state", "utils",
]  # fmt: skip
__all__ += wrapped.__all__


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise AttributeError(explain("nn", name, __all__))
