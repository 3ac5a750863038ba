"""Checkpointed layers: what they keep grows with √T, and cells that are none are refused before anything runs."""

import tracemalloc

import pytest

import minigrad as mg
import minigrad_nn as nn

pytestmark = pytest.mark.host_only("counts bytes of the host")


def kept_by(layer, steps):
    """Bytes that a forward pass leaves behind beside its output."""
    x = mg.randn(steps, 4, 8)
    layer(x)  # whatever is set up once
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    output, _states = layer(x)
    kept = tracemalloc.get_traced_memory()[0] - before - output.array.nbytes
    tracemalloc.stop()
    return kept


@pytest.mark.parametrize("bidirectional", [False, True])
def test_windows_keep_a_tenth_and_grow_with_the_root(bidirectional):
    plain = nn.LSTM(8, 32, bidirectional=bidirectional)
    windows = nn.LSTM(8, 32, bidirectional=bidirectional, checkpoint=True)
    assert kept_by(windows, 10_000) < kept_by(plain, 10_000) / 50
    assert kept_by(windows, 6400) < 3 * kept_by(windows, 1600)  # 2 of √4, and what every call keeps


@pytest.mark.parametrize("cell", [3, None, nn.GRUCell])
def test_what_is_no_cell_is_refused(cell):
    for make in (nn.Scan, lambda cell: nn.Stacked([cell]), lambda cell: nn.Bidirectional(cell, cell)):
        with pytest.raises(TypeError, match="cell"):
            make(cell)
