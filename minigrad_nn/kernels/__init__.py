"""Whole sequences at once, without a tape: for each cell of cells.py its values and its gradients, arrays in, arrays out.

Read in this order: steps (which rows belong to which step), rnn (the pattern in its smallest form), gradients, lstm, gru.
The cells' files have a `forward`, a hand-derived `backward`, and a class `Saved`: what the one keeps for the other. They are right
everywhere. Three folders have the same once more, faster: `compiled` for a CPU (loops that Numba compiles, docs/cpu.md), `device`
(two launches per step) and `cuda` (one for the whole sequence) for GPUs (docs/gpu.md); `rows` is what two of them share. `choose`
says which of all these computes a layer.
"""

from . import device, gru, lstm, rnn
from .steps import Steps

__all__ = ["Steps", "device", "gru", "lstm", "rnn"]
