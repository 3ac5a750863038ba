"""Whole sequences in one launch on an NVIDIA GPU, with the recurrent weights on chip: the kernels of ../ in CUDA.

Small layers run a block for each row of the batch; for larger ones the blocks of a crew share the weights, and wait for each other
once a step (spread.cuh). Both directions of a layer run at the same time (beside.py). `rnn`, `lstm` and `gru` have the `forward` and
`backward` of the modules one floor up; `serves` says for which layers. Read in this order: product.cuh, steps.cuh, rnn.cu,
rnn.py, lstm.cu, gru.cu, spread.cuh, lstm_spread.cu; then tensor.cuh, launch.py, beside.py.

Nothing here was run on a GPU yet: tests run these sources on a processor, thread by thread (tests/emulator).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import gru, lstm, rnn, spread
from .launch import LAUNCHERS, fits

__all__ = ["gru", "lstm", "rnn", "serves", "serves_alone", "serves_spread"]

KINDS = {"rnn": rnn, "lstm": lstm, "gru": gru}


def serves(kind: str, H: int, dtype: Any, xp: Any, *, activation: str = "tanh", reset_after: bool = True, projection: bool = False) -> bool:
    """Whether there is a kernel for a layer of H units, on the current device of the backend `xp`.

    `kind` is "rnn", "lstm" or "gru"; any sequence will do, packed or not, in either direction.

    >>> from minigrad.backend import CPU
    >>> serves("lstm", 100, "float32", CPU)
    False
    """
    module = KINDS[kind]
    if xp.device_type not in LAUNCHERS or np.dtype(dtype) != np.float32 or not 0 < H <= spread.MOST:
        return False
    if projection or not reset_after or activation not in rnn.ACTIVATIONS:
        return False
    return all(fits(xp, kernel) for kernel in module.kernels(xp, H))


def serves_alone(kind: str, H: int, dtype: Any, xp: Any, *, B: int | None = None, **options: Any) -> bool:
    """Whether the weights of such a layer fit into one block, which then needs no other: design d1, for batches of any size."""
    return H <= KINDS[kind].MOST and serves(kind, H, dtype, xp, **options)


def serves_spread(kind: str, H: int, dtype: Any, xp: Any, *, B: int | None = None, **options: Any) -> bool:
    """Whether they are spread over blocks, design d2; with a batch's size, whether that pays for so many rows."""
    if H <= KINDS[kind].MOST or not serves(kind, H, dtype, xp, **options):
        return False
    return B is None or spread.pays(KINDS[kind].kernels(xp, H)[1], H, B)
