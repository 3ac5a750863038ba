"""The states of recurrent networks, between chunks of text, between encoder and decoder, and before the first step.

Row k·D + d of a state (L·D, B, H) belongs to layer k and direction d. An LSTM has a pair of them, (h, c).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import minigrad
from minigrad import Tensor, backend, ops

from .layers import Linear
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence, host_lengths, pad_packed_sequence, taken

__all__ = [
    "InitialState", "StateBridge", "StateSizes", "detach_state", "last_outputs", "last_states", "require_matching_states", "top_state",
]  # fmt: skip


def detach_state(state: Any) -> Any:
    """The same numbers, cut from the tape, in the form they came in: a tensor, None, or tuples, lists and dicts of them.

    Between two chunks of a long text this is what ends the gradient's way back (truncated backpropagation through time).

    Raises: TypeError for anything else

    >>> h = minigrad.zeros(1, 2, requires_grad=True) * 2
    >>> detach_state((h, [h, None]))[1][0].requires_grad
    False
    """
    if state is None:
        return None
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, dict):
        return type(state)({name: detach_state(each) for name, each in state.items()})
    if isinstance(state, (tuple, list)):
        parts = [detach_state(each) for each in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    raise TypeError(f"a state is a tensor, None, or tuples, lists and dicts of them, got {type(state).__name__}")


def last_states(h_n: Any, num_layers: int = 1, bidirectional: bool = False) -> Any:
    """The last state of every layer and direction, on axes of their own; of each part of a pair (h_n, c_n).

    Shapes: (L·D, B, H) → (L, D, B, H), or (L·D, H) → (L, D, H)
    Raises: RuntimeError for a state that has not L·D rows

    >>> last_states(minigrad.zeros(6, 5, 4), num_layers=3, bidirectional=True).shape
    minigrad.Size([3, 2, 5, 4])
    """
    if isinstance(h_n, (tuple, list)):
        return tuple([last_states(each, num_layers, bidirectional) for each in h_n])
    directions = 2 if bidirectional else 1
    if h_n.array.ndim < 2 or h_n.array.shape[0] != num_layers * directions:
        wanted = f"{num_layers} layers · {directions} directions = {num_layers * directions} rows"
        raise RuntimeError(f"a state of {wanted} must have shape (L·D, B, H), got {tuple(h_n.shape)}")
    return h_n.reshape((num_layers, directions, *h_n.array.shape[1:]))


def top_state(h_n: Any, bidirectional: bool = False) -> Any:
    """The last state of the top layer, its directions side by side: what a classifier reads; of each part of a pair.

    The forward half has read the sequence up to its end, the reverse half back to its start, however it was padded, if
    it was packed. (`output[-1]` would hold the reverse half after a single step.)

    Shapes: (L·D, B, H) → (B, D·H), or (L·D, H) → (D·H,)

    >>> top_state(minigrad.zeros(6, 5, 4), bidirectional=True).shape
    minigrad.Size([5, 8])
    """
    if isinstance(h_n, (tuple, list)):
        return tuple([top_state(each, bidirectional) for each in h_n])
    directions = 2 if bidirectional else 1
    if h_n.array.ndim < 2 or h_n.array.shape[0] % directions or not h_n.array.shape[0]:
        raise RuntimeError(f"a state has shape (L·D, B, H) with D = {directions} here, got {tuple(h_n.shape)}")
    return ops.cat([h_n[row - directions] for row in range(directions)], dim=-1)


def last_outputs(output: Any, lengths: Any = None, batch_first: bool = False) -> Tensor:
    """Each sequence's output at its own last real step; of a PackedSequence, in the order in which it was packed.

    In a bidirectional layer, the reverse half there has seen one step only: see `top_state`.

    Shapes: output (T, B, *), or (B, T, *) with batch_first, and lengths (B,); or a PackedSequence alone → (B, *)
    Raises: RuntimeError for lengths that are not B numbers from 1 to T, TypeError where they are missing

    >>> last_outputs(minigrad.arange(6).reshape(3, 2), lengths=[3, 1]).tolist()
    [4, 1]
    """
    if isinstance(output, PackedSequence):
        output, lengths = pad_packed_sequence(output)
        batch_first = False
    if lengths is None:
        raise TypeError("last_outputs needs the lengths of the sequences, unless output is a PackedSequence")
    shape, sizes = output.array.shape, host_lengths(lengths)
    if len(shape) < 2:
        raise RuntimeError(f"output must have a time and a batch axis, got shape {tuple(shape)}")
    batch, steps = shape[:2] if batch_first else shape[1::-1]
    if sizes.size != batch or ((sizes < 1) | (sizes > steps)).any():
        wanted = f"an output of shape {tuple(shape)} with batch_first={batch_first} needs {batch} lengths from 1 to {steps}"
        raise RuntimeError(f"{wanted}, got {sizes.size}: {sizes.tolist()}")
    there = backend.of(output.array)
    last, rows = (there.from_host(each, output.device.index) for each in (sizes - 1, np.arange(batch)))
    return taken("last_outputs", output, (rows, last) if batch_first else (last, rows))


# -------------------------------------------------------------------------------------------- from encoder to decoder


class StateSizes(NamedTuple):
    """What decides whether one network can start from the state that another ended with.

    >>> import minigrad_nn as nn
    >>> StateSizes.of(nn.LSTM(3, 8, num_layers=2, bidirectional=True))
    StateSizes(num_layers=2, hidden_size=8, directions=2, proj_size=0, cell=True)
    """

    num_layers: int
    hidden_size: int
    directions: int = 1
    proj_size: int = 0
    cell: bool = True  # whether there is a c beside h, as in an LSTM

    @classmethod
    def of(cls, network: Any) -> StateSizes:
        """The sizes of a recurrent layer's state; StateSizes are returned as they are."""
        if isinstance(network, StateSizes):
            return network
        if not hasattr(network, "num_layers") or not hasattr(network, "hidden_size"):
            raise TypeError(f"expected a recurrent layer or StateSizes, got {type(network).__name__}")
        directions = 2 if network.bidirectional else 1
        return cls(network.num_layers, network.hidden_size, directions, getattr(network, "proj_size", 0), network.mode == "LSTM")

    @property
    def rows(self) -> int:
        """L·D, the first size of every state."""
        return self.num_layers * self.directions

    @property
    def widths(self) -> tuple[int, ...]:
        """The last size of each state: (R, H) for (h, c), or (R,) for h alone, where R is the projection's size or H."""
        shown = self.proj_size or self.hidden_size
        return (shown, self.hidden_size) if self.cell else (shown,)

    def __str__(self) -> str:
        states = ", ".join([f"{name}: ({self.rows}, B, {width})" for name, width in zip("hc", self.widths, strict=False)])
        ways = "both directions" if self.directions == 2 else "one direction"
        return f"{self.num_layers} layer{'s' * (self.num_layers > 1)}, {ways}, {states}"


def require_matching_states(encoder: Any, decoder: Any) -> None:
    """RuntimeError that names both sizes and the fix, if the decoder cannot start from the encoder's last state.

    Each is a recurrent layer or its StateSizes.

    >>> require_matching_states(StateSizes(2, 8), StateSizes(2, 8))
    """
    ours, theirs = StateSizes.of(encoder), StateSizes.of(decoder)
    if (ours.rows, ours.widths) != (theirs.rows, theirs.widths):
        raise RuntimeError(
            f"the decoder cannot start from the encoder's state: the encoder has {ours}; the decoder needs {theirs}. "
            "Put a StateBridge(encoder, decoder) between them, or give both the same sizes"
        )


class StateBridge(Module):
    """Carries an encoder's last state to a decoder of other sizes: one linear map for each state the decoder has.

    (1)  h' = W_h h + b_h, or tanh of it with tanh=True, as in Bahdanau et al. 2014, where h of a decoder lies in (-1, 1) too
    (2)  c' = W_c c + b_c            (from h where the encoder has no c)

    All layers and directions of a sequence's state stand side by side in h, so every row of h' may draw on all of them.

    Shapes: h (L·D, B, R), or the pair (h, c) of an LSTM → the decoder's h, or pair; the same without B
    Raises: RuntimeError for a state that is not of the encoder's sizes
    Source: Bahdanau, Cho & Bengio 2014, appendix A.2.2

    >>> import minigrad_nn as nn
    >>> encoder, decoder = nn.LSTM(3, 8, bidirectional=True), nn.LSTM(3, 5, num_layers=2)
    >>> h, c = StateBridge(encoder, decoder)(encoder(minigrad.zeros(7, 4, 3))[1])
    >>> h.shape
    minigrad.Size([2, 4, 5])
    """

    def __init__(self, encoder: Any, decoder: Any, tanh: bool = False, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.source, self.target, self.tanh = StateSizes.of(encoder), StateSizes.of(decoder), tanh
        drawn = self._drawn(self.source.widths)
        for name, width, wanted in zip("hc", drawn, self.target.widths, strict=False):
            setattr(self, name, Linear(self.source.rows * width, self.target.rows * wanted, bias, device, dtype))

    def forward(self, state: Any) -> Any:
        """The encoder's state → the decoder's"""
        states = tuple(state) if isinstance(state, (tuple, list)) else (state,)
        self._require_sizes(states)
        h, *c = [self._mapped(*each) for each in zip("hc", self._drawn(states), self.target.widths, strict=False)]
        h = ops.tanh(h) if self.tanh else h
        return (h, *c) if self.target.cell else h

    def _drawn(self, states: tuple[Any, ...]) -> tuple[Any, ...]:
        """What each of the decoder's states is computed from."""
        return (states[0], states[-1])[: len(self.target.widths)]

    def _mapped(self, name: str, state: Tensor, width: int) -> Tensor:
        batched = state if state.array.ndim == 3 else state.unsqueeze(1)  # (L·D, B, R)
        rows = getattr(self, name)(batched.transpose(0, 1).flatten(1))  # (B, L'·D'·R')
        made = rows.reshape(-1, self.target.rows, width).transpose(0, 1)  # (L'·D', B, R')
        return made if state.array.ndim == 3 else made.squeeze(1)

    def _require_sizes(self, states: tuple[Any, ...]) -> None:
        got = [tuple(each.shape) for each in states]
        fits = len(got) == len(self.source.widths) and all(
            len(shape) in (2, 3) and (shape[0], shape[-1]) == (self.source.rows, width)
            for shape, width in zip(got, self.source.widths, strict=True)
        )
        if not fits:
            raise RuntimeError(f"this bridge was made for {self.source}; got {', '.join(map(str, got))}")

    def extra_repr(self) -> str:
        return f"from: {self.source}; to: {self.target}, tanh={self.tanh}"


# ------------------------------------------------------------------------------------------------ before the first step


class InitialState(Module):
    """A first state that is learnt, the same for every sequence; it starts at 0.

    rows         L·D: layers times directions
    hidden_size  of c, and of h where there is no projection

    Shapes: batch_size B, or None without a batch → (h_0, c_0) of (L·D, B, R) and (L·D, B, H), h_0 alone without `cell`

    >>> h_0, c_0 = InitialState(2, 4)(batch_size=3)
    >>> h_0.shape, InitialState(2, 4, cell=False)(batch_size=None).shape
    (minigrad.Size([2, 3, 4]), minigrad.Size([2, 4]))
    """

    c: Parameter | None

    def __init__(self, rows: int, hidden_size: int, cell: bool = True, proj_size: int = 0, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.h = Parameter(minigrad.zeros(rows, 1, proj_size or hidden_size, device=device, dtype=dtype))
        self.register_parameter("c", Parameter(minigrad.zeros(rows, 1, hidden_size, device=device, dtype=dtype)) if cell else None)

    @classmethod
    def of(cls, network: Any) -> InitialState:
        """The first state of a recurrent layer, or of StateSizes."""
        sizes = StateSizes.of(network)
        place = next(iter(network.parameters()), None) if isinstance(network, Module) else None
        where = {} if place is None else {"device": place.device, "dtype": place.dtype}
        return cls(sizes.rows, sizes.hidden_size, sizes.cell, sizes.proj_size, **where)

    def forward(self, batch_size: int | None = None) -> Any:
        """B → the first state of a batch of B"""
        h, *c = [self._shared(each, batch_size) for each in (self.h, self.c) if each is not None]
        return (h, *c) if c else h

    def _shared(self, state: Tensor, batch_size: int | None) -> Tensor:
        return state.squeeze(1) if batch_size is None else state.expand(-1, batch_size, -1)

    def extra_repr(self) -> str:
        return f"h: {tuple(self.h.shape)}" + ("" if self.c is None else f", c: {tuple(self.c.shape)}")
