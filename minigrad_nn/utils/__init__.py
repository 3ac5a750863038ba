"""What PyTorch keeps under torch.nn.utils (clipping of gradients, packing of sequences in `rnn`) and torch.utils (`data`)."""

from . import data, rnn
from .clip_grad import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "data", "get_total_norm", "rnn"]
