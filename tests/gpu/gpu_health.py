"""A plugin of pytest for runs on a GPU: failures are told at once, and where the GPU answers no more, the process ends."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from gpu_worker import UNUSABLE, usable

_reporters: list[Any] = []


@pytest.hookimpl(trylast=True)  # after pytest's own has made the reporter
def pytest_configure(config: pytest.Config) -> None:
    """Remember who writes; processes of pytest-xdist have nobody, they send what they find to the one that has."""
    _reporters[:] = filter(None, [config.pluginmanager.get_plugin("terminalreporter")])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What broke a test, and where, not only when all tests are over."""
    for reporter in _reporters:
        if report.failed:
            told = [line for line in report.longreprtext.splitlines() if line.startswith("E ") or ": in " in line]
            reporter.write_line("\n" + "\n".join(told[-12:]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """After a failure, ask the GPU for a number. pytest-xdist starts another process and says which test was the last."""
    report = yield
    if report.failed and not usable():
        if "PYTEST_XDIST_WORKER" in os.environ:
            os._exit(UNUSABLE)
        pytest.exit(f"the GPU answers no more after {item.nodeid}\n{report.longreprtext}", UNUSABLE)
    return report
