"""What each move of the kernels is worth: a small LSTM kernel that makes them all, and the same with one of them undone.

It is the kernel of minigrad_nn/kernels/lstm.py without what it needs for packed sequences, initial states and projections.
Every variant is checked to give the kernel's own numbers before it is timed. How large runs and panels should be is
measured on the kernels themselves, which are told other sizes; so are compiled loops, and their products beside NumPy's.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import race
import report
from cells import Job, Library
from standings import minimum

SHAPE = (100, 32, 256, 256)  # T, B, I, H
KERNELS = Path(__file__).resolve().parents[2] / "minigrad_nn" / "kernels"
Results = dict[str, Any]  # y, dx, dw_ih, dw_hh, db


@dataclass(frozen=True)
class Moves:
    """Which moves are made; as given here, all that the kernel makes."""

    input: str = "at once"  # or "per step"; or "stacked", one product with [x; h]
    in_place: bool = True
    sigmoid: str = "one tanh"  # or "four tanh"; or "exp"
    keep_cells: bool = False
    slopes_per_run: bool = True
    weights: str = "panel"  # or "step", or "sequence"


UNDONE = {  # variant: (the moves, what is done instead)
    "move-none": (Moves(), "every move is made"),
    "move-rows": (None, "the batch first: states (B, H), gates (B, 4H), products h @ Wᵀ"),
    "move-input-per-step": (Moves(input="per step"), "a product W_ih x of its own at every step"),
    "move-input-stacked": (Moves(input="stacked"), "one product of [W_ih W_hh] with [x; h] at every step, both ways"),
    "move-fresh": (Moves(in_place=False), "new arrays for gates at every step, in place of overwriting"),
    "move-four-tanh": (Moves(sigmoid="four tanh"), "each gate by a tanh call of its own"),
    "move-exp": (Moves(sigmoid="exp"), "sigmoids by exp, each gate by calls of its own"),
    "move-keep-cells": (Moves(keep_cells=True), "c and tanh(c) are kept for backward instead of being worked out again"),
    "move-slopes-per-step": (Moves(slopes_per_run=False), "slopes at every step of the walk back"),
    "move-weights-per-step": (Moves(weights="step"), "dx, dW_ih, dW_hh and db at every step"),
    "move-weights-per-sequence": (Moves(weights="sequence"), "dx, dW_ih, dW_hh and db once, after the whole walk back"),
}
SIZES = {  # variant: (attribute of the backend, its value, what that means); for the kernels that NumPy computes
    "sizes-usual": ("panel_rows", None, "as they are"),
    "sizes-run-of-one-step": ("run_elements", 1, "every step a run of its own"),
    "sizes-run-of-128K": ("run_elements", 2**17, "runs twice as long"),
    "sizes-run-of-a-panel": ("run_elements", 2**40, "runs as long as panels"),
    "sizes-panel-of-a-run": ("panel_rows", 1, "every step a run and a panel"),
    "sizes-panel-of-256": ("panel_rows", 2**8, "panels of 256 rows"),
    "sizes-panel-of-4096": ("panel_rows", 2**12, "panels of 4 096 rows"),
    "sizes-one-panel": ("panel_rows", 2**40, "the whole sequence one panel"),
}
LOOPS = {  # the same for compiled loops: attributes of cores.py and sequence.py
    "loops-usual": ("FEWEST_ROWS", None, "as they are"),
    "loops-alone": ("FEWEST_ROWS", 2**40, "one core computes the whole batch"),
    "loops-group-of-one-step": ("ROWS_OF_A_GROUP", 1, "every step a group of its own"),
    "loops-group-of-1024": ("ROWS_OF_A_GROUP", 2**10, "groups of 1 024 rows"),
}
PRODUCTS = ((1, 512, 128), (10, 800, 200), (16, 1024, 256), (20, 800, 200), (32, 2048, 512), (64, 256, 64), (700, 800, 200))  # b F K
BY = ("ours", "NumPy")
VARIANTS = (*UNDONE, *(f"{name}-{kind}" for name in SIZES for kind in race.KINDS))
WITH_NUMBA = (
    *(f"{name}-{kind}" for name in LOOPS for kind in race.KINDS),
    *(f"product-{by}-{b}x{F}x{K}" for b, F, K in PRODUCTS for by in BY),
)

# A phrase in the text of a move, and the variants that undo it; a move of which no phrase is known is "not measured".
PHRASES = {
    "input projections": ("move-input-per-step", "move-input-stacked"),
    "overwrite their pre-activations": ("move-fresh",),
    "tanh(½a)": ("move-four-tanh", "move-exp"),
    "kept for backward": ("move-keep-cells",),
    "slope": ("move-slopes-per-step",),
    "products over": ("move-weights-per-step", "move-weights-per-sequence"),
}


def job(name: str, shape: tuple[int, int, int, int] = SHAPE) -> Job:
    """A variant to time, after a look at its numbers."""
    if name.startswith("product-"):
        return _product(name)
    if name.rpartition("-")[0] in (*SIZES, *LOOPS):
        return _sized(name, shape)
    given = drawn(shape)
    compute = _variant(name)
    compare(compute(*given), kernel(*given), name)
    return Job(lambda _: compute(*given), 1)


def _product(name: str) -> Job:
    """out (b, F) += rows (b, K) @ W (F, K)ᵀ: by a tile after the other on one core, W being in order; or by NumPy, on all cores."""
    from minigrad_nn.kernels.compiled.sequence import in_panels

    _, by, sizes = name.split("-")
    b, F, K = map(int, sizes.split("x"))
    rng = np.random.default_rng(0)
    w, rows, out = (rng.standard_normal(shape, np.float32) for shape in ((F, K), (b, K), (b, F)))
    before, times = out.copy(), max(1, 2**24 // (b * F * K))  # often enough for a clock to see it
    panels, add = in_panels(w), _add_often()

    def numpys(_: Any) -> None:
        for _ in range(times):
            np.matmul(rows, w.T, out=out)

    add(out, rows, panels, 1)
    np.testing.assert_allclose(out - before, rows @ w.T, rtol=1e-3, atol=1e-3)
    return Job(numpys if by == "NumPy" else lambda _: add(out, rows, panels, times), times)


@functools.cache
def _add_often() -> Any:
    import numba

    from minigrad_nn.kernels.compiled.tiles import add_product

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
    def add(out: Any, rows: Any, panels: Any, times: int) -> None:
        for _ in range(times):
            add_product(out, rows, panels)

    return add


def _variant(name: str) -> Callable[..., Results]:
    moves = UNDONE[name][0]
    return by_rows if moves is None else functools.partial(by_columns, moves=moves)


def _sized(name: str, shape: tuple[int, ...]) -> Job:
    import minigrad_nn as nn
    from minigrad import backend
    from minigrad_nn.kernels.compiled import cores, sequence

    name, _, kind = name.rpartition("-")
    attribute, value, _ = (SIZES | LOOPS)[name]
    owner: Any = next((each for each in (backend.CPU, cores, sequence) if hasattr(each, attribute)), None)
    if owner is None:
        raise AttributeError(f"nobody has {attribute} any more: bring SIZES in moves.py up to date")
    usual = getattr(owner, attribute)
    once = race.job(Library("minigrad"), race.cell("train", kind, shape))

    def prepare() -> None:  # a process times several variants in turn: each must find its own size, and leave the usual one
        setattr(owner, attribute, usual if value is None else value)

    def work(_: Any) -> None:
        with nn.path("fused", kernel="arrays" if name in SIZES else "compiled"):
            once.work(None)
        setattr(owner, attribute, usual)

    return Job(work, 1, prepare)


def drawn(shape: tuple[int, int, int, int]) -> tuple[Any, ...]:
    """x (T·B, I), w_ih, w_hh, b, dy (T·B, H) and B."""
    (T, B, I, H), rng = shape, np.random.default_rng(0)

    def draw(*sizes: int, scale: float = 1.0) -> Any:
        return (rng.uniform(-scale, scale, sizes)).astype(np.float32)

    scale = H**-0.5
    return draw(T * B, I), draw(4 * H, I, scale=scale), draw(4 * H, H, scale=scale), draw(4 * H, scale=scale), draw(T * B, H), B


def kernel(x: Any, w_ih: Any, w_hh: Any, b: Any, dy: Any, B: int) -> Results:
    """The same by the kernel."""
    from minigrad_nn.kernels import Steps, lstm

    weights, steps = (w_ih, w_hh, b, None, None), Steps([B] * (len(x) // B))
    y, _, _, saved = lstm.forward(x, steps, None, None, weights, keep=True)
    found = lstm.backward(saved, x, y, None, weights, dy, None, None, None, ["x", "w_ih", "w_hh", "b_ih"])
    return {"y": y, "dx": found["x"], "dw_ih": found["w_ih"], "dw_hh": found["w_hh"], "db": found["b_ih"]}


def compare(one: Results, other: Results, name: str) -> None:
    """ValueError where the two differ by more than rounding."""
    for key, value in other.items():
        if not np.allclose(one[key], value, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(value).max()))):
            raise ValueError(f"{name}: {key} differs from the kernel's by up to {np.abs(one[key] - value).max():.3g}")


# ------------------------------------------------------------------------------------------------ the batch last, as in the kernel


def by_columns(x: Any, w_ih: Any, w_hh: Any, b: Any, dy: Any, B: int, moves: Moves) -> Results:
    """A training step with the batch last: y and every gradient."""
    both = np.concatenate([w_ih, w_hh], axis=1) if moves.input == "stacked" else None
    y, kept = _forward(x, w_ih, w_hh, b, B, moves, both)
    return {"y": y, **_backward(x, w_ih, w_hh, dy, B, moves, both, y, kept)}


def _panels(T: int, B: int, H: int) -> Iterator[list[range]]:
    """The steps of each run, panel by panel."""
    panel, run = max(1, 2**10 // B), max(1, 2**15 // (H * B))
    for first in range(0, T, panel):
        last = min(T, first + panel)
        yield [range(start, min(last, start + run)) for start in range(first, last, run)]


def _forward(x: Any, w_ih: Any, w_hh: Any, b: Any, B: int, moves: Moves, both: Any) -> tuple[Any, list[Any]]:
    T, I, H = len(x) // B, x.shape[1], w_hh.shape[1]
    y, all_kept = np.empty((T * B, H), np.float32), []
    h, c, bias = np.zeros((H, B), np.float32), np.zeros((H, B), np.float32), b[:, None]
    recurrent = np.empty((4 * H, B), np.float32)
    for panel in _panels(T, B, H):
        start, stop = panel[0].start * B, panel[-1].stop * B
        projected = w_ih @ x[start:stop].T + bias if moves.input == "at once" else None
        for run in panel:
            kept = np.empty((len(run), 7 if moves.keep_cells else 5, H, B), np.float32)
            outputs = np.empty((len(run), H, B), np.float32)
            for k, t in enumerate(run):
                rows = x[t * B : t * B + B]
                if projected is not None:
                    before = np.matmul(w_hh, h, out=recurrent)
                    before += projected[:, t * B - start : t * B - start + B]
                elif both is not None:
                    stacked = np.empty((I + H, B), np.float32)
                    stacked[:I], stacked[I:] = rows.T, h
                    before = both @ stacked + bias
                else:
                    before = w_ih @ rows.T + bias + w_hh @ h
                gates = kept[k, :4]
                gates[...] = before.reshape(4, H, B)
                h, c = _step(gates, kept[k], c, outputs[k], moves)
            y[run.start * B : run.stop * B].reshape(len(run), B, H)[...] = outputs.swapaxes(1, 2)
            all_kept.append(kept)
    return y, all_kept


def _halves(like: Any) -> tuple[Any, Any]:
    half, shift = np.full_like(like, 0.5), np.full_like(like, 0.5)
    half[2], shift[2] = 1, 0
    return half, shift


@functools.lru_cache
def _usual_halves(shape: tuple[int, ...]) -> tuple[Any, Any]:
    return _halves(np.empty(shape, np.float32))


def _step(gates: Any, kept: Any, c: Any, h: Any, moves: Moves) -> tuple[Any, Any]:
    """Gates (4, H, B) from their pre-activations, then the new states; what backward needs goes to `kept`."""
    half, shift = _usual_halves(gates.shape)
    if moves.sigmoid == "exp":
        for place in (0, 1, 3):
            gates[place] = 1 / (1 + np.exp(-gates[place]))
        np.tanh(gates[2], out=gates[2])
    elif moves.sigmoid == "four tanh":
        for place in (0, 1, 3):
            gates[place] *= 0.5
            np.tanh(gates[place], out=gates[place])
            gates[place] *= 0.5
            gates[place] += 0.5
        np.tanh(gates[2], out=gates[2])
    elif moves.in_place:
        gates *= half
        np.tanh(gates, out=gates)
        gates *= half
        gates += shift
    else:
        gates[...] = np.tanh(gates * half) * half + shift
    i, f, g, o = gates
    np.multiply(f, c, out=kept[4])
    c = kept[4] + i * g
    m = np.tanh(c)
    if moves.keep_cells:
        kept[5], kept[6] = c, m
    np.multiply(o, m, out=h)
    return h, c


def _slopes(kept: Any, moves: Moves) -> tuple[Any, Any]:
    """(K, 4, H, B) and (K, H, B): the slopes of the pre-activations, and of c per unit of dh."""
    i, f, g, o, v = (kept[:, place] for place in range(5))
    slopes = np.empty((len(kept), 4, *kept.shape[2:]), np.float32)
    u = i * g
    slopes[:, 0] = u - u * i
    slopes[:, 1] = v - v * f
    slopes[:, 2] = i - u * g
    m = kept[:, 6] if moves.keep_cells else np.tanh(v + u)
    om = o * m
    slopes[:, 3] = om - om * o
    return slopes, o - om * m


def _backward(x: Any, w_ih: Any, w_hh: Any, dy: Any, B: int, moves: Moves, both: Any, y: Any, kept: list[Any]) -> Results:
    T, I, H = len(x) // B, x.shape[1], w_hh.shape[1]
    before = np.concatenate([np.zeros((B, H), np.float32), y[:-B]])
    found: Results = {"dx": np.empty_like(x), "dw_ih": 0, "dw_hh": 0, "db": 0}
    dh, dc, all_kept = np.zeros((H, B), np.float32), np.zeros((H, B), np.float32), reversed(kept)
    whole = np.empty((4 * H, T * B), np.float32) if moves.weights == "sequence" else None
    for panel in reversed(list(_panels(T, B, H))):
        start, stop = panel[0].start * B, panel[-1].stop * B
        da = np.empty((4 * H, stop - start), np.float32) if whole is None else whole[:, start:stop]
        for run in reversed(panel):
            run_kept = next(all_kept)
            slopes = _slopes(run_kept, moves) if moves.slopes_per_run else None
            dys = dy[run.start * B : run.stop * B].reshape(len(run), B, H).swapaxes(1, 2)
            for k in range(len(run) - 1, -1, -1):
                here = slice((run.start + k) * B, (run.start + k + 1) * B)
                step, through = (each[k] for each in slopes) if slopes else (each[0] for each in _slopes(run_kept[k : k + 1], moves))
                dh += dys[k]
                _retreat(step, through, dh, dc, run_kept[k, 1])
                flat = step.reshape(4 * H, B)
                if both is None:
                    np.matmul(w_hh.T, flat, out=dh)
                else:
                    d_both = both.T @ flat
                    found["dx"][here], dh[...] = d_both[:I].T, d_both[I:]
                if moves.weights == "step":
                    _collect(found, flat, x[here], before[here], w_ih, here, dx=both is None)
                else:
                    da[:, here.start - start : here.stop - start] = flat
        if moves.weights == "panel":
            _collect(found, da, x[start:stop], before[start:stop], w_ih, slice(start, stop), dx=both is None)
    if whole is not None:
        _collect(found, whole, x, before, w_ih, slice(0, T * B), dx=both is None)
    return found


def _retreat(step: Any, through: Any, dh: Any, dc: Any, f: Any) -> None:
    """Slopes of a step into gradients of its pre-activations, and dc one step back, in place."""
    step[3] *= dh
    through *= dh
    dc += through
    step[:3] *= dc
    dc *= f


def _collect(found: Results, da: Any, x: Any, h: Any, w_ih: Any, here: slice, dx: bool) -> None:
    """Add what some steps contribute to dW_ih, dW_hh and db, and write their dx."""
    if dx:
        np.matmul(da.T, w_ih, out=found["dx"][here])
    found["dw_ih"] = found["dw_ih"] + da @ x
    found["dw_hh"] = found["dw_hh"] + da @ h
    found["db"] = found["db"] + da.sum(axis=1)


# ------------------------------------------------------------------------------------------------------------ the batch first


def by_rows(x: Any, w_ih: Any, w_hh: Any, b: Any, dy: Any, B: int) -> Results:
    """The same moves with the batch first: a state is (B, H), and the gates (B, 4H) are slices of rows."""
    T, H = len(x) // B, w_hh.shape[1]
    y, gates, cells = np.empty((T, B, H), np.float32), np.empty((T, B, 4 * H), np.float32), np.zeros((T + 1, B, H), np.float32)
    h, half, shift = np.zeros((B, H), np.float32), np.full((B, 4 * H), 0.5, np.float32), np.full((B, 4 * H), 0.5, np.float32)
    half[:, 2 * H : 3 * H], shift[:, 2 * H : 3 * H] = 1, 0
    for first in range(0, T, max(1, 2**10 // B)):
        last = min(T, first + max(1, 2**10 // B))
        gates[first:last] = (x[first * B : last * B] @ w_ih.T + b).reshape(last - first, B, 4 * H)
        for t in range(first, last):
            a = gates[t]
            a += h @ w_hh.T
            a *= half
            np.tanh(a, out=a)
            a *= half
            a += shift
            i, f, g, o = (a[:, k * H : k * H + H] for k in range(4))
            np.multiply(f, cells[t], out=cells[t + 1])
            cells[t + 1] += i * g
            h = np.multiply(o, np.tanh(cells[t + 1]), out=y[t])
    rows = y.reshape(T * B, H)
    return {"y": rows, **_backward_by_rows(x, w_ih, w_hh, dy.reshape(T, B, H), rows, gates, cells)}


def _backward_by_rows(x: Any, w_ih: Any, w_hh: Any, dy: Any, y: Any, gates: Any, cells: Any) -> Results:
    T, B, H = dy.shape
    before = np.concatenate([np.zeros((B, H), np.float32), y[:-B]])
    found: Results = {"dx": np.empty_like(x), "dw_ih": 0, "dw_hh": 0, "db": 0}
    dh, dc, panel = np.zeros((B, H), np.float32), np.zeros((B, H), np.float32), max(1, 2**10 // B)
    for first in reversed(range(0, T, panel)):
        last = min(T, first + panel)
        slopes, through = _slopes_by_rows(gates[first:last], cells[first : last + 1])
        for t in range(last - 1, first - 1, -1):
            da = slopes[t - first]
            dh += dy[t]
            da[:, 3 * H :] *= dh
            dc += through[t - first] * dh
            for k in range(3):
                da[:, k * H : k * H + H] *= dc
            dc *= gates[t, :, H : 2 * H]
            np.matmul(da, w_hh, out=dh)
        here = slice(first * B, last * B)
        _collect(found, slopes.reshape(-1, 4 * H).T, x[here], before[here], w_ih, here, dx=True)
    return found


def _slopes_by_rows(gates: Any, cells: Any) -> tuple[Any, Any]:
    H = cells.shape[2]
    i, f, g, o = (gates[:, :, k * H : k * H + H] for k in range(4))
    slopes, m, u = np.empty_like(gates), np.tanh(cells[1:]), i * g
    slopes[:, :, :H] = u - u * i
    slopes[:, :, H : 2 * H] = cells[:-1] * (f - f * f)
    slopes[:, :, 2 * H : 3 * H] = i - u * g
    om = o * m
    slopes[:, :, 3 * H :] = om - om * o
    return slopes, o - om * m


# ------------------------------------------------------------------------------------------------------------------ the page


PROSE = """\
## What the kernels' moves are worth

How to read this: a small LSTM kernel makes every move below, and is run again with one of them undone, on (T, B, I, H) = {shape}.
Its worth is the time with it undone over the time with all of them: at 1.10 the move saves a tenth, below 1.00 it costs.
The moves do the same work in the three kernels; they are measured on the LSTM's.

- **The batch last.** A product W @ h of matrices (4H, H) and (H, B) suits the library of products better than h @ Wᵀ, and every gate is
  one block of memory, so that work on it is one loop instead of one per row.
- **Many steps in one product.** Only W_hh h must wait for the step before. Small products leave the processor waiting for memory, because
  each weight that is fetched is used for B columns only; put W_ih x of thirty steps side by side, and it is used for thirty times as
  many. It is the same with dx, dW_ih, dW_hh and db on the way back. One product with [x; h] in place of two looks like less work, but
  it makes the input's part wait for every step again: its line below says what that is worth.
- **In place.** A new array is memory that is not in the cache yet. Gates overwrite their pre-activations while these are still there.
- **One call for all gates.** Every call of NumPy costs about a microsecond before it computes anything. A sigmoid is a tanh, stretched:
  so one call does four gates.
- **Keep little, compute again.** What is kept is written now and read much later, from slow memory, and a tanh in the cache can be
  cheaper than that.
- **Out of the loop.** What does not depend on the step after it, such as slopes, is computed for a run of steps at once: few calls,
  on arrays that still fit the cache. Panels are larger than runs, because products want width more than they want the cache.

The kernels in `minigrad_nn/kernels/compiled/` make other moves, because in compiled loops other things are expensive:

- **Weights in order, once.** A library of products copies both matrices into the order its instructions want before it multiplies, for
  20 rows that takes as long as multiplying. The weights are the same at every step: they are brought into that order once per sequence.
  The last table has what that is worth: it shows ours on one core beside NumPy on all of them.
- **One pass.** All of a step between two products is one loop over its numbers, which are read and written once.
- **Rows as they come.** With weights in order the batch need not stand last: rows come in, go through and leave without being turned,
  and a packed sequence is nothing special: a step has as many rows as it has.
- **A share for each core.** Rows of a batch have nothing to do with each other, so each core goes through the whole sequence with rows
  of its own, and nobody waits for anybody before the end.

"""


def listed() -> list[tuple[str, str, str]]:
    """(kernel, letter, text) of every move that the kernels' docstrings list."""
    found = []
    for name in ("rnn", "lstm", "gru"):
        head = (KERNELS / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
        for letter, text in re.findall(r"^    \((\w)\)  ?(\D.*(?:\n {8}.*)*)", head, re.MULTILINE):
            if letter.isalpha():
                found.append((name, letter, " ".join(text.split())))
    return found


def variants_of(text: str) -> tuple[str, ...]:
    """The variants in which a move with this text is undone."""
    return next((variants for phrase, variants in PHRASES.items() if phrase in text), ())


def table(values: Mapping[tuple[str, str], Sequence[float]]) -> str:
    """The worth of each move, and the sizes of runs and panels; empty where they were not measured."""
    base = minimum(values, "move-none", "moves")
    cited = {variant: _cited(variant) for variant in UNDONE}
    lines = [
        [what, cited[name], report.milli(seconds), report.times(seconds / base)]
        for name, (_, what) in UNDONE.items() if base and (seconds := minimum(values, name, "moves")) is not None
    ]  # fmt: skip
    tables = [report.grid(("instead", "letters", "time", "worth"), lines)] if lines else []
    tables += [each for each in (_over_usual(values, SIZES, "sizes-usual"), _over_usual(values, LOOPS, "loops-usual")) if each]
    products = []
    for b, F, K in PRODUCTS:
        found = [minimum(values, f"product-{by}-{b}x{F}x{K}", "moves") for by in BY]
        if all(found):
            products.append([f"{b} × {F} × {K}", *(f"{2e-9 * b * F * K / each:.0f}" for each in found if each)])
    head = ("a product, b × F × K, in 10⁹ operations per second", "in tiles, one core", "NumPy, all cores")
    return "\n\n".join([*tables, report.grid(head, products)] if products else tables)


def _over_usual(values: Mapping[tuple[str, str], Sequence[float]], sizes: Mapping[str, tuple[str, Any, str]], usual: str) -> str:
    """Times with other sizes over those with the usual ones; empty where they were not measured."""
    lines = []
    for name, (_, _, what) in sizes.items():
        found = [(minimum(values, f"{name}-{kind}", "moves"), minimum(values, f"{usual}-{kind}", "moves")) for kind in race.KINDS]
        if any(each for each, _ in found):
            lines.append([what, *(report.times(each / base if each and base else None) for each, base in found)])
    title = "time over the usual, by NumPy" if sizes is SIZES else "time over the usual, in compiled loops"
    return report.grid((title, *race.KINDS), lines) if lines else ""


def _cited(variant: str) -> str:
    """Where the kernels' docstrings list the move that this variant undoes."""
    return ", ".join(f"{name} ({letter})" for name, letter, text in listed() if variant in variants_of(text))


def section(values: Mapping[tuple[str, str], Sequence[float]]) -> str:
    """The tables, with what the kernels list and how the moves work."""
    found = table(values)
    said = [f"- {name} ({letter}): {text}" + ("" if variants_of(text) else " *(not measured)*") for name, letter, text in listed()]
    prose = PROSE.format(shape=SHAPE).partition("\n\n")[2]
    return f"{prose.rstrip()}\n\n{found}\n\nThe moves as the kernels list them:\n\n" + "\n".join(said) if found else ""
