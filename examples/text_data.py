"""The text a character model reads: where it comes from, its vocabulary, its split, and its cut into parallel streams."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

__all__ = ["Vocabulary", "parallel_streams", "python_help", "read_text", "split"]

UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # how the extra symbol is printed


def python_help() -> str:
    """Half a million characters of real English that every Python carries: its help topics, in the order of their names."""
    return "".join(topics[name] for name in sorted(topics))


def read_text(path: str) -> str:
    """The file's text, which must be UTF-8; ValueError that says in one line why it cannot be had."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: byte {error.start} does not fit; convert it first, e.g. with iconv") from None


def split(text: str) -> tuple[str, str]:
    """(the first nine tenths, to train on; the last tenth, held out)"""
    border = len(text) * 9 // 10
    return text[:border], text[border:]


class Vocabulary:
    """The characters of the training part, numbered in sorted order, and one extra symbol for any other character.

    >>> letters = Vocabulary("banana")
    >>> letters.encode("nab!").tolist(), len(letters)
    ([2, 0, 1, 3], 4)
    >>> letters.decode([1, 0, 2])
    'ban'
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = "".join(sorted(set(characters)))
        self.number = {character: number for number, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters) + 1

    def encode(self, text: str) -> np.ndarray:
        """The number of each character; those that the training part lacks share the last number."""
        unknown = len(self.characters)
        return np.array([self.number.get(character, unknown) for character in text], dtype=np.int64)

    def decode(self, numbers: Iterable[int]) -> str:
        """The characters with these numbers."""
        symbols = self.characters + UNKNOWN
        return "".join(symbols[number] for number in numbers)

    def missing(self, text: str) -> str:
        """The characters of `text` that have no number of their own."""
        return "".join(sorted(set(text) - set(self.characters)))


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
