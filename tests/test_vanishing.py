"""examples/vanishing.py as people run it, and what it measures."""

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
import vanishing
from adding import CHANCE, adding_problem

EXAMPLES = Path(__file__).parents[1] / "examples"
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
pytestmark = pytest.mark.host_only("runs programs of its own, or names its device")
LAST_LINE = re.compile(
    r"steps until a gradient is a thousandth, at gain 1, of (\d+): RNN, sigmoid (\d+); RNN, tanh (\d+); LSTM, f open (\d+)"
)


def run(*arguments):
    """What the program printed, which must end well."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / "vanishing.py"), *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return done.stdout


def row(printed, begins):
    """The numbers of the first line that begins so."""
    line = next(line for line in printed.splitlines() if line.startswith(begins + "  "))
    return [float(each) for each in re.findall(r"\d+(?:\.\d+)?(?:e[+-]\d+)?", line[len(begins) :])]


def errors(printed, T):
    """(RNN's, LSTM's, GRU's) on the adding problem."""
    line = next(line for line in printed.splitlines() if line.startswith(f"{T} steps "))
    return [float(each) for each in re.findall(r"(\d+\.\d+) (?:solved|failed)", line)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(the folder of a quick run, what it printed)"""
    out = tmp_path_factory.mktemp("out")
    return out, run("--quick", "--out", out)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_quick_run_shows_what_it_is_about(seed, trained, tmp_path):
    printed = run("--quick", "--seed", seed, "--out", tmp_path) if seed else trained[1]
    steps, sigmoid, _, lstm = map(int, LAST_LINE.fullmatch(printed.strip().splitlines()[-1]).groups())
    assert sigmoid < 20 and lstm == steps
    far = printed[printed.index("59 steps back") :]
    assert row(far, "RNN, tanh")[0] < 1e-10 and row(far, "RNN, tanh")[2] > 1e2  # gains 0.5 and 2
    assert all(0.01 < each < 100 for each in row(far, "LSTM, f open")[:2])
    rnn, _, gru = errors(printed, 30)
    assert gru < CHANCE / 10 < rnn
    assert max(errors(printed, 5)) < CHANCE / 2


def test_it_says_how_gradients_explode(trained):
    printed = trained[1]
    assert re.search(r"without clipping: loss \S+, its gradient \S+; loss after one update (nan|inf)", printed)
    assert float(re.search(r"clipped to norm 1: .* after \d+ (\S+)", printed)[1]) < 1
    assert "RuntimeError: the norm of order 2.0 of the gradients is nan" in printed
    assert re.search(r"RuntimeError: forward: the first \w+ in a value came out of linear \(node \d+, rnn step=\d+", printed)


def test_saturated_units_are_flat(trained):
    rows = [row(trained[1][trained[1].index("Saturation") :], gain) for gain in ("0.5", "1", "2", "4", "8")]
    slopes, saturated = [each[1] for each in rows], [each[2] for each in rows]
    assert slopes == sorted(slopes, reverse=True) and slopes[-1] < 0.2 < 0.9 < slopes[0]
    assert saturated == sorted(saturated) and saturated[-1] > 50


def test_a_quick_run_leaves_its_files(trained):
    out, printed = trained
    pytest.importorskip("matplotlib")
    assert {path.name for path in out.iterdir()} == {"model.safetensors", "gradients.png", "adding.png", "rnn_lstm.svg"}
    assert all(str(path) in printed and path.stat().st_size > 0 for path in out.iterdir())
    assert "∂L" in (out / "rnn_lstm.svg").read_text(encoding="utf-8")


def test_saved_models_add_as_well(trained, tmp_path):
    out, printed = trained
    again = run("--load", out / "model.safetensors", "--quick", "--out", tmp_path)
    for T in (5, 30):
        np.testing.assert_allclose(errors(again, T), errors(printed, T), rtol=0.5, atol=0.002)  # other problems, so other errors
    assert "updates" not in again and not (tmp_path / "model.safetensors").exists()


REFUSED = [
    (["--lengths", "1"], "at least 2"),
    (["--lengths"], "expected at least one argument"),
    (["--steps", "0"], "at least 2"),
    (["--lr", "nan"], "more than 0"),
    (["--epochs", "0"], "at least 1"),
    (["--load", "{folder}/nothing"], "there is no file"),
    (["--load", "{folder}/short"], "is no model"),
    (["--device", "abacus"], "--device abacus"),
]


@pytest.mark.parametrize("arguments, message", REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_cannot_be_done_is_refused_in_one_line(arguments, message, tmp_path, capsys):
    (tmp_path / "short").write_text("short", encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        vanishing.main(["--quick", "--out", str(tmp_path / "out"), *(each.replace("{folder}", str(tmp_path)) for each in arguments)])
    assert end.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("T", [2, 3, 10])
def test_the_adding_problem_marks_one_number_of_each_half(T):
    x, y = adding_problem(T, 500, "cpu")
    numbers, marks = x[:, :, 0].numpy(), x[:, :, 1].numpy()
    assert set(np.unique(marks)) <= {0.0, 1.0}
    assert (marks[: T // 2].sum(0) == 1).all() and (marks[T // 2 :].sum(0) == 1).all()
    np.testing.assert_allclose((numbers * marks).sum(0), y.numpy(), rtol=1e-6)
    assert ((y.numpy() - 1) ** 2).mean() == pytest.approx(CHANCE, rel=0.25)


def test_the_gradients_are_those_of_the_chain_rule():
    mg.manual_seed(0)
    cell, x, toward = vanishing.with_gain(nn.RNNCell(1, 4), 1.5), mg.randn(6, 2, 1), mg.randn(2, 4)
    norms = vanishing.gradient_norms(cell, x, toward)["h"]
    with mg.no_grad():
        h, states = None, []
        for each in x:
            h = cell(each, h)
            states.append(h.numpy())
    gradient, W = toward.numpy(), cell.weight_hh.detach().numpy()
    np.testing.assert_allclose(W @ W.T, 1.5**2 * np.eye(4), atol=1e-5)
    for distance, h in enumerate(reversed(states)):
        assert norms[distance] == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
        gradient = (gradient * (1 - h**2)) @ W
    assert set(vanishing.gradient_norms(nn.LSTMCell(1, 4), x, toward)) == {"h", "c"}


def test_how_far_a_gradient_reaches():
    assert vanishing.reach(0.1 ** np.arange(10.0)) == 4
    assert vanishing.reach(np.ones(7)) == 7


def test_on_a_device_as_strict_as_a_gpu(tmp_path, capsys):
    sizes = ["--epochs", "1", "--steps", "5", "--hidden", "8", "--lengths", "4"]
    vanishing.main(["--quick", "--device", "strict", *sizes, "--out", str(tmp_path)])
    assert LAST_LINE.fullmatch(capsys.readouterr().out.strip().splitlines()[-1])
