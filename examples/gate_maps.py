"""The tables and pictures of `gates.py`: units by how long they remember, and heat maps of their gates over a text."""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path
from typing import Any

import minigrad as mg
import minigrad_nn as nn
import numpy as np

import running

__all__ = ["draw_beside", "draw_gates", "draw_time_constants", "unit_table", "write_steps"]

NAMES = {
    "LSTM": {"f": "f, forget gate: what is kept", "i": "i, input gate", "o": "o, output gate", "c": "c, cell state"},
    "GRU": {"z": "z, update gate: what is kept", "r": "r, reset gate", "h": "h, state"},
}
UNITS = 32  # in a heat map, spread evenly from the shortest memory to the longest


def unit_table(seen: dict[str, np.ndarray], keeps: str, taus: np.ndarray, text: str, ends: int = 5) -> str:
    """A table of the units that remember longest and shortest, with the characters at which its gates do most."""
    kept = seen[keeps]
    other, title = (seen["i"], "takes in most at") if keeps == "f" else (1 - seen["r"], "resets most at")
    order = np.argsort(-taus)
    rows = []
    for unit in [*order[:ends], *order[max(ends, len(order) - ends) :]]:
        forgets, at = (" ".join(_strongest(each[:, unit], text)) for each in (1 - kept, other))
        rows.append([f"{unit}", f"{taus[unit]:.1f}", f"{kept[:, unit].mean():.3f}", forgets, at])
    head = ["unit", "τ, characters", f"mean {keeps}", "forgets most at", title]
    lines = running.table(head, rows).splitlines()
    if len(order) > 2 * ends:
        lines.insert(1 + ends, "…")
    return "\n".join(lines)


def _strongest(values: np.ndarray, text: str, count: int = 4, least: int = 20) -> list[str]:
    """The characters, of those seen often enough, at which the mean of `values` is highest."""
    places: defaultdict[str, list[float]] = defaultdict(list)
    for character, value in zip(text, values):
        places[character].append(float(value))
    means = {character: np.mean(each) for character, each in places.items() if len(each) >= min(least, len(values) // 50)}
    return [visible(each) for each in sorted(means, key=lambda each: -means[each])[:count]]


def visible(character: str) -> str:
    """A character as it can be printed in a row of others."""
    return {" ": "␣", "\n": "⏎", "\t": "⇥"}.get(character, character if character.isprintable() else "�")


def rows_of(taus: np.ndarray) -> np.ndarray:
    """The units to draw, from the longest memory to the shortest."""
    order = np.argsort(-taus)
    return order[np.unique(np.linspace(0, len(order) - 1, min(UNITS, len(order))).round().astype(int))]


def draw_gates(path: Path, kind: str, seen: dict[str, np.ndarray], taus: np.ndarray, text: str) -> str:
    """Draw the gates and the state of one network over a text; returns a line that says what was done."""
    plots = running.pyplot()
    if plots is None:
        return f"no picture of the {kind}'s gates"
    units, names = rows_of(taus), NAMES[kind]
    figure, panels = plots.subplots(len(names), 1, figsize=(14, 3.3 * len(names)), layout="constrained")
    for axes, (name, title) in zip(panels, names.items()):
        heat(plots, axes, seen[name][:, units].T, text, title, taus[units], signed=name in "ch")
    figure.suptitle(f"{kind}: a row for a unit, the longest memory on top; a column for a character that is read")
    lacking = fonts_for("".join(visible(each) for each in text))[1]
    if lacking:
        print(f"no font here has {lacking}: they are drawn as ?")
    figure.savefig(path, dpi=110)
    plots.close(figure)
    return f"gates              {path}"


def draw_beside(path: Path, kept: dict[str, np.ndarray], taus: dict[str, np.ndarray], text: str) -> str:
    """Draw what both networks keep, the LSTM's f over the GRU's z, on one scale; returns a line that says what was done."""
    plots = running.pyplot()
    if plots is None:
        return "no picture of f and z"
    figure, panels = plots.subplots(2, 1, figsize=(14, 7), layout="constrained")
    for axes, (kind, each) in zip(panels, kept.items()):
        units = rows_of(taus[kind])
        heat(plots, axes, each[:, units].T, text, next(iter(NAMES[kind].values())), taus[kind][units], signed=False)
    figure.suptitle("The GRU's z plays the part of the LSTM's f: how much of its memory each unit keeps at each character")
    figure.savefig(path, dpi=110)
    plots.close(figure)
    return f"f beside z         {path}"


def heat(plots: Any, axes: Any, values: np.ndarray, text: str, title: str, taus: np.ndarray, signed: bool) -> None:
    """One heat map (units, characters), with time constants at the left and the text below."""
    most = max(1.0, float(np.quantile(np.abs(values), 0.99))) if signed else 1.0
    options: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -most, "vmax": most} if signed else {"cmap": "cividis", "vmin": 0, "vmax": 1}
    image = axes.imshow(values, aspect="auto", interpolation="nearest", **options)
    symbols = [visible(each) for each in text]
    names, lacking = fonts_for("".join(symbols))
    axes.set_xticks(range(len(text)), ["?" if each in lacking else each for each in symbols], family=names or None, fontsize=9)
    marks = np.unique(np.linspace(0, len(taus) - 1, min(6, len(taus))).round().astype(int))
    axes.set_yticks(marks, [f"τ = {taus[mark]:.1f}" for mark in marks])
    axes.tick_params(length=0)
    axes.set_title(title, loc="left", fontsize=11)
    plots.colorbar(image, ax=axes, pad=0.01)


@functools.cache
def fonts_for(text: str) -> tuple[list[str], str]:
    """(names of fonts that have the characters of the text between them, the characters that none here has)"""
    from matplotlib import font_manager, ft2font

    names, lacking = [], {ord(character) for character in text}
    known = {font.name: font.fname for font in font_manager.fontManager.ttflist}
    for name in ("DejaVu Sans Mono", *sorted(known)):
        has = lacking & set(ft2font.FT2Font(known[name]).get_charmap()) if lacking and name in known else set()
        if has:
            names.append(name)
            lacking -= has
    return names, "".join(map(chr, sorted(lacking)))


def draw_time_constants(path: Path, taus: dict[str, np.ndarray]) -> str:
    """Draw the time constants of all units, sorted; returns a line that says what was done."""
    plots = running.pyplot()
    if plots is None:
        return "no picture of the time constants"
    figure, axes = plots.subplots(figsize=(8, 4.5), layout="constrained")
    for (kind, each), colour, marker in zip(taus.items(), ("#0072B2", "#009E73"), "oD"):
        axes.plot(np.sort(each)[::-1], color=colour, marker=marker, markersize=4, label=f"{kind}, by its {next(iter(NAMES[kind]))}")
    axes.set(yscale="log", xlabel="units, the longest memory first", ylabel="time constant, characters")
    axes.set_title("How long the units remember")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"time constants     {path}"


def write_steps(path: Path, layer: nn.RNNBase, x: mg.Tensor, text: str) -> str:
    """Write all activations of the first units over a text, as minigrad.viz draws them; returns a line that says what was done."""
    with nn.path("stepwise"):  # every step on the tape
        output, _ = layer(x)
    mg.viz.gates(output, labels=[visible(each) for each in text]).save(path)
    return f"every activation   {path}"
