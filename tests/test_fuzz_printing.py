"""Tensors as text: the same characters as PyTorch's, but for the name of the library and of operations."""

from __future__ import annotations

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from oracle import CASES, DTYPES, SEED, SHOWN, Draw  # noqa: E402

import minigrad  # noqa: E402

NAME = re.compile(r",\s+grad_fn=<\w+>")  # names of operations differ, and where the line breaks depends on their length
SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-5, 1e5, 1e9, 123456.789, 0.5, 1e-40, 3.14159, 999.99999, 1e8, 1000.0, 1001.0)


def numbers(draw):
    """An array of one of many shapes, dtypes and magnitudes; now and then with infinities, NaN and long axes."""
    shape = draw.one(draw.shape(0, 4), draw.shape(), (draw.randint(5, 60),), (draw.randint(1, 9), draw.randint(1, 40)))
    shape = draw.one((1001,), (7, 150), (2, 3, 170), (1200, 1), (1, 1200), (30, 40), (3, 8, 50), (1000,)) if draw.coin(0.08) else shape
    dtype = draw.one(*DTYPES) if draw.coin(0.5) else "float32"
    if dtype == "bool":
        return draw.numpy.random(shape) > 0.5
    scale = 10.0 ** draw.randint(-9, 9) if draw.coin(0.5) else 1.0
    array = draw.numpy.normal(0, 1, shape) * scale
    array = np.round(array, draw.randint(0, 3)) if draw.coin(0.3) else array
    array = array * 10.0 ** draw.numpy.integers(-4, 4, shape) if draw.coin(0.15) else array
    if draw.coin(0.2):
        array = np.where(draw.numpy.random(shape) < draw.one(0.1, 0.5, 1.0), draw.numpy.choice(SPECIAL, shape), array)
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        return np.clip(np.nan_to_num(array * draw.one(1, 10, 1e6)), limits.min // 2, limits.max // 2).astype(dtype)
    with np.errstate(all="ignore"):
        return np.asarray(array, dtype)


def text_of(T, array, form):
    """repr of a tensor: as it is, wanting a gradient, or computed from one that does."""
    x = T.tensor(array)
    if form == "plain" or not x.is_floating_point():
        return repr(x)
    x.requires_grad_()
    return repr({"leaf": lambda: x, "computed": lambda: x * 1, "view": lambda: x[None], "transposed": lambda: x.clone().mT}[form]())


def test_text_is_pytorchs():
    failures = []
    for number in range(CASES):
        draw = Draw(f"{SEED} printing {number}")
        array = numbers(draw)
        form = draw.one("plain", "plain", "leaf", "computed", "view", "transposed" if array.ndim > 1 else "leaf")
        theirs = NAME.sub(", grad_fn", text_of(torch, array, form)).replace("torch.", "minigrad.")
        ours = NAME.sub(", grad_fn", text_of(minigrad, array, form))
        if ours != theirs:
            failures.append(f"{number}: {form} {array.dtype}{list(array.shape)}\n{ours}\n    instead of\n{theirs}")
    assert not failures, f"MINIGRAD_SEED={SEED}: {len(failures)} of {CASES}\n" + "\n".join(failures[:SHOWN])


@pytest.mark.parametrize("default", ["float32", "float64"])
def test_the_default_dtype_is_left_out(default):
    minigrad.set_default_dtype(getattr(minigrad, default))
    torch.set_default_dtype(getattr(torch, default))
    try:
        for dtype in DTYPES:
            for shape in ((), (0,), (2, 0), (2,)):
                array = np.ones(shape, dtype)
                assert repr(minigrad.tensor(array)) == repr(torch.tensor(array)).replace("torch.", "minigrad.")
    finally:
        minigrad.set_default_dtype(minigrad.float32)
        torch.set_default_dtype(torch.float32)
