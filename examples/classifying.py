"""What names.py and classify.py share beside their models: what is asked for, the data, the baselines, and what is shown in the end."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import minigrad as mg
import minigrad_nn as nn
import numpy as np
from minigrad_nn import metrics
from minigrad_nn.vocabulary import Vocabulary

import running
from confusion import confusion_picture
from labelled import Pairs, clean, read_tsv, require_enough, some, split
from naive_bayes import Reading, baselines
from saved_model import load_model, put_weights, save_model

__all__ = ["UNKNOWN", "Batch", "Example", "Task", "begin", "parser", "run", "task", "work"]

Example = tuple[mg.Tensor, int]  # the letters of a name or the words of a text, (T,), and the number of its label
Batch = tuple[mg.Tensor, mg.Tensor, mg.Tensor]  # letters or words (T, B), lengths (B,), labels (B,)
SPECIALS = ("<pad>", "<unk>")
UNKNOWN = 1  # the number of what a vocabulary does not have; padding has 0
QUICK = 10_000  # texts to train on with --quick, however many a file has


class Task(NamedTuple):
    """Texts with their labels, and how both become numbers; the weights where a trained model was loaded."""

    train: Pairs
    held_out: Pairs
    tokens: Callable[[str], Sequence[str]]  # the letters of a name, the words of a text
    vocabulary: Vocabulary
    labels: list[str]
    sizes: dict[str, int]  # of each network
    voters: int  # networks
    weights: dict[str, Any] | None

    def networks(self, *kinds: Callable[..., nn.Module]) -> nn.ModuleList:
        """As many networks as vote, of each kind in turn."""
        chosen = [kinds[place % len(kinds)] for place in range(self.voters)]
        return nn.ModuleList([kind(len(self.vocabulary), len(self.labels), **self.sizes) for kind in chosen])

    def encode(self, pairs: Pairs) -> list[Example]:
        """The numbers of each text's tokens, and of its label."""
        return [(mg.tensor(self.vocabulary.encode(self.tokens(text))), self.labels.index(label)) for text, label in pairs]


def parser(
    description: str | None, out: str, epochs: tuple[int, int], voters: tuple[int, int], hidden: int, lr: float, batch: int
) -> argparse.ArgumentParser:
    """The options of both; `epochs` and `voters` are those of a whole run and of one with --quick."""
    lines = running.parser(description, epochs[0], out)
    lines.set_defaults(epochs=None, usual_epochs=epochs, usual_voters=voters)
    lines.add_argument("--hidden", type=running.size, metavar="H", default=hidden, help=f"units of a GRU (default: {hidden})")
    lines.add_argument("--voters", type=running.size, metavar="K", help=f"networks that learn and vote (default: {voters[0]})")
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
    options.voters = options.voters or options.usual_voters[options.quick]
    return options


def task(
    lines: argparse.ArgumentParser,
    options: argparse.Namespace,
    own: Callable[[], Pairs],
    tokens: Callable[[str], Sequence[str]],
    label_first: bool,
    embedding: int,
    min_freq: int,
) -> Task:
    """The texts of --data or the example's own, and the facts of the model of --load. Exits with one line where they do not do.

    Tokens that come more seldom than `min_freq` in what is learnt from are unknown ones.
    """
    try:
        weights, facts = load_model(options.load, options.device, "tokens", "labels", "sizes", "voters") if options.load else (None, {})
        train, held_out = ([], []) if options.ask else _texts(options, own, label_first)
        labels = sorted({label for _, label in train + held_out})
        strange = sorted(set(labels) - set(facts.get("labels", labels)))
        if strange:
            raise ValueError(f"{options.load} was not trained to tell {', '.join(strange)}; it knows {', '.join(facts['labels'])}")
    except ValueError as error:
        lines.error(str(error))
    if facts:
        known = Vocabulary((), specials=facts["tokens"])
        return Task(train, held_out, tokens, known, facts["labels"], facts["sizes"], facts["voters"], weights)
    vocabulary = Vocabulary((each for text, _ in train for each in tokens(text)), min_freq, specials=SPECIALS)
    return Task(train, held_out, tokens, vocabulary, labels, {"embedding": embedding, "hidden": options.hidden}, options.voters, None)


def _texts(options: argparse.Namespace, own: Callable[[], Pairs], label_first: bool) -> tuple[Pairs, Pairs]:
    """(what is learnt from, what is held out)."""
    train, held_out = split(clean(read_tsv(options.data, label_first) if options.data else own()))
    if options.validate:
        train, held_out = split(train, digit=1)
    train = some(train, QUICK) if options.quick else train
    require_enough(train, held_out)
    return train, held_out


def work(
    lines: argparse.ArgumentParser,
    options: argparse.Namespace,
    task: Task,
    networks: dict[str, nn.ModuleList],
    train: Callable[[nn.ModuleList, list[Example], argparse.Namespace], None],
    probabilities: Callable[[nn.ModuleList, list[Example], str], mg.Tensor],
    readings: Mapping[str, Reading],
) -> None:
    """Train all networks and save the first, or load that one alone; then ask it, or compare with naive Bayes what they say."""
    name, first = next(iter(networks.items()))
    if task.weights is not None:
        networks = {name: first}
        try:
            put_weights(first, task.weights, options.load)
        except ValueError as error:
            lines.error(str(error))
    for each in networks.values():
        each.to(options.device)
    if options.ask:
        asked = task.encode([(text, task.labels[0]) for text in options.ask])
        print(answer(options.ask, probabilities(first, asked, options.device).tolist(), task.labels))
        return
    print(summary(task, first), flush=True)
    if task.weights is None:
        examples = task.encode(task.train)
        train(first, examples, options)
        save_model(options.save, first, tokens=task.vocabulary.tokens, labels=task.labels, sizes=task.sizes, voters=task.voters)
        print(f"model              {options.save}", flush=True)
        for other in list(networks.values())[1:]:
            train(other, examples, options)
    held_out = task.encode(task.held_out)
    report(options, task, {each: probabilities(networks[each], held_out, options.device) for each in networks}, readings)


def summary(task: Task, network: nn.Module) -> str:
    """How much there is to learn from and to learn with, for printing."""
    parameters = sum(each.numel() for each in network.parameters())
    texts = f"{len(task.train):,} texts of {len(task.labels)} labels to train on, {len(task.held_out):,} held out"
    return f"{texts}; {parameters:,} parameters in {task.voters} network{'s' if task.voters > 1 else ''}"


def answer(texts: Sequence[str], probabilities: Sequence[Sequence[float]], labels: Sequence[str]) -> str:
    """The three likeliest labels of each text, for printing; `probabilities` (N, V)."""
    rows = []
    for text, p in zip(texts, probabilities):
        best = sorted(range(len(p)), key=lambda label: -p[label])[:3]
        shown = text if len(text) <= 50 else f"{text[:49]}…"
        rows.append([shown, *(f"{labels[each]} {p[each]:.2f}" for each in best)])
    return running.table(["asked", "likeliest", *[""] * (len(rows[0]) - 2)], rows)


def report(options: argparse.Namespace, task: Task, found: Mapping[str, mg.Tensor], readings: Mapping[str, Reading]) -> None:
    """Compare the networks with naive Bayes; draw the confusion matrix of the first; last comes the line that matters.

    `found` has each network's probabilities (N, V), `readings` what naive Bayes may see of a text.
    """
    truth = np.array([task.labels.index(label) for _, label in task.held_out])
    guesses = {name: p.cpu().numpy().argmax(axis=1) for name, p in found.items()}
    counted = baselines(task.train, task.held_out, task.labels, readings)
    first, best = next(iter(guesses)), counted[-1]

    matrix = metrics.confusion_matrix(guesses[first], truth, len(task.labels)).numpy()
    title = f"{len(truth):,} held-out texts, {metrics.accuracy(guesses[first], truth):.1%} right"
    print(confusion_picture(Path(options.out) / "confusion.png", matrix, task.labels, title))
    print("\n" + _by_label(task.labels, truth, {first: guesses[first], "n. Bayes": best.guess}))
    rows = [[f"naive Bayes, {each.name}", f"{each.alpha:g}", f"{each.validated:.3f}", _share(each.guess, truth)] for each in counted]
    rows += [[name, "-", "-", _share(guess, truth)] for name, guess in reversed(guesses.items())]
    print("\n" + running.table(["accuracy", "α", "where α was chosen", "held out"], rows))
    print(f"held-out accuracy: {first} {_share(guesses[first], truth)}, {best.name} {_share(best.guess, truth)}")


def _share(guess: np.ndarray, truth: np.ndarray) -> str:
    return f"{metrics.accuracy(guess, truth):.3f}"


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
