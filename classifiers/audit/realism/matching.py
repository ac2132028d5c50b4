"""Pairs of a lens and an injection that are alike in what should not decide.

A probe that is given any lens and any injection measures how the two populations differ in
brightness, radius and host, which nobody claims to be the same. So every lens gets the injection
that is nearest to it in these, and whatever still tells the two apart is their realism.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

CALIPERS = (1.0, 0.75, 0.5)
"""largest differences of a pair, in standard deviations of the lenses in each quantity, as the root
mean square over quantities; the widest one that gives balanced samples is used"""
BALANCED = 0.25
"""standardised difference of means below which samples count as balanced (Stuart 2010, Stat. Sci.
25, 1, section 4.1)"""


@dataclass(frozen=True)
class Pairs:
    """a, b: places of k pairs in the two tables. balance: for every quantity its difference of
    means in standard deviations, before and after. balanced: whether all of these are below
    BALANCED after matching."""

    a: Int[np.ndarray, " k"]
    b: Int[np.ndarray, " k"]
    balance: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.a)

    @property
    def balanced(self) -> bool:
        """Whether the pairs are alike on average in every quantity."""
        return bool(self.balance) and all(
            r["after"] is not None and abs(r["after"]) < BALANCED for r in self.balance
        )


def matched(
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d"],
    names: Sequence[str],
    caliper: float = CALIPERS[0],
) -> Pairs:
    """Pairs of rows of a and b without replacement, of smallest total distance.

    Quantities are divided by the standard deviation of a. Rows with a quantity that is not finite
    are left out. As many pairs as the smaller table has (the assignment problem, solved exactly by
    scipy), without those farther apart than the caliper.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    here, there = (np.flatnonzero(np.isfinite(t).all(1)) for t in (a, b))
    empty = np.empty(0, np.int64)
    if not len(here) or not len(there):
        return Pairs(empty, empty, [])
    spread = a[here].std(0)
    spread = np.where(spread > 0, spread, 1.0)
    distance = cdist(a[here] / spread, b[there] / spread) / np.sqrt(a.shape[1])
    # Pairs beyond the caliper cost the same, so that none is bent to save a hopeless one.
    row, column = linear_sum_assignment(np.minimum(distance, caliper))
    good = distance[row, column] < caliper
    i, j = here[row[good]], there[column[good]]
    return Pairs(i, j, _balance(a, b, here, there, i, j, spread, names))


def balanced(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"], names: Sequence[str], fewest: int
) -> Pairs:
    """`matched` with the widest of CALIPERS that gives at least `fewest` balanced pairs; with the
    widest of all, not balanced, where none does."""
    found = [matched(a, b, names, caliper) for caliper in CALIPERS]
    return next((p for p in found if p.balanced and len(p) >= fewest), found[0])


def _balance(
    a: np.ndarray,
    b: np.ndarray,
    here: np.ndarray,
    there: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    spread: np.ndarray,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    apart = lambda there, here: [float(v) for v in (there - here) / spread]
    before = apart(b[there].mean(0), a[here].mean(0))
    after: list[float | None] = [None] * len(names)
    if len(i):
        after = [*apart(b[j].mean(0), a[i].mean(0))]
    return [{"quantity": n, "before": x, "after": y} for n, x, y in zip(names, before, after)]
