"""The text a model reads: where it comes from, its characters or words, its vocabulary, its split, and its cut into parallel streams."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from minigrad_nn import Vocabulary

__all__ = ["UNKNOWN", "frequent", "numbered", "parallel_streams", "python_help", "read_text", "split", "vocabulary", "words"]

UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # stands for every character or word that the training part lacks


def python_help() -> str:
    """Half a million characters of real English that every Python carries: its help topics, in the order of their names."""
    return "".join(topics[name] for name in sorted(topics))


def read_text(path: str) -> str:
    """The file's text, which must be UTF-8; ValueError that says in one line why it cannot be had."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: byte {error.start} does not fit; convert it first, e.g. with iconv") from None
    if "\0" in text:
        raise ValueError(f"{path} is no text: character {text.index(chr(0))} is a NUL, as in programs, pictures and archives")
    return text


def split(text: str) -> tuple[str, str]:
    """(the first nine tenths, to train on; the last tenth, held out)"""
    border = len(text) * 9 // 10
    return text[:border], text[border:]


def words(text: str) -> list[str]:
    """The words of a text in small letters, and its punctuation: a run of one sign is one.

    >>> words("Spam, spam -- and EGGS_2!")
    ['spam', ',', 'spam', '--', 'and', 'eggs_2', '!']
    """
    return [found[0] for found in re.finditer(r"\w+|([^\w\s])\1*", text.lower())]


def frequent(tokens: Iterable[str], least: int) -> set[str]:
    """The tokens that come at least so often."""
    return {token for token, count in Counter(tokens).items() if count >= least}


def vocabulary(characters: Iterable[str]) -> Vocabulary:
    """The characters of a text, or words, each once, numbered from 1 in the order of their code points; 0 is any other one.

    >>> letters = vocabulary("banana")
    >>> letters.encode("nab!"), len(letters)
    ([3, 1, 2, 0], 4)
    """
    return Vocabulary(set(characters), specials=(UNKNOWN,), unknown=UNKNOWN)


def numbered(letters: Vocabulary, text: Iterable[str]) -> np.ndarray:
    """The number of each character, or of each word."""
    return np.array(letters.encode(text), dtype=np.int64)


def parallel_streams(numbers: np.ndarray, B: int) -> tuple[np.ndarray, np.ndarray]:
    """(inputs, targets), each (T, B): the text cut into B long stretches that are read side by side.

    A target is the character after its input. Up to B characters at the end, which would make the stretches unequal, are left out.

    >>> inputs, targets = parallel_streams(np.arange(7), 2)
    >>> inputs.tolist(), targets.tolist()
    ([[0, 3], [1, 4], [2, 5]], [[1, 4], [2, 5], [3, 6]])
    """
    T = (len(numbers) - 1) // B
    inputs, targets = numbers[: T * B], numbers[1 : T * B + 1]
    return inputs.reshape(B, T).T, targets.reshape(B, T).T
