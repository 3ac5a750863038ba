"""Design b: whole sequences on a GPU, by a product of matrices and one further launch per step, for every shape and dtype.

The same numbers as the kernels one folder up, arrays in, arrays out, with the same `forward` and `backward`; what differs is
what is expensive. On a GPU that is a launch: each asks the driver for some microseconds of work and has its arrays' memory
read and written once more, so everything in a step that is no product is one launch, of a function in steps.cu.

Read in this order: steps.cu (the equations), ../rows.py (what all three share), rnn, lstm, gru; launch starts the functions,
and product asks cuBLAS.
"""

from typing import Any

from . import gru, lstm, rnn
from .launch import TYPES

__all__ = ["gru", "lstm", "rnn", "serves"]


def serves(kind: str, H: int, dtype: Any, xp: Any, **options: Any) -> bool:
    """Whether a layer can be computed in this way: any can, in numbers that steps.cu knows."""
    return dtype.char in TYPES
