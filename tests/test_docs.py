"""The chapters' python blocks run, in order, and print what stands behind their prints, or below their prompts."""

import builtins
import doctest
import io
import re
import sys
import tokenize
from pathlib import Path

import pytest

CHAPTERS = sorted((Path(__file__).resolve().parents[1] / "docs").rglob("*.md"))
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text):
    """(source, line number of its first line) of every block fenced as python."""
    return [(found[1], text.count("\n", 0, found.start(1)) + 1) for found in FENCE.finditer(text)]


def promised(source):
    """What a line's prints shall print, by line number: the comment behind it, and those below that begin in its column."""
    found, lines, last = {}, source.splitlines(), None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        (line, column), before = token.start, lines[token.start[0] - 1][: token.start[1]]
        if "print(" in before:
            last = (line, line, column)
            found[line] = [token.string[1:]]
        elif last and not before.strip() and (line, column) == (last[1] + 1, last[2]):
            last = (last[0], line, column)
            found[last[0]].append(token.string[1:])
    return {line: normal("\n".join(texts)) for line, texts in found.items()}


def normal(text):
    """Without the spaces around lines."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def run(source, first, names, file="block"):
    """Run a block; AssertionError where a line printed something else than its comment, or the text below its prompt, says."""
    if source.startswith(">>> "):
        session = doctest.DocTestParser().get_doctest(source, names, "block", file, first - 1)
        told: list[str] = []
        doctest.DocTestRunner(verbose=False).run(session, out=told.append, clear_globs=False)
        names.update(session.globs)
        assert not told, "".join(told)
        return
    printed, original = {}, builtins.print

    def noting(*values, **options):
        out = io.StringIO()
        original(*values, **{**options, "file": out})
        line = sys._getframe(1).f_lineno - first + 1
        printed[line] = printed.get(line, "") + out.getvalue()

    names["print"] = noting
    exec(compile("\n" * (first - 1) + source, file, "exec"), names)
    for line, text in promised(source).items():
        assert normal(printed.get(line, "")) == text, f"{file}:{line + first - 1} promises\n{text}\nand prints\n{printed.get(line)}"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.name)
def test_chapters_run_as_printed(chapter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "chapter"}
    for source, first in blocks(chapter.read_text(encoding="utf-8")):
        run(source, first, names, str(chapter))


def test_there_are_chapters_with_blocks_and_promises():
    text = "\n".join(path.read_text(encoding="utf-8") for path in CHAPTERS)
    assert sum(len(promised(source)) for source, _ in blocks(text) if not source.startswith(">>> ")) >= 15


@pytest.mark.parametrize(
    ("source", "right"),
    [
        ("print(1 + 1)  # 2", True), ("print(1 + 1)  # 3", False), ("for i in range(2):\n    print(i)  # 0\n              # 1", True),
        ("for i in range(2):\n    print(i)  # 0", False), ("if False:\n    print(1)  # 1", False), ("x = 1  # print(2)", True),
        (">>> 1 + 1\n2", True), (">>> 1 + 1\n3", False), ("print('# 2')  # # 2", True), ("print(1)", True),
        ("print('a\\nb')  # a\n               # b", True),
    ],
)  # fmt: skip
def test_a_wrong_promise_is_caught(source, right):
    assert len(blocks(f"text\n```python\n{source}\n```\n")) == 1
    if right:
        run(source, 7, {})
    else:
        with pytest.raises(AssertionError, match=r"promises|Failed example"):
            run(source, 7, {})
