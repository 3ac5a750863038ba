"""Design b against a slow loop in float64, the NumPy kernels and PyTorch: on the strict device, or on a GPU, random configurations."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import cuda_on_cpu
import numpy as np
import pytest
import strict
import test_kernels
from compare import host, on_device
from test_kernels import Case, case, close, same, slow

import minigrad as mg
from minigrad import backend
from minigrad_nn.kernels import device
from minigrad_nn.kernels.choose import ARRAYS
from minigrad_nn.kernels.device.launch import TYPES, functions

ON = "cuda" if mg.get_default_device().type == "cuda" else "strict"
pytestmark = [
    pytest.mark.skipif(ON == "strict" and cuda_on_cpu.COMPILER is None, reason="g++ runs the CUDA functions here, and is missing"),
    pytest.mark.filterwarnings("ignore:overflow"),
]
CONFIGURATIONS = 420


@pytest.fixture(autouse=True)
def _on_the_device(_default_device):
    mg.set_default_device(ON)
    yield


def on(c: Case, place: str, monkeypatch, where: str = ON):
    """(results, gradients) of a case by the kernels in `place`, "arrays" or "b"."""
    mg.set_default_device(where)
    kernels = ARRAYS if place == "arrays" else device
    monkeypatch.setattr(test_kernels, "kernel_of", lambda c, name=None: getattr(kernels, c.kind if c.kind in ("lstm", "gru") else "rnn"))
    results, saved = test_kernels.run_forward(c)
    return results, test_kernels.run_backward(c, results, saved, set(c.inputs)), saved


@pytest.mark.parametrize("seed", range(CONFIGURATIONS))
def test_values_and_every_gradient_are_those_of_the_numpy_kernels(seed, monkeypatch):
    c = case(seed)
    expected, expected_gradients, _ = on(c, "arrays", monkeypatch, "cpu")
    results, gradients, _ = on(c, "b", monkeypatch)
    want = slow(c, c.inputs)
    for name, value in results.items():
        close(c, value, expected[name], name)
        close(c, value, want[name], name)
    assert gradients.keys() == expected_gradients.keys()
    for name, value in gradients.items():
        close(c, value, expected_gradients[name], f"d{name}")


@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_dtype(kind, dtype, monkeypatch):
    for seed in range(9000, 9006):
        c = case(seed, kind, dtype)
        results, gradients, _ = on(c, "b", monkeypatch)
        for name, value in slow(c, c.inputs).items():
            close(c, results[name], value, name)
        assert all(str(value.dtype) == dtype for value in gradients.values())


@pytest.mark.parametrize("seed", range(8000, 8021))
def test_only_what_is_wanted_comes_back_and_twice_the_same(seed, monkeypatch):
    c = case(seed)
    results, everything, saved = on(c, "b", monkeypatch)
    kept = [host(each).copy() for each in saved.arrays]
    rng = np.random.default_rng(seed)
    some = {name for name in c.inputs if rng.random() < 0.4}
    found = test_kernels.run_backward(c, results, saved, some)
    assert found.keys() == some and all(same(value, everything[name]) for name, value in found.items())
    assert all(np.array_equal(one, host(other), equal_nan=True) for one, other in zip(kept, saved.arrays, strict=True))
    values = list(everything.values())
    assert not any(test_kernels.share_memory(one, other) for k, one in enumerate(values) for other in values[:k])


def test_nothing_given_is_changed(monkeypatch):
    for seed in range(8100, 8121):
        c = case(seed)
        given = {name: on_device(value) for name, value in {**c.inputs, **c.given}.items()}
        monkeypatch.setattr(Case, "get", lambda self, name, given=given: given.get(name))
        on(c, "b", monkeypatch)
        for name, value in {**c.inputs, **c.given}.items():
            assert name not in c.inputs or same(given[name], on_device(value)), name


@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh"])
def test_gates_cells_and_what_is_kept(kind, monkeypatch):
    for seed in range(8200, 8220):
        c = case(seed, kind, "float64")
        _, _, saved = on(c, "b", monkeypatch)
        _, _, plain = on(c, "arrays", monkeypatch, "cpu")
        for name, value in (plain.gates() if kind != "tanh" else {}).items():
            close(c, saved.gates()[name], value, name)
        if kind == "lstm":
            close(c, saved.cells(), plain.cells(), "cells")


@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh"])
def test_views_are_taken_as_they_are(kind, monkeypatch):
    """Gradients strided, inputs transposed."""
    c = case(7000, kind, "float64")
    plain = on(c, "b", monkeypatch)
    turned = lambda array: on_device(np.ascontiguousarray(array.T)).T
    monkeypatch.setattr(Case, "get", lambda self, name: turned(self.inputs[name]) if name in self.inputs else None)
    monkeypatch.setattr(test_kernels, "on_device", turned)
    other = on(c, "b", monkeypatch)
    for one, two in zip(plain[:2], other[:2], strict=True):
        for name, value in one.items():
            close(c, two[name], value, name)


LAUNCHES = {"lstm": (2, 2), "gru": (2, 2), "tanh": (2, 2)}  # per step, forward and backward: a product and one function


@pytest.mark.skipif(ON != "strict", reason="launches are counted on the strict device")
@pytest.mark.parametrize("kind", LAUNCHES)
def test_one_product_and_one_function_per_step(kind, monkeypatch):
    c = next(c for c in (case(seed, kind, "float32") for seed in range(100)) if c.steps.T > 2 and c.steps.B > 1 and "w_hr" not in c.inputs
             and c.reset_after)  # fmt: skip
    mg.set_default_device(ON)
    products = backend.on(mg.device(ON)).cublas.products
    products.clear()
    cuda_on_cpu.launched.clear()
    on(c, "b", monkeypatch)
    assert len(cuda_on_cpu.launched) == 2 * c.steps.T == len(products)


@pytest.mark.skipif(ON != "strict", reason="waits are counted on the strict device")
def test_nothing_waits_and_nothing_is_copied(monkeypatch):
    for seed in range(35):
        c = case(seed)
        inputs = {name: on_device(value) for name, value in c.inputs.items()}
        given = {id(value): on_device(value) for value in c.given.values()}
        monkeypatch.setattr(Case, "get", lambda self, name, inputs=inputs: inputs.get(name))
        monkeypatch.setattr(test_kernels, "on_device", lambda array, given=given: given[id(array)])
        with strict.counting() as counted:
            on(c, "b", monkeypatch)
        assert counted.waits == counted.copies == []


def test_memory_that_is_not_what_the_functions_take_it_for_is_refused():
    xp = backend.on(mg.device(ON))
    launch = functions(xp, np.dtype("float32"))
    for wrong in (xp.zeros((3, 2), np.float64), xp.zeros((3, 2), np.float32).T):
        with pytest.raises(TypeError, match="without gaps"):
            launch.require(wrong)
    with pytest.raises(TypeError, match="written for float16, float32 and float64, got int64"):
        functions(xp, np.dtype("int64"))
    assert set(TYPES) == set("efd")


def test_large_numbers_do_not_overflow_and_nan_stays(monkeypatch):
    for kind in ("lstm", "gru", "tanh", "relu", "sigmoid"):
        c = case(11, kind, "float32")
        big = c._replace(inputs={**c.inputs, "x": np.sign(c.inputs["x"]).astype(np.float32) * np.float32(1e4)})
        values, gradients, _ = on(big, "b", monkeypatch)
        assert all(np.isfinite(host(each)).all() for each in (*values.values(), *gradients.values()))
        nan = c._replace(inputs={**c.inputs, "x": np.full_like(c.inputs["x"], np.nan)})
        values, _, _ = on(nan, "b", monkeypatch)
        assert np.isnan(host(values["y"])).all()


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("letter", TYPES)
@pytest.mark.parametrize(("file", "count"), [("steps.cu", 10), ("tensors.cu", 8)])
def test_it_compiles_for_gpus_and_nothing_spills(file, count, letter, architecture, tmp_path):
    source = tmp_path / file
    source.write_text(TYPES[letter] + Path(device.__file__).with_name(file).read_text(encoding="utf-8"), encoding="utf-8")
    command = ["nvcc", f"-arch={architecture}", "-std=c++17", "-cubin", "-Xptxas=-v", "-Werror=all-warnings", "-o", str(tmp_path / "out")]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    spills = [line for line in done.stderr.splitlines() if "spill" in line]
    nothing = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
    assert len(spills) >= count and all(nothing in line for line in spills), done.stderr
