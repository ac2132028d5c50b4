"""A number with its interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from classifiers.evaluation import bootstrap, calibration, metrics
from classifiers.intervals import jeffreys

Figure = dict[str, Any]
BOUNDS = ("lo68", "hi68", "lo95", "hi95")


def lacking(minimum: int, lenses: int | None = None, others: int | None = None) -> str:
    """ "ok", or in words what there is too little of."""
    short = [
        (n, what)
        for n, what in ((lenses, "lenses"), (others, "non-lenses"))
        if n is not None and n < minimum
    ]
    return (
        "ok"
        if not short
        else "insufficient: "
        + " and ".join(f"{n} {what}" for n, what in short)
        + f", at least {minimum} needed"
    )


def nothing(status: str) -> Figure:
    """A figure without a number."""
    return {"value": None, **dict.fromkeys(BOUNDS), "status": status}


def proportion(k: int, n: int, minimum: int, what: str) -> Figure:
    """k / n with its intervals, or no number where n is below the minimum. what: the plural of what
    the n objects are."""
    if n < minimum:
        return nothing(f"insufficient: {n} {what}, at least {minimum} needed")
    (lo68, hi68), (lo95, hi95) = (
        tuple(float(x) for x in jeffreys(np.array(k), np.array(n), level)) for level in (0.68, 0.95)
    )
    return {"value": k / n, "lo68": lo68, "hi68": hi68, "lo95": lo95, "hi95": hi95, "status": "ok"}


def ranking(
    label: Int[np.ndarray, " n"], score: Float[np.ndarray, " n"]
) -> dict[str, bootstrap.Metric]:
    """The metrics that need lenses and non-lenses, by name."""

    def of_curve(function: Callable[..., np.ndarray], *arguments: float) -> bootstrap.Metric:
        return lambda c, _: function(c, *arguments)

    return {
        "roc_auc": of_curve(metrics.roc_auc),
        "average_precision": of_curve(metrics.average_precision),
        "recall_at_fpr_1e-2": of_curve(metrics.recall_at_fpr, 1e-2),
        "recall_at_fpr_1e-3": of_curve(metrics.recall_at_fpr, 1e-3),
        "precision_at_recall_0.9": of_curve(metrics.precision_at_recall, 0.9),
        "recall_at_precision_0.9": of_curve(metrics.recall_at_precision, 0.9),
        "ece": lambda _, w: calibration.ece(label, score, w),
        "mce": lambda _, w: calibration.mce(label, score, w),
    }


def estimated(
    functions: Mapping[str, bootstrap.Metric],
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    minimum: int,
    resamples: int,
    seed: int,
    blocks: np.ndarray | None = None,
) -> dict[str, Figure]:
    """Each metric with its bootstrap intervals, or the reason why there is none."""
    status = lacking(minimum, int(label.sum()), int((1 - label).sum()))
    if status != "ok":
        return {name: nothing(status) for name in functions}
    ones = np.ones(len(label))
    c = metrics.curve(label, score)
    spread = bootstrap.replicates(functions, label, score, resamples, seed, blocks)
    found = {}
    for name, function in functions.items():
        value = float(function(c, ones))
        found[name] = (
            {"value": value, **bootstrap.interval(spread[name]), "status": "ok"}
            if np.isfinite(value)
            else nothing("undefined for this sample")
        )
    return found


def at_thresholds(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    thresholds: tuple[float, ...],
    minimum: int,
) -> dict[str, dict[str, Figure]]:
    """Recall, precision and false-positive rate at each threshold, with their intervals. An object
    passes when its score is above the threshold."""
    found = {}
    for threshold in thresholds:
        above, lens = score > threshold, label == 1
        true = int((above & lens).sum())
        found[f"{threshold:g}"] = {
            "recall": proportion(true, int(lens.sum()), minimum, "lenses"),
            "precision": proportion(true, int(above.sum()), minimum, "objects above the threshold")
            if lens.any() and not lens.all()
            else nothing(
                "insufficient: the sample has only " + ("lenses" if lens.any() else "non-lenses")
            ),
            "false_positive_rate": proportion(
                int((above & ~lens).sum()), int((~lens).sum()), minimum, "non-lenses"
            ),
        }
    return found
