"""The norm of the gradient beside each wire, where it covers no box and no other number; a tooltip has it anyway."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from .model import Scene
from .picture import Picture, Point, Wire, number
from .scale import Scale

__all__ = ["tenth", "numbers", "rectangle"]

_MOST = 1500  # edges; with more, numbers stand in tooltips only
_CELL = 64.0  # side of the squares by which places taken are looked up
_Area = tuple[float, float, float, float]  # left, top, right, bottom
_Taken = dict[tuple[int, int], list[_Area]]


def tenth(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def rectangle(x: float, y: float, width: float, height: float) -> str:
    """A rectangle's attributes."""
    return f'x="{tenth(x)}" y="{tenth(y)}" width="{tenth(width)}" height="{tenth(height)}"'


def numbers(scene: Scene, picture: Picture, scale: Scale | None) -> Iterator[str]:
    """SVG text for as many edges as there is room for."""
    if scale is None or len(scene.edges) > _MOST:
        return
    taken: _Taken = {}
    for box in picture.boxes:
        _take(taken, (box.x - box.width / 2, box.y - box.height / 2, box.x + box.width / 2, box.y + box.height / 2))
    for word in picture.words:
        half = 3.6 * len(word.text)
        middle = word.x + {"start": half, "middle": 0.0, "end": -half}[word.anchor]
        _take(taken, (middle - half, word.y - 12, middle + half, word.y + 4))
    for wire in picture.wires:
        edge = scene.edges[wire.edge]
        if edge.norm is None or edge.kind == "param":
            continue
        label = number(edge.norm)
        half = 2.9 * len(label)
        for x, y in _along(wire):
            area = (x - half, y - 5.0, x + half, y + 5.0)
            if not _is_taken(taken, area):
                _take(taken, area)
                yield f'<rect class="plate" {rectangle(area[0], area[1], area[2] - area[0], 10)} rx="2"/>'
                yield f'<text class="norm" text-anchor="middle" x="{tenth(x)}" y="{tenth(y + 3.2)}">{label}</text>'
                break


def _squares(area: _Area) -> Iterator[tuple[int, int]]:
    for column in range(int(area[0] // _CELL), int(area[2] // _CELL) + 1):
        for row in range(int(area[1] // _CELL), int(area[3] // _CELL) + 1):
            yield column, row


def _take(taken: _Taken, area: _Area) -> None:
    for square in _squares(area):
        taken.setdefault(square, []).append(area)


def _is_taken(taken: _Taken, area: _Area) -> bool:
    left, top, right, bottom = area
    near = (other for square in _squares(area) for other in taken.get(square, ()))
    return any(left < other[2] and other[0] < right and top < other[3] and other[1] < bottom for other in near)


def _along(wire: Wire) -> Iterator[Point]:
    """Points on a wire at which its number may stand, the best first."""
    points = wire.points
    if wire.curved:
        for start in range(0, len(points) - 3, 3):
            for t in (0.5, 0.35, 0.65, 0.22, 0.78):
                a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
                p, q, r, s = points[start : start + 4]
                yield a * p[0] + b * q[0] + c * r[0] + d * s[0], a * p[1] + b * q[1] + c * r[1] + d * s[1]
        return
    legs = sorted(pairwise(points), key=lambda leg: -abs(leg[0][0] - leg[1][0]) - abs(leg[0][1] - leg[1][1]))
    for (x, y), (to_x, to_y) in legs[:3]:
        for t in (0.5, 0.35, 0.65, 0.2, 0.8):
            yield x + (to_x - x) * t, y + (to_y - y) * t
