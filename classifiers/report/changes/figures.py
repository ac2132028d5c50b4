"""Figures of two runs, as SVG (`report.drawing`): both beside one another, and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from classifiers.report.changes.pair import SIDES
from classifiers.report.drawing import FAINT, INK, drawn, errors
from classifiers.report.maps import PALETTE
from classifiers.selection import plots

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def both(rows: pd.DataFrame, axis: str, label: str, names: Sequence[str]) -> str:
    """Completeness of both along an axis; hollow where either has too few injections."""
    filled = (rows["status"] == "sufficient").to_numpy()
    series = []
    for name, side in zip(names, SIDES):
        value, low, high = (
            rows[f"{c}_{side}"].to_numpy(float) for c in ("completeness", "lo95", "hi95")
        )
        series.append(plots.Series(name, list(rows["value"]), value, (low, high), filled))

    def draw(axes: Axes) -> None:
        plots.along(axes, series, label, PALETTE)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)

    return drawn(f"both-{axis.replace('_', '-')}", draw)


def apart(rows: pd.DataFrame, axis: str, label: str) -> str:
    """The difference along an axis, in percentage points."""
    known = rows[rows["difference"].notna()]

    def draw(axes: Axes) -> None:
        places = [list(rows["value"]).index(value) for value in known["value"]]
        axes.axhline(0, color=FAINT, linewidth=0.8)
        bars = errors(known, "difference", "lo95", "hi95")
        axes.errorbar(places, known["difference"], bars, fmt="o", color=INK, elinewidth=1.2)
        axes.set_xticks(range(len(rows)), [plots.short(str(v)) for v in rows["value"]])
        axes.set(xlabel=label, ylabel="difference, percentage points", xlim=(-0.5, len(rows) - 0.5))
        axes.grid(axis="y")

    return drawn(f"apart-{axis.replace('_', '-')}", draw)


def evaluations(table: pd.DataFrame) -> str:
    """The difference of every figure of merit, with its interval."""

    def draw(axes: Axes) -> None:
        y = np.arange(len(table))[::-1]
        axes.axvline(0, color=FAINT, linewidth=0.8)
        bars = errors(table, "difference", "lo95", "hi95")
        axes.errorbar(table["difference"], y, xerr=bars, fmt="o", color=INK, elinewidth=1.2)
        axes.set_yticks(y, [str(name).replace("_", " ") for name in table["figure"]])
        axes.set(xlabel="difference", ylim=(-0.6, len(table) - 0.4))
        axes.grid(axis="x")

    return drawn("evaluations", draw, width=5.4, height=1.0 + 0.26 * len(table))
