"""Completeness of two audits by axis, with the difference and its interval.

Where both audits have the same injections, by their ids, the difference is paired: what both
finders find alike cancels (`audit.paired`). Otherwise the two are independent, and the interval of
the difference is made of those of both (`selection.comparison.difference`). Injections that are
partly the same are taken as independent too, which makes the interval too wide rather than too
narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit import completeness, paired
from classifiers.audit.axes import ALL, Axis, Grid
from classifiers.report.changes import population
from classifiers.report.changes.pair import SIDES, Pair, Side
from classifiers.selection.answer import Answer
from classifiers.selection.comparison import difference
from lensjax.errors import InputError, meant

if TYPE_CHECKING:
    import pandas as pd

PAIRED, INDEPENDENT = "paired", "independent"
ID, HOST, PIXELS = "injection_id", "galaxy_id", "host_sha256"
ENDS = ("total", "hosts")
"""Which interval of a completeness is shown: the first that the audit has."""
OTHER_AXES = (
    "Where host axes have other cells, each audit gives its galaxies another share in the whole, "
    "and the other lines are means over somewhat different galaxies. `lensjax compare` "
    "interpolates between cells."
)
SAME_WEIGHT = 1e-6
"""relative"""
CHANGE = ("difference", "lo95", "hi95", "gained", "lost", "mcnemar_p")


@dataclass(frozen=True)
class Compared:
    """table: a row for every axis, cell and threshold name that both have: n, completeness and its
    95 % interval of each, and the difference in percentage points with its own interval; of a
    paired one also the injections gained and lost and McNemar's p. way: paired or independent.
    words: what has to be said of it. apart, axes_apart: what is not compared, and why."""

    table: pd.DataFrame
    way: str
    words: Sequence[str]
    apart: Sequence[tuple[str, str, str]]
    axes_apart: Sequence[tuple[str, str, str]]


def compared(pair: Pair) -> Compared | None:
    """The comparison; None where one of the runs has no audit. Where the two are of different
    populations, the table has the completeness of each over all injections, without a difference.
    Raises InputError for an audit without its table of marginals.
    """
    first, second = pair
    if first.injections is None or second.injections is None:
        return None
    apart, (same, axes_apart) = population.apart(pair), population.axes(pair)
    table = _beside(pair, [] if apart else [axis.name for axis in same])
    if apart:
        return Compared(table.assign(**dict.fromkeys(CHANGE, np.nan)), "", [], apart, axes_apart)
    way, words = _way(first, second)
    change = _paired(pair, table, same) if way == PAIRED else _independent(table)
    return Compared(table.assign(**change, way=way), way, words, [], axes_apart)


def threshold(pair: Pair, found: Compared | None, wanted: str = "") -> str:
    """Name of the threshold that is shown: the wanted one, or of those that both have the nearest
    to that of the first audit's words; empty where they have none in common. Raises InputError for
    a wanted one that not both have."""
    if found is None or pair.first.run.audit is None:
        return ""
    rows = found.table.drop_duplicates("threshold_name")
    names = dict(zip(rows["threshold_name"], rows["threshold_first"]))
    if wanted and wanted not in names:
        raise InputError(f"--threshold {wanted}: not in both audits ({meant(wanted, names)})")
    middle = pair.first.run.audit["threshold_of_words"]
    return wanted or min(names, key=lambda name: abs(names[name] - middle), default="")


def _way(first: Side, second: Side) -> tuple[str, list[str]]:
    """Whether the two are paired, and why."""
    assert first.injections is not None and second.injections is not None
    one, two = first.injections.table, second.injections.table
    if ID not in one or ID not in two:
        return INDEPENDENT, ["Injections have no ids, so the two audits count as independent."]
    common = len(set(one[ID]) & set(two[ID]))
    if not common == len(one) == len(two):
        some = f"; {common:,} of them are in both" if common else ""
        return INDEPENDENT, [
            f"The audits have {len(one):,} and {len(two):,} injections{some}. They count as "
            "independent." + (" Where they share some, intervals are too wide." if common else "")
        ]
    two = two.set_index(ID).loc[one[ID]].reset_index()
    if not np.allclose(
        completeness.weights(one), completeness.weights(two), rtol=SAME_WEIGHT, atol=0
    ):
        return INDEPENDENT, [
            "Both audits have the same injections with other weights, so they count as independent."
        ]
    words = [
        f"Both audits have the same {len(one):,} injections, so differences are paired. Intervals "
        "are over hosts, and take thresholds as known."
    ]
    if PIXELS in one and (other := int((one[PIXELS] != two[PIXELS]).sum())):
        words.append(f"{other:,} of them are in hosts whose pixels differ between the runs.")
    return PAIRED, words


def _beside(pair: Pair, axes: Sequence[str]) -> pd.DataFrame:
    """The lines of both tables of marginals, along these axes and over all, side by side."""
    keys, parts = ["axis", "value", "threshold_name"], []
    for side in pair:
        marginal = side.run.table("marginals")
        if marginal is None:
            path = side.run.out / "audit" / "marginals.parquet"
            raise InputError(f"{path}: missing; make it again with `lensjax audit --force`")
        own = marginal[marginal["axis"].isin([ALL, *axes])].assign(
            **{k: marginal[k].astype(str) for k in keys}
        )
        which = next((f"95_{end}" for end in ENDS if f"lo95_{end}" in own), "95")
        named = {f"lo{which}": "lo95", f"hi{which}": "hi95"}
        kept = own[[*keys, "threshold", "n", "completeness", *named, "status"]]
        parts.append(kept.rename(columns=named))
    made = parts[0].merge(parts[1], on=keys, suffixes=("_first", "_second"), validate="1:1")
    enough = (made["status_first"] == "sufficient") & (made["status_second"] == "sufficient")
    made["status"] = np.where(enough, "sufficient", "insufficient")
    return made.drop(columns=["status_first", "status_second"])


def independent(first: Sequence[Any], second: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Second minus first and the ends of its interval. first, second: value and ends of each,
    numbers or arrays."""
    nothing = np.array("")
    one, two = (
        Answer(np.asarray(value, float), np.asarray(low, float), np.asarray(high, float), nothing)
        for value, low, high in (first, second)
    )
    change, (low, high) = difference(one, two)
    return change, low, high


def _independent(table: pd.DataFrame) -> dict[str, Any]:
    sides = ([table[f"{c}_{side}"] for c in ("completeness", "lo95", "hi95")] for side in SIDES)
    change, low, high = independent(*sides)
    points = [100 * change, 100 * np.clip(low, -1, 1), 100 * np.clip(high, -1, 1)]
    nothing = np.full(len(table), np.nan)
    return dict(zip(CHANGE, [*points, nothing, nothing, nothing]))


def _paired(pair: Pair, table: pd.DataFrame, axes: Sequence[Axis]) -> dict[str, Any]:
    first, second = pair
    assert first.injections is not None and second.injections is not None
    one = first.injections.table.reset_index(drop=True)
    two = second.injections.table.set_index(ID).loc[one[ID]].reset_index()
    kinds = [
        tuple(axis for axis in axes if axis.kind == kind) for kind in ("drawn", "host", "measured")
    ]
    along = {name: own for name, _, own in completeness.along(one, Grid(*kinds))}
    weight, host = completeness.weights(one), one[HOST].to_numpy()
    score = one["score"].to_numpy(), two["score"].to_numpy()
    rows = []
    for line in table.to_dict("records"):
        inside = (along[line["axis"]] == line["value"]).to_numpy()
        before, after = (s[inside] > line[f"threshold_{w}"] for s, w in zip(score, SIDES))
        found = paired.compared(before, after, weight[inside], host[inside])
        shown = paired.in_points(found)
        rows.append([shown[c] for c in ("change", "lo95", "hi95", "gained", "lost", "mcnemar_p")])
    return dict(zip(CHANGE, np.array(rows, np.float64).reshape(-1, len(CHANGE)).T))
