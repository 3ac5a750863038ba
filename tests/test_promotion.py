"""In which dtype two operands meet: every function, all pairs of dtypes, with axes and without, beside numbers of all kinds.

Nothing here is drawn at random. What must agree is the dtype, the shape, the values, and the class of an error.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from promotion import DEFAULTS, FUNCTIONS, SINGLE, found, operands, singles  # noqa: E402

import minigrad  # noqa: E402

UNSUPPORTED = ("'Half'", "addmm_impl_cpu_", '"dot"', '"bmm"', '"addmv')  # kernels PyTorch lacks: half precision, products of bools


@pytest.mark.parametrize("default", DEFAULTS)
@pytest.mark.parametrize("text", FUNCTIONS)
def test_pairs(text, default):
    compare(text, default, operands(text))


@pytest.mark.parametrize("default", DEFAULTS)
def test_single_operands(default):
    for text in SINGLE:
        compare(text, default, singles())


def compare(text, default, cases):
    failures = []
    for given in cases:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours, theirs = found(minigrad, text, given, default), found(torch, text, given, default)
        if not agree(ours, theirs) and not any(kernel in str(theirs) for kernel in UNSUPPORTED):
            names = [f"{getattr(each, 'dtype', type(each).__name__)}{list(np.shape(each)) or each}" for each in given]
            failures.append(f"{text} of {names}: {ours!r} instead of {theirs!r}")
    assert not failures, f"{len(failures)} of {len(cases)}\n" + "\n".join(failures[:5])


def agree(ours, theirs):
    if not isinstance(ours, np.ndarray) or not isinstance(theirs, np.ndarray):
        same = isinstance(ours, type(theirs)) if isinstance(theirs, Exception) else type(ours) is type(theirs)
        return same and (isinstance(ours, Exception) or ours == theirs)
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return False
    return np.allclose(ours, theirs, 1e-3, 1e-3, equal_nan=True)
