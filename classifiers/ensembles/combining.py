"""Everything that is said of an ensemble, as tables by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Int

from classifiers.ensembles import discovery, diversity, folds, selective, stacking
from classifiers.evaluation import judging
from classifiers.evaluation.predictions import Predictions, logit
from lensjax.errors import InputError, some

AVERAGE, STACKED = "average", "stacked"
COMBINED = (AVERAGE, STACKED)


@dataclass(frozen=True)
class Question:
    """How an ensemble is made and judged.

    conditions: columns of numbers that the meta-learner sees beside the scores. primary: the one
    metric by which it is said to be better than the average or not. The metrics are
    `figures.NAMES`; whoever chooses one of eleven afterwards finds one that is better by chance.
    rate: false-positive rate of the discovery set. threshold, budgets, minimum, resamples, seed: as
    in `judging.Question`.
    """

    conditions: tuple[str, ...] = ()
    folds: int = folds.FOLDS
    primary: str = "average_precision"
    rate: float = 1e-3
    threshold: float = 0.5
    budgets: tuple[int, ...] = ()
    minimum: int = 10
    resamples: int = 10_000
    seed: int = 42


def scored(
    table: Predictions, group: Int[np.ndarray, " n"], q: Question
) -> tuple[Predictions, Int[np.ndarray, " n"]]:
    """The table with two more finders, `average` and `stacked` (out of fold), and the fold of each
    object. group: objects of one group are in one fold. Raises InputError with fewer than two
    finders, for finders of these names, and as `folds.of_groups` and `stacking` do."""
    if len(table.scores) < 2:
        raise InputError(
            f"an ensemble needs two finders at least; there is {some([*table.scores])}"
        )
    if taken := sorted(set(COMBINED) & set(table.scores)):
        raise InputError(f"a finder is called {some(taken)}; give it another name")
    fold = folds.of_groups(group, q.folds, q.seed)
    x = stacking.inputs(table, q.conditions)
    both = {
        AVERAGE: stacking.average(table),
        STACKED: stacking.out_of_fold(table.label, x, fold, q.seed),
    }
    logits = {name: logit(score) for name, score in both.items()}
    whole = replace(table, scores={**table.scores, **both}, logits={**table.logits, **logits})
    return whole, fold


def tables(whole: Predictions, q: Question) -> dict[str, pd.DataFrame]:
    """Tables from what `scored` returned: those of `judging.judged` for every finder, with the
    yield at the budgets in place of their purity; comparison (every member with the average, and
    the average with the meta-learner, paired); correlation, disagreement, uncertainty; selective
    and selective_area (by distance from the threshold, and by the spread of the members); discovery
    and discovered. Bootstraps take the fits as they are: they say how much another sample of
    objects would change the figures, not how much another fit would."""
    own = _members(whole)
    members = tuple(own.scores)
    asked = judging.Question(q.threshold, (), q.minimum, q.resamples, q.seed)
    pairs = [(name, AVERAGE) for name in members] + [(AVERAGE, STACKED)]
    found = judging.judged(whole.keeping(()), asked, pairs)
    found["correlation"] = diversity.correlations(own, q.minimum)
    found["disagreement"] = diversity.disagreements(own, q.threshold, q.minimum)
    curves, areas, sure = [], [], []
    for name in COMBINED:
        score = whole.scores[name]
        wrong = (score > q.threshold) != (whole.label == 1)
        sure.append(diversity.uncertainty(own, score, q.threshold, q.minimum).assign(finder=name))
        ways = {"margin": selective.margin(score, q.threshold), "spread": -diversity.spread(own)}
        for way, confidence in ways.items():
            curve = selective.table(whole.label, score, confidence, q.threshold, q.minimum)
            curves.append(curve.assign(finder=name, by=way))
            areas.append({"finder": name, "by": way, **selective.area(wrong, confidence)})
    found["uncertainty"] = pd.concat(sure, ignore_index=True)
    found["selective"] = pd.concat(curves, ignore_index=True)
    found["selective_area"] = pd.DataFrame(areas)
    sets, listed = [], []
    for name in COMBINED:
        both = discovery.discoveries(whole, name, members, q.rate, q.minimum)
        sets.append(both[0].assign(finder=name, rate=q.rate))
        listed.append(both[1].assign(finder=name))
    found["discovery"] = pd.concat(sets, ignore_index=True)
    # A part without rows has columns of no type, which would make numbers of the others texts.
    full = [part for part in listed if len(part)] or listed[:1]
    found["discovered"] = pd.concat(full, ignore_index=True)
    if q.budgets:
        sure_of = (q.minimum, q.resamples, q.seed)
        found["yields"] = discovery.yields(whole, AVERAGE, q.budgets, *sure_of)
    return found


def _members(whole: Predictions) -> Predictions:
    """The table without the finders that `scored` added."""
    names = [name for name in whole.scores if name not in COMBINED]
    return replace(
        whole,
        scores={name: whole.scores[name] for name in names},
        logits={name: whole.logits[name] for name in names},
    )


def verdict(compared: pd.DataFrame, primary: str) -> str:
    """In words, whether the meta-learner beats the average: by the 95 % interval of the paired
    difference in the primary metric. Raises InputError for a metric that was not compared."""
    own = compared[(compared["finder"] == AVERAGE) & (compared["other"] == STACKED)]
    own = own[own["metric"] == primary]
    if not len(own):
        known = some(list(dict.fromkeys(compared["metric"])), 12)
        raise InputError(f"primary is {primary!r}; metrics are {known}")
    row = own.iloc[0]
    if row["status"] != "ok":
        return f"whether stacking beats averaging is not known: {primary} {row['status']}"
    sign = -1 if primary in LOWER else 1
    low, high = sorted((sign * row["lo95"], sign * row["hi95"]))
    if low > 0:
        said = "stacking beats averaging"
    elif high < 0:
        said = "stacking is worse than averaging"
    else:
        said = "no difference between stacking and averaging is seen; the average needs no fit"
    ends = f"{row['lo95']:+.4f} to {row['hi95']:+.4f}"
    return f"{said}: {primary} {row['difference']:+.4f} (95 %: {ends})"


LOWER = ("ece", "mce", "brier", "log_loss")
"""Metrics of which less is better."""


def ranked(whole: Predictions, fold: Int[np.ndarray, " n"]) -> pd.DataFrame:
    """A row for every object: id, label, fold, the scores, and the spread of the members; the
    meta-learner's highest first."""
    table = pd.DataFrame({"id": whole.id, "label": whole.label, "fold": fold, **whole.scores})
    table["spread"] = diversity.spread(_members(whole))
    return table.sort_values([STACKED, "id"], ascending=[False, True], ignore_index=True)


def agreement(correlation: pd.DataFrame) -> list[str]:
    """A line for every pair of members in the table `correlation`: how alike they are among lenses
    and among others."""
    said = []
    for (first, second), part in correlation.groupby(["first", "second"], sort=False):
        own = part.set_index("of")
        parts = [
            f"{float(own['spearman'][of]):.2f} among {of}"
            for of in ("lenses", "others")
            if own["status"][of] == "ok"
        ]
        said.append(f"{first}, {second}: rank correlation {', '.join(parts) or 'not known'}")
    return said
