"""Operations on each element by itself. One function each: the value, and a rule for each input's gradient.

Rules do not know of broadcasting or of mixed dtypes; the tape undoes both. In a rule, `xp` is an array library or
`minigrad.ops`, and the other arguments are arrays or Tensors to match; `dy` is the gradient of the value.
"""

from __future__ import annotations

import functools
import math
import operator
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend, types
from ..tape import Variable, record, wrap

if TYPE_CHECKING:
    from ..tensor import Tensor

_of = backend.of
_PLAIN = (float, int, bool)


def promote(a: Any, b: Any) -> tuple[Any, Any]:
    """The two operands as arrays of one dtype, or one array and one Python number, by PyTorch's rules.

    A number takes the tensor's dtype unless it is of a higher kind (bool < integer < floating point): then the result
    has that kind's default dtype. A tensor without axes yields likewise to one with axes.

    Source: https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
    """
    if isinstance(a, Variable) and isinstance(b, Variable):
        x, y = a.array, b.array
        if x.dtype is y.dtype and x.__class__ is y.__class__:
            return x, y
        _require_same_device(x, y)
        dtype = result_type(x, y)
        return x.astype(dtype, copy=False), y.astype(dtype, copy=False)
    if isinstance(a, Variable):
        if b.__class__ in _PLAIN:
            return _with_number(a.array, b)
        return _with_number(a.array, plain(b)) if isinstance(b, np.generic) else promote(a, as_variable(b, a))
    if a.__class__ in _PLAIN:
        return _with_number(b.array, a)[::-1]
    return _with_number(b.array, plain(a))[::-1] if isinstance(a, np.generic) else promote(as_variable(a, b), b)


def plain(given: Any) -> Any:
    """A NumPy number as the Python number that PyTorch takes it for (a NumPy bool for a float); anything else as it is."""
    if not isinstance(given, np.generic):
        return given
    return int(given) if given.dtype.kind in "iu" else float(given)


def fitting(number: float, dtype: np.dtype[Any]) -> Any:
    """A Python number as `dtype` holds it; RuntimeError where it does not fit. Unsigned takes negative ones, wrapped."""
    if dtype.kind == "b":
        return bool(number)
    smallest, largest = _LIMITS[dtype.name]
    if dtype.kind == "f":
        if smallest <= number <= largest or not math.isfinite(number):
            return number
    elif (-largest if dtype.kind == "u" else smallest) <= number <= largest:  # NaN is no integer either
        return int(number) if number >= smallest else int(number) + largest + 1
    raise RuntimeError(f"{number} does not fit {types.of_numpy(dtype)}, which goes from {smallest} to {largest}")


_LIMITS = {name: (int(np.iinfo(name).min), int(np.iinfo(name).max)) for name in ("int8", "int16", "int32", "int64", "uint8")} | {
    name: (float(np.finfo(name).min), float(np.finfo(name).max)) for name in ("float16", "float32", "float64")
}


def _with_number(array: Any, number: float) -> tuple[Any, float]:
    """`array`, in the dtype that PyTorch gives it beside a Python number, and the number, wrapped round if too large."""
    kind = array.dtype.kind
    if kind == "f":
        return array, number
    if number.__class__ is float:
        return array.astype(types.default_dtype().numpy), number
    if number.__class__ is int:
        array = array.astype(np.int64) if kind == "b" else array
        return array, np.array(number).astype(array.dtype).item()
    return array, number


def result_type(x: Any, y: Any) -> np.dtype[Any]:
    """The dtype in which two arrays meet: the wider of the higher kind, where arrays with axes outrank those without."""
    if _KINDS[x.dtype.kind] != _KINDS[y.dtype.kind]:
        high = x if _KINDS[x.dtype.kind] > _KINDS[y.dtype.kind] else y
        return high.dtype  # PyTorch, unlike NumPy: int64 with float32 is float32
    if (x.ndim == 0) != (y.ndim == 0):
        return x.dtype if x.ndim else y.dtype
    return np.promote_types(x.dtype, y.dtype)


_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}


def _require_same_device(x: Any, y: Any) -> None:
    if x.__class__ is not y.__class__:
        one, other = _of(x).device_of(x), _of(y).device_of(y)
        raise RuntimeError(
            f"expected all tensors on one device, got {str(one)!r} (shape {tuple(x.shape)}) and {str(other)!r} "
            f"(shape {tuple(y.shape)}); move one of them: x.to({str(other)!r})"
        )


def as_variable(given: Any, like: Any) -> Any:
    """An operand that is no tensor yet as a tensor: NumPy's numbers and arrays are taken, anything else is refused."""
    if isinstance(given, Variable):
        return given
    if isinstance(given, np.generic):
        return wrap(_of(like.array).full((), given, given.dtype))
    if given.__class__ in backend.ARRAYS:
        return wrap(given)
    raise TypeError(f"expected a tensor, a number or an array, got {type(given).__name__}")


def wants(given: Any) -> bool:
    """Whether an operand wants a gradient, or may yet, being a view of what was changed in place."""
    return isinstance(given, Variable) and (given.node is not None or given.base is not None)


# -------------------------------------------------------------------------------------------------------- arithmetic


def add(a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    """y = a + alpha b        da = dy        db = alpha dy"""
    x, y = promote(a, b)
    try:
        if alpha != 1 or alpha.__class__ is not int:
            return record("add", x + _scaled(alpha, x, y), (a, b), (lambda xp, dy: dy, lambda xp, dy: dy * alpha))
        return record("add", x + y, (a, b), _ADD)
    except ValueError as problem:
        raise _mismatch(x, y) from problem


_ADD = (lambda xp, dy: dy, lambda xp, dy: dy)


def sub(a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    """y = a - alpha b        da = dy        db = -alpha dy"""
    x, y = promote(a, b)
    _refuse_bool("subtraction", a, b)
    try:
        if alpha != 1 or alpha.__class__ is not int:
            return record("sub", x - _scaled(alpha, x, y), (a, b), (lambda xp, dy: dy, lambda xp, dy: dy * -alpha))
        return record("sub", x - y, (a, b), _SUB)
    except ValueError as problem:
        raise _mismatch(x, y) from problem


_SUB = (lambda xp, dy: dy, lambda xp, dy: -dy)


def mul(a: Any, b: Any) -> Tensor:
    """y = a b        da = dy b        db = dy a"""
    x, y = promote(a, b)
    keep = (  # `wants`, without the calls
        a if getattr(b, "node", None) or getattr(b, "base", None) else None,
        b if getattr(a, "node", None) or getattr(a, "base", None) else None,
    )
    try:
        return record("mul", x * y, (a, b), _MUL, keep)
    except ValueError as problem:
        raise _mismatch(x, y) from problem


_MUL = (lambda xp, dy, a, b: dy * b, lambda xp, dy, a, b: dy * a)


def div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Tensor:
    """y = a / b        da = dy / b        db = -dy a / b²        (both 0 when rounded, down by "floor" or towards 0 by "trunc")"""
    if rounding_mode is not None:
        if rounding_mode not in _ROUNDED:
            raise RuntimeError(f"rounding_mode must be None, 'floor' or 'trunc', not {rounding_mode!r}")
        return record("div", _ROUNDED[rounding_mode](*promote(a, b)), (a, b), (_no_slope, _no_slope))
    a, b = (float(a) if a.__class__ is int else a), (float(b) if b.__class__ is int else b)  # beside uint8, -1 would become 255
    x, y = (_floating(each) for each in promote(a, b))
    return record("div", _both(operator.truediv, x, y), (a, b), _DIV, (a if wants(b) else None, b))


_DIV = (lambda xp, dy, a, b: dy / b, lambda xp, dy, a, b: -dy * (a / b / b))  # b * b could underflow


def floor_divide(a: Any, b: Any) -> Tensor:
    """y = ⌊a / b⌋; a step, whose gradient PyTorch refuses

    Source: https://docs.pytorch.org/docs/stable/generated/torch.floor_divide.html
    """
    return record("floor_divide", _floor_quotient(*promote(a, b)), (a, b), (_refuse_slope, _refuse_slope))


def _floor_quotient(x: Any, y: Any) -> Any:
    """⌊x / y⌋"""
    _refuse("floor_divide", "b", x, y)
    _refuse_zero(x, y)
    return _both(operator.floordiv, x, y)


def _trunc_quotient(x: Any, y: Any) -> Any:
    """x / y without its fraction"""
    _refuse("trunc_divide", "b", x, y)
    _refuse_zero(x, y)
    floor, rest = _both(operator.floordiv, x, y), _both(operator.mod, x, y)
    if floor.dtype.kind == "f":
        return _of(floor).trunc(_both(operator.truediv, x, y))
    return floor + ((floor < 0) & (rest != 0))


_ROUNDED = {"floor": _floor_quotient, "trunc": _trunc_quotient}


def _no_slope(xp: Any, dy: Any) -> Any:
    return xp.zeros_like(dy)


def _refuse_slope(xp: Any, dy: Any) -> Any:
    raise RuntimeError(
        "floor_divide, a // b, has no gradient. Use minigrad.div(a, b, rounding_mode='floor'), whose gradient is 0, or a.detach() // b"
    )


def remainder(a: Any, b: Any) -> Tensor:
    """y = a - b ⌊a / b⌋, which has the sign of b        da = dy        db = -dy ⌊a / b⌋"""
    x, y = promote(a, b)
    _refuse("remainder", "b", x, y)
    _refuse_zero(x, y)
    rule = (lambda xp, dy, floor: dy, lambda xp, dy, floor: -dy * floor)
    return record("remainder", _both(operator.mod, x, y), (a, b), rule, (_both(operator.floordiv, x, y),))


def neg(x: Any) -> Tensor:
    """y = -x        dx = -dy"""
    _refuse_bool("negation", x)
    return record("neg", -x.array, (x,), (lambda xp, dy: -dy,))


def pow(a: Any, b: Any) -> Tensor:
    """y = aᵇ        da = dy b aᵇ⁻¹        db = dy y ln a, and 0 where a = 0 and b ≥ 0"""
    a, b = plain(a), plain(b)
    x, y = promote(a, b)
    if y.__class__ is not bool:  # x ** True is x
        _refuse("pow", "b", x, y)
    if getattr(x, "dtype", _BOOL).kind in "iu" and b.__class__ is int and b < 0:
        raise RuntimeError(f"integers to a negative power ({b}) are not integers; use x.float() ** {b}")
    whole = _kind_of(x) in "biu" and _kind_of(y) in "iu"
    value = _both(_integer_power if whole and y.__class__ is not int else operator.pow, x, y)
    value = value.astype(_BOOL) if _kind_of(x) == _kind_of(y) == "b" else value  # NumPy gives int8
    if not wants(b):
        return record("pow", value, (a, b), (_pow_base, None), (a, b))
    return record("pow", value, (a, b), (lambda xp, dy, a, b, y: _pow_base(xp, dy, a, b), _pow_exponent), (a, b, value))


def _integer_power(x: Any, y: Any) -> Any:
    """xʸ of integers: 0 for negative y, where it would be a fraction, except that 1 and -1 have powers of all kinds."""
    xp, dtype = _of(y), np.result_type(x if x.__class__ in _PLAIN else x.dtype, y.dtype)
    return xp.where(y < 0, (x == 1) + (x == -1) * (1 - 2 * (y % 2)), x ** xp.maximum(y, 0)).astype(dtype)


def _pow_base(xp: Any, dy: Any, a: Any, b: Any) -> Any:
    if b.__class__ in _PLAIN:
        return dy * (b * a ** (b - 1)) if b != 0 else dy * xp.zeros_like(a)
    return xp.where(b == 0, xp.zeros_like(dy), dy * (b * a ** (b - 1)))


def _pow_exponent(xp: Any, dy: Any, a: Any, b: Any, y: Any) -> Any:
    if a.__class__ in _PLAIN:
        if a > 0:
            return dy * (y * math.log(a))
        return xp.where((b >= 0) & (a == 0), xp.zeros_like(dy), dy * (y * (math.nan if a else -math.inf)))
    zero = (a == 0) & (b >= 0)
    return xp.where(zero, xp.zeros_like(dy), dy * y * xp.log(xp.where(zero, xp.ones_like(y), a)))


def lerp(start: Any, end: Any, weight: Any) -> Tensor:
    """y = start + weight (end - start)        dstart = dy (1 - weight)        dend = dy weight        dweight = dy (end - start)"""
    _tensors("lerp", start, end)
    for each in (end, weight):
        if isinstance(each, Variable) and (each is end or each.array.ndim) and each.array.dtype != start.array.dtype:
            raise RuntimeError(f"lerp needs tensors of one dtype, got {start.dtype} and {each.dtype}")  # type: ignore[attr-defined]
    x, y = promote(start, end)
    _refuse("lerp", "biu", x)
    w = weight.array.astype(x.dtype) if isinstance(weight, Variable) else x.dtype.type(weight)
    value = _both(lambda x, y: _of(x).where(_of(x).abs(w) < 0.5, x + w * (y - x), y - (y - x) * (1 - w)), x, y)  # exact at both ends
    rule = (
        lambda xp, dy, start, end, weight: dy * (1 - weight),
        lambda xp, dy, start, end, weight: dy * weight,
        lambda xp, dy, start, end, weight: dy * (end - start),
    )
    return record("lerp", value, (start, end, weight), rule, (*((start, end) if wants(weight) else (None, None)), weight))


# --------------------------------------------------------------------------------------------------- of one argument


def positive(x: Any) -> Tensor:
    """y = x        dx = dy"""
    _refuse_bool("unary plus", x)
    return record("positive", x.array, (x,), (lambda xp, dy: dy,))


def abs(x: Any) -> Tensor:
    """y = |x|        dx = dy sign x"""
    _refuse("abs", "b", x.array)
    return record("abs", _of(x.array).abs(x.array), (x,), (lambda xp, dy, x: xp.where(x > 0, dy, xp.where(x < 0, -dy, dy * 0.0)),), (x,))


def sign(x: Any) -> Tensor:
    """y = -1, 0 or 1        dx = 0"""
    value = _of(x.array).sign(x.array) if x.array.dtype != _BOOL else x.array.copy()
    value = _of(x.array).nan_to_num(value) if value.dtype.kind == "f" else value  # PyTorch gives NaN the sign 0
    return record("sign", value, (x,), (lambda xp, dy: xp.zeros_like(dy),))


def exp(x: Any) -> Tensor:
    """y = eˣ        dx = dy y"""
    value = _apply("exp", x)
    return record("exp", value, (x,), (lambda xp, dy, y: dy * y,), (value,))


def expm1(x: Any) -> Tensor:
    """y = eˣ - 1, exact near 0        dx = dy (y + 1)"""
    value = _apply("expm1", x)
    return record("expm1", value, (x,), (lambda xp, dy, y: dy * (y + 1),), (value,))


def log(x: Any) -> Tensor:
    """y = ln x        dx = dy / x"""
    return record("log", _apply("log", x), (x,), (lambda xp, dy, x: dy / x,), (x,))


def log1p(x: Any) -> Tensor:
    """y = ln(1 + x), exact near 0        dx = dy / (1 + x)"""
    return record("log1p", _apply("log1p", x), (x,), (lambda xp, dy, x: dy / (1 + x),), (x,))


def log2(x: Any) -> Tensor:
    """y = log₂ x        dx = dy / (x ln 2)"""
    return record("log2", _apply("log2", x), (x,), (lambda xp, dy, x: dy / (x * math.log(2)),), (x,))


def log10(x: Any) -> Tensor:
    """y = log₁₀ x        dx = dy / (x ln 10)"""
    return record("log10", _apply("log10", x), (x,), (lambda xp, dy, x: dy / (x * math.log(10)),), (x,))


def sqrt(x: Any) -> Tensor:
    """y = √x        dx = dy / 2y"""
    value = _apply("sqrt", x)
    return record("sqrt", value, (x,), (lambda xp, dy, y: dy / (2 * y),), (value,))


def rsqrt(x: Any) -> Tensor:
    """y = 1 / √x        dx = -dy y³ / 2"""
    with _quiet():
        value = 1 / _apply("sqrt", x)
    return record("rsqrt", value, (x,), (lambda xp, dy, y: dy * (y * y * y) * -0.5,), (value,))


def reciprocal(x: Any) -> Tensor:
    """y = 1 / x        dx = -dy y²"""
    with _quiet():
        value = 1 / _floating(x.array)
    return record("reciprocal", value, (x,), (lambda xp, dy, y: -dy * (y * y),), (value,))


def square(x: Any) -> Tensor:
    """y = x²        dx = 2 dy x"""
    array, _ = _with_number(x.array, 2)
    return record("square", array * array, (x,), (lambda xp, dy, x: dy * (2 * x),), (x,))


def sin(x: Any) -> Tensor:
    """y = sin x        dx = dy cos x"""
    return record("sin", _apply("sin", x), (x,), (lambda xp, dy, x: dy * xp.cos(x),), (x,))


def cos(x: Any) -> Tensor:
    """y = cos x        dx = -dy sin x"""
    return record("cos", _apply("cos", x), (x,), (lambda xp, dy, x: -dy * xp.sin(x),), (x,))


def tan(x: Any) -> Tensor:
    """y = tan x        dx = dy (1 + y²)"""
    value = _apply("tan", x)
    return record("tan", value, (x,), (lambda xp, dy, y: dy * (1 + y * y),), (value,))


def tanh(x: Any) -> Tensor:
    """y = tanh x        dx = dy (1 - y²)"""
    array = _floating(x.array)
    value = _of(array).tanh(array)
    return record("tanh", value, (x,), (lambda xp, dy, y: dy * (1 - y * y),), (value,))


def sigmoid(x: Any) -> Tensor:
    """y = 1 / (1 + e⁻ˣ)        dx = dy y (1 - y)"""
    array = _floating(x.array)
    with _quiet():  # where e⁻ˣ overflows to infinity the result is 0, as it should be
        value = _of(array).sigmoid(array)
    return record("sigmoid", value, (x,), (lambda xp, dy, y: dy * (y * (1 - y)),), (value,))


def relu(x: Any) -> Tensor:
    """y = max(x, 0)        dx = dy, and 0 where y is 0"""
    _refuse("relu", "b", x.array, error=RuntimeError)
    value = _of(x.array).maximum(x.array, 0)
    return record("relu", value, (x,), (lambda xp, dy, y: xp.where(y <= 0, 0.0, dy),), (value,))


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Tensor:
    """y = x where x > 0, else slope x"""
    _refuse("leaky_relu", "biu", x.array)
    return where(x > 0, x, x * negative_slope)


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = ln(1 + e^(beta x)) / beta        dx = dy σ(beta x); y = x above the threshold, as in PyTorch"""
    _refuse("softplus", "biu", x.array)
    scaled = x.array * beta
    xp = _of(x.array)
    value = xp.where(scaled > threshold, x.array, (xp.maximum(scaled, 0) + xp.log1p(xp.exp(-xp.abs(scaled)))) / beta)  # no overflow
    rule = lambda xp, dy, x: xp.where(x * beta > threshold, dy, dy * xp.sigmoid(x * beta))
    return record("softplus", value.astype(scaled.dtype, copy=False), (x,), (rule,), (x,))


def silu(x: Any) -> Tensor:
    """y = x σ(x)"""
    _refuse("silu", "biu", x.array)
    with _quiet():
        return mul(x, sigmoid(x))


def erf(x: Any) -> Tensor:
    """y = 2/√π ∫₀ˣ e^(-t²) dt        dx = dy 2/√π e^(-x²)"""
    value = _of(x.array).erf(_floating(x.array))
    return record("erf", value, (x,), (lambda xp, dy, x: dy * (2 / math.sqrt(math.pi)) * xp.exp(-x * x),), (x,))


def gelu(x: Any, approximate: str = "none") -> Tensor:
    """y = x Φ(x), Φ the normal distribution; `approximate="tanh"` as in PyTorch"""
    _refuse("gelu", "biu", x.array)
    if approximate == "tanh":
        return x * 0.5 * (1 + tanh((x + 0.044715 * x * x * x) * math.sqrt(2 / math.pi)))
    if approximate != "none":
        raise RuntimeError(f"approximate must be 'none' or 'tanh', not {approximate!r}")
    with _quiet():
        return mul(x * 0.5, 1 + erf(x * math.sqrt(0.5)))


def floor(x: Any) -> Tensor:
    """y = ⌊x⌋        dx = 0"""
    return _rounded("floor", x)


def ceil(x: Any) -> Tensor:
    """y = ⌈x⌉        dx = 0"""
    return _rounded("ceil", x)


def round(x: Any, *, decimals: int = 0) -> Tensor:
    """y = x to the nearest integer, or to so many decimals, halves to the even one        dx = 0"""
    if decimals == 0 or x.array.dtype.kind != "f":
        return _rounded("rint", x)
    return record("round", _of(x.array).round(x.array, decimals), (x,), (lambda xp, dy: xp.zeros_like(dy),))


def trunc(x: Any) -> Tensor:
    """y = x without its fraction        dx = 0"""
    return _rounded("trunc", x)


def _rounded(name: str, x: Any) -> Tensor:
    _refuse("floor, ceil, round or trunc", "b", x.array)
    value = getattr(_of(x.array), name)(x.array) if x.array.dtype.kind == "f" else x.array.copy()
    return record(name, value, (x,), (lambda xp, dy: xp.zeros_like(dy),))


# --------------------------------------------------------------------------------------------- choosing between values


def maximum(a: Any, b: Any) -> Tensor:
    """y = the larger        the gradient goes to it, half to each where they are equal"""
    return _larger("maximum", a, b, operator.le, operator.ge)


def minimum(a: Any, b: Any) -> Tensor:
    """y = the smaller        the gradient goes to it, half to each where they are equal"""
    return _larger("minimum", a, b, operator.ge, operator.le)


def _larger(name: str, a: Any, b: Any, loses: Any, wins: Any) -> Tensor:
    x, y = promote(*_tensors(name, a, b))
    value = _both(getattr(_of(x), name), x, y)
    half = (x == y) * 0.5
    shares = [(1 - worse(x, y) + half).astype(x.dtype) for worse in (loses, wins)]  # 1 where chosen; beside NaN both are
    rule = (lambda xp, dy, of_a, of_b: dy * of_a, lambda xp, dy, of_a, of_b: dy * of_b)
    return record(name, value, (a, b), rule, tuple(shares))


def clamp(x: Any, min: Any = None, max: Any = None) -> Tensor:
    """y = x, held between min and max (both numbers or both tensors)        dx = dy where x lies between or on them

    A min above the max gives the max; NaN, in x or as a bound, gives NaN.
    """
    if min is None and max is None:
        raise RuntimeError("clamp needs a min, a max or both")
    if isinstance(min, Variable) or isinstance(max, Variable):
        _tensors("clamp", *[bound for bound in (min, max) if bound is not None])
        if min is not None and max is not None:
            _refuse("clamp", "b", x.array, min.array, max.array)
        x = x if min is None else _held(x, min, "maximum", operator.ge, operator.lt)
        return x if max is None else _held(x, max, "minimum", operator.le, operator.gt)
    bounds = [plain(bound) for bound in (min, max)]
    value = x.array
    for bound in bounds:
        value = value if bound is None else _with_number(value, bound)[0]
    _refuse("clamp", "b", value)
    low, high = [None if bound is None else fitting(bound, value.dtype) for bound in bounds]
    inside = (True if low is None else value >= low) & (True if high is None else value <= high)
    value = value if low is None else _of(value).maximum(value, low)
    value = value if high is None else _of(value).minimum(value, high)
    return record("clamp", value, (x,), (lambda xp, dy, inside: dy * inside,), (inside,))


def _held(x: Any, bound: Any, name: str, keeps: Any, yields: Any) -> Tensor:
    """The larger or the smaller of x and a bound        where they are equal the gradient is for x"""
    a, b = promote(x, bound)
    rule = (lambda xp, dy, kept, taken: xp.where(kept, dy, 0.0), lambda xp, dy, kept, taken: xp.where(taken, dy, 0.0))
    return record("clamp", _both(getattr(_of(a), name), a, b), (x, bound), rule, (keeps(a, b), yields(a, b)))


def where(condition: Any, a: Any = None, b: Any = None) -> Tensor:
    """y = a where the condition holds, else b        da = dy there, 0 elsewhere        db = the rest of dy"""
    if a is None:
        return condition.nonzero(as_tuple=True)
    holds = condition.array
    if holds.dtype not in (_BOOL, np.uint8):
        raise RuntimeError(f"where needs a condition of bools, got {condition.dtype}; compare first, as in where(x != 0, a, b)")
    a, b = plain(a), plain(b)
    if a.__class__ in _PLAIN and b.__class__ in _PLAIN:
        kinds = {float: types.default_dtype().numpy, int: np.dtype(np.int64), bool: np.dtype(bool)}
        kind = max((kinds[a.__class__], kinds[b.__class__]), key=lambda kind: _KINDS[kind.kind])
        return wrap(_of(holds).where(holds, a, b).astype(kind))
    x, y = promote(a, b)
    _require_same_device(holds, x if y.__class__ in _PLAIN else y)
    rule = (lambda xp, dy, holds: xp.where(holds, dy, 0.0), lambda xp, dy, holds: xp.where(holds, 0.0, dy))
    try:
        value = _of(holds).where(holds, x, y)
    except ValueError as problem:
        raise _mismatch(holds, x, y) from problem
    return record("where", value, (a, b), rule, (condition,))


def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """y = x with NaN and infinities replaced        dx = dy where x was finite"""
    value = _of(x.array).nan_to_num(x.array, nan=nan, posinf=posinf, neginf=neginf)
    return record("nan_to_num", value, (x,), (lambda xp, dy, finite: dy * finite,), (_of(x.array).isfinite(x.array),))


# --------------------------------------------------------------------------------- answers: no gradient, nothing recorded


def eq(a: Any, b: Any) -> Tensor:
    """a == b, element by element"""
    return _compare("equal", a, b)


def ne(a: Any, b: Any) -> Tensor:
    """a != b, element by element"""
    return _compare("not_equal", a, b)


def lt(a: Any, b: Any) -> Tensor:
    """a < b, element by element"""
    return _compare("less", a, b)


def le(a: Any, b: Any) -> Tensor:
    """a <= b, element by element"""
    return _compare("less_equal", a, b)


def gt(a: Any, b: Any) -> Tensor:
    """a > b, element by element"""
    return _compare("greater", a, b)


def ge(a: Any, b: Any) -> Tensor:
    """a >= b, element by element"""
    return _compare("greater_equal", a, b)


def _compare(name: str, a: Any, b: Any) -> Tensor:
    if not isinstance(a, Variable):
        raise TypeError(f"{name} compares a tensor with a tensor or a number, got a number first; write the tensor first")
    x, y = promote(a, b)
    return wrap(_both(getattr(_of(x if y.__class__ in _PLAIN else y), name), x, y))


def logical_not(x: Any) -> Tensor:
    """True where x is 0 or False"""
    return wrap(_of(x.array).logical_not(x.array))


def logical_and(a: Any, b: Any) -> Tensor:
    """True where both are not 0"""
    return _compare("logical_and", *_tensors("logical_and", a, b))


def logical_or(a: Any, b: Any) -> Tensor:
    """True where either is not 0"""
    return _compare("logical_or", *_tensors("logical_or", a, b))


def logical_xor(a: Any, b: Any) -> Tensor:
    """True where exactly one is not 0"""
    return _compare("logical_xor", *_tensors("logical_xor", a, b))


def bitwise_not(x: Any) -> Tensor:
    """~x: the opposite of a bool, every bit of an integer turned"""
    return wrap(~_bits(x.array))


def bitwise_and(a: Any, b: Any) -> Tensor:
    """a & b of bools or integers"""
    return _bitwise(operator.and_, a, b)


def bitwise_or(a: Any, b: Any) -> Tensor:
    """a | b of bools or integers"""
    return _bitwise(operator.or_, a, b)


def bitwise_xor(a: Any, b: Any) -> Tensor:
    """a ^ b of bools or integers"""
    return _bitwise(operator.xor, a, b)


def _bitwise(function: Any, a: Any, b: Any) -> Tensor:
    x, y = promote(a, b)
    _both(lambda x, y: np.broadcast_shapes(getattr(x, "shape", ()), getattr(y, "shape", ())), x, y)  # PyTorch looks at shapes before dtypes
    return wrap(_both(function, _bits(x), _bits(y)))


def _bits(x: Any) -> Any:
    if x.__class__ is float or getattr(x, "dtype", _BOOL).kind == "f":
        raise NotImplementedError("& | ^ ~ work on bools and integers, got floating point; compare first, as in (x > 0) & (x < 1)")
    return x


def isnan(x: Any) -> Tensor:
    """True where x is not a number"""
    return wrap(_of(x.array).isnan(x.array))


def isinf(x: Any) -> Tensor:
    """True where x is infinite"""
    return wrap(_of(x.array).isinf(x.array))


def isfinite(x: Any) -> Tensor:
    """True where x is neither infinite nor NaN"""
    return wrap(_of(x.array).isfinite(x.array))


def isclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """True where |a - b| <= atol + rtol |b|"""
    x, y = (each.array for each in _tensors("isclose", a, b))
    if x.dtype != y.dtype:
        raise RuntimeError(f"isclose needs two tensors of one dtype, got {a.dtype} and {b.dtype}")
    _require_same_device(x, y)
    return wrap(_both(lambda x, y: _of(x).isclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan), x, y))


def allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |a - b| <= atol + rtol |b| for every element"""
    return bool(isclose(a, b, rtol, atol, equal_nan).array.all())


def equal(a: Any, b: Any) -> bool:
    """Whether two tensors have the same shape and the same elements"""
    _tensors("equal", a, b)
    _require_same_device(a.array, b.array)
    return a.array.shape == b.array.shape and bool((a.array == b.array).all())


# ---------------------------------------------------------------------------------------------------- what they share

_BOOL = np.dtype(bool)
# Sums and products overflow to infinity in silence, as in PyTorch. `_quiet` would cost each of them a microsecond; NumPy's
# warning is issued in the name of the file that called it, so it can be turned off for these files alone.
warnings.filterwarnings("ignore", r".* encountered in ", RuntimeWarning, r"minigrad(_nn)?\.")
_quiet = functools.partial(np.errstate, divide="ignore", invalid="ignore", over="ignore", under="ignore")


def _apply(name: str, x: Any) -> Any:
    """A function of the array library, on floating point; domain errors give NaN and infinities, as in PyTorch."""
    array = _floating(x.array)
    with _quiet():
        return getattr(_of(array), name)(array)


def _both(function: Any, x: Any, y: Any) -> Any:
    """A function of two arrays that broadcast; what it cannot divide or represent gives NaN and infinities, as in PyTorch."""
    with _quiet():
        try:
            return function(x, y)
        except ValueError as problem:
            raise _mismatch(x, y) from problem


def _mismatch(*arrays: Any) -> RuntimeError:
    """What to raise where shapes do not broadcast."""
    shapes = " and ".join(str(tuple(getattr(each, "shape", ()))) for each in arrays)
    return RuntimeError(f"shapes {shapes} do not go together: counted from the last axis, sizes must be equal or 1")


def _tensors(name: str, *operands: Any) -> tuple[Any, ...]:
    """The operands, if none is a plain number; PyTorch refuses those here."""
    if any(each.__class__ in _PLAIN or isinstance(each, np.generic) for each in operands):
        raise TypeError(f"{name} is for two tensors, got {' and '.join(type(each).__name__ for each in operands)}; use tensor(number)")
    return operands


def _kind_of(x: Any) -> str:
    """b, i, u or f: what sort of number an array holds, or a Python number is."""
    return np.dtype(x.__class__ if x.__class__ in _PLAIN else x.dtype).kind


def _scaled(alpha: Any, x: Any, y: Any) -> Any:
    """alpha y in the dtype in which x and y meet; RuntimeError where that cannot hold alpha."""
    dtype = (y if x.__class__ in _PLAIN else x).dtype
    alpha = alpha.item() if isinstance(alpha, Variable) else plain(alpha)  # type: ignore[attr-defined]
    if alpha.__class__ is bool and dtype.kind != "b":
        raise RuntimeError(f"an alpha of {alpha} is for bools, not for {types.of_numpy(dtype)}")
    if alpha.__class__ is float and dtype.kind != "f":
        raise RuntimeError(f"integers need an alpha that is an integer, got {alpha}; use x.float()")
    if dtype.kind == "f":
        return alpha * y
    with _quiet():
        return np.array(alpha).astype(dtype)[()] * (np.array(y).astype(dtype)[()] if y.__class__ in _PLAIN else y)


def _refuse(name: str, kinds: str, *operands: Any, error: type[Exception] = NotImplementedError) -> None:
    """NotImplementedError, or what PyTorch raises instead, where the elements of all operands are of these kinds: b, i, u, f."""
    if all(_kind_of(each) in kinds for each in operands):
        words = " or ".join({"b": "bools", "i": "integers", "u": "unsigned integers", "f": "floating point"}[each] for each in kinds)
        raise error(f"{name} is not for {words}; convert first: x.float(), x.long(), x.bool()")


def _refuse_zero(x: Any, y: Any) -> None:
    """RuntimeError where integers would be divided by 0; floating point gives infinities and NaN."""
    if _kind_of(x) != "f" and _kind_of(y) != "f" and (x.__class__ in _PLAIN or x.size):
        error = RuntimeError("ZeroDivisionError: integers cannot be divided by 0; use x.float()")
        if y.__class__ not in _PLAIN:
            _of(y).refuse_where(y == 0, error)
        elif not y:
            raise error


def _floating(x: Any) -> Any:
    """Arrays of integers and bools in the default dtype, floating point as it is."""
    if x.__class__ in _PLAIN or x.dtype.kind == "f":
        return x
    return x.astype(types.default_dtype().numpy)


def _refuse_bool(what: str, *operands: Any) -> None:
    for each in operands:
        if each.__class__ is bool or (isinstance(each, Variable) and each.array.dtype is _BOOL):
            raise RuntimeError(f"{what} of bool tensors is not defined; use ~x (not) or a ^ b (different)")
