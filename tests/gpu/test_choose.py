"""Which kernel computes a layer: by device, by what serves, by name; and that a name which cannot compute it is told."""

import importlib.util
from types import SimpleNamespace

import cuda_on_cpu
import numpy as np
import pytest
from compare import host

import minigrad as mg
import minigrad_nn as nn
from minigrad import backend
from minigrad_nn.kernels import compiled, device
from minigrad_nn.kernels.choose import ARRAYS, DESIGNS, choose, known

pytestmark = pytest.mark.host_only("names its devices")
FLOAT, NUMBA = np.dtype("float32"), importlib.util.find_spec("numba") is not None
CPU, GPU = backend.CPU, backend.on(mg.device("strict"))


@pytest.fixture(autouse=True)
def _no_wish(monkeypatch):
    monkeypatch.delenv("MINIGRAD_KERNEL", raising=False)


@pytest.fixture
def small(monkeypatch):
    """A design that serves H < 4 only, tried before the others."""
    made = SimpleNamespace(rnn="small rnn", lstm="small lstm", gru="small gru", serves=lambda kind, H, dtype, xp, **options: H < 4)
    others = dict(DESIGNS)
    DESIGNS.clear()
    DESIGNS.update(small=made, **others)
    yield made
    del DESIGNS["small"]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_cpu_takes_compiled_loops_and_a_gpu_the_first_design_that_serves(cell, small):
    plain = getattr(ARRAYS, cell)
    assert choose(cell, 5, FLOAT, CPU) is choose(cell, 3, FLOAT, CPU) is (getattr(compiled, cell) if NUMBA else plain)
    assert choose(cell, 5, np.dtype("float64"), CPU) is choose(cell, 5, FLOAT, CPU, "arrays") is plain
    assert choose(cell, 5, FLOAT, GPU) is getattr(device, cell)
    assert choose(cell, 3, FLOAT, GPU) == f"small {cell}"
    assert choose(cell, 3, FLOAT, GPU, "arrays") is plain
    assert choose(cell, 3, FLOAT, GPU, "b") is getattr(device, cell)


def test_what_cannot_compute_the_layer_is_told(small):
    with pytest.raises(ValueError, match=r"of the kernels tried \(small\), none computes this lstm of H=5, float32, projection=True"):
        choose("lstm", 5, FLOAT, GPU, "small", projection=True)
    with pytest.raises(ValueError, match="runs on a GPU, and this layer is on the CPU"):
        choose("lstm", 5, FLOAT, CPU, "b")
    with pytest.raises(ValueError, match="runs on the CPU, and this layer is on a GPU"):
        choose("lstm", 5, FLOAT, GPU, "compiled")
    with pytest.raises(ValueError, match=r"of the kernels tried \(small, d1, d2, b\), none"):
        choose("lstm", 5, np.dtype("int64"), GPU)
    for call in (known, lambda name: nn.path("fused", name), lambda name: choose("lstm", 5, FLOAT, GPU, name)):
        with pytest.raises(ValueError, match="kernel must be 'compiled' or 'arrays' or 'small' or 'd1' or 'd2' or 'b', got 'c'"):
            call("c")
    with pytest.raises(ValueError, match="computes on the path 'fused', got kernel='b' for 'stepwise'"):
        nn.path("stepwise", "b")


def test_the_environment_speaks_for_gpus_only(monkeypatch):
    monkeypatch.setenv("MINIGRAD_KERNEL", "arrays")
    assert choose("lstm", 5, FLOAT, GPU) is ARRAYS.lstm and choose("lstm", 5, FLOAT, GPU, "b") is device.lstm
    monkeypatch.setenv("MINIGRAD_KERNEL", "b")
    assert choose("lstm", 5, FLOAT, CPU) is (compiled if NUMBA else ARRAYS).lstm and choose("lstm", 5, FLOAT, GPU) is device.lstm
    monkeypatch.setenv("MINIGRAD_KERNEL", "nothing")
    with pytest.raises(ValueError, match="got 'nothing'"):
        choose("lstm", 5, FLOAT, GPU)


@pytest.mark.skipif(cuda_on_cpu.COMPILER is None, reason="g++ is missing")
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_layers_compute_with_what_was_asked_for(kind):
    found = {}
    for where, kernel in (("cpu", None), ("strict", None), ("strict", "b"), ("strict", "arrays")):
        mg.manual_seed(1)
        layer = getattr(nn, kind)(3, 4, 2, bidirectional=True).to(where)
        x = mg.randn(5, 2, 3, device="cpu").to(where)
        cuda_on_cpu.launched.clear()
        with nn.path("fused", kernel=kernel):
            y, _ = layer(x)
        y.square().sum().backward()
        assert bool(cuda_on_cpu.launched) == (where == "strict" and kernel != "arrays")
        found[where, kernel] = [host(each) for each in (y, *[p.grad for p in layer.parameters()])]
    for each in found.values():
        for one, other in zip(each, found["cpu", None], strict=True):
            np.testing.assert_allclose(one, other, 1e-4, 1e-5)


def test_blocks_end():
    layer = nn.LSTM(3, 4)
    with nn.path("fused", "arrays"), nn.path("stepwise"), nn.path("fused"):
        layer(mg.zeros(2, 1, 3))
    with nn.path("fused", "b"), pytest.raises(ValueError, match="on the CPU"):
        layer(mg.zeros(2, 1, 3))
    layer(mg.zeros(2, 1, 3))
