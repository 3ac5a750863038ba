"""The pictures of `translate.py`: what the loss did, and where the decoder looked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fonts import drawable, families_for
from running import pyplot

__all__ = ["attention_maps", "loss_curve"]

CELL, MARGIN = 0.24, 1.1  # inches: a token, and the labels beside a map
LONGEST = 45  # tokens that are drawn


def loss_curve(path: Path, losses: list[float], per_epoch: int) -> str:
    """Draw the loss of every step over epochs; returns a line that says what was done."""
    plots = pyplot()
    if plots is None:
        return "no loss curve"
    figure, axes = plots.subplots(figsize=(8, 4.5), layout="constrained")
    epochs = np.arange(1, len(losses) + 1) / per_epoch
    width = max(1, len(losses) // 50)
    axes.plot(epochs, losses, color="#56B4E9", linewidth=0.8, label="each batch")
    means = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes.plot(epochs[width - 1 :], means, color="#0072B2", linewidth=2, label="running mean")
    axes.set(xlabel="epochs", ylabel="mean of -ln p per token", yscale="log", title="A translator learns")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"loss curve         {path}"


def attention_maps(path: Path, examples: list[tuple[list[str], list[str], np.ndarray]]) -> str:
    """Draw for each (source tokens, written tokens, weights (T', T)) which row looked at which column; returns a line that says so."""
    plots = pyplot()
    if plots is None:
        return "no picture of the attention"
    examples = [(source[:LONGEST], written[:LONGEST], weights[:LONGEST, :LONGEST]) for source, written, weights in examples]
    families, missing = families_for(character for source, written, _ in examples for token in (*source, *written) for character in token)
    across = min(2, len(examples))
    rows = [examples[start : start + across] for start in range(0, len(examples), across)]
    wide = [max(len(row[column][0]) for row in rows if column < len(row)) for column in range(across)]
    high = [max(len(example[1]) for example in row) for row in rows]
    size = (CELL * sum(wide) + MARGIN * across + 1, CELL * sum(high) + MARGIN * len(rows) + 0.5)
    with plots.rc_context({"font.family": families, "font.size": 9}):
        figure, grid = plots.subplots(
            len(rows), across, figsize=size, squeeze=False, layout="constrained", width_ratios=wide, height_ratios=high
        )
        for axes in grid.flat[len(examples) :]:
            axes.axis("off")
        for axes, example in zip(grid.flat, examples, strict=False):
            image = _heat_map(axes, *example, missing)
        figure.colorbar(image, ax=grid, label="weight", shrink=0.6, aspect=30)
        figure.suptitle("Rows: written.  Columns: read.\nDark: where the decoder looked", fontsize=10)
        figure.savefig(path, dpi=120)
    plots.close(figure)
    none = f" (no installed font has {len(missing)} of its characters: they are written as numbers)" if missing else ""
    return f"attention          {path}{none}"


def _heat_map(axes: Any, source: list[str], written: list[str], weights: np.ndarray, missing: set[str]) -> Any:
    """One sentence."""
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
    for axis, labels in ((axes.xaxis, source), (axes.yaxis, written)):
        axis.set_ticks(range(len(labels)), [drawable("␣" if label == " " else label, missing).replace("$", r"\$") for label in labels])
    axes.xaxis.tick_top()
    if max(map(len, source)) > 2:
        for label in axes.get_xticklabels():
            label.set(rotation=60, ha="left", rotation_mode="anchor")
    return image
