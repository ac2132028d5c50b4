"""Everything that a predictions table says of its finders, as tables by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from classifiers.evaluation import calibrators, composition, conformal, diagrams, figures, strata
from classifiers.evaluation.calibrators import Calibrator, Method
from classifiers.evaluation.comparison import compare
from classifiers.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Question:
    """How a table is judged. threshold: the score at which strata are counted. budgets: lengths of
    lists for inspection. minimum: lenses, or others, or expected false positives below which a
    figure is insufficient. resamples: of the bootstrap, whole cells where the table has them."""

    threshold: float = 0.5
    budgets: tuple[int, ...] = ()
    minimum: int = 10
    resamples: int = 10_000
    seed: int = 42


def judged(
    table: Predictions, q: Question, pairs: Sequence[tuple[str, str]] | None = None
) -> dict[str, pd.DataFrame]:
    """Tables of every finder, with its name in the column `finder`: figures, thresholds, roc,
    precision_recall, reliability, strata (where the table has columns) and budgets (where there are
    any); and comparison, with more than one finder, of `pairs` (by default every pair). Raises
    InputError for a budget that the table is too short for, and as `strata.grouped` does."""
    found: dict[str, list[pd.DataFrame]] = {}
    y, sure = table.label, (q.minimum, q.resamples, q.seed)
    for finder, score in table.scores.items():
        own = figures.estimated(y, score, *sure, table.cell)
        own |= figures.before(y, score, q.minimum, table.cell)
        (at,) = figures.at_thresholds(y, score, (q.threshold,), q.minimum, table.cell).values()
        tables = {
            "figures": _rows(own),
            "thresholds": _rows(at).assign(threshold=q.threshold),
            "roc": diagrams.roc(y, score, q.minimum),
            "precision_recall": diagrams.precision_recall(y, score, q.minimum),
            "reliability": diagrams.reliability(y, score, q.minimum),
        }
        if q.budgets:
            tables["budgets"] = composition.at_budgets(y, score, q.budgets, *sure, table.cell)
        for name, part in tables.items():
            found.setdefault(name, []).append(part.assign(finder=finder))
    if table.columns:
        found["strata"] = [broken_down(table, q)]
    chosen = [*combinations(table.scores, 2)] if pairs is None else pairs
    if chosen:
        found["comparison"] = [compared(table, q, chosen)]
    return {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}


def broken_down(table: Predictions, q: Question) -> pd.DataFrame:
    """`strata.broken_down` of every finder by the table's columns. Raises InputError as
    `strata.grouped` does."""
    columns = {name: strata.grouped(name, values) for name, values in table.columns.items()}
    sure = (q.minimum, q.resamples, q.seed)
    parts = [
        strata.broken_down(table.label, score, columns, q.threshold, *sure, table.cell).assign(
            finder=finder
        )
        for finder, score in table.scores.items()
    ]
    return pd.concat(parts, ignore_index=True)


def compared(table: Predictions, q: Question, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """`comparison.compare` of every pair, with the finders in the columns finder and other; q_value
    is Benjamini & Hochberg's over every test of every pair."""
    parts = []
    for first, second in pairs:
        part = compare(table, first, second, q.minimum, q.resamples, q.seed, q.threshold)
        parts.append(part.assign(finder=first, other=second))
    found = pd.concat(parts, ignore_index=True)
    return found.assign(q_value=figures.q_values(found["p_value"].to_numpy(np.float64)))


def calibrated(
    validation: Predictions, test: Predictions, method: Method, q: Question, survey: float | None
) -> tuple[dict[str, Calibrator], dict[str, pd.DataFrame]]:
    """Maps fitted to the validation objects, by finder; and tables: calibration (figures of the
    test objects before and after), calibrated_reliability, and calibrated (id, label, and for every
    finder its score, probability and, where the survey's share of lenses is given, the probability
    there). Raises InputError as `calibrators.before_and_after` and `prior_shift` do."""
    maps: dict[str, Calibrator] = {}
    parts, bins, columns = [], [], {"id": test.id, "label": test.label}
    for finder, score in test.scores.items():
        maps[finder], figure = calibrators.before_and_after(
            validation, test, finder, method, q.minimum, q.resamples, q.seed
        )
        parts.append(figure.assign(finder=finder))
        probability = maps[finder](test.logits[finder])
        for when, p in (("before", score), ("after", probability)):
            curve = diagrams.reliability(test.label, p, q.minimum)
            bins.append(curve.assign(when=when, finder=finder))
        columns |= {finder: score, f"{finder}_probability": probability}
        if survey is not None:
            sample = float(validation.label.mean())
            columns[f"{finder}_in_survey"] = calibrators.prior_shift(probability, sample, survey)
    tables = {"calibration": parts, "calibrated_reliability": bins}
    joined = {name: pd.concat(of, ignore_index=True) for name, of in tables.items()}
    return maps, {**joined, "calibrated": pd.DataFrame(columns)}


def conformal_tables(
    validation: Predictions,
    test: Predictions,
    q: Question,
    coverage: float | None,
    discovery: float | None,
) -> dict[str, pd.DataFrame]:
    """Tables of every finder: conformal (the test objects) and conformal_sets (how they fared).
    Raises InputError as `conformal.judged` does."""
    found: dict[str, list[pd.DataFrame]] = {"conformal": [], "conformal_sets": []}
    for finder in test.scores:
        both = conformal.judged(validation, test, finder, coverage, discovery, q.minimum)
        for name, part in zip(found, both):
            found[name].append(part.assign(finder=finder))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}


def listed(
    table: Predictions, kind: str, scenarios: pd.DataFrame, objects: float, q: Question
) -> dict[str, pd.DataFrame]:
    """Tables of what lists of the scenarios' surveys hold, of every finder: lists and composition.
    kind: the column with the kind of the objects that are no lenses. Raises InputError as
    `composition.of_top` does."""
    found: dict[str, list[pd.DataFrame]] = {"lists": [], "composition": []}
    for finder, score in table.scores.items():
        both = composition.of_top(
            table.label,
            score,
            table.columns[kind],
            scenarios,
            objects,
            q.budgets,
            q.minimum,
            q.resamples,
            q.seed,
            table.cell,
        )
        for name, part in zip(found, both):
            found[name].append(part.assign(finder=finder))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}


def _rows(found: dict[str, figures.Figure]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = [{"metric": name, **f} for name, f in found.items()]
    return pd.DataFrame(rows)


def lines(figure: pd.DataFrame) -> list[str]:
    """A line of words for every row of `figures` or of a comparison."""
    said = []
    for row in figure.to_dict("records"):
        name = row["finder"] if "other" not in row else f"{row['other']} minus {row['finder']}"
        value = row.get("difference", row.get("value"))
        if row["status"] != "ok":
            said.append(f"{name}: {row['metric']} {row['status']}")
            continue
        p = row.get("p_value")
        known = p is not None and np.isfinite(p)
        said.append(
            f"{name}: {row['metric']} {value:.4f} (95 %: {row['lo95']:.4f} to {row['hi95']:.4f})"
            + (f", p = {p:.2g}, q = {row['q_value']:.2g}" if known else "")
        )
    return said
