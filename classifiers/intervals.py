"""How well a proportion is known: the one convention of this project.

Jeffreys' equal-tailed interval of k out of n, the quantiles of Beta(k + 1/2, n - k + 1/2), with
its lower end at 0 where k = 0 and its upper end at 1 where k = n, as Brown, Cai & DasGupta (2001,
Statistical Science 16, 101, section 3.1.2) advise and astropy computes it. Where n = 0 nothing is
known, and the interval is (0, 1). `weighted` is the same where trials have weights and come in
groups.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

FEW_GROUPS = 10
"""Groups (hosts) below which a headline has no interval: the scatter between so few is itself known
to no better than a quarter, and nothing tells whether they are typical."""


def jeffreys(
    k: Float[np.ndarray, "*n"] | float, n: Float[np.ndarray, "*n"] | float, level: float
) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """Lower and upper end of the interval of k / n, any shapes that broadcast, float64. Counts may
    be effective ones, which are not whole.

    level: the probability that the interval holds, for example 0.68 or 0.95. Raises ValueError
    where k is not from 0 to n.
    """
    from scipy.stats import beta

    k, n = np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(n, np.float64))
    if not ((k >= 0) & (k <= n)).all():
        raise ValueError("k must not exceed n, and not be negative")
    tail = (1 - level) / 2
    low = np.where(k > 0, beta.ppf(tail, k + 0.5, n - k + 0.5), 0.0)
    high = np.where(k < n, beta.ppf(1 - tail, k + 0.5, n - k + 0.5), 1.0)
    return low, np.where(n > 0, high, 1.0)


class Shares(NamedTuple):
    """Weighted proportions: value and variance, the number of trials with weight and of groups, and
    by how many independent, equally weighted trials they would be known as well. Numbers or
    arrays."""

    value: Any
    variance: Any
    trials: Any
    groups: Any
    n_eff: Any

    def interval(self, level: float = 0.95) -> tuple[Any, Any]:
        """Jeffreys' interval for the effective number of trials, which is made smaller where groups
        are few (Korn & Graubard 1998, Survey Methodology 24, 193)."""
        from scipy.stats import t

        groups, trials = np.maximum(self.groups, 2), np.maximum(self.trials, 2)
        tail = 0.5 + level / 2
        few = np.minimum((t.ppf(tail, trials - 1) / t.ppf(tail, groups - 1)) ** 2, 1.0)
        n = np.nan_to_num(self.n_eff * few)
        return jeffreys(np.nan_to_num(self.value) * n, n, level)


def weighted(
    found: Bool[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    group: Shaped[np.ndarray, " n"],
) -> Shares:
    """Share of the weight that was found, where trials of one group (injections into one host) are
    not independent.

    The variance is that of a ratio of sums over groups, linearised (Korn & Graubard 1999, Analysis
    of Health Surveys, equation 2.4-1); the effective number of trials is the one for which a
    binomial has it, at most their number. Where all or nothing was found, it is that of groups by
    their weights. Trials of weight 0 do not count; with nothing left the value is NaN and the
    interval (0, 1). Raises ValueError for weights that are negative or not finite.
    """
    weight = np.asarray(weight, np.float64)
    if (weight < 0).any() or not np.isfinite(weight).all():
        raise ValueError("weights must be finite and 0 or larger")
    used = weight > 0
    found, weight = np.asarray(found, bool)[used], weight[used]
    total, n = weight.sum(), len(weight)
    if not n:
        return Shares(np.nan, np.nan, 0, 0, 0.0)
    _, number = np.unique(np.asarray(group)[used], return_inverse=True)
    groups = int(number.max()) + 1
    value = float(weight[found].sum() / total)
    n_eff = float(total**2 / (np.bincount(number, weight) ** 2).sum())
    variance = np.nan
    if groups > 1:
        residual = np.bincount(number, weight * (found - value))
        variance = float(groups / (groups - 1) * (residual**2).sum() / total**2)
        if 0 < value < 1 and variance > 0:
            n_eff = min(value * (1 - value) / variance, float(n))
    return Shares(value, variance, n, groups, n_eff)
