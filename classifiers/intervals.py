"""How well a proportion is known: the one interval of this project.

Jeffreys' equal-tailed interval of k out of n, the quantiles of Beta(k + 1/2, n - k + 1/2), with
its lower end at 0 where k = 0 and its upper end at 1 where k = n, as Brown, Cai & DasGupta (2001,
Statistical Science 16, 101, section 3.1.2) advise and astropy computes it. Where n = 0 nothing is
known, and the interval is (0, 1).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


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
