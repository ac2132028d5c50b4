"""Score thresholds: given ones, and those that keep false positives to a wanted rate.

An object passes a threshold when its score is above it; a score on the threshold does not pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float

from classifiers.intervals import jeffreys

MARGIN = 0.25
"""share of a gap between scores, on either side, in which no threshold is put"""


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
    ordered = np.sort(np.asarray(score, np.float64))[::-1]
    below = ordered[math.floor(rate * len(ordered))]
    above = ordered[ordered > below]
    return roundest(float(below), float(above[-1]) if len(above) else 1.0)


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


def table(
    negatives: Float[np.ndarray, " n"],
    thresholds: tuple[float, ...],
    targets: tuple[float, ...],
    minimum: int,
    source: str,
) -> list[dict[str, Any]]:
    """A row for every threshold: name, threshold, fpr_target, fpr, fpr_lo95, fpr_hi95, n_negatives,
    status.

    negatives: scores of validation negatives. minimum: expected false positives below which a
    target gets no threshold: a rate of 1e-4 from 134,149 negatives rests on 13 of them, from 1,000
    on nothing. source: what the negatives are, for the status.
    """
    rows = []
    for value in thresholds:
        named = {"name": f"p{value:g}", "threshold": value, "fpr_target": None}
        rows.append({**named, **_rate(negatives, value), "status": "ok"})
    for target in targets:
        named = {"name": f"fpr{target:g}", "threshold": None, "fpr_target": target}
        expected = target * len(negatives)
        if expected < minimum:
            status = (
                f"insufficient: {expected:.3g} false positives expected among {len(negatives)} "
                f"{source}, at least {minimum} needed"
            )
            rate = {**dict.fromkeys(("fpr", "fpr_lo95", "fpr_hi95")), "n_negatives": len(negatives)}
            rows.append({**named, **rate, "status": status})
        else:
            named["threshold"] = value = threshold_at(negatives, target)
            rows.append({**named, **_rate(negatives, value), "status": "ok"})
    return rows


def _rate(negatives: np.ndarray, threshold: float) -> dict[str, Any]:
    n, k = len(negatives), int((negatives > threshold).sum())
    low, high = jeffreys(k, n, 0.95)
    rate = {"fpr": k / n, "fpr_lo95": float(low), "fpr_hi95": float(high)} if n else {}
    return dict.fromkeys(("fpr", "fpr_lo95", "fpr_hi95")) | rate | {"n_negatives": n}
