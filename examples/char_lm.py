"""An LSTM that learns English character by character, and how much better it guesses the next one than a 5-gram model does.

    python examples/char_lm.py                       # about a minute and a half on two cores
    python examples/char_lm.py --text novel.txt --epochs 3 --prefix "Once upon"
    python examples/char_lm.py --load out/char_lm/model.safetensors --sample 500
    python examples/char_lm.py --explain             # the tape of one tiny step, with its numbers

Read the first hundred lines: the model, the training loop, the held-out measure, the sampler. Beside it: text_data.py (text,
vocabulary, streams), ngram.py (what there is to beat), options.py and running.py, stopping.py, saved_model.py, plots.py.

Sizes: T steps, B streams, I embedding, H hidden, L layers, V symbols.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

import numpy as np
import options as command_line
import running
from ngram import NGram
from plots import loss_curve
from saved_model import load_model, save_model
from stopping import Stopper
from text_data import Vocabulary, parallel_streams, python_help, read_text, split

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn import optim


class CharLM(nn.Module):
    """Scores for the next character after each character read so far."""

    def __init__(self, symbols: int, embedding: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, embedding)
        self.lstm = nn.LSTM(embedding, hidden, layers)
        self.scores = nn.Linear(hidden, symbols)

    def forward(self, x: mg.Tensor, state: tuple | None = None) -> tuple[mg.Tensor, tuple]:
        """(scores, state after the last step) for symbols `x`, read on from `state`."""
        x = self.embedding(x)  # (T, B) -> (T, B, I)
        h, state = self.lstm(x, state)  # (T, B, H), and twice (L, B, H)
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
    state: tuple = ()
    losses = running.Losses()
    with stopper, running.progress(steps * T * B, "char") as bar:
        for step in range(steps):
            start = step % windows * T
            x, y = inputs[start : start + T], targets[start : start + T]  # (T, B)
            state = tuple(each.detach() for each in state) if start else None  # (L, B, H); none where the text begins anew

            scores, state = model(x, state)  # (T, B, V)
            loss = mean_loss(scores, y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = options.lr * (1 - step / steps)
            optimizer.step()

            losses.add(loss)
            bar.set_postfix_str(f"loss {losses.last:.3f}, {losses.last / math.log(2):.3f} bits per character", refresh=False)
            bar.update(T * B)
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
        last = tuple(each[:, -1:] for each in state)  # (L, 1, H)
        nats += mean_loss(model(left_over[:-1], last)[0], left_over[1:]).item() * (len(left_over) - 1)
    return nats / math.log(2) / (len(numbers) - 1)


@mg.no_grad()
def sample(model: CharLM, prefix: np.ndarray, length: int, temperature: float, device: str) -> list[int]:
    """`length` symbols drawn one after another; a low temperature prefers the likely ones."""
    x, state, drawn = mg.tensor(prefix, device=device)[:, None], None, []  # (T, 1)
    for _ in range(length):
        scores, state = model(x, state)
        p = (scores[-1] / temperature).softmax(-1)  # (1, V)
        x = mg.multinomial(p, 1)  # (1, 1)
        drawn.append(x.item())
    return drawn


# ------------------------------------------------------------------------ around it: what is asked for, what is shown


def tiny_step(model: CharLM, text: np.ndarray, device: str) -> mg.Tensor:
    """The loss of one window (T, B), on the tape with every operation of every step."""
    x, y = mg.tensor(text[:-1], device=device), mg.tensor(text[1:], device=device)  # (T, B)
    return mean_loss(model(x)[0], y)


def explain(seed: int) -> str:
    """The tape of one training step as text: two characters read, two predicted, three hidden units."""
    mg.manual_seed(seed)
    letters = Vocabulary("tape")
    model = CharLM(len(letters), embedding=2, hidden=3, layers=1)
    with mg.trace(values=True), nn.path("stepwise"):  # every step on the tape
        loss = tiny_step(model, letters.encode("tap")[:, None], "cpu")
        loss.backward()
    return mg.viz.explain(loss, params=model.named_parameters())


def write_samples(model: CharLM, letters: Vocabulary, options: argparse.Namespace, length: int) -> None:
    """Print samples at three temperatures, and write them to samples.txt."""
    prefix, text = options.prefix, ""
    for temperature in (0.5, 0.8, 1.0):
        drawn = sample(model, letters.encode(prefix), length, temperature, options.device)
        text += f"--- temperature {temperature}\n{prefix}{letters.decode(drawn)}\n\n"
    path = Path(options.out) / "samples.txt"
    path.write_text(text, encoding="utf-8")
    print(f"\n{text}samples            {path}")


def write_graph(model: CharLM, numbers: np.ndarray, options: argparse.Namespace) -> None:
    """Draw what back-propagation walks through in a window of 6 steps and 2 streams."""
    path = Path(options.out) / "graph.svg"
    with nn.path("stepwise"):  # every step on the tape
        loss = tiny_step(model, numbers[:14].reshape(2, 7).T, options.device)  # (7, B): 6 steps and what follows the last
    mg.viz.graph(loss, params=model.named_parameters(), max_steps=6).save(str(path))
    print(f"computation graph  {path}")


def prepare(arguments: list[str] | None) -> tuple[argparse.Namespace, str, Vocabulary, CharLM]:
    """(options, text, vocabulary, model); exits with one line where something is not as it must be, before any work."""
    lines = command_line.parser()
    options = lines.parse_args(arguments)
    if options.sample and not options.load:
        lines.error("--sample needs a trained model: --load FILE")
    running.require_device(lines, options.device)
    running.require_folders(lines, options)
    try:
        text = "" if options.sample else read_text(options.text) if options.text else python_help()
        weights, facts = load_model(options.load, options.device, "characters", "sizes") if options.load else (None, {})
    except ValueError as error:
        lines.error(str(error))
    command_line.complete(lines, options, facts.get("sizes"))
    text = text[: command_line.QUICK_CHARACTERS] if options.quick else text
    if not options.sample:
        command_line.require_length(lines, options, *split(text))
    letters = Vocabulary(facts.get("characters") or split(text)[0])
    command_line.require_known_prefix(lines, options.prefix, letters.missing(options.prefix or ""))
    if options.prefix is None:
        options.prefix = letters.characters[0] if letters.missing("The ") else "The "
    mg.manual_seed(options.seed)
    model = CharLM(len(letters), **{name: getattr(options, name) for name in command_line.SIZES}).to(options.device)
    if weights is not None:
        model.load_state_dict(weights)
    return options, text, letters, model


def learn(options: argparse.Namespace, text: str, letters: Vocabulary, model: CharLM) -> None:
    """Train, save, measure, draw; the last line printed is the one that matters."""
    train_part, held_out = (letters.encode(part) for part in split(text))
    parameters = sum(each.numel() for each in model.parameters())
    print(f"{len(text):,} characters, {len(letters)} symbols, {parameters:,} parameters; the last tenth is held out", flush=True)
    stopper = Stopper(options.seconds)
    bits = train(model, train_part, options, stopper)
    read = len(bits) * options.batch * options.window
    print(f"trained on {read:,} characters in {stopper.took:.1f} s ({read / stopper.took:,.0f} characters/s)", end="")
    print(f"; ended by {stopper.reason}" if stopper.reason else f", {options.epochs:g} passes over the text")
    save_model(options.save, model, characters=letters.characters, sizes={name: getattr(options, name) for name in command_line.SIZES})
    print(f"model              {options.save}", flush=True)

    ngram = NGram(5, len(letters)).fit(train_part).bits_per_character(held_out, before=train_part[-4:])
    lstm = bits_per_character(model, np.append(train_part[-1:], held_out), options.device)
    print(loss_curve(Path(options.out) / "loss.png", bits, options.batch * options.window, lstm, ngram))
    if not stopper.interrupted:
        write_graph(model, train_part, options)
        write_samples(model, letters, options, 300)
    else:
        print("no graph and no samples after Ctrl-C: --load the model and --sample N for some")
    print(f"\nheld out, {len(held_out):,} characters     5-gram      LSTM")
    print(f"bits per character        {ngram:10.3f}{lstm:10.3f}")
    print(f"perplexity                {2**ngram:10.3f}{2**lstm:10.3f}")
    print(f"held-out bits per character: LSTM {lstm:.3f}, 5-gram {ngram:.3f}")


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks."""
    if "--explain" in (sys.argv[1:] if arguments is None else arguments):
        print(explain(command_line.parser().parse_args(arguments).seed), flush=True)
        return
    options, text, letters, model = prepare(arguments)
    if options.sample:
        write_samples(model, letters, options, options.sample)
    else:
        learn(options, text, letters, model)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
