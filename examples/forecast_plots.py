"""The pictures of `forecast.py`: error over distance, and forecasts beside what came."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from running import pyplot

__all__ = ["draw_errors", "draw_forecasts"]

COLOURS = ("#777777", "#BBBBBB", "#000000", "#999933", "#CC79A7", "#0072B2", "#D55E00", "#009E73")


def draw_errors(path: Path, errors: dict[str, np.ndarray], name: str) -> str:
    """Draw the error of each model over how far ahead it forecasts; returns a line that says what was done."""
    plots = pyplot()
    if plots is None:
        return "no picture of the errors"
    figure, axes = plots.subplots(figsize=(8, 4.5), layout="constrained")
    for (label, each), colour in zip(errors.items(), COLOURS):
        simple = label.startswith(("naive", "mean", "linear"))
        axes.plot(np.arange(1, len(each) + 1), each, color=colour, linestyle="--" if simple else "-", marker=".", label=label)
    axes.set(xlabel="steps ahead", ylabel="root mean squared error", title=f"{name}: how the error grows with the distance")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(ncols=2)
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"errors             {path}"


def draw_forecasts(path: Path, forecasts: dict[str, np.ndarray], truth: np.ndarray, name: str) -> str:
    """Draw what came beside forecasts, one step ahead and as far as they go; returns a line that says what was done."""
    plots = pyplot()
    if plots is None:
        return "no picture of the forecasts"
    figure, panels = plots.subplots(2, 1, figsize=(10, 7), sharex=True, layout="constrained")
    for axes, step in zip(panels, (0, truth.shape[1] - 1)):
        axes.plot(truth[:, step], color="#000000", linewidth=1.8, alpha=0.35, label="what came")
        for (label, each), colour in zip(forecasts.items(), COLOURS):
            if label in ("MLP", "RNN", "GRU") or label.startswith("MLP"):
                axes.plot(each[:, step], color=colour, linewidth=1, label=label)
        axes.set(ylabel=name, title=f"{step + 1} step{'s' if step else ''} ahead")
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), ncols=4, loc="outside lower center")
    panels[1].set(xlabel="forecasts, one after another through the held-out part")
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"forecasts          {path}"
