"""DOT text to PNG and PDF, by whatever carries Graphviz's engine; each is tried in a process of its own, with a time limit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec

__all__ = ["draw"]

_WHEEL = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode("utf-8"))
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="nop2"))
"""
_STARTS = {"png": b"\x89PNG", "pdf": b"%PDF"}


def draw(dot: str, form: str, seconds: float) -> tuple[bytes, list[str]]:
    """(the picture or b"", what went wrong with each engine tried)."""
    troubles: list[str] = []
    for name, command in _engines(form):
        picture, trouble = _run(command, dot.encode("utf-8"), seconds)
        if picture.startswith(_STARTS[form]):
            return picture, troubles
        troubles.append(f"{name} {trouble or 'gave no ' + form}")
    return b"", troubles or ["no program neato or dot was found, and no module pygraphviz"]


def _engines(form: str) -> Iterator[tuple[str, list[str]]]:
    for program, options in (("neato", ["-n2"]), ("dot", ["-Kneato", "-n2"])):
        found = shutil.which(program)
        if found is not None:
            yield program, [found, *options, f"-T{form}"]
    if find_spec("pygraphviz") is not None:
        yield "pygraphviz", [sys.executable, "-c", _WHEEL, form]


def _run(command: list[str], given: bytes, seconds: float) -> tuple[bytes, str]:
    """(what a program answers, what went wrong); whatever it started ends with it."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )  # fmt: skip
    except OSError as error:
        return b"", f"could not be started: {error.strerror}"
    try:
        answer, complaint = process.communicate(given, timeout=seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        return b"", f"did not finish in {seconds:g} s"
    except OSError as error:
        _end(process)
        return b"", f"broke off: {error.strerror}"
    if process.returncode:
        last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:]
        how = f"was killed by signal {-process.returncode}" if process.returncode < 0 else f"failed with status {process.returncode}"
        return b"", f"{how}{': ' + last[0][:200] if last else ''}"
    return answer, ""


def _end(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=5)
