"""Where the nodes of one cell stand: what a recurrent network computes in one time step.

Data rises, one row per rank (the longest path from the cell's inputs). Where a state is carried on by a short path, as
c is in an LSTM by mul and add, that path is a straight lane across the top, and what follows from it comes down on the
lane's far side, as h does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Form", "form_of", "users_of"]

_LONGEST_LANE = 3  # nodes on the path that carries a state, if it is to be drawn as a lane
_LONGEST_BEND = 24  # rows; a longer wire passes behind boxes, so that room for wires stays in proportion to the nodes


class Form(NamedTuple):
    """A cell laid out: per node (column, row), rows counted upward from 0; and its extent.

    bends  (node, one that draws on it several rows up) -> columns at which the wire passes the rows between
    """

    spots: tuple[tuple[float, float], ...]
    columns: float
    rows: int
    bends: dict[tuple[int, int], list[float]]


def form_of(parents: Sequence[Sequence[int]], carried: set[tuple[int, int]]) -> Form:
    """Lay out a cell whose node i draws on nodes `parents[i]` of the same cell.

    carried  pairs (node whose value goes to the next step, node that reads it there)
    """
    users = users_of(parents)
    readers = {reader for _, reader in carried}
    lane = _lane(users, carried)
    before, after = _around(lane, parents, users)
    ranks = _ranks(parents)
    top = 1 + max((ranks[node] for node in before), default=-1)
    rows = {node: ranks[node] for node in before} | dict.fromkeys(lane, top)
    order = _first_met([*lane, *after, *before], set(before), parents, readers)
    long = [(u, v) for v in (*before, *lane) for u in dict.fromkeys(parents[v]) if u in order and 1 < rows[v] - rows[u] <= _LONGEST_BEND]
    parents, users, ways = _with_bends(long, rows, order, parents, users)
    columns = _columns_before(lane, order, rows, parents, users)
    first = 1 + max(columns.values(), default=-1.0)
    taken: Counter[tuple[int, int]] = Counter()
    depth: dict[int, int] = {}
    for node in after:
        depth[node] = 1 + max((depth[parent] for parent in parents[node] if parent in depth), default=0)
        turn, down = divmod(depth[node] - 1, max(top, 1))  # at the bottom, go on with the next column
        rows[node] = max(top - 1 - down, 0)
        columns[node] = first + turn + taken[turn, rows[node]]
        taken[turn, rows[node]] += 1
    spots = tuple((columns[node], float(rows[node])) for node in range(len(users) - sum(map(len, ways.values()))))
    bends = {edge: [columns[bend] for bend in way] for edge, way in ways.items()}
    return Form(spots, max(columns.values()) + 1, max(rows.values()) + 1, bends)


def _with_bends(
    long: list[tuple[int, int]],
    rows: dict[int, int],
    order: dict[int, int],
    parents: Sequence[Sequence[int]],
    users: list[list[int]],
) -> tuple[list[list[int]], list[list[int]], dict[tuple[int, int], list[int]]]:
    """Parents and users with a bend, a node that takes room but is not drawn, in every row that a long wire passes."""
    drawn, users = [list(each) for each in parents], [list(each) for each in users]
    ways: dict[tuple[int, int], list[int]] = {}
    for u, v in long:
        way = ways[u, v] = list(range(len(drawn), len(drawn) + rows[v] - rows[u] - 1))
        for height, bend in enumerate(way):
            rows[bend], order[bend] = rows[u] + 1 + height, order[u]
            drawn.append([bend - 1 if height else u])
            users.append([bend + 1 if bend < way[-1] else v])
        drawn[v] = [way[-1] if parent == u else parent for parent in drawn[v]]
        users[u] = [way[0] if user == v else user for user in users[u]]
    return drawn, users, ways


def users_of(parents: Sequence[Sequence[int]]) -> list[list[int]]:
    users: list[list[int]] = [[] for _ in parents]
    for node, drawn in enumerate(parents):
        for parent in dict.fromkeys(drawn):
            users[parent].append(node)
    return users


def _ranks(parents: Sequence[Sequence[int]]) -> list[int]:
    """Per node the length of the longest path to it."""
    ranks: list[int] = []
    for drawn in parents:
        ranks.append(1 + max((ranks[parent] for parent in drawn), default=-1))
    return ranks


def _lane(users: list[list[int]], carried: set[tuple[int, int]]) -> list[int]:
    """The shortest path from a reader of the last step's state to the state it becomes, if it is short; else []."""
    best: list[int] = []
    for state, reader in sorted(carried):
        paths = [[reader]]
        for path in paths:
            if path[-1] == state:
                if not best or len(path) < len(best):
                    best = path
                break
            if len(path) < _LONGEST_LANE:
                paths.extend([*path, user] for user in users[path[-1]])
    return best


def _around(lane: list[int], parents: Sequence[Sequence[int]], users: list[list[int]]) -> tuple[list[int], list[int]]:
    """The other nodes, in tape order: (those that do not wait for the lane, those that follow from it)."""
    needed, following = set(lane), set(lane)
    for node in reversed(range(len(parents))):
        if any(user in needed for user in users[node]):
            needed.add(node)
    for node, drawn in enumerate(parents):
        if node not in needed and any(parent in following for parent in drawn):
            following.add(node)
    before = [node for node in range(len(parents)) if node not in following]
    return before, [node for node in range(len(parents)) if node in following and node not in lane]


def _columns_before(
    lane: list[int],
    order: dict[int, int],
    rows: dict[int, int],
    parents: Sequence[Sequence[int]],
    users: list[list[int]],
) -> dict[int, float]:
    """Columns of the lane and of what comes before it: the widest row is filled, the others stand over or under it."""
    by_row: defaultdict[int, list[int]] = defaultdict(list)
    for node in sorted(order, key=order.__getitem__):
        by_row[rows[node]].append(node)
    columns: dict[int, float] = {}
    if by_row:
        widest = max(sorted(by_row), key=lambda row: len(by_row[row]))
        columns = {node: float(column) for column, node in enumerate(by_row[widest])}
        for row in range(widest + 1, max(by_row) + 1):
            _spread(by_row[row], parents, columns)
        for row in range(widest - 1, -1, -1):
            _spread(by_row[row], users, columns)
    _spread(lane, parents, columns, centred=False)
    leftmost = min(columns.values(), default=0.0)
    return {node: column - leftmost for node, column in columns.items()}


def _first_met(starts: Iterable[int], allowed: set[int], parents: Sequence[Sequence[int]], readers: set[int]) -> dict[int, int]:
    """The order in which a walk from `starts` towards inputs leaves nodes: what serves one purpose stays together.

    What depends on the last step's state goes first, that is to the left, where the state comes from.
    """
    remembers: set[int] = set()  # what depends on the last step's state
    for node in sorted(allowed):
        if node in readers or not remembers.isdisjoint(parents[node]):
            remembers.add(node)
    order: dict[int, int] = {}
    entered: set[int] = set()
    for start in starts:
        waiting = [start]
        while waiting:
            node = waiting[-1]
            if node in entered:
                waiting.pop()
                if node in allowed:
                    order.setdefault(node, len(order))
                continue
            entered.add(node)
            fresh = [parent for parent in dict.fromkeys(parents[node]) if parent in allowed and parent not in entered]
            waiting.extend(sorted(fresh, key=lambda parent: (parent in remembers, -parent)))
    return order


def _spread(nodes: list[int], neighbours: Sequence[Sequence[int]], columns: dict[int, float], centred: bool = True) -> None:
    """Give each of `nodes`, in this order, the mean column of its neighbours, at least 1 after the one before it."""
    wanted: list[float | None] = []
    for node in nodes:
        near = [columns[other] for other in neighbours[node] if other in columns]
        wanted.append(sum(near) / len(near) if near else None)
    known = next((index for index, wish in enumerate(wanted) if wish is not None), None)
    last = -1.0 if known is None else (wanted[known] or 0.0) - known - 1
    moved = 0.0
    for node, wish in zip(nodes, wanted, strict=True):
        last = columns[node] = max(last + 1, last + 1 if wish is None else wish)
        moved += 0.0 if wish is None else last - wish
    if centred and nodes:
        for node in nodes:
            columns[node] -= moved / len(nodes)
