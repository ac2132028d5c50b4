"""Figures of merit of two runs, with the difference and its interval.

Where both were measured on the same objects, by their ids and labels, the difference is paired:
bootstrap of the same objects for both and DeLong's test of the AUC (`evaluation.comparison`), and
McNemar's test at fixed thresholds. Otherwise, on the same split of the same survey, the two are
independent, and the interval of the difference is made of those of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.report.changes.completeness import INDEPENDENT, PAIRED, independent
from classifiers.report.changes.pair import SIDES, Pair, Side, step

if TYPE_CHECKING:
    import pandas as pd

    from classifiers.evaluation.predictions import Predictions

COLUMNS = (
    *("figure", "first", "lo95_first", "hi95_first", "second", "lo95_second", "hi95_second"),
    *("difference", "lo95", "hi95", "p_value", "q_value", "gained", "lost", "status"),
)
OBJECT, CELL = "galaxy_id", "healpix_128"
MINIMUM = 10
"""As `EvaluateSettings.minimum`, where a record does not have it."""


@dataclass(frozen=True)
class Compared:
    """table: a row for every figure, with COLUMNS. way: paired, independent, or empty where the two
    are not compared. words: what has to be said of it."""

    table: pd.DataFrame
    way: str
    words: Sequence[str]


def compared(pair: Pair) -> Compared | None:
    """The comparison; None where one of the runs has no evaluation. Raises nothing for samples that
    do not belong together: the words say why there is no difference."""
    first, second = pair
    if not first.run.metrics or not second.run.metrics:
        return None
    on = [side.run.metrics["on"] for side in pair if side.run.metrics]
    if on[0] != on[1]:
        return _apart(pair, f"The evaluations are of different samples ({on[0]} and {on[1]}).")
    one, two = (_sample(side) for side in pair)
    if one is not None and two is not None and _alike(one, two):
        return _paired(pair, one, two.set_index(OBJECT).loc[one[OBJECT]].reset_index())
    if first.run.survey != second.run.survey:
        names = " and ".join(side.run.survey.name for side in pair)
        return _apart(pair, f"The evaluations are of different surveys ({names}).")
    common = 0 if one is None or two is None else len(set(one[OBJECT]) & set(two[OBJECT]))
    words = "The runs were measured on different objects of the same split"
    words += f", {common:,} of which are in both" if common else ""
    return _independent(pair, f"{words}. They count as independent.")


def _sample(side: Side) -> pd.DataFrame | None:
    """The scores that the figures are of."""
    table = side.run.table("scores", [OBJECT, "split", "label", "score"])
    on = (side.run.metrics or {})["on"]
    if table is None or table[OBJECT].duplicated().any():
        return None
    return table if on == "all" else table[table["split"] == on].reset_index(drop=True)


def _alike(one: pd.DataFrame, two: pd.DataFrame) -> bool:
    if len(one) != len(two) or set(one[OBJECT]) != set(two[OBJECT]):
        return False
    label = two.set_index(OBJECT)["label"].loc[one[OBJECT]]
    return bool((label.to_numpy() == one["label"].to_numpy()).all())


def _paired(pair: Pair, one: pd.DataFrame, two: pd.DataFrame) -> Compared:
    from classifiers.evaluation import comparison, figures
    from classifiers.evaluation.predictions import Predictions, logit

    about = (pair.first.run.metrics or {}).get("bootstrap", {})
    minimum = int(step(pair.first, "evaluate").get("minimum", MINIMUM))
    scores = {side: t["score"].to_numpy(float) for side, t in (("first", one), ("second", two))}
    whole = about.get("of") == "healpix" and CELL in one
    table = Predictions(
        one[OBJECT].to_numpy(str),
        one["label"].to_numpy(),
        scores,
        {name: logit(score) for name, score in scores.items()},
        {},
        one[CELL].to_numpy() if whole else None,
    )
    resamples, seed = int(about.get("resamples", 1000)), int(about.get("seed", 42))
    found = comparison.compare(table, *SIDES, minimum=minimum, resamples=resamples, seed=seed)
    known = [side.run.metrics["figures"] for side in pair if side.run.metrics]
    rows = [
        {**row, "figure": row["metric"], **_ends(known, str(row["metric"]))}
        for row in found.to_dict("records")
    ]
    rows += _at_thresholds(pair, table, minimum)
    tests = "" if whole else " and the exact McNemar test for shares at fixed thresholds"
    words = (
        f"Both runs were measured on the same {len(one):,} objects, so differences are paired: "
        f"intervals are over {resamples:,} resamples of "
        f"{'whole cells' if whole else 'objects'} drawn for both. p is DeLong's test for the AUC"
        f"{tests}; q allows for several tests (Benjamini-Hochberg)."
    )
    made = _table(rows)
    made["q_value"] = figures.q_values(made["p_value"].to_numpy(np.float64))
    return Compared(made, PAIRED, [words])


def _ends(known: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """The interval of a figure in each run."""
    return {
        f"{end}_{side}": found.get(name, {}).get(end)
        for side, found in zip(SIDES, known)
        for end in ("lo95", "hi95")
    }


def _at_thresholds(pair: Pair, table: Predictions, minimum: int) -> Iterator[dict[str, Any]]:
    """Shares at the thresholds that both evaluations have; McNemar's test, which takes objects as
    independent, only where cells are not drawn whole."""
    from classifiers.evaluation.comparison import SHARES, changed
    from classifiers.evaluation.figures import few

    both = [side.run.metrics["thresholds"] for side in pair if side.run.metrics]
    for threshold in (name for name in both[0] if name in both[1]):
        for name, label in SHARES.items():
            row: dict[str, Any] = {"figure": f"{name}_at_{threshold}"}
            which = table.label == label
            row["status"] = few(int(which.sum()), minimum)
            if row["status"] == "ok":
                one, two = (table.scores[side] > float(threshold) for side in SIDES)
                row |= changed(one, two, which, table.cell)
                row |= _ends([of[threshold] for of in both], name)
            yield row


def _independent(pair: Pair, words: str) -> Compared:
    rows = []
    for row in _beside(pair):
        if row["status"] == "ok":
            sides = ([row[c] for c in (side, f"lo95_{side}", f"hi95_{side}")] for side in SIDES)
            change, low, high = independent(*sides)
            row |= {"difference": float(change), "lo95": float(low), "hi95": float(high)}
        rows.append(row)
    return Compared(_table(rows), INDEPENDENT, [words])


def _apart(pair: Pair, words: str) -> Compared:
    return Compared(_table(_beside(pair)), "", [f"{words} They are not compared."])


def _beside(pair: Pair) -> list[dict[str, Any]]:
    """The figures that both evaluations name, side by side."""
    both = [_figures(side) for side in pair]
    rows = []
    for name in (n for n in both[0] if n in both[1]):
        found = [of[name] for of in both]
        row: dict[str, Any] = {"figure": name, **_ends(both, name)}
        row |= {side: f["value"] for side, f in zip(SIDES, found)}
        why = [f["status"] for f in found if f["status"] != "ok"]
        rows.append({**row, "status": why[0] if why else "ok"})
    return rows


def _figures(side: Side) -> dict[str, dict[str, Any]]:
    from classifiers.evaluation.comparison import SHARES

    m = side.run.metrics or {}
    at = m["thresholds"].items()
    shares = {f"{name}_at_{t}": of[name] for t, of in at for name in SHARES if name in of}
    return {**m["figures"], **shares}


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    words = ("figure", "status")
    found = pd.DataFrame(list(rows)).reindex(columns=list(COLUMNS))
    return found.astype({name: float for name in COLUMNS if name not in words})
