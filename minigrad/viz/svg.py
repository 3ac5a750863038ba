"""A picture as SVG text. Nothing but the standard library, and the same bytes for the same picture.

No element has an id, so that a page may hold the same figure twice; styles are bound to a class that is a hash of what
is in the figure. No CSS variables: what turns SVG into PNG or PDF rarely knows them.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from html import escape
from pathlib import Path

from .describe import facts_of
from .labels import numbers, rectangle, tenth
from .model import Edge, Node, Scene
from .picture import Picture, Point, Wire, fitted, number, param_text
from .scale import Scale, norms_of, scale_of

__all__ = ["family_of", "render"]

# Okabe and Ito's colours; each family has a form of its own too, so that nothing depends on seeing colour.
_FAMILIES = {
    "product": "linear matmul bmm mm mv dot einsum addmm outer tensordot conv1d",
    "activation": "sigmoid tanh relu exp log softmax log_softmax logsumexp gelu softplus erf silu leaky_relu elu",
    "arithmetic": "add sub mul div neg pow square sqrt lerp where maximum minimum clamp addcmul sum mean cross_entropy",
}
_FAMILY = {op: name for name, ops in _FAMILIES.items() for op in ops.split()}
_ROUNDING = {"product": 2, "activation": 18, "arithmetic": 8, "shape": 5, "output": 2, "param": 12, "module": 9}
_LEGEND = ("product", "activation", "arithmetic", "shape", "module", "param", "input", "constant", "cut", "output")
_MEANING = {"param": "parameter", "cut": "detached", "shape": "other op"}
_LOOKS = {"data": "wire", "state": "wire state", "loop": "wire loop", "param": "wire tap", "severed": "wire loose"}
_RADIUS = 7.0  # of a wire's corners
_STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
_UNKNOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def render(scene: Scene, picture: Picture, scale: Scale | None = None) -> str:
    """The picture as one <svg> element."""
    scale = scale or scale_of(norms_of(scene))
    families = [family_of(node) for node in scene.nodes]
    present = {families[box.node] for box in picture.boxes}
    shown = [name for name in _LEGEND if name in present]
    key_width = 104.0 * len(shown) + 32 + (330.0 if scale else 0.0)
    notes = scene.notes
    width = max(picture.width, key_width, *(7.2 * len(note) + 32 for note in notes), 0.0)
    height = picture.height + 30 + 18 * len(notes)
    body = [
        *_frames(picture),
        *_wires(scene, picture, scale),
        *_nodes(scene, picture, families),
        *_patches(picture, scale),
        *numbers(scene, picture, scale),
        *_words(picture),
        *_key(shown, picture, scale),
        *_notes(notes, picture),
    ]
    name = _class_of(body)
    corner = f"{tenth(picture.left)} {tenth(picture.top)}"
    return "\n".join(
        [
            f'<svg class="{name}" xmlns="http://www.w3.org/2000/svg" viewBox="{corner} {tenth(width)} {tenth(height)}" '
            f'width="{tenth(width)}" height="{tenth(height)}" style="max-width:100%;height:auto" role="img">',
            f"<title>{text(scene.title)}</title>",
            f"<desc>{text(_description(scene))}</desc>",
            f"<style>{_STYLE.replace('#ID', '.' + name)}</style>",
            f'<rect class="paper" x="{tenth(picture.left)}" y="{tenth(picture.top)}" width="{tenth(width)}" height="{tenth(height)}"/>',
            *body,
            "</svg>\n",
        ]
    )


def _class_of(body: list[str]) -> str:
    """A name that only the same figure has."""
    digest = hashlib.sha256()
    for line in body:
        digest.update(line.encode())
    return "g" + digest.hexdigest()[:10]


def text(content: str) -> str:
    """Any text as XML may hold it: escaped, and without characters that XML does not know."""
    return escape(_UNKNOWN.sub("\ufffd", content))


def family_of(node: Node) -> str:
    """Which colour and form a node has: its kind, and for operations what they do."""
    return _FAMILY.get(node.op, "shape") if node.kind == "op" else node.kind


def _description(scene: Scene) -> str:
    uses: dict[int, int] = {}
    for edge in scene.edges:
        uses[edge.source] = uses.get(edge.source, 0) + edge.count
    params = [f"{node.label} used {uses.get(node.id, 0)} times" for node in scene.nodes if node.kind == "param"]
    parts = [f"What was computed, left to right: {scene.total[0]} nodes, {scene.total[1]} edges", *scene.notes, *params[:40]]
    return "; ".join(parts + ([f"and {len(params) - 40} more parameters"] if len(params) > 40 else []))


# ------------------------------------------------------------------------------------------------------------ around


def _frames(picture: Picture) -> Iterator[str]:
    looks = {"step": "frame", "rolled": "frame", "elision": "gap", "around": "around"}
    for frame in sorted(picture.frames, key=lambda each: each.kind == "around"):
        data = f' data-column="{frame.column}"' if frame.kind == "step" else ""
        yield (
            f'<rect class="{looks[frame.kind]}"{data} x="{tenth(frame.x)}" y="{tenth(frame.y)}" width="{tenth(frame.width)}" '
            f'height="{tenth(frame.height)}" rx="10"/>'
        )
    for mark in picture.marks:
        if mark.kind == "cut":
            yield f'<line class="mark" x1="{tenth(mark.x)}" y1="{tenth(mark.y)}" x2="{tenth(mark.x)}" y2="{tenth(mark.y + mark.height)}"/>'
        else:
            yield f'<rect class="{mark.kind}" {rectangle(mark.x, mark.y, mark.width, mark.height)}/>'


def _patches(picture: Picture, scale: Scale | None) -> Iterator[str]:
    for patch in picture.patches:
        colour = scale.colour(patch.norm) if scale else ""
        around = rectangle(patch.x, patch.y, patch.width, patch.height)
        yield f'<g><title>{text(patch.title)}</title><rect class="p{colour or "nil"}" {around}/>'
        if patch.text:
            middle = f'x="{tenth(patch.x + patch.width / 2)}" y="{tenth(patch.y + 14)}"'
            yield f'<text class="share t{colour or "nil"}" text-anchor="middle" {middle}>{text(patch.text)}</text>'
        yield "</g>"


def _words(picture: Picture) -> Iterator[str]:
    for word in picture.words:
        if word.kind == "times":
            half = 3.6 * len(word.text)
            yield f'<rect class="plate" {rectangle(word.x - half, word.y - 10, 2 * half, 13)} rx="2"/>'
        yield f'<text class="{word.kind}" text-anchor="{word.anchor}" x="{tenth(word.x)}" y="{tenth(word.y)}">{text(word.text)}</text>'


def _key(shown: list[str], picture: Picture, scale: Scale | None) -> Iterator[str]:
    """What the forms and colours mean."""
    y = picture.top + picture.height + 4
    for index, family in enumerate(shown):
        x = picture.left + 16 + 104 * index
        yield (
            f'<g class="node {family}" transform="translate({tenth(x)} {tenth(y)})"><rect class="tint" width="22" height="14" '
            f'rx="{min(_ROUNDING.get(family, 0), 7)}"/><text class="key" x="28" y="11">{_MEANING.get(family, family)}</text></g>'
        )
    if scale is not None:
        x = picture.left + 16 + 104 * len(shown) + 60
        yield f'<text class="key" text-anchor="end" x="{tenth(x - 6)}" y="{tenth(y + 11)}">‖∂L/∂·‖ {number(scale.low)}</text>'
        for index in range(10):
            height = 3.0 + index * 1.2
            yield f'<rect class="p{index}" {rectangle(x + 14 * index, y + 7 - height / 2, 14, height)}/>'
        yield f'<text class="key" x="{tenth(x + 146)}" y="{tenth(y + 11)}">{number(scale.high)}, log scale</text>'


def _notes(notes: list[str], picture: Picture) -> Iterator[str]:
    for index, note in enumerate(notes):
        y = picture.top + picture.height + 36 + 18 * index
        yield f'<text class="note" x="{tenth(picture.left + 16)}" y="{tenth(y)}">{text(note)}</text>'


# ------------------------------------------------------------------------------------------------------------- wires


def _wires(scene: Scene, picture: Picture, scale: Scale | None) -> Iterator[str]:
    wanting = [node.kind in ("op", "output", "param", "module", "elision") for node in scene.nodes]
    for wire in picture.wires:
        edge = scene.edges[wire.edge]
        look, back = _LOOKS[edge.kind], wanting[edge.source] and edge.kind != "severed"
        if scene.nodes[edge.source].kind == "cut":
            look = "wire loose"
        data = "cut" if edge.kind == "severed" else "edge"
        colour = scale.colour(edge.norm) if scale else ""
        line = _path(wire)
        if scene.passes == "both" and back:
            yield _flow(edge, colour, scale, line, wire, "grad")
        if scene.passes == "backward":
            if back:
                yield _flow(edge, colour, scale, line, wire, "edge")
            else:
                yield f'<path class="{look} faint" data-{data}="{edge.source}-{edge.target}" d="{line}"/>'
            continue
        head = "" if edge.kind == "param" else _head(wire.points[-2], wire.points[-1], 6.0)
        heated, style = ("", "")
        if scene.passes == "forward" and colour and edge.norm is not None and scale is not None:
            heated, style = f" {_heat_class(colour)}", f' style="stroke-width:{scale.width(edge.norm):.1f}"'
        yield f'<path class="{look}{heated}" data-{data}="{edge.source}-{edge.target}"{style} d="{line}{head}"/>'
    for x, y in picture.dots:
        yield f'<circle class="dot" cx="{tenth(x)}" cy="{tenth(y)}" r="2.2"/>'


def _heat_class(colour: str) -> str:
    return f"h{colour}" if colour.isdigit() else colour


def _flow(edge: Edge, colour: str, scale: Scale | None, line: str, wire: Wire, data: str) -> str:
    """The gradient on its way back along a wire, or beside it: wide and coloured, its arrow at the wire's beginning."""
    norm, pair, kind = edge.norm, f"{edge.source}-{edge.target}", edge.kind
    width = scale.width(norm) if scale is not None and norm is not None else 1.6
    if kind == "param":
        width = 0.6 + 0.3 * width
    aside = f' transform="translate({width / 2 + 1:.1f} {width / 2 + 1:.1f})"' if data == "grad" else ""
    tip = wire.points[0]
    head = f"M{tip[0]:.1f} {tip[1]:.1f}{_head(wire.points[1], tip, round(5.0 + 0.9 * width, 1))}"
    told = f"<title>‖∂L/∂·‖ = {number(norm)}</title></path>" if norm is not None else ""
    classes = f"flow {_heat_class(colour)}" if colour else "flow h4"
    start = f'<path class="{classes}" data-{data}="{pair}" stroke-width="{width:.1f}"{aside} d="{line}{head}"'
    return f"{start}>{told}" if told else f"{start}/>"


def _path(wire: Wire) -> str:
    points = wire.points
    if wire.curved or len(points) == 2:
        return _chain_of("C" if wire.curved else "L", len(points)) % tuple([value for point in points for value in point])
    (x, y), (to_x, to_y) = points[0], points[1]
    path, here = [f"M{x:.1f} {y:.1f}"], abs(to_x - x) + abs(to_y - y)
    for next_x, next_y in points[2:]:
        there = abs(next_x - to_x) + abs(next_y - to_y)
        path.append(_rounded(x, y, to_x, to_y, next_x, next_y, min(_RADIUS, here / 2, there / 2)))
        x, y, to_x, to_y, here = to_x, to_y, next_x, next_y, there
    path.append(f"H{to_x:.1f}" if to_y == y else f"V{to_y:.1f}")
    return "".join(path)


@cache
def _chain_of(letter: str, points: int) -> str:
    """What makes a path of so many points: M%.1f %.1fL%.1f %.1f"""
    return f"M%.1f %.1f{letter}" + " ".join(["%.1f %.1f"] * (points - 1))


def _rounded(x: float, y: float, to_x: float, to_y: float, next_x: float, next_y: float, radius: float) -> str:
    """From (x, y) to a right-angled corner and around it, on the way to (next_x, next_y)."""
    if to_y == y:
        ahead, aside = (radius if to_x > x else -radius), (radius if next_y > to_y else -radius)
        return f"H{to_x - ahead:.1f}{_quarter(ahead, 0.0, ahead, aside)}" if next_x == to_x else f"H{to_x:.1f}"
    ahead, aside = (radius if to_y > y else -radius), (radius if next_x > to_x else -radius)
    return f"V{to_y - ahead:.1f}{_quarter(0.0, ahead, aside, ahead)}" if next_y == to_y else f"V{to_y:.1f}"


@lru_cache(maxsize=1024)
def _quarter(x: float, y: float, to_x: float, to_y: float) -> str:
    return f"q{x:.1f} {y:.1f} {to_x:.1f} {to_y:.1f}"


def _head(before: Point, tip: Point, size: float) -> str:
    """An arrowhead drawn by the wire itself, from its tip: two strokes that meet there. Most wires end level or upright."""
    dx, dy = tip[0] - before[0], tip[1] - before[1]
    if not dx or not dy:
        return _strokes((dx > 0) - (dx < 0), (dy > 0) - (dy < 0), size)
    length = math.hypot(dx, dy)
    return _strokes(dx / length, dy / length, size)


@lru_cache(maxsize=4096)
def _strokes(dx: float, dy: float, size: float) -> str:
    """From the tip to the end of one stroke, back, and to the end of the other; (dx, dy) is the direction, of length 1."""
    if not dx and not dy:
        return ""
    (x, y), (u, v) = (-dx - dy * 0.6, dx * 0.6 - dy), (dy * 0.6 - dx, -dx * 0.6 - dy)
    return f"m{x * size:.1f} {y * size:.1f}l{-x * size:.1f} {-y * size:.1f}l{u * size:.1f} {v * size:.1f}"


# ------------------------------------------------------------------------------------------------------------- nodes


def _nodes(scene: Scene, picture: Picture, families: list[str]) -> Iterator[str]:
    for box in picture.boxes:
        node, family = scene.nodes[box.node], families[box.node]
        yield (
            f'<g class="node {family}" data-node="{node.id}" transform="translate({box.x:.1f} {box.y:.1f})">'
            f"<title>{text(facts_of(node))}</title>{_inside(family, _lines(node), box.width, box.height)}</g>"
        )


def _lines(node: Node) -> tuple[str, ...]:
    return (param_text(node),) if node.kind == "param" else (node.name, node.size)


@lru_cache(maxsize=4096)
def _inside(family: str, lines: tuple[str, ...], width: float, height: float) -> str:
    around = f'{rectangle(-width / 2, -height / 2, width, height)} rx="{_ROUNDING.get(family, 0)}"'
    shape = f'<rect class="back" {around}/><rect class="tint" {around}/>'
    if len(lines) == 1:
        return f'{shape}<text class="size" text-anchor="middle" y="4">{text(fitted(lines[0], width - 14, 11.0))}</text>'
    name, size = text(fitted(lines[0], width - 8, 14.0)), text(fitted(lines[1], width - 8, 10.5))
    shape += f'<text class="name" text-anchor="middle" y="-2">{name}</text>'
    return f'{shape}<text class="size" text-anchor="middle" y="12">{size}</text>'
