"""Cells around cells: dropout that keeps its mask for a whole sequence, and zoneout.

A wrapper is a cell itself: called as cell(x, state), run by `scan`, `Stacked` and `Bidirectional`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad
from minigrad import Tensor, backend
from minigrad.random import stream_on
from minigrad.tape import wrap

from .cells import GRUCell
from .module import Module
from .variants import LayerNormGRUCell

__all__ = ["VariationalDropout", "Zoneout"]


class VariationalDropout(Module):
    """A cell with dropout whose masks are drawn once for each sequence, and are the same at every step of it.

    `input`, `state` and `output` are the probabilities with which an element is dropped of x, of h on its way back
    into the cell, and of h on its way out; the memory c of an LSTM is never dropped.

        (1)  h, c = cell(m_x * x, (m_h * h, c))        each m is 0, or 1 / (1 - p), drawn at a sequence's first step
        (2)  y = m_y * h                               what is shown; h itself goes on to the next step

    The masks travel in the state, so that a row keeps its own wherever a batch of packed sequences shrinks or grows,
    a sequence can be cut into windows, and nothing is hidden in the Module. The state is the cell's, after it one
    int8 tensor for each of m_x, m_h, m_y that has a probability: 1 keeps, -1 drops, 0 is not drawn yet. With `output`,
    y comes before all. A state of the cell alone, or None, begins new sequences; the whole state goes on with the
    masks it carries. `begin` and `bare` lead from one form to the other. When not training nothing is drawn or dropped.

    Shapes: as the cell's; masks (B, I) and (B, H)
    Raises: ValueError for what is no probability, and for `state` around a GRU: its h is also its memory, and what is
        kept would grow by 1 / (1 - p) at every step
    Source: Gal & Ghahramani 2016

    >>> from minigrad_nn import LSTMCell, scan
    >>> output, (h, c, m_x) = scan(VariationalDropout(LSTMCell(3, 2), input=0.5), minigrad.zeros(7, 5, 3))
    >>> output.shape, m_x.shape, m_x.dtype
    (minigrad.Size([7, 5, 2]), minigrad.Size([5, 3]), minigrad.int8)
    """

    def __init__(self, cell: Module, input: float = 0.0, state: float = 0.0, output: float = 0.0) -> None:
        super().__init__()
        _require_probabilities(input=input, state=state, output=output)
        within = _from_outside_in(cell)
        if state and isinstance(within[-1], (GRUCell, LayerNormGRUCell)):
            raise ValueError(f"state={state} would drop the memory of a {type(within[-1]).__name__}, which is its h; drop the input")
        if state and any(isinstance(each, Zoneout) for each in within):
            raise ValueError("put the dropout of the state inside: Zoneout(VariationalDropout(cell, state=…), …), which keeps h whole")
        self.cell, self.input, self.state, self.output = cell, input, state, output

    def forward(self, input: Tensor, state: Any = None) -> Any:
        """(B, I) and a state → the next state"""
        before, (m_x, m_h, m_y) = self._parted(state)
        m_x = self._drawn(m_x, input, self.input)
        if before is not None:
            m_h = self._drawn(m_h, before[0], self.state)
            before = [self._dropped(before[0], m_h, self.state), *before[1:]]
        after = _listed(self.cell(self._dropped(input, m_x, self.input), _as_given(before)))  # (1)
        h = after[0]
        m_h, m_y = self._drawn(m_h, h, self.state), self._drawn(m_y, h, self.output)
        shown = [self._dropped(h, m_y, self.output)] if self.output else []  # (2)
        return _as_given([*shown, *after, *[mask for mask in (m_x, m_h, m_y) if mask is not None]])

    def begin(self, state: Any) -> Any:
        """A whole state around the cell's own, its masks not drawn yet: for `scan` in reverse over packed sequences.

        There a batch grows as sequences begin, and the rows to add are taken from the state that was given.
        """
        given = _listed(_begun(self.cell, self.bare(state)))
        h = given[0]
        sizes = [(self.input, self._input_size()), (self.state, h.array.shape[-1]), (self.output, h.array.shape[-1])]
        shapes = [(*h.array.shape[:-1], size) for p, size in sizes if p]
        masks = [minigrad.zeros_like(h, shape=shape, dtype=minigrad.int8) for shape in shapes]
        return _as_given([h] * bool(self.output) + given + masks)

    def bare(self, state: Any) -> Any:
        """The cell's own state in a whole one: tensors of one row for each sequence, without masks and what was shown."""
        return _bare(self.cell, _as_given(self._parted(state)[0]))

    def extra_repr(self) -> str:
        chances = {"input": self.input, "state": self.state, "output": self.output}
        return ", ".join([f"{name}={p}" for name, p in chances.items() if p])

    def _parted(self, state: Any) -> tuple[list[Tensor] | None, list[Tensor | None]]:
        """The cell's own state, and the masks for input, state and output, None where there is none."""
        chances = (self.input, self.state, self.output)
        count = sum([p > 0 for p in chances])
        listed = None if state is None else _listed(state)
        if listed is None or not count or listed[-1].array.dtype != np.int8:
            return listed, [None, None, None]
        masks = iter(listed[-count:])
        return listed[bool(self.output) : -count], [next(masks) if p else None for p in chances]

    def _drawn(self, mask: Tensor | None, like: Tensor, p: float) -> Tensor | None:
        """The mask, with the rows that are not drawn yet drawn now."""
        if not p or (mask is not None and not self.training):
            return mask
        if not self.training:
            return minigrad.zeros_like(like, dtype=minigrad.int8)
        xp = backend.of(like.array)
        if mask is not None and xp.known_empty(mask.array == 0):
            return mask
        kept = stream_on(like.device).random(like.array.shape, dtype=np.float32) >= p
        fresh = kept.astype(np.int8) * 2 - 1
        return wrap(fresh if mask is None else xp.where(mask.array == 0, fresh, mask.array))

    def _dropped(self, x: Tensor, mask: Tensor | None, p: float) -> Tensor:
        """x times its mask"""
        if mask is None or not self.training:
            return x
        kept = (mask.array > 0).astype(x.array.dtype)
        return x * wrap(kept * (0.0 if p == 1 else 1 / (1 - p)))

    def _input_size(self) -> int:
        """I, as the innermost cell has it; needed for a mask of inputs that nobody has seen yet."""
        cell = _from_outside_in(self.cell)[-1]
        size = getattr(cell, "input_size", None)
        if self.input and not isinstance(size, int):
            raise TypeError(f"begin() needs the size of the inputs, and {type(cell).__name__} has no input_size; set it there")
        return size or 0


class Zoneout(Module):
    """A cell some of whose units keep their last value at each step: h with probability p_h, the memory c with p_c.

    In training every unit of every row throws its own die at every step; otherwise the expectation is taken.

        (1)  h', c' = cell(x, (h, c))
        (2)  h = k_h * h + (1 - k_h) * h'        k_h is 1 with probability p_h, else 0; p_h itself when not training
        (3)  c = k_c * c + (1 - k_c) * c'        h' came from c' as the cell had it

    Shapes: as the cell's
    Raises: ValueError for what is no probability, and for p_c around a cell without a second state
    Source: Krueger et al. 2017; they find p_h = 0.05, p_c = 0.5 good for an LSTM

    >>> from minigrad_nn import LSTMCell, scan
    >>> output, (h, c) = scan(Zoneout(LSTMCell(3, 2), p_h=0.05, p_c=0.5), minigrad.zeros(7, 5, 3))
    >>> output.shape
    minigrad.Size([7, 5, 2])
    """

    def __init__(self, cell: Module, p_h: float, p_c: float = 0.0) -> None:
        super().__init__()
        _require_probabilities(p_h=p_h, p_c=p_c)
        if isinstance(cell, VariationalDropout) and cell.output:
            raise ValueError("put the dropout of the output outside: VariationalDropout(Zoneout(cell, …), output=…), or h would be dropped")
        self.cell, self.p_h, self.p_c = cell, p_h, p_c

    def forward(self, input: Tensor, state: Any = None) -> Any:
        """(B, I) and a state → the next state"""
        after = _listed(self.cell(input, state))  # (1)
        if self.p_c and (len(after) < 2 or after[1].array.dtype == np.int8):
            raise ValueError(f"p_c={self.p_c} is for a cell with a memory c beside h; {type(self.cell).__name__} has only h")
        before = [None] * len(after) if state is None else _listed(state)
        for each, p in enumerate((self.p_h, self.p_c)):
            if p:
                after[each] = self._mixed(before[each], after[each], p)  # (2), (3)
        return _as_given(after)

    def _mixed(self, old: Tensor | None, new: Tensor, p: float) -> Tensor:
        """k * old + (1 - k) * new, where no old means zeros"""
        keep: Any = p
        if self.training:
            kept = stream_on(new.device).random(new.array.shape, dtype=np.float32) < p
            keep = wrap(kept.astype(new.array.dtype))
        return (1 - keep) * new if old is None else keep * old + (1 - keep) * new

    def begin(self, state: Any) -> Any:
        """A whole state around one of the cell alone, as `VariationalDropout.begin`; the same where nothing inside adds to it."""
        return _begun(self.cell, state)

    def bare(self, state: Any) -> Any:
        """The cell's own state, without what wrappers inside put into it."""
        return _bare(self.cell, state)

    def extra_repr(self) -> str:
        return f"p_h={self.p_h}" + (f", p_c={self.p_c}" if self.p_c else "")


def _begun(cell: Any, state: Any) -> Any:
    return cell.begin(state) if isinstance(cell, (VariationalDropout, Zoneout)) else state


def _bare(cell: Any, state: Any) -> Any:
    return cell.bare(state) if isinstance(cell, (VariationalDropout, Zoneout)) else state


def _from_outside_in(cell: Any) -> list[Any]:
    """A cell and those inside it, if it is a wrapper, the innermost last."""
    found = [cell]
    while isinstance(found[-1], (VariationalDropout, Zoneout)):
        found.append(found[-1].cell)
    return found


def _require_probabilities(**chances: Any) -> None:
    for name, p in chances.items():
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
            raise ValueError(f"{name} must be a probability, a number in [0, 1], got {p!r}")


def _listed(state: Any) -> list[Any]:
    return [state] if isinstance(state, Tensor) else list(state)


def _as_given(listed: list[Tensor] | None) -> Any:
    """A state as cells take it: None, a tensor, or a tuple of several."""
    return None if listed is None else listed[0] if len(listed) == 1 else tuple(listed)
