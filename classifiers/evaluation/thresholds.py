"""Score thresholds: given ones, and those that keep false positives to a wanted rate.

An object passes a threshold when its score is above it; a score on the threshold does not pass. A
threshold for a rate of false positives is a quantile of the negatives' scores. How well it is known
depends on how many negatives there are, so it has an interval (`ends`); with too few negatives for
the rate there is no threshold (`insufficient`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from classifiers.intervals import jeffreys, observed, weighted

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 0.25
"""share of a gap between scores, on either side, in which no threshold is put"""
LEVEL = 0.95
"""of the interval of a threshold"""
NOTHING = ("fpr", "fpr_lo95", "fpr_hi95", "threshold_lo95", "threshold_hi95", "n_effective")
"""Columns without a value where a target has no threshold."""


def operating(thresholds: Iterable[float]) -> float:
    """The threshold that words, figures and strata are about: the one nearest 0.5, and the lower
    one of two that are equally near."""
    return min(thresholds, key=lambda t: (round(abs(t - 0.5), 12), t))


def threshold_at(score: Float[np.ndarray, " n"], rate: float) -> float:
    """A threshold that at most `rate` of these scores (from 0 to 1) pass, as many as possible.

    Every number in the gap between two neighbouring scores does the same, so the roundest one in
    its middle is taken: the same network scored by another library, whose last digits differ, then
    has the same threshold. Equal scores pass together or not at all.
    """
    return _at_most(np.sort(np.asarray(score, np.float64)), math.floor(rate * len(score)))


def _at_most(ordered: Float[np.ndarray, " n"], number: int) -> float:
    """A threshold that so many of increasing scores pass, fewer where scores are equal."""
    below = ordered[-1 - number]
    above = ordered[ordered > below]
    return roundest(float(below), float(above[0]) if len(above) else 1.0)


def _at_least(ordered: Float[np.ndarray, " n"], number: int) -> float:
    """A threshold that so many of increasing scores pass, more where scores are equal."""
    above = ordered[-number]
    below = ordered[ordered < above]
    return roundest(float(below[-1]) if len(below) else 0.0, float(above))


def roundest(low: float, high: float) -> float:
    """The decimal number of fewest digits in the middle of the gap from low to high; low itself
    where the gap is too narrow to hold one."""
    left, right = low + MARGIN * (high - low), high - MARGIN * (high - low)
    middle = (low + high) / 2
    for digits in range(1, 17):
        value = round(middle, digits)
        if left <= value <= right and low <= value < high:
            return value
    return low


def validation(scores: pd.DataFrame, on: str) -> pd.DataFrame:
    """The negatives that thresholds rest on: non-lenses of the validation split, or all of them
    where the evaluation is on all objects. scores: evaluation/scores.parquet."""
    return scores[(scores["label"] == 0) & ((scores["split"] == "val") | (on == "all"))]


def together(objects: pd.DataFrame) -> Float[np.ndarray, " n"]:
    """Numbers (n,) that are the same for objects that are not independent: of the cell of the sky
    (healpix_128), which the split keeps whole; where that is not known, of the galaxy_id."""
    import pandas as pd

    alone = -1.0 - pd.factorize(objects["galaxy_id"])[0]
    if "healpix_128" not in objects:
        return alone
    cell = pd.to_numeric(objects["healpix_128"]).to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(cell), cell, alone)


def fewest(rate: float, level: float = LEVEL) -> int:
    """Independent scores that are needed for the interval of a threshold to end at one of them: the
    smallest n with (1 - rate)^n at most (1 - level) / 2, which is the probability that all n lie
    below the true threshold (Wilks 1941, Annals of Mathematical Statistics 12, 91)."""
    return math.ceil(math.log((1 - level) / 2) / math.log1p(-rate))


def ends(
    score: Float[np.ndarray, " n"], rate: float, independent: float, level: float = LEVEL
) -> tuple[float, float]:
    """Interval of the threshold that a share `rate` of all such objects passes, from the scores of
    n of them that count as so many independent ones.

    So many scores lie above its ends as `intervals.observed` says, to the nearest whole number;
    with fewer than `fewest` none would lie above the upper end, and the largest score is taken.
    """
    ordered = np.sort(np.asarray(score, np.float64))
    n = len(ordered)
    low, high = (math.floor(share * n + 0.5) for share in observed(rate, independent, level))
    return _at_least(ordered, min(max(high, 1), n)), _at_most(ordered, min(max(low, 0), n - 1))


def insufficient(
    rate: float, n: int, independent: float, minimum: int, source: str = "negatives"
) -> str:
    """Why n negatives cannot carry a false-positive rate; empty where they can.

    There are two criteria. At least `minimum` false positives have to be expected among them: with
    10 the rate at a fixed threshold is known to a third (1 / sqrt(10), Poisson). And as many
    independent ones are needed as `fewest` says, because with fewer the threshold has no upper end.
    """
    expected = rate * n
    if expected < minimum:
        return (
            f"insufficient: {expected:.3g} false positives expected among {n} {source}, at least "
            f"{minimum} needed"
        )
    if independent < fewest(rate):
        return (
            f"insufficient: {n} {source} lie close together and count as {independent:.0f} "
            f"independent ones, at least {fewest(rate)} needed for the threshold's interval to end"
        )
    return ""


def table(
    negatives: Float[np.ndarray, " n"],
    thresholds: tuple[float, ...],
    targets: tuple[float, ...],
    minimum: int,
    source: str,
    group: Shaped[np.ndarray, " n"] | None = None,
) -> list[dict[str, Any]]:
    """A row for every threshold: name, threshold, fpr_target, fpr, fpr_lo95, fpr_hi95,
    threshold_lo95, threshold_hi95, n_negatives, n_effective, status.

    negatives: scores of validation negatives. minimum: expected false positives below which a
    target gets no threshold: a rate of 1e-4 from 134,149 negatives rests on 13 of them, from 1,000
    on nothing. source: what the negatives are, for the status. group: of which negatives are not
    independent (cells of the sky, which the split keeps whole); each is its own if not given.
    n_effective: as many independent negatives would know the rate as well. The interval of a
    threshold that was given is that threshold.
    """
    rows = []
    for value in thresholds:
        named = {"name": f"p{value:g}", "threshold": value, "fpr_target": None}
        own = _rate(negatives, value, group)
        fixed = {"threshold_lo95": value, "threshold_hi95": value}
        rows.append({**named, **own, **fixed, "status": "ok"})
    for target in targets:
        n = len(negatives)
        named = {"name": f"fpr{target:g}", "threshold": None, "fpr_target": target}
        why = insufficient(target, n, np.inf, minimum, source)
        if not why:
            value = threshold_at(negatives, target)
            own = _rate(negatives, value, group)
            why = insufficient(target, n, own["n_effective"], minimum, source)
        if why:
            rows.append({**named, **dict.fromkeys(NOTHING), "n_negatives": n, "status": why})
            continue
        low, high = ends(negatives, target, own["n_effective"])
        between = {"threshold_lo95": min(low, value), "threshold_hi95": max(high, value)}
        rows.append({**named, "threshold": value, **own, **between, "status": "ok"})
    order = ["name", "threshold", "fpr_target", *NOTHING[:5], "n_negatives", "n_effective"]
    return [{name: row[name] for name in (*order, "status")} for row in rows]


def _rate(negatives: np.ndarray, threshold: float, group: np.ndarray | None) -> dict[str, Any]:
    """Share of the negatives above a threshold with its interval, and how many independent ones
    would know it as well: all of them where none is above, because groups cannot be seen then."""
    n, k = len(negatives), int((negatives > threshold).sum())
    if not n:
        return dict.fromkeys(NOTHING[:3]) | {"n_negatives": 0, "n_effective": 0.0}
    independent = float(n)
    if group is not None and k:
        independent = float(weighted(negatives > threshold, np.ones(n), group).effective(LEVEL))
    low, high = jeffreys(k / n * independent, independent, LEVEL)
    rate = {"fpr": k / n, "fpr_lo95": float(low), "fpr_hi95": float(high)}
    return rate | {"n_negatives": n, "n_effective": independent}
