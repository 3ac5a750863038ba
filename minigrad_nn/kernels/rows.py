"""Rows as they come: what design b on a GPU (device/) and compiled loops (compiled/) share, which both leave rows where they are.

That is the state on its way, and gradients that are one product for all steps. A state is carried in one array (B, …) with a
place for every row of the batch. At step t the first sizes[t] rows are live, and a step reads and overwrites these only. So a
row that has ended keeps its last state in its place, and one that begins late finds its initial state there: after the last step,
the array holds the last state of every row. The same holds for its gradient on the way back. Padded and packed sequences,
forward and in reverse, are one case.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from typing import Any

from minigrad.backend import Array

from .steps import Steps

__all__ = ["before_each", "bias", "in_order", "state", "sums", "with_states", "without_gaps"]


def in_order(steps: Steps) -> list[tuple[int, int]]:
    """(first row, number of rows) of each step, in the order of computing."""
    starts = itertools.accumulate(steps.sizes, initial=0)
    places = list(zip(starts, steps.sizes))
    return places[::-1] if steps.reverse else places


def state(xp: Any, given: Array | None, rows: int, features: int, dtype: Any) -> Array:
    """An array (rows, features) of its own to carry a state in: the initial one, or zeros."""
    if given is None:
        return xp.zeros((rows, features), dtype)
    carried = xp.empty((rows, features), dtype)
    carried[...] = given
    return carried


def bias(xp: Any, given: Array | None, rows: int, dtype: Any) -> Array:
    """A bias, or zeros."""
    return xp.zeros(rows, dtype) if given is None else xp.ascontiguousarray(given)


def without_gaps(xp: Any, rows: Array | None) -> Array | int:
    """`rows` in memory as they are read, copied if they are not; the address zero for None."""
    return 0 if rows is None else xp.ascontiguousarray(rows)


def before_each(xp: Any, steps: Steps, y: Array, h_0: Array | None) -> Array:
    """For each row (N, R) the state that entered its step: the output of the step before, or h_0.

    Steps of equal size are one block of rows, and one copy brings all but the first of a block.
    """
    before = xp.empty(y.shape, y.dtype)
    start, known, left = (steps.N, 0, 0) if steps.reverse else (0, 0, 0)
    groups = [(size, len(list(group))) for size, group in itertools.groupby(steps.sizes)]
    for size, count in reversed(groups) if steps.reverse else groups:
        rows = size * count
        here = slice(start - rows, start) if steps.reverse else slice(start, start + rows)
        inner = before[here]
        first, others = (inner[rows - size :], inner[: rows - size]) if steps.reverse else (inner[:size], inner[size:])
        others[...] = y[here][size:] if steps.reverse else y[here][: rows - size]
        take = min(known, size)
        first[:take] = y[left : left + take]  # the step computed before this block
        first[take:] = 0 if h_0 is None else h_0[take:size]
        known, left = size, here.start if steps.reverse else here.stop - size
        start = here.start if steps.reverse else here.stop
    return before


def sums(xp: Any, wanted: Collection[str], x: Array, of_input: Array, of_state: Array, dw_hh: Callable[[], Array]) -> dict[str, Array]:
    """The gradients of weights and biases, sums over all rows, of which those in `wanted` are computed, by a product each.

    With the gradients of all pre-activations da (N, G·H) and the rows x (N, I) and h (N, R) that entered:

        dW_ih = daᵀ @ x      dW_hh = daᵀ @ h      db = daᵀ @ 1

    Of x and of h they may differ: `of_input`, `of_state`. `dw_hh()` gives the one of which more is to be said, see `with_states`.
    """
    ones = xp.ones(x.shape[0], x.dtype) if {"b_ih", "b_hh"} & set(wanted) else None
    found: dict[str, Array] = {}
    rules = {
        "w_ih": lambda: of_input.T @ x,
        "w_hh": dw_hh,
        "b_ih": lambda: of_input.T @ ones,
        "b_hh": lambda: found["b_ih"].copy() if of_state is of_input and "b_ih" in found else of_state.T @ ones,
    }
    for name, rule in rules.items():
        if name in wanted:
            found[name] = rule()
    return found


def with_states(xp: Any, steps: Steps, da: Array, y: Array, h_0: Array | None) -> Array:
    """daᵀ @ h. Where all steps have as many rows, h of a row is the output of the row that stands B before it, or B after it."""
    if not steps.uniform:
        return da.T @ before_each(xp, steps, y, h_0)
    begin, others = slice(0, steps.B), slice(steps.B, None)
    if steps.reverse:
        begin, others = slice(steps.N - steps.B, None), slice(0, steps.N - steps.B)
    before = y[steps.B :] if steps.reverse else y[: steps.N - steps.B]
    dw = da[others].T @ before
    if h_0 is not None:
        dw += da[begin].T @ h_0
    return dw
