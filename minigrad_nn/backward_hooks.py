"""Hooks on the way back through a Module: functions that are shown the gradients of its results and of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad import Tensor
from minigrad.state import state
from minigrad.tape import Variable, record_several, wrap

__all__ = ["Watch"]


class Watch:
    """One call of a Module whose backward hooks want to see its gradients.

    The inputs and the results each pass through a node of their own that computes nothing. On the way back the node
    of the results is met first, and keeps what it is given; the node of the inputs is met last, and calls the hooks.
    Where no input wants a gradient there is no such node, and the first one calls them.
    """

    def __init__(self, module: Any, hooks: list[Callable[..., Any]]) -> None:
        self.module, self.hooks = module, hooks
        self.count = 0  # of the inputs
        self.places: tuple[int, ...] = ()  # of those that want gradients
        self.grad_output: tuple[Any, ...] = ()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, those that want gradients behind a node."""
        self.count = len(args)
        args, self.places = _behind("module_inputs", args, self._leave)
        return args

    def results(self, result: Any) -> Any:
        """What the Module gave, a tensor or a tuple of them, behind a node."""
        if not isinstance(result, tuple):
            return self.results((result,))[0]
        count = len(result)

        def enter(xp: Any, dys: list[Any]) -> list[Any]:
            self.grad_output = _spread(count, places, map(_shown, dys))
            if not self.places:
                self._called((None,) * self.count)
            return dys

        places: tuple[int, ...]
        behind, places = _behind("module_results", result, enter)
        return type(result)(*behind) if hasattr(result, "_fields") else behind

    def _leave(self, xp: Any, dys: list[Any]) -> list[Any]:
        given = self._called(_spread(self.count, self.places, map(_shown, dys)))
        asked = [given[place] for place in self.places]
        return [new if new is None or isinstance(old, Variable) else new.array for new, old in zip(asked, dys)]

    def _called(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.hooks:
            changed = hook(self.module, grad_input, self.grad_output)
            if changed is not None:
                changed = changed if isinstance(changed, tuple) else (changed,)
                if len(changed) != self.count:
                    raise RuntimeError(f"a backward hook returns one gradient for each of {self.count} inputs, got {len(changed)}")
                grad_input = changed
        return grad_input


def _behind(op: str, given: tuple[Any, ...], rule: Callable[..., Any]) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """The values, those that want gradients as results of one node with this rule, and the places of these."""
    wanted = [place for place, each in enumerate(given) if state.recording and isinstance(each, Tensor) and each.requires_grad]
    if not wanted:
        return given, ()
    made = record_several(op, [given[place].array.copy() for place in wanted], [given[place] for place in wanted], rule)
    behind = dict(zip(wanted, made))
    return tuple(behind.get(place, each) for place, each in enumerate(given)), tuple(wanted)


def _spread(count: int, places: tuple[int, ...], gradients: Any) -> tuple[Any, ...]:
    """The gradients at their places among `count`, None everywhere else."""
    found = dict(zip(places, gradients))
    return tuple(found.get(place) for place in range(count))


def _shown(gradient: Any) -> Any:
    return gradient if gradient is None or isinstance(gradient, Variable) else wrap(gradient)
