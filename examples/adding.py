"""The adding problem: of many numbers two are marked, and their sum is asked for at the end.

It can be made as long as one likes, and nothing but memory helps: the first mark stands in the first half of the steps.

Source: Hochreiter & Schmidhuber 1997, section 5.4
"""

from __future__ import annotations

import minigrad as mg

__all__ = ["CHANCE", "SOLVED", "adding_problem"]

CHANCE = 1 / 6  # the mean squared error of always answering 1: the variance of a sum of two uniform numbers
SOLVED = CHANCE / 10


def adding_problem(T: int, B: int, device: str) -> tuple[mg.Tensor, mg.Tensor]:
    """(x, y): numbers and marks (T, B, 2), and the sums of the marked numbers (B,)."""
    numbers, step = mg.rand(T, B, device=device), mg.arange(T, device=device)[:, None]
    first = mg.randint(T // 2, (B,), device=device)
    second = T // 2 + mg.randint(T - T // 2, (B,), device=device)
    marks = (step == first).float() + (step == second).float()  # (T, B)
    return mg.stack([numbers, marks], 2), (numbers * marks).sum(0)
