"""The tape as text: a table of what was computed, and the walk back with the size of every gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .layout import shown_steps
from .snapshot import Node, Snapshot

__all__ = ["explanation", "table"]


def table(snapshot: Snapshot, max_steps: int | None = None) -> str:
    """The nodes in tape order, one line each; steps beyond `max_steps` are counted in one line."""
    steps = sorted({node.step for node in snapshot.nodes if node.step is not None})
    _, hidden, _ = shown_steps(steps, max_steps)
    left_out = set(hidden)
    kept = [node for node in snapshot.nodes if node.step not in left_out or node.kind == "param"]
    lines = _aligned([("number", "place", "what", "from", "shape"), *(_row(snapshot, node) for node in kept)])
    if hidden:
        count = len(snapshot.nodes) - len(kept)
        plural = "s" if len(hidden) > 1 else ""
        lines.append(f"… {len(hidden)} step{plural} not shown, t = {hidden[0]} … {hidden[-1]}: {count} nodes …")
    return "\n".join(lines) + "\n"


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
        if node.gradients is None:
            continue
        norms = zip(_inputs(snapshot, node), node.gradients, strict=False)
        passed = ", ".join(f"{name}: {norm:.4g}" for name, norm in norms if norm is not None)
        rows.append((str(node.id), _place(node), node.name, passed))
    if not rows:
        return ["backward: no gradient was noted; compute and go backward inside `with minigrad.trace(values=True):`"]
    return ["backward, from the last node to the first: the norm of the gradient passed to each input", "", *_aligned(rows)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
