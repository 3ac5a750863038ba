"""Any cells as layers: one over time, several on top of each other, two in opposite directions; sizes may differ everywhere.

What runs over whole sequences is called as layer(input, state) and gives (output, state): `Scan`, `Stacked`,
`Bidirectional`, and RNN, LSTM, GRU. Anything else among the arguments counts as a cell and is put into a `Scan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from minigrad import Tensor
from minigrad.ops import cat
from minigrad.state import Place, place, state

from . import functional as F
from .checks import require_dropout
from .container import ModuleList
from .module import Module
from .recurrent import RNNBase
from .scan import scan
from .utils.rnn import PackedSequence

__all__ = ["Bidirectional", "Scan", "Stacked"]

MERGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cat": lambda one, other: cat([one, other], -1),
    "sum": lambda one, other: one + other,
    "mean": lambda one, other: (one + other) / 2,
}


class Scan(Module):
    """A cell over whole sequences: `scan` as a Module.

    Shapes: input (T, B, …), or (B, T, …) with batch_first, or a PackedSequence; the cell's own state → output in the input's form, state

    >>> import minigrad
    >>> from minigrad_nn import GRUCell
    >>> output, h = Scan(GRUCell(3, 2), reverse=True)(minigrad.zeros(7, 5, 3))
    >>> output.shape, h.shape
    (minigrad.Size([7, 5, 2]), minigrad.Size([5, 2]))
    """

    def __init__(self, cell: Module, reverse: bool = False, batch_first: bool = False) -> None:
        super().__init__()
        if isinstance(cell, type) or not callable(cell):
            raise TypeError(f"a cell is called as cell(x, state): a Module or a function, got {cell!r}; of a class, give an instance")
        self.cell, self.reverse, self.batch_first = cell, reverse, batch_first

    def forward(self, input: Tensor | PackedSequence, state: Any = None) -> tuple[Any, Any]:
        """(T, B, …) and a state → (T, B, …) and a state"""
        return scan(self.cell, input, state, reverse=self.reverse, batch_first=self.batch_first)


class Stacked(Module):
    """Layers on top of each other: each reads what the one below shows, so that every layer may have its own kind and sizes.

    Shapes: input (T, B, …), or (B, T, …) with batch_first, or a PackedSequence; one state per layer, or None → output in the input's
        form, a tuple with the last state of each layer
    Raises: ValueError for layers that want the batch first (only the outermost does), or a state for another number of layers

    >>> import minigrad
    >>> from minigrad_nn import GRUCell, LSTMCell
    >>> output, (h, (h2, c2)) = Stacked([GRUCell(3, 6), LSTMCell(6, 2)])(minigrad.zeros(7, 5, 3))
    >>> output.shape, h.shape, c2.shape
    (minigrad.Size([7, 5, 2]), minigrad.Size([5, 6]), minigrad.Size([5, 2]))
    """

    def __init__(self, layers: Iterable[Module], *, dropout: float = 0.0, batch_first: bool = False) -> None:
        super().__init__()
        self.layers = ModuleList([_as_layer(each) for each in layers])
        if not len(self.layers):
            raise ValueError("Stacked needs at least one layer")
        require_dropout(dropout, 2)
        self.dropout, self.batch_first = dropout, batch_first

    def forward(self, input: Tensor | PackedSequence, states: Any = None) -> tuple[Any, tuple[Any, ...]]:
        """(T, B, …) and a state per layer → (T, B, …) and a state per layer"""
        given = _one_each(states, len(self.layers), "layer")
        turned = self.batch_first and isinstance(input, Tensor)
        x: Any = input.transpose(0, 1) if turned else input  # type: ignore[union-attr]
        last = []
        for number, (layer, before) in enumerate(zip(self.layers, given)):
            if number and self.dropout:
                x = _on_data(lambda data: F.dropout(data, self.dropout, self.training), x)
            with _in_layer(number):
                x, after = layer(x, before)
            last.append(after)
        return (x.transpose(0, 1) if turned else x), tuple(last)


class Bidirectional(Module):
    """Two layers over the same sequences, the second from each sequence's own end to its start, their outputs merged.

    The two may differ in kind and size. `merge` is "cat" (the default), "sum" or "mean".

    Shapes: input (T, B, …), or (B, T, …) with batch_first, or a PackedSequence; a pair of states, or None → output in the input's form, a
        pair of last states
    Raises: ValueError for an unknown merge, RuntimeError for a sum or mean of outputs that differ in size
    Source: Schuster & Paliwal 1997

    >>> import minigrad
    >>> from minigrad_nn import GRUCell, LSTMCell
    >>> output, (h, (h2, c2)) = Bidirectional(GRUCell(3, 6), LSTMCell(3, 2))(minigrad.zeros(7, 5, 3))
    >>> output.shape
    minigrad.Size([7, 5, 8])
    """

    def __init__(self, forward_cell: Module, backward_cell: Module, merge: str = "cat", *, batch_first: bool = False) -> None:
        super().__init__()
        if merge not in MERGES:
            raise ValueError(f"merge must be one of {', '.join(map(repr, MERGES))}, got {merge!r}")
        for each in (forward_cell, backward_cell):
            if isinstance(each, (RNNBase, Scan, Stacked, Bidirectional)):
                raise ValueError(f"Bidirectional takes two cells, got {type(each).__name__}, which runs over whole sequences by itself")
        self.ahead, self.back = Scan(forward_cell), Scan(backward_cell, reverse=True)
        self.merge, self.batch_first = merge, batch_first

    def forward(self, input: Tensor | PackedSequence, states: Any = None) -> tuple[Any, tuple[Any, Any]]:
        """(T, B, …) and a pair of states → (T, B, …) and a pair of states"""
        one, other = _one_each(states, 2, "direction")
        turned = self.batch_first and isinstance(input, Tensor)
        x: Any = input.transpose(0, 1) if turned else input  # type: ignore[union-attr]
        ahead, end = self.ahead(x, one)
        back, start = self.back(x, other)
        shown, reversed_ = (each.data if isinstance(each, PackedSequence) else each for each in (ahead, back))
        if self.merge != "cat" and shown.shape != reversed_.shape:
            shapes = f"{tuple(shown.shape)} and {tuple(reversed_.shape)}"
            raise RuntimeError(f"merge={self.merge!r} needs outputs of one size, got {shapes}; use 'cat'")
        merged = MERGES[self.merge](shown, reversed_)
        if isinstance(ahead, PackedSequence):
            return PackedSequence(merged, *ahead[1:]), (end, start)
        return (merged.transpose(0, 1) if turned else merged), (end, start)


def _as_layer(given: Module) -> Module:
    """What runs over whole sequences as it is, and a cell in a Scan."""
    if not isinstance(given, (RNNBase, Scan, Stacked, Bidirectional)):
        return Scan(given)
    if given.batch_first:
        raise ValueError(f"a {type(given).__name__} inside Stacked takes (T, B, …); give batch_first=True to the outermost only")
    return given


def _one_each(states: Any, count: int, what: str) -> list[Any]:
    """One state per layer or direction, None for each if none was given."""
    if states is None:
        return [None] * count
    if not isinstance(states, (tuple, list)) or len(states) != count:
        got = f"{len(states)} of them" if isinstance(states, (tuple, list)) else type(states).__name__
        raise ValueError(f"expected a tuple of {count} states, one per {what}, got {got}")
    return list(states)


def _on_data(change: Callable[[Tensor], Tensor], x: Any) -> Any:
    return PackedSequence(change(x.data), *x[1:]) if isinstance(x, PackedSequence) else change(x)


def _in_layer(number: int) -> place:
    """Everything inside stands in this layer."""
    outer = state.place
    return place(Place(outer.scope, outer.step, number, outer.direction, outer.rows))
