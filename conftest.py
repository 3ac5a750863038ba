"""What tests of the packages themselves (doctests) leave out: files that need a package which is not installed here."""

import importlib.util

NUMBAS = [f"minigrad_nn/kernels/compiled/{name}.py" for name in ("loops", "tiles")]
collect_ignore = [] if importlib.util.find_spec("numba") else NUMBAS
