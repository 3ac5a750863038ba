"""Tensors as text, as PyTorch prints them: four decimals, at most a thousand elements, lines of eighty characters.

Source: https://docs.pytorch.org/docs/stable/generated/torch.set_printoptions.html
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import backend, types
from .tape import Branch, Leaf, refresh

PRECISION, THRESHOLD, EDGE, WIDTH = 4, 1000, 3, 80
SCIENTIFIC: bool | None = None  # whether numbers have exponents; None where they themselves decide
PROFILES = {"default": (4, 1000, 3, 80), "short": (2, 1000, 2, 80), "full": (4, math.inf, 3, 80)}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors print from here on: decimals, elements from which on rows are shortened, elements shown at their ends, …

    Source: https://docs.pytorch.org/docs/stable/generated/torch.set_printoptions.html
    """
    global PRECISION, THRESHOLD, EDGE, WIDTH, SCIENTIFIC
    if profile is not None:
        if profile not in PROFILES:
            raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
        PRECISION, THRESHOLD, EDGE, WIDTH = PROFILES[profile]  # type: ignore[assignment]
    PRECISION = PRECISION if precision is None else precision
    THRESHOLD = THRESHOLD if threshold is None else threshold  # type: ignore[assignment]
    EDGE = EDGE if edgeitems is None else edgeitems
    WIDTH = WIDTH if linewidth is None else linewidth
    SCIENTIFIC = sci_mode


def to_text(tensor: Any) -> str:
    """`tensor([...], dtype=..., device=..., grad_fn=<...>)`, what is the default left out."""
    array = backend.of(tensor.array).to_host(tensor.array)
    prefix = "tensor("
    if array.size == 0:
        body = "[]"
    else:
        shown = _shown(array)
        body = _rows(array, _Numbers(shown), len(prefix), array.size > THRESHOLD)
    text, suffixes = prefix + body, _suffixes(tensor, array)
    length = len(text) - text.rfind("\n") + 1  # PyTorch counts two more than there are
    for suffix in suffixes:
        width = len(suffix.replace("minigrad.", "torch."))  # so that lines break where PyTorch's do
        if length + width + 2 > WIDTH:
            text += ",\n" + " " * len(prefix) + suffix
            length = len(prefix) + width
        else:
            text += ", " + suffix
            length += 2 + width
    return text + ")"


def _suffixes(tensor: Any, array: Any) -> list[str]:
    suffixes = []
    if tensor.device.type != backend.current_device().type:
        suffixes.append(f"device='{tensor.device}'")
    if array.size == 0 and array.ndim != 1:
        suffixes.append(f"size={tuple(array.shape)}")
    usual = {types.default_dtype()} if array.size == 0 else {types.default_dtype(), types.dtype("int64"), types.dtype("bool")}
    if tensor.dtype not in usual:
        suffixes.append(f"dtype={tensor.dtype}")
    refresh(tensor)
    node = tensor.node
    if isinstance(node, Leaf):
        suffixes.append("requires_grad=True")
    elif node is not None:
        suffixes.append(f"grad_fn={node.parents[0] if isinstance(node, Branch) else node!r}")
    return suffixes


class _Numbers:
    """How the numbers of one tensor are written: all in one form, and equally wide."""

    def __init__(self, array: Any) -> None:
        self.floating = array.dtype.kind == "f"
        self.whole = self.scientific = False
        if self.floating:
            finite = np.abs(array[np.isfinite(array) & (array != 0)].astype(np.float64))
            self.whole = bool((finite == np.ceil(finite)).all())
            if finite.size:
                large, small = finite.max(), finite.min()
                self.scientific = large / small > 1000 or large > 1e8 or (not self.whole and small < 1e-4)
            counted = array[np.isfinite(array) & (array != 0)]
        else:
            counted = array
        self.scientific = self.scientific if SCIENTIFIC is None or not self.floating else SCIENTIFIC
        self.width = max((len(self._bare(each)) for each in counted.ravel().tolist()), default=1)

    def _bare(self, number: Any) -> str:
        if not self.floating:
            return str(number)
        if self.scientific:
            return f"{number:.{PRECISION}e}"
        if self.whole:
            return f"{number:.0f}" + ("." if np.isfinite(number) else "")
        return f"{number:.{PRECISION}f}"

    def text(self, number: Any) -> str:
        return self._bare(number).rjust(self.width)


def _shown(array: Any) -> Any:
    """The elements that will be printed: of a long axis, a few at either end."""
    if array.size <= THRESHOLD:
        return array
    for axis, size in enumerate(array.shape):
        if size > 2 * EDGE:
            array = np.take(array, [*range(EDGE), *range(size - EDGE, size)], axis)
    return array


def _rows(array: Any, numbers: _Numbers, indent: int, shorten: bool) -> str:
    """Nested brackets, each level one blank further in."""
    if array.ndim == 0:
        return numbers.text(array.item())
    ends = shorten and array.shape[0] > 2 * EDGE
    if array.ndim == 1:
        return _line(array, numbers, indent, ends)
    first, last = (array[:EDGE], array[-EDGE:]) if ends else (array, array[:0])
    parts = [_rows(each, numbers, indent + 1, shorten) for each in first]
    parts += ["..."] * ends + [_rows(each, numbers, indent + 1, shorten) for each in last]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _line(array: Any, numbers: _Numbers, indent: int, ends: bool) -> str:
    if ends:
        words = [numbers.text(each) for each in array[:EDGE].tolist()] + [" ..."]
        words += [numbers.text(each) for each in array[-EDGE:].tolist()]
    else:
        words = [numbers.text(each) for each in array.tolist()]
    per_line = max(1, (WIDTH - indent) // (numbers.width + 2))
    lines = [", ".join(words[start : start + per_line]) for start in range(0, len(words), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
