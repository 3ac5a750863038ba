"""A model as a table: what stands where in it, what each part gives, its parameters, and the memory it keeps for backward."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import minigrad
from minigrad import Tensor
from minigrad.state import set_recording
from minigrad.tape import Node, nodes_since, position
from minigrad.trace import trace

from .module import Module
from .utils.rnn import PackedSequence

__all__ = ["Row", "Summary", "summary"]


class Row(NamedTuple):
    """One Module: dotted path, kind, what its last call gave, how often it was called, own parameters, bytes it kept."""

    path: str
    kind: str
    output: str
    calls: int
    parameters: int
    trainable: int
    kept: int


class Summary:
    """What `summary` gives: a table when printed, `rows` for programs, and the sums of its columns."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    @property
    def parameters(self) -> int:
        """How many numbers all parameters hold, shared ones counted once."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """How many of them want a gradient."""
        return sum(row.trainable for row in self.rows)

    @property
    def kept(self) -> int:
        """How many bytes the tape keeps for the backward pass, shared memory counted once."""
        return sum(row.kept for row in self.rows)

    def __repr__(self) -> str:
        cells = [[row.path or "(model)", row.kind + f" x{row.calls}" * (row.calls > 1), row.output, *_counts(row)] for row in self.rows]
        total = ["total", "", "", *_counts(self)]
        return _aligned([["module", "kind", "output", "parameters", "trainable", "kept bytes"], *cells, total])


def summary(model: Module, *inputs: Any, **named: Any) -> Summary:
    """What happens in `model(*inputs, **named)`, Module by Module, after calling it once.

    Each Module has one row, under the first path that leads to it, and its row counts what no other does: parameters
    of its own, one that is shared where it comes first, and what was kept for the backward pass by its own operations,
    not by Modules inside; memory that several operations keep counts for the first. So every column adds up.
    The bytes are the tape's own, what `minigrad.trace` notes, of everything the result was computed through; weights
    and inputs that a gradient needs are among them, what `checkpoint` threw away is not. Gradients, training mode and
    the stream of random numbers are as before, also after an error in the model.

    Raises: TypeError for what is no Module, and whatever the model raises

    >>> from minigrad_nn import Linear, Sequential, Tanh
    >>> summary(Sequential(Linear(3, 4), Tanh()), minigrad.zeros(2, 3))
    module   kind        output  parameters  trainable  kept bytes
    --------------------------------------------------------------
    (model)  Sequential  (2, 4)           0          0           0
    0        Linear      (2, 4)          16         16          24
    1        Tanh        (2, 4)           0          0          32
    --------------------------------------------------------------
    total                                16         16          56
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary looks into a Module, got {type(model).__name__}")
    calls = _Calls(model)
    stream, start = minigrad.get_rng_state(), position()
    try:
        with set_recording(True), trace(), calls:
            result = model(*inputs, **named)
    finally:
        minigrad.set_rng_state(stream)
    kept = calls.shares(nodes_since(start, _tensors(result)))
    rows, counted = [], set[int]()
    for path, module in model.named_modules():
        own = [each for each in module.parameters(recurse=False) if id(each) not in counted]
        counted.update(map(id, own))
        sizes = [(each.numel(), each.requires_grad) for each in own]
        total, wanted = sum(size for size, _ in sizes), sum(size for size, wants in sizes if wants)
        shown, times = calls.shown.get(id(module), "-"), calls.times.get(id(module), 0)
        rows.append(Row(path, type(module).__name__, shown, times, total, wanted, kept.get(id(module), 0)))
    return Summary(rows)


class _Calls:
    """Notes, inside a `with` block, which Module is at work from which position on the tape, and what each gave."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self.shown: dict[int, str] = {}
        self.times: dict[int, int] = {}
        self._within = [id(model)]
        self._positions: list[int] = []
        self._owners: list[int] = []

    def __enter__(self) -> None:
        modules = list(self.model.modules())
        self._handles = [each.register_forward_pre_hook(self._begun) for each in modules]
        self._handles += [each.register_forward_hook(self._ended) for each in modules]

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _begun(self, module: Module, args: Any) -> None:
        self._within.append(id(module))
        self._note()

    def _ended(self, module: Module, args: Any, result: Any) -> None:
        self._within.pop()
        self._note()
        self.shown[id(module)] = _shape(result)
        self.times[id(module)] = self.times.get(id(module), 0) + 1

    def _note(self) -> None:
        self._positions.append(position())
        self._owners.append(self._within[-1])

    def shares(self, nodes: Iterable[Node]) -> dict[int, int]:
        """Bytes kept by each Module's own operations, by the Module's id."""
        found: dict[int, int] = {}
        counted: set[int] = set()
        for node in sorted(nodes, key=lambda node: node.number):
            owner = self._owners[bisect_right(self._positions, node.number) - 1]
            for buffer, size in node.facts.saved.items() if node.facts else ():
                found[owner] = found.get(owner, 0) + size * (buffer not in counted)
                counted.add(buffer)
        return found


def _tensors(result: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    waiting = [result]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, (tuple, list, dict)):
            waiting.extend(each.values() if isinstance(each, dict) else each)


def _shape(result: Any) -> str:
    """(7, 5, 2), (6, 2) packed, or several of them."""
    if isinstance(result, Tensor):
        return str(tuple(result.shape))
    if isinstance(result, PackedSequence):
        return f"{tuple(result.data.shape)} packed"
    if isinstance(result, dict):
        return "{" + ", ".join(f"{name}: {_shape(each)}" for name, each in result.items()) + "}"
    if isinstance(result, (tuple, list)):
        return "[" + ", ".join(map(_shape, result)) + "]"
    return type(result).__name__


def _counts(of: Row | Summary) -> list[str]:
    return [f"{count:,}" for count in (of.parameters, of.trainable, of.kept)]


def _aligned(table: list[list[str]]) -> str:
    """Columns side by side, words to the left and numbers to the right, a line below the head and above the last row."""
    widths = [max(map(len, column)) for column in zip(*table)]
    sides = [str.ljust] * 3 + [str.rjust] * 3
    lines = ["  ".join([side(text, width) for side, text, width in zip(sides, row, widths)]) for row in table]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
