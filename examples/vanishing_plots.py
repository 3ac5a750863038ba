"""The pictures of `vanishing.py`: gradients over distance, errors over length, and an RNN beside an LSTM on one scale."""

from __future__ import annotations

from pathlib import Path

import minigrad as mg
import minigrad_nn as nn
import numpy as np

from running import pyplot

__all__ = ["draw_norms", "draw_pair", "draw_success"]

COLOURS = {"RNN, sigmoid": "#777777", "RNN, tanh": "#D55E00", "RNN": "#D55E00", "GRU": "#009E73", "LSTM": "#0072B2"}


def draw_norms(path: Path, norms: dict[float, dict[str, np.ndarray]]) -> str:
    """Draw the norm of each network's gradient over the distance, a panel for each gain; returns a line that says what was done."""
    plots = pyplot()
    if plots is None:
        return "no picture of the gradients"
    figure, panels = plots.subplots(1, len(norms), figsize=(13, 5), sharey=True, layout="constrained")
    for axes, (gain, found) in zip(panels, norms.items()):
        for name, each in found.items():
            own = name.split(" (")[0]  # ∂L/∂c is measured by ∂L/∂h after the last step as well
            ratio = np.where(each > 0, each, np.nan) / found[own][0]  # what has underflowed to 0 has no logarithm
            colour = COLOURS.get(own) or COLOURS[own.split(",")[0]]
            axes.plot(ratio, color=colour, linestyle="-" if "open" not in name else "--", linewidth=1 if "(" in name else 2, label=name)
        axes.axhline(1, color="#000000", linewidth=0.6)
        axes.set(yscale="log", xlabel="steps back", title=f"W_hh = {gain:g} × orthogonal")
        axes.set_ylim(1e-12, 1e8)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("‖∂L/∂h‖, of that at the last step")
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"gradients          {path}"


def draw_success(path: Path, errors: dict[str, dict[int, float]], chance: float, solved: float) -> str:
    """Draw the error of each kind over the length of the problem; returns a line that says what was done."""
    plots = pyplot()
    if plots is None:
        return "no picture of the adding problem"
    figure, axes = plots.subplots(figsize=(7, 4.5), layout="constrained")
    for kind, marker in zip(errors, "osD"):
        found = sorted(errors[kind].items())
        axes.plot([T for T, _ in found], [each for _, each in found], color=COLOURS[kind], marker=marker, label=kind)
    axes.axhline(chance, color="#777777", linestyle="--", label="always answering 1")
    axes.axhline(solved, color="#777777", linestyle=":", label="solved below")
    lengths = sorted(errors["RNN"])
    axes.set(xscale="log", yscale="log", xlabel="length of the problem, steps", ylabel="mean squared error")
    axes.set_title("Adding two numbers out of many")
    axes.set_xticks(lengths, [str(T) for T in lengths])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"adding problem     {path}"


def draw_pair(path: Path, T: int = 60, H: int = 16) -> str:
    """Draw the gradient on its way back through an RNN and through an LSTM with an open forget gate, on one scale."""
    pair = {}
    for name, layer in {"RNN": nn.RNN(1, H), "LSTM": nn.LSTM(1, H)}.items():
        if name == "LSTM":
            with mg.no_grad():
                layer.bias_ih_l0[H : 2 * H] = 4.0
        with nn.path("stepwise"):  # every step on the tape
            h, _ = layer(mg.randn(T, 1, 1))
        pair[name] = (h[-1] ** 2).sum(), list(layer.named_parameters())
    graphs = {name: mg.viz.graph(loss, params, heat="grad", max_steps=4) for name, (loss, params) in pair.items()}
    mg.viz.beside(graphs).save(path)
    return f"RNN beside LSTM    {path}"
