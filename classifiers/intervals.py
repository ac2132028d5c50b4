"""How well a proportion or a mean is known: the one convention of this project.

Jeffreys' equal-tailed interval of k out of n, the quantiles of Beta(k + 1/2, n - k + 1/2), with
its lower end at 0 where k = 0 and its upper end at 1 where k = n, as Brown, Cai & DasGupta (2001,
Statistical Science 16, 101, section 3.1.2) advise and astropy computes it. Where n = 0 nothing is
known, and the interval is (0, 1).

`weighted` is the same where trials have weights and come in groups, `mean` is for numbers instead
of successes, and `combined` joins the intervals of two sources of error. Where they hold is
measured in worlds with known truth (`python -m benchmarks.shares`, `benchmarks.covered`). The
95 % intervals of `weighted` hold the truth in 93 to 97 of 100 samples where the effective numbers
of successes and of failures, n_eff C and n_eff (1 - C), are both 8 or more (in up to 98 where there
are only 10 or 20 groups). With fewer they hold it in up to 99 where groups hardly matter, and in 85
or more where all trials of a group do much the same.
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


def observed(rate: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Between which observed shares of n trials Jeffreys' interval holds the true share `rate`,
    which is above 0 and below 1: from the share whose interval ends at `rate` to the share whose
    interval begins there.

    It is the interval of `jeffreys` turned round. Applied to the share of scores above a threshold
    it gives the interval of the threshold with the true share `rate` above it, that is of a
    quantile (Woodruff 1952, Journal of the American Statistical Association 47, 635). For n
    independent scores it lies between the exact intervals by order statistics (the true share above
    the k-th largest score is Beta(k, n - k + 1), David & Nagaraja 2003, section 7.1) that are just
    too wide and just too narrow, because scores are discrete.
    """
    from scipy.optimize import brentq
    from scipy.stats import beta

    tail = (1 - level) / 2
    above = lambda share, p: float(beta.cdf(rate, share * n + 0.5, (1 - share) * n + 0.5)) - p

    def share(p: float) -> float:
        if above(0.0, p) <= 0:
            return 0.0
        return float(brentq(above, 0.0, 1.0, (p,))) if above(1.0, p) < 0 else 1.0

    return share(1 - tail), share(tail)


def combined(
    value: Any, one: tuple[Any, Any], other: tuple[Any, Any], correlation: Any = 0.0
) -> tuple[Any, Any]:
    """Interval of a value with two sources of error, each with an interval of its own about the
    same value: their distances from it, in quadrature, end by end (the method of variance estimates
    recovery, Zou & Donner 2008, Statistics in Medicine 27, 1693). It keeps both asymmetries.

    correlation: of the two errors, from -1 to 1 (Zou 2007, Psychological Methods 12, 399). The ends
    are cut at 0 and 1. Numbers or arrays that broadcast.
    """
    value = np.asarray(value, np.float64)

    def distance(a: Any, b: Any) -> Any:
        a, b = np.maximum(a, 0.0), np.maximum(b, 0.0)
        return np.sqrt(np.maximum(a**2 + b**2 + 2 * np.asarray(correlation) * a * b, 0.0))

    low = value - distance(value - one[0], value - other[0])
    high = value + distance(one[1] - value, other[1] - value)
    return np.maximum(low, 0.0), np.minimum(high, 1.0)


class Shares(NamedTuple):
    """Weighted proportions: value and variance, the number of trials with weight and of groups, by
    how many independent, equally weighted trials they would be known as well, and the degrees of
    freedom of the variance. Numbers or arrays."""

    value: Any
    variance: Any
    trials: Any
    groups: Any
    n_eff: Any
    freedom: Any

    def effective(self, level: float = 0.95) -> Any:
        """Effective number of trials for an interval: n_eff, made smaller where few groups say how
        large the variance is (Korn & Graubard 1998, Survey Methodology 24, 193, with the degrees of
        freedom of `freedom`)."""
        from scipy.stats import t

        trials = np.maximum(self.trials, 2)
        tail, freedom = 0.5 + level / 2, np.maximum(self.freedom, 1.0)
        few = np.minimum((t.ppf(tail, trials - 1) / t.ppf(tail, freedom)) ** 2, 1.0)
        return np.nan_to_num(self.n_eff * few)

    def interval(self, level: float = 0.95) -> tuple[Any, Any]:
        """Jeffreys' interval for the effective number of trials."""
        n = self.effective(level)
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
    their weights. The degrees of freedom are those of the part of the variance that comes from
    groups (Satterthwaite 1946, Biometrics Bulletin 2, 110): where trials of a group do the same,
    a few groups with finds carry the variance, and it is badly known; where they are independent,
    the binomial gives it. Trials of weight 0 do not count; with nothing left the value is NaN and
    the interval (0, 1). Raises ValueError for weights that are negative or not finite.
    """
    weight = np.asarray(weight, np.float64)
    if (weight < 0).any() or not np.isfinite(weight).all():
        raise ValueError("weights must be finite and 0 or larger")
    used = weight > 0
    found, weight = np.asarray(found, bool)[used], weight[used]
    total, n = weight.sum(), len(weight)
    if not n:
        return Shares(np.nan, np.nan, 0, 0, 0.0, 0)
    _, number = np.unique(np.asarray(group)[used], return_inverse=True)
    groups = int(number.max()) + 1
    value = float(weight[found].sum() / total)
    n_eff = float(total**2 / (np.bincount(number, weight) ** 2).sum())
    variance, freedom = np.nan, float(max(groups - 1, 1))
    if groups > 1:
        own = weight * (found - value)
        squares = np.bincount(number, own) ** 2
        variance = float(groups / (groups - 1) * squares.sum() / total**2)
        if 0 < value < 1 and variance > 0:
            n_eff = min(value * (1 - value) / variance, float(n))
            extra = 1 - min(float((own**2).sum() / squares.sum()), 1.0)
            if extra > 0:
                carrying = float(squares.sum() ** 2 / (squares**2).sum())
                freedom = min(carrying / extra**2, freedom)
    return Shares(value, variance, n, groups, n_eff, freedom)


class Mean(NamedTuple):
    """A mean of numbers, its standard error, and the degrees of freedom of that."""

    value: float
    error: float
    freedom: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Student's interval."""
        from scipy.stats import t

        half = float(t.ppf(0.5 + level / 2, max(self.freedom, 1.0))) * self.error
        return self.value - half, self.value + half


def mean(
    values: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"] | None = None,
    group: Shaped[np.ndarray, " n"] | None = None,
) -> Mean:
    """Weighted mean of numbers, where those of one group are not independent; the standard error is
    that of `weighted`. The degrees of freedom are the effective number of groups that the variance
    comes from, (sum e^2)^2 / sum e^4 over their residuals e, at most one fewer than there are:
    where most numbers are 0, few groups carry it. weight: 1 if not given. group: each number is its
    own if not given. The error is NaN with fewer than two groups, the value too with no weight.
    Raises ValueError for weights that are negative or not finite."""
    values = np.asarray(values, np.float64)
    weight = np.ones(len(values)) if weight is None else np.asarray(weight, np.float64)
    if (weight < 0).any() or not np.isfinite(weight).all():
        raise ValueError("weights must be finite and 0 or larger")
    group = np.arange(len(values)) if group is None else np.asarray(group)
    used = weight > 0
    values, weight = values[used], weight[used]
    if not len(values):
        return Mean(np.nan, np.nan, 0.0)
    _, number = np.unique(group[used], return_inverse=True)
    groups, total = int(number.max()) + 1, weight.sum()
    value = float((weight * values).sum() / total)
    if groups < 2:
        return Mean(value, np.nan, 0.0)
    squares = np.bincount(number, weight * (values - value)) ** 2
    error = float(np.sqrt(groups / (groups - 1) * squares.sum()) / total)
    carrying = float(squares.sum() ** 2 / (squares**2).sum()) if squares.any() else np.inf
    return Mean(value, error, min(carrying, groups - 1.0))
