"""Memory for time: a part of the tape that is thrown away and computed again when the walk back comes to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import minigrad
from minigrad import Tensor, ops
from minigrad.state import Place, place, set_recording, state
from minigrad.tape import Leaf, Node, Variable, branch_of, gradients_within, make_node, nodes_since, position, refresh, tell_made, wrap

__all__ = ["checkpoint"]


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True, **kwargs: Any
) -> Any:
    """function(*args, **kwargs), a tensor or a tuple of them, keeping nothing of what it recorded but its inputs.

    The walk back calls `function` again for what its rules need, so it must compute the same both times; random numbers
    repeat unless `preserve_rng_state` is False. Parameters and other tensors that the function reaches without being
    given them get their gradients too. `use_reentrant` is accepted and changes nothing.

    Cost: one more forward pass; in memory, the inputs, and the whole of one checkpointed part at a time
    Raises: TypeError for results in other forms (a dict, nested tuples); RuntimeError in the walk back if the function does not
        compute from the same inputs again, or one of them was changed in place
    Source: https://docs.pytorch.org/docs/stable/checkpoint.html; Chen et al. 2016

    >>> x = minigrad.tensor([0.5], requires_grad=True)
    >>> checkpoint(lambda x: x.tanh().exp(), x).backward()
    >>> y = x.detach().requires_grad_()
    >>> y.tanh().exp().backward()
    >>> bool(x.grad == y.grad)
    True
    """
    stream = minigrad.get_rng_state() if preserve_rng_state else None
    given = [each for each in (*args, *kwargs.values()) if isinstance(each, Variable)]
    for each in given:
        refresh(each)
    start, here = position(), state.place
    with _unobserved():
        result = function(*args, **kwargs)
    outputs = _flat(result)
    recorded = _recorded_since(start, outputs)
    if not recorded:
        return result
    inside = nodes_since(start, recorded)
    inputs, count = _inputs_of(inside, start), len(recorded)  # the rule must not hold what was recorded

    def rule(xp: Any, dys: list[Any], *kept: Any) -> list[Any]:
        again = position()
        with _as_it_was(stream, here):
            repeated = function(*args, **kwargs)
        repeated = _recorded_since(again, _flat(repeated))
        nodes = nodes_since(again, repeated)
        if len(repeated) != count or {each.number for each in _inputs_of(nodes, again)} != {each.number for each in inputs}:
            raise RuntimeError("a checkpointed function must compute the same from the same inputs again, and this one did not")
        used = [(each, dy) for each, dy in zip(repeated, dys, strict=True) if dy is not None]
        found = gradients_within([each for each, _ in used], [dy for _, dy in used], nodes, inputs, xp is ops)
        return [found[node.number] for node in inputs]

    used = [each for node in inside for each in node.kept or () if isinstance(each, Variable) and each.node in inputs]
    leaves = [node.variable for node in inputs if isinstance(node, Leaf)]
    ends = _on_one_node(recorded, inputs, rule, (*given, *used, *leaves))  # kept so that changes in place are noticed
    outputs = [next(ends) if any(each is one for one in recorded) else each for each in outputs]
    if not isinstance(result, (tuple, list)):
        return outputs[0]
    return type(result)(*outputs) if hasattr(result, "_fields") else type(result)(outputs)


def _on_one_node(tensors: list[Tensor], inputs: list[Node], rule: Any, keep: tuple[Any, ...]) -> Iterator[Tensor]:
    """The same values, as if one operation had computed them all."""
    node = make_node(Node, "checkpoint", inputs, rule, keep)
    node.shape, node.dtype = [each.array.shape for each in tensors], [each.array.dtype for each in tensors]
    ends = [wrap(each.array) for each in tensors]
    for index, end in enumerate(ends):
        end.node = branch_of(node, index)
    if state.observers:
        tell_made(node, ends, tensors)
    return iter(ends)


def _flat(result: Any) -> list[Any]:
    """A function's results as a list; TypeError for forms in which tensors would be overlooked."""
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    for each in outputs:
        if isinstance(each, (tuple, list, dict, set)):
            raise TypeError(f"a checkpointed function gives a tensor or a tuple of them, got a {type(each).__name__} inside or alone")
    return outputs


def _recorded_since(start: int, outputs: list[Any]) -> list[Tensor]:
    """The tensors among a function's outputs whose nodes were made after position `start`."""
    return [each for each in outputs if isinstance(each, Tensor) and each.node is not None and each.node.number > start]


def _inputs_of(inside: Iterable[Node], start: int) -> list[Node]:
    """The older nodes, and the leaves, that these draw from."""
    older = {parent.number: parent for node in inside for parent in node.parents if isinstance(parent, Node) and parent.number < start}
    return list(older.values())


@contextlib.contextmanager
def _unobserved() -> Iterator[None]:
    """Nobody is told of nodes that are about to be thrown away."""
    observers, state.observers = state.observers, ()
    try:
        yield
    finally:
        state.observers = observers


@contextlib.contextmanager
def _as_it_was(stream: Any, here: Place) -> Iterator[None]:
    """Recording on, at the place and with the random numbers of the first time; afterwards everything as before."""
    now = minigrad.get_rng_state() if stream is not None else None
    if stream is not None:
        minigrad.set_rng_state(stream)
    try:
        with set_recording(True), place(here):
            yield
    finally:
        if now is not None:
            minigrad.set_rng_state(now)
