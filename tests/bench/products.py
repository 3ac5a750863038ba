"""Our own matrix products alone: a floor for every cell of the race, which no amount of care in the rest can get below.

A kernel is run once on arrays that note every product of matrices: which memory it read and wrote, in which layout. What is
timed is those products again, one after the other, and nothing else. So they are the kernel's by construction: the input
projection of each panel, the recurrent products step by step, forward and backward, and dx, dW_ih and dW_hh.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import race
from cells import Job, Library

MAKING = {"empty", "zeros", "ones", "full", "empty_like", "zeros_like", "ones_like", "full_like", "concatenate", "ascontiguousarray"}
Noted = list[tuple[Any, Any, Any]]  # (left, right, out) of each product
_noted: Noted = []


class Noting(np.ndarray[Any, Any]):
    """An array that notes the products it takes part in; what is computed from it notes too."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        given = [_plain(each) for each in inputs]
        if "out" in options:
            options["out"] = tuple(_plain(each) for each in options["out"])
        result = getattr(ufunc, method)(*given, **options)
        if ufunc is np.matmul and given[0].ndim == given[1].ndim == 2:
            _noted.append((given[0], given[1], result))
        return noting(result)


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Noting) else x


def noting(x: Any) -> Any:
    """`x` as an array that notes; what is no array as it is."""
    return x.view(Noting) if isinstance(x, np.ndarray) else x


def register() -> None:
    """Give arrays that note a backend of their own: NumPy's, but its new arrays note as well."""
    from minigrad import backend

    class NotingBackend(backend.Backend):
        device_type = "noting"

        def __getattr__(self, name: str) -> Any:
            value = getattr(np, name)
            return (lambda *given, **options: noting(value(*given, **options))) if name in MAKING else value

    backend.register(NotingBackend(np), Noting)


@contextlib.contextmanager
def recording() -> Iterator[Noted]:
    """Inside, kernels compute on arrays that note, with NumPy alone and all rows at once; the list yielded fills with their products."""
    from minigrad_nn import kernels
    from minigrad_nn.kernels.compiled import choice

    register()
    wanted, choice.wanted = choice.wanted, False
    modules = (kernels.rnn, kernels.lstm, kernels.gru)
    before = [(module, name, getattr(module, name)) for module in modules for name in ("forward", "backward")]
    _noted.clear()
    try:
        for module, name, function in before:
            setattr(module, name, _on_noting(function))
        yield _noted
    finally:
        for module, name, function in before:
            setattr(module, name, function)
        choice.wanted = wanted


def _on_noting(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*given: Any, **options: Any) -> Any:
        return _each(function(*(_each(one, noting) for one in given), **options), _plain)

    return run


def _each(given: Any, change: Callable[[Any], Any]) -> Any:
    """`given` with every array in it changed, inside tuples and dictionaries too."""
    if type(given) is tuple:
        return tuple(_each(one, change) for one in given)
    if type(given) is dict:
        return {name: _each(one, change) for name, one in given.items()}
    return change(given)


def operations(noted: Noted) -> int:
    """How many multiplications and additions the products of matrices are; those with a vector are biases'."""
    return sum(2 * left.shape[0] * left.shape[1] * right.shape[1] for left, right, _ in noted)


def needed(name: str) -> int:
    """How many multiplications and additions a cell with batches of equal length cannot do without."""
    family, kind, (steps, batch, features, hidden) = race.read(name)
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    inputs = [features, features, 2 * hidden, 2 * hidden] if family == "bidirectional" else [features]
    forward = sum(2 * steps * batch * gates * hidden * (size + hidden) for size in inputs)
    return forward if family == "inference" else 3 * forward


def job(name: str) -> Job:
    """The products of a cell of the race; RuntimeError if some of them escaped the notes."""
    once = race.job(Library("minigrad"), name)
    with recording() as found:
        once.work(None)
    noted = list(found)
    if not name.startswith("packed") and operations(noted) < needed(name):
        raise RuntimeError(f"{name}: {operations(noted)} operations in products were noted, it needs at least {needed(name)}")

    def work(_: Any) -> None:
        for left, right, out in noted:
            np.matmul(left, right, out=out)

    return Job(work, 1)
