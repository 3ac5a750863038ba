"""Everything that moves, joins or makes elements."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from oracle import DTYPES, check  # noqa: E402

FAMILIES = {}


def family(draw):
    """Enter a function from a Draw to (lines of source, input arrays) into the list of families."""
    FAMILIES[draw.__name__] = draw
    return draw


@family
def shapes(draw):
    """Everything that moves elements."""
    x = draw.array(shape := draw.shape(0, 4), draw.dtype())
    ndim, dim, other = x.ndim, draw.dim(x.ndim), draw.dim(x.ndim)
    divisors = [each for each in (1, 2, 3, 4, 6) if x.size % each == 0]
    part = draw.choice(divisors)
    wanted = (*draw.shape(0, 1), *(size if size != 1 else draw.one(1, 3, -1, 0) for size in shape))
    order = draw.sample(range(-ndim, 0), ndim)
    some = tuple(draw.sample(range(-ndim, 0), draw.randint(0, ndim)))
    others = tuple(draw.sample(range(ndim), len(some)))
    times = tuple(draw.one(0, 1, 2, 2) for _ in range(ndim + draw.one(-1, 0, 0, 1) if ndim else 1))
    length = shape[dim] if ndim and -ndim <= dim < ndim else 1
    cut = draw.randint(0, length)
    text = draw.one(
        f"x0.reshape({part}, -1)", f"x0.reshape(-1, {part})", f"T.reshape(x0, ({part}, {x.size // part}))", "x0.view(-1)",
        f"x0.reshape({draw.one(5, -1, 0)})", f"x0.reshape(0, {draw.one(-1, 0, 2)})", f"x0.flatten({dim}, {other})",
        f"T.flatten(x0, {dim})", "x0.flatten()", f"x0.unflatten({dim}, (-1, {draw.one(1, 2)}))", f"x0.transpose({dim}, {other})",
        f"T.permute(x0, {tuple(order)})", f"x0.permute({order})", "x0.t()", "x0.mT" if ndim > 1 else "x0",
        f"T.movedim(x0, {dim}, {other})", f"x0.movedim({some}, {others})", "x0.squeeze()", f"x0.squeeze({dim})", f"x0.squeeze({some})",
        f"x0.unsqueeze({draw.dim(ndim + 1)})", f"x0.expand({wanted})", f"x0.expand({list(wanted)})", f"x0.repeat({times})",
        f"x0.tile({times})", f"T.tile(x0, {times})", f"x0.repeat_interleave({draw.randint(0, 3)})",
        f"T.repeat_interleave(x0, {draw.randint(0, 3)}, {dim})",
        f"x0.repeat_interleave(T.tensor({[draw.randint(0, 2) for _ in range(length)]}, dtype=T.int64), dim={dim})",
        f"x0.split({draw.randint(0, 3)}, {dim})", f"T.split(x0, [{cut}, {length - cut}], {dim})", f"x0.split([{cut}, {length - cut}])",
        f"T.chunk(x0, {draw.randint(1, 4)}, {dim})", f"x0.unbind({dim})", f"T.flip(x0, {some})", f"x0.flip({dim})",
        f"x0.roll({draw.randint(-3, 4)})", f"T.roll(x0, {draw.randint(-3, 4)}, {dim})",
        f"x0.roll({tuple(draw.randint(-2, 2) for _ in some)}, {some})", f"x0.narrow({dim}, {draw.randint(-1, 2)}, {draw.randint(0, 2)})",
        f"x0.select({dim}, {draw.randint(-2, 2)})", f"T.tril(x0, {draw.randint(-2, 2)})", f"x0.triu({draw.randint(-2, 2)})",
        f"T.diagonal(x0, {draw.randint(-1, 1)}, {dim}, {other})", "x0.T" if ndim == 2 else "x0.t()", f"x0.broadcast_to({wanted})",
        f"T.cat([x0, x0 * 2], {dim})", f"T.stack([x0, x0], {draw.dim(ndim + 1)})", "T.cat([x0, x0[:0], x0], 0)", "x0.contiguous()",
        "list(x0)", f"x0.{draw.one('half', 'float', 'double', 'int', 'long', 'bool')}()", f"x0.to(T.{draw.one(*DTYPES)})",
        f"T.{draw.one('zeros', 'ones')}_like(x0)", "x0.numel()", f"T.full_like(x0, {draw.one(1, 0, 2)})", "x0.tolist()", "x0.item()",
        "len(x0)", "bool(x0)", "T.swapaxes(x0, 0, -1)", f"x0.size({dim})", "x0.diagonal()", "x0.type_as(x0.float())",
        f"x0.view({part}, {x.size // part}).t()", f"x0.chunk({draw.randint(1, 3)})", "float(x0.amax())", "int(x0.amin())",
    )  # fmt: skip
    return f"y = {text}", [x]


@family
def joining(draw):
    """cat and stack of tensors of several dtypes."""
    shape = draw.shape(1, 3)
    dim = draw.randrange(-len(shape), len(shape))
    arrays = []
    for _ in range(draw.randint(1, 3)):
        size = draw.size() if draw.coin(0.5) else shape[dim]
        full = list(shape)
        full[dim] = size
        full = full if draw.coin(0.97) else [*full, 2]
        arrays.append(draw.array((0,) if arrays and draw.coin(0.05) else tuple(full), draw.dtype()))
    names = ", ".join(f"x{place}" for place in range(len(arrays)))
    return f"y = T.{draw.one('cat', 'cat', 'stack', 'concat')}([{names}], {draw.one(f'dim={dim}', dim)})", arrays


@family
def creating(draw):
    """Tensors made from numbers."""
    dtype = f"T.{draw.one(*DTYPES)}"
    size = draw.shape(0, 3)
    start, step = draw.one(0, 1, -2, 0.5, 1.0), draw.one(1, 2, 0.3, -1, 0.1)
    text = draw.one(
        f"T.zeros({size})", f"T.ones({size}, dtype={dtype})", f"T.full({size}, {draw.one(1, 2.5, True)})",
        f"T.full({size}, 3, dtype={dtype})", f"T.empty({size}).shape == {size}", f"T.arange({draw.one(0, 3, 2.5, 5)})",
        f"T.arange({start}, {draw.one(3, 4, 0, 2.5)}, {step})", f"T.arange({draw.randint(0, 4)}, dtype={dtype})",
        f"T.linspace({start}, {draw.one(3, -1.5, 0)}, {draw.randint(0, 5)})", f"T.eye({draw.randint(0, 3)})",
        f"T.eye(2, {draw.randint(0, 3)}, dtype={dtype})", f"x0.new_zeros({size})", f"x0.new_ones({size}, dtype={dtype})",
        f"x0.new_full({size}, 2)", "x0.new_tensor([1, 2])", f"T.zeros_like(x0, dtype={dtype})", "T.ones_like(x0)",
        f"T.full_like(x0, {draw.one(1, 0)})",
        f"T.tensor({draw.one(1, 1.5, True, [], [[1, 2], [3, 4]], [1, 2.5], [True, False], [[]], [True, 2])})",
        f"T.tensor([1, 0, 2], dtype={dtype})", "T.tensor([x0.sum(), 1.0])", "T.as_tensor([1, 2])", "T.tensor([[1], [1, 2]])",
        f"T.tensor({draw.one(1, 2.0)}, dtype={dtype})",
    )  # fmt: skip
    return f"y = {text}", [draw.array(draw.shape(), draw.dtype())]


@pytest.mark.parametrize("name", FAMILIES)
def test_programs_give_what_pytorch_gives(name):
    check(FAMILIES[name], name)
