"""examples/char_lm.py and compare_cells.py as people run them: from the command line."""

import hashlib
import importlib
import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.host_only("runs a program of its own")
ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-W", "error", str(ROOT / "examples" / "char_lm.py")]
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # products this small only wait for threads
SENTENCES = "The cat sat on the mat. The dog lay on the log, and the frog in the bog.\n"
LAST_LINE = re.compile(r"held-out bits per character: (?:RNN|LSTM|GRU) (\d+\.\d+), [25]-gram (\d+\.\d+)")
TINY = ["--embedding", 4, "--hidden", 8, "--batch", 4, "--window", 10]


def run(*arguments, status=0, program="char_lm.py"):
    """What the program printed, after a check of how it ended."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / program), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def bits(output):
    """(the network's, the n-gram model's) from the last line."""
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
    return out, run("--quick", "--text", text, "--epochs", 20, "--out", out)


def test_a_quick_run_learns_and_leaves_its_files(trained):
    out, printed = trained
    lstm, ngram = bits(printed)
    assert 1 < ngram < 1.5 and 0 < lstm < ngram - 0.5  # a bigram model of this text; 4.5 bits would be a guess among its symbols
    pictures = {"loss.png", "growth.png"} if importlib.util.find_spec("matplotlib") else set()
    expected = {"model.safetensors", "samples.txt", "graph.svg"} | pictures
    assert {path.name for path in out.iterdir()} == expected
    for name in expected:
        assert str(out / name) in printed
        assert (out / name).stat().st_size > 0
    assert "<svg" in (out / "graph.svg").read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_run(trained, text, tmp_path):
    out, printed = trained
    again = run("--quick", "--text", text, "--epochs", 20, "--out", tmp_path)
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


def test_a_saved_model_is_measured_and_with_epochs_trained_further(trained, text, tmp_path):
    out, printed = trained
    given = ["--quick", "--load", out / "model.safetensors", "--text", text, "--out", tmp_path]
    again = run(*given)
    assert bits(again) == bits(printed) and "trained on" not in again and not (tmp_path / "model.safetensors").exists()
    assert bits(run(*given, "--epochs", 1, "--lr", 0.001))[0] < bits(printed)[0] + 0.05


@pytest.mark.parametrize("seed", range(3))
def test_a_quick_run_beats_the_bigram_model(seed, tmp_path):
    printed = run("--quick", "--seed", seed, "--out", tmp_path)
    lstm, ngram = bits(printed)
    assert "2-gram" in printed.splitlines()[-1] and 3 < ngram < 3.6
    assert lstm < ngram - 0.4


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_other_cells_and_more_layers(cell, text, tmp_path):
    printed = run("--text", text, *TINY, "--cell", cell, "--layers", 2, "--epochs", 0.5, "--out", tmp_path)
    assert printed.splitlines()[-1].startswith(f"held-out bits per character: {cell.upper()} ")
    assert cell.upper() + " parameters" in printed
    model = tmp_path / "model.safetensors"
    assert "The" in run("--load", model, "--sample", 3, "--out", tmp_path)
    assert "has " + cell in run("--load", model, "--cell", "lstm", "--sample", 3, "--out", tmp_path, status=2)


def test_the_table_of_growth_counts_what_is_there(trained):
    rows = [line.split() for line in trained[1].splitlines() if re.match(r"\d-gram ", line)]
    counts = [int(row[2].replace(",", "")) for row in rows]
    train_part = (SENTENCES * 60)[: len(SENTENCES) * 60 * 9 // 10]
    seen = [len({train_part[i : i + n] for i in range(len(train_part) - n + 1)}) for n in range(1, 9)]
    for n, count in enumerate(counts, 1):
        assert sum(seen[:n]) <= count <= sum(seen[:n]) + n * (n - 1)  # the text's first characters have contexts of their own
    assert len({row[4] for row in rows}) == 1  # the network's parameters


# ------------------------------------------------------------------------------------------------------ interrupted runs


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(("cell", "kills"), [("lstm", 5), ("gru", 2)])
def test_a_run_killed_and_resumed_ends_as_one_that_never_was(cell, kills, text, tmp_path):
    given = ["--text", text, *TINY, "--cell", cell, "--epochs", 5, "--out", tmp_path / "out"]
    run(*given, "--save", tmp_path / "whole")  # without --resume
    command, dice = [*PROGRAM, *map(str, [*given, "--save", tmp_path / "killed", "--resume", tmp_path / "killed.run"])], random.Random(4)
    found = []
    for _ in range(kills):
        with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            while "training" not in process.stderr.read(8) and process.poll() is None:
                pass
            time.sleep(dice.uniform(0, 0.6))
            process.kill()
        found.append((tmp_path / "killed.run").exists())
    run(*command[len(PROGRAM) :])
    assert any(found)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "killed").read_bytes()


def test_a_finished_run_is_only_measured_again(text, tmp_path):
    given = ["--text", text, *TINY, "--epochs", 1, "--resume", tmp_path / "run", "--out", tmp_path]
    assert bits(run(*given)) == bits(run(*given))
    assert "is no run" in run(*given, "--resume", tmp_path / "model.safetensors", status=2)
    assert "begun with lr 0.01, not 0.5" in run(*given, "--lr", 0.5, status=2)
    shorter = tmp_path / "shorter"
    shorter.write_text(SENTENCES * 59, encoding="utf-8")
    assert "begun with text" in run("--text", shorter, *given[2:], status=2)


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


def test_a_chinese_text_trains_samples_and_draws_with_its_own_characters(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("天地玄黄,宇宙洪荒。日月盈昃,辰宿列张。寒来暑往,秋收冬藏。\n" * 40, encoding="utf-8")
    network, _ = bits(run("--quick", "--text", path, "--prefix", "日月", "--epochs", 60, "--out", tmp_path))
    assert network < 1  # it is known by heart
    samples = (tmp_path / "samples.txt").read_text(encoding="utf-8")
    assert "日月盈昃" in samples and "\N{REPLACEMENT CHARACTER}" not in samples
    graph = (tmp_path / "graph.svg").read_text(encoding="utf-8")
    assert all(f"t = {t}: {glyph} and " in graph for t, glyph in enumerate("天地玄黄,宇"))


def test_all_cells_beside_each_other(tmp_path):
    printed = run("--quick", "--epochs", 1, "--out", tmp_path, program="compare_cells.py")
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line.startswith(("RNN ", "LSTM ", "GRU "))}
    parameters = {cell: int(row[1].replace(",", "")) for cell, row in rows.items()}
    assert parameters["LSTM"] == 4 * parameters["RNN"] and parameters["GRU"] == 3 * parameters["RNN"]
    found = [float(each) for each in re.findall(r"(?:RNN|LSTM|GRU|2-gram) (\d+\.\d+)", printed.splitlines()[-1])]
    assert len(found) == 4 and max(found[:3]) < found[3]
    again = run("--quick", "--load", tmp_path / "model.safetensors", "--out", tmp_path, program="compare_cells.py")
    assert again.splitlines()[-1] == printed.splitlines()[-1]


# -------------------------------------------------------------------------------------------------------------- downloads


@pytest.fixture
def downloads(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    return importlib.import_module("downloads")


def source_of(downloads, path, algorithm="sha256"):
    return downloads.Source(path.as_uri(), algorithm, hashlib.new(algorithm, path.read_bytes()).hexdigest())


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_what_is_fetched_is_verified_and_kept(downloads, text, tmp_path, algorithm):
    there, cache = tmp_path / "there", tmp_path / "cache" / "deep"
    there.write_bytes(text.read_bytes())
    source = source_of(downloads, there, algorithm)
    kept = downloads.fetch("name", source, cache)
    assert kept.read_bytes() == text.read_bytes() and [each.name for each in cache.iterdir()] == ["name.txt"]
    there.unlink()
    assert downloads.fetch("name", source, cache) == kept  # from the cache
    kept.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"cannot fetch name from file:.*--text FILE"):
        downloads.fetch("name", source, cache)
    there.write_bytes(text.read_bytes())
    assert downloads.fetch("name", source, cache).read_bytes() == text.read_bytes()


def test_another_text_than_expected_is_refused_and_not_kept(downloads, text, tmp_path):
    there = tmp_path / "there"
    there.write_bytes(b"expected")
    source = source_of(downloads, there)
    there.write_bytes(b"something else")
    with pytest.raises(ValueError, match="14 bytes whose sha256 is not"):
        downloads.fetch("name", source, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_nothing_is_fetched_unless_asked_for_and_offline_is_one_line(downloads, monkeypatch, tmp_path, capsys):
    asked = []

    def refuse(url, timeout):
        asked.append(url)
        raise downloads.urllib.request.URLError("no network here")

    monkeypatch.setattr(downloads.urllib.request, "urlopen", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    char_lm = importlib.import_module("char_lm")
    assert asked == []
    for name, source in downloads.TEXTS.items():
        assert len(source.digest) == 2 * hashlib.new(source.algorithm).digest_size and source.url.startswith("https://")
        with pytest.raises(SystemExit) as end:
            char_lm.main(["--download", name, "--out", str(tmp_path / "out")])
        assert end.value.code == 2
        assert f"cannot fetch {name} from {source.url} (no network here)" in capsys.readouterr().err.splitlines()[-1]
    assert len(asked) == 2


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
    (["--sample", "5", "--load", "{folder}/x", "--text", "{folder}/nothing"], "leave --text out"),
    (["--sample", "5", "--load", "{folder}/x", "--epochs", "2"], "leave --epochs out"),
    (["--cell", "elman"], "--cell: invalid choice: 'elman'"),
    (["--download", "bible"], "--download: invalid choice: 'bible'"),
    (["--resume", "{folder}"], "--resume {folder}: name a file"),
    (["--resume", "{folder}/nothing/run"], "--resume {folder}/nothing/run: name a file"),
    (["--quick", "--resume", "{folder}/short"], "{folder}/short is no run"),
    (["--text", "{folder}/nul"], "character 3 is a NUL"),
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
    for name, content in {"empty": b"", "short": b"short", "latin1": "caf\xe9".encode("latin-1"), "nul": b"abc\0" * 9999}.items():
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
    assert "has 64" in run("--load", model, "--hidden", 65, "--sample", 5, "--out", tmp_path, status=2)
