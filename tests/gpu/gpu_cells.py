"""Which layers `./run gpu` checks and measures: some forty named cells for each, and with --full every combination of the table."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

HIDDEN, BATCHES, STEPS = (64, 128, 256, 512, 1024), (1, 16, 64, 256), (50, 200)


@dataclasses.dataclass(frozen=True)
class Cell:
    """A training step of a layer: forward, and backward for gradients of the input and of every weight. I is H."""

    kind: str
    T: int
    B: int
    H: int
    layers: int = 1
    directions: int = 1
    packed: bool = False
    tf32: bool = False
    path: str = "fused"
    kernel: str | None = None  # one by name, or None for the one that is chosen

    @property
    def name(self) -> str:
        """As in "LSTM T=200 B=64 H=128 packed, TF32"."""
        more = [f"{self.layers} layers"] * (self.layers > 1) + ["both directions"] * (self.directions > 1) + ["packed"] * self.packed
        more += ["op by op"] * (self.path == "stepwise") + [f"kernel {self.kernel}"] * bool(self.kernel) + ["TF32"] * self.tf32
        return ", ".join([f"{self.kind} T={self.T} B={self.B} H={self.H}", *more])

    @property
    def compared(self) -> bool:
        """Whether it counts in the comparison: not what is measured to understand our own kernels."""
        return self.path == "fused" and self.kernel is None


def smoke() -> list[Cell]:
    """The cells that are checked first: every kernel at the sizes where its code differs, then long sequences for races."""
    sizes = {"RNN": ((1, 33, 256), (257, 1024)), "GRU": ((1, 33, 160), (161, 1024)), "LSTM": ((1, 33, 128), (129, 1024))}
    cells = [Cell(kind, 7, 5, H, packed=True, kernel="d1") for kind, (alone, _) in sizes.items() for H in alone]
    cells += [Cell(kind, 7, 5, H, packed=True, kernel="d2") for kind, (_, spread) in sizes.items() for H in spread]
    cells += [Cell(kind, 7, 20, H, packed=True, kernel="d2", tf32=True) for kind, (_, (H, _)) in sizes.items()]  # on tensor cores
    cells += [Cell(kind, 7, 5, 33, directions=2, packed=packed, kernel="b") for kind in sizes for packed in (False, True)]
    cells += [Cell(kind, 7, 5, H, directions=2, kernel=design) for kind in sizes for design, H in (("d1", 128), ("d2", 512))]
    cells += [Cell("LSTM", 7, B, H, kernel=design) for B in (1, 300) for design, H in (("d1", 128), ("d2", 512))]
    cells += [Cell(kind, 200, 64, H, kernel=design) for kind in sizes for design, H in (("d1", 128), ("d2", 512))]
    return [*cells, Cell("LSTM", 200, 64, 512, kernel="d2", tf32=True)]


def usual() -> list[Cell]:
    """The cells of a plain run, the most telling first, those with TF32 last: these need a process of their own."""
    lstm = lambda T, B, H, **more: Cell("LSTM", T, B, H, **more)
    cells = [lstm(200, 64, H) for H in (128, 512, 256, 64, 1024)]
    cells += [lstm(200, 64, H, packed=True) for H in (128, 64, 256, 512)]
    cells += [Cell(kind, 200, 64, H) for kind in ("GRU", "RNN") for H in (128, 256, 512)]
    cells += [lstm(50, B, H) for H in (128, 512) for B in (1, 16, 256)]
    cells += [lstm(200, 64, 160), lstm(200, 64, 128, path="stepwise"), lstm(200, 64, 128, kernel="b"), lstm(200, 64, 512, kernel="b")]
    cells += [lstm(200, 64, 1024, kernel="d2"), lstm(50, 256, 512, kernel="b")]  # the other side of where d2 pays, as estimated
    cells += [lstm(200, 64, H, directions=2) for H in (128, 512)] + [lstm(200, 64, H, layers=2) for H in (128, 512)]
    cells += [lstm(200, 64, 128, layers=2, directions=2, packed=True), Cell("GRU", 200, 64, 128, directions=2)]
    cells += [Cell(kind, 200, 64, 128, packed=True) for kind in ("GRU", "RNN")] + [Cell("RNN", 50, 16, 64), lstm(50, 16, 1024)]
    cells += [lstm(200, 64, H, tf32=True) for H in (128, 512, 1024)] + [lstm(200, 64, 512, packed=True, tf32=True)]
    return cells + [Cell(kind, 200, 64, 512, tf32=True) for kind in ("GRU", "RNN")]


def everything() -> list[Cell]:
    """The usual cells, and then the whole table."""
    table = [
        Cell(kind, T, B, H, layers, directions, packed, tf32)
        for tf32, kind, packed, directions, layers, H, B, T in itertools.product(
            (False, True), ("LSTM", "GRU", "RNN"), (False, True), (1, 2), (1, 2), HIDDEN, BATCHES, STEPS
        )
    ]
    cells = list(dict.fromkeys([*usual(), *table]))
    return sorted(cells, key=lambda cell: cell.tf32)  # stable: the usual first


def lengths(cell: Cell, rng: Any) -> list[int]:
    """Lengths of the sequences of a packed batch, falling: the longest has all T steps, the others a quarter of them or more."""
    drawn = sorted(rng.integers(max(1, cell.T // 4), cell.T + 1, cell.B).tolist(), reverse=True)
    return [cell.T, *drawn[1:]]
