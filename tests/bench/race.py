"""The race: layers of both libraries in every family, kind and size; their memory; and how time and memory grow with T.

Every cell has a name from which it is made again: "train-LSTM-35x20x200x200" is a family, a kind and T, B, I, H.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cells import Job, Library

KINDS = ("RNN", "LSTM", "GRU")
SHAPES = ((35, 20, 200, 200), (100, 32, 256, 256), (64, 64, 512, 512), (50, 1, 128, 128), (100, 128, 64, 64))  # T, B, I, H
FAMILIES = {
    "train": "a training step of one layer: forward and backward, gradients of the input and of every weight",
    "bidirectional": "the same of two layers in both directions",
    "packed": "the same of one layer on packed sequences, their lengths uniform in 1 … T, packing included",
    "inference": "forward of one layer under `no_grad`",
}
LENGTHS = (100, 1000, 10_000)  # T, where growth with T is measured
GROWING = (16, 128, 128)  # B, I, H of those
LONG = (1000, 20, 200, 200)  # T, B, I, H of the training step whose memory is measured


def cell(family: str, kind: str, shape: tuple[int, ...]) -> str:
    """A cell's name."""
    return f"{family}-{kind}-{'x'.join(map(str, shape))}"


def read(name: str) -> tuple[str, str, tuple[int, ...]]:
    """(family, kind, shape) of a cell's name."""
    family, kind, sizes = name.split("-")
    return family, kind, tuple(int(size) for size in sizes.split("x"))


def job(library: Library, name: str) -> Job:
    """The cell of this name; "memory" and "length" are training steps too."""
    family, kind, (steps, batch, features, hidden) = read(name)
    directions = 2 if family == "bidirectional" else 1
    layer = getattr(library.nn, kind)(features, hidden, num_layers=directions, bidirectional=directions == 2)
    rng, torch = np.random.default_rng(0), library.torch
    x = torch.from_numpy(rng.standard_normal((steps, batch, features)).astype(np.float32))
    dy = torch.from_numpy(rng.standard_normal((steps, batch, directions * hidden)).astype(np.float32))
    if family == "inference":
        return Job(_inference(torch, layer, x), 1)
    lengths = torch.from_numpy(_lengths(rng, steps, batch)) if family == "packed" else None
    return Job(_training(library, layer, x.requires_grad_(True), dy, lengths), 1)


def _lengths(rng: Any, steps: int, batch: int) -> Any:
    lengths = rng.integers(1, steps + 1, batch).astype(np.int64)
    lengths[0] = steps
    return lengths


def _inference(torch: Any, layer: Any, x: Any) -> Any:
    def work(_: Any) -> Any:
        with torch.no_grad():
            return layer(x)[0]

    return work


def _training(library: Library, layer: Any, x: Any, dy: Any, lengths: Any) -> Any:
    pack = library.utils.rnn.pack_padded_sequence

    def work(_: Any) -> None:
        x.grad = None
        layer.zero_grad()
        if lengths is None:
            layer(x)[0].backward(dy)
        else:
            y = layer(pack(x, lengths, enforce_sorted=False))[0].data
            y.backward(dy.reshape(-1, dy.shape[2])[: y.shape[0]])

    return work


def warm_up(library: Library, name: str) -> None:
    """The same layer over two steps, so that what a library sets up once is not counted as the cell's memory."""
    _, kind, shape = read(name)
    small = job(library, cell("train", kind, (2, *shape[1:])))
    small.work(None)
