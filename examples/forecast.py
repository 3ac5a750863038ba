"""The next months of El Niño: an MLP that sees the last values, against RNN, LSTM and GRU that keep a state.

    python examples/forecast.py                      # half a minute
    python examples/forecast.py --data examples/data/seattle.csv --column temp_max
    python examples/forecast.py --data mine.csv --column price --changes
    python examples/forecast.py --load out/forecast/model.safetensors

Read the first hundred lines. Both kinds of model answer the same question, what comes next, and differ in what they keep of the past:

    a window (autoregressive)                  x[t+1] = x[t] + f(x[t-τ+1], …, x[t])
    a hidden state (latent autoregressive)     x[t+1] = x[t] + g(h[t]),   h[t] = cell(x[t], h[t-1])

Further ahead, each reads its own forecasts as if they had come. One month ahead a window of 16 values is nearly enough; five months
ahead every hidden state does better than it, and better than 48 values summed with the best weights. Beside it: series.py (the file,
its parts, the naive and the linear forecast), forecast_plots.py, running.py, chosen.py, saved_model.py, and data/README.md, which says
where the series are from.

Sizes: T steps of a stretch, B stretches, H hidden, τ the window.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import minigrad as mg
import minigrad_nn as nn
import numpy as np
from minigrad_nn import optim
from minigrad_nn.utils.data import DataLoader, TensorDataset

import running
from chosen import complete
from forecast_plots import draw_errors, draw_forecasts
from saved_model import load_model, save_model
from series import Series, errors, histories, last_value, least_squares, prepare, read_series, stretches


class Window(nn.Module):
    """What it keeps is the last τ values."""

    def __init__(self, window: int, hidden: int) -> None:
        super().__init__()
        self.window = window
        self.change = nn.Sequential(nn.Linear(window, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, x: mg.Tensor, before: mg.Tensor | None = None) -> tuple[mg.Tensor, mg.Tensor]:
        """(what comes after each full window of values x (T, B), the last values): windows may begin in the values `before`."""
        x = x if before is None else mg.cat([before, x])
        windows = x.unfold(0, self.window, 1)  # (T - τ + 1, B, τ)
        return windows[:, :, -1] + self.change(windows).squeeze(2), x[len(x) - self.window + 1 :]


class State(nn.Module):
    """What it keeps is up to the cell."""

    def __init__(self, cell: type[nn.RNNBase], hidden: int) -> None:
        super().__init__()
        self.cell = cell(1, hidden)
        self.change = nn.Linear(hidden, 1)

    def forward(self, x: mg.Tensor, state: mg.Tensor | tuple | None = None) -> tuple[mg.Tensor, mg.Tensor | tuple]:
        """(what comes after each of the values x (T, B), the last state), read on from `state`."""
        h, state = self.cell(x.unsqueeze(2), state)  # (T, B, H)
        return x + self.change(h).squeeze(2), state  # (T, B)


def loss_of(model: nn.Module, x: mg.Tensor, first: int) -> mg.Tensor:
    """Mean squared error, one step ahead, of the values x[first:]."""
    forecasts, _ = model(x[:-1])
    y = x[first:]
    return nn.functional.mse_loss(forecasts[-len(y) :], y)


def train(model: nn.Module, series: Series, options: argparse.Namespace, bar: running.tqdm) -> list[tuple[float, float]]:
    """Train in place, and keep the weights that did best on the values after the training part; (both losses) of each epoch."""
    loader = DataLoader(TensorDataset(mg.tensor(stretches(series, options.stretch + 1))), options.batch, shuffle=True)
    known = mg.tensor(series.z[: series.tuned, None], device=options.device)  # (T, 1)
    optimizer = optim.AdamW(model.parameters(), lr=options.lr)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs * len(loader))
    curve: list[tuple[float, float]] = []
    least = float("inf")
    for _ in range(options.epochs):
        total = 0.0
        for (rows,) in loader:
            x = rows.T.to(options.device)  # (T + 1, B)
            loss = loss_of(model, x, first=options.window)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
            bar.update()
        with mg.no_grad():
            chosen_by = loss_of(model, known, first=series.train).item()
        curve.append((total / len(loader), chosen_by))
        if chosen_by < least:
            least, best = chosen_by, {name: each.clone() for name, each in model.state_dict().items()}
        bar.set_postfix_str(f"loss {curve[-1][0]:.4f}, after the training part {chosen_by:.4f}", refresh=False)
    if curve and least < float("inf"):
        model.load_state_dict(best)
    return curve


@mg.no_grad()
def forecast(model: nn.Module, history: mg.Tensor, ahead: int) -> mg.Tensor:
    """What comes after each history (T, N): `ahead` values (ahead, N), of which all but the first follow from forecasts."""
    found, state = model(history)
    steps = [found[-1:]]
    while len(steps) < ahead:
        found, state = model(steps[-1], state)  # its own forecast, as if it had come
        steps.append(found)
    return mg.cat(steps)


# ------------------------------------------------------------------------ around it: what is asked for, what is shown

KINDS = ("MLP", "RNN", "LSTM", "GRU")
SIZES = {"hidden": 32, "window": 16, "stretch": 132, "runs": 3}
DEFAULTS = {**SIZES, "epochs": 30, "batch": 32, "lr": 3e-3, "ahead": 16}
QUICK = {"stretch": 64, "runs": 1, "epochs": 10, "lr": 1e-2}
SERIES = Path(__file__).parent / "data" / "elnino.csv"


def parser() -> argparse.ArgumentParser:
    """What the command line may say; options left out are None until `complete` fills them in."""
    lines = running.parser(__doc__, epochs=DEFAULTS["epochs"], out="out/forecast")
    lines.set_defaults(epochs=None)
    add = lines.add_argument
    add("--data", metavar="FILE", help="a series as comma-separated values (default: El Niño's sea surface temperatures)")
    add("--column", metavar="NAME", help="which column of the file, by name or number (default: the last; of El Niño nino3.4)")
    add("--changes", action="store_true", help="learn how the values change, instead of the values: for a series with a trend")
    add("--hidden", type=running.size, metavar="H", help=f"hidden units (default: {SIZES['hidden']})")
    add("--window", type=running.size, metavar="N", help=f"values that the MLP and the linear forecast see (default: {SIZES['window']})")
    add("--stretch", type=running.size, metavar="T", help=f"values that the others read, from zeros on (default: {SIZES['stretch']})")
    add("--ahead", type=running.size, metavar="N", help=f"how far to forecast (default: {DEFAULTS['ahead']})")
    add("--runs", type=running.size, metavar="N", help=f"train each model so many times (default: {SIZES['runs']})")
    add("--batch", type=running.size, metavar="B", help=f"stretches in a batch (default: {DEFAULTS['batch']})")
    add("--lr", type=running.positive, metavar="X", help=f"learning rate at the start; it falls to 0 (default: {DEFAULTS['lr']:g})")
    return lines


def prepared(arguments: list[str] | None) -> tuple[argparse.Namespace, Series, nn.ModuleDict]:
    """(options, series, models); exits with one line where something is not as it must be, before any work."""
    lines = parser()
    options = running.begin(lines, arguments)
    try:
        weights, facts = load_model(options.load, options.device, "sizes") if options.load else (None, {"sizes": {}})
        name, values = read_series(options.data or str(SERIES), options.column or (None if options.data else "nino3.4"))
        defaults = {**DEFAULTS, **QUICK} if options.quick else DEFAULTS
        shorter = max(len(values) // 3, (options.window or defaults["window"]) + 1)  # where the series is short
        complete(lines, options, {**defaults, "stretch": min(defaults["stretch"], shorter)}, facts["sizes"])
        if options.window >= options.stretch:
            lines.error(f"--window {options.window} must be less than --stretch {options.stretch}")
        series = prepare(name, values, options.changes, options.stretch, options.ahead)
    except ValueError as error:
        lines.error(str(error))
    models = nn.ModuleDict()
    for run in range(options.runs):
        for kind in KINDS:
            model = Window(options.window, options.hidden) if kind == "MLP" else State(getattr(nn, kind), options.hidden)
            models[f"{kind}-{run}"] = model.to(options.device)
    if weights is not None:
        models.load_state_dict(weights)
    return options, series, models


def learn(models: nn.ModuleDict, series: Series, options: argparse.Namespace) -> None:
    """Train and save all models."""
    batches = -(-(series.train - options.stretch) // options.batch)
    with running.progress(len(models) * options.epochs * batches, "batch") as bar:
        for name, model in models.items():
            bar.set_description(name)
            train(model, series, options, bar)
    save_model(options.save, models, sizes={name: getattr(options, name) for name in SIZES})
    print(f"models             {options.save}")


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks."""
    options, series, models = prepared(arguments)
    held_out = series.values[series.tuned :]
    print(f"{series.name}: {series.train} values to learn from, {series.tuned - series.train} to choose by, {len(held_out)} held out")
    known = series.values[: series.tuned]
    if max(held_out.max() - known.max(), known.min() - held_out.min()) > known.std() / 2 and not options.changes:
        print("the held-out values leave the range of those before them: --changes may do better")
    if not options.load:
        learn(models, series, options)

    truth, ahead = series.truth(options.ahead), options.ahead
    simple = {"naive": last_value(series, ahead)}
    simple["mean"] = np.full(truth.shape, series.values[: series.tuned].mean())
    for window in (options.window, 3 * options.window):
        if window < series.tuned // 4:
            simple[f"linear, {window} values"] = least_squares(series, window, ahead)
    found: dict[str, list[np.ndarray]] = {name: [each] for name, each in simple.items()}
    for name, model in models.items():
        history = mg.tensor(histories(series, options.stretch, ahead), device=options.device)
        kind = f"MLP, {options.window} values" if name.startswith("MLP") else name.split("-")[0]
        found.setdefault(kind, []).append(series.in_its_units(forecast(model, history, ahead).T.cpu().numpy()))
    show(found, series, truth, options)


def show(found: dict[str, list[np.ndarray]], series: Series, truth: np.ndarray, options: argparse.Namespace) -> None:
    """The table, the plots, and the line that matters."""
    means = {name: np.mean([errors(each, truth) for each in runs], 0) for name, runs in found.items()}
    worst = {name: max(errors(each, truth)[-1] for each in runs) for name, runs in found.items()}
    out = Path(options.out)
    print(draw_errors(out / "errors.png", means, series.name))
    print(draw_forecasts(out / "forecasts.png", {name: runs[0] for name, runs in found.items()}, truth, series.name))
    print(f"\nroot mean squared error over {len(truth)} forecasts, mean of {options.runs} trained models")
    steps = sorted({0, options.ahead // 4, options.ahead - 1})
    rows = [[name, *(f"{each[step]:.3f}" for step in steps), f"{worst[name]:.3f}"] for name, each in means.items()]
    print(running.table(["", *(f"{step + 1} step{'s' if step else ''}" for step in steps), "worst of them"], rows))
    for step in (0, options.ahead - 1) if options.ahead > 1 else (0,):
        print(f"error {step + 1} ahead: " + ", ".join(f"{name} {each[step]:.3f}" for name, each in means.items()))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted") from None
