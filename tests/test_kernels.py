"""The kernels against a slow loop over steps in float64, numerical differences of it, and PyTorch, on random configurations."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
import pytest
from compare import host, on_device, share_memory

import minigrad as mg
import minigrad_nn as nn
from minigrad import backend
from minigrad.backend import of
from minigrad_nn.kernels import Steps
from minigrad_nn.kernels.choose import ARRAYS, choose

CONFIGURATIONS = 504
TOLERANCE = {"float64": 1e-10, "float32": 1e-5, "float16": 2e-2}


class Case(NamedTuple):
    """One call of a kernel, and what its results are multiplied by."""

    seed: int
    kind: str  # lstm, gru, tanh, relu or sigmoid
    steps: Steps
    inputs: dict[str, Any]  # x, h_0, c_0 and the weights; those left out are None
    reset_after: bool
    given: dict[str, Any]  # the gradients of y, h_n, c_n and cells; those left out are None
    dtype: str

    def get(self, name: str) -> Any:
        """An input, for a kernel."""
        return on_device(self.inputs[name]) if name in self.inputs else None


def sizes_of_steps(rng: np.random.Generator) -> list[int]:
    T, B = int(rng.choice([1, 2, 3, 5, 9])), int(rng.choice([0, 1, 1, 2, 3, 6]))
    if rng.random() < 0.4 or B == 0:
        return [B] * T
    lengths = rng.integers(1, T + 1, B)
    return [int((lengths > t).sum()) for t in range(lengths.max())]


def case(seed: int, kind: str | None = None, dtype: str | None = None) -> Case:
    """A random configuration: sizes that differ pairwise, biases that are not zero."""
    rng = np.random.default_rng(seed)
    kind = kind or ("lstm", "lstm", "gru", "gru", "tanh", "relu", "sigmoid")[seed % 7]
    dtype = dtype or ("float64", "float32")[seed // 7 % 2]
    steps = Steps(sizes_of_steps(rng), bool(rng.random() < 0.5))
    entering, H = (int(size) for size in rng.permutation([1, 2, 3, 4, 5, 7, 10])[:2])
    P = int(rng.integers(1, H)) if kind == "lstm" and H > 1 and rng.random() < 0.4 else 0
    G, R, B, N = {"lstm": 4, "gru": 3}.get(kind, 1), P or H, steps.B, steps.N
    shapes: dict[str, tuple[int, ...]] = {"x": (N, entering), "w_ih": (G * H, entering), "w_hh": (G * H, R)}
    optional = {"h_0": (B, R), "b_ih": (G * H,), "b_hh": (G * H,)} | ({"c_0": (B, H)} if kind == "lstm" else {})
    shapes |= {name: shape for name, shape in optional.items() if rng.random() < 0.7} | ({"w_hr": (P, H)} if P else {})
    results = {"y": (N, R), "h_n": (B, R)} | ({"c_n": (B, H), "cells": (N, H)} if kind == "lstm" else {})
    draw = lambda shape: rng.normal(0, 0.7, shape).astype(dtype)
    given = {name: draw(shape) for name, shape in results.items() if rng.random() < 0.6} or {"h_n": draw(results["h_n"])}
    inputs = {name: draw(shape) for name, shape in shapes.items()}
    return Case(seed, kind, steps, inputs, bool(kind != "gru" or rng.random() < 0.6), given, dtype)


# ------------------------------------------------------------------------------------------------------ the slow loop


def sigma(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def slow(c: Case, inputs: dict[str, Any]) -> dict[str, Any]:
    """The results of a case, row by row and step by step, in float64."""
    at = lambda name, default: np.asarray(inputs[name], np.float64) if name in inputs else default
    w_ih, w_hh = at("w_ih", None), at("w_hh", None)
    G = {"lstm": 4, "gru": 3}.get(c.kind, 1)
    H, R, B, N = w_hh.shape[0] // G, w_hh.shape[1], c.steps.B, c.steps.N
    zero = np.zeros(G * H)
    b_ih, b_hh, w_hr = at("b_ih", zero), at("b_hh", zero), at("w_hr", None)
    x, h_n, c_n = at("x", None), at("h_0", np.zeros((B, R))).copy(), at("c_0", np.zeros((B, H))).copy()
    y, cells = np.zeros((N, R)), np.zeros((N, H))
    offsets = np.concatenate([[0], np.cumsum(c.steps.sizes)])
    times = range(c.steps.T)[:: -1 if c.steps.reverse else 1]
    for t in times:
        for j in range(c.steps.sizes[t]):
            row = offsets[t] + j
            a, u = w_ih @ x[row] + b_ih, w_hh @ h_n[j] + b_hh
            if c.kind == "lstm":
                i, f, g, o = (a + u).reshape(4, H)
                c_n[j] = sigma(f) * c_n[j] + sigma(i) * np.tanh(g)
                h = sigma(o) * np.tanh(c_n[j])
                h_n[j] = h if w_hr is None else w_hr @ h
                cells[row] = c_n[j]
            elif c.kind == "gru":
                r, z = sigma((a + u)[: 2 * H]).reshape(2, H)
                inner = r * u[2 * H :] if c.reset_after else w_hh[2 * H :] @ (r * h_n[j]) + b_hh[2 * H :]
                h_n[j] = (1 - z) * np.tanh(a[2 * H :] + inner) + z * h_n[j]
            else:
                h_n[j] = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0), "sigmoid": sigma}[c.kind](a + u)
            y[row] = h_n[j]
    found = {"y": y, "h_n": h_n}
    return found | {"c_n": c_n, "cells": cells} if c.kind == "lstm" else found


def kernel_of(c: Case, name: str | None = None) -> Any:
    """The kernel that computes a case: on a CPU the one that is chosen for it, unless another is named, elsewhere `arrays`."""
    cell, x = {"lstm": "lstm", "gru": "gru"}.get(c.kind, "rnn"), c.get("x")
    options = {"lstm": {}, "gru": {"reset_after": c.reset_after}}.get(c.kind, {"activation": c.kind})
    if of(x).device_type != "cpu":
        return getattr(ARRAYS, cell)
    H = c.inputs["w_hh"].shape[0] // {"lstm": 4, "gru": 3}.get(c.kind, 1)
    return choose(cell, H, x.dtype, of(x), name, projection="w_hr" in c.inputs, **options)


def run_forward(c: Case, keep: bool = True, name: str | None = None) -> tuple[dict[str, Any], Any]:
    kernel, x, h_0 = kernel_of(c, name), c.get("x"), c.get("h_0")
    weights = tuple(c.get(name) for name in ("w_ih", "w_hh", "b_ih", "b_hh"))
    if c.kind == "lstm":
        y, h_n, c_n, saved = kernel.forward(x, c.steps, h_0, c.get("c_0"), (*weights, c.get("w_hr")), keep)
        found = {"y": y, "h_n": h_n, "c_n": c_n}
        return (found | {"cells": saved.cells()} if keep else found), saved
    if c.kind == "gru":
        y, h_n, saved = kernel.forward(x, c.steps, h_0, weights, keep=keep, reset_after=c.reset_after)
    else:
        y, h_n, saved = kernel.forward(x, c.steps, h_0, weights, keep=keep, activation=c.kind)
    return {"y": y, "h_n": h_n}, saved


def run_backward(c: Case, results: dict[str, Any], saved: Any, wanted: Any, name: str | None = None) -> dict[str, Any]:
    d = lambda name: on_device(c.given[name]) if name in c.given else None
    weights = tuple(c.get(name) for name in ("w_ih", "w_hh", "b_ih", "b_hh"))
    kernel, common = kernel_of(c, name), (saved, c.get("x"), results["y"], c.get("h_0"))
    if c.kind == "lstm":
        return kernel.backward(*common, (*weights, c.get("w_hr")), d("y"), d("h_n"), d("c_n"), d("cells"), wanted)
    return kernel.backward(*common, weights, d("y"), d("h_n"), wanted)


def close(c: Case, got: Any, want: Any, what: str) -> None:
    got, want = host(got), want if isinstance(want, np.ndarray) else host(want)
    assert got.dtype == c.dtype and got.shape == np.shape(want), (c.seed, what, got.dtype, got.shape, np.shape(want))
    error = np.abs(got - want).max() / max(1, np.abs(want).max()) if got.size else 0
    assert error < TOLERANCE[c.dtype], f"{what} is off by {error:.1e}; repeat with case({c.seed}): {c}"


def same(one: Any, other: Any) -> bool:
    return np.array_equal(host(one), host(other))


def directional(c: Case, name: str, direction: Any) -> float:
    """The derivative of the loss along a direction of one input, by central differences of the slow loop."""
    width, values = 1e-6, []
    for sign in (1, -1):
        moved = c.inputs | {name: c.inputs[name].astype(np.float64) + sign * width * direction}
        found = slow(c, moved)
        values.append(sum((found[which] * weight.astype(np.float64)).sum() for which, weight in c.given.items()))
    return (values[0] - values[1]) / (2 * width)


@pytest.mark.parametrize("block", range(12))
def test_against_a_slow_loop(block: int) -> None:
    """Values, states and, along random directions, every gradient."""
    for seed in range(block, CONFIGURATIONS, 12):
        c = case(seed)
        before = {name: value.copy() for name, value in (c.inputs | c.given).items()}
        results, saved = run_forward(c)
        want = slow(c, c.inputs)
        for name, value in results.items():
            close(c, value, want[name], name)
        found = {name: host(value) for name, value in run_backward(c, results, saved, set(c.inputs)).items()}
        assert found.keys() == c.inputs.keys()
        rng = np.random.default_rng(seed)
        for name in c.inputs:
            assert found[name].shape == c.inputs[name].shape and found[name].dtype == c.dtype, (seed, name)
            direction = rng.normal(size=found[name].shape)
            got, wanted = (found[name].astype(np.float64) * direction).sum(), directional(c, name, direction)
            tolerance = (1e-6 if c.dtype == "float64" else 5e-5) * max(1, abs(wanted), np.sqrt((found[name] ** 2).sum()))
            assert abs(got - wanted) < tolerance, f"d{name}: {got} for {wanted}; repeat with case({seed})"
        assert all(np.array_equal(before[name], value) for name, value in (c.inputs | c.given).items()), seed


# ------------------------------------------------------------------------------------------------------------ PyTorch


def of_torch(c: Case, torch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Results and gradients of a case in PyTorch. Reverse runs as the second half of a bidirectional layer."""
    arrays = {name: torch.tensor(value, requires_grad=True) for name, value in c.inputs.items()}
    H = c.inputs["w_hh"].shape[0] // {"lstm": 4, "gru": 3}.get(c.kind, 1)
    entering, R, D, dtype = c.inputs["x"].shape[1], c.inputs["w_hh"].shape[1], 1 + c.steps.reverse, arrays["x"].dtype
    extra = {"proj_size": R} if "w_hr" in arrays else {"nonlinearity": c.kind} if c.kind in ("tanh", "relu") else {}
    make = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(c.kind, torch.nn.RNN)
    layer = make(entering, H, bidirectional=c.steps.reverse, dtype=dtype, **extra)
    names = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh", "w_hr": "weight_hr"}
    suffix = "_l0_reverse" if c.steps.reverse else "_l0"
    replaced = {f"{full}{suffix}": arrays.get(short, torch.zeros(len(c.inputs["w_ih"]), dtype=dtype)) for short, full in names.items()}
    replaced = {name: value for name, value in replaced.items() if hasattr(layer, name)}
    full = lambda name, size: torch.stack([arrays.get(name, torch.zeros(c.steps.B, size, dtype=dtype))] * D)
    packed = torch.nn.utils.rnn.PackedSequence(arrays["x"], torch.tensor(c.steps.sizes))
    hx = (full("h_0", R), full("c_0", H)) if c.kind == "lstm" else full("h_0", R)
    out, last = torch.func.functional_call(layer, replaced, (packed, hx))
    h_n, c_n = last if c.kind == "lstm" else (last, None)
    found = {"y": out.data[:, -R:], "h_n": h_n[-1]} | ({"c_n": c_n[-1]} if c.kind == "lstm" else {})
    loss = sum((found[name] * torch.tensor(weight)).sum() for name, weight in c.given.items())
    wanted = list(arrays)
    gradients = torch.autograd.grad(loss, [arrays[name] for name in wanted], allow_unused=True)
    return found, {name: torch.zeros_like(arrays[name]) if d is None else d for name, d in zip(wanted, gradients)}


@pytest.mark.filterwarnings("ignore")
def test_against_pytorch() -> None:
    torch = pytest.importorskip("torch")
    compared = 0
    for seed in range(1000, 1250):
        c = case(seed)
        c.given.pop("cells", None)
        if c.steps.B == 0 or c.kind == "sigmoid" or not c.reset_after or not c.given:
            continue
        results, saved = run_forward(c)
        want, gradients = of_torch(c, torch)
        for name, value in want.items():
            close(c, results[name], host(value), name)
        for name, value in run_backward(c, results, saved, set(c.inputs)).items():
            close(c, value, host(gradients[name]), f"d{name}")
        compared += 1
    assert compared > 120


# ---------------------------------------------------------------------------------------------------------- promises


@pytest.mark.parametrize("seed", range(2000, 2042))
def test_only_what_is_wanted_comes_back_and_it_is_the_same(seed: int) -> None:
    c = case(seed)
    results, saved = run_forward(c)
    everything = run_backward(c, results, saved, set(c.inputs))
    for name, value in run_backward(c, results, saved, set(c.inputs)).items():
        assert same(value, everything[name])  # the same saved, used twice
    rng = np.random.default_rng(seed)
    some = {name for name in c.inputs if rng.random() < 0.4}
    found = run_backward(c, results, saved, some)
    assert found.keys() == some
    assert all(same(value, everything[name]) for name, value in found.items())
    pairs = [(a, b) for a in everything for b in everything if a < b]
    assert not any(share_memory(everything[a], everything[b]) for a, b in pairs)


@pytest.mark.parametrize("seed", range(7))
def test_without_keeping_the_values_are_the_same(seed: int) -> None:
    c = case(seed)
    kept, nothing = run_forward(c)[0], run_forward(c, keep=False)
    assert nothing[1] is None
    assert all(same(value, kept[name]) for name, value in nothing[0].items())


@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("limits", [(1, 1), (20, 4), (40, 11)], ids=str)
def test_runs_and_panels_of_any_length(kind: str, limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3000, 3015):
        c = case(seed, kind, "float64")
        results, saved = run_forward(c)
        gradients = run_backward(c, results, saved, set(c.inputs))
        with monkeypatch.context() as patch:
            there = backend.on(backend.current_device())
            patch.setattr(there, "run_elements", limits[0])
            patch.setattr(there, "panel_rows", limits[1])
            again, saved = run_forward(c)
            gradients_again = run_backward(c, again, saved, set(c.inputs))
        for name, value in (results | gradients).items():
            close(c, (again | gradients_again)[name], value, name)


@pytest.mark.host_only("NumPy's memory")
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_weights_may_be_memory_of_any_order_that_nobody_may_write_to(kind: str) -> None:
    layer, x = getattr(nn, kind)(3, 4), mg.randn(5, 2, 3)
    want = layer(x)[0].detach().numpy()
    for form in (np.ascontiguousarray, np.asfortranarray, lambda a: np.repeat(a, 2, axis=-1)[..., ::2]):
        for weight in layer.parameters():
            array = form(weight.detach().numpy().copy())
            array.flags.writeable = False
            weight.data = mg.from_numpy(array)
        y = layer(x)[0]
        np.testing.assert_allclose(y.detach().numpy(), want, rtol=1e-6, atol=1e-7)
        y.sum().backward()


@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh", "relu", "sigmoid"])
def test_half_precision_stays_half(kind: str) -> None:
    for seed in range(4000, 4010):
        c = case(seed, kind, "float16")
        results, saved = run_forward(c)
        want = slow(c, c.inputs)
        for name, value in results.items():
            close(c, value, want[name], name)
        assert all(value.dtype == "float16" for value in run_backward(c, results, saved, set(c.inputs)).values())


def test_gates_are_those_of_the_equations() -> None:
    c = next(c for c in map(case, range(5000, 6000)) if c.kind == "lstm" and c.steps.T == 1 and c.steps.B > 1)
    results, saved = run_forward(c)
    gates = {name: host(value) for name, value in saved.gates().items()}
    cells = gates["f"] * c.inputs.get("c_0", 0) + gates["i"] * gates["g"]
    close(c, cells, results["c_n"], "c from the gates")
    if "w_hr" not in c.inputs:
        close(c, gates["o"] * np.tanh(cells), results["h_n"], "h from the gates")
    c = next(c for c in map(case, range(5000, 6000)) if c.kind == "gru" and c.steps.T == 1 and c.steps.B > 1)
    results, saved = run_forward(c)
    gates = {name: host(value) for name, value in saved.gates().items()}
    close(c, (1 - gates["z"]) * gates["n"] + gates["z"] * c.inputs.get("h_0", 0), results["h_n"], "h from the gates")
    assert list(gates) == ["r", "z", "n"]


def test_two_threads_do_not_disturb_each_other() -> None:
    cases = [case(seed) for seed in range(6000, 6014)]
    alone = [run_backward(c, *run_forward(c), set(c.inputs)) for c in cases]
    wrong: list[int] = []

    where = backend.current_device()

    def work(order: list[int]) -> None:
        backend.set_default_device(where)
        for k in order * 5:
            found = run_backward(cases[k], *run_forward(cases[k]), set(cases[k].inputs))
            if not all(same(value, alone[k][name]) for name, value in found.items()):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(order,)) for order in (list(range(14)), list(range(13, -1, -1)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_steps_refuse_sizes_that_grow() -> None:
    with pytest.raises(ValueError, match="no step more rows"):
        Steps([2, 3])
    with pytest.raises(ValueError, match="at least one step"):
        Steps([])


def test_views_are_taken_as_they_are() -> None:
    """Gradients broadcast or strided, inputs transposed."""
    c = case(7000, "lstm", "float64")
    strided = c._replace(
        inputs={name: np.asfortranarray(value) for name, value in c.inputs.items()},
        given={name: np.repeat(value, 2, -1)[..., ::2] for name, value in c.given.items()},
    )
    plain, other = (run_backward(each, *run_forward(each), set(c.inputs)) for each in (c, strided))
    for name, value in plain.items():
        close(c, other[name], value, name)
