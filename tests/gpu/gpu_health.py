"""A plugin of pytest for runs on a GPU: where it answers no more, the process ends, instead of failing every test that is left."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from gpu_worker import UNUSABLE, usable


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """After a failure, ask the GPU for a number. pytest-xdist starts another process and says which test was the last."""
    report = yield
    if report.failed and not usable():
        if "PYTEST_XDIST_WORKER" in os.environ:
            os._exit(UNUSABLE)
        pytest.exit(f"the GPU answers no more after {item.nodeid}\n{report.longreprtext}", UNUSABLE)
    return report
