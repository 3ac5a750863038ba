"""Which lane of the grid a node stands in: loops over time are found, then told apart by layer, direction and module.

A *pass* is one loop over time: steps follow each other in one sense, and a step that turns back begins another pass.
A pass whose first state comes from another pass, or whose steps all read the same thing from it (attention), stands to
its right, as a decoder stands right of its encoder. Any other pass is stacked on what it reads, as layers are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from .model import Band, Node

__all__ = ["Lanes", "common_start", "lanes_of"]

_PICKS = frozenset(
    ("select", "index", "gather", "getitem", "unbind", "split", "chunk", "narrow", "slice", "embedding", "permute", "reshape")
)
_BETWEEN = "\0"  # begins the key of what stands between modules, after the one named
_Key = tuple[int, int, str, str | None]  # pass, layer or -1, module, direction


class Lanes(NamedTuple):
    """Per id its band, None for what has no step; and the bands, from the bottom up, section by section."""

    band: list[int | None]
    bands: list[Band]


def lanes_of(nodes: list[Node]) -> Lanes:
    """Find bands and sections; a loop over nodes for each question."""
    stepped = [node for node in nodes if node.step is not None and node.kind in ("op", "output")]
    if not stepped:
        return Lanes([None] * len(nodes), [])
    of_pass = _passes(stepped)
    sections = _sections(nodes, stepped, of_pass)
    keys = _keys(stepped, of_pass)
    first: dict[_Key, Node] = {}
    for node in stepped:
        first.setdefault(keys[node.id], node)
    together: dict[tuple[int, int, str], int] = {}  # both directions of a layer stand together
    for key, node in first.items():
        together.setdefault(_without_direction(key, first), node.id)

    lowest: dict[tuple[str, ...], int] = {}  # layers of one module are stacked by number, also where a walk back came to the last first
    for key, node in first.items():
        if key[1] >= 0:
            lowest.setdefault(node.scope, node.id)

    def height(key: _Key) -> tuple[int, int, int, int, bool, int]:
        own = together[_without_direction(key, first)]
        start = lowest[first[key].scope] if key[1] >= 0 else own
        return sections[key[0]], start, key[1], own, key[3] == "reverse", first[key].id

    ordered = sorted(first, key=height)
    index = {key: position for position, key in enumerate(ordered)}
    bands = [_band(key, first[key], sections[key[0]]) for key in ordered]
    band: list[int | None] = [None] * len(nodes)
    for id_, key in keys.items():
        band[id_] = index[key]
    return Lanes(band, bands)


def _without_direction(key: _Key, first: dict[_Key, Node]) -> tuple[int, int, str]:
    scope = "/".join(first[key].scope)
    return (-1, key[1], scope) if key[1] >= 0 else (key[0], -1, key[2])


def _band(key: _Key, node: Node, section: int) -> Band:
    _, layer, module, direction = key
    scope = node.scope[: node.scope.index(module) + 1] if module in node.scope else node.scope if layer >= 0 else ()
    name = ("" if module.startswith(_BETWEEN) else module) if layer < 0 else "/".join(node.scope[-1:])
    return Band(section, name, None if layer < 0 else layer, direction, scope)


def _passes(stepped: list[Node]) -> dict[int, int]:
    """Id -> number of its pass. Forward and reverse are followed apart, for loops over both may be interleaved."""
    of_pass: dict[int, int] = {}
    last: dict[bool, tuple[int, int, int]] = {}  # reverse? -> step, sense (0 while unknown), pass
    passes = 0
    for node in stepped:
        step, reverse = node.step or 0, node.direction == "reverse"
        before, sense, current = last.get(reverse, (step, 0, -1))
        moved = (step > before) - (step < before)
        if current < 0 or (moved and sense and moved != sense) or (moved and not sense and (moved > 0) == reverse and node.direction):
            current, passes, sense = passes, passes + 1, 0
        elif moved:
            sense = moved
        last[reverse] = step, sense, current
        of_pass[node.id] = current
    return of_pass


def _keys(stepped: list[Node], of_pass: dict[int, int]) -> dict[int, _Key]:
    """Id -> what tells its band from others of the same pass."""
    loose: defaultdict[int, list[Node]] = defaultdict(list)
    for node in stepped:
        if node.layer is None:
            loose[of_pass[node.id]].append(node)
    depth = {number: common_start([node.scope for node in inside]) for number, inside in loose.items()}
    split = {number: _worth_splitting(inside, depth[number]) for number, inside in loose.items()}
    keys: dict[int, _Key] = {}
    previous: dict[int, tuple[int | None, str]] = {}
    for node in stepped:
        number = of_pass[node.id]
        if node.layer is not None:
            keys[node.id] = (number, node.layer, "", node.direction)
            continue
        module = ""
        if split[number]:
            step, module = previous.get(number, (None, ""))
            own = node.scope[depth[number]] if len(node.scope) > depth[number] else None
            if own is not None:
                module = own
            elif step != node.step:
                module = ""
            previous[number] = (node.step, module)
            module = module if own is not None else _BETWEEN + module
        keys[node.id] = (number, -1, module, node.direction)
    return keys


def _worth_splitting(inside: list[Node], depth: int) -> bool:
    """Whether the steps of a pass consist of modules for the most part, so that each is a lane of its own."""
    modules = Counter(node.scope[depth] for node in inside if len(node.scope) > depth)
    return len(modules) > 0 and sum(modules.values()) * 2 > len(inside) and (len(modules) > 1 or sum(modules.values()) < len(inside))


def common_start(scopes: list[tuple[str, ...]]) -> int:
    """How many names all of them begin with."""
    if not scopes:
        return 0
    low, high = min(scopes), max(scopes)
    return next((index for index, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))


# --------------------------------------------------------------------------------------------------------- sections


def _sections(nodes: list[Node], stepped: list[Node], of_pass: dict[int, int]) -> list[int]:
    """Per pass its section, counted from the left."""
    passes = 1 + max(of_pass.values())
    draws: list[int] = []  # per id, as bits: the passes it draws on without a time step between
    shared: defaultdict[tuple[int, int], set[int]] = defaultdict(set)  # (pass, source) -> steps that read it
    starts = _first_readers(stepped, of_pass)
    right_of, on_top = [0] * passes, [0] * passes
    again = _called_again(nodes, stepped, of_pass, starts)
    for number, before in again.items():
        right_of[number] |= 1 << before
    for node in nodes:
        own = of_pass.get(node.id)
        mask = 0
        if node.cut_from is not None:  # no gradient passes, but time does
            mask = 1 << of_pass[node.cut_from] if node.cut_from in of_pass else draws[node.cut_from]
        for source in node.inputs:
            if source is None:
                continue
            from_source = 1 << of_pass[source] if source in of_pass else draws[source]
            mask |= from_source
            if own is None or not from_source & ~(1 << own):
                continue
            if node.id in starts:
                right_of[own] |= from_source & ~(1 << own)
            elif node.op not in _PICKS and len(nodes[source].shapes) == 1 and nodes[source].kind == "op":
                readers = shared[own, source]
                readers.add(node.step or 0)
                if len(readers) > 1:
                    right_of[own] |= from_source & ~(1 << own)
            on_top[own] |= from_source & ~(1 << own)
        draws.append(mask)
    section: list[int] = []
    for number in range(passes):
        below = max((section[other] for other in range(number) if on_top[number] >> other & 1), default=0)
        left = max((section[other] + 1 for other in range(number) if right_of[number] >> other & 1), default=0)
        section.append(max(below, left))
    return section


def _called_again(nodes: list[Node], stepped: list[Node], of_pass: dict[int, int], starts: set[int]) -> dict[int, int]:
    """Pass -> the pass before it of the same layer, where it begins with a state detached from something not in the graph:
    the last states of truncated BPTT, which a layer gives beside its output and no loss reads."""
    calls: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)  # the passes of each layer and direction
    found: dict[int, int] = {}
    for node in stepped:
        own, passes = of_pass[node.id], calls[node.scope, node.layer, node.direction]
        if own not in passes[-1:]:
            passes.append(own)
        detached = any(source is not None and nodes[source].kind == "cut" and nodes[source].cut_from is None for source in node.inputs)
        if node.layer is not None and node.id in starts and detached and len(passes) > 1:
            found[own] = passes[-2]
    return found


def _first_readers(stepped: list[Node], of_pass: dict[int, int]) -> set[int]:
    """Nodes of a pass's first step that stand where, in the second step, the first step's state is read."""
    slot: dict[int, tuple[str, int]] = {}
    count: Counter[tuple[int, int, str]] = Counter()
    step_of: dict[int, list[int]] = {}  # pass -> its first two steps
    early: dict[int, Node] = {}
    for node in stepped:
        number, step = of_pass[node.id], node.step or 0
        steps = step_of.setdefault(number, [])
        if step not in steps:
            if len(steps) == 2:
                continue
            steps.append(step)
        count[number, step, node.op] += 1
        slot[node.id] = (node.op, count[number, step, node.op])
        early[node.id] = node
    carried: set[tuple[int, tuple[str, int]]] = set()
    for node in early.values():
        number = of_pass[node.id]
        if node.step != step_of[number][0]:
            for source in node.inputs:
                before = early.get(source) if source is not None else None
                if before is not None and of_pass[before.id] == number and before.step == step_of[number][0]:
                    carried.add((number, slot[node.id]))
    return {
        node.id for node in early.values()
        if node.step == step_of[of_pass[node.id]][0] and (of_pass[node.id], slot[node.id]) in carried
    }  # fmt: skip
