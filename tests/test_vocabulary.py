"""Vocabulary: numbers there and back, in an order that hangs on the text only, any script, whole files."""

import json
from collections import Counter

import pytest

import minigrad
from minigrad_nn import Vocabulary


def test_order_counts_and_specials():
    words = Vocabulary(list("bacabd"), min_freq=1, specials=("<pad>", "<unk>", "d"))
    assert words.tokens == ("<pad>", "<unk>", "d", "a", "b", "c") == tuple(words) and len(words) == 6
    assert "a" in words and "x" not in words and words["x"] == 1 and words["d"] == 2
    assert Vocabulary(Counter("bacabd"), specials=("<pad>", "<unk>", "d")) == words
    assert Vocabulary("aabbbc", min_freq=2, specials=()).tokens == ("b", "a")
    assert Vocabulary("aabbbc", max_size=2).tokens == ("<unk>", "b") and Vocabulary("", specials=()).tokens == ()


def test_there_and_back():
    text = "naïve 漢字 🦜 e\u0301 \ud800\n\t\0"
    letters = Vocabulary(text)
    assert "".join(letters.decode(letters.encode(text))) == text
    assert letters.decode(minigrad.tensor(letters.encode("naï"))) == ["n", "a", "ï"]
    assert letters.encode("") == [] and letters.decode([]) == [] and letters.decode(letters.encode("Ω")) == ["<unk>"]
    with pytest.raises(KeyError, match="<unk>"):
        Vocabulary("abc", specials=()).encode("x")
    for wrong in ([len(letters)], [-1]):
        with pytest.raises(IndexError):
            letters.decode(wrong)


def test_files(tmp_path):
    path = tmp_path / "words.json"
    german = Vocabulary(["ein", "Wort"], specials=("?",), unknown="?")
    for words in (Vocabulary("naïve 漢字 🦜 \ud800\n"), Vocabulary([], specials=()), german):
        words.save(path)
        assert Vocabulary.load(path) == words and json.loads(path.read_text()) and Vocabulary.load(path).encode([]) == []
    assert [each.name for each in tmp_path.iterdir()] == ["words.json"]
    with pytest.raises(FileNotFoundError):
        words.save(tmp_path / "none" / "x.json")
    with pytest.raises(FileNotFoundError):
        Vocabulary.load(tmp_path / "none.json")
    whole = path.read_bytes()
    for wrong in (whole[:-5], b"", b"\xff\xfe", b"[]", b"{}", b"3", whole.replace(b'"Wort"', b"3"), whole.replace(b'"Wort"', b'"ein"')):
        path.write_bytes(wrong)
        with pytest.raises(RuntimeError, match="vocabulary"):
            Vocabulary.load(path)


def test_refusals():
    with pytest.raises(TypeError, match="strings"):
        Vocabulary([1, 2])
    with pytest.raises(TypeError, match="write"):
        Vocabulary("abc", specials="<unk>")
    for options in ({"specials": ("a", "a")}, {"min_freq": 0}, {"max_size": 0}):
        with pytest.raises(ValueError):
            Vocabulary("abc", **options)
