"""Everything the packages ask of an array library is there in CuPy, as recorded in cupy_names.json."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import record_cupy
import strict

from minigrad import backend, ops

pytestmark = pytest.mark.host_only("reads files")
ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for package in ("minigrad", "minigrad_nn") for path in (ROOT / package).rglob("*.py"))
CUPY = {*strict.NAMES["functions"], *strict.NAMES["ufuncs"], *strict.NAMES["others"]}
METHODS = {name for name in dir(backend.CudaBackend) if not name.startswith("__")} | {"library", "__version__"}
LIBRARY = ("xp", "_of(", "backend.of(", "backend.on(", "of(", "on(", "self.library", "cupy", "_cupy()")
INSIDE = {  # what stands in modules and classes of CuPy's
    "cuda": "cuda", "cuda.runtime": "cuda_runtime", "random": "random", "cuda.Device()": "cuda_device",
    "cuda.get_current_stream()": "cuda_stream", "get_default_memory_pool()": "cuda_memory_pool", "cuda.MemoryHook": "cuda_memory_hook",
}  # fmt: skip


def asked(tree: ast.AST) -> Iterator[tuple[int, bool, str]]:
    """(line, whether inside a rule, path) of every attribute taken from an array library: cuda.runtime.getDevice for `cupy.…`."""
    for node, in_rule in _attributes(tree, False):
        library, path = _path(node)
        if library:
            yield node.lineno, in_rule and library == "xp", path


def _attributes(node: ast.AST, in_rule: bool) -> Iterator[tuple[ast.Attribute, bool]]:
    arguments = getattr(node, "args", None)
    if isinstance(arguments, ast.arguments):
        names = [each.arg for each in arguments.args]
        in_rule = (in_rule and "xp" not in names) or names[:2] == ["xp", "dy"] or names[:2] == ["xp", "dys"]
    if isinstance(node, ast.Attribute):
        yield node, in_rule
    for child in ast.iter_child_nodes(node):
        yield from _attributes(child, in_rule)


def _path(node: ast.Attribute) -> tuple[str, str]:
    """(library, what follows it) in an expression, arguments left out; two empty texts where no library stands in front."""
    parts: list[str] = [node.attr]
    below: ast.expr = node.value
    while True:
        text = ast.unparse(below)
        if text in LIBRARY or (isinstance(below, ast.Call) and ast.unparse(below.func) + "(" in LIBRARY):
            return text, ".".join(reversed(parts))
        if isinstance(below, ast.Call) and isinstance(below.func, ast.Attribute):
            parts.append(below.func.attr + "()")
            below = below.func.value
        elif isinstance(below, ast.Attribute):
            parts.append(below.attr)
            below = below.value
        else:
            return "", ""


def unknown(tree: ast.AST) -> list[str]:
    """The attributes that neither the backend nor CuPy has, or in a rule, which runs on Tensors too, that `minigrad.ops` lacks."""
    found = []
    for line, in_rule, path in asked(tree):
        inside, _, name = path.rpartition(".")
        if inside in INSIDE:
            known = name in strict.NAMES[INSIDE[inside]]
        elif inside:
            known = inside.partition(".")[0].removesuffix("()") in {*CUPY, *METHODS}  # of an array that a call returned
        else:
            # `put` and `array` stand in `_zeroed`, where it has arrays.
            known = name in CUPY | METHODS and (not in_rule or hasattr(ops, name) or name in ("put", "array"))
        if not known:
            found.append(f"line {line}: {path}")
    return found


@pytest.mark.parametrize("path", FILES, ids=[path.relative_to(ROOT).as_posix() for path in FILES])
def test_every_name_is_known(path):
    assert unknown(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_the_packages_do_not_know_the_strict_device():
    for path in FILES:
        texts = [node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)]
        assert "strict" not in texts, path


def test_names_are_found_at_all():
    seen = {name for path in FILES for _, _, name in asked(ast.parse(path.read_text(encoding="utf-8")))}
    assert {"where", "exp", "asarray", "in_range", "cuda.runtime.getDeviceCount", "get_default_memory_pool", "add.at"} <= seen


@pytest.mark.parametrize(
    "text",
    [
        "xp = of(x); y = xp.block([x, x])",
        "y = _of(x.array).insert(x.array, 0, 1)",
        "backend.of(x).unstack(x)",
        "backend.on(where).no_such_thing()",
        "y = cupy.cuda.runtime.getDeviceNumber()",
        "self.library.random.shuffled(x)",
        "rule = lambda xp, dy, x: dy * xp.nextafter(x)",  # CuPy has it, ops has not
        "def rule(xp, dy, x):\n    return xp.vecdot(dy, x)",
    ],
)
def test_a_name_that_is_not_there_is_found(text):
    assert len(unknown(ast.parse(text))) == 1


THERE = ["xp.exp(x)", "lambda xp, dy: xp.where(x, dy, 0.0)", "_of(x).abs(x).sum()", "cupy.cuda.Device(0).synchronize()"]


@pytest.mark.parametrize("text", THERE)
def test_names_that_are_there_are_not(text):
    assert unknown(ast.parse(text)) == []


def test_the_record_is_that_of_the_cupy_installed_here():
    cupy = pytest.importorskip("cupy")
    if cupy.__version__ != strict.NAMES["cupy"]:
        pytest.skip(f"CuPy {cupy.__version__} is installed, {strict.NAMES['cupy']} was recorded")
    special, flags = importlib.import_module("cupyx.scipy.special"), importlib.import_module("cupy._core.flags")
    cublas = pytest.importorskip("cupy_backends.cuda.libs.cublas", exc_type=ImportError)  # which needs cuBLAS itself
    exactness = importlib.import_module("cupy._core._routines_linalg")
    assert record_cupy.record(cupy, special, flags, cublas, exactness) == strict.NAMES


def test_what_was_recorded():
    assert strict.NAMES["cupy"].startswith("14.2.") and len(strict.NAMES["functions"]) > 200 and len(strict.NAMES["ufuncs"]) > 90
    assert strict.signature(strict.NAMES["functions"]["concatenate"]).bind([1], axis=0)
    with pytest.raises(TypeError):
        strict.check_call("argsort", strict.NAMES["functions"]["argsort"], (1,), {"descending": True})
