"""What the fuzzers share: random choices, running one program on both sides, and telling what differs.

A case is a few lines of source text over inputs x0, x1, … in which `T` stands for either library, `F` for its
`nn.functional` and `np` for NumPy. Both libraries run the same text; values, dtypes, shapes, gradients, gradients of
gradients and the classes of errors must agree. A run prints its seed; MINIGRAD_SEED repeats it, MINIGRAD_CASES says how
many cases each family draws (fewer on other devices than the CPU by default), MINIGRAD_SHOWN how many failures are printed.

Tolerances, relative and absolute: 1e-8 in float64, 1e-3 in float32, 2e-2 in float16.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import random
import warnings

import numpy as np
import pytest
from compare import settle

import minigrad

torch = importlib.import_module("torch") if importlib.util.find_spec("torch") else None

SEED = int(os.environ.get("MINIGRAD_SEED", random.SystemRandom().getrandbits(32)))
CASES = int(os.environ.get("MINIGRAD_CASES", 120 if os.environ.get("MINIGRAD_DEVICE", "cpu") == "cpu" else 40))
SHOWN = int(os.environ.get("MINIGRAD_SHOWN", 5))  # failures printed per family
FLOATS, INTS = ("float64", "float32"), ("int64", "int32", "int16", "int8", "uint8")
DTYPES = (*FLOATS, "float16", *INTS, "bool")


class Draw(random.Random):
    """The random choices of one case."""

    def __init__(self, name):
        super().__init__(name)
        self.numpy = np.random.default_rng(self.getrandbits(64))

    def one(self, *choices):
        return self.choice(choices)

    def coin(self, chance=0.5):
        return self.random() < chance

    def size(self):
        return self.one(0, 1, 1, 2, 2, 3, 3, 4) if self.coin(0.3) else self.one(1, 2, 3)

    def shape(self, low=0, high=3):
        return tuple(self.size() for _ in range(self.randint(low, high)))

    def dim(self, ndim, wrong=0.04):
        """A dim, from either end; now and then one that does not exist."""
        ndim = max(ndim, 1)
        return self.one(-ndim - 1, ndim) if self.coin(wrong) else self.randrange(-ndim, ndim)

    def dims(self, ndim):
        """One dim, several as a tuple, or None."""
        kind = self.randrange(4)
        if kind == 0:
            return None
        return self.dim(ndim) if kind == 1 or ndim == 0 else tuple(self.sample(range(-ndim, 0), self.randint(1, ndim)))

    def array(self, shape, dtype="float64", low=-2.0, high=2.0):
        """Numbers between low and high; one time in four only halves, so that there are ties, zeros and ones."""
        numbers = np.round(self.numpy.uniform(low, high, shape), 3)
        if dtype == "bool":
            return numbers > 0
        if np.dtype(dtype).kind in "iu":
            return np.floor(numbers * 2 if dtype != "uint8" else numbers * 2 + 4).astype(dtype)
        return np.asarray(np.round(numbers * 2) / 2 if self.coin(0.25) else numbers, dtype)

    def dtype(self):
        return self.one(*DTYPES) if self.coin(0.25) else "float64"

    def broadcast(self, shape, wrong=0.02):
        """A shape that broadcasts to another, or now and then does not."""
        kept = tuple(1 if self.coin(0.25) else size for size in shape)[self.randint(0, len(shape)) if self.coin(0.3) else 0 :]
        return (*kept, 5) if self.coin(wrong) else kept


def integers(draw, shape, limit):
    """Source text of a tensor of int64 below limit, which indices and ids are."""
    return f"T.tensor({draw.numpy.integers(0, max(limit, 1), shape).tolist()}, dtype=T.int64).reshape({tuple(shape)})"


def check(family, name, cases=None):
    """Draw and compare that many cases of a family: a function from a Draw to (lines, arrays) and perhaps a gradient's order."""
    failures, skipped = [], 0
    cases = CASES if cases is None else cases
    for number in range(cases):
        draw = Draw(f"{SEED} {name} {number}")
        case = family(draw)
        if case is None:
            skipped += 1
            continue
        lines, arrays, *rest = case
        wanted = [draw.coin(0.85) for _ in arrays]
        found = compare(lines, arrays, wanted, 1 if rest else 2)
        if found is not None:
            given = "; ".join(f"x{place}: {array.dtype}{list(array.shape)}" for place, array in enumerate(arrays)) + f" wanted {wanted}"
            failures.append(f"{name} {number} ({given})\n    " + lines.replace("\n", "\n    ") + f"\n   -> {found}")
    if failures:
        pytest.fail(f"MINIGRAD_SEED={SEED}: {len(failures)} of {cases}\n" + "\n".join(failures[:SHOWN]), pytrace=False)
    assert skipped <= cases // 20, f"{skipped} of {cases} cases were skipped"


def run(T, lines, arrays, wanted, orders=2):
    """What a program gives: its values, or its error; its gradients, or theirs; its second gradients."""
    inputs = [T.tensor(array) for array in arrays]
    for tensor, each in zip(inputs, wanted, strict=True):
        if each and tensor.is_floating_point():
            tensor.requires_grad_()
    names = {"T": T, "F": T.nn.functional, "np": np, **{f"x{place}": tensor for place, tensor in enumerate(inputs)}}
    try:
        exec(lines, names)
        settle()
    except Exception as problem:
        with contextlib.suppress(Exception):
            settle()  # what a device has still to tell belongs to this program
        return {"error": problem}
    values = flat(names["y"])
    results = {"values": [plain(each) for each in values], "used": [isinstance(each, T.Tensor) and each.requires_grad for each in values]}
    leaves = [each for each in inputs if each.requires_grad]
    for order in range(1, orders + 1):
        used = [each for each in values if isinstance(each, T.Tensor) and each.requires_grad]
        if not used:
            break
        try:
            given = [T.tensor(weights(each)) for each in used]
            found = T.autograd.grad(used, leaves, given, create_graph=order < orders, allow_unused=True)
            settle()
        except Exception as problem:
            with contextlib.suppress(Exception):
                settle()
            results[f"gradient {order}"] = problem
            break
        results[f"gradient {order}"] = [
            np.zeros_like(plain(each)) if gradient is None else plain(gradient) for each, gradient in zip(leaves, found, strict=True)
        ]
        values = [each for each in found if each is not None]
    return results


def flat(result):
    """The values of a program in one list."""
    if isinstance(result, (list, tuple)):
        return [each for part in result for each in flat(part)]
    return [result]


def plain(value):
    """A tensor as NumPy's, anything else as it is."""
    return value.detach().numpy(force=True).copy() if hasattr(value, "detach") else value


def weights(tensor):
    """Numbers to multiply a value with, so that no two elements have the same gradient."""
    count = int(np.prod(tensor.shape))
    return np.cos(np.arange(count) + 1.0).reshape(tuple(tensor.shape)).astype(str(tensor.dtype).split(".")[-1])


TOLERANCE = {"float64": 1e-8, "float32": 1e-3, "float16": 2e-2}


def difference(lines, ours, theirs, arrays):
    """What differs between two results of `run`, or None."""
    tolerance = max(TOLERANCE.get(array.dtype.name, TOLERANCE["float32"]) for array in arrays)
    tolerance = max(tolerance, TOLERANCE["float32"] * ("float" in lines))
    if "error" in ours or "error" in theirs:
        mine, other = ours.get("error"), theirs.get("error")
        if isinstance(other, SystemError) or "Autograd not support dtype" in str(other):
            return None  # PyTorch trips over itself
        if "'Half'" in str(other) or "not implemented for 'Bool'" in str(other):
            return None  # PyTorch has no kernel for the dtype where NumPy has an answer: half precision, products of bools
        if type(mine) is type(other) or (mine is not None and "a leaf Var" in str(other)):
            return None
        return f"ours: {mine!r}\n      theirs: {other!r}"[:600]
    for what in sorted(theirs.keys() - {"used"}):
        mine, other = ours.get(what), theirs[what]
        if mine is None and isinstance(other, list) and not any(np.any(np.abs(each) > tolerance / 10) for each in other):
            continue  # no gradient at all, where PyTorch computes zeros
        if isinstance(other, RuntimeError) and (isinstance(mine, RuntimeError) or "not implemented" in str(other)):
            continue
        if isinstance(mine, Exception) or isinstance(other, Exception) or mine is None:
            return f"{what}: ours {mine!r}, theirs {other!r}"[:900]
        if what == "gradient 2" and any(array.dtype == np.float16 for array in arrays):
            continue  # PyTorch divides by the input in some, and what is left of three digits cannot be compared
        if len(mine) != len(other):
            return f"{what}: {len(mine)} instead of {len(other)}"
        for a, b in zip(mine, other, strict=True):
            if not isinstance(b, np.ndarray):
                if (a != b and not (a != a and b != b)) or type(a) is not type(b):
                    return f"{what}: {a!r} instead of {b!r}"
                continue
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                return f"{what}: {a.dtype} {a.shape} instead of {b.dtype} {b.shape}"
            tolerance = max(tolerance, TOLERANCE.get(b.dtype.name, 0))
            if what == "gradient 2":  # PyTorch's own formulas may give inf * 0 there
                a = np.where(np.isfinite(b), a, b)
            with np.errstate(all="ignore"):
                if not np.allclose(a, b, tolerance, tolerance, equal_nan=True):
                    return f"{what}:\n{a}\n      instead of\n{b}"
    return None


def compare(lines, arrays, wanted, orders=2):
    """Run one program on both sides; what differs, as text, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = run(torch, lines, arrays, wanted, orders)
    with warnings.catch_warnings():  # sums and products say so when numbers overflow: silencing them would cost each a microsecond
        warnings.filterwarnings("ignore", message=".*encountered in (add|subtract|multiply|matmul)")
        ours = run(minigrad, lines, arrays, wanted, orders)
    if "of one dtype" in str(ours.get("error")) and "error" not in theirs and any(array.size == 0 for array in arrays):
        return None  # where there is nothing to multiply, PyTorch does not look at dtypes
    refused = [
        what for what, result in theirs.items() if (isinstance(result, RuntimeError) and "gradient" in what) or "a leaf Var" in str(result)
    ]
    if refused and "error" not in ours and not isinstance(ours.get("gradient 1"), Exception):  # PyTorch refuses more than we do
        return by_differences(lines, arrays, wanted, ours) if "a = " in lines else None
    if refused and isinstance(ours.get("gradient 1"), RuntimeError):
        return None
    return difference(lines, ours, theirs, arrays)


def by_differences(lines, arrays, wanted, ours):
    """What differs between our gradient of a program and finite differences along a random direction, or None."""
    if any(array.dtype != np.float64 for array in arrays) or ".detach()" in lines:
        return None
    steps = [np.sin(np.arange(array.size) * 3.0 + 1).reshape(array.shape) * wants for array, wants in zip(arrays, wanted, strict=True)]
    sums = []
    for size in (1e-6, -1e-6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            moved = run(minigrad, lines, [array + size * step for array, step in zip(arrays, steps, strict=True)], wanted, 0)
            sums.append(sum((value * weights(value)).sum() for value, used in zip(moved["values"], ours["used"], strict=True) if used))
    with np.errstate(invalid="ignore"):
        slope = (sums[0] - sums[1]) / 2e-6
    gradients = ours.get("gradient 1") or [np.zeros(array.shape) for array, wants in zip(arrays, wanted, strict=True) if wants]
    if len(gradients) != sum(wanted):
        return None  # an input that wanted none got a history in place: its gradient is that of another value
    expected = sum((gradient * step).sum() for gradient, step in zip(gradients, [s for s, w in zip(steps, wanted) if w], strict=True))
    vague = not abs(slope) < 1e5 or not np.isfinite(expected)  # differences of large numbers say nothing
    if vague or np.isclose(slope, expected, 1e-4, 1e-4):
        return None
    return f"PyTorch refuses, ours slopes {expected}, finite differences {slope}"
