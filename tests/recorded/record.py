"""Writes programs.json.gz: what PyTorch gives for programs of every family of the fuzzers, for machines without PyTorch.

PYTHONPATH=.:tests python tests/recorded/record.py
"""

from __future__ import annotations

import gzip
import importlib
import json
import pathlib
import re
import warnings

import numpy as np

HERE = pathlib.Path(__file__).parent
FILES = ("elementwise", "reduce", "products", "shapes", "index", "programs")
PER_FAMILY = 60
SEED = 20260101


def short(number, digits):
    """A floating-point number to so many digits, unless that would make it infinite."""
    return float(f"{number:.{digits}g}") if isinstance(number, float) and abs(number) < 1e300 else number


def packed(value, digits=7):
    """An array as [dtype, shape, elements], anything else as it is."""
    if not isinstance(value, (np.ndarray, np.generic)):
        return {"plain": value if isinstance(value, (bool, int, float, str)) else repr(value)}
    elements = value.ravel().tolist()
    return [value.dtype.name, list(value.shape), [short(each, digits) for each in elements]]


def outcome(result):
    """What `oracle.run` gives, as JSON: errors by the name of their class."""
    if isinstance(result, Exception):
        return {"raises": type(result).__name__, "says": str(result)[:60]}
    if isinstance(result, dict):
        return {what: outcome(each) for what, each in result.items() if what != "used"}
    return [packed(each, 10 if getattr(each, "dtype", None) == np.float64 else 6) for each in result]


def programs(oracle):
    """[family, lines, arrays, wanted, order, outcome] for some programs of every family, but for those that differ."""
    for file in FILES:
        for name, family in importlib.import_module(f"test_fuzz_{file}").FAMILIES.items():
            for number in range(PER_FAMILY):
                draw = oracle.Draw(f"{SEED} {name} {number}")
                lines, arrays, *rest = family(draw)
                arrays = [unpacked(packed(array)) for array in arrays]  # exactly what is recorded
                wanted, order = [draw.coin(0.85) for _ in arrays], 1 if rest else 2
                theirs = oracle.run(oracle.torch, lines, arrays, wanted, order)
                refused = any(isinstance(each, RuntimeError) for each in theirs.values()) and "error" not in theirs
                if not refused and oracle.compare(lines, arrays, wanted, order) is None and "a leaf Var" not in str(theirs):
                    yield [name, lines, [packed(array) for array in arrays], wanted, order, outcome(theirs)]


def meetings(torch):
    """For each default dtype and function, the dtype and number of axes of every result, or the error's class."""
    promotion = importlib.import_module("promotion")
    table = {}
    for default in promotion.DEFAULTS:
        for text in (*promotion.FUNCTIONS, *promotion.SINGLE):
            cases = promotion.operands(text) if text in promotion.FUNCTIONS else promotion.singles()
            table[f"{default} {text}"] = [promotion.label(promotion.found(torch, text, given, default)) for given in cases]
    return table


def texts(oracle):
    """[array, form, text] for tensors as text."""
    printing = importlib.import_module("test_fuzz_printing")
    for number in range(120):
        draw = oracle.Draw(f"{SEED} printing {number}")
        array, form = printing.numbers(draw), draw.one("plain", "leaf")
        if array.size < 80:
            array = unpacked(packed(array))
            yield [packed(array), form, re.sub("torch.", "minigrad.", printing.text_of(oracle.torch, array, form))]


def unpacked(stored):
    """The array that `packed` packed."""
    dtype, shape, elements = stored
    with np.errstate(all="ignore"):
        return np.array(elements, dtype).reshape(shape)


def main():
    warnings.simplefilter("ignore")
    oracle = importlib.import_module("oracle")
    content = {
        "versions": {"torch": oracle.torch.__version__, "numpy": np.__version__},
        "programs": list(programs(oracle)),
        "meetings": meetings(oracle.torch),
        "texts": list(texts(oracle)),
    }
    data = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), 9, mtime=0)
    (HERE / "programs.json.gz").write_bytes(data)
    print(f"{len(content['programs'])} programs, {len(content['meetings'])} functions, {len(content['texts'])} texts: {len(data)} bytes")


if __name__ == "__main__":
    main()
