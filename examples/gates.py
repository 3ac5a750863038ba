"""What the gates of an LSTM and of a GRU do while they read: which units remember short, and which long.

    python examples/gates.py                         # three quarters of a minute
    python examples/gates.py --text novel.txt --passage "It was a dark and stormy night"
    python examples/gates.py --load out/gates/model.safetensors --passage "def f(x): return x"

Read the first hundred lines. Both networks learn to guess the next character of a text. At each step an LSTM keeps f of its memory c,
and a GRU keeps z of its memory h; what was there k steps ago has been multiplied by k of these numbers:

    LSTM   c[t] = f[t] c[t-1] + i[t] g[t]             GRU   h[t] = z[t] h[t-1] + (1 - z[t]) n[t]

so a unit forgets with a time constant of about τ = -1 / ln(mean f): after τ characters 1/e, about a third, is left. Units with a long
memory keep something at every character; many with a short one keep a word, and let go of it at the space. The GRU's z does what the
LSTM's f does, and its 1 - z stands for the input gate; its r, which the LSTM lacks, says how much of h the candidate n looks at
(what n takes over from h in this way is a second memory, which τ does not count).
Beside it: text_data.py (text, vocabulary, streams), gate_maps.py (tables and heat maps), running.py, chosen.py, saved_model.py.

Sizes: T steps, B streams, I embedding, H hidden, V symbols.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import minigrad as mg
import minigrad_nn as nn
import numpy as np
from minigrad_nn import optim

import running
from chosen import complete
from gate_maps import draw_beside, draw_gates, draw_time_constants, unit_table, write_steps
from saved_model import load_model, save_model
from text_data import numbered, parallel_streams, python_help, read_text, split, vocabulary

KEEPS = {"LSTM": "f", "GRU": "z"}  # the gate that says how much of its memory a unit keeps


class Reader(nn.Module):
    """Scores for the next character after each character read so far."""

    def __init__(self, kind: str, symbols: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, embedding)
        self.recurrent = getattr(nn, kind)(embedding, hidden)
        self.scores = nn.Linear(hidden, symbols)

    def forward(self, x: mg.Tensor, state: mg.Tensor | tuple | None = None) -> tuple[mg.Tensor, mg.Tensor | tuple]:
        """(scores, last state) for symbols x (T, B), read on from `state`."""
        h, state = self.recurrent(self.embedding(x), state)  # (T, B, H)
        return self.scores(h), state  # (T, B, V)

    @mg.no_grad()
    def look(self, x: mg.Tensor) -> dict[str, np.ndarray]:
        """Every gate, and the states, while symbols x (T,) are read: (T, H) by name."""
        _, _, seen = self.recurrent(self.embedding(x[:, None]), return_steps=True)
        return {name: each.squeeze(1).cpu().numpy() for name, each in seen[0].items()}


def mean_loss(scores: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
    """Mean of -ln p of the characters that came: scores (T, B, V), y (T, B)."""
    return nn.functional.cross_entropy(scores.flatten(0, 1), y.flatten())


def train(model: Reader, numbers: np.ndarray, options: argparse.Namespace, bar: running.tqdm) -> None:
    """Train in place: back-propagation through windows of T steps, the state going on from one to the next."""
    T, B = options.window, options.batch
    inputs, targets = (mg.tensor(each, device=options.device) for each in parallel_streams(numbers, B))  # (characters / B, B)
    windows = len(inputs) // T
    optimizer = optim.Adam(model.parameters(), lr=options.lr)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs * windows)
    for _ in range(options.epochs):
        state = None
        for start in range(0, windows * T, T):
            x, y = inputs[start : start + T], targets[start : start + T]  # (T, B)
            scores, state = model(x, state)
            loss = mean_loss(scores, y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            state = tuple(each.detach() for each in state) if isinstance(state, tuple) else state.detach()
            bar.set_postfix_str(f"{loss.item() / math.log(2):.3f} bits per character", refresh=False)
            bar.update(T * B)


@mg.no_grad()
def bits_per_character(model: Reader, numbers: np.ndarray, device: str, B: int = 16) -> float:
    """Mean of -log2 p over `numbers`, read as B streams."""
    inputs, targets = (mg.tensor(each, device=device) for each in parallel_streams(numbers, B))
    nats, state = 0.0, None
    for x, y in zip(inputs.split(100), targets.split(100)):
        scores, state = model(x, state)
        nats += mean_loss(scores, y).item() * y.numel()
    return nats / targets.numel() / math.log(2)


def time_constants(kept: np.ndarray) -> np.ndarray:
    """τ of each unit, in characters, of whose memory the parts `kept` (T, H) were kept step after step."""
    return -1 / np.log(np.clip(kept.mean(0, dtype=np.float64), 1e-9, 1 - 1e-9))


# ------------------------------------------------------------------------ around it: what is asked for, what is shown

SAVED = {"embedding": 32, "hidden": 64}
DEFAULTS = {**SAVED, "epochs": 8, "batch": 32, "window": 100, "lr": 5e-3}
QUICK = {"embedding": 16, "hidden": 32, "epochs": 3, "batch": 16, "window": 25, "lr": 2e-2}
QUICK_CHARACTERS = 20_000
LOOKED_AT = 10_000  # characters of the held-out part over which gates are averaged
SHOWN = 72  # characters under a heat map


def parser() -> argparse.ArgumentParser:
    """What the command line may say; options left out are None until `complete` fills them in."""
    lines = running.parser(__doc__, epochs=DEFAULTS["epochs"], out="out/gates")
    lines.set_defaults(epochs=None)
    add = lines.add_argument
    add("--text", metavar="FILE", help="UTF-8 text to learn (default: the help topics that come with Python)")
    add("--passage", metavar="TEXT", help="what to draw the gates over (default: the beginning of a line that was held out)")
    add("--embedding", type=running.size, metavar="I", help=f"size of a character's vector (default: {DEFAULTS['embedding']})")
    add("--hidden", type=running.size, metavar="H", help=f"units (default: {DEFAULTS['hidden']})")
    add("--batch", type=running.size, metavar="B", help=f"streams read side by side (default: {DEFAULTS['batch']})")
    add("--window", type=running.size, metavar="T", help=f"steps between two updates (default: {DEFAULTS['window']})")
    add("--lr", type=running.positive, metavar="X", help=f"Adam's learning rate at the start; it falls to 0 (default: {DEFAULTS['lr']:g})")
    return lines


def prepared(arguments: list[str] | None) -> tuple[argparse.Namespace, tuple[str, str], nn.Vocabulary, nn.ModuleDict]:
    """(options, both parts of the text, vocabulary, models); exits with one line where something is not as it must be, before any work."""
    lines = parser()
    options = running.begin(lines, arguments)
    try:
        text = read_text(options.text) if options.text else python_help()
        weights, facts = load_model(options.load, options.device, "characters", "sizes") if options.load else (None, {"sizes": {}})
    except ValueError as wrong:
        lines.error(str(wrong))
    complete(lines, options, QUICK if options.quick else DEFAULTS, facts["sizes"])
    parts = split(text[:QUICK_CHARACTERS] if options.quick else text)
    least = options.batch * options.window + 1
    if len(parts[0]) < least or len(parts[1]) < 100:
        lines.error(f"the text is too short: {len(parts[0])} characters to learn of at least {least}, {len(parts[1])} held out of 100")
    letters = vocabulary(facts.get("characters") or parts[0])
    if options.passage == "":
        lines.error("--passage is empty")
    missing = "".join(sorted(set(options.passage or "") - set(letters)))
    if missing:
        lines.error(f"--passage has characters that the text for training does not: {missing!r}")
    models = nn.ModuleDict({kind: Reader(kind, len(letters), options.embedding, options.hidden) for kind in KEEPS}).to(options.device)
    if weights is not None:
        models.load_state_dict(weights)
    return options, parts, letters, models


def learn(models: nn.ModuleDict, numbers: np.ndarray, letters: nn.Vocabulary, options: argparse.Namespace) -> None:
    """Train both models, and save them."""
    windows = (len(numbers) - 1) // options.batch // options.window
    with running.progress(len(models) * options.epochs * windows * options.window * options.batch, "char") as bar:
        for kind, model in models.items():
            bar.set_description(kind)
            train(model, numbers, options, bar)
    save_model(options.save, models, characters="".join(list(letters)[1:]), sizes={name: getattr(options, name) for name in SAVED})
    print(f"models             {options.save}")


def unigram_bits(numbers: np.ndarray, held_out: np.ndarray, V: int) -> float:
    """Bits per character of knowing only how frequent each character is."""
    counts = np.bincount(numbers, minlength=V) + 1.0
    return float(-np.log2(counts / counts.sum())[held_out].mean())


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks."""
    options, (text, held_out), letters, models = prepared(arguments)
    numbers, unseen = numbered(letters, text), numbered(letters, held_out)
    if not options.load:
        learn(models, numbers, letters, options)
    bits = {kind: bits_per_character(model, unseen, options.device) for kind, model in models.items()}
    passage = options.passage or held_out[held_out.find("\n\n") + 2 :][:SHOWN]
    read, shown = (mg.tensor(each, device=options.device) for each in (unseen[:LOOKED_AT], numbered(letters, passage)))

    out, taus = Path(options.out), {}
    for kind, model in models.items():
        seen = model.look(read)
        taus[kind] = time_constants(seen[KEEPS[kind]])
        print(f"\n{kind}: what each unit keeps at a step ({KEEPS[kind]}), over {len(read)} held-out characters\n")
        print(unit_table(seen, KEEPS[kind], taus[kind], held_out))
        print(draw_gates(out / f"{kind.lower()}.png", kind, model.look(shown), taus[kind], passage))
    print(draw_beside(out / "f_and_z.png", {kind: model.look(shown)[KEEPS[kind]] for kind, model in models.items()}, taus, passage))
    print(draw_time_constants(out / "time_constants.png", taus))
    print(write_steps(out / "gates.svg", models["LSTM"].recurrent, models["LSTM"].embedding(shown[:40, None]), passage[:40]))

    unigram = unigram_bits(numbers, unseen, len(letters))
    for kind, each in taus.items():
        low, middle, high = np.quantile(each, (0, 0.5, 1))
        print(f"{kind}: time constants from {low:.1f} to {high:.1f} characters, half of the units below {middle:.1f}")
    print(f"held-out bits per character: LSTM {bits['LSTM']:.3f}, GRU {bits['GRU']:.3f}, unigram {unigram:.3f}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted") from None
