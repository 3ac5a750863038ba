"""The tape as plain data: numbers, names and shapes, which keep no tensor alive and do not change any more.

A picture is made from a snapshot. The tape is read once, by a loop, and is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from .. import backend, tape
from ..trace import buffers_kept
from .heat import Heat
from .model import Node

__all__ = ["Parameters", "Snapshot", "ids_of", "on_tape", "root_of", "take"]

Parameters = Mapping[str, Any] | Iterable[tuple[str, Any]]
_FEW = 4  # values of a node that are noted
_UNNAMED = (None, False)


class Link(NamedTuple):
    """A value flows from node `source` into node `target`."""

    source: int
    target: int


class Snapshot(NamedTuple):
    """Nodes in tape order, node number i at position i, and the edges between them, one per use.

    dots    per node id: what it adds to ⟨dW_t, dW⟩, as pairs (id of W, product); squares: id of W -> ‖dW‖²
    freed   whether a walk backward has already given back what the tape had kept
    """

    nodes: list[Node]
    edges: list[Link]
    dots: dict[int, list[tuple[int, float]]]
    squares: dict[int, float]
    freed: bool
    measured: bool


def take(tensor: Any, params: Parameters | None = None, heat: Heat | None = None) -> Snapshot:
    """All that `tensor` was computed from, as plain data.

    >>> import minigrad
    >>> w = minigrad.ones(3, requires_grad=True)
    >>> [node.label for node in take((w * 2).sum(), {"w": w}).nodes]
    ['w (3,)', 'mul (3,)', 'sum ()']
    """
    root = root_of(tensor)
    names = _names(params)
    taped = on_tape(root)
    ids = _numbered(taped)
    read_in_step = {id(parent) for node in taped if node.place.step is not None for parent in node.parents}
    by_number = ids_of(taped)
    seen: set[int] = set()
    nodes: list[Node] = []
    for node in taped:
        for source in node.parents:
            if isinstance(source, tape.Source) and source is not tape.NUMBER and ids[id(source)] == len(nodes):
                nodes.append(_of_source(source, len(nodes), id(source) in read_in_step, by_number))
        nodes.append(_of_node(node, ids, names, node is root, heat, seen))
    links = [Link(source, node.id) for node in nodes for source in node.inputs if source is not None]
    dots, squares = _by_id(heat, by_number)
    freed = any(node.kept is None for node in taped if node.__class__ is tape.Node)
    return Snapshot(nodes, links, dots, squares, freed, heat is not None)


def root_of(tensor: Any) -> tape.Node:
    """The node that made `tensor`; ValueError where there is none."""
    if isinstance(tensor, tape.Variable):
        tape.refresh(tensor)
    root = getattr(tensor, "node", None)
    if root is None:
        raise ValueError(
            f"there is no tape to draw: expected a tensor computed from one with requires_grad=True, got {type(tensor).__name__}"
            f"{'' if not hasattr(tensor, 'shape') else f' of shape {tuple(tensor.shape)}'} that wants no gradient"
        )
    return _whole(root)


def _whole(node: Any) -> Any:
    """The operation itself, where `node` is one of its several outputs."""
    return node.parents[0] if isinstance(node, tape.Branch) else node


def on_tape(root: tape.Node) -> list[tape.Node]:
    """Every node that `root` draws from, itself included, in tape order."""
    found = {root.number: root}
    waiting = [root]
    while waiting:
        for parent in waiting.pop().parents:
            parent = _whole(parent)
            if parent.number >= 0 and parent.number not in found:
                found[parent.number] = parent
                waiting.append(parent)
    return [found[number] for number in sorted(found)]


def _numbered(taped: list[tape.Node]) -> dict[int, int]:
    """Numbers from 0 in tape order, by `id()`; a source, which the tape does not number, stands before its first use."""
    ids: dict[int, int] = {}
    for node in taped:
        for parent in node.parents:
            if isinstance(parent, tape.Source) and parent is not tape.NUMBER:
                ids.setdefault(id(parent), len(ids))
        ids[id(node)] = len(ids)
    return ids


def ids_of(taped: list[tape.Node]) -> dict[int, int]:
    """Tape number -> id in the snapshot."""
    ids = _numbered(taped)
    return {node.number: ids[id(node)] for node in taped}


def _names(params: Parameters | None) -> dict[int, str]:
    """Tape number of a parameter's leaf -> its name; the first name, where a tensor goes by several."""
    names: dict[int, str] = {}
    for entry in params.items() if isinstance(params, Mapping) else params or ():
        try:
            name, tensor = entry
        except (TypeError, ValueError):
            raise TypeError(
                f"params must be pairs (name, tensor) as model.named_parameters() gives them, or a dict; got {type(entry).__name__} in it"
            ) from None
        if getattr(tensor, "node", None) is not None:
            names.setdefault(tensor.node.number, str(name))
    return names


def _of_source(source: tape.Source, own_id: int, in_step: bool, by_number: dict[int, int]) -> Node:
    kind = "cut" if source.cut is not None else "input" if in_step else "constant"
    name = "detached" if kind == "cut" else kind
    cut_from = None if source.cut is None else by_number.get(source.cut)
    return Node(own_id, kind, source.kind, name, (tuple(source.shape),), _dtype_name(source.dtype), number=own_id, cut_from=cut_from)


def _of_node(node: tape.Node, ids: dict[int, int], names: dict[int, str], is_root: bool, heat: Heat | None, seen: set[int]) -> Node:
    is_leaf = isinstance(node, tape.Leaf)
    place, facts, number = node.place, node.facts, node.number
    inputs = tuple([None if parent is tape.NUMBER else ids[id(_whole(parent))] for parent in node.parents])
    saved = 0
    for buffer, size in (facts.saved if facts is not None else buffers_kept(node)).items():
        if buffer not in seen:
            seen.add(buffer)
            saved += size
    return Node(
        ids[id(node)],
        "param" if is_leaf else "output" if is_root else "op",
        node.op,
        names.get(number, "leaf") if is_leaf else node.op,
        tuple(tuple(shape) for shape in node.shape) if isinstance(node.shape, list) else (tuple(node.shape),),
        _dtype_name(node.dtype[0] if isinstance(node.dtype, list) else node.dtype),
        place.scope,
        place.step,
        place.layer,
        place.direction,
        place.rows,
        inputs,
        ids[id(node)],
        None,
        None if facts is None or facts.value is None else _first(facts.value),
        None if facts is None or facts.gradients is None else tuple(facts.gradients),
        None if heat is None else heat.nodes.get(number),
        None if heat is None else tuple([heat.edges.get((number, index)) for index in range(len(inputs))]),
        saved,
        "" if facts is None else facts.line,
        steps=place.steps,
    )


@cache  # NumPy takes longer to spell a dtype than the rest of a node takes
def _dtype_name(dtype: Any) -> str:
    return str(dtype)


def _first(arrays: list[Any]) -> tuple[float, ...]:
    few = arrays[0].reshape(-1)[:_FEW]
    return tuple(float(value) for value in backend.of(few).to_host(few))


def _by_id(heat: Heat | None, by_number: dict[int, int]) -> tuple[dict[int, list[tuple[int, float]]], dict[int, float]]:
    dots: dict[int, list[tuple[int, float]]] = {}
    if heat is None:
        return dots, {}
    for (number, leaf), product in heat.dots.items():
        dots.setdefault(by_number[number], []).append((by_number[leaf], product))
    return dots, {by_number[leaf]: square for leaf, square in heat.squares.items()}
