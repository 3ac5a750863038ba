"""Products of matrices: everything here comes down to the array library's `@`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..backend import ARRAYS
from ..tape import Variable, record, wrap
from .elementwise import _mismatch, _of, _require_same_device, as_variable, promote, wants
from .shape import axis_of, expand, reshape, unsqueeze

if TYPE_CHECKING:
    from ..tensor import Tensor


def matmul(a: Any, b: Any) -> Tensor:
    """y = a b for matrices (..., N, K) and (..., K, M), the axes in front broadcast        da = dy bᵀ        db = aᵀ dy

    A vector on the left is a row, on the right a column, and its axis is missing from the result.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.matmul.html

    >>> import minigrad
    >>> (minigrad.ones(2, 3) @ minigrad.ones(3)).tolist()
    [3.0, 3.0]
    """
    try:
        x, y = _factors(a, b, "matmul")
    except TypeError:
        if a.__class__ not in ARRAYS and b.__class__ not in ARRAYS:
            raise
        return matmul(as_variable(a, b), as_variable(b, a))
    if x.ndim == 0 or y.ndim == 0:
        raise RuntimeError(f"matmul needs tensors with axes, got shapes {tuple(x.shape)} and {tuple(y.shape)}; use a * b")
    if x.ndim == 1 or y.ndim == 1:
        return _vector_product(a, b, x, y)
    if x.shape[-1] != y.shape[-2]:
        raise RuntimeError(_inner(x, y))
    try:
        value = x @ y
    except ValueError as problem:
        raise _mismatch(x, y) from problem
    return record("matmul", value, (a, b), _MATMUL, (a if wants(b) else None, b if wants(a) else None))


_MATMUL = (lambda xp, dy, a, b: dy @ b.swapaxes(-1, -2), lambda xp, dy, a, b: a.swapaxes(-1, -2) @ dy)


def _vector_product(a: Any, b: Any, x: Any, y: Any) -> Tensor:
    if x.shape[-1] != (y.shape[-2] if y.ndim > 1 else y.shape[0]):
        raise RuntimeError(_inner(x, y))
    left, right = (unsqueeze(a, 0) if x.ndim == 1 else a), (unsqueeze(b, 1) if y.ndim == 1 else b)
    product = matmul(left, right)
    shape = product.array.shape
    shape = shape[:-1] if y.ndim == 1 else shape
    shape = (*shape[:-2], *shape[-1:]) if x.ndim == 1 and y.ndim > 1 else shape[:-1] if x.ndim == 1 else shape
    return reshape(product, shape)


def _factors(a: Any, b: Any, name: str) -> tuple[Any, Any]:
    """The arrays of two tensors; unlike additions, products do not mix dtypes (as in PyTorch)."""
    for each in (a, b):
        if not hasattr(each, "array"):
            raise TypeError(f"{name} needs two tensors, got {type(a).__name__} and {type(b).__name__}")
    x, y = a.array, b.array
    if x.__class__ is not y.__class__:
        promote(a, b)  # which says that they lie on different devices
    if x.dtype != y.dtype:
        raise RuntimeError(f"{name} needs two tensors of one dtype, got {a.dtype} and {b.dtype}; convert one: x.to({a.dtype})")
    return x, y


def _inner(x: Any, y: Any) -> str:
    return f"the inner sizes must agree in a product of shapes {tuple(x.shape)} and {tuple(y.shape)}"


def _of_rank(name: str, a: Any, b: Any, left: int, right: int) -> Tensor:
    if a.array.ndim != left or b.array.ndim != right:
        raise RuntimeError(f"{name} needs {left} and {right} axes, got shapes {tuple(a.shape)} and {tuple(b.shape)}; matmul takes all")
    return matmul(a, b)


def mm(a: Any, b: Any) -> Tensor:
    """y = a b for two matrices (N, K), (K, M)"""
    return _of_rank("mm", a, b, 2, 2)


def mv(a: Any, b: Any) -> Tensor:
    """y = a b for a matrix (N, K) and a vector (K,)"""
    return _of_rank("mv", a, b, 2, 1)


def dot(a: Any, b: Any) -> Tensor:
    """y = Σ aₖ bₖ for two vectors (K,)"""
    return _of_rank("dot", a, b, 1, 1)


def bmm(a: Any, b: Any) -> Tensor:
    """y[i] = a[i] b[i] for two stacks of matrices (B, N, K), (B, K, M)"""
    if a.array.shape[:1] != b.array.shape[:1]:
        raise RuntimeError(f"bmm needs as many matrices on both sides, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return _of_rank("bmm", a, b, 3, 3)


def outer(a: Any, b: Any) -> Tensor:
    """y[i, j] = a[i] b[j] for two vectors"""
    if a.array.ndim != 1 or b.array.ndim != 1:
        raise RuntimeError(f"outer needs two vectors, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return unsqueeze(a, 1) * unsqueeze(b, 0)


def inner(a: Any, b: Any) -> Tensor:
    """y[..., i, ..., j] = Σₖ a[..., i, k] b[..., j, k], over the last axis of both; a b where one has no axes"""
    if a.array.ndim == 0 or b.array.ndim == 0:
        return a * b
    if a.array.shape[-1] != b.array.shape[-1]:
        raise RuntimeError(f"inner sums over the last axes, which must agree, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return tensordot(a, b, ([-1], [-1]))


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta input + alpha mat1 mat2"""
    _factors(input, mat1, "addmm")
    return _added(input, mm(mat1, mat2), beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta input + alpha batch1 batch2, for stacks of matrices"""
    _factors(input, batch1, "baddbmm")
    return _added(input, bmm(batch1, batch2), beta, alpha)


def _added(input: Any, product: Any, beta: float, alpha: float) -> Tensor:
    """beta input + alpha product, in the product's shape"""
    input = expand(input, *product.array.shape)  # which says so where the product would have to grow
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else (input if beta == 1 else input * beta) + product


def linear(input: Any, weight: Any, bias: Any = None, *, batch_last: bool = False) -> Tensor:
    """y = x Wᵀ + b for inputs (..., I), a weight (O, I) as PyTorch stores it, and a bias (O,) or None

    dx = dy W        dW = dyᵀ x        db = Σ dy

    `batch_last` lays a result of shape (B, O) out in memory with the batch innermost. Nothing but speed changes: the
    product W xᵀ is faster than x Wᵀ for the small batches of a recurrent step, each gate of a cell is then one
    unbroken block, and what is computed from the result element by element inherits the layout.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html
    """
    x = input
    array, W = _factors(x, weight, "linear")
    if W.ndim == 1:
        return matmul(x, weight) if bias is None else matmul(x, weight) + bias
    if array.ndim == 0 or W.ndim != 2 or array.shape[-1] != W.shape[1]:
        raise RuntimeError(f"linear needs an input (..., I) and a weight (O, I), got shapes {tuple(array.shape)} and {tuple(W.shape)}")
    batch_last = batch_last and array.ndim == 2
    value = (W @ array.T).T if batch_last else _flat_product(array, W.T)
    rules = _LINEAR_BATCH_LAST if batch_last else _LINEAR
    keep = (x if wants(weight) else None, weight if wants(x) else None)
    if bias is None:
        return record("linear", value, (x, weight), rules[:2], keep)
    if bias.array.shape != W.shape[:1]:
        shapes = f"a weight of shape {tuple(W.shape)}, got {tuple(bias.shape)}"
        raise RuntimeError(f"linear needs a bias of shape ({W.shape[0]},) beside {shapes}")
    value += _factors(x, bias, "linear")[1]
    return record("linear", value, (x, weight, bias), rules, keep)


def _flat_product(x: Any, W: Any) -> Any:
    """x W for (..., I) and (I, O) as one product of matrices: array libraries would loop over the axes in front."""
    return x @ W if x.ndim <= 2 else (_rows(x) @ W).reshape((*x.shape[:-1], W.shape[-1]))


def _rows(x: Any) -> Any:
    """All axes but the last joined into one: (..., I) as (N, I)."""
    return x if x.ndim == 2 else x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


_LINEAR = (
    lambda xp, dy, x, W: _flat_product(dy, W),
    lambda xp, dy, x, W: xp.matmul_later(_rows(dy).swapaxes(0, 1), _rows(x)),
    lambda xp, dy, x, W: _sum_of_rows(xp, _rows(dy)),
)
_LINEAR_BATCH_LAST = (lambda xp, dy, x, W: (W.swapaxes(0, 1) @ dy.swapaxes(0, 1)).swapaxes(0, 1), *_LINEAR[1:])


def _sum_of_rows(xp: Any, rows: Any) -> Any:
    """Σₙ rows[n], as a product with ones: several times faster than a sum, in either layout."""
    return rows.swapaxes(0, 1) @ xp.ones_like(rows, shape=(rows.shape[0],))


def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum of products that `equation` names, as in "bij,bjk->bik"; each letter is an axis.

    The gradient of one operand is the einsum of dy with the others.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.einsum.html

    >>> import minigrad
    >>> minigrad.einsum("i,j->ij", minigrad.tensor([1.0, 2.0]), minigrad.tensor([3.0, 4.0])).tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    inputs, output = _einsum_letters(equation.replace(" ", ""), operands)
    arrays = [operand.array for operand in operands]
    for each in arrays[1:]:
        _require_same_device(arrays[0], each)
    explicit = f"{','.join(inputs)}->{output}"
    try:
        value = _of(arrays[0]).einsum(explicit, *arrays)
    except ValueError as problem:
        raise RuntimeError(f"einsum {equation!r} of shapes {[tuple(each.shape) for each in arrays]}: {problem}") from None
    rules = tuple([_einsum_rule(position, inputs, output) for position in range(len(operands))])
    return record("einsum", value.copy() if value.base is not None else value, operands, rules, operands)


def _einsum_letters(equation: str, operands: tuple[Any, ...]) -> tuple[list[str], str]:
    """The axes of each operand and of the result, `...` and a missing right-hand side written out as letters."""
    left, arrow, output = equation.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(operands):
        raise RuntimeError(f"einsum {equation!r} names {len(inputs)} operands, got {len(operands)}")
    free = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if letter not in equation]
    named = [len(axes.replace("...", "")) for axes in inputs]
    dots = [operand.array.ndim - n if "..." in axes else 0 for axes, operand, n in zip(inputs, operands, named, strict=True)]
    if min(dots) < 0:
        raise RuntimeError(f"einsum {equation!r} names more axes than shapes {[tuple(each.shape) for each in operands]} have")
    spread = free[: max(dots)]
    inputs = [axes.replace("...", "".join(spread[len(spread) - count :])) for axes, count in zip(inputs, dots, strict=True)]
    for axes, operand in zip(inputs, operands, strict=True):
        if len(axes) != operand.array.ndim:
            raise RuntimeError(f"einsum {equation!r}: {axes!r} names {len(axes)} axes of shape {tuple(operand.shape)}")
    if not arrow:
        letters = "".join(inputs)
        output = "..." * bool(spread) + "".join(sorted(letter for letter in set(letters) - set(spread) if letters.count(letter) == 1))
    return inputs, output.replace("...", "".join(spread))


def _einsum_rule(position: int, inputs: list[str], output: str) -> Any:
    """dx for one operand: einsum of dy and the other operands, over axes that appear there; others are repeated."""
    axes = inputs[position]
    others = inputs[:position] + inputs[position + 1 :]

    def rule(xp: Any, dy: Any, *operands: Any) -> Any:
        x, rest = operands[position], [*operands[:position], *operands[position + 1 :]]
        reachable = set(output).union(*others)
        found = "".join(dict.fromkeys(letter for letter in axes if letter in reachable))
        dx = xp.einsum(f"{','.join([output, *others])}->{found}", dy, *rest)
        reached, sizes = dict(zip(found, dx.shape, strict=True)), dict(zip(axes, x.shape, strict=True))
        distinct = "".join(dict.fromkeys(axes))
        dx = dx.reshape(tuple([reached.get(letter, 1) for letter in distinct]))
        sizes.update({letter: size for letter, size in reached.items() if size != 1})  # where x has size 1 and is broadcast
        dx = xp.broadcast_to(dx, tuple([sizes[letter] for letter in distinct]))
        return dx if distinct == axes else _onto_diagonal(xp, dx, axes, distinct, sizes)

    return rule


def _onto_diagonal(xp: Any, dx: Any, axes: str, distinct: str, sizes: dict[str, int]) -> Any:
    """The gradient of an operand with a letter named twice ("ii"): dx where those indices agree, 0 elsewhere."""
    last = {letter: axes.rindex(letter) for letter in distinct}
    shape = [sizes[letter] if last[letter] == place else 1 for place, letter in enumerate(axes)]
    order = sorted(distinct, key=last.__getitem__)
    dx = xp.permute_dims(dx, tuple([distinct.index(letter) for letter in order])).reshape(tuple(shape))
    for place, letter in enumerate(axes):
        if last[letter] != place:
            dx = dx * _agreement(dx, sizes[letter], place, last[letter], len(axes))
    return dx


def _agreement(like: Any, size: int, one: int, other: int, ndim: int) -> Any:
    """1 where the indices of two axes of one size agree, else 0, where `like` lies; the remaining axes have size 1."""
    array = like.array if isinstance(like, Variable) else like
    count = _of(array).arange(size)
    row, column = (count.reshape(tuple([size if axis == along else 1 for axis in range(ndim)])) for along in (one, other))
    same = (row == column).astype(array.dtype)
    return wrap(same) if isinstance(like, Variable) else same


def tensordot(a: Any, b: Any, dims: int | Sequence[Any] = 2) -> Tensor:
    """The last `dims` axes of a against the first `dims` of b, or the axes of a listed first against those of b listed second"""
    _factors(a, b, "tensordot")
    if isinstance(dims, int) and not 0 <= dims <= min(a.array.ndim, b.array.ndim):
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise RuntimeError(f"tensordot sums over as many axes as both tensors have at most, got dims={dims} for shapes {shapes}")
    given: Any = (range(-dims, 0), range(dims)) if isinstance(dims, int) else dims
    ours, theirs = ([axis_of(x, axis) for axis in axes] for x, axes in zip((a, b), given))
    if len(ours) != len(theirs) or len(set(ours)) < len(ours) or len(set(theirs)) < len(theirs):
        raise RuntimeError(f"tensordot needs two lists of different axes, as many for one tensor as for the other, got {dims}")
    letters = "abcdefghijklmnopqrstuvwxyz"
    left, right = list(letters[: a.array.ndim]), list(letters[a.array.ndim : a.array.ndim + b.array.ndim])
    for one, other in zip(ours, theirs, strict=True):
        right[other] = left[one]
    kept = [letter for letter in (*left, *right) if (letter in left) != (letter in right)]
    return einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", a, b)
