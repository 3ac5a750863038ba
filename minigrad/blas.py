"""How long NumPy's threads wait for more work, unless the program, or its user, has decided before.

OpenBLAS, which NumPy multiplies with, keeps its threads spinning after a product, 2²⁶ cycles long if nobody says otherwise: some 25 ms in
which they take cores from whatever else could use them, such as layers whose batch is shared among cores. 2²⁰ cycles are half a
millisecond: longer than what lies between two products of one training step, and short beside everything else.

OPENBLAS_THREAD_TIMEOUT is that exponent; a value that is set already stays. Where NumPy was imported before minigrad, its threads
know nothing of it until they are begun anew (minigrad_nn/kernels/compiled/cores.py).
"""

from __future__ import annotations

import os

__all__ = ["TIMEOUT"]

TIMEOUT = 20

os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", str(TIMEOUT))
