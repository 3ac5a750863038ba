"""How wires run: along tracks, gutters and the channels between rows, so that they cross no box."""

from __future__ import annotations

from collections.abc import Sequence

from .ends import Ends
from .grid import Grid
from .model import Edge, Scene
from .picture import Point, Wire
from .place import HEIGHT, PAD, ROW, Places

__all__ = ["Router"]


class Router(Ends):
    """The wires of a scene, and the dots where parameters are tapped."""

    def __init__(self, scene: Scene, grid: Grid, places: Places) -> None:
        super().__init__(scene, grid, places)
        self.dots: list[Point] = []
        self.wires: list[Wire] = []
        self.lines: dict[int, float] = {}  # target -> y of the line over everything that leads to it
        self.over: dict[int, int] = {}  # band -> wires that run above it
        self.loops_beside = 0
        self.last_column = {column.section: index for index, column in enumerate(scene.columns)}
        self.params_of: dict[int, list[int]] = {}
        for edge in scene.edges:
            if edge.kind == "param":
                self.params_of.setdefault(edge.target, []).append(edge.source)
        for index, edge in enumerate(scene.edges):
            points, curved = self._way(edge)
            self.wires.append(Wire(index, tuple(points), curved))

    # --------------------------------------------------------------------------------------------------- which way

    def _way(self, edge: Edge) -> tuple[Sequence[Point], bool]:
        u, v = edge.source, edge.target
        here, there = self.home.get(u), self.home.get(v)
        if edge.kind == "param":
            return self._tap(u, v), False
        if edge.kind == "loop":
            return self._loop(u, v), False
        if edge.kind == "severed":
            in_one = u in self.home and v in self.grid.states.get(self.home[u], ())
            return (self._severed_in_one(u, v), False) if in_one else (self.s_curve(u, v), True)
        if here is not None and there is not None:
            return self._between_cells(u, v)
        if here is not None:
            return (self._overhead(u, v), False) if v in self.grid.side_of else (self._to_feeder(u, v), False)
        if there is not None:
            return (self._from_side(u, v), False) if u in self.grid.side_of else self._to_cell(u, v)
        if u in self.grid.side_of and v in self.grid.side_of:
            same = self.grid.side_of[u] == self.grid.side_of[v]
            return self._along(u, v) if same else (self._overhead(u, v), False)
        if u in self.grid.side_of:
            return self._from_side(u, v), False
        return self.rise(u, v), True

    def _between_cells(self, u: int, v: int) -> tuple[Sequence[Point], bool]:
        here, there = self.home[u], self.home[v]
        if here == there:
            return self._inside(u, v)
        if self.scene.bands[here[0]].section != self.scene.bands[there[0]].section:
            return self._to_section(u, v), False
        if here[0] == there[0]:
            return self._carried(u, v), False
        return (self._upward(u, v) if here[1] == there[1] else self._across(u, v)), False

    # ---------------------------------------------------------------------------------------------- within a section

    def _inside(self, u: int, v: int) -> tuple[Sequence[Point], bool]:
        """Within a cell: up; straight along a row; or from the lane out to the far side and down."""
        (x, y), (to_x, to_y), flow = self.at[u], self.at[v], self.flow(u)
        if y == to_y:
            return [(x + flow * self.half[u], y), (to_x - flow * self.half[v], to_y)], False
        if to_y > y and (to_x - x) * flow > self.places.usual:
            return [self.exit(u), (to_x, y), (to_x, to_y - HEIGHT / 2)], False
        cell = self.home[u]
        bends = self.places.form[cell].bends.get((self.grid.place[u], self.grid.place[v]), ())
        return self._climb(u, v, [self.places.cell_x(cell, bend) for bend in bends]), True

    def _climb(self, u: int, v: int, bends: list[float]) -> list[Point]:
        """From u to v above it, straight up past the boxes of every row between, at the x given for each."""
        (x, y), end = self.at[u], self.at[v][1] + HEIGHT / 2
        if not bends:
            return self.rise(u, v)
        points = [(x, y - HEIGHT / 2)]
        for index, bend in enumerate(bends):
            foot = y - (index + 1) * ROW + HEIGHT / 2
            points.extend(_between(points[-1], (bend, foot)))
            points.extend(_between((bend, foot), (bend, foot - HEIGHT)))
        return [*points, *_between(points[-1], (self.at[v][0], end))]

    def _carried(self, u: int, v: int) -> list[Point]:
        """From step to step: along the row, or by the gutter; over the frames between, where there are some."""
        start, end = self.exit(u), self.entry(v)
        if start[1] == end[1] and self.at_end(u, 1) and self.at_end(v, 0) and self.neighbours(u, v):
            return [start, end]
        gutter = self.beside(v, False, 12.0 + 6.0 * (self.places.spot[v][1] % 4))
        if self.neighbours(u, v):
            return [*self.out_to(u, gutter), *self.in_from(v, gutter)]
        out = self.beside(u, True, 8.0)
        line = self._line_over(self.home[u][0])
        return [*self.out_to(u, out), (out, line), (gutter, line), *self.in_from(v, gutter)]

    def _line_over(self, band: int) -> float:
        count = self.over[band] = self.over.get(band, 0) + 1
        return self.places.ceiling[band] - 4.0 - 3.0 * (count % 5)

    def _upward(self, u: int, v: int) -> list[Point]:
        """From one band to the next in one column: out to the frame's margin, up, and in from below."""
        margin = self.beside(u, True, -6.0)
        track = self.places.tracks[self.home[v][0]][-1 - self.home[u][0]]
        return [*self.out_to(u, margin), (margin, track), *self.up_into(v, track)]

    def _across(self, u: int, v: int) -> list[Point]:
        """From one band to another in another column: by the gutter to the track under v."""
        gutter = self.beside(u, True, 8.0)
        track = self.places.tracks[self.home[v][0]][-1 - self.home[u][0]]
        return [*self.out_to(u, gutter), (gutter, track), *self.up_into(v, track)]

    def _to_feeder(self, u: int, v: int) -> list[Point]:
        """From a cell to what stands under one."""
        gutter = self.beside(u, True, 8.0)
        x, y = self.at[v]
        track = self.places.tracks[self.home[self.places.reader(v)][0]].get(u, y + 30.0)
        return [*self.out_to(u, gutter), (gutter, track), (x, track), (x, y + HEIGHT / 2)]

    def _to_cell(self, u: int, v: int) -> tuple[Sequence[Point], bool]:
        """From what stands under a cell, or in place of its state."""
        cell, flow = self.home[v], self.flow(v)
        if u in self.grid.states.get(cell, ()):
            start = (self.at[u][0] + flow * self.half[u], self.at[u][1])
            line = self.beside(v, False, 6.0 + 4.0 * (self.places.spot[v][1] % 4))
            rest = self.in_from(v, line)
            return ([start, rest[-1]] if start[1] == rest[-1][1] else [start, (line, start[1]), *rest]), False
        if cell[0] != self._cell_over(u)[0]:
            return self._to_upper_band(u, v), False
        if self.at[u][0] == self.at[v][0] and self.places.spot[v][1] == 0:
            return [(self.at[u][0], self.at[u][1] - HEIGHT / 2), (self.at[v][0], self.at[v][1] + HEIGHT / 2)], False
        if self.scene.nodes[v].kind == "elision":
            return self.rise(u, v), True
        x, top = self.at[u][0], self.at[u][1] - HEIGHT / 2
        channel = top - 7.0
        return [(x, top), (x, channel), *self.up_into(v, channel)], False

    def _severed_in_one(self, u: int, v: int) -> list[Point]:
        """To the detached value beside the cell it came from, where all steps are one: over the frame."""
        (x, y), band = self.at[v], self.home[u][0]
        out, line = self.beside(u, True, 4.0), self.places.ceiling[band] - 5.0
        return [*self.out_to(u, out), (out, line), (x, line), (x, y - HEIGHT / 2)]

    def _cell_over(self, u: int) -> tuple[int, int]:
        """The cell under which, or beside which, u stands: the lowest of those that read it."""
        return min(self.home[user] for user in self.grid.users[u])

    def _to_upper_band(self, u: int, v: int) -> list[Point]:
        """From what stands under a cell into one further up: by the margin of the frames."""
        x, y = self.at[u]
        margin = self.beside(v, True, -6.0)
        track = self.places.tracks[self.home[v][0]].get(u, self.places.floor[self.home[v][0]] + HEIGHT / 2 + PAD + 6.0)
        out = x + self.half[u] if margin > x else x - self.half[u]
        return [(out, y), (margin, y), (margin, track), *self.up_into(v, track)]

    def _loop(self, u: int, v: int) -> list[Point]:
        """Back in time, where all steps are one: out of the frame, over it, and in again."""
        if u not in self.home or v not in self.home:
            (x, y), (to_x, to_y) = self.exit(u), self.entry(v)
            line = min(y, to_y) - HEIGHT / 2 - 12.0
            if u != v and u in self.grid.side_of:
                self.loops_beside += 1
                line = self.places.head[self.grid.side_of[u]] - 8.0 - 10.0 * (self.loops_beside % 12)
            return [(x, y), (x + 9.0, y), (x + 9.0, line), (to_x - 9.0, line), (to_x - 9.0, to_y), (to_x, to_y)]
        if self.home[u][0] != self.home[v][0] or self.home[u][1] != self.home[v][1]:
            return self._across(u, v) if self.home[u][0] != self.home[v][0] else self._carried(u, v)
        band = self.home[u][0]
        count = self.over[band] = self.over.get(band, 0) + 1
        line, out, back = self.places.ceiling[band] - 14.0 * count, self.beside(u, True, 4.0 + 5.0 * count), 4.0 + 5.0 * count
        before = self.beside(v, False, back)
        return [*self.out_to(u, out), (out, line), (before, line), *self.in_from(v, before)]

    # ------------------------------------------------------------------------------------------------ from side to side

    def _to_section(self, u: int, v: int) -> list[Point]:
        """From the cells of one section into those of another: over everything, and down beside v's frame."""
        out = self.beside(u, True, 8.0)
        count = len(self.lines)
        line = self.lines.setdefault(v, self.places.sky - 8.0 * (count % 12))
        before = self.beside(v, False, 10.0 + 5.0 * (count % 5))
        return [*self.out_to(u, out), (out, line), (before, line), *self.in_from(v, before)]

    def _overhead(self, u: int, v: int) -> list[Point]:
        """To what stands beside the sections: out to the gutter, over everything, and in from the left."""
        to_x, to_y = self.entry(v)
        turn = to_x - 14.0
        sky = self.places.sky
        if u in self.home:
            section = self.scene.bands[self.home[u][0]].section
            if self.grid.side_of[v] == section + 1:
                sky = self.places.skies[section]
                straight = self._straight_out(u, v)
                if straight:
                    return straight
        line = self.lines.setdefault(v, sky - 8.0 * (len(self.lines) % 12))
        if u in self.home:
            margin = self.beside(u, True, -6.0)
            out = self.out_to(u, margin)
        else:
            margin = self.at[u][0] + self.half[u] + 12.0
            out = [self.exit(u), (margin, self.at[u][1])]
        return [*out, (margin, line), (turn, line), (turn, to_y), (to_x, to_y)]

    def _straight_out(self, u: int, v: int) -> list[Point]:
        """From the last column of a section to what stands first beside it, where nothing is between them."""
        last = self.last_column[self.scene.bands[self.home[u][0]].section]
        if self.home[u][1] != last or self.flow(u) < 0 or self.places.ranks[self.grid.side_of[v]].spots[v][0] != 0:
            return []
        to_x, to_y = self.entry(v)
        turn = to_x - 14.0  # past what stands in place of a state on the right
        out = self.out_to(u, turn)
        if out[-1][1] == to_y:
            return [out[0], (to_x, to_y)] if len(out) == 2 else [*out, (to_x, to_y)]
        return [*out, (turn, to_y), (to_x, to_y)]

    def _from_side(self, u: int, v: int) -> list[Point]:
        """From what stands beside the sections: along a track under the cells and up."""
        reader = v if v in self.home else self.places.reader(v)
        tracks = self.places.tracks[self.home[reader][0]]
        track = tracks.get(u, self.places.floor[self.home[reader][0]] + HEIGHT / 2 + PAD + 6.0)
        x, y = self.exit(u)
        side = self.grid.side_of[u]
        place = self.places.ranks[side]
        own = list(tracks).index(u) % 5 if u in tracks and len(tracks) < 50 else 0
        turn = x + 8.0 + 4.0 * own
        end = [(self.at[v][0], track), (self.at[v][0], self.at[v][1] + HEIGHT / 2)] if v not in self.home else self.up_into(v, track)
        if place.spots[u][0] == place.ranks - 1:
            return [(x, y), (turn, y), (turn, track), *end]
        foot = self.places.foot[side] + 10.0 + 4.0 * own
        edge = self.places.side_x(side, place.ranks - 1) + self.places.side_half + 8.0 + 4.0 * own
        return [(x, y), (turn, y), (turn, foot), (edge, foot), (edge, track), *end]

    def _along(self, u: int, v: int) -> tuple[Sequence[Point], bool]:
        """Left to right between nodes without a step, past what stands between them."""
        (x, y), (to_x, to_y) = self.exit(u), self.entry(v)
        side = self.grid.side_of[u]
        place = self.places.ranks[side]
        bends = place.bends.get((u, v))
        first, last = place.spots[u][0], place.spots[v][0]
        if bends is None and last - first > 1:
            line = self.places.foot[side] + 12.0 + 5.0 * (u % 4)
            return [(x, y), (x + 9.0, y), (x + 9.0, line), (to_x - 9.0, line), (to_x - 9.0, to_y), (to_x, to_y)], False
        if y == to_y and not bends:
            return [(x, y), (to_x, to_y)], False
        if last <= first:
            return self._loop(u, v), False
        shift = self.at[u][1] - place.spots[u][1] * ROW
        points: list[Point] = [(x, y)]
        for offset, row in enumerate(bends or ()):
            middle, level = self.places.side_x(side, first + 1 + offset), row * ROW + shift
            points.extend(_sideways(points[-1], (middle - self.places.side_half, level)))
            points.extend(_sideways(points[-1], (middle + self.places.side_half, level)))
        return [*points, *_sideways(points[-1], (to_x, to_y))], True

    def _tap(self, u: int, v: int) -> list[Point]:
        """A use of a parameter: from its line up beside the user, and in from the right."""
        (x, y), (to_x, to_y) = self.at[u], self.at[v]
        sources = self.params_of[v]
        index = min(sources.index(u), 3)
        side = to_x + self.half[v]
        turn = min(max(side, self.fed.get(v, side)), side + 8.0) + 4.0 + 4.0 * index  # beside what stands under v, too
        start = x + self.half[u] if turn > x else x - self.half[u]
        height = to_y + (5.0 * index if len(sources) > 1 else 0.0)
        if len(self.grid.users[u]) > 1:
            self.dots.append((turn, y))
        return [(start, y), (turn, y), (turn, height), (side, height)]


def _between(start: Point, end: Point) -> list[Point]:
    """A Bézier's further points, from `start` to `end`, upright at both."""
    middle = (start[1] + end[1]) / 2
    return [(start[0], middle), (end[0], middle), end]


def _sideways(start: Point, end: Point) -> list[Point]:
    """A Bézier's further points, from `start` to `end`, level at both."""
    middle = (start[0] + end[0]) / 2
    return [(middle, start[1]), (middle, end[1]), end]
