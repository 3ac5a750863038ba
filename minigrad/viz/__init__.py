"""Pictures of what was computed, of recurrent networks above all: step by step, as a regular grid.

    g = minigrad.viz.graph(loss, params=model.named_parameters())
    g.save("lstm.svg")

Reading order: snapshot (the tape as plain data), layout (where everything stands), svg, text.
"""

from __future__ import annotations

import os
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from . import layout, svg, text
from .snapshot import Parameters, Snapshot, take

__all__ = ["Graph", "explain", "graph"]


class Graph:
    """What a tensor was computed from, to be drawn or written; it holds no tensor. `snapshot` is the data."""

    def __init__(self, snapshot: Snapshot, max_steps: int | None) -> None:
        self.snapshot, self.max_steps = snapshot, max_steps

    @cached_property
    def picture(self) -> layout.Picture:
        """Boxes, wires and frames with their coordinates."""
        return layout.arrange(self.snapshot, self.max_steps)

    def to_svg(self) -> str:
        """The picture as SVG text, the same bytes for the same graph."""
        return svg.render(self.snapshot, self.picture)

    def to_text(self) -> str:
        """The nodes as a table in tape order."""
        return text.table(self.snapshot, self.max_steps)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture (.svg) or the table (.txt), the whole file or none.

        Raises  ValueError for another ending.
        """
        path = Path(path)
        writers = {".svg": self.to_svg, ".txt": self.to_text}
        if path.suffix.lower() not in writers:
            raise ValueError(f"cannot save {path.name!r}: expected a name that ends in .svg (a picture) or .txt (a table)")
        _write_whole(path, writers[path.suffix.lower()]())

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def __repr__(self) -> str:
        return f"<Graph of {self.snapshot.nodes[-1].label}: {len(self.snapshot.nodes)} nodes, {len(self.snapshot.edges)} edges>"


def graph(loss: Any, params: Parameters | None = None, max_steps: int | None = 6) -> Graph:
    """The graph of all that `loss` was computed from.

    params     names for the parameters: pairs (name, tensor) as `named_parameters()` gives them, or a dict
    max_steps  of more time steps than this only the first and the last are shown, and the others counted; None: all

    Raises  ValueError where `loss` was computed from nothing that wants a gradient.

    >>> import minigrad
    >>> w = minigrad.ones(2, 3, requires_grad=True)
    >>> g = graph((w * 2).tanh().sum(), params={"w": w})
    >>> g
    <Graph of sum (): 4 nodes, 3 edges>
    >>> print(g.to_text(), end="")
    number  place  what          from         shape
    0              w                          (2, 3)
    1              mul           w, a number  (2, 3)
    2              tanh          1            (2, 3)
    3              sum (output)  2            ()
    """
    if max_steps is not None and max_steps < 2:
        raise ValueError(f"max_steps must be at least 2, for a first and a last step, or None for all; got {max_steps}")
    return Graph(take(loss, params), max_steps)


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


def _write_whole(path: Path, content: str) -> None:
    """Write beside `path` and move into place, so that nobody ever finds half a file."""
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
