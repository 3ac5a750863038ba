"""Everyday snippets in which nothing but the imports would change, run here and by PyTorch; they stand in everyday.txt.

In them `torch` is either library, `nn` and `F` its parts. A snippet's
last line, if it is an expression, is what is compared, besides what was printed; where it raises, the class of the error.
"""

from __future__ import annotations

import ast
import contextlib
import io
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import minigrad  # noqa: E402

pytestmark = pytest.mark.host_only("about names, arguments and errors, which no device changes")
TEXT = Path(__file__).with_name("everyday.txt").read_text(encoding="utf-8")
SNIPPETS = [each for each in TEXT.strip().split("\n\n") if not each.startswith("#")]


def outcome(snippet, library):
    """(what the snippet gives, what it prints), or the class of the error it raises."""
    names = {"torch": library, "nn": library.nn, "F": library.nn.functional, "np": np, "math": math}
    *before, last = ast.parse(snippet).body
    ends = isinstance(last, ast.Expr)
    body = ast.Module(before if ends else [*before, last], [])
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(body, "<snippet>", "exec"), names)
            given = eval(compile(ast.Expression(last.value), "<snippet>", "eval"), names) if ends else None
            return plain(given), named(printed.getvalue())
    except Exception as error:
        return type(error).__name__, str(error)


def named(text):
    """A text in which both libraries go by one name."""
    return re.sub(r"minigrad(_nn)?", "torch", text)


def plain(given):
    """What a snippet gave, in terms that both libraries share."""
    if isinstance(given, (torch.Tensor, minigrad.Tensor)):
        values = np.array(given.detach().tolist(), np.float64).reshape(tuple(given.shape))
        return "tensor", named(str(given.dtype)), given.requires_grad, values
    if isinstance(given, np.ndarray):
        return "array", str(given.dtype), given.astype(np.float64)
    if isinstance(given, (list, tuple)):
        return ["size" if isinstance(given, (torch.Size, minigrad.Size)) else "several", *map(plain, given)]
    if isinstance(given, dict):
        return ["dict", *[(key, plain(value)) for key, value in given.items()]]
    if isinstance(given, (bool, int, float, type(None))):
        return type(given).__name__, given
    return named(given if isinstance(given, str) else repr(given))


def alike(ours, theirs):
    if isinstance(ours, np.ndarray):
        return ours.shape == theirs.shape and np.allclose(ours, theirs, 1e-4, 1e-6, equal_nan=True)
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(ours, float):
        return ours == pytest.approx(theirs, rel=1e-5, abs=1e-6, nan_ok=True)
    return type(ours) is type(theirs) and ours == theirs


def test_the_file_is_read_whole():
    assert len(SNIPPETS) > 500 and not [each for each in SNIPPETS if max(map(len, each.splitlines())) > 140]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_does_the_same(snippet):
    theirs, ours = outcome(snippet, torch), outcome(snippet, minigrad)
    if isinstance(theirs[0], str) and theirs[0].endswith(("Error", "Exception")):
        assert ours[0] == theirs[0], f"{snippet}\nPyTorch: {theirs}\nours: {ours}"
    else:
        assert alike(ours, theirs), f"{snippet}\nPyTorch: {theirs}\nours: {ours}"
