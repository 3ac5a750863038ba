"""Products of matrices of all ranks, and einsum."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch")

from oracle import check  # noqa: E402

FAMILIES = {}


def family(draw):
    """Enter a function from a Draw to (lines of source, input arrays) into the list of families."""
    FAMILIES[draw.__name__] = draw
    return draw


@family
def products(draw):
    """matmul of all ranks, and its relatives."""
    n, k, m, b = (draw.size() for _ in range(4))
    wrong = k + 1 if draw.coin(0.05) else k
    front = draw.shape(0, 2)
    shapes, text = draw.one(
        ([(*draw.broadcast(front), n, k), (*draw.broadcast(front), wrong, m)], "x0 @ x1"), ([(k,), (wrong,)], "T.matmul(x0, x1)"),
        ([(k,), (*front, wrong, m)], "T.matmul(x0, x1)"), ([(*front, n, k), (wrong,)], "x0.matmul(x1)"),
        ([(n, k), (wrong, m)], draw.one("T.mm(x0, x1)", "x0.mm(x1)", "T.bmm(x0, x1)" if draw.coin(0.1) else "x0 @ x1")),
        ([(b, n, k), (b, wrong, m)], "T.bmm(x0, x1)"), ([(n, k), (wrong,)], "T.mv(x0, x1)"), ([(k,), (wrong,)], "T.dot(x0, x1)"),
        ([(n,), (m,)], "T.outer(x0, x1)"),
        ([draw.broadcast((n, m), 0), (n, k), (k, m)], f"T.addmm(x0, x1, x2, beta={draw.one(1, 0.5, 0)}, alpha={draw.one(1, 2.0)})"),
        ([draw.broadcast((b, n, m), 0), (b, n, k), (b, k, m)], f"T.baddbmm(x0, x1, x2, beta={draw.one(1, 0.5)}, alpha={draw.one(1, 2.0)})"),
        ([(*front, k), (m, wrong), (m,)], "F.linear(x0, x1, x2)"), ([(*front, k), (m, k)], "F.linear(x0, x1)"),
        ([(n, k, m), (k, m, b)], "T.tensordot(x0, x1)"), ([(n, k), (k, m)], "T.tensordot(x0, x1, dims=1)"),
    )  # fmt: skip
    dtype = draw.one("float64", "float64", "float64", "float32", "float64" if "add" in text else "int64")
    second = dtype if draw.coin(0.97) or 0 in sum(shapes, ()) else "float32"
    return "y = " + text, [draw.array(shape, dtype if place == 0 else second) for place, shape in enumerate(shapes)]


@family
def einsum(draw):
    """einsum with random letters, repeated ones, ellipses, implicit and explicit results."""
    sizes = {letter: draw.one(1, 2, 3) for letter in "abcde"}
    operands = [[draw.one(*"abcde") for _ in range(draw.randint(0, 3))] for _ in range(draw.randint(1, 3))]
    dots = [draw.coin(0.25) for _ in operands]
    spread = draw.shape(0, 2)
    arrays = [
        draw.array((*(draw.broadcast(spread, 0) if dot else ()), *[sizes[letter] for letter in letters]))
        for dot, letters in zip(dots, operands)
    ]
    left = ",".join("..." * dot + "".join(letters) for dot, letters in zip(dots, operands))
    letters = sorted(set(itertools.chain(*operands)))
    draw.shuffle(letters)
    right = ("..." if any(dots) else "") + "".join(letters[: draw.randint(0, len(letters))])
    equation = left if draw.coin(0.25) else f"{left}->{right}"
    names = ", ".join(f"x{place}" for place in range(len(arrays)))
    return f"y = T.einsum({equation!r}, {names})", arrays


@pytest.mark.parametrize("name", FAMILIES)
def test_programs_give_what_pytorch_gives(name):
    check(FAMILIES[name], name)
