"""Two looks at the same injections: what was gained, what was lost, and how sure the change is.

Both looks share hosts, geometry and keys, so that most of the noise cancels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from classifiers.intervals import jeffreys, mean

ROUNDING = 1e-12
"""A standard error that is no larger is that of equal numbers, whose sums were rounded."""


class Change(NamedTuple):
    """A change of completeness. before, after: weighted shares found. change: their difference, and
    low, high its 95 % interval. gained, lost: injections that only the second or only the first
    look finds. p: of the exact McNemar test."""

    n: int
    hosts: int
    before: float
    after: float
    change: float
    low: float
    high: float
    gained: int
    lost: int
    p: float


def mcnemar(gained: int, lost: int) -> float:
    """p of the exact McNemar test that gains and losses are equally likely (McNemar 1947,
    Psychometrika 12, 153, with the binomial distribution in place of chi-squared): the two-sided
    binomial test of `gained` out of `gained + lost` at 1/2. 1 where nothing changed. It takes
    injections as independent: where those of a host change together it is too small (below 0.05 in
    8 to 13 % of samples without a change), and the interval of `compared` is what counts."""
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0


def compared(
    before: Bool[np.ndarray, " n"],
    after: Bool[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    group: Shaped[np.ndarray, " n"],
) -> Change:
    """What changed between two looks at n injections.

    weight: of each injection. group: its host. The change is the mean of +1 for an injection that
    was gained, -1 for one that was lost and 0 for the others, and its interval is `intervals.mean`
    over hosts. (Percentiles of bootstrap samples of hosts hold the truth in 91 to 94 of 100 samples
    with 10 to 50 changes, this one in 95 to 98.) If nothing changes in a sample, this does not
    prove that nothing ever changes. So where the change is the same in all hosts, for example
    because no injection was gained or lost, the interval is plus and minus the upper end of
    Jeffreys' interval of 0 out of as many hosts. With nothing to compare every share is NaN.
    """
    before, after = np.asarray(before, bool), np.asarray(after, bool)
    weight = np.asarray(weight, np.float64)
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    if not weight.sum() > 0:
        nan = np.nan
        return Change(len(weight), 0, nan, nan, nan, nan, nan, gained, lost, mcnemar(gained, lost))
    _, number = np.unique(np.asarray(group), return_inverse=True)
    hosts, total = int(number.max()) + 1, weight.sum()
    share = lambda found: float(weight[found].sum() / total)
    step = mean(after.astype(float) - before, weight, number)
    low, high = step.interval()
    if not step.error > ROUNDING:
        unknown = float(jeffreys(0, hosts, 0.95)[1])
        low, high = step.value - unknown, step.value + unknown
    return Change(
        len(weight),
        hosts,
        share(before),
        share(after),
        step.value,
        max(low, -1.0),
        min(high, 1.0),
        gained,
        lost,
        mcnemar(gained, lost),
    )


def in_points(change: Change) -> dict[str, Any]:
    """Columns of a table: shares as they are, the change and its interval in percentage points."""
    return {
        "n": change.n,
        "hosts": change.hosts,
        "completeness_before": change.before,
        "completeness_after": change.after,
        "change": 100 * change.change,
        "lo95": 100 * change.low,
        "hi95": 100 * change.high,
        "gained": change.gained,
        "lost": change.lost,
        "mcnemar_p": change.p,
    }
