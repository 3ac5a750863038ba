"""examples/fill_gap.py: what follows a gap helps, and neither direction has seen the gap."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg

pytestmark = pytest.mark.host_only("runs a program of its own")
ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
LAST_LINE = re.compile(
    r"gaps filled right: both directions (\d+\.\d)%; one direction (\d+\.\d)%; 5-gram, both sides (\d+\.\d)%; 5-gram (\d+\.\d)%"
)
SENTENCES = "The cat sat on the mat. The dog lay on the log, and the frog in the bog.\n"


def run(*arguments, status=0):
    """What the program printed, after a check of how it ended."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "fill_gap.py"), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def shares(printed):
    """(both directions, one direction, 5-gram of both sides, 5-gram): gaps filled right, in percent, from the last line."""
    found = LAST_LINE.fullmatch(printed.strip().splitlines()[-1])
    assert found, printed
    return tuple(map(float, found.groups()))


def bits(printed):
    """Bits per gap by model, from the table."""
    rows = [re.split(r"  +", line) for line in printed.splitlines() if re.search(r"\d\.\d%  +\d+\.\d{3}$", line)]
    return {row[0]: float(row[-1]) for row in rows}


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    return importlib.import_module("fill_gap"), importlib.import_module("gaps")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(SENTENCES * 60, encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", range(2))
def test_a_quick_run_fills_more_gaps_with_both_directions(seed, tmp_path):
    printed = run("--quick", "--seed", seed, "--out", tmp_path)
    both, one, both_sides, ngram = shares(printed)
    assert both > one + 8 and both > ngram + 8 and both > both_sides - 1.5  # 4000 gaps: one standard error is half a percent
    found = bits(printed)
    assert found["both directions"] < min(each for name, each in found.items() if name != "both directions") - 0.1


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("both", [True, False])
def test_no_score_depends_on_what_stands_in_the_gap(modules, cell, both):
    fill_gap, _ = modules
    mg.manual_seed(0)
    model = fill_gap.GapModel(7, cell, 3, 5, both)
    x = mg.randint(7, (9, 2))
    scores = model(x)
    assert scores.shape == (7, 2, 7)
    for t in range(9):
        changed = x.clone()
        changed[t] = (x[t] + 1) % 7
        same = (model(changed) == scores).all(-1).all(-1).tolist()  # of the gaps 1 … 7
        sees = [(t != gap) if both else (t < gap) for gap in range(1, 8)]
        assert same == [not each for each in sees]


def test_both_models_have_as_many_parameters(modules):
    fill_gap, _ = modules
    for hidden in (1, 2, 7, 40):
        options = fill_gap.argparse.Namespace(unit="character", cell="gru", embedding=6, hidden=hidden, device="cpu")
        models = fill_gap.build(options, 30)
        one, both = (fill_gap.count(models[name]) for name in ("one direction", "both directions"))
        step = fill_gap.count(fill_gap.GapModel(30, "gru", 6, models["one direction"].hidden + 1, False)) - one
        assert abs(one - both) <= step


def test_counting_from_both_sides_gives_probabilities(modules):
    _, gaps = modules
    ids = np.random.default_rng(0).integers(0, 5, 600)
    windows, answers = gaps.ask(ids, 20)
    assert windows.shape == (20, 65) and (windows[:, 32] == answers).all()
    for p in gaps.baselines(ids, windows, 6).values():
        assert p.shape == (20, 6) and p.min() > 0
        np.testing.assert_allclose(p.sum(1), 1)
    alternating = np.arange(600) % 2  # from the right as from the left: the other one
    windows, answers = gaps.ask(alternating, 10)
    assert all((p.argmax(1) == answers).all() for name, p in gaps.baselines(alternating, windows, 3).items() if "5" in name)


def test_the_right_side_is_read_towards_the_gap(modules):
    _, gaps = modules
    ids = np.random.default_rng(1).integers(0, 6, 3000).repeat(2)[1:]  # every character twice: half of the gaps are told by the right
    windows, answers = gaps.ask(ids, 300)
    right = {name: (p.argmax(1) == answers).mean() for name, p in gaps.baselines(ids, windows, 7).items()}
    assert 0.4 < right["5-gram"] < 0.75 and right["5-gram, both sides"] > right["5-gram"] + 0.2


def test_a_saved_model_fills_the_same_gaps_and_those_of_a_sentence(text, tmp_path):
    given = ["--quick", "--text", text, "--out", tmp_path, "--epochs", 40]
    printed = run(*given, "--fill", "the d_g lay")
    assert shares(printed)[0] > 90
    again = run(*given, "--fill", "the d_g lay", "--load", tmp_path / "model.safetensors")
    assert [line for line in printed.splitlines() if "the d_g" in line or "right" in line] == [
        line for line in again.splitlines() if "the d_g" in line or "right" in line
    ]


def test_words_are_filled_by_what_stands_on_both_sides(tmp_path):
    chance, path = np.random.default_rng(0), tmp_path / "pairs.txt"
    pairs = [("red", "apple"), ("blue", "ocean"), ("green", "meadow"), ("black", "night")]
    middles = {("red", "apple"): "juicy", ("red", "ocean"): "sunset", ("blue", "ocean"): "deep", ("blue", "apple"): "painted"}
    lines = []
    for _ in range(1500):  # neither neighbour alone tells the word between them
        left, right = pairs[chance.integers(2)][0], pairs[chance.integers(2)][1]
        lines.append(f"{left} {middles[left, right]} {right}.")
    path.write_text("\n".join(lines), encoding="utf-8")
    given = ["--quick", "--unit", "word", "--text", path, "--out", tmp_path, "--epochs", 12]
    printed = run(*given, "--fill", "blue _ ocean", "Red _ OCEAN.")
    found = bits(printed)
    assert found["both directions"] < found["one direction"] - 0.3
    assert "both directions: 'deep'" in printed and "both directions: 'sunset'" in printed
    again = run("--quick", "--text", path, "--out", tmp_path, "--load", tmp_path / "model.safetensors", "--fill", "blue _ ocean")
    assert bits(again) == found and "both directions: 'deep'" in again  # the file says that it is words
    other = ["--unit", "character", "--load", tmp_path / "model.safetensors", "--out", tmp_path]
    assert "--unit character, but the models" in run(*other, status=2)


def test_gaps_are_asked_where_words_stand(modules):
    _, gaps = modules
    unit = gaps.UNITS["word"]
    symbols = gaps.vocabulary(unit.cut("the cat -- the hat."))
    numbers = np.array(symbols.encode(unit.cut("The cat, the hat... the dog. " * 20)))
    windows, answers = gaps.ask(numbers, 1000, 3, unit.asked(symbols))
    assert 100 < len(windows) < len(numbers) - 6 and windows.shape[1] == 7 and (windows[:, 3] == answers).all()
    assert set(symbols.decode(answers)) == {"the", "cat", "hat", gaps.UNKNOWN}  # "dog" is unknown; ",", too, and asked like it


REFUSED = [
    (["--unit", "word", "--text", "{folder}/dashes"], "no word to ask for"),
    (["--unit", "word", "--fill", "no gap"], "write one gap as _"),
    (["--unit", "letter"], "invalid choice"),
    (["--window", "2"], "--window 2 has no gap"),
    (["--text", "{folder}/short"], "too short"),
    (["--text", "{folder}/nothing"], "cannot read {folder}/nothing"),
    (["--text", "{folder}/nul"], "is a NUL"),
    (["--fill", "no gap"], "write one gap as _"),
    (["--fill", "_ and _"], "write one gap as _"),
    (["--fill", "\N{SNOWMAN} _"], "has characters that the text"),
    (["--load", "{folder}/short"], "{folder}/short is no model"),
    (["--cell", "elman"], "invalid choice"),
    (["--hidden", "0"], "--hidden: must be at least 1"),
]


def test_what_cannot_be_done_is_refused_in_one_line(modules, tmp_path, capsys):
    fill_gap, _ = modules
    (tmp_path / "short").write_bytes(b"short")
    (tmp_path / "nul").write_bytes(b"a\0" * 5000)
    (tmp_path / "dashes").write_bytes(b"- . " * 5000)
    for given, message in REFUSED:
        with pytest.raises(SystemExit) as end:
            fill_gap.main(["--out", str(tmp_path / "out"), *(each.replace("{folder}", str(tmp_path)) for each in given)])
        assert end.value.code == 2, given
        assert message.replace("{folder}", str(tmp_path)) in capsys.readouterr().err.splitlines()[-1], given


def test_sizes_that_contradict_the_file_are_refused(modules, text, tmp_path, capsys):
    fill_gap, _ = modules
    run("--quick", "--text", text, "--epochs", 1, "--out", tmp_path)
    for given in (["--hidden", "41"], ["--cell", "rnn"]):
        with pytest.raises(SystemExit) as end:
            fill_gap.main(["--load", str(tmp_path / "model.safetensors"), "--text", str(text), *given, "--out", str(tmp_path)])
        assert end.value.code == 2 and "leave" in capsys.readouterr().err
