"""Which device the tests run on: MINIGRAD_DEVICE=cpu (the default), strict (see strict.py) or cuda, where there is a GPU.

Doctests run on the CPU only, where what they print does not name the device, and so do tests marked `host_only`, which
the device makes no difference to; the mark says why.

With MINIGRAD_PARITY set, as `./run parity` does, only those run that compare with PyTorch: the others ran before.
"""

import inspect
import os
import sys
import types
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

# Read when NumPy and PyTorch are imported: on arrays as small as in tests, threads wait for each other and gain nothing.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import minigrad

sys.path.insert(0, str(Path(__file__).parent))
import cuda_on_cpu
import strict

collect_ignore = ["bench", "record_cupy.py"]  # measured by `./run bench`; a program
collect_ignore_glob = ["record_*.py", "recorded/*.py", "gpu/gpu_*.py"]  # programs that write what tests read; they need PyTorch or CuPy
DEVICE = os.environ.get("MINIGRAD_DEVICE") or "cpu"
strict.register()
if DEVICE == "strict" and cuda_on_cpu.COMPILER is None:
    os.environ.setdefault("MINIGRAD_KERNEL", "arrays")  # what a GPU would run goes through g++ here
minigrad.set_default_device(DEVICE)  # for what modules make while they are collected


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "host_only(reason): about NumPy arrays or the host itself; runs on the CPU only")


def compares(item: pytest.Item) -> bool:
    """Whether a test is about PyTorch: its module has it, or a fixture of the test, or the test's own lines name it."""
    library = getattr(getattr(item, "module", None), "torch", None)  # a fixture, too, and minigrad, can have this name there
    imported = isinstance(library, types.ModuleType) and library is not minigrad
    return (
        imported
        or "torch" in getattr(item, "fixturenames", ())
        or (isinstance(item, pytest.Function) and "torch" in inspect.getsource(item.function))
    )


def left_out(item: pytest.Item) -> bool:
    """Whether a test need not run here: see above."""
    once = isinstance(item, pytest.DoctestItem) or item.get_closest_marker("host_only") is not None
    return (once and DEVICE != "cpu") or (bool(os.environ.get("MINIGRAD_PARITY")) and not compares(item))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    out = [left_out(item) for item in items]
    config.hook.pytest_deselected(items=[item for item, each in zip(items, out, strict=True) if each])
    items[:] = [item for item, each in zip(items, out, strict=True) if not each]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """No test may be skipped for want of PyTorch that would not run where it is there."""
    report = yield
    if report.skipped and "could not import 'torch'" in str(report.longrepr) and not compares(item):
        report.outcome, report.longrepr = "failed", "skipped without PyTorch, and left out of `./run parity`: name torch in the test"
    return report


@pytest.fixture(autouse=True)
def _default_device() -> Iterator[None]:
    """Every test starts and ends with the device it was asked for."""
    minigrad.set_default_device(DEVICE)
    yield
    minigrad.set_default_device(DEVICE)
