"""Numbers in words, in English and another language, from the package num2words."""

from __future__ import annotations

import random
from typing import Any

__all__ = ["languages", "numbers"]


def _num2words() -> Any:
    """The package; ValueError with one line where it is not installed."""
    try:
        import num2words
    except ImportError:
        raise ValueError('--task numbers takes them from num2words: pip install "minigrad-nn[examples]"') from None
    return num2words


def languages() -> list[str]:
    """The languages that numbers can be translated to."""
    return sorted(set(_num2words().CONVERTER_CLASSES) - {"en", "am"})  # its Amharic has no numbers above 99


def numbers(to: str, count: int, below: int, seed: int) -> list[tuple[str, str]]:
    """`count` different random numbers of 0 … below - 1, in words of both languages."""
    in_words = _num2words().num2words
    return [(in_words(each), in_words(each, lang=to)) for each in random.Random(seed).sample(range(below), count)]
