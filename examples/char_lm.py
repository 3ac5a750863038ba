"""A recurrent network that learns a text character by character, and how much better it guesses the next one than n-gram models do.

    python examples/char_lm.py                       # about a minute and a half on two cores
    python examples/char_lm.py --text novel.txt --cell gru --layers 2 --epochs 3 --prefix "Once upon"
    python examples/char_lm.py --resume out/run      # if anything ends it, the same line goes on from there
    python examples/char_lm.py --load out/char_lm/model.safetensors --sample 500
    python examples/char_lm.py --explain             # the tape of one tiny step, with its numbers

Read as far as the ruled line: the model, the training loop, the held-out measure, the sampler. Beside it: text_data.py (text,
vocabulary, streams), ngram.py (what there is to beat), growth.py, resuming.py, stopping.py, downloads.py, saved_model.py, plots.py,
options.py and running.py. compare_cells.py trains all three cells.

Sizes: T steps, B streams, I embedding, H hidden, L layers, V symbols.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import sys
from pathlib import Path
from typing import Any

import downloads
import numpy as np
import options as command_line
import running
from growth import LONGEST, Growth, growth_table
from ngram import NGram
from plots import growth_plot, loss_curve
from resuming import Run, require_same_run
from saved_model import load_model, put_weights, save_model
from stopping import Stopper
from text_data import numbered, parallel_streams, python_help, read_text, split, vocabulary

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn import optim

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class CharLM(nn.Module):
    """Scores for the next character after each character read so far."""

    def __init__(self, symbols: int, embedding: int, hidden: int, layers: int, cell: str = "lstm") -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, embedding)
        self.recurrent = CELLS[cell](embedding, hidden, layers)
        self.scores = nn.Linear(hidden, symbols)

    def forward(self, x: mg.Tensor, state: Any = None) -> tuple[mg.Tensor, Any]:
        """(scores, state after the last step) for symbols `x`, read on from `state`."""
        x = self.embedding(x)  # (T, B) -> (T, B, I)
        h, state = self.recurrent(x, state)  # (T, B, H), and (L, B, H); an LSTM's state is two of them
        return self.scores(h), state  # (T, B, V)


def mean_loss(scores: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
    """Mean of -ln p of the characters that came: `scores` (T, B, V), `y` (T, B)."""
    return nn.functional.cross_entropy(scores.flatten(0, 1), y.flatten())  # (T*B, V), (T*B,)


def train(model: CharLM, numbers: np.ndarray, options: argparse.Namespace, stopper: Stopper) -> list[float]:
    """Train the model in place; returns the bits per character of each window.

    Back-propagation through time is truncated: the state goes on from one window to the next, the gradient does not.
    """
    T, B = options.window, options.batch
    inputs, targets = (mg.tensor(each, device=options.device) for each in parallel_streams(numbers, B))  # (characters / B, B)
    windows = len(inputs) // T
    steps = max(1, round(options.epochs * windows))
    optimizer = optim.Adam(model.parameters(), lr=options.lr)
    schedule = optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    run = Run(options.resume, options.facts, model=model, optimizer=optimizer, scheduler=schedule)
    losses, state = run.begin(options.device)  # where --resume says, or at the beginning
    done = len(losses.numbers)
    with stopper, running.progress(steps * T * B, "char") as bar:
        bar.n = bar.initial = done * T * B
        for step in range(done, steps):
            start = step % windows * T
            x, y = inputs[start : start + T], targets[start : start + T]  # (T, B)
            state = nn.detach_state(state) if start else None  # (L, B, H); none where the text begins anew

            scores, state = model(x, state)  # (T, B, V)
            loss = mean_loss(scores, y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()

            losses.add(loss)
            bar.set_postfix_str(f"loss {losses.last:.3f}, {losses.last / math.log(2):.3f} bits per character", refresh=False)
            bar.update(T * B)
            run.keep(step + 1, losses, state, now=stopper.reason or step + 1 == steps)
            if stopper.reason:
                break
    return [loss / math.log(2) for loss in losses.all()]


@mg.no_grad()
def bits_per_character(model: CharLM, numbers: np.ndarray, device: str, B: int = 16, T: int = 100) -> float:
    """Mean of -log2 p over all of `numbers` but the first, which is only read.

    The text is cut into B streams, and the last one then reads the few characters left over: each is predicted exactly once.
    """
    B = min(B, len(numbers) - 1)
    inputs, targets = (mg.tensor(each, device=device) for each in parallel_streams(numbers, B))
    left_over = mg.tensor(numbers[inputs.numel() :], device=device)[:, None]
    nats, state = 0.0, None
    for start in range(0, len(inputs), T):
        x, y = inputs[start : start + T], targets[start : start + T]  # (T, B)
        scores, state = model(x, state)  # (T, B, V)
        nats += mean_loss(scores, y).item() * y.numel()
    if len(left_over) > 1:
        last = tuple(each[:, -1:] for each in state) if isinstance(state, tuple) else state[:, -1:]  # (L, 1, H)
        nats += mean_loss(model(left_over[:-1], last)[0], left_over[1:]).item() * (len(left_over) - 1)
    return nats / math.log(2) / (len(numbers) - 1)


@mg.no_grad()
def sample(model: CharLM, prefix: list[int], length: int, temperature: float, device: str) -> list[int]:
    """`length` symbols drawn one after another; a low temperature prefers the likely ones."""
    x, state, drawn = mg.tensor(prefix, device=device)[:, None], None, []  # (T, 1)
    for _ in range(length):
        scores, state = model(x, state)
        p = (scores[-1] / temperature).softmax(-1)  # (1, V)
        x = mg.multinomial(p, 1)  # (1, 1)
        drawn.append(x.item())
    return drawn


# ------------------------------------------------------------------------ around it: what is asked for, what is shown


@mg.no_grad()
def bits_by_context(model: CharLM, numbers: np.ndarray, device: str, longest: int) -> list[float]:
    """Bits per character where the model is shown only the 1, 2, … `longest` characters before; every second place is asked."""
    windows = np.lib.stride_tricks.sliding_window_view(numbers, longest + 1)[::2].T if len(numbers) > longest else numbers[:0]
    if not windows.size:
        return [math.nan] * longest
    scores, _ = model(mg.tensor(windows[:-1], device=device))  # (longest, B, V), from zero states
    y = mg.tensor(windows[1:], device=device)
    return [mean_loss(scores[k : k + 1], y[k : k + 1]).item() / math.log(2) for k in range(longest)]


def tiny_step(model: CharLM, text: np.ndarray, device: str) -> mg.Tensor:
    """The loss of one window (T, B), on the tape with every operation of every step."""
    x, y = mg.tensor(text[:-1], device=device), mg.tensor(text[1:], device=device)  # (T, B)
    return mean_loss(model(x)[0], y)


def explain(options: argparse.Namespace) -> str:
    """The tape of one training step as text: two characters read, two predicted, three hidden units."""
    mg.manual_seed(options.seed)
    letters = vocabulary("tape")
    model = CharLM(len(letters), embedding=2, hidden=3, layers=1, cell=options.cell or "lstm")
    with mg.trace(values=True), nn.path("stepwise"):  # every step on the tape
        loss = tiny_step(model, numbered(letters, "tap")[:, None], "cpu")
        loss.backward()
    return mg.viz.explain(loss, params=model.named_parameters())


def write_samples(model: CharLM, letters: nn.Vocabulary, options: argparse.Namespace, length: int) -> None:
    """Print samples at three temperatures, and write them to samples.txt."""
    prefix, text = options.prefix, ""
    for temperature in (0.5, 0.8, 1.0):
        drawn = sample(model, letters.encode(prefix), length, temperature, options.device)
        text += f"--- temperature {temperature}\n{prefix}{''.join(letters.decode(drawn))}\n\n"
    path = Path(options.out) / "samples.txt"
    path.write_text(text, encoding="utf-8")
    print(f"\n{text}samples            {path}")


def write_graph(model: CharLM, letters: nn.Vocabulary, text: str, options: argparse.Namespace) -> None:
    """Draw what back-propagation walks through in a window of 6 steps and 2 streams; over each step stand the characters read."""
    path = Path(options.out) / "graph.svg"
    both = text[:7], text[-7:]
    with nn.path("stepwise"):  # every step on the tape
        loss = tiny_step(model, np.stack([numbered(letters, each) for each in both], 1), options.device)  # (7, B)
    seen = [" and ".join(pair).replace("\n", "↵") for pair in zip(*both)][:6]
    mg.viz.graph(loss, params=model.named_parameters(), max_steps=6, labels=seen).save(str(path))
    print(f"computation graph  {path}")


def prepare(arguments: list[str] | None) -> tuple[argparse.Namespace, str, nn.Vocabulary, CharLM]:
    """(options, text, vocabulary, model); exits with one line where something is not as it must be, before any work."""
    lines = command_line.parser()
    options = lines.parse_args(arguments)
    command_line.require_fitting(lines, options)
    running.require_device(lines, options.device)
    running.require_folders(lines, options)
    try:
        weights, facts = load_model(options.load, options.device, "characters", "cell", "sizes") if options.load else (None, {})
        loaded = command_line.sizes_of(facts, options.load, "cell")
        text = "" if options.sample else the_text(options)
    except ValueError as error:
        lines.error(str(error))
    command_line.complete(lines, options, loaded)
    if not options.sample:
        command_line.require_length(lines, options, *split(text))
        command_line.complete_epochs(options, len(split(text)[0]))
    letters = vocabulary(facts.get("characters") or split(text)[0])
    command_line.require_known_prefix(lines, options.prefix, letters)
    options.prefix = options.prefix or beginning(letters)
    mg.manual_seed(options.seed)
    model = CharLM(len(letters), **sizes(options), cell=options.cell).to(options.device)
    try:
        if weights is not None:
            put_weights(model, weights, options.load)
        options.facts = facts_of(options, text)
        if options.resume and Path(options.resume).exists():
            require_same_run(options.resume, model, options.facts)
    except ValueError as error:
        lines.error(str(error))
    return options, text, letters, model


def the_text(options: argparse.Namespace) -> str:
    """The text that was asked for; ValueError that says in one line why it cannot be had."""
    name = options.download
    if name:
        return read_text(str(downloads.fetch(name, downloads.TEXTS[name], downloads.cache_folder())))
    return python_help() if options.text is None else read_text(options.text)


def beginning(letters: nn.Vocabulary) -> str:
    """What samples begin with where nobody said: an English word if most characters are of that script, or the first letter of another."""
    known = list(letters)[1:]
    foreign = [each for each in known if each.isalpha() and not each.isascii()]
    if 2 * len(foreign) < len(known) and not set("The ") - set(known):
        return "The "
    return next(iter(foreign), next(filter(str.isalpha, known), known[0]))


def sizes(options: argparse.Namespace) -> dict[str, int]:
    """The sizes of the model, by name."""
    return {name: getattr(options, name) for name in command_line.SIZES}


def facts_of(options: argparse.Namespace, text: str) -> dict[str, Any]:
    """What a run must have in common with the run it goes on from."""
    names = ("cell", "epochs", "batch", "window", "lr", "seed", "load")
    return {**{name: getattr(options, name) for name in names}, **sizes(options), "text": hashlib.sha256(text.encode()).hexdigest()}


def learn(options: argparse.Namespace, text: str, letters: nn.Vocabulary, model: CharLM) -> tuple[list[float], Stopper]:
    """Train, say how long it took, save; returns the losses and what may have ended it."""
    stopper = Stopper(options.seconds)
    bits = train(model, numbered(letters, split(text)[0]), options, stopper)
    read = len(bits) * options.batch * options.window
    speed = f" ({read / stopper.took:,.0f} characters/s)" if not options.resume else ", what was read before it not counted"
    print(f"trained on {read:,} characters in {stopper.took:.1f} s{speed}", end="")
    print(f"; ended by {stopper.reason}" if stopper.reason else f", {options.epochs:.3g} passes over the text")
    save_model(options.save, model, characters="".join(list(letters)[1:]), cell=options.cell, sizes=sizes(options))
    print(f"model              {options.save}", flush=True)
    return bits, stopper


def measure(options: argparse.Namespace, text: str, letters: nn.Vocabulary, model: CharLM) -> Growth:
    """The model's bits per character on the held-out text, and those of n-gram models, by the length of what they look at."""
    train_part, held_out = (numbered(letters, part) for part in split(text))
    ngram = NGram(LONGEST, len(letters)).fit(train_part)
    by_order = ngram.bits_by_order(held_out, before=train_part[1 - LONGEST :])
    numbers = np.append(train_part[-1:], held_out)
    whole = bits_per_character(model, numbers, options.device)
    by_context = bits_by_context(model, numbers, options.device, LONGEST - 1)
    parameters = sum(each.numel() for each in model.parameters())
    return Growth.of(ngram, by_order, command_line.CELLS[options.cell], parameters, by_context, whole)


def report(options: argparse.Namespace, text: str, letters: nn.Vocabulary, model: CharLM) -> None:
    """Train if that was asked for, measure, draw; the last line printed is the one that matters."""
    parameters = sum(each.numel() for each in model.parameters())
    print(f"{len(text):,} characters, {len(letters)} symbols, {parameters:,} parameters; the last tenth is held out", flush=True)
    bits, stopper = learn(options, text, letters, model) if options.train else ([], Stopper(0))
    growth = measure(options, text, letters, model)
    cell, n, out = growth.cell, options.baseline, Path(options.out)
    ngram = growth.ngram[n - 1]
    if bits:
        print(loss_curve(out / "loss.png", cell, bits, options.batch * options.window, growth.whole, n, ngram))
    print(growth_plot(out / "growth.png", growth))
    if not stopper.interrupted:
        write_graph(model, letters, split(text)[0], options)
        write_samples(model, letters, options, 300)
    else:
        print("no graph and no samples after Ctrl-C: --load the model and --sample N for some")
    print(f"\n{growth_table(growth)}\n\nheld out, {len(split(text)[1]):,} characters{f'{n}-gram':>11}{cell:>10}")
    print(f"bits per character        {ngram:10.3f}{growth.whole:10.3f}")
    print(f"perplexity                {2**ngram:10.3f}{2**growth.whole:10.3f}")
    print(f"held-out bits per character: {cell} {growth.whole:.3f}, {n}-gram {ngram:.3f}")


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks."""
    if "--explain" in (sys.argv[1:] if arguments is None else arguments):
        print(explain(command_line.parser().parse_args(arguments)), flush=True)
        return
    options, text, letters, model = prepare(arguments)
    if options.sample:
        write_samples(model, letters, options, options.sample)
    else:
        report(options, text, letters, model)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
