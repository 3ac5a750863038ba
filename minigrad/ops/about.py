"""Questions about tensors and dtypes whose answers are no tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import types
from ..tape import Variable, wrap
from .elementwise import _PLAIN, promote


def is_tensor(obj: Any) -> bool:
    """Whether something is a Tensor"""
    return isinstance(obj, Variable)


def is_floating_point(x: Any) -> bool:
    """Whether the elements are floating point"""
    return bool(x.array.dtype.kind == "f")


def is_complex(x: Any) -> bool:
    """Whether the elements are complex: never, there are no complex dtypes here"""
    return bool(x.array.dtype.kind == "c")


def is_signed(x: Any) -> bool:
    """Whether the elements can be negative"""
    return bool(x.array.dtype.kind in "fi")


def is_nonzero(x: Any) -> bool:
    """Whether the only element is not 0"""
    return bool(x)


def is_same_size(x: Any, other: Any) -> bool:
    """Whether two tensors have the same shape"""
    return bool(x.array.shape == other.array.shape)


def numel(x: Any) -> int:
    """How many elements there are"""
    return int(x.array.size)


def result_type(tensor1: Any, tensor2: Any) -> types.dtype:
    """The dtype that two operands, tensors or numbers, meet in"""
    if tensor1.__class__ in _PLAIN and tensor2.__class__ in _PLAIN:
        kinds = {float: types.default_dtype(), int: types.dtype("int64"), bool: types.dtype("bool")}
        return max((kinds[tensor1.__class__], kinds[tensor2.__class__]), key=lambda kind: "biuf".index(kind.numpy.kind))
    return types.of_numpy(next(each.dtype for each in promote(tensor1, tensor2) if each.__class__ not in _PLAIN))


def promote_types(type1: Any, type2: Any) -> types.dtype:
    """The dtype that tensors of two dtypes meet in

    >>> promote_types("int64", "float32")
    minigrad.float32
    """
    one, other = (wrap(np.empty(1, types.numpy_dtype(each))) for each in (type1, type2))
    return result_type(one, other)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether a dtype may be cast to another without falling to a lower kind: floating point to integer is refused"""
    one, other = ("bif".index(types.numpy_dtype(each).kind.replace("u", "i")) for each in (from_, to))
    return one <= other
