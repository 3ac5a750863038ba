"""`Graph`: what a tensor was computed from, ready to be drawn, shown in a notebook or written in any format."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from . import dot, engine, html, layout, schema, svg, text
from .model import Scene
from .picture import Picture
from .snapshot import Snapshot
from .views import Options, scene_of

__all__ = ["SUFFIXES", "Graph", "no_collection", "write_whole"]

SUFFIXES = (".svg", ".html", ".json", ".dot", ".txt", ".png", ".pdf")


class Graph:
    """What a tensor was computed from; it holds no tensor. `snapshot` is the whole tape as data, `scene` what is shown."""

    def __init__(self, snapshot: Snapshot | None, options: Options | None, scene: Scene | None = None) -> None:
        self.snapshot, self.options = snapshot, options
        if scene is not None:
            self.scene = scene

    @cached_property
    def scene(self) -> Scene:
        """What the picture shows: nodes, edges, lanes and columns."""
        assert self.snapshot is not None and self.options is not None
        with no_collection():
            return scene_of(self.snapshot, self.options)

    @cached_property
    def picture(self) -> Picture:
        """Boxes, wires and frames with their coordinates."""
        with no_collection():
            return layout.arrange(self.scene)

    def to_svg(self) -> str:
        """The picture as SVG text, the same bytes for the same graph."""
        scene, picture = self.scene, self.picture
        with no_collection():
            return svg.render(scene, picture)

    def to_html(self) -> str:
        """One page that replays the forward and the backward pass; it needs no other file and no network."""
        return html.page(self.scene, self.picture)

    def to_json(self) -> str:
        """Nodes and edges with their coordinates; `minigrad.viz.load` reads it."""
        return schema.dumps(self.scene, self.picture)

    def to_text(self) -> str:
        """A rolled view for a terminal."""
        if self.snapshot is None or self.options is None or self.scene.view in ("rolled", "module"):
            return text.rolled(self.scene)
        return text.rolled(scene_of(self.snapshot, self.options._replace(view="rolled")))

    def to_dot(self) -> Any:
        """A `graphviz.Digraph` with clusters and pinned positions: `.source`, `.render()`, `.pipe()`.

        Raises  ImportError where the Python package graphviz is missing; `save("name.dot")` does without it.
        """
        return dot.digraph(self.scene, self.picture)

    def save(self, path: str | os.PathLike[str], seconds: float = 20.0) -> None:
        """Write the picture in the format that the name ends in, the whole file or none.

        seconds  how long each of Graphviz's programs may take, for .png and .pdf

        Raises  ValueError for another ending. RuntimeError where no engine drew the .png or .pdf: then the picture
                stands beside it as .svg and .dot.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ValueError(f"cannot save {path.name!r}: expected a name that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
        if suffix in (".png", ".pdf"):
            self._save_drawn(path, suffix[1:], seconds)
            return
        writers: dict[str, Callable[[], str]] = {
            ".svg": self.to_svg, ".html": self.to_html, ".json": self.to_json, ".txt": self.to_text,
            ".dot": lambda: dot.source(self.scene, self.picture),
        }  # fmt: skip
        write_whole(path, writers[suffix]().encode("utf-8", "replace"))

    def _save_drawn(self, path: Path, form: str, seconds: float) -> None:
        source = dot.source(self.scene, self.picture)
        drawn, troubles = engine.draw(source, form, seconds)
        if drawn:
            write_whole(path, drawn)
            return
        write_whole(path.with_suffix(".svg"), self.to_svg().encode("utf-8"))
        write_whole(path.with_suffix(".dot"), source.encode("utf-8"))
        raise RuntimeError(
            f"no {path.name}: {'; '.join(troubles)}. Install Graphviz (apt-get install graphviz, or pip install pygraphviz). "
            f"The picture is in {path.with_suffix('.svg')}, and for Graphviz in {path.with_suffix('.dot')}"
        )

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def _repr_html_(self) -> str:
        width = min(self.picture.width, 1600)
        return f'<div style="overflow-x:auto"><div style="min-width:{width / 2:.0f}px">{self.to_svg()}</div></div>'

    def __repr__(self) -> str:
        nodes, edges = self.scene.total
        return f"<Graph of {self.scene.title.split(':')[0]}: {nodes} nodes, {edges} edges>"


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's collector of cycles looks at every object again and again while hundreds of thousands are made; a picture
    makes no cycles, and without it 100 000 nodes are drawn twice as fast."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def write_whole(path: Path, content: bytes) -> None:
    """Write beside `path` and move into place, so that nobody ever finds half a file."""
    handle, beside = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
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
