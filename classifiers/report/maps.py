"""Figures of the audit, as SVG (`drawing`): maps, marginals, sensitivity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.report.drawing import FAINT, INK, SERIES, drawn
from classifiers.selection import plots
from classifiers.selection.plots import Palette

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


PALETTE = Palette(INK, FAINT, SERIES)


def heat_map(part: pd.DataFrame, name: str, label: str, layout: plots.Panels) -> str:
    """Completeness over two axes; insufficient cells are hatched and give their number instead."""

    def draw(axes: Axes) -> None:
        plots.completeness_map(axes, part, layout.across, layout.up, layout.top, PALETTE)
        axes.set_title(label, fontsize=9.5)

    return drawn(name, draw, height=1.2 + 0.42 * part[layout.up["name"]].nunique())


def marginal(table: pd.DataFrame, axis: str, label: str, thresholds: Sequence[str]) -> str:
    """Completeness along one axis for several thresholds, with 95 % intervals by hosts and
    with the threshold's own uncertainty; markers are hollow where there are too few injections."""

    def draw(axes: Axes) -> None:
        plots.along(axes, plots.of_marginals(table, axis, thresholds), label, PALETTE)
        axes.legend(
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=4,
            columnspacing=1.2,
            handlelength=1.8,
        )

    return drawn(f"by-{axis.replace('_', '-')}", draw)


def sensitivity(table: pd.DataFrame) -> str:
    """Gradient, where there is one, and finite difference of the mean detection probability, side
    by side, with the gradient's standard error."""

    def draw(axes: Axes) -> None:
        y = np.arange(len(table))[::-1]
        if table["gradient"].notna().any():
            axes.barh(y + 0.19, table["gradient"], 0.36, color=SERIES[0], label="gradient")
        axes.barh(
            y - 0.19, table["finite_difference"], 0.36, color=SERIES[1], label="finite difference"
        )
        if "gradient_error" in table:
            axes.errorbar(
                table["gradient"],
                y + 0.19,
                xerr=table["gradient_error"],
                fmt="none",
                ecolor=INK,
                elinewidth=1,
                capsize=2,
            )
        axes.axvline(0, color=FAINT, linewidth=0.8)
        axes.set_yticks(y, [f"{p}\n{u}" for p, u in zip(table["parameter"], table["unit"])])
        axes.set(xlabel="change of the mean detection probability")
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x")
        axes.legend(loc="best")

    return drawn("sensitivity", draw, width=4.8)


def names(rows: Iterable[Any]) -> list[str]:
    """Distinct values in order of appearance."""
    return list(dict.fromkeys(str(r) for r in rows))
