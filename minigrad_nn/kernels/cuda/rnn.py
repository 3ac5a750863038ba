"""The RNN on a GPU, whole sequence in one launch: drives rnn.cu, and rnn_spread.cu for large layers. Read these.

`forward` and `backward` are called like those of ../rnn.py and give the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

from minigrad.backend import Array, of

from ..rnn import NAMES
from ..steps import Steps
from . import spread
from .launch import Kernel, rooms
from .steps import Saved as Kept
from .steps import ahead, back, contiguous, entered, gradients, offsets_of, path, projected

__all__ = ["ACTIVATIONS", "MOST", "NAMES", "Saved", "backward", "forward", "kernels", "on_chip", "spread_out"]

ACTIVATIONS = ("tanh", "relu", "sigmoid")  # as numbered in rnn.cu
MOST = 256  # units whose weights fit into one block

Weights = tuple[Array, Array, Array | None, Array | None]


class Saved(Kept):
    """Which activation led to y, which is all that backward needs."""

    def __init__(self, steps: Steps, hidden_size: int, offsets: Array | None, activation: str) -> None:
        super().__init__(steps, hidden_size, offsets)
        self.activation = activation


def kernels(xp: Any, H: int, paired: bool = False, activation: str = "tanh") -> tuple[Kernel, Kernel]:
    """Forward and backward for a size, on the current device, or in half of it if `paired`."""
    return on_chip(H, activation) if H <= MOST else spread.over(xp, functools.partial(spread_out, H, activation=activation), paired)


@functools.cache
def on_chip(H: int, activation: str = "tanh") -> tuple[Kernel, Kernel]:
    """The kernels in rnn.cu: a block for each row of the batch, with all weights."""
    threads = -(-H // 32) * 32
    held, shared_bytes = rooms(rows=4, team=4, columns=H, threads=threads, working=47)
    sizes = {"H": H, "THREADS": threads, "HELD_FORWARD": held, "HELD_BACKWARD": held, "ACTIVATION": ACTIVATIONS.index(activation)}
    forward, backward = (Kernel("rnn.cu", name, tuple(sizes.items()), threads, shared_bytes) for name in ("rnn_forward", "rnn_backward"))
    return forward, backward


@functools.cache
def spread_out(H: int, room: spread.Room, activation: str = "tanh") -> tuple[Kernel, Kernel]:
    """The kernels in rnn_spread.cu and rnn_spread_back.cu: a crew of blocks has the weights between them."""
    number = ACTIVATIONS.index(activation)
    ahead = spread.forward_kernel("rnn", H, room, rows=4, units=4, ACTIVATION=number)
    return ahead, spread.backward_kernel("rnn", H, room, gates=1, ACTIVATION=number)


def forward(
    x: Array, steps: Steps, h_0: Array | None, weights: Weights, activation: str, keep: bool
) -> tuple[Array, Array, Saved | None]:  # fmt: skip
    """(y, h_n, saved): the outputs, the last state of each row, and with `keep` what backward needs.

    Shapes: as in ../rnn.py
    Cost: one product with (H, I) for all rows and one launch; nothing is kept but y
    """
    (w_ih, *others), xp, H = weights, of(x), weights[1].shape[1]
    y, h_n, offsets = projected(x, w_ih), xp.empty((steps.B, H), x.dtype), offsets_of(xp, steps)
    given = (contiguous(each) for each in (*others, h_0))
    ahead(xp, kernels(xp, H, steps.paired, activation)[0], steps, *given, *path(steps, offsets), y, h_n)
    return y, h_n, Saved(steps, H, offsets, activation) if keep else None


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, wanted: Collection[str],
) -> dict[str, Array] | Callable[[], dict[str, Array]]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y and h_n, either of which may be None.

    Shapes: as in ../rnn.py
    Cost: one launch, and one product for each gradient of weights and inputs
    """
    xp, steps, H, dtype = of(x), saved.steps, saved.hidden_size, x.dtype
    da, h_before = xp.empty((steps.N, H), dtype), entered(xp, wanted, steps, H, dtype)
    dh_0 = xp.empty((steps.B, H), dtype)
    w_hh, h_0, y, dy, dh_n = (contiguous(each) for each in (weights[1], h_0, y, dy, dh_n))
    where = path(steps, saved.offsets)
    later = back(xp, kernels(xp, H, steps.paired, saved.activation)[1], steps, w_hh, h_0, *where, y, dy, dh_n, da, h_before, dh_0)
    return gradients(wanted, steps, x, y, h_0, weights[0], da, da, h_before, {"h_0": dh_0}, later)
