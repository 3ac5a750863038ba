"""Training steps of the examples: on a GPU they wait for it once in twenty steps."""

import sys
from pathlib import Path

import numpy as np
import pytest
import strict

import minigrad as mg

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import char_lm
import options as command_line
import running
import stopping

pytestmark = pytest.mark.host_only("names its devices")


@pytest.mark.parametrize(("where", "reads"), [("cpu", 45), ("strict", 4)])  # the first, twice twenty, and what is left
def test_losses_are_read_together(where, reads, monkeypatch):
    counted, stack = [], mg.stack
    monkeypatch.setattr(mg, "stack", lambda given: counted.append(len(given)) or stack(given))
    losses = running.Losses()
    assert np.isnan(losses.last)
    for step in range(45):
        losses.add(mg.tensor(float(step), device=where, requires_grad=True))
        assert losses.last == (step if where == "cpu" else step // 20 * 20)
    assert losses.all() == list(range(45)) == losses.all() and len(counted) == reads and sum(counted) == 45


def test_the_character_model_trains_without_waiting_in_between(tmp_path):
    options = command_line.parser().parse_args(["--out", str(tmp_path), "--quick"])
    for name, value in {"window": 5, "batch": 4, "epochs": 1, "lr": 0.01, "device": "strict"}.items():
        setattr(options, name, value)
    model = char_lm.CharLM(7, 3, 4, 1).to("strict")
    numbers = np.random.default_rng(0).integers(0, 7, 500)
    with strict.counting() as counted:
        bits = char_lm.train(model, numbers, options, stopping.Stopper(1e9))
    assert len(bits) == 24 and all(np.isfinite(bits))
    assert counted.waits.count("tolist") == 3 and set(counted.waits) == {"tolist", "bool"}  # whether ids were out of range comes after
