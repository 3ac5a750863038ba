"""A graph as text: a rolled view for a terminal, and the tape in full with the size of every gradient on the way back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from .model import Node, Scene
from .picture import number
from .snapshot import Snapshot

__all__ = ["explanation", "rolled"]


def rolled(scene: Scene) -> str:
    """A rolled scene for a terminal: each lane of the grid once, with how often it runs, and what goes from step to step."""
    readers = _Readers(scene)
    lines = [scene.title, *(f"({note})" for note in scene.notes), ""]
    beside = [node for node in scene.nodes if node.band is None and node.kind != "param"]
    first = min((node.id for node in scene.nodes if node.band is not None), default=len(scene.nodes))
    early = [node for node in beside if node.id < first and node.kind in ("op", "module")] if scene.bands else []
    lines += _block("before the steps", early, readers)
    for index in range(len(scene.bands)):
        inside = [node for node in scene.nodes if node.band == index]
        lines += _block(_lane(scene, index, inside), inside, readers)
    rest = [node for node in beside if node.id > first or not scene.bands]
    lines += _block("after the steps" if scene.bands else "", [node for node in rest if node.kind in ("op", "module", "output")], readers)
    params = [node for node in scene.nodes if node.kind == "param"]
    if params:
        rows = [(f"  {node.name}", node.size, f"×{readers.uses[node.id]:,}", _norm(node.norm, "‖dW‖ ")) for node in params]
        lines += ["parameters", *_aligned(rows), ""]
    return "\n".join(lines).rstrip() + "\n"


class _Readers:
    """Per node what it reads, as a reader would say it."""

    def __init__(self, scene: Scene) -> None:
        self.uses: defaultdict[int, int] = defaultdict(int)
        self.inputs: defaultdict[int, list[str]] = defaultdict(list)
        for edge in scene.edges:
            node = scene.nodes[edge.source]
            self.uses[edge.source] += edge.count
            if edge.kind == "severed":
                continue
            name = node.name if node.kind in ("param", "input", "constant", "cut") else f"{node.name}.{node.id}"
            back = f" from t−1 (×{edge.count:,})" if edge.kind == "loop" else ""
            self.inputs[edge.target].append(f"{name}{back}{_norm(edge.norm, ' ∂ ')}")


def _lane(scene: Scene, index: int, inside: list[Node]) -> str:
    band = scene.bands[index]
    columns = sorted({node.column for node in inside if node.column is not None})
    name = " ".join(filter(None, ["/".join(band.scope), f"layer {band.layer}" if band.layer is not None else "", band.direction or ""]))
    steps = ", ".join(scene.columns[column].heading for column in columns)
    return f"{'<-' if band.reverse else '->'} {name or 'every step'}   {steps}"


def _block(heading: str, nodes: list[Node], readers: _Readers) -> list[str]:
    if not nodes:
        return []
    rows = []
    for node in nodes:
        what = f"  {node.name}.{node.id}" + (" (output)" if node.kind == "output" else "")
        times = f"×{node.steps:,}" if (node.steps or 1) > 1 else ""
        rows.append((what, node.size, times, "<- " + ", ".join(readers.inputs[node.id]) if readers.inputs[node.id] else ""))
    return [*([heading] if heading else []), *_aligned(rows), ""]


def _norm(value: float | None, before: str) -> str:
    return "" if value is None else before + number(value)


def explanation(snapshot: Snapshot) -> str:
    """The tape forward, with values where a trace noted them, and then the walk back with the norms of gradients."""
    rows = [("number", "place", "what", "from", "shape", "values")]
    rows.extend((*_row(snapshot, node), _values(node)) for node in snapshot.nodes)
    return "\n".join(["forward, in tape order", "", *_aligned(rows), "", *_walk_back(snapshot), ""])


def _row(snapshot: Snapshot, node: Node) -> tuple[str, str, str, str, str]:
    what = node.name if node.kind != "output" else f"{node.name} (output)"
    return str(node.id), _place(node), what, ", ".join(_inputs(snapshot, node)), node.size


def _place(node: Node) -> str:
    where = "/".join(node.scope)
    return where if node.step is None else f"{where} t={node.step}".strip()


def _inputs(snapshot: Snapshot, node: Node) -> Iterator[str]:
    """Inputs as a reader would say them: a parameter by name, the rest by number."""
    for source in node.inputs:
        if source is None:
            yield "a number"
        elif snapshot.nodes[source].kind == "param" and snapshot.nodes[source].name != "leaf":
            yield snapshot.nodes[source].name
        else:
            yield str(source)


def _values(node: Node) -> str:
    if node.values is None:
        return ""
    more = " …" if _elements(node) > len(node.values) else ""
    return " ".join(f"{value:.4g}" for value in node.values) + more


def _elements(node: Node) -> int:
    elements = 1
    for length in node.shape:
        elements *= length
    return elements


def _walk_back(snapshot: Snapshot) -> list[str]:
    """Per node, last first, the norm of what it passed to each input that wanted a gradient."""
    rows = []
    for node in reversed(snapshot.nodes):
        if node.passed is None:
            continue
        norms = zip(_inputs(snapshot, node), node.passed, strict=False)
        passed = ", ".join(f"{name}: {norm:.4g}" for name, norm in norms if norm is not None)
        rows.append((str(node.id), _place(node), node.name, passed))
    if not rows:
        return ["backward: no gradient was noted; compute and go backward inside `with minigrad.trace(values=True):`"]
    return ["backward, from the last node to the first: the norm of the gradient passed to each input", "", *_aligned(rows)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
