"""docs/performance-gpu.md, made of what `./run gpu` found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpu_cells import Cell

TOLERANCE = {False: 1e-3, True: 3e-2}  # of results, over their largest number: beyond it they are not the same computation

PAGE = """\
# Performance on a GPU

Written by `./run gpu`; do not edit by hand. How the kernels work: [gpu.md](gpu.md).

{facts}

| part | outcome | seconds |
|------|---------|--------:|
{parts}

## Training steps

Forward, and backward for gradients of the input and of every weight, float32, I = H, random data and the same weights on
both sides. Medians of steps between CUDA events, after a warm-up, both libraries in one process on one stream. "IEEE" is
float32 throughout: TF32 is off in CuPy, cuBLAS, cuDNN and d2; "TF32" allows it in all of them. The ratio is PyTorch's time over
ours, so above 1 minigrad is ahead. Packed batches have lengths between T/4 and T. Which kernel computed a cell stands beside it.

{summary}

{table}
{behind}{missing}
## What each kernel takes

As the compiler made them for this GPU; a block has 64 K registers in all.

{resources}
"""


@dataclass
class Part:
    """One part of a run: what came of it, and how long it took; `good` is None where it was not run."""

    name: str
    outcome: str
    good: bool | None
    seconds: float = 0.0


@dataclass
class Found:
    """Everything a run found out."""

    facts: dict[str, str]
    parts: list[Part] = field(default_factory=list)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)  # by a cell's name, as the worker printed them
    checked: dict[str, dict[str, Any]] = field(default_factory=dict)  # the same of gpu_smoke.py
    keep: Callable[[], None] = lambda: None  # called whenever more is known


def ratio(row: dict[str, Any], cell: Cell) -> float | None:
    """PyTorch's median over ours; None where one is missing, or the two did not compute the same."""
    if not cell.compared or "ours" not in row or "theirs" not in row or wrong(row, cell):
        return None
    return row["theirs"][0] / row["ours"][0]


def wrong(row: dict[str, Any], cell: Cell) -> bool:
    """Whether results were further apart than rounding explains."""
    return "off" in row and not row["off"] <= TOLERANCE[cell.tf32]


def mean(ratios: Sequence[float]) -> str:
    """Their geometric mean, and of how many."""
    return f"{math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f} over {len(ratios)} cells" if ratios else "not measured"


def page(found: Found, cells: Sequence[Cell]) -> str:
    """The whole page."""
    measured = [cell for cell in cells if cell.name in found.rows]
    left = [cell.name for cell in cells if cell.name not in found.rows]
    behind = [f"{cell.name} ({r:.2f})" for cell in measured if (r := ratio(found.rows[cell.name], cell)) is not None and r < 1]
    return PAGE.format(
        facts="\n".join(f"- {name}: {value}" for name, value in found.facts.items()),
        parts="\n".join(f"| {each.name} | {each.outcome} | {each.seconds:.0f} |" for each in found.parts),
        summary=summary(found.rows, measured),
        table=table(found.rows, measured),
        resources=resources(found.checked),
        behind=f"\nPyTorch is ahead in {len(behind)} of them: {'; '.join(behind)}.\n" if behind else "",
        missing=f"\nNot measured, because the time was used up or the part was not run: {'; '.join(left)}.\n" if left else "",
    )


def summary(rows: dict[str, dict[str, Any]], cells: Sequence[Cell]) -> str:
    """Geometric means of ratios, the smallest, and what fusing gains over our own op-by-op path."""
    lines = []
    for title, chosen in {
        "IEEE, all": [cell for cell in cells if not cell.tf32],
        "IEEE, packed with H ≤ 128": [cell for cell in cells if not cell.tf32 and cell.packed and cell.H <= 128],
        "TF32, all": [cell for cell in cells if cell.tf32],
    }.items():
        ratios = [(r, cell.name) for cell in chosen if (r := ratio(rows[cell.name], cell)) is not None]
        least = f"; the smallest is {min(ratios)[0]:.2f}, {min(ratios)[1]}" if ratios else ""
        lines.append(f"- {title}: geometric mean {mean([r for r, _ in ratios])}{least}")
    for cell in cells:
        twin = rows.get(Cell(cell.kind, cell.T, cell.B, cell.H).name, {})
        if cell.path == "stepwise" and "ours" in rows[cell.name] and "ours" in twin:
            lines.append(f"- the kernel over our own op-by-op path, {cell.name}: {rows[cell.name]['ours'][0] / twin['ours'][0]:.1f}×")
    return "\n".join(lines)


def trouble_of(row: dict[str, Any]) -> str:
    """What is wrong with a cell that was checked; empty if nothing is."""
    if "failed" in row:
        return f"FAILED: {row['failed']}"
    if not row["off"] <= TOLERANCE[row.get("tf32", False)]:
        return f"WRONG: off by {row['off']:.1e}"
    return "" if row["same"] else "RACES: several runs differ"


def checked_line(cell: Cell, row: dict[str, Any]) -> str:
    """A line about a cell that was checked."""
    if trouble_of(row):
        return f"{cell.name}: {trouble_of(row)}"
    return f"{cell.name}: off by {row['off']:.1e}; first step {row['first']:.2f} s, then {row['then'] * 1e3:.1f} ms"


def resources(checked: dict[str, dict[str, Any]]) -> str:
    """A table of registers, spilled bytes and shared memory."""
    lines = [
        f"| {name} | {registers} | {spilled} | {shared / 1024:.0f} |"
        for row in checked.values()
        for name, (registers, spilled, shared) in row.get("kernels", {}).items()
    ]
    head = "| kernel, H | registers | spilled, bytes | shared memory, KB |\n|------|---:|---:|---:|"
    return "\n".join([head, *lines]) if lines else "Not known: the part smoke was not run."


def table(rows: dict[str, dict[str, Any]], cells: Sequence[Cell]) -> str:
    """A line for each cell that was measured."""
    head = "| cell | kernel | minigrad, ms | per time step, µs | PyTorch, ms | ratio |\n|------|--------|---:|---:|---:|---:|"
    return "\n".join([head, *[line(rows[cell.name], cell) for cell in cells]])


def line(row: dict[str, Any], cell: Cell) -> str:
    """A cell's line; one that failed or differs says so."""
    if "failed" in row:
        return f"| {cell.name} | – | FAILED: {row['failed'].replace('|', '/')} | – | – | – |"
    ours, theirs, r = row["ours"][0], row.get("theirs"), ratio(row, cell)
    verdict = f"WRONG: off by {row['off']:.1e}" if wrong(row, cell) else "–" if r is None else f"{r:.2f}"
    shown = f"{theirs[0] * 1e3:.3f}" if theirs else "–"
    return f"| {cell.name} | {row['kernel']} | {ours * 1e3:.3f} | {ours * 1e6 / cell.T:.2f} | {shown} | {verdict} |"
