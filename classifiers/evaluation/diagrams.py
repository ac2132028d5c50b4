"""Curves as tables: ROC, precision and recall, reliability of all objects and of the highest
scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from classifiers.evaluation import calibration, figures, metrics
from classifiers.intervals import jeffreys

TOP = {"all": 1.0, "top 1 %": 0.01, "top 0.1 %": 0.001}
"""Scopes of the reliability, and which share of the highest scores is in them."""
TOP_BINS = 5


def roc(label: Int[np.ndarray, " n"], score: Float[np.ndarray, " n"], minimum: int) -> pd.DataFrame:
    """ROC curve: threshold, false_positive_rate, recall; no rows where the sample cannot support
    one."""
    if figures.lacking(minimum, int(label.sum()), int((1 - label).sum())) != "ok":
        return pd.DataFrame(columns=["threshold", "false_positive_rate", "recall"])
    c = metrics.curve(label, score)
    rate, recall = c.above_false / c.others, c.above_true / c.lenses
    return pd.DataFrame({"threshold": c.threshold, "false_positive_rate": rate, "recall": recall})


def precision_recall(
    label: Int[np.ndarray, " n"], score: Float[np.ndarray, " n"], minimum: int
) -> pd.DataFrame:
    """Precision and recall at or above each score: threshold, recall, precision; no rows where the
    sample cannot support them."""
    if figures.lacking(minimum, int(label.sum()), int((1 - label).sum())) != "ok":
        return pd.DataFrame(columns=["threshold", "recall", "precision"])
    c = metrics.curve(label, score)
    precision = c.above_true / (c.above_true + c.above_false)
    return pd.DataFrame(
        {"threshold": c.threshold, "recall": c.above_true / c.lenses, "precision": precision}
    )


def reliability(
    label: Int[np.ndarray, " n"], score: Float[np.ndarray, " n"], minimum: int
) -> pd.DataFrame:
    """Reliability curve of the sample and of its highest scores: scope, bin, n, low, high,
    mean_score, fraction_lenses, status, and the fraction's lo95 and hi95 (Jeffreys). Objects whose
    score is that of the last one belong too."""
    rows = []
    ranked = np.sort(score)[::-1]
    for scope, share in TOP.items():
        number = int(len(ranked) * share)
        inside = score >= ranked[number - 1] if number else np.zeros(len(score), bool)
        y, p = label[inside], score[inside]
        status = figures.lacking(minimum, int(y.sum()), int((1 - y).sum()))
        if status != "ok":
            rows.append({"scope": scope, "bin": 0, "n": len(y), "status": status})
            continue
        bins = calibration.reliability(y, p, calibration.BINS if scope == "all" else TOP_BINS)
        n = np.array([b["n"] for b in bins])
        k = np.array([b["fraction_lenses"] for b in bins]) * n
        low, high = jeffreys(np.round(k), n, 0.95)
        rows += [
            {"scope": scope, "bin": i, **b, "status": "ok", "lo95": low[i], "hi95": high[i]}
            for i, b in enumerate(bins)
        ]
    columns = ["scope", "bin", "n", "low", "high", "mean_score", "fraction_lenses", "status"]
    return pd.DataFrame(rows, columns=[*columns, "lo95", "hi95"])
