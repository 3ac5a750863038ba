"""Where wires leave a box and where they enter it: beside it along its row, above it, or through the channel under it."""

from __future__ import annotations

import math

from .grid import Grid
from .model import Scene
from .picture import Point
from .place import HEIGHT, ROW, Places

__all__ = ["Ends"]

_CHANNEL = ROW / 2  # from the middle of a box to the channel above or below its row


class Ends:
    """The boxes of a scene as a wire meets them: which way time runs there, what is beside and under them, what ends a row."""

    def __init__(self, scene: Scene, grid: Grid, places: Places) -> None:
        self.scene, self.grid, self.places = scene, grid, places
        self.at, self.half, self.home = places.at, places.half, grid.home
        self.flow_of = [-1.0 if band.reverse else 1.0 for band in scene.bands]
        self._find_ends_of_rows()
        self.fed: dict[int, float] = {}  # what is fed from under its cell -> where the widest box there ends
        for id_ in (id_ for ids in grid.feeders.values() for id_ in ids):
            reader = places.reader(id_)
            self.fed[reader] = max(self.fed.get(reader, -math.inf), self.at[id_][0] + self.half[id_])

    def _find_ends_of_rows(self) -> None:
        """(cell, row) -> the first and last column taken in it."""
        self.ends: dict[tuple[tuple[int, int], float], tuple[float, float]] = {}
        for id_, cell in self.home.items():
            column, row = self.places.spot[id_]
            low, high = self.ends.get((cell, row), (column, column))
            self.ends[cell, row] = min(low, column), max(high, column)

    def flow(self, id_: int) -> float:
        """1 where time runs to the right, -1 where it runs to the left."""
        cell = self.home.get(id_)
        return 1.0 if cell is None else self.flow_of[cell[0]]

    def exit(self, id_: int) -> Point:
        x, y = self.at[id_]
        return x + self.flow(id_) * self.half[id_], y

    def entry(self, id_: int) -> Point:
        x, y = self.at[id_]
        return x - self.flow(id_) * self.half[id_], y

    def out_to(self, u: int, x: float) -> list[Point]:
        """From u to the upright line at x beside its frame: along its row if nothing is in the way, else above it."""
        if self.at_end(u, 1):
            return [self.exit(u), (x, self.at[u][1])]
        own, y = self.at[u]
        return [(own, y - HEIGHT / 2), (own, y - _CHANNEL), (x, y - _CHANNEL)]

    def in_from(self, v: int, x: float) -> list[Point]:
        """From the upright line at x beside its frame into v: along its row, or through the channel under it."""
        if self.at_end(v, 0):
            return [(x, self.at[v][1]), self.entry(v)]
        own, y = self.at[v]
        own -= self.flow(v) * (10.0 if v in self.fed or self.places.spot[v][1] > 0 else 0.0)
        return [(x, y + 27.0), (own, y + 27.0), (own, y + HEIGHT / 2)]

    def at_end(self, id_: int, end: int) -> bool:
        column, row = self.places.spot[id_]
        return self.ends[self.home[id_], row][end] == column

    def beside(self, id_: int, after: bool, distance: float) -> float:
        """x of an upright line outside of the frame: after it in the flow of time, or before."""
        column = self.home[id_][1]
        right = (self.flow(id_) > 0) == after
        left = self.places.left_of[column]
        return left + self.places.width_of[column] + distance if right else left - distance

    def s_curve(self, u: int, v: int) -> list[Point]:
        (x, y), (to_x, to_y) = self.exit(u), self.entry(v)
        middle = (to_x - x) / 2
        return [(x, y), (x + middle, y), (to_x - middle, to_y), (to_x, to_y)]

    def rise(self, u: int, v: int) -> list[Point]:
        (x, y), (to_x, to_y) = self.at[u], self.at[v]
        side = HEIGHT / 2 if to_y < y else -HEIGHT / 2
        start, end = y - side, to_y + side
        bend = (end - start) * 0.5
        return [(x, start), (x, start + bend), (to_x, end - bend), (to_x, end)]

    def neighbours(self, u: int, v: int) -> bool:
        return (self.home[v][1] - self.home[u][1]) * self.flow(u) == 1

    def up_into(self, v: int, track: float) -> list[Point]:
        """From a track under the cells up into v; past what stands right under it."""
        x, y = self.at[v]
        covered = v in self.home and self.places.spot[v][1] > 0 and self.scene.nodes[v].kind != "elision"
        if covered or v in self.fed:
            beside = x - self.flow(v) * (self.half[v] + 8.0)
            return [(beside, track), (beside, y + 27.0), (x - 10.0, y + 27.0), (x - 10.0, y + HEIGHT / 2)]
        return [(x, track), (x, y + HEIGHT / 2)]
