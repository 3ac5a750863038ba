"""What tests of the packages themselves (doctests) leave out: files that need a package which is not installed here."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("numba") else ["minigrad_nn/kernels/loops.py"]
