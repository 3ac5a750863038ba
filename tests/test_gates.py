"""examples/gates.py as people run it, and its time constants."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import gate_maps
import gates

EXAMPLES = Path(__file__).parents[1] / "examples"
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
pytestmark = pytest.mark.host_only("runs programs of its own, or names its device")
LAST_LINE = re.compile(r"held-out bits per character: LSTM (\d+\.\d+), GRU (\d+\.\d+), unigram (\d+\.\d+)")


def run(*arguments):
    """What the program printed, which must end well."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / "gates.py"), *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return done.stdout


def bits(printed):
    """(LSTM's, GRU's, unigram's) from the last line."""
    found = LAST_LINE.fullmatch(printed.strip().splitlines()[-1])
    assert found, printed
    return tuple(map(float, found.groups()))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(the folder of a quick run, what it printed)"""
    out = tmp_path_factory.mktemp("out")
    return out, run("--quick", "--out", out)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_quick_run_beats_the_unigram_model(seed, trained, tmp_path):
    lstm, gru, unigram = bits(run("--quick", "--seed", seed, "--out", tmp_path) if seed else trained[1])
    assert 0 < lstm < unigram - 0.5 and 0 < gru < unigram - 0.5


def test_a_quick_run_leaves_its_files(trained):
    out, printed = trained
    pytest.importorskip("matplotlib")
    pictures = {"lstm.png", "gru.png", "f_and_z.png", "time_constants.png", "gates.svg"}
    assert {path.name for path in out.iterdir()} == pictures | {"model.safetensors"}
    assert all(str(path) in printed and path.stat().st_size > 0 for path in out.iterdir())
    svg = (out / "gates.svg").read_text(encoding="utf-8")
    assert "f, forget gate" in svg and "o, output gate" in svg


def test_units_are_sorted_by_how_long_they_remember(trained):
    for kind in ("LSTM", "GRU"):
        rows = trained[1].split(f"\n{kind}: what each unit keeps")[1].split("\n\n")[1].splitlines()[1:]
        taus = [float(row.split()[1]) for row in rows if re.match(r"\d", row)]
        assert len(taus) == 10 and taus == sorted(taus, reverse=True) and taus[0] > 2 * taus[-1]


def test_saved_models_say_the_same(trained, tmp_path):
    out, printed = trained
    again = run("--quick", "--load", out / "model.safetensors", "--passage", "def f(x)", "--out", tmp_path)
    assert bits(again) == bits(printed)
    assert not (tmp_path / "model.safetensors").exists()


def test_another_text_with_characters_of_its_own(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("天地玄黄,宇宙洪荒。日月盈昃,辰宿列张。寒来暑往,秋收冬藏。\n" * 60, encoding="utf-8")
    lstm, gru, unigram = bits(run("--quick", "--text", path, "--passage", "日月盈昃", "--epochs", 6, "--out", tmp_path))
    assert lstm < unigram and gru < unigram


REFUSED = [
    (["--text", "{folder}/nothing"], "cannot read"),
    (["--text", "{folder}/short"], "too short"),
    (["--passage", ""], "--passage is empty"),
    (["--passage", "\N{SNOWMAN}"], "--passage has characters"),
    (["--hidden", "0"], "at least 1"),
    (["--load", "{folder}/short"], "is no model"),
    (["--device", "abacus"], "--device abacus"),
]


@pytest.mark.parametrize("arguments, message", REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_cannot_be_done_is_refused_in_one_line(arguments, message, tmp_path, capsys):
    (tmp_path / "short").write_text("short", encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        gates.main(["--quick", "--out", str(tmp_path / "out"), *(each.replace("{folder}", str(tmp_path)) for each in arguments)])
    assert end.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_time_constant_is_how_long_a_third_is_kept():
    kept = np.array([[0.9, 0.4, 1.0, 0.0], [0.9, 0.6, 1.0, 0.0]], np.float32)
    taus = gates.time_constants(kept)
    np.testing.assert_allclose(kept.mean(0)[:2] ** taus[:2], np.exp(-1), rtol=1e-5)
    assert taus[2] > 1e6 and 0 <= taus[3] < 0.1


def test_what_a_model_shows_of_itself_is_what_its_layer_computes():
    mg.manual_seed(0)
    for kind, keeps in gates.KEEPS.items():
        seen = gates.Reader(kind, 5, 3, 4).look(mg.tensor([0, 1, 2, 3]))
        assert all(each.shape == (4, 4) for each in seen.values())
        h, kept = seen["h"], seen[keeps]
        if kind == "GRU":
            np.testing.assert_allclose(h[1:], kept[1:] * h[:-1] + (1 - kept[1:]) * seen["n"][1:], atol=1e-6)
        else:
            np.testing.assert_allclose(seen["c"][1:], kept[1:] * seen["c"][:-1] + seen["i"][1:] * seen["g"][1:], atol=1e-6)


def test_the_table_names_the_characters_at_which_a_unit_forgets():
    text = "ab" * 100
    kept = np.where(np.arange(200) % 2 == 0, 0.1, 0.9)[:, None].astype(np.float32)
    table = gate_maps.unit_table({"f": kept, "i": kept}, "f", gates.time_constants(kept), text)
    assert re.search(r"^0 +\S+ +0\.500 +a b +b a$", table, re.MULTILINE)


def test_on_a_device_as_strict_as_a_gpu(tmp_path, capsys):
    gates.main(["--quick", "--epochs", "1", "--device", "strict", "--hidden", "8", "--out", str(tmp_path)])
    lstm, gru, unigram = bits(capsys.readouterr().out)
    assert lstm > 0 and gru > 0 and unigram > 0
