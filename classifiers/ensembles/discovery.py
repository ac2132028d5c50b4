"""What an ensemble finds that no member does, what it loses, and how many lenses a list holds.

Every finder has its own threshold for one false-positive rate, because equal scores of two finders
are not equally rare.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool

from classifiers.evaluation import bootstrap, figures, metrics
from classifiers.evaluation.predictions import Predictions
from classifiers.evaluation.thresholds import insufficient, threshold_at
from lensjax.errors import InputError


def found_at(table: Predictions, rate: float) -> dict[str, Bool[np.ndarray, " n"]]:
    """Which objects every finder has above its own threshold for a false-positive rate."""
    lens = table.label == 1
    return {name: s > threshold_at(s[~lens], rate) for name, s in table.scores.items()}


def discoveries(
    table: Predictions, ensemble: str, members: tuple[str, ...], rate: float, minimum: int = 10
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Found by the ensemble and missed by each member ("gained"), and found by some member and
    missed by the ensemble ("lost"), at a false-positive rate.

    First table: of (lenses, others), set (gained, lost), number, and value with lo68 ... hi95: its
    share of the lenses or others; status. Second: a row for each object of the sets, lenses first
    and the ensemble's highest scores first: id, label, set, the scores. Nothing is listed, and the
    status says why, where the others are too few for the rate.
    """
    lens = table.label == 1
    why = insufficient(rate, int((~lens).sum()), np.inf, minimum, "others")
    if why:
        rows = [
            {"of": of, "set": name, "number": None, **figures.nothing(why)}
            for of in ("lenses", "others")
            for name in ("gained", "lost")
        ]
        return pd.DataFrame(rows), pd.DataFrame(columns=["id", "label", "set", *table.scores])
    above = found_at(table, rate)
    some_member = np.any([above[name] for name in members], axis=0)
    sets = {"gained": above[ensemble] & ~some_member, "lost": ~above[ensemble] & some_member}
    rows, parts = [], []
    for of, inside in (("lenses", lens), ("others", ~lens)):
        for name, own in sets.items():
            share = figures.share(own, inside, minimum, of, table.cell)
            rows.append({"of": of, "set": name, "number": int((own & inside).sum()), **share})
    for name, own in sets.items():
        part = pd.DataFrame({"id": table.id[own], "label": table.label[own], "set": name})
        parts.append(part.assign(**{n: s[own] for n, s in table.scores.items()}))
    listed = pd.concat(parts).sort_values(
        ["set", "label", ensemble], ascending=[True, False, False]
    )
    return pd.DataFrame(rows), listed.reset_index(drop=True)


def yields(
    table: Predictions,
    baseline: str,
    budgets: tuple[int, ...],
    minimum: int = 10,
    resamples: int = 10_000,
    seed: int = 42,
) -> pd.DataFrame:
    """Lenses among the first K objects of every finder's list, and how many more than in that of
    the baseline: finder, budget, lenses with lo68 ... hi95, more, more_lo95, more_hi95, status.

    All finders are resampled with the same objects, or whole cells, so that `more` has a paired
    interval. Equal scores at the end of a list are shared out. Raises InputError for budgets that
    are not from 1 to the number of objects.
    """
    n = len(table)
    if wrong := [k for k in budgets if not 1 <= k <= n]:
        raise InputError(f"budgets are {wrong}; the table has {n} objects, so 1 to {n} fit")
    names = [baseline, *(name for name in table.scores if name != baseline)]
    samples = [metrics.Sample.of(table.label, table.scores[name]) for name in names]
    lists = lambda drawn: np.stack(
        [[k * metrics.purity(d.curve, k / n) for k in budgets] for d in drawn]
    )
    itself = lists([bootstrap.Draws.of(s) for s in samples])
    drawn = [lists(d) for d in bootstrap.draws(samples, resamples, seed, table.cell)]
    spread, rows = np.concatenate(drawn, axis=-1), []
    for i, name in enumerate(names):
        for j, k in enumerate(budgets):
            row = {"finder": name, "budget": k, "lenses": itself[i, j]}
            row["more"] = itself[i, j] - itself[0, j]
            row |= dict.fromkeys((*figures.BOUNDS, "more_lo95", "more_hi95"))
            why = figures.reason(figures.few(k, minimum), figures.few_cells(table.cell))
            if why == "ok":
                more = bootstrap.interval(spread[i, j] - spread[0, j])
                row |= bootstrap.interval(spread[i, j])
                row |= {"more_lo95": more["lo95"], "more_hi95": more["hi95"]}
            rows.append({**row, "status": why})
    return pd.DataFrame(rows)
