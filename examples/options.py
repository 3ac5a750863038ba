"""The command line of `char_lm.py`: what can be asked for, and refusing in one line what cannot be done."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import downloads
from running import positive, size, whole

__all__ = [
    "CELLS", "SIZES", "complete", "complete_epochs", "parser", "require_fitting", "require_known_prefix", "require_length",
    "sizes_of",
]  # fmt: skip

CELLS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}  # as asked for: as printed
SIZES = {"embedding": 64, "hidden": 256, "layers": 1}
DEFAULTS = {"cell": "lstm", **SIZES, "batch": 32, "window": 100}
QUICK = {"cell": "lstm", "embedding": 32, "hidden": 64, "layers": 1, "batch": 16, "window": 50}
RATES = {"rnn": 5e-3, "lstm": 1e-2, "gru": 1e-2}  # Adam's, at the start
EPOCHS, QUICK_EPOCHS = 5.0, 0.5
LEAST_UPDATES = 250  # a short text is read more often
SECONDS = 75.0
BASELINE, QUICK_BASELINE = 5, 2  # the order of the n-gram model in the last line


def parser() -> argparse.ArgumentParser:
    """What the command line may say. Options left out are None until `complete` fills them in."""
    lines = argparse.ArgumentParser(
        description="Train a recurrent network on a text, character by character, and compare it with n-gram models.", allow_abbrev=False
    )
    add, either = lines.add_argument, lines.add_mutually_exclusive_group()
    either.add_argument("--text", metavar="FILE", help="UTF-8 text to learn (default: the help topics that come with Python)")
    either.add_argument("--download", choices=downloads.TEXTS, help="a text from the network, fetched once, its hash verified")
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--cell", choices=CELLS, help="default: lstm; with --load, the file's")
    for name, number in SIZES.items():
        add(f"--{name}", type=size, metavar="N", help=f"default: {number}; with --load, the file's")
    add("--epochs", type=positive, metavar="X", help=f"passes over the text, or a part of one (default: {EPOCHS:g}; a short text: more)")
    add("--seconds", type=positive, metavar="X", help=f"stop training after this time (default: {SECONDS:g}; with --resume: never)")
    add("--batch", type=size, metavar="B", help=f"streams read side by side (default: {DEFAULTS['batch']})")
    add("--window", type=size, metavar="T", help=f"steps between two updates (default: {DEFAULTS['window']})")
    add("--lr", type=positive, metavar="X", help="Adam's rate at the start; it falls to 0 (default: 0.01, rnn 0.005; --quick: double)")
    add("--seed", type=whole, default=0, help="the same seed gives the same run (default: 0)")
    add("--save", metavar="FILE", help="where the trained model goes (default: model.safetensors in --out)")
    add("--load", metavar="FILE", help="do not train: use a saved model, its sizes and vocabulary; with --epochs, train it further")
    add("--resume", metavar="FILE", help="write the run to this file now and then; if it is there, go on from it, whatever ended it")
    add("--sample", type=size, metavar="N", help="only write N characters at each temperature, with the model of --load")
    add("--prefix", metavar="TEXT", help="what the samples begin with")
    add("--out", metavar="FOLDER", default="out/char_lm", help="where everything goes (default: out/char_lm)")
    add("--quick", action="store_true", help="a small model, half a pass over the text: to see that everything works")
    lines.set_defaults(facts={})  # what a run to resume must have in common with this one
    add("--explain", action="store_true", help="only print the tape of one tiny training step, with its numbers")
    return lines


def require_fitting(lines: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Exit with one line if options contradict each other, or --resume names no file that could be written."""
    if options.sample and not options.load:
        lines.error("--sample needs a trained model: --load FILE")
    for name in ("text", "download", "epochs", "resume"):
        if options.sample and getattr(options, name) is not None:
            lines.error(f"--sample only writes samples of the model of --load; leave --{name} out")
    if options.resume and (Path(options.resume).is_dir() or not Path(options.resume).parent.is_dir()):
        lines.error(f"--resume {options.resume}: name a file in a folder that is there")


def sizes_of(facts: dict[str, Any], path: str, *names: str) -> dict[str, Any]:
    """What a loaded file says of its model's sizes, and of more `names`; ValueError if it is a model of another program."""
    found = facts.get("sizes", {})
    if facts and not (isinstance(found, dict) and found.keys() == SIZES.keys() and all(isinstance(each, int) for each in found.values())):
        raise ValueError(f"{path} is a model of another program")
    return {**{name: facts[name] for name in names if facts}, **found}


def complete(lines: argparse.ArgumentParser, options: argparse.Namespace, loaded: dict[str, object] | None) -> None:
    """Fill in what was left out: the loaded file's cell and sizes if there is one, then the defaults. Exits where they disagree."""
    for name, value in (loaded or {}).items():
        asked = getattr(options, name)
        if asked not in (None, value):
            lines.error(f"--{name} {asked}, but the model in {options.load} has {value}; leave --{name} out")
        setattr(options, name, value)
    for name, default in (QUICK if options.quick else DEFAULTS).items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    options.lr = options.lr or RATES[options.cell] * (2 if options.quick else 1)  # small models bear more
    options.seconds = options.seconds or (math.inf if options.resume else SECONDS)
    options.train = options.epochs is not None or options.resume is not None or options.load is None
    options.baseline = QUICK_BASELINE if options.quick else BASELINE


def complete_epochs(options: argparse.Namespace, characters: int) -> None:
    """If nobody said how often to read the text: so often that there are enough updates."""
    if options.epochs is None:
        windows = (characters - 1) // options.batch // options.window
        options.epochs = max(QUICK_EPOCHS if options.quick else EPOCHS, LEAST_UPDATES / windows)


def require_length(lines: argparse.ArgumentParser, options: argparse.Namespace, train: str, held_out: str) -> None:
    """Exit with one line if the text does not fill one window of every stream."""
    least = options.batch * options.window + 1
    if len(train) < least or not held_out:
        lines.error(
            f"the text is too short: of its {len(train) + len(held_out)} characters {len(train)} are for training, and --batch "
            f"{options.batch} streams of --window {options.window} need at least {least}; give more text or smaller numbers"
        )


def require_known_prefix(lines: argparse.ArgumentParser, prefix: str | None, known: object) -> None:
    """Exit with one line if the samples cannot begin with `prefix`."""
    if prefix == "":
        lines.error("--prefix is empty; the model needs at least one character to go on from")
    missing = "".join(sorted({character for character in prefix or "" if character not in known}))
    if missing:
        lines.error(f"--prefix has characters that the text for training does not: {missing!r}")
