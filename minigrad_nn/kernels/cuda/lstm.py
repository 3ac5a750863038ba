"""The LSTM on a GPU, whole sequence in one launch: drives lstm.cu, and lstm_spread.cu for large layers. Read these.

`forward` and `backward` are called like those of ../lstm.py and give the same, for layers without a projection.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

from minigrad.backend import Array, of

from ..lstm import NAMES
from ..steps import Steps
from . import spread
from .launch import Kernel, rooms
from .steps import Saved as Kept
from .steps import ahead, back, contiguous, entered, gradients, offsets_of, path, projected

__all__ = ["MOST", "NAMES", "Saved", "backward", "forward", "kernels", "on_chip", "spread_out"]

MOST = 128  # units whose weights fit into one block

Weights = tuple[Array, Array, Array | None, Array | None, Array | None]


class Saved(Kept):
    """i, f, g, o (N, 4H) and v = f ⊙ c (N, H)."""

    def gates(self) -> dict[str, Array]:
        """i, f, g and o at every step, (N, H) each."""
        return {name: self.gate(k) for k, name in enumerate("ifgo")}

    def cells(self) -> Array:
        """c at every step, (N, H)."""
        return self.kept["v"] + self.gate(0) * self.gate(2)  # (5)


def kernels(xp: Any, H: int, paired: bool = False) -> tuple[Kernel, Kernel]:
    """Forward and backward for a size, on the current device, or in half of it if `paired`."""
    return on_chip(H) if H <= MOST else spread.over(xp, functools.partial(spread_out, H), paired)


@functools.cache
def spread_out(H: int, room: spread.Room) -> tuple[Kernel, Kernel]:
    """The kernels in lstm_spread.cu and lstm_spread_back.cu: a crew of blocks has the weights between them."""
    ahead = spread.forward_kernel("lstm", H, room, rows=4, units=1)
    return ahead, spread.backward_kernel("lstm", H, room, gates=4)


@functools.cache
def on_chip(H: int) -> tuple[Kernel, Kernel]:
    """The kernels in lstm.cu: a block for each row of the batch, with all weights."""
    threads = -(-H // 8) * 32
    ahead = rooms(rows=4, team=4, columns=H, threads=threads, working=48)
    back = rooms(rows=4, team=16, columns=4 * H, threads=threads, working=48)
    sizes = (("H", H), ("THREADS", threads), ("HELD_FORWARD", ahead.held), ("HELD_BACKWARD", back.held))
    forward = Kernel("lstm.cu", "lstm_forward", sizes, threads, ahead.shared_bytes)
    return forward, Kernel("lstm.cu", "lstm_backward", sizes, threads, back.shared_bytes)


def forward(
    x: Array, steps: Steps, h_0: Array | None, c_0: Array | None, weights: Weights, keep: bool
) -> tuple[Array, Array, Array, Saved | None]:
    """(y, h_n, c_n, saved): the outputs, the last states of each row, and with `keep` what backward needs.

    Shapes: as in ../lstm.py
    Cost: one product with (4H, I) for all rows and one launch; 5H numbers per row are kept
    """
    (w_ih, w_hh, b_ih, b_hh), xp, H = weights[:4], of(x), weights[1].shape[1]
    if any(each is not None for each in weights[4:]):
        raise ValueError("this kernel has no projection; `serves` says what it can do")
    gates, y, offsets = projected(x, w_ih), xp.empty((steps.N, H), x.dtype), offsets_of(xp, steps)
    h_n, c_n = xp.empty((steps.B, H), x.dtype), xp.empty((steps.B, H), x.dtype)
    v = xp.empty((steps.N, H), x.dtype) if keep else None
    given = (contiguous(each) for each in (w_hh, b_ih, b_hh, h_0, c_0))
    ahead(xp, kernels(xp, H, steps.paired)[0], steps, *given, *path(steps, offsets), gates, v, y, h_n, c_n)
    return y, h_n, c_n, Saved(steps, H, offsets, gates=gates, v=v) if keep else None


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, dc_n: Array | None, dcells: Array | None, wanted: Collection[str],
) -> dict[str, Array] | Callable[[], dict[str, Array]]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y, h_n, c_n and of c at every step, any of which may be None.

    Shapes: as in ../lstm.py
    Cost: one launch, and one product for each gradient of weights and inputs
    """
    xp, steps, H, dtype = of(x), saved.steps, saved.hidden_size, x.dtype
    da, h_before = xp.empty((steps.N, 4 * H), dtype), entered(xp, wanted, steps, H, dtype)
    states = {name: xp.empty((steps.B, H), dtype) for name in ("h_0", "c_0")}
    kept = (saved.kept["gates"], saved.kept["v"])
    w_hh, h_0, *given = (contiguous(each) for each in (weights[1], h_0, y, dy, dh_n, dc_n, dcells))
    where = path(steps, saved.offsets)
    later = back(xp, kernels(xp, H, steps.paired)[1], steps, w_hh, h_0, *where, *kept, *given, da, h_before, *states.values())
    return gradients(wanted, steps, x, y, h_0, weights[0], da, da, h_before, states, later)
