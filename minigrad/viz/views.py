"""Views: what of the tape a picture shows, and what it shows as one.

op        every operation, every time step
unrolled  a column per time step; of many only the first and last (or those around one), and the others counted
rolled    one column that stands for all steps; what goes from step to step is a loop
module    a box per module

Each view says of every node which group it belongs to, and `fold` makes one box of each group. Parameters are never
folded: they are the same in all views.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, cast

from .bands import common_start, lanes_of
from .between import places_in_grid
from .fold import Group, fold
from .model import Band, Column, Node, Scene, plural
from .shares import shares_of
from .snapshot import Snapshot

__all__ = ["HEATS", "NESTS", "PASSES", "VIEWS", "Options", "scene_of", "shown_steps"]

VIEWS = ("module", "rolled", "unrolled", "op")
HEATS = (None, "grad")
PASSES = ("forward", "backward", "both")
NESTS = ("step", "module")


class Options(NamedTuple):
    """What was asked for."""

    view: str = "unrolled"
    max_steps: int | None = 6
    around: int | None = None
    passes: str = "forward"
    nest: str = "step"
    heat: bool = False
    labels: tuple[str, ...] = ()


def scene_of(snapshot: Snapshot, options: Options) -> Scene:
    """What a picture of the snapshot shows."""
    nodes = snapshot.nodes
    lanes = lanes_of(nodes)
    plan = _Plan(nodes, *places_in_grid(nodes, lanes), lanes.bands)
    if options.view == "module":
        plan.as_modules()
    else:
        limit = options.max_steps if options.view == "unrolled" else None
        for section in sorted({band.section for band in lanes.bands}):
            plan.lay_columns(section, limit, options)
        if options.view == "rolled":
            plan.as_one_step()
        else:
            plan.leave_out()
    shares = shares_of(snapshot, lanes.band, lanes.bands)
    folded, edges = fold(nodes, plan.keys, plan.groups, plan.band, plan.column)
    bands = [] if options.view == "module" else lanes.bands
    notes = [*plan.notes, *_notes_on(snapshot, options)]
    title = _title(nodes, options, [] if options.view == "module" else plan.columns)
    total = (len(nodes), len(snapshot.edges))
    return Scene(
        title, options.view, folded, edges, bands, plan.columns, shares, notes, total, snapshot.measured, options.passes, options.nest,
        snapshot.freed,
    )  # fmt: skip


def shown_steps(steps: Sequence[int], most: int | None, around: int | None = None) -> tuple[list[int], list[Sequence[int]]]:
    """(steps shown, runs of steps left out), at most `most` shown: first and last ones, or those around one.

    >>> shown_steps(range(10), 4)
    ([0, 1, 8, 9], [range(2, 8)])
    >>> shown_steps(range(10), 3, around=5)
    ([4, 5, 6], [range(0, 4), range(7, 10)])
    """
    if most is None or len(steps) <= most:
        return list(steps), []
    if around is None:
        last = most // 2
        first = most - last
        return [*steps[:first], *steps[len(steps) - last :]], [steps[first : len(steps) - last]]
    nearest = min(range(len(steps)), key=lambda index: abs(steps[index] - around))
    start = max(0, min(nearest - (most - 1) // 2, len(steps) - most))
    runs = [run for run in (steps[:start], steps[start + most :]) if len(run)]
    return list(steps[start : start + most]), runs


class _Plan:
    """Which group and which place in the grid every node has."""

    def __init__(self, nodes: list[Node], band: list[int | None], step: list[int | None], bands: list[Band]) -> None:
        self.nodes, self.bands, self.band, self.step = nodes, bands, band, step
        self.keys: list[Hashable] = [None] * len(nodes)
        self.column: list[int | None] = [None] * len(nodes)
        self.columns: list[Column] = []
        self.groups: dict[Hashable, Group] = {}
        self.notes: list[str] = []
        self.at: dict[tuple[int, int], int] = {}  # (section, step) -> column
        self.users: list[list[int]] = [[] for _ in nodes]
        for node in nodes:
            for source in node.inputs:
                if source is not None:
                    self.users[source].append(node.id)

    def lay_columns(self, section: int, most: int | None, options: Options) -> None:
        """Columns of a section, and for every stepped node in it the column."""
        inside = [node for node in self.nodes if (b := self.band[node.id]) is not None and self.bands[b].section == section]
        rows: dict[int, int | None] = {}
        for node in inside:
            step = self.step[node.id] or 0
            if rows.get(step) is None:
                rows[step] = node.rows
        steps = sorted(rows)
        all_rows = max((each for each in rows.values() if each is not None), default=None)
        label = dict(zip(steps, options.labels, strict=False))
        rolled = options.view == "rolled"
        shown, runs = ([], [steps]) if rolled else shown_steps(steps, most, options.around)
        made = [Column(section, "step", step, step, 1, rows[step], all_rows, label.get(step)) for step in shown]
        made += [Column(section, "rolled" if rolled else "elision", run[0], run[-1], len(run), None, all_rows) for run in runs]
        made.sort(key=lambda each: each.first)
        current = iter(range(len(self.columns), len(self.columns) + len(made)))
        index = next(current)
        self.columns += made
        for step in steps:
            if step > self.columns[index].last:
                index = next(current)
            self.at[section, step] = index
        for node in inside:
            self.column[node.id] = self.at[section, self.step[node.id] or 0]

    # ------------------------------------------------------------------------------------------ steps left out

    def leave_out(self) -> None:
        """Make one group per band of the steps not shown, with all that only they lead to or only they read."""
        left_out = {index for index, column in enumerate(self.columns) if column.kind == "elision"}
        if not left_out:
            return
        for node in self.nodes:
            if self.column[node.id] in left_out:
                self.keys[node.id] = ("elision", self.band[node.id], self.column[node.id])
        for _, members in self._repeated_after():
            for node, latest in members:
                self.keys[node.id] = self.keys[latest]
        self._with_what_they_read()
        for key in dict.fromkeys(key for key in self.keys if key is not None):
            _, own, column = cast(tuple[str, int, int], key)
            count = self.columns[column].count
            self.groups[key] = Group("elision", f"… {plural(count, 'step')} …", own, column, count)
        for index in sorted(left_out):
            each = self.columns[index]
            where = f"{self._name(each.section)}: " if self.bands and self.bands[-1].section else ""
            self.notes.append(f"{where}{plural(each.count, 'step')} not shown, {each.heading}")

    def _repeated_after(self) -> list[tuple[Hashable, list[tuple[Node, int]]]]:
        """What follows every step without being in it, such as its term of the loss: (key, [(node, last stepped node
        it draws on)]), for operations that are the same but for the step."""
        latest: list[int | None] = []
        alike: defaultdict[Hashable, list[tuple[Node, int]]] = defaultdict(list)
        for node in self.nodes:
            sources = [source for source in node.inputs if source is not None]
            before = max((each for source in sources if (each := latest[source]) is not None), default=None)
            latest.append(node.id if self.band[node.id] is not None else before)
            if self.band[node.id] is None and before is not None and node.kind == "op":
                marks = tuple(source if self.nodes[source].kind == "param" else self.nodes[source].op for source in sources)
                alike["after", node.op, node.scope, len(node.shapes), self.band[before], marks].append((node, before))
        return [
            (key, members) for key, members in alike.items()
            if len(members) == len({(self.band[last], self.step[last]) for _, last in members}) > 1
        ]  # fmt: skip

    def _name(self, section: int) -> str:
        names = [band.scope[0] for band in self.bands if band.section == section and band.scope]
        return names[0] if names else f"part {section + 1}"

    def _with_what_they_read(self) -> None:
        for node in reversed(self.nodes):
            if self.keys[node.id] is None and self.band[node.id] is None and node.kind not in ("param", "output"):
                keys = {self.keys[user] for user in self.users[node.id]}
                if len(keys) == 1 or (keys and None not in keys):
                    self.keys[node.id] = min((key for key in keys if key is not None), key=repr, default=None)

    # ------------------------------------------------------------------------------------------------ one step

    def as_one_step(self) -> None:
        """Group what does the same at every step: by band, scope, operation, and which of its kind it is in the step."""
        seen: defaultdict[Hashable, int] = defaultdict(int)
        for node in self.nodes:
            own = self.band[node.id]
            if own is not None:
                kind = (own, node.scope, node.op)
                seen[kind, self.step[node.id]] += 1
                self.keys[node.id] = ("slot", *kind, seen[kind, self.step[node.id]])
        for key, members in self._repeated_after():
            for node, _ in members:
                self.keys[node.id] = key
        for node in reversed(self.nodes):
            users = self.users[node.id]
            if self.keys[node.id] is None and self.band[node.id] is None and node.kind not in ("param", "output") and users:
                keys = {self.keys[user] for user in users}
                if None not in keys:
                    positions = {tuple(i for i, source in enumerate(self.nodes[u].inputs) if source == node.id) for u in users}
                    self.keys[node.id] = ("before", node.kind, node.op, tuple(sorted(map(repr, keys))), tuple(sorted(positions)))
        self._one_step_groups()

    def _one_step_groups(self) -> None:
        members: defaultdict[Hashable, list[Node]] = defaultdict(list)
        for node in self.nodes:
            if self.keys[node.id] is not None:
                members[self.keys[node.id]].append(node)
        for key, inside in members.items():
            if len(inside) == 1 and self.band[inside[0].id] is None:
                self.keys[inside[0].id] = None
                continue
            pattern = max(inside, key=lambda node: (node.kind == "output", -node.id))
            own = self.band[pattern.id]
            steps = len({self.step[node.id] for node in inside}) if own is not None else len(inside)
            steps = (pattern.steps or steps) if len(inside) == 1 else steps  # a fused layer inside a step has more of its own
            self.groups[key] = Group(pattern.kind, pattern.name, own, self.column[pattern.id], steps)

    # -------------------------------------------------------------------------------------------------- modules

    def as_modules(self) -> None:
        """Group by module; what belongs to none stays as it is, but one box for all steps."""
        self.column = [None] * len(self.nodes)
        members: defaultdict[Hashable, list[Node]] = defaultdict(list)
        for node in self.nodes:
            if node.kind == "op" and node.scope:
                where: tuple[Any, ...] = (node.layer, node.direction) if node.layer is not None else ()
                self.keys[node.id] = ("module", node.scope, where)
            elif node.kind == "op" and node.step is not None:
                self.keys[node.id] = ("loose", node.op)
            if self.keys[node.id] is not None:
                members[self.keys[node.id]].append(node)
        self.band = [None] * len(self.nodes)
        depth = common_start([inside[0].scope for inside in members.values() if inside[0].scope])
        for key, inside in members.items():
            first, steps = inside[0], {node.step for node in inside if node.step is not None}
            within = max(len(steps), *(node.steps or 0 for node in inside))
            if key[0] == "loose":  # type: ignore[index]
                self.groups[key] = Group("op", first.name, None, None, len(steps))
            else:
                tag = "" if first.layer is None else f" layer {first.layer}" + (" reverse" if first.direction == "reverse" else "")
                own = first.scope[depth:] or first.scope[-1:]
                self.groups[key] = Group("module", "/".join(own) + tag, None, None, within)
        self._with_their_inputs()

    def _with_their_inputs(self) -> None:
        """One box for all constants of one kind that a module reads: every step has its own."""
        for node in self.nodes:
            keys = {self.keys[user] for user in self.users[node.id]}
            if node.kind in ("input", "constant", "cut") and len(keys) == 1 and None not in keys:
                key = self.keys[node.id] = ("read", node.kind, keys.pop(), node.shapes)
                before = self.groups.get(key)
                count = 1 if before is None or before.steps is None else before.steps + 1
                self.groups[key] = Group(node.kind, node.name, None, None, count)


def _notes_on(snapshot: Snapshot, options: Options) -> list[str]:
    notes = []
    if snapshot.freed and options.heat:
        notes.append("structure without heat: backward() has already freed this graph; draw before it, or use backward(retain_graph=True)")
    fused = {(node.op, node.steps): None for node in snapshot.nodes if node.fused}
    for op, steps in fused:
        notes.append(f"{op} is {plural(steps or 0, 'time step')} of a layer in one node; build the layer with path='stepwise' to see them")
    if any(node.op == "checkpoint" for node in snapshot.nodes):
        notes.append("checkpoint is a part computed again in the walk back, in one node; build the layer without it to see its steps")
    return notes


def _title(nodes: list[Node], options: Options, columns: list[Column]) -> str:
    root = next(node for node in nodes if node.kind in ("output", "param") and node.id == len(nodes) - 1)
    steps = sum(column.count for column in columns)
    return f"{root.label}: {plural(len(nodes), 'node')}" + (f" in {plural(steps, 'time step')}" if steps else "") + f", {options.view} view"
