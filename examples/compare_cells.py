"""RNN, LSTM and GRU on the same text: how many parameters, how much time, how good.

    python examples/compare_cells.py                       # under two minutes on two cores
    python examples/compare_cells.py --text novel.txt --hidden 128 --layers 2 --epochs 3

The model and the training loop are those of char_lm.py. All three have states of the same size and read the same characters; an LSTM
then has four times the recurrent parameters of an RNN, a GRU three times. Each has the learning rate that suits it.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import minigrad_nn as nn
import numpy as np

import options as command_line
import running
from char_lm import CharLM, train
from measuring import bits_per_character
from ngram import NGram
from plots import smooth
from saved_model import load_model, put_weights, save_model
from stopping import Stopper
from text_data import numbered, python_help, read_text, split, vocabulary

QUICK_CHARACTERS = 100_000
QUICK = {"embedding": 32, "hidden": 48, "layers": 1, "batch": 16, "window": 50}
COLOURS = {"rnn": "#E69F00", "lstm": "#0072B2", "gru": "#009E73"}


def compare(models: dict[str, CharLM], numbers: np.ndarray, options: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Train each; returns (bits per character of each window, seconds) by cell."""
    bits, seconds = {}, {}
    for cell, model in models.items():
        options.lr = command_line.RATES[cell] * (2 if options.quick else 1)
        stopper = Stopper(math.inf)
        bits[cell] = train(model, numbers, options, stopper)
        seconds[cell] = stopper.took
        if stopper.interrupted:
            raise KeyboardInterrupt
    return bits, seconds


def report(models: dict[str, CharLM], held_out: np.ndarray, ngram: float, seconds: dict[str, float], options: argparse.Namespace) -> None:
    """Print the table and the last line."""
    rows, judged = [], {}
    for cell, model in models.items():
        judged[cell] = bits_per_character(model, held_out, options.device)
        own, every = (sum(each.numel() for each in part.parameters()) for part in (model.recurrent, model))
        took = [f"{seconds[cell]:.1f}", f"{seconds[cell] / options.read * 1e6:.1f}"] if seconds else ["-", "-"]
        rows.append([command_line.CELLS[cell], f"{own:,}", f"{every:,}", *took, f"{judged[cell]:.3f}", f"{2 ** judged[cell]:.3f}"])
    rows.append([f"{options.n}-gram", "-", "-", "-", "-", f"{ngram:.3f}", f"{2**ngram:.3f}"])
    head = ["cell", "recurrent parameters", "parameters", "seconds", "µs per character", "bits per character", "perplexity"]
    print(f"\n{running.table(head, rows)}")
    named = ", ".join(f"{command_line.CELLS[cell]} {bits:.3f}" for cell, bits in judged.items())
    print(f"held-out bits per character: {named}, {options.n}-gram {ngram:.3f}")


def draw(path: Path, bits: dict[str, list[float]], seconds: dict[str, float], ngram: float, options: argparse.Namespace) -> str:
    """Draw each cell's losses over characters and over time; returns a line that says what was done."""
    plots = running.pyplot()
    if plots is None:
        return "no picture"
    figure, both = plots.subplots(1, 2, figsize=(10, 4.5), layout="constrained", sharey=True)
    for cell, losses in bits.items():
        share = np.arange(1, len(losses) + 1) / len(losses)
        for axes, whole in zip(both, (len(losses) * options.batch * options.window / 1e6, seconds[cell])):
            axes.plot(*smooth(share * whole, losses), color=COLOURS[cell], label=command_line.CELLS[cell])
    both[0].set(xlabel="characters read (millions)", ylabel="bits per character, training", title="by what was read")
    both[1].set(xlabel="seconds", title="by time")
    for axes in both:
        axes.axhline(ngram, color="#D55E00", linestyle="--", label=f"{options.n}-gram, held out")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return f"picture            {path}"


def prepare(arguments: list[str] | None) -> tuple[argparse.Namespace, str, nn.Vocabulary, dict[str, CharLM]]:
    """(options, text, vocabulary, models); exits with one line where something is not as it must be, before any work."""
    lines = running.parser(__doc__, epochs=2, out="out/compare_cells")
    lines.add_argument("--text", metavar="FILE", help="UTF-8 text to learn (default: the help topics that come with Python)")
    defaults = {name: number for name, number in command_line.DEFAULTS.items() if name != "cell"}
    for name, number in defaults.items():
        lines.add_argument(f"--{name}", type=running.size, metavar="N", help=f"default: {number}")
    options = running.begin(lines, arguments)
    try:
        weights, facts = load_model(options.load, options.device, "characters", "sizes") if options.load else (None, {})
        loaded = command_line.sizes_of(facts, options.load)
        text = python_help() if options.text is None else read_text(options.text)
    except ValueError as error:
        lines.error(str(error))
    text = text[:QUICK_CHARACTERS] if options.quick else text
    for name, number in {**(QUICK if options.quick else defaults), **loaded}.items():
        if getattr(options, name) not in (None, number) and name in loaded:
            lines.error(f"--{name} {getattr(options, name)}, but the models in {options.load} have {number}; leave --{name} out")
        setattr(options, name, getattr(options, name) or number)
    command_line.require_length(lines, options, *split(text))
    options.resume, options.facts, options.n = None, {}, command_line.QUICK_BASELINE if options.quick else command_line.BASELINE
    letters = vocabulary(facts.get("characters") or split(text)[0])
    sizes = {name: getattr(options, name) for name in command_line.SIZES}
    models = {cell: CharLM(len(letters), **sizes, cell=cell).to(options.device) for cell in command_line.CELLS}
    try:
        if weights is not None:
            put_weights(nn.ModuleDict(models), weights, options.load)
    except ValueError as error:
        lines.error(str(error))
    return options, text, letters, models


def main(arguments: list[str] | None = None) -> None:
    """Train all three, or load them, and compare; the last line printed is the one that matters."""
    options, text, letters, models = prepare(arguments)
    train_part, held_out = (numbered(letters, part) for part in split(text))
    print(f"{len(text):,} characters, {len(letters)} symbols; the last tenth is held out", flush=True)
    ngram = NGram(options.n, len(letters)).fit(train_part).bits_per_character(held_out, before=train_part[1 - options.n :])
    seconds: dict[str, float] = {}
    if not options.load:
        bits, seconds = compare(models, train_part, options)
        options.read = len(bits["lstm"]) * options.batch * options.window
        sizes = {name: getattr(options, name) for name in command_line.SIZES}
        save_model(options.save, nn.ModuleDict(models), characters="".join(list(letters)[1:]), sizes=sizes)
        print(f"models             {options.save}")
        print(draw(Path(options.out) / "cells.png", bits, seconds, ngram, options))
    report(models, np.append(train_part[-1:], held_out), ngram, seconds, options)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted") from None
