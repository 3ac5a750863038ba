"""Modules that hold other Modules in order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from .module import Module

__all__ = ["ModuleList", "Sequential"]


class _Ordered(Module):
    """Modules named "0", "1", … in order."""

    _modules: dict[str, Module]  # type: ignore[assignment]  # none of them is None

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._of(list(self._modules.values())[index])
        return list(self._modules.values())[index]

    def __setitem__(self, index: int, module: Module) -> None:
        name = list(self._modules)[index]
        setattr(self, name, module)

    def _of(self, modules: list[Module]) -> Any:
        return type(self)(*modules)

    def append(self, module: Module) -> Any:
        """Add a Module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self


class Sequential(_Ordered):
    """Modules called one after the other, each on the result of the one before.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        by_name = args[0] if len(args) == 1 and isinstance(args[0], (OrderedDict, dict)) else {str(i): each for i, each in enumerate(args)}
        for name, module in by_name.items():
            self.add_module(name, module)

    def forward(self, input: Any) -> Any:
        """The last Module's result."""
        for module in self:
            input = module(input)
        return input


class ModuleList(_Ordered):
    """Modules in a list, registered; the Module that owns the list calls them.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or [])

    def _of(self, modules: list[Module]) -> Any:
        return type(self)(modules)

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add Modules at the end; returns the list."""
        for module in modules:
            self.append(module)
        return self

    def _enter_as(self, name: str) -> None:
        """A list is never called itself, so its Modules carry its name: layers.0, layers.1, …"""
        super()._enter_as(name)
        for key, module in self._modules.items():
            module._enter_as(f"{name}.{key}")

    def append(self, module: Module) -> ModuleList:
        """Add a Module at the end; returns the list."""
        name = str(len(self))
        super().append(module)
        if self._scope != type(self).__name__:
            module._enter_as(f"{self._scope}.{name}")
        return self
