"""Reading and writing by index, along a dim, and by mask."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from oracle import check, integers  # noqa: E402

FAMILIES = {}


def family(draw):
    """Enter a function from a Draw to (lines of source, input arrays) into the list of families."""
    FAMILIES[draw.__name__] = draw
    return draw


@family
def along(draw):
    """gather, scatter and relatives along a dim, and masks."""
    shape = draw.shape(0, 3)
    x = draw.array(shape, draw.one("float64", "float64", "float32", "int64"))
    dim = draw.dim(x.ndim, 0.02)
    axis = dim % max(x.ndim, 1)
    length = shape[axis] if shape else 1
    index = tuple(draw.randint(0, 4) if place == axis else draw.randint(0, size) for place, size in enumerate(shape))
    bad = 1 if draw.coin(0.03) else 0
    ids = integers(draw, index, length + bad)
    vector = draw.one((draw.randint(0, 4) if length else 0,), ()) if length and shape else (1,) if length else (0,)
    row = integers(draw, vector, length)
    source = draw.array(tuple(size + draw.one(0, 0, 1) for size in index), x.dtype.name)
    one = tuple((draw.randint(1, 3)) if place == axis else draw.one(1, size) for place, size in enumerate(shape))
    added = draw.array(
        tuple(vector[0] if place == axis and vector else 1 if place == axis else size for place, size in enumerate(shape)), x.dtype.name
    )
    mask = draw.array(draw.broadcast(shape), "bool")
    number = draw.one(0, 1, 2.5, "-T.inf", True)
    text = draw.one(
        f"T.gather(x0, {dim}, {ids})", f"x0.scatter({dim}, {ids}, x1)", f"x0.scatter({dim}, {ids}, {draw.one(0, 2.0)})",
        f"T.scatter_add(x0, {dim}, {ids}, x1)", f"x0.take_along_dim({integers(draw, one, length)}, {dim})",
        f"T.take_along_dim(x0, {integers(draw, (2,), x.size)})", f"x0.index_select({dim}, {row})",
        f"x0.index_add({dim}, {row}, x2, alpha={draw.one(1, 2)})", f"x0.masked_fill(x3, {number})", "x0.masked_fill(x3, x1.sum())",
        "T.masked_select(x0, x3)", "x0[x3]", "x0.clone().masked_fill_(x3, 1)", f"x0.clone().scatter_({dim}, {ids}, 1)",
        f"x0.clone().scatter_add_({dim}, {ids}, x1)", f"x0.clone().index_add_({dim}, {row}, x2)", f"F.one_hot({ids})",
        f"F.one_hot({row}, {length + 1})",
    )  # fmt: skip
    return f"y = {text}", [x, source, added, mask]


def index_text(draw, shape, distinct=False):
    """Source text of an index for a tensor of that shape: integers, slices, None, ..., masks, tensors, lists, mixed."""
    parts, axis, many = [], 0, draw.one((2,), (3,), (1,), (2, 1), (2, 2), ())
    while axis < len(shape) and draw.coin(0.8):
        size = shape[axis]
        kind = draw.choice(["int", "slice", "slice", "none", "full", "tensor", "list", "mask", "wide"])
        if draw.coin(0.01):
            kind, size = "int", size + 3
        if kind in ("int", "tensor", "list") and size == 0:
            kind = "slice"
        if kind == "none":
            parts.append("None")
            continue
        axis += 1
        if kind == "int":
            parts.append(str(draw.randrange(-size, size)))
        elif kind == "full":
            parts.append(":")
        elif kind == "slice":
            low, high = draw.one("", draw.randint(-3, 3)), draw.one("", draw.randint(-3, 4))
            parts.append(f"{low}:{high}{draw.one('', '', ':2', ':3')}")
        elif kind in ("tensor", "list"):
            ids = draw.numpy.integers(-size, size, many).tolist()
            parts.append(f"T.tensor({ids})" if kind == "tensor" or not many else str(ids))
        elif kind == "wide" and axis < len(shape):
            wide = shape[axis - 1 : axis + 1]
            parts.append(f"T.tensor({draw.array(wide, 'bool').tolist()}, dtype=T.bool).reshape({wide})")
            axis += 1
        else:
            parts.append(f"T.tensor({draw.array((size,), 'bool').tolist()}, dtype=T.bool)")
    if draw.coin(0.25):
        parts.insert(draw.randint(0, len(parts)) if axis == len(shape) else len(parts), "...")
    return ", ".join(parts) or "..."


@family
def reading(draw):
    """x[index], and indices of indices."""
    x = draw.array(shape := draw.shape(0, 4))
    lines = [f"y = x0[{index_text(draw, shape)}]"]
    if draw.coin(0.2):
        odd = (0, -1, ":", "...", "None", "x0 > 0", "True", "False", "0.5", "::-1", "[0, 0]", "[[0, 0]]", "()", "x0", "x0 > 0, None")
        lines = [f"y = x0[{draw.choice(odd)}]"]
    if draw.coin(0.3):
        lines.append("y = [y, y * x0.sum()]")
    return "\n".join(lines), [x]


@family
def assigning(draw):
    """x[index] = value with gradients to both; values are numbers or tensors that broadcast."""
    x = draw.array(shape := draw.shape(0, 4))
    index = index_text(draw, shape)
    try:
        target = eval(f"x[{index}]", {"x": torch.zeros(shape), "T": torch}).shape
        dtype = draw.one("float64", "float64", "float64", "float32", "int64")
    except Exception:
        target, dtype = (), "float64"
    value = draw.array((1, *target) if draw.coin(0.05) else draw.broadcast(tuple(target)), dtype)
    given = draw.one("x1", "x1", "x1", "x1 * 2", "1", "2.5")
    start = draw.one("z = x0 * 2", "z = x0.clone()", "z = x0.detach().clone()", "z = T.zeros_like(x0)")
    lines = [start, *["w = z * z"] * (draw.coin(0.3)), f"z[{index}] = {given}"]
    if draw.coin(0.3):
        lines.append(f"z[{index_text(draw, shape)}] {draw.one('=', '+=', '*=')} {draw.one('1.5', 'x0.sum()')}")
    lines.append("y = z * z" + (" + w.sum()" if len(lines) > 3 and draw.coin(0.3) and "w = " in lines[1] else ""))
    return "\n".join(lines), [x, value]


def bools(draw, shape):
    return f"T.tensor({draw.array(shape, 'bool').tolist()}, dtype=T.bool).reshape({tuple(shape)})"


def wild_part(draw, shape, axis, many, wrong):
    """Source text of one part of an index at an axis, and how many axes it uses; a wrong one if it shall be."""
    size = shape[axis] if axis < len(shape) else 2
    place = draw.randrange(-size, size) if size and not wrong else draw.randint(-5, 5)
    ids = draw.numpy.integers(-size if draw.coin(0.4) else 0, max(size, 1) + wrong, many).tolist()
    low, high = (draw.one("", draw.randint(-4, 4), f"np.int64({draw.randint(-2, 3)})", f"T.tensor({draw.randint(-2, 3)})") for _ in "ab")
    wide = tuple(shape[axis : axis + draw.randint(1, 3)]) if not wrong else (2,)
    step = draw.one(0, -1) if wrong and "T." not in f"{low}{high}" else draw.one(1, 2, 3)  # PyTorch: SystemError
    text, axes = draw.one(
        (str(place), 1), (f"np.int64({place})", 1), (f"T.tensor({place})", 1), (f"T.tensor({place}, dtype=T.int32)", 1), (":", 1),
        (f"{low}:{high}", 1), (f"{low}:{high}:{step}", 1), ("None", 0),
        (draw.one("True", "False", "T.tensor(True)"), 0), (bools(draw, wide), len(wide)),
        (f"{draw.array((size,), 'bool').tolist()}", 1) if size else (":", 1), (f"T.tensor({ids}, dtype=T.int64)", 1),
        (f"T.tensor({ids}, dtype=T.int32)", 1), (f"{ids}", 1), (f"range({draw.randint(0, 1)}, {min(size, 2)})", 1),
        (f"np.array({ids})", 1), (f"tuple({ids})" if np.ndim(ids) else str(ids), 1),
        (draw.one("0.5", "T.tensor([0.5])", "'a'", "T.tensor([0], dtype=T.int8)") if wrong else ":", 1),
    )  # fmt: skip
    return text, axes


def wild_index(draw, shape):
    """Source text of an index of every kind and mixture; some are wrong on purpose."""
    parts, axis, wrong = [], 0, 0 not in shape and draw.coin(0.15)
    shapes = draw.one([(2,)], [(3,), (1,)], [(2, 1), (1, 3), (3,)], [(2,), ()], [(2, 2)], [(0,)])
    while draw.coin(0.75) and (axis < len(shape) or wrong):
        bad = wrong and axis < len(shape) and draw.coin(0.5)
        text, axes = wild_part(draw, shape, axis, draw.choice(shapes), bad)
        wrong = wrong and not bad and axis < len(shape)  # one mistake, or what is raised depends on which is met first
        parts.append(text)
        axis += axes
    if draw.coin(0.25):
        parts.insert(draw.randint(0, len(parts)) if axis >= len(shape) else len(parts), "...")
    return ", ".join(parts) + ("," if len(parts) == 1 and draw.coin(0.3) else "") or "()"


@family
def wild_reading(draw):
    """x[index] with every kind of index, of tensors of several dtypes, of views too."""
    x = draw.array(shape := draw.shape(0, 4), draw.dtype())
    start = draw.one("z = x0", "z = x0", "z = x0.flip(0)", "z = x0.transpose(0, -1)", "z = x0.mT if x0.dim() > 1 else x0")
    shape = shape[::-1] if "transpose" in start and len(shape) == 2 else shape
    return f"{start}\ny = z[{wild_index(draw, shape)}]", [x]


@family
def wild_writing(draw):
    """x[index] = value with every kind of index; numbers and tensors of several dtypes and shapes, with gradients."""
    shape = draw.shape(0, 3)
    x = draw.array(shape, dtype := draw.one("float64", "float64", "float64", "float32", "int64", "bool", "int32"))
    index = wild_index(draw, shape)
    try:
        target = tuple(eval(f"x[{index}]", {"x": torch.zeros(shape), "T": torch, "np": np}).shape)
        wrong = False
    except Exception:
        target, wrong = (), True
    given = draw.broadcast(target, 0.05 * bool(target)) if draw.coin(0.9) else (1, *target)
    value = draw.array(given, dtype if draw.coin(0.8) else draw.dtype())
    given = "1" if wrong else draw.one("x1", "x1", "x1", "x1.sum()", "1", "2.5", "True", "-1", "x1.tolist()" if draw.coin(0.1) else "x1")
    lines = ["z = x0.clone()", f"z[{index}] {draw.one('=', '=', '=', '+=', '*=')} {given}", "y = z * z if z.dtype != T.bool else z"]
    return "\n".join(lines), [x, value]


@family
def repeated_writing(draw):
    """Several assignments after one another, with other uses in between; gradients to all values."""
    shape = draw.shape(1, 3)
    arrays, lines = [draw.array(shape)], ["z = x0 * 1.5"]
    for _ in range(draw.randint(1, 4)):
        index = index_text(draw, shape)
        try:
            target = tuple(eval(f"x[{index}]", {"x": torch.zeros(shape), "T": torch}).shape)
        except Exception:
            continue
        arrays.append(draw.array(draw.broadcast(target, 0)))
        lines.append(f"z[{index}] = x{len(arrays) - 1}{draw.one('', ' * 2', '.exp()')}")
        lines += draw.one([], [], ["z = z * z"], ["z = z.sin()"], [f"z = z + z[{index}].sum()"], ["w = z.sum()"])
    return "\n".join([*lines, "y = [z, z.exp()]"]), arrays


@family
def along_wrongly(draw):
    """gather, scatter and the like with one mistake: an index of another shape, dtype or range, a source of another."""
    shape = draw.shape(0, 3)
    x = draw.array(shape, draw.one("float64", "float32", "int64"))
    dim, axes, wrong = draw.dim(x.ndim, 0), len(shape), draw.one("", "range", "shape", "index", "source", "dtype")
    length = shape[dim] if shape else 1
    places = draw.shape(0, 3) if wrong == "shape" and shape else draw.one(shape, tuple(min(size, 1) for size in shape))
    ids = draw.numpy.integers(-2 if wrong == "range" else 0, max(length, 1) + (wrong == "range"), places if length else [0] * axes)
    dtype = draw.one("int32", "float64", "bool", "uint8", "int16") if wrong == "index" else "int64"
    index = f"T.tensor({ids.tolist()}, dtype=T.{dtype}).reshape({ids.shape})"
    source = draw.array(draw.shape(axes, axes) if wrong == "source" else ids.shape, draw.dtype() if wrong == "dtype" else x.dtype.name)
    mask = draw.array(draw.one(shape, draw.broadcast(shape), draw.shape()), draw.one("bool", "bool", "bool", "int64", "uint8"))
    text = draw.one(
        f"T.gather(x0, {dim}, {index})", f"x0.gather({dim}, {index})", f"x0.scatter({dim}, {index}, x1)",
        f"x0.scatter({dim}, {index}, 1.5)",
        f"x0.scatter_add({dim}, {index}, x1)", f"x0.index_select({dim}, {index})", f"x0.index_add({dim}, {index}, x1)",
        f"x0.take_along_dim({index}, {dim})" if wrong != "range" else "x0", "x0.masked_fill(x2, 2)", "x0.masked_fill(x2, x1)",
        "x0.masked_fill(x2, x1.sum())", "x0.masked_select(x2)", "x0[x2]", "x0.nonzero()", "T.nonzero(x0, as_tuple=True)",
        f"x0.clone().scatter_({dim}, {index}, x1)", f"x0.clone().index_add_({dim}, {index}, x1)",
        "x0.clone().masked_fill_(x2, 0.5)", f"x0.repeat_interleave({index}, {dim})" if wrong != "index" else "x0",
        f"x0.clone().scatter_add_({dim}, {index}, x1)",
    )  # fmt: skip
    return f"y = {text}", [x, source, mask]


@pytest.mark.parametrize("name", FAMILIES)
def test_programs_give_what_pytorch_gives(name):
    check(FAMILIES[name], name)
