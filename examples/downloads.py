"""Texts from the network, only when asked for: fetched once, held against a known hash, kept in a cache."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from pathlib import Path
from typing import NamedTuple

__all__ = ["TEXTS", "Source", "cache_folder", "fetch"]

_MOST = 50_000_000  # bytes; whatever is larger is none of these


class Source(NamedTuple):
    """Where a text is, and the hash of its bytes: SHA-256, or SHA-1 where that is what its publisher gives."""

    url: str
    algorithm: str
    digest: str


TEXTS = {
    # H. G. Wells 1895, in the public domain; as prepared for, and with the hash printed in, the book "Dive into Deep Learning"
    "time-machine": Source(
        "https://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt", "sha1", "090b5e7e70c295757f55df93cb0a180b9691891a"
    ),
    # a million characters of Shakespeare, in the public domain; as prepared by Andrej Karpathy for char-rnn
    "tiny-shakespeare": Source(
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "sha256",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
}


def cache_folder() -> Path:
    """Where fetched texts are kept: minigrad in $XDG_CACHE_HOME, or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minigrad"


def fetch(name: str, source: Source, folder: Path) -> Path:
    """The text's file in `folder`, fetched unless it is there and whole; ValueError that says in one line why it cannot be had."""
    path = folder / f"{name}.txt"
    try:
        if path.is_file() and _fits(path.read_bytes(), source):
            return path
        with urllib.request.urlopen(source.url, timeout=30) as answer:
            content = answer.read(_MOST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ValueError(f"cannot fetch {name} from {source.url} ({reason}); fetch it elsewhere and give it as --text FILE") from None
    if not _fits(content, source):
        raise ValueError(f"{source.url} gave {len(content):,} bytes whose {source.algorithm} is not {source.digest}; nothing was kept")
    try:
        _write_whole(path, content)
    except OSError as error:
        raise ValueError(f"cannot keep {name} in {folder}: {error.strerror}") from None
    return path


def _fits(content: bytes, source: Source) -> bool:
    return hashlib.new(source.algorithm, content).hexdigest() == source.digest


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
