"""Texts with a label each: read from a file, rid of duplicates, and split so that a text is always on the same side."""

from __future__ import annotations

import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Pairs", "clean", "read_tsv", "require_enough", "some", "split"]

Pairs = list[tuple[str, str]]  # (text, label)


def read_tsv(path: str, label_first: bool) -> Pairs:
    """The (text, label) pairs of a UTF-8 file with two columns between tabs; ValueError that says in one line what is wrong with it."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: byte {error.start} does not fit; convert it first, e.g. with iconv") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        columns = [column.strip() for column in line.split("\t")]
        if not any(columns):
            continue
        if len(columns) != 2 or not all(columns):
            order = "label<TAB>text" if label_first else "text<TAB>label"
            raise ValueError(f"{path}, line {number}: expected {order}, got {len(columns)} column(s): {line[:60]!r}")
        pairs.append((columns[1], columns[0]) if label_first else (columns[0], columns[1]))
    return pairs


def clean(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """Each text once, whatever its capitals, in the order of their letters; what stands under two labels is left out.

    >>> clean([("Novak", "Czech"), ("novak", "Czech"), ("Martin", "French"), ("Martin", "English")])
    [('Novak', 'Czech')]
    """
    labels: dict[str, set[str]] = defaultdict(set)
    spelt: dict[str, str] = {}
    for text, label in pairs:
        text = unicodedata.normalize("NFC", " ".join(text.split()))
        labels[text.casefold()].add(label)
        spelt[text.casefold()] = min(text, spelt.get(text.casefold(), text))
    return [(spelt[key], next(iter(found))) for key, found in sorted(labels.items()) if len(found) == 1]


def split(pairs: Pairs, digit: int = 0) -> tuple[Pairs, Pairs]:
    """(four fifths to train on, a fifth held out).

    A checksum of the text decides, not chance: whatever the seed, a saved model is never tried on what it has seen. Its other digits
    (to base 5) split in other ways: so what is trained on is split again, and a part of it chooses settings instead of what is held out.
    """
    train: Pairs = []
    held_out: Pairs = []
    for text, label in pairs:
        (held_out if zlib.crc32(text.casefold().encode()) // 5**digit % 5 == 0 else train).append((text, label))
    return train, held_out


def require_enough(train: Pairs, held_out: Pairs) -> None:
    """ValueError that says in one line what is missing for something to be learnt and measured."""
    labels = sorted({label for _, label in train})
    unseen = sorted({label for _, label in held_out} - set(labels))
    if len(labels) < 2:
        raise ValueError(f"needs texts of two labels or more to train on, got {len(labels)} with {len(train)} texts; each text counts once")
    if not held_out:
        raise ValueError(f"none of the {len(train)} texts is held out to measure with; a fifth is on average, so give more")
    if unseen:
        raise ValueError(f"nothing to train on under {', '.join(unseen)}: too few texts; give more, or leave the label out")


def some(pairs: Pairs, most: int) -> Pairs:
    """At most `most` of the pairs, evenly from all of them.

    >>> some([("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")], 2)
    [('a', 'x'), ('c', 'y')]
    """
    return pairs[:: -(-len(pairs) // most) or 1]
