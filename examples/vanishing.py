"""How far back a gradient reaches, in an RNN, an LSTM and a GRU, and how long a problem they can learn with it.

    python examples/vanishing.py                     # three quarters of a minute
    python examples/vanishing.py --lengths 10 50 200 --epochs 40
    python examples/vanishing.py --load out/vanishing/model.safetensors

Read the first hundred lines. On its way back the gradient is multiplied by W_hhᵀ and by the slope of the activation once a step:

    ∂L/∂h[t-1] = W_hhᵀ (φ'(…) ∂L/∂h[t])        |φ'| ≤ 1 for tanh, ≤ 1/4 for sigmoid

so it vanishes or explodes with the distance. An LSTM also has ∂L/∂c[t-1] = f[t] ∂L/∂c[t] + …, and its forget gate f may stay at 1.
A sigmoid's gradient is gone within ten steps; tanh's vanishes, lasts for a while or explodes as W_hh is below, at or above 1; with
weights as they are drawn LSTM and GRU lose it too, as f and z are about 1/2: it is an open gate that carries it, whatever W_hh is.
So the RNN learns to add over ten steps and not over twenty, LSTM and GRU over a hundred.
Beside it: exploding.py (saturation, NaN, clipping), adding.py (the problem), vanishing_plots.py, running.py, chosen.py.

Sizes: T steps, B sequences, H hidden.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import minigrad as mg
import minigrad_nn as nn
import numpy as np
from minigrad_nn import optim

import running
from adding import CHANCE, SOLVED, adding_problem
from chosen import complete
from exploding import explode, saturation
from saved_model import load_model, save_model
from vanishing_plots import draw_norms, draw_pair, draw_success

# The networks whose gradients are measured; in the last two a bias opens the gate that keeps the memory: sigmoid(4) = 0.98.
MEASURED = {
    "RNN, sigmoid": lambda H: nn.RNNCell(1, H, nonlinearity="sigmoid"),
    "RNN, tanh": lambda H: nn.RNNCell(1, H),
    "GRU": lambda H: nn.GRUCell(1, H),
    "LSTM": lambda H: nn.LSTMCell(1, H),
    "GRU, z open": lambda H: opened(nn.GRUCell(1, H)),
    "LSTM, f open": lambda H: opened(nn.LSTMCell(1, H)),
}


def opened(cell: nn.RNNCellBase) -> nn.RNNCellBase:
    """The cell with its forget gate, or a GRU's update gate, near 1: both stand second in the biases."""
    H = cell.hidden_size
    with mg.no_grad():
        cell.bias_ih[H : 2 * H] = 4.0
    return cell


def with_gain(cell: nn.RNNCellBase, gain: float) -> nn.RNNCellBase:
    """The cell with `gain` times an orthogonal matrix for each block of W_hh: without slopes, every step multiplies by `gain`."""
    for block in cell.weight_hh.detach().split(cell.hidden_size):
        nn.init.orthogonal_(block, gain)
    return cell


def gradient_norms(cell: nn.RNNCellBase, x: mg.Tensor, toward: mg.Tensor) -> dict[str, np.ndarray]:
    """‖∂L/∂h[t]‖ over the distance T - 1 - t (and of an LSTM ‖∂L/∂c[t]‖), where L looks at h after the last step of x (T, B, 1) only."""
    state, states = None, []
    for t in range(len(x)):
        state = cell(x[t], state)
        h, *c = state if isinstance(state, tuple) else (state,)  # (B, H) each
        for each in (h, *c):
            each.retain_grad()
        states.append((h, *c))
    loss = (h * toward).sum()
    loss.backward()
    gradients = [[each.grad.cpu().numpy().astype(np.float64) for each in (h, *c)] for h, *c in reversed(states)]
    return {name: np.array([np.linalg.norm(each) for each in part]) for name, part in zip("hc", zip(*gradients))}


class Adder(nn.Module):
    """The sum of the two marked numbers, told from the last state."""

    def __init__(self, kind: str, hidden: int) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(2, hidden)
        self.sum = nn.Linear(hidden, 1)

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        """(T, B, 2) → (B,)"""
        h, _ = self.layer(x)  # (T, B, H)
        return self.sum(h[-1]).squeeze(1)


def train(model: Adder, T: int, options: argparse.Namespace, bar: running.tqdm) -> int:
    """Train in place on the adding problem of length T, until it is solved or the updates are used up; returns how many it took."""
    optimizer = optim.Adam(model.parameters(), lr=options.lr)
    updates, recent = 0, CHANCE  # `recent` is a running mean of the loss
    for _ in range(UPDATES * options.epochs):
        x, y = adding_problem(T, options.batch, options.device)  # (T, B, 2), (B,)
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent += 0.05 * (loss.item() - recent)
        updates += 1
        bar.update()
        if recent < SOLVED / 2:
            break
    bar.set_postfix_str(f"loss {recent:.4f}", refresh=False)
    return updates


@mg.no_grad()
def error(model: Adder, T: int, device: str) -> float:
    """Mean squared error on a thousand new problems."""
    x, y = adding_problem(T, 1000, device)
    return nn.functional.mse_loss(model(x), y).item()


# ------------------------------------------------------------------------ around it: what is asked for, what is shown

KINDS = ("RNN", "LSTM", "GRU")
UPDATES = 100  # in an epoch
BY_C = " (∂L/∂c)"
GAINS = (0.5, 1.0, 2.0)
SAVED = {"hidden": 32, "lengths": [5, 10, 20, 50, 100]}
DEFAULTS = {**SAVED, "epochs": 25, "batch": 32, "lr": 1e-2, "steps": 100}
QUICK = {**DEFAULTS, "lengths": [5, 30], "epochs": 6, "steps": 60}


def parser() -> argparse.ArgumentParser:
    """What the command line may say; options left out are None until `complete` fills them in."""
    lines = running.parser(__doc__, epochs=DEFAULTS["epochs"], out="out/vanishing")
    lines.set_defaults(epochs=None)
    add = lines.add_argument
    add("--steps", type=length, metavar="T", help=f"how far back gradients are measured (default: {DEFAULTS['steps']})")
    add("--lengths", type=length, nargs="+", metavar="T", help="lengths of the adding problem (default: 5 10 20 50 100)")
    add("--hidden", type=running.size, metavar="H", help=f"hidden units (default: {DEFAULTS['hidden']})")
    add("--batch", type=running.size, metavar="B", help=f"problems in a batch (default: {DEFAULTS['batch']})")
    add("--lr", type=running.positive, metavar="X", help=f"Adam's learning rate (default: {DEFAULTS['lr']:g})")
    return lines


def length(text: str) -> int:
    """A number of steps for argparse: two marks need two of them."""
    return running.number(int, 2, True)(text)


def prepared(arguments: list[str] | None) -> tuple[argparse.Namespace, nn.ModuleDict]:
    """(options, adders, by kind and length); exits with one line where something is not as it must be, before any work."""
    lines = parser()
    options = running.begin(lines, arguments)
    try:
        weights, facts = load_model(options.load, options.device, "sizes") if options.load else (None, {"sizes": {}})
    except ValueError as wrong:
        lines.error(str(wrong))
    complete(lines, options, QUICK if options.quick else DEFAULTS, facts["sizes"])
    models = nn.ModuleDict({f"{kind}-{T}": Adder(kind, options.hidden) for T in options.lengths for kind in KINDS}).to(options.device)
    if weights is not None:
        models.load_state_dict(weights)
    return options, models


def measure(options: argparse.Namespace) -> dict[float, dict[str, np.ndarray]]:
    """Gradient norms by gain and by network, printed as a table; the LSTM's cell state has rows of its own."""
    x, toward = mg.randn(options.steps, 16, 1, device=options.device), mg.randn(16, options.hidden, device=options.device)
    norms: dict[float, dict[str, np.ndarray]] = {}
    for gain in GAINS:
        norms[gain] = {}
        for name, make in MEASURED.items():
            for part, each in gradient_norms(with_gain(make(options.hidden), gain).to(options.device), x, toward).items():
                norms[gain][name + BY_C if part == "c" else name] = each
    for distance in sorted({min(10, options.steps - 1), options.steps - 1}):
        head = [f"‖∂L/∂h‖ {distance} steps back, of that at the end", *(f"gain {gain:g}" for gain in GAINS)]
        rows = []
        for name in norms[1.0]:
            rows.append([name, *(f"{each[name][distance] / at_end(each, name):.1e}" for each in norms.values())])
        print(running.table(head, rows))
        print()
    return norms


def at_end(norms: dict[str, np.ndarray], name: str) -> float:
    """‖∂L/∂h‖ after the last step, which what came back by c is measured by as well."""
    return float(norms[name.removesuffix(BY_C)][0])


def reach(norms: np.ndarray) -> int:
    """How far back a gradient comes before it is less than a thousandth of what it began as, or the walk ends."""
    small = np.flatnonzero(norms < norms[0] / 1000)
    return int(small[0]) if len(small) else len(norms)


def solve(models: nn.ModuleDict, options: argparse.Namespace) -> dict[str, dict[int, float]]:
    """Train what was not loaded; the errors by kind and length, printed as a table."""
    took: dict[str, int] = {}
    if not options.load:
        with running.progress(len(models) * UPDATES * options.epochs, "update") as bar:
            for index, (name, model) in enumerate(models.items()):
                bar.set_description(name)
                took[name] = train(model, int(name.split("-")[1]), options, bar)
                bar.update((index + 1) * UPDATES * options.epochs - bar.n)  # solved early
        save_model(options.save, models, sizes={name: getattr(options, name) for name in SAVED})
    errors = {kind: {T: error(models[f"{kind}-{T}"], T, options.device) for T in options.lengths} for kind in KINDS}
    rows = []
    for T in options.lengths:
        cells = [f"{errors[kind][T]:.4f} {'solved' if errors[kind][T] < SOLVED else 'failed'}" for kind in KINDS]
        after = [f", {took[f'{kind}-{T}']:4} updates" if took else "" for kind in KINDS]
        rows.append([f"{T} steps", *map(str.__add__, cells, after)])
    print(running.table(["adding problem", *KINDS], rows))
    print(f"(squared error; always answering 1 has {CHANCE:.4f}, solved is below {SOLVED:.4f})")
    return errors


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks."""
    options, models = prepared(arguments)
    out = Path(options.out)
    print(f"How far a gradient reaches back, {options.hidden} units\n")
    norms = measure(options)
    cells = {gain: with_gain(nn.RNNCell(1, options.hidden), gain).to(options.device) for gain in (0.5, 1.0, 2.0, 4.0, 8.0)}
    print(f"Saturation of tanh\n\n{saturation(cells, mg.randn(options.steps, 16, 1, device=options.device))}")
    print("\nExploding: an RNN of ReLUs with gain 1.5\n")
    explode(100, 200 if options.quick else 1500, options.device)
    print("\nLearning to add two numbers out of many\n", flush=True)
    errors = solve(models, options)
    print()
    if not options.load:
        print(f"models             {options.save}")
    print(draw_norms(out / "gradients.png", norms))
    print(draw_success(out / "adding.png", errors, CHANCE, SOLVED))
    print(draw_pair(out / "rnn_lstm.svg"))
    longest = {kind: max((T for T, each in found.items() if each < SOLVED), default=0) for kind, found in errors.items()}
    print("\nlongest adding problem solved: " + ", ".join(f"{kind} {T}" for kind, T in longest.items()))
    far = [f"{name} {reach(norms[1.0][name])}" for name in ("RNN, sigmoid", "RNN, tanh", "LSTM, f open")]
    print(f"steps until a gradient is a thousandth, at gain 1, of {options.steps}: {'; '.join(far)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted") from None
