"""A training run in a file: killed at any moment and begun again, it ends with the weights of one that was never interrupted."""

from __future__ import annotations

import os
from typing import Any

import minigrad as mg
import minigrad_nn as nn

from running import Losses

__all__ = ["Run", "require_same_run"]

EVERY = 25  # updates between two writings


class Run:
    """Writes model, optimiser, schedule, hidden state and losses to a file now and then; without a file it does nothing."""

    def __init__(self, path: str | None, facts: dict[str, Any], **parts: Any) -> None:
        self.path, self.facts, self.parts = path, facts, parts

    def begin(self, device: str) -> tuple[Losses, Any]:
        """(losses of the updates made so far, hidden state after them); puts the parts back to there."""
        if not self.path or not os.path.exists(self.path):
            return Losses(), None
        extra = nn.load_checkpoint(self.path, **self.parts)
        state = extra["state"]
        state = tuple(each.to(device) for each in state) if isinstance(state, tuple) else state.to(device)
        return Losses(extra["losses"].tolist()), state

    def keep(self, updates: int, losses: Losses, state: Any, now: object) -> None:
        """Write all of it, every so many updates, or `now`."""
        if self.path and (now or updates % EVERY == 0):
            state, numbers = nn.detach_state(state), mg.tensor(losses.all(), dtype=mg.float64, device="cpu")
            nn.save_checkpoint(self.path, facts=self.facts, losses=numbers, state=state, **self.parts)


def require_same_run(path: str, model: nn.Module, facts: dict[str, Any]) -> None:
    """ValueError that says in one line why the run in the file is not the one asked for. The model gets the file's weights."""
    try:
        kept = nn.load_checkpoint(path, model=model).get("facts")
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise ValueError(f"{path} is no run of this model ({str(error).splitlines()[0]})") from None
    if not isinstance(kept, dict):
        raise ValueError(f"{path} is a run of another program")
    for name, now in facts.items():
        if kept.get(name) != now:
            raise ValueError(f"the run in {path} was begun with {name} {kept.get(name)}, not {now}; give the same, or another file")
