"""A plain layered layout, left to right, for what no time step repeats: rank by longest path, rows by mean of neighbours.

A wire that passes several ranks gets a bend in each, which takes room like a node, so that it crosses no box.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from .model import Node

__all__ = ["Ranked", "ranked"]

_LONGEST = 12  # ranks; a longer wire takes a way above or below everything
_ROOM = 0.4  # of a row, for a bend
_PASSES = 4


class Ranked(NamedTuple):
    """Per id (rank from 0, row, not whole); per edge (source, target) the rows at which it passes the ranks between."""

    spots: dict[int, tuple[int, float]]
    ranks: int
    bends: dict[tuple[int, int], list[float]]


def ranked(ids: list[int], nodes: list[Node], inputs: Sequence[Sequence[int]], users: Sequence[Sequence[int]]) -> Ranked:
    """Lay out `ids`, given in an order in which nothing comes before what it draws on."""
    rank = _ranks(ids, nodes, inputs, users)
    columns: defaultdict[int, list[int]] = defaultdict(list)
    before: defaultdict[int, list[int]] = defaultdict(list)
    after: defaultdict[int, list[int]] = defaultdict(list)
    ways: dict[tuple[int, int], list[int]] = {}
    fresh = -1  # bends have negative numbers
    for id_ in ids:
        columns[rank[id_]].append(id_)
        for source in dict.fromkeys(inputs[id_]):
            if source not in rank:
                continue
            way = []
            if 1 < rank[id_] - rank[source] <= _LONGEST:
                for between in range(rank[source] + 1, rank[id_]):
                    way.append(fresh)
                    columns[between].append(fresh)
                    fresh -= 1
                ways[source, id_] = way
            stops = [source, *way, id_]
            for here, there in pairwise(stops):
                before[there].append(here)
                after[here].append(there)
    rows = _rows([columns[each] for each in sorted(columns)], before, after)
    spots = {id_: (rank[id_], rows[id_]) for id_ in ids}
    return Ranked(spots, 1 + max(rank.values(), default=-1), {edge: [rows[bend] for bend in way] for edge, way in ways.items()})


def _ranks(ids: list[int], nodes: list[Node], inputs: Sequence[Sequence[int]], users: Sequence[Sequence[int]]) -> dict[int, int]:
    """Longest path among `ids`; what comes from nowhere stands right before its first user."""
    rank: dict[int, int] = {}
    for id_ in ids:
        rank[id_] = 1 + max([rank[source] for source in inputs[id_] if source in rank], default=0)
    for id_ in ids:
        if nodes[id_].kind in ("constant", "input", "cut"):
            rank[id_] = min([rank[user] for user in users[id_] if user in rank], default=1) - 1
    least = min(rank.values(), default=0)
    return {id_: each - least for id_, each in rank.items()}


def _rows(columns: list[list[int]], before: dict[int, list[int]], after: dict[int, list[int]]) -> dict[int, float]:
    """Rows by which few wires cross and none is long: means of neighbours, to the right and back, a few times."""
    rows: dict[int, float] = {}
    for column in columns:
        _settle(column, before, rows)
    for turn in range(_PASSES if len(columns) < 5000 else 0):
        if turn % 2 == 0:
            for column in reversed(columns):
                _settle(column, after, rows)
        else:
            for column in columns:
                _settle(column, before, rows)
    return rows


def _settle(column: list[int], neighbours: dict[int, list[int]], rows: dict[int, float]) -> None:
    """Put a column in the order of its neighbours' mean rows, as near to them as room allows."""
    if len(column) == 1:
        near = [rows[other] for other in neighbours.get(column[0], ()) if other in rows]
        rows[column[0]] = sum(near) / len(near) if near else rows.get(column[0], 0.0)
        return
    wish = {}
    for index, id_ in enumerate(column):
        near = [rows[other] for other in neighbours.get(id_, ()) if other in rows]
        wish[id_] = sum(near) / len(near) if near else rows.get(id_, float(index))
    column.sort(key=lambda id_: wish[id_])
    last, room, moved = None, 0.0, 0.0
    for id_ in column:
        own = 1.0 if id_ >= 0 else _ROOM
        rows[id_] = wish[id_] if last is None else max(wish[id_], last + (room + own) / 2)
        last, room = rows[id_], own
        moved += rows[id_] - wish[id_]
    for id_ in column:
        rows[id_] -= moved / len(column)
