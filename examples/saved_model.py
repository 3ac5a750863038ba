"""A trained model as one file: its weights, and the facts needed to build it again (sizes, vocabularies)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import minigrad as mg
import minigrad_nn as nn

__all__ = ["load_model", "put_weights", "save_model"]


def save_model(path: str, model: nn.Module, **facts: Any) -> None:
    """Write one safetensors file with the model's weights and `facts`: numbers, texts, lists and dicts of them."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    mg.save({"weights": model.state_dict(), **facts}, path)


def load_model(path: str, device: str, *names: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(weights, facts) that `save_model` wrote, with a fact of each name; ValueError that says in one line why the file cannot be used."""
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    try:
        saved = mg.load(path, map_location=device)
        return saved["weights"], {name: saved[name] for name in names}
    except Exception as error:  # whatever is wrong with a file somebody names, the answer is one line
        raise ValueError(f"{path} is no model saved by this program ({type(error).__name__}: {error})") from None


def put_weights(model: nn.Module, weights: dict[str, Any], path: str) -> None:
    """Put loaded weights into the model; ValueError that says in one line that they are another's."""
    try:
        model.load_state_dict(weights)
    except (RuntimeError, ValueError, TypeError, AttributeError):
        raise ValueError(f"{path} holds the weights of another model than this program's") from None
