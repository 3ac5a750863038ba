"""One box for many nodes: the nodes of each group become one, and the edges between groups one each, counted."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from operator import itemgetter
from typing import NamedTuple

from .model import Edge, Node

__all__ = ["Group", "fold", "largest"]


class Group(NamedTuple):
    """What the box of a group is to be: its kind and name, its place in the grid, and how many time steps it is."""

    kind: str
    name: str
    band: int | None
    column: int | None
    steps: int | None


def fold(
    nodes: list[Node],
    keys: Sequence[Hashable],
    groups: dict[Hashable, Group],
    bands: Sequence[int | None],
    columns: Sequence[int | None],
) -> tuple[list[Node], list[Edge]]:
    """The nodes and edges of a scene; a node without a key stays as it is. Order is that of each group's first node."""
    boxes: list[Node] = []
    box_of: list[int] = []
    made: dict[Hashable, int] = {}
    for node, key in zip(nodes, keys, strict=True):
        index = None if key is None else made.get(key)
        if index is None:
            index = len(boxes)
            boxes.append(_alone(node, index, bands[node.id], columns[node.id]) if key is None else _first_of(node, index, groups[key]))
            if key is not None:
                made[key] = index
        else:
            boxes[index] = _joined(boxes[index], node)
        box_of.append(index)
    boxes, box_of = _sources_first(nodes, boxes, box_of)
    boxes = [box if box.cut_from is None else box._replace(cut_from=box_of[box.cut_from]) for box in boxes]
    return boxes, _edges(nodes, box_of, boxes)


def _sources_first(nodes: list[Node], boxes: list[Node], box_of: list[int]) -> tuple[list[Node], list[int]]:
    """Boxes in an order in which what only hands in values stands before everything that reads it."""
    if len(boxes) == len(nodes):
        return boxes, box_of
    first_user = list(range(len(boxes)))
    for node in nodes:
        for source in node.inputs:
            if source is not None and not nodes[source].inputs:
                first_user[box_of[source]] = min(first_user[box_of[source]], box_of[node.id])
    order = sorted(range(len(boxes)), key=lambda index: (first_user[index], first_user[index] == index, index))
    position = {old: new for new, old in enumerate(order)}
    return [boxes[old]._replace(id=new) for new, old in enumerate(order)], [position[old] for old in box_of]


_BAND = Node._fields.index("band")  # `column` comes after it


def _alone(node: Node, index: int, band: int | None, column: int | None) -> Node:
    """The node, at its place in the grid; what `_replace` would give, in a third of the time."""
    return Node._make((index, *node[1:_BAND], band, column, *node[_BAND + 2 :]))


def _first_of(node: Node, index: int, group: Group) -> Node:
    box = node._replace(id=index, kind=group.kind, name=group.name, band=group.band, column=group.column, steps=group.steps, values=None)
    if group.kind == "elision":
        return box._replace(step=None, op="elision", shapes=(), dtype="", rows=None, line="", cut_from=None)
    if group.kind == "module":
        return box._replace(step=None, op="module", shapes=(), dtype="", rows=None, line="", cut_from=None)
    return box._replace(step=None if (group.steps or 1) > 1 else node.step, rows=None)


def _joined(box: Node, node: Node) -> Node:
    return box._replace(count=box.count + 1, saved=box.saved + node.saved, norm=largest(box.norm, node.norm))


def largest(a: float | None, b: float | None) -> float | None:
    """The larger of two norms; not a number outweighs everything, what was not measured nothing."""
    if a is None or b is None:
        return b if a is None else a
    return math.nan if math.isnan(a) or math.isnan(b) else max(a, b)


def _edges(nodes: list[Node], box_of: list[int], boxes: list[Node]) -> list[Edge]:
    """One edge per pair of boxes, in order of targets; `loop` where a group reads what it will have computed before."""
    counts: dict[tuple[int, int], int] = {}
    norms: dict[tuple[int, int], float | None] = {}
    for node in nodes:
        target = box_of[node.id]
        passed = node.norms or ()
        for index, source in enumerate(node.inputs):
            if source is None:
                continue
            pair = (box_of[source], target)
            if pair[0] == target and _inside(boxes[target], nodes[source], node):
                continue
            counts[pair] = counts.get(pair, 0) + 1
            if passed:
                norms[pair] = largest(norms.get(pair), passed[index])
    edges = [Edge(*pair, _kind(boxes, *pair), count, norms.get(pair)) for pair, count in counts.items()]
    edges += [Edge(box.cut_from, box.id, "severed") for box in boxes if box.cut_from is not None and box.cut_from != box.id]
    return sorted(edges, key=itemgetter(1, 0))  # by target, then by source


def _inside(box: Node, source: Node, target: Node) -> bool:
    """Whether an edge between two nodes of one box is hidden in it, and no loop of it."""
    return box.kind == "elision" or (box.kind == "module" and source.step == target.step)


def _kind(boxes: list[Node], source: int, target: int) -> str:
    here, there = boxes[source], boxes[target]
    if here.kind == "param":
        return "param"
    if source >= target:
        return "loop"
    if here.band is not None and here.band == there.band and here.column != there.column:
        return "state"
    return "data"
