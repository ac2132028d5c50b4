"""Completeness: the fraction of injected arcs that score above a threshold, cell by cell.

Every fraction has Jeffreys intervals, one that allows for injections into the same host, and one
that allows for what is not known of the threshold as well.
Nothing is smoothed or filled: a cell with fewer injections than asked says "insufficient" and keeps
its own counts. `classifiers.selection.SelectionFunction` loads the table again and answers
queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from classifiers.audit.axes import ALL, Axis, Grid
from classifiers.audit.thresholds import OK, Threshold, known, residuals
from classifiers.intervals import Shares, combined, jeffreys

if TYPE_CHECKING:
    import pandas as pd


def stratified(grid: Grid) -> tuple[Axis, ...]:
    """The measured axes that split the cells of the table; the arc's SNR is a marginal only."""
    return tuple(axis for axis in grid.measured if axis.column != "arc_snr")


def bin_column(axis: Axis) -> str:
    """Name of the column that says in which bin of a measured axis an injection lies."""
    return f"{axis.name.removesuffix('_bin')}_bin"


def cells_along(axis: Axis, rows: pd.DataFrame) -> np.ndarray:
    """The cell that every injection lies in along an axis of the grid, by the cell's value, None
    outside of all. Cells of a drawn axis are bins made afterwards; a degraded host is in the cell
    that it was brought to."""
    if axis.kind == "host":
        return rows[f"cell_{axis.name}"].to_numpy(object)
    names = np.array([*(c.value for c in axis.cells), None], object)
    return names[axis.place(rows[axis.column].to_numpy())]


def weights(rows: pd.DataFrame) -> Float[np.ndarray, " n"]:
    """Weights of injections, 1 where they have none."""
    return rows["weight"].to_numpy(np.float64) if "weight" in rows else np.ones(len(rows))


def listed(thresholds: Mapping[str, float] | Sequence[Threshold]) -> list[Threshold]:
    """Thresholds that have a value. Scores by name are thresholds that were given."""
    if isinstance(thresholds, Mapping):
        return [
            Threshold(str(name), float(t), float(t), float(t)) for name, t in thresholds.items()
        ]
    return [t for t in thresholds if t.status == OK]


def prepared(rows: pd.DataFrame, thresholds: Sequence[Threshold]) -> pd.DataFrame:
    """The injections with hosts by number, which are quicker to tell apart, and what each host says
    of every uncertain threshold (`thresholds.residuals`)."""
    import pandas as pd

    more = {_of(t): residuals(rows["galaxy_id"].to_numpy(), t) for t in thresholds if t.uncertain}
    return rows.assign(galaxy_id=pd.factorize(rows["galaxy_id"])[0], **more)


def _of(threshold: Threshold) -> str:
    return f"residual_{threshold.name}"


def counts(rows: pd.DataFrame, threshold: Threshold, sufficient: int) -> dict[str, Any]:
    """Counts of a set of `prepared` injections at one threshold (a score above it is a detection);
    `with_intervals` adds the fractions.

    k_before counts the injections whose host already scored so high without an arc. Where the
    injections have a `weight`, `enough` is the number of equally weighted ones that count as much.
    """
    n = len(rows)
    snr = np.quantile(rows["arc_snr"], [0.1, 0.5, 0.9]) if n else [np.nan] * 3
    score, weight, host = rows["score"].to_numpy(), weights(rows), rows["galaxy_id"].to_numpy()
    residual = rows[_of(threshold)].to_numpy() if threshold.uncertain else None
    return {
        "n": n,
        "k": int((score > threshold.value).sum()),
        "hosts": int(rows["galaxy_id"].nunique()),
        "k_before": int((rows["score_before"] > threshold.value).sum()),
        "snr_p10": float(snr[0]),
        "snr_p50": float(snr[1]),
        "snr_p90": float(snr[2]),
        "status": "sufficient" if enough(weight) >= sufficient else "insufficient",
        "weight": float(weight.sum()),
        "enough": enough(weight),
        "known": known(score, weight, host, threshold, residual),
    }


def enough(weight: Float[np.ndarray, " n"]) -> float:
    """Number of equally weighted injections that count as much as these (Kish 1965, Survey
    Sampling, section 11.7)."""
    return float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0


def with_intervals(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines with what follows from the counts, after n and k.

    completeness is the weighted share that was found. lo68 to hi95 are Jeffreys' intervals of
    independent injections. lo95_hosts and hi95_hosts allow for injections that share a host
    (`intervals.weighted`); n_eff is by how many independent injections it would be known as well,
    and freedom the degrees of freedom of that. lo95_total and hi95_total allow for the threshold's
    own uncertainty too; of a threshold that was given they are the same.
    """
    found_by = list(lines["known"])
    shares = Shares(*(np.array(p, np.float64) for p in zip(*(one.share for one in found_by))))
    effective = lines["enough"].to_numpy(np.float64)
    found: dict[str, Any] = {"completeness": shares.value}
    k = np.nan_to_num(shares.value) * effective
    for level in (68, 95):
        found[f"lo{level}"], found[f"hi{level}"] = jeffreys(k, effective, level / 100)
    own = shares.interval(0.95)
    found["lo95_hosts"], found["hi95_hosts"] = own
    at_high, at_low, correlation = (
        np.array([getattr(one, name) for one in found_by])
        for name in ("at_high", "at_low", "correlation")
    )
    both = combined(shares.value, own, (at_high, at_low), correlation)
    for name, end, alone in zip(("lo95_total", "hi95_total"), both, own):
        found[name] = np.where(np.isnan(shares.value), alone, end)
    found["n_eff"], found["freedom"] = shares.n_eff, shares.freedom
    lines = lines.drop(columns=["known", "enough"])
    place = list(lines.columns).index("k") + 1
    for i, (name, values) in enumerate(found.items()):
        lines.insert(place + i, name, values)
    return lines


def table(
    rows: pd.DataFrame,
    cells: pd.DataFrame,
    thresholds: Mapping[str, float] | Sequence[Threshold],
    grid: Grid,
    sufficient: int,
) -> pd.DataFrame:
    """The selection function: one line per cell, threshold and bin of the measured axes, empty
    cells included.

    rows: injections, with a column for every drawn axis, `cell_...` for every host axis, the
    columns of the measured axes, galaxy_id, arc_snr, score, score_before and perhaps weight.
    cells: every cell of the grid (`plan.cells`). thresholds: those without a value have no lines.
    """
    import pandas as pd

    split, asked = stratified(grid), listed(thresholds)
    rows = prepared(rows, asked)
    binned = rows.assign(**{bin_column(a): a.named(rows[a.column].to_numpy()) for a in split})
    keys = [cells_along(axis, rows) for axis in grid.axes]
    groups = {
        name if isinstance(name, tuple) else (name,): part for name, part in binned.groupby(keys)
    }
    nothing = binned.iloc[:0]
    lines = []
    for cell in cells.to_dict("records"):
        inside = groups.get(tuple(cell[a.name] for a in grid.axes), nothing)
        for threshold in asked:
            for names in product(*([ALL, *a.names()] for a in split)):
                chosen, strata = inside, dict(zip(map(bin_column, split), names))
                for column, name in strata.items():
                    chosen = chosen if name == ALL else chosen[chosen[column] == name]
                lines.append(
                    {
                        **{str(c): v for c, v in cell.items()},
                        "threshold_name": threshold.name,
                        "threshold": threshold.value,
                        **strata,
                        **counts(chosen, threshold, sufficient),
                    }
                )
    return with_intervals(pd.DataFrame(lines))


def whole(table: pd.DataFrame, threshold_name: str | None = None) -> pd.DataFrame:
    """The lines of one threshold (the first, unless named) that are about all bins of every
    measured axis."""
    names = table["threshold_name"].astype(str)
    chosen = names == (names.iloc[0] if threshold_name is None else threshold_name)
    for column in strata_columns(table):
        chosen &= table[column] == ALL
    return table[chosen]


def strata_columns(table: pd.DataFrame) -> list[str]:
    """Columns of a completeness table that name bins of measured axes."""
    return [str(c) for c in table.columns if str(c).endswith("_bin")]


def along(rows: pd.DataFrame, grid: Grid) -> list[tuple[str, list[str], pd.Series]]:
    """All injections, then every axis of the grid and every measured one: its name, the names of
    its bins (of the grid's axes those in which there are injections), and the bin that every
    injection lies in."""
    import pandas as pd

    found: list[tuple[str, list[str], pd.Series]] = [(ALL, [ALL], pd.Series(ALL, index=rows.index))]
    for axis in grid.axes:
        cells = cells_along(axis, rows)
        present = set(cells)
        there = [str(c.value) for c in axis.cells if c.value in present]
        found.append((axis.name, there, pd.Series(cells, rows.index).astype(str)))
    for axis in grid.measured:
        own = pd.Series(axis.named(rows[axis.column]), rows.index)
        found.append((axis.name, axis.names(), own))
    return found


def marginals(
    rows: pd.DataFrame,
    thresholds: Mapping[str, float] | Sequence[Threshold],
    grid: Grid,
    sufficient: int,
) -> pd.DataFrame:
    """Completeness along one axis at a time, the rest summed as drawn: first all, then every axis
    of the grid, then the measured ones. Columns are as in `table`."""
    import pandas as pd

    asked = listed(thresholds)
    rows = prepared(rows, asked)
    lines = []
    for name, values, own in along(rows, grid):
        for value in values:
            chosen = rows[own == value]
            for threshold in asked:
                lines.append(
                    {
                        "axis": name,
                        "value": value,
                        "threshold_name": threshold.name,
                        "threshold": threshold.value,
                        **counts(chosen, threshold, sufficient),
                    }
                )
    return with_intervals(pd.DataFrame(lines))
