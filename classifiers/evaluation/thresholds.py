"""Score thresholds: given ones, and those that keep the false positives among validation negatives to a wanted rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from classifiers.evaluation.intervals import jeffreys


def threshold_at(score: Float[np.ndarray, " n"], rate: float) -> float:
    """The lowest threshold with which at most `rate` of these scores pass (score > threshold): the first score that must not."""
    allowed = math.floor(rate * len(score))
    return float(np.sort(np.asarray(score, np.float64))[::-1][allowed])


def table(
    negatives: Float[np.ndarray, " n"],
    thresholds: tuple[float, ...],
    targets: tuple[float, ...],
    minimum: int,
    source: str,
) -> list[dict[str, Any]]:
    """A row a threshold: name, threshold, fpr_target, fpr, fpr_lo95, fpr_hi95, n_negatives, status.

    negatives: scores of validation negatives · minimum: expected false positives below which a target is refused (no threshold): a rate
    of 1e-4 from 134,149 negatives rests on 13 of them, from 1,000 on nothing. source: what the negatives are, for the status.
    """
    rows = []
    for value in thresholds:
        rows.append(
            {
                "name": f"p{value:g}",
                "threshold": value,
                "fpr_target": None,
                **_rate(negatives, value),
                "status": "ok",
            }
        )
    for target in targets:
        expected, name = target * len(negatives), f"fpr{target:g}"
        if expected < minimum:
            status = f"insufficient: {expected:.3g} false positives expected among {len(negatives)} {source}, at least {minimum} needed"
            nothing = {
                "fpr": None,
                "fpr_lo95": None,
                "fpr_hi95": None,
                "n_negatives": len(negatives),
            }
            rows.append(
                {"name": name, "threshold": None, "fpr_target": target, **nothing, "status": status}
            )
        else:
            value = threshold_at(negatives, target)
            rows.append(
                {
                    "name": name,
                    "threshold": value,
                    "fpr_target": target,
                    **_rate(negatives, value),
                    "status": "ok",
                }
            )
    return rows


def _rate(negatives: np.ndarray, threshold: float) -> dict[str, Any]:
    n, k = len(negatives), int((negatives > threshold).sum())
    if not n:
        return {"fpr": None, "fpr_lo95": None, "fpr_hi95": None, "n_negatives": 0}
    low, high = jeffreys(np.array(k), np.array(n), 0.95)
    return {"fpr": k / n, "fpr_lo95": float(low), "fpr_hi95": float(high), "n_negatives": n}
