"""What speaks for and against reading a completeness as that of real lenses: sky-noise SNR, score
saturation, and labelled lenses beside injections.

An arc is observable when its matched-filter SNR (all bands, its own shape as the template, sky
noise only) reaches a gate. That is what a detector that knew the arc's shape could reach on an
empty sky, so the observable fraction is an upper bound and the recall given observable a lower one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from classifiers.audit.completeness import weights
from classifiers.intervals import jeffreys, weighted

if TYPE_CHECKING:
    import pandas as pd

SATURATED = 0.9


def two_stages(rows: pd.DataFrame, threshold: float, gate: float) -> dict[str, Any]:
    """Observable fraction, and recall given observable and given not, by weight, with 95 %
    intervals by hosts: "not in the data" and "in the data but missed" told apart."""
    seen = (rows["snr"] >= gate).to_numpy()
    found = (rows["score"] > threshold).to_numpy()
    host, weight = rows["galaxy_id"].to_numpy(), weights(rows)
    of = lambda hit, which: share(hit[which], host[which], weight[which])
    return {
        "gate_snr": gate,
        "threshold": threshold,
        "observable": share(seen, host, weight),
        "recall_observable": of(found, seen),
        "recall_unobservable": of(found, ~seen),
    }


def share(
    hit: Bool[np.ndarray, " n"],
    host: Shaped[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
) -> dict[str, Any]:
    """Share of the weight that is hit, with its 95 % interval by hosts (`intervals.weighted`), and
    the numbers of injections; None where there are none."""
    known = weighted(hit, weight, host)
    low, high = known.interval()
    n = int((weight > 0).sum())
    return {
        "k": int(hit[weight > 0].sum()),
        "n": n,
        "value": known.value if n else None,
        "lo95": float(low) if n else None,
        "hi95": float(high) if n else None,
    }


def fraction(k: int, n: int) -> dict[str, Any]:
    """k of n with its Jeffreys 95 % interval; None where n is 0."""
    low, high = jeffreys(np.array(k), np.array(n), 0.95)
    return {
        "k": k,
        "n": n,
        "value": k / n if n else None,
        "lo95": float(low) if n else None,
        "hi95": float(high) if n else None,
    }


def saturation(score: np.ndarray) -> dict[str, Any]:
    """Shares of scores above 0.9 and below 0.1; flagged when one of them exceeds 90 %."""
    if not len(score):
        return {"above_0.9": None, "below_0.1": None, "flag": False}
    high, low = float((score > 0.9).mean()), float((score < 0.1).mean())
    return {"above_0.9": high, "below_0.1": low, "flag": max(high, low) > SATURATED}


def beside_lenses(
    rows: pd.DataFrame, scores: pd.DataFrame | None, threshold: float
) -> dict[str, Any] | None:
    """Recall on labelled lenses of the test split and completeness of the injections, and median
    score of both. None without such lenses."""
    if scores is None or not {"label", "score", "split"} <= set(scores.columns):
        return None
    lenses = scores[(scores["label"] == 1) & (scores["split"] == "test")]
    if lenses.empty:
        return None
    return {
        "threshold": threshold,
        "lenses": fraction(int((lenses["score"] > threshold).sum()), len(lenses)),
        "injections": share(
            (rows["score"] > threshold).to_numpy(), rows["galaxy_id"].to_numpy(), weights(rows)
        ),
        "median_score_lenses": float(lenses["score"].median()),
        "median_score_injections": float(rows["score"].median()),
    }
