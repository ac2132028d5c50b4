"""How much the members of an ensemble differ, and whether that tells where they are wrong."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from classifiers.evaluation import figures, metrics
from classifiers.evaluation.predictions import Predictions

NEAR = 0.1
"""Distance from the threshold up to which a score is near it."""
PARTS = 5
"""Equal parts of the objects, by the spread of the members."""


def correlations(table: Predictions, minimum: int = 10) -> pd.DataFrame:
    """A row for every pair of finders and all objects, lenses and others: first, second, of, n,
    pearson (of logits), spearman (of ranks), status. NaN, with the reason, where a finder gives all
    the same score."""
    from scipy.stats import pearsonr, spearmanr

    rows = []
    for first, second in combinations(table.logits, 2):
        for name, inside in _classes(table).items():
            a, b = table.logits[first][inside], table.logits[second][inside]
            row = {"first": first, "second": second, "of": name, "n": len(a)}
            why = figures.few(len(a), minimum)
            if why == "ok" and (np.ptp(a) == 0 or np.ptp(b) == 0):
                why = "undefined: a finder gives all the same score"
            if why == "ok":
                row |= {"pearson": pearsonr(a, b)[0], "spearman": spearmanr(a, b)[0]}
            rows.append({**row, "status": why})
    columns = ["first", "second", "of", "n", "pearson", "spearman", "status"]
    return pd.DataFrame(rows, columns=columns)


def disagreements(table: Predictions, threshold: float, minimum: int = 10) -> pd.DataFrame:
    """A row for every pair of finders and all objects, lenses, others, objects near the threshold
    (the mean of the two within 0.1), and kinds of objects in the table's columns: first, second,
    of, n, only_first and only_second (objects that one finder alone puts above the threshold),
    and value with lo68 ... hi95 and status: the share of objects on which they disagree."""
    rows = []
    for first, second in combinations(table.scores, 2):
        a, b = table.scores[first], table.scores[second]
        above, other = a > threshold, b > threshold
        parts = _classes(table) | {"near the threshold": np.abs((a + b) / 2 - threshold) <= NEAR}
        for column, values in table.columns.items():
            parts |= {f"{column} = {v}": values == v for v in np.unique(values)[:30]}
        for name, inside in parts.items():
            n = int(inside.sum())
            alone = [int((x & ~y & inside).sum()) for x, y in ((above, other), (other, above))]
            share = figures.share(above != other, inside, minimum, "objects", table.cell)
            row = {"first": first, "second": second, "of": name, "n": n}
            rows.append({**row, "only_first": alone[0], "only_second": alone[1], **share})
    return pd.DataFrame(rows)


def spread(table: Predictions) -> Float[np.ndarray, " n"]:
    """Standard deviation of the members' probabilities for each object (n - 1 in the denominator):
    the part of the uncertainty that is the finders' own (Lakshminarayanan et al. 2017, arXiv
    1612.01474, section 2.4, has it for regression)."""
    return np.std([*table.scores.values()], axis=0, ddof=1)


def uncertainty(
    table: Predictions, combined: Float[np.ndarray, " n"], threshold: float, minimum: int = 10
) -> pd.DataFrame:
    """Whether the spread tells where the ensemble is wrong: a row for each fifth of the objects by
    spread (equal spreads in one part), and one, "auc", with the probability that a wrong object has
    a larger spread than a right one. Columns: part, n, low, high (spread), value, lo68 ... hi95
    (share of wrong objects, or the AUC), status."""
    own = spread(table)
    wrong = (combined > threshold) != (table.label == 1)
    edges = np.unique(np.quantile(own, np.linspace(0, 1, PARTS + 1)))
    place = np.clip(np.searchsorted(edges, own, side="right") - 1, 0, max(len(edges) - 2, 0))
    rows = []
    for i in np.unique(place):
        inside = place == i
        share = figures.share(wrong, inside, minimum, "objects", table.cell)
        low, high = float(own[inside].min()), float(own[inside].max())
        rows.append({"part": str(i + 1), "n": int(inside.sum()), "low": low, "high": high, **share})
    fewest, what = min((int(wrong.sum()), "wrong objects"), (int((~wrong).sum()), "right objects"))
    row = {"part": "auc", "n": len(own), "low": float(own.min()), "high": float(own.max())}
    if (why := figures.few(fewest, minimum, what)) != "ok":
        rows.append({**row, **figures.nothing(why)})
    else:
        area = float(metrics.roc_auc(metrics.curve(wrong.astype(int), own)))
        rows.append({**row, "value": area, "status": "ok"})
    return pd.DataFrame(rows)


def _classes(table: Predictions) -> dict[str, Bool[np.ndarray, " n"]]:
    lens = table.label == 1
    return {"all": np.ones(len(lens), bool), "lenses": lens, "others": ~lens}
