"""Jacobians, Hessians and their products with vectors, of functions of tensors.

Each function takes `func` and its inputs, a tensor or a tuple of tensors, and answers in the same form. With
`create_graph` the result can be differentiated again; with `strict` an input that an output does not depend on is a
RuntimeError, where it otherwise counts as a derivative of 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ops import ones_like, stack, zeros_like
from ..state import enable_grad
from ..tape import Variable
from .gradients import grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """∂output / ∂input, of shape (*output, *input); a tuple per output of a tuple per input where there are several.

    Cost: one walk per element of the outputs.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.jacobian.html

    >>> import minigrad
    >>> jacobian(lambda x: x * x, minigrad.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    _refuse(vectorize=vectorize, strategy=strategy != "reverse-mode")
    with enable_grad():
        xs, ys = _called(func, inputs, create_graph, strict)
        rows = [_jacobian_of(y, xs, create_graph, strict, index) for index, y in enumerate(ys.tensors)]
        return ys.form([xs.form(row) for row in rows])


def _jacobian_of(y: Any, xs: _Many, create_graph: bool, strict: bool, index: int) -> list[Any]:
    """Per input, the Jacobian of one output."""
    flat = y.reshape(-1)
    rows = [_gradients([flat[place]], xs, None, create_graph, strict, f"output {index}") for place in range(flat.numel())]
    shapes = [(*y.shape, *x.shape) for x in xs.tensors]
    if not rows:
        return [zeros_like(x, shape=shape) for x, shape in zip(xs.tensors, shapes, strict=True)]
    return [stack(column).reshape(shape) for column, shape in zip(zip(*rows, strict=True), shapes, strict=True)]


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """∂²output / ∂input ∂input' of a function with a single element, of shape (*input, *input').

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.hessian.html

    >>> import minigrad
    >>> hessian(lambda x: (x**3).sum(), minigrad.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    _refuse(vectorize=vectorize, outer_jacobian_strategy=outer_jacobian_strategy != "reverse-mode")

    def slopes(*xs: Any) -> Any:
        many = _Many(xs if isinstance(inputs, tuple) else xs[0], "inputs")
        return many.form(_gradients([_single(func(*xs))], many, None, True, strict, "the output"))

    return jacobian(slopes, inputs, create_graph, strict)


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(output, vᵀ J): one walk back. `v` has the output's form, and may be left out for a single element.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.vjp.html

    >>> import minigrad
    >>> vjp(lambda x: x * x, minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with enable_grad():
        xs, ys = _called(func, inputs, create_graph, strict)
        gradients = _gradients(ys.tensors, xs, _vectors(v, ys, "output"), create_graph, strict, "the output")
    return ys.result(create_graph), xs.form(gradients)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(output, J v). `v` has the inputs' form. vᵀ J is linear in v, and its derivative by v, times another v, is J v.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.jvp.html
    """
    with enable_grad():
        xs, ys = _called(func, inputs, create_graph, strict)
        vectors = _vectors(v, xs, "input")
        dummies = _Many(tuple([zeros_like(y).requires_grad_() for y in ys.tensors]), "outputs")
        transposed = _gradients(ys.tensors, xs, dummies.tensors, True, strict, "the output")
        products = _gradients(transposed, dummies, vectors, create_graph, strict, "the product")
    return ys.result(create_graph), ys.form(products)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(output, vᵀ H) of a function with a single element.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.vhp.html

    >>> import minigrad
    >>> vhp(lambda x: (x**3).sum(), minigrad.tensor([1.0, 2.0]), minigrad.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        xs, ys = _called(func, inputs, create_graph, strict)
        y = _single(ys.tensors[0] if not ys.is_tuple else tuple(ys.tensors))
        slopes = _gradients([y], xs, None, True, strict, "the output")
        products = _gradients(slopes, xs, _vectors(v, xs, "input"), create_graph, strict, "the gradient")
    return ys.result(create_graph), xs.form(products)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(output, H v), which is `vhp`, since H is symmetric.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.hvp.html
    """
    return vhp(func, inputs, v, create_graph, strict)


# ----------------------------------------------------------------------------------------------------------- parts


class _Many:
    """One tensor, or a tuple of them: a list, and the form in which results shall come back."""

    def __init__(self, given: Any, what: str) -> None:
        self.is_tuple = isinstance(given, tuple)
        self.tensors = list(given) if self.is_tuple else [given]
        for each in self.tensors:
            if not isinstance(each, Variable):
                raise TypeError(f"the {what} must be a tensor or a tuple of tensors, got {type(each).__name__}")

    def form(self, results: list[Any]) -> Any:
        return tuple(results) if self.is_tuple else results[0]

    def result(self, create_graph: bool) -> Any:
        return self.form([each if create_graph else each.detach() for each in self.tensors])


def _called(func: Callable[..., Any], inputs: Any, create_graph: bool, strict: bool) -> tuple[_Many, _Many]:
    """The inputs as tensors that want gradients, and what the function makes of them."""
    given = _Many(inputs, "inputs")
    own = [x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in given.tensors]
    xs = _Many(tuple(own) if given.is_tuple else own[0], "inputs")
    ys = _Many(func(*xs.tensors), "outputs of the function")
    for index, y in enumerate(ys.tensors):
        if strict and not y.requires_grad:
            raise RuntimeError(f"output {index} does not depend on the inputs, which strict=True forbids")
    return xs, ys


def _gradients(outputs: list[Any], xs: _Many, vectors: Any, create_graph: bool, strict: bool, what: str) -> list[Any]:
    """Per input, the gradient of the outputs, zeros where they do not depend on it."""
    vectors = [None] * len(outputs) if vectors is None else vectors
    pairs = [(y, v) for y, v in zip(outputs, vectors, strict=True) if y.requires_grad]
    found: tuple[Any, ...] = (None,) * len(xs.tensors)
    if pairs:
        found = grad([y for y, _ in pairs], xs.tensors, [v for _, v in pairs], True, create_graph, allow_unused=True)
    for index, gradient in enumerate(found):
        if strict and (gradient is None or (create_graph and not gradient.requires_grad)):
            raise RuntimeError(f"{what} does not depend on input {index} (or only constantly), which strict=True forbids")
    return [zeros_like(x) if gradient is None else gradient for x, gradient in zip(xs.tensors, found, strict=True)]


def _vectors(v: Any, like: _Many, what: str) -> list[Any]:
    """`v` as a list of tensors shaped as those in `like`; ones where it was left out and there is one element."""
    if v is None:
        if len(like.tensors) != 1 or like.tensors[0].numel() != 1:
            raise RuntimeError(f"v may be left out only for an {what} of a single element")
        return [ones_like(like.tensors[0])]
    vectors = _Many(v, "vectors").tensors
    shapes, expected = [tuple(each.shape) for each in vectors], [tuple(each.shape) for each in like.tensors]
    if shapes != expected:
        raise RuntimeError(f"v must have the shape of each {what}, {expected}, got {shapes}")
    return vectors


def _single(y: Any) -> Any:
    if not isinstance(y, Variable) or y.array.size != 1:
        shape = tuple(y.array.shape) if isinstance(y, Variable) else type(y).__name__
        raise RuntimeError(f"second derivatives are for a function that gives one tensor with a single element, got {shape}")
    return y.reshape(())  # type: ignore[attr-defined]


def _refuse(**options: bool) -> None:
    for name, asked in options.items():
        if asked:
            raise NotImplementedError(f"{name} is not here: there is one walk per element, in reverse; leave it out")
