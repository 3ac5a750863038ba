"""What saturation does to slopes, and what happens when gradients explode: NaN, and what clipping and anomaly detection say."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from pathlib import Path

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn import optim

import running
from adding import adding_problem

__all__ = ["explode", "saturation"]


@mg.no_grad()
def saturation(cells: dict[float, nn.RNNCell], x: mg.Tensor) -> str:
    """A table: how a tanh network's states and slopes change with the gain of its weights."""
    rows = []
    for gain, cell in cells.items():
        h, state = [], None
        for t in range(len(x)):
            state = cell(x[t], state)
            h.append(state)
        slopes = 1 - mg.stack(h) ** 2  # (T, B, H)
        flat = (slopes < 0.02).float().mean().item()  # |h| > 0.99
        rows.append([f"{gain:g}", f"{1 - slopes.mean().item():.3f}", f"{slopes.mean().item():.3f}", f"{100 * flat:.1f} %"])
    return running.table(["gain of W_hh", "mean h²", "mean slope 1 - h²", "saturated, |h| > 0.99"], rows)


def explode(T: int, updates: int, device: str, gain: float = 1.5) -> None:
    """Train an RNN of ReLUs whose weights are too large, without clipping and with it, and print how it ends."""
    seed = mg.initial_seed()
    for clip, count, name in ((math.inf, 3, "without clipping"), (1.0, updates, "clipped to norm 1")):
        mg.manual_seed(seed)
        model = network(gain, device)
        losses, norms = descend(model, T, count, clip, device)
        last = sum(losses[-20:]) / len(losses[-20:]) if clip == 1.0 else losses[-1]
        print(f"  {name}: loss {losses[0]:.4g}, its gradient {norms[0]:.3g}", end="")
        print(f"; loss after one update {losses[1]:.4g}, after {count - 1} {last:.4g}")
        if clip == math.inf:
            refused = complaint(lambda model=model: clipped_at_last(model, T, device))
            print(f"  clipped from now on, clip_grad_norm_(…, error_if_nonfinite=True):\n      {refused}")
    mg.manual_seed(seed)
    print(f"  the same without clipping, under detect_anomaly():\n      {complaint(lambda: watched(network(gain, device), T, device))}")


def complaint(work: Callable[[], object]) -> str:
    """What the error says that `work` ends with, wrapped and indented."""
    try:
        work()
    except RuntimeError as error:
        return "\n      ".join(textwrap.wrap(f"{type(error).__name__}: {error}".replace(str(Path.cwd()) + "/", ""), 120))
    return "nothing"


def clipped_at_last(model: nn.Module, T: int, device: str) -> None:
    """Clipping as it should be asked for, where it is too late."""
    loss_of(model, T, device).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)


def watched(model: nn.Module, T: int, device: str) -> None:
    """Training that stops at the first value that is not finite."""
    with mg.autograd.detect_anomaly(), nn.path("stepwise"):
        descend(model, T, 3, math.inf, device)


def network(gain: float, device: str, H: int = 32) -> nn.Module:
    """An RNN of ReLUs, which no saturation holds back, with an orthogonal W_hh times `gain`, and a weighted sum of its state."""
    model = nn.ModuleDict({"rnn": nn.RNN(2, H, nonlinearity="relu"), "sum": nn.Linear(H, 1)})
    nn.init.orthogonal_(model["rnn"].weight_hh_l0, gain)
    return model.to(device)


def loss_of(model: nn.Module, T: int, device: str) -> mg.Tensor:
    """The squared error of one batch."""
    x, y = adding_problem(T, 32, device)
    h, _ = model["rnn"](x)
    return nn.functional.mse_loss(model["sum"](h[-1]).squeeze(1), y)


def descend(model: nn.Module, T: int, updates: int, clip: float, device: str) -> tuple[list[float], list[float]]:
    """(loss, norm of the gradient) of each update of plain gradient descent."""
    optimizer, losses, norms = optim.SGD(model.parameters(), lr=0.01), [], []
    for _ in range(updates):
        loss = loss_of(model, T, device)
        optimizer.zero_grad()
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), clip).item())
        optimizer.step()
        losses.append(loss.item())
    return losses, norms
