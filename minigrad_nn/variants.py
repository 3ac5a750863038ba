"""Cells that people ask for beside the three of cells.py: normalized LSTM and GRU, and an LSTM whose gates see its memory.

They are called like the built-in cells, check what those check, and run wherever a cell runs: `scan`, `Stacked`, `Bidirectional`.
"""

from __future__ import annotations

import math
from typing import Any

import minigrad
from minigrad import Tensor
from minigrad.ops import sigmoid, tanh
from minigrad.ops.matrix import linear

from . import init
from .cells import RNNCellBase
from .functional import layer_norm
from .parameter import Parameter

__all__ = ["LayerNormGRUCell", "LayerNormLSTMCell", "PeepholeLSTMCell", "layer_norm_gru_step", "layer_norm_lstm_step", "peephole_lstm_step"]


def layer_norm_lstm_step(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    W_ih: Tensor,
    W_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    gain_ih: Tensor,
    gain_hh: Tensor,
    gain_c: Tensor,
    b_c: Tensor | None,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """The state (h, c) one time step later, with three norms: over what x gives, over what h gives, and over c on its way out.

    LN(v) is v with mean 0 and deviation 1. The first two stand over all 4H rows together, before any bias; the third
    stands between c and what is shown of it, while c itself goes on to the next step as it is.

        (1)  a = gain_ih * LN(W_ih @ x) + b_ih + gain_hh * LN(W_hh @ h) + b_hh      rows i, f, g, o
        (2)  i, f, g, o = sigmoid(a_i), sigmoid(a_f), tanh(a_g), sigmoid(a_o)
        (3)  c = f * c + i * g
        (4)  h = o * tanh(gain_c * LN(c) + b_c)

    Shapes: x (B, I), h and c (B, H), W_ih (4H, I), W_hh (4H, H), b_ih b_hh gain_ih gain_hh (4H,), gain_c b_c (H,)
    Source: Ba, Kiros & Hinton 2016, supplementary material; their b is b_ih + b_hh, which are the norms' own shifts too
    """
    a = layer_norm(linear(x, W_ih, batch_last=True), gain_ih.shape, gain_ih, b_ih, eps)  # (B, 4H)
    a = a + layer_norm(linear(h, W_hh, batch_last=True), gain_hh.shape, gain_hh, b_hh, eps)  # (1)
    i, f, g, o = a.chunk(4, 1)  # (B, H) each
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)  # (2)
    c = f * c + i * g  # (3)
    h = o * tanh(layer_norm(c, gain_c.shape, gain_c, b_c, eps))  # (4)
    return h, c


def layer_norm_gru_step(
    x: Tensor,
    h: Tensor,
    W_ih: Tensor,
    W_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    gain_ih: Tensor,
    gain_hh: Tensor,
    eps: float = 1e-5,
) -> Tensor:
    """The state h one time step later, with four norms: over the 2H rows of r and z, and over the H rows of n, from x and from h.

    LN(v) is v with mean 0 and deviation 1; every bias stands behind the norm, and the reset gate behind that.

        (1)  r, z = sigmoid(gain * LN(W_i,rz @ x) + b_i,rz + gain * LN(W_h,rz @ h) + b_h,rz)
        (2)  n = tanh(gain * LN(W_in @ x) + b_in + r * (gain * LN(W_hn @ h) + b_hn))
        (3)  h = (1 - z) * n + z * h

    Shapes: x (B, I), h (B, H), W_ih (3H, I), W_hh (3H, H), biases and gains (3H,): rows r, z, n
    Source: Ba, Kiros & Hinton 2016, supplementary material, where z and 1 - z are swapped
    """
    rows = [2 * h.array.shape[1], h.array.shape[1]]
    rz_x, n_x = _normalized(linear(x, W_ih, batch_last=True), rows, gain_ih, b_ih, eps)  # (B, 2H), (B, H)
    rz_h, n_h = _normalized(linear(h, W_hh, batch_last=True), rows, gain_hh, b_hh, eps)
    r, z = sigmoid(rz_x + rz_h).chunk(2, 1)  # (1)  (B, H) each
    n = tanh(n_x + r * n_h)  # (2)
    return (1 - z) * n + z * h  # (3)


def _normalized(a: Tensor, rows: list[int], gain: Tensor, bias: Tensor | None, eps: float) -> list[Tensor]:
    """The columns of a (B, 3H) in groups of `rows`, each group normalized by itself, with its part of gain and bias."""
    shifts = [None] * len(rows) if bias is None else bias.split(rows)
    return [layer_norm(part, scale.shape, scale, shift, eps) for part, scale, shift in zip(a.split(rows, 1), gain.split(rows), shifts)]


def peephole_lstm_step(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    W_ih: Tensor,
    W_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    w_ci: Tensor,
    w_cf: Tensor,
    w_co: Tensor,
) -> tuple[Tensor, Tensor]:
    """The state (h, c) one time step later; the gates see the memory too, each unit its own: i and f the old one, o the new.

        (1)  i = sigmoid(W_ii @ x + b_ii + W_hi @ h + b_hi + w_ci * c)
        (2)  f = sigmoid(W_if @ x + b_if + W_hf @ h + b_hf + w_cf * c)
        (3)  g = tanh(W_ig @ x + b_ig + W_hg @ h + b_hg)
        (4)  c = f * c + i * g
        (5)  o = sigmoid(W_io @ x + b_io + W_ho @ h + b_ho + w_co * c)
        (6)  h = o * tanh(c)

    Shapes: x (B, I), h and c (B, H), W_ih (4H, I), W_hh (4H, H), biases (4H,), rows i, f, g, o; w_ci, w_cf, w_co (H,)
    Source: Gers & Schmidhuber 2000; Gers, Schraudolph & Schmidhuber 2002
    """
    gates = linear(x, W_ih, b_ih, batch_last=True) + linear(h, W_hh, b_hh, batch_last=True)  # (B, 4H)
    i, f, g, o = gates.chunk(4, 1)  # (B, H) each
    i = sigmoid(i + w_ci * c)  # (1)
    f = sigmoid(f + w_cf * c)  # (2)
    g = tanh(g)  # (3)
    c = f * c + i * g  # (4)
    o = sigmoid(o + w_co * c)  # (5)
    h = o * tanh(c)  # (6)
    return h, c


class LayerNormLSTMCell(RNNCellBase):
    """One step of an LSTM with layer normalization, equations (1) to (4) of `layer_norm_lstm_step`.

    Gains begin as ones, `bias_c` as zeros, everything else as in `LSTMCell`.

    Shapes: input (B, I) or (I,), hx a pair of (B, H) or (H,), zeros by default → (h, c) of the states' shape
    Raises: ValueError for an input that is neither a vector nor a matrix, RuntimeError for sizes that do not fit
    Source: Ba, Kiros & Hinton 2016

    >>> h, c = LayerNormLSTMCell(3, 2)(minigrad.zeros(5, 3))
    >>> h.shape, c.shape
    (minigrad.Size([5, 2]), minigrad.Size([5, 2]))
    """

    state_names = ("h", "c")

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None, *, eps: float = 1e-5
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)
        place = {"device": device, "dtype": dtype}
        self.eps = eps
        self.gain_ih, self.gain_hh = (Parameter(minigrad.ones(4 * hidden_size, **place)) for _ in "xh")
        self.gain_c = Parameter(minigrad.ones(hidden_size, **place))
        self.register_parameter("bias_c", Parameter(minigrad.zeros(hidden_size, **place)) if bias else None)

    def reset_parameters(self) -> None:
        """Draw weights and biases uniform in ±1/√hidden_size; gains become ones, `bias_c` zeros."""
        super().reset_parameters()
        _reset_norms(self)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """(B, I) and a state → the next state (h, c)"""
        x, (h, c) = self._batched(input, hx)
        h, c = layer_norm_lstm_step(x, h, c, *self._weights(), self.gain_ih, self.gain_hh, self.gain_c, self.bias_c, self.eps)
        return (h, c) if input.array.ndim == 2 else (h.squeeze(0), c.squeeze(0))


class LayerNormGRUCell(RNNCellBase):
    """One step of a GRU with layer normalization, equations (1) to (3) of `layer_norm_gru_step`.

    Gains begin as ones, everything else as in `GRUCell`.

    Shapes: input (B, I) or (I,), hx (B, H) or (H,), zeros by default → h of the state's shape
    Raises: ValueError for an input that is neither a vector nor a matrix, RuntimeError for sizes that do not fit
    Source: Ba, Kiros & Hinton 2016

    >>> LayerNormGRUCell(3, 2)(minigrad.zeros(5, 3)).shape
    minigrad.Size([5, 2])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None, *, eps: float = 1e-5
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)
        self.eps = eps
        self.gain_ih, self.gain_hh = (Parameter(minigrad.ones(3 * hidden_size, device=device, dtype=dtype)) for _ in "xh")

    def reset_parameters(self) -> None:
        """Draw weights and biases uniform in ±1/√hidden_size; gains become ones."""
        super().reset_parameters()
        _reset_norms(self)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(B, I) and a state → the next state h"""
        x, (h,) = self._batched(input, hx)
        h = layer_norm_gru_step(x, h, *self._weights(), self.gain_ih, self.gain_hh, self.eps)
        return h if input.array.ndim == 2 else h.squeeze(0)


def _reset_norms(cell: RNNCellBase) -> None:
    """Gains to ones and `bias_c` to zeros, where a cell has them already."""
    for name, parameter in cell.named_parameters():
        if name.startswith("gain_"):
            init.ones_(parameter)
        elif name == "bias_c":
            init.zeros_(parameter)


class PeepholeLSTMCell(RNNCellBase):
    """One step of an LSTM with peepholes, equations (1) to (6) of `peephole_lstm_step`.

    Shapes: input (B, I) or (I,), hx a pair of (B, H) or (H,), zeros by default → (h, c) of the states' shape
    Raises: ValueError for an input that is neither a vector nor a matrix, RuntimeError for sizes that do not fit
    Source: Gers & Schmidhuber 2000; Gers, Schraudolph & Schmidhuber 2002

    >>> h, c = PeepholeLSTMCell(3, 2)(minigrad.zeros(5, 3))
    >>> h.shape, c.shape
    (minigrad.Size([5, 2]), minigrad.Size([5, 2]))
    """

    state_names = ("h", "c")

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)
        for name in ("weight_ci", "weight_cf", "weight_co"):
            peephole = Parameter(minigrad.empty(hidden_size, device=device, dtype=dtype))
            setattr(self, name, init.uniform_(peephole, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size)))

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """(B, I) and a state → the next state (h, c)"""
        x, (h, c) = self._batched(input, hx)
        h, c = peephole_lstm_step(x, h, c, *self._weights(), self.weight_ci, self.weight_cf, self.weight_co)
        return (h, c) if input.array.ndim == 2 else (h.squeeze(0), c.squeeze(0))
