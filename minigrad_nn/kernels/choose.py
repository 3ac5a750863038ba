"""Which kernel computes a layer: the one place where that is decided.

    arrays      rnn, lstm, gru beside this file, an array function at a time: the kernel of the CPU, and right everywhere
    b           `device`: a product of matrices and one launch per step; serves everything on a GPU
    d1, d2      `cuda`: the whole sequence in one launch, float32; d1 keeps the weights of small layers in each block, d2 spreads
                those of larger ones over all blocks

On the CPU it is `arrays`. On a GPU the first of DESIGNS that serves the layer is taken. `nn.path("fused", kernel="b")` and the
environment variable MINIGRAD_KERNEL, which is for GPUs only, take one by name; where that one cannot compute the layer,
they say so, and nothing else is tried.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from . import cuda, device, gru, lstm, rnn
from .cores import Shared

__all__ = ["DESIGNS", "choose", "known"]

ARRAYS = SimpleNamespace(rnn=Shared(rnn), lstm=Shared(lstm), gru=Shared(gru))
DESIGNS: dict[str, Any] = {  # in the order in which they are tried; each has rnn, lstm, gru and `serves`
    "d1": SimpleNamespace(rnn=cuda.rnn, lstm=cuda.lstm, gru=cuda.gru, serves=cuda.serves_alone),
    "d2": SimpleNamespace(rnn=cuda.rnn, lstm=cuda.lstm, gru=cuda.gru, serves=cuda.serves_spread),
    "b": device,
}


def choose(cell: str, H: int, dtype: Any, xp: Any, kernel: str | None = None, **options: Any) -> Any:
    """The module whose `forward` and `backward` compute a layer of this cell: "rnn", "lstm" or "gru".

    `xp` is the backend of the layer's arrays, `kernel` the name of one to take, or None. The options are the kernel's own, and
    `projection`, whether there is one; `serves` of a design says whether it can compute such a layer.

    Raises: ValueError where the kernel that was asked for cannot compute this layer
    """
    on_gpu = xp.device_type != "cpu"
    kernel = kernel or (os.environ.get("MINIGRAD_KERNEL") if on_gpu else None) or (None if on_gpu else "arrays")
    if known(kernel) == "arrays":
        return getattr(ARRAYS, cell)
    if not on_gpu:
        raise ValueError(f"kernel {kernel!r} runs on a GPU, and this layer is on the CPU; use layer.to('cuda'), or kernel='arrays'")
    tried = [kernel] if kernel else list(DESIGNS)
    for name in tried:
        if DESIGNS[name].serves(cell, H, dtype, xp, **options):
            return getattr(DESIGNS[name], cell)
    shown = "".join(f", {name}={value}" for name, value in options.items())
    raise ValueError(f"of the kernels tried ({', '.join(tried)}), none computes this {cell} of H={H}, {dtype}{shown}; use kernel='arrays'")


def known(kernel: str | None) -> str | None:
    """`kernel` as it came; ValueError for a name that is none."""
    if kernel is not None and kernel != "arrays" and kernel not in DESIGNS:
        raise ValueError(f"kernel must be 'arrays' or {' or '.join(map(repr, DESIGNS))}, got {kernel!r}")
    return kernel
