"""Two finders on the same objects: is one better, or did it only have the luckier sample?

What both find alike cancels in the difference, so intervals are of the difference itself, over
resamples that draw the same objects for both.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from classifiers.audit.paired import compared
from classifiers.evaluation import bootstrap, figures, metrics
from classifiers.evaluation.predictions import Predictions
from classifiers.evaluation.thresholds import insufficient
from lensjax.errors import InputError, some

SHARES = {"recall": 1, "false_positive_rate": 0}
"""Shares above a threshold, and the label of the objects that they are of."""
NUMBERS = ("first", "second", "difference", *figures.BOUNDS, "p_value", "gained", "lost")
"""Columns of `compare` that have no value where the status is not ok."""


class DeLong(NamedTuple):
    """AUCs of two finders, the standard error of the second minus the first, and the two-sided
    p-value of no difference."""

    first: float
    second: float
    error: float
    p: float


def delong(
    label: Int[np.ndarray, " n"],
    first: Float[np.ndarray, " n"],
    second: Float[np.ndarray, " n"],
    cell: Shaped[np.ndarray, " n"] | None = None,
) -> DeLong:
    """The test of DeLong, DeLong & Clarke-Pearson (1988, Biometrics 44, 837), by ranks (Sun & Xu
    2014, IEEE Signal Processing Letters 21, 1389); ties count half.

    label: at least two lenses and two others. cell: of each object; the variance is then that of
    sums over cells (Obuchowski 1997, Biometrics 53, 567), and p is Student's with one degree of
    freedom fewer than cells. Without, objects count as independent. p is 1 where the finders rank
    alike, and 0 where the difference has no error.
    """
    from scipy.stats import rankdata, t

    lens = np.asarray(label) == 1
    m, n = int(lens.sum()), int((~lens).sum())
    above, below = [], []
    for score in (np.asarray(first, np.float64), np.asarray(second, np.float64)):
        ranks = rankdata(score)
        # the share of others below each lens, and of lenses above each other object
        above.append((ranks[lens] - rankdata(score[lens])) / n)
        below.append(1 - (ranks[~lens] - rankdata(score[~lens])) / m)
    areas = [float(v.mean()) for v in above]
    more, less, freedom = above[1] - above[0], below[1] - below[0], np.inf
    variance = np.var(more, ddof=1) / m + np.var(less, ddof=1) / n
    if cell is not None:
        each = np.empty(m + n)
        each[lens], each[~lens] = (more - more.mean()) / m, (less - less.mean()) / n
        sums = np.bincount(np.unique(cell, return_inverse=True)[1], each)
        freedom = len(sums) - 1.0
        variance = len(sums) / freedom * (sums**2).sum()
    error, difference = float(np.sqrt(variance)), areas[1] - areas[0]
    if error < 1e-14:
        return DeLong(areas[0], areas[1], 0.0, 1.0 if abs(difference) < 1e-12 else 0.0)
    p = float(2 * t.sf(abs(difference) / error, freedom))
    return DeLong(areas[0], areas[1], error, p)


def compare(
    table: Predictions,
    first: str,
    second: str,
    minimum: int = 10,
    resamples: int = 10_000,
    seed: int = 42,
    threshold: float | None = None,
) -> pd.DataFrame:
    """A row for every metric of `figures.ranking`, and for the shares above a threshold that is
    given: metric, first, second, difference (second minus first), lo68 ... hi95, p_value, gained,
    lost, status.

    Intervals are over resamples of objects, or of whole cells where the table has them; the AUC has
    DeLong's p, by objects or cells. At a false-positive rate every finder has its own threshold, in
    the sample and again in every resample, so that the interval knows how badly the thresholds are
    known; `gained` and `lost` count the lenses that only the second or only the first finds there.
    They have no McNemar test: it takes both thresholds as known, and of two finders that are
    equally good it would call one better in 11 to 43 of 100 samples at 5 %. `changed` has it, for
    `threshold`, which was fixed beforehand. Raises InputError for finders that the table does not
    have.
    """
    if wrong := [name for name in (first, second) if name not in table.scores]:
        raise InputError(f"no finder {some(wrong)} in the table; there are {some([*table.scores])}")
    label, a, b = table.label, table.scores[first], table.scores[second]
    lenses, others = int(label.sum()), int((1 - label).sum())
    status = figures.reason(figures.lacking(minimum, lenses, others), figures.few_cells(table.cell))
    short = {
        name: figures.reason(status, insufficient(rate, others, np.inf, minimum, "others") or "ok")
        for name, rate in figures.RATES.items()
    }
    samples = [metrics.Sample.of(label, s) for s in (a, b)]
    functions = [figures.ranking(sample) for sample in samples]
    spread: dict[str, list[np.ndarray]] = {name: [] for name in figures.NAMES}
    if status == "ok":
        for one, two in bootstrap.draws(samples, resamples, seed, table.cell):
            for name in spread:
                spread[name].append(functions[1][name](two) - functions[0][name](one))
    rows = []
    for name in figures.NAMES:
        row = {"metric": name, **dict.fromkeys(NUMBERS), "status": short.get(name, status)}
        if row["status"] == "ok":
            x, y = (float(functions[i][name](bootstrap.Draws.of(samples[i]))) for i in (0, 1))
            row |= {"first": x, "second": y, "difference": y - x}
            row |= bootstrap.interval(np.concatenate(spread[name]))
            if name == "roc_auc":
                row["p_value"] = delong(label, a, b, table.cell).p
            if name in figures.RATES:
                row |= _moved(label, a, b, figures.RATES[name])
        rows.append(row)
    for name, kind in SHARES.items() if threshold is not None else ():
        among = label == kind
        row = {"metric": f"{name}_at_{threshold:g}", **dict.fromkeys(NUMBERS), "status": status}
        if status == "ok":
            row |= changed(a > threshold, b > threshold, among, table.cell)
        rows.append(row)
    return pd.DataFrame(rows).astype(dict.fromkeys(NUMBERS, float))


def changed(
    first: Bool[np.ndarray, " n"],
    second: Bool[np.ndarray, " n"],
    among: Bool[np.ndarray, " n"],
    cell: Shaped[np.ndarray, " n"] | None,
) -> dict[str, Any]:
    """What changes in the share of objects `among` n that pass, where thresholds were fixed
    beforehand: the numbers of a row of `compare`, with an interval by objects or cells, and p of
    the exact McNemar test, which takes objects as independent and is not given with cells."""
    n = int(among.sum())
    group = np.arange(n) if cell is None else cell[among]
    found = compared(first[among], second[among], np.ones(n), group)
    row = {"first": found.before, "second": found.after, "difference": found.change}
    row |= {"lo95": found.low, "hi95": found.high, "gained": found.gained, "lost": found.lost}
    return {**row, "p_value": found.p if cell is None else None}


def _moved(
    label: Int[np.ndarray, " n"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"],
    rate: float,
) -> dict[str, int]:
    """How many lenses only the second, and only the first finder finds at a false-positive rate."""
    lens = np.asarray(label) == 1
    others = int((~lens).sum())
    allowed = int((np.arange(1, others + 1) / others <= rate).sum())
    one, two = (metrics.before(label, s, allowed + 1) & lens for s in (a, b))
    return {"gained": int((two & ~one).sum()), "lost": int((one & ~two).sum())}
