"""How an n-gram model and a recurrent network grow with the length of what they look at: in size and in quality."""

from __future__ import annotations

from typing import NamedTuple

from ngram import NGram
from running import table

__all__ = ["Growth", "LONGEST", "growth_table"]

LONGEST = 8  # characters: the longest n-gram


class Growth(NamedTuple):
    """Bits per character, and what has to be stored for them. The first entry of a list belongs to n = 1."""

    cell: str
    V: int
    parameters: int
    counts: list[int]  # that the n-gram model stores
    ngram: list[float]
    recurrent: list[float]  # begins with n = 2: shown one character, it guesses the next
    whole: float  # the recurrent network, shown all that came before

    @classmethod
    def of(cls, model: NGram, ngram: list[float], cell: str, parameters: int, recurrent: list[float], whole: float) -> Growth:
        """Beside the numbers of a recurrent network, those of an n-gram model."""
        counts = [model.stored(n)[1] for n in range(1, model.order + 1)]
        return cls(cell, model.V, parameters, counts, ngram, recurrent, whole)


def growth_table(growth: Growth) -> str:
    """A row for each length."""
    head = ["n", "V^n", "counts stored", "perplexity", f"{growth.cell} parameters", "perplexity after n - 1"]
    rows = []
    for n, (counts, bits) in enumerate(zip(growth.counts, growth.ngram), 1):
        perplexity = f"{2 ** growth.recurrent[n - 2]:.3f}" if n > 1 else "-"
        rows.append([f"{n}-gram", f"{float(growth.V) ** n:.2g}", f"{counts:,}", f"{2**bits:.3f}", f"{growth.parameters:,}", perplexity])
    return table(head, [*rows, ["all before", "-", "-", "-", f"{growth.parameters:,}", f"{2**growth.whole:.3f}"]])
