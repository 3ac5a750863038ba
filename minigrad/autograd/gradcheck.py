"""Is a gradient right? Compare it with the slope found by moving each input a little to either side.

The check is in float64: with eps = 1e-6 the slope (f(x + eps) - f(x - eps)) / 2 eps is exact to about nine digits there, and
to none in float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import backend, types
from ..ops import zeros_like
from ..tape import Variable, wrap
from .gradients import grad

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Matrix = Any  # numpy.ndarray (elements of an input, elements of an output), or with one entry where directions are compared


class GradcheckError(RuntimeError):
    """What gradcheck and gradgradcheck raise where gradients differ."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """True if the gradients of `func` are its slopes; GradcheckError that says where not, or False if that is not wanted.

    Every input of floating point that requires a gradient is compared with every output: the whole Jacobian, element by
    element, or with `fast_mode` its product with one random direction on either side. Going back twice must give equal
    numbers, to within `nondet_tol`. With check_undefined_grad=False, outputs that are not looked at get gradients of zeros
    instead of none.

    Raises: GradcheckError; ValueError where no input requires a gradient; RuntimeError where elements of an input share
    memory; NotImplementedError for what is not here.

    Cost: 2 n calls of func for n elements of inputs and 2 m walks for m elements of outputs; 2 and 2 with `fast_mode`, each
    per input and output.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html

    >>> import minigrad
    >>> x = minigrad.randn(3, dtype=minigrad.float64, requires_grad=True)
    >>> gradcheck(minigrad.tanh, x)
    True
    """
    _refuse(
        check_batched_grad=check_batched_grad,
        check_batched_forward_grad=check_batched_forward_grad,
        check_forward_ad=check_forward_ad,
        masked=bool(masked),
    )
    if not check_backward_ad:
        raise ValueError("gradcheck has the backward gradient to check, and nothing to do with check_backward_ad=False")
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    wanted = _checked_inputs(given)
    check = _Check(func, given, wanted, eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes)
    try:
        check.run(fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """`gradcheck` of the gradients of `func`, as functions of its inputs and of the gradients of its outputs.

    Gradients of outputs that are not given are drawn at random.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradgradcheck.html

    >>> import minigrad
    >>> x = minigrad.randn(3, dtype=minigrad.float64, requires_grad=True)
    >>> gradgradcheck(minigrad.tanh, x)
    True
    """
    _refuse(check_fwd_over_rev=check_fwd_over_rev, masked=masked)
    if not check_rev_over_rev:
        raise ValueError("gradgradcheck has the second gradient to check, and nothing to do with check_rev_over_rev=False")
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    _checked_inputs(given)
    outputs = _outputs(func(*given))
    if grad_outputs is None:
        directions = tuple([_random_gradient(y, gen_non_contig_grad_outputs) for y in outputs if y.requires_grad])
    else:
        directions = tuple(grad_outputs) if isinstance(grad_outputs, (tuple, list)) else (grad_outputs,)

    def gradients(*args: Any) -> tuple[Any, ...]:
        own, dys = args[: len(given)], args[len(given) :]
        ys = [y for y in _outputs(func(*own)) if y.requires_grad]
        xs = [x for x in own if isinstance(x, Variable) and x.requires_grad]  # type: ignore[attr-defined]
        found = grad(ys, xs, list(dys), create_graph=True, allow_unused=True)
        return tuple([each for each in found if each is not None])

    return gradcheck(
        gradients, given + directions, eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes, check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------- what comes in


def _refuse(**options: bool) -> None:
    for name, asked in options.items():
        if asked:
            raise NotImplementedError(f"{name} is not here: gradients are computed one at a time, in reverse, and dense")


def _checked_inputs(given: tuple[Any, ...]) -> list[tuple[int, Any]]:
    """(position, tensor) of the inputs to be checked."""
    wanted = [(place, x) for place, x in enumerate(given) if isinstance(x, Variable) and x.requires_grad]  # type: ignore[attr-defined]
    if not wanted:
        raise ValueError("gradcheck needs at least one input tensor with requires_grad=True, and none of these has")
    for place, x in wanted:
        array = x.array
        if array.dtype != np.float64:
            warnings.warn(
                f"gradcheck: input {place} is {types.of_numpy(array.dtype)}; slopes are only exact enough in float64: pass x.double()",
                UserWarning,
                stacklevel=3,
            )
        if array.size and any(step == 0 and size > 1 for step, size in zip(array.strides, array.shape, strict=True)):
            raise RuntimeError(
                f"gradcheck moves each element of its inputs alone, and in input {place}, of shape {tuple(array.shape)}, several "
                "share one place in memory (expand() makes such); pass x.clone()"
            )
    return wanted


def _outputs(given: Any) -> list[Any]:
    """The outputs of a function that can have gradients: tensors of floating point."""
    many = given if isinstance(given, (tuple, list)) else (given,)
    return [y for y in many if isinstance(y, Variable) and y.array.dtype.kind == "f"]


def _random_gradient(y: Any, strided: bool) -> Any:
    numbers = np.random.default_rng().standard_normal(y.array.shape).astype(y.array.dtype)
    if strided and numbers.ndim and numbers.size:
        numbers = np.repeat(numbers, 2, -1)[..., ::2]
    return wrap(backend.of(y.array).from_host(numbers)).requires_grad_()


# -------------------------------------------------------------------------------------------------------- the comparison


@dataclass
class _Check:
    """One call of gradcheck: the function, its inputs, and how closely to look."""

    func: Callable[..., Any]
    inputs: tuple[Any, ...]
    wanted: list[tuple[int, Any]]
    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    undefined: bool
    dtypes: bool
    rng: Any = field(default_factory=lambda: np.random.default_rng(0))  # of its own: a check repeats itself, and moves nobody's stream

    def run(self, fast: bool) -> None:
        """Compare every output with every input; GradcheckError at the first difference."""
        outputs = _outputs(self.func(*self.inputs))
        for index, y in enumerate(outputs):
            vs = self._directions(y.array) if fast else np.eye(y.numel()).reshape(y.numel(), *y.shape)
            gradients = [self._back(outputs, index, v) for v in vs]
            self._check_repeats(gradients, [self._back(outputs, index, v) for v in vs], index)
            for number, (place, x) in enumerate(self.wanted):
                rows = [each[number].ravel() for each in gradients]
                analytical = np.stack(rows, 1) if rows else np.zeros((x.numel(), 0))
                us = self._directions(x.array) if fast else np.eye(x.numel()).reshape(x.numel(), *x.shape)
                moved = [self._slope(x, u, index).ravel() for u in us]
                numerical = np.stack(moved, 0) if moved else np.zeros((0, y.numel()))
                if fast:
                    analytical, numerical = us.reshape(1, -1) @ analytical, numerical @ vs.reshape(1, -1).T
                self._compare(analytical, numerical, place, index, fast)

    def _directions(self, like: Any) -> Any:
        """One random direction of length 1, with no entry near 0: an error in any element counts."""
        drawn = self.rng.uniform(0.5, 1.5, like.shape) * self.rng.choice([-1.0, 1.0], like.shape)
        return (drawn / max(float(np.linalg.norm(drawn)), 1e-300))[None]

    def _back(self, outputs: list[Any], index: int, v: Any) -> list[Any]:
        """Per input, vᵀ times the Jacobian of output `index`, by the gradient under test."""
        y = outputs[index]
        if not y.requires_grad:
            return [np.zeros(x.shape) for _, x in self.wanted]
        ys, dys = [y], [_like(v, y)]
        if not self.undefined:
            others = [each for each in outputs if each is not y and each.requires_grad]
            ys, dys = [y, *others], [*dys, *[zeros_like(each) for each in others]]
        found = grad(ys, [x for _, x in self.wanted], dys, retain_graph=True, allow_unused=True)
        for gradient, (place, x) in zip(found, self.wanted, strict=True):
            if gradient is not None and self.dtypes and gradient.dtype != x.dtype:
                raise GradcheckError(f"the gradient of input {place} is {gradient.dtype}, and the input {x.dtype}")
        return [np.zeros(x.shape) if each is None else _host(each.array) for each, (_, x) in zip(found, self.wanted, strict=True)]

    def _slope(self, x: Any, u: Any, index: int) -> Any:
        """The Jacobian of output `index` times direction u of one input, by moving the input to either side."""
        kept = x.array.copy()
        step = _like(u, x).array * self.eps
        try:
            x.array[...] = kept + step
            above = _host(_outputs(self.func(*self.inputs))[index].array).copy()
            x.array[...] = kept - step
            below = _host(_outputs(self.func(*self.inputs))[index].array).copy()
        finally:
            x.array[...] = kept
        return (above - below) / (2 * self.eps)

    def _check_repeats(self, first: list[list[Any]], second: list[list[Any]], index: int) -> None:
        for one, other in zip(first, second, strict=True):
            for (place, _), a, b in zip(self.wanted, one, other, strict=True):
                apart = float(np.max(np.abs(a - b), initial=0.0))
                if apart > self.nondet_tol:
                    raise GradcheckError(
                        f"going backward twice from output {index} gave gradients of input {place} that differ by {apart:.3g} "
                        f"(nondet_tol={self.nondet_tol}): the backward rule is not deterministic"
                    )

    def _compare(self, analytical: Matrix, numerical: Matrix, place: int, index: int, fast: bool) -> None:
        """GradcheckError unless the two agree: |a - n| <= atol + rtol |n|, where NaN agrees with NaN."""
        if np.allclose(analytical, numerical, self.rtol, self.atol, equal_nan=True):
            return
        apart = np.abs(analytical - numerical)
        worst = np.unravel_index(int(np.argmax(np.nan_to_num(apart, nan=np.inf))), apart.shape)
        where = "along one random direction" if fast else f"element {int(worst[0])} of the input, {int(worst[1])} of the output"
        raise GradcheckError(
            f"the Jacobian of output {index} by input {place} is wrong: the largest difference is {apart[worst]:.6g} ({where}: "
            f"numerical {numerical[worst]:.6g}, analytical {analytical[worst]:.6g}); allowed are {self.atol} + {self.rtol} times the "
            f"numerical\nnumerical:\n{numerical}\nanalytical:\n{analytical}"
        )


def _like(host: Any, x: Any) -> Any:
    """A NumPy array as a tensor in the dtype and place of `x`."""
    return wrap(backend.of(x.array).from_host(np.asarray(host).astype(x.array.dtype)))


def _host(array: Any) -> Any:
    return backend.of(array).to_host(array)
