"""A picture as SVG text. Nothing but the standard library, and the same bytes for the same picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from html import escape

from .layout import Box, Picture, Point, Wire, text_width
from .snapshot import Node, Snapshot

__all__ = ["render"]

# Okabe and Ito's colours; each family has a form of its own too, so that nothing depends on seeing colour.
_FAMILIES = {
    "product": ("#0072B2", "linear matmul bmm mm mv dot einsum addmm outer tensordot conv1d"),
    "activation": ("#E69F00", "sigmoid tanh relu exp log softmax log_softmax logsumexp gelu softplus erf silu leaky_relu elu"),
    "arithmetic": ("#009E73", "add sub mul div neg pow square sqrt lerp where maximum minimum clamp addcmul sum mean"),
}
_FAMILY = {op: name for name, (_, ops) in _FAMILIES.items() for op in ops.split()}
_ROUNDING = {"product": 2, "activation": 18, "arithmetic": 8, "shape": 5, "output": 2, "param": 12, "input": 0, "constant": 0, "cut": 0}
_LEGEND = ("product", "activation", "arithmetic", "shape", "param", "input", "constant", "cut", "output")

# No CSS variables: what turns SVG into PNG or PDF rarely knows them. Every ID below becomes the figure's own.
_STYLE = """
#ID{background:#fff;font-family:'DejaVu Sans','Helvetica Neue',Arial,sans-serif}
#ID .paper,#ID .back{fill:#fff}
#ID text{fill:#1b1f24}
#ID .name{font-size:12.5px;font-weight:600}
#ID .size{font-size:10.5px}
#ID .heading{font-size:13.5px;font-weight:600}
#ID .elision{font-size:13.5px}
#ID .badge,#ID .key{font-size:11px}
#ID .size,#ID .elision,#ID .badge,#ID .key{fill:#4b5563}
#ID .tint{fill-opacity:.15;stroke-width:1.6}
#ID .product .tint{fill:#0072B2;stroke:#0072B2}
#ID .activation .tint{fill:#E69F00;stroke:#E69F00}
#ID .arithmetic .tint{fill:#009E73;stroke:#009E73}
#ID .shape .tint,#ID .input .tint,#ID .constant .tint{fill:#8c959f;stroke:#8c959f}
#ID .param .tint{fill:#CC79A7;stroke:#CC79A7}
#ID .output .tint{fill:#56B4E9;stroke:#56B4E9;stroke-width:3}
#ID .cut .tint{fill:#D55E00;stroke:#D55E00;stroke-dasharray:6 3}
#ID .input .tint,#ID .constant .tint{stroke-dasharray:2 2}
#ID .frame{fill:#f6f8fa;stroke:#c4cbd3}
#ID .gap{fill:none;stroke:#8c959f;stroke-width:1.2;stroke-dasharray:3 4}
#ID .wire{fill:none;stroke:#4b5563;stroke-width:1.3}
#ID .state{stroke-width:2.4}
#ID .tap{stroke:#a2476f;stroke-width:.8}
#ID .loose{stroke:#b3420a;stroke-dasharray:6 3;stroke-width:1.8}
#ID .mark{stroke:#b3420a;stroke-width:1.6;stroke-dasharray:7 4}
#ID .dot{fill:#a2476f}
#ID .head{fill:#4b5563}
@media (prefers-color-scheme:dark){
#ID{background:#0d1117}
#ID .paper,#ID .back{fill:#0d1117}
#ID text{fill:#e6edf3}
#ID .size,#ID .elision,#ID .badge,#ID .key{fill:#b1bac4}
#ID .tint{fill-opacity:.28}
#ID .frame{fill:#161b22;stroke:#3d444d}
#ID .wire{stroke:#b1bac4}
#ID .head{fill:#b1bac4}
#ID .tap{stroke:#e79bc0}
#ID .dot{fill:#e79bc0}
#ID .loose,#ID .mark{stroke:#ff9b63}
}
"""


def render(snapshot: Snapshot, picture: Picture) -> str:
    """The picture as one <svg> element, whose ids begin with a hash of what is in it."""
    families = [family_of(node) for node in snapshot.nodes]
    shown = [name for name in _LEGEND if name in {families[box.node] for box in picture.boxes}]
    width, height = max(picture.width, 104.0 * len(shown) + 32), picture.height + 30
    drawn = [*_frames(picture), *_wires(picture), *_nodes(snapshot, picture, families)]
    body = "\n".join([*drawn, *_words(picture), *_key(shown, picture)])
    prefix = "g" + hashlib.sha256(body.encode()).hexdigest()[:10]
    body = body.replace("#HEAD", f"#{prefix}-head").replace('id="ID-', f'id="{prefix}-')
    corner = f"{_n(picture.left)} {_n(picture.top)}"
    arrow = 'markerUnits="userSpaceOnUse" markerWidth="8" markerHeight="8" refX="7.5" refY="4" orient="auto"'
    return "\n".join(
        [
            f'<svg id="{prefix}" xmlns="http://www.w3.org/2000/svg" viewBox="{corner} {_n(width)} {_n(height)}" width="{_n(width)}" '
            f'height="{_n(height)}" style="max-width:100%;height:auto" role="img" aria-labelledby="{prefix}-title {prefix}-desc">',
            f'<title id="{prefix}-title">{escape(_title(snapshot))}</title>',
            f'<desc id="{prefix}-desc">{escape(_description(snapshot, picture))}</desc>',
            f"<style>{_STYLE.replace('#ID', '#' + prefix)}</style>",
            f'<defs><marker id="{prefix}-head" {arrow}><path class="head" d="M0 0 L8 4 L0 8 Z"/></marker></defs>',
            f'<rect class="paper" x="{_n(picture.left)}" y="{_n(picture.top)}" width="{_n(width)}" height="{_n(height)}"/>',
            body,
            "</svg>\n",
        ]
    )


def family_of(node: Node) -> str:
    """Which colour and form a node has: its kind, and for operations what they do."""
    return _FAMILY.get(node.op, "shape") if node.kind == "op" else node.kind


def _title(snapshot: Snapshot) -> str:
    steps = {node.step for node in snapshot.nodes if node.step is not None}
    return f"{snapshot.nodes[-1].label}: {len(snapshot.nodes)} nodes" + (f" in {len(steps)} time steps" if steps else "")


def _description(snapshot: Snapshot, picture: Picture) -> str:
    uses: dict[int, int] = {}
    for edge in snapshot.edges:
        uses[edge.source] = uses.get(edge.source, 0) + 1
    params = [f"{node.label} used {uses.get(node.id, 0)} times" for node in snapshot.nodes if node.kind == "param"]
    left_out = [word.text for word in picture.words if word.kind == "elision"]
    return "; ".join(
        [
            f"What was computed, left to right: {len(snapshot.edges)} edges",
            *(["not shown: " + left_out[0].strip("… ")] if left_out else []),
            *params[:40],
            *([f"and {len(params) - 40} more parameters"] if len(params) > 40 else []),
        ]
    )


def _n(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def _frames(picture: Picture) -> Iterator[str]:
    for frame in picture.frames:
        kind, data = ("frame", f' data-step="{frame.step}"') if frame.kind == "step" else ("gap", "")
        yield (
            f'<rect class="{kind}"{data} x="{_n(frame.x)}" y="{_n(frame.y)}" width="{_n(frame.width)}" '
            f'height="{_n(frame.height)}" rx="10"/>'
        )
    for (x, y), (to_x, to_y) in picture.marks:
        yield f'<line class="mark" x1="{_n(x)}" y1="{_n(y)}" x2="{_n(to_x)}" y2="{_n(to_y)}"/>'


def _wires(picture: Picture) -> Iterator[str]:
    look = {"edge": "wire", "state": "wire state", "param": "wire tap", "cut": "wire loose", "severed": "wire loose"}
    for wire in picture.wires:
        head = "" if wire.kind == "param" else ' marker-end="url(#HEAD)"'
        data = "cut" if wire.kind == "severed" else "edge"
        yield f'<path class="{look[wire.kind]}" data-{data}="{wire.source}-{wire.target}" d="{_path(wire)}"{head}/>'
    for x, y in picture.dots:
        yield f'<circle class="dot" cx="{_n(x)}" cy="{_n(y)}" r="2.2"/>'


def _path(wire: Wire) -> str:
    points = wire.points
    if wire.curved:
        return f"M{points[0][0]:.1f} {points[0][1]:.1f}C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in points[1:])
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        path.append(_rounded(before, corner, after))
    path.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return "".join(path)


def _rounded(before: Point, corner: Point, after: Point) -> str:
    """The way to a right-angled corner and around it, by a radius that the shorter leg allows."""
    (x, y), (fx, fy), (tx, ty) = corner, before, after
    here, there = abs(fx - x) + abs(fy - y), abs(tx - x) + abs(ty - y)
    radius = min(7.0, here / 2, there / 2)
    if radius <= 0:
        return ""
    start = (x + (fx - x) / here * radius, y + (fy - y) / here * radius)
    end = (x + (tx - x) / there * radius, y + (ty - y) / there * radius)
    return f"L{start[0]:.1f} {start[1]:.1f}Q{x:.1f} {y:.1f} {end[0]:.1f} {end[1]:.1f}"


def _nodes(snapshot: Snapshot, picture: Picture, families: list[str]) -> Iterator[str]:
    for box in picture.boxes:
        node, family = snapshot.nodes[box.node], families[box.node]
        yield (
            f'<g class="node {family}" id="ID-{node.id}" data-node="{node.id}" transform="translate({_n(box.x)} {_n(box.y)})">'
            f"<title>{escape(_facts(node))}</title>{_shape(box, family)}{_label(node, box.width)}</g>"
        )


def _facts(node: Node) -> str:
    """All there is to say of a node, for whoever rests the pointer on it."""
    where = "/".join(node.scope)
    step = "" if node.step is None else f" t={node.step}"
    return f"{node.id}: {node.label} {node.dtype}{' at ' if where or step else ''}{where}{step}"


def _shape(box: Box, family: str) -> str:
    x, y, width, height = _n(-box.width / 2), _n(-box.height / 2), _n(box.width), _n(box.height)
    around = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="{_ROUNDING[family]}"'
    return f'<rect class="back" {around}/><rect class="tint" {around}/>'


def _label(node: Node, width: float) -> str:
    if node.kind == "param":
        return f'<text class="size" text-anchor="middle" y="4">{escape(_fitted(node.label, width - 14, 11.0))}</text>'
    name, size = escape(_fitted(node.name, width - 8, 14.0)), escape(_fitted(node.size, width - 8, 10.5))
    return f'<text class="name" text-anchor="middle" y="-2">{name}</text><text class="size" text-anchor="middle" y="12">{size}</text>'


def _fitted(text: str, width: float, size: float) -> str:
    """`text`, cut short so that it fits; the whole of it stands in the node's title."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text + "…"


def _words(picture: Picture) -> Iterator[str]:
    for word in picture.words:
        yield f'<text class="{word.kind}" text-anchor="{word.anchor}" x="{_n(word.x)}" y="{_n(word.y)}">{escape(word.text)}</text>'


def _key(shown: list[str], picture: Picture) -> Iterator[str]:
    """What the forms mean."""
    names = {"param": "parameter", "cut": "detached", "shape": "other op"}
    for index, family in enumerate(shown):
        x, y = picture.left + 16 + 104 * index, picture.top + picture.height + 4
        yield (
            f'<g class="node {family}" transform="translate({_n(x)} {_n(y)})"><rect class="tint" width="22" height="14" '
            f'rx="{min(_ROUNDING[family], 7)}"/><text class="key" x="28" y="11">{names.get(family, family)}</text></g>'
        )
