"""The tape of one tiny training step of a character model: as text, with its numbers, and as a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import minigrad as mg
import minigrad_nn as nn
import numpy as np

from text_data import numbered, vocabulary

__all__ = ["explain", "write_graph"]


def _loss(model: nn.Module, text: np.ndarray, device: str) -> mg.Tensor:
    """The loss of one window (T, B), on the tape with every operation of every step."""
    x, y = mg.tensor(text[:-1], device=device), mg.tensor(text[1:], device=device)  # (T, B)
    return model.loss(model(x)[0], y)


def explain(build: Callable[..., nn.Module], cell: str, seed: int) -> str:
    """The tape of one training step as text: two characters read, two predicted, three hidden units."""
    mg.manual_seed(seed)
    letters = vocabulary("tape")
    model = build(len(letters), embedding=2, hidden=3, layers=1, cell=cell)
    with mg.trace(values=True), nn.path("stepwise"):  # every step on the tape
        loss = _loss(model, numbered(letters, "tap")[:, None], "cpu")
        loss.backward()
    return mg.viz.explain(loss, params=model.named_parameters())


def write_graph(model: nn.Module, letters: nn.Vocabulary, text: str, path: Path, device: str) -> str:
    """Draw what back-propagation walks through in 6 steps of 2 streams, the characters read over each; returns a line that says so."""
    both = text[:7], text[-7:]
    with nn.path("stepwise"):  # every step on the tape
        loss = _loss(model, np.stack([numbered(letters, each) for each in both], 1), device)  # (7, B)
    seen = [" and ".join(pair).replace("\n", "↵") for pair in zip(*both)][:6]
    mg.viz.graph(loss, params=model.named_parameters(), max_steps=6, labels=seen).save(str(path))
    return f"computation graph  {path}"
