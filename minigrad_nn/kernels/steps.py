"""Which rows belong to which time step: what all kernels have in common. And how the kernels beside this file group them.

A kernel sees a sequence as N rows, those of step 0 first, then those of step 1, and so on; step t has `sizes[t]` rows, never
more than the step before. A padded batch is the case where all sizes are equal. Row j of a step continues row j of its
neighbour, so in the forward direction rows drop out as their sequences end; in reverse they join, each at its own last step.

One layout and two groupings make the kernels fast that call an array function at a time (rnn, lstm, gru beside this file):

- **Inside a step the batch is the last axis.** A state is (H, b), the gates are (4H, b): each gate is one block of memory,
  and the product `W @ h` is faster than `h @ Wᵀ`. (Rows, with the features last, are what comes in and goes out.)
- **A run** is a few neighbouring steps of equal size, an array (K, ..., H, b) as large as a processor's own cache. Whatever
  does not wait for the step before is computed for a run in one call.
- **A panel** is as many runs as a product of matrices needs to be fast, about a thousand rows. Products that do not wait
  either (gradients of weights and inputs) are computed for a panel at once.

Compiled loops and the kernels for GPUs have no runs and no panels of rows; they take rows as they come (rows.py).

How large both are is the backend's to say (`run_elements`, `panel_rows`): on a GPU, larger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from minigrad.backend import Array, of

__all__ = ["Run", "Saved", "State", "Steps", "columns", "previous", "project", "rows_of", "to_blocks", "to_columns", "to_rows"]


class Run(NamedTuple):
    """K neighbouring steps of `size` rows each: rows `start` to `stop` of the sequence.

    The states that enter the step computed first are, for its first `known` rows, the outputs in the rows `before` to
    `before + known` of the sequence; its other rows begin here, with their initial state.
    """

    K: int
    size: int
    start: int
    stop: int
    before: int
    known: int


class Steps:
    """The rows of each step, and the order in which steps are computed.

    `paired` says that the layer's other direction is computed in the same breath: the forward one first, on the way back
    the reverse one. Kernels that can may then compute both at once.

    >>> steps = Steps([3, 3, 1], reverse=False)
    >>> steps.T, steps.B, steps.N, steps.uniform
    (3, 3, 7, False)
    >>> steps.panels(hidden_size=8, run_elements=2**15, panel_rows=2**10)
    [[Run(K=2, size=3, start=0, stop=6, before=0, known=0), Run(K=1, size=1, start=6, stop=7, before=3, known=1)]]
    """

    def __init__(self, sizes: Sequence[int], reverse: bool = False, paired: bool = False) -> None:
        alike = len(sizes) > 0 and list(sizes).count(sizes[0]) == len(sizes)  # usual, and told quickly
        self.sizes, self.reverse, self.paired = [int(sizes[0])] * len(sizes) if alike else list(map(int, sizes)), reverse, paired
        if not self.sizes or self.sizes != sorted(self.sizes, reverse=True):
            raise ValueError(f"a sequence has at least one step, and no step more rows than the one before; got sizes {self.sizes}")
        self.T, self.B, self.N = len(self.sizes), self.sizes[0], sum(self.sizes)
        self.uniform = self.sizes[-1] == self.B

    def panels(self, hidden_size: int, run_elements: int, panel_rows: int) -> list[list[Run]]:
        """All runs in the order of computing, grouped into panels: each panel's rows are neighbours too.

        The states of a run have up to `run_elements` numbers, a panel has up to `panel_rows` rows; neither less than one step.
        """
        panels: list[list[Run]] = []
        room = 0
        for run in self._runs(min(run_elements // max(1, hidden_size), panel_rows)):
            rows = run.stop - run.start
            if not panels or rows > room:
                panels.append([])
                room = panel_rows
            panels[-1].append(run)
            room -= rows
        return panels

    def order(self, run: Run) -> range:
        """The places of a run's steps in the order of computing."""
        return range(run.K - 1, -1, -1) if self.reverse else range(run.K)

    def _runs(self, rows: int) -> list[Run]:
        runs: list[Run] = []
        t = start = 0
        for size, group in groupby(self.sizes):
            most = max(1, rows // max(1, size))
            last = t + len(list(group))
            while t < last:
                K = min(most, last - t)
                runs.append(Run(K, size, start, start + K * size, *self._before(t, t + K, start, start + K * size)))
                t, start = t + K, start + K * size
        return runs[::-1] if self.reverse else runs

    def _before(self, first: int, end: int, start: int, stop: int) -> tuple[int, int]:
        """Where the state came from that enters the steps `first` to `end`: (first row, number of rows)."""
        if self.reverse:
            return (stop, self.sizes[end]) if end < self.T else (stop, 0)
        return (start - self.sizes[first - 1], self.sizes[first]) if first else (start, 0)


class Saved:
    """What a forward pass keeps for backward passes: an array for each run, in the order of computing. Nobody changes it.

    It belongs to one call, and may be used by any number of backward passes.
    """

    def __init__(self, xp: Any, steps: Steps, hidden_size: int) -> None:
        self.steps, self.hidden_size = steps, hidden_size
        self.panels = steps.panels(hidden_size, xp.run_elements, xp.panel_rows)
        self.runs = [run for panel in self.panels for run in panel]
        self.kept: list[Array] = []

    @property
    def arrays(self) -> list[Array]:
        """Everything that is kept here, for those who count bytes."""
        return self.kept

    def gates(self) -> dict[str, Array]:
        """The gates at every step, (N, H) each, by name; a cell without gates has none."""
        return {}

    def rows(self, blocks: Iterable[Array]) -> Array:
        """What is (K, H, b) for each run, as (N, H)."""
        rows = of(self.kept[0]).empty((self.steps.N, self.hidden_size), self.kept[0].dtype)
        for run, each in zip(self.runs, blocks):
            to_rows(run, each, rows)
        return rows


class State:
    """A state (H, b) on its way: rows join it from one array (B, H), and leave it into another, as the number of rows changes.

    Either may be None: rows join with zeros, or leave for nowhere. Forward, rows join from h_0 and leave into h_n; backward,
    gradients join from dh_n and leave into dh_0.
    """

    def __init__(self, xp: Any, features: int, dtype: Any, joining: Array | None, leaving: Array | None) -> None:
        self.array: Array = xp.empty((features, 0), dtype)
        self.xp, self.joining, self.leaving = xp, joining, leaving

    def resize(self, size: int) -> Array:
        """The state with `size` rows."""
        old = self.array
        features, b = old.shape
        if size == b:
            return old
        if size < b and self.leaving is not None:
            self.leaving[size:b] = old[:, size:].T
        self.array = new = self.xp.empty((features, size), old.dtype)
        new[:, :b] = old[:, :size]
        if size > b:
            new[:, b:] = 0 if self.joining is None else self.joining[b:size].T
        return new


def columns(xp: Any, features: int, panel: list[Run], dtype: Any) -> Array:
    """An empty matrix (features, W) with a column for each row of a panel.

    Steps of a single row are columns themselves; so that they are not scattered, the matrix is then stored by columns.
    """
    W = sum(run.stop - run.start for run in panel)
    alone = all(run.size == 1 for run in panel)
    return xp.empty((W, features), dtype).T if alone else xp.empty((features, W), dtype)


def rows_of(panel: list[Run]) -> slice:
    """The rows of a panel."""
    return slice(min(run.start for run in panel), max(run.stop for run in panel))


def to_columns(xp: Any, panel: list[Run], run: Run, blocks: Array, matrix: Array) -> None:
    """Write the steps (K, G, H, b) of a run to their columns in a matrix (G·H, W) that belongs to a panel."""
    first, (K, b) = run.start - rows_of(panel).start, (run.K, run.size)
    part, rows = matrix[:, first : first + K * b], blocks.reshape(K, matrix.shape[0], b)
    if xp.device_type == "cpu" and b > 1:  # b numbers that stay neighbours are moved as one item
        item = f"V{b * rows.itemsize}"
        part.view(item).T[...] = rows.view(item)[..., 0]
    else:
        part.reshape(part.shape[0], K, b)[...] = rows.swapaxes(0, 1)


def project(xp: Any, x: Array, run: Run, w: Array, biases: Sequence[Array | None], out: Array) -> None:
    """out (K, G, H, b) = W x + biases, by one product: of W (G·H, I), the rows of a run in x (N, I), and biases (G·H,) or None."""
    (K, G, H, b), rows = out.shape, x[run.start : run.stop]
    if b == 1 or xp.device_type != "cpu":  # a row of the product for each row of x
        projected = (rows @ w.T).reshape(K, b, G * H).swapaxes(1, 2)
    else:  # a column for each
        projected = (w @ rows.T).reshape(G * H, K, b).swapaxes(0, 1)
    given = [bias for bias in biases if bias is not None]
    if given:
        xp.add(projected, sum(given[1:], given[0]).reshape(G * H, 1), out=out.reshape(K, G * H, b))
    else:
        out.reshape(K, G * H, b)[...] = projected


def to_rows(run: Run, blocks: Array, rows: Array) -> None:
    """Write the steps (K, H, b) of a run to their rows in (N, H)."""
    rows[run.start : run.stop].reshape(run.K, run.size, rows.shape[1])[...] = blocks.swapaxes(1, 2)


def to_blocks(xp: Any, run: Run, rows: Array) -> Array:
    """The rows of a run in (N, H) as its steps (K, H, b)."""
    features = rows.shape[1]
    blocks, rows = xp.empty((run.K, features, run.size), rows.dtype), rows[run.start : run.stop].reshape(run.K, run.size, features)
    if xp.device_type == "cpu" and features % 512 == 0:  # addresses at such distances compete for a few places of the cache: pad rows
        apart = xp.empty((run.K, run.size, features + 16), rows.dtype)[..., :features]
        apart[...] = rows
        rows = apart
    blocks[...] = rows.swapaxes(1, 2)
    return blocks


def previous(steps: Steps, panel: list[Run], y: Array, h_0: Array | None) -> Array:
    """For each row (W, R) of a panel the state h that entered its step: the output of the step before, or h_0."""
    xp, here = of(y), rows_of(panel)
    before = xp.empty((here.stop - here.start, y.shape[1]), y.dtype)
    for run in panel:
        b, first = run.size, run.start - here.start
        inner = before[first : first + run.K * b]
        inner, outer = (inner[:-b], inner[-b:]) if steps.reverse else (inner[b:], inner[:b])
        inner[...] = y[run.start + b : run.stop] if steps.reverse else y[run.start : run.stop - b]
        outer[: run.known] = y[run.before : run.before + run.known]
        outer[run.known :] = 0 if h_0 is None else h_0[run.known : b]
    return before
