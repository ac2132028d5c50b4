"""The tables of `judging` drawn: each figure as PDF and PNG, named as the CSV beside it.

Scikit-learn's displays draw what is passed to them, and pROC puts the interval on the curve; here
the tables are the data, so that a figure shows nothing that its CSV does not hold, and intervals
stand at the rates that have one. Series differ in colour (Okabe & Ito 2008), dashes and markers,
parts of bars in colour and hatching, so that no figure needs its colours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from classifiers.evaluation.composition import LENS
from classifiers.evaluation.diagrams import TOP
from classifiers.evaluation.figures import RATES
from classifiers.selection.figures import Draw, save
from classifiers.selection.plots import DASHES, MARKERS, MOST, PRINT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FLOOR = 1e-4
"""Lowest false-positive rate of the axis."""
PARTS = (*PRINT.series, "#56b4e9", "#e69f00", "#f0e442")
HATCHES = ("", "//", "\\\\", "..", "xx", "--", "||")
"""Hatches of the parts of a bar; colours and hatches are as many as a bar has kinds at most."""


def draw(tables: Mapping[str, pd.DataFrame], out: Path) -> list[Path]:
    """Draws what the tables of `judging` have into the folder; returns the files. Without rows that
    have a value there is no figure."""
    makers: dict[str, Callable[[], list[Draw]]] = {
        "reliability": lambda: _reliability(tables["reliability"], "finder"),
        "calibrated_reliability": lambda: [
            panel
            for name, own in tables["calibrated_reliability"].groupby("finder", sort=False)
            for panel in _reliability(own, "when", f"{name}, ")
        ],
        "roc": lambda: _roc(tables["roc"], tables["figures"]),
        "precision_recall": lambda: _precision_recall(tables["precision_recall"]),
        "budgets": lambda: by_budget(tables["budgets"], "finder"),
        "lists": lambda: [
            panel
            for name, own in tables["lists"].groupby("finder", sort=False)
            for panel in by_budget(own, "scenario", str(name))
        ],
        "composition": lambda: _composition(tables["composition"]),
    }
    files = []
    for name, make in makers.items():
        if name in tables and len(tables[name]) and (panels := make()):
            columns = len(TOP) if "reliability" in name else 2
            height = 2.9 if name != "composition" else 1.6 + 0.32 * _bars(tables[name])
            files += save(out / name, panels, height, columns)
    return files


def series(axes: Axes, i: int, x: np.ndarray, y: np.ndarray, name: str, marks: bool) -> None:
    """The i-th line of a panel."""
    axes.plot(
        x,
        y,
        color=PRINT.series[i],
        linestyle=DASHES[i],
        marker=MARKERS[i] if marks else None,
        linewidth=1.3,
        label=name,
    )


def bars(axes: Axes, i: int, x: np.ndarray, y: np.ndarray, table: pd.DataFrame) -> None:
    """The 95 % intervals of the i-th line's points."""
    ends = [table[c].to_numpy(np.float64) for c in ("lo95", "hi95")]
    length = np.clip([y - ends[0], ends[1] - y], 0, None)
    axes.errorbar(x, y, length, fmt="none", ecolor=PRINT.series[i], elinewidth=0.9)


def grouped(table: pd.DataFrame, by: str) -> list[list[tuple[str, pd.DataFrame]]]:
    """Rows of each value of a column, in lots of as many as a panel shows."""
    own = [(str(name), part) for name, part in table.groupby(by, sort=False)]
    return [own[i : i + MOST] for i in range(0, len(own), MOST)]


def _reliability(table: pd.DataFrame, by: str, title: str = "") -> list[Draw]:
    """A panel for every scope; where nothing can be drawn it says why."""

    def panel(scope: str, own: Sequence[tuple[str, pd.DataFrame]]) -> Draw:
        def draw(axes: Axes) -> None:
            axes.plot([0, 1], [0, 1], color=PRINT.faint, linestyle=":", linewidth=1)
            low = 1.0
            for i, (name, part) in enumerate(own):
                good = part[part["status"] == "ok"]
                x, y = (good[c].to_numpy(np.float64) for c in ("mean_score", "fraction_lenses"))
                bars(axes, i, x, y, good)
                series(axes, i, x, y, name, marks=True)
                low = min([low, *x, *good["lo95"]])
                why = "\n".join(part["status"][part["status"] != "ok"].str.replace(", ", ",\n"))
                if why:
                    at = (0.5, 0.62 - 0.2 * i)
                    axes.text(
                        *at, f"{name}\n{why}", fontsize=7, transform=axes.transAxes, ha="center"
                    )
            low = 0.0 if scope == "all" or low == 1 else low
            limits = (low - 0.03 * (1 - low), 1 + 0.03 * (1 - low))
            axes.set(
                title=f"{title}{scope}",
                xlabel="mean score of the bin",
                ylabel="fraction of lenses",
                xlim=limits,
                ylim=limits,
            )
            axes.locator_params(nbins=5)
            axes.grid()
            axes.legend(loc="best")

        return draw

    panels = []
    for lot in grouped(table, by):
        for scope in TOP:
            panels.append(panel(scope, [(n, part[part["scope"] == scope]) for n, part in lot]))
    return panels if (table["status"] == "ok").any() else []


def _roc(table: pd.DataFrame, figures: pd.DataFrame) -> list[Draw]:
    def panel(own: Sequence[tuple[str, pd.DataFrame]]) -> Draw:
        def draw(axes: Axes) -> None:
            axes.plot([FLOOR, 1], [FLOOR, 1], color=PRINT.faint, linestyle=":", linewidth=1)
            for i, (name, part) in enumerate(own):
                rate = np.r_[0.0, part["false_positive_rate"].to_numpy(np.float64)]
                recall = np.r_[0.0, part["recall"].to_numpy(np.float64)]
                x, y = _thinned(np.maximum(rate, FLOOR), recall)
                series(axes, i, x, y, name, marks=False)
                at = figures[(figures["finder"] == name) & figures["metric"].isin(RATES)]
                at = at[at["status"] == "ok"]
                if len(at):
                    x = at["metric"].map(RATES).to_numpy(np.float64) * 1.06 ** (i - 1)
                    bars(axes, i, x, at["value"].to_numpy(np.float64), at)
                    axes.plot(x, at["value"], MARKERS[i], color=PRINT.series[i])
            axes.set(
                xscale="log",
                xlim=(FLOOR, 1),
                ylim=(0, 1.02),
                xlabel="false-positive rate",
                ylabel="recall",
            )
            axes.grid()
            axes.legend(loc="best")

        return draw

    return [panel(own) for own in grouped(table, "finder")]


def _precision_recall(table: pd.DataFrame) -> list[Draw]:
    def panel(own: Sequence[tuple[str, pd.DataFrame]]) -> Draw:
        def draw(axes: Axes) -> None:
            for i, (name, part) in enumerate(own):
                x, y = part["recall"].to_numpy(np.float64), part["precision"].to_numpy(np.float64)
                kept = np.unique(np.linspace(0, len(x) - 1, 1500).astype(int))
                series(axes, i, x[kept], y[kept], name, marks=False)
            axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
            axes.grid()
            axes.legend(loc="best")

        return draw

    return [panel(own) for own in grouped(table, "finder")]


def by_budget(
    table: pd.DataFrame, by: str, title: str = "", value: str = "purity", label: str = "purity"
) -> list[Draw]:
    """A column against the objects inspected, a line for each value of the column `by`; purities
    have an axis to 1."""

    def panel(own: Sequence[tuple[str, pd.DataFrame]]) -> Draw:
        def draw(axes: Axes) -> None:
            for i, (name, part) in enumerate(own):
                x, y = (part[c].to_numpy(np.float64) for c in ("budget", value))
                bars(axes, i, x, y, part)
                series(axes, i, x, y, name, marks=True)
            axes.set(xscale="log", xlabel="objects inspected", ylabel=label, title=title)
            axes.set_ylim(0, 1.02 if value == "purity" else None)
            axes.grid()
            axes.legend(loc="best")

        return draw

    good = table[table["status"] == "ok"].sort_values("budget", kind="stable")
    return [panel(own) for own in grouped(good, by)] if len(good) else []


def _bars(table: pd.DataFrame) -> int:
    return len(table[["scenario", "budget"]].drop_duplicates())


def _composition(table: pd.DataFrame) -> list[Draw]:
    """A bar for every list; what no kind with enough examples accounts for is left white."""
    order = table.groupby("kind")["fraction"].mean().sort_values(ascending=False)
    kinds = [LENS, *(k for k in order.index if k != LENS)]
    shown = kinds if len(kinds) <= len(PARTS) else [*kinds[: len(PARTS) - 1], "other kinds"]

    def panel(finder: str, own: pd.DataFrame) -> Draw:
        def draw(axes: Axes) -> None:
            named = own["kind"].where(own["kind"].isin(shown), "other kinds")
            part = own.assign(kind=named).pivot_table(
                index=["scenario", "budget"],
                columns="kind",
                values="fraction",
                aggfunc="sum",
                sort=False,
            )
            start, y = np.zeros(len(part)), np.arange(len(part))[::-1]
            for i, kind in enumerate(shown):
                width = part[kind].fillna(0).to_numpy() if kind in part else np.zeros(len(part))
                axes.barh(
                    *(y, width, 0.7, start),
                    color=PARTS[i],
                    hatch=HATCHES[i],
                    edgecolor="#ffffff",
                    linewidth=0.5,
                    label=kind.replace("_", " "),
                )
                start += width
            axes.barh(y, 1, 0.7, fill=False, edgecolor=PRINT.faint, linewidth=0.7)
            axes.set_yticks(y, [f"{scenario}, {k}" for scenario, k in part.index])
            axes.set(xlim=(0, 1.0), xlabel=f"share of the list ({finder})")
            axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), fontsize=7)

        return draw

    return [panel(str(name), own) for name, own in table.groupby("finder", sort=False)]


def _thinned(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """The last point of each 400th of a decade: no eye sees more, and files stay small."""
    place = np.round(400 * np.log10(x)).astype(int)
    last = np.flatnonzero(np.append(place[1:] != place[:-1], True))
    return x[last], y[last]
