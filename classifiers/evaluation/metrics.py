"""Ranking metrics of scored objects, for one sample or for many bootstrap resamples of it at once.

Everything is read off one curve: the (weighted) numbers of lenses and of non-lenses at or above
each distinct score. A resample is a vector of counts, so a matrix (R, N) of counts gives R curves
in a few vector operations, where scikit-learn's functions, with which the tests compare, would need
R calls. A metric that its sample cannot support is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Curve:
    """threshold (K,): the distinct scores, highest first. above_true, above_false (..., K): weight
    of the lenses and of the non-lenses whose score is at least the threshold."""

    threshold: Float[np.ndarray, " k"]
    above_true: Float[np.ndarray, "*r k"]
    above_false: Float[np.ndarray, "*r k"]

    @property
    def lenses(self) -> Float[np.ndarray, " *r"]:
        return self.above_true[..., -1]

    @property
    def others(self) -> Float[np.ndarray, " *r"]:
        return self.above_false[..., -1]


def curve(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, "*r n"] | None = None,
) -> Curve:
    """The curve of a sample that is not empty.

    label: 1 for a lens, 0 for anything else. score: higher is more lens-like. weight: 1 each unless
    given; resampling counts may have leading axes.
    """
    label, score = np.asarray(label), np.asarray(score)
    weight = np.ones(len(label)) if weight is None else np.asarray(weight)
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(
        np.append(np.diff(score[order]) != 0, True)
    )  # last of each run of equal scores
    true = np.cumsum(weight[..., order] * label[order], axis=-1, dtype=np.float64)[..., ends]
    false = np.cumsum(weight[..., order] * (1 - label[order]), axis=-1, dtype=np.float64)[..., ends]
    return Curve(score[order][ends], true, false)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(b > 0, a / np.where(b > 0, b, 1), np.nan)


def _steps(x: np.ndarray) -> np.ndarray:
    return np.diff(x, axis=-1, prepend=0.0)


def roc_auc(c: Curve) -> Float[np.ndarray, " *r"]:
    """Area under the ROC curve: the probability that a lens scores above a non-lens, where a tie
    counts half."""
    middle = c.above_true - _steps(c.above_true) / 2
    return _ratio(np.sum(_steps(c.above_false) * middle, axis=-1), c.lenses * c.others)


def average_precision(c: Curve) -> Float[np.ndarray, " *r"]:
    """Sum over thresholds of precision times the step in recall (scikit-learn's definition)."""
    precision = np.nan_to_num(_ratio(c.above_true, c.above_true + c.above_false))
    return _ratio(np.sum(precision * _steps(c.above_true), axis=-1), c.lenses)


def _at(c: Curve, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    k = np.searchsorted(-c.threshold, -threshold, side="left") - 1
    if k < 0:  # nothing scores above it
        return np.zeros_like(c.lenses), np.zeros_like(c.others)
    return c.above_true[..., k], c.above_false[..., k]


def recall(c: Curve, threshold: float) -> Float[np.ndarray, " *r"]:
    """Fraction of the lenses with score > threshold."""
    return _ratio(_at(c, threshold)[0], c.lenses)


def precision(c: Curve, threshold: float) -> Float[np.ndarray, " *r"]:
    """Fraction of lenses among the objects with score > threshold; NaN when there is none."""
    true, false = _at(c, threshold)
    return _ratio(true, true + false)


def false_positive_rate(c: Curve, threshold: float) -> Float[np.ndarray, " *r"]:
    """Fraction of the non-lenses with score > threshold."""
    return _ratio(_at(c, threshold)[1], c.others)


def recall_at_fpr(c: Curve, rate: float) -> Float[np.ndarray, " *r"]:
    """Highest recall whose false-positive rate is at most `rate`."""
    allowed = _ratio(c.above_false, c.others[..., None]) <= rate
    best = np.max(np.where(allowed, c.above_true, 0.0), axis=-1)
    return np.where(c.others > 0, _ratio(best, c.lenses), np.nan)


def precision_at_recall(c: Curve, wanted: float) -> Float[np.ndarray, " *r"]:
    """Highest precision whose recall is at least `wanted`."""
    enough = _ratio(c.above_true, c.lenses[..., None]) >= wanted
    found = np.max(
        np.where(enough, np.nan_to_num(_ratio(c.above_true, c.above_true + c.above_false)), 0.0),
        axis=-1,
    )
    return np.where(c.lenses > 0, found, np.nan)


def recall_at_precision(c: Curve, wanted: float) -> Float[np.ndarray, " *r"]:
    """Highest recall whose precision is at least `wanted`; 0 when no threshold reaches it."""
    pure = np.nan_to_num(_ratio(c.above_true, c.above_true + c.above_false)) >= wanted
    return _ratio(np.max(np.where(pure, c.above_true, 0.0), axis=-1), c.lenses)
