"""From the command line of `char_lm.py` to the text, its vocabulary and the model, before any work is begun."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minigrad as mg
import minigrad_nn as nn

import downloads
import options as command_line
import running
from resuming import require_same_run
from saved_model import load_model, put_weights
from text_data import python_help, read_text, split, vocabulary

__all__ = ["prepare", "sizes"]


def prepare(arguments: list[str] | None, build: Callable[..., nn.Module]) -> tuple[argparse.Namespace, str, nn.Vocabulary, nn.Module]:
    """(options, text, vocabulary, the model that `build` makes); exits with one line where something is not as it must be."""
    lines = command_line.parser()
    options = lines.parse_args(arguments)
    command_line.require_fitting(lines, options)
    running.require_device(lines, options.device)
    running.require_folders(lines, options)
    try:
        weights, facts = load_model(options.load, options.device, "characters", "cell", "sizes") if options.load else (None, {})
        loaded = command_line.sizes_of(facts, options.load, "cell")
        text = "" if options.sample else _text(options)
    except ValueError as error:
        lines.error(str(error))
    command_line.complete(lines, options, loaded)
    if not options.sample:
        command_line.require_length(lines, options, *split(text))
        command_line.complete_epochs(options, len(split(text)[0]))
    letters = vocabulary(facts.get("characters") or split(text)[0])
    command_line.require_known_prefix(lines, options.prefix, letters)
    options.prefix = options.prefix or _beginning(letters)
    mg.manual_seed(options.seed)
    model = build(len(letters), **sizes(options), cell=options.cell).to(options.device)
    options.facts = _facts(options, text)
    try:
        _put_back(model, weights, options)
    except ValueError as error:
        lines.error(str(error))
    return options, text, letters, model


def _text(options: argparse.Namespace) -> str:
    """The text that was asked for; ValueError that says in one line why it cannot be had."""
    name = options.download
    if name:
        return read_text(str(downloads.fetch(name, downloads.TEXTS[name], downloads.cache_folder())))
    return python_help() if options.text is None else read_text(options.text)


def _beginning(letters: nn.Vocabulary) -> str:
    """What samples begin with where nobody said: an English word if most characters are of that script, or the first letter of another."""
    known = list(letters)[1:]
    foreign = [each for each in known if each.isalpha() and not each.isascii()]
    if 2 * len(foreign) < len(known) and not set("The ") - set(known):
        return "The "
    return next(iter(foreign), next(filter(str.isalpha, known), known[0]))


def sizes(options: argparse.Namespace) -> dict[str, int]:
    """The sizes of the model, by name."""
    return {name: getattr(options, name) for name in command_line.SIZES}


def _facts(options: argparse.Namespace, text: str) -> dict[str, Any]:
    """What a run must have in common with the run it goes on from."""
    names = ("cell", "epochs", "batch", "window", "lr", "seed", "load")
    return {**{name: getattr(options, name) for name in names}, **sizes(options), "text": hashlib.sha256(text.encode()).hexdigest()}


def _put_back(model: nn.Module, weights: dict[str, Any] | None, options: argparse.Namespace) -> None:
    """Give the model what --load or --resume names; ValueError that says in one line why that is another's."""
    if weights is not None:
        put_weights(model, weights, options.load)
    if options.resume and Path(options.resume).exists():
        require_same_run(options.resume, model, options.facts)
