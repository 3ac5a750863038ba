"""The GRU on a GPU, whole sequence in one launch: drives gru.cu, and gru_spread.cu for large layers. Read these.

`forward` and `backward` are called like those of ../gru.py and give the same, for the form in which the reset gate acts after the product.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

from minigrad.backend import Array, of

from ..gru import NAMES
from ..steps import Steps
from . import spread
from .launch import Kernel, rooms
from .steps import Saved as Kept
from .steps import ahead, back, contiguous, entered, gradients, offsets_of, path, projected

__all__ = ["MOST", "NAMES", "Saved", "backward", "forward", "kernels", "on_chip", "spread_out"]

MOST = 160  # units whose weights fit into one block

Weights = tuple[Array, Array, Array | None, Array | None]


class Saved(Kept):
    """r, z, n (N, 3H) and what r multiplies, s (N, H)."""

    def gates(self) -> dict[str, Array]:
        """r, z and n at every step, (N, H) each."""
        return {name: self.gate(k) for k, name in enumerate("rzn")}


def kernels(xp: Any, H: int, paired: bool = False) -> tuple[Kernel, Kernel]:
    """Forward and backward for a size, on the current device, or in half of it if `paired`."""
    return on_chip(H) if H <= MOST else spread.over(xp, functools.partial(spread_out, H), paired)


@functools.cache
def spread_out(H: int, room: spread.Room) -> tuple[Kernel, Kernel]:
    """The kernels in gru_spread.cu and gru_spread_back.cu: a crew of blocks has the weights between them."""
    ahead = spread.forward_kernel("gru", H, room, rows=3, units=1)
    return ahead, spread.backward_kernel("gru", H, room, gates=3)


@functools.cache
def on_chip(H: int) -> tuple[Kernel, Kernel]:
    """The kernels in gru.cu: a block for each row of the batch, with all weights."""
    threads = -(-H // 8) * 32
    ahead = rooms(rows=3, team=4, columns=H, threads=threads, working=36)
    back = rooms(rows=4, team=16, columns=3 * H, threads=threads, working=40)
    sizes = (("H", H), ("THREADS", threads), ("HELD_FORWARD", ahead.held), ("HELD_BACKWARD", back.held))
    forward = Kernel("gru.cu", "gru_forward", sizes, threads, ahead.shared_bytes)
    return forward, Kernel("gru.cu", "gru_backward", sizes, threads, back.shared_bytes)


def forward(
    x: Array, steps: Steps, h_0: Array | None, weights: Weights, keep: bool, reset_after: bool = True
) -> tuple[Array, Array, Saved | None]:
    """(y, h_n, saved): the outputs, the last state of each row, and with `keep` what backward needs.

    Shapes: as in ../gru.py
    Cost: one product with (3H, I) for all rows and one launch; 4H numbers per row are kept
    """
    (w_ih, *others), xp, H = weights, of(x), weights[1].shape[1]
    if not reset_after:
        raise ValueError("in this kernel the reset gate acts after the product; `serves` says what it can do")
    gates, offsets = projected(x, w_ih), offsets_of(xp, steps)
    y, h_n = xp.empty((steps.N, H), x.dtype), xp.empty((steps.B, H), x.dtype)
    s = xp.empty((steps.N, H), x.dtype) if keep else None
    given = (contiguous(each) for each in (*others, h_0))
    ahead(xp, kernels(xp, H, steps.paired)[0], steps, *given, *path(steps, offsets), gates, s, y, h_n)
    return y, h_n, Saved(steps, H, offsets, gates=gates, s=s) if keep else None


def backward(
    saved: Saved, x: Array, y: Array, h_0: Array | None, weights: Weights,
    dy: Array | None, dh_n: Array | None, wanted: Collection[str],
) -> dict[str, Array] | Callable[[], dict[str, Array]]:  # fmt: skip
    """The gradients named in `wanted`, of NAMES, from those of y and h_n, either of which may be None.

    Shapes: as in ../gru.py
    Cost: one launch, and one product for each gradient of weights and inputs
    """
    xp, steps, H, dtype = of(x), saved.steps, saved.hidden_size, x.dtype
    da_x, da_h = xp.empty((steps.N, 3 * H), dtype), xp.empty((steps.N, 3 * H), dtype)
    h_before, dh_0 = entered(xp, wanted, steps, H, dtype), xp.empty((steps.B, H), dtype)
    w_hh, h_0, *given = (contiguous(each) for each in (weights[1], h_0, y, dy, dh_n))
    kept, where = (saved.kept["gates"], saved.kept["s"]), path(steps, saved.offsets)
    later = back(xp, kernels(xp, H, steps.paired)[1], steps, w_hh, h_0, *where, *kept, *given, da_x, da_h, h_before, dh_0)
    return gradients(wanted, steps, x, y, h_0, weights[0], da_x, da_h, h_before, {"h_0": dh_0}, later)
