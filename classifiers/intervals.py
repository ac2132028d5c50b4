"""How well a proportion is known: the one convention of this project.

Jeffreys' equal-tailed interval of k out of n, the quantiles of Beta(k + 1/2, n - k + 1/2), with
its lower end at 0 where k = 0 and its upper end at 1 where k = n, as Brown, Cai & DasGupta (2001,
Statistical Science 16, 101, section 3.1.2) advise and astropy computes it. Where n = 0 nothing is
known, and the interval is (0, 1). `weighted` is the same where trials have weights and come in
groups.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped


def jeffreys(
    k: Int[np.ndarray, "*n"] | int, n: Int[np.ndarray, "*n"] | int, level: float
) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """Lower and upper end of the interval of k / n, any shapes that broadcast, float64.

    level: the probability that the interval holds, for example 0.68 or 0.95. Raises ValueError
    where k is not from 0 to n.
    """
    from astropy.stats import binom_conf_interval

    k, n = np.broadcast_arrays(np.asarray(k, np.int64), np.asarray(n, np.int64))
    some = n > 0
    if (k[~some] != 0).any():
        raise ValueError("k must not exceed n")
    low, high = np.zeros(n.shape), np.ones(n.shape)
    if some.any():
        low[some], high[some] = binom_conf_interval(k[some], n[some], level, interval="jeffreys")
    return low, high


class Weighted(NamedTuple):
    """A weighted proportion: its value, variance and interval, and by how many independent, equally
    weighted trials it would be known as well."""

    value: float
    variance: float
    low: float
    high: float
    n_eff: float


def weighted(
    found: Bool[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    group: Shaped[np.ndarray, " n"],
    level: float = 0.95,
) -> Weighted:
    """Share of the weight that was found, where trials of one group (injections into one host) are
    not independent.

    The variance is that of a ratio of sums over groups, linearised (Korn & Graubard 1999, Analysis
    of Health Surveys, equation 2.4-1). The interval is Jeffreys' for the effective number of trials
    that this variance stands for, made smaller where groups are few (Korn & Graubard 1998, Survey
    Methodology 24, 193), and at most the number of trials. Where all or nothing was found, the
    effective number is that of groups and their weights. Groups of weight 0 do not count. With
    nothing to go by all is NaN but the interval, which is (0, 1). Raises ValueError for weights
    that are negative or not finite.
    """
    weight = np.asarray(weight, np.float64)
    if (weight < 0).any() or not np.isfinite(weight).all():
        raise ValueError("weights must be finite and 0 or larger")
    used = weight > 0
    found, weight = np.asarray(found, bool)[used], weight[used]
    total, n = weight.sum(), len(weight)
    if not n:
        return Weighted(np.nan, np.nan, 0.0, 1.0, 0.0)
    _, number = np.unique(np.asarray(group)[used], return_inverse=True)
    groups = int(number.max()) + 1
    value = float(weight[found].sum() / total)
    in_groups = np.bincount(number, weight)
    by_weight = float(total**2 / (in_groups**2).sum())
    variance = np.nan
    n_eff = by_weight
    if groups > 1:
        residual = np.bincount(number, weight * (found - value))
        variance = float(groups / (groups - 1) * (residual**2).sum() / total**2)
        spread = value * (1 - value)
        if 0 < value < 1 and variance > 0:
            n_eff = min(float(spread / variance) * fewer(groups, n, level), float(n))
    return Weighted(value, variance, *effective(value, n_eff, level), n_eff)


def effective(value: float, n_eff: float, level: float = 0.95) -> tuple[float, float]:
    """Jeffreys' interval of a share `value` (0 to 1) that is known as well as from so many trials
    of equal weight; not necessarily a whole number."""
    from scipy.stats import beta

    k, tail = value * n_eff, (1 - level) / 2
    low = float(beta.ppf(tail, k + 0.5, n_eff - k + 0.5)) if value > 0 else 0.0
    high = float(beta.ppf(1 - tail, k + 0.5, n_eff - k + 0.5)) if value < 1 else 1.0
    return low, high


def fewer(groups: int, trials: int, level: float = 0.95) -> float:
    """The factor, at most 1, on an effective number of trials whose variance was estimated from so
    many groups (Korn & Graubard 1998, Survey Methodology 24, 193). groups: 2 or more."""
    from scipy.stats import t

    return float((t.ppf(0.5 + level / 2, trials - 1) / t.ppf(0.5 + level / 2, groups - 1)) ** 2)
