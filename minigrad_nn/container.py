"""Modules that hold other Modules in order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from .module import Module
from .parameter import Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterList", "Sequential"]


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

    def __delitem__(self, index: Any) -> None:
        modules = list(self)
        del modules[index]
        self._hold(modules)

    def __add__(self, other: Iterable[Module]) -> Any:
        return self._of([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> Any:
        return self.extend(other)

    def _of(self, modules: list[Module]) -> Any:
        return type(self)(*modules)

    def _hold(self, modules: list[Module]) -> None:
        """Hold these Modules in place of those here, numbered anew."""
        for name in list(self._modules):
            delattr(self, name)
        self.extend(modules)

    def append(self, module: Module) -> Any:
        """Add a Module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add Modules at the end; returns the container."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a Module before another; those behind it are numbered anew. Returns the container."""
        if not isinstance(module, Module):
            raise TypeError(f"a {type(self).__name__} holds Modules, got {type(module).__name__}")
        modules = list(self)
        modules.insert(index, module)
        self._hold(modules)
        return self

    def pop(self, key: Any) -> Any:
        """Take a Module out, or several with a slice; returns what was taken."""
        taken = self[key]
        del self[key]
        return taken


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

    def __repr__(self) -> str:
        """As every Module, but what prints alike in a row is printed once: (0-1): 2 x Linear(...)."""
        lines, start = [], 0
        for text, alike in groupby(map(repr, self)):
            last = start + len(list(alike)) - 1
            head = f"({start}): " if last == start else f"({start}-{last}): {last - start + 1} x "
            lines.append((head + text).replace("\n", "\n  "))
            start = last + 1
        return f"{type(self).__name__}(" + "".join(f"\n  {line}" for line in lines) + "\n" * bool(lines) + ")"


class ModuleDict(Module):
    """Modules by name, registered; the Module that owns the dict calls them.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleDict.html
    """

    _modules: dict[str, Module]  # type: ignore[assignment]  # none of them is None

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add Modules by name, in place of those of the same name."""
        for name, module in dict(modules).items():
            self[name] = module

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        if key not in self._modules:
            raise KeyError(key)
        delattr(self, key)

    def pop(self, key: str) -> Module:
        """Take a Module out by name; returns it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all Modules out."""
        for key in list(self._modules):
            del self[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """The Modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Pairs of name and Module."""
        return self._modules.items()


class ParameterList(Module):
    """Parameters in a list, registered as "0", "1", …; tensors become Parameters.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterList.html
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(values or [])

    def append(self, value: Any) -> ParameterList:
        """Add a Parameter at the end; returns the list."""
        self.register_parameter(str(len(self)), value if isinstance(value, Parameter) else Parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add Parameters at the end; returns the list."""
        for value in values:
            self.append(value)
        return self

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parameters.values())

    def __getitem__(self, index: Any) -> Any:
        found = list(self._parameters.values())[index]
        return type(self)(found) if isinstance(index, slice) else found
