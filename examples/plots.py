"""The pictures of `char_lm.py`: how it learns, and how an n-gram model and a recurrent network grow with length."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from growth import Growth
from running import pyplot

__all__ = ["growth_plot", "loss_curve", "smooth"]


def loss_curve(path: Path, cell: str, bits: list[float], characters_per_step: int, held_out: float, n: int, ngram: float) -> str:
    """Draw bits per character over characters read, and the two held-out values as lines; returns a line that says what was done."""
    plots = pyplot()
    if plots is None:
        return "no loss curve"
    read = np.arange(1, len(bits) + 1) * characters_per_step / 1e6
    figure, axes = plots.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot(read, bits, color="#56B4E9", linewidth=0.8, label="each window, training")
    axes.plot(*smooth(read, bits), color="#0072B2", linewidth=2, label="its running mean")
    axes.axhline(ngram, color="#D55E00", linestyle="--", label=f"{n}-gram, held out: {ngram:.3f}")
    axes.axhline(held_out, color="#009E73", linestyle="-.", label=f"{cell}, held out: {held_out:.3f}")
    axes.set(xlabel="characters read (millions)", ylabel="bits per character", title=f"{cell}: a text learnt character by character")
    axes.set_ylim(top=max(*bits[-1:], min(max(bits, default=8.0), 5.0), held_out * 1.05, ngram * 1.05), bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"loss curve         {path}"


def growth_plot(path: Path, growth: Growth) -> str:
    """Draw what is stored, and perplexity, over the number of characters looked at; returns a line that says what was done."""
    plots = pyplot()
    if plots is None:
        return "no picture of growth"
    n = np.arange(1, len(growth.counts) + 1)
    figure, (left, right) = plots.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    left.plot(n, [float(growth.V) ** each for each in n], color="#999999", linestyle=":", label=f"V^n, V = {growth.V}")
    left.plot(n, growth.counts, color="#D55E00", marker="o", label="n-gram: counts stored")
    left.axhline(growth.parameters, color="#0072B2", label=f"{growth.cell}: parameters")
    left.set(yscale="log", xlabel="n: characters looked at, and the next", title="What has to be stored")
    right.plot(n, np.exp2(growth.ngram), color="#D55E00", marker="o", label="n-gram")
    right.plot(n[1:], np.exp2(growth.recurrent), color="#0072B2", marker="s", label=f"{growth.cell} shown n - 1 characters")
    right.axhline(2**growth.whole, color="#009E73", linestyle="-.", label=f"{growth.cell} shown all before: {2**growth.whole:.2f}")
    right.set(yscale="log", xlabel="n: characters looked at, and the next", title="Perplexity on the held-out text")
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter("{x:g}")
    for axes in (left, right):
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"growth             {path}"


def smooth(x: np.ndarray, y: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """(places, means) of y over a sliding fiftieth of its length."""
    width = max(1, len(y) // 50)
    means = np.convolve(y, np.ones(width) / width, mode="valid") if len(y) else np.zeros(0)
    return x[width - 1 :], means
