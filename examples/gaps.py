"""Around `fill_gap.py`: which gaps are asked, the n-gram models there are to beat, tables, pictures and refusals."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import running
from ngram import NGram
from saved_model import load_model, put_weights
from text_data import python_help, read_text, split, vocabulary

import minigrad_nn as nn

__all__ = ["SENTENCES", "ask", "baselines", "load", "prepare", "report", "show_filled", "show_gaps", "sizes"]

SIZES = {"cell": "gru", "embedding": 48, "hidden": 160}
DEFAULTS = {**SIZES, "window": 66, "batch": 32, "lr": 1e-2, "asked": 4000}
QUICK = {"cell": "gru", "embedding": 24, "hidden": 40, "window": 42, "batch": 16, "lr": 2e-2, "asked": 1000}
QUICK_CHARACTERS = 100_000
SIDE = 32  # characters on either side of a gap, for every model
ORDER = 5  # of the n-gram models
SENTENCES = ["the v_lue of the expression", "is rai_ed if the name", "return a_ object", "the na_e of the class"]


def prepare(
    lines: argparse.ArgumentParser, arguments: list[str] | None, cells: list[str]
) -> tuple[argparse.Namespace, str, nn.Vocabulary, dict[str, Any]]:
    """(options, text, vocabulary, what the loaded file says); exits with one line where something is not as it must be."""
    add = lines.add_argument
    add("--text", metavar="FILE", help="UTF-8 text to learn (default: the help topics that come with Python)")
    add("--fill", metavar="TEXT", nargs="+", help="sentences with one gap each, written _, to be filled")
    add("--cell", choices=cells, help=f"default: {SIZES['cell']}; with --load, the file's")
    for name in ("embedding", "hidden"):
        add(f"--{name}", type=running.size, metavar="N", help=f"default: {SIZES[name]}; with --load, the file's")
    for name, meaning in (("window", "characters of a window"), ("batch", "windows of an update"), ("asked", "gaps asked at the end")):
        add(f"--{name}", type=running.size, metavar="N", help=f"{meaning} (default: {DEFAULTS[name]})")
    add("--lr", type=running.positive, metavar="X", help=f"Adam's learning rate at the start; it falls to 0 (default: {DEFAULTS['lr']:g})")
    options = running.begin(lines, arguments)
    options.refuse = lines.error
    facts: dict[str, Any] = {}
    try:
        if options.load:
            facts["weights"], more = load_model(options.load, options.device, "characters", "sizes")
            facts |= more
            if not isinstance(facts["sizes"], dict) or facts["sizes"].keys() != SIZES.keys():
                raise ValueError(f"{options.load} is a model of another program")
        text = python_help() if options.text is None else read_text(options.text)
    except ValueError as error:
        lines.error(str(error))
    text = text[:QUICK_CHARACTERS] if options.quick else text
    _complete(lines, options, facts.get("sizes", {}))
    train_part, held_out = split(text)
    letters = vocabulary(facts.get("characters") or train_part)
    if len(held_out) < 2 * SIDE + 1 or len(train_part) < max(3, options.window):
        lines.error(f"the text is too short: {len(text)} characters, of which a tenth, more than {2 * SIDE}, is held out; give more")
    if options.window < 3:
        lines.error(f"--window {options.window} has no gap: it needs a character on either side; give at least 3")
    for sentence in options.fill or ():
        _require_gap(lines, sentence, letters)
    return options, text, letters, facts


def _complete(lines: argparse.ArgumentParser, options: argparse.Namespace, loaded: dict[str, Any]) -> None:
    """Fill in what was left out; exits where the command line and the loaded file disagree."""
    for name, value in loaded.items():
        if getattr(options, name) not in (None, value):
            lines.error(f"--{name} {getattr(options, name)}, but the model in {options.load} has {value}; leave --{name} out")
        setattr(options, name, value)
    for name, default in (QUICK if options.quick else DEFAULTS).items():
        if getattr(options, name) is None:
            setattr(options, name, default)


def _require_gap(lines: argparse.ArgumentParser, sentence: str, letters: nn.Vocabulary) -> None:
    if sentence.count("_") != 1 or sentence.strip() == "_":
        lines.error(f"--fill {sentence!r}: write one gap as _, and something beside it")
    missing = "".join(sorted(set(sentence) - set(letters) - {"_"}))
    if missing:
        lines.error(f"--fill {sentence!r} has characters that the text for training does not: {missing!r}")


def sizes(options: argparse.Namespace) -> dict[str, Any]:
    """What is needed to build the models again, by name."""
    return {name: getattr(options, name) for name in SIZES}


def load(models: dict[str, nn.Module], facts: dict[str, Any], options: argparse.Namespace) -> None:
    """Put the loaded weights, if there are any, into both models; exits with one line if they do not fit."""
    if facts:
        try:
            put_weights(nn.ModuleDict(models), facts["weights"], options.load)
        except ValueError as error:
            options.refuse(str(error))


def ask(held_out: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(windows, what is in their middle): evenly spaced gaps with `SIDE` characters on either side."""
    windows = np.lib.stride_tricks.sliding_window_view(held_out, 2 * SIDE + 1)
    chosen = np.linspace(0, len(windows) - 1, min(most, len(windows))).astype(np.int64)
    return windows[chosen].copy(), windows[chosen, SIDE]


def baselines(train_part: np.ndarray, windows: np.ndarray, V: int) -> dict[str, np.ndarray]:
    """(N, V) each: how likely every symbol is by counting, with no context, with that before the gap, and with both sides.

    With both sides p(c | left, right) is proportional to p(c | left) p(c | right) / p(c): the sides independent, given c.
    """
    forward, backward = NGram(ORDER, V).fit(train_part), NGram(ORDER, V).fit(train_part[::-1])
    left, right = windows[:, SIDE - ORDER + 1 : SIDE], windows[:, SIDE + ORDER - 1 : SIDE : -1]
    alone = NGram(1, V).fit(train_part).distribution(windows[0, :0])
    before, after = _spread(forward, left), _spread(backward, right)
    together = before * after / alone
    return {
        "1-gram": np.repeat(alone[None], len(windows), axis=0),
        f"{ORDER}-gram": before,
        f"{ORDER}-gram, both sides": together / together.sum(1, keepdims=True),
    }


def _spread(model: NGram, contexts: np.ndarray) -> np.ndarray:
    """(N, V): how likely each symbol is after each context."""
    N, V = len(contexts), model.V
    return np.stack([model.probabilities(contexts, np.full(N, symbol)) for symbol in range(V)], axis=1)


def show_filled(sentence: str, letters: nn.Vocabulary, guess: Callable[[np.ndarray], dict[str, np.ndarray]]) -> None:
    """Print the three characters that each model finds likeliest in the gap of a sentence, blanks standing around it."""
    before, after = sentence.split("_", 1)
    window = (" " * SIDE + before)[-SIDE:] + "_" + (after + " " * SIDE)[:SIDE]
    guesses = guess(np.array([letters.encode(window)]))
    print(f"{sentence:36}" + "   ".join(f"{name}: {_likeliest(p, letters)}" for name, p in guesses.items()))


def _likeliest(p: np.ndarray, letters: nn.Vocabulary) -> str:
    best = np.argsort(-p, kind="stable")[:3]
    return " ".join(f"{character!r} {p[number]:.0%}" for number, character in zip(best, letters.decode(best)))


def show_gaps(windows: np.ndarray, answers: np.ndarray, letters: nn.Vocabulary, guesses: dict[str, np.ndarray]) -> None:
    """Print some gaps of the held-out text, what stands there, and what the two models fill in."""
    print("\ngaps of the held-out text" + " " * 20 + "there    " + "  ".join(guesses))
    for index in np.linspace(0, len(windows) - 1, min(8, len(windows))).astype(int):
        around = letters.decode(windows[index])
        text = "".join([*around[SIDE - 20 : SIDE], "_", *around[SIDE + 1 : SIDE + 21]]).replace("\n", "↵")
        filled = "  ".join(f"{letters.decode([p[index].argmax()])[0]!r:>{len(name)}}" for name, p in guesses.items())
        print(f"{text}    {letters.decode([answers[index]])[0]!r:<7}  {filled}")


def report(
    guesses: dict[str, np.ndarray],
    answers: np.ndarray,
    parameters: dict[str, int],
    losses: dict[str, list[float]],
    options: argparse.Namespace,
) -> None:
    """Print the table and the last line, and draw the picture."""
    right = {name: float((p.argmax(1) == answers).mean()) for name, p in guesses.items()}
    bits = {name: float(-np.log2(np.maximum(p[np.arange(len(p)), answers], 1e-300)).mean()) for name, p in guesses.items()}
    stored = {name: f"{parameters[name]:,}" if name in parameters else "counts" for name in guesses}
    rows = [[name, stored[name], f"{right[name]:.1%}", f"{bits[name]:.3f}"] for name in guesses]
    print("\n" + _picture(right, bits, losses, options))
    print(f"\n{running.table([f'{len(answers):,} gaps', 'parameters', 'filled right', 'bits per gap'], rows)}")
    order = ["both directions", "one direction", f"{ORDER}-gram, both sides", f"{ORDER}-gram"]
    print("gaps filled right: " + "; ".join(f"{name} {right[name]:.1%}" for name in order))


def _picture(right: dict[str, float], bits: dict[str, float], losses: dict[str, list[float]], options: argparse.Namespace) -> str:
    plots = running.pyplot()
    if plots is None:
        return "no picture"
    colours = dict(zip(right, ("#BBBBBB", "#E69F00", "#D55E00", "#56B4E9", "#0072B2")))
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
    middle.set(xlabel="characters read (millions)", ylabel="bits per gap, training")
    middle.grid(alpha=0.3)
    if losses:
        middle.legend()
    path = Path(options.out) / "gaps.png"
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"picture            {path}"
