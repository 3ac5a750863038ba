"""A missing character is found better with what follows it than with what came before alone: two directions against one.

    python examples/fill_gap.py                                        # Python's help topics; under two minutes on two cores
    python examples/fill_gap.py --text novel.txt --cell lstm
    python examples/fill_gap.py --load out/fill_gap/model.safetensors --fill "I _m hungry" "the s_ring is empty"

"I ___ hungry, I could eat half a pig": the words after the gap say more than those before it. Where a gap is at t, the model puts
together the forward state after t - 1 and the backward state after t + 1, so that neither has seen the character itself. That is why
it has one layer: a second one would read states that have. One direction gets a larger state, so that both have as many parameters.

Beside it: text_data.py (text, vocabulary, split), gaps.py (the n-gram models to beat, tables, pictures), running.py.

Sizes: T characters of a window, B windows, G = T - 2 gaps in each, I embedding, H hidden, V symbols.
"""

from __future__ import annotations

import argparse
import math
import time

import gaps
import numpy as np
import running
from saved_model import save_model
from text_data import numbered, split

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn import optim

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class GapModel(nn.Module):
    """Scores for every character of a window but the first and the last, from the others before it, or from those on both sides."""

    def __init__(self, symbols: int, cell: str, embedding: int, hidden: int, both: bool) -> None:
        super().__init__()
        self.both, self.hidden = both, hidden
        self.embedding = nn.Embedding(symbols, embedding)
        self.recurrent = CELLS[cell](embedding, hidden, bidirectional=both)
        self.scores = nn.Linear(hidden * (2 if both else 1), symbols)

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        """Scores (G, B, V) for the characters 1 … T - 2 of `x` (T, B)."""
        h, _ = self.recurrent(self.embedding(x))  # (T, B, H), or (T, B, 2H): forward and backward
        around = h[:-2, :, : self.hidden]  # (G, B, H): forward, up to the character before the gap
        if self.both:
            around = mg.cat([around, h[2:, :, self.hidden :]], dim=-1)  # (G, B, 2H): and backward, down to the one after it
        return self.scores(around)  # (G, B, V)


def train(model: GapModel, numbers: np.ndarray, options: argparse.Namespace, what: str) -> list[float]:
    """Train the model in place on windows from anywhere in the text; returns the bits per gap of each update."""
    T, B = options.window, options.batch
    text = mg.tensor(numbers, device=options.device)
    places = mg.arange(T, device=options.device)[:, None]  # (T, 1)
    steps = max(1, options.epochs * len(numbers) // (T * B))
    optimizer = optim.Adam(model.parameters(), lr=options.lr)
    schedule = optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    generator = mg.Generator().manual_seed(options.seed)  # both models read the same windows
    bits = []
    with running.progress(steps * T * B, "char", what) as bar:
        for _ in range(steps):
            starts = mg.randint(len(numbers) - T + 1, (1, B), generator=generator).to(options.device)
            x = text[starts + places]  # (T, B)

            scores = model(x)  # (G, B, V)
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), x[1:-1].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()

            bits.append(loss.item() / math.log(2))
            bar.set_postfix_str(f"{bits[-1]:.3f} bits per gap", refresh=False)
            bar.update(T * B)
    return bits


@mg.no_grad()
def distributions(model: GapModel, windows: np.ndarray, device: str) -> np.ndarray:
    """(N, V): how likely each symbol is in the middle of each of `windows` (N, T)."""
    middle, found = windows.shape[1] // 2, []
    for start in range(0, len(windows), 500):
        x = mg.tensor(windows[start : start + 500].T, device=device)  # (T, B)
        found.append(model(x)[middle - 1].softmax(-1).cpu().numpy())  # (B, V)
    return np.concatenate(found)


# ------------------------------------------------------------------------ around it: what is asked for, what is shown


def build(options: argparse.Namespace, symbols: int) -> dict[str, GapModel]:
    """The two models by name; one direction has the size whose number of parameters is closest to that of both."""
    both = GapModel(symbols, options.cell, options.embedding, options.hidden, both=True)
    wanted = count(both)
    low, high = options.hidden, 2 * options.hidden
    while high - low > 1:
        middle = (low + high) // 2
        small = count(GapModel(symbols, options.cell, options.embedding, middle, both=False)) < wanted
        low, high = (middle, high) if small else (low, middle)
    near = [GapModel(symbols, options.cell, options.embedding, hidden, both=False) for hidden in (low, high)]
    one = min(near, key=lambda each: abs(count(each) - wanted))
    return {"one direction": one.to(options.device), "both directions": both.to(options.device)}


def count(model: nn.Module) -> int:
    """How many numbers the model learns."""
    return sum(each.numel() for each in model.parameters())


def learn(models: dict[str, GapModel], train_part: np.ndarray, options: argparse.Namespace) -> dict[str, list[float]]:
    """Train both; returns their losses."""
    losses = {}
    for name, model in models.items():
        started = time.perf_counter()
        losses[name] = train(model, train_part, options, name)
        print(f"{name}: trained in {time.perf_counter() - started:.1f} s", flush=True)
    return losses


def main(arguments: list[str] | None = None) -> None:
    """Train and judge both models, or load them; the last line printed is the one that matters."""
    options, text, letters, facts = gaps.prepare(running.parser(__doc__, epochs=3, out="out/fill_gap"), arguments, list(CELLS))
    models = build(options, len(letters))
    gaps.load(models, facts, options)
    train_part, held_out = (numbered(letters, part) for part in split(text))
    print(f"{len(text):,} characters, {len(letters)} symbols; gaps of the last tenth are held out", flush=True)
    losses = {} if options.load else learn(models, train_part, options)
    if losses:
        save_model(options.save, nn.ModuleDict(models), characters="".join(list(letters)[1:]), sizes=gaps.sizes(options))
        print(f"model              {options.save}")

    windows, answers = gaps.ask(held_out, options.asked)
    guesses = {**gaps.baselines(train_part, windows, len(letters))}
    guesses |= {name: distributions(model, windows, options.device) for name, model in models.items()}
    for sentence in options.fill or gaps.SENTENCES:
        gaps.show_filled(sentence, letters, lambda window: {n: distributions(m, window, options.device)[0] for n, m in models.items()})
    gaps.show_gaps(windows, answers, letters, guesses)
    gaps.report(guesses, answers, {name: count(model) for name, model in models.items()}, losses, options)


if __name__ == "__main__":
    main()
