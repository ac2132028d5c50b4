"""Figures of the audit, as SVG (`drawing`): maps, marginals, sensitivity."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.report.drawing import DASHES, FAINT, INK, MARKERS, SERIES, drawn, errors

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def heat_map(
    cells: pd.DataFrame,
    name: str,
    title: str,
    top: float,
    across: tuple[str, str],
    up: tuple[str, str],
) -> str:
    """Completeness over two axes (column, title of the axis), colours from 0 to `top`; insufficient
    cells are hatched and give their number instead."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    columns, lines = (list(dict.fromkeys(cells[axis[0]].sort_values())) for axis in (across, up))
    found = {(r[across[0]], r[up[0]]): r for r in cells.to_dict("records")}
    text_of = lambda value: value if isinstance(value, str) else f"{value:.4g}"
    colours = colormaps["viridis"]
    small = len(columns) > 8

    def draw(axes: Axes) -> None:
        for j, line in enumerate(lines):
            for i, column in enumerate(columns):
                cell = found[column, line]
                good = cell["status"] == "sufficient"
                face = colours(0.08 + 0.9 * cell["completeness"] / top) if good else "none"
                axes.add_patch(
                    Rectangle(
                        (i - 0.5, j - 0.5),
                        1,
                        1,
                        facecolor=face,
                        edgecolor=FAINT,
                        linewidth=0.5,
                        hatch=None if good else "////",
                    )
                )
                text = f"{100 * cell['completeness']:.0f}" if good else f"n={cell['n']}"
                ink = (
                    INK
                    if not good
                    else ("#ffffff" if cell["completeness"] < 0.6 * top else "#000000")
                )
                axes.text(
                    i,
                    j,
                    text,
                    ha="center",
                    va="center",
                    color=ink,
                    fontsize=6.5 if small else (9 if good else 7),
                )
        axes.set(
            xlim=(-0.5, len(columns) - 0.5),
            ylim=(-0.5, len(lines) - 0.5),
            xlabel=across[1],
            ylabel=up[1],
            title=title,
        )
        axes.title.set_fontsize(9.5)
        axes.set_xticks(range(len(columns)), [text_of(value) for value in columns])
        axes.set_yticks(range(len(lines)), [text_of(value) for value in lines])
        axes.tick_params(length=0)

    return drawn(name, draw, height=1.2 + 0.42 * len(lines))


def marginal(table: pd.DataFrame, axis: str, label: str, thresholds: Sequence[str]) -> str:
    """Completeness along one axis for several thresholds, with 68 (thick) and 95 % (thin)
    intervals; markers are hollow where there are too few injections."""

    def draw(axes: Axes) -> None:
        places: dict[str, int] = {}
        for i, name in enumerate(thresholds[:4]):
            rows = table[
                (table["axis"] == axis) & (table["threshold_name"] == name) & (table["n"] > 0)
            ]
            for value in rows["value"]:
                places.setdefault(value, len(places))
            x = np.array([places[v] for v in rows["value"]]) + 0.12 * (
                i - (min(len(thresholds), 4) - 1) / 2
            )
            axes.errorbar(
                x,
                rows["completeness"],
                yerr=errors(rows, "completeness", "lo95", "hi95"),
                fmt="none",
                ecolor=SERIES[i],
                elinewidth=1,
            )
            axes.errorbar(
                x,
                rows["completeness"],
                yerr=errors(rows, "completeness", "lo68", "hi68"),
                fmt="none",
                ecolor=SERIES[i],
                elinewidth=2.6,
            )
            axes.plot(
                x,
                rows["completeness"],
                color=SERIES[i],
                linestyle=DASHES[i],
                linewidth=1,
                label=name,
            )
            for filled in (True, False):
                part = (rows["status"] == "sufficient").to_numpy() == filled
                face = SERIES[i] if filled else "none"
                axes.plot(
                    x[part],
                    rows["completeness"].to_numpy()[part],
                    MARKERS[i],
                    color=SERIES[i],
                    markerfacecolor=face,
                )
        axes.set_xticks(range(len(places)), [_short(v) for v in places])
        axes.set(xlabel=label, ylabel="completeness", ylim=(0, None))
        axes.grid(axis="y")
        axes.legend(
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=4,
            columnspacing=1.2,
            handlelength=1.8,
        )

    return drawn(f"by-{axis.replace('_', '-')}", draw)


def _short(value: str) -> str:
    return re.sub(r"-1e\+0?6$|-1000000$", "+", value)


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
