"""From a scene to a picture: positions, then wires, then frames, headings, and the strip of gradients under the steps."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from .bands import common_start
from .grid import Grid, grid_of
from .model import Column, Scene, Share, plural
from .picture import Box, Frame, Mark, Patch, Picture, Point, Word, number, text_width
from .place import GUTTER, HEIGHT, PAD, PARAM, Places, strip_label
from .route import Router

__all__ = ["arrange"]

_STRIP = 22.0  # height of one line of the strip
_DOT = 6.0  # side of the square that stands for one row of a batch
_MOST_DOTS = 16
_SLICES = 30  # of the strip under steps left out


def arrange(scene: Scene) -> Picture:
    """A picture of the scene."""
    grid = grid_of(scene)
    places = Places(scene, grid)
    router = Router(scene, grid, places)
    furniture = _Furniture(scene, grid, places)
    boxes = [
        Box(node.id, *places.at[node.id], 2 * places.half[node.id], PARAM if node.kind == "param" else HEIGHT)
        for node in scene.nodes
        if node.id in places.at
    ]
    words = [*furniture.words, *_badges(scene, places, router), *_repeats(scene, router)]
    return _framed(boxes, router, furniture, words)


def _badges(scene: Scene, places: Places, router: Router) -> Iterator[Word]:
    """How often a parameter is used, and a loop run."""
    uses: defaultdict[int, int] = defaultdict(int)
    taken: list[Point] = []
    for edge, wire in zip(scene.edges, router.wires, strict=True):
        uses[edge.source] += edge.count
        if edge.kind == "loop" and edge.count > 1:
            highest = min(y for _, y in wire.points)
            level = [x for x, y in wire.points if y == highest]
            x = max(level) - min(12.0 + 34.0 * (len(taken) + 1), (max(level) - min(level)) / 2)
            while x - 34.0 > min(level) and any(abs(x - other) < 32.0 and abs(highest - y) < 14.0 for other, y in taken):
                x -= 34.0
            taken.append((x, highest))
            yield Word("times", f"×{edge.count:,}", x, highest + 4.0, "middle")
    for node in scene.nodes:
        if node.kind == "param" and uses[node.id] > 1:
            x, y = places.at[node.id]
            yield Word("badge", f"×{uses[node.id]:,}", x - places.half[node.id] - 6, y + 4, "end")


def _repeats(scene: Scene, router: Router) -> Iterator[Word]:
    """How often one operation reads the same value, where more than once: beside the arrow's tip. b + b reads b ×2."""
    for edge, wire in zip(scene.edges, router.wires, strict=True):
        single = scene.nodes[edge.source].count == scene.nodes[edge.target].count == 1
        if edge.count == 1 or edge.kind not in ("data", "state") or not single:
            continue
        (before, level), (x, y) = wire.points[-2:]
        if level == y:
            yield Word("times", f"×{edge.count:,}", x - math.copysign(19.0, x - before), y - 5.0, "middle")
        else:
            yield Word("times", f"×{edge.count:,}", x + 14.0, y - math.copysign(12.0, y - level) + 4.0, "middle")


class _Furniture:
    """Frames around cells, words over and under them."""

    def __init__(self, scene: Scene, grid: Grid, places: Places) -> None:
        self.scene, self.grid, self.places = scene, grid, places
        self.frames: list[Frame] = []
        self.words: list[Word] = []
        self.marks: list[Mark] = []
        self.patches: list[Patch] = []
        self.section_names = section_names(scene)
        for section in range(places.sections):
            self._frame_section(section)
        self._mark_cuts()
        self._strip()

    def _columns(self, section: int) -> list[tuple[int, Column]]:
        return [(index, column) for index, column in enumerate(self.scene.columns) if column.section == section]

    def _frame_section(self, section: int) -> None:
        places, bands = self.places, self.places.bands_in[section]
        top = places.top[section]
        columns = self._columns(section)
        self._frame_around(section, columns)
        for index, column in columns:
            left, width = places.left_of[index], places.width_of[index]
            for band in bands:
                if (band, index) in self.grid.cells:
                    y = places.ceiling[band]
                    self.frames.append(Frame(column.kind, left, y, width, places.floor[band] + HEIGHT / 2 + PAD - y, band, index))
            self.words.append(Word("heading", column.heading, left + width / 2, top + 2, "middle"))
            self._staircase(column, left + width / 2, top - 14)
        for band in bands:
            name = self.scene.bands[band].heading
            if name:
                loops = sum(1 for each in self.grid.loops if self.grid.home.get(self.scene.edges[each].source, (-1,))[0] == band)
                self.words.append(Word("lane", name, places.left_of[columns[0][0]] + 2, places.ceiling[band] - 7 - 14.0 * loops, "start"))
        if self.section_names[section]:
            self.words.append(Word("section", self.section_names[section], places.left_of[columns[0][0]], top + 2, "start"))

    def _frame_around(self, section: int, columns: list[tuple[int, Column]]) -> None:
        """What the bands of one step, or the steps of one band, have in common."""
        places, bands = self.places, self.places.bands_in[section]
        if len(bands) < 2:
            return
        if self.scene.nest == "step":
            top, bottom = places.ceiling[bands[-1]] - 22.0, places.floor[bands[0]] + HEIGHT / 2 + PAD + 6.0
            for index, _ in columns:
                self.frames.append(Frame("around", places.left_of[index] - 6, top, places.width_of[index] + 12, bottom - top, None, index))
            return
        left = places.left_of[columns[0][0]] - 6
        right = places.left_of[columns[-1][0]] + places.width_of[columns[-1][0]] + 6
        for band in bands:
            top, bottom = places.ceiling[band] - 22.0, places.floor[band] + HEIGHT / 2 + PAD + 6.0
            self.frames.append(Frame("around", left, top, right - left, bottom - top, band, None))

    def _staircase(self, column: Column, x: float, y: float) -> None:
        """Which rows of a batch are live in this step: one square each, or a number where they are too many."""
        if column.rows is None or column.of_rows is None:
            return
        text = f"{column.rows} of {plural(column.of_rows, 'row')}"
        if column.of_rows > _MOST_DOTS:
            share = column.rows / max(column.of_rows, 1)
            self.marks += [Mark("ended", x - 40, y - 8, 80, 6), Mark("live", x - 40, y - 8, 80 * share, 6)]
            self.words.append(Word("rows", text, x, y - 13, "middle"))
            return
        for row in range(column.of_rows):
            kind = "live" if row < column.rows else "ended"
            self.marks.append(Mark(kind, x - _DOT / 2, y - (_DOT + 2) * (column.of_rows - row), _DOT, _DOT))
        self.words.append(Word("rows", text, x + 10, y - 2, "start"))

    def _mark_cuts(self) -> None:
        for (band, column), ids in self.grid.states.items():
            if any(self.scene.nodes[id_].kind == "cut" for id_ in ids):
                left, width = self.places.left_of[column], self.places.width_of[column]
                x = left + width + 10.0 if self.scene.bands[band].reverse else left - 10.0
                top, bottom = self.places.ceiling[band] - 4, self.places.floor[band] + HEIGHT / 2 + PAD + 4
                self.marks.append(Mark("cut", x, top, 0.0, bottom - top))

    # ----------------------------------------------------------------------------------------------- the strip below

    def _strip(self) -> None:
        """Under each column, per band: the norm of the gradient that reached the state, and the step's share of dW."""
        shares: defaultdict[int, dict[int | None, Share]] = defaultdict(dict)
        for share in self.scene.shares:
            shares[share.band][share.step] = share
        recurrent = {band for band, _, _ in self.grid.carried} or set(shares)
        top = lowest = self.places.bottom + 8.0
        for section in range(self.places.sections):
            columns, y = self._columns(section), top
            for band in self.places.bands_in[section]:
                if band in shares and band in recurrent:
                    y = self._strip_of(band, shares[band], columns, y)
            lowest = max(lowest, y)
        if lowest > top:
            text = "a share is ⟨dWₜ, dW⟩ / ‖dW‖², all weights of a layer together; over all steps they sum to 100 %"
            boxes = max(y for _, y in self.places.at.values()) + HEIGHT / 2
            self.words.append(Word("strip", text, self.places.left_of[0], max(lowest + 10, boxes + 16), "start"))

    def _strip_of(self, band: int, shares: dict[int | None, Share], columns: list[tuple[int, Column]], y: float) -> float:
        label = self.places.left_of[columns[0][0]] - GUTTER / 2 - 16.0
        self.words.append(Word("strip", strip_label(self.scene, band), label, y + 15, "end"))
        measured = any(each.share is not None for each in shares.values())
        if measured:
            self.words.append(Word("strip", "share of ∂L/∂W", label, y + _STRIP + 15, "end"))
        for index, column in columns:
            left, width = self.places.left_of[index], self.places.width_of[index]
            inside = [each for step, each in sorted(shares.items(), key=lambda item: -1 if item[0] is None else item[0])
                      if step is not None and column.first <= step <= column.last]  # fmt: skip
            self._norms_under(inside, left, width, y)
            known = [each.share for each in inside if each.share is not None]
            if known:
                total = sum(known)
                self.words.append(Word("share", percent(total), left + width / 2, y + _STRIP + 15, "middle"))
        rest = shares.get(None)
        lines = 1 + measured
        if rest is not None and rest.share is not None:
            self.words.append(Word("strip", f"{percent(rest.share)} from elsewhere", label, y + lines * _STRIP + 11, "end"))
            lines += 1
        return y + lines * _STRIP + 10.0

    def _norms_under(self, inside: list[Share], left: float, width: float, y: float) -> None:
        """One patch with its number; several steps in one column get a slice each, and a range."""
        if not inside:
            return
        every = max(1, math.ceil(len(inside) / _SLICES))
        shown = inside[::every]
        for index, share in enumerate(shown):
            text = number(share.norm) if len(shown) == 1 else ""
            title = f"t = {share.step}: ‖∂L/∂hₜ‖ = {number(share.norm)}"
            x, slice_width = left + width * index / len(shown), width / len(shown)
            self.patches.append(Patch(x, y, slice_width, _STRIP - 3, share.norm, text, title))


def section_names(scene: Scene) -> list[str]:
    """What tells sections apart: the first name in the scopes of each that is not common to all."""
    scopes: list[list[tuple[str, ...]]] = [[] for _ in range(1 + max((band.section for band in scene.bands), default=-1))]
    for band in scene.bands:
        if band.scope:
            scopes[band.section].append(band.scope)
    if len(scopes) < 2 or not all(scopes):
        return [""] * len(scopes)
    depth = common_start([scope for each in scopes for scope in each])
    names = [{scope[depth] for scope in each if len(scope) > depth} for each in scopes]
    return [each.pop() if len(each) == 1 else "" for each in names]


def percent(share: float) -> str:
    """A signed share: +12.3 %; a small one with two digits that count."""
    if not math.isfinite(share):
        return "NaN"
    if share == 0:
        return "0 %"
    return f"{100 * share:+.1f} %" if abs(share) >= 0.001 else f"{100 * share:+.1e} %".replace("e-0", "e-")


def _framed(boxes: list[Box], router: Router, furniture: _Furniture, words: list[Word]) -> Picture:
    """All that was placed, and the rectangle around it, with a margin."""
    frames, marks, patches = furniture.frames, furniture.marks, furniture.patches
    rectangles: list[Any] = [*frames, *marks, *patches]
    corners = chain(
        chain.from_iterable([wire.points for wire in router.wires]),
        [(box.x - box.width / 2, box.y - box.height / 2) for box in boxes],
        [(box.x + box.width / 2, box.y + box.height / 2) for box in boxes],
        [(each.x, each.y) for each in rectangles],
        [(each.x + each.width, each.y + each.height) for each in rectangles],
        chain.from_iterable(map(_corners_of, words)),
    )
    left, top, right, bottom = _around(corners)
    left, top = left - 16.0, top - 14.0
    return Picture(left, top, right - left + 16.0, bottom - top + 14.0, boxes, router.wires, frames, words, router.dots, marks, patches)


def _corners_of(word: Word) -> tuple[Point, Point]:
    width = text_width(word.text, 12.5)
    start = word.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[word.anchor] * width
    return (start, word.y - 14.0), (start + width, word.y + 5.0)


def _around(points: Iterable[Point]) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the smallest rectangle that holds all of the points."""
    left = top = math.inf
    right = bottom = -math.inf
    for x, y in points:
        if x < left:
            left = x
        if x > right:
            right = x
        if y < top:
            top = y
        if y > bottom:
            bottom = y
    return (left, top, right, bottom) if left <= right else (0.0, 0.0, 0.0, 0.0)
