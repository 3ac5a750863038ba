"""A trained model as one file: weights, vocabulary and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minigrad as mg

__all__ = ["SavedModel", "load_model", "save_model"]


@dataclass
class SavedModel:
    """What `load_model` returns: everything needed to build the model again."""

    weights: dict[str, Any]
    characters: str
    sizes: dict[str, int]


def save_model(path: str, weights: dict[str, Any], characters: str, sizes: dict[str, int]) -> None:
    """Write one safetensors file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    mg.save({"weights": weights, "characters": characters, "sizes": sizes}, path)


def load_model(path: str, device: str) -> SavedModel:
    """What `save_model` wrote; ValueError that says in one line why the file cannot be used."""
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    try:
        saved = mg.load(path, map_location=device)
        return SavedModel(saved["weights"], saved["characters"], saved["sizes"])
    except Exception as error:  # whatever is wrong with a file somebody names, the answer is one line
        raise ValueError(f"{path} is no model saved by char_lm.py ({type(error).__name__}: {error})") from None
