"""Where everything stands: from a snapshot to boxes, wires and frames with coordinates.

An unrolled network is a regular grid, and is drawn as one. Time runs to the right. A time step is laid out once, as a
cell (see cell.py), and stamped as often as there are steps. Layers and directions are bands, one above the other;
parameters are lines under a band, drawn once, that every use taps.

What belongs to no time step stands left of the cells if they need it, and right of them if not, ranked left to right.
Where nothing has a step, that is the whole picture.

Everything is a loop over nodes or edges; y grows downward, as in SVG.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .cell import Form, form_of, users_of
from .grid import Cell, times_of
from .snapshot import Node, Snapshot

__all__ = ["Box", "Frame", "Picture", "Point", "Word", "Wire", "arrange", "shown_steps", "text_width"]

Point = tuple[float, float]

_HEIGHT = 36.0  # of a box
_GAP = 20.0  # between boxes of a row: room for the wires of two parameters
_ROW = 62.0  # from row to row
_TRACK = 30.0  # from one parameter's line to the next
_PAD = 14.0  # between a step's frame and what is in it
_GUTTER = 42.0  # between frames
_ELLIPSIS = 150.0  # width of the column that stands for steps not shown
_WIDEST = 190.0  # a longer label is cut short


class Box(NamedTuple):
    """Node `node` of the snapshot, around the point (x, y)."""

    node: int
    x: float
    y: float
    width: float
    height: float


class Wire(NamedTuple):
    """Values flowing from box to box. `kind` is edge, state (to the next step), param, cut (from a detached
    value) or severed (to a detached value, where no gradient passes); `curved` as a Bézier."""

    source: int
    target: int
    kind: str
    points: tuple[Point, ...]
    curved: bool


class Frame(NamedTuple):
    """A rectangle: the outline of one step in one band, or the place of steps not shown (`kind` elision)."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    step: int | None


class Word(NamedTuple):
    """A heading, a badge or a note; `anchor` is start, middle or end."""

    kind: str
    text: str
    x: float
    y: float
    anchor: str


class Picture(NamedTuple):
    """All there is to draw, in the rectangle whose upper left corner is (left, top)."""

    left: float
    top: float
    width: float
    height: float
    boxes: list[Box]
    wires: list[Wire]
    frames: list[Frame]
    words: list[Word]
    dots: list[Point]
    marks: list[tuple[Point, Point]]  # dashed lines, where the tape was cut


def text_width(text: str, size: float = 12.0) -> float:
    """About how wide `text` is at this font size; East Asian characters count double."""
    if text.isascii():
        return len(text) * size * 0.58
    return size * sum(1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.58 for letter in text)


def shown_steps(steps: Sequence[int], most: int | None) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """`steps` as (first ones shown, ones not shown, last ones shown), at most `most` shown.

    >>> shown_steps(range(10), 4)
    (range(0, 2), range(2, 8), range(8, 10))
    """
    if most is None or len(steps) <= most:
        return steps, steps[:0], steps[:0]
    last = most // 2
    first = most - last
    return steps[:first], steps[first : len(steps) - last], steps[len(steps) - last :]


def arrange(snapshot: Snapshot, max_steps: int | None = 6) -> Picture:
    """A picture of the snapshot, with at most `max_steps` time steps shown; None shows all."""
    if max_steps is not None and max_steps < 2:
        raise ValueError(f"max_steps must be at least 2, so that a first and a last step are shown, or None for all; got {max_steps}")
    return _Drawing(snapshot, max_steps).picture()



class _Drawing:
    """A picture in the making: positions first, then wires between them."""

    def __init__(self, snapshot: Snapshot, max_steps: int | None) -> None:
        self.nodes = snapshot.nodes
        self.users = users_of([[each for each in node.inputs if each is not None] for node in self.nodes])
        self.times = times_of(self.nodes, self.users)
        self.steps = sorted({step for _, step in self.times.cells})
        self.head, self.hidden, self.tail = shown_steps(self.steps, max_steps)
        self.hidden_set = set(self.hidden)
        self.at: dict[int, Point] = {}  # id -> centre
        self.half: dict[int, float] = {}  # id -> half its width, where that is not `self.half_width`
        self.wires: list[Wire] = []
        self.drawn: set[tuple[Point, ...]] = set()
        self.frames: list[Frame] = []
        self.words: list[Word] = []
        self.dots: list[Point] = []
        self.marks: list[tuple[Point, Point]] = []
        self.lines: dict[int, float] = {}  # id of a target beside the cells -> y of the line over them that leads to it
        self.is_left, self.is_right = set(self.times.left), set(self.times.right)
        self.is_hidden = {id_ for id_, (_, step) in self.times.home.items() if step in self.hidden_set}
        for parts in (self.times.feeders, self.times.states):
            self.is_hidden |= {id_ for (_, step), ids in parts.items() if step in self.hidden_set for id_ in ids}
        in_cells = [self.nodes[id_] for id_ in self.times.home if len(self.nodes[id_].shapes) == 1]
        self.half_width = max(map(_width, in_cells or [node for node in self.nodes if node.kind != "param"]), default=60.0) / 2
        widths = map(_width, self.nodes)
        self.half.update({id_: width / 2 for id_, width in enumerate(widths) if width > 2 * self.half_width})
        self.side_width = 2 * max((self.half.get(id_, self.half_width) for id_ in (*self.times.left, *self.times.right)), default=0.0)
        self.column = 2 * self.half_width + _GAP

    def picture(self) -> Picture:
        """Place everything, then wire it."""
        self._find_forms()
        self._place_columns()
        self._place_bands()
        self._place_sides()
        self._place_params()
        self._draw_frames()
        for edge in self._edges():
            self._wire(*edge)
        for node in self.nodes:
            if node.cut_from is not None and node.id not in self.is_hidden and node.cut_from not in self.is_hidden:
                self._add(node.cut_from, node.id, "severed", self._s_curve(node.cut_from, node.id), True)
        return self._framed()

    # ------------------------------------------------------------------------------------------------ positions

    def _find_forms(self) -> None:
        """Lay each different cell out once; `spot` knows (column, row) for every id in a cell."""
        home = self.times.home
        place = {id_: index for ids in self.times.cells.values() for index, id_ in enumerate(ids)}
        shapes: dict[Cell, tuple[tuple[int, ...], ...]] = {}
        carried: defaultdict[tuple[int, object], set[tuple[int, int]]] = defaultdict(set)
        for cell, ids in self.times.cells.items():
            inside = [[i for i in self.nodes[id_].inputs if i is not None and home.get(i) == cell] for id_ in ids]
            shapes[cell] = tuple(tuple(place[i] for i in drawn) for drawn in inside)
        for cell, ids in self.times.cells.items():
            for id_ in ids:
                for source in self.nodes[id_].inputs:
                    other = home.get(source) if source is not None else None
                    if source is not None and other is not None and other[0] == cell[0] and other != cell and place[source] < len(ids):
                        carried[cell[0], shapes[cell]].add((place[source], place[id_]))
        made: dict[tuple[int, object], Form] = {}
        self.form: dict[Cell, Form] = {}
        self.spot: dict[int, Point] = {}
        self.place = place
        for cell, ids in self.times.cells.items():
            key = (cell[0], shapes[cell])
            if key not in made:
                made[key] = form_of(shapes[cell], carried[key])
            form = self.form[cell] = made[key]
            self.spot.update(zip(ids, form.spots, strict=True))
        self.cell_width = max((form.columns for form in made.values()), default=0.0) * self.column - _GAP

    def _place_columns(self) -> None:
        """`self.left_of[step]`: where the frame of a step begins; hidden steps share one place."""
        waiting: defaultdict[tuple[int, int], float] = defaultdict(float)
        for (band, step), ids in self.times.states.items():
            shift = 1 if self.times.backward[band] else 0
            if ids and step not in self.hidden_set:
                waiting[step, shift] = 2 * max(self.half.get(id_, self.half_width) for id_ in ids) + 14
        self.param_width = max((_width(node) for node in self.nodes if node.kind == "param"), default=0.0)
        x = 0.0
        self.left_of: dict[int, float] = {}
        self.frame_width = self.cell_width + 2 * _PAD
        for step in (*self.head, *self.hidden[:1], *self.tail):
            if step in self.hidden_set:
                self.left_of.update(dict.fromkeys(self.hidden, x))
                x += _ELLIPSIS + _GUTTER
                continue
            x += waiting[step, 0] if self.left_of else 0.0  # before the first step there is room anyway
            self.left_of[step] = x
            x += self.frame_width + _GUTTER + waiting[step, 1]
        self.right_edge = x - _GUTTER if self.steps else 0.0
        self.state_room = max((waiting[step, 0] for step in self.steps[:1]), default=0.0)

    def _place_bands(self) -> None:
        """Rows of cells from the bottom up, each over the lines of its parameters and the tracks of its inputs."""
        self.rail: list[list[int]] = [[] for _ in self.times.backward]
        for node in self.nodes:
            bands = [self.times.home[user][0] for user in self.users[node.id] if user in self.times.home]
            if node.kind == "param" and bands:
                self.rail[min(bands)].append(node.id)
        self.tracks: list[dict[int, float]] = []  # per band: id of a source outside -> y of its horizontal line
        self.floor: list[float] = []  # per band: y of row 0
        self.ceiling: list[float] = []
        self.rail_top: list[float] = []
        y = 0.0
        for band in range(len(self.rail)):
            self.rail_top.append(y - _TRACK * (len(self.rail[band]) - 0.5))
            y -= _TRACK * len(self.rail[band])
            outside = self._sources_outside(band)
            y -= 10.0
            self.tracks.append({})
            for index, source in enumerate(outside):
                self.tracks[band][source] = y - 8.0 * (index % 12)
            y -= 8.0 * min(len(outside), 12) + 8.0
            feeders = self._place_feeders(band, y)
            y -= feeders * _ROW + _PAD + _HEIGHT / 2
            self.floor.append(y)
            rows = max(form.rows for cell, form in self.form.items() if cell[0] == band)
            y -= (rows - 1) * _ROW + _HEIGHT / 2 + _PAD
            self.ceiling.append(y)
            y -= 34.0
        self._place_cells()
        self.sky = y  # above it run the lines to what follows the last step

    def _sources_outside(self, band: int) -> list[int]:
        """What this band reads from other bands and from nodes without a step; other bands share one track."""
        home, found = self.times.home, dict[int, None]()
        beside = {id_ for parts in (self.times.feeders, self.times.states) for ids in parts.values() for id_ in ids}
        for id_, (own, _) in home.items():
            for source in self.nodes[id_].inputs if own == band else ():
                if source is None or self.nodes[source].kind == "param" or source in beside:
                    continue
                if source not in home:
                    found[source] = None
                elif home[source][0] != band:
                    found[-1 - home[source][0]] = None
        for (own, _), ids in self.times.feeders.items():
            for id_ in ids if own == band else ():
                inputs = [each for each in self.nodes[id_].inputs if each is not None]
                found.update(dict.fromkeys(each for each in inputs if self.nodes[each].kind != "param"))
        return list(found)

    def _place_feeders(self, band: int, y: float) -> int:
        """Put what one cell alone reads under its reader; returns how many rows that takes."""
        most = 0
        for cell, ids in self.times.feeders.items():
            under: Counter[float] = Counter()
            for id_ in sorted(ids) if cell[0] == band else ():
                x = self._x(self._reader(id_))
                self.at[id_] = (x, y - under[x] * _ROW - _HEIGHT / 2)
                under[x] += 1
                most = max(most, under[x])
        return most

    def _reader(self, id_: int) -> int:
        """The first node in a cell that reads this one."""
        return next(user for user in self.users[id_] if user in self.times.home)

    def _x(self, id_: int) -> float:
        """The middle of a node in a cell; time that runs backward mirrors the cell."""
        band, step = self.times.home[id_]
        if id_ in self.is_hidden:
            return self.left_of[step] + _ELLIPSIS / 2
        return self._column_x((band, step), self.spot[id_][0])

    def _column_x(self, cell: Cell, column: float) -> float:
        band, step = cell
        form = self.form[cell]
        inside = column * self.column + (self.cell_width - form.columns * self.column + _GAP) / 2 + self.half_width
        return self.left_of[step] + (self.frame_width - _PAD - inside if self.times.backward[band] else _PAD + inside)

    def _place_cells(self) -> None:
        for id_, (band, _) in self.times.home.items():
            self.at[id_] = (self._x(id_), self.floor[band] - self.spot[id_][1] * _ROW)
        for id_ in self.is_hidden:
            self.half[id_] = _ELLIPSIS / 2
        for (band, step), ids in self.times.states.items():
            taken: set[Point] = set()
            backward = self.times.backward[band]
            edge = self.left_of[step] + (self.frame_width + _GUTTER / 2 if backward else -_GUTTER / 2)
            for id_ in sorted(ids):
                half = self.half.get(id_, self.half_width)
                x = edge + (half if backward else -half)
                spot = (x, self.at[self._reader(id_)][1])
                while spot in taken:
                    spot = (x, spot[1] - _HEIGHT - 6)
                taken.add(spot)
                self.at[id_] = spot
            if any(self.nodes[id_].kind == "cut" for id_ in ids) and step not in self.hidden_set:
                line = edge + (-8.0 if backward else 8.0)
                self.marks.append(((line, self.ceiling[band]), (line, self.floor[band] + _HEIGHT / 2 + _PAD)))

    def _place_sides(self) -> None:
        params = self.param_width + 30.0 if any(self.rail) else 0.0
        start = -max(params, self.state_room) - _GUTTER
        floor = self.floor[0] if self.floor else 0.0
        self.left_foot = self._place_ranked(self.times.left, start, floor, rightmost=True)
        top = (self.ceiling[-1] + _HEIGHT / 2 + _PAD) if self.ceiling else 0.0
        self.right_foot = self._place_ranked(self.times.right, self.right_edge + (_GUTTER + 20.0 if self.steps else 0.0), top, False)

    def _place_ranked(self, ids: list[int], x: float, y: float, rightmost: bool) -> float:
        """Columns by rank from x on, or up to x; rows grow away from y; returns the y under them all."""
        if not ids:
            return y
        rank = self._ranks_of(ids)
        by_rank: defaultdict[int, list[int]] = defaultdict(list)
        for id_ in ids:
            by_rank[rank[id_]].append(id_)
        pitch = self.side_width + _GAP + 16.0
        start = x - pitch * len(by_rank) + _GAP if rightmost else x
        for index, key in enumerate(sorted(by_rank)):
            wish = {id_: self._mean_row(id_, rank) for id_ in by_rank[key]}
            column = sorted(by_rank[key], key=lambda id_: (wish[id_], id_))
            rows: list[float] = []
            for id_ in column:
                rows.append(wish[id_] if not rows else max(wish[id_], rows[-1] + _ROW))
            moved = sum(row - wish[id_] for row, id_ in zip(rows, column, strict=True)) / len(rows)
            for row, id_ in zip(rows, column, strict=True):
                self.at[id_] = (start + pitch * index + self.side_width / 2, row - moved)
        edge = max(self.at[id_][1] for id_ in ids) if rightmost else min(self.at[id_][1] for id_ in ids)
        for id_ in ids:
            self.at[id_] = (self.at[id_][0], self.at[id_][1] + y - edge)
        return max(self.at[id_][1] for id_ in ids) + _HEIGHT / 2

    def _ranks_of(self, ids: list[int]) -> dict[int, int]:
        """Longest path among `ids`; what comes from nowhere stands right before its first user."""
        rank: dict[int, int] = {}
        for id_ in ids:
            rank[id_] = 1 + max((rank[source] for source in self.nodes[id_].inputs if source in rank), default=0)
        for id_ in ids:
            users = [rank[user] for user in self.users[id_] if user in rank]
            if self.nodes[id_].kind in ("constant", "input", "cut") and users:
                rank[id_] = min(users) - 1
        return rank

    def _mean_row(self, id_: int, rank: dict[int, int]) -> float:
        rows = [self.at[source][1] for source in self.nodes[id_].inputs if source in rank and source in self.at]
        return sum(rows) / len(rows) if rows else 0.0

    def _place_params(self) -> None:
        """Lines under the bands; what only stepless nodes use stands under the first of these."""
        for band, ids in enumerate(self.rail):
            for index, id_ in enumerate(ids):
                width = _width(self.nodes[id_])
                self._put_param(id_, -_GUTTER / 2 - width / 2 - 16.0, self.rail_top[band] + index * _TRACK, width)
        railed = {id_ for ids in self.rail for id_ in ids}
        beside = [node for node in self.nodes if node.kind == "param" and node.id not in railed and self.users[node.id]]
        beside.sort(key=lambda node: (self.at[self.users[node.id][0]][0], node.id))
        ends: dict[bool, list[float]] = {True: [], False: []}
        for node in beside:
            user, width = self.users[node.id][0], _width(node)
            x = self.at[user][0] + self.half.get(user, self.half_width) - width / 2
            rows = ends[user in self.is_left]
            row = next((index for index, end in enumerate(rows) if end < x - width / 2 - 8), len(rows))
            if row == len(rows):
                rows.append(0.0)
            rows[row] = x + width / 2 + 14.0
            foot = self.left_foot if user in self.is_left else self.right_foot
            self._put_param(node.id, x, foot + 34.0 + row * (_TRACK + 6), width)
        for node in self.nodes:
            if node.kind == "param" and node.id not in self.at:
                self._put_param(node.id, 0.0, 0.0, _width(node))

    def _put_param(self, id_: int, x: float, y: float, width: float) -> None:
        self.at[id_], self.half[id_] = (x, y), width / 2

    def _draw_frames(self) -> None:
        for band, (floor, ceiling) in enumerate(zip(self.floor, self.ceiling, strict=True)):
            height = floor + _HEIGHT / 2 + _PAD - ceiling
            for step in (*self.head, *self.tail):
                if (band, step) in self.form:
                    self.frames.append(Frame("step", self.left_of[step], ceiling, self.frame_width, height, step))
            if self.hidden:
                x = self.left_of[self.hidden[0]]
                self.frames.append(Frame("elision", x, ceiling, _ELLIPSIS, height, None))
                count = len(self.hidden)
                middle = ceiling + height / 2
                text = f"… {count} step{'s' if count > 1 else ''} …"
                self.words.append(Word("elision", text, x + _ELLIPSIS / 2, middle + 5, "middle"))
        for step in (*self.head, *self.tail):
            self.words.append(Word("heading", f"t = {step}", self.left_of[step] + self.frame_width / 2, self.ceiling[-1] - 10, "middle"))
        if self.hidden:
            first, last = self.hidden[0], self.hidden[-1]
            text = f"t = {first}" if first == last else f"t = {first} … {last}"
            self.words.append(Word("heading", text, self.left_of[first] + _ELLIPSIS / 2, self.ceiling[-1] - 10, "middle"))

    # ---------------------------------------------------------------------------------------------------- wires

    def _edges(self) -> Iterator[tuple[int, int]]:
        for node in self.nodes:
            for source in dict.fromkeys(node.inputs):
                if source is not None:
                    yield source, node.id

    def _wire(self, u: int, v: int) -> None:
        """Draw the wire from u to v by the way that fits where they stand."""
        kind = self.nodes[u].kind
        if u in self.is_hidden and v in self.is_hidden:
            return
        if kind == "param":
            if v not in self.is_hidden:
                self._tap(u, v)
            return
        cell, other = self.times.home.get(u), self.times.home.get(v)
        if cell is None and v in self.is_hidden:
            return
        if cell is not None and other is not None:
            if cell == other:
                self._inside(u, v)
            elif cell[0] == other[0]:
                self._carried(u, v)
            elif cell[1] == other[1]:
                self._upward(u, v)
            else:
                self._add(u, v, "edge", self._s_curve(u, v), True)
        elif cell is not None and v not in self.is_left and v not in self.is_right:
            self._add(u, v, "state", self._s_curve(u, v), True)  # to what stands under another cell
        elif cell is not None or (v in self.is_right and u not in self.is_right):
            self._overhead(u, v)
        elif other is not None and u in self.is_left:
            self._from_below(u, v)
        elif other is None and u in self.is_left and v not in self.is_left:
            self._from_below(u, v)  # v feeds one cell
        elif other is not None:
            self._to_cell(u, v)
        else:
            self._along(u, v)

    def _add(self, u: int, v: int, kind: str, points: Sequence[Point], curved: bool = False) -> None:
        path = tuple(points)
        if self.hidden:  # they share one place, and many of their wires are one
            if path in self.drawn:
                return
            self.drawn.add(path)
        self.wires.append(Wire(u, v, kind, path, curved))

    def _flow(self, id_: int) -> float:
        """1 where time runs to the right, -1 where it runs to the left."""
        return -1.0 if id_ in self.times.home and self.times.backward[self.times.home[id_][0]] else 1.0

    def _exit(self, id_: int) -> Point:
        x, y = self.at[id_]
        return x + self._flow(id_) * self.half.get(id_, self.half_width), y

    def _entry(self, id_: int) -> Point:
        x, y = self.at[id_]
        return x - self._flow(id_) * self.half.get(id_, self.half_width), y

    def _s_curve(self, u: int, v: int) -> list[Point]:
        (x, y), (to_x, to_y) = self._exit(u), self._entry(v)
        middle = (to_x - x) / 2
        return [(x, y), (x + middle, y), (to_x - middle, to_y), (to_x, to_y)]

    def _rise(self, u: int, v: int) -> list[Point]:
        (x, y), (to_x, to_y) = self.at[u], self.at[v]
        side = _HEIGHT / 2 if to_y < y else -_HEIGHT / 2
        start, end = y - side, to_y + side
        bend = (end - start) * 0.5
        return [(x, start), (x, start + bend), (to_x, end - bend), (to_x, end)]

    def _inside(self, u: int, v: int) -> None:
        """Within a cell: up; straight along a row; or from the lane out to the far side and down."""
        (x, y), (to_x, to_y), flow = self.at[u], self.at[v], self._flow(u)
        if y == to_y:
            self._add(u, v, "edge", [self._exit(u), self._entry(v)])
        elif to_y > y and (to_x - x) * flow > self.half_width:
            self._add(u, v, "edge", [self._exit(u), (to_x, y), (to_x, to_y - _HEIGHT / 2)])
        else:
            cell = self.times.home[u]
            bends = self.form[cell].bends.get((self.place[u], self.place[v]), ())
            self._add(u, v, "edge", self._climb(u, v, [self._column_x(cell, bend) for bend in bends]), True)

    def _climb(self, u: int, v: int, bends: list[float]) -> list[Point]:
        """From u to v above it, straight up past the boxes of every row between, at the x given for each."""
        (x, y), end = self.at[u], self.at[v][1] + _HEIGHT / 2
        if not bends:
            return self._rise(u, v)
        points = [(x, y - _HEIGHT / 2)]
        for index, bend in enumerate(bends):
            foot = y - (index + 1) * _ROW + _HEIGHT / 2
            points.extend(_between(points[-1], (bend, foot)))
            points.extend(_between((bend, foot), (bend, foot - _HEIGHT)))
        return [*points, *_between(points[-1], (self.at[v][0], end))]

    def _carried(self, u: int, v: int) -> None:
        """From step to step: along the row, or by the gutter before the reader's frame."""
        start, end, flow = self._exit(u), self._entry(v), self._flow(v)
        if start[1] == end[1]:
            self._add(u, v, "state", [start, end])
            return
        _, step = self.times.home[v]
        width = _ELLIPSIS if v in self.is_hidden else self.frame_width
        frame = self.left_of[step] if flow > 0 else self.left_of[step] + width
        gutter = frame - flow * (16.0 + 6.0 * (self.spot[v][1] % 4))
        self._add(u, v, "state", [start, (gutter, start[1]), (gutter, end[1]), end])

    def _upward(self, u: int, v: int) -> None:
        """From one band to the next: out to the frame's margin, up, and in from below."""
        if u in self.is_hidden:
            return
        x, y = self._exit(u)
        band, step = self.times.home[v]
        margin = self.left_of[step] + (self.frame_width - 6.0 if self._flow(u) > 0 else 6.0)
        track = self.tracks[band][-1 - self.times.home[u][0]]
        to_x, to_y = self.at[v]
        self._add(u, v, "edge", [(x, y), (margin, y), (margin, track), (to_x, track), (to_x, to_y + _HEIGHT / 2)])

    def _from_below(self, u: int, v: int) -> None:
        """From what stands left of the cells: along a track under them and up."""
        band = self.times.home[v][0] if v in self.times.home else self.times.home[self.users[v][0]][0]
        x, y = self._exit(u)
        track = self.tracks[band][u]
        to_x, to_y = self.at[v]
        turn = x + 10.0 + 4.0 * (list(self.tracks[band]).index(u) % 4 if len(self.tracks[band]) < 50 else 0)
        self._add(u, v, "edge", [(x, y), (turn, y), (turn, track), (to_x, track), (to_x, to_y + _HEIGHT / 2)])

    def _overhead(self, u: int, v: int) -> None:
        """To what stands beside the cells: out to the frame's margin, over everything, and in from the left."""
        x, y = self._exit(u)
        margin = x + 12.0
        if u in self.times.home:
            _, step = self.times.home[u]
            margin = x + 8.0 if u in self.is_hidden else self.left_of[step] + (self.frame_width - 6.0 if self._flow(u) > 0 else 6.0)
        line = self.lines.setdefault(v, self.sky - 8.0 * (len(self.lines) % 12))
        to_x, to_y = self._entry(v)
        turn = to_x - 14.0
        self._add(u, v, "edge", [(x, y), (margin, y), (margin, line), (turn, line), (turn, to_y), (to_x, to_y)])

    def _to_cell(self, u: int, v: int) -> None:
        """From what stands under a cell, or in place of its state."""
        cut = "cut" if self.nodes[u].kind == "cut" else "edge"
        band, step = self.times.home[v]
        if u in self.times.states.get((band, step), ()):
            (x, y), (to_x, to_y) = (self.at[u][0] + self._flow(v) * self.half.get(u, self.half_width), self.at[u][1]), self._entry(v)
            middle = (x + to_x) / 2
            self._add(u, v, cut, [(x, y), (to_x, to_y)] if y == to_y else [(x, y), (middle, y), (middle, to_y), (to_x, to_y)])
        elif self.at[u][0] == self.at[v][0]:
            self._add(u, v, cut, [(self.at[u][0], self.at[u][1] - _HEIGHT / 2), (self.at[v][0], self.at[v][1] + _HEIGHT / 2)])
        else:
            self._add(u, v, cut, self._rise(u, v), True)

    def _along(self, u: int, v: int) -> None:
        """Left to right between nodes without a step; a long wire bows, so that what it passes can be read."""
        (x, y), (to_x, to_y) = self._exit(u), self._entry(v)
        kind = "cut" if self.nodes[u].kind == "cut" else "edge"
        if to_x - x > self.side_width:
            bow = _HEIGHT * 1.4
            self._add(u, v, kind, [(x, y), (x + self.column / 2, y - bow), (to_x - self.column / 2, to_y - bow), (to_x, to_y)], True)
        elif y == to_y:
            self._add(u, v, kind, [(x, y), (to_x, to_y)])
        else:
            self._add(u, v, kind, self._s_curve(u, v), True)

    def _tap(self, u: int, v: int) -> None:
        """A use of a parameter: from its line up beside the user, and in from the right."""
        (x, y), (to_x, to_y) = self.at[u], self.at[v]
        sources = [each for each in self.nodes[v].inputs if each is not None and self.nodes[each].kind == "param"]
        index = min(sources.index(u), 3)
        side = to_x + self.half.get(v, self.half_width)
        turn = side + 4.0 + 4.0 * index
        start = x + self.half[u] if turn > x else x - self.half[u]
        height = to_y + (5.0 * index if len(sources) > 1 else 0.0)
        self._add(u, v, "param", [(start, y), (turn, y), (turn, height), (side, height)])
        if len(self.users[u]) > 1:
            self.dots.append((turn, y))

    # -------------------------------------------------------------------------------------------------- the frame

    def _framed(self) -> Picture:
        """All that was placed, and the rectangle around it, with a margin."""
        for id_, (x, y) in self.at.items():
            uses = sum(self.nodes[user].inputs.count(id_) for user in self.users[id_])
            if self.nodes[id_].kind == "param" and uses > 1:
                self.words.append(Word("badge", f"×{uses}", x - self.half[id_] - 6, y + 4, "end"))
        boxes = [
            Box(id_, *self.at[id_], 2 * self.half.get(id_, self.half_width), 24.0 if self.nodes[id_].kind == "param" else _HEIGHT)
            for id_ in sorted(self.at)
            if id_ not in self.is_hidden
        ]
        xs = [x for box in boxes for x in (box.x - box.width / 2 - (30 if box.height == 24.0 else 0), box.x + box.width / 2)]
        ys = [y for box in boxes for y in (box.y - box.height / 2, box.y + box.height / 2)]
        for wire in self.wires:
            xs.extend(x for x, _ in wire.points)
            ys.extend(y for _, y in wire.points)
        for frame in self.frames:
            xs.extend((frame.x, frame.x + frame.width))
            ys.extend((frame.y - 26.0, frame.y + frame.height))
        left, top = min(xs) - 16.0, min(ys) - 16.0
        extent = (left, top, max(xs) - left + 16.0, max(ys) - top + 16.0)
        return Picture(*extent, boxes, self.wires, self.frames, self.words, self.dots, self.marks)


def _between(start: Point, end: Point) -> list[Point]:
    """A Bézier's further points, from `start` to `end`, upright at both."""
    middle = (start[1] + end[1]) / 2
    return [(start[0], middle), (end[0], middle), end]


def _width(node: Node) -> float:
    """Of a node's box: a parameter's label is one line, the others' are two."""
    if node.kind == "param":
        return min(text_width(node.label, 11.0) + 18.0, 2 * _WIDEST)
    return min(max(1.14 * text_width(node.name, 12.5), text_width(node.size, 10.5), 36.0) + 16.0, _WIDEST)
