"""A number with its interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from classifiers.evaluation import bootstrap, calibration, metrics
from classifiers.evaluation.thresholds import insufficient
from classifiers.intervals import FEW_GROUPS, jeffreys, weighted

Figure = dict[str, Any]
BOUNDS = ("lo68", "hi68", "lo95", "hi95")
RATES = {f"recall_at_fpr_1e-{k}": 10.0**-k for k in (2, 3, 4)}
"""Names of recalls at a false-positive rate."""
FEW = {"tpr0": 1, "tpr10": 10}
"""Names of recalls with fewer than so many false positives."""
NAMES = (
    *("roc_auc", "average_precision", *RATES, "precision_at_recall_0.9"),
    *("recall_at_precision_0.9", "ece", "mce", "brier", "log_loss"),
)
"""The metrics of `ranking`."""


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


def few(n: int, minimum: int, what: str = "objects") -> str:
    """ "ok", or that these are fewer than the minimum. what: their plural."""
    return "ok" if n >= minimum else f"insufficient: {n} {what}, at least {minimum} needed"


def reason(*statuses: str) -> str:
    """The first status that is not "ok", and "ok" where all are."""
    return next((status for status in statuses if status != "ok"), "ok")


def few_cells(blocks: np.ndarray | None) -> str:
    """ "ok", or that there are too few cells to tell how much cells differ: with one cell every
    resample is the sample."""
    cells = FEW_GROUPS if blocks is None else len(np.unique(blocks))
    if cells >= FEW_GROUPS:
        return "ok"
    return f"insufficient: {cells} cells of the sky, at least {FEW_GROUPS} needed to draw them"


def nothing(status: str) -> Figure:
    """A figure without a number."""
    return {"value": None, **dict.fromkeys(BOUNDS), "status": status}


def proportion(k: int, n: int, minimum: int, what: str) -> Figure:
    """k / n with its intervals, or no number where n is below the minimum. what: the plural of what
    the n objects are."""
    if (why := few(n, minimum, what)) != "ok":
        return nothing(why)
    (lo68, hi68), (lo95, hi95) = (
        tuple(float(x) for x in jeffreys(np.array(k), np.array(n), level)) for level in (0.68, 0.95)
    )
    return {"value": k / n, "lo68": lo68, "hi68": hi68, "lo95": lo95, "hi95": hi95, "status": "ok"}


def share(
    passed: Bool[np.ndarray, " n"],
    among: Bool[np.ndarray, " n"],
    minimum: int,
    what: str,
    blocks: Shaped[np.ndarray, " n"] | None = None,
) -> Figure:
    """Which part of the objects `among` n passed, as `proportion`; with blocks, the cell of each of
    the n, the intervals are `intervals.weighted` over cells, and there is no number with few."""
    n = int(among.sum())
    if blocks is None:
        return proportion(int(passed[among].sum()), n, minimum, what)
    if (why := reason(few(n, minimum, what), few_cells(blocks[among]))) != "ok":
        return nothing(why)
    of = weighted(passed[among], np.ones(n), blocks[among])
    ends = [float(end) for level in (0.68, 0.95) for end in of.interval(level)]
    return {"value": of.value, **dict(zip(BOUNDS, ends)), "status": "ok"}


def ranking(sample: metrics.Sample) -> dict[str, bootstrap.Metric]:
    """The metrics that need lenses and non-lenses, by name."""

    def of_curve(function: Callable[..., np.ndarray], *arguments: float) -> bootstrap.Metric:
        return lambda d: function(d.curve, *arguments)

    label, score = sample.label, sample.score
    binned = calibration.Binned.of(label, score)
    squares, losses = calibration.brier(label, score), calibration.log_loss(label, score)
    return {
        "roc_auc": of_curve(metrics.roc_auc),
        "average_precision": of_curve(metrics.average_precision),
        **{name: of_curve(metrics.recall_at_fpr, rate) for name, rate in RATES.items()},
        "precision_at_recall_0.9": of_curve(metrics.precision_at_recall, 0.9),
        "recall_at_precision_0.9": of_curve(metrics.recall_at_precision, 0.9),
        "ece": lambda d: binned.ece(d.counts),
        "mce": lambda d: binned.mce(d.counts),
        "brier": lambda d: d.mean(squares),
        "log_loss": lambda d: d.mean(losses),
    }


def estimated(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    minimum: int,
    resamples: int,
    seed: int,
    blocks: np.ndarray | None = None,
    names: Sequence[str] = (),
) -> dict[str, Figure]:
    """Each metric of `ranking`, or those named, with its bootstrap intervals, or the reason why
    there is none: too few lenses or non-lenses, or fewer than `minimum` false positives expected at
    the rate it is for, or fewer than ten cells. blocks: the cell of each object, where whole cells
    are drawn."""
    status = lacking(minimum, int(label.sum()), int((1 - label).sum()))
    if (status := reason(status, few_cells(blocks))) != "ok":
        return {name: nothing(status) for name in names or NAMES}
    sample = metrics.Sample.of(label, score)
    functions = {k: f for k, f in ranking(sample).items() if not names or k in names}
    others = int((1 - label).sum())
    short = {
        name: why
        for name, rate in RATES.items()
        if name in functions and (why := insufficient(rate, others, np.inf, minimum, "non-lenses"))
    }
    found = {name: nothing(why) for name, why in short.items()}
    functions = {name: f for name, f in functions.items() if name not in short}
    itself = bootstrap.Draws.of(sample)
    spread = bootstrap.replicates(functions, sample, resamples, seed, blocks)
    for name, function in functions.items():
        value = float(function(itself))
        found[name] = (
            {"value": value, **bootstrap.interval(spread[name]), "status": "ok"}
            if np.isfinite(value)
            else nothing("undefined for this sample")
        )
    if {"ece", "mce"} & set(found):
        for name, chance in calibration.by_chance(sample.score, seed=seed).items():
            if name in found:
                found[name] = reaching_zero(found[name], chance)
    return {name: found[name] for name in NAMES if name in found}


def reaching_zero(figure: Figure, chance: Float[np.ndarray, " r"]) -> Figure:
    """A calibration error with an interval that allows for its bias. Errors are never negative, so
    noise can only increase them: a sample's error lies above the truth, and those of its resamples
    lie above the sample's by about as much. The lower end is therefore that of the basic bootstrap,
    2 value - hi (Davison & Hinkley 1997, Bootstrap Methods and their Application, equation 5.6),
    where it is lower; the upper end stays, which is on the safe side. Where perfectly calibrated
    scores would have as large an error, the interval begins at 0.

    chance: errors of calibrated scores (`calibration.by_chance`); their mean is added as
    `by_chance`."""
    found = figure | {"by_chance": float(chance.mean())}
    for low, high, level in (("lo68", "hi68", 84), ("lo95", "hi95", 97.5)):
        turned = max(min(figure[low], 2 * figure["value"] - figure[high]), 0.0)
        found[low] = 0.0 if figure["value"] <= np.percentile(chance, level) else turned
    return found


def before(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    minimum: int,
    blocks: np.ndarray | None = None,
) -> dict[str, Figure]:
    """TPR0 and TPR10, the recall with fewer than one and fewer than ten false positives.

    Both depend on how many non-lenses there are. Their intervals are those of `share` of the
    lenses above this sample's threshold; a bootstrap, which leaves out the highest non-lens in
    every third resample, would put them too high (Bickel & Freedman 1981, Annals of Statistics 9,
    1196, section 6).
    """
    status = lacking(minimum, int(label.sum()), int((1 - label).sum()))
    if status != "ok":
        return dict.fromkeys(FEW, nothing(status))
    lens = np.asarray(label) == 1
    return {
        name: share(metrics.before(label, score, number), lens, minimum, "lenses", blocks)
        for name, number in FEW.items()
    }


def q_values(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Benjamini & Hochberg's (1995) false-discovery rates of p-values; NaN where there is none."""
    from scipy.stats import false_discovery_control

    known = np.isfinite(p)
    q = np.full(len(p), np.nan)
    if known.any():
        q[known] = false_discovery_control(p[known])
    return q


def at_thresholds(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    thresholds: tuple[float, ...],
    minimum: int,
    blocks: np.ndarray | None = None,
) -> dict[str, dict[str, Figure]]:
    """Recall, precision and false-positive rate at each threshold, with their intervals. An object
    passes when its score is above the threshold. blocks: as in `share`."""
    found, lens = {}, label == 1
    for threshold in thresholds:
        above = score > threshold
        found[f"{threshold:g}"] = {
            "recall": share(above, lens, minimum, "lenses", blocks),
            "precision": share(lens, above, minimum, "objects above the threshold", blocks)
            if lens.any() and not lens.all()
            else nothing(
                "insufficient: the sample has only " + ("lenses" if lens.any() else "non-lenses")
            ),
            "false_positive_rate": share(above, ~lens, minimum, "non-lenses", blocks),
        }
    return found
