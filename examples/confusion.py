"""A confusion matrix: what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from running import pyplot

__all__ = ["confusion_matrix", "confusion_picture"]


def confusion_matrix(truth: Sequence[int], guess: Sequence[int], V: int) -> np.ndarray:
    """(V, V): how often the label of each row was taken for that of each column.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    matrix = np.zeros((V, V), dtype=np.int64)
    np.add.at(matrix, (np.asarray(truth, dtype=np.int64), np.asarray(guess, dtype=np.int64)), 1)
    return matrix


def confusion_picture(path: Path, matrix: np.ndarray, labels: Sequence[str], title: str) -> str:
    """Draw each row's shares as shades and the counts as numbers; returns a line that says what was done."""
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
