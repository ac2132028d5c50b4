"""Cells with too few injections, joined with a neighbour by a stated rule, in a table of their own.

The rule is called `smaller_neighbour`. As long as there is an insufficient group of cells with a
neighbour, the insufficient group with the fewest injections is joined with the neighbour along the
first named axis that has the fewest injections. A neighbour is a group with a cell one step away
along an axis; neighbours along the second named axis count only where there is none along the
first, and so on. Ties go to the group whose first cell comes first in the grid. So the groups
follow from the numbers of injections and the grid alone: not from the order of anything, and not
from what was found, which would make the completeness of a group depend on itself.

The completeness of a group is that of its injections together, each with its weight: the mean of
its cells by how many injections they have, not by how large they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit import completeness
from classifiers.audit.axes import Grid
from classifiers.audit.thresholds import Threshold
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

RULE = "smaller_neighbour"
Place = tuple[int, ...]
"""Numbers of a cell along every axis of the grid."""


def places(grid: Grid, along: Sequence[str]) -> list[int]:
    """Numbers of the named axes. Raises InputError for one that the grid does not have, and for one
    of words, which have no neighbours."""
    names = [axis.name for axis in grid.axes]
    for name in along:
        if name not in names:
            raise InputError(
                f"audit.merge: no axis {name!r} in the grid; there are {', '.join(names)}"
            )
        if grid.axes[names.index(name)].words:
            raise InputError(
                f"audit.merge: axis {name!r} is made of words, which have no neighbours; name axes "
                "of numbers"
            )
    return [names.index(name) for name in along]


def groups(
    weights: Mapping[Place, tuple[float, float]], along: Sequence[int], sufficient: float
) -> list[list[Place]]:
    """The cells, joined by the rule: groups in the order of their first cells, cells in the order
    of the grid.

    weights: for every cell of the grid the sum of its injections' weights and that of their
    squares; (sum)^2 over the squares is the number of equally weighted injections that count as
    much (n for equal ones), which has to be `sufficient`. along: numbers of the axes.
    """
    made = {place: [place] for place in sorted(weights)}
    sums = {place: np.array(weights[place], np.float64) for place in made}
    owner = {place: place for place in made}

    def number(name: Place) -> float:
        first, second = sums[name]
        return float(first**2 / second) if second > 0 else 0.0

    def neighbours(name: Place) -> list[Place]:
        for axis in along:
            beside = {
                owner[near]
                for cell in made[name]
                for step in (-1, 1)
                if (near := (*cell[:axis], cell[axis] + step, *cell[axis + 1 :])) in owner
            } - {name}
            if beside:
                return sorted(beside)
        return []

    while True:
        short = [g for g in made if number(g) < sufficient and neighbours(g)]
        if not short:
            return [sorted(made[name]) for name in sorted(made)]
        one = min(short, key=lambda g: (number(g), g))
        other = min(neighbours(one), key=lambda g: (number(g), g))
        first, second = sorted((one, other))
        made[first] += made.pop(second)
        sums[first] = sums[first] + sums.pop(second)
        owner |= dict.fromkeys(made[first], first)


def table(
    rows: pd.DataFrame,
    thresholds: Mapping[str, float] | Sequence[Threshold],
    grid: Grid,
    sufficient: int,
    along: Sequence[str],
) -> pd.DataFrame:
    """A line per group and threshold; every cell of the grid is in one group.

    Columns: rule; group, its number; cells, how many it is made of, and members, which these are,
    by the values of the axes; the range of every axis of numbers; then counts and intervals as in
    `completeness.table`, of which rows and thresholds are those. A group that is insufficient still
    had no neighbour left. Raises InputError as `places` does.
    """
    import pandas as pd

    numbers, asked = places(grid, along), completeness.listed(thresholds)
    rows = completeness.prepared(rows, asked)
    place = np.stack([_places(axis, rows) for axis in grid.axes], axis=1)
    weight = completeness.weights(rows)
    shape = [len(axis) for axis in grid.axes]
    every = {tuple(int(i) for i in p): (0.0, 0.0) for p in np.ndindex(*shape)}
    inside = (place >= 0).all(1)
    flat = np.full(len(rows), -1)
    flat[inside] = np.ravel_multi_index(tuple(place[inside].T), shape)
    # Sums do not depend on the order of the injections, rounding included.
    for cell in every:
        own = np.sort(weight[flat == np.ravel_multi_index(cell, shape)])
        every[cell] = float(own.sum()), float((own**2).sum())
    lines = []
    for i, cells in enumerate(groups(every, numbers, sufficient)):
        chosen = rows[np.isin(flat, [np.ravel_multi_index(c, shape) for c in cells])]
        about = {
            "rule": f"{RULE} along {', '.join(along)}",
            "group": i,
            "cells": len(cells),
            "members": "; ".join(_named(grid, c) for c in cells),
            **_ranges(grid, cells),
        }
        for t in asked:
            at = {"threshold_name": t.name, "threshold": t.value}
            lines.append({**about, **at, **completeness.counts(chosen, t, sufficient)})
    return completeness.with_intervals(pd.DataFrame(lines))


def _places(axis: Any, rows: pd.DataFrame) -> np.ndarray:
    """Number of the cell along an axis that every injection lies in, -1 outside of all."""
    number = {cell.value: i for i, cell in enumerate(axis.cells)}
    return np.array([number.get(v, -1) for v in completeness.cells_along(axis, rows)], np.int64)


def _named(grid: Grid, cell: Place) -> str:
    """A cell by the values of its axes."""
    return " ".join(f"{a.name}={a.cells[i].text}" for a, i in zip(grid.axes, cell))


def _ranges(grid: Grid, cells: Sequence[Place]) -> dict[str, Any]:
    """From where to where the cells reach along every axis of numbers, and the word of the others,
    which all of a group share."""
    found: dict[str, Any] = {}
    for i, axis in enumerate(grid.axes):
        own = [axis.cells[place[i]] for place in cells]
        if axis.words:
            found[axis.name] = own[0].text
            continue
        ends = [cell.edges or (float(cell.value), float(cell.value)) for cell in own]
        found[f"{axis.stem}_lo"] = min(low for low, _ in ends)
        found[f"{axis.stem}_hi"] = max(high for _, high in ends)
    return found


def summary(table: pd.DataFrame, along: Sequence[str]) -> dict[str, Any]:
    """What was joined, for summary.json: of the first threshold, which are all alike."""
    one = table[table["threshold_name"] == table["threshold_name"].iloc[0]]
    joined = one[one["cells"] > 1]
    return {
        "rule": RULE,
        "along": list(along),
        "cells": int(one["cells"].sum()),
        "groups": len(one),
        "joined_groups": len(joined),
        "joined_cells": int(joined["cells"].sum()),
        "insufficient": int((one["status"] != "sufficient").sum()),
    }


def in_words(found: Mapping[str, Any]) -> str:
    """What was joined, in a sentence or two."""
    return (
        f"In a table of its own, {found['joined_cells']} of {found['cells']} cells are joined into "
        f"{found['joined_groups']} groups (rule {found['rule']} along "
        f"{', '.join(found['along'])}); {found['insufficient']} of its {found['groups']} lines are "
        "still insufficient. The table of cells itself is as it was."
    )
