"""Whether a score of 0.8 means a lens eight times in ten: reliability and calibration errors.

Objects are sorted by score and cut into bins of about equal number. Objects with equal scores are
always in one bin, so that no result depends on the order of rows; where many scores are equal
there are fewer bins.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

BINS = 15


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


def _sums(
    label: np.ndarray, score: np.ndarray, weight: np.ndarray | None, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Objects, lenses, and sum of scores of each bin, with leading axes of the weights."""
    parts = edges(score, bins)
    order, starts = np.concatenate(parts), np.cumsum([0, *map(len, parts[:-1])])
    weight = np.ones(len(label)) if weight is None else np.asarray(weight)
    number, lenses, promised = (
        np.add.reduceat((weight * x)[..., order], starts, axis=-1)
        for x in (np.ones(len(label)), label, score)
    )
    return number, lenses, promised


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
    number, lenses, promised = _sums(
        np.asarray(label, float), np.asarray(score, float), weight, bins
    )
    return np.sum(np.abs(lenses - promised), axis=-1) / np.sum(number, axis=-1)


def mce(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, "*r n"] | None = None,
    bins: int = BINS,
) -> np.ndarray:
    """Maximum calibration error: the largest |observed fraction - mean score| of a bin (Guo et al.
    2017, equation 5)."""
    number, lenses, promised = _sums(
        np.asarray(label, float), np.asarray(score, float), weight, bins
    )
    return np.max(np.abs(lenses - promised) / np.maximum(number, 1e-12), axis=-1)
