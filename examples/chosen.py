"""Options that were left out: from the file of --load, else the example's defaults, those of --quick among them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

__all__ = ["complete"]


def complete(lines: argparse.ArgumentParser, options: argparse.Namespace, defaults: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Fill in what is None: with what the saved model was made with, then with `defaults`. Exits with one line where they disagree.

    >>> lines, options = argparse.ArgumentParser(), argparse.Namespace(hidden=None, lr=None, batch=8)
    >>> complete(lines, options, {"hidden": 16, "lr": 0.01, "batch": 32}, {"hidden": 4})
    >>> options
    Namespace(hidden=4, lr=0.01, batch=8)
    """
    for name, value in saved.items():
        asked = getattr(options, name)
        if asked not in (None, value):
            lines.error(f"--{name} {asked}, but the models in {options.load} were made with {value}; leave --{name} out")
        setattr(options, name, value)
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
