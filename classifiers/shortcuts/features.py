"""Numbers that should say little about being a lens, judged one by one.

A finder trained on lenses whose stamps are brighter, noisier or deeper than the others learns that.
Each number has an AUC of its own, in the direction in which it is above one half, with a bootstrap.
Datalab and Geirhos et al.'s tests look for correlations of labels with image statistics in the same
way; here flags follow the lower end of an interval, so that a small sample raises none.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from classifiers.evaluation import figures, metrics

YELLOW, RED = 0.60, 0.70
"""AUC above which the lower end of the 68 % interval raises a flag."""
RATIO = (0.9, 1.1)
"""Within which the cores of lenses are as bright as those of others."""


def judged(
    label: Int[np.ndarray, " n"],
    values: Mapping[str, Float[np.ndarray, " n"]],
    minimum: int = 10,
    resamples: int = 500,
    seed: int = 42,
    blocks: np.ndarray | None = None,
) -> pd.DataFrame:
    """A row for each number, the most telling first: feature, n (objects that have it), value (its
    AUC, turned round where it is below one half), lens_is (higher or lower), lo68 ... hi95, flag
    (red, yellow or none), status. Objects without the number are left out of its row, and how
    unevenly is said by `missing_lenses` and `missing_others`, their shares."""
    rows = []
    for name, value in values.items():
        known, lens = np.isfinite(value), label == 1
        row = {"feature": name, "n": int(known.sum())}
        for of, inside in (("lenses", lens), ("others", ~lens)):
            row[f"missing_{of}"] = float((~known[inside]).mean())
        y, x = label[known].astype(np.int64), value[known]
        cells = None if blocks is None else blocks[known]
        row["lens_is"] = "higher"
        if 0 < y.sum() < len(y) and metrics.roc_auc(metrics.curve(y, x)) < 0.5:
            row["lens_is"], x = "lower", -x
        own = figures.estimated(y, x, minimum, resamples, seed, cells, ("roc_auc",))["roc_auc"]
        if own["status"] != "ok":
            row["lens_is"] = None
        low = own["lo68"] or 0.0
        flag = "red" if low > RED else "yellow" if low > YELLOW else "none"
        rows.append({**row, **own, "flag": flag})
    return pd.DataFrame(rows).sort_values("value", ascending=False, ignore_index=True)


def ratio(label: Int[np.ndarray, " n"], core: Float[np.ndarray, " n"]) -> float:
    """Median core brightness of the lenses over that of the others; NaN where one has none, or the
    others' is not positive."""
    known = np.isfinite(core)
    parts = [core[known & (label == of)] for of in (1, 0)]
    if not all(map(len, parts)) or np.median(parts[1]) <= 0:
        return float("nan")
    return float(np.median(parts[0]) / np.median(parts[1]))
