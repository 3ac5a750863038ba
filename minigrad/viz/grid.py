"""Which node belongs where in time: to a cell, below one, in place of its state, or left or right of them all."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from .snapshot import Node

__all__ = ["Cell", "Times", "times_of"]

Cell = tuple[int, int]  # (band, step); a band is one direction of one layer


class Times(NamedTuple):
    """Who stands in which cell.

    cells      (band, step) -> ids in tape order, the same number in steps that are alike
    feeders    (band, step) -> ids of what one cell alone reads and has under it
    states     (band, step) -> ids of the constants and cuts in place of the last step's state
    left, right   ids of what has no step
    backward   per band, whether time runs from right to left in it
    """

    cells: dict[Cell, list[int]]
    feeders: dict[Cell, list[int]]
    states: dict[Cell, list[int]]
    left: list[int]
    right: list[int]
    backward: list[bool]
    home: dict[int, Cell]


def times_of(nodes: list[Node], users: list[list[int]]) -> Times:
    stepped = [node for node in nodes if node.step is not None and node.kind in ("op", "output")]
    bands, backward = _bands(stepped)
    home = {node.id: (bands[node.id], node.step or 0) for node in stepped}
    cells: defaultdict[Cell, list[int]] = defaultdict(list)
    for node in stepped:
        cells[home[node.id]].append(node.id)
    place = {id_: index for ids in cells.values() for index, id_ in enumerate(ids)}
    carried = {
        (home[id_][0], place[id_])
        for id_ in home
        for parent in nodes[id_].inputs
        if parent in home and home[parent][0] == home[id_][0] and home[parent][1] != home[id_][1]
    }
    feeders: defaultdict[Cell, list[int]] = defaultdict(list)
    states: defaultdict[Cell, list[int]] = defaultdict(list)
    rest, left, right = _unstepped(nodes, home), [], []
    per_slot = Counter((nodes[id_].op, home[u][0], place[u]) for id_ in rest for u in users[id_] if u in home)
    leads: set[int] = set()
    for id_ in reversed(rest):
        is_source = nodes[id_].kind in ("input", "constant", "cut")
        readers = [user for user in users[id_] if user in home] if is_source else users[id_]
        cell = _only_cell(readers, home)
        slot = None if cell is None else (cell[0], place[readers[0]])
        if cell is not None and is_source and slot in carried:
            states[cell].append(id_)
        elif cell is not None and slot is not None and (is_source or per_slot[nodes[id_].op, *slot] > 1):
            feeders[cell].append(id_)
        elif not any(user in home or user in leads for user in users[id_]):
            right.append(id_)
            continue
        else:
            left.append(id_)
        leads.add(id_)
    return Times(cells, feeders, states, left[::-1], right[::-1], backward, home)


def _unstepped(nodes: list[Node], home: dict[int, Cell]) -> list[int]:
    return [node.id for node in nodes if node.id not in home and node.kind != "param"]


def _only_cell(users: list[int], home: dict[int, Cell]) -> Cell | None:
    """The cell that all of `users` stand in, if it is one."""
    cells = {home.get(user) for user in users}
    return cells.pop() if len(cells) == 1 else None


def _bands(stepped: list[Node]) -> tuple[dict[int, int], list[bool]]:
    """Per id its band, from the bottom up: by layer and direction, or by module where layers are not numbered."""
    unnumbered = [node.scope for node in stepped if node.layer is None]
    shared = _shared_start(unnumbered)
    split = all(len(scope) > len(shared) for scope in unnumbered)
    keys: dict[int, tuple[int, bool, str]] = {}
    seen: dict[tuple[int, bool, str], int] = {}
    for node in stepped:
        module = node.scope[len(shared)] if node.layer is None and split else ""
        keys[node.id] = (-1 if node.layer is None else node.layer, node.direction == "reverse", module)
        seen.setdefault(keys[node.id], node.id)
    ordered = sorted(seen, key=lambda key: (key[0], key[1] if key[0] >= 0 else False, seen[key]))
    band = {key: index for index, key in enumerate(ordered)}
    return {id_: band[key] for id_, key in keys.items()}, [key[1] for key in ordered]


def _shared_start(scopes: list[tuple[str, ...]]) -> tuple[str, ...]:
    if not scopes:
        return ()
    low, high = min(scopes), max(scopes)
    same = next((index for index, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:same]
