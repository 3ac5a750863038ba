"""Modules that stand elsewhere than PyTorch's names say: `from minigrad.nn.utils import rnn` is minigrad_nn's.

The module is the same object under both names, so that there is one class LSTM, not two.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["Elsewhere"]


class Elsewhere:
    """Finds modules, and all inside them, under other names than their own: {"minigrad.nn": "minigrad_nn"}.

    Source: https://docs.python.org/3/reference/import.html#the-meta-path, whose finder and loader this is. It names no base class
        of theirs: importlib.abc would make `import minigrad` take longer
    """

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def install(self) -> None:
        """Be asked by every import statement from here on, before Python looks into folders."""
        others = [each for each in sys.meta_path if type(each).__qualname__ != type(self).__qualname__]  # of an earlier import of this file
        sys.meta_path[:] = [self, *others]

    def own_name(self, name: str) -> str | None:
        """What a module is called where it stands; None for one that is not elsewhere."""
        for alias, own in self.names.items():
            if name == alias or name.startswith(alias + "."):
                return own + name[len(alias) :]
        return None

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """What an import statement asks: who loads the module of this name."""
        own = self.own_name(fullname)
        loader: Any = self
        return None if own is None or importlib.util.find_spec(own) is None else ModuleSpec(fullname, loader)

    def create_module(self, spec: ModuleSpec) -> None:
        """None: Python shall make the module, an empty one."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module that is meant in place of the empty one that Python has made; so with all that it has loaded.

        What is loaded already is not assigned to its package again: `minigrad_nn.scan` is a function, in a module of that name.
        """
        own = self.own_name(module.__name__)
        assert own is not None
        importlib.import_module(own)
        for name, loaded in list(sys.modules.items()):
            if name == own or name.startswith(own + "."):
                sys.modules[module.__name__ + name[len(own) :]] = loaded
