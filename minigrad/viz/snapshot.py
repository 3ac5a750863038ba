"""The tape as plain data: numbers, names and shapes, which keep no tensor alive and do not change any more.

A picture is made from a snapshot. The tape is read once, by a loop, and is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .. import backend, tape

__all__ = ["Edge", "Node", "Parameters", "Snapshot", "take"]

Parameters = Mapping[str, Any] | Iterable[tuple[str, Any]]
Shape = tuple[int, ...]
_FEW = 4  # values of a node that are noted


class Node(NamedTuple):
    """One thing on the tape.

    id        position, counted from 0 in this snapshot
    kind      op, output (the op asked for), param, input (a constant that a time step reads), constant, or cut
    name      what a picture writes: the operation, or the parameter's name
    shapes    of the value, or of each of several outputs
    inputs    id per input; None for a Python number
    cut_from  of a cut: the id of what it was detached from, if that is in the snapshot
    values, gradients   what a trace noted: the first few values, and the norm of the gradient passed to each input
    """

    id: int
    kind: str
    op: str
    name: str
    shapes: tuple[Shape, ...]
    dtype: str
    scope: tuple[str, ...] = ()
    step: int | None = None
    layer: int | None = None
    direction: str | None = None
    inputs: tuple[int | None, ...] = ()
    cut_from: int | None = None
    values: tuple[float, ...] | None = None
    gradients: tuple[float | None, ...] | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the value, or of the first of several outputs."""
        return self.shapes[0]

    @property
    def size(self) -> str:
        """The shape as a picture writes it: (2, 4), or 4×(2, 4)."""
        if len(self.shapes) == 1:
            return str(self.shapes[0])
        if len(set(self.shapes)) == 1:
            return f"{len(self.shapes)}×{self.shapes[0]}"
        return ", ".join(str(shape) for shape in self.shapes[:3]) + (", …" if len(self.shapes) > 3 else "")

    @property
    def label(self) -> str:
        """Name and shape: tanh (32, 256)."""
        return f"{self.name} {self.size}"


class Edge(NamedTuple):
    """A value flows from node `source` into node `target`."""

    source: int
    target: int


class Snapshot(NamedTuple):
    """Nodes in tape order, node number i at position i, and the edges between them, one per use."""

    nodes: list[Node]
    edges: list[Edge]


def take(tensor: Any, params: Parameters | None = None) -> Snapshot:
    """All that `tensor` was computed from, as plain data.

    >>> import minigrad
    >>> w = minigrad.ones(3, requires_grad=True)
    >>> [node.label for node in take((w * 2).sum(), {"w": w}).nodes]
    ['w (3,)', 'mul (3,)', 'sum ()']
    """
    root = getattr(tensor, "node", None)
    if root is None:
        raise ValueError(
            f"there is no tape to draw: expected a tensor computed from one with requires_grad=True, got {type(tensor).__name__}"
            f"{'' if not hasattr(tensor, 'shape') else f' of shape {tuple(tensor.shape)}'} that wants no gradient"
        )
    root = _whole(root)
    on_tape = _reached(root)
    ids = _numbered(on_tape)
    read_in_step = {id(parent) for node in on_tape if node.place.step is not None for parent in node.parents}
    names = _names(params)
    by_number = {node.number: ids[id(node)] for node in on_tape}
    nodes: list[Node] = []
    for node in on_tape:
        for source in node.parents:
            if isinstance(source, tape.Source) and source is not tape.NUMBER and ids[id(source)] == len(nodes):
                nodes.append(_of_source(source, ids[id(source)], id(source) in read_in_step, by_number))
        nodes.append(_of_node(node, ids, names, node is root))
    edges = [Edge(source, node.id) for node in nodes for source in node.inputs if source is not None]
    return Snapshot(nodes, edges)


def _whole(node: Any) -> Any:
    """The operation itself, where `node` is one of its several outputs."""
    return node.parents[0] if isinstance(node, tape.Branch) else node


def _reached(root: tape.Node) -> list[tape.Node]:
    """Every node that `root` draws from, itself included, in tape order."""
    found = {root.number: root}
    waiting = [root]
    while waiting:
        for parent in waiting.pop().parents:
            parent = _whole(parent)
            if isinstance(parent, tape.Node) and parent.number not in found:
                found[parent.number] = parent
                waiting.append(parent)
    return [found[number] for number in sorted(found)]


def _numbered(on_tape: list[tape.Node]) -> dict[int, int]:
    """Numbers from 0 in tape order, by `id()`; a source, which the tape does not number, stands before its first use."""
    ids: dict[int, int] = {}
    for node in on_tape:
        for parent in node.parents:
            if isinstance(parent, tape.Source) and parent is not tape.NUMBER:
                ids.setdefault(id(parent), len(ids))
        ids[id(node)] = len(ids)
    return ids


def _names(params: Parameters | None) -> dict[int, str]:
    """Tape number of a parameter's leaf -> its name; the first name, where a tensor goes by several."""
    names: dict[int, str] = {}
    for name, tensor in params.items() if isinstance(params, Mapping) else params or ():
        if tensor.node is not None:
            names.setdefault(tensor.node.number, str(name))
    return names


def _of_source(source: tape.Source, own_id: int, in_step: bool, by_number: dict[int, int]) -> Node:
    kind = "cut" if source.cut is not None else "input" if in_step else "constant"
    name = "detached" if kind == "cut" else kind
    cut_from = None if source.cut is None else by_number.get(source.cut)
    return Node(own_id, kind, source.kind, name, (tuple(source.shape),), str(source.dtype), cut_from=cut_from)


def _of_node(node: tape.Node, ids: dict[int, int], names: dict[int, str], is_root: bool) -> Node:
    is_leaf = isinstance(node, tape.Leaf)
    place, facts = node.place, node.facts
    return Node(
        ids[id(node)],
        "param" if is_leaf else "output" if is_root else "op",
        node.op,
        names.get(node.number, "leaf") if is_leaf else node.op,
        tuple(tuple(shape) for shape in node.shape) if isinstance(node.shape, list) else (tuple(node.shape),),
        str(node.dtype[0] if isinstance(node.dtype, list) else node.dtype),
        place.scope,
        place.step,
        place.layer,
        place.direction,
        tuple(None if parent is tape.NUMBER else ids[id(_whole(parent))] for parent in node.parents),
        None,
        None if facts is None or facts.value is None else _first(facts.value),
        None if facts is None or facts.gradients is None else tuple(facts.gradients),
    )


def _first(arrays: list[Any]) -> tuple[float, ...]:
    few = arrays[0].reshape(-1)[:_FEW]
    return tuple(float(value) for value in backend.of(few).to_host(few))
