"""Where boxes stand. An unrolled network is a regular grid, and is drawn as one.

Time runs to the right. A cell is laid out once (see cell.py) and stamped wherever a step does the same. Bands are
stacked upward; under each run the lines of its parameters and the tracks on which its inputs arrive. What belongs to
no step stands beside the sections, ranked left to right; where nothing has a step, that is the whole picture.
"""

from __future__ import annotations

from collections import defaultdict

from .cell import Form, form_of
from .grid import Grid
from .model import Band, Cell, Scene
from .picture import Point, box_width, text_width
from .ranked import Ranked, ranked

__all__ = ["ELLIPSIS", "GUTTER", "HEIGHT", "PAD", "PARAM", "ROW", "TRACK", "Places", "strip_label"]

HEIGHT = 36.0  # of a box
PARAM = 24.0  # of a parameter's box
ROW = 62.0  # from row to row
TRACK = 30.0  # from one parameter's line to the next
PAD = 14.0  # between a step's frame and what is in it
GUTTER = 46.0  # between frames
ELLIPSIS = 150.0  # width of the column that stands for steps not shown
_GAP = 20.0  # between boxes of a row: room for the wires of two parameters
_SIDE_GAP = 42.0  # between ranks beside the sections
_MOST_TRACKS = 12


class Places:
    """Positions of everything: `at` has the middle of each box, `half` half its width."""

    def __init__(self, scene: Scene, grid: Grid) -> None:
        self.scene, self.grid, self.nodes = scene, grid, scene.nodes
        self.at: dict[int, Point] = {}
        self.sections = 1 + max((band.section for band in scene.bands), default=-1)
        self.bands_in: list[list[int]] = [[] for _ in range(self.sections)]
        for index, band in enumerate(scene.bands):
            self.bands_in[band.section].append(index)
        self._find_widths()
        self._find_forms()
        self._find_rails()
        self.ranks: list[Ranked] = [ranked(ids, self.nodes, grid.inputs, grid.users) for ids in grid.sides]
        self._place_columns()
        self._place_bands()
        self._place_sides()
        self._place_params()

    # --------------------------------------------------------------------------------------------------- extents

    def _find_widths(self) -> None:
        widths = [box_width(node) for node in self.nodes]
        in_cells = [widths[id_] for id_ in self.grid.home if self.nodes[id_].kind != "elision" and len(self.nodes[id_].shapes) == 1]
        others = [widths[node.id] for node in self.nodes if node.kind != "param"]
        usual = max(in_cells or others, default=60.0)
        self.half = [(width if node.kind in ("param", "elision") else max(usual, width)) / 2 for node, width in zip(self.nodes, widths)]
        self.column = usual + _GAP
        self.side_half = max((self.half[id_] for ids in self.grid.sides for id_ in ids), default=0.0)
        for ids in self.grid.sides:
            for id_ in ids:
                self.half[id_] = self.side_half
        self.usual = usual / 2

    def _find_forms(self) -> None:
        """Lay each different cell out once; `spot` knows (column, row) for every id in a cell."""
        home, place = self.grid.home, self.grid.place
        made: dict[object, Form] = {}
        self.form: dict[Cell, Form] = {}
        self.spot: dict[int, Point] = {}
        carried: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
        for band, source, target in self.grid.carried:
            carried[band].add((source, target))
        for cell, ids in self.grid.cells.items():
            inside = tuple(tuple(place[i] for i in self.grid.inputs[id_] if home.get(i) == cell) for id_ in ids)
            key = (cell[0], inside)
            if key not in made:
                pairs = {(u, v) for u, v in carried[cell[0]] if u < len(ids) and v < len(ids)}
                made[key] = form_of(inside, pairs)
            self.form[cell] = made[key]
            self.spot.update(zip(ids, made[key].spots, strict=True))
        self.cell_width = [0.0] * self.sections
        for (band, column), form in self.form.items():
            if self.scene.columns[column].kind != "elision":
                section = self.scene.bands[band].section
                self.cell_width[section] = max(self.cell_width[section], form.columns * self.column - _GAP)

    def _find_rails(self) -> None:
        """Which parameters run under which band; `shared` ones, that several sections use, run under everything."""
        self.rail: list[list[int]] = [[] for _ in self.scene.bands]
        self.shared: list[int] = []
        self.beside: list[int] = []
        for node in self.nodes:
            if node.kind == "param":
                bands = {self.grid.home[user][0] for user in self.grid.users[node.id] if user in self.grid.home}
                if len({self.scene.bands[band].section for band in bands}) > 1:
                    self.shared.append(node.id)
                elif bands:
                    self.rail[min(bands)].append(node.id)
                else:
                    self.beside.append(node.id)

    # --------------------------------------------------------------------------------------------- left to right

    def _place_columns(self) -> None:
        """`left_of[column]` and `width_of[column]`, and for each side where it begins and ends."""
        self.left_of: dict[int, float] = {}
        self.width_of: dict[int, float] = {}
        self.side_start: list[float] = []
        room = self._room_for_states()
        x = 0.0
        for section in range(self.sections + 1):
            self.side_start.append(x)
            ranks = self.ranks[section].ranks
            x += ranks * (2 * self.side_half + _SIDE_GAP)
            if section == self.sections:
                break
            columns = [index for index, column in enumerate(self.scene.columns) if column.section == section]
            x += max(self._param_room(section), self._room_for_labels(section), room[columns[0], 0]) + GUTTER / 2
            for position, column in enumerate(columns):
                elision = self.scene.columns[column].kind == "elision"
                x += room[column, 0] if position else 0.0
                self.left_of[column] = x
                self.width_of[column] = ELLIPSIS if elision else self.cell_width[section] + 2 * PAD
                x += self.width_of[column] + GUTTER + room[column, 1]
            x += 16.0
        self.right_edge = x

    def _room_for_states(self) -> defaultdict[tuple[int, int], float]:
        """(column, 0 for left of it or 1 for right) -> room for what stands in place of a state."""
        room: defaultdict[tuple[int, int], float] = defaultdict(float)
        for (band, column), ids in self.grid.states.items():
            for id_ in ids:
                key = column, int(self.scene.bands[band].reverse)
                room[key] = max(room[key], 2 * self.half[id_] + 18.0)
        return room

    def _room_for_labels(self, section: int) -> float:
        """For what the lines of the strip below begin with."""
        if section == 0 or not self.scene.shares:  # nothing stands left of the first
            return 0.0
        return max(text_width(strip_label(self.scene, band), 11.5) for band in self.bands_in[section]) + 30.0

    def _param_room(self, section: int) -> float:
        ids = [id_ for band in self.bands_in[section] for id_ in self.rail[band]] + (self.shared if section == 0 else [])
        return max((2 * self.half[id_] + 60.0 for id_ in ids), default=0.0)

    def cell_x(self, cell: Cell, column: float) -> float:
        """Where a column of a cell's form stands; time that runs backward mirrors the cell."""
        band, index = cell
        form, width = self.form[cell], self.width_of[index]
        inside = (width - form.columns * self.column + _GAP) / 2 + column * self.column + self.usual
        return self.left_of[index] + (width - inside if self.scene.bands[band].reverse else inside)

    # -------------------------------------------------------------------------------------------------- bottom up

    def _place_bands(self) -> None:
        bands = len(self.scene.bands)
        self.tracks: list[dict[int, float]] = [{} for _ in range(bands)]  # source outside -> y of its line
        self.floor, self.ceiling, self.rail_top = [0.0] * bands, [0.0] * bands, [0.0] * bands
        self.top = [0.0] * self.sections
        feeders: defaultdict[int, dict[Cell, list[int]]] = defaultdict(dict)
        for cell, ids in self.grid.feeders.items():
            feeders[cell[0]][cell] = ids
        rows: defaultdict[int, int] = defaultdict(int)
        for (band, _), form in self.form.items():
            rows[band] = max(rows[band], form.rows)
        outside = self._sources_outside()
        for section in range(self.sections):
            y = 0.0
            for band in self.bands_in[section]:
                self.rail_top[band] = y - TRACK * (len(self.rail[band]) - 0.5)
                y -= TRACK * len(self.rail[band]) + 10.0
                for index, source in enumerate(outside[band]):
                    self.tracks[band][source] = y - 8.0 * (index % _MOST_TRACKS)
                y -= 8.0 * min(len(outside[band]), _MOST_TRACKS) + 8.0
                y -= self._place_feeders(feeders[band], y) * ROW + PAD + HEIGHT / 2
                self.floor[band] = y
                y -= (rows[band] - 1) * ROW + HEIGHT / 2 + PAD
                self.ceiling[band] = y
                y -= 30.0 + 14.0 * sum(1 for index in self.grid.loops if self._band_of_loop(index) == band)
            self.top[section] = y
        self._place_cells()
        stairs = max((min(column.of_rows or 0, 20) for column in self.scene.columns if column.rows is not None), default=0)
        self.skies = [top - 30.0 - 8.0 * stairs for top in self.top]  # above it run the lines to what follows a section
        self.sky = min(self.skies, default=-30.0)

    def _band_of_loop(self, index: int) -> int | None:
        source = self.scene.edges[index].source
        return self.grid.home[source][0] if source in self.grid.home else None

    def _sources_outside(self) -> list[list[int]]:
        """Per band: what it reads from nodes without a step, and -1 - b for everything from another band b."""
        home, found = self.grid.home, [dict[int, None]() for _ in self.scene.bands]
        beside = {id_ for parts in (self.grid.feeders, self.grid.states) for ids in parts.values() for id_ in ids}
        for id_, (own, _) in home.items():
            for source in self.grid.inputs[id_]:
                lowest = source in beside and own == min(home[user][0] for user in self.grid.users[source])
                if self.nodes[source].kind == "param" or lowest:
                    continue
                if source not in home:
                    found[own][source] = None
                elif home[source][0] != own:
                    found[own][-1 - home[source][0]] = None
        for (own, _), ids in self.grid.feeders.items():
            for id_ in ids:
                found[own].update(dict.fromkeys(each for each in self.grid.inputs[id_] if self.nodes[each].kind != "param"))
        for index in self.grid.loops:
            edge = self.scene.edges[index]
            here, there = home.get(edge.source), home.get(edge.target)
            if there is not None and here is not None and here[0] != there[0]:
                found[there[0]][-1 - here[0]] = None
        return [list(each) for each in found]

    def _place_feeders(self, feeders: dict[Cell, list[int]], y: float) -> int:
        """Put what one cell alone reads under its reader; returns how many rows that takes."""
        most = 0
        for cell, ids in feeders.items():
            under: list[list[int]] = []  # row by row
            for id_ in sorted(ids):
                reader = self.reader(id_)
                x = self._middle(cell[1]) if self.nodes[reader].kind == "elision" else self.cell_x(cell, self.spot[reader][0])
                row = next((row for row, others in enumerate(under) if self._is_free(x, id_, others)), len(under))
                if row == len(under):
                    under.append([])
                under[row].append(id_)
                self.at[id_] = (x, y - row * ROW - HEIGHT / 2)
            most = max(most, len(under))
        return most

    def _is_free(self, x: float, id_: int, others: list[int]) -> bool:
        return all(abs(self.at[other][0] - x) >= self.half[other] + self.half[id_] + _GAP / 2 for other in others)

    def _middle(self, column: int) -> float:
        return self.left_of[column] + self.width_of[column] / 2

    def reader(self, id_: int) -> int:
        """The first node in a cell that reads this one."""
        return next(user for user in self.grid.users[id_] if user in self.grid.home)

    def _place_cells(self) -> None:
        for id_, (band, column) in self.grid.home.items():
            if self.nodes[id_].kind == "elision":
                self.at[id_] = (self._middle(column), (self.floor[band] + HEIGHT / 2 + PAD + self.ceiling[band]) / 2)
            else:
                self.at[id_] = (self.cell_x((band, column), self.spot[id_][0]), self.floor[band] - self.spot[id_][1] * ROW)
        for (band, column), ids in self.grid.states.items():
            taken: set[Point] = set()
            reverse = self.scene.bands[band].reverse
            edge = self.left_of[column] + (self.width_of[column] + GUTTER / 2 if reverse else -GUTTER / 2)
            for id_ in sorted(ids):
                x, y = edge + (self.half[id_] if reverse else -self.half[id_]), self.at[self.reader(id_)][1]
                while (x, y) in taken:
                    y -= HEIGHT + 6
                taken.add((x, y))
                self.at[id_] = (x, y)

    # ------------------------------------------------------------------------------------------------- beside them

    def _place_sides(self) -> None:
        """Stepless nodes: low where they lead to a section, for it is fed from below, and high where they follow one."""
        self.foot: list[float] = []  # per side, the lower edge of its boxes, and the upper one
        self.head: list[float] = []
        for side, place in enumerate(self.ranks):
            pitch = 2 * self.side_half + _SIDE_GAP
            start = self.side_start[side] + self.side_half + (_SIDE_GAP / 2 if side else 0.0)
            rows = [row for _, row in place.spots.values()]
            shift = 0.0
            if rows and side == 0 and self.sections:
                shift = self.floor[self.bands_in[0][0]] - max(rows) * ROW
            elif rows and self.sections:
                section = min(side, self.sections) - 1
                shift = self.ceiling[self.bands_in[section][-1]] + HEIGHT / 2 + PAD - min(rows) * ROW
            for id_, (rank, row) in place.spots.items():
                self.at[id_] = (start + rank * pitch, row * ROW + shift)
            self.head.append((min(rows) * ROW if rows else 0.0) + shift - HEIGHT / 2)
            self.foot.append((max(rows) * ROW if rows else 0.0) + shift + HEIGHT / 2)

    def side_x(self, side: int, rank: int) -> float:
        """The middle of a rank beside the sections."""
        return self.side_start[side] + self.side_half + (_SIDE_GAP / 2 if side else 0.0) + rank * (2 * self.side_half + _SIDE_GAP)

    def _place_params(self) -> None:
        for band, ids in enumerate(self.rail):
            start = self.left_of[self._first_column(self.scene.bands[band])] - GUTTER / 2 - 16.0
            for index, id_ in enumerate(ids):
                self.at[id_] = (start - self.half[id_], self.rail_top[band] + index * TRACK)
        for index, id_ in enumerate(self.shared):
            self.at[id_] = (self.left_of[0] - GUTTER / 2 - 16.0 - self.half[id_], TRACK * (index + 0.75))
        self.bottom = TRACK * (len(self.shared) + 0.5)  # of all rails
        self._place_params_beside()

    def _first_column(self, band: Band) -> int:
        return next(index for index, column in enumerate(self.scene.columns) if column.section == band.section)

    def _place_params_beside(self) -> None:
        """Parameters that only stepless nodes use, under the first of these."""
        used = [id_ for id_ in self.beside if self.grid.users[id_]]
        first = {id_: self.grid.users[id_][0] for id_ in used}
        used.sort(key=lambda id_: (self.at[first[id_]][0], id_))
        ends: defaultdict[int, list[float]] = defaultdict(list)
        for id_ in used:
            user, width = first[id_], 2 * self.half[id_]
            side = self.grid.side_of.get(user, 0)
            x = self.at[user][0] + self.half[user] - width / 2
            rows = ends[side]
            row = next((index for index, end in enumerate(rows) if end < x - width / 2 - 34), len(rows))
            if row == len(rows):
                rows.append(0.0)
            rows[row] = x + width / 2 + 14.0
            self.at[id_] = (x, self.foot[side] + 34.0 + row * (TRACK + 6))
        for id_ in self.beside:
            self.at.setdefault(id_, (0.0, 0.0))


def strip_label(scene: Scene, band: int) -> str:
    """What a line of gradients under the steps begins with: the lane, where there are several, and what is measured."""
    return f"{scene.bands[band].heading if len(scene.bands) > 1 else ''}  ‖∂L/∂hₜ‖".strip()
