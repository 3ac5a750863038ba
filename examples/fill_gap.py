"""A missing character, or word, is found better with what follows it than with what came before alone: two directions against one.

    python examples/fill_gap.py                                        # Python's help topics; under two minutes on two cores
    python examples/fill_gap.py --text novel.txt --cell lstm
    python examples/fill_gap.py --load out/fill_gap/model.safetensors --fill "I _m hungry" "the s_ring is empty"
    python examples/fill_gap.py --unit word --out out/fill_gap_words   # the same with words

"I ___ hungry, I could eat half a pig": the words after the gap say more than those before it. Where a gap is at t, the model puts
together the forward state after t - 1 and the backward state after t + 1, so that neither has seen the character itself. That is why
it has one layer: a second one would read states that have. One direction gets a larger state, so that both have as many parameters.

Both are judged beside counting from one side and from both. Words are harder than characters: there are thousands of them, and a text
has fewer of each. Counting then fills more gaps right, for help topics repeat whole phrases and counting remembers them, but it is sure
of much that is wrong: the network needs fewer bits. Only words are asked, and one that the training part hardly has counts as wrong.

Beside it: text_data.py (text, vocabulary, split), gaps.py (what is asked, the n-gram models to beat), gap_tables.py, running.py.

Sizes: T characters (or words) of a window, B windows, G = T - 2 gaps in each, I embedding, H hidden, V symbols.
"""

from __future__ import annotations

import argparse
import math
import time

import minigrad as mg
import minigrad_nn as nn
import numpy as np
from minigrad_nn import optim

import gap_tables
import gaps
import running
from saved_model import save_model
from text_data import numbered, split

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class GapModel(nn.Module):
    """Scores for every character of a window but the first and the last, from the others before it, or from those on both sides."""

    def __init__(self, symbols: int, cell: str, embedding: int, hidden: int, both: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.both, self.hidden = both, hidden
        self.embedding = nn.Embedding(symbols, embedding)
        self.recurrent = CELLS[cell](embedding, hidden, bidirectional=both)
        self.scores = nn.Linear(hidden * (2 if both else 1), symbols)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        """Scores (G, B, V) for the characters 1 … T - 2 of `x` (T, B)."""
        h, _ = self.recurrent(self.dropout(self.embedding(x)))  # (T, B, H), or (T, B, 2H): forward and backward
        around = h[:-2, :, : self.hidden]  # (G, B, H): forward, up to the character before the gap
        if self.both:
            around = mg.cat([around, h[2:, :, self.hidden :]], dim=-1)  # (G, B, 2H): and backward, down to the one after it
        return self.scores(self.dropout(around))  # (G, B, V)


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
    with running.progress(steps * T * B, options.unit, what) as bar:
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
    model.eval()
    for start in range(0, len(windows), 500):
        x = mg.tensor(windows[start : start + 500].T, device=device)  # (T, B)
        found.append(model(x)[middle - 1].softmax(-1).cpu().numpy())  # (B, V)
    return np.concatenate(found)


# ------------------------------------------------------------------------ around it: what is asked for, what is shown


def build(options: argparse.Namespace, symbols: int) -> dict[str, GapModel]:
    """The two models by name; one direction has the size whose number of parameters is closest to that of both."""

    def made(hidden: int, both: bool) -> GapModel:
        return GapModel(symbols, options.cell, options.embedding, hidden, both, gaps.UNITS[options.unit].dropout)

    both = made(options.hidden, True)
    wanted = count(both)
    low, high = options.hidden, 2 * options.hidden
    while high - low > 1:
        middle = (low + high) // 2
        small = count(made(middle, False)) < wanted
        low, high = (middle, high) if small else (low, middle)
    one = min((made(hidden, False) for hidden in (low, high)), key=lambda each: abs(count(each) - wanted))
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
    options, text, symbols, facts = gaps.prepare(running.parser(__doc__, epochs=3, out="out/fill_gap"), arguments, list(CELLS))
    unit = gaps.UNITS[options.unit]
    models = build(options, len(symbols))
    gaps.load(models, facts, options)
    train_part, held_out = (numbered(symbols, unit.cut(part)) for part in split(text))
    print(f"{len(train_part) + len(held_out):,} {unit.name}s, {len(symbols)} symbols; gaps of the last tenth are held out", flush=True)
    losses = {} if options.load else learn(models, train_part, options)
    if losses:
        save_model(options.save, nn.ModuleDict(models), symbols=list(symbols)[1:], sizes=gaps.sizes(options))
        print(f"model              {options.save}")

    asked = unit.asked(symbols)
    windows, answers = gaps.ask(held_out, options.asked, unit.side, asked)
    guesses = gaps.baselines(train_part, windows, len(symbols), unit.orders)
    guesses |= {name: distributions(model, windows, options.device) for name, model in models.items()}
    guesses = {name: gaps.among(p, asked) for name, p in guesses.items()}
    for sentence in options.fill or unit.sentences:
        window = gaps.window_of(sentence, symbols, unit)
        found = {name: gaps.among(distributions(model, window, options.device), asked) for name, model in models.items()}
        print(gap_tables.filled(sentence, symbols, found))
    print(gap_tables.some_gaps(windows, answers, symbols, guesses, unit))
    gap_tables.report(guesses, answers, {name: count(model) for name, model in models.items()}, losses, options)


if __name__ == "__main__":
    main()
