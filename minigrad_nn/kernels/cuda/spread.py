"""How a layer's weights are spread over the blocks of a GPU: see spread.cuh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from minigrad.backend import takes_tf32

from .launch import REGISTERS, Kernel, fits, launcher_of

__all__ = ["MOST", "Room", "backward_kernel", "forward_kernel", "over", "pays"]

MOST = 1024  # units for which this was thought out
SHARED = 160 * 1024  # bytes in a block for a tile, on GPUs that have so many
TILE = 64  # rows of the batch in a tile, if they fit
WARPS = 16  # in a block, at most
WORKING, WORKING_TF32 = 64, 88  # registers besides those that hold weights
PAYS = 2**15  # rows of a crew times H: see `pays`


class Room(NamedTuple):
    """What there is for a layer: multiprocessors, bytes of shared memory in each, and whether products may be in TF32."""

    multiprocessors: int
    shared_bytes: int = SHARED
    tf32: bool = False


def over(xp: Any, kernels: Callable[[Room], tuple[Kernel, Kernel]], paired: bool) -> tuple[Kernel, Kernel]:
    """The kernels for the current device, `kernels` being those for a room.

    Of two directions each gets half of the device, if that holds its weights, so that both can be there at once. Tensor cores
    are used where TF32 is allowed and the weights fit in the order they want.
    """
    shared_bytes, multiprocessors = launcher_of(xp).limits(xp)
    parts = (multiprocessors // 2, multiprocessors) if paired and multiprocessors > 1 else (multiprocessors,)
    kinds = (True, False) if takes_tf32() else (False,)
    tried = [kernels(Room(part, min(SHARED, shared_bytes), tf32)) for part in parts for tf32 in kinds]
    return next((pair for pair in tried if all(fits(xp, each) for each in pair)), tried[-1])


def pays(kernel: Kernel, H: int, B: int) -> bool:
    """Whether a batch of B rows is for crews, and not for a product of matrices at each step.

    A crew's time grows with its rows and with H, for it fetches their vectors from main memory at every step; cuBLAS divides large
    products better, and the processor has the time to ask for them. Where the two meet is an estimate: nobody has measured it.

    >>> kernel = Kernel("", "", (), threads=512, blocks=32, crews=4)
    >>> [B for B in (64, 256, 257, 512) if pays(kernel, 512, B)]
    [64, 256]
    """
    return -(-B // kernel.crews) * H <= PAYS


def forward_kernel(kind: str, H: int, room: Room, rows: int, units: int, **sizes: int) -> Kernel:
    """Forward: teams have `rows` rows of the weights, which are `units` units, or with tensor cores twice that."""
    registers, warps = _registers(H, room.tf32, rows)
    teams, blocks, crews = _crews(-(-H // (units * (1 + room.tf32))), warps, room.multiprocessors)
    file, sizes = f"{kind}_spread", {"H": H, "TEAMS": teams, **sizes}
    return _kernel(file, f"{file}_forward", sizes, room, teams, 4 * _apart(_width(H, room.tf32), room.tf32), registers, blocks, crews)


def backward_kernel(kind: str, H: int, room: Room, gates: int, **sizes: int) -> Kernel:
    """Backward: a team for each gate and each four units, or eight."""
    (registers, warps), units = _registers(H, room.tf32, 4), 4 * (1 + room.tf32)
    teams, blocks, crews = _crews(-(-H // units), warps // gates, room.multiprocessors)
    file, sizes = f"{kind}_spread_back", {"H": H, "TEAMS": teams, **sizes}
    vector = 4 * (_apart(gates * _width(H, room.tf32), room.tf32) + gates * units * teams)  # and the sums of it
    return _kernel(file, f"{kind}_spread_backward", sizes, room, teams * gates, vector, registers, blocks, crews)


def _width(H: int, tf32: bool) -> int:
    """Numbers in a vector of H with the zeros at its end."""
    return -(-H // 16) * 16 if tf32 else -(-H // 128) * 128


def _apart(width: int, tf32: bool) -> int:
    """Numbers from one vector of a tile to the next: `apart` in spread.cuh."""
    return width + 16 if tf32 and width % 32 == 0 else width


def _registers(H: int, tf32: bool, rows: int) -> tuple[int, int]:
    """Registers that a thread needs, whose warp holds so many rows of H numbers; and how many such warps a block can have."""
    held, working = ((8 if tf32 else rows) * _width(H, tf32) // 32, WORKING_TF32 if tf32 else WORKING)
    registers = (held + working + 7) // 8 * 8
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


def _whole(rows: int, tf32: bool) -> int:
    """As many of the rows as are worked on together: 16 with tensor cores, which read no fewer; else eight, or all where they are fewer."""
    return max(16, rows // 16 * 16) if tf32 else rows // 8 * 8 or rows


def _kernel(
    file: str, function: str, sizes: dict[str, int], room: Room, teams: int, vector: int, registers: int, blocks: int, crews: int
) -> Kernel:  # fmt: skip
    """With as large a tile of vectors (in bytes) as there is shared memory for."""
    tile = _whole(max(1, min(TILE, room.shared_bytes // vector)), room.tf32)
    sizes = {**sizes, "THREADS": 32 * teams, "TILE": tile, "BLOCKS": blocks, "TF32": int(room.tf32)}
    return Kernel(f"{file}.cu", function, tuple(sizes.items()), 32 * teams, tile * vector, registers, blocks, crews)
