"""Every hand-written kernel once on a GPU, against NumPy in float64: `python gpu_smoke.py < cells.json`. It is run there first.

A line of JSON for each cell: how far output and gradients lie from a float64 layer's with the same weights, whether several
runs give the same bits (where threads race, they do not), seconds of the first step, which holds compiling, and of the
others, and what each kernel compiled takes: registers, bytes that spill out of them, shared memory.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from typing import Any

import numpy as np
from gpu_cells import Cell, lengths
from gpu_worker import UNUSABLE, furthest, usable

import minigrad as mg
import minigrad_nn as nn
from minigrad_nn.kernels.cuda.launch import LAUNCHERS
from minigrad_nn.utils.rnn import PackedSequence, pack_padded_sequence

AGAIN = 5
HOST = 2e9  # multiplications; what takes more is compared with the GPU's own float64, array by array


def step(layer: Any, x: Any, cell: Cell, kernel: str | None) -> list[Any]:
    """The output, the last state and the gradients of input and weights."""
    x = x.detach().requires_grad_()
    layer.zero_grad(set_to_none=True)
    given = pack_padded_sequence(x, lengths(cell, np.random.default_rng(cell.B))) if cell.packed else x
    with nn.path("fused", kernel=kernel):
        output, state = layer(given)
    y = output.data if isinstance(output, PackedSequence) else output
    h_n = state[0] if isinstance(state, tuple) else state
    (y.square().sum() + h_n.sum()).backward()
    return [y.detach(), h_n.detach(), x.grad, *[each.grad for each in layer.parameters()]]


def on_host(results: list[Any]) -> list[np.ndarray[Any, Any]]:
    """Tensors as NumPy arrays; waits."""
    return [each.cpu().numpy() for each in results]


def checked(cell: Cell) -> dict[str, Any]:
    """What is printed of a cell."""
    mg.manual_seed(1)
    mg.set_float32_matmul_precision("high" if cell.tf32 else "highest")
    gates = {"LSTM": 4, "GRU": 3}.get(cell.kind, 1)
    work = cell.T * cell.B * cell.H * gates * cell.H * 3 * cell.layers * cell.directions
    layer = getattr(nn, cell.kind)(3, cell.H, cell.layers, bidirectional=cell.directions == 2)
    x, exact = mg.randn(cell.T, cell.B, 3), getattr(nn, cell.kind)(3, cell.H, cell.layers, bidirectional=cell.directions == 2)
    exact.load_state_dict(layer.state_dict())
    exact = exact.double().to("cpu" if work < HOST else x.device)
    want = on_host(step(exact, x.double().to(next(exact.parameters()).device), cell, "arrays"))
    start = time.perf_counter()
    runs = [on_host(step(layer, x, cell, cell.kernel))]
    first = time.perf_counter() - start
    runs += [on_host(step(layer, x, cell, cell.kernel)) for _ in range(AGAIN)]
    same = all(np.array_equal(one, other) for run in runs for one, other in zip(run, runs[0], strict=True))
    then = (time.perf_counter() - start - first) / AGAIN
    off = max(furthest(run, want) for run in runs)
    return {"off": off, "tf32": cell.tf32, "same": same, "first": first, "then": then, "kernels": compiled()}


_told: set[Any] = set()


def compiled() -> dict[str, list[int]]:
    """Registers, spilled bytes and shared memory of each kernel compiled since this was asked."""
    found = {}
    for kernel, number in list(getattr(LAUNCHERS.get("cuda"), "compiled", ())):
        if (kernel, number) not in _told:
            _told.add((kernel, number))
            raw = LAUNCHERS["cuda"].compiled[kernel, number]  # type: ignore[attr-defined]
            found[f"{kernel.function} {dict(kernel.sizes).get('H', '')}"] = [raw.num_regs, raw.local_size_bytes, kernel.shared_bytes]
    return found


def main() -> int:
    """Check the cells on standard input, each by itself, until the seconds are used up; UNUSABLE if the GPU answers no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    end, where = time.perf_counter() + options.seconds, options.device
    cells = [Cell(**each) for each in json.load(sys.stdin)]
    mg.set_default_device(where)
    for cell in cells:
        if time.perf_counter() > end:
            break
        try:
            found = checked(cell)
        except Exception as problem:  # one that fails shall not hide the others
            found = {"failed": f"{type(problem).__name__}: {problem}".splitlines()[0][:300]}
        print(json.dumps({"cell": cell.name, **found}), flush=True)
        if "failed" in found and not usable(where):
            return UNUSABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
