"""When to end a training run before its last step: the time is up, or somebody pressed Ctrl-C."""

from __future__ import annotations

import signal
import time
from types import FrameType

__all__ = ["Stopper"]


class Stopper:
    """Inside its `with` block, `reason` is "" as long as training may go on, and then says why it should end.

    A Ctrl-C is only noted, so that the step at hand is finished and the weights belong together; a second one ends the program.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.interrupted = seconds, False

    def __enter__(self) -> Stopper:
        self.started = time.perf_counter()
        self.before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self.took = time.perf_counter() - self.started
        signal.signal(signal.SIGINT, self.before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    @property
    def reason(self) -> str:
        """Why to end now; empty if there is no reason."""
        if self.interrupted:
            return "Ctrl-C"
        return f"the limit of {self.seconds:g} seconds (--seconds)" if time.perf_counter() - self.started > self.seconds else ""
