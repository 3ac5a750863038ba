"""What names.py and classify.py share beside their models: what is asked for, the data, the baseline, and what is shown in the end."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import running
from confusion import confusion_matrix, confusion_picture
from labelled import Pairs, clean, read_tsv, require_enough, some, split
from naive_bayes import Reading, baselines
from saved_model import load_model

import minigrad_nn as nn
from minigrad_nn.vocabulary import Vocabulary

__all__ = ["UNKNOWN", "Data", "answer", "begin", "loaded", "parser", "read", "report", "run", "summary", "vocabulary"]

SPECIALS = ("<pad>", "<unk>")
UNKNOWN = 1  # the number of what a vocabulary does not have; padding has 0
QUICK = 3000  # texts to train on with --quick


class Data(NamedTuple):
    """What is learnt from: texts with their labels, and the labels in the order of their numbers."""

    train: Pairs
    held_out: Pairs
    labels: list[str]


def parser(description: str | None, out: str, epochs: tuple[int, int], hidden: int, lr: float, batch: int) -> argparse.ArgumentParser:
    """The options of both; `epochs` are those of a whole run and of one with --quick."""
    lines = running.parser(description, epochs[0], out)
    lines.set_defaults(epochs=None, usual_epochs=epochs)
    lines.add_argument("--hidden", type=running.size, metavar="H", default=hidden, help=f"units of the GRU (default: {hidden})")
    lines.add_argument("--batch", type=running.size, metavar="B", default=batch, help=f"texts read side by side (default: {batch})")
    lines.add_argument("--lr", type=running.positive, default=lr, help=f"the highest learning rate (default: {lr:g})")
    lines.add_argument("--validate", action="store_true", help="hold out a fifth of the training part instead: to choose settings by")
    return lines


def begin(lines: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line; exit with one line where something is not as it must be."""
    options = running.begin(lines, arguments)
    if options.ask and not options.load:
        lines.error("a question needs a trained model: --load FILE")
    if any(not text.strip() for text in options.ask or ()):
        lines.error("there is nothing in the question")
    options.epochs = options.epochs or options.usual_epochs[options.quick]
    return options


def loaded(lines: argparse.ArgumentParser, options: argparse.Namespace, *names: str) -> tuple[Any, dict[str, Any]]:
    """(weights, facts) of the model to load; (None, {}) where there is none. Exits with one line where it cannot be used."""
    try:
        return load_model(options.load, options.device, *names) if options.load else (None, {})
    except ValueError as error:
        return lines.error(str(error))


def read(
    lines: argparse.ArgumentParser, options: argparse.Namespace, own: Callable[[], Pairs], label_first: bool, known: list[str] | None
) -> Data:
    """The texts of --data, or the example's own; `known` are the labels of a loaded model. Exits with one line where they do not do."""
    try:
        train, held_out = split(clean(read_tsv(options.data, label_first) if options.data else own()))
        if options.validate:
            train, held_out = split(train, digit=1)
        train = some(train, QUICK) if options.quick else train
        require_enough(train, held_out)
        labels = known or sorted({label for _, label in train})
        strange = sorted({label for _, label in train + held_out} - set(labels))
        if strange:
            raise ValueError(f"{options.load} was not trained to tell {', '.join(strange)}; it knows {', '.join(labels)}")
    except ValueError as error:
        lines.error(str(error))
    return Data(train, held_out, labels)


def vocabulary(tokens: Iterable[str]) -> Vocabulary:
    """Numbers for letters or words, after padding and the unknown one. From the tokens of such a vocabulary comes the same again."""
    tokens = list(tokens)
    return Vocabulary((), specials=tokens) if tuple(tokens[:2]) == SPECIALS else Vocabulary(tokens, specials=SPECIALS)


def summary(data: Data, texts: str, labels: str, model: nn.Module) -> str:
    """How much there is to learn from and to learn with, for printing."""
    parameters = sum(each.numel() for each in model.parameters())
    sizes = f"{len(data.train):,} {texts} of {len(data.labels)} {labels} to train on, {len(data.held_out):,} held out"
    return f"{sizes}; {parameters:,} parameters"


def answer(texts: Sequence[str], probabilities: Sequence[Sequence[float]], labels: Sequence[str]) -> str:
    """The three likeliest labels of each text, for printing; `probabilities` (N, V)."""
    rows = []
    for text, p in zip(texts, probabilities):
        best = sorted(range(len(p)), key=lambda label: -p[label])[:3]
        shown = text if len(text) <= 50 else f"{text[:49]}…"
        rows.append([shown, *(f"{labels[each]} {p[each]:.2f}" for each in best)])
    return running.table(["asked", "likeliest", *[""] * (len(rows[0]) - 2)], rows)


def report(
    options: argparse.Namespace,
    data: Data,
    what: str,
    found: Mapping[str, Sequence[Sequence[float]]],
    readings: Mapping[str, Reading],
) -> None:
    """Compare the networks with naive Bayes; draw the confusion matrix of the first; last comes the line that matters.

    `found` has each network's probabilities (N, V), `readings` what naive Bayes may see of a text.
    """
    truth = np.array([data.labels.index(label) for _, label in data.held_out])
    guesses = {name: np.array(p).argmax(axis=1) for name, p in found.items()}
    counted = baselines(data.train, data.held_out, data.labels, readings)
    first, best = next(iter(guesses)), counted[-1]

    matrix = confusion_matrix(truth, guesses[first], len(data.labels))
    title = f"{len(truth):,} held-out {what}, {(guesses[first] == truth).mean():.1%} right"
    print(confusion_picture(Path(options.out) / "confusion.png", matrix, data.labels, title))
    print("\n" + _by_label(data.labels, truth, {first: guesses[first], "n. Bayes": best.guess}))
    rows = [[f"naive Bayes, {each.name}", f"{each.alpha:g}", f"{each.validated:.3f}", _share(each.guess, truth)] for each in counted]
    rows += [[name, "-", "-", _share(guess, truth)] for name, guess in reversed(guesses.items())]
    print("\n" + running.table(["accuracy", "α", "where α was chosen", "held out"], rows))
    print(f"held-out accuracy: {first} {_share(guesses[first], truth)}, {best.name} {_share(best.guess, truth)}")


def _share(guess: np.ndarray, truth: np.ndarray) -> str:
    return f"{(guess == truth).mean():.3f}"


def _by_label(labels: Sequence[str], truth: np.ndarray, guesses: Mapping[str, np.ndarray]) -> str:
    """How many texts of each label are known for what they are, for printing."""
    rows = []
    for place, label in enumerate(labels):
        here = truth == place
        shares = [f"{(guess[here] == place).mean():.2f}" if here.any() else "-" for guess in guesses.values()]
        rows.append([label, f"{here.sum()}", *shares])
    return running.table(["", "held out", *guesses], rows)


def run(main: Callable[[], None]) -> None:
    """Run a program; Ctrl-C and a reader who has seen enough end it without a traceback."""
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
