"""What all recurrent modules check of their arguments before anything is computed."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable
from typing import Any

from minigrad.ops import relu, sigmoid, tanh

__all__ = ["ACTIVATIONS", "activation_of", "require_device", "require_dropout", "require_flags", "require_sizes"]

ACTIVATIONS: dict[str, Callable[..., Any]] = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid}


def require_sizes(**sizes: Any) -> None:
    """TypeError for a size that is no int, ValueError for one that is not positive."""
    for name, size in sizes.items():
        if type(size) is not int:
            raise TypeError(f"{name} must be an int, got {type(size).__name__} {size!r}")
        if size <= 0:
            raise ValueError(f"{name} must be positive, got {size}")


def require_flags(**flags: Any) -> None:
    """TypeError for a flag that is no bool: most often an argument in the wrong position."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, got {flag!r}; is an argument in the wrong position?")


def require_dropout(dropout: Any, num_layers: int) -> None:
    """TypeError or ValueError for what is no probability; a warning where it would do nothing."""
    if dropout is None:
        raise TypeError("dropout must be a number in [0, 1], got None")
    if isinstance(dropout, bool) or not isinstance(dropout, numbers.Number) or not 0 <= float(dropout) <= 1:  # type: ignore[arg-type]
        raise ValueError(f"dropout must be a number in [0, 1], the probability of an element being zeroed, got {dropout!r}")
    if dropout and num_layers == 1:
        warnings.warn(f"dropout={dropout} acts between layers, and there is only one: it does nothing", UserWarning, stacklevel=4)


def require_device(name: str, device: Any) -> None:
    """ValueError for a number where a device belongs: PyTorch takes proj_size in that position, which only an LSTM has."""
    if isinstance(device, int):
        raise ValueError(f"device must name a device, got {device!r}; {name} has no proj_size, which is an LSTM's")


def activation_of(nonlinearity: Any) -> Callable[[Any], Any]:
    """The function that a nonlinearity names, or that it is; ValueError for other names."""
    if callable(nonlinearity):
        return nonlinearity
    if nonlinearity not in ACTIVATIONS:
        known = ", ".join(map(repr, ACTIVATIONS))
        raise ValueError(f"nonlinearity must be one of {known}, or a function of a tensor, got {nonlinearity!r}")
    return ACTIVATIONS[nonlinearity]
