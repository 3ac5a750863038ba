"""examples/names.py as people run it, and the modules beside it that it shares with classify.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad as mg

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))
import names  # noqa: E402
from labelled import clean, read_tsv, require_enough, split  # noqa: E402
from naive_bayes import ALPHAS, NaiveBayes, baselines, character_ngrams  # noqa: E402

PROGRAM = [sys.executable, "-W", "error", str(ROOT / "examples" / "names.py")]
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
LAST_LINE = re.compile(r"held-out accuracy: GRU (\d\.\d+), 1 to 2 letters (\d\.\d+)")


def run(*arguments, status=0, environment=ENVIRONMENT):
    """What the program printed, after a check of how it ended."""
    done = subprocess.run([*PROGRAM, *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def accuracies(output):
    found = LAST_LINE.fullmatch(output.strip().splitlines()[-1])
    assert found, output
    return float(found[1]), float(found[2])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Invented names whose language shows in the order of their letters, not in which letters they have."""
    path = tmp_path_factory.mktemp("data") / "names.tsv"
    syllables = [a + b for a in "bdgklmn" for b in "aeiou"]
    stems = [one + other for one in syllables for other in syllables[::3]]
    path.write_text("".join(f"{stem}sto\tStonian\n{stem}tos\tTosian\n" for stem in stems), encoding="utf-8")
    return path


@pytest.mark.host_only("runs a program of its own")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_quick_run_on_real_names_beats_pairs_of_letters(seed, tmp_path):
    pytest.importorskip("faker")
    gru, pairs = accuracies(run("--quick", "--seed", seed, "--out", tmp_path))
    assert gru > pairs + 0.01


@pytest.mark.host_only("runs a program of its own")
def test_other_data_train_save_load_and_ask(table, tmp_path):
    printed = run("--quick", "--data", table, "--out", tmp_path)
    assert accuracies(printed)[0] > 0.95
    model = tmp_path / "model.safetensors"
    again = run("--quick", "--data", table, "--load", model, "--out", tmp_path / "again")
    assert again.splitlines()[-1] == printed.splitlines()[-1]
    assert not (tmp_path / "again" / "model.safetensors").exists()
    answers = run("--load", model, "--name", "Bigasto", "BIGATOS", "?", "--out", tmp_path).splitlines()
    assert "Stonian" in answers[1].split()[1] and "Tosian" in answers[2].split()[1] and len(answers) == 4


@pytest.mark.host_only("runs a program of its own")
def test_the_same_seed_gives_the_same_run(table, tmp_path):
    one, other = (run("--quick", "--data", table, "--epochs", 1, "--out", tmp_path / name) for name in "ab")
    assert one.splitlines()[-1] == other.splitlines()[-1]
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


@pytest.mark.host_only("runs a program of its own")
def test_settings_are_tried_on_a_part_of_the_training_texts(table, tmp_path):
    pairs = clean(read_tsv(str(table), label_first=False))
    train, held_out = split(split(pairs)[0], digit=1)
    printed = run("--quick", "--data", table, "--epochs", 1, "--validate", "--out", tmp_path)
    assert printed.startswith(f"{len(train)} texts of 2 labels to train on, {len(held_out)} held out")


REFUSED = [
    (["--name", "Novak"], "--load FILE"),
    (["--data", "{folder}/nothing"], "cannot read {folder}/nothing"),
    (["--data", "{folder}/one"], "line 2: expected text<TAB>label"),
    (["--data", "{folder}/latin1"], "not UTF-8"),
    (["--data", "{folder}/same"], "needs texts of two labels or more"),
    (["--data", "{folder}/empty"], "needs texts of two labels or more"),
    (["--load", "{folder}/nothing"], "there is no file {folder}/nothing"),
    (["--load", "{folder}/one"], "{folder}/one is no model"),
    (["--load", "{folder}/one", "--name", " "], "nothing in the question"),
    (["--hidden", "0"], "--hidden: must be at least 1"),
    (["--lr", "nan"], "--lr: must be more than 0"),
    (["--device", "abacus"], "--device abacus"),
]


@pytest.mark.host_only("runs a program of its own")
@pytest.mark.parametrize("arguments, message", REFUSED)
def test_what_cannot_be_done_is_refused_in_one_line(arguments, message, tmp_path):
    (tmp_path / "one").write_text("Novak\tCzech\nSmith\n", encoding="utf-8")
    (tmp_path / "latin1").write_bytes("Müller\tGerman\n".encode("latin-1"))
    (tmp_path / "same").write_text("Novak\tCzech\nSvoboda\tCzech\n", encoding="utf-8")
    (tmp_path / "empty").write_text("", encoding="utf-8")
    errors = run(*(each.format(folder=tmp_path) for each in arguments), "--out", tmp_path / "out", status=2)
    assert message.format(folder=tmp_path) in errors.strip().splitlines()[-1]


@pytest.mark.host_only("runs a program of its own")
def test_without_faker_the_message_says_what_to_install(tmp_path):
    (tmp_path / "faker.py").write_text("raise ModuleNotFoundError('No module named faker')\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    errors = run("--out", tmp_path / "out", status=2, environment=ENVIRONMENT | {"PYTHONPATH": path})
    assert 'pip install "minigrad-nn[examples]"' in errors.strip().splitlines()[-1]


@pytest.mark.host_only("names alone")
def test_real_names_come_once_and_from_one_language():
    pytest.importorskip("faker")
    pairs = names.faker_names()
    train, held_out = split(pairs)
    keys = [name.casefold() for name, _ in pairs]
    assert len(keys) == len(set(keys)) and len(pairs) > 8000
    assert not {name.casefold() for name, _ in train} & {name.casefold() for name, _ in held_out}
    assert 0.17 < len(held_out) / len(pairs) < 0.23
    assert {label for _, label in held_out} == {label for _, label in train}


@pytest.mark.parametrize("kind", [names.NameClassifier, names.WithRuns])
def test_a_name_has_the_same_scores_alone_and_beside_longer_ones(kind):
    mg.manual_seed(0)
    model = kind(tokens=9, languages=3, embedding=4, hidden=5).eval()
    examples = [(mg.tensor(each), label) for label, each in enumerate([[2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 8] * 3, [1, 2, 1]])]
    x, lengths, y = names.pad(examples)
    together = model(x, lengths.cpu())
    assert x.shape == (5, 3, 3) and lengths.tolist() == [2, 5, 1] and y.tolist() == [0, 1, 2]
    for row, example in enumerate(examples):
        x, lengths, _ = names.pad([example])
        assert mg.allclose(model(x, lengths.cpu())[0], together[row], atol=1e-6)


@pytest.mark.host_only("texts alone")
def test_clean_and_split():
    pairs = clean([("Novák", "a"), ("NOVÁK", "a"), ("Nova\N{COMBINING ACUTE ACCENT}k", "a"), ("Li", "b"), ("li", "c")])
    assert pairs == [("NOVÁK", "a")]
    many = [(f"text {number}", "x") for number in range(1000)]
    assert split(many)[1] == split(many[::-1])[1][::-1]
    with pytest.raises(ValueError, match="nothing to train on under b"):
        require_enough([("x", "a"), ("y", "c")], [("z", "b")])


@pytest.mark.host_only("texts alone")
def test_what_chooses_settings_was_never_held_out_nor_trained_on():
    pairs = [(f"text {number}", "x") for number in range(2000)]
    train, held_out = split(pairs)
    fitted, tried = split(train, digit=2)
    assert not set(tried) & set(held_out) and not set(tried) & set(fitted) and set(tried) | set(fitted) == set(train)
    assert 0.15 < len(tried) / len(train) < 0.25
    validated = split(train, digit=1)[1]
    assert 0.1 < len(set(validated) & set(tried)) / len(tried) < 0.3


@pytest.mark.host_only("NumPy alone")
def test_baselines_are_chosen_without_what_is_held_out():
    words = [f"{a}{b}{c}" for a in "bdgklmn" for b in "aeiou" for c in "bdgklmn"]
    train, held_out = split([(word + end, end) for word in words for end in ("sto", "tos")])
    readings = {"letters": list, "to three": character_ngrams}
    found = baselines(train, held_out, ["sto", "tos"], readings)
    assert [each.name for each in found] == ["letters", "to three"] and found[-1].validated == 1
    assert (found[-1].guess == [label == "tos" for _, label in held_out]).all()
    wrong = [(text, "tos" if label == "sto" else "sto") for text, label in held_out]
    again = baselines(train, wrong, ["sto", "tos"], readings)
    assert [each[:3] for each in again] == [each[:3] for each in found]
    assert all(each.alpha in ALPHAS for each in found)


@pytest.mark.host_only("NumPy alone")
def test_baselines_of_two_texts_and_of_a_label_without_a_text_are_no_warning():
    (only,) = baselines([("ab", "x"), ("cd", "y")], [("a", "x"), ("d", "y")], ["x", "y", "z"], {"letters": list})
    assert only.guess.tolist() == [0, 1]


@pytest.mark.host_only("text files alone")
def test_a_table_may_have_a_mark_empty_lines_and_either_order(tmp_path):
    path = tmp_path / "table"
    path.write_bytes("\ufeffone\t two \r\n\r\nthree\tfour\r\n".encode())
    assert read_tsv(str(path), label_first=False) == [("one", "two"), ("three", "four")]
    assert read_tsv(str(path), label_first=True) == [("two", "one"), ("four", "three")]


@pytest.mark.host_only("NumPy alone")
def test_naive_bayes_is_bayes_rule():
    model = NaiveBayes(alpha=1).fit([["a", "a", "b"], ["b"]], [0, 1], 2)
    likelihood = {"a": (3 / 5, 1 / 3), "b": (2 / 5, 2 / 3)}
    for text in (["a"], ["b"], ["b", "b"], ["b", "b", "a"]):
        scores = [0.5, 0.5]
        for feature in text:
            scores = [score * p for score, p in zip(scores, likelihood[feature])]
        assert model.predict([text])[0] == scores.index(max(scores))
    assert model.predict([["new"], []]).tolist() == [0, 0]
    assert character_ngrams("Ab", 3)[-2:] == ["^ab", "ab$"]
