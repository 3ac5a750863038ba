"""A picture in Graphviz's language: clusters for steps and layers, and every position pinned.

The text needs nothing but the standard library. Graphviz is not asked to lay anything out: it would scramble time.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from .model import Scene
from .picture import Box, Frame, Picture, Point, Wire, number, param_text
from .scale import norms_of, scale_of
from .svg import family_of

__all__ = ["digraph", "source"]

_FILL = {
    "product": ("#D9EAF4", "#0072B2"), "activation": ("#FCF0D9", "#B87F00"), "arithmetic": ("#D9F0EA", "#008763"),
    "param": ("#F7EAF2", "#a9588a"), "output": ("#E6F4FC", "#1f86c4"), "cut": ("#F9E7D9", "#b3420a"), "module": ("#EBF4F9", "#0072B2"),
    "elision": ("#ffffff", "#ffffff"),
}  # fmt: skip
_OTHER = ("#EEEFF1", "#6e7781")
_HEAT = ("#948e77", "#848279", "#757575", "#666970", "#575d6d", "#47516c", "#35456c", "#1e3a6f", "#002e6c", "#00224e")
_GRAPH = {"splines": "line", "inputscale": "72", "overlap": "true", "fontname": "Helvetica", "fontsize": "13", "outputorder": "edgesfirst"}


def source(scene: Scene, picture: Picture) -> str:
    """The picture as DOT text."""
    return "\n".join(["digraph minigrad {", *(f"\t{line}" for line in _body(scene, picture)), "}", ""])


def digraph(scene: Scene, picture: Picture) -> Any:
    """The picture as a `graphviz.Digraph`: `.source`, `.render()`, `.pipe()` work as usual.

    Raises  ImportError where the Python package graphviz is missing.
    """
    try:
        graphviz = importlib.import_module("graphviz")
    except ImportError:
        raise ImportError("to_dot() needs the Python package graphviz: pip install graphviz; save('name.dot') does without") from None
    return graphviz.Digraph("minigrad", engine="neato", body=[f"\t{line}\n" for line in _body(scene, picture)])


def _quoted(text: object) -> str:
    """A DOT string, in which nothing has a meaning of its own: no line breaks, no escapes, no entities."""
    plain = str(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"').replace("\0", "\ufffd")
    return '"' + plain.replace("\r", " ").replace("\n", "\\n") + '"'


def _attributes(given: dict[str, object]) -> str:
    return "[" + ", ".join(f"{name}={_quoted(value)}" for name, value in given.items()) + "]"


def _body(scene: Scene, picture: Picture) -> Iterator[str]:
    yield f"graph {_attributes({**_GRAPH, 'label': scene.title, 'tooltip': scene.title})}"
    node = {"shape": "box", "style": "filled,rounded", "fontname": "Helvetica", "fontsize": "11", "fixedsize": "true", "margin": "0"}
    yield f"node {_attributes(dict(node))}"
    yield f"edge {_attributes({'color': '#4b5563', 'arrowsize': '0.6', 'fontsize': '8', 'fontname': 'Helvetica'})}"
    inside: dict[tuple[int | None, int | None], list[Box]] = {}
    for box in picture.boxes:
        place = scene.nodes[box.node]
        inside.setdefault((place.band, place.column), []).append(box)
    for frame in picture.frames:
        if frame.kind != "around":
            yield from _cluster(scene, picture, frame, inside.pop((frame.band, frame.column), []))
    for boxes in inside.values():
        for box in boxes:
            yield _node(scene, box)
    yield from _edges(scene, picture)


def _cluster(scene: Scene, picture: Picture, frame: Frame, boxes: list[Box]) -> Iterator[str]:
    column, band = scene.columns[frame.column or 0], scene.bands[frame.band or 0]
    parts = ["/".join(band.scope), "" if band.layer is None else f"layer {band.layer}", band.direction or ""]
    corners = (frame.x, frame.y + frame.height), (frame.x + frame.width, frame.y)
    box = ",".join(f"{x:.1f},{-y:.1f}" for x, y in corners)
    lane = " · ".join(part for part in parts if part)
    heading = _point((frame.x + frame.width / 2, frame.y - 8))
    given = {"label": column.heading, "tooltip": lane, "bb": box, "lp": heading, "color": "#c4cbd3"}
    yield f"subgraph cluster_{frame.band}_{frame.column} {{"
    yield f"\tgraph {_attributes(dict(given))}"
    for each in boxes:
        yield f"\t{_node(scene, each)}"
    yield "}"


def _node(scene: Scene, box: Box) -> str:
    node = scene.nodes[box.node]
    fill, line = _FILL.get(family_of(node), _OTHER)
    label = param_text(node) if node.kind == "param" else f"{node.name}\n{node.size}"
    given: dict[str, object] = {
        "label": label, "pos": f"{_point((box.x, box.y))}!", "width": f"{box.width / 72:.4f}", "height": f"{box.height / 72:.4f}",
        "fillcolor": fill, "color": line,
    }  # fmt: skip
    if node.kind in ("input", "constant", "cut"):
        given["style"] = "filled,dashed"
    return f"n{node.id} {_attributes(given)}"


def _point(point: Point) -> str:
    return f"{point[0]:.1f},{-point[1]:.1f}"


def _edges(scene: Scene, picture: Picture) -> Iterator[str]:
    scale = scale_of(norms_of(scene))
    for wire in picture.wires:
        edge = scene.edges[wire.edge]
        given: dict[str, object] = {"pos": _spline(wire, edge.kind != "param")}
        if edge.kind == "param":
            given |= {"arrowhead": "none", "color": "#a2476f", "penwidth": "0.6"}
        elif edge.kind == "severed" or scene.nodes[edge.source].kind == "cut":
            given |= {"style": "dashed", "color": "#b3420a"}
        if edge.norm is not None and scale is not None:
            colour = scale.colour(edge.norm)
            width = scale.width(edge.norm) * (0.3 if edge.kind == "param" else 0.6)
            given |= {"color": _HEAT[int(colour)] if colour.isdigit() else "#a3195b", "penwidth": f"{width + 0.4:.1f}"}
            given["tooltip"] = f"‖∂L/∂·‖ = {number(edge.norm)}"
            given |= {"label": number(edge.norm)} if not colour.isdigit() else {}
        if edge.kind == "loop" and edge.count > 1:
            given["xlabel"] = f"×{edge.count}"
        yield f"n{edge.source} -> n{edge.target} {_attributes(given)}"


def _spline(wire: Wire, arrow: bool) -> str:
    """A wire as Graphviz writes it: Béziers end to end, and the arrow's tip first."""
    points = list(wire.points)
    if not wire.curved:
        bezier = [points[0]]
        for (x, y), (to_x, to_y) in pairwise(points):
            bezier += [(x + (to_x - x) / 3, y + (to_y - y) / 3), (x + (to_x - x) * 2 / 3, y + (to_y - y) * 2 / 3), (to_x, to_y)]
        points = bezier
    if arrow:  # the line ends where the arrow begins
        (x, y), (to_x, to_y) = points[-2], points[-1]
        back = min(1.0, 6.0 / (math.hypot(to_x - x, to_y - y) or 1.0))
        points[-1] = (to_x - (to_x - x) * back, to_y - (to_y - y) * back)
        return " ".join([f"e,{_point((to_x, to_y))}", *map(_point, points)])
    return " ".join(map(_point, points))
