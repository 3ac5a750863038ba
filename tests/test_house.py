"""The house's own rules: who imports whom, what is public, what a committed file may say, and how large files are."""

import ast
import importlib
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.host_only("reads files")
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("minigrad", "minigrad_nn")

# A file imports only from floors above it in this list. `name.*` is a package and everything in it, one family, whose
# members may import each other (but never in a circle).
FLOORS = [
    {"minigrad.blas", "minigrad.types", "minigrad.state", "minigrad.missing", "minigrad.elsewhere"},
    {"minigrad.backend"},
    {"minigrad.tape"},
    {"minigrad.trace", "minigrad.printing", "minigrad.public"},
    {"minigrad.ops.elementwise"},
    {"minigrad.ops.shape"},
    {"minigrad.ops.matrix", "minigrad.ops.reduce", "minigrad.ops.index", "minigrad.ops.create", "minigrad.ops.about"},
    {"minigrad.ops.analysis", "minigrad.ops.arrange", "minigrad.ops.statistics", "minigrad.ops.inplace"},
    {"minigrad.ops"},
    {"minigrad.autograd.*", "minigrad.random", "minigrad.linalg"},
    {"minigrad.tensor"},
    {"minigrad.legacy", "minigrad.serialization", "minigrad.cuda"},
    {"minigrad"},
    {"minigrad.viz.*"},
    {"minigrad_nn.parameter", "minigrad_nn.backward_hooks", "minigrad_nn.kernels.*"},
    {"minigrad_nn.module"},
    {"minigrad_nn.activations", "minigrad_nn.losses"},
    {"minigrad_nn.dot_products"},
    {"minigrad_nn.init", "minigrad_nn.functional", "minigrad_nn.utils.*"},
    {f"minigrad_nn.{name}" for name in ("layers", "container", "wrapped", "linear", "embedding", "dropout", "norm", "loss")},
    {"minigrad_nn.checks", "minigrad_nn.fused"},
    {"minigrad_nn.cells", "minigrad_nn.masks", "minigrad_nn.states", "minigrad_nn.conventions"},
    {"minigrad_nn.variants", "minigrad_nn.summary"},
    {"minigrad_nn.wrappers"},
    {"minigrad_nn.scan"},
    {"minigrad_nn.recurrent"},
    {"minigrad_nn.stacked"},
    {"minigrad_nn.optim.*"},
    {f"minigrad_nn.{name}" for name in ("checkpoint", "decoding", "attention", "metrics", "vocabulary")},
    {"minigrad_nn.seq2seq"},
    {"minigrad_nn"},
]

# Imports that break the order, each with its reason. Only these may stand inside a function.
DECLARED: dict[tuple[str, str], str] = {}

# Only these files may name CuPy for import.
CUPY_FILES = {"minigrad.backend"}

# What no committed file may say: where and on what it happened to be written.
PRIVATE = {"a path of the workshop": "/wo" + "rk/", "its library": r"(?<![\w)\]])\.libr" + "ary", "its machines": "fa" + "rm-"}


class Import(NamedTuple):
    """One imported module, and where the statement stands."""

    target: str
    line: int
    inside_function: bool


def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(module: str) -> Iterator[Import]:
    """What a file imports when it runs: statements for type checkers only are left out."""
    yield from _imports(module, ast.parse(MODULES[module].read_text(encoding="utf-8")), False)


def _imports(module: str, node: ast.AST, inside: bool) -> Iterator[Import]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for target in _targets(module, node):
            yield Import(target, node.lineno, inside)
    for child in _children_that_run(node):
        yield from _imports(module, child, inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))


def _children_that_run(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        yield from node.orelse
    else:
        yield from ast.iter_child_nodes(node)


def _targets(module: str, node: ast.Import | ast.ImportFrom) -> set[str]:
    """The modules a statement names: `from . import types` names the module types, `from .types import dtype` too."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    source = ".".join([*above, *([node.module] if node.module else [])])
    return {f"{source}.{alias.name}" if f"{source}.{alias.name}" in MODULES else source for alias in node.names}


def own_imports(module: str) -> list[Import]:
    """What a file imports from this house."""
    return [each for each in imports(module) if each.target.split(".")[0] in PACKAGES]


def place(module: str) -> tuple[int, str]:
    """(floor, family) of a module; both are its own where no family is named."""
    for floor, names in enumerate(FLOORS):
        for name in names:
            family = name.removesuffix(".*")
            if module == name or (family != name and (module == family or module.startswith(family + "."))):
                return floor, name
    pytest.fail(f"{module} has no floor: give it one in FLOORS of {Path(__file__).name}")


# ---------------------------------------------------------------------------------------------------------- imports


@pytest.mark.parametrize("module", MODULES)
def test_a_file_imports_only_from_floors_below_it(module: str) -> None:
    floor, family = place(module)
    for each in own_imports(module):
        there, relatives = place(each.target)
        allowed = there < floor or (relatives == family and family.endswith(".*")) or (module, each.target) in DECLARED
        assert allowed, f"{MODULES[module].relative_to(ROOT)}:{each.line}: {module} (floor {floor}) imports {each.target} (floor {there})"


@pytest.mark.parametrize("module", MODULES)
def test_no_import_hides_inside_a_function(module: str) -> None:
    hidden = [each for each in own_imports(module) if each.inside_function and (module, each.target) not in DECLARED]
    assert not hidden, f"{MODULES[module].relative_to(ROOT)}: {hidden}"


def test_no_circles() -> None:
    graph = {module: {each.target for each in own_imports(module) if (module, each.target) not in DECLARED} for module in MODULES}
    graph = {module: targets - {module} for module, targets in graph.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_every_declared_exception_is_still_needed() -> None:
    present = {(module, each.target) for module in MODULES for each in own_imports(module)}
    assert set(DECLARED) <= present


def test_the_engine_does_not_import_the_networks() -> None:
    for module in MODULES:
        if place(module)[0] <= place("minigrad.viz")[0]:
            assert not [each for each in own_imports(module) if each.target.split(".")[0] == "minigrad_nn"], module
            assert module == "minigrad" or not loaded_by_name(module, "minigrad_nn"), module


def test_kernels_import_the_backend_and_nothing_else() -> None:
    for module in MODULES:
        if module.startswith("minigrad_nn.kernels"):
            for each in own_imports(module):
                assert each.target == "minigrad.backend" or each.target.startswith("minigrad_nn.kernels"), (module, each)


def test_nothing_imports_the_pictures() -> None:
    for module in MODULES:
        if not module.startswith("minigrad.viz"):
            assert not [each for each in own_imports(module) if each.target.startswith("minigrad.viz")], module


@pytest.mark.parametrize("module", sorted(set(MODULES) - CUPY_FILES))
def test_cupy_is_imported_by_the_backend_only(module: str) -> None:
    assert not [each for each in imports(module) if each.target.split(".")[0].startswith("cupy")]
    assert not loaded_by_name(module, "cupy")


def loaded_by_name(module: str, start: str) -> list[int]:
    """Lines where a file asks for a module by a text that starts with `start`: import_module("cupy")."""
    calls = [node for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    asking = [call for call in calls if ast.unparse(call.func).rpartition(".")[2] in ("import_module", "__import__", "find_spec")]
    return [call.lineno for call in asking if any(isinstance(text, str) and text.startswith(start) for text in _constants(call))]


def _constants(call: ast.Call) -> list[Any]:
    return [node.value for node in ast.walk(call) if isinstance(node, ast.Constant)]


def test_importing_the_engine_loads_only_the_engine() -> None:
    others = ("cupy", "graphviz", "matplotlib", "minigrad_nn", "torch")
    code = f"import sys, minigrad; print([name for name in {others!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_can_be_imported(name: str) -> None:
    module = importlib.import_module(name)
    public = getattr(module, "__all__", [])
    assert [each for each in public if not hasattr(module, each)] == []
    assert len(set(public)) == len(public)


# ------------------------------------------------------------------------------------------------- committed files


def test_committed_files_do_not_say_where_they_were_written() -> None:
    found = [
        f"{path}: {what}" for path, text in committed_texts() for what, pattern in PRIVATE.items() if re.search(pattern, text)
    ]  # fmt: skip
    assert not found


def committed_texts() -> Iterator[tuple[str, str]]:
    """(path, text) of every committed text file."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    for path in filter(None, listed.split("\0")):
        if (ROOT / path).is_file():
            raw = (ROOT / path).read_bytes()
            if b"\0" not in raw:
                yield path, raw.decode("utf-8", "replace")


# ------------------------------------------------------------------------------------------------------- the mirror


class Figures(NamedTuple):
    """How large a file is: all lines, lines of code, tokens on each of them, and the longest function."""

    lines: int
    code: int
    density: float
    longest: int
    function: str


_NOT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip


def figures(path: Path) -> Figures:
    """A file's figures; docstrings and comments count as lines, not as code."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    prose = docstring_lines(tree)
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in _NOT_CODE]
    tokens = [token for token in tokens if token.start[0] not in prose]
    code = {token.start[0] for token in tokens}
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    longest, name = max(((length(each, code), each.name) for each in functions), default=(0, ""))
    return Figures(len(text.splitlines()), len(code), len(tokens) / max(1, len(code)), longest, name)


def docstring_lines(tree: ast.Module) -> set[int]:
    """The lines on which expressions of mere text stand."""
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    return {line for each in texts if isinstance(each.value.value, str) for line in range(each.lineno, (each.end_lineno or 0) + 1)}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef, code: set[int]) -> int:
    """Lines of code of a function, its `def` included."""
    return len(code & set(range(function.lineno, (function.end_lineno or function.lineno) + 1)))


def test_mirror(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints each file's size, so that growth is seen. It is a mirror, not a cap."""
    measured = {path.relative_to(ROOT).as_posix(): figures(path) for path in MODULES.values()}
    with capsys.disabled():
        print(f"\n{'':<34}lines  code  tokens/line  longest function")
        for path, each in measured.items():
            print(f"{path:<34}{each.lines:>5} {each.code:>5} {each.density:>12.1f}  {each.longest:>3} {each.function}")
        total = sum(each.lines for each in measured.values()), sum(each.code for each in measured.values())
        print(f"{'all':<34}{total[0]:>5} {total[1]:>5}")
    assert all(each.lines == 0 or each.code == 0 or each.density > 0 for each in measured.values())
    assert len(measured) == len(MODULES)
