"""How large gradients are, everywhere: a walk back of its own, which leaves `.grad` and the tape as they were.

Hooks are not run, since they may do anything; observers are not told. What a rule passes to an input is measured after
broadcasting is undone, as the input receives it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from .. import backend, tape
from ..ops.elementwise import _quiet as quiet
from ..state import set_recording, state
from ..tape import _fit as fitted
from ..trace import Observer
from .model import FUSED

__all__ = ["Heat", "contributions_of", "measure"]


class Heat(NamedTuple):
    """Norms of gradients, by tape number.

    nodes    of the loss with respect to a node's value
    edges    (node, position of an input) -> of what the node passes to that input
    dots     (node in a time step, leaf W) -> ⟨what the node adds to dW, dW⟩
    squares  leaf W -> ‖dW‖²
    """

    nodes: dict[int, float]
    edges: dict[tuple[int, int], float]
    dots: dict[tuple[int, int], float]
    squares: dict[int, float]


def measure(loss: Any, taped: Sequence[tape.Node]) -> Heat:
    """The heat of everything that `loss`, a single number, was computed from: two walks back."""
    nodes = _Norms()
    leaves = _Leaves(taped)
    norms = _EdgeNorms(leaves)
    _walk_beside(loss, taped, norms, nodes)
    products = _Products(leaves, norms.sums)
    _walk_beside(loss, taped, products, _Norms())
    squares = {leaf: float((total * total).sum()) for leaf, total in norms.sums.items()}
    return Heat(nodes.norms, norms.edges, products.dots, squares)


def contributions_of(loss: Any, taped: Sequence[tape.Node], leaf: tape.Node) -> dict[int, Any]:
    """Tape number of every node that hands a gradient on to `leaf` -> what it adds to the leaf's gradient."""
    collected = _Collected(_Leaves(taped), leaf.number)
    _walk_beside(loss, taped, collected, _Norms())
    return collected.by_node


class _Norms(dict[int, Any]):
    """Stands where `walk` puts gradients that were asked for: it asks for all, and keeps only their norms."""

    def __init__(self) -> None:
        self.norms: dict[int, float] = {}

    def __contains__(self, number: object) -> bool:
        return True

    def __setitem__(self, number: int, gradient: Any) -> None:
        parts = gradient if isinstance(gradient, list) else [gradient]
        self.norms[number] = math.hypot(*(_norm(each) for each in parts if each is not None))


class _Leaves:
    """Which leaves a gradient comes to that is passed out of a time step.

    A weight may be prepared before the steps (transposed, scaled). Those operations have no step and draw on leaves
    alone; a gradient that reaches one is carried on to the leaves at once, so that it still counts for its step.
    """

    def __init__(self, taped: Sequence[tape.Node]) -> None:
        self.taped = taped
        self.numbers = {node.number for node in taped}
        self.prepared: set[int] = set()
        for node in taped:
            parents = [_whole(parent) for parent in node.parents if parent.number >= 0]
            alone = all(isinstance(each, tape.Leaf) or each.number in self.prepared for each in parents)
            single = node.op not in (*FUSED, "checkpoint")  # those have time steps inside
            if single and node.place.step is None and parents and alone and _elements(node) <= sum(map(_elements, parents)):
                self.prepared.add(node.number)

    def reached(self, parent: Any, gradient: Any) -> Iterable[tuple[int, Any]]:
        """Pairs (number of a leaf, gradient), where `parent` is a leaf or was prepared from leaves alone."""
        if isinstance(parent, tape.Leaf):
            return [(parent.number, gradient)]
        if _whole(parent).number not in self.prepared:
            return []
        found: dict[int, Any] = {each.number: None for each in self.taped if isinstance(each, tape.Leaf)}
        observers, state.observers = state.observers, ()
        try:
            tape.walk([(parent, gradient)], retain_graph=True, found=found)
        finally:
            state.observers = observers
        return [(leaf, _whole_array(each)) for leaf, each in found.items() if each is not None]


class _Watcher(Observer):
    """Is told of every gradient passed to an input that wants one, as that input receives it.

    A checkpoint computes again what it stands for, and walks back over that: it passes on the sum, which counts, and what
    was computed again is no part of the graph.
    """

    def __init__(self, leaves: _Leaves) -> None:
        self.leaves = leaves

    def passed(self, node: tape.Node, gradients: Sequence[Any], *others: Any) -> None:
        if node.number not in self.leaves.numbers:
            return
        for index, (parent, gradient) in enumerate(zip(node.parents, gradients, strict=False)):
            if isinstance(parent, tape.Node) and gradient is not None:
                self.edge(node, index, parent, fitted(_whole_array(gradient), parent))

    def edge(self, node: tape.Node, index: int, parent: Any, gradient: Any) -> None:
        """`node` passes `gradient` to its input number `index`."""


class _EdgeNorms(_Watcher):
    """Norms along edges, and the whole gradient of each leaf as float64."""

    def __init__(self, leaves: _Leaves) -> None:
        super().__init__(leaves)
        self.edges: dict[tuple[int, int], float] = {}
        self.sums: dict[int, Any] = {}

    def edge(self, node: tape.Node, index: int, parent: Any, gradient: Any) -> None:
        self.edges[node.number, index] = _norm(gradient)
        if node.number not in self.leaves.prepared:
            for leaf, part in self.leaves.reached(parent, gradient):
                part = part.astype("float64")
                self.sums[leaf] = part if leaf not in self.sums else self.sums[leaf] + part


class _Products(_Watcher):
    """⟨what each node adds to dW, dW⟩, for every leaf W that time steps use."""

    def __init__(self, leaves: _Leaves, sums: dict[int, Any]) -> None:
        super().__init__(leaves)
        self.sums = sums
        self.dots: dict[tuple[int, int], float] = {}

    def edge(self, node: tape.Node, index: int, parent: Any, gradient: Any) -> None:
        if node.number not in self.leaves.prepared:
            for leaf, part in self.leaves.reached(parent, gradient):
                product = float((part.astype("float64") * self.sums[leaf]).sum())
                self.dots[node.number, leaf] = self.dots.get((node.number, leaf), 0.0) + product


class _Collected(_Watcher):
    """What each node adds to the gradient of one leaf."""

    def __init__(self, leaves: _Leaves, wanted: int) -> None:
        super().__init__(leaves)
        self.wanted = wanted
        self.by_node: dict[int, Any] = {}

    def edge(self, node: tape.Node, index: int, parent: Any, gradient: Any) -> None:
        if node.number in self.leaves.prepared:
            return
        for leaf, part in self.leaves.reached(parent, gradient):
            if leaf == self.wanted:
                before = self.by_node.get(node.number)
                self.by_node[node.number] = part.copy() if before is None else before + part


def _walk_beside(tensor: Any, taped: Sequence[tape.Node], observer: Observer, found: dict[int, Any]) -> None:
    """A walk back from `tensor` that changes nothing and tells only `observer`."""
    start = backend.of(tensor.array).ones(tensor.array.shape, tensor.array.dtype)
    with set_recording(False), quiet(), _without_hooks(taped), _observed_by(observer):
        tape.walk([(tensor.node, start)], retain_graph=True, found=found)


@contextmanager
def _without_hooks(taped: Sequence[tape.Node]) -> Iterator[None]:
    branches = {id(parent): parent for node in taped for parent in node.parents if isinstance(parent, tape.Branch)}
    rules: list[Any] = [node.rule for node in taped if getattr(node.rule, "hooks", None)]
    hooked = [(each, each.hooks) for each in (*taped, *branches.values(), *rules) if each.hooks]
    for each, _ in hooked:
        each.hooks = {}
    try:
        yield
    finally:
        for each, hooks in hooked:
            each.hooks = hooks


@contextmanager
def _observed_by(observer: Observer) -> Iterator[None]:
    before, state.observers = state.observers, (observer,)
    try:
        yield
    finally:
        state.observers = before


def _whole(node: Any) -> Any:
    return node.parents[0] if isinstance(node, tape.Branch) else node


def _elements(node: Any) -> int:
    shapes = node.shape if isinstance(node.shape, list) else [node.shape]
    return sum(math.prod(shape) for shape in shapes)


def _whole_array(gradient: Any) -> Any:
    return gradient.peek() if gradient.__class__ in backend.UNFINISHED else gradient


def _norm(gradient: Any) -> float:
    array = _whole_array(gradient).astype("float64")
    return float((array * array).sum() ** 0.5)
