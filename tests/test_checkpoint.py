"""Checkpoints: a run that is killed again and again ends as one that never was; what does not fit changes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compare import host

import minigrad
import minigrad_nn as nn
from minigrad_nn import optim
from minigrad_nn.utils.data import DataLoader, TensorDataset

RUN = """
import os, random, signal, sys, time
import minigrad, minigrad_nn as nn
from minigrad_nn import optim
from minigrad_nn.utils.data import DataLoader, TensorDataset

def train(path, epochs):
    minigrad.manual_seed(1)
    rows = TensorDataset(minigrad.randn(40, 3), minigrad.randn(40, 1))
    loader = DataLoader(rows, 4, shuffle=True)
    own = minigrad.Generator().manual_seed(5)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    scheduler = optim.lr_scheduler.SequentialLR(optimizer, [
        optim.lr_scheduler.LinearLR(optimizer, total_iters=30), optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)], [30])
    run = dict(model=model, optimizer=optimizer, scheduler=scheduler, loader=loader, generators={"noise": own})
    first = nn.load_checkpoint(path, **run)["epoch"] if os.path.exists(path) else 0
    for epoch in range(first, epochs):
        for x, y in loader:
            x = x + 0.1 * minigrad.randn(*x.shape, generator=own)
            optimizer.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            optimizer.step()
            scheduler.step()
            nn.save_checkpoint(path, epoch=epoch, **run)
    minigrad.save([*model.state_dict().values()], path + ".weights")

folder, epochs, kills = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
began = time.monotonic()
train(folder + "/whole", epochs)
took, dice, path, killed = time.monotonic() - began, random.Random(int(sys.argv[4])), folder + "/killed", 0
print(f"{took:.2f} s without interruption", flush=True)
while True:
    child = os.fork()
    if child == 0:
        try:
            train(path, epochs)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    if killed < kills:
        time.sleep(dice.uniform(0, took / kills))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status):
        print("ended", os.WEXITSTATUS(status), "after", killed, "kills", flush=True)
        break
    killed += 1
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_run_killed_twenty_times_ends_as_one_that_never_was(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(nn.__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", RUN, str(tmp_path), "40", "20", "7"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0 and "ended 0 after 20 kills" in done.stdout, done.stdout + done.stderr
    whole, killed = (minigrad.load(tmp_path / f"{name}.weights") for name in ("whole", "killed"))
    for expected, got in zip(whole, killed, strict=True):
        np.testing.assert_array_equal(got.cpu().numpy(), expected.cpu().numpy())


# --------------------------------------------------------------------------------------------------- what does not fit


def a_run(hidden=4, rows=12, seed=0):
    minigrad.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, hidden), nn.Dropout(0.5), nn.Linear(hidden, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    generator = minigrad.Generator().manual_seed(seed)
    loader = DataLoader(TensorDataset(minigrad.randn(rows, 3)), 2, shuffle=True, generator=generator)
    run = {"model": model, "optimizer": optimizer, "scheduler": optim.lr_scheduler.StepLR(optimizer, 3), "loader": loader}
    return {**run, "generators": {"own": minigrad.Generator().manual_seed(seed)}}


def train(run, batches):
    for (x,), _ in zip(run["loader"], range(batches), strict=False):
        run["optimizer"].zero_grad()
        run["model"](x).sum().backward()
        run["optimizer"].step()
        run["scheduler"].step()
        minigrad.rand(1, generator=run["generators"]["own"])


def everything(run):
    """All states of a run, as text that tells any change."""
    states = [run[name].state_dict() for name in ("model", "optimizer", "scheduler", "loader")]
    streams = [run["generators"]["own"].get_state().tolist(), minigrad.get_rng_state().tolist()]
    return repr([*states, streams]), [host(each).tobytes() for each in run["model"].parameters()]


def test_everything_comes_back_and_extra_is_returned(tmp_path):
    path, run = tmp_path / "run", a_run()
    train(run, 4)
    nn.save_checkpoint(path, **run, epoch=3, losses=[1.5, 0.5], best={"weight": minigrad.ones(2)})
    expected = everything(run)
    other = a_run(seed=9)
    extra = nn.load_checkpoint(path, **other)
    assert everything(other) == expected
    assert extra["epoch"] == 3 and extra["losses"] == [1.5, 0.5] and extra["best"]["weight"].tolist() == [1, 1]


def test_a_model_alone_leaves_the_default_stream(tmp_path):
    run = a_run()
    nn.save_checkpoint(tmp_path / "run", **run)
    model, stream = a_run(seed=9)["model"], minigrad.get_rng_state().tolist()
    assert nn.load_checkpoint(tmp_path / "run", model=model) == {}
    assert minigrad.get_rng_state().tolist() == stream
    assert all((host(a) == host(b)).all() for a, b in zip(model.parameters(), run["model"].parameters(), strict=True))


@pytest.mark.parametrize("part", ["model", "optimizer", "scheduler", "loader", "generators"])
def test_a_part_that_does_not_fit_changes_nothing(tmp_path, part):
    path, run = tmp_path / "run", a_run()
    train(run, 5)
    nn.save_checkpoint(path, **run)
    other = a_run(seed=9)
    train(other, 1)
    before = everything(other)
    optimizer = other["optimizer"]
    wrong = {
        "model": nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.Linear(5, 1)),
        "optimizer": optim.Adam([minigrad.ones(1, requires_grad=True)]),
        "scheduler": optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
        "loader": DataLoader(range(2), 2, generator=minigrad.Generator(), shuffle=True),
        "generators": {"another": minigrad.Generator()},
    }
    before = everything(other)
    with pytest.raises((RuntimeError, ValueError)):
        nn.load_checkpoint(path, **{**other, part: wrong[part]})
    assert everything(other) == before


def test_what_was_not_saved_cannot_be_loaded(tmp_path):
    run = a_run()
    nn.save_checkpoint(tmp_path / "run", model=run["model"])
    for part in ("optimizer", "scheduler", "loader", "generators"):
        with pytest.raises(ValueError, match="saved"):
            nn.load_checkpoint(tmp_path / "run", model=run["model"], **{part: run[part]})


def test_damaged_and_foreign_files_are_one_clear_error(tmp_path):
    path, run = tmp_path / "run", a_run()
    train(run, 2)
    nn.save_checkpoint(path, **run)
    whole, before = path.read_bytes(), everything(run)
    for length in (0, 1, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(RuntimeError, match="run"):
            nn.load_checkpoint(path, **run)
    for foreign in ({"weight": minigrad.ones(2)}, [1], {"kind": "minigrad checkpoint", "version": 99}):
        minigrad.save(foreign, path)
        with pytest.raises(RuntimeError, match="checkpoint"):
            nn.load_checkpoint(path, **run)
    with pytest.raises(FileNotFoundError):
        nn.load_checkpoint(tmp_path / "none", **run)
    assert everything(run) == before


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    path, run = tmp_path / "run", a_run()
    nn.save_checkpoint(path, **run, epoch=1)
    with pytest.raises(TypeError, match="extra"):
        nn.save_checkpoint(path, **run, epoch=2, what=object())
    assert nn.load_checkpoint(path, **run) == {"epoch": 1} and os.listdir(tmp_path) == ["run"]
    with pytest.raises(FileNotFoundError):
        nn.save_checkpoint(tmp_path / "none" / "run", **run)
