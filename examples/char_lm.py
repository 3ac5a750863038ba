"""A recurrent network that learns a text character by character, and how much better it guesses the next one than n-gram models do.

    python examples/char_lm.py                       # about a minute and a half on two cores
    python examples/char_lm.py --text novel.txt --cell gru --layers 2 --epochs 3 --prefix "Once upon"
    python examples/char_lm.py --resume out/run      # if anything ends it, the same line goes on from there
    python examples/char_lm.py --load out/char_lm/model.safetensors --sample 500
    python examples/char_lm.py --explain             # the tape of one tiny step, with its numbers

Read as far as the ruled line: the model, the training loop, the sampler. Beside it: text_data.py (text, vocabulary, streams), ngram.py
(what there is to beat), measuring.py and growth.py (how well both do), options.py and preparing.py (what can be asked for), resuming.py,
stopping.py, plots.py, tiny_tapes.py and what all examples share. compare_cells.py trains all three cells.

Sizes: T steps, B streams, I embedding, H hidden, L layers, V symbols.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import Any

import minigrad as mg
import minigrad_nn as nn
import numpy as np
from minigrad_nn import optim

import options as command_line
import running
from growth import growth_table
from measuring import measure
from plots import growth_plot, loss_curve
from preparing import prepare, sizes
from resuming import Run
from saved_model import save_model
from stopping import Stopper
from text_data import numbered, parallel_streams, split
from tiny_tapes import explain, write_graph

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

    def loss(self, scores: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
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
            loss = model.loss(scores, y)
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
def sample(model: CharLM, prefix: list[int], length: int, temperature: float, device: str) -> list[int]:
    """`length` symbols drawn one after another; a low temperature prefers the likely ones."""
    x, state, drawn = mg.tensor(prefix, device=device)[:, None], None, []  # (T, 1)
    for _ in range(length):
        scores, state = model(x, state)
        p = (scores[-1] / temperature).softmax(-1)  # (1, V)
        x = mg.multinomial(p, 1)  # (1, 1)
        drawn.append(x.item())
    return drawn


# ------------------------------------------------------------------------ around it: what is done with them, what is shown


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


def write_samples(model: CharLM, letters: nn.Vocabulary, options: argparse.Namespace, length: int) -> None:
    """Print samples at three temperatures, and write them to samples.txt."""
    prefix, text = options.prefix, ""
    for temperature in (0.5, 0.8, 1.0):
        drawn = sample(model, letters.encode(prefix), length, temperature, options.device)
        text += f"--- temperature {temperature}\n{prefix}{''.join(letters.decode(drawn))}\n\n"
    path = Path(options.out) / "samples.txt"
    path.write_text(text, encoding="utf-8")
    print(f"\n{text}samples            {path}")


def report(options: argparse.Namespace, text: str, letters: nn.Vocabulary, model: CharLM) -> None:
    """Train if that was asked for, measure, draw; the last line printed is the one that matters."""
    parameters = sum(each.numel() for each in model.parameters())
    print(f"{len(text):,} characters, {len(letters)} symbols, {parameters:,} parameters; the last tenth is held out", flush=True)
    bits, stopper = learn(options, text, letters, model) if options.train else ([], Stopper(0))
    train_part, held_out = (numbered(letters, part) for part in split(text))
    cell, n, out = command_line.CELLS[options.cell], options.baseline, Path(options.out)
    growth = measure(model, cell, train_part, held_out, len(letters), options.device)
    ngram = growth.ngram[n - 1]
    if bits:
        print(loss_curve(out / "loss.png", cell, bits, options.batch * options.window, growth.whole, n, ngram))
    print(growth_plot(out / "growth.png", growth))
    if not stopper.interrupted:
        print(write_graph(model, letters, split(text)[0], out / "graph.svg", options.device))
        write_samples(model, letters, options, 300)
    else:
        print("no graph and no samples after Ctrl-C: --load the model and --sample N for some")
    print(f"\n{growth_table(growth)}\n\nheld out, {len(held_out):,} characters{f'{n}-gram':>11}{cell:>10}")
    print(f"bits per character        {ngram:10.3f}{growth.whole:10.3f}")
    print(f"perplexity                {2**ngram:10.3f}{2**growth.whole:10.3f}")
    print(f"held-out bits per character: {cell} {growth.whole:.3f}, {n}-gram {ngram:.3f}")


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks."""
    if "--explain" in (sys.argv[1:] if arguments is None else arguments):
        options = command_line.parser().parse_args(arguments)
        print(explain(CharLM, options.cell or "lstm", options.seed), flush=True)
        return
    options, text, letters, model = prepare(arguments, CharLM)
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
