"""What every view and every format shares: nodes, edges, and the grid of bands and columns that a picture stands in.

    tape --snapshot--> Node, one per thing on the tape --views--> Scene, what one picture shows --layout--> coordinates

All of it is plain data: it keeps no tensor alive, and can be written as JSON and read again.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

__all__ = ["FUSED", "Band", "Cell", "Column", "Edge", "Node", "Scene", "Shape", "Share", "plural"]

FUSED = ("rnn", "lstm", "gru")  # the names of nodes that are a whole layer in one direction

Shape = tuple[int, ...]
Cell = tuple[int, int]  # (band, column)


class Node(NamedTuple):
    """One thing on the tape, or in a scene one box, which may stand for many things on the tape.

    id        position in the list, counted from 0
    kind      op, output (the op asked for), param, input (a constant that a time step reads), constant, cut, and in
              scenes also module and elision
    name      what a picture writes: the operation, the module, or the parameter's name
    shapes    of the value, or of each of several outputs
    inputs    id per input; None for a Python number. In a scene the edges say it
    number    position on the tape, counted from 0 in this graph, constants included
    cut_from  of a cut: the id of what it was detached from, if that is in the snapshot
    values, passed   what a trace noted: the first few values, and the norm of the gradient passed to each input
    norm      of the gradient of the loss with respect to this; None where it was not measured
    norms     of the gradient along each input's edge
    saved     bytes kept for the backward pass that no earlier node keeps already
    band, column   where in the grid of a scene
    count, steps   how many things on the tape, in how many time steps; one thing in several: a fused layer
    """

    id: int
    kind: str
    op: str
    name: str
    shapes: tuple[Shape, ...]
    dtype: str
    scope: tuple[str, ...] = ()
    step: int | None = None
    layer: int | None = None
    direction: str | None = None
    rows: int | None = None
    inputs: tuple[int | None, ...] = ()
    number: int = -1
    cut_from: int | None = None
    values: tuple[float, ...] | None = None
    passed: tuple[float | None, ...] | None = None
    norm: float | None = None
    norms: tuple[float | None, ...] | None = None
    saved: int = 0
    line: str = ""
    band: int | None = None
    column: int | None = None
    count: int = 1  # type: ignore[assignment]  # tuples have a method of this name, which nobody needs here
    steps: int | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the value, or of the first of several outputs."""
        return self.shapes[0] if self.shapes else ()

    @property
    def fused(self) -> bool:
        """Whether this is all time steps of a layer, computed by a kernel."""
        return self.op in FUSED and self.count == 1 and self.steps is not None and self.kind in ("op", "output")

    @property
    def size(self) -> str:
        """The shape as a picture writes it: (2, 4), or 4×(2, 4)."""
        times = f" ×{self.steps:,}" if (self.steps or 1) > 1 else ""
        if self.kind == "elision":
            return plural(self.count, "op")
        if self.kind == "module":
            return plural(self.count, "op") + (f" in {self.steps:,} steps" if times else "")
        if self.kind in ("input", "constant", "cut"):
            return f"{self.shape}{times}"
        if self.fused:
            return f"{plural(self.steps or 0, 'step')} → {self.shape}"
        return _shapes_as_text(self.shapes)

    @property
    def label(self) -> str:
        """Name and shape: tanh (32, 256)."""
        return f"{self.name} {self.size}"


class Edge(NamedTuple):
    """A value flows from node `source` into node `target`.

    kind   data, state (to another time step), param, loop (a state, where all steps are one), severed (to a detached
           value: no gradient passes)
    count  how many uses it stands for
    norm   of the gradient that comes back along it, the largest of several; None where it was not measured
    """

    source: int
    target: int
    kind: str = "data"
    count: int = 1  # type: ignore[assignment]
    norm: float | None = None


class Band(NamedTuple):
    """One lane of the grid: one direction of one layer, or one module that runs at every step.

    Sections stand side by side, such as an encoder and its decoder; the bands of a section are stacked upward.
    """

    section: int
    name: str
    layer: int | None = None
    direction: str | None = None
    scope: tuple[str, ...] = ()

    @property
    def reverse(self) -> bool:
        """Whether time runs from right to left in it."""
        return self.direction == "reverse"

    @property
    def heading(self) -> str:
        """encoder · layer 1 · reverse ←"""
        name = "/".join(self.scope) if self.layer is not None else self.name
        parts = [name if len(name) <= 40 else "…" + name[-39:]] if name else []
        if self.layer is not None:
            parts.append(f"layer {self.layer}")
        if self.direction is not None:
            parts.append(f"{self.direction} {'←' if self.reverse else '→'}")
        return " · ".join(parts)


class Column(NamedTuple):
    """What stands under one heading of a section: a time step, steps left out (elision), or all in one (rolled).

    rows   how many rows of a packed batch are live, of how many at most; None where nobody said
    label  what was read at this time step, such as a character; None where nobody said
    """

    section: int
    kind: str
    first: int
    last: int
    count: int  # type: ignore[assignment]
    rows: int | None = None
    of_rows: int | None = None
    label: str | None = None

    @property
    def heading(self) -> str:
        """t = 3, or t = 3: its label, or t = 3 … 96."""
        times = f"t = {self.first}" if self.first == self.last else f"t = {self.first} … {self.last}"
        times += f": {self.label}" if self.label is not None else ""
        return times if self.kind != "rolled" else f"{times}  (×{self.count})"


class Share(NamedTuple):
    """What one band had at one time step: the norm of the gradient that reached its state, and its share of the
    gradient of the weights, ⟨dW_t, dW⟩ / ‖dW‖². The shares of a band sum to 1; step None stands for what its weights
    get from elsewhere."""

    band: int
    step: int | None
    norm: float | None
    share: float | None


class Scene(NamedTuple):
    """All that one picture shows.

    shares   per band and time step, those not shown included
    notes    what a reader has to be told: steps left out, a graph already freed, a fused layer
    total    how many things on the tape all this stands for, and how many edges
    freed    whether a walk back has given back what the tape had kept
    """

    title: str
    view: str
    nodes: list[Node]
    edges: list[Edge]
    bands: list[Band]
    columns: list[Column]
    shares: list[Share]
    notes: list[str]
    total: tuple[int, int]
    heat: bool
    passes: str
    nest: str
    freed: bool


@cache
def _shapes_as_text(shapes: tuple[Shape, ...]) -> str:
    if len(shapes) == 1:
        return str(shapes[0])
    if len(set(shapes)) == 1:
        return f"{len(shapes)}×{shapes[0]}"
    return ", ".join(str(shape) for shape in shapes[:3]) + (", …" if len(shapes) > 3 else "")


def plural(count: int, what: str) -> str:
    """1 step, 94 steps, 12,345 nodes."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
