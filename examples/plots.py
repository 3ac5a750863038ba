"""The loss curve of `char_lm.py` as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from running import pyplot

__all__ = ["loss_curve"]


def loss_curve(path: Path, bits: list[float], characters_per_step: int, held_out: float, ngram: float) -> str:
    """Draw bits per character over characters read, and the two held-out values as lines; returns a line that says what was done."""
    plots = pyplot()
    if plots is None:
        return "no loss curve"
    read = np.arange(1, len(bits) + 1) * characters_per_step / 1e6
    figure, axes = plots.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot(read, bits, color="#56B4E9", linewidth=0.8, label="each window, training")
    axes.plot(*_smooth(read, bits), color="#0072B2", linewidth=2, label="its running mean")
    axes.axhline(ngram, color="#D55E00", linestyle="--", label=f"5-gram, held out: {ngram:.3f}")
    axes.axhline(held_out, color="#009E73", linestyle="-.", label=f"LSTM, held out: {held_out:.3f}")
    axes.set(xlabel="characters read (millions)", ylabel="bits per character", title="An LSTM learns a text, character by character")
    axes.set_ylim(top=min(max(bits, default=8.0), 5.0), bottom=0.9 * min([held_out, ngram, *bits]))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"loss curve         {path}"


def _smooth(x: np.ndarray, y: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """(places, means) of y over a sliding fiftieth of its length."""
    width = max(1, len(y) // 50)
    means = np.convolve(y, np.ones(width) / width, mode="valid") if len(y) else np.zeros(0)
    return x[width - 1 :], means
