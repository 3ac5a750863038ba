"""Which node of a scene belongs where: to a cell, below one, in place of its state, or beside a section."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from .model import Cell, Node, Scene

__all__ = ["Grid", "grid_of"]

_SOURCES = ("input", "constant", "cut")


class Grid(NamedTuple):
    """Who stands in which cell.

    inputs, users   per id the ids at the other end of its edges, loops and severed ones left out
    loops     edges that lead back in time, as positions in the scene's list
    home      id -> its cell (band, column); place: id -> its position in the cell
    cells     cell -> ids in tape order, the same number in steps that are alike
    carried   (band, place of what hands on a state, place of what reads it in another column)
    feeders   cell -> ids of what it alone reads and has under it
    states    cell -> ids of what stands in place of the last step's state
    sides     ids of what has no step: left of section 0, left of section 1, …, right of them all
    """

    inputs: list[list[int]]
    users: list[list[int]]
    loops: list[int]
    home: dict[int, Cell]
    place: dict[int, int]
    cells: dict[Cell, list[int]]
    carried: set[tuple[int, int, int]]
    feeders: dict[Cell, list[int]]
    states: dict[Cell, list[int]]
    sides: list[list[int]]
    side_of: dict[int, int]


def grid_of(scene: Scene) -> Grid:
    """Sort the nodes of a scene; every question is a loop over nodes or edges."""
    nodes = scene.nodes
    inputs: list[list[int]] = [[] for _ in nodes]
    users: list[list[int]] = [[] for _ in nodes]
    loops = []
    for index, edge in enumerate(scene.edges):
        if edge.kind == "loop":
            loops.append(index)
        elif edge.kind != "severed":
            inputs[edge.target].append(edge.source)
            users[edge.source].append(edge.target)
    home: dict[int, Cell] = {}
    cells: defaultdict[Cell, list[int]] = defaultdict(list)
    place: dict[int, int] = {}
    for node in nodes:
        if node.band is not None and node.column is not None:
            cell = home[node.id] = (node.band, node.column)
            place[node.id] = len(cells[cell])
            cells[cell].append(node.id)
    carried = _carried(scene, home, place, inputs)
    feeders, states, rest = _under_and_before(nodes, users, home, place, carried)
    sides, side_of = _sides(scene, rest, inputs, users, home)
    return Grid(inputs, users, loops, home, place, cells, carried, feeders, states, sides, side_of)


def _carried(scene: Scene, home: dict[int, Cell], place: dict[int, int], inputs: list[list[int]]) -> set[tuple[int, int, int]]:
    nodes, found = scene.nodes, set()
    for id_, (band, column) in home.items():
        for source in inputs[id_]:
            cell = home.get(source)
            if cell is not None and cell[0] == band and cell[1] != column and "elision" not in (nodes[id_].kind, nodes[source].kind):
                found.add((band, place[source], place[id_]))
    for edge in scene.edges:
        if edge.kind == "loop" and edge.source in home and edge.target in home and home[edge.source] == home[edge.target]:
            found.add((home[edge.source][0], place[edge.source], place[edge.target]))
    return found


def _under_and_before(
    nodes: list[Node], users: list[list[int]], home: dict[int, Cell], place: dict[int, int], carried: set[tuple[int, int, int]]
) -> tuple[dict[Cell, list[int]], dict[Cell, list[int]], list[int]]:
    """(feeders, states, all others without a cell)."""
    feeders: defaultdict[Cell, list[int]] = defaultdict(list)
    states: defaultdict[Cell, list[int]] = defaultdict(list)
    others = []
    readers_of_state = {(band, target) for band, _, target in carried}
    loose = [node.id for node in nodes if node.id not in home and node.kind != "param"]
    per_slot = Counter((nodes[id_].op, home[user][0], place[user]) for id_ in loose for user in users[id_] if user in home)
    for id_ in reversed(loose):
        is_source = nodes[id_].kind in _SOURCES
        readers = users[id_]
        cells = {home.get(user) for user in readers}
        columns = {None if each is None else each[1] for each in cells}
        cell = min(each for each in cells if each is not None) if len(columns) == 1 and None not in columns else None
        slots = [(home[user][0], place[user]) for user in readers] if cell is not None else []
        if (
            cell is not None
            and is_source
            and any(slot in readers_of_state for slot in slots)
            and (nodes[id_].kind == "cut" or (nodes[id_].steps or 1) == 1)
        ):
            states[cell].append(id_)
        elif cell is not None and (is_source or (nodes[id_].steps or 1) > 1 or per_slot[nodes[id_].op, *slots[0]] > 1):
            feeders[cell].append(id_)
        else:
            others.append(id_)
    return feeders, states, others[::-1]


def _sides(
    scene: Scene, rest: list[int], inputs: list[list[int]], users: list[list[int]], home: dict[int, Cell]
) -> tuple[list[list[int]], dict[int, int]]:
    """Stepless nodes before the first section they lead to, and after the last they draw on."""
    count = 1 + max((band.section for band in scene.bands), default=-1)
    section = {id_: scene.bands[band].section for id_, (band, _) in home.items()}
    after: list[int] = []  # per id: the last section it draws on, -1 for none
    for node in scene.nodes:
        own = section.get(node.id)
        after.append(own if own is not None else max([after[source] for source in inputs[node.id]], default=-1))
    before = [count] * len(scene.nodes)  # per id: the first section that draws on it
    for node in reversed(scene.nodes):
        own = section.get(node.id)
        before[node.id] = own if own is not None else min([before[user] for user in users[node.id]], default=count)
    sides: list[list[int]] = [[] for _ in range(count + 1)]
    side_of = {}
    for id_ in rest:
        side = before[id_] if after[id_] < 0 or before[id_] == count else after[id_] + 1
        side_of[id_] = side
        sides[side].append(id_)
    return sides, side_of
