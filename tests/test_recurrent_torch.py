"""RNN, LSTM and GRU against PyTorch: random configurations, both paths, every gradient by value, and gradients of gradients.

A new seed each run; MINIGRAD_SEED repeats one, MINIGRAD_CASES sets how many configurations are drawn: 1 200 by default, fewer
on other devices than the CPU.
"""

import os
import random
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
from compare import host, several

import minigrad as mg
import minigrad_nn as nn

torch = pytest.importorskip("torch")

SEED = int(os.environ.get("MINIGRAD_SEED", 0)) or random.SystemRandom().randrange(1, 10**6)
CASES = int(os.environ.get("MINIGRAD_CASES") or several(1200))
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


class Case(NamedTuple):
    """One configuration: what to build, what to feed it, and which outputs the loss looks at."""

    seed: int
    kind: str
    path: str
    options: dict[str, Any]
    sizes: tuple[int, int]  # I, H
    steps: int
    batch: int | None
    lengths: list[int] | None
    enforce_sorted: bool
    states: bool
    subset: int
    dtype: str
    checkpoint: bool | int


def draw(seed: int) -> Case:
    """The configuration that belongs to a seed; I, H, B, T differ pairwise where they can, so that no axis passes for another."""
    rng = random.Random(seed)
    kind = rng.choice(["RNN", "LSTM", "GRU"])
    inputs, hidden = rng.sample([1, 2, 3, 4, 5, 6, 7], 2)
    layers = rng.choice([1, 1, 2, 3])
    options = {
        "num_layers": layers, "bias": rng.random() < 0.7, "batch_first": rng.random() < 0.5, "bidirectional": rng.random() < 0.5,
    }  # fmt: skip
    if kind == "LSTM" and hidden > 1 and rng.random() < 0.4:
        options["proj_size"] = rng.randint(1, hidden - 1)
    if kind == "RNN":
        options["nonlinearity"] = rng.choice(["tanh", "relu"])
    mode = rng.choice(["batched", "batched", "unbatched", "packed", "packed"])
    steps = rng.randint(1, 9)
    batch = None if mode == "unbatched" else rng.choice([1, 2, 3, 5]) if mode == "packed" else rng.choice([0, 1, 2, 4])
    lengths = [rng.randint(1, steps) for _ in range(batch or 0)] if mode == "packed" else None
    enforce_sorted = rng.random() < 0.5
    if lengths and enforce_sorted:
        lengths.sort(reverse=True)
    return Case(
        seed, kind, rng.choice(["fused", "fused", "stepwise"]), options, (inputs, hidden), steps, batch, lengths, enforce_sorted,
        rng.random() < 0.6, rng.randint(1, 7 if kind == "LSTM" else 3), rng.choice(["float32", "float64"]),
        rng.choice([False, False, False, True, 2]),
    )  # fmt: skip


def numbers(case: Case) -> list[np.ndarray]:
    """Input and states as float64."""
    rng = np.random.default_rng(case.seed)
    batch = () if case.batch is None else (case.batch,)
    first = case.options["batch_first"] and case.batch is not None
    x = rng.standard_normal((*batch, case.steps, case.sizes[0]) if first else (case.steps, *batch, case.sizes[0]))
    rows = case.options["num_layers"] * (1 + case.options["bidirectional"])
    shown = case.options.get("proj_size") or case.sizes[1]
    return [x, rng.standard_normal((rows, *batch, shown)), rng.standard_normal((rows, *batch, case.sizes[1]))]


def run(lib: Any, module: Any, case: Case) -> tuple[list[Any], list[Any]]:
    """(outputs as one flat list, leaves) of a module of either library."""
    dtype = getattr(lib, case.dtype)
    leaves = [lib.tensor(each, dtype=dtype, requires_grad=True) for each in numbers(case)]
    x, h, c = leaves
    if case.lengths is not None:
        x = lib.nn.utils.rnn.pack_padded_sequence(
            x, lib.tensor(case.lengths), batch_first=case.options["batch_first"], enforce_sorted=case.enforce_sorted
        )
    states = (h, c) if case.kind == "LSTM" else h
    output, last = module(x, states) if case.states else module(x)
    if case.lengths is not None:
        output, _ = lib.nn.utils.rnn.pad_packed_sequence(output, batch_first=case.options["batch_first"])
    outputs = [output, *(last if case.kind == "LSTM" else [last])]
    used = leaves[: 1 + case.states * (1 + (case.kind == "LSTM"))]
    return outputs, [*used, *module.parameters()]


def losses(lib: Any, outputs: list[Any], subset: int) -> Any:
    return sum((each * each * (0.5 + 0.25 * each)).sum() for bit, each in enumerate(outputs) if subset >> bit & 1)


def modules(case: Case) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(case.seed)
        theirs = getattr(torch.nn, case.kind)(*case.sizes, **case.options, dtype=getattr(torch, case.dtype))
    ours = getattr(nn, case.kind)(*case.sizes, **case.options, dtype=getattr(mg, case.dtype), path=case.path, checkpoint=case.checkpoint)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def values(tensors: list[Any]) -> list[Any]:
    return [None if each is None else host(each) for each in tensors]


def agree(ours: list[Any], theirs: list[Any], tolerance: float, case: Case) -> None:
    assert len(ours) == len(theirs)
    for number, (mine, other) in enumerate(zip(ours, theirs)):
        if mine is None or other is None:
            present = other if mine is None else mine
            assert present is None or not present.any(), (case, number)
            continue
        assert mine.shape == other.shape and mine.dtype == other.dtype, (case, number, mine.shape, other.shape)
        away = np.abs(mine - other).max(initial=0) / max(1, np.abs(other).max(initial=0))
        assert away <= tolerance, (case, number, away)


def test_random_configurations_agree_in_every_output_and_gradient():
    print(f"MINIGRAD_SEED={SEED}")
    for seed in range(SEED * 10_000, SEED * 10_000 + CASES):
        case = draw(seed)
        results = []
        for lib, module in zip((torch, mg), modules(case)):
            outputs, leaves = run(lib, module, case)
            gradients = lib.autograd.grad(losses(lib, outputs, case.subset), leaves, allow_unused=True)
            results.append(values([*outputs, *gradients]))
        agree(results[1], results[0], TOLERANCE[case.dtype], case)


def test_gradients_of_gradients_agree():
    print(f"MINIGRAD_SEED={SEED}")
    for seed in range(SEED * 10_000, SEED * 10_000 + max(CASES // 4, 1)):
        case = draw(seed)._replace(dtype="float64", steps=min(draw(seed).steps, 4))
        case = case._replace(lengths=None if case.lengths is None else [min(each, 4) for each in case.lengths])
        results = []
        for lib, module in zip((torch, mg), modules(case)):
            outputs, leaves = run(lib, module, case)
            first = lib.autograd.grad(losses(lib, outputs, case.subset), leaves, create_graph=True, allow_unused=True)
            penalty = sum((each * each).sum() for each in first if each is not None and each.requires_grad)
            second = lib.autograd.grad(penalty, leaves, allow_unused=True) if not isinstance(penalty, int) else [None] * len(leaves)
            results.append(values([*first, *second]))
        agree(results[1], results[0], 1e-9, case)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_dropout_masks_are_the_same_on_both_paths(kind):
    layer = getattr(nn, kind)(3, 4, num_layers=3, dropout=0.5, bidirectional=True)
    x, results = mg.randn(6, 2, 3), []
    for name in ("fused", "stepwise"):
        mg.manual_seed(5)
        with nn.path(name):
            output = layer(x)[0]
        results.append(host(output))
    assert np.allclose(*results, atol=1e-6)
