"""A scene as JSON, and back: everything a picture shows, with coordinates. The schema is told in docs/pictures.md."""

from __future__ import annotations

import json
import math
from typing import Any

from .describe import formula_of
from .model import Band, Column, Edge, Node, Scene, Share
from .picture import Picture

__all__ = ["FORMAT", "VERSION", "dumps", "loads"]

FORMAT, VERSION = "minigrad.viz", 1


def dumps(scene: Scene, picture: Picture) -> str:
    """The scene as JSON text, the same bytes for the same scene."""
    at = {box.node: box for box in picture.boxes}
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "title": scene.title,
        "view": scene.view,
        "passes": scene.passes,
        "nest": scene.nest,
        "heat": scene.heat,
        "freed": scene.freed,
        "notes": scene.notes,
        "total": {"nodes": scene.total[0], "edges": scene.total[1]},
        "bands": [{**band._asdict(), "scope": "/".join(band.scope)} for band in scene.bands],
        "columns": [column._asdict() for column in scene.columns],
        "shares": [_share(share) for share in scene.shares],
        "nodes": [_node(node, at) for node in scene.nodes],
        "edges": [_edge(edge) for edge in scene.edges],
    }
    lists = {key: value for key, value in whole.items() if isinstance(value, list) and key != "notes"}
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in whole.items() if key not in lists]
    for key, entries in lists.items():
        rows = ",\n  ".join(json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in entries)
        lines.append(f"{json.dumps(key)}: [\n  {rows}\n ]" if entries else f"{json.dumps(key)}: []")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def _told(value: float | None) -> float | str | None:
    """JSON knows no NaN and no infinity: they are written as text."""
    return value if value is None or math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _share(share: Share) -> dict[str, Any]:
    return {"band": share.band, "step": share.step, "grad_norm": _told(share.norm), "share": _told(share.share)}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _node(node: Node, at: dict[int, Any]) -> dict[str, Any]:
    box = at.get(node.id)
    return {
        "id": node.id,
        "kind": node.kind,
        "op": node.op,
        "name": node.name,
        "label": node.label,
        "formula": formula_of(node),
        "shape": list(node.shape),
        "shapes": [list(shape) for shape in node.shapes],
        "dtype": node.dtype,
        "scope": "/".join(node.scope),
        "step": node.step,
        "layer": node.layer,
        "direction": node.direction,
        "rows": node.rows,
        "band": node.band,
        "column": node.column,
        "count": node.count,
        "steps": node.steps,
        "number": node.number,
        "cut_from": node.cut_from,
        "saved": node.saved,
        "line": node.line,
        "grad_norm": _told(node.norm),
        "values": None if node.values is None else [_told(value) for value in node.values],
        "x": None if box is None else round(box.x, 1),
        "y": None if box is None else round(box.y, 1),
        "width": None if box is None else round(box.width, 1),
        "height": None if box is None else round(box.height, 1),
    }


def _edge(edge: Edge) -> dict[str, Any]:
    return {"source": edge.source, "target": edge.target, "kind": edge.kind, "count": edge.count, "grad_norm": _told(edge.norm)}


def loads(content: str) -> Scene:
    """The scene that `dumps` wrote; its picture is laid out again.

    Raises  ValueError for anything else.
    """
    try:
        whole = json.loads(content)
        if whole["format"] != FORMAT or whole["version"] != VERSION:
            raise ValueError(f"format {whole['format']!r}, version {whole['version']!r}")
        return _scene(whole)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"this is no graph saved as JSON by minigrad.viz, format version {VERSION}: {error}") from None


def _scene(whole: dict[str, Any]) -> Scene:
    nodes = [_read_node(each, position) for position, each in enumerate(whole["nodes"])]
    edges = [Edge(each["source"], each["target"], each["kind"], each["count"], _number(each["grad_norm"])) for each in whole["edges"]]
    bands = [Band(**{**each, "scope": _scope(each["scope"])}) for each in whole["bands"]]
    columns = [Column(**each) for each in whole["columns"]]
    shares = [Share(each["band"], each["step"], _number(each["grad_norm"]), _number(each["share"])) for each in whole["shares"]]
    for edge in edges:
        if not (0 <= edge.source < len(nodes) and 0 <= edge.target < len(nodes)):
            raise ValueError(f"an edge leads from node {edge.source} to node {edge.target}, of {len(nodes)}")
        if edge.kind not in ("loop", "severed") and edge.source >= edge.target:
            raise ValueError(f"an edge leads back, from node {edge.source} to node {edge.target}, and is no loop")
    total = whole["total"]
    return Scene(
        str(whole["title"]), whole["view"], nodes, edges, bands, columns, shares, [str(note) for note in whole["notes"]],
        (total["nodes"], total["edges"]), bool(whole["heat"]), whole["passes"], whole["nest"], bool(whole["freed"]),
    )  # fmt: skip


def _scope(joined: str) -> tuple[str, ...]:
    return tuple(joined.split("/")) if joined else ()


def _read_node(each: dict[str, Any], position: int) -> Node:
    if each["id"] != position:
        raise ValueError(f"node number {position} has the id {each['id']}")
    values, shapes = each["values"], tuple(tuple(shape) for shape in each["shapes"])
    return Node(
        each["id"], str(each["kind"]), str(each["op"]), str(each["name"]), shapes, str(each["dtype"]),
        _scope(each["scope"]), each["step"], each["layer"], each["direction"], each["rows"], (), each["number"], each["cut_from"],
        None if values is None else tuple(float(value) for value in values), None, _number(each["grad_norm"]), None, each["saved"],
        str(each["line"]), each["band"], each["column"], each["count"], each["steps"],
    )  # fmt: skip
