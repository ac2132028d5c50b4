"""Two selection functions beside one another, on the axes that both have.

Cells are those of the first. The second answers a query at the centre of each, which it may do by
interpolation, or not at all: such cells have no counterpart, and are said to have none. Intervals
of a difference are from those of both (MOVER: Newcombe 1998, Statistics in Medicine 17, 873; Zou &
Donner 2008, Statistics in Medicine 27, 1693), taken to be independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from classifiers.selection.answer import Answer
from classifiers.selection.axis import TableAxis
from classifiers.selection.function import SelectionFunction
from classifiers.selection.interpolation import beyond
from classifiers.selection.summing import combined, sites
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

USABLE = ("supported", "interpolated")
BOTH, FIRST, SECOND = "both", "first", "second"
"""Which of the two know a cell's completeness."""
SIDES = ("first", "second")
Ends = tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]


@dataclass(frozen=True)
class Comparison:
    """cells: a line for every cell of the first, and for every cell of the second that lies outside
    of the first, with value, interval and flag of each (`completeness_first`, `lower_first`, ...),
    `difference` (second minus first) with `lower` and `upper`, and `known`: by both, first, second
    or none. along: the same by `axis` and `value`, means over the `cells` that both know, each
    counting once; axis `all` first. axes: those that both have."""

    cells: pd.DataFrame
    along: pd.DataFrame
    axes: tuple[TableAxis, ...]
    names: tuple[str, str]
    level: float

    @property
    def counterparts(self) -> int:
        """Number of cells that both know."""
        return int((self.cells["known"] == BOTH).sum())

    def __str__(self) -> str:
        of_first = int(self.cells["of_first"].sum())
        lines = [
            f"first: {self.names[0]}; second: {self.names[1]}; common axes: "
            f"{', '.join(axis.name for axis in self.axes)}",
            f"{self.counterparts} of {of_first} cells of the first have a counterpart; "
            f"{len(self.cells) - of_first} cells of the second lie outside of the first; intervals "
            f"of {100 * self.level:g} %",
        ]
        percent = lambda row, *names: [100 * row[n] for n in names]
        for row in self.along.to_dict("records"):
            where = row["axis"] if row["axis"] == "all" else f"{row['axis']} {row['value']}"
            if not row["cells"]:
                lines.append(f"{where}: no cell that both know")
                continue
            a, la, ua = percent(row, *(f"{c}_first" for c in VALUES))
            b, lb, ub = percent(row, *(f"{c}_second" for c in VALUES))
            d, ld, ud = percent(row, "difference", "lower", "upper")
            lines.append(
                f"{where}: {a:.1f} % ({la:.1f}-{ua:.1f}), {b:.1f} % ({lb:.1f}-{ub:.1f}), "
                f"difference {d:+.1f} ({ld:+.1f} to {ud:+.1f}) points, {row['cells']} cells"
            )
        return "\n".join(lines)


VALUES = ("completeness", "lower", "upper")
BY_HOSTS = ("lower_hosts", "upper_hosts")
"""Ends of the intervals without an uncertain threshold's part, of each cell."""


def difference(first: Answer, second: Answer) -> tuple[Float[np.ndarray, "*n"], Ends]:
    """Second minus first, and the ends of its interval."""
    d = second.value - first.value
    below = np.hypot(second.value - second.lower, first.upper - first.value)
    above = np.hypot(second.upper - second.value, first.value - first.lower)
    return d, (d - below, d + above)


def compare(
    first: SelectionFunction,
    second: SelectionFunction,
    level: float = 0.95,
    names: tuple[str, str] | None = None,
) -> Comparison:
    """Both on the axes that span the cells of both; axes that only one has are summed over
    (`SelectionFunction.summed`). Raises InputError where they have no axis in common, or an axis
    is of numbers in one and of words in the other."""
    import pandas as pd

    theirs = {axis.name: axis for axis in second.needed}
    common = [axis for axis in first.needed if axis.name in theirs]
    if not common:
        raise InputError(
            f"{first.name} has the axes {', '.join(a.name for a in first.needed)}, {second.name} "
            f"{', '.join(theirs)}: none in common, so there is nothing to compare"
        )
    if mixed := [axis.name for axis in common if axis.words != theirs[axis.name].words]:
        raise InputError(
            f"axis {mixed[0]!r} is of words in one of the two and of numbers in the other"
        )
    first, second = (f.summed(*(axis.name for axis in common)) for f in (first, second))
    own = _compared(first, second, level, first)
    others = _compared(first, second, level, second)
    others = others[others["flag_first"] == "outside"]
    cells = pd.concat([own.assign(of_first=True), others.assign(of_first=False)], ignore_index=True)
    along = _along(own, (first, second))
    cells = cells.drop(columns=[f"{c}_{side}" for c in BY_HOSTS for side in SIDES])
    named = names or (first.name, second.name)
    return Comparison(cells, along, first.needed, named, level)


def _compared(
    first: SelectionFunction, second: SelectionFunction, level: float, where: SelectionFunction
) -> pd.DataFrame:
    """Both at the centres of the cells of one of them."""
    lines = where.lines(where.needed)
    points = {axis.name: lines[axis.column].to_numpy() for axis in where.needed}
    answers = [f.query(level=level, **points) for f in (first, second)]
    made = lines[[axis.column for axis in where.needed]].reset_index(drop=True)
    columns: dict[str, Any] = {}
    for side, found in zip(SIDES, answers):
        columns |= {f"{name}_{side}": v for name, v in zip((*VALUES, "flag"), found)}
    for side, f in zip(SIDES, (first, second)):
        by_hosts = f.with_known_threshold().query(level=level, **points)
        columns |= {f"{c}_{side}": v for c, v in zip(BY_HOSTS, (by_hosts.lower, by_hosts.upper))}
    d, (low, high) = difference(*answers)
    known = [np.isin(found.flag, USABLE) for found in answers]
    said = np.select([known[0] & known[1], *known], [BOTH, FIRST, SECOND], "none")
    return made.assign(**columns, difference=d, lower=low, upper=high, known=said)


def _along(cells: pd.DataFrame, both: tuple[SelectionFunction, SelectionFunction]) -> pd.DataFrame:
    """Means over the cells that both know, of all and by cell of each axis. Each has observing
    conditions of its own (`summing.sites`)."""
    import pandas as pd

    shared = cells[cells["known"] == BOTH]
    own = {f"site_{s}": sites(shared, f.needed, f.about) for s, f in zip(SIDES, both)}
    shared = shared.assign(**own)
    rows = [{"axis": "all", "value": "all", **_mean(shared)}]
    for axis in both[0].needed:
        for value in axis.values:
            part = shared[shared[axis.column] == value]
            rows.append({"axis": axis.name, "value": str(value), **_mean(part)})
    return pd.DataFrame(rows)


def _mean(part: pd.DataFrame) -> dict[str, Any]:
    """The mean of some cells, of both and their difference; NaN where there are none. The part of
    an interval that is an uncertain threshold's is the same way in all cells."""
    n = len(part)
    means: list[Answer] = []
    found: dict[str, Any] = {"cells": n}
    for side in SIDES:
        value, low, high = (part[f"{c}_{side}"].to_numpy(np.float64) for c in VALUES)
        by_hosts = (
            part[f"{BY_HOSTS[0]}_{side}"].to_numpy(),
            part[f"{BY_HOSTS[1]}_{side}"].to_numpy(),
        )
        ends = [np.nan] * 3
        if n:
            weight, site = np.full(n, 1 / n), part[f"site_{side}"].to_numpy()
            mean = float(value.mean())
            below, above = (
                np.hypot(combined(np.abs(end - value), weight, site), weight @ threshold)
                for end, threshold in zip(by_hosts, beyond(value, (low, high), by_hosts))
            )
            ends = [mean, max(mean - below, 0.0), min(mean + above, 1.0)]
        found |= {f"{c}_{side}": v for c, v in zip(VALUES, ends)}
        value, low, high = map(np.array, ends)
        means.append(Answer(value, low, high, np.array("")))
    d, (low, high) = difference(*means)
    return found | {"difference": float(d), "lower": float(low), "upper": float(high)}


def draw(found: Comparison, stem: Path) -> list[Path]:
    """A figure in PDF and PNG: for every axis both, and their difference beside them."""
    from classifiers.selection import figures

    draws: list[figures.Draw] = []
    for axis in found.axes:
        rows = found.along[(found.along["axis"] == axis.name) & (found.along["cells"] > 0)]
        if len(rows):
            draws += [_both(rows, axis, found.names), _apart(rows, axis)]
    return figures.save(stem, draws, 2.4, legend=True) if draws else []


def _both(rows: pd.DataFrame, axis: TableAxis, names: Sequence[str]) -> Any:
    from classifiers.selection import plots

    series = []
    for name, side in zip(names, SIDES):
        value, low, high = (rows[f"{c}_{side}"].to_numpy() for c in VALUES)
        filled = np.ones(len(rows), bool)
        series.append(plots.Series(name, list(rows["value"]), value, (low, high), filled))

    return lambda axes: plots.along(axes, series, axis.title, plots.PRINT)


def _apart(rows: pd.DataFrame, axis: TableAxis) -> Any:
    from classifiers.selection.plots import PRINT

    d, low, high = (rows[c].to_numpy() for c in ("difference", "lower", "upper"))

    def draw(axes: Axes) -> None:
        x, ink = np.arange(len(rows)), PRINT.ink
        axes.axhline(0.0, color=PRINT.faint, linewidth=0.8)
        axes.errorbar(x, d, [d - low, high - d], fmt="o", color=ink, elinewidth=1)
        axes.set_xticks(x, list(rows["value"]))
        axes.set(xlabel=axis.title, ylabel="difference, second - first")
        axes.grid(axis="y")

    return draw
