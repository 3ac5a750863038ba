"""Pairs of sentences for `translate.py`: read, cut into tokens, split into training and held-out parts, padded into batches."""

from __future__ import annotations

import random
import re
import unicodedata
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import minigrad as mg
import minigrad_nn as nn

__all__ = ["BOS", "EOS", "PAD", "SPECIALS", "UNK", "Corpus", "columns", "encode", "join", "read_tsv", "split", "split_by_sources", "tokens"]

SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")
PAD, UNK, BOS, EOS = range(4)

_ENDING = ".,;:!?…)]}”»。，！？、；：）」"  # stand close to the word before them
_OPENING = "([{“«„¿¡（「"  # and these to the word behind
_MARKS = re.escape(_ENDING + _OPENING + '"')
_WORDS = re.compile(rf"-?[^\s{_MARKS}'’-]+['’]?|[{_MARKS}'’-]")


def tokens(text: str, level: str) -> list[str]:
    """The words of a text, or its characters. Marks stand alone; the parts of a compound keep their hyphen, so that few words are many.

    >>> tokens("Vingt-deux, c'est tout !", "word")
    ['Vingt', '-deux', ',', "c'", 'est', 'tout', '!']
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())
    return list(text) if level == "char" else _WORDS.findall(text)


def join(parts: list[str], level: str) -> str:
    """A text again, with spaces where English has them.

    >>> join(["Vingt", "-deux", ",", "c'", "est", "tout"], "word")
    "Vingt-deux, c'est tout"
    """
    if level == "char":
        return "".join(parts)
    text = ""
    for part in parts:
        close = part[0] in _ENDING or (part[0] == "-" and len(part) > 1) or text[-1:] in (*_OPENING, "'", "’")
        text += part if close or not text else f" {part}"
    return text


def read_tsv(path: str, lower: bool) -> list[tuple[str, str]]:
    """(source, target) of every line `source<TAB>target[<TAB>whatever]`, as Tatoeba has them; ValueError with the line that is not so."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: byte {error.start} cannot be read") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    pairs = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        source, tab, rest = (line.lower() if lower else line).partition("\t")
        target = rest.split("\t")[0]
        if not tab or not source.strip() or not target.strip():
            raise ValueError(f"{path}, line {number}: expected source<TAB>target, got {line[:60]!r}")
        pairs.append((source.strip(), target.strip()))
    return pairs


class Corpus(NamedTuple):
    """Pairs to learn from, and sources none of which is among them, each with one or several right answers."""

    train: list[tuple[str, str]]
    held_out: list[tuple[str, list[str]]]


def split(pairs: list[tuple[str, str]], held_out: int) -> Corpus:
    """The last `held_out` pairs are held out."""
    return Corpus(pairs[:-held_out], [(source, [target]) for source, target in pairs[-held_out:]])


def split_by_sources(pairs: list[tuple[str, str]], seed: int, most: int, held_out: int) -> Corpus:
    """The `most` shortest pairs; a tenth of the sources, drawn at random and `held_out` at most, is held out with all translations."""
    answers: dict[str, list[str]] = defaultdict(list)
    for source, target in sorted(dict.fromkeys(pairs), key=lambda pair: len(pair[0]) + len(pair[1]))[:most]:
        answers[source].append(target)
    sources = list(answers)
    random.Random(seed).shuffle(sources)
    count = min(held_out, len(sources) // 10 + 1)
    learnt = [(source, target) for source in sources[count:] for target in answers[source]]
    return Corpus(learnt, [(source, answers[source]) for source in sources[:count]])


def encode(pairs: list[tuple[str, str]], level: str, sources: nn.Vocabulary, targets: nn.Vocabulary) -> list[tuple[list[int], list[int]]]:
    """Each pair as numbers, the target between <bos> and <eos>."""
    return [(sources.encode(tokens(a, level)), [BOS, *targets.encode(tokens(b, level)), EOS]) for a, b in pairs]


def columns(sequences: list[list[int]], device: str) -> tuple[mg.Tensor, list[int]]:
    """(T, B), each sequence a column and padded to the longest, and their lengths."""
    lengths = [len(each) for each in sequences]
    T = max(lengths)
    return mg.tensor([each + [PAD] * (T - len(each)) for each in sequences], device=device).t(), lengths
