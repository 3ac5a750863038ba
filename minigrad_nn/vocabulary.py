"""A vocabulary: which number each character or word has."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Vocabulary"]

_KIND = "minigrad vocabulary"


class Vocabulary:
    """Numbers for tokens: first the specials in their order, then the others, the most frequent first, equals in order of code points.

    tokens    all tokens of a text, characters or words, as often as they come; or how often each comes, as a Counter
    min_freq  what comes more seldom is left out
    max_size  at most so many in all; None for no limit
    specials  tokens that are in whether they come or not, like <pad>, <bos>, <eos>
    unknown   the special that stands for all tokens that are not in; without it, encoding one is an error

    Raises: TypeError for a token that is no string; ValueError for specials given twice, min_freq or max_size too small

    >>> letters = Vocabulary("hello")
    >>> letters.encode("hole!"), letters.decode([2, 4, 0])
    ([3, 4, 1, 2, 0], ['e', 'o', '<unk>'])
    >>> Vocabulary("to be or not to be".split(), min_freq=2, specials=("<pad>", "<unk>")).tokens
    ('<pad>', '<unk>', 'be', 'to')
    """

    def __init__(
        self,
        tokens: Iterable[str] | Mapping[str, int],
        min_freq: int = 1,
        specials: Sequence[str] = ("<unk>",),
        *,
        unknown: str = "<unk>",
        max_size: int | None = None,
    ) -> None:
        counts = Counter(dict(tokens) if isinstance(tokens, Mapping) else tokens)
        if isinstance(specials, str):
            raise TypeError(f"specials are a sequence of tokens, got the string {specials!r}; write ({specials!r},)")
        if min_freq < 1:
            raise ValueError(f"min_freq must be at least 1, got {min_freq}")
        if max_size is not None and max_size < len(specials):
            raise ValueError(f"max_size {max_size} has no room for {len(specials)} specials")
        for token in (*specials, *counts):
            if not isinstance(token, str):
                raise TypeError(f"tokens are strings, got {token!r}, a {type(token).__name__}")
        kept = [token for token, count in counts.items() if count >= min_freq and token not in specials]
        kept.sort(key=lambda token: (-counts[token], token))
        self._set([*specials, *kept][:max_size], unknown)

    def _set(self, tokens: Sequence[str], unknown: str) -> None:
        self.tokens = tuple(tokens)
        self.unknown = unknown
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        if len(self._ids) != len(self.tokens):
            raise ValueError(f"each token has one number, but {sorted(t for t, n in Counter(self.tokens).items() if n > 1)} come twice")

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and (self.tokens, self.unknown) == (other.tokens, other.unknown)

    def __hash__(self) -> int:
        return hash((self.tokens, self.unknown))

    def __getitem__(self, token: str) -> int:
        """The number of a token, that of `unknown` where it has none; KeyError where that is not in either."""
        number = self._ids.get(token, self._ids.get(self.unknown))
        if number is None:
            raise KeyError(f"{token!r} is not in the vocabulary, and it has no {self.unknown!r} to stand for it; add that to specials")
        return number

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """The numbers of the tokens of a text, or of the characters of a string."""
        return [self[token] for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The tokens with these numbers (a list, an array, a tensor of one axis); IndexError for a number that none has."""
        numbers = ids.tolist() if hasattr(ids, "tolist") else list(ids)
        wrong = [number for number in numbers if not 0 <= number < len(self)]
        if wrong:
            raise IndexError(f"no token has the number {wrong[0]}; the vocabulary has {len(self)}")
        return [self.tokens[number] for number in numbers]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vocabulary to a JSON file; whole or not at all. FileNotFoundError for a folder that is not there."""
        text = json.dumps({"kind": _KIND, "unknown": self.unknown, "tokens": self.tokens}, indent=0)  # ASCII: safe for any token
        path = os.path.realpath(os.fspath(path))
        unfinished = f"{path}.{os.urandom(6).hex()}.unfinished"
        try:
            with open(unfinished, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            if os.path.exists(unfinished):
                os.remove(unfinished)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """The vocabulary that `save` wrote. FileNotFoundError if there is no file; RuntimeError if it is no vocabulary, or damaged."""
        with open(path, encoding="utf-8") as file:
            try:
                found = json.load(file)
                fits = found["kind"] == _KIND and all(isinstance(token, str) for token in (found["unknown"], *found["tokens"]))
                if not fits:
                    raise ValueError("it says it is something else")
                vocabulary = cls.__new__(cls)
                vocabulary._set(found["tokens"], found["unknown"])
            except (ValueError, KeyError, TypeError) as problem:
                raise RuntimeError(f"{os.fspath(path)!r} is no vocabulary, or a damaged one ({problem}). Load another copy") from None
        return vocabulary

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.tokens[:6])) + (", …" if len(self) > 6 else "")
        return f"Vocabulary({len(self)} tokens: {shown})"
