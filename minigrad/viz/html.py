"""A picture as one HTML page that replays the forward and the backward pass; it asks nothing of any network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from . import svg
from .describe import facts_of
from .model import Scene
from .picture import Picture

__all__ = ["page"]

_HERE = Path(__file__).parent


def page(scene: Scene, picture: Picture) -> str:
    """The whole page; the same bytes for the same picture."""
    replay = _replay(scene, picture)
    parts = {
        "TITLE": svg.text(scene.title),
        "STYLE": _read("replay.css"),
        "LAST": str(len(replay["nodes"]) + len(replay["back"])),
        "FORWARD": str(len(replay["nodes"])),
        "SVG": _with_theme(svg.render(scene, picture)),
        "DATA": json.dumps(replay, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026"),
        "SCRIPT": _read("replay.js"),
    }
    return re.sub(r"%([A-Z]+)%", lambda found: parts[found[1]], _read("page.html"))


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8").rstrip("\n")


def _replay(scene: Scene, picture: Picture) -> dict[str, Any]:
    """What the script needs: per box its facts and place, the order of the walk back, and the bytes held at each position.

    A buffer that several nodes keep is counted at the first of them, which is also the one that gives it back, for the
    walk back meets it last.
    """
    at = {box.node: box for box in picture.boxes}
    nodes = []
    for node in scene.nodes:
        box = at.get(node.id)
        facts = facts_of(node)
        nodes.append({"facts": facts, "x": 0 if box is None else round(box.x, 1), "y": 0 if box is None else round(box.y, 1)})
    back = [node.id for node in reversed(scene.nodes) if node.kind in ("op", "output", "param", "module", "elision")]
    held, now = [0], 0
    for node in scene.nodes:
        now += node.saved
        held.append(now)
    for id_ in back:
        now -= scene.nodes[id_].saved
        held.append(now)
    return {"nodes": nodes, "back": back, "held": held if max(held) > 0 or not scene.freed else None}


def _with_theme(picture: str) -> str:
    """The same picture, but a page's own choice of light or dark outweighs the system's."""
    start, end = picture.index("@media (prefers-color-scheme:dark){"), picture.index("\n}\n", picture.index("@media"))
    rules = picture[start:end].split("\n")[1:]

    def under(root: str) -> str:
        return "\n".join(re.sub(r"(^|,|\})\.(g[0-9a-f]{10})", rf"\1{root} .\2", rule) for rule in rules)

    by_system = "@media (prefers-color-scheme:dark){\n" + under(":root:not([data-theme=light])") + "\n}\n"
    return picture[:start] + by_system + under(":root[data-theme=dark]") + picture[end + 2 :]
