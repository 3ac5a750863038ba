"""examples/classify.py as people run it, and where its texts come from."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad as mg

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))
import classify  # noqa: E402
import docstrings  # noqa: E402
from labelled import clean, split  # noqa: E402

PROGRAM = [sys.executable, "-W", "error", str(ROOT / "examples" / "classify.py")]
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
LAST_LINE = re.compile(r"held-out accuracy: GRU (\d\.\d+), words (\d\.\d+)")


def run(*arguments, status=0):
    """What the program printed, after a check of how it ended."""
    done = subprocess.run([*PROGRAM, *map(str, arguments)], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def accuracies(output):
    found = LAST_LINE.fullmatch(output.strip().splitlines()[-1])
    assert found, output
    return float(found[1]), float(found[2])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Opinions of fruit: one word tells which."""
    path = tmp_path_factory.mktemp("data") / "opinions.tsv"
    fruits = ["apple", "pear", "plum", "fig", "grape", "melon", "lemon", "cherry"]
    verbs = ["is", "tastes", "seems", "looks", "smells", "feels"]
    good, bad = ["good", "lovely", "fresh", "sweet"], ["bad", "awful", "stale", "bitter"]
    kinds = [("for", word) for word in good] + [("against", word) for word in bad]
    lines = [f"{label}\tThis {fruit} {verb} so {word}." for label, word in kinds for fruit in fruits for verb in verbs]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.host_only("runs a program of its own")
def test_quick_runs_on_documentation_strings_beat_naive_bayes_on_words(tmp_path):
    """On average: every Python has its own strings, and a single run may lie a little below."""
    found = [accuracies(run("--quick", "--seed", seed, "--out", tmp_path)) for seed in range(3)]
    assert sum(gru for gru, _ in found) > sum(counted for _, counted in found)
    assert all(gru > counted - 0.02 for gru, counted in found)


@pytest.mark.host_only("runs a program of its own")
def test_other_data_train_save_load_and_ask(table, tmp_path):
    printed = run("--data", table, "--epochs", 20, "--quick", "--out", tmp_path)
    assert accuracies(printed)[0] > 0.95
    model = tmp_path / "model.safetensors"
    again = run("--quick", "--data", table, "--load", model, "--out", tmp_path / "again")
    assert again.splitlines()[-1] == printed.splitlines()[-1]
    answers = run("--load", model, "--ask", "this one tastes sweet", "BITTER!", "???", "--out", tmp_path).splitlines()
    assert len(answers) == 4
    assert re.search(r"sweet +for [01]", answers[1]) and re.search(r"BITTER! +against [01]", answers[2])
    strange = table.with_name("strange.tsv")
    strange.write_text(table.read_text(encoding="utf-8").replace("against", "contra"), encoding="utf-8")
    assert "was not trained to tell contra; it knows against, for" in run("--data", strange, "--load", model, "--out", tmp_path, status=2)


@pytest.mark.host_only("runs a program of its own")
@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--ask", "a question"], "--load FILE"),
        (["--data", "{folder}/nothing"], "cannot read {folder}/nothing"),
        (["--data", "{folder}/one"], "line 1: expected label<TAB>text"),
        (["--data", "{folder}"], "cannot read {folder}"),
        (["--load", "{folder}/one"], "{folder}/one is no model"),
        (["--epochs", "0"], "--epochs: must be at least 1"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(arguments, message, tmp_path):
    (tmp_path / "one").write_text("a text without a label\n", encoding="utf-8")
    errors = run(*(each.format(folder=tmp_path) for each in arguments), "--out", tmp_path / "out", status=2)
    assert message.format(folder=tmp_path) in errors.strip().splitlines()[-1]


@pytest.mark.host_only("texts alone")
def test_no_text_names_its_own_part_and_nothing_is_imported():
    before = set(sys.modules)
    pairs = docstrings.documentation()
    assert {name for name in set(sys.modules) - before if not name.startswith("_sysconfigdata")} == set()  # asked for folders
    parts = {part for _, part in pairs}
    assert len(parts) >= 8 and parts <= set(docstrings.PARTS)
    assert not any(set(docstrings.PARTS) & set(text.split()) for text, _ in pairs)
    train, held_out = split(clean(pairs))
    assert len(train) > 1500 and not {text for text, _ in train} & {text for text, _ in held_out}


def test_padding_and_what_stands_beside_a_text_do_not_matter():
    mg.manual_seed(0)
    model = classify.TextClassifier(tokens=9, labels=3, embedding=4, hidden=5).eval()
    examples = [(mg.tensor([2, 3]), 0), (mg.tensor([4, 5, 6, 7, 8, 1]), 1), (mg.tensor([1, 1]), 2)]  # word, pair, word, pair, …
    x, lengths, _ = classify.pad(examples)
    assert x.shape == (3, 3, 2) and lengths.tolist() == [1, 3, 1]
    together = model(x, lengths)
    garbage = mg.where(x == 0, mg.full_like(x, 7), x)
    assert mg.allclose(model(garbage, lengths), together)
    for row, example in enumerate(examples):
        assert mg.allclose(model(*classify.pad([example])[:2])[0], together[row], atol=1e-6)


@pytest.mark.host_only("texts alone")
def test_a_network_reads_words_and_pairs():
    assert classify.reading("Get_name twice") == ["get", "get name", "name", "name twice", "twice", "twice ."]
    assert len(classify.reading("42")) == 2
    assert len(classify.reading("word " * 1000)) == 2 * classify.LONGEST
