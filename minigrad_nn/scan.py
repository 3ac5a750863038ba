"""Run any cell over time: forward, in reverse, over batches that get smaller as sequences end.

A cell is anything that is called as cell(x, state) and gives the next state: a tensor, or a tuple whose first is the
output. `LSTMCell`, `GRUCell`, `RNNCell`, and every Module with such a `forward`. Without a state it is given None.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import minigrad
from minigrad import Tensor
from minigrad.ops import cat, stack

from .utils.rnn import PackedSequence

__all__ = ["run", "scan"]

States = Sequence[Tensor]
Step = Callable[[int, Any, Any], tuple[Any, States]]


def run(step: Step, inputs: Sequence[Any], sizes: Sequence[int], states: States | None, reverse: bool = False) -> tuple[list[Any], Any]:
    """Call `step(t, inputs[t], states)`, which gives an output and the next states, for every t; in falling order if `reverse`.

    At step t only the first sizes[t] rows are live, and sizes never grow with t. A row that has ended keeps its state;
    in reverse, a row begins with its initial state (zeros without `states`) where its own last element stands.

    Shapes: states (B, …) each, with B = sizes[0] → T outputs, last states (B, …) each
    """
    outputs: list[Any] = [None] * len(inputs)
    ended: list[list[Tensor]] = []  # states of rows that have ended, the shortest sequences first
    live = sizes[-1] if reverse else sizes[0]
    current = states if states is None or live == sizes[0] else [state[:live] for state in states]
    for t in reversed(range(len(inputs))) if reverse else range(len(inputs)):
        if sizes[t] > live:
            current = [cat([state, _begin(states, each, state, sizes[t])]) for each, state in enumerate(current or ())]
        elif sizes[t] < live:
            ended.append([state[sizes[t] :] for state in current or ()])
            current = [state[: sizes[t]] for state in current or ()]
        live = sizes[t]
        outputs[t], current = step(t, inputs[t], current)
    if ended:
        current = [cat([state, *others]) for state, *others in zip(current or (), *reversed(ended))]
    return outputs, list(current or ())


def _begin(states: States | None, each: int, state: Tensor, stop: int) -> Tensor:
    """The initial states, number `each` of them, of the rows after those in `state`, up to row `stop`."""
    live = state.array.shape[0]
    if states is not None and each >= len(states):
        raise TypeError(
            f"rows that begin late need an initial state, and of {each + 1} or more tensors that the cell gives only {len(states)} were "
            "given; give a whole initial state, or none"
        )
    if states is not None:
        return states[each][live:stop]
    return minigrad.zeros_like(state, shape=(stop - live, *state.array.shape[1:]))


def scan(
    cell: Callable[..., Any],
    input: Tensor | PackedSequence,
    state: Any = None,
    *,
    reverse: bool = False,
    batch_first: bool = False,
    layer: int | None = None,
) -> tuple[Any, Any]:
    """What the cell showed at every step, and its last state, after `cell(x, state)` was run over a batch of sequences.

    Every step stands on the tape under its number. Rows that begin late, in a packed sequence run in reverse, begin with
    zeros if no state is given.

    Shapes: input (T, B, …), or (B, T, …) with batch_first, or a PackedSequence; state as the cell takes it, batch first, in the
        caller's order → output of the input's form, state in the caller's order
    Raises: RuntimeError for an input without time steps or states for another number of rows, TypeError for what is no tensor

    >>> from minigrad_nn import LSTMCell
    >>> output, (h, c) = scan(LSTMCell(3, 2), minigrad.zeros(7, 5, 3))
    >>> output.shape, h.shape
    (minigrad.Size([7, 5, 2]), minigrad.Size([5, 2]))
    """
    inputs, sizes = steps_of(input, batch_first)
    _require_rows("scan: the initial state", state, sizes[0])
    order, back = (input.sorted_indices, input.unsorted_indices) if isinstance(input, PackedSequence) else (None, None)
    ragged, alone = sizes[0] != sizes[-1], isinstance(state, Tensor)
    given = None if state is None else [state] if alone else list(state)
    if given is not None and order is not None:
        given = [each[order] for each in given]

    def step(t: int, x: Tensor, states: States | None) -> tuple[Tensor, States]:
        nonlocal alone
        with minigrad.step(t, layer, "reverse" if reverse else "forward", sizes[t] if ragged else None):
            after = cell(x, None if states is None else states[0] if alone else tuple(states))
        alone = isinstance(after, Tensor)
        listed = [after] if alone else after
        _require_rows(f"scan: the state that {type(cell).__name__} gives", listed, sizes[t])
        return listed[0], listed

    outputs, last = run(step, inputs, sizes, given, reverse)
    if back is not None:
        last = [each[back] for each in last]
    return put_together(input, outputs, batch_first), last[0] if alone else tuple(last)


def steps_of(input: Any, batch_first: bool = False) -> tuple[list[Tensor], list[int]]:
    """What goes in at every step, and how many rows are live there."""
    if isinstance(input, PackedSequence):
        sizes = sizes_of(input)
        return list(input.data.split(sizes)), sizes
    if not isinstance(input, Tensor):
        raise TypeError(f"a sequence is a tensor (T, B, …) or a PackedSequence, got {type(input).__name__}")
    axis = 1 if batch_first else 0
    if input.array.ndim < 2 or input.array.shape[axis] == 0:
        raise RuntimeError(f"a sequence (T, B, …) with at least one time step is needed, got shape {tuple(input.shape)}")
    return list(input.unbind(axis)), [input.array.shape[1 - axis]] * input.array.shape[axis]


def put_together(input: Any, outputs: list[Tensor], batch_first: bool = False) -> Any:
    """The outputs of all steps in the form in which the input came."""
    if isinstance(input, PackedSequence):
        return PackedSequence(cat(outputs), *input[1:])
    return stack(outputs, 1 if batch_first else 0)


def sizes_of(packed: PackedSequence) -> list[int]:
    """How many rows are live at each step; RuntimeError if they rise, or do not make up the data."""
    sizes: list[int] = packed.batch_sizes.tolist()
    if not sizes or sum(sizes) != packed.data.array.shape[0] or any(one < next_ for one, next_ in itertools.pairwise(sizes)):
        raise RuntimeError(f"batch_sizes never rise, and sum up to the {packed.data.array.shape[0]} rows of the data; got {sizes}")
    return sizes


def _require_rows(what: str, state: Any, rows: int) -> None:
    """TypeError for a state that is no tensor or tuple of tensors, RuntimeError for one with another number of rows."""
    states = [] if state is None else [state] if isinstance(state, Tensor) else state
    if not isinstance(states, (tuple, list)) or not all(isinstance(each, Tensor) for each in states) or state == ():
        raise TypeError(f"{what} must be a tensor or a tuple of tensors, got {type(state).__name__}")
    for each in states:
        if each.array.ndim == 0 or each.array.shape[0] != rows:
            raise RuntimeError(f"{what} must have one row for each of the {rows} live sequences, got shape {tuple(each.shape)}")
