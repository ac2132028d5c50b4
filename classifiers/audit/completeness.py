"""Completeness: the fraction of injected arcs that score above a threshold, cell by cell.

Every fraction has Jeffreys intervals, and one that allows for injections into the same host.
Nothing is smoothed or filled: a cell with fewer injections than asked says "insufficient" and keeps
its own counts. `classifiers.selection.SelectionFunction` loads the table again and answers
queries.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from classifiers.audit.axes import ALL, Axis, Grid
from classifiers.intervals import Shares, jeffreys, weighted

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


def counts(rows: pd.DataFrame, threshold: float, sufficient: int) -> dict[str, Any]:
    """Counts of a set of injections at one threshold (a score above it is a detection);
    `with_intervals` adds the fractions.

    k_before counts the injections whose host already scored so high without an arc. Where the
    injections have a `weight`, `enough` is the number of equally weighted ones that count as much.
    """
    n = len(rows)
    snr = np.quantile(rows["arc_snr"], [0.1, 0.5, 0.9]) if n else [np.nan] * 3
    found = (rows["score"] > threshold).to_numpy()
    weight = weights(rows)
    enough = float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0
    return {
        "n": n,
        "k": int(found.sum()),
        "hosts": int(rows["galaxy_id"].nunique()),
        "k_before": int((rows["score_before"] > threshold).sum()),
        "snr_p10": float(snr[0]),
        "snr_p50": float(snr[1]),
        "snr_p90": float(snr[2]),
        "status": "sufficient" if enough >= sufficient else "insufficient",
        "enough": enough,
        "share": weighted(found, weight, rows["galaxy_id"].to_numpy()),
    }


def with_intervals(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines with what follows from the counts, after n and k.

    completeness is the weighted share that was found. lo68 to hi95 are Jeffreys' intervals of
    independent injections. lo95_hosts and hi95_hosts allow for injections that share a host
    (`intervals.weighted`), and n_eff is by how many independent injections it would be known as
    well.
    """
    shares = Shares(*(np.array(part, np.float64) for part in zip(*lines["share"])))
    enough = lines["enough"].to_numpy(np.float64)
    found: dict[str, Any] = {"completeness": shares.value}
    k = np.nan_to_num(shares.value) * enough
    for level in (68, 95):
        found[f"lo{level}"], found[f"hi{level}"] = jeffreys(k, enough, level / 100)
    found["lo95_hosts"], found["hi95_hosts"] = shares.interval(0.95)
    found["n_eff"] = shares.n_eff
    lines = lines.drop(columns=["share", "enough"])
    place = list(lines.columns).index("k") + 1
    for i, (name, values) in enumerate(found.items()):
        lines.insert(place + i, name, values)
    return lines


def table(
    rows: pd.DataFrame,
    cells: pd.DataFrame,
    thresholds: dict[str, float],
    grid: Grid,
    sufficient: int,
) -> pd.DataFrame:
    """The selection function: one line per cell, threshold and bin of the measured axes, empty
    cells included.

    rows: injections, with a column for every drawn axis, `cell_...` for every host axis, the
    columns of the measured axes, galaxy_id, arc_snr, score, score_before and perhaps weight.
    cells: every cell of the grid (`plan.cells`). thresholds: name to score.
    """
    import pandas as pd

    split = stratified(grid)
    rows = rows.assign(galaxy_id=pd.factorize(rows["galaxy_id"])[0])  # quicker to tell apart
    binned = rows.assign(**{bin_column(a): a.named(rows[a.column].to_numpy()) for a in split})
    keys = [cells_along(axis, rows) for axis in grid.axes]
    groups = {
        name if isinstance(name, tuple) else (name,): part for name, part in binned.groupby(keys)
    }
    nothing = binned.iloc[:0]
    lines = []
    for cell in cells.to_dict("records"):
        inside = groups.get(tuple(cell[a.name] for a in grid.axes), nothing)
        for label, threshold in thresholds.items():
            for names in product(*([ALL, *a.names()] for a in split)):
                chosen, strata = inside, dict(zip(map(bin_column, split), names))
                for column, name in strata.items():
                    chosen = chosen if name == ALL else chosen[chosen[column] == name]
                lines.append(
                    {
                        **{str(c): v for c, v in cell.items()},
                        "threshold_name": label,
                        "threshold": threshold,
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


def marginals(
    rows: pd.DataFrame, thresholds: dict[str, float], grid: Grid, sufficient: int
) -> pd.DataFrame:
    """Completeness along one axis at a time, the rest summed as drawn: first all, then every axis
    of the grid, then the measured ones. Columns are as in `table`."""
    import pandas as pd

    rows = rows.assign(galaxy_id=pd.factorize(rows["galaxy_id"])[0])
    everything = pd.Series(ALL, index=rows.index)
    along: list[tuple[str, list[str], pd.Series]] = [(ALL, [ALL], everything)]
    for axis in grid.axes:
        cells = cells_along(axis, rows)
        found = [str(c.value) for c in axis.cells if c.value in set(cells)]
        along.append((axis.name, found, pd.Series(cells, rows.index).astype(str)))
    for axis in grid.measured:
        along.append(
            (axis.name, axis.names(), pd.Series(axis.named(rows[axis.column]), rows.index))
        )
    lines = []
    for name, values, own in along:
        for value in values:
            chosen = rows[own == value]
            for label, threshold in thresholds.items():
                lines.append(
                    {
                        "axis": name,
                        "value": value,
                        "threshold_name": label,
                        "threshold": threshold,
                        **counts(chosen, threshold, sufficient),
                    }
                )
    return with_intervals(pd.DataFrame(lines))
