"""Clipping gradients, in place, so that one wild batch cannot throw a model off.

Nothing here waits for a GPU: norms and the factor computed from them stay on the device, where all gradients are seen by
one launch.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable
from typing import Any

from minigrad import backend
from minigrad.backend import Array
from minigrad.ops.create import tensor as make_tensor
from minigrad.ops.reduce import norm
from minigrad.ops.shape import stack
from minigrad.state import no_grad
from minigrad.tape import note_change, wrap
from minigrad.tensor import Tensor

from ..kernels.device import tensors as many

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

Tensors = Any  # one tensor or an iterable of them


def clip_grad_norm_(
    parameters: Tensors, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all gradients together, as a tensor (); the gradients are scaled down to `max_norm` if it is larger.

    (1)  n = (Σ |g|ᵖ)^(1/p)                over all elements of all gradients; p: norm_type, which may be inf
    (2)  g = g min(1, max_norm / (n + 10⁻⁶))

    foreach   which of two ways PyTorch takes; here there is one, and it is ignored

    Raises    RuntimeError if n is not finite and `error_if_nonfinite`, which has to wait for the device to know
    Source    Pascanu, Mikolov & Bengio 2013, algorithm 1;
              https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html

    >>> import minigrad
    >>> p = minigrad.zeros(2, requires_grad=True)
    >>> p.grad = minigrad.tensor([3.0, 4.0])
    >>> clip_grad_norm_([p], max_norm=1.0), p.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    listed = _listed(parameters)
    if not listed and isinstance(parameters, types.GeneratorType):
        warnings.warn("clip_grad_norm_ got a generator without parameters, nothing is clipped; was it used up before?", stacklevel=2)
    total_norm = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total_norm)
    return total_norm


def get_total_norm(tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None) -> Tensor:
    """The norm of all elements of all tensors together, as a tensor (); 0 if there are none.

    Raises  RuntimeError if it is not finite and `error_if_nonfinite`
    Source  https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.get_total_norm.html

    >>> import minigrad
    >>> get_total_norm([minigrad.tensor([3.0, 0.0]), minigrad.tensor([4.0])])
    tensor(5.)
    """
    listed, order = _listed(tensors), float(norm_type)
    if not listed:
        return make_tensor(0.0)
    with no_grad(), backend.CPU.errstate(all="ignore"):
        if order == 2 and _alike(listed) and listed[0].itemsize >= 4:  # squares of float16 would overflow
            arrays = [each.array for each in listed]
            total = wrap(many.squares(arrays) if _at_once(listed) else sum([_squares(each) for each in arrays])).sqrt()
        else:
            norms = [_norm(each, order).to(listed[0].device) for each in listed]
            total = norm(stack(norms), order)
            if all(each.itemsize < 4 for each in listed):
                total = total.to(listed[0].dtype)
    if error_if_nonfinite and not total.isfinite().item():
        raise RuntimeError(
            f"the norm of order {order} of the gradients is {total.item()}, so they cannot be clipped. Look for the first "
            "operation that gave inf or nan, or set error_if_nonfinite=False to scale the gradients anyway"
        )
    return total


def _norm(tensor: Any, order: float) -> Tensor:
    """The norm of one tensor, in float32 for float16, whose squares would overflow."""
    if tensor.itemsize < 4:
        tensor = tensor.float()
    return wrap(_squares(tensor.array)).sqrt() if order == 2 else norm(tensor, order)


def _squares(array: Array) -> Any:
    """The sum of an array's squares, in one pass and with no array in between."""
    flat = array.reshape(-1)
    return backend.of(flat).dot(flat, flat)


def clip_grads_with_norm_(parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None) -> None:
    """Scale the gradients of `parameters` as (2) of `clip_grad_norm_` does, by a norm that is known already.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grads_with_norm_.html

    >>> import minigrad
    >>> p = minigrad.zeros(2, requires_grad=True)
    >>> p.grad = minigrad.ones(2)
    >>> clip_grads_with_norm_(p, 1.0, minigrad.tensor(2.0))
    >>> p.grad
    tensor([0.5000, 0.5000])
    """
    with no_grad(), backend.CPU.errstate(all="ignore"):
        # Multiplied even if the factor is 1: to ask whether it is would mean to wait for the device.
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        gradients = _gradients(_listed(parameters))
        if _at_once(gradients):
            many.launch("scale", _rows(gradients), factor.to(gradients[0].device, gradients[0].dtype).array)
        else:
            factors = {place: factor.to(*place).array for place in {(each.device, each.dtype) for each in gradients}}
            for each in gradients:
                backend.of(each.array).multiply(each.array, factors[each.device, each.dtype], out=each.array)
        _note_changes(gradients)


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Cut every element of every gradient to [-clip_value, clip_value].

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_value_.html

    >>> import minigrad
    >>> p = minigrad.zeros(2, requires_grad=True)
    >>> p.grad = minigrad.tensor([0.5, -4.0])
    >>> clip_grad_value_(p, 1.0)
    >>> p.grad
    tensor([ 0.5000, -1.0000])
    """
    limit, gradients = float(clip_value), _gradients(_listed(parameters))
    if _at_once(gradients):
        many.launch("cut", _rows(gradients), limit)
    else:
        for gradient in gradients:
            backend.of(gradient.array).clip(gradient.array, -limit, limit, out=gradient.array)
    _note_changes(gradients)


def _listed(tensors: Tensors) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Iterable[Any]) -> list[Any]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _alike(tensors: list[Any]) -> bool:
    """Whether all of them are on one device and of one dtype."""
    return len({(each.device, each.dtype) for each in tensors}) == 1


def _at_once(gradients: list[Any]) -> bool:
    """Whether one launch can see all of them: on one GPU, of one dtype, and each only once."""
    known = bool(gradients) and all(many.at_once([each.array]) for each in gradients)
    return known and _alike(gradients) and len({id(each) for each in gradients}) == len(gradients)


def _rows(gradients: list[Any]) -> list[many.Row]:
    return [((each.array,), ()) for each in gradients]


def _note_changes(gradients: list[Any]) -> None:
    for each in gradients:
        note_change(each)
