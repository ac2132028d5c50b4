"""Can a straight line tell two samples apart? A linear probe with what is needed to believe it.

Features of real lenses against those of matched injections: an area under the curve (AUC) near 0.5
says that the features do not know which is which. Objects of one group (a host) are never on both
sides of a fold; the null is that of permuted labels; and the same process split in two shows what
the probe says where there is nothing to find.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

FOLDS = 5
PERMUTATIONS = 60
RESAMPLES = 200
STRENGTH = 0.1
"""inverse strength of the ridge penalty on standardised features (`C` of scikit-learn)"""
FEWEST = 20
"""groups of a sample below which nothing is said"""


@dataclass(frozen=True)
class Probe:
    """auc: mean over folds, of objects that were not fitted. error: its standard error, from
    resampling groups. null_lo, null_hi: 95 % of what permuted labels give. p: share of the null
    that reaches the AUC. n_a, n_b: objects. All NaN where there are fewer than FEWEST groups of
    either."""

    auc: float
    error: float
    null_lo: float
    null_hi: float
    p: float
    n_a: int
    n_b: int

    @property
    def said(self) -> bool:
        """Whether there were enough objects."""
        return bool(np.isfinite(self.auc))


def probe(
    features_a: Float[np.ndarray, "n f"],
    features_b: Float[np.ndarray, "m f"],
    groups_a: Shaped[np.ndarray, " n"],
    groups_b: Shaped[np.ndarray, " m"],
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> Probe:
    """Logistic regression of b against a in folds that keep groups together.

    Groups of the same name are the same group. Labels are permuted between groups, as many of each
    as there are, since objects of one group are alike. Features that are not finite count as their
    column's median; constant ones do not count.
    """
    names = np.concatenate([np.asarray(g).astype(str) for g in (groups_a, groups_b)])
    _, group = np.unique(names, return_inverse=True)
    y = np.r_[np.zeros(len(features_a), int), np.ones(len(features_b), int)]
    sizes = len(features_a), len(features_b)
    if min(len(np.unique(group[y == k])) for k in (0, 1)) < FEWEST:
        return Probe(*(np.nan,) * 5, *sizes)
    x = rotated(np.concatenate([features_a, features_b]))
    rng = np.random.default_rng(seed)
    score, fold = _out_of_fold(x, y, group, rng)
    found = _auc(score, y, fold)
    null = []
    for _ in range(permutations):
        other = _relabelled(y, group, rng)
        scores, folds = _out_of_fold(x, other, group, rng)
        null.append(_auc(scores, other, folds))
    errors = [_auc_of_groups(score, y, fold, group, rng) for _ in range(RESAMPLES)]
    reached = (1 + np.sum(np.array(null) >= found)) / (1 + permutations)
    low, high = np.quantile(null, [0.025, 0.975]) if permutations else (np.nan, np.nan)
    return Probe(found, float(np.nanstd(errors)), float(low), float(high), float(reached), *sizes)


def control(
    features: Float[np.ndarray, "n f"],
    groups: Shaped[np.ndarray, " n"],
    seed: int = 0,
    size: int | None = None,
    permutations: int = 0,
) -> Probe:
    """The probe of one process against itself: groups are dealt into two halves at random. size:
    objects of each half at most, so that it is as large as the comparison that it stands beside."""
    rng = np.random.default_rng(seed)
    names, group = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    half = rng.permutation(len(names)) % 2
    parts = [rng.permutation(np.flatnonzero(half[group] == k))[:size] for k in (0, 1)]
    one, two = (features[p] for p in parts)
    return probe(one, two, group[parts[0]], group[parts[1]], seed, permutations)


def rotated(features: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n r"]:
    """Standardised features in their principal axes, at most n of them: a ridge regression does
    not see the difference, and many features of few objects take a fraction of the time."""
    x = np.asarray(features, np.float64)
    known = np.isfinite(x)
    middle = np.nanmedian(np.where(known, x, np.nan), axis=0) if known.any(0).all() else 0.0
    x = np.where(known, x, middle)
    x = x - x.mean(0)
    spread = x.std(0)
    x = x[:, spread > 1e-9 * max(float(spread.max(initial=0.0)), 1e-300)]
    x = x / x.std(0)
    if not x.shape[1]:
        return np.zeros((len(x), 1))
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    return u * s


def _out_of_fold(
    x: np.ndarray, y: np.ndarray, group: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Score of every object and the number of its fold. Groups of either label are dealt to the
    folds in turn, in random order."""
    from sklearn.linear_model import LogisticRegression

    label = np.zeros(group.max() + 1, int)
    label[group] = y
    deal = np.zeros(len(label), int)
    for k in (0, 1):
        own = rng.permutation(np.flatnonzero(label == k))
        deal[own] = np.arange(len(own)) % FOLDS
    fold, score = deal[group], np.zeros(len(y))
    for number in range(FOLDS):
        held = fold == number
        model = LogisticRegression(
            C=STRENGTH, class_weight="balanced", solver="liblinear", random_state=0
        )
        score[held] = model.fit(x[~held], y[~held]).decision_function(x[held])
    return score, fold


def _relabelled(y: np.ndarray, group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels dealt to groups anew. A group with both labels keeps one of them at random."""
    first = np.zeros(group.max() + 1, int)
    order = rng.permutation(len(y))
    first[group[order]] = y[order]
    return rng.permutation(first)[group]


def auc(negative: Float[np.ndarray, " n"], positive: Float[np.ndarray, " m"]) -> float:
    """Probability that one of `positive` is above one of `negative`, ties counting half (Hanley &
    McNeil 1982, Radiology 143, 29); NaN without either."""
    if not len(negative) or not len(positive):
        return float("nan")
    ordered = np.sort(negative)
    below, upto = (np.searchsorted(ordered, positive, side) for side in ("left", "right"))
    return float((below + upto).mean() / (2 * len(ordered)))


def _auc(score: np.ndarray, y: np.ndarray, fold: np.ndarray) -> float:
    """Mean over folds: scores of different folds are not on one scale."""
    parts = [(score[fold == k], y[fold == k]) for k in range(FOLDS)]
    found = [value for s, own in parts if (value := auc(s[own == 0], s[own == 1])) == value]
    return float(np.mean(found)) if found else float("nan")


def _auc_of_groups(
    score: np.ndarray, y: np.ndarray, fold: np.ndarray, group: np.ndarray, rng: np.random.Generator
) -> float:
    """The AUC with groups drawn with replacement."""
    groups = int(group.max()) + 1
    count = np.bincount(rng.integers(groups, size=groups), minlength=groups)
    take = np.repeat(np.arange(len(y)), count[group])
    return _auc(score[take], y[take], fold[take])
