"""How a layer's weights are spread over the blocks of a GPU: see spread.cuh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .launch import REGISTERS, Kernel, fits, launcher_of

__all__ = ["MOST", "backward_kernel", "forward_kernel", "over", "pays"]

MOST = 1024  # units for which this was thought out
SHARED = 160 * 1024  # bytes in a block for a tile, on GPUs that have so many
TILE = 64  # rows of the batch in a tile, if they fit
WARPS = 16  # in a block, at most
WORKING = 64  # registers besides those that hold weights
PAYS = 2**15  # rows of a crew times H: see `pays`


def over(xp: Any, kernels: Callable[[int, int], tuple[Kernel, Kernel]], paired: bool) -> tuple[Kernel, Kernel]:
    """The kernels for the current device, `kernels` being those for a number of multiprocessors and bytes of shared memory.

    Of two directions each gets half of the device, if that holds its weights, so that both can be there at once.
    """
    shared_bytes, multiprocessors = launcher_of(xp).limits(xp)
    shared_bytes = min(SHARED, shared_bytes)
    halves = kernels(multiprocessors // 2, shared_bytes) if paired and multiprocessors > 1 else ()
    return halves if halves and all(fits(xp, each) for each in halves) else kernels(multiprocessors, shared_bytes)


def pays(kernel: Kernel, H: int, B: int) -> bool:
    """Whether a batch of B rows is for crews, and not for a product of matrices at each step.

    A crew's time grows with its rows and with H, for it fetches their vectors from main memory at every step; cuBLAS divides large
    products better, and the processor has the time to ask for them. Where the two meet is an estimate: nobody has measured it.

    >>> kernel = Kernel("", "", (), threads=512, blocks=32, crews=4)
    >>> [B for B in (64, 256, 257, 512) if pays(kernel, 512, B)]
    [64, 256]
    """
    return -(-B // kernel.crews) * H <= PAYS


def forward_kernel(kind: str, H: int, multiprocessors: int, shared_bytes: int, rows: int, units: int, **sizes: int) -> Kernel:
    """Forward: teams of `units` units each, which have `rows` rows of the weights."""
    registers, warps = _room(H, rows)
    teams, blocks, crews = _crews(-(-H // units), warps, multiprocessors)
    sizes, vector = {"H": H, "TEAMS": teams, **sizes}, 4 * _width(H)
    return _kernel(f"{kind}_spread", f"{kind}_spread_forward", sizes, teams, vector, shared_bytes, registers, blocks, crews)


def backward_kernel(kind: str, H: int, multiprocessors: int, shared_bytes: int, gates: int, **sizes: int) -> Kernel:
    """Backward: a team for each four units and each gate."""
    registers, warps = _room(H, 4)
    quads, blocks, crews = _crews(-(-H // 4), warps // gates, multiprocessors)
    sizes, vector = {"H": H, "QUADS": quads, **sizes}, 4 * gates * (_width(H) + 4 * quads)
    teams = quads * gates
    return _kernel(f"{kind}_spread_back", f"{kind}_spread_backward", sizes, teams, vector, shared_bytes, registers, blocks, crews)


def _width(H: int) -> int:
    """Numbers in a vector of H with the zeros at its end."""
    return -(-H // 128) * 128


def _room(H: int, rows: int) -> tuple[int, int]:
    """Registers that a thread needs, whose warp holds so many rows of H numbers; and how many such warps a block can have."""
    registers = min(255, (rows * _width(H) // 32 + WORKING + 7) // 8 * 8)
    return registers, min(WARPS, REGISTERS // (registers * 32) // 4 * 4)  # see `has_registers`


def _crews(whole: int, most: int, multiprocessors: int) -> tuple[int, int, int]:
    """How to spread `whole` teams, or groups of them, of which a block has room for `most`, so that few multiprocessors are idle.

    Returns how many are in each block, of how many blocks a crew is, and how many crews there are.

    >>> _crews(512, most=16, multiprocessors=132)  # 4 · 32 blocks
    (16, 32, 4)
    >>> _crews(1024, most=12, multiprocessors=132)  # one crew, which takes all there are
    (8, 128, 1)
    """
    crews = max(1, multiprocessors // -(-whole // most))
    each = max(-(-whole // (multiprocessors // crews)), 1)
    return each, -(-whole // each), crews


def _eights(rows: int) -> int:
    """As many of the rows as are worked on eight at a time; all, where they are fewer."""
    return rows // 8 * 8 or rows


def _kernel(
    file: str, function: str, sizes: dict[str, int], teams: int, vector: int, shared_bytes: int, registers: int, blocks: int, crews: int
) -> Kernel:  # fmt: skip
    """With as large a tile of vectors (in bytes) as there is shared memory for."""
    tile = _eights(max(1, min(TILE, shared_bytes // vector)))
    sizes = {**sizes, "THREADS": 32 * teams, "TILE": tile, "BLOCKS": blocks}
    return Kernel(f"{file}.cu", function, tuple(sizes.items()), 32 * teams, tile * vector, registers, blocks, crews)
