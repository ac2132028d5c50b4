"""How well graders agree beyond chance: Cohen's kappa of two, Fleiss' kappa of several.

Both compare the observed with the expected share of objects on which graders agree: 1 is perfect
agreement, 0 what chance gives. Intervals are percentiles of a bootstrap over objects. A kappa is
NaN where too few objects have been graded, or where graders gave one grade only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float, Int

from classifiers.inspection.store import GRADES

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 2000
MINIMUM = 10
"""objects below which a figure is called insufficient, and an agreement is not given"""
Weights = Literal["none", "linear", "quadratic"]


def cohen(table: Float[np.ndarray, "*n k k"], weights: Weights = "none") -> Float[np.ndarray, "*n"]:
    """Kappa of two graders from the numbers of objects by the grade of the first and of the second
    (Cohen 1960, Educational and Psychological Measurement 20, 37); with weights, disagreement by
    several grades counts more (Cohen 1968, Psychological Bulletin 70, 213). NaN where both gave one
    and the same grade to all."""
    table = np.asarray(table, np.float64)
    apart = np.abs(np.subtract.outer(*2 * [np.arange(table.shape[-1])])).astype(np.float64)
    cost = {"none": (apart > 0) * 1.0, "linear": apart, "quadratic": apart**2}[weights]
    total = table.sum((-2, -1), keepdims=True)
    expected = table.sum(-1, keepdims=True) * table.sum(-2, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = (cost * expected / total**2).sum((-2, -1))
        observed = (cost * table / total).sum((-2, -1))
        return np.where(expected > 0, 1 - observed / expected, np.nan)


def fleiss(
    counts: Int[np.ndarray, "n k"], times: Float[np.ndarray, "*m n"] | None = None
) -> Float[np.ndarray, "*m"]:
    """Kappa of several graders from how many gave each object each grade, the same number of
    graders for every object (Fleiss 1971, Psychological Bulletin 76, 378). times: how often each
    object counts. NaN where only one grade was given, or fewer than two graders graded."""
    counts = np.asarray(counts, np.float64)
    times = np.ones(len(counts)) if times is None else np.asarray(times, np.float64)
    m = counts.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        agreeing = (counts * (counts - 1)).sum(-1) / (m * (m - 1))
        number = times.sum(-1)
        share = times @ (counts / m[:, None]) / number[..., None]
        expected = (share**2).sum(-1)
        return np.where(
            expected < 1, (times @ agreeing / number - expected) / (1 - expected), np.nan
        )


def table(grades: pd.DataFrame, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """A line for every two graders, with Cohen's kappa, and with linear weights, and one for all
    who graded, with Fleiss' kappa over the objects that all of them graded.

    grades: of `Store.grades`. Columns: measure, graders, objects, kappa, lower, upper, status.
    """
    import pandas as pd

    wide = grades.pivot(index="number", columns="grader", values="grade")
    codes = wide.apply(lambda c: c.map({g: i for i, g in enumerate(GRADES)})).to_numpy(np.float64)
    rng = np.random.default_rng(seed)
    lines = []
    names = [str(c) for c in wide.columns]
    for i, j in combinations(range(len(names)), 2):
        both = codes[:, [i, j]][np.isfinite(codes[:, [i, j]]).all(1)].astype(int)
        cells = np.zeros((len(GRADES), len(GRADES)))
        np.add.at(cells, tuple(both.T), 1)
        drawn = _drawn(cells.ravel(), rng).reshape(-1, *cells.shape)
        kinds: tuple[tuple[str, Weights], ...] = (("Cohen", "none"), ("Cohen, linear", "linear"))
        for measure, weights in kinds:
            found = cohen(cells, weights), cohen(drawn, weights)
            lines.append(_line(measure, [names[i], names[j]], len(both), *found, level))
    if len(names) > 1:
        all_ = codes[np.isfinite(codes).all(1)].astype(int)
        counts = (all_[..., None] == np.arange(len(GRADES))).sum(1)
        kinds_, number = np.unique(counts, axis=0, return_counts=True)
        drawn = _drawn(number.astype(np.float64), rng)
        found = fleiss(kinds_, number), fleiss(kinds_, drawn)
        lines.append(_line("Fleiss", names, len(all_), *found, level))
    columns = ["measure", "graders", "objects", "kappa", "lower", "upper", "status"]
    return pd.DataFrame(lines, columns=columns)


def _drawn(numbers: Float[np.ndarray, " k"], rng: np.random.Generator) -> np.ndarray:
    """Bootstrap resamples (m, k) of objects of k kinds."""
    total = numbers.sum()
    if not total:
        return np.zeros((RESAMPLES, len(numbers)))
    return rng.multinomial(int(total), numbers / total, RESAMPLES).astype(np.float64)


def _line(
    measure: str, names: Sequence[str], n: int, value: np.ndarray, drawn: np.ndarray, level: float
) -> dict[str, object]:
    enough = n >= MINIMUM and bool(np.isfinite(value))
    kept = drawn[np.isfinite(drawn)]
    tail = (1 - level) / 2
    low, high = np.quantile(kept, (tail, 1 - tail)) if enough and len(kept) else (np.nan, np.nan)
    return {
        "measure": measure,
        "graders": ", ".join(names),
        "objects": n,
        "kappa": float(value) if enough else np.nan,
        "lower": float(low),
        "upper": float(high),
        "status": "sufficient" if enough else "insufficient",
    }
