"""Around `fill_gap.py`: which gaps are asked, of which unit, the n-gram models there are to beat, and refusals."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import minigrad_nn as nn
import numpy as np

import running
from chosen import complete
from ngram import NGram
from saved_model import load_model, put_weights
from text_data import UNKNOWN, frequent, numbered, python_help, read_text, split, vocabulary, words

__all__ = ["UNITS", "Unit", "among", "ask", "baselines", "load", "prepare", "sizes", "window_of"]

SIDE = 32  # characters on either side of a gap, for every model
ORDER = 5  # of the n-gram models
QUICK_CHARACTERS = 100_000
SIZES = ("unit", "cell", "embedding", "hidden")


class Unit(NamedTuple):
    """What a gap has room for: how a text is cut into it, and the numbers that suit it."""

    name: str
    glue: str  # between two of them
    padding: str  # before and after a sentence
    least: int  # what the training part has more seldom is not known
    side: int  # how many on either side of a gap, for every model
    orders: tuple[int, ...]  # of the n-gram models
    dropout: float
    defaults: dict[str, Any]
    quick: dict[str, Any]
    sentences: list[str]

    def cut(self, text: str) -> Sequence[str]:
        """The characters, or the words, of a text."""
        return words(text) if self.name == "word" else text

    def asked(self, symbols: nn.Vocabulary) -> np.ndarray:
        """(V,): which symbols may stand in a gap that is asked: of words, none that is only punctuation."""
        return np.array([self.name == "character" or token == UNKNOWN or re.match(r"\w", token) is not None for token in symbols])


UNITS = {
    "character": Unit(
        "character", "", " ", 1, SIDE, (ORDER,), 0.0,
        {"cell": "gru", "embedding": 48, "hidden": 160, "window": 66, "batch": 32, "lr": 1e-2, "asked": 4000, "epochs": 3},
        {"cell": "gru", "embedding": 32, "hidden": 96, "window": 42, "batch": 16, "lr": 1e-2, "asked": 4000, "epochs": 8},
        ["the v_lue of the expression", "is rai_ed if the name", "return a_ object", "the na_e of the class"],
    ),
    "word": Unit(
        "word", " ", UNKNOWN, 4, 16, (3, ORDER), 0.3,
        {"cell": "gru", "embedding": 64, "hidden": 96, "window": 22, "batch": 32, "lr": 1e-2, "asked": 2000, "epochs": 6},
        {"cell": "gru", "embedding": 64, "hidden": 64, "window": 22, "batch": 16, "lr": 1e-2, "asked": 1000, "epochs": 10},
        ["the value _ the expression", "is raised if the _ is not found", "return a _ object", "an instance of the _."],
    ),
}  # fmt: skip


def prepare(
    lines: argparse.ArgumentParser, arguments: list[str] | None, cells: list[str]
) -> tuple[argparse.Namespace, str, nn.Vocabulary, dict[str, Any]]:
    """(options, text, vocabulary, what the loaded file says); exits with one line where something is not as it must be."""
    options = _options(lines, arguments, cells)
    facts: dict[str, Any] = {}
    try:
        if options.load:
            facts["weights"], more = load_model(options.load, options.device, "symbols", "sizes")
            facts |= more
            if not isinstance(facts["sizes"], dict) or facts["sizes"].keys() != set(SIZES) or facts["sizes"]["unit"] not in UNITS:
                raise ValueError(f"{options.load} is a model of another program")
        text = python_help() if options.text is None else read_text(options.text)
    except ValueError as error:
        lines.error(str(error))
    text = text[:QUICK_CHARACTERS] if options.quick else text
    unit = UNITS[facts.get("sizes", {}).get("unit") or options.unit or "character"]
    complete(lines, options, {"unit": unit.name, **(unit.quick if options.quick else unit.defaults)}, facts.get("sizes", {}))
    train_part, held_out = (unit.cut(part) for part in split(text))
    symbols = vocabulary(facts.get("symbols") or frequent(train_part, unit.least))
    _require_room(lines, options, unit, len(train_part), len(held_out))
    if not unit.asked(symbols)[numbered(symbols, held_out)[unit.side : -unit.side]].any():
        lines.error("there is no word to ask for in the last tenth of the text, which is held out; give another")
    for sentence in options.fill or ():
        _require_gap(lines, sentence, symbols, unit)
    return options, text, symbols, facts


def _options(lines: argparse.ArgumentParser, arguments: list[str] | None, cells: list[str]) -> argparse.Namespace:
    """The command line, read; what was left out is None."""
    add, usual = lines.add_argument, UNITS["character"].defaults
    add("--text", metavar="FILE", help="UTF-8 text to learn (default: the help topics that come with Python)")
    add("--unit", choices=UNITS, help="what a gap has room for (default: character; with --load, the file's)")
    add("--fill", metavar="TEXT", nargs="+", help="sentences with one gap each, written _, to be filled")
    add("--cell", choices=cells, help=f"default: {usual['cell']}; with --load, the file's")
    for name in ("embedding", "hidden"):
        add(f"--{name}", type=running.size, metavar="N", help=f"default: {usual[name]}; with --load, the file's")
    for name, meaning in (("window", "units of a window"), ("batch", "windows of an update"), ("asked", "gaps asked at the end")):
        add(f"--{name}", type=running.size, metavar="N", help=f"{meaning} (default: {usual[name]}; words: {UNITS['word'].defaults[name]})")
    add("--lr", type=running.positive, metavar="X", help=f"Adam's learning rate at the start; it falls to 0 (default: {usual['lr']:g})")
    lines.set_defaults(epochs=None)
    options = running.begin(lines, arguments)
    options.refuse = lines.error
    return options


def _require_room(lines: argparse.ArgumentParser, options: argparse.Namespace, unit: Unit, train: int, held_out: int) -> None:
    if held_out < 2 * unit.side + 1 or train < max(3, options.window):
        lines.error(
            f"the text is too short: {train + held_out} {unit.name}s, of which a tenth, more than {2 * unit.side}, is held out; give more"
        )
    if options.window < 3:
        lines.error(f"--window {options.window} has no gap: it needs a {unit.name} on either side; give at least 3")


def _require_gap(lines: argparse.ArgumentParser, sentence: str, symbols: nn.Vocabulary, unit: Unit) -> None:
    if sentence.count("_") != 1 or sentence.strip() == "_":
        lines.error(f"--fill {sentence!r}: write one gap as _, and something beside it")
    missing = "".join(sorted(set(sentence) - set(symbols) - {"_"})) if unit.name == "character" else ""
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


def ask(held_out: np.ndarray, most: int, side: int = SIDE, asked: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(windows, what is in their middle): evenly spaced gaps with `side` symbols on either side; of those `asked` (V,), if given."""
    windows = np.lib.stride_tricks.sliding_window_view(held_out, 2 * side + 1)
    possible = np.arange(len(windows)) if asked is None else np.flatnonzero(asked[windows[:, side]])
    chosen = possible[np.linspace(0, len(possible) - 1, min(most, len(possible))).astype(np.int64)]
    return windows[chosen].copy(), windows[chosen, side]


def window_of(sentence: str, symbols: nn.Vocabulary, unit: Unit) -> np.ndarray:
    """(1, T): the gap of a sentence, written _, and what stands around it."""
    before, after = (list(unit.cut(part)) for part in sentence.split("_", 1))
    padding = [unit.padding] * unit.side
    return np.array([symbols.encode([*[*padding, *before][-unit.side :], UNKNOWN, *[*after, *padding][: unit.side]])])


def baselines(train_part: np.ndarray, windows: np.ndarray, V: int, orders: tuple[int, ...] = (ORDER,)) -> dict[str, np.ndarray]:
    """(N, V) each: how likely every symbol is by counting, with no context, with that before the gap, and with both sides.

    With both sides p(c | left, right) is proportional to p(c | left) p(c | right) / p(c): the sides independent, given c.
    """
    alone, middle = NGram(1, V).fit(train_part).distribution(windows[0, :0]), windows.shape[1] // 2
    found = {"1-gram": np.repeat(alone[None], len(windows), axis=0)}
    for order in orders:
        left, right = windows[:, middle - order + 1 : middle], windows[:, middle + order - 1 : middle : -1]
        before, after = _spread(NGram(order, V).fit(train_part), left), _spread(NGram(order, V).fit(train_part[::-1]), right)
        together = before * after / alone
        found |= {f"{order}-gram": before, f"{order}-gram, both sides": together / together.sum(1, keepdims=True)}
    return found


def among(p: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(N, V): the same, where it is known that what stands in the gap is one of those asked."""
    p = p * asked
    return p / p.sum(1, keepdims=True)


def _spread(model: NGram, contexts: np.ndarray) -> np.ndarray:
    """(N, V): how likely each symbol is after each context."""
    N, V = len(contexts), model.V
    return np.stack([model.probabilities(contexts, np.full(N, symbol)) for symbol in range(V)], axis=1)
