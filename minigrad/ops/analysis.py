"""More functions of each element: inverse and hyperbolic ones, sums of exponentials, and what is built from these.

They are written as those in elementwise.py are; nothing else in the engine needs them.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

from ..tape import Variable, record, wrap
from .elementwise import (
    _PLAIN,
    _apply,
    _both,
    _floating,
    _kind_of,
    _of,
    _quiet,
    _refuse,
    _refuse_zero,
    _tensors,
    add,
    clamp,
    div,
    mul,
    promote,
    trunc,
    wants,
)  # fmt: skip

if TYPE_CHECKING:
    from ..tensor import Tensor


# ------------------------------------------------------------------------------------------------------ of one argument


def asin(x: Any) -> Tensor:
    """y = arcsin x        dx = dy / √(1 - x²)"""
    return record("asin", _apply("arcsin", x), (x,), (lambda xp, dy, x: dy / xp.sqrt(1 - x * x),), (x,))


def acos(x: Any) -> Tensor:
    """y = arccos x        dx = -dy / √(1 - x²)"""
    return record("acos", _apply("arccos", x), (x,), (lambda xp, dy, x: -dy / xp.sqrt(1 - x * x),), (x,))


def atan(x: Any) -> Tensor:
    """y = arctan x        dx = dy / (1 + x²)"""
    return record("atan", _apply("arctan", x), (x,), (lambda xp, dy, x: dy / (1 + x * x),), (x,))


def sinh(x: Any) -> Tensor:
    """y = (eˣ - e⁻ˣ) / 2        dx = dy cosh x"""
    return record("sinh", _apply("sinh", x), (x,), (lambda xp, dy, x: dy * xp.cosh(x),), (x,))


def cosh(x: Any) -> Tensor:
    """y = (eˣ + e⁻ˣ) / 2        dx = dy sinh x"""
    return record("cosh", _apply("cosh", x), (x,), (lambda xp, dy, x: dy * xp.sinh(x),), (x,))


def asinh(x: Any) -> Tensor:
    """y = the x of sinh        dx = dy / √(x² + 1)"""
    return record("asinh", _apply("arcsinh", x), (x,), (lambda xp, dy, x: dy / xp.sqrt(x * x + 1),), (x,))


def acosh(x: Any) -> Tensor:
    """y = the x of cosh        dx = dy / √(x² - 1)"""
    return record("acosh", _apply("arccosh", x), (x,), (lambda xp, dy, x: dy / xp.sqrt(x * x - 1),), (x,))


def atanh(x: Any) -> Tensor:
    """y = the x of tanh        dx = dy / (1 - x²)"""
    return record("atanh", _apply("arctanh", x), (x,), (lambda xp, dy, x: dy / (1 - x * x),), (x,))


def exp2(x: Any) -> Tensor:
    """y = 2ˣ        dx = dy y ln 2"""
    value = _apply("exp2", x)
    return record("exp2", value, (x,), (lambda xp, dy, y: dy * y * math.log(2),), (value,))


def erfc(x: Any) -> Tensor:
    """y = 1 - erf x        dx = -dy 2/√π e^(-x²)"""
    array = _floating(x.array)
    value = _of(array).erfc(array)
    return record("erfc", value, (x,), (lambda xp, dy, x: dy * (-2 / math.sqrt(math.pi)) * xp.exp(-x * x),), (x,))


def sinc(x: Any) -> Tensor:
    """y = sin πx / πx, 1 at 0        dx = dy (cos πx - y) / x, 0 at 0"""
    value = _apply("sinc", x)

    def rule(xp: Any, dy: Any, x: Any, y: Any) -> Any:
        zero = x == 0
        return xp.where(zero, 0.0, dy * (xp.cos(x * math.pi) - y) / xp.where(zero, 1.0, x))

    return record("sinc", value, (x,), (rule,), (x, value))


def logit(x: Any, eps: float | None = None) -> Tensor:
    """y = ln(x / (1 - x)), x first held between eps and 1 - eps if an eps is given        dx = dy / (x (1 - x))"""
    if eps is not None:
        x = clamp(x, eps, 1 - eps)
    array = _floating(x.array)
    with _quiet():
        value = _of(array).log(array / (1 - array))
    return record("logit", value, (x,), (lambda xp, dy, x: dy / (x * (1 - x)),), (x,))


def deg2rad(x: Any) -> Tensor:
    """y = x π / 180"""
    return mul(x, math.pi / 180)


def rad2deg(x: Any) -> Tensor:
    """y = x 180 / π"""
    return mul(x, 180 / math.pi)


def frac(x: Any) -> Tensor:
    """y = x without its whole part, with the sign of x        dx = dy"""
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f"frac is for floating point, got {x.dtype}")
    return record("frac", x.array - trunc(x).array, (x,), (lambda xp, dy: dy,))


def signbit(x: Any) -> Tensor:
    """Whether x is negative, -0.0 included; no gradient"""
    return wrap(_of(x.array).signbit(x.array) if x.array.dtype.kind == "f" else x.array < 0)


def isposinf(x: Any) -> Tensor:
    """Where x is +∞"""
    return wrap(x.array == math.inf)


def isneginf(x: Any) -> Tensor:
    """Where x is -∞"""
    return wrap(x.array == -math.inf)


# ------------------------------------------------------------------------------------------------------ of two arguments


def atan2(a: Any, b: Any) -> Tensor:
    """y = the angle of the point (b, a)        da = dy b / (a² + b²)        db = -dy a / (a² + b²), both 0 at (0, 0)"""
    x, y = _floats("atan2", a, b)
    rule = (lambda xp, dy, a, b: _over_square(xp, dy * b, a, b), lambda xp, dy, a, b: _over_square(xp, -dy * a, a, b))
    return record("atan2", _both(_of(x).arctan2, x, y), (a, b), rule, (a, b))


def _over_square(xp: Any, numerator: Any, a: Any, b: Any) -> Any:
    square = a * a + b * b
    return xp.where(square == 0, 0.0, numerator / xp.where(square == 0, 1.0, square))


def hypot(a: Any, b: Any) -> Tensor:
    """y = √(a² + b²), without overflow        da = dy a / y        db = dy b / y"""
    x, y = _floats("hypot", a, b, "biu")
    value = _both(_of(x).hypot, x, y)
    return record("hypot", value, (a, b), (lambda xp, dy, a, b, y: dy * a / y, lambda xp, dy, a, b, y: dy * b / y), (a, b, value))


def logaddexp(a: Any, b: Any) -> Tensor:
    """y = ln(eᵃ + eᵇ), without overflow        da = dy eᵃ⁻ʸ        db = dy eᵇ⁻ʸ"""
    x, y = _floats("logaddexp", a, b, "biu")
    value = _both(_of(x).logaddexp, x, y)
    rule = (lambda xp, dy, a, b, y: dy * xp.exp(a - y), lambda xp, dy, a, b, y: dy * xp.exp(b - y))
    return record("logaddexp", value, (a, b), rule, (a, b, value))


def xlogy(a: Any, b: Any) -> Tensor:
    """y = a ln b, 0 where a = 0 whatever b        da = dy ln b        db = dy a / b"""
    x, y = promote(a, b)
    xp, dtype = _library(x, y), _floating(y if x.__class__ in _PLAIN else x).dtype
    value = _both(lambda x, y: xp.where((x == 0) & (y == y), 0.0, x * xp.log(y)).astype(dtype), x, y)  # NaN stays NaN
    rule = (lambda xp, dy, a, b: dy * xp.log(_where_used(xp, a, b)), lambda xp, dy, a, b: dy * a / b)
    return record("xlogy", value, (a, b), rule, (a, b))


def _where_used(xp: Any, a: Any, b: Any) -> Any:
    """b, and 1 where both a and b are 0 or less, so that its logarithm has no part in the gradient there."""
    return xp.where((a == 0) & (b <= 0), 1.0, b)


def fmod(a: Any, b: Any) -> Tensor:
    """y = the rest of a / b, with the sign of a        da = dy        db = -dy (a / b without its fraction)"""
    x, y = promote(a, b)
    _refuse("fmod", "b", x, y)
    _refuse_zero(x, y)
    xp = _library(x, y)
    rule = (lambda xp, dy, whole: dy, lambda xp, dy, whole: -dy * whole)
    return record("fmod", _both(xp.fmod, x, y), (a, b), rule, (_both(lambda x, y: xp.trunc(x / y), x, y) if wants(b) else None,))


def fmax(a: Any, b: Any) -> Tensor:
    """y = the larger, or the one that is a number        the gradient goes to it"""
    return _not_nan("fmax", operator.ge, a, b)


def fmin(a: Any, b: Any) -> Tensor:
    """y = the smaller, or the one that is a number        the gradient goes to it"""
    return _not_nan("fmin", operator.le, a, b)


def _not_nan(name: str, wins: Any, a: Any, b: Any) -> Tensor:
    x, y = promote(*_tensors(name, a, b))
    first = _of(x).asarray(_both(lambda x, y: wins(x, y) | (y != y), x, y))
    rule = (lambda xp, dy, first: xp.where(first, dy, 0.0), lambda xp, dy, first: xp.where(first, 0.0, dy))
    return record(name, _both(getattr(_of(x), name), x, y), (a, b), rule, (first,))


def copysign(a: Any, b: Any) -> Tensor:
    """y = |a| with the sign of b        da = dy where the signs agree, -dy where not, 0 where a is 0        db = 0"""
    x, y = (_floating(each) for each in promote(a, b))
    xp = _library(x, y)
    value = _both(xp.copysign, x, y)
    turn = None  # where a is a number, nobody asks
    if x.__class__ not in _PLAIN:
        turn = xp.where(x == 0, 0.0, xp.where(xp.signbit(value) == xp.signbit(x), 1.0, -1.0)).astype(value.dtype)
    return record("copysign", value, (a, b), (lambda xp, dy, turn: dy * turn, lambda xp, dy, turn: xp.zeros_like(dy)), (turn,))


def float_power(a: Any, b: Any) -> Tensor:
    """y = aᵇ in float64"""
    a, b = (each.double() if isinstance(each, Variable) else float(each) for each in (a, b))  # type: ignore[attr-defined]
    return a**b


def rsub(a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    """y = b - alpha a"""
    return add(mul(a, -alpha), b)


def heaviside(a: Any, values: Any) -> Tensor:
    """y = 0 where a < 0, `values` where a = 0, 1 where a > 0; no gradient"""
    x, y = promote(*_tensors("heaviside", a, values))
    if a.array.dtype != values.array.dtype:
        raise RuntimeError(f"heaviside needs two tensors of one dtype, got {a.dtype} and {values.dtype}")
    return wrap(_both(lambda x, y: _of(x).heaviside(x, y).astype(x.dtype), x, y))


def bitwise_left_shift(a: Any, b: Any) -> Tensor:
    """a 2ᵇ of integers, by moving bits"""
    return _shifted(operator.lshift, a, b)


def bitwise_right_shift(a: Any, b: Any) -> Tensor:
    """⌊a / 2ᵇ⌋ of integers, by moving bits"""
    return _shifted(operator.rshift, a, b)


def _shifted(shift: Any, a: Any, b: Any) -> Tensor:
    x, y = promote(a, b)
    if _kind_of(x) not in "iu" or _kind_of(y) not in "iu":
        raise NotImplementedError(f"<< and >> move the bits of integers, got kinds {_kind_of(x)!r} and {_kind_of(y)!r}; use x * 2.0**n")
    return wrap(_both(shift, x, y))


def _library(x: Any, y: Any) -> Any:
    """The array library of two operands, one of which may be a plain number."""
    return _of(y if x.__class__ in _PLAIN else x)


def _floats(name: str, a: Any, b: Any, refused: str = "") -> tuple[Any, Any]:
    x, y = promote(*_tensors(name, a, b))
    _refuse(name, refused, x, y)
    return _floating(x), _floating(y)


# ---------------------------------------------------------------------------------------------------- of three arguments


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """y = input + value tensor1 tensor2"""
    return add(input, mul(*_tensors("addcmul", tensor1, tensor2)), alpha=value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """y = input + value tensor1 / tensor2"""
    if all(each.array.dtype.kind != "f" for each in _tensors("addcdiv", tensor1, tensor2)):
        raise RuntimeError("addcdiv divides floating point; convert integers first: x.float()")
    return add(input, div(tensor1, tensor2), alpha=value)


def clamp_min(x: Any, min: Any) -> Tensor:
    """y = x, but not below min"""
    return clamp(x, min=min)


def clamp_max(x: Any, max: Any) -> Tensor:
    """y = x, but not above max"""
    return clamp(x, max=max)
