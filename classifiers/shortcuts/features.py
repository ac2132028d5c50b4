"""Numbers that should say little about being a lens, judged one by one.

A finder trained on lenses whose stamps are brighter, noisier or deeper than the others learns that.
Each number is ranked by itself: its AUC, in whichever direction it is above one half, with a
bootstrap. Datalab and Geirhos et al.'s tests look for correlations of labels with image statistics
in the same way; here flags follow the lower end of an interval, so that a small sample raises none.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from classifiers.evaluation import bootstrap, figures, metrics

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
        y = label[known].astype(np.int64)
        why = figures.lacking(minimum, int(y.sum()), int((1 - y).sum()))
        cells = None if blocks is None else blocks[known]
        why = figures.few_cells(cells) if why == "ok" else why
        if why != "ok":
            rows.append({**row, **figures.nothing(why), "flag": "none"})
            continue
        x = value[known]
        higher = float(metrics.roc_auc(metrics.curve(y, x))) >= 0.5
        sample = metrics.Sample.of(y, x if higher else -x)
        functions: dict[str, bootstrap.Metric] = {"auc": lambda d: metrics.roc_auc(d.curve)}
        area = float(functions["auc"](bootstrap.Draws.of(sample)))
        ends = bootstrap.interval(
            bootstrap.replicates(functions, sample, resamples, seed, cells)["auc"]
        )
        low = ends["lo68"] or 0.0
        flag = "red" if low > RED else "yellow" if low > YELLOW else "none"
        is_ = "higher" if higher else "lower"
        rows.append({**row, "value": area, "lens_is": is_, **ends, "flag": flag, "status": "ok"})
    return pd.DataFrame(rows).sort_values("value", ascending=False, ignore_index=True)


def ratio(label: Int[np.ndarray, " n"], core: Float[np.ndarray, " n"]) -> float:
    """Median core brightness of the lenses over that of the others; NaN where one has none, or the
    others' is not positive."""
    known = np.isfinite(core)
    parts = [core[known & (label == of)] for of in (1, 0)]
    if not all(map(len, parts)) or np.median(parts[1]) <= 0:
        return float("nan")
    return float(np.median(parts[0]) / np.median(parts[1]))
