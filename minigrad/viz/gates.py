"""Gate activations over a sequence as a heat map: one row per unit, one column per time step."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import backend, tape
from .bands import lanes_of
from .graph import write_whole
from .model import Band
from .snapshot import ids_of, on_tape, root_of, take
from .svg import text

__all__ = ["Gates", "gates"]

_SIDE, _LEFT, _TOP = 14.0, 96.0, 46.0
# From #00224e at the low end to #fee838 at the high one: cividis, in twenty steps.
_COLOURS = (
    *("#00224e", "#002a64", "#0a3370", "#26396e", "#35406c", "#42486c", "#4e516c", "#595a6e", "#646371", "#6e6d75"),
    *("#797777", "#868177", "#948c76", "#a39873", "#b3a46e", "#c3b067", "#d4bd5e", "#e6cb51", "#f8d840", "#fee838"),
)
_KINDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


class Map(NamedTuple):
    """One gate: values[unit][step], between `low` and `high`."""

    name: str
    low: float
    high: float
    values: list[list[float]]


class Gates:
    """Heat maps of the gates of one layer and direction; it holds no tensor."""

    def __init__(self, title: str, labels: list[str], maps: list[Map]) -> None:
        self.title, self.labels, self.maps = title, labels, maps

    def to_svg(self) -> str:
        """The heat maps as SVG text, the same bytes for the same gates."""
        width = _LEFT + _SIDE * len(self.labels) + 80.0
        body: list[str] = []
        y = _TOP
        for each in self.maps:
            body += _drawn(each, self.labels, y)
            y += _SIDE * len(each.values) + 44.0
        content = "\n".join(body)
        name = "g" + hashlib.sha256((self.title + content).encode()).hexdigest()[:10]
        style = (
            f".{name}{{background:#fff;font-family:'DejaVu Sans',Arial,'Noto Sans CJK SC',sans-serif}}"
            f".{name} text{{fill:#1b1f24;font-size:11px}}"
            f".{name} .title{{font-size:14px;font-weight:600}}.{name} .frame{{fill:none;stroke:#6e7781}}"
            f"@media (prefers-color-scheme:dark){{.{name}{{background:#0d1117}}.{name} text{{fill:#e6edf3}}}}"
        )
        return "\n".join(
            [
                f'<svg class="{name}" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {y:.1f}" width="{width:.1f}" '
                f'height="{y:.1f}" style="max-width:100%;height:auto" role="img">',
                f"<title>{text(self.title)}</title>",
                f"<desc>{text('; '.join(f'{each.name}: {len(each.values)} units' for each in self.maps))}</desc>",
                f"<style>{style}</style>",
                f'<text class="title" x="16" y="22">{text(self.title)}</text>',
                content,
                "</svg>\n",
            ]
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the heat maps, the whole file or none.

        Raises  ValueError for a name that does not end in .svg.
        """
        path = Path(path)
        if path.suffix.lower() != ".svg":
            raise ValueError(f"cannot save {path.name!r}: heat maps of gates are written as .svg")
        write_whole(path, self.to_svg().encode("utf-8"))

    def _repr_svg_(self) -> str:
        return self.to_svg()


def gates(tensor: Any, labels: Sequence[str] | None = None, *, layer: int | None = None, row: int = 0, units: int = 16) -> Gates:
    """Heat maps of every sigmoid and tanh in the time steps that `tensor` was computed from.

    labels  what to write over each step: a text, one character per step, or a list; by default the step's number
    layer   which layer, where there are several; the lowest by default
    row     which row of the batch; units: how many of its first units are shown

    Raises  ValueError where there are no such steps, or backward() has given back their values.

    >>> import minigrad
    >>> h = minigrad.zeros(1, 3)
    >>> w = minigrad.ones(3, requires_grad=True)
    >>> for t in range(4):
    ...     with minigrad.step(t):
    ...         h = (h + w).tanh()
    >>> found = gates(h, labels="text")
    >>> found.labels, [(each.name, len(each.values)) for each in found.maps]
    (['t', 'e', 'x', 't'], [('tanh', 3)])
    """
    taped = on_tape(root_of(tensor))
    snapshot = take(tensor)
    lanes = lanes_of(snapshot.nodes)
    number_of = {number: lanes.band[id_] for number, id_ in ids_of(taped).items()}
    wanted = [b for b, band in enumerate(lanes.bands) if layer is None or band.layer == layer]
    inside = [node for node in taped if node.op in _KINDS and node.place.step is not None and number_of[node.number] in wanted]
    if not inside:
        raise ValueError(f"no sigmoid or tanh stands in a time step{'' if layer is None else f' of layer {layer}'}; see minigrad.step")
    first = number_of[inside[0].number]
    inside = [node for node in inside if number_of[node.number] == first]
    steps = sorted({node.place.step for node in inside if node.place.step is not None})
    shown = [str(each) for each in (labels if labels is not None else steps)]
    if len(shown) < len(steps):
        raise ValueError(f"{len(shown)} labels for {len(steps)} time steps")
    maps = _maps(inside, steps, row, units)
    return Gates(_title(lanes.bands[first or 0]), shown[: len(steps)], maps)


def _title(band: Band) -> str:
    parts = ["/".join(band.scope), "" if band.layer is None else f"layer {band.layer}", band.direction or ""]
    return "gates of " + (" ".join(part for part in parts if part) or "every time step")


def _maps(inside: list[tape.Node], steps: list[int], row: int, units: int) -> list[Map]:
    columns: dict[int, list[tape.Node]] = {step: [] for step in steps}
    for node in inside:
        columns[node.place.step or 0].append(node)
    most = max(columns.values(), key=len)
    names = _names(most)
    maps = []
    for index, pattern in enumerate(most):
        by_step = [_values(columns[step][index], row, units) if index < len(columns[step]) else [] for step in steps]
        height = max(map(len, by_step))
        values = [[column[unit] if unit < len(column) else float("nan") for column in by_step] for unit in range(height)]
        maps.append(Map(names[index], *_KINDS[pattern.op], values))
    return maps


def _names(nodes: list[tape.Node]) -> list[str]:
    """i, f, g, o where four parts of one product are activated; r, z, n of a GRU; otherwise the operation."""
    ops = [node.op for node in nodes]
    parts = [node.parents[0].index if isinstance(node.parents[0], tape.Branch) else None for node in nodes]
    if len(nodes) == 5 and sorted(part for part in parts if part is not None) == [0, 1, 2, 3]:
        letters = ("i, input gate", "f, forget gate", "g, candidate", "o, output gate")
        return ["tanh(c)" if part is None else letters[part] for part in parts]
    if ops == ["sigmoid", "sigmoid", "tanh"]:
        return ["r, reset gate", "z, update gate", "n, candidate"]
    return [op if ops.count(op) == 1 else f"{op} {1 + ops[:index].count(op)}" for index, op in enumerate(ops)]


def _values(node: tape.Node, row: int, units: int) -> list[float]:
    """A node's value, which its rule keeps, or a trace noted: the first units of one row of the batch."""
    kept = [each.array if isinstance(each, tape.Variable) else each for each in node.kept or ()]
    found = kept[-1] if kept else None
    if found is None and node.facts is not None and node.facts.value is not None:
        found = node.facts.value[0]
    if found is None:
        raise ValueError(
            "the values of the gates were given back by backward(): draw before it, or compute inside minigrad.trace(values=True)"
        )
    array = backend.of(found).to_host(found)
    array = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(1, -1)
    return [float(each) for each in array[row][:units]] if row < len(array) else []


def _drawn(each: Map, labels: list[str], y: float) -> Iterator[str]:
    width, height = _SIDE * len(labels), _SIDE * len(each.values)
    yield f'<text text-anchor="end" x="{_LEFT - 8:.1f}" y="{y + height / 2 + 4:.1f}">{text(each.name)}</text>'
    for step, label in enumerate(labels):
        shown = label if len(label) <= 2 else label[:1] + "…"
        yield f'<text text-anchor="middle" x="{_LEFT + _SIDE * (step + 0.5):.1f}" y="{y - 5:.1f}">{text(shown)}</text>'
    for unit, values in enumerate(each.values):
        for step, value in enumerate(values):
            if value == value:
                place = min(max((value - each.low) / (each.high - each.low), 0.0), 1.0)
                colour = _COLOURS[min(int(place * len(_COLOURS)), len(_COLOURS) - 1)]
                yield (
                    f'<rect x="{_LEFT + _SIDE * step:.1f}" y="{y + _SIDE * unit:.1f}" width="{_SIDE}" height="{_SIDE}" fill="{colour}">'
                    f"<title>unit {unit}, {text(labels[step])}: {value:.3f}</title></rect>"
                )
    yield f'<rect class="frame" x="{_LEFT:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    right = _LEFT + width + 14
    for index, colour in enumerate(reversed(_COLOURS)):
        part = max(height, 40.0) / len(_COLOURS)
        yield f'<rect x="{right:.1f}" y="{y + part * index:.2f}" width="10" height="{part:.2f}" fill="{colour}"/>'
    yield f'<text x="{right + 14:.1f}" y="{y + 9:.1f}">{each.high:g}</text>'
    yield f'<text x="{right + 14:.1f}" y="{y + max(height, 40.0):.1f}">{each.low:g}</text>'
