"""How a layer's weights are spread over all blocks of a GPU: see spread.cuh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .launch import REGISTERS, Kernel, fits, launcher_of

__all__ = ["MOST", "backward_kernel", "forward_kernel", "over"]

MOST = 1024  # units for which this was thought out
SHARED = 160 * 1024  # bytes in a block for a tile
TILE = 64  # rows of the batch in a tile, if they fit
COPIES = 16  # of a team, at most
WORKING = 64  # registers besides those that hold weights


def over(xp: Any, kernels: Callable[[int], tuple[Kernel, Kernel]], paired: bool) -> tuple[Kernel, Kernel]:
    """The kernels for the current device, `kernels` being those for a number of multiprocessors.

    Of two directions each gets half of the device, if that holds its weights, so that both can be there at once: a step's
    product then takes twice as long, but fetching the state and waiting at the barrier, no longer than for one.
    """
    multiprocessors = launcher_of(xp).limits(xp)[1]
    halves = kernels(multiprocessors // 2) if paired and multiprocessors > 1 else ()
    return halves if halves and all(fits(xp, each) for each in halves) else kernels(multiprocessors)


def forward_kernel(kind: str, H: int, multiprocessors: int, rows: int, units: int, **sizes: int) -> Kernel:
    """Forward: teams of `units` units each, which have `rows` rows of the weights."""
    teams = -(-H // (units * multiprocessors))  # in a block
    blocks = -(-H // (units * teams))
    return _kernel(f"{kind}_spread", f"{kind}_spread_forward", H, blocks, teams, rows, 4 * _width(H), {"TEAMS": teams, **sizes})


def backward_kernel(kind: str, H: int, multiprocessors: int, gates: int, **sizes: int) -> Kernel:
    """Backward: a team for each four units and each gate."""
    quads = -(-H // (4 * multiprocessors))  # in a block
    blocks, vector = -(-H // (4 * quads)), 4 * gates * (_width(H) + 4 * quads)
    return _kernel(f"{kind}_spread_back", f"{kind}_spread_backward", H, blocks, quads * gates, 4, vector, {"QUADS": quads, **sizes})


def _width(H: int) -> int:
    """Numbers in a vector of H with the zeros at its end."""
    return -(-H // 128) * 128


def _kernel(file: str, function: str, H: int, blocks: int, teams: int, rows: int, vector: int, sizes: dict[str, int]) -> Kernel:
    """As many copies of the teams as registers allow, and as large a tile of vectors (in bytes) as shared memory does."""
    registers = min(255, (rows * _width(H) // 32 + WORKING + 7) // 8 * 8)
    warps = min(16, REGISTERS // (registers * 32) // 4 * 4)
    copies = max(1, min(COPIES, warps // teams))
    tile = max(1, min(TILE, SHARED // vector))
    threads = 32 * teams * copies
    sizes = {"H": H, "THREADS": threads, "TILE": tile, "COPIES": copies, **sizes}
    return Kernel(f"{file}.cu", function, tuple(sizes.items()), threads, tile * vector, blocks, registers)
