"""`Tensor`: the class, and the one table that ties operators and methods to operations."""

from __future__ import annotations

import copy
import math
import numbers
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import autograd, backend, missing, ops, printing, random, types
from .ops.inplace import in_place, turned
from .public import public, takes_one
from .tape import Branch, Leaf, Node, Phase, RemovableHandle, Source, Variable, _Above, refresh, version_of, wrap

__all__ = ["Tensor"]

_size = tuple.__new__  # of an array's own shape, which Size need not look at


class Tensor(Variable):
    """An array of numbers that remembers how it was computed.

    Names, arguments, defaults and errors are PyTorch's. `Tensor(2, 3)` makes zeros of that shape and `Tensor([1, 2])`
    a tensor of the default dtype; `minigrad.tensor(...)` is the usual way to make one.

    Source: https://docs.pytorch.org/docs/stable/tensors.html

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ()
    __hash__ = object.__hash__

    def __new__(cls, *data: Any, dtype: Any = None, device: Any = None) -> Tensor:
        if len(data) == 1 and not isinstance(data[0], (int, types.Size)):
            types.require_sequence(data[0])
            made = ops.tensor(data[0], dtype=dtype or types.default_dtype(), device=device)
        else:
            made = ops.zeros(*data or (0,), dtype=dtype, device=device)
        return made if cls is Tensor else made.as_subclass(cls)

    def as_subclass(self, cls: type[Any]) -> Any:
        """The same array, as an instance of a class derived from Tensor, off the tape."""
        made = object.__new__(cls)
        made.array, made.version = self.array, version_of(self)
        made.node = made.base = made.source = made._grad = None
        return made

    # ------------------------------------------------------------------------------------------------ what it is

    @property
    def shape(self) -> types.Size:
        """The sizes of all axes."""
        return _size(types.Size, self.array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The sizes of all axes, or of one."""
        return self.shape if dim is None else self.array.shape[ops.shape.axis_of(self, dim)]

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return int(self.array.ndim)

    def dim(self) -> int:
        """How many axes there are."""
        return int(self.array.ndim)

    ndimension = dim

    def numel(self) -> int:
        """How many elements there are."""
        return int(self.array.size)

    nelement = numel

    @property
    def dtype(self) -> types.dtype:
        """The type of one element."""
        return types.of_numpy(self.array.dtype)

    @property
    def device(self) -> types.device:
        """Where the elements live."""
        return backend.of(self.array).device_of(self.array)

    @property
    def is_cuda(self) -> bool:
        """Whether the elements live on a GPU."""
        return self.device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        """Whether the elements live on the CPU."""
        return self.device.type == "cpu"

    def get_device(self) -> int:
        """The number of the GPU that holds the elements, -1 for the CPU."""
        where = self.device
        return -1 if where.type == "cpu" else where.index or 0

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return int(self.array.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self.array.size * self.array.dtype.itemsize)

    def element_size(self) -> int:
        """Bytes of one element."""
        return self.itemsize

    def is_floating_point(self) -> bool:
        """Whether the elements are floating point."""
        return self.dtype.is_floating_point

    def is_contiguous(self) -> bool:
        """Whether the elements lie in memory in order."""
        return bool(self.array.flags.c_contiguous)

    def stride(self, dim: int | None = None) -> Any:
        """How many elements lie between neighbours along each axis, or along one."""
        steps = tuple(step // self.array.dtype.itemsize for step in self.array.strides)
        if self.array.size == 0:  # NumPy has zeros here; PyTorch counts an axis without elements as one
            steps = tuple(math.prod([max(size, 1) for size in self.array.shape[axis + 1 :]]) for axis in range(self.array.ndim))
        return steps if dim is None else steps[dim]

    def data_ptr(self) -> int:
        """The address of the first element."""
        return int(self.array.ctypes.data if isinstance(self.array, np.ndarray) else self.array.data.ptr)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Reached for names that are not there only."""
            raise AttributeError(missing.explain("Tensor", name, dir(Tensor)), name=name, obj=self)

    # ---------------------------------------------------------------------------------------------- its gradient

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is wanted: set on leaves, inherited by what is computed from them."""
        if self.base is None or self.base.fixed is None:  # asking does no harm where using would be an error
            refresh(self)
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        ops.create.requires_grad(self, wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Make this leaf want a gradient, or stop wanting one; returns it."""
        ops.create.requires_grad(self, requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user rather than computed from what wants a gradient."""
        refresh(self)
        return self.node is None or isinstance(self.node, Leaf)

    @property
    def grad_fn(self) -> Node | None:
        """The node that made it; None for leaves."""
        refresh(self)
        node = self.node
        if isinstance(node, Branch):
            return node.parents[0]  # type: ignore[return-value]
        return None if isinstance(node, Leaf) else node

    @property
    def grad(self) -> Tensor | None:
        """The gradient gathered so far; None before the first backward()."""
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            if not isinstance(gradient, Tensor):
                raise TypeError(f"a gradient is a tensor or None, got {type(gradient).__name__}")
            if (gradient.shape, gradient.dtype, gradient.device) != (self.shape, self.dtype, self.device):
                raise RuntimeError(
                    f"a gradient has its tensor's shape, dtype and device: {tuple(self.shape)} {self.dtype} {self.device}, "
                    f"got {tuple(gradient.shape)} {gradient.dtype} {gradient.device}"
                )
        self._grad = gradient

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def backward(self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None) -> None:
        """Add d self / d leaf to the `.grad` of every leaf that self was computed from.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html
        """
        autograd.backward(self, None if gradient is None else [gradient], retain_graph, create_graph, inputs=inputs)

    def retain_grad(self) -> None:
        """Keep the gradient of a computed tensor in its `.grad` too."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad() needs a tensor that requires grad; there will be no gradient of this one to keep")
        if not self.is_leaf and not self.retains_grad:
            self._keep_grad()

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad()` was asked of this computed tensor."""
        hooks = None if self.is_leaf else self.node.hooks  # type: ignore[union-attr]
        return hooks is not None and any(isinstance(hook, _Keep) and hook.tensor() is self for _, hook in hooks.values())

    def _keep_grad(self) -> RemovableHandle:
        return self.node.add_hook(Phase.RETAIN, _Keep(self))  # type: ignore[union-attr]

    def register_hook(self, hook: Callable[[Any], Any]) -> RemovableHandle:
        """Call `hook(gradient)` whenever a gradient for this tensor is complete; what it returns takes its place.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html
        """
        if not self.requires_grad:
            raise RuntimeError("a hook needs a tensor that requires grad; nobody would ever call this one")
        return self.node.add_hook(Phase.TENSOR, hook)  # type: ignore[union-attr]

    def register_post_accumulate_grad_hook(self, hook: Callable[[Any], Any]) -> RemovableHandle:
        """Call `hook(tensor)` whenever a gradient has been added to the `.grad` of this leaf.

        Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_post_accumulate_grad_hook.html

        >>> import minigrad
        >>> w = minigrad.ones(2, requires_grad=True)
        >>> handle = w.register_post_accumulate_grad_hook(lambda w: print(w.grad))
        >>> (w * 3).sum().backward()
        tensor([3., 3.])
        """
        if not self.requires_grad:
            raise RuntimeError("a hook needs a tensor that requires grad; nobody would ever call this one")
        if not isinstance(self.node, Leaf):
            raise RuntimeError("only a leaf gathers its gradient in .grad; use register_hook for a computed tensor")
        if self.node.afterwards is None:
            self.node.afterwards = {}
        return RemovableHandle(self.node.afterwards, hook)

    def detach(self) -> Tensor:
        """The same memory, cut from the tape: no gradient passes."""
        cut = wrap(self.array)
        cut.version = version_of(self)
        if self.node is not None:
            cut.source = Source("detached", self.array.shape, self.array.dtype, self.node.number)
        return cut

    def detach_(self) -> Tensor:
        """Cut this very tensor from the tape; RuntimeError for a view, whose memory others show too."""
        if self.base is not None:
            raise RuntimeError("a view cannot be detached in place; use detach()")
        if self.node is not None:
            self.source = Source("detached", self.array.shape, self.array.dtype, self.node.number)
        self.node = self.base = None
        return self

    @property
    def data(self) -> Tensor:
        """The same memory, off the tape, and with changes that the tape does not notice; prefer `detach()`."""
        return wrap(self.array)

    @data.setter
    def data(self, new: Tensor) -> None:
        if not isinstance(new, Variable):
            raise TypeError(f"a tensor's data is a tensor, got {type(new).__name__}; make one of it: minigrad.tensor(...)")
        if self.node is not None and new.array.dtype.kind != "f":
            raise RuntimeError(f"a tensor that requires a gradient holds floating point, got data of {new.dtype}; use data.float()")
        if isinstance(self.node, Leaf):
            self.node.shape, self.node.dtype = new.array.shape, new.array.dtype
        self.array = new.array

    @property
    def _version(self) -> int:
        """How often the memory was changed in place."""
        return 0 if self.version is None else self.version[1]

    # ---------------------------------------------------------------------------------------------- out of here

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self.array.size != 1:
            raise RuntimeError(f"item() is for a single element; this tensor has shape {tuple(self.array.shape)}")
        return self._waited(self.array.item())

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._waited(self.array.tolist())

    def _waited(self, answer: Any) -> Any:
        """`answer`, for which the device was waited for, unless the device has found an error meanwhile."""
        backend.of(self.array).report()
        return answer

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """The elements as a NumPy array that shares their memory; `force` detaches and copies as needed."""
        if not force and self.requires_grad:
            raise RuntimeError("a tensor that requires grad has no NumPy array of its own; use x.detach().numpy()")
        if not force and not isinstance(self.array, np.ndarray):
            raise TypeError(f"a tensor on {str(self.device)!r} is not NumPy's; use x.cpu().numpy()")
        return backend.of(self.array).to_host(self.array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self.numpy()
        return array.astype(dtype) if dtype is not None and dtype != array.dtype else array.copy() if copy else array

    def __dlpack__(self, **options: Any) -> Any:
        if self.requires_grad:
            raise BufferError("a tensor that requires grad cannot be lent to another library; use x.detach()")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def __array_ufunc__(self, ufunc: Any, method: Any, *inputs: Any, out: Any = None, **options: Any) -> Any:
        """What numpy_array * tensor and numpy.exp(tensor) do: our operation of that name, gradients included."""
        operation = getattr(ops, _OF_UFUNC.get(ufunc.__name__, ufunc.__name__), None)
        if method != "__call__" or operation is None or options:
            raise TypeError(f"numpy.{ufunc.__name__} does not take a tensor like this; use minigrad's functions, or x.detach().numpy()")
        if out is not None:  # numpy_array *= tensor
            return ufunc(*[each.numpy() if isinstance(each, Tensor) else each for each in inputs], out=out)
        return operation(*[self._beside(each) for each in inputs])

    def _beside(self, given: Any) -> Any:
        """What NumPy hands over beside this tensor: arrays are on the CPU, numbers (arrays without axes too) where this is."""
        if isinstance(given, np.ndarray):
            return wrap(given if given.ndim else backend.of(self.array).full((), given[()], given.dtype))
        return given if isinstance(given, np.generic) else ops.as_tensor(given)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What PyTorch's own functions do with a tensor of ours: they see its memory, so that our weights load there."""
        view = sys.modules["torch"].from_numpy

        def seen(given: Any) -> Any:
            if isinstance(given, (list, tuple)):
                return type(given)(map(seen, given))
            return view(given.numpy()) if isinstance(given, Tensor) else given

        return func(*map(seen, args), **{name: seen(each) for name, each in (kwargs or {}).items()})

    def __float__(self) -> float:
        return float(self._single())

    def __int__(self) -> int:
        return int(self._single())

    def _single(self) -> Any:
        if self.array.size != 1:
            raise ValueError(f"only a single element converts to a Python number; this tensor has shape {tuple(self.array.shape)}")
        return self._waited(self.array.item())

    def __index__(self) -> int:
        if self.array.dtype.kind not in "biu" or self.array.size != 1:
            raise TypeError(f"only a single integer can serve as an index, got shape {tuple(self.array.shape)} of {self.dtype}")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise RuntimeError(f"the truth of a tensor of shape {tuple(self.array.shape)} is ambiguous; use .any() or .all()")
        return bool(self.item())

    def __len__(self) -> int:
        if self.array.ndim == 0:
            raise TypeError("a tensor without axes has no length")
        return int(self.array.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if self.array.ndim == 0:
            raise TypeError("a tensor without axes cannot be iterated over")
        return iter(ops.unbind(self))

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, (Variable, numbers.Number)):
            raise RuntimeError(f"what can be in a tensor is a number or a tensor, got {type(element).__name__}")
        return bool((self == element).any())

    def __repr__(self) -> str:
        return printing.to_text(self)

    def __format__(self, spec: str) -> str:
        if self.array.ndim == 0 and self.__class__ is Tensor:  # f"{loss}" and f"{loss:.3f}" are of the number
            return format(self.item(), spec)
        if spec:
            what = f"{type(self).__name__} has shape {tuple(self.array.shape)}"
            raise TypeError(f"the format {spec!r} is for one number, and this {what}; use x.item()")
        return repr(self)

    def __reduce__(self) -> Any:
        wanted = isinstance(self.node, Leaf)
        return _rebuild, (type(self), backend.of(self.array).to_host(self.array), str(self.device), wanted, self._grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError("only leaves can be deep-copied; a computed tensor has a history that cannot. Use x.detach().clone()")
        twin: Tensor = wrap(backend.of(self.array).twin(self.array, memo)).as_subclass(type(self))
        memo[id(self)] = twin
        twin._grad = copy.deepcopy(self._grad, memo)
        return twin.requires_grad_(self.requires_grad)

    # ------------------------------------------------------------------------------------------ other forms of it

    def to(self, *args: Any, device: Any = None, dtype: Any = None, copy: bool = False, non_blocking: bool = False) -> Tensor:
        """The tensor on another device or in another dtype: x.to("cuda"), x.to(float64), x.to(other)."""
        for given in args:
            if isinstance(given, Tensor):
                device, dtype = given.device, given.dtype
            elif isinstance(given, (str, types.device)) and not (isinstance(given, str) and given in types.DTYPES):
                device = given
            elif not isinstance(given, bool):
                dtype = dtype if given is None else given
        result = self
        if dtype is not None and types.numpy_dtype(dtype) != self.array.dtype:
            result = ops.create.cast(result, dtype)
        if device is not None and _elsewhere(types.device(device), self.device):
            result = ops.create.to_device(result, device)
        return ops.clone(self) if copy and result is self else result

    def type(self, dtype: Any = None) -> Any:
        """The tensor in another dtype (or by the name of its constructor, "LongTensor"), or the name of its own type."""
        if dtype is None:
            return "minigrad." + next(name for name, kind in types.CONSTRUCTORS.items() if kind == self.dtype.name)
        if isinstance(dtype, str):
            dtype = types.CONSTRUCTORS.get(dtype.rpartition(".")[2], dtype)
        return self.to(dtype=getattr(dtype, "dtype", dtype))

    def type_as(self, other: Tensor) -> Tensor:
        """The tensor in the dtype and on the device of another."""
        if not isinstance(other, Tensor):
            raise TypeError(f"type_as needs another tensor, got {type(other).__name__}; use to(dtype)")
        return self.to(other)

    def cpu(self) -> Tensor:
        """The tensor on the CPU."""
        return self.to("cpu")

    def cuda(self, device: int | None = None) -> Tensor:
        """The tensor on a GPU."""
        return self.to("cuda" if device is None else types.device("cuda", device))

    def half(self) -> Tensor:
        """The tensor in float16."""
        return self.to(dtype="float16")

    def float(self) -> Tensor:
        """The tensor in float32."""
        return self.to(dtype="float32")

    def double(self) -> Tensor:
        """The tensor in float64."""
        return self.to(dtype="float64")

    def int(self) -> Tensor:
        """The tensor in int32."""
        return self.to(dtype="int32")

    def short(self) -> Tensor:
        """The tensor in int16."""
        return self.to(dtype="int16")

    def char(self) -> Tensor:
        """The tensor in int8."""
        return self.to(dtype="int8")

    def byte(self) -> Tensor:
        """The tensor in uint8."""
        return self.to(dtype="uint8")

    def long(self) -> Tensor:
        """The tensor in int64."""
        return self.to(dtype="int64")

    def bool(self) -> Tensor:
        """The tensor as True where it is not 0."""
        return self.to(dtype="bool")

    def contiguous(self) -> Tensor:
        """The tensor with its elements in order in memory."""
        return self if self.is_contiguous() else ops.clone(self)._in_order()

    def _in_order(self) -> Tensor:
        self.array = backend.of(self.array).ascontiguousarray(self.array)
        return self

    def new_tensor(self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Tensor:
        """A new tensor in this one's dtype and place."""
        return ops.tensor(data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)

    def new_zeros(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Tensor:
        """Zeros in this one's dtype and place."""
        return ops.zeros(*size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)

    def new_ones(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Tensor:
        """Ones in this one's dtype and place."""
        return ops.ones(*size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)

    def new_empty(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Tensor:
        """A tensor to be filled in, in this one's dtype and place."""
        return self.new_zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)

    def new_full(self, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Tensor:
        """One value repeated, in this one's dtype and place."""
        return ops.full(size, fill_value, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)

    @property
    def T(self) -> Tensor:
        """All axes in reverse order."""
        return ops.permute(self, tuple(range(self.array.ndim)[::-1]))

    @property
    def mT(self) -> Tensor:
        """The last two axes swapped."""
        if self.array.ndim == 0:
            return self
        if self.array.ndim == 1:
            raise RuntimeError(f".mT needs at least two axes, got shape {tuple(self.array.shape)}")
        return ops.transpose(self, -2, -1)

    @property
    def H(self) -> Tensor:
        """The transpose of a matrix: what the conjugate transpose is for real numbers."""
        if self.array.ndim not in (0, 2):
            raise RuntimeError(f".H is for matrices, got shape {tuple(self.array.shape)}; use .mT")
        return ops.t(self)

    @property
    def mH(self) -> Tensor:
        """The last two axes swapped: what the conjugate transpose is for real numbers."""
        return self.mT

    def view_as(self, other: Tensor) -> Tensor:
        """The tensor in the shape of another."""
        return ops.shape.view(self, *other.array.shape)

    def reshape_as(self, other: Tensor) -> Tensor:
        """The tensor in the shape of another."""
        return ops.reshape(self, *other.array.shape)

    def expand_as(self, other: Tensor) -> Tensor:
        """The tensor expanded to the shape of another."""
        return ops.shape.expand(self, *other.array.shape)

    # ------------------------------------------------------------------------- the table: operators, then methods

    __add__ = __radd__ = ops.add
    __sub__ = ops.sub
    __mul__ = __rmul__ = ops.mul
    __truediv__ = ops.div
    __floordiv__ = ops.floor_divide
    __mod__ = ops.remainder
    __pow__ = ops.pow
    __matmul__ = ops.matmul
    __neg__ = ops.neg
    __pos__ = ops.positive
    __abs__ = ops.abs
    __lshift__, __rshift__ = ops.bitwise_left_shift, ops.bitwise_right_shift
    __and__ = __rand__ = ops.bitwise_and
    __or__ = __ror__ = ops.bitwise_or
    __xor__ = __rxor__ = ops.bitwise_xor
    __lt__, __le__, __gt__, __ge__ = ops.lt, ops.le, ops.gt, ops.ge
    __getitem__ = ops.index.getitem
    __setitem__ = ops.inplace.setitem

    def __delitem__(self, index: Any) -> None:
        raise TypeError("elements of a tensor cannot be deleted; x[mask] and minigrad.cat keep those that shall stay")

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return ops.eq(self, other) if _comparable(other) else NotImplemented

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return ops.ne(self, other) if _comparable(other) else NotImplemented

    def __invert__(self) -> Tensor:
        if self.array.dtype.kind == "f":
            raise TypeError(f"~ works on bools and integers, got {self.dtype}; compare first, as in ~(x > 0)")
        return ops.bitwise_not(self)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.sub(other, self)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.div(other, self)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(other, self)

    def __rmod__(self, other: Any) -> Tensor:
        return ops.remainder(other, self)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.pow(other, self)

    def __rlshift__(self, other: Any) -> Tensor:
        return ops.bitwise_left_shift(other, self)

    def __rrshift__(self, other: Any) -> Tensor:
        return ops.bitwise_right_shift(other, self)

    def __rmatmul__(self, other: Any) -> Tensor:
        return NotImplemented if isinstance(other, (float, int, np.generic)) else ops.matmul(ops.as_tensor(other), self)

    add, sub, mul, div, pow = ops.add, ops.sub, ops.mul, ops.div, ops.pow
    subtract, multiply, divide, true_divide = sub, mul, div, div
    floor_divide, remainder, fmod, lerp = ops.floor_divide, ops.remainder, ops.fmod, ops.lerp
    addcmul, addcdiv, float_power = ops.addcmul, ops.addcdiv, ops.float_power
    abs = absolute = ops.abs
    neg, sign, exp, expm1, log, log1p, log2, log10 = ops.neg, ops.sign, ops.exp, ops.expm1, ops.log, ops.log1p, ops.log2, ops.log10
    negative, positive, sgn, exp2, frac = neg, ops.positive, sign, ops.exp2, ops.frac
    sqrt, rsqrt, reciprocal, square = ops.sqrt, ops.rsqrt, ops.reciprocal, ops.square
    sin, cos, tan, tanh, sigmoid, relu, erf, erfc = ops.sin, ops.cos, ops.tan, ops.tanh, ops.sigmoid, ops.relu, ops.erf, ops.erfc
    asin, acos, atan, sinh, cosh, asinh, acosh = ops.asin, ops.acos, ops.atan, ops.sinh, ops.cosh, ops.asinh, ops.acosh
    atanh, sinc, deg2rad, rad2deg, logit = ops.atanh, ops.sinc, ops.deg2rad, ops.rad2deg, ops.logit
    arcsin, arccos, arctan, arcsinh, arccosh, arctanh = asin, acos, atan, asinh, acosh, atanh
    atan2, hypot, logaddexp, xlogy = ops.atan2, ops.hypot, ops.logaddexp, ops.xlogy
    arctan2, copysign, heaviside = atan2, ops.copysign, ops.heaviside
    floor, ceil, round, trunc, fix = ops.floor, ops.ceil, ops.round, ops.trunc, ops.trunc
    maximum, minimum, fmax, fmin = ops.maximum, ops.minimum, ops.fmax, ops.fmin
    clamp, clamp_min, clamp_max = ops.clamp, ops.clamp_min, ops.clamp_max
    clip, nan_to_num = clamp, ops.nan_to_num

    def where(self, condition: Any, other: Any) -> Tensor:
        """self where the condition holds, else other"""
        return ops.where(condition, self, other)

    eq, ne, lt, le, gt, ge = ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge
    not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
    logical_and, logical_or, logical_xor = ops.logical_and, ops.logical_or, ops.logical_xor
    bitwise_and, bitwise_or, bitwise_xor = ops.bitwise_and, ops.bitwise_or, ops.bitwise_xor
    bitwise_left_shift, bitwise_right_shift = ops.bitwise_left_shift, ops.bitwise_right_shift
    logical_not, bitwise_not, signbit = ops.logical_not, ops.bitwise_not, ops.signbit
    isnan, isinf, isfinite, isposinf, isneginf = ops.isnan, ops.isinf, ops.isfinite, ops.isposinf, ops.isneginf
    isclose, allclose, equal, is_same_size = ops.isclose, ops.allclose, ops.equal, ops.is_same_size
    is_complex, is_signed, is_nonzero = ops.is_complex, ops.is_signed, ops.is_nonzero

    sum, mean, prod, var, std, norm = ops.sum, ops.mean, ops.prod, ops.var, ops.std, ops.norm
    max, min, amax, amin, argmax, argmin = ops.max, ops.min, ops.amax, ops.amin, ops.argmax, ops.argmin
    any, all, count_nonzero = ops.any, ops.all, ops.count_nonzero
    nansum, nanmean, aminmax, median, quantile = ops.nansum, ops.nanmean, ops.aminmax, ops.median, ops.quantile
    logsumexp, softmax, log_softmax = ops.logsumexp, ops.softmax, ops.log_softmax
    cumsum, cumprod, cummax, cummin, diff = ops.cumsum, ops.cumprod, ops.cummax, ops.cummin, ops.diff
    sort, argsort, topk, kthvalue, msort = ops.sort, ops.argsort, ops.topk, ops.kthvalue, ops.msort
    unique, unique_consecutive, bincount, histc = ops.unique, ops.unique_consecutive, ops.bincount, ops.histc

    matmul, mm, bmm, mv, dot, inner, outer = ops.matmul, ops.mm, ops.bmm, ops.mv, ops.dot, ops.inner, ops.outer
    vdot, ger, cross, dist = dot, outer, ops.cross, ops.dist
    addmm, baddbmm, addmv, addr, addbmm = ops.addmm, ops.baddbmm, ops.addmv, ops.addr, ops.addbmm
    matrix_power, trace, adjoint = ops.matrix_power, ops.arrange.trace, ops.adjoint
    diag, diag_embed, diagflat = ops.diag, ops.diag_embed, ops.diagflat

    reshape, view, transpose = ops.reshape, ops.shape.view, ops.transpose
    flatten, unflatten, unfold = ops.flatten, ops.unflatten, ops.arrange.unfold
    swapaxes = swapdims = transpose
    permute, t, ravel = ops.permute, ops.t, ops.ravel
    movedim = moveaxis = ops.movedim
    squeeze, unsqueeze, expand, broadcast_to = ops.squeeze, ops.unsqueeze, ops.shape.expand, ops.broadcast_to
    repeat, tile, repeat_interleave = ops.shape.repeat, ops.tile, ops.repeat_interleave
    split, chunk, unbind, narrow, select = ops.split, ops.chunk, ops.unbind, ops.narrow, ops.select
    tensor_split, split_with_sizes = ops.tensor_split, ops.split_with_sizes
    hsplit, vsplit, dsplit = ops.hsplit, ops.vsplit, ops.dsplit
    flip, roll, rot90, fliplr, flipud = ops.flip, ops.roll, ops.rot90, ops.fliplr, ops.flipud

    gather, scatter, scatter_add = ops.gather, ops.scatter, ops.scatter_add
    take, take_along_dim = ops.take, ops.take_along_dim
    index_select, index_add, index_copy = ops.index_select, ops.index_add, ops.index_copy
    index_fill, index_put = ops.index_fill, ops.index_put
    masked_fill, masked_select, masked_scatter = ops.masked_fill, ops.masked_select, ops.masked_scatter
    nonzero, argwhere = ops.nonzero, ops.argwhere
    tril, triu, diagonal, clone = ops.tril, ops.triu, ops.diagonal, ops.clone

    # In place. Comparisons write 0 and 1 in the tensor's own dtype, as PyTorch's do.
    copy_, fill_, zero_, fill_diagonal_ = ops.inplace.copy_, ops.inplace.fill_, ops.inplace.zero_, ops.inplace.fill_diagonal_
    __iadd__, sub_, mul_, div_, pow_ = (in_place(each) for each in (ops.add, ops.sub, ops.mul, ops.div, ops.pow))
    add_ = ops.inplace.either_order(__iadd__)
    subtract_, multiply_, divide_, true_divide_ = sub_, mul_, div_, div_
    floor_divide_, remainder_, fmod_, lerp_ = (in_place(each) for each in (ops.floor_divide, ops.remainder, ops.fmod, ops.lerp))
    addcmul_, addcdiv_, float_power_ = (in_place(each) for each in (ops.addcmul, ops.addcdiv, ops.float_power))
    neg_, abs_, sign_, exp_, expm1_, exp2_ = (in_place(each) for each in (ops.neg, ops.abs, ops.sign, ops.exp, ops.expm1, ops.exp2))
    negative_, absolute_, sgn_ = neg_, abs_, sign_
    log_, log1p_, log2_, log10_ = (in_place(each) for each in (ops.log, ops.log1p, ops.log2, ops.log10))
    sqrt_, rsqrt_, reciprocal_, square_ = (in_place(each) for each in (ops.sqrt, ops.rsqrt, ops.reciprocal, ops.square))
    sin_, cos_, tan_, asin_, acos_, atan_ = (in_place(each) for each in (ops.sin, ops.cos, ops.tan, ops.asin, ops.acos, ops.atan))
    sinh_, cosh_, tanh_, asinh_ = (in_place(each) for each in (ops.sinh, ops.cosh, ops.tanh, ops.asinh))
    acosh_, atanh_, sinc_, atan2_ = (in_place(each) for each in (ops.acosh, ops.atanh, ops.sinc, ops.atan2))
    arcsin_, arccos_, arctan_, arctan2_, arcsinh_, arccosh_, arctanh_ = asin_, acos_, atan_, atan2_, asinh_, acosh_, atanh_
    sigmoid_, relu_, erf_, erfc_, logit_ = (in_place(each) for each in (ops.sigmoid, ops.relu, ops.erf, ops.erfc, ops.logit))
    floor_, ceil_, round_, trunc_, frac_ = (in_place(each) for each in (ops.floor, ops.ceil, ops.round, ops.trunc, ops.frac))
    fix_, deg2rad_, rad2deg_ = trunc_, in_place(ops.deg2rad), in_place(ops.rad2deg)
    hypot_, xlogy_, copysign_, heaviside_ = (in_place(each) for each in (ops.hypot, ops.xlogy, ops.copysign, ops.heaviside))
    clamp_, clamp_min_, clamp_max_ = (in_place(each) for each in (ops.clamp, ops.clamp_min, ops.clamp_max))
    clip_, nan_to_num_ = clamp_, in_place(ops.nan_to_num)
    eq_, ne_, lt_, le_, gt_, ge_ = (in_place(each) for each in (ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge))
    not_equal_, less_, less_equal_, greater_, greater_equal_ = ne_, lt_, le_, gt_, ge_
    logical_and_, logical_or_, logical_xor_, logical_not_ = (
        in_place(each) for each in (ops.logical_and, ops.logical_or, ops.logical_xor, ops.logical_not)
    )
    bitwise_and_, bitwise_or_, bitwise_xor_, bitwise_not_ = (
        in_place(each) for each in (ops.bitwise_and, ops.bitwise_or, ops.bitwise_xor, ops.bitwise_not)
    )
    bitwise_left_shift_, bitwise_right_shift_ = in_place(ops.bitwise_left_shift), in_place(ops.bitwise_right_shift)
    cumsum_, cumprod_, tril_, triu_ = (in_place(each) for each in (ops.cumsum, ops.cumprod, ops.tril, ops.triu))
    addmm_, baddbmm_, addmv_, addr_, addbmm_ = (in_place(each) for each in (ops.addmm, ops.baddbmm, ops.addmv, ops.addr, ops.addbmm))
    masked_fill_, masked_scatter_, scatter_, scatter_add_ = (
        in_place(each) for each in (ops.masked_fill, ops.masked_scatter, ops.scatter, ops.scatter_add)
    )
    index_add_, index_copy_, index_fill_, index_put_ = (
        in_place(each) for each in (ops.index_add, ops.index_copy, ops.index_fill, ops.index_put)
    )
    squeeze_, unsqueeze_, transpose_, t_ = (turned(each) for each in (ops.squeeze, ops.unsqueeze, ops.transpose, ops.t))
    swapaxes_ = swapdims_ = transpose_
    __isub__, __imul__, __itruediv__, __ipow__ = sub_, mul_, div_, pow_
    __ifloordiv__, __imod__, __ilshift__, __irshift__ = floor_divide_, remainder_, bitwise_left_shift_, bitwise_right_shift_
    __iand__, __ior__, __ixor__ = bitwise_and_, bitwise_or_, bitwise_xor_

    def normal_(self, mean: Any = 0.0, std: Any = 1.0, *, generator: Any = None) -> Tensor:
        """Normal random numbers written into every element."""
        return self._draw(lambda stream: stream.normal(mean, std, self.array.shape), generator)

    def uniform_(self, a: Any = 0.0, b: Any = 1.0, *, generator: Any = None) -> Tensor:
        """Random numbers uniform in [a, b) written into every element."""
        return self._draw(lambda stream: stream.uniform(a, b, self.array.shape), generator)

    def exponential_(self, lambd: Any = 1.0, *, generator: Any = None) -> Tensor:
        """Random numbers with density lambd e^(-lambd x) written into every element."""
        return self._draw(lambda stream: stream.exponential(1 / lambd, self.array.shape), generator)

    def log_normal_(self, mean: Any = 1.0, std: Any = 2.0, *, generator: Any = None) -> Tensor:
        """Random numbers whose logarithms are normal written into every element."""
        return self._draw(lambda stream: stream.lognormal(mean, std, self.array.shape), generator)

    def random_(self, from_: Any = 0, to: Any = None, *, generator: Any = None) -> Tensor:
        """Random integers written into every element: below `to`, or from `from_` on; without limits, all the dtype can hold."""
        low, high = (0, from_) if to is None and from_ else (from_, _integers_below(self.dtype) if to is None else to)
        if low >= high:
            raise RuntimeError(f"random_ draws from [from, to), which is empty for from={low}, to={high}")
        return self._draw(lambda stream: stream.integers(low, high, self.array.shape), generator, integers=True)

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Tensor:
        """1 with probability p (a number, or a tensor of them), else 0, written into every element."""
        ops.inplace.require_changeable(self)
        if isinstance(p, (int, float)):
            return ops.inplace.write(self, random.bernoulli(self, p, generator=generator))
        drawn = random.bernoulli(p.expand(self.array.shape), generator=generator)
        return ops.inplace.write(self, drawn.to(device=self.device, dtype=self.dtype))

    def bernoulli(self, p: Any = None, *, generator: Any = None) -> Tensor:
        """1 with the probability that stands in each element, else 0."""
        return random.bernoulli(self, p, generator=generator)

    def multinomial(self, num_samples: Any, replacement: Any = False, *, generator: Any = None) -> Tensor:
        """Positions drawn with probabilities proportional to each row."""
        return random.multinomial(self, num_samples, replacement, generator=generator)

    def _draw(self, draw: Callable[[Any], Any], generator: Any, integers: Any = False) -> Tensor:
        ops.inplace.require_changeable(self)
        if not integers and not self.is_floating_point():
            raise NotImplementedError(f"these random numbers are floating point, which {self.dtype} cannot hold; use x.random_(high)")
        drawn = ops.create.finish(draw(random.stream(generator)), self.dtype, self.device, False)
        return ops.inplace.write(self, drawn)


class _Keep:
    """The hook of retain_grad: it adds to the `.grad` of a tensor, which it knows weakly, or both would live for ever."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = weakref.ref(tensor)

    def __call__(self, gradient: Tensor) -> None:
        tensor = self.tensor()
        if tensor is not None:
            tensor._grad = gradient.clone() if tensor._grad is None else tensor._grad + gradient


def _rebuild(cls: type[Tensor], array: Any, device: str, requires_grad: bool, grad: Any) -> Tensor:
    tensor = ops.create.finish(array, None, device, False)
    tensor = tensor if cls is Tensor else tensor.as_subclass(cls)
    tensor.requires_grad_(requires_grad)
    tensor._grad = grad
    return tensor


# Methods with options take PyTorch's names for them. Those of one argument need no help, and these few are called most.
_DIRECT = {"reshape", "transpose", "view"}
for _name, _operation in list(vars(Tensor).items()):
    if getattr(_operation, "__module__", "").startswith("minigrad.ops.") and not (
        _name.startswith("__") or _name in _DIRECT or hasattr(_operation, "__wrapped__") or takes_one(_operation)
    ):
        setattr(Tensor, _name, public(_operation))


def _integers_below(dtype: types.dtype) -> int:
    """One more than the largest integer up to which all are exact in a dtype."""
    if dtype.is_floating_point:
        return 2 ** (np.finfo(dtype.numpy).nmant + 1) + 1
    return 2 if dtype.name == "bool" else int(np.iinfo(dtype.numpy).max) + (dtype.name != "int64")


# NumPy's functions of elements whose names here are others; all others have the same name.
_OF_UFUNC = {
    "equal": "eq", "power": "pow", "invert": "bitwise_not", "rint": "round", "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift", "degrees": "rad2deg", "radians": "deg2rad",
}  # fmt: skip


def _comparable(other: object) -> bool:
    return isinstance(other, (Variable, float, int, bool, np.generic)) or other.__class__ in backend.ARRAYS


def _elsewhere(wanted: types.device, here: types.device) -> bool:
    return wanted.type != here.type or (wanted.index is not None and here.index is not None and wanted.index != here.index)


_Above.Tensor, _Above.ops = Tensor, ops
