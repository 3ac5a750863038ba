"""What PyTorch keeps under torch.nn.utils (clipping, `rnn`) and torch.utils (`data`, `checkpoint`)."""

from typing import TYPE_CHECKING, Any

from minigrad.missing import explain

from . import checkpoint, data, rnn
from .clip_grad import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm

__all__ = ["checkpoint", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "data", "get_total_norm", "rnn"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise AttributeError(explain("nn.utils", name, __all__))
