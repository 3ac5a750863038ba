"""The CUDA kernels and their drivers, run thread by thread on a processor (see emulator/), against the NumPy kernels in float64.

What this cannot show is a GPU: how fast they are, and what happens in memory that blocks share.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import strict
from compare import host
from emulator import Emulator, functions_of, is_there, library

import minigrad
import minigrad_nn as nn
from minigrad import backend
from minigrad_nn import kernels
from minigrad_nn.kernels import Steps, cuda, device
from minigrad_nn.kernels.choose import choose
from minigrad_nn.kernels.cuda import beside, launch, spread, steps

pytestmark = pytest.mark.host_only("emulates on the CPU")
needs_compiler = pytest.mark.skipif(not is_there(), reason="emulating needs g++")
SOURCES = sorted(path.name for path in launch.HERE.glob("*.cu"))
LARGEST = {"tanh": cuda.rnn.MOST, "lstm": cuda.lstm.MOST, "gru": cuda.gru.MOST}
SPREAD = [("lstm", 1), ("gru", 2), ("tanh", 3), ("lstm", 12), ("gru", 12), ("tanh", 36)]  # vectors fetched by four, too
SIZES = {"lstm": (1, 5, 12, 33), "gru": (1, 6, 12, 33), "tanh": (1, 5, 35), "relu": (2, 12), "sigmoid": (7,)}
TOLERANCE = 2e-5


@pytest.fixture(autouse=True)
def _streams_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without a second stream, of which NumPy knows nothing."""
    monkeypatch.setattr(beside, "_seconds", {})


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """CUDA on the CPU, where new arrays are NaN until somebody writes to them."""
    emulator = Emulator()
    monkeypatch.setitem(launch.LAUNCHERS, "cpu", emulator)
    monkeypatch.setattr(backend.CPU, "empty", poisoned)
    yield emulator


def poisoned(shape: Any, dtype: Any = float) -> Any:
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else -(2**30), dtype)


class Case(NamedTuple):
    """One layer in one direction over one batch."""

    seed: int
    kind: str  # lstm, gru, or the activation of an RNN
    steps: Steps
    inputs: dict[str, Any]  # those left out are None
    given: dict[str, Any]  # gradients of y, h_n, c_n, cells; those left out are None
    wanted: tuple[str, ...]

    @property
    def family(self) -> str:
        return self.kind if self.kind in ("lstm", "gru") else "rnn"


def sizes_of_steps(rng: np.random.Generator) -> list[int]:
    T, B = int(rng.choice([1, 2, 3, 6])), int(rng.choice([0, 1, 2, 3, 4], p=[0.05, 0.2, 0.25, 0.25, 0.25]))
    if B == 0 or rng.random() < 0.3:
        return [B] * T
    lengths = rng.integers(1, T + 1, B)
    return [int((lengths > t).sum()) for t in range(lengths.max())]


def case(seed: int, kind: str, H: int, sizes: list[int] | None = None, everything: bool = False) -> Case:
    """A random case; with `everything`, nothing is left out."""
    rng = np.random.default_rng(seed)
    sequence = Steps(sizes or sizes_of_steps(rng), bool(rng.random() < 0.5))
    entering, G, B, N = int(rng.integers(1, 5)), {"lstm": 4, "gru": 3}.get(kind, 1), sequence.B, sequence.N
    shapes: dict[str, tuple[int, ...]] = {"x": (N, entering), "w_ih": (G * H, entering), "w_hh": (G * H, H)}
    optional = {"h_0": (B, H), "b_ih": (G * H,), "b_hh": (G * H,)} | ({"c_0": (B, H)} if kind == "lstm" else {})
    shapes |= {name: shape for name, shape in optional.items() if everything or rng.random() < 0.7}
    results = {"y": (N, H), "h_n": (B, H)} | ({"c_n": (B, H), "cells": (N, H)} if kind == "lstm" else {})
    scale = {"x": 1.0, "w_hh": 1.0 / np.sqrt(H)}
    inputs = {name: rng.normal(0, scale.get(name, 0.7), shape).astype(np.float32) for name, shape in shapes.items()}
    given = {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in results.items() if everything or rng.random() < 0.6}
    wanted = tuple(name for name in shapes if everything or rng.random() < 0.7)
    return Case(seed, kind, sequence, inputs, given, wanted)


def compute(c: Case, family: Any, dtype: Any = np.float32, keep: bool = True) -> dict[str, Any]:
    """Results and gradients of a case from the kernels of a package, `kernels` or `cuda`; a gradient is named with a d."""
    kernel = getattr(family, c.family)
    get = lambda name: c.inputs[name].astype(dtype, copy=False) if name in c.inputs else None
    d = lambda name: c.given[name].astype(dtype, copy=False) if name in c.given else None
    weights = tuple(get(name) for name in ("w_ih", "w_hh", "b_ih", "b_hh"))
    x, h_0 = get("x"), get("h_0")
    if c.family == "lstm":
        y, h_n, c_n, saved = kernel.forward(x, c.steps, h_0, get("c_0"), (*weights, None), keep)
        found = {"y": y, "h_n": h_n, "c_n": c_n}
        if keep:
            found |= saved.gates() | {"cells": saved.cells()}
            gradients = kernel.backward(saved, x, y, h_0, (*weights, None), d("y"), d("h_n"), d("c_n"), d("cells"), c.wanted)
    else:
        options = {"activation": c.kind} if c.family == "rnn" else {}
        y, h_n, saved = kernel.forward(x, c.steps, h_0, weights, keep=keep, **options)
        found = {"y": y, "h_n": h_n}
        if keep:
            found |= saved.gates() if c.family == "gru" else {}
            gradients = kernel.backward(saved, x, y, h_0, weights, d("y"), d("h_n"), c.wanted)
    return found | ({f"d{name}": value for name, value in gradients.items()} if keep else {})


def reference(c: Case) -> dict[str, Any]:
    with backend.CPU.library.errstate(all="ignore"):
        return compute(c, kernels, np.float64)


def wrong(got: dict[str, Any], want: dict[str, Any], tolerance: float = TOLERANCE) -> list[str]:
    """What is not as it should be."""
    assert got.keys() == want.keys()
    found = []
    for name, value in want.items():
        assert got[name].shape == value.shape and got[name].dtype == np.float32, (name, got[name].shape, got[name].dtype)
        error = np.abs(got[name] - value).max() / max(1.0, np.abs(value).max()) if value.size else 0.0
        if not error < tolerance:  # NaN too
            found.append(f"{name} is off by {error:.1e}")
    return found


# --------------------------------------------------------------------------------------------------------- the numbers


@needs_compiler
@pytest.mark.parametrize(("kind", "H"), [(kind, H) for kind, sizes in SIZES.items() for H in sizes])
def test_values_and_gradients(kind: str, H: int, emulator: Emulator) -> None:
    for seed in range(25):
        c = case(seed, kind, H)
        before = {name: value.copy() for name, value in (c.inputs | c.given).items()}
        assert wrong(compute(c, cuda), reference(c)) == [], c
        assert all(np.array_equal(before[name], value) for name, value in (c.inputs | c.given).items()), seed


def spread_over(blocks: int, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every layer use the kernels for large ones, on a device of so many multiprocessors, with few warps and tiles of two rows."""
    emulator.blocks_at_once = blocks
    monkeypatch.setattr(spread, "TILE", 2)
    monkeypatch.setattr(spread, "WARPS", 6)
    for module in (cuda.rnn, cuda.lstm, cuda.gru):
        monkeypatch.setattr(module, "MOST", 0)
        module.spread_out.cache_clear()


@needs_compiler
@pytest.mark.parametrize(("kind", "H"), [(kind, sizes[-1]) for kind, sizes in SIZES.items()] + SPREAD)
def test_spread_over_blocks(kind: str, H: int, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crews of one block or several, of which there are fewer than rows or more."""
    spread_over(6, emulator, monkeypatch)
    for seed in range(8):
        c = case(seed, kind, H)
        assert wrong(compute(c, cuda), reference(c)) == [], c
    assert {each for each in emulator.launched if "forward" in each} == {f"{c.family}_spread_forward"}


@needs_compiler
@pytest.mark.parametrize(("kind", "H"), [("lstm", 5), ("gru", 8), ("tanh", 7)])
@pytest.mark.parametrize("crews", [1, 3])
def test_many_rows(kind: str, H: int, crews: int, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warp works on eight rows at a time; a tile of eleven takes two goes, the second of three rows."""
    spread_over(crews, emulator, monkeypatch)
    monkeypatch.setattr(spread, "WARPS", 12)
    monkeypatch.setattr(spread, "TILE", 11)
    monkeypatch.setattr(spread, "_whole", lambda tile, tf32: tile)
    for seed, sizes in enumerate(([25, 25, 9], [37, 36, 13, 2, 1], [11])):
        c = case(seed, kind, H, sizes, everything=True)
        assert wrong(compute(c, cuda), reference(c)) == [], c


@pytest.fixture
def tf32() -> Iterator[None]:
    """Products in TF32."""
    minigrad.set_float32_matmul_precision("high")
    yield
    minigrad.set_float32_matmul_precision("highest")


@needs_compiler
@pytest.mark.parametrize(("kind", "H"), [("lstm", 5), ("lstm", 33), ("gru", 8), ("gru", 17), ("tanh", 7), ("tanh", 40), ("sigmoid", 70)])
def test_on_tensor_cores(kind: str, H: int, tf32: None, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fragments of 16 rows, in tiles of 16 and 32; products as exact as three digits, and at the first step exact."""
    spread_over(4, emulator, monkeypatch)
    monkeypatch.setattr(spread, "WARPS", 8)
    monkeypatch.setattr(spread, "TILE", 33)
    for seed, sizes in enumerate(([3, 2], [37, 36, 13, 2, 1], [1], [70, 9])):
        c = case(seed, kind, H, sizes, everything=True)
        assert wrong(compute(c, cuda), reference(c), 3e-3) == [], c
    rounded = {name: np.round(value * 64) / 64 for name, value in case(9, kind, H, [40], everything=True).inputs.items()}
    c = case(9, kind, H, [40], everything=True)._replace(inputs=rounded)
    got, want = compute(c, cuda, keep=False), compute(c, kernels, np.float64, keep=False)
    assert wrong(got, want) == []
    assert all(dict(each.sizes)["TF32"] for each in getattr(cuda, c.family).kernels(backend.CPU, H))


@needs_compiler
@pytest.mark.parametrize(("kind", "H"), [("lstm", 129), ("gru", 161), ("tanh", 257), ("lstm", 128), ("gru", 128), ("tanh", 128)])
def test_spread_over_a_whole_device(kind: str, H: int, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """More columns than a warp takes at once, and just as many."""
    emulator.blocks_at_once = 132
    monkeypatch.setattr(getattr(cuda, "rnn" if kind == "tanh" else kind), "MOST", 127)
    getattr(cuda, "rnn" if kind == "tanh" else kind).spread_out.cache_clear()
    c = case(1, kind, H, [3, 1], everything=True)
    assert wrong(compute(c, cuda), reference(c)) == [], c


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_tiles_fit_and_are_worked_on_eight_rows_at_a_time(kind: str) -> None:
    for H in range(129, 1025, 5):
        for kernel in getattr(cuda, kind).spread_out(H, spread.Room(132)):
            tile = dict(kernel.sizes)["TILE"]
            width, units = -(-H // 128) * 128, 0 if "forward" in kernel.function else 4 * dict(kernel.sizes)["TEAMS"]
            gates = {"lstm": 4, "gru": 3, "rnn": 1}[kind] if units else 1
            assert kernel.shared_bytes == tile * 4 * gates * (width + units), (H, kernel)
            assert tile % 8 == 0 and 8 <= tile <= spread.TILE and kernel.shared_bytes <= spread.SHARED, (H, kernel)
            assert kernel.threads <= 32 * spread.WARPS and kernel.blocks * kernel.crews <= max(132, kernel.blocks), (H, kernel)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_tiles_for_tensor_cores_fit_and_are_worked_on_sixteen_rows_at_a_time(kind: str) -> None:
    for H in range(129, 641, 5):
        for kernel in getattr(cuda, kind).spread_out(H, spread.Room(132, tf32=True)):
            assert dict(kernel.sizes)["TILE"] % 16 == 0 and kernel.shared_bytes <= 227 * 1024 and launch.has_registers(kernel), (H, kernel)
    assert not any(map(launch.has_registers, getattr(cuda, kind).spread_out(700, spread.Room(132, tf32=True))))


@needs_compiler
@pytest.mark.parametrize(("kind", "H"), [*LARGEST.items(), ("lstm", 97), ("gru", 123), ("tanh", 201)])
def test_large_sizes(kind: str, H: int, emulator: Emulator) -> None:
    """Where weights do not fit into registers, and shared memory holds the rest."""
    for seed in range(2):
        c = case(seed, kind, H, [3, 2] if seed else [2, 2], everything=True)
        assert wrong(compute(c, cuda), reference(c)) == [], c
    assert len(emulator.launched) >= 4


@needs_compiler
@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh"])
@pytest.mark.parametrize("spread_out", [False, True], ids=["d1", "d2"])
def test_without_keeping_the_values_are_the_same(kind: str, spread_out: bool, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what would be kept is not written."""
    if spread_out:
        spread_over(3, emulator, monkeypatch)
    c = case(1, kind, SIZES[kind][1], [3, 2, 2], everything=True)
    want, made = compute(c, cuda), []
    module = getattr(cuda, c.family)
    project = module.projected
    monkeypatch.setattr(module, "projected", lambda x, w_ih: made.append(project(x, w_ih)) or made[0])
    for name, value in compute(c, cuda, keep=False).items():
        assert np.array_equal(value, want[name]), name
    assert kind == "tanh" or np.array_equal(made[0], project(c.inputs["x"], c.inputs["w_ih"]))


@needs_compiler
@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh"])
@pytest.mark.parametrize("spread_out", [False, True], ids=["d1", "d2"])
def test_the_order_of_threads_makes_no_difference(kind: str, spread_out: bool, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    if spread_out:
        spread_over(3, emulator, monkeypatch)
        monkeypatch.setattr(spread, "WARPS", 4)  # one crew, which goes over three tiles
    H = SIZES[kind][-1] if not spread_out else 36 if kind == "tanh" else 8
    c = case(2, kind, H, [5, 5, 1], everything=True)
    want = compute(c, cuda)
    for _ in range(20):
        for name, value in compute(c, cuda).items():
            assert np.array_equal(value, want[name]), name


@needs_compiler
@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh"])
def test_a_step_waits_once_for_all_threads(kind: str, emulator: Emulator) -> None:
    c = case(3, kind, SIZES[kind][-1], [3, 2, 2], everything=True)
    compute(c, cuda)
    assert emulator.barriers == [0, c.steps.N, c.steps.N]  # of the table, forward, backward: a row of a step is a block's


@needs_compiler
@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh"])
def test_crews_wait_no_more_than_they_must(kind: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each step at which a crew has rows, once for each other; and blocks twice for each tile, the first time forward but once."""
    spread_over(7, emulator, monkeypatch)
    monkeypatch.setattr(spread, "TILE", 16)
    H = 36 if kind == "tanh" else 12
    c = case(4, kind, H, [51, 50, 27, 2, 1])
    compute(c, cuda)
    for kernel, waited, name in zip(getattr(cuda, c.family).kernels(backend.CPU, H), emulator.barriers[1:], emulator.launched[1:]):
        tiles = [-(-len(range(crew, size, kernel.crews)) // 16) for size in c.steps.sizes for crew in range(kernel.crews)]
        assert kernel.crews > 1 and kernel.function == name and {0, 1} < {*tiles}
        assert waited == kernel.blocks * sum(2 * each + 2 - ("forward" in name) for each in tiles if each)


@needs_compiler
def test_a_table_longer_than_one_launch_carries(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = Steps([3] * 5 + [2] * 1200 + [1] * 900)
    assert np.array_equal(steps.offsets_of(backend.CPU, sequence), np.cumsum([0, *sequence.sizes]))
    assert emulator.launched == ["write_table"] * 3
    assert steps.offsets_of(backend.CPU, Steps([4] * 5)) is None
    for wanted, sizes in (({"x", "w_ih"}, sequence), ({"w_hh"}, Steps([4] * 5))):
        assert steps.entered(backend.CPU, wanted, sizes, 4, np.float32) is None


@needs_compiler
def test_views_are_taken_as_they_are(emulator: Emulator) -> None:
    for kind in ("lstm", "gru", "tanh"):
        c = case(3, kind, SIZES[kind][1], [3, 2], everything=True)
        inputs = {name: np.asfortranarray(value) for name, value in c.inputs.items()}
        given = {name: np.repeat(value, 2, -1)[..., ::2] for name, value in c.given.items()}
        strided = c._replace(inputs=inputs, given=given)
        assert wrong(compute(strided, cuda), reference(c)) == [], kind


@needs_compiler
@pytest.mark.parametrize("design", ["d1", "d2"])
def test_arrays_may_begin_anywhere(design: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel fetches four numbers at a time, it has made itself; views begin at any number."""
    if design == "d2":
        spread_over(6, emulator, monkeypatch)
    odd = lambda array: np.concatenate([np.zeros(1, array.dtype), array.reshape(-1)])[1:].reshape(array.shape)
    for kind in ("lstm", "gru", "tanh"):
        c = case(8, kind, 8, [3, 2, 2], everything=True)
        moved = c._replace(inputs={k: odd(v) for k, v in c.inputs.items()}, given={k: odd(v) for k, v in c.given.items()})
        assert wrong(compute(moved, cuda), reference(c)) == [], kind


@needs_compiler
def test_saved_can_be_used_twice_and_results_share_no_memory(emulator: Emulator) -> None:
    for kind in ("lstm", "gru", "tanh"):
        c = case(4, kind, SIZES[kind][1], [3, 2, 1], everything=True)
        kernel, weights = getattr(cuda, c.family), tuple(c.inputs[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh"))
        states = tuple(c.inputs[name] for name in ("h_0", "c_0") if name in c.inputs)
        options = {"activation": kind} if c.family == "rnn" else {}
        y, *_, saved = kernel.forward(c.inputs["x"], c.steps, *states, weights, keep=True, **options)
        once, again = (
            kernel.backward(saved, c.inputs["x"], y, states[0], weights, *[c.given.get(name) for name in names], c.wanted)
            for names in 2 * [("y", "h_n", "c_n", "cells")[: 2 + 2 * (kind == "lstm")]]
        )
        assert all(np.array_equal(value, again[name]) for name, value in once.items())
        assert not any(np.shares_memory(once[a], once[b]) for a in once for b in once if a < b)


# --------------------------------------------------------------------------------------------- as layers and devices use them


@needs_compiler
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("design", ["d1", "d2"])
def test_a_layer_runs_on_them_unchanged(kind: str, design: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed sequences, for d1 in two layers and both directions: against the kernels made of array functions."""
    stand_in, small = Emulator(), design == "d1"
    H = 6 if small else getattr(cuda, kind.lower()).MOST + 1
    monkeypatch.setitem(launch.LAUNCHERS, "strict", stand_in)
    results = []
    for kernel in ("arrays", design, None) if small else ("arrays", design):
        with minigrad.device("strict"), nn.path("fused", kernel=kernel):
            minigrad.manual_seed(0)
            layer = getattr(nn, kind)(3, H, num_layers=1 + small, bidirectional=small)
            x = minigrad.randn(5, 3, requires_grad=True)
            packed = nn.utils.rnn.PackedSequence(x, minigrad.tensor([2, 2, 1], device="cpu"))
            output, last = layer(packed)
            ends = last if isinstance(last, tuple) else (last,)
            loss = (output.data * output.data).sum() + sum((each * each * each).sum() for each in ends)
            loss.backward()
            results.append([output.data, *ends, x.grad, *[each.grad for each in layer.parameters()]])
    assert len(stand_in.launched) > 2 and any("spread" in name for name in stand_in.launched) == (design == "d2")
    for want, *others in zip(*results, strict=True):
        for got in others:  # asked for by name, and chosen
            assert np.abs(host(want) - host(got)).max() < TOLERANCE * max(1, np.abs(host(want)).max())


@needs_compiler
def test_no_waits_and_no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an array as strict as CuPy's, packed and padded."""
    monkeypatch.setitem(launch.LAUNCHERS, "strict", Emulator())
    there = backend.on(minigrad.device("strict"))
    for kind in ("lstm", "gru", "tanh"):
        for sizes in ([3, 2, 1], [2, 2]):
            c = case(5, kind, SIZES[kind][1], sizes, everything=True)
            move = lambda arrays: {name: Moved(there.from_host(value)) for name, value in arrays.items()}
            moved = c._replace(inputs=move(c.inputs), given=move(c.given))
            with strict.counting() as counted:
                found = compute(moved, cuda)
            assert counted.waits == [] and counted.copies == [], (kind, counted.waits, counted.copies)
            assert wrong({name: host(value) for name, value in found.items()}, reference(c)) == []


class Moved:
    """An array that is where it has to be, for `compute`."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def astype(self, dtype: Any, copy: bool) -> Any:
        return self.array


def test_what_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    there = backend.on(minigrad.device("strict"))
    assert not cuda.serves("lstm", 64, np.float32, backend.CPU)  # no launcher there
    monkeypatch.setitem(launch.LAUNCHERS, "strict", Emulator())
    for kind, most in (("rnn", 1024), ("lstm", 1024), ("gru", 1024)):
        assert cuda.serves(kind, 1, "float32", there) and cuda.serves(kind, most, "float32", there)
        assert not cuda.serves(kind, most + 1, "float32", there) and not cuda.serves(kind, 0, "float32", there)
        assert not cuda.serves(kind, 8, "float64", there) and not cuda.serves(kind, 8, "float16", there)
    assert cuda.serves("rnn", 8, "float32", there, activation="relu") and not cuda.serves("rnn", 8, "float32", there, activation="silu")
    assert not cuda.serves("gru", 8, "float32", there, reset_after=False)
    assert not cuda.serves("lstm", 8, "float32", there, projection=True)
    assert cuda.serves_spread("lstm", 1024, "float32", there, B=32) and cuda.serves_spread("lstm", 512, "float32", there, B=256)
    assert not cuda.serves_spread("lstm", 1024, "float32", there, B=33) and not cuda.serves_spread("lstm", 512, "float32", there, B=257)
    assert cuda.serves_spread("lstm", 1024, "float32", there) and cuda.serves_alone("lstm", 128, "float32", there, B=10**6)
    crews = cuda.lstm.kernels(there, 129)[1].crews
    assert 129 % crews and cuda.serves_spread("lstm", 129, "float32", there, B=crews * (spread.PAYS // 129))
    assert not cuda.serves_spread("lstm", 129, "float32", there, B=crews * (spread.PAYS // 129) + 1)
    lstm = ("lstm", 1024, np.dtype("float32"), there)
    assert choose(*lstm, B=32) is choose(*lstm, "d2", B=33) is cuda.lstm and choose(*lstm, B=33) is device.lstm
    monkeypatch.setattr(Emulator, "shared_bytes", 99 * 1024)  # a smaller GPU
    assert not cuda.serves("lstm", 128, "float32", there) and cuda.serves("lstm", 64, "float32", there)
    for kind in ("rnn", "lstm", "gru"):  # with smaller tiles
        assert cuda.serves(kind, 1024, "float32", there) and cuda.serves_spread(kind, 512, "float32", there)
    monkeypatch.setattr(Emulator, "shared_bytes", 227 * 1024)
    monkeypatch.setattr(Emulator, "blocks_at_once", 108)
    assert not cuda.serves("lstm", 1024, "float32", there) and cuda.serves("lstm", 864, "float32", there)


@needs_compiler
def test_what_is_not_served_is_refused(emulator: Emulator) -> None:
    c = case(6, "lstm", 5, [2, 2], everything=True)
    with pytest.raises(TypeError, match=r"contiguous, of float32.*float64"):
        compute(c, cuda, np.float64)
    weights = tuple(c.inputs[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh"))
    with pytest.raises(ValueError, match="no projection"):
        cuda.lstm.forward(c.inputs["x"], c.steps, None, None, (*weights, np.ones((2, 5), np.float32)), True)
    with pytest.raises(ValueError, match="after the product"):
        cuda.gru.forward(c.inputs["x"], c.steps, None, weights, True, reset_after=False)
    with pytest.raises(ValueError, match="not on 'strict'"):
        launch.launcher_of(backend.on(minigrad.device("strict")))


@pytest.mark.parametrize(
    "given", [3, 3.0, np.float32(3), np.int64(3), np.zeros((4, 4), np.float32).T[:2], np.zeros(3)], ids=lambda each: type(each).__name__
)
def test_arguments_that_a_launch_would_misread(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(launch.LAUNCHERS, "cpu", Emulator())
    with pytest.raises(TypeError, match="argument 1"):
        launch.launch(backend.CPU, steps.TABLE, 1, np.zeros(3, np.int32), given)


class RawKernel:
    """CuPy's, as far as its parameters go."""

    def __init__(self, code: str, name: str, options: tuple[str, ...] = (), *, enable_cooperative_groups: bool = False) -> None:
        self.made, self.asked = (code, name, options, enable_cooperative_groups), []
        self.max_dynamic_shared_size_bytes: int | None = None  # as much as any kernel has, 48 KB

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0) -> None:
        self.asked.append((grid, block, args, shared_mem))


def test_what_cupy_is_asked_for() -> None:
    device = SimpleNamespace(id=0, attributes={"MaxSharedMemoryPerBlockOptin": 99 * 1024, "MultiProcessorCount": 46})
    xp = SimpleNamespace(library=SimpleNamespace(RawKernel=RawKernel, cuda=SimpleNamespace(Device=lambda: device)))
    launcher, sizes = launch.CupyLauncher(), (("NUMBERS", 3),)
    small = launch.Kernel("steps.cu", "write_table", sizes, threads=96, shared_bytes=48 * 1024)
    large = small._replace(function="other", shared_bytes=48 * 1024 + 16, blocks=23, crews=2)
    assert launcher.limits(xp) == (99 * 1024, 46)
    for kernel, blocks in ((small, 47), (large, 46), (small, 1)):
        launcher.launch(xp, kernel, blocks, ("given",))
    one, other = launcher.compiled.values()
    assert one.made == (small.source(), "write_table", ("--std=c++17",), False)
    assert other.made == (large.source(), "other", ("--std=c++17",), True)  # blocks that wait for each other
    assert one.max_dynamic_shared_size_bytes is None and other.max_dynamic_shared_size_bytes == 48 * 1024 + 16
    assert one.asked == [((each,), (96,), ("given",), 48 * 1024) for each in (47, 1)]
    assert other.asked == [((46,), (96,), ("given",), 48 * 1024 + 16)]
    with pytest.raises(ValueError, match="other needs 47 blocks at once, but there are 46 multiprocessors"):
        launcher.launch(xp, large, 47, ())
    device.id, device.attributes = 1, {"MaxSharedMemoryPerBlockOptin": 1, "MultiProcessorCount": 2}
    launcher.launch(xp, small, 1, ())
    assert len(launcher.compiled) == 3 and launcher.limits(xp) == (1, 2)


# ------------------------------------------------------------------------------------------------------ missing barriers


class Removal(NamedTuple):
    """What makes a block wait for others, or see what they wrote, in a source: by its place there."""

    file: str
    place: int


BARRIERS = (
    r"__syncthreads\(\);|__threadfence\(\);|crew_barrier\(counters, wanted\);|while \(.*\) __nanosleep\(20\);",
    r"volatile ",
    r"__ldcg(?=\()",
)


def barriers(source: str) -> list[tuple[int, int, str]]:
    """Where each begins and ends, and what is left without it."""
    return [(*each.span(), left) for pattern, left in zip(BARRIERS, (";", "", "*"), strict=True) for each in re.finditer(pattern, source)]


REMOVALS = [Removal(file, place) for file in SOURCES for place in range(len(barriers(launch.read(file))))]


def without(removal: Removal) -> Callable[[str], str]:
    """What makes a source one barrier shorter; other sources stay as they are."""
    whole = launch.Kernel(removal.file, "", (), 1).source()

    def change(source: str) -> str:
        if not source.endswith(whole):
            return source
        start, end, left = barriers(source)[removal.place]
        return source[:start] + left + source[end:]

    return change


@needs_compiler
@pytest.mark.parametrize("removal", REMOVALS, ids=lambda removal: f"{removal.file}-{removal.place}")
def test_every_barrier_is_needed(removal: Removal, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, some order of threads gives wrong numbers."""
    emulator.change = without(removal)
    kind = removal.file.partition(".")[0].partition("_")[0].replace("rnn", "tanh")
    if "spread" in removal.file:
        spread_over(3, emulator, monkeypatch)
        monkeypatch.setattr(spread, "WARPS", 4)  # so that there is one crew, of several blocks
    large = SIZES[kind][-1]
    sizes = (large, large) if "spread" not in removal.file else (large, 36) if kind == "tanh" else (6, 8)
    cases = [case(7, kind, H, [5, 5, 1], everything=True) for H in sizes]
    want = [reference(each) for each in cases]
    for _ in range(20):
        if any(differ(each, expected) for each, expected in zip(cases, want)):
            return
    pytest.fail(f"nobody misses barrier {removal.place} of {removal.file}")


def differ(c: Case, want: dict[str, Any]) -> bool:
    """Whether something goes wrong: numbers, or threads that wait for ever."""
    try:
        return bool(wrong(compute(c, cuda), want))
    except RuntimeError as problem:
        assert "for ever" in str(problem)
        return True


# ----------------------------------------------------------------------------------------------------- the emulator itself

REVERSE = """
extern "C" __global__ void reverse(const float* x, float* y) {
    extern __shared__ float room[];
    room[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = room[blockDim.x - 1 - threadIdx.x];
}
"""


class Text(NamedTuple):
    """A kernel from a text, for a launcher."""

    text: str
    function: str
    threads: int = 64
    shared_bytes: int = 256
    blocks: int = 0

    def source(self) -> str:
        return self.text


def emulate(kernel: Text, *arguments: Any, seed: int = 0, blocks: int = 1) -> None:
    Emulator(seed).launch(backend.CPU, kernel, blocks, arguments)  # type: ignore[arg-type]


@needs_compiler
def test_the_emulator_waits_at_barriers_and_sees_where_one_is_missing() -> None:
    x = np.arange(64, dtype=np.float32)
    for seed in range(20):
        emulate(Text(REVERSE, "reverse"), x, y := np.zeros(64, np.float32), seed=seed)
        assert np.array_equal(y, x[::-1])
    emulate(Text(REVERSE.replace("__syncthreads();", ""), "reverse"), x, y := np.zeros(64, np.float32))
    assert np.isnan(y).any()


@needs_compiler
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("__syncthreads();", "if (threadIdx.x < 40) __syncthreads();"), "at line .* or no more"),
        (("__syncthreads();", "if (threadIdx.x < 40) __syncthreads();\nelse __syncthreads();"), "others at line"),
        (("__syncthreads();", "if (threadIdx.x < 40) __shfl_sync(0xffffffff, 1, 0, 32);"), "for ever"),
        (("__syncthreads();", "while (x[0] > 0.0f) __nanosleep(20);"), "watches memory for ever"),
        (("y[threadIdx.x]", "y[threadIdx.x + 1]"), "read or wrote beyond"),
        (("x[threadIdx.x]", "x[threadIdx.x + 1]"), "read or wrote beyond"),
        (("x[threadIdx.x]", "static_cast<const float*>(nullptr)[threadIdx.x]"), "read or wrote beyond"),
        (("y[threadIdx.x]", "y[int(threadIdx.x) - 1]"), "wrote beside"),
        (("room[threadIdx.x] =", "room[threadIdx.x + 1] ="), "read or wrote beyond"),
        (("= x[threadIdx.x]", "= __ldcg(reinterpret_cast<const float4*>(x + 1)).x"), "odd address"),
    ],
    ids=["ended", "elsewhere", "for ever", "watching", "beyond", "read beyond", "null", "before", "beyond shared memory", "odd address"],
)
def test_the_emulator_refuses(change: tuple[str, str], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        emulate(Text(REVERSE.replace(*change), "reverse"), np.ones(64, np.float32), np.zeros(64, np.float32))


@needs_compiler
def test_the_emulator_looks_at_types() -> None:
    y = np.zeros(64, np.float32)
    for arguments in ([y], [y, y, y], [y, np.zeros(64, np.int32)], [y, np.int32(1)]):
        with pytest.raises(TypeError, match=r"takes \['float\*', 'float\*'\]"):
            emulate(Text(REVERSE, "reverse"), *arguments)
    with pytest.raises(RuntimeError, match="cosh_is_no_name_of_ours"):
        emulate(Text(REVERSE.replace("x[threadIdx.x]", "cosh_is_no_name_of_ours(1)"), "reverse"), y, y)


@needs_compiler
def test_lanes_read_each_other() -> None:
    source = """
    extern "C" __global__ void lanes(float* y, float* z) {
        float own = threadIdx.x;
        for (int distance = 1; distance < 32; distance *= 2) own += __shfl_xor_sync(0xffffffff, own, distance);
        y[threadIdx.x] = own;
        z[threadIdx.x] = __shfl_sync(0xffffffff, float(threadIdx.x), 2, 4);
    }
    """
    emulate(Text(source, "lanes"), y := np.zeros(64, np.float32), z := np.zeros(64, np.float32))
    assert (y[:32] == 496).all() and (y[32:] == 496 + 1024).all()
    assert np.array_equal(z, np.arange(64) // 4 * 4 + 2)


# --------------------------------------------------------------------------------------------------------- the sources


def test_sources_use_no_name_that_the_emulator_lacks() -> None:
    """Names of CUDA's: two underscores, atomics, and vectors. (Any other unknown name does not compile there.)"""
    known = set(re.findall(r"\w+", (Path(__file__).parent / "emulator" / "emulator.h").read_text(encoding="utf-8")))
    allowed = {"__shared__"}  # replaced before compiling
    for path in [*launch.HERE.glob("*.cu"), *launch.HERE.glob("*.cuh")]:
        text = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
        text = re.sub(r"#ifndef EMULATED.*?#endif", "", text, flags=re.DOTALL)
        used = set(re.findall(r"\b__\w+|\batomic\w+|\b(?:float|double|int|uint)[234]\b|\b(?:cooperative_groups|asm|half)\b", text))
        assert used - known - allowed == set(), path.name
        assert not re.search(r"__shared__(?! float4 shared\[\];)", text), f"{path.name}: write `extern __shared__ float4 shared[];`"


@needs_compiler
@pytest.mark.parametrize("file", SOURCES)
def test_every_source_says_what_is_in_it(file: str) -> None:
    text = launch.read(file)
    assert text.startswith("// ") and functions_of(text), file
    assert "\t" not in text and max(map(len, text.splitlines())) <= 140


def test_sources_are_part_of_what_is_installed() -> None:
    settings = tomllib.loads((launch.HERE.parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["minigrad_nn.kernels.cuda"]
    assert {*patterns} == {"*.cu", "*.cuh"}


def compiled() -> Iterator[tuple[launch.Kernel, str]]:
    """Every source at its largest size, and where registers are scarcest, for an H100 (132 multiprocessors) and an A100 (108)."""
    for arch, multiprocessors in (("sm_90", 132), ("sm_80", 108)):
        yield steps.TABLE, arch
        for module in (cuda.rnn, cuda.lstm, cuda.gru):
            yield module.on_chip(module.MOST)[0], arch  # the same source has both directions
            for tf32 in (False, True):
                room = spread.Room(multiprocessors, tf32=tf32)
                yield from ((each, arch) for each in module.spread_out(largest(module, room), room))
    for module in (cuda.rnn, cuda.lstm, cuda.gru):
        half = spread.Room(66)  # as for each of two directions
        yield from ((each, "sm_90") for each in module.spread_out(largest(module, half), half))
        for H in (511, 512):  # in 16 warps, of which weights take half of the registers; with vectors of odd size, and of even
            yield from ((each, "sm_90") for each in module.spread_out(H, spread.Room(132)))


def largest(module: Any, room: spread.Room) -> int:
    """The largest H for which threads have the registers they need."""
    sizes = range(module.MOST + 1, spread.MOST + 1)
    return max(H for H in sizes if all(map(launch.has_registers, module.spread_out(H, room))))


@pytest.mark.skipif(not shutil.which("nvcc"), reason="compiling needs nvcc")
def test_every_kernel_compiles_without_spills(tmp_path: Path) -> None:
    """For an H100 and an A100."""
    jobs = list(compiled())
    assert {kernel.file for kernel, _ in jobs} == set(SOURCES)
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        found = list(pool.map(lambda job: resources(*job, tmp_path), jobs))
    for (kernel, arch), functions in zip(jobs, found):
        assert functions.keys() == set(functions_of(kernel.source()))
        for name, (registers, spilled) in functions.items():
            assert spilled == 0, f"{name} spills {spilled} bytes for {arch}, sizes {kernel.sizes}"
            assert registers * kernel.threads <= launch.REGISTERS, (name, registers)


def resources(kernel: launch.Kernel, arch: str, folder: Path) -> dict[str, tuple[int, int]]:
    """Registers and bytes spilled of each function, as the assembler reports them."""
    path = folder / f"{abs(hash(kernel))}-{arch}.cu"
    path.write_text(kernel.source(), encoding="utf-8")
    command = ["nvcc", "-std=c++17", f"-arch={arch}", "-cubin", "-Xptxas", "-v", "-o", str(path.with_suffix(".cubin")), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, name, spilled = {}, "", 0
    for line in done.stderr.splitlines():
        if begin := re.search(r"Compiling entry function '(\w+)'", line):
            name = begin[1]
        elif spills := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            spilled = int(spills[1]) + int(spills[2])
        elif used := re.search(r"Used (\d+) registers", line):
            found[name] = (int(used[1]), spilled)
    return found


@needs_compiler
def test_a_source_is_compiled_once() -> None:
    assert library(REVERSE) is library(REVERSE)
