"""The page's pictures, as small SVG files beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cells
import matplotlib
import race
from standings import Values, minimum, standings

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw(values: Values, folder: Path) -> list[tuple[str, str]]:
    """(file name, what it shows) of each picture that could be drawn from what was measured."""
    plt.rcParams.update({"svg.hashsalt": "minigrad", "font.size": 9})
    every: list[tuple[str, str, Callable[[Values], Any]]] = [
        ("performance_race.svg", "PyTorch's time over ours, cell by cell", _race),
        ("performance_parts.svg", "Where the character model's training step spends its time", _parts),
        ("performance_growth.svg", "Time of a training step by the number of steps", _growth),
    ]
    drawn = []
    for name, text, picture in every:
        figure = picture(values)
        if figure is not None:
            figure.savefig(folder / (name + ".new"), format="svg", bbox_inches="tight", metadata={"Date": None})
            os.replace(folder / (name + ".new"), folder / name)
            plt.close(figure)
            drawn.append((name, text))
    return drawn


def _race(values: Values) -> Any:
    found = [each for each in standings(values) if each.mean is not None]
    if not found:
        return None
    figure, axes = plt.subplots(figsize=(8, 3.2))
    for place, each in enumerate(found):
        axes.plot([place] * len(race.SHAPES), [one for one in each.ratios() if one], "o", color="C0", alpha=0.5)
        axes.plot([place - 0.3, place + 0.3], [each.mean] * 2, color="C1", linewidth=2)
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xticks(range(len(found)), [f"{each.kind}\n{each.family}" for each in found], rotation=60)
    axes.set_ylabel("PyTorch's time / ours")
    return figure


def _parts(values: Values) -> Any:
    names = [part for part in cells.PARTS if all((f"part_{part}", each) in values for each in ("minigrad", "torch"))]
    if not names:
        return None
    figure, axes = plt.subplots(figsize=(8, 1.6))
    for place, library in enumerate(("torch", "minigrad")):
        left = 0.0
        for number, part in enumerate(names):
            width = 1e3 * (minimum(values, f"part_{part}", library) or 0)
            axes.barh(place, width, left=left, color=f"C{number}", label=part if place == 0 else None)
            left += width
    axes.set_yticks([0, 1], ["PyTorch", "minigrad"])
    axes.set_xlabel("ms")
    axes.legend(ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    return figure


def _growth(values: Values) -> Any:
    figure, axes = plt.subplots(figsize=(5, 3.2))
    for number, kind in enumerate(race.KINDS):
        for library, line in (("minigrad", "-"), ("torch", "--")):
            found = [minimum(values, race.cell("length", kind, (T, *race.GROWING)), library) for T in race.LENGTHS]
            if None not in found:
                name = "PyTorch" if library == "torch" else library
                axes.loglog(race.LENGTHS, [1e3 * (each or 0) for each in found], line + "o", color=f"C{number}", label=f"{kind}, {name}")
    if not axes.lines:
        plt.close(figure)
        return None
    axes.set_xlabel("T")
    axes.set_ylabel("ms")
    axes.legend(frameon=False)
    return figure
