"""How well a character model predicts a text that it has not read, beside n-gram models that have read the same."""

from __future__ import annotations

import math

import minigrad as mg
import minigrad_nn as nn
import numpy as np

from growth import LONGEST, Growth
from ngram import NGram
from text_data import parallel_streams

__all__ = ["bits_by_context", "bits_per_character", "measure"]


@mg.no_grad()
def bits_per_character(model: nn.Module, numbers: np.ndarray, device: str, B: int = 16, T: int = 100) -> float:
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
        nats += model.loss(scores, y).item() * y.numel()
    if len(left_over) > 1:
        last = tuple(each[:, -1:] for each in state) if isinstance(state, tuple) else state[:, -1:]  # (L, 1, H)
        nats += model.loss(model(left_over[:-1], last)[0], left_over[1:]).item() * (len(left_over) - 1)
    return nats / math.log(2) / (len(numbers) - 1)


@mg.no_grad()
def bits_by_context(model: nn.Module, numbers: np.ndarray, device: str, longest: int) -> list[float]:
    """Bits per character where the model is shown only the 1, 2, … `longest` characters before; every second place is asked."""
    windows = np.lib.stride_tricks.sliding_window_view(numbers, longest + 1)[::2].T if len(numbers) > longest else numbers[:0]
    if not windows.size:
        return [math.nan] * longest
    scores, _ = model(mg.tensor(windows[:-1], device=device))  # (longest, B, V), from zero states
    y = mg.tensor(windows[1:], device=device)
    return [model.loss(scores[k : k + 1], y[k : k + 1]).item() / math.log(2) for k in range(longest)]


def measure(model: nn.Module, cell: str, train_part: np.ndarray, held_out: np.ndarray, V: int, device: str) -> Growth:
    """The model's bits per character on the held-out text, and those of n-gram models, by the length of what they look at."""
    ngram = NGram(LONGEST, V).fit(train_part)
    by_order = ngram.bits_by_order(held_out, before=train_part[1 - LONGEST :])
    whole = bits_per_character(model, np.append(train_part[-1:], held_out), device)
    by_context = bits_by_context(model, np.append(train_part[-1:], held_out), device, LONGEST - 1)
    parameters = sum(each.numel() for each in model.parameters())
    return Growth.of(ngram, by_order, cell, parameters, by_context, whole)
