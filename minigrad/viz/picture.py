"""What a layout yields: boxes, wires, frames and words with coordinates; y grows downward, as in SVG."""

from __future__ import annotations

import math
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from .model import Node

__all__ = ["Box", "Frame", "Mark", "Patch", "Picture", "Point", "Word", "Wire", "box_width", "fitted", "number", "param_text", "text_width"]

Point = tuple[float, float]

_WIDEST = 190.0  # a longer label is cut short


class Box(NamedTuple):
    """Node `node` of the scene, around the point (x, y)."""

    node: int
    x: float
    y: float
    width: float
    height: float


class Wire(NamedTuple):
    """Edge number `edge` of the scene; a chain of Bézier curves if `curved`, else of lines with rounded corners."""

    edge: int
    points: tuple[Point, ...]
    curved: bool


class Frame(NamedTuple):
    """A rectangle. `kind` is step (one band in one column), elision, rolled, or around (what several have in common)."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    band: int | None = None
    column: int | None = None


class Word(NamedTuple):
    """A heading, a badge or a note; `anchor` is start, middle or end."""

    kind: str
    text: str
    x: float
    y: float
    anchor: str


class Patch(NamedTuple):
    """A rectangle in the colour of a norm, with a number on it."""

    x: float
    y: float
    width: float
    height: float
    norm: float | None
    text: str
    title: str


class Mark(NamedTuple):
    """A dashed line where the tape was cut (`cut`), or a row of a batch that is live or not (`live`, `ended`)."""

    kind: str
    x: float
    y: float
    width: float
    height: float


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
    marks: list[Mark]
    patches: list[Patch]


def text_width(text: str, size: float = 12.0) -> float:
    """About how wide `text` is at this font size; East Asian characters count double."""
    if text.isascii():
        return len(text) * size * 0.6
    return size * sum(1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.6 for letter in text)


def box_width(node: Node) -> float:
    """Of a node's box: a parameter's label is one line, the others' are two."""
    if node.kind == "param":
        return min(text_width(param_text(node), 11.0) + 18.0, 2 * _WIDEST)
    if node.kind == "elision":
        return 122.0
    return _width_of_two(node.name, node.size, _WIDEST if node.kind != "module" else 1.4 * _WIDEST)


@lru_cache(maxsize=4096)
def _width_of_two(name: str, size: str, widest: float) -> float:
    return min(max(1.14 * text_width(name, 12.5), text_width(size, 10.5), 36.0) + 16.0, widest)


def param_text(node: Node) -> str:
    """A parameter's label, with the norm of its gradient where it was measured."""
    return node.label if node.norm is None else f"{node.label}   ‖dW‖ {number(node.norm)}"


def number(value: float | None) -> str:
    """A norm as pictures write it: 0.0132, 3.4e-9, 0, ∞, NaN."""
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    if 1e3 <= abs(value) < 1e4:
        return f"{value:.0f}"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")


def fitted(text: str, width: float, size: float) -> str:
    """`text`, cut short so that it fits; the whole of it stands in the node's title."""
    if text_width(text, size) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_width(text[:middle] + "…", size) <= width else (low, middle - 1)
    return text[:low] + "…"
