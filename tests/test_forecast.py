"""examples/forecast.py as people run it, and what it stands on: series.py and chosen.py."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
import minigrad_nn as nn

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import forecast
import series
from chosen import complete

EXAMPLES = Path(__file__).parents[1] / "examples"
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
pytestmark = pytest.mark.host_only("runs programs of its own, or names its device")


def run(*arguments):
    """What the program printed, which must end well."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / "forecast.py"), *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return done.stdout


def measured(printed):
    """{steps ahead: {name: error}} from the last two lines."""
    lines = [re.fullmatch(r"error (\d+) ahead: (.*)", line) for line in printed.strip().splitlines()[-2:]]
    pairs = {int(line[1]): re.findall(r"(\w+)[^,]*?(?:, \d+ values)? (\d+\.\d+)", line[2]) for line in lines}
    return {ahead: {name: float(value) for name, value in found} for ahead, found in pairs.items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(the folder of a quick run, what it printed)"""
    out = tmp_path_factory.mktemp("out")
    return out, run("--quick", "--out", out)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_quick_run_beats_the_naive_forecast(seed, trained, tmp_path):
    printed = run("--quick", "--seed", seed, "--out", tmp_path) if seed else trained[1]
    for ahead, errors in measured(printed).items():
        assert ahead in (1, 16)
        for kind in forecast.KINDS:
            assert 0 < errors[kind] < 0.9 * errors["naive"], (ahead, kind)


def test_a_quick_run_leaves_its_files(trained):
    out, printed = trained
    pytest.importorskip("matplotlib")
    assert {path.name for path in out.iterdir()} == {"model.safetensors", "errors.png", "forecasts.png"}
    assert all(str(path) in printed and path.stat().st_size > 0 for path in out.iterdir())


def test_saved_models_forecast_the_same(trained, tmp_path):
    out, printed = trained
    again = run("--quick", "--load", out / "model.safetensors", "--out", tmp_path)
    assert measured(again) == measured(printed)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_series_it_was_not_written_for(tmp_path):
    path = tmp_path / "mine.csv"
    rows = [f"{year};{100 * np.sin(year / 3) + 3 * year:.2f};x" for year in range(300)]
    path.write_text("year;height;remark\n" + "\n".join(rows) + "\n", encoding="utf-8")
    errors = measured(run("--quick", "--data", path, "--column", "height", "--changes", "--ahead", 4, "--out", tmp_path))
    assert errors[4]["RNN"] < errors[4]["naive"] / 2
    assert "--changes may do better" in run("--quick", "--data", path, "--column", 2, "--epochs", 1, "--out", tmp_path)


REFUSED = [
    (["--data", "{folder}/nothing"], "cannot read"),
    (["--data", "{folder}/empty"], "is empty"),
    (["--data", "{folder}/latin1"], "not UTF-8"),
    (["--data", "{folder}/words"], "line 3: 'b' in column a is no number"),
    (["--data", "{folder}/ragged"], "line 3: there is no column y"),
    (["--data", "{folder}/short"], "too few"),
    (["--data", "{folder}/flat"], "all alike"),
    (["--data", "{folder}/nan"], "no number"),
    (["--column", "nothing"], "it has month, nino1+2, nino3, nino3.4, nino4"),
    (["--column", "9"], "no column 9"),
    (["--column", "month"], "no number"),
    (["--window", "200"], "--window 200 must be less than"),
    (["--stretch", "10000"], "too few"),
    (["--ahead", "10000"], "too few"),
    (["--hidden", "0"], "at least 1"),
    (["--load", "{folder}/short"], "is no model"),
    (["--device", "abacus"], "--device abacus"),
]


@pytest.mark.parametrize("arguments, message", REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_cannot_be_done_is_refused_in_one_line(arguments, message, tmp_path, capsys):
    contents = {"empty": "# only this\n\n", "words": "a\n1\nb\n", "ragged": "x,y\n1,2\n3\n", "short": "1\n2\n3\n", "nan": "1\nnan\n"}
    for name, content in (contents | {"flat": "5\n" * 600}).items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "latin1").write_bytes(b"caf\xe9\n")
    with pytest.raises(SystemExit) as end:
        forecast.main(["--out", str(tmp_path / "out"), *(each.replace("{folder}", str(tmp_path)) for each in arguments)])
    assert end.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_sizes_that_contradict_the_file_are_refused(trained, tmp_path, capsys):
    with pytest.raises(SystemExit):
        forecast.main(["--load", str(trained[0] / "model.safetensors"), "--hidden", "5", "--out", str(tmp_path)])
    assert "--hidden 5, but the models" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- what it stands on


def test_options_left_out_are_filled_in_only_where_nothing_was_said():
    options = argparse.Namespace(hidden=None, lr=0.5)
    complete(argparse.ArgumentParser(), options, {"hidden": 3, "lr": 0.1}, {})
    assert options == argparse.Namespace(hidden=3, lr=0.5)


@pytest.mark.parametrize(
    "name, column, rows, first, last",
    [("elnino.csv", "nino3.4", 732, "1950-01", "2010-12"), ("seattle.csv", None, 1461, "2012-01-01", "2015-12-31")],
)
def test_the_series_that_are_shipped_are_whole(name, column, rows, first, last):
    assert len(series.read_series(str(EXAMPLES / "data" / name), column)[1]) == rows
    dates = [line.split(",")[0] for line in (EXAMPLES / "data" / name).read_text(encoding="utf-8").splitlines()[2:]]
    assert dates == sorted(set(dates)) and len(dates) == rows and (dates[0], dates[-1]) == (first, last)
    assert name in (EXAMPLES / "data" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("changes", [False, True])
def test_forecasts_in_units_of_the_series(changes):
    values = np.cumsum(np.random.default_rng(0).normal(size=200)) + 50
    found = series.prepare("walk", values, changes, 20, 5)
    z = np.stack([found.z[start : start + 5] for start in found.starts(5)])
    np.testing.assert_allclose(found.in_its_units(z), found.truth(5), atol=1e-4)
    np.testing.assert_array_equal(found.truth(5)[-1], values[-5:])
    np.testing.assert_array_equal(series.last_value(found, 5)[:, 0], values[-len(z) - 5 : -5])
    assert series.stretches(found, 7).shape == (found.train - 6, 7)
    np.testing.assert_array_equal(series.histories(found, 3, 5)[:, -1], found.z[-8:-5])


def test_least_squares_continues_a_sine_wave():
    found = series.prepare("sine", np.sin(np.arange(300) / 5), False, 20, 16)
    assert series.errors(series.least_squares(found, 4, 16), found.truth(16)).max() < 1e-3
    assert series.errors(series.last_value(found, 16), found.truth(16)).max() > 0.5


@pytest.mark.parametrize("kind", forecast.KINDS)
def test_a_forecast_step_by_step_is_what_the_model_says_of_its_own_forecasts(kind):
    mg.manual_seed(0)
    model = forecast.Window(4, 5) if kind == "MLP" else forecast.State(getattr(nn, kind), 5)
    x = mg.randn(9, 3)
    found = forecast.forecast(model, x, 3)
    for _ in range(3):
        with mg.no_grad():
            x = mg.cat([x, model(x)[0][-1:]])
    assert mg.allclose(found, x[9:], atol=1e-6)
    assert model(x)[0].shape == ((12 - 3, 3) if kind == "MLP" else (12, 3))


def test_on_a_device_as_strict_as_a_gpu(tmp_path, capsys):
    forecast.main(["--quick", "--epochs", "1", "--device", "strict", "--out", str(tmp_path)])
    assert set(measured(capsys.readouterr().out)) == {1, 16}
