"""A kernel on the tape: one node for a whole sequence, in one direction of one layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from minigrad import Tensor, ops
from minigrad.backend import Later
from minigrad.ops.elementwise import _quiet as quiet
from minigrad.ops.elementwise import wants
from minigrad.state import Place, place, set_recording, state
from minigrad.tape import gradients_within, nodes_since, position, record_several, wrap

from .kernels.steps import Steps

__all__ = ["Fused", "fused"]

Again = Callable[[Tensor, list[Any], list[Any]], tuple[Tensor, Sequence[Tensor], Any]]  # output, last states, cells or None


class Fused:
    """What `fused` gives: the output of all steps, the last states, and what the kernel saved, for those who look.

    output (T, B, R) or (N, R), last states (1, B, R) and (1, B, H), cells (N, H) or None; gates() a dict of (N, H)
    """

    def __init__(self, output: Tensor, last: list[Tensor], cells: Tensor | None, saved: Any) -> None:
        self.output, self.last, self.cells, self._saved = output, last, cells, saved

    def gates(self) -> dict[str, Tensor]:
        """The gates at every step, as values without gradients; an RNN has none."""
        return {name: wrap(array) for name, array in self._saved.gates().items()}


def fused(
    kernel: Any,
    options: dict[str, Any],
    data: Tensor,
    sizes: Sequence[int],
    reverse: bool,
    states: Sequence[Tensor | None],
    weights: Sequence[Tensor | None],
    again: Again,
    look: bool = False,
    paired: bool = False,
) -> Fused:
    """One layer in one direction over a whole sequence, by a kernel, a module of `minigrad_nn.kernels`, with its options.

    `again(data, states, weights)` computes the same on the tape, step by step. With `create_graph=True` gradients must
    be differentiable themselves, and then the node's rule is to compute the layer again in that way. `look` makes the
    kernel save its gates although no gradient may be wanted, and gives cell states as an output of their own.
    `paired` says that the layer's other direction comes right after, or came right before, so that a kernel may compute
    both at once: nobody may look at the results of the first before the second is there.

    Shapes: data (T, B, I), or (N, I) with N = sum of sizes; states (1, B, R) and (1, B, H), or None for zeros. A kernel has only
        rows, (N, I) and (B, R): what lies in memory in the same way
    """
    given = (data, *states, *weights)
    names = [name for name, each in zip(kernel.NAMES, given) if wants(each)]
    here, count = state.place, 1 + len(states)
    keep = look or (state.recording and bool(names))
    steps = Steps(sizes, reverse, paired and not look and not state.observers)
    rows = [None if each is None else _rows(each.array) for each in given[:count]]
    parameters = tuple(None if each is None else each.array for each in weights)
    with quiet():  # as everywhere, overflow gives inf or NaN without a word
        y, *ends, saved = kernel.forward(rows[0], steps, *rows[1:], parameters, keep=keep, **options)
    values = [y.reshape(*data.array.shape[:-1], y.shape[1]), *[each.reshape(1, *each.shape) for each in ends]]
    looked = [*values, saved.cells()] if look and count == 3 else values

    def rule(xp: Any, dys: list[Any], y: Any, saved: Any, x: Any, *others: Any) -> Sequence[Any]:
        if xp is ops:
            with place(here):
                return _again(again, (x, *others), count, dys)
        likes = dict(zip(kernel.NAMES, (x, *others)))
        padded = dys if len(dys) > count or count < 3 else [*dys, None]  # the LSTM's last is the gradient of its cells
        found = kernel.backward(saved, _rows(x), _rows(y), _rows(others[0]), others[count - 1 :], *map(_rows, padded), names)
        if callable(found):  # the other direction goes on meanwhile
            return _listed(Later.several(lambda: _shaped(found(), likes), {name: likes[name] for name in names}), kernel.NAMES)
        return _listed(_shaped(found, likes), kernel.NAMES)

    with place(Place(here.scope, here.step, here.layer, here.direction, here.rows, len(sizes))):
        tensors = record_several(kernel.__name__.rpartition(".")[2], looked, given, rule, (values[0], saved, *given))
    return Fused(tensors[0], tensors[1:count], tensors[count] if len(tensors) > count else None, saved)


def _rows(array: Any) -> Any:
    """An array (…, R) as (N, R); what is none stays none."""
    return array if array is None or array.ndim == 2 else array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def _shaped(found: dict[str, Any], likes: dict[str, Any]) -> dict[str, Any]:
    """The gradients found, each in the shape of what it is the gradient of."""
    return {name: each if each.shape == likes[name].shape else each.reshape(likes[name].shape) for name, each in found.items()}


def _listed(found: dict[str, Any], names: Sequence[str]) -> list[Any]:
    return [found.get(name) for name in names]


def _again(again: Again, given: Sequence[Any], count: int, dys: list[Any]) -> list[Any]:
    """Gradients that can be differentiated themselves, of the same layer computed step by step."""
    start = position()
    with set_recording(True):
        output, last, cells = again(given[0], list(given[1:count]), list(given[count:]))
    used = [(each, dy) for each, dy in zip((output, *last, cells), dys) if dy is not None]
    outputs = [each for each, _ in used]
    inputs = [getattr(each, "node", None) for each in given]
    wanted = [node for node in inputs if node is not None]
    found = gradients_within(outputs, [dy for _, dy in used], nodes_since(start, outputs), wanted, True)
    return [None if node is None else found[node.number] for node in inputs]
