"""Layers of two directions, many times in a row without a wait: on a GPU, where their kernels run at once, a race would show.

On the strict device, where everything comes in order, the same is tried on small sizes; whether waits are missing there,
../test_streams.py tells.
"""

import cuda_on_cpu
import numpy as np
import pytest
from compare import host

import minigrad as mg
import minigrad_nn as nn

ON = "cuda" if mg.get_default_device().type == "cuda" else "strict"
pytestmark = pytest.mark.skipif(ON == "strict" and cuda_on_cpu.COMPILER is None, reason="design b needs g++ here")
SIZES = [(60, 33, 64), (60, 33, 300), (60, 5, 512), (20, 200, 100), (60, 1, 700)] if ON == "cuda" else [(5, 3, 4)]  # T, B, H
TIMES = 30 if ON == "cuda" else 2


@pytest.fixture(autouse=True)
def _on_the_device(_default_device):
    mg.set_default_device(ON)
    yield


def step(layer, x, given):
    output, last = layer(given)
    output = output.data if isinstance(output, nn.utils.rnn.PackedSequence) else output
    last = last if isinstance(last, tuple) else (last,)
    grads = mg.autograd.grad((output**2).mean() + sum((each**2).mean() for each in last), [x, *layer.parameters()])
    return [output.detach(), *(each.detach() for each in last), *grads]


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_same_every_time_and_as_one_after_the_other(sizes, packed, kind):
    T, B, H = sizes
    mg.manual_seed(1)
    layer, x = getattr(nn, kind)(7, H, 2, bidirectional=True), mg.randn(T, B, 7, requires_grad=True)
    lengths = mg.tensor(sorted(np.random.default_rng(1).integers(1, T + 1, B).tolist(), reverse=True), device="cpu")
    given = nn.utils.rnn.pack_padded_sequence(x, lengths) if packed else x
    with nn.path("fused", kernel="b"):
        want = [host(each) for each in step(layer, x, given)]
    found = [step(layer, x, given) for _ in range(TIMES)]
    for each in found:
        for first, value, expected in zip(found[0], each, want, strict=True):
            np.testing.assert_array_equal(host(value), host(first))
            np.testing.assert_allclose(host(value), expected, 1e-3, 1e-4 * max(1e-3, np.abs(expected).max()))
