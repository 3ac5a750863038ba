"""Several graphs in one picture, one above the other and on one colour scale: an RNN beside an LSTM."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from .graph import Graph, write_whole
from .scale import norms_of, scale_of
from .svg import render, text

__all__ = ["Figure", "beside"]

_TITLE = 30.0


class Figure:
    """Graphs under their titles, all on one scale, as SVG."""

    def __init__(self, graphs: dict[str, Graph]) -> None:
        self.graphs = graphs

    def to_svg(self) -> str:
        """One SVG that holds them all, the same bytes for the same graphs."""
        scale = scale_of(norm for graph in self.graphs.values() for norm in norms_of(graph.scene))
        parts, width, y = [], 0.0, 0.0
        for name, graph in self.graphs.items():
            drawn = render(graph.scene, graph.picture, scale)
            found = re.search(r' width="([\d.]+)" height="([\d.]+)" style="[^"]*"', drawn)
            assert found is not None
            placed = drawn[: found.start()] + f' x="0" y="{y + _TITLE:.1f}" width="{found[1]}" height="{found[2]}"' + drawn[found.end() :]
            parts.append(f'<text class="title" x="16" y="{y + 22:.1f}">{text(name)}</text>\n{placed}')
            width, y = max(width, float(found[1])), y + _TITLE + float(found[2]) + 10
        style = (
            ".minigrad-figure{background:#fff}.minigrad-figure>.title{font:600 17px 'DejaVu Sans',Arial,sans-serif;fill:#1b1f24}"
            "@media (prefers-color-scheme:dark){.minigrad-figure{background:#0d1117}.minigrad-figure>.title{fill:#e6edf3}}"
        )
        return (
            f'<svg class="minigrad-figure" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {y:.1f}" width="{width:.1f}" '
            f'height="{y:.1f}" style="max-width:100%;height:auto" role="img">\n<title>{text(" and ".join(self.graphs))}</title>\n'
            f"<style>{style}</style>\n" + "".join(parts) + "</svg>\n"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the figure, the whole file or none.

        Raises  ValueError for a name that does not end in .svg.
        """
        path = Path(path)
        if path.suffix.lower() != ".svg":
            raise ValueError(f"cannot save {path.name!r}: several graphs in one figure are written as .svg")
        write_whole(path, self.to_svg().encode("utf-8"))

    def _repr_svg_(self) -> str:
        return self.to_svg()


def beside(graphs: Mapping[str, Graph]) -> Figure:
    """One figure of several graphs, whose colours and widths mean the same in all of them.

    >>> import minigrad
    >>> w = minigrad.ones(2, requires_grad=True)
    >>> small, large = (minigrad.viz.graph((w * factor).sum(), heat="grad") for factor in (0.001, 1000.0))
    >>> [figure.to_svg().count("1414, log scale") for figure in (beside({"small": small}), beside({"small": small, "large": large}))]
    [0, 2]
    """
    if not graphs or not all(isinstance(graph, Graph) for graph in graphs.values()):
        raise ValueError("beside() takes a dict from titles to graphs: beside({'RNN': graph(...), 'LSTM': graph(...)})")
    return Figure(dict(graphs))
