"""examples/translate.py as people run it, and the modules beside it."""

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.host_only("runs a program of its own")
ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-W", "error", str(ROOT / "examples" / "translate.py")]
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # products this small only wait for threads
LAST_LINE = re.compile(r"[\d,]+ held-out sources: exact match ([\d.]+)%, BLEU ([\d.]+); best baseline ([\d.]+)%, ([\d.]+)")


def run(*arguments, status=0):
    """What the program printed, after a check of how it ended."""
    command = [*PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def marks(output):
    """(exact match, BLEU, the best baseline's exact match, its BLEU), from the last line."""
    found = LAST_LINE.fullmatch(output.strip().splitlines()[-1])
    assert found, output
    return tuple(map(float, found.groups()))


def call_each(calls, setup=""):
    """[exit status or None, what was printed, errors] of `main` for each list of arguments, all in one process."""
    code = f"""
import contextlib, io, json, sys
{setup}
import translate
for arguments in json.loads(sys.argv[1]):
    status = None
    with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            translate.main(arguments)
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, printed.getvalue(), errors.getvalue()]))
"""
    command = [sys.executable, "-W", "error", "-c", code, json.dumps([[str(each) for each in call] for call in calls])]
    done = subprocess.run(command, cwd=ROOT / "examples", env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", timeout=600)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(calls), done.stderr
    return answers


@pytest.fixture
def beside(monkeypatch):
    """The modules beside the program, by name."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    return importlib.import_module


# ------------------------------------------------------------------------------------------------------------- programs


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_quick_run_translates_numbers_it_never_saw(tmp_path, seed):
    pytest.importorskip("num2words")
    exact, bleu, baseline, baseline_bleu = marks(run("--quick", "--seed", seed, "--out", tmp_path))
    assert exact >= 95 and exact > baseline + 50
    assert bleu > 95 and bleu > baseline_bleu


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_quick_run_translates_names_it_never_saw(tmp_path, seed):
    pytest.importorskip("pycountry")
    exact, _, baseline, _ = marks(run("--task", "countries", "--quick", "--seed", seed, "--out", tmp_path))
    assert exact > baseline + 5


ENGLISH = ["one", "two", "three", "four", "red", "blue", "cat", "dog"]
FINNISH = ["yksi", "kaksi", "kolme", "neljä", "punainen", "sininen", "kissa", "koira"]
WORDS = dict(zip(ENGLISH, FINNISH, strict=True))


@pytest.fixture(scope="module")
def tsv(tmp_path_factory):
    """A file in Tatoeba's format: colours and animals, in the other order in the other language; and one in Chinese."""
    folder = tmp_path_factory.mktemp("pairs")
    lines = []
    for a in WORDS:
        for b in WORDS:
            for c in WORDS:
                lines.append(f"{a} {b} {c}.\t{WORDS[c]} {WORDS[b]} {WORDS[a]} !\tCC-BY 2.0 (France) Attribution: somebody")
    (folder / "pairs.tsv").write_text("\n".join(lines), encoding="utf-8")
    digits = "零一二三四五六七八九"
    chinese = [f"{n}\t{''.join(digits[int(each)] for each in str(n))}。" for n in range(300)]
    (folder / "chinese.tsv").write_text("\n".join(chinese) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(tsv, tmp_path_factory):
    """(the folder of a finished run, what it printed)"""
    out = tmp_path_factory.mktemp("out")
    return out, run("--quick", "--pairs", tsv / "pairs.tsv", "--epochs", 8, "--out", out)


def test_a_file_of_pairs_is_learnt_and_leaves_its_files(trained):
    out, printed = trained
    exact, _, baseline, _ = marks(printed)
    assert exact > 90 and exact > baseline
    assert "different words" in printed  # the level was found
    pictures = {"loss.png", "attention.png"} if importlib.util.find_spec("matplotlib") else set()
    assert {path.name for path in out.iterdir()} == {"model.safetensors"} | pictures
    for name in pictures:
        assert str(out / name) in printed


def test_the_same_seed_gives_the_same_run(trained, tsv, tmp_path):
    out, printed = trained
    assert marks(run("--quick", "--pairs", tsv / "pairs.tsv", "--epochs", 8, "--out", tmp_path)) == marks(printed)
    assert (tmp_path / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_a_saved_model_is_measured_on_what_was_held_out_from_it_and_translates(trained, tsv, tmp_path):
    out, printed = trained
    load = ["--load", out / "model.safetensors", "--out", tmp_path]
    (_, again, _), (_, said, _), (_, odd, _) = call_each([
        [*load, "--pairs", tsv / "pairs.tsv", "--seed", 9],
        [*load, "--sentence", "two red cat."],
        [*load, "--sentence", "two red elephant."],
    ])  # fmt: skip
    assert marks(again) == marks(printed)
    assert said.splitlines()[-1].split(maxsplit=1) == ["greedy", "kissa punainen kaksi!"]
    assert odd.startswith("not in the vocabulary, read as <unk>: elephant\n")


def test_every_cell_and_attention_runs_on_an_array_library_that_is_not_numpy(tsv, tmp_path):
    shared = ["--pairs", tsv / "chinese.tsv", "--level", "char", "--quick", "--epochs", 1, "--hidden", 8, "--longest", 8]
    shared += ["--device", "strict"]
    choices = [(cell, attention) for cell in ("rnn", "lstm", "gru") for attention in ("none", "additive", "dot")]
    calls = [[*shared, "--cell", cell, "--attention", attention, "--out", tmp_path / cell / attention] for cell, attention in choices]
    calls[0] += ["--layers", 2, "--teacher-forcing", 0.5, "--beam", 2]
    setup = f"sys.path[:0] = [{str(ROOT / 'tests')!r}, {str(ROOT)!r}]\nimport strict\nstrict.register()"
    for (cell, attention), (status, printed, errors) in zip(choices, call_each(calls, setup), strict=True):
        assert status is None, errors
        marks(printed)
        assert (tmp_path / cell / attention / "attention.png").exists() == (
            attention != "none" and importlib.util.find_spec("matplotlib") is not None
        )


REFUSED = [
    (["--pairs", "{folder}/nothing"], "cannot read {folder}/nothing"),
    (["--pairs", "{folder}/empty"], "has 0 different pairs; at least 10"),
    (["--pairs", "{folder}/one"], "has 1 different pairs; at least 10"),
    (["--pairs", "{folder}/no_tab"], "no_tab, line 2: expected source<TAB>target, got 'Va !'"),
    (["--pairs", "{folder}/half"], "half, line 1: expected source<TAB>target"),
    (["--pairs", "{folder}/latin1"], "latin1 is not UTF-8"),
    (["--pairs", "{folder}/ten", "--longest", "1"], "nothing is left to learn: all pairs are longer than --longest 1 (words)"),
    (["--pairs", "{folder}/ten", "--to", "de"], "--pairs brings its own languages"),
    (["--lower"], "--lower is for the sentences of --pairs"),
    (["--most", "5"], "--most is for --pairs and names"),
    (["--task", "poems"], "invalid choice: 'poems'"),
    (["--cell", "transformer"], "invalid choice: 'transformer'"),
    (["--teacher-forcing", "1.5"], "--teacher-forcing: must be in [0, 1]"),
    (["--beam", "0"], "--beam: must be at least 1"),
    (["--epochs", "0"], "--epochs: must be at least 1"),
    (["--device", "abacus"], "--device abacus"),
    (["--sentence", "one"], "--sentence needs a trained model: --load FILE"),
    (["--load", "{folder}/nothing"], "there is no file {folder}/nothing"),
    (["--load", "{folder}/ten"], "{folder}/ten is no model"),
    (["--load", "{model}", "--hidden", "77", "--sentence", "one"], "leave --hidden out"),
    (["--load", "{model}", "--task", "numbers", "--sentence", "one"], "leave --task out"),
    (["--load", "{model}", "--sentence", " "], "--sentence is empty"),
    (["--load", "{model}", "--sentence", "one " * 41], "--sentence has 41 tokens; the model was trained on at most 40"),
    (["--load", "{model}"], "name the file again"),
]
TO = [
    ("num2words", ["--to", "xx"], "--to xx: --task numbers knows "),
    ("pycountry", ["--task", "countries", "--to", "xx"], "--to xx: --task countries knows "),
]


def test_what_cannot_be_done_is_refused_in_one_line(trained, tmp_path):
    ten = "".join(f"the {word} cat\tle chat {word}\n" for word in "abcdefghij")
    files = {"empty": "", "one": "Go.\tVa !\n", "no_tab": "Go.\tVa !\nVa !\n", "half": "Go.\t\tCC-BY\n", "ten": ten}
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "latin1").write_bytes("Go.\tcaf\xe9\n".encode("latin-1"))
    refused = REFUSED + [(given, message) for package, given, message in TO if importlib.util.find_spec(package)]
    fill = lambda text: text.replace("{folder}", str(tmp_path)).replace("{model}", str(trained[0] / "model.safetensors"))
    answers = call_each([["--out", tmp_path / "out", *map(fill, given)] for given, _ in refused])
    for (given, message), (status, printed, errors) in zip(refused, answers, strict=True):
        assert status == 2, given
        assert fill(message) in errors.splitlines()[-1], (given, errors)
        assert printed == ""
    assert not list((tmp_path / "out").iterdir())  # no work was begun


def test_a_missing_package_is_named(tmp_path):
    setup = "sys.modules['num2words'] = sys.modules['pycountry'] = None  # as if they were not installed"
    for status, _, errors in call_each([["--out", tmp_path], ["--out", tmp_path, "--task", "countries"]], setup):
        assert status == 2
        assert 'pip install "minigrad-nn[examples]"' in errors.splitlines()[-1]


# -------------------------------------------------------------------------------------------------------------- modules


def test_words_and_characters_go_together_again(beside):
    pairs = beside("sentence_pairs")
    texts = ["quatre-vingt-dix-sept mille un", "twenty-one thousand, three hundred and five", "C'est “tout” (vraiment)?"]
    texts += ["हिन्दी में, लिखा है", "don't - stop", "你好。再见", "l’homme d’Azerbaïdjan"]
    for text in texts:
        assert pairs.join(pairs.tokens(text, "char"), "char") == text
    for text in texts[:2] + texts[3:5] + texts[6:]:
        assert pairs.join(pairs.tokens(text, "word"), "word") == text
    assert pairs.tokens(" cafe\u0301\u00a0 noir\n", "word") == ["caf\u00e9", "noir"]


def test_every_number_comes_back_from_its_words(beside):
    pytest.importorskip("num2words")
    pairs = beside("sentence_pairs")
    made = beside("number_pairs").numbers("fr", 1000, 1000, 0)
    assert len(set(made)) == 1000
    for pair in made:
        for text in pair:
            assert pairs.join(pairs.tokens(text, "word"), "word") == text


def test_held_out_sources_are_never_learnt_and_keep_all_their_translations(beside):
    split = beside("sentence_pairs").split_by_sources
    pairs = [(f"source {n % 40:02}", f"target {n:02}") for n in range(80)]
    learnt, held_out = split(pairs + pairs[:5], 0, 1000, 1000)
    assert len(held_out) == 5 and len(learnt) == 70
    assert not {source for source, _ in learnt} & {source for source, _ in held_out}
    assert all(len(targets) == 2 for _, targets in held_out)
    assert split(pairs, 0, 1000, 1000) == split(pairs, 0, 1000, 1000) != split(pairs, 1, 1000, 1000)
    shortest, _ = split([*pairs, ("x", "y")], 0, 3, 1)
    assert len(shortest) == 2


def test_the_baselines_know_words_but_no_order(beside):
    baselines = beside("translate_baselines")
    train = [("red cat", "chat rouge"), ("red dog", "chien rouge"), ("blue cat", "chat bleu"), ("the owl", "hibou")]
    assert baselines.word_by_word(train, ["blue dog", "blue fish"]) == ["bleu chien", "bleu fish"]
    assert baselines.nearest_pair(train, ["owl !", "a red cat"], "word") == ["hibou", "chat rouge"]


def test_padding_stands_below_the_shorter_ones(beside):
    columns, lengths = beside("sentence_pairs").columns([[5, 6, 7], [8]], "cpu")
    assert columns.tolist() == [[5, 8], [6, 0], [7, 0]] and lengths == [3, 1]


def test_characters_without_a_font_are_written_as_numbers(beside):
    pytest.importorskip("matplotlib")
    fonts = beside("fonts")
    families, missing = fonts.families_for("abc é\U000f0000")
    assert families[0] == "DejaVu Sans" and missing == {"\U000f0000"}  # a private character, which no font should have
    assert fonts.drawable("a\U000f0000", missing) == "aU+F0000"
