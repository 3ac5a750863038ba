"""Measures cells on a GPU, ours and PyTorch's in one process: `python gpu_worker.py --seconds 100 < cells.json`.

A line of JSON for each cell, as soon as it is measured: seconds of each step by CUDA events, which kernel computed it, how
far outputs and gradients lie from PyTorch's with the same weights. All cells of a process have one precision: CUPY_TF32
in the environment, which CuPy reads once, and PyTorch is told the same.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from gpu_cells import Cell, lengths

import minigrad as mg
import minigrad_nn as nn
from minigrad import backend
from minigrad_nn.kernels.choose import DESIGNS, choose
from minigrad_nn.utils import rnn

UNUSABLE = 3  # with which a process ends that the GPU answers no more
TF32 = backend.takes_tf32()  # as the environment says
WARM, LEAST, MOST, SECONDS = 3, 5, 60, 0.4  # steps before the first is timed, how many are, and for how long they go on


class Timed:
    """A layer of one library, ready to be stepped."""

    def __init__(self, nn: Any, rnn: Any, random: Callable[..., Any], cell: Cell) -> None:
        """`random(*shape)` draws a leaf."""
        self.layer = getattr(nn, cell.kind)(cell.H, cell.H, cell.layers, bidirectional=cell.directions == 2)
        x = random(cell.T, cell.B, cell.H)
        self.packed = None
        if cell.packed:
            self.packed = rnn.pack_padded_sequence(x, lengths(cell, np.random.default_rng(cell.B)))
            x = self.packed.data.detach()
        self.x = x.requires_grad_()
        self.given = self.x if self.packed is None else rnn.PackedSequence(self.x, *self.packed[1:])
        self.dy = random(*x.shape[:-1], cell.H * cell.directions)

    def step(self) -> Any:
        """Forward, and backward; the output."""
        self.x.grad = None
        self.layer.zero_grad(set_to_none=True)
        output = self.layer(self.given)[0]
        y = output if self.packed is None else output.data
        y.backward(self.dy)
        return y

    def results(self) -> list[Any]:
        """The output, the gradient of the input, and those of the weights, after a step."""
        return [self.step().detach(), self.x.grad, *[each.grad for each in self.layer.parameters()]]


def measured(step: Callable[[], Any], event: Callable[[], Any], elapsed: Callable[[Any, Any], float]) -> list[float]:
    """Seconds of each of several steps, between two events on the stream; `event` records one, `elapsed` waits for both."""
    for _ in range(WARM):
        step()
    elapsed(event(), event())
    taken: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(taken) < LEAST or (len(taken) < MOST and time.perf_counter() < end):
        marks = [event()]
        for _ in range(LEAST):
            step()
            marks.append(event())
        taken += [elapsed(one, other) for one, other in itertools.pairwise(marks)]
    return taken


def furthest(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest difference of any two results, over the size of the largest number in it."""
    return max(float(np.abs(one - other).max() / max(1e-6, np.abs(other).max())) for one, other in zip(ours, theirs, strict=True))


def opponent() -> Any | None:
    """PyTorch on the GPU, at the precision of this process; None where it is not there or cannot use the GPU."""
    if importlib.util.find_spec("torch") is None:
        return None
    torch: Any = importlib.import_module("torch")
    if not torch.cuda.is_available():
        return None
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = TF32
    torch.set_default_device("cuda")
    return torch


class Bench:
    """Both libraries on the GPU; `torch` may be None."""

    def __init__(self, cupy: Any, torch: Any | None) -> None:
        self.cupy, self.torch = cupy, torch

    def event(self) -> Any:
        """An event on the stream both libraries use, recorded."""
        event = self.cupy.cuda.Event()
        event.record()
        return event

    def elapsed(self, one: Any, other: Any) -> float:
        """Seconds between two events."""
        other.synchronize()
        return self.cupy.cuda.get_elapsed_time(one, other) / 1e3

    def run(self, cell: Cell) -> dict[str, Any]:
        """What is printed of a cell."""
        ours = Timed(nn, rnn, mg.randn, cell)
        found: dict[str, Any] = {"kernel": cell.path if cell.path == "stepwise" else self.served(cell)}
        theirs = self.opponent(cell, ours) if self.torch is not None and cell.compared else None
        with nn.path(cell.path, kernel=cell.kernel):
            if theirs is not None:
                found["off"] = self.apart(ours, theirs)
            found["ours"] = measured(ours.step, self.event, self.elapsed)
        if theirs is not None:
            found["theirs"] = measured(theirs.step, self.event, self.elapsed)
        del ours, theirs
        self.cupy.get_default_memory_pool().free_all_blocks()
        return found

    def opponent(self, cell: Cell, ours: Timed) -> Timed:
        """PyTorch's layer on the same input with our weights: a copy from one part of the GPU's memory to another."""
        torch = self.torch
        theirs = Timed(torch.nn, torch.nn.utils.rnn, torch.randn, cell)
        pairs = [(theirs.x, ours.x), (theirs.dy, ours.dy), *zip(theirs.layer.parameters(), ours.layer.parameters(), strict=True)]
        with torch.no_grad():
            for one, other in pairs:
                one.copy_(torch.from_dlpack(other.detach().array))
        return theirs

    def apart(self, ours: Timed, theirs: Timed) -> float:
        """How far our results lie from PyTorch's."""
        return furthest(
            [self.cupy.asnumpy(each.array) for each in ours.results()], [each.detach().cpu().numpy() for each in theirs.results()]
        )

    def served(self, cell: Cell) -> str:
        """Which kernel computes it."""
        kind, options = cell.kind.lower(), {"RNN": {"activation": "tanh"}, "GRU": {"reset_after": True}}.get(cell.kind, {})
        xp = backend.on(backend.current_device())
        layer = (kind, cell.H, np.dtype("float32"), xp)
        chosen = choose(*layer, cell.kernel, cell.B, projection=False, **options)
        served = (name for name, design in DESIGNS.items() if getattr(design, kind) is chosen and design.serves(*layer, **options))
        return next(served, "arrays")


def usable(where: str = "cuda") -> bool:
    """Whether the GPU still answers this process: after some errors of its own it never does."""
    try:
        return float(mg.ones(3, device=where).sum()) == 3.0
    except Exception:
        return False


def main() -> int:
    """Measure the cells on standard input until the seconds are used up; UNUSABLE if the GPU answers no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, required=True)
    end = time.perf_counter() + parser.parse_args().seconds
    cells = [Cell(**each) for each in json.load(sys.stdin)]
    mg.set_default_device("cuda")
    bench = Bench(importlib.import_module("cupy"), opponent())
    for cell in cells:
        if time.perf_counter() > end:
            break
        try:
            found = bench.run(cell)
        except Exception as problem:  # one cell that fails shall not hide the others; the page names it
            found = {"failed": f"{type(problem).__name__}: {problem}".splitlines()[0][:300]}
        for name in ("ours", "theirs"):
            if name in found:
                found[name] = [statistics.median(found[name]), min(found[name]), len(found[name])]
        print(json.dumps({"cell": cell.name, **found}), flush=True)
        if "failed" in found and not usable():
            return UNUSABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
