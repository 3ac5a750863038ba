"""The pictures of `translate.py`: what the loss did, and where the decoder looked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fonts import drawable, families_for
from running import pyplot

__all__ = ["attention_maps", "loss_curve"]


def loss_curve(path: Path, losses: list[float], per_epoch: int) -> str:
    """Draw the loss of every step over epochs; returns a line that says what was done."""
    plots = pyplot()
    if plots is None:
        return "no loss curve"
    figure, axes = plots.subplots(figsize=(8, 4.5), layout="constrained")
    epochs = np.arange(1, len(losses) + 1) / per_epoch
    width = max(1, len(losses) // 50)
    axes.plot(epochs, losses, color="#56B4E9", linewidth=0.8, label="each batch")
    axes.plot(epochs[width - 1 :], np.convolve(losses, np.ones(width) / width, mode="valid"), color="#0072B2", linewidth=2, label="running mean")
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
    families, missing = families_for(character for source, written, _ in examples for token in (*source, *written) for character in token)
    across = min(2, len(examples))
    down = -(-len(examples) // across)
    cell = 0.34  # inches for a token
    wide, high = (max(len(example[side]) for example in examples) for side in (0, 1))
    with plots.rc_context({"font.family": families}):
        size = (across * (cell * wide + 2.2), down * (cell * high + 1.9) + 0.6)
        figure, grid = plots.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
        for axes, example in zip(grid.flat, examples, strict=False):
            image = _heat_map(axes, *example, missing)
        for axes in grid.flat[len(examples) :]:
            axes.axis("off")
        figure.colorbar(image, ax=grid, label="weight", shrink=0.6)
        figure.suptitle("Where the decoder looked (columns: read) before it wrote a token (rows)")
        figure.savefig(path, dpi=120)
    plots.close(figure)
    none = f" (no installed font has {len(missing)} of its characters: they are written as numbers)" if missing else ""
    return f"attention          {path}{none}"


def _heat_map(axes: object, source: list[str], written: list[str], weights: np.ndarray, missing: set[str]) -> object:
    """One sentence."""
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")  # type: ignore[attr-defined]
    for axis, labels in ((axes.xaxis, source), (axes.yaxis, written)):  # type: ignore[attr-defined]
        shown = [drawable("␣" if label == " " else label, missing).replace("$", r"\$") for label in labels]
        axis.set_ticks(range(len(labels)), shown)
    axes.xaxis.tick_top()  # type: ignore[attr-defined]
    axes.tick_params(axis="x", rotation=60)  # type: ignore[attr-defined]
    return image
