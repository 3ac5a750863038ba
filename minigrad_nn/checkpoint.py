"""Checkpoints: a whole training run in one file, from which it goes on bit for bit as if it had never been interrupted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from minigrad.random import Generator, default_generator
from minigrad.serialization import load, save

__all__ = ["load_checkpoint", "save_checkpoint"]

_KIND, _VERSION = "minigrad checkpoint", 1


def save_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: Any,
    optimizer: Any = None,
    scheduler: Any = None,
    generators: Mapping[str, Generator] | None = None,
    loader: Any = None,
    **extra: Any,
) -> None:
    """Write all that a training run needs to go on to a file; whole or not at all, whenever the machine stops.

    The state of the default stream of random numbers is always in it; `generators` are those the run has besides, by name.
    `loader` is a DataLoader, whose position inside the epoch is kept. `extra` is anything that `minigrad.save` can write:
    the epoch, the losses so far, the options.

    Raises  TypeError for what cannot be saved, before anything is written; FileNotFoundError for a folder that is not there

    >>> import tempfile, minigrad_nn as nn
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> save_checkpoint(path, model=nn.Linear(2, 1), epoch=3)
    >>> load_checkpoint(path, model=nn.Linear(2, 1))
    {'epoch': 3}
    """
    folder = os.path.dirname(os.path.realpath(os.fspath(path)))
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "loader": loader}
    states = {name: None if part is None else part.state_dict() for name, part in parts.items()}
    streams = {name: each.get_state() for name, each in (generators or {}).items()}
    run = {**states, "default_generator": default_generator.get_state(), "generators": streams, "extra": extra}
    save({"kind": _KIND, "version": _VERSION, **run}, path)
    _sync_folder(folder)


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: Any,
    optimizer: Any = None,
    scheduler: Any = None,
    generators: Mapping[str, Generator] | None = None,
    loader: Any = None,
) -> dict[str, Any]:
    """Put a training run back to where `save_checkpoint` wrote it; returns its `extra` as a dict.

    Everything is held against the file before anything changes. What is not given stays as it is: to use a trained model,
    give the model alone. The default stream goes on from where it stood as well, unless only a model is given.

    Raises  FileNotFoundError if there is no file; RuntimeError if it is damaged, no checkpoint, or of another model;
            ValueError for an optimiser, schedule, loader or generators that do not fit those saved, or were not saved
    """
    run = _read(path)
    given = {"optimizer": optimizer, "scheduler": scheduler, "loader": loader}
    given = {name: part for name, part in given.items() if part is not None}
    generators = generators or {}
    for name in given:
        if run[name] is None:
            raise ValueError(f"{os.fspath(path)!r} was saved without {name}; leave it out, or load another file")
    if generators and generators.keys() != run["generators"].keys():
        raise ValueError(f"{os.fspath(path)!r} was saved with generators {sorted(run['generators'])}, got {sorted(generators)}")
    for state in (run["default_generator"], *run["generators"].values()):
        Generator().set_state(state)
    for name in given.keys() & {"scheduler", "loader"}:
        given[name]._check_state(run[name])
    _load_together(model, optimizer, run)
    if scheduler is not None:
        scheduler.load_state_dict(run["scheduler"])
    for name, generator in generators.items():
        generator.set_state(run["generators"][name])
    if given or generators:
        default_generator.set_state(run["default_generator"])
    if loader is not None:
        loader.load_state_dict(run["loader"])
    return dict(run["extra"])


def _load_together(model: Any, optimizer: Any, run: dict[str, Any]) -> None:
    """Load model and optimiser, both or none: each refuses before it changes, and the optimiser's old state is still there."""
    if optimizer is None:
        model.load_state_dict(run["model"])
        return
    before = optimizer.state, optimizer.param_groups
    optimizer.load_state_dict(run["optimizer"])
    try:
        model.load_state_dict(run["model"])
    except BaseException:
        optimizer.state, optimizer.param_groups = before
        raise


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    found = load(path, map_location="cpu")
    if not isinstance(found, dict) or found.get("kind") != _KIND:
        raise RuntimeError(f"{os.fspath(path)!r} is no checkpoint of a training run; minigrad.load() reads other files")
    if found.get("version") != _VERSION:
        version = found.get("version")
        raise RuntimeError(f"{os.fspath(path)!r} is a checkpoint of version {version}; this minigrad reads {_VERSION}. Upgrade it")
    return found


def _sync_folder(folder: str) -> None:
    """Wait until the folder's list of files is on the disk: without it a power cut may bring the old file back."""
    if os.name != "posix":  # elsewhere folders cannot be opened
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
