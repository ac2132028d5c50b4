"""Completeness: the fraction of injected arcs that score above a threshold, cell by cell.

Every fraction has Jeffreys intervals. Nothing is smoothed or filled: a cell with fewer injections
than asked says "insufficient" and keeps its own counts. `selection.SelectionFunction` loads the
table again and interpolates it.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from classifiers.audit.axes import ALL, Axis, Grid
from classifiers.intervals import jeffreys

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 1000


def stratified(grid: Grid) -> tuple[Axis, ...]:
    """The measured axes that split the cells of the table; the arc's SNR is a marginal only."""
    return tuple(axis for axis in grid.measured if axis.column != "arc_snr")


def bin_column(axis: Axis) -> str:
    """Name of the column that says in which bin of a measured axis an injection lies."""
    return f"{axis.name.removesuffix('_bin')}_bin"


def cell_column(axis: Axis) -> str:
    """Name of the column of the injections that holds the cell of a host axis."""
    return f"cell_{axis.name}"


def counts(rows: pd.DataFrame, threshold: float, sufficient: int) -> dict[str, object]:
    """Counts of a set of injections at one threshold (a score above it is a detection);
    `with_intervals` adds the fractions.

    k_before counts the injections whose host already scored so high without an arc.
    """
    n = len(rows)
    snr = np.quantile(rows["arc_snr"], [0.1, 0.5, 0.9]) if n else [np.nan] * 3
    return {
        "n": n,
        "k": int((rows["score"] > threshold).sum()),
        "hosts": int(rows["galaxy_id"].nunique()),
        "k_before": int((rows["score_before"] > threshold).sum()),
        "snr_p10": float(snr[0]),
        "snr_p50": float(snr[1]),
        "snr_p90": float(snr[2]),
        "status": "sufficient" if n >= sufficient else "insufficient",
    }


def with_intervals(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines with completeness and its Jeffreys 68 and 95 % intervals after n and k."""
    n, k = lines["n"].to_numpy(np.float64), lines["k"].to_numpy(np.float64)
    found = {"completeness": np.divide(k, n, out=np.full(len(lines), np.nan), where=n > 0)}
    for level in (68, 95):
        found[f"lo{level}"], found[f"hi{level}"] = jeffreys(k, n, level / 100)
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
    columns of the measured axes, galaxy_id, arc_snr, score and score_before. cells: every cell of
    the grid (`plan.cells`). thresholds: name to score.
    """
    import pandas as pd

    split = stratified(grid)
    binned = rows.assign(**{bin_column(a): a.named(rows[a.column].to_numpy()) for a in split})
    keys = [*(a.name for a in grid.drawn), *(cell_column(a) for a in grid.host)]
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


def host_interval(
    rows: pd.DataFrame, threshold: float, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % interval of the completeness when whole hosts are resampled: injections into one host
    share its light and are not independent."""
    grouped = (rows["score"] > threshold).groupby(rows["galaxy_id"].to_numpy()).agg(["sum", "size"])
    if len(grouped) < 2:
        return np.nan, np.nan
    k, n = grouped["sum"].to_numpy(np.float64), grouped["size"].to_numpy(np.float64)
    weights = np.random.default_rng(seed).multinomial(
        len(k), np.full(len(k), 1 / len(k)), size=resamples
    )
    low, high = np.quantile(weights @ k / (weights @ n), [0.025, 0.975])
    return float(low), float(high)


def marginals(
    rows: pd.DataFrame, thresholds: dict[str, float], grid: Grid, sufficient: int, seed: int
) -> pd.DataFrame:
    """Completeness along one axis at a time, the rest summed as drawn: first all, then every axis
    of the grid, then the measured ones.

    lo95_hosts and hi95_hosts resample hosts (`host_interval`); every other column is as in `table`.
    """
    import pandas as pd

    everything = pd.Series(ALL, index=rows.index)
    along: list[tuple[str, list[str], pd.Series]] = [(ALL, [ALL], everything)]
    for axis in grid.axes:
        column = axis.name if axis.kind == "drawn" else cell_column(axis)
        present = set(rows[column])
        found = [str(c.value) for c in axis.cells if c.value in present]
        along.append((axis.name, found, rows[column].astype(str)))
    for axis in grid.measured:
        along.append(
            (axis.name, axis.names(), pd.Series(axis.named(rows[axis.column]), rows.index))
        )
    lines = []
    for name, values, own in along:
        for value in values:
            chosen = rows[own == value]
            for label, threshold in thresholds.items():
                low, high = np.nan, np.nan
                if len(chosen):
                    low, high = host_interval(chosen, threshold, seed)
                lines.append(
                    {
                        "axis": name,
                        "value": value,
                        "threshold_name": label,
                        "threshold": threshold,
                        **counts(chosen, threshold, sufficient),
                        "lo95_hosts": low,
                        "hi95_hosts": high,
                    }
                )
    return with_intervals(pd.DataFrame(lines))
