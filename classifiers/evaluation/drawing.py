"""How often each of n objects is drawn when n are drawn with replacement, quickly.

Drawing n numbers and counting them takes a step in a random place of memory for every object. It is
the same to let every object occur a Poisson number of times: given their total S, such counts are
those of S draws. With a mean a little below 1 the total stays below n, and the n - S draws that are
missing are made one by one. A Poisson number is looked up in a table by 16 random bits; the table
holds each value as many times as its probability has whole 65,536ths, and the few entries that are
left are drawn by what remains of the probabilities. The counts so have the law of n draws exactly,
to the rounding of the probabilities.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

FEW = 4096
"""objects below which they are drawn one by one"""
BELOW = 3.0
"""standard deviations by which the mean total is below n; a total above n is drawn again"""
BITS = 16


class Drawing:
    """Counts of draws with replacement from a generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.n = rng, 0

    def __call__(self, n: int) -> Float[np.ndarray, " n"]:
        """Counts of n draws from n objects; their sum is n."""
        if n < FEW:
            return np.bincount(self.rng.integers(0, n, n), minlength=n).astype(np.float64)
        if n != self.n:
            self._prepare(n)
        while True:
            raw = self.rng.integers(0, 2**64, -(-n // 4), dtype=np.uint64, endpoint=False)
            # "clip" only spares the check of indices that are all in the table.
            counts = self.table.take(raw.view(np.uint16)[:n], mode="clip").astype(np.float64)
            open_ = np.flatnonzero(counts < 0)
            counts[open_] = np.searchsorted(self.rest, self.rng.random(len(open_)), side="right")
            missing = n - int(counts.sum())
            if missing >= 0:
                np.add.at(counts, self.rng.integers(0, n, missing), 1)
                return counts

    def _prepare(self, n: int) -> None:
        """The table for a number of objects."""
        from scipy.stats import poisson

        entries = 2**BITS
        expected = poisson(1 - BELOW / np.sqrt(n)).pmf(np.arange(40)) * entries
        whole = np.floor(expected)
        self.table = np.full(entries, -1, np.int8)
        self.table[: int(whole.sum())] = np.repeat(np.arange(40), whole.astype(int))
        left = np.cumsum(expected - whole)
        self.n, self.rest = n, left / left[-1]
