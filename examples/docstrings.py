"""Documentation strings of the standard library, which every Python carries, each with the part of the library it stands in.

The files are read as text and parsed, not imported: an import may open a window or a browser. The names of all parts and of their modules
are taken out of the texts, so that none names its own place.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from labelled import Pairs

__all__ = ["PARTS", "documentation", "words"]

# Folders, and modules as large as folders, with many documentation strings in every Python since 3.11. Some systems ship without
# tkinter and idlelib, which are then left out.
PARTS = {
    "asyncio": "asyncio",
    "decimal": "_pydecimal.py",
    "email": "email",
    "http": "http",
    "idlelib": "idlelib",
    "importlib": "importlib",
    "logging": "logging",
    "mailbox": "mailbox.py",
    "multiprocessing": "multiprocessing",
    "tkinter": "tkinter",
    "turtle": "turtle.py",
    "unittest": "unittest",
    "xml": "xml",
}
FEWEST = 4  # words; shorter texts say nothing


def documentation(parts: Iterable[str] = PARTS) -> Pairs:
    """(documentation string, part) of all modules, classes and functions of those parts that are there."""
    library = Path(sysconfig.get_path("stdlib"))
    files = {part: _files(library / PARTS[part]) for part in parts}
    hidden = {name.lower() for part, paths in files.items() for name in (part, *_module_names(library, paths))}
    hidden |= {name.removesuffix("lib") for name in hidden}
    pairs = []
    for part, paths in files.items():
        for path in paths:
            for text in _strings(path):
                seen = " ".join(word for word in words(text) if word not in hidden)
                if seen.count(" ") + 1 >= FEWEST:
                    pairs.append((seen, part))
    return pairs


def words(text: str) -> list[str]:
    """The words of a text in small letters; identifiers fall into their words.

    >>> words("Don't call get_name() 2 times.")
    ['don', 't', 'call', 'get', 'name', 'times']
    """
    return re.findall(r"[^\W\d_]+", text.lower())


def _files(place: Path) -> list[Path]:
    """The Python files of a part, in a fixed order; none where it is not there. Tests belong to no part."""
    if place.suffix:
        return [place] if place.is_file() else []
    return [path for path in sorted(place.rglob("*.py")) if not {"test", "tests", "idle_test"} & set(path.parts)]


def _module_names(library: Path, paths: list[Path]) -> set[str]:
    return {name for path in paths for name in path.relative_to(library).with_suffix("").parts}


def _strings(path: Path) -> Iterator[str]:
    """The documentation strings of a file."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield text
