"""One step of a recurrent network. Read this first: a layer is a cell repeated over time, nothing more."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import minigrad
from minigrad import Tensor
from minigrad.ops import sigmoid, tanh
from minigrad.ops.matrix import linear

from . import init
from .checks import activation_of, require_device, require_flags, require_sizes
from .module import Module
from .parameter import Parameter

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase", "gru_step", "lstm_step", "reset", "rnn_step"]

Note = dict[str, Tensor]  # where a step notes its gates for those who asked to see them


def rnn_step(
    x: Tensor, h: Tensor, W_ih: Tensor, W_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, activation: Callable[[Any], Any] = tanh
) -> Tensor:
    """The state h one time step later.

        (1)  h = activation(W_ih @ x + b_ih + W_hh @ h + b_hh)

    Shapes: x (B, I), h (B, H), W_ih (H, I), W_hh (H, H), biases (H,)
    Source: Elman 1990; as in https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html
    """
    return activation(linear(x, W_ih, b_ih, batch_last=True) + linear(h, W_hh, b_hh, batch_last=True))  # (1)


def lstm_step(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    W_ih: Tensor,
    W_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    W_hr: Tensor | None = None,
    note: Note | None = None,
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
    if note is not None:
        note.update(i=i, f=f, g=g, o=o, c=c)
    return h, c


def gru_step(
    x: Tensor,
    h: Tensor,
    W_ih: Tensor,
    W_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    reset_after: bool = True,
    note: Note | None = None,
) -> Tensor:
    """The state h one time step later. The rows of the gates stand in the weights in the order r, z, n.

        (1)  r = sigmoid(W_ir @ x + b_ir + W_hr @ h + b_hr)         what to look at
        (2)  z = sigmoid(W_iz @ x + b_iz + W_hz @ h + b_hz)         what to keep
        (3)  n = tanh(W_in @ x + b_in + r * (W_hn @ h + b_hn))      what could come instead
        (3b) n = tanh(W_in @ x + b_in + W_hn @ (r * h) + b_hn)      the same with reset_after=False
        (4)  h = (1 - z) * n + z * h

    (3) is PyTorch's and cuDNN's: the reset gate acts after the product. (3b) is the papers' and most tutorials'.

    Shapes: x (B, I), h (B, H), W_ih (3H, I), W_hh (3H, H), biases (3H,)
    Source: Cho et al. 2014, whose z and 1 - z are swapped; https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html
    """
    H = h.array.shape[1]
    r, z, n = linear(x, W_ih, b_ih, batch_last=True).chunk(3, 1)  # (B, H) each
    if reset_after:
        r_h, z_h, n_h = linear(h, W_hh, b_hh, batch_last=True).chunk(3, 1)  # (B, H) each
    else:
        b_rz, b_n = (None, None) if b_hh is None else (b_hh[: 2 * H], b_hh[2 * H :])
        r_h, z_h = linear(h, W_hh[: 2 * H], b_rz, batch_last=True).chunk(2, 1)  # (B, H) each
    r = sigmoid(r + r_h)  # (1)
    z = sigmoid(z + z_h)  # (2)
    n = tanh(n + (r * n_h if reset_after else linear(r * h, W_hh[2 * H :], b_n, batch_last=True)))  # (3) or (3b)
    h = (1 - z) * n + z * h  # (4)
    if note is not None:
        note.update(r=r, z=z, n=n)
    return h


class RNNCellBase(Module):
    """What the three cells share: the parameters, and the checks of what they are given.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html
    """

    bias_ih: Parameter | None
    bias_hh: Parameter | None
    state_names: tuple[str, ...] = ("h",)

    def __init__(self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None) -> None:
        require_sizes(input_size=input_size, hidden_size=hidden_size)
        require_flags(bias=bias)
        require_device(type(self).__name__, device)
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows, place = num_chunks * hidden_size, {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(minigrad.empty(rows, input_size, **place))
        self.weight_hh = Parameter(minigrad.empty(rows, hidden_size, **place))
        self.register_parameter("bias_ih", Parameter(minigrad.empty(rows, **place)) if bias else None)
        self.register_parameter("bias_hh", Parameter(minigrad.empty(rows, **place)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter uniform in ±1/√hidden_size."""
        reset(self, self.hidden_size)

    def _weights(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _batched(self, input: Tensor, hx: Any) -> tuple[Tensor, list[Tensor]]:
        """Input and states, checked, with a batch axis."""
        if not isinstance(input, Tensor):
            raise TypeError(f"{type(self).__name__} takes a tensor, got {type(input).__name__}")
        shape = input.array.shape
        if len(shape) not in (1, 2):
            raise ValueError(f"a cell takes an input (B, I) or (I,), got shape {tuple(shape)}; a layer takes whole sequences")
        if hx is not None:
            hx = self._listed(hx)
        if shape[-1] != self.input_size:
            raise RuntimeError(f"this cell has input_size={self.input_size}, got an input of shape {tuple(shape)}")
        wanted = (*shape[:-1], self.hidden_size)
        if hx is None:
            zeros = minigrad.zeros_like(input, shape=wanted if len(shape) == 2 else (1, self.hidden_size))
            return (input if len(shape) == 2 else input.unsqueeze(0)), [zeros] * len(self.state_names)
        for name, state in zip(self.state_names, hx):
            if state.array.shape != wanted:
                raise RuntimeError(f"the state {name} must have shape {wanted} beside an input of {tuple(shape)}, got {tuple(state.shape)}")
            if state.array.dtype != input.array.dtype:
                raise RuntimeError(f"the state {name} must have the input's dtype {input.dtype}, got {state.dtype}")
        return (input, hx) if len(shape) == 2 else (input.unsqueeze(0), [state.unsqueeze(0) for state in hx])

    def _listed(self, hx: Any) -> list[Tensor]:
        """The states as a list, each of them a vector or a matrix."""
        names = self.state_names
        states = [hx] if len(names) == 1 else list(hx) if isinstance(hx, (tuple, list)) else []
        if len(states) != len(names) or not all(isinstance(state, Tensor) for state in states):
            wanted = "a tensor" if len(names) == 1 else f"a pair of tensors ({', '.join(names)})"
            raise TypeError(f"{type(self).__name__} takes its state as {wanted}, got {type(hx).__name__}")
        for name, state in zip(names, states):
            if state.array.ndim not in (1, 2):
                raise ValueError(f"the state {name} must be (B, H) or (H,), got shape {tuple(state.shape)}")
        return states

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of a simple recurrent network, equation (1) of `rnn_step`.

    Shapes: input (B, I) or (I,), hx (B, H) or (H,), zeros by default → h of the state's shape
    Raises: ValueError for an input that is neither a vector nor a matrix, or an unknown nonlinearity; RuntimeError for sizes that
        do not fit
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html; nonlinearity may also be "sigmoid" or a function

    >>> RNNCell(3, 2)(minigrad.zeros(5, 3)).shape
    minigrad.Size([5, 2])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: Any = "tanh", device: Any = None, dtype: Any = None
    ) -> None:
        activation_of(nonlinearity)  # refuses unknown names
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(B, I) and a state → the next state h"""
        x, (h,) = self._batched(input, hx)
        h = rnn_step(x, h, *self._weights(), activation_of(self.nonlinearity))
        return h if input.array.ndim == 2 else h.squeeze(0)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of an LSTM, equations (1) to (6) of `lstm_step`.

    Shapes: input (B, I) or (I,), hx a pair of (B, H) or (H,), zeros by default → (h, c) of the states' shape
    Raises: ValueError for an input that is neither a vector nor a matrix, RuntimeError for sizes that do not fit
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html

    >>> h, c = LSTMCell(3, 2)(minigrad.zeros(5, 3))
    >>> h.shape, c.shape
    (minigrad.Size([5, 2]), minigrad.Size([5, 2]))
    """

    state_names = ("h", "c")

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """(B, I) and a state → the next state (h, c)"""
        x, (h, c) = self._batched(input, hx)
        h, c = lstm_step(x, h, c, *self._weights())
        return (h, c) if input.array.ndim == 2 else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of a GRU, equations (1) to (4) of `gru_step`; `reset_after=False` makes it the papers' GRU.

    Shapes: input (B, I) or (I,), hx (B, H) or (H,), zeros by default → h of the state's shape
    Raises: ValueError for an input that is neither a vector nor a matrix, RuntimeError for sizes that do not fit
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GRUCell.html

    >>> GRUCell(3, 2)(minigrad.zeros(5, 3)).shape
    minigrad.Size([5, 2])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None, *, reset_after: bool = True
    ) -> None:
        require_flags(reset_after=reset_after)
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)
        self.reset_after = reset_after

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(B, I) and a state → the next state h"""
        x, (h,) = self._batched(input, hx)
        h = gru_step(x, h, *self._weights(), self.reset_after)
        return h if input.array.ndim == 2 else h.squeeze(0)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")


def reset(module: Module, hidden_size: int) -> None:
    """Draw every parameter of a recurrent module uniform in ±1/√hidden_size."""
    bound = 1 / math.sqrt(hidden_size)
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)
