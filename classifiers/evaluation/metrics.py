"""Ranking metrics of scored objects, for one sample or for many bootstrap resamples of it at once.

Everything is read off one curve: the (weighted) numbers of lenses and of non-lenses at or above
each distinct score. A resample is a vector of counts, so a matrix (R, N) of counts gives R curves
in a few vector operations, where scikit-learn's functions, with which the tests compare, would need
R calls. A `Sample` is sorted once and has a curve with as few corners as its lenses need, which is
what makes ten thousand resamples quick. A metric that its sample cannot support is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Curve:
    """threshold (K,): the distinct scores, highest first. above_true, above_false (..., K): weight
    of the lenses and of the non-lenses whose score is at least the threshold."""

    threshold: Float[np.ndarray, " k"]
    above_true: Float[np.ndarray, "*r k"]
    above_false: Float[np.ndarray, "*r k"]

    @property
    def lenses(self) -> Float[np.ndarray, " *r"]:
        """Total of the last column of `above_true`: all lenses."""
        return self.above_true[..., -1]

    @property
    def others(self) -> Float[np.ndarray, " *r"]:
        """Total of the last column of `above_false`: all that are no lenses."""
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


@dataclass(frozen=True)
class Sample:
    """A sample that is not empty, in the order of its scores, highest first; lenses come first
    among equal scores.

    label, score (n,); order (n,): the row that each came from. starts (s,): places where segments
    of its curve begin; corner (s,): the corner of the curve that a segment adds to; lens (s,):
    whether it is of lenses.
    """

    label: Int[np.ndarray, " n"]
    score: Float[np.ndarray, " n"]
    order: Int[np.ndarray, " n"]
    starts: Int[np.ndarray, " s"]
    corner: Int[np.ndarray, " s"]
    lens: Bool[np.ndarray, " s"]

    @classmethod
    def of(cls, label: Int[np.ndarray, " n"], score: Float[np.ndarray, " n"]) -> Sample:
        """label: 1 for a lens, 0 for anything else. score: higher is more lens-like."""
        label, score = np.asarray(label, np.int64), np.asarray(score, np.float64)
        order = np.lexsort((-label, -score))
        label, score = label[order], score[order]
        begins = np.append(True, np.diff(score) != 0)
        run = np.cumsum(begins) - 1
        has = np.bincount(run, label) > 0  # runs of equal scores with a lens
        apart = np.append(True, has[1:] | has[:-1])  # neighbouring runs without one are joined
        corner = (np.cumsum(apart) - 1)[run]
        starts = np.flatnonzero(np.append(True, (np.diff(corner) != 0) | (np.diff(label) != 0)))
        return cls(label, score, order, starts, corner[starts], label[starts] == 1)

    def curve(self, weight: Float[np.ndarray, "*r n"]) -> Curve:
        """The curve for weights in the order of the sample, with corners at every score of a lens
        and one for all non-lenses between two of them. Areas, precision and recall at a rate, at a
        budget or at one another are those of the whole curve: between two lenses recall stays and
        precision only falls. For a threshold of one's own take `curve`."""
        number = int(self.corner[-1]) + 1
        sums = np.add.reduceat(weight, self.starts, axis=-1)
        steps = np.zeros((2, *sums.shape[:-1], number))
        steps[0][..., self.corner[self.lens]] = sums[..., self.lens]
        steps[1][..., self.corner[~self.lens]] = sums[..., ~self.lens]
        last = np.append(np.flatnonzero(np.diff(self.corner)), len(self.starts) - 1)
        ends = np.append(self.starts[1:], len(self.score))[last] - 1
        true, false = np.cumsum(steps, axis=-1)
        return Curve(self.score[ends], true, false)


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


def before(
    label: Int[np.ndarray, " n"], score: Float[np.ndarray, " n"], false_positives: int
) -> Bool[np.ndarray, " n"]:
    """Which objects score above all non-lenses but the highest `false_positives - 1`: the lenses
    among them are found with fewer than so many false positives."""
    others = np.sort(score[np.asarray(label) != 1])[::-1]
    limit = others[false_positives - 1] if false_positives <= len(others) else -np.inf
    return score > limit


def purity(c: Curve, share: float) -> Float[np.ndarray, " *r"]:
    """Fraction of lenses among the highest `share` (0 to 1) of all objects. Where equal scores
    straddle the end, the share of lenses among them counts for those inside: this is the mean over
    every order of them."""
    both = c.above_true + c.above_false
    wanted = share * both[..., -1:]
    after = np.sum(both < wanted, axis=-1, keepdims=True)
    take = lambda x, at: np.where(at < 0, 0.0, np.take_along_axis(x, np.maximum(at, 0), -1))
    low, high = take(both, after - 1), take(both, after)
    part = _ratio(wanted - low, high - low)
    first = take(c.above_true, after - 1)
    lenses = first + part * (take(c.above_true, after) - first)
    return _ratio(lenses, wanted)[..., 0]
