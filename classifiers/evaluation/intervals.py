"""How well a proportion is known."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def jeffreys(
    k: Int[np.ndarray, "*n"], n: Int[np.ndarray, "*n"], level: float
) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """Equal-tailed Jeffreys interval of a proportion k / n: quantiles of Beta(k + 1/2, n - k + 1/2); 0 when k = 0, 1 when k = n.

    level: for example 0.68 or 0.95. n = 0 gives (0, 1). Brown, Cai & DasGupta 2001.
    """
    from scipy.stats import beta

    k, n = np.broadcast_arrays(np.asarray(k, float), np.asarray(n, float))
    tail = (1 - level) / 2
    low = np.where(k > 0, beta.ppf(tail, k + 0.5, n - k + 0.5), 0.0)
    high = np.where(k < n, beta.ppf(1 - tail, k + 0.5, n - k + 0.5), 1.0)
    return low, high
