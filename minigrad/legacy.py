"""Constructors named after dtypes, as in older programs: `LongTensor([1, 2])`, `isinstance(x, LongTensor)`."""

from __future__ import annotations

from typing import Any

from . import ops, types
from .tensor import Tensor

__all__ = [
    "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor", "IntTensor", "LongTensor", "ShortTensor",
]  # fmt: skip


class Constructor:
    """Makes tensors of one dtype, and says which tensors are of it.

    >>> LongTensor([1, 2]).dtype, isinstance(LongTensor(3), LongTensor), isinstance(FloatTensor(3), LongTensor)
    (minigrad.int64, True, False)
    """

    def __init__(self, name: str) -> None:
        self.__name__, self.dtype = name, types.dtype(types.CONSTRUCTORS[name])

    def __call__(self, *data: Any, device: Any = None) -> Tensor:
        """A tensor of those numbers (a list, an array, a tensor), or zeros of those sizes."""
        if len(data) == 1 and not isinstance(data[0], (int, types.Size)):
            types.require_sequence(data[0])
            return ops.tensor(data[0], dtype=self.dtype, device=device)
        return ops.zeros(*data or (0,), dtype=self.dtype, device=device)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is self.dtype and instance.device.type == "cpu"

    def __repr__(self) -> str:
        return f"<minigrad.{self.__name__}>"


FloatTensor, DoubleTensor, HalfTensor = Constructor("FloatTensor"), Constructor("DoubleTensor"), Constructor("HalfTensor")
ByteTensor, CharTensor, ShortTensor = Constructor("ByteTensor"), Constructor("CharTensor"), Constructor("ShortTensor")
IntTensor, LongTensor, BoolTensor = Constructor("IntTensor"), Constructor("LongTensor"), Constructor("BoolTensor")
