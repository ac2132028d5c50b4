"""The thresholds of an audit, and what is not known of them carried into the completeness.

A threshold for a false-positive rate is a quantile of the scores of validation negatives, so that
it has an interval of its own (`evaluation.thresholds`). The completeness at that rate is the height
of the ROC curve there, and has two sources of error: the injections, given the threshold, and the
threshold (Greenhouse & Mantel 1950, Biometrics 6, 399). The second is the range of the measured
completeness over the threshold's interval; both intervals are joined by `intervals.combined`. The
two errors are correlated by galaxies that are hosts and negatives at once: a galaxy that scores
high without an arc raises the threshold, and also the scores of its own injections.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from classifiers.intervals import Shares, combined, weighted

if TYPE_CHECKING:
    import pandas as pd

OK = "ok"
SAME = ("weights_sha256", "sha256", "source_sha256", "model", "output")
"""Keys of a finder's `info` by which two finders are told apart."""
NEEDED = ("threshold_lo95", "threshold_hi95", "n_effective")


@dataclass(frozen=True)
class Threshold:
    """A score above which an object counts as found. value: NaN where there is none, and `status`
    says why. low, high: its 95 % interval, the value itself where it was given. target: the
    false-positive rate that it is for, NaN where it was given. negatives: names of the objects that
    it rests on, and which of them score above it. n_effective: as many independent ones would know
    the rate as well."""

    name: str
    value: float
    low: float
    high: float
    target: float = np.nan
    negatives: Shaped[np.ndarray, " m"] | None = None
    above: Bool[np.ndarray, " m"] | None = None
    n_effective: float = np.nan
    status: str = OK

    @property
    def uncertain(self) -> bool:
        """Whether it has an uncertainty of its own."""
        return self.status == OK and self.high > self.low


class Known(NamedTuple):
    """Completeness above a threshold: its share with the interval of the injections (hosts as
    groups), the range that the threshold's interval gives, and the correlation of both errors."""

    share: Shares
    at_high: float
    at_low: float
    correlation: float

    def interval(self, level_95: tuple[Any, Any] | None = None) -> tuple[float, float]:
        """The 95 % interval with both sources of error. level_95: that of the share, where it was
        worked out before."""
        own = self.share.interval(0.95) if level_95 is None else level_95
        if np.isnan(self.share.value):
            return float(own[0]), float(own[1])
        low, high = combined(self.share.value, own, (self.at_high, self.at_low), self.correlation)
        return float(low), float(high)


def given(values: Sequence[float]) -> list[Threshold]:
    """Thresholds that are what they are, named as in the evaluation."""
    return [Threshold(f"p{v:g}", float(v), float(v), float(v)) for v in values]


def of_targets(
    score: Float[np.ndarray, " m"],
    names: Shaped[np.ndarray, " m"],
    targets: Sequence[float],
    minimum: int,
    source: str,
    group: Shaped[np.ndarray, " m"] | None = None,
) -> list[Threshold]:
    """Thresholds for false-positive rates among negatives, as `evaluation.thresholds.table` finds
    or refuses them. names: of the negatives, as hosts have them."""
    from classifiers.evaluation import thresholds

    rows = thresholds.table(score, (), tuple(targets), minimum, source, group)
    return [_of_row(row, np.asarray(names), np.asarray(score)) for row in rows]


def _of_row(row: Mapping[str, Any], names: np.ndarray, score: np.ndarray) -> Threshold:
    target, status = float(row["fpr_target"]), str(row["status"])
    if status != OK:
        return Threshold(str(row["name"]), np.nan, np.nan, np.nan, target, status=status)
    value, low, high, n = (
        float(row[k]) for k in ("threshold", "threshold_lo95", "threshold_hi95", "n_effective")
    )
    return Threshold(str(row["name"]), value, low, high, target, names, score > value, n)


def asked(out: Path, values: Sequence[float], info: Mapping[str, Any]) -> list[Threshold]:
    """The settings' thresholds, and those of evaluation/thresholds.csv for false-positive rates.

    info: of the audited finder. A rate has no threshold, and its status says why, where the
    negatives cannot carry it, where the evaluation was of another finder, and where it is of an
    older version that gave thresholds no interval.
    """
    import pandas as pd

    from classifiers.evaluation.thresholds import validation

    folder, found = out / "evaluation", given(values)
    if not (folder / "thresholds.csv").is_file():
        return found
    table = pd.read_csv(folder / "thresholds.csv")
    fixed = table[table["fpr_target"].isna()]
    known = {t.name for t in found}
    found += [t for t in given(fixed["threshold"].tolist()) if t.name not in known]
    of_rates = table[table["fpr_target"].notna()]
    why = _unusable(folder, table, info)
    names, score = np.empty(0, object), np.empty(0)
    if not why:
        on = json.loads((folder / "metrics.json").read_text())["on"]
        negatives = validation(pd.read_parquet(folder / "scores.parquet"), on)
        names, score = negatives["galaxy_id"].to_numpy(), negatives["score"].to_numpy()
    for row in of_rates.to_dict("records"):
        status = why if why and row["status"] == OK else row["status"]
        found.append(
            _of_row({str(k): v for k, v in row.items()} | {"status": status}, names, score)
        )
    return found


def _unusable(folder: Path, table: pd.DataFrame, info: Mapping[str, Any]) -> str:
    """Why the rates of an evaluation say nothing of this finder; empty where they do."""
    again = "run `lensjax evaluate` again"
    files = [folder / name for name in ("metrics.json", "scores.parquet")]
    if missing := [p.name for p in files if not p.is_file()]:
        return f"refused: evaluation/{missing[0]} is missing; {again}"
    if lacking := [c for c in NEEDED if c not in table]:
        return (
            f"refused: evaluation/thresholds.csv has no column {lacking[0]}; {again} with --force"
        )
    theirs = json.loads(files[0].read_text()).get("classifier", {})
    for key in SAME:
        if theirs.get(key) != info.get(key):
            return (
                f"refused: the evaluation was of another finder ({theirs.get('name', 'unnamed')}, "
                f"its {key} differs); {again} with this one"
            )
    return ""


def values(thresholds: Sequence[Threshold]) -> dict[str, float]:
    """Name to score of those that there are."""
    return {t.name: t.value for t in thresholds if t.status == OK}


def known(
    score: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    host: Shaped[np.ndarray, " n"],
    threshold: Threshold,
    residual: Float[np.ndarray, " n"] | None = None,
) -> Known:
    """Completeness of injections above a threshold, with what is not known of the threshold.

    weight: of each injection. host: its host's name or number. residual: what `residuals` says of
    each injection's host; worked out where it is not given.
    """
    found = score > threshold.value
    share = weighted(found, weight, host)
    if not threshold.uncertain or np.isnan(share.value):
        return Known(share, share.value, share.value, 0.0)
    total = weight.sum()
    at_high, at_low = (
        float(weight[score > t].sum() / total) for t in (threshold.high, threshold.low)
    )
    own = residuals(host, threshold) if residual is None else residual
    _, number = np.unique(host, return_inverse=True)
    away = np.bincount(number, weight * (found - share.value))
    # Every injection of a host has the same residual, so that one of them tells it.
    theirs = np.zeros(len(away))
    theirs[number] = own
    scale = np.sqrt((away**2).sum())
    r = float(away @ theirs / scale) if scale > 0 else 0.0
    return Known(share, min(at_high, share.value), max(at_low, share.value), -r)


def residuals(host: Shaped[np.ndarray, " n"], threshold: Threshold) -> Float[np.ndarray, " n"]:
    """How much each injection's host says of the threshold: its part of the error of the rate at
    it, in standard deviations of that error; 0 for hosts that are none of the negatives."""
    import pandas as pd

    if threshold.negatives is None or threshold.above is None or not len(threshold.negatives):
        return np.zeros(len(host))
    own = threshold.above - threshold.above.mean()
    own = own / max(float(np.sqrt((own**2).sum())), 1e-300)
    told = pd.Series(own).groupby(np.asarray(threshold.negatives)).sum()
    return told.reindex(np.asarray(host)).fillna(0.0).to_numpy()


def table(
    thresholds: Sequence[Threshold],
    score: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    host: Shaped[np.ndarray, " n"],
) -> pd.DataFrame:
    """A line per threshold that was asked for, also those that there are not, with the reason as
    status: its interval, what it rests on, and the completeness of all injections above it, with
    the interval of the injections alone (hosts) and with that of the threshold as well (total)."""
    import pandas as pd

    lines = []
    for t in thresholds:
        line: dict[str, Any] = {
            "threshold_name": t.name,
            "threshold": t.value,
            "threshold_lo95": t.low,
            "threshold_hi95": t.high,
            "fpr_target": t.target,
            "n_negatives": np.nan if t.negatives is None else float(len(t.negatives)),
            "n_effective": t.n_effective,
        }
        ends = dict.fromkeys(
            ("completeness", "lo95_hosts", "hi95_hosts", "lo95_total", "hi95_total"), np.nan
        )
        if t.status == OK:
            found = known(score, weight, host, t)
            low, high = (float(end) for end in found.share.interval(0.95))
            both = found.interval((low, high))
            ends = dict(zip(ends, (found.share.value, low, high, *both)))
        lines.append({**line, **ends, "status": t.status})
    return pd.DataFrame(lines)


def in_words(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Sentences about the completeness at false-positive rates, and about rates without one."""
    percent = lambda v: f"{100 * v:.1f} %"
    said, refused = [], []
    for r in table[table["fpr_target"].notna()].to_dict("records"):
        rate = f"{100 * r['fpr_target']:g} %"
        if r["status"] != OK:
            refused.append(f"No completeness at a false-positive rate of {rate}: {r['status']}.")
            continue
        said.append(
            f"At a false-positive rate of {rate}, which is a score above {r['threshold']:.4g} "
            f"({r['threshold_lo95']:.4g} to {r['threshold_hi95']:.4g}, 95 %, from "
            f"{r['n_negatives']:.0f} negatives), {percent(r['completeness'])} of the injections "
            f"are found (95 %: {percent(r['lo95_total'])} to {percent(r['hi95_total'])} with the "
            f"threshold's own uncertainty, {percent(r['lo95_hosts'])} to "
            f"{percent(r['hi95_hosts'])} without)."
        )
    return said, refused
