"""Which kernel computes a layer: the one place where that is decided.

    compiled    `compiled`: the whole sequence in one loop that Numba compiles, products included, on a CPU, float32
    d1, d2      `cuda`: the whole sequence in one launch on a GPU, float32; d1 keeps the weights of small layers in each block,
                d2 spreads those of larger ones over several, for batches that are not too large
    b           `device`: a product of matrices and one launch per step; serves everything on a GPU
    arrays      rnn, lstm, gru beside this file, an array function at a time: right everywhere

The first that serves the layer is taken, on a CPU of ON_CPU, on a GPU of DESIGNS. `nn.path("fused", kernel="b")` and the
environment variable MINIGRAD_KERNEL, which is for GPUs only, take one by name; where that one cannot compute the layer,
they say so, and nothing else is tried.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from . import compiled, cuda, device, gru, lstm, rnn

__all__ = ["ARRAYS", "DESIGNS", "ON_CPU", "choose", "known"]

# Each has rnn, lstm, gru and `serves`; they stand in the order in which they are tried.
ARRAYS = SimpleNamespace(rnn=rnn, lstm=lstm, gru=gru, serves=lambda *layer, **options: True)
ON_CPU: dict[str, Any] = {"compiled": compiled, "arrays": ARRAYS}
DESIGNS: dict[str, Any] = {
    "d1": SimpleNamespace(rnn=cuda.rnn, lstm=cuda.lstm, gru=cuda.gru, serves=cuda.serves_alone),
    "d2": SimpleNamespace(rnn=cuda.rnn, lstm=cuda.lstm, gru=cuda.gru, serves=cuda.serves_spread),
    "b": device,
}


def choose(cell: str, H: int, dtype: Any, xp: Any, kernel: str | None = None, B: int | None = None, **options: Any) -> Any:
    """The module whose `forward` and `backward` compute a layer of this cell: "rnn", "lstm" or "gru".

    `xp` is the backend of the layer's arrays, `kernel` the name of one to take, or None, and B the batch's size, if it is known.
    The options are the kernel's own, and `projection`, whether there is one; `serves` of a design says whether it can compute such
    a layer.

    Raises: ValueError where the kernel that was asked for cannot compute this layer
    """
    on_gpu = xp.device_type != "cpu"
    here, kernel = DESIGNS if on_gpu else ON_CPU, known(kernel or (os.environ.get("MINIGRAD_KERNEL") if on_gpu else None))
    if kernel == "arrays":
        return getattr(ARRAYS, cell)
    if kernel is not None and kernel not in here:
        runs_on, layer_on = ("the CPU", "a GPU") if on_gpu else ("a GPU", "the CPU")
        raise ValueError(f"kernel {kernel!r} runs on {runs_on}, and this layer is on {layer_on}; use layer.to(…), or kernel='arrays'")
    tried, size = [kernel] if kernel else list(here), {} if kernel else {"B": B}
    for name in tried:
        if here[name].serves(cell, H, dtype, xp, **options, **size):
            return getattr(here[name], cell)
    shown = "".join(f", {name}={value}" for name, value in options.items())
    raise ValueError(f"of the kernels tried ({', '.join(tried)}), none computes this {cell} of H={H}, {dtype}{shown}; use kernel='arrays'")


def known(kernel: str | None) -> str | None:
    """`kernel` as it came; ValueError for a name that is none."""
    names = [*ON_CPU, *DESIGNS]
    if kernel is not None and kernel not in names:
        raise ValueError(f"kernel must be {' or '.join(map(repr, names))}, got {kernel!r}")
    return kernel
