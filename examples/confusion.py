"""A confusion matrix as a picture: what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from running import pyplot

__all__ = ["confusion_picture"]


def confusion_picture(path: Path, matrix: np.ndarray, labels: Sequence[str], title: str) -> str:
    """Draw what each row's label was taken for: the (V, V) counts as numbers, their shares of the row as shades.

    Returns a line that says what was done.
    """
    plots = pyplot()
    if plots is None:
        return "no confusion matrix"
    V = len(labels)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = 2.5 + 0.45 * V
    figure, axes = plots.subplots(figsize=(size + 1, size), layout="constrained")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="what the network says", ylabel="what it is", title=title)
    axes.set_xticks(range(V), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(V), labels)
    for row, column in np.argwhere(matrix):
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=8, color=shade)
    figure.colorbar(image, ax=axes, label="share of the row", shrink=0.8)
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"confusion matrix   {path}"
