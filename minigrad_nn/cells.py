"""One step of a recurrent network. Read this first: a layer is a cell repeated over time, nothing more."""

from __future__ import annotations

import math
from typing import Any

import minigrad
from minigrad import Tensor
from minigrad.ops import sigmoid, tanh
from minigrad.ops.matrix import linear

from . import init
from .module import Module
from .parameter import Parameter

__all__ = ["LSTMCell", "lstm_step"]


def lstm_step(
    x: Tensor, h: Tensor, c: Tensor, W_ih: Tensor, W_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, W_hr: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The state (h, c) one time step later.

    All four gates come from one pair of products; their rows stand in the weights in the order i, f, g, o.

        (1)  i = sigmoid(W_ii @ x + b_ii + W_hi @ h + b_hi)     what to let in
        (2)  f = sigmoid(W_if @ x + b_if + W_hf @ h + b_hf)     what to keep
        (3)  g = tanh(W_ig @ x + b_ig + W_hg @ h + b_hg)        what could be let in
        (4)  o = sigmoid(W_io @ x + b_io + W_ho @ h + b_ho)     what to show
        (5)  c = f * c + i * g                                  the memory, changed only by scaling and adding
        (6)  h = o * tanh(c)                                    what the memory shows
        (7)  h = W_hr @ h                                       with a projection only

    Shapes: x (B, I), h (B, H), or (B, P) with a projection, c (B, H), W_ih (4H, I), W_hh (4H, H), or (4H, P), biases (4H,), W_hr (P, H)
    Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000; equations as in
        https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
    """
    gates = linear(x, W_ih, b_ih, batch_last=True) + linear(h, W_hh, b_hh, batch_last=True)  # (B, 4H)
    i, f, g, o = gates.chunk(4, 1)  # (B, H) each
    i = sigmoid(i)  # (1)
    f = sigmoid(f)  # (2)
    g = tanh(g)  # (3)
    o = sigmoid(o)  # (4)
    c = f * c + i * g  # (5)
    h = o * tanh(c)  # (6)
    if W_hr is not None:
        h = linear(h, W_hr, batch_last=True)  # (7)
    return h, c


class LSTMCell(Module):
    """One step of an LSTM, equations (1) to (6) of `lstm_step`.

    Shapes: input (B, I) or (I,), hx a pair of (B, H) or (H,), zeros by default → (h, c) of the states' shape
    Raises: ValueError for an input that is neither a vector nor a matrix, RuntimeError for sizes that do not fit
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html

    >>> h, c = LSTMCell(3, 2)(minigrad.zeros(5, 3))
    >>> h.shape, c.shape
    (minigrad.Size([5, 2]), minigrad.Size([5, 2]))
    """

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        require_sizes(input_size=input_size, hidden_size=hidden_size)
        require_flags(bias=bias)
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        place = {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(minigrad.empty(4 * hidden_size, input_size, **place))
        self.weight_hh = Parameter(minigrad.empty(4 * hidden_size, hidden_size, **place))
        self.register_parameter("bias_ih", Parameter(minigrad.empty(4 * hidden_size, **place)) if bias else None)
        self.register_parameter("bias_hh", Parameter(minigrad.empty(4 * hidden_size, **place)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter uniform in ±1/√hidden_size."""
        reset(self, self.hidden_size)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """(B, I) and a state → the next state (h, c)"""
        x, states = self._batched(input, hx)
        h, c = lstm_step(x, *states, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return (h, c) if input.array.ndim == 2 else (h.squeeze(0), c.squeeze(0))

    def _batched(self, input: Tensor, hx: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Input and states, checked, with a batch axis."""
        shape = input.array.shape
        if len(shape) not in (1, 2):
            raise ValueError(f"a cell takes an input (B, I) or (I,), got shape {tuple(shape)}; a layer takes whole sequences")
        if shape[-1] != self.input_size:
            raise RuntimeError(f"this cell has input_size={self.input_size}, got an input of shape {tuple(shape)}")
        wanted = (*shape[:-1], self.hidden_size)
        if hx is None:
            zeros = minigrad.zeros_like(input, shape=wanted if len(shape) == 2 else (1, self.hidden_size))
            return (input if len(shape) == 2 else input.unsqueeze(0)), (zeros, zeros)
        for name, state in zip(("h", "c"), hx, strict=True):
            if state.array.ndim not in (1, 2):
                raise ValueError(f"the state {name} must be (B, H) or (H,), got shape {tuple(state.shape)}")
            if state.array.shape != wanted:
                raise RuntimeError(f"the state {name} must have shape {wanted} beside an input of {tuple(shape)}, got {tuple(state.shape)}")
        h, c = hx
        return (input, (h, c)) if len(shape) == 2 else (input.unsqueeze(0), (h.unsqueeze(0), c.unsqueeze(0)))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


# ------------------------------------------------------------------------------------- what all recurrent modules check


def require_sizes(**sizes: Any) -> None:
    """TypeError for a size that is no int, ValueError for one that is not positive."""
    for name, size in sizes.items():
        if type(size) is not int:
            raise TypeError(f"{name} must be an int, got {type(size).__name__} {size!r}")
        if size <= 0:
            raise ValueError(f"{name} must be positive, got {size}")


def require_flags(**flags: Any) -> None:
    """TypeError for a flag that is no bool: most often an argument in the wrong position."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, got {flag!r}; is an argument in the wrong position?")


def reset(module: Module, hidden_size: int) -> None:
    """Draw every parameter of a recurrent module uniform in ±1/√hidden_size."""
    bound = 1 / math.sqrt(hidden_size)
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)
