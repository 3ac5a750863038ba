"""examples/char_lm.py as people run it: from the command line."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.host_only("runs a program of its own")
ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-W", "error", str(ROOT / "examples" / "char_lm.py")]
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # products this small only wait for threads
SENTENCES = "The cat sat on the mat. The dog lay on the log, and the frog in the bog.\n"
LAST_LINE = re.compile(r"held-out bits per character: LSTM (\d+\.\d+), 5-gram (\d+\.\d+)")


def run(*arguments, status=0):
    """What the program printed, after a check of how it ended."""
    command = [*PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def bits(output):
    """(LSTM's, 5-gram's) from the last line."""
    found = LAST_LINE.fullmatch(output.strip().splitlines()[-1])
    assert found, output
    return float(found[1]), float(found[2])


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(SENTENCES * 60, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    """(the folder of a finished run, what it printed)"""
    out = tmp_path_factory.mktemp("out")
    return out, run("--quick", "--text", text, "--epochs", 4, "--lr", 0.02, "--out", out)


def test_a_quick_run_learns_and_leaves_its_files(trained):
    out, printed = trained
    lstm, ngram = bits(printed)
    assert 0 < ngram < 1 and 0 < lstm < 3.5  # 4.2 bits would be a guess among its symbols
    expected = {"model.safetensors", "samples.txt", "graph.svg"} | ({"loss.png"} if importlib.util.find_spec("matplotlib") else set())
    assert {path.name for path in out.iterdir()} == expected
    for name in expected:
        assert str(out / name) in printed
        assert (out / name).stat().st_size > 0
    assert "<svg" in (out / "graph.svg").read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_run(trained, text, tmp_path):
    out, printed = trained
    again = run("--quick", "--text", text, "--epochs", 4, "--lr", 0.02, "--out", tmp_path)
    assert bits(again) == bits(printed)
    assert (tmp_path / "samples.txt").read_bytes() == (out / "samples.txt").read_bytes()
    assert (tmp_path / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_a_saved_model_can_be_sampled(trained, tmp_path):
    model = trained[0] / "model.safetensors"
    printed = run("--load", model, "--sample", 20, "--prefix", "The dog", "--out", tmp_path)
    for temperature in ("0.5", "0.8", "1.0"):
        assert f"--- temperature {temperature}\nThe dog" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["samples.txt"]
    assert run("--load", model, "--sample", 20, "--prefix", "The dog", "--out", tmp_path) == printed


def test_a_saved_model_can_be_trained_further(trained, text, tmp_path):
    out, printed = trained
    more = run("--quick", "--load", out / "model.safetensors", "--text", text, "--epochs", 1, "--lr", 0.001, "--out", tmp_path)
    assert bits(more)[0] < bits(printed)[0] + 0.05


def test_ctrl_c_keeps_what_was_learnt(text, tmp_path):
    model = tmp_path / "kept" / "model.safetensors"
    arguments = ["--quick", "--text", text, "--epochs", "100000", "--seconds", "60", "--save", model, "--out", tmp_path]
    command, pipes = [*PROGRAM, *map(str, arguments)], {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, text=True, encoding="utf-8", **pipes) as running:
        seen = ""
        while "training" not in seen and running.poll() is None:  # the bar appears once Ctrl-C is looked after
            seen += running.stderr.read(1)
        running.send_signal(signal.SIGINT)
        printed, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert "ended by Ctrl-C" in printed
    bits(printed)
    assert "--- temperature 1.0\n" in run("--load", model, "--sample", 5, "--out", tmp_path)


def test_the_time_limit_ends_training(text, tmp_path):
    printed = run("--quick", "--text", text, "--epochs", 100000, "--seconds", 0.3, "--out", tmp_path)
    assert "ended by the limit of 0.3 seconds" in printed
    bits(printed)


def test_a_chinese_text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("天地玄黄,宇宙洪荒。日月盈昃,辰宿列张。寒来暑往,秋收冬藏。\n" * 20, encoding="utf-8")
    bits(run("--quick", "--text", path, "--prefix", "日月", "--out", tmp_path))
    assert "日月" in (tmp_path / "samples.txt").read_text(encoding="utf-8")


def test_explain_prints_the_tape_with_its_numbers():
    printed = run("--explain")
    assert "tanh" in printed and "sigmoid" in printed
    assert re.search(r"-?\d+\.\d+", printed)


REFUSED = [
    (["--hidden", "-3"], "--hidden: must be at least 1"),
    (["--epochs", "0"], "--epochs: must be more than 0"),
    (["--lr", "nan"], "--lr: must be more than 0"),
    (["--window", "1.5"], "'1.5' is not a whole number"),
    (["--window", "100000"], "too short"),
    (["--seed", "-1"], "--seed: must be at least 0"),
    (["--sample", "5"], "--load FILE"),
    (["--device", "abacus"], "--device abacus"),
    (["--text", "{folder}/nothing"], "cannot read {folder}/nothing"),
    (["--text", "{folder}/empty"], "too short"),
    (["--text", "{folder}/short"], "too short"),
    (["--text", "{folder}/latin1"], "not UTF-8"),
    (["--load", "{folder}/nothing"], "there is no file {folder}/nothing"),
    (["--load", "{folder}/short"], "{folder}/short is no model"),
    (["--save", "{folder}"], "{folder} is a folder"),
    (["--out", "{folder}/short/deeper"], "cannot make the folder {folder}/short/deeper"),
    (["--prefix", ""], "--prefix is empty"),
    (["--prefix", "\N{SNOWMAN}"], "--prefix has characters"),
]
CALL_EACH = """
import contextlib, io, json, sys
import char_lm
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            char_lm.main(arguments)
        except SystemExit as end:
            print(json.dumps([end.code, errors.getvalue()]))
"""


def test_what_cannot_be_done_is_refused_in_one_line(tmp_path):
    for name, content in {"empty": b"", "short": b"short", "latin1": "caf\xe9".encode("latin-1")}.items():
        (tmp_path / name).write_bytes(content)
    calls = [["--out", str(tmp_path / "out"), *(each.replace("{folder}", str(tmp_path)) for each in given)] for given, _ in REFUSED]
    command = [sys.executable, "-W", "error", "-c", CALL_EACH, json.dumps(calls)]  # one process, for it takes longest to start
    done = subprocess.run(command, cwd=ROOT / "examples", env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", timeout=120)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(REFUSED), done.stderr
    for (given, message), (status, errors) in zip(REFUSED, answers):
        assert status == 2, given
        assert message.replace("{folder}", str(tmp_path)) in errors.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())  # no work was begun


def test_sizes_that_contradict_the_file_are_refused(trained, tmp_path):
    model = trained[0] / "model.safetensors"
    assert "has 32" in run("--load", model, "--hidden", 64, "--sample", 5, "--out", tmp_path, status=2)
