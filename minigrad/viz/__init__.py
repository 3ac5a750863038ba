"""Pictures of what was computed, of recurrent networks above all: step by step, as a regular grid.

    g = minigrad.viz.graph(loss, params=model.named_parameters(), view="unrolled", max_steps=6, heat="grad")
    g.save("lstm.svg")   # or .html .dot .png .pdf .json .txt
    g                    # shows itself in a notebook

Reading order: model (nodes, edges, lanes, columns), snapshot (the tape as such data), heat (how large gradients are),
views (what a picture shows), layout with its parts grid, cell, ranked, place, ends and route (where everything stands), and a
file per format: svg, html, schema (JSON), dot, text.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import tape
from ..tape import wrap
from . import schema, text
from .bands import lanes_of
from .figure import Figure, beside
from .gates import Gates, gates
from .graph import Graph, no_collection
from .heat import contributions_of, measure
from .snapshot import Parameters, Snapshot, ids_of, on_tape, root_of, take
from .views import HEATS, NESTS, PASSES, VIEWS, Options

__all__ = ["Figure", "Gates", "Graph", "beside", "contributions", "explain", "gates", "graph", "load"]


def graph(
    loss: Any,
    params: Parameters | None = None,
    view: str = "unrolled",
    max_steps: int | None = 6,
    heat: str | None = None,
    passes: str | None = None,
    *,
    around: int | None = None,
    nest: str = "step",
    labels: Sequence[str] | None = None,
) -> Graph:
    """The graph of all that `loss` was computed from.

    params     names for the parameters: pairs (name, tensor) as `named_parameters()` gives them, or a dict
    view       "unrolled": a column per time step; "rolled": one step, with loops; "module": a box per module;
               "op": everything
    max_steps  of more time steps than this "unrolled" shows only the first and the last, or those around step
               `around`, and counts the others; None: all
    heat       "grad": how large the gradient is along every edge, which takes two walks back of its own; `.grad` and the
               tape stay as they are, hooks are not run
    passes     "forward", "backward" or "both": which way arrows point; with heat "both" unless told otherwise
    nest       "step" or "module": which of the two encloses the other, where a step consists of several
    labels     what to write over each time step: a text, one character per step, or a list

    Raises  ValueError where `loss` was computed from nothing that wants a gradient, or with heat is no single number,
            or has more time steps than labels.

    >>> import minigrad
    >>> w = minigrad.ones(2, 3, requires_grad=True)
    >>> g = graph((w * 2).tanh().sum(), params={"w": w}, heat="grad")
    >>> g
    <Graph of sum (): 4 nodes, 3 edges>
    >>> print(g.to_text(), end="")
    sum (): 4 nodes, rolled view
    <BLANKLINE>
      mul.1           (2, 3)    <- w ∂ 0.346
      tanh.2          (2, 3)    <- mul.1 ∂ 0.173
      sum.3 (output)  ()        <- tanh.2 ∂ 2.45
    <BLANKLINE>
    parameters
      w  (2, 3)  ×1  ‖dW‖ 0.346
    """
    for name, given, allowed in (("view", view, VIEWS), ("heat", heat, HEATS), ("passes", passes, (None, *PASSES)), ("nest", nest, NESTS)):
        if given not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {given!r}")
    if max_steps is not None and (isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1):
        raise ValueError(f"max_steps must be a whole number from 1, or None for all; got {max_steps!r}")
    root = root_of(loss)
    if around is not None and (isinstance(around, bool) or not isinstance(around, int)):
        raise ValueError(f"around must be the whole number of a time step, or None for the first and the last; got {around!r}")
    measured = None
    if heat == "grad":
        if loss.array.size != 1:
            raise ValueError(f"heat='grad' needs a single number to differentiate, got shape {tuple(loss.shape)}; sum() or mean() it first")
        taped = on_tape(root)
        if not any(node.kept is None for node in taped if node.__class__ is tape.Node):
            measured = measure(loss, taped)
    passes = passes or ("both" if measured is not None else "forward")
    with no_collection():
        snapshot = take(loss, params, measured)
    written = tuple(str(each) for each in labels or ())
    steps = len({node.step for node in snapshot.nodes} - {None})
    if labels is not None and len(written) < steps:
        raise ValueError(f"{len(written)} labels for {steps} time steps")
    return Graph(snapshot, Options(view, max_steps, around, passes, nest, heat is not None, written))


def contributions(loss: Any, W: Any) -> Any:
    """What each time step adds to the gradient of `W`: a tensor (T, *W.shape), whose sum over steps is `W.grad`.

    The rows are the columns of the picture, from the first that uses W to the last: windows of truncated BPTT, and an
    encoder and its decoder, come one after the other. `.grad` and the tape stay as they are.

    Raises  ValueError where `loss` is no single number, W is no leaf it was computed from, or W is used outside of time steps too.

    >>> import minigrad
    >>> w = minigrad.tensor(0.5, requires_grad=True)
    >>> h = minigrad.tensor(1.0)
    >>> for t in range(3):
    ...     with minigrad.step(t):
    ...         h = h * w
    >>> contributions(h, w)
    tensor([0.2500, 0.2500, 0.2500])
    """
    taped = on_tape(root_of(loss))
    if loss.array.size != 1:
        raise ValueError(f"contributions need a single number to differentiate, got shape {tuple(loss.shape)}; sum() or mean() it first")
    leaf = getattr(W, "node", None)
    if not isinstance(leaf, tape.Leaf) or not any(node is leaf for node in taped):
        raise ValueError("W must be a leaf, such as a parameter, from which the loss was computed")
    by_node = contributions_of(loss, taped, leaf)
    by_step = _by_section_and_step(by_node, take(loss), ids_of(taped))
    if None in by_step or not by_step:
        raise ValueError(
            "W is used outside of time steps, so its gradient is no sum over steps. Build the layer with path='stepwise' and without "
            "checkpoint, or name the steps of your own loop: with minigrad.step(t):"
        )
    zero, rows = next(iter(by_step.values())) * 0, []
    for section in sorted({section for section, _ in by_step}):
        steps = [step for own, step in by_step if own == section]
        rows += [by_step.get((section, step), zero) for step in range(min(steps), 1 + max(steps))]
    return wrap(_stacked(rows))


def _by_section_and_step(by_node: dict[int, Any], snapshot: Snapshot, ids: dict[int, int]) -> dict[Any, Any]:
    """(section, step) -> the sum over its nodes, given by tape number; None for nodes outside of time steps."""
    lanes = lanes_of(snapshot.nodes)
    found: dict[Any, Any] = {}
    for number, part in by_node.items():
        band, step = lanes.band[ids[number]], snapshot.nodes[ids[number]].step
        key = None if band is None else (lanes.bands[band].section, step)
        found[key] = part if key not in found else found[key] + part
    return found


def _stacked(rows: list[Any]) -> Any:
    from_array = rows[0].reshape((1, *rows[0].shape))
    stacked = from_array.repeat(len(rows), 0)
    for index, row in enumerate(rows):
        stacked[index] = row
    return stacked


def load(path: str | os.PathLike[str]) -> Graph:
    """A graph saved as JSON, to be written in any format.

    Raises  ValueError where the file holds no such graph.
    """
    return Graph(None, None, schema.loads(Path(path).read_text(encoding="utf-8")))


def explain(loss: Any, params: Parameters | None = None) -> str:
    """The tape as text: every operation in order, then the walk back; for small graphs.

    Values and gradients are there if the tape was written, and walked, inside `with minigrad.trace(values=True):`.

    >>> import minigrad
    >>> w = minigrad.tensor([3.0, 4.0], requires_grad=True)
    >>> with minigrad.trace(values=True):
    ...     loss = (w * w).sum()
    ...     loss.backward()
    >>> print(explain(loss, {"w": w}), end="")
    forward, in tape order
    <BLANKLINE>
    number  place  what          from  shape  values
    0              w                   (2,)
    1              mul           w, w  (2,)   9 16
    2              sum (output)  1     ()     25
    <BLANKLINE>
    backward, from the last node to the first: the norm of the gradient passed to each input
    <BLANKLINE>
    2    sum  1: 1.414
    1    mul  w: 5, w: 5
    """
    return text.explanation(take(loss, params))
