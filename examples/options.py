"""The command line of `char_lm.py`: what can be asked for, and refusing in one line what cannot be done."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import minigrad as mg

__all__ = ["SIZES", "complete", "parser", "require_device", "require_folders", "require_known_prefix", "require_length"]

SIZES = {"embedding": 64, "hidden": 256, "layers": 1}
DEFAULTS = {**SIZES, "epochs": 5.0, "seconds": 75.0, "batch": 32, "window": 100, "lr": 1e-2}
QUICK = {"embedding": 16, "hidden": 32, "layers": 1, "epochs": 1.0, "seconds": 30.0, "batch": 8, "window": 25, "lr": 2e-2}
QUICK_CHARACTERS = 20_000  # of the text are read with --quick


def _number(kind: type, least: float, allowed: bool) -> Callable[[str], float]:
    """A function for argparse that reads a finite number above `least`, or `least` itself where that is allowed."""

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {'a whole' if kind is int else 'a'} number") from None
        if not math.isfinite(number) or number >= 2**63 or number < least or (number == least and not allowed):
            raise argparse.ArgumentTypeError(f"must be {'at least' if allowed else 'more than'} {least}, got {text}")
        return number

    return read


def parser() -> argparse.ArgumentParser:
    """What the command line may say. Options left out are None until `complete` fills them in."""
    size, positive, whole = _number(int, 1, True), _number(float, 0, False), _number(int, 0, True)
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
    for name, size in (loaded or {}).items():
        asked = getattr(options, name)
        if asked not in (None, size):
            lines.error(f"--{name} {asked}, but the model in {options.load} has {size}; leave --{name} out")
        setattr(options, name, size)
    for name, default in (QUICK if options.quick else DEFAULTS).items():
        if getattr(options, name) is None:
            setattr(options, name, default)


def require_device(lines: argparse.ArgumentParser, name: str) -> None:
    """Exit with one line if there is no such device here."""
    try:
        mg.zeros(1, device=name)
    except (RuntimeError, ValueError, TypeError) as error:
        lines.error(f"--device {name}: {str(error).splitlines()[0]}")


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


def require_folders(lines: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Make --out and the folder of --save, so that nothing fails after an hour's training; exit with one line if that is impossible."""
    options.save = options.save or str(Path(options.out) / "model.safetensors")
    for folder in (Path(options.out), Path(options.save).parent):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            lines.error(f"cannot make the folder {folder}: {error.strerror}")
    if Path(options.save).is_dir():
        lines.error(f"--save {options.save} is a folder; name a file")
