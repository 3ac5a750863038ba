"""Whole sequences at once, without a tape: for each cell of cells.py its values and its gradients, arrays in, arrays out.

Read in this order: steps (which rows belong to which step), rnn (the pattern in its smallest form), gradients, lstm, gru.
The cells' files have a `forward`, a hand-derived `backward`, and a class `Saved`: what the one keeps for the other. `loops` is what lies
between two products of a step as one compiled loop, and `compiled` says whether it is used. The folders `device` (two launches per
step) and `cuda` (one for the whole sequence) have the same once more for GPUs, and `choose` says which of them computes a layer.
"""

from . import device, gru, lstm, rnn
from .steps import Steps

__all__ = ["Steps", "device", "gru", "lstm", "rnn"]
