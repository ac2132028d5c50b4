"""The tables of channels drawn: each figure as PDF and PNG, named as the CSV beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from classifiers.evaluation import plots
from classifiers.selection.figures import STYLE, Draw, save, written
from classifiers.selection.plots import PRINT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = 24
"""Combinations that an UpSet plot shows."""


def draw(tables: Mapping[str, pd.DataFrame], out: Path) -> list[Path]:
    """Draws `combinations` (UpSet), `overlap` (Jaccard), `dependence` and `apart`; returns the
    files."""
    files = upset(tables["combinations"], out / "combinations")
    names = list(tables["combinations"].columns[2:])
    own = tables["overlap"]
    shares = {"value": "Jaccard's index in %", "shared_sky": "the same, of the shared sky"}
    panels = [_matrix(own, names, column, title) for column, title in shares.items()]
    files += save(out / "overlap", panels, _height(names), 1)
    if "dependence" in tables and len(tables["dependence"]):
        files += save(out / "dependence", *_dependence(tables["dependence"]))
    if "apart" in tables and (tables["apart"]["status"] == "ok").any():
        own = tables["apart"][tables["apart"]["status"] == "ok"]
        there = [n for n in names if n in {*own["first"], *own["second"]}]
        panel = _matrix(own, there, "accuracy", "accuracy in % (coin: 50)", 0.5)
        files += save(out / "apart", [panel], _height(there), 1)
    return files


def upset(table: pd.DataFrame, stem: Path) -> list[Path]:
    """UpSet plot (Lex et al. 2014) of a table of combinations: below, a filled dot for every
    channel of a combination; above, its number of objects on a logarithmic axis; at the left, the
    size of each channel. The largest combinations are shown, and the rest is counted in words."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(table.columns[2:])
    totals = (table[names].to_numpy() * table["number"].to_numpy()[:, None]).sum(axis=0)
    order = np.argsort(totals)
    names, totals = [names[i] for i in order], totals[order]
    shown = table.head(BARS)
    with matplotlib.rc_context(STYLE):
        size = (1.9 + 0.2 * len(shown) + 1.8, 2.1 + 0.23 * len(names))
        figure, grid = pyplot.subplots(
            *(2, 2),
            figsize=size,
            width_ratios=(1.4, max(0.2 * len(shown), 1)),
            height_ratios=(1.9, max(0.23 * len(names), 0.5)),
            layout="constrained",
        )
        (corner, above), (left, dots) = grid
        corner.set_axis_off()
        x, y = np.arange(len(shown)), np.arange(len(names))
        above.bar(x, shown["number"], 0.7, color=PRINT.series[0])
        for i, n in enumerate(shown["number"]):
            above.text(i, 1.15 * n, f"{n}", ha="center", va="bottom", rotation=90, fontsize=6.5)
        above.set(yscale="log", ylabel="objects", xlim=(-0.6, len(shown) - 0.4))
        above.set_ylim(0.7, 8 * shown["number"].max())
        above.set_xticks([])
        above.spines["bottom"].set_visible(False)
        _dots(dots, shown, names)
        left.barh(y, totals, 0.6, color=PRINT.ink)
        for i, n in enumerate(totals):
            left.text(n * 1.15, i, f"{n}", ha="right", va="center", fontsize=6.5)
        left.set(xscale="log", ylim=(-0.6, len(names) - 0.4), xlabel="objects of the list")
        left.set_xlim(20 * totals.max(), 0.7)
        left.set_yticks([])
        left.spines["left"].set_visible(False)
        rest = table["number"].iloc[BARS:]
        if len(rest):
            words = f"{len(rest)} more combinations\nwith {rest.sum()} objects"
            above.text(1, 1, words, ha="right", va="top", fontsize=7, transform=above.transAxes)
        return written(figure, stem, 200)


def _dots(axes: Axes, shown: pd.DataFrame, names: list[str]) -> None:
    for row in range(0, len(names), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#f0f0f0", zorder=0)
    for i, line in enumerate(shown[names].to_numpy()):
        places = np.arange(len(names))
        axes.scatter(np.full(len(names), i), places, s=14, color="#d0d0d0", zorder=1)
        own = places[line > 0]
        axes.plot(np.full(len(own), i), own, "o-", color=PRINT.ink, markersize=4, linewidth=1.4)
    axes.set(xlim=(-0.6, len(shown) - 0.4), ylim=(-0.6, len(names) - 0.4))
    axes.set_xticks([])
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _height(names: list[str]) -> float:
    """Height of a matrix, inches."""
    return 0.9 + 0.17 * len(names)


def _matrix(table: pd.DataFrame, names: list[str], value: str, title: str, low: float = 0) -> Draw:
    """A triangle of percentages, a cell for each pair; a dash where there are too few objects.
    Columns have the numbers of the rows."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    numbers = pd.to_numeric(table[value], errors="coerce").to_numpy(np.float64)
    top = max(np.nanmax(np.append(numbers, low)), low + 1e-9)

    def draw(axes: Axes) -> None:
        for first, second, v in zip(table["first"], table["second"], numbers):
            i, j = sorted((names.index(first), names.index(second)))
            text, colour = "–", PRINT.faint
            if np.isfinite(v):
                part = min(max((v - low) / (top - low), 0), 1)
                face = colormaps["cividis"](0.05 + 0.95 * part)
                axes.add_patch(
                    Rectangle((i - 0.5, j - 0.5), 1, 1, facecolor=face, edgecolor="#ffffff")
                )
                text = "0" if v == 0 else "<1" if v < 0.005 else f"{100 * v:.0f}"
                colour = "#ffffff" if part < 0.55 else "#000000"
            axes.text(i, j, text, ha="center", va="center", fontsize=5.5, color=colour)
        axes.set_xlim(-0.5, len(names) - 1.5)
        axes.set_title(title, fontsize=8)
        axes.set_xticks(range(len(names) - 1), [str(i) for i in range(1, len(names))], fontsize=6)
        axes.set_yticks(range(len(names)), [f"{n} {i}" for i, n in enumerate(names, 1)], fontsize=6)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(length=0)

    return draw


def _dependence(table: pd.DataFrame) -> tuple[list[Draw], float, int]:
    """Panels, a row for each feature; their height; how many are in a row."""

    def panel(feature: str, lot: list[tuple[str, pd.DataFrame]]) -> Draw:
        def draw(axes: Axes) -> None:
            own = table[table["feature"] == feature]
            numbers = pd.to_numeric(own["at"], errors="coerce")
            kinds = [] if numbers.notna().all() else list(dict.fromkeys(own["at"]))
            for i, (name, whole) in enumerate(lot):
                part = whole[whole["feature"] == feature]
                at = part["at"].map({k: n for n, k in enumerate(kinds)}) if kinds else part["at"]
                x, y, low, high = (
                    np.asarray(v, np.float64)
                    for v in (at, part["probability"], part["low"], part["high"])
                )
                axes.fill_between(x, low, high, color=PRINT.series[i], alpha=0.15, linewidth=0)
                plots.series(axes, i, x, y, name, marks=True)
            if kinds:
                axes.set_xticks(range(len(kinds)), [str(k) for k in kinds])
            axes.set(xlabel=feature, ylabel="P(in the list)")
            axes.set_ylim(0, None)
            axes.grid()
            axes.legend(loc="best", fontsize=6.5)

        return draw

    lots = plots.grouped(table, "channel")
    panels = [panel(f, lot) for f in dict.fromkeys(table["feature"]) for lot in lots]
    return panels, 2.4, len(lots)
