"""What a list for inspection will hold: how many lenses among its first K, and what the rest is.

A test table holds as many lenses and confusers as somebody put in. A scenario says which share of a
survey's objects each kind has; every kind's scores are then weighted to its share, and the list is
cut where the survey would have K objects above the threshold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from classifiers.evaluation import bootstrap, figures, metrics
from classifiers.intervals import jeffreys
from lensjax.errors import InputError, some

LENS = "lens"
UNSEEN = 0.1
"""Part of a list that a kind of which it has no example may make up, at 95 %."""


def at_budgets(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    budgets: tuple[int, ...],
    minimum: int = 10,
    resamples: int = 10_000,
    seed: int = 42,
    blocks: np.ndarray | None = None,
) -> pd.DataFrame:
    """Purity of the first K objects of this table as it is: budget, lenses (expected over the order
    of equal scores), purity, lo68 ... hi95, status. A resample is cut at the same share of its
    objects. Raises InputError for a budget that is not from 1 to their number."""
    n = len(label)
    if wrong := [k for k in budgets if not 1 <= k <= n]:
        raise InputError(f"budgets are {wrong}; the table has {n} objects, so 1 to {n} fit")
    sample = metrics.Sample.of(label, score)

    def first(share: float) -> bootstrap.Metric:
        return lambda d: metrics.purity(d.curve, share)

    functions = {str(k): first(k / n) for k in budgets}
    spread = bootstrap.replicates(functions, sample, resamples, seed, blocks)
    itself, rows = bootstrap.Draws.of(sample), []
    for k in budgets:
        value = float(functions[str(k)](itself))
        row: dict[str, Any] = {"budget": k, "lenses": value * k, "purity": value}
        why = figures.reason(figures.few(k, minimum), figures.few_cells(blocks))
        if why != "ok":
            rows.append({**row, "purity": None, **dict.fromkeys(figures.BOUNDS), "status": why})
        else:
            rows.append({**row, **bootstrap.interval(spread[str(k)]), "status": "ok"})
    return pd.DataFrame(rows)


def checked(scenarios: pd.DataFrame, kinds: set[str]) -> pd.DataFrame:
    """Scenarios as a table: scenario, kind, share. Raises InputError for columns that are missing,
    shares that are not numbers from 0 to 1 or do not sum to 1, a kind that is there twice, is no
    kind of the objects, or is missing from a scenario, and a scenario without lenses."""
    if missing := sorted({"scenario", "kind", "share"} - set(scenarios)):
        raise InputError(f"scenarios lack the column {some(missing)}; give scenario, kind, share")
    table = scenarios.astype({"scenario": str, "kind": str})
    share = pd.to_numeric(table["share"], errors="coerce")
    wrong = np.flatnonzero(~((share >= 0) & (share <= 1)))
    if len(wrong):
        raise InputError(f"scenarios: row {wrong[0] + 1} has the share {table['share'][wrong[0]]}")
    for name, own in table.assign(share=share).groupby("scenario", sort=False):
        given = list(own["kind"])
        if len(set(given)) < len(given) or set(given) != kinds:
            raise InputError(
                f"scenario {name!r} has the kinds {some(sorted(given), 20)}; the objects have "
                f"{some(sorted(kinds), 20)}, each of which needs one share (0 is one)"
            )
        if abs(own["share"].sum() - 1) > 1e-6 or not own.loc[own["kind"] == LENS, "share"].sum():
            raise InputError(
                f"scenario {name!r}: the shares sum to {own['share'].sum():g}, of which lenses "
                f"{own.loc[own['kind'] == LENS, 'share'].sum():g}; expected 1, with some lenses"
            )
    return table.assign(share=share)


def of_top(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    kind: Shaped[np.ndarray, " n"],
    scenarios: pd.DataFrame,
    objects: float,
    budgets: tuple[int, ...],
    minimum: int = 10,
    resamples: int = 10_000,
    seed: int = 42,
    blocks: np.ndarray | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Purity of the first K objects of a survey, and what they are.

    kind: of each object that is no lens; lenses are the kind "lens". scenarios: as `checked` wants
    them. objects: of the survey, N. An object of a kind with share s and n examples stands for
    N s / n objects; equal scores that straddle the end are shared out.
    First table: scenario, budget, threshold, seen (examples of non-lenses in the list, of kinds
    that the survey has), recall, purity, lo68 ... hi95, status. Intervals are over resamples, in
    which every kind keeps its share. A purity is insufficient with fewer than `minimum` examples of
    non-lenses behind it, and where a kind without an example in the list may make up a tenth of it.
    Second table: scenario, budget, kind, share, examples, seen, number (expected in the list), lo95
    and hi95 (Jeffreys, for this threshold), fraction, status. Raises InputError as `checked` does,
    and for budgets that are not from 1 to N.
    """
    kind = np.where(np.asarray(label) == 1, LENS, np.asarray(kind, str))
    if (np.asarray(label)[kind == LENS] == 0).any():
        raise InputError(f"objects that are no lenses are of the kind {LENS!r}")
    table = checked(scenarios, set(kind))
    if wrong := [k for k in budgets if not 1 <= k <= objects]:
        raise InputError(f"budgets are {wrong}; the survey has {objects:g} objects")
    sample = metrics.Sample.of(label, score)
    names, number = np.unique(kind[sample.order], return_inverse=True)
    cell = None if blocks is None else np.asarray(blocks)[sample.order]
    lists, parts = [], []
    for scenario, own in table.groupby("scenario", sort=False):
        share = own.set_index("kind")["share"][names].to_numpy(np.float64)
        spread: dict[int, list[np.ndarray]] = {k: [] for k in budgets}
        for counts in bootstrap.resamples(len(number), resamples, seed, cell):
            c = sample.curve(_weights(counts, number, share))
            for k in budgets:
                spread[k].append(metrics.purity(c, k / objects))
        for k in budgets:
            of = {"scenario": scenario, "budget": k}
            inside = _inside(
                sample.score, _weights(np.ones(len(number)), number, share), k / objects
            )
            kinds = _kinds(inside, number, names, share, objects, k, minimum)
            parts.append(kinds.assign(**of))
            row = _list(sample, inside, kinds, np.concatenate(spread[k]), k, minimum)
            if (why := figures.few_cells(blocks)) != "ok" and row["status"] == "ok":
                row |= {"purity": None, **dict.fromkeys(figures.BOUNDS), "status": why}
            lists.append(of | row)
    columns = ["scenario", "budget"]
    composed = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(lists), composed[[*columns, *composed.columns.drop(columns)]]


def _kinds(
    inside: Float[np.ndarray, " n"],
    number: Int[np.ndarray, " n"],
    names: np.ndarray,
    share: Float[np.ndarray, " k"],
    objects: float,
    budget: int,
    minimum: int,
) -> pd.DataFrame:
    """The rows of one list's second table, a kind each."""
    seen, examples = np.bincount(number, inside, len(names)), np.bincount(number)
    low, high = jeffreys(np.minimum(seen, examples), examples, 0.95)
    enough = examples >= minimum
    expected = np.where(enough, objects * share * seen / examples, np.nan)
    why = [f"insufficient: {n} examples, at least {minimum} needed" for n in examples]
    return pd.DataFrame(
        {
            "kind": names,
            "share": share,
            "examples": examples,
            "seen": seen,
            "number": expected,
            "lo95": objects * share * low,
            "hi95": objects * share * high,
            "fraction": expected / budget,
            "status": np.where(enough, "ok", why),
        }
    )


def _list(
    sample: metrics.Sample,
    inside: Float[np.ndarray, " n"],
    kinds: pd.DataFrame,
    spread: Float[np.ndarray, " r"],
    budget: int,
    minimum: int,
) -> dict[str, Any]:
    """The row of one list's first table."""
    rest = kinds[(kinds["kind"] != LENS) & (kinds["share"] > 0)]
    lenses = kinds.loc[kinds["kind"] == LENS].iloc[0]
    seen = float(rest["seen"].sum())
    hidden = rest[(rest["seen"] < 1) & (rest["hi95"] > UNSEEN * budget)]
    status = "ok"
    if lenses["status"] != "ok":
        status = f"insufficient: {lenses['examples']} lenses, at least {minimum} needed"
    elif seen < minimum:
        status = f"insufficient: {seen:.3g} examples of non-lenses in the list, at least "
        status += f"{minimum} needed"
    elif len(hidden):
        said = some([f"{k} (up to {h:.3g})" for k, h in zip(hidden["kind"], hidden["hi95"])])
        status = f"insufficient: no example is in the list of {said}"
    row: dict[str, Any] = {
        "threshold": float(sample.score[np.flatnonzero(inside > 0)[-1]]),
        "seen": seen,
        "recall": float(inside[sample.label == 1].mean()),
    }
    if status != "ok":
        return row | {"purity": None, **dict.fromkeys(figures.BOUNDS), "status": status}
    purity = float(lenses["number"]) / budget
    return row | {"purity": purity, **bootstrap.interval(spread), "status": "ok"}


def _weights(
    counts: Float[np.ndarray, "*r n"], number: Int[np.ndarray, " n"], share: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "*r n"]:
    """Weights by which every kind has its share, whatever the resample has of it; a kind that the
    resample lost has none."""
    have = counts @ (number[:, None] == np.arange(len(share))).astype(np.float64)
    return counts * (share / np.where(have > 0, have, 1))[..., number]


def _inside(
    score: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"], share: float
) -> Float[np.ndarray, " n"]:
    """How much of each object lies in the highest `share` of the weight: 1, 0, or in between for
    the equal scores at the end, and for objects without weight 1 above the end and 0 below it.
    score: highest first."""
    run = np.cumsum(np.append(0, np.diff(score) != 0))
    each = np.bincount(run, weight)
    before = np.cumsum(each) - each
    left = share * weight.sum() - before
    part = np.where(each > 0, left / np.where(each > 0, each, 1), left > 0)
    return np.clip(part, 0, 1)[run]
