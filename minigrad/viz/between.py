"""What stands between the steps of a loop without being in one, such as the rows that a packed batch lets go of.

On the tape such an operation has no step. In a picture it stands in the cell of the step whose value it takes on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from .bands import Lanes
from .model import Node

__all__ = ["places_in_grid"]


def places_in_grid(nodes: list[Node], lanes: Lanes) -> tuple[list[int | None], list[int | None]]:
    """Per id (band, step) in a picture: as on the tape, and for what stands between two steps of one band, the first."""
    bands: list[int | None] = list(lanes.band)
    steps = [node.step if band is not None else None for node, band in zip(nodes, bands, strict=True)]
    leads_to = _leads_to(nodes, lanes.band)
    before: list[int | None] = []  # per id, the last stepped node it draws on
    for node in nodes:
        if lanes.band[node.id] is not None:
            before.append(node.id)
            continue
        latest = max((each for source in node.inputs if source is not None and (each := before[source]) is not None), default=None)
        before.append(latest)
        if latest is not None and node.kind == "op" and (band := lanes.band[latest]) is not None and band in leads_to.get(node.id, ()):
            bands[node.id], steps[node.id] = band, nodes[latest].step
    return bands, steps


def _leads_to(nodes: list[Node], band: Sequence[int | None]) -> dict[int, set[int]]:
    """Per id of what has no step, the bands that it reaches through others without a step."""
    reached: defaultdict[int, set[int]] = defaultdict(set)
    for node in reversed(nodes):
        own = band[node.id]
        mine = {own} if own is not None else reached.get(node.id)
        if not mine:
            continue
        for source in node.inputs:
            if source is not None and band[source] is None and nodes[source].kind == "op":
                reached[source] |= mine
    return reached
