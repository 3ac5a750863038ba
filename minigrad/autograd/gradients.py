"""Gradients asked for: `backward`, `grad`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops import clone, ones_like
from ..ops.elementwise import _quiet as quiet
from ..state import set_recording
from ..tape import Variable, numbers_on_path, refresh, walk, wrap

__all__ = ["backward", "grad"]


def backward(
    tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False, *, inputs: Any = None
) -> None:
    """Add the gradients of `tensors` to the `.grad` of every leaf they were computed from, or only of `inputs`.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html
    """
    roots = _roots(_listed(tensors), grad_tensors, create_graph)
    on_path, keeping = None, []
    if inputs is not None:
        wanted = _inputs(inputs, "backward", "leave it out for all leaves")
        on_path = numbers_on_path((node for node, _ in roots), {_node_of(each, "inputs").number for each in wanted})
        keeping = [each._keep_grad() for each in wanted if not each.is_leaf and not each.retains_grad]  # computed ones gather theirs too
    try:
        with set_recording(create_graph), quiet():
            walk(roots, create_graph if retain_graph is None else retain_graph, create_graph, on_path)
    finally:
        for handle in keeping:
            handle.remove()


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` with respect to `inputs`, returned; no `.grad` changes.

    With `create_graph` they are recorded themselves and can be differentiated again. An input that the outputs do not
    depend on is a RuntimeError, or None with `allow_unused`, or zeros with `materialize_grads`.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html

    >>> import minigrad
    >>> x = minigrad.tensor(3.0, requires_grad=True)
    >>> (dy,) = grad(x**3, x, create_graph=True)
    >>> dy, grad(dy, x)
    (tensor(27., grad_fn=<MulBackward0>), (tensor(18.),))
    """
    if is_grads_batched:
        raise NotImplementedError("grad(is_grads_batched=True) is not here; call grad once for each gradient of the outputs")
    if materialize_grads and allow_unused is False:
        raise ValueError("materialize_grads=True gives zeros for unused inputs, so allow_unused must not be False")
    wanted = _inputs(inputs, "grad", "give at least one tensor")
    nodes = [_node_of(each, "inputs") for each in wanted]
    roots = _roots(_listed(outputs), grad_outputs, create_graph)
    found: dict[int, Any] = {node.number: None for node in nodes}
    on_path = numbers_on_path((node for node, _ in roots), set(found))
    with set_recording(create_graph), quiet():
        walk(roots, create_graph if retain_graph is None else retain_graph, create_graph, on_path, found)
    gradients = [found[node.number] for node in nodes]
    if materialize_grads:
        gradients = [_zeros(each, create_graph) if found is None else found for each, found in zip(wanted, gradients, strict=True)]
    elif not allow_unused and any(each is None for each in gradients):
        unused = [tuple(each.array.shape) for each, gradient in zip(wanted, gradients, strict=True) if gradient is None]
        raise RuntimeError(f"inputs of shapes {unused} were not used to compute the outputs; allow_unused=True gives None for them")
    return tuple([each if each is None or create_graph else wrap(_own(each)) for each in gradients])


def _own(array: Any) -> Any:
    """A gradient in an array of its own: rules may hand the same one to several inputs."""
    return array.copy()


def _zeros(like: Any, create_graph: bool) -> Any:
    zeros = like.array * 0
    return wrap(zeros) if create_graph else zeros


def _listed(given: Any) -> list[Any]:
    return [given] if isinstance(given, Variable) else list(given)


def _inputs(given: Any, name: str, advice: str) -> list[Any]:
    """`given` as a list of tensors, at least one."""
    tensors = _listed(given)
    if not tensors:
        raise RuntimeError(f"{name}: inputs must not be empty; {advice}")
    for each in tensors:
        if not isinstance(each, Variable):
            raise RuntimeError(f"{name}: inputs must be tensors, got {type(each).__name__}")
    return tensors


def _node_of(tensor: Any, what: str) -> Any:
    refresh(tensor)
    if tensor.node is None:
        raise RuntimeError(
            f"one of the {what}, of shape {tuple(tensor.array.shape)}, does not require grad: it was computed from nothing that "
            "does, or under no_grad(), or was detached. Set requires_grad=True on a leaf before computing"
        )
    return tensor.node


def _roots(tensors: list[Any], gradients: Any, create_graph: bool) -> list[tuple[Any, Any]]:
    """Pairs (node, gradient) from which to walk; a single element needs no gradient given."""
    given: Sequence[Any] = [None] * len(tensors) if gradients is None else _listed(gradients)
    if len(given) != len(tensors):
        raise RuntimeError(f"expected one gradient per output, got {len(given)} for {len(tensors)}")
    roots = []
    for tensor, gradient in zip(tensors, given, strict=True):
        if not isinstance(tensor, Variable):
            raise TypeError(f"outputs must be tensors, got {type(tensor).__name__}")
        node = _node_of(tensor, "outputs")
        gradient = _made_up(tensor) if gradient is None else _fitting(gradient, tensor)
        roots.append((node, clone(gradient) if create_graph else gradient.array))
    return roots


def _made_up(tensor: Any) -> Any:
    """1, the gradient of a single element."""
    if tensor.array.size != 1:
        raise RuntimeError(
            f"a gradient can be made up only for a single element, and this output has shape {tuple(tensor.array.shape)}; "
            "sum() it first, or give the gradient: y.backward(gradient)"
        )
    return ones_like(tensor)


def _fitting(gradient: Any, tensor: Any) -> Any:
    """The gradient given for an output, if it has the output's shape and place."""
    if not isinstance(gradient, Variable):
        raise TypeError(f"a gradient given must be a tensor or None, got {type(gradient).__name__}")
    if gradient.array.shape != tensor.array.shape:
        raise RuntimeError(f"the gradient must have the output's shape {tuple(tensor.array.shape)}, got {tuple(gradient.array.shape)}")
    if gradient.array.__class__ is not tensor.array.__class__:
        raise RuntimeError(f"the gradient must be on the output's device {str(tensor.device)!r}; move it: gradient.to(output.device)")
    return gradient
