"""Two finders on the same objects: is one better, or did it only have the luckier sample?

What both find alike cancels in the difference, so intervals are of the difference itself, over
resamples that draw the same objects for both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from classifiers.audit.paired import compared
from classifiers.evaluation import bootstrap, figures, metrics
from classifiers.evaluation.predictions import Predictions
from classifiers.evaluation.thresholds import insufficient, threshold_at
from lensjax.errors import InputError, some


class DeLong(NamedTuple):
    """AUCs of two finders, the standard error of the second minus the first, and the two-sided
    p-value of no difference."""

    first: float
    second: float
    error: float
    p: float


def delong(
    label: Int[np.ndarray, " n"], first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]
) -> DeLong:
    """The test of DeLong, DeLong & Clarke-Pearson (1988, Biometrics 44, 837), by ranks (Sun & Xu
    2014, IEEE Signal Processing Letters 21, 1389); ties count half.

    label: at least two lenses and two others. Objects count as independent: where neighbours are
    alike, the interval over cells is what counts. p is 1 where the finders rank alike, and 0 where
    the difference has no error.
    """
    from scipy.stats import norm, rankdata

    lens = np.asarray(label) == 1
    m, n = int(lens.sum()), int((~lens).sum())
    above, below = [], []
    for score in (np.asarray(first, np.float64), np.asarray(second, np.float64)):
        ranks = rankdata(score)
        # the share of others below each lens, and of lenses above each other object
        above.append((ranks[lens] - rankdata(score[lens])) / n)
        below.append(1 - (ranks[~lens] - rankdata(score[~lens])) / m)
    areas = [float(v.mean()) for v in above]
    variance = np.var(above[1] - above[0], ddof=1) / m + np.var(below[1] - below[0], ddof=1) / n
    error, difference = float(np.sqrt(variance)), areas[1] - areas[0]
    if error < 1e-14:
        return DeLong(areas[0], areas[1], 0.0, 1.0 if abs(difference) < 1e-12 else 0.0)
    p = float(2 * norm.sf(abs(difference) / error))
    return DeLong(areas[0], areas[1], error, p)


def compare(
    table: Predictions,
    first: str,
    second: str,
    rates: tuple[float, ...] = (0.01, 0.001),
    minimum: int = 10,
    resamples: int = 10_000,
    seed: int = 42,
) -> pd.DataFrame:
    """A row for every metric of two finders: metric, first, second, difference (second minus
    first), lo68 ... hi95, p_value, q_value, status.

    The metrics of `figures.ranking` have intervals over resamples of objects, or of whole cells
    where the table has them; the AUC has DeLong's p. Rows `lenses_found_at_fpr_...` have each
    finder at its own threshold for a false-positive rate, with the exact McNemar test of the lenses
    that only one of them finds (`gained` by the second, `lost`) and an interval over objects or
    cells; the thresholds are taken as known. q_value is Benjamini & Hochberg's over the rows with a
    p_value. p-values take objects as independent. Raises InputError for finders that the table does
    not have.
    """
    if wrong := [name for name in (first, second) if name not in table.scores]:
        raise InputError(f"no finder {some(wrong)} in the table; there are {some([*table.scores])}")
    label, a, b = table.label, table.scores[first], table.scores[second]
    lenses, others = int(label.sum()), int((1 - label).sum())
    status = figures.reason(figures.lacking(minimum, lenses, others), figures.few_cells(table.cell))
    nothing = {"first": None, "second": None, "difference": None, "p_value": None}
    empty = lambda why: {**nothing, **dict.fromkeys(figures.BOUNDS), "status": why}
    short = {
        rate: status if status != "ok" else insufficient(rate, others, np.inf, minimum, "others")
        for rate in {*rates, *figures.RATES.values()}
    }
    rows = []
    samples = [metrics.Sample.of(label, s) for s in (a, b)]
    functions = [figures.ranking(sample) for sample in samples]
    spread: dict[str, list[np.ndarray]] = {name: [] for name in figures.NAMES}
    if status == "ok":
        for one, two in bootstrap.draws(samples, resamples, seed, table.cell):
            for name in spread:
                spread[name].append(functions[1][name](two) - functions[0][name](one))
    for name in figures.NAMES:
        why = short[figures.RATES[name]] if name in figures.RATES else status
        if why not in ("", "ok"):
            rows.append({"metric": name, **empty(why)})
            continue
        x, y = (float(functions[i][name](bootstrap.Draws.of(samples[i]))) for i in (0, 1))
        p = delong(label, a, b).p if name == "roc_auc" else None
        ends = bootstrap.interval(np.concatenate(spread[name]))
        row = {"metric": name, "first": x, "second": y, "difference": y - x}
        rows.append({**row, **ends, "p_value": p, "status": "ok"})
    for rate in rates:
        why = short[rate]
        name = f"lenses_found_at_fpr_{rate:g}"
        rows.append({"metric": name, **(empty(why) if why else _found(table, a, b, rate))})
    found = pd.DataFrame(rows)
    found["q_value"] = figures.q_values(found["p_value"].to_numpy(np.float64))
    return found


def _found(
    table: Predictions, a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"], rate: float
) -> dict[str, object]:
    """McNemar's test and the interval of the difference among the lenses."""
    lens = table.label == 1
    passed = [s[lens] > threshold_at(s[~lens], rate) for s in (a, b)]
    group = np.arange(int(lens.sum())) if table.cell is None else table.cell[lens]
    change = compared(passed[0], passed[1], np.ones(len(group)), group)
    row = {"first": change.before, "second": change.after, "difference": change.change}
    row |= {"lo95": change.low, "hi95": change.high, "p_value": change.p}
    return {**row, "gained": change.gained, "lost": change.lost, "status": "ok"}
