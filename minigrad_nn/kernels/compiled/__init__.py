"""Whole sequences on a CPU in loops that Numba compiles: the kernels one folder up once more, for float32.

The same numbers, but for rounding, with the same `forward` and `backward`; what differs is what is expensive. Between
the products of a step, NumPy needs a call and a pass over memory for each operation; here it is one pass. Before each product,
a library of products brings the weights into an order that suits the processor; here that is done once for a
sequence. And rows of a batch, which have nothing to do with each other, are shared among cores, each going through the whole
sequence with rows of its own. Four words for parts of all this:

    share   neighbouring rows of the batch, for one core (cores.py)
    group   neighbouring steps, of about 64 rows together, whose inputs are projected in one go (sequence.py)
    panel   the weights of 16 or 32 neighbouring features (columns of the result), in order; panels of ../steps.py are something else
    tile    up to ten rows of a product by the columns of one panel: what is computed in registers (tiles.py)

Read in this order: loops (the steps of each cell), tiles (products of a few rows with weights in order; who believes `add_product`
may leave it out), cores (who computes which rows), sequence (the arguments of a loop), rnn, lstm, gru (what goes in and comes
out); `usable` says whether all this can be had: without Numba, NumPy's calls do it. docs/cpu.md follows one step through it.
"""

from __future__ import annotations

from typing import Any

from . import gru, lstm, rnn
from .usable import choice, load

__all__ = ["choice", "gru", "lstm", "rnn", "serves"]

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
MOST_FOR_ONE_ROW = 2**20  # recurrent weights; more come from slow memory at every step, and two cores fetch them faster than one


def serves(
    kind: str, H: int, dtype: Any, xp: Any, *,
    activation: str = "tanh", reset_after: bool = True, projection: bool = False, B: int | None = None,
) -> bool:  # fmt: skip
    """Whether a layer is computed in this way: float32 on a CPU, without a projection, where Numba is installed and not declined.

    `kind` is "rnn", "lstm" or "gru", and `xp` the backend of the layer's arrays. An RNN's `activation` is to be one that the loops
    know, and a GRU's reset gate to act after the product. `B` is the batch's size, if it is known: one row of a very large layer is
    left to the library of products.

    >>> from minigrad.backend import CPU
    >>> import numpy
    >>> serves("lstm", 100, numpy.dtype("float64"), CPU)
    False
    """
    if xp.device_type != "cpu" or dtype.char != "f" or not dtype.isnative or not H:
        return False
    if B == 1 and GATES[kind] * H * H >= MOST_FOR_ONE_ROW:
        return False
    return not projection and reset_after and activation in rnn.ACTIVATIONS and load() is not None
