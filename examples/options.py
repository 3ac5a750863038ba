"""The command line of `char_lm.py`: what can be asked for, and refusing in one line what cannot be done."""

from __future__ import annotations

import argparse

from running import positive, size, whole

__all__ = ["SIZES", "complete", "parser", "require_known_prefix", "require_length"]

SIZES = {"embedding": 64, "hidden": 256, "layers": 1}
DEFAULTS = {**SIZES, "epochs": 5.0, "seconds": 75.0, "batch": 32, "window": 100, "lr": 1e-2}
QUICK = {"embedding": 16, "hidden": 32, "layers": 1, "epochs": 1.0, "seconds": 30.0, "batch": 8, "window": 25, "lr": 2e-2}
QUICK_CHARACTERS = 20_000  # of the text are read with --quick


def parser() -> argparse.ArgumentParser:
    """What the command line may say. Options left out are None until `complete` fills them in."""
    lines = argparse.ArgumentParser(
        description="Train an LSTM on a text, character by character, and compare it with a 5-gram model.", allow_abbrev=False
    )
    add = lines.add_argument
    add("--text", metavar="FILE", help="UTF-8 text to learn (default: the help topics that come with Python)")
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    for name, number in SIZES.items():
        add(f"--{name}", type=size, metavar="N", help=f"default: {number}; with --load, the file's")
    add("--epochs", type=positive, metavar="X", help=f"passes over the text, fractions allowed (default: {DEFAULTS['epochs']:g})")
    add("--seconds", type=positive, metavar="X", help=f"stop training after this time (default: {DEFAULTS['seconds']:g})")
    add("--batch", type=size, metavar="B", help=f"streams read side by side (default: {DEFAULTS['batch']})")
    add("--window", type=size, metavar="T", help=f"steps between two updates (default: {DEFAULTS['window']})")
    add("--lr", type=positive, metavar="X", help=f"Adam's learning rate at the start; it falls to 0 (default: {DEFAULTS['lr']:g})")
    add("--seed", type=whole, default=0, help="the same seed gives the same run (default: 0)")
    add("--save", metavar="FILE", help="where the trained model goes (default: model.safetensors in --out)")
    add("--load", metavar="FILE", help="start from a saved model; its sizes and vocabulary are used")
    add("--sample", type=size, metavar="N", help="only write N characters at each temperature, with the model of --load")
    add("--prefix", metavar="TEXT", help="what the samples begin with")
    add("--out", metavar="FOLDER", default="out/char_lm", help="where everything goes (default: out/char_lm)")
    add("--quick", action="store_true", help=f"a tiny model, the first {QUICK_CHARACTERS:,} characters: to see that everything works")
    add("--explain", action="store_true", help="only print the tape of one tiny training step, with its numbers")
    return lines


def complete(lines: argparse.ArgumentParser, options: argparse.Namespace, loaded: dict[str, int] | None) -> None:
    """Fill in what was left out: the loaded file's sizes if there is one, then the defaults. Exits where they disagree."""
    for name, number in (loaded or {}).items():
        asked = getattr(options, name)
        if asked not in (None, number):
            lines.error(f"--{name} {asked}, but the model in {options.load} has {number}; leave --{name} out")
        setattr(options, name, number)
    for name, default in (QUICK if options.quick else DEFAULTS).items():
        if getattr(options, name) is None:
            setattr(options, name, default)


def require_length(lines: argparse.ArgumentParser, options: argparse.Namespace, train: str, held_out: str) -> None:
    """Exit with one line if the text does not fill one window of every stream."""
    least = options.batch * options.window + 1
    if len(train) < least or not held_out:
        lines.error(
            f"the text is too short: of its {len(train) + len(held_out)} characters {len(train)} are for training, and --batch "
            f"{options.batch} streams of --window {options.window} need at least {least}; give more text or smaller numbers"
        )


def require_known_prefix(lines: argparse.ArgumentParser, prefix: str | None, missing: str) -> None:
    """Exit with one line if the samples cannot begin with `prefix`, some of whose characters are missing."""
    if prefix == "":
        lines.error("--prefix is empty; the model needs at least one character to go on from")
    if missing:
        lines.error(f"--prefix has characters that the text for training does not: {missing!r}")
