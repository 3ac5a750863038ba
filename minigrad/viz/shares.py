"""What each time step has to do with the gradient: how much of it arrives there, and how much of dW comes from there."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

from .model import Band, Share
from .snapshot import Snapshot

__all__ = ["shares_of"]


def shares_of(snapshot: Snapshot, band: list[int | None], bands: list[Band]) -> list[Share]:
    """Per band and time step, in this order: ‖∂L/∂h_t‖, and the signed share ⟨dW_t, dW⟩ / ‖dW‖² of all its weights.

    h_t is what the step hands to the next one, the value in it that other steps, or what follows, read last.
    """
    if not snapshot.measured:
        return []
    products: defaultdict[tuple[int, int], float] = defaultdict(float)
    weights: defaultdict[int, set[int]] = defaultdict(set)
    of_weight: defaultdict[int, float] = defaultdict(float)
    for id_, pairs in snapshot.dots.items():
        own, step = band[id_], snapshot.nodes[id_].step
        for weight, product in pairs:
            of_weight[weight] += product
            if own is not None and step is not None:
                products[own, step] += product
                weights[own].add(weight)
    states = _states(snapshot, band)
    totals = {own: sum(of_weight[weight] for weight in used) for own, used in weights.items()}
    shares = []
    rest = {own: total for own, total in totals.items()}
    for own, step in sorted({(own, node.step or 0) for node in snapshot.nodes if (own := band[node.id]) is not None}):
        node = states.get((own, step))
        norm = None if node is None else snapshot.nodes[node].norm
        shares.append(Share(own, step, norm, _share(products[own, step], totals.get(own))))
        rest[own] = rest.get(own, 0.0) - products[own, step]
    elsewhere = [(own, _share(left, totals.get(own))) for own, left in sorted(rest.items())]
    return shares + [Share(own, None, None, share) for own, share in elsewhere if share is not None and not abs(share) < 1e-9]


def _share(product: float, total: float | None) -> float | None:
    """None where the weights have no gradient to share."""
    if total is None or total == 0:
        return None
    return product / total if math.isfinite(product) and math.isfinite(total) else math.nan


def _states(snapshot: Snapshot, band: list[int | None]) -> dict[tuple[int, int], int]:
    """(band, step) -> the node whose value the step hands on: the last of those that another step of the band reads;
    in a band that hands nothing on, the last node read outside."""
    position: list[tuple[str, int]] = []  # per id, which of its kind it is in its step
    count: Counter[tuple[int | None, int | None, str]] = Counter()
    for node in snapshot.nodes:
        key = (band[node.id], node.step, node.op)
        position.append((node.op, count[key]))
        count[key] += 1
    carried: dict[int, dict[tuple[str, int], int]] = {}
    outside: dict[tuple[int, int], int] = {}
    for node in snapshot.nodes:
        own = band[node.id]
        for source in node.inputs:
            if source is None or (home := band[source]) is None or (own, node.step) == (home, snapshot.nodes[source].step):
                continue
            cell = (home, snapshot.nodes[source].step or 0)
            outside[cell] = max(outside.get(cell, -1), source)
            if own == home:
                carried.setdefault(own, {})[position[source]] = source
    chosen = {own: max(slots, key=lambda slot: _within(snapshot, band, slots[slot])) for own, slots in carried.items()}
    last: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, int], int] = {}
    for node in snapshot.nodes:
        own = band[node.id]
        if own is not None:
            last[own, node.step or 0] = node.id
            if chosen.get(own) == position[node.id]:
                found[own, node.step or 0] = node.id
    return last | outside | found


def _within(snapshot: Snapshot, band: list[int | None], id_: int) -> int:
    """How far into its own step a node stands."""
    own, step = band[id_], snapshot.nodes[id_].step
    start = id_
    while start > 0 and (band[start - 1], snapshot.nodes[start - 1].step) in ((own, step), (None, None)):
        start -= 1
    return id_ - start
