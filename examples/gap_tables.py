"""What `fill_gap.py` prints and draws: filled sentences, some gaps of the held-out text, the table, the picture."""

from __future__ import annotations

import argparse
from pathlib import Path

import minigrad_nn as nn
import numpy as np

import running
from gaps import Unit

__all__ = ["filled", "report", "some_gaps"]


def likeliest(p: np.ndarray) -> np.ndarray:
    """(N,): what is filled in, which is never the symbol 0, for what is not known cannot be written."""
    return p[:, 1:].argmax(1) + 1


def filled(sentence: str, symbols: nn.Vocabulary, guesses: dict[str, np.ndarray]) -> str:
    """A line with what each model finds likeliest in the gap of a sentence."""
    return f"{sentence:36}" + "   ".join(f"{name}: {_best(p[0], symbols)}" for name, p in guesses.items())


def _best(p: np.ndarray, symbols: nn.Vocabulary) -> str:
    best = np.argsort(-p[1:], kind="stable")[:3] + 1
    return " ".join(f"{each!r} {p[number]:.0%}" for number, each in zip(best, symbols.decode(best)))


def some_gaps(windows: np.ndarray, answers: np.ndarray, symbols: nn.Vocabulary, guesses: dict[str, np.ndarray], unit: Unit) -> str:
    """Lines with some gaps of the held-out text, what stands there, and what every model fills in."""
    lines = []
    for index in np.linspace(0, len(windows) - 1, min(8, len(windows))).astype(int):
        around, middle = symbols.decode(windows[index]), windows.shape[1] // 2
        before, after = (unit.glue.join(part) for part in (around[:middle], around[middle + 1 :]))
        text = f"{before[-20:]:>20}{unit.glue}_{unit.glue}{after[:20]:20}".replace("\n", "↵")
        filled_in = map(repr, symbols.decode([answers[index], *(likeliest(p[[index]])[0] for p in guesses.values())]))
        lines.append([text, *filled_in])
    return "\n" + running.table(["gaps of the held-out text", "there", *guesses], lines) + "\n"


def report(
    guesses: dict[str, np.ndarray],
    answers: np.ndarray,
    parameters: dict[str, int],
    losses: dict[str, list[float]],
    options: argparse.Namespace,
) -> None:
    """Print the table and the last line, and draw the picture."""
    right = {name: float((likeliest(p) == answers).mean()) for name, p in guesses.items()}
    bits = {name: float(-np.log2(np.maximum(p[np.arange(len(p)), answers], 1e-300)).mean()) for name, p in guesses.items()}
    stored = {name: f"{parameters[name]:,}" if name in parameters else "counts" for name in guesses}
    rows = [[name, stored[name], f"{right[name]:.1%}", f"{bits[name]:.3f}"] for name in guesses]
    print(_picture(right, bits, losses, options))
    print(f"\n{running.table([f'{len(answers):,} gaps', 'parameters', 'filled right', 'bits per gap'], rows)}")
    counted = [name for name in guesses if "gram" in name]
    order = ["both directions", "one direction", counted[-1], counted[-2]]
    print("gaps filled right: " + "; ".join(f"{name} {right[name]:.1%}" for name in order))


def _picture(right: dict[str, float], bits: dict[str, float], losses: dict[str, list[float]], options: argparse.Namespace) -> str:
    plots = running.pyplot()
    if plots is None:
        return "no picture"
    colours = dict.fromkeys(right, "#E69F00") | {"1-gram": "#BBBBBB", "one direction": "#56B4E9", "both directions": "#0072B2"}
    figure, (left, middle) = plots.subplots(1, 2, figsize=(10, 4), layout="constrained")
    names = list(right)
    bars = left.barh(names, [100 * right[name] for name in names], color=[colours[name] for name in names])
    left.bar_label(bars, [f" {right[name]:.1%}, {bits[name]:.2f} bits" for name in names])
    left.set(xlim=(0, 135), xticks=range(0, 101, 20), xlabel="gaps of the held-out text filled right, %")
    for name, each in losses.items():
        width = max(1, len(each) // 40)
        means = np.convolve(each, np.ones(width) / width, mode="valid")
        read = (np.arange(len(means)) + width) * options.window * options.batch / 1e6
        middle.plot(read, means, color=colours[name], label=name)
    middle.set(xlabel=f"{options.unit}s read (millions)", ylabel="bits per gap, training")
    middle.grid(alpha=0.3)
    if losses:
        middle.legend()
    path = Path(options.out) / "gaps.png"
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"picture            {path}"
