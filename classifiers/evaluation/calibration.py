"""Whether a score of 0.8 means a lens eight times in ten: reliability and calibration errors.

Objects are sorted by score and cut into bins of about equal number. Objects with equal scores are
always in one bin, so that no result depends on the order of rows; where many scores are equal
there are fewer bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

BINS = 15
EPS = float(np.finfo(np.float64).eps)


def edges(score: Float[np.ndarray, " n"], bins: int = BINS) -> list[np.ndarray]:
    """Row numbers of the objects of each bin, at most `bins` of them, lowest scores first.

    A cut that would part equal scores moves to the nearer end of their run.
    """
    order = np.argsort(score, kind="stable")
    ordered, n = np.asarray(score)[order], len(order)
    wanted = np.cumsum([len(part) for part in np.array_split(order, min(bins, max(n, 1)))])[:-1]
    at = ordered[wanted] if n else ordered[:0]
    first, last = (np.searchsorted(ordered, at, side) for side in ("left", "right"))
    cuts = np.unique(np.where(wanted - first <= last - wanted, first, last))
    return [part for part in np.split(order, cuts) if len(part)]


@dataclass(frozen=True)
class Binned:
    """A sample cut into bins: order (n,), the place of each object, bin after bin; starts (b,), the
    place where each bin begins; residual (n,), label minus score, in that order."""

    order: Int[np.ndarray, " n"]
    starts: Int[np.ndarray, " b"]
    residual: Float[np.ndarray, " n"]

    @classmethod
    def of(
        cls, label: Float[np.ndarray, " n"], score: Float[np.ndarray, " n"], bins: int = BINS
    ) -> Binned:
        """Bins as `edges` cuts them, highest scores first: the order of a `metrics.Sample` stays
        as it is. Of a sample that is not empty."""
        label, score = np.asarray(label, np.float64), np.asarray(score, np.float64)
        order = np.argsort(-score, kind="stable")
        sizes = [len(part) for part in edges(score, bins)][::-1]
        return cls(order, np.cumsum([0, *sizes[:-1]]), (label - score)[order])

    def gaps(self, weight: Float[np.ndarray, "*r n"]) -> Float[np.ndarray, "*r b"]:
        """|lenses - sum of scores| in each bin, for weights in the order of the bins."""
        stops = [*self.starts[1:], len(self.residual)]
        parts = [weight[..., i:j] @ self.residual[i:j] for i, j in zip(self.starts, stops)]
        return np.abs(np.stack(parts, axis=-1))

    def ece(self, weight: Float[np.ndarray, "*r n"]) -> Float[np.ndarray, " *r"]:
        """As the function `ece`, for weights in the order of the bins."""
        return np.sum(self.gaps(weight), axis=-1) / np.sum(weight, axis=-1)

    def mce(self, weight: Float[np.ndarray, "*r n"]) -> Float[np.ndarray, " *r"]:
        """As the function `mce`, for weights in the order of the bins."""
        number = np.add.reduceat(weight, self.starts, axis=-1)
        return np.max(self.gaps(weight) / np.maximum(number, 1e-12), axis=-1)


def reliability(
    label: Int[np.ndarray, " n"], score: Float[np.ndarray, " n"], bins: int = BINS
) -> list[dict[str, float]]:
    """For each bin: number, lowest and highest score, mean score, observed fraction of lenses."""
    rows = []
    for part in edges(score, bins):
        y, p = np.asarray(label)[part], np.asarray(score)[part]
        rows.append(
            {
                "n": len(part),
                "low": float(p.min()),
                "high": float(p.max()),
                "mean_score": float(p.mean()),
                "fraction_lenses": float(y.mean()),
            }
        )
    return rows


def ece(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, "*r n"] | None = None,
    bins: int = BINS,
) -> np.ndarray:
    """Expected calibration error: mean over objects of |observed fraction - mean score| of their
    bin (Guo et al. 2017, arXiv 1706.04599, equation 3, with bins of equal number).

    weight: leading axes of resampling counts; the bins stay those of the sample itself.
    """
    binned = Binned.of(label, score, bins)
    return binned.ece(_ordered(weight, binned.order))


def mce(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, "*r n"] | None = None,
    bins: int = BINS,
) -> np.ndarray:
    """Maximum calibration error: the largest |observed fraction - mean score| of a bin (Guo et al.
    2017, equation 5)."""
    binned = Binned.of(label, score, bins)
    return binned.mce(_ordered(weight, binned.order))


def by_chance(
    score: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"] | None = None,
    bins: int = BINS,
    number: int = 200,
    seed: int = 0,
) -> dict[str, Float[np.ndarray, " r"]]:
    """ECE and MCE (`ece`, `mce`) that perfectly calibrated scores would have in `number` samples of
    these: errors are never negative, and what is not above these says nothing against a finder."""
    score = np.asarray(score, np.float64)
    binned = Binned.of(np.zeros(len(score)), score, bins)
    weight, ordered = _ordered(weight, binned.order), score[binned.order]
    rng, found = np.random.default_rng(seed), []
    for _ in range(number):
        drawn = Binned(binned.order, binned.starts, (rng.random(len(score)) < ordered) - ordered)
        found.append((drawn.ece(weight), drawn.mce(weight)))
    return dict(zip(("ece", "mce"), np.array(found).T))


def brier(
    label: Float[np.ndarray, " n"], score: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Squared difference of score and outcome of each object; its mean is the Brier score (Brier
    1950, Monthly Weather Review 78, 1)."""
    return (np.asarray(score, np.float64) - label) ** 2


def log_loss(
    label: Float[np.ndarray, " n"], score: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Minus the logarithm of the probability that each object's outcome was given. Scores are kept
    a rounding error away from 0 and 1, as scikit-learn does: a certain and wrong score costs 36."""
    p = np.clip(np.asarray(score, np.float64), EPS, 1 - EPS)
    return -np.where(np.asarray(label) == 1, np.log(p), np.log1p(-p))


def _ordered(weight: np.ndarray | None, order: np.ndarray) -> np.ndarray:
    return np.ones(len(order)) if weight is None else np.asarray(weight, np.float64)[..., order]
