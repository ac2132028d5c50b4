"""Completeness between the centres of cells: linear in every axis, with an interval that says how
little is known there.

A cell's completeness is the mean over its bin. Between centres, value and both ends of the interval
are interpolated with the same weights, as if the errors of all neighbours had the same sign. So the
interval is never narrower than the mean of theirs, although that of an average of independent cells
would be. It is then widened on both sides by what a curve may do between the points it is known at:
with C'' the second derivative along an axis, h the width of the bin and a, b the distances to the
two centres,

    |C''| (a b / 2 + h^2 / 24)

is the largest error of linear interpolation (Davis 1975, Interpolation and Approximation, theorem
3.1.1) plus the difference between the mean of a parabola over a bin and its middle. The errors of
several axes add. |C''| is the second divided difference of the cells themselves; where an axis has
only two cells it is unknown, and taken to be as large as if all of their difference came about in
one step, |difference| / gap^2. In the outer half of an outermost cell the value is held, and the
interval widened by the slope to the next cell times the distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from classifiers.intervals import Shares, combined, jeffreys
from classifiers.selection.axis import Place, TableAxis

if TYPE_CHECKING:
    import pandas as pd

TINY = 1e-9


def intervals(
    lines: pd.DataFrame, level: float
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Interval of the completeness of each line of a table, at any level.

    Hosts are the independent unit where the table has `n_eff` (`classifiers.intervals.Shares`), and
    a threshold that is itself uncertain widens the interval (`classifiers.audit.thresholds`);
    otherwise injections are, as in published tables. (0, 1) where there is no injection.
    """
    value = lines["completeness"].to_numpy(np.float64)
    n = lines["n"].to_numpy(np.float64)
    if "n_eff" not in lines:
        return jeffreys(np.nan_to_num(value) * n, n, level)
    low, high = combined(value, _by_hosts(lines, value, level), _of_threshold(lines, value, level))
    return np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)


def with_threshold(
    lines: pd.DataFrame, below: Float[np.ndarray, " n"], above: Float[np.ndarray, " n"]
) -> pd.DataFrame:
    """The lines with 95 % intervals by hosts, and with those of an uncertain threshold, which alone
    lets the interval reach as far `below` and `above` the completeness."""
    value = lines["completeness"].to_numpy(np.float64)
    low, high = _by_hosts(lines, value, 0.95)
    both = combined(value, (low, high), (value - below, value + above))
    return lines.assign(lo95_hosts=low, hi95_hosts=high, lo95_total=both[0], hi95_total=both[1])


def _by_hosts(lines: pd.DataFrame, value: np.ndarray, level: float) -> tuple[Any, Any]:
    groups, n_eff = lines["hosts"].to_numpy(np.float64), lines["n_eff"].to_numpy(np.float64)
    freedom = np.asarray(lines.get("freedom", np.maximum(groups - 1, 1)))
    n = lines["n"].to_numpy(np.float64)
    return Shares(value, np.nan, n, groups, n_eff, freedom).interval(level)


def _of_threshold(lines: pd.DataFrame, value: np.ndarray, level: float) -> tuple[Any, Any]:
    """The part of the interval that is the threshold's, as a normal error at this level."""
    from scipy.stats import norm

    if "lo95_total" not in lines:
        return value, value
    factor = norm.ppf(0.5 + level / 2) / norm.ppf(0.975)
    below, above = of_threshold(lines)
    return value - factor * below, value + factor * above


def of_threshold(lines: pd.DataFrame) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """How far the threshold's own uncertainty lets the 95 % interval of each line reach below and
    above the completeness."""
    own = lambda name: lines[name].to_numpy(np.float64)
    whole, part = ((own(f"lo95_{kind}"), own(f"hi95_{kind}")) for kind in ("total", "hosts"))
    return beyond(own("completeness"), whole, part)


def beyond(value: Any, whole: tuple[Any, Any], part: tuple[Any, Any]) -> tuple[Any, Any]:
    """By how much an interval reaches below and above its value for another reason than that of
    `part`: the distances of its ends less those of the part's, in squares."""
    square = [
        (value - both) ** 2 - (value - own) ** 2 for both, own in zip(whole, part, strict=True)
    ]
    return np.sqrt(np.maximum(square[0], 0.0)), np.sqrt(np.maximum(square[1], 0.0))


@dataclass(frozen=True)
class Cells:
    """Cells on the grid of some axes, arrays of the grid's shape. value: completeness, NaN where
    there is no injection. low, high: its interval. short: whether a cell has fewer injections than
    asked for."""

    axes: tuple[TableAxis, ...]
    value: Float[np.ndarray, "..."]
    low: Float[np.ndarray, "..."]
    high: Float[np.ndarray, "..."]
    short: Bool[np.ndarray, "..."]

    @classmethod
    def of(cls, lines: pd.DataFrame, axes: Sequence[TableAxis], level: float) -> Cells:
        """From one line for each cell; cells without a line are empty."""
        shape = tuple(len(axis) for axis in axes)
        place = tuple(_number(lines[axis.column].to_numpy(), axis) for axis in axes)
        low, high = intervals(lines, level)
        short = (lines["status"] != "sufficient").to_numpy()
        filled = []
        for start, values in (
            (np.nan, lines["completeness"].to_numpy(np.float64)),
            (0.0, low),
            (1.0, high),
            (True, short),
        ):
            grid = np.full(shape, start)
            grid[place] = values if place else values[0]
            filled.append(grid)
        return cls(tuple(axes), *filled)

    def at(
        self, places: Sequence[Place]
    ) -> tuple[
        Float[np.ndarray, "*n"],
        Float[np.ndarray, "*n"],
        Float[np.ndarray, "*n"],
        Bool[np.ndarray, "*n"],
    ]:
        """Value, lower and upper end, and whether a cell that they are taken from has too few
        injections, at places along each axis (shape of n)."""
        empty = np.isnan(self.value)
        wide = [i for i, axis in enumerate(self.axes) if not axis.words and len(axis) > 1]
        bent = [self._curvature(i) for i in wide]
        steep = [self._slope(i) for i in wide]
        parts = [np.nan_to_num(self.value), self.low, self.high, empty, self.short, *bent, *steep]
        value, low, high, none, short, *rest = self._linear(np.stack(parts, -1), places)
        apart = np.zeros(value.shape)
        for number, i in enumerate(wide):
            curvature, slope = rest[number], rest[len(wide) + number]
            apart += curvature * self._reach(i, places[i].position) + slope * places[i].beyond
        nothing = none > TINY
        low = np.where(nothing, 0.0, np.clip(low - apart, 0.0, 1.0))
        high = np.where(nothing, 1.0, np.clip(high + apart, 0.0, 1.0))
        return np.where(nothing, np.nan, value), low, high, short > TINY

    def _linear(self, parts: Float[np.ndarray, "..."], places: Sequence[Place]) -> list[np.ndarray]:
        """Each of the grids stacked along the last axis, linear between centres."""
        from scipy.interpolate import RegularGridInterpolator

        several = [i for i, axis in enumerate(self.axes) if len(axis) > 1]
        shape = np.broadcast_shapes(*(p.position.shape for p in places))
        squeezed = parts.reshape([len(self.axes[i]) for i in several] + [parts.shape[-1]])
        if not several:
            return [np.full(shape, v) for v in squeezed]
        points = np.stack([np.broadcast_to(places[i].position, shape) for i in several], axis=-1)
        asked = RegularGridInterpolator([self.axes[i].centres for i in several], squeezed)
        return list(np.moveaxis(asked(points).reshape(*shape, -1), -1, 0))

    def _curvature(self, i: int) -> Float[np.ndarray, "..."]:
        """|C''| at every cell along axis i. A second difference belongs to its middle cell; cells
        at an end have that of their neighbour. Where a neighbour is empty, and on an axis of two
        cells, it is |difference| / gap^2; 0 where there is no neighbour at all."""
        x, c = np.array(self.axes[i].centres), np.moveaxis(self.value, i, 0)
        gap = np.diff(x).reshape(-1, *(1,) * (c.ndim - 1))
        slope = np.diff(c, axis=0) / gap
        found = np.full(c.shape, np.nan)
        if len(x) > 2:
            found[1:-1] = np.abs(2 * np.diff(slope, axis=0) / (gap[1:] + gap[:-1]))
            found[0], found[-1] = found[1], found[-2]
        step = np.abs(slope) / gap
        nan = np.full((1, *c.shape[1:]), np.nan)
        beside = np.fmax(np.concatenate([step, nan]), np.concatenate([nan, step]))
        return np.moveaxis(np.nan_to_num(np.where(np.isnan(found), beside, found)), 0, i)

    def _slope(self, i: int) -> Float[np.ndarray, "..."]:
        """|C'| between the two outermost cells at either end of axis i, 0 elsewhere."""
        x, c = self.axes[i].centres, np.moveaxis(self.value, i, 0)
        found = np.zeros(c.shape)
        found[0] = np.abs(c[1] - c[0]) / (x[1] - x[0])
        found[-1] = np.abs(c[-1] - c[-2]) / (x[-1] - x[-2])
        return np.moveaxis(np.nan_to_num(found), 0, i)

    def _reach(self, i: int, x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """By how much a unit of curvature along axis i may bend the value at x (in its unit^2)."""
        axis = self.axes[i]
        centres = np.array(axis.centres)
        after = np.clip(np.searchsorted(centres, x, side="right"), 1, len(centres) - 1)
        product = (x - centres[after - 1]) * (centres[after] - x)
        width = np.subtract(axis.high, axis.low)
        return np.maximum(product, 0.0) / 2 + np.interp(x, centres, width**2) / 24


def _number(found: np.ndarray, axis: TableAxis) -> np.ndarray:
    """Number of the cell of each line along an axis."""
    number = {value: i for i, value in enumerate(axis.values)}
    return np.array([number[v] for v in found], np.int64)
