"""How much hosts differ: how often arcs are found by the kind of host, and how far hosts of one
kind are apart.

Whether two injections into one host are found is not independent, because the host's light,
neighbours and noise are the same. Every host has a completeness of its own. The variance of this
completeness among hosts is the covariance over all pairs of injections that share a host, V =
Cov(found_1, found_2). Divided by the variance C (1 - C) of a single injection, it is the
correlation within hosts, which says how much many injections into few hosts are worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from classifiers.audit.axes import ALL
from classifiers.audit.completeness import weights
from classifiers.audit.thresholds import OK
from classifiers.intervals import weighted

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 20
"""Hosts with two injections or more, below which nothing is said of the variance among hosts."""
PAIRS = 8
"""Hosts with two finds or more, and hosts with two misses or more, below which nothing is said: the
estimate counts pairs of finds, and of misses, in one host."""
MOST = 0.25
"""The largest variance that a share can have, and the end of the interval where hosts all agree."""
KIND = "type"
"""Column of the injections that says what kind of galaxy the host is, where the catalogue does."""


class Scatter(NamedTuple):
    """variance: among hosts, of their own completeness; an estimate may fall below 0. low, high:
    its 95 % interval, 0 or more. correlation: of two injections into one host. hosts: that have two
    injections or more. status: why there are no numbers (NaN), "ok" where there are."""

    variance: float
    low: float
    high: float
    correlation: float
    hosts: int
    status: str


def among_hosts(
    found: Bool[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    host: Shaped[np.ndarray, " n"],
) -> Scatter:
    """Variance among hosts of the chance that an injection into them is found.

    The estimate is the weighted mean of (found_i - C)(found_j - C) over pairs that share a host,
    averaged over hosts by their weight (with as many injections into each it is the analysis of
    variance's, Searle, Casella & McCulloch 1992, Variance Components, section 3.6, written as
    pairs), with the jackknife over hosts for its bias and standard error (Efron & Tibshirani 1993,
    An Introduction to the Bootstrap, chapter 11). With the part W that a host's finite number of
    injections adds, V + W is a mean of squares; the interval is symmetric in its logarithm and W is
    taken off again. A few hosts may carry the variance, so Student's t has the effective number of
    jackknife values as its degrees of freedom.
    """
    weight = np.asarray(weight, np.float64)
    used = weight > 0
    f, w = np.asarray(found, np.float64)[used], weight[used]
    _, number = np.unique(np.asarray(host)[used], return_inverse=True)
    count = np.bincount(number) if len(f) else np.zeros(0, int)
    finds = np.bincount(number, f) if len(f) else np.zeros(0)
    several = int((count >= 2).sum())
    if status := _too_few(several, int((finds >= 2).sum()), int((count - finds >= 2).sum())):
        return Scatter(np.nan, np.nan, np.nan, np.nan, several, status)
    sums = lambda values: np.bincount(number, values)
    s, m, s2, m2 = sums(w * f), sums(w), sums(w**2 * f), sums(w**2)
    # Sums over pairs of f_i f_j, -(f_i + f_j) and 1: a quadratic in C, so that leaving out a host
    # costs nothing. A host counts as its injections do, not as their pairs.
    pairs = np.where(count >= 2, m**2 - m2, np.inf)
    parts = np.stack([s**2 - s2, -2 * (s * m - s2), m**2 - m2]) * (m / pairs)
    c = s.sum() / m.sum()
    at = lambda p, c: (p[0] + c * p[1] + c**2 * p[2]) / p[2]
    total, hosts = parts.sum(1), len(m)
    value = float(at(total, c))
    without = at(total[:, None] - parts, (s.sum() - s) / (m.sum() - m))
    variance = hosts * value - (hosts - 1) * float(without.mean())
    away = without - without.mean()
    alone = float(((s2 * (1 - 2 * c) + c**2 * m2) * m / pairs).sum() / total[2])
    error = float(np.sqrt((hosts - 1) / hosts * (away**2).sum()))
    low, high = 0.0, MOST
    if error > 1e-9:
        carrying = float((away**2).sum() ** 2 / (away**4).sum())
        low, high = _interval(variance, alone, error, min(carrying, hosts - 1.0))
    return Scatter(variance, low, high, variance / (c * (1 - c)), several, OK)


def _too_few(several: int, finds: int, misses: int) -> str:
    """Why nothing can be said of the variance; empty where it can."""
    if several < FEWEST:
        return f"insufficient: {several} hosts with two injections or more, {FEWEST} needed"
    if finds < PAIRS or misses < PAIRS:
        word, number = ("finds", finds) if finds < PAIRS else ("misses", misses)
        return f"insufficient: {number} hosts with two {word} or more, {PAIRS} needed"
    return ""


def _interval(variance: float, alone: float, error: float, freedom: float) -> tuple[float, float]:
    from scipy.stats import t

    together = max(variance + alone, 1e-12)
    factor = float(np.exp(min(t.ppf(0.975, max(freedom, 1.0)) * error / together, 50.0)))
    return max(together / factor - alone, 0.0), float(np.clip(together * factor - alone, 0, MOST))


def table(rows: pd.DataFrame, threshold: float, sufficient: int) -> pd.DataFrame:
    """A line for all injections, and one for every kind of host where the catalogue tells them
    apart: counts, completeness with its interval by hosts, and the variance among hosts.

    rows: injections with galaxy_id, score, perhaps weight and `type`. status: insufficient with
    fewer than `sufficient` injections; `variance_status` is about the
    variance.
    """
    import pandas as pd

    kinds = [(ALL, ALL, np.ones(len(rows), bool))]
    if KIND in rows:
        words = rows[KIND].astype(str).to_numpy()
        kinds += [(KIND, str(word), words == word) for word in sorted(set(words))]
    found, weight = (rows["score"] > threshold).to_numpy(), weights(rows)
    host = pd.factorize(rows["galaxy_id"])[0]
    lines: list[dict[str, Any]] = []
    for by, value, own in kinds:
        share = weighted(found[own], weight[own], host[own])
        low, high = (float(end) for end in share.interval())
        scatter = among_hosts(found[own], weight[own], host[own])
        lines.append(
            {
                "axis": by,
                "value": value,
                "threshold": threshold,
                "n": int(own.sum()),
                "hosts": int(share.groups),
                "completeness": share.value,
                "lo95_hosts": low,
                "hi95_hosts": high,
                "variance": scatter.variance,
                "variance_lo95": scatter.low,
                "variance_hi95": scatter.high,
                "correlation": scatter.correlation,
                "status": "sufficient" if own.sum() >= sufficient else "insufficient",
                "variance_status": scatter.status,
            }
        )
    return pd.DataFrame(lines)


def in_words(table: pd.DataFrame) -> list[str]:
    """What hosts do to the completeness, in one sentence; none where it is not known."""
    every = table[table["axis"] == ALL].iloc[0]
    if not np.isfinite(every["correlation"]):
        return []
    percent = lambda v: f"{100 * np.sqrt(max(v, 0.0)):.1f}"
    words = (
        f"Hosts differ: the completeness of a single host scatters by {percent(every['variance'])} "
        f"points (95 %: {percent(every['variance_lo95'])} to {percent(every['variance_hi95'])}); "
        f"two injections into one host have a correlation of {every['correlation']:.2f}"
    )
    kinds = table[(table["axis"] == KIND) & (table["status"] == "sufficient")]
    named = [f"{r['value']} {100 * r['completeness']:.1f} %" for r in kinds.to_dict("records")]
    return [f"{words}; by kind of host: {', '.join(named)}." if len(named) > 1 else f"{words}."]
