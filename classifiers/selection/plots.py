"""What figures of completeness show, drawn on axes of matplotlib in any colours: the report's page
and the files for a paper have the same content."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from classifiers.audit.axes import stem_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")
MOST = 4
"""Thresholds, or selection functions, that one panel shows."""


@dataclass(frozen=True)
class Palette:
    """Colours: of text, of lines that stand back, and of series."""

    ink: str
    faint: str
    series: tuple[str, ...]


PRINT = Palette("#000000", "#808080", ("#0072b2", "#d55e00", "#009e73", "#cc79a7"))
"""For paper; the series are those of Okabe & Ito (2008), which colour-blind people tell apart."""


class Panels(NamedTuple):
    """How a table of cells is laid out in maps: the axes across and up, and for every combination
    of the cells of the others the combination in words, and its lines. top: completeness that the
    colours reach."""

    across: Mapping[str, Any]
    up: Mapping[str, Any]
    maps: list[tuple[str, pd.DataFrame]]
    top: float


def title(axis: Mapping[str, Any]) -> str:
    """Label and unit of an axis (name, label, unit, kind)."""
    return f"{axis['label']}, {axis['unit']}" if axis["unit"] else str(axis["label"])


def panels(whole: pd.DataFrame, axes: Sequence[Mapping[str, Any]]) -> Panels | None:
    """Maps over the first two axes of the grid that have several cells, one for each combination of
    the others; None where the grid has one axis only. whole: a line for every cell. axes: with
    name, label, unit and kind."""
    own = [axis for axis in axes if axis["kind"] != "measured"]
    if len(own) < 2:
        return None
    wide = [axis for axis in own if whole[axis["name"]].nunique() > 1]
    across, up = [*wide, *(axis for axis in own if axis not in wide)][:2]
    others = [axis for axis in own if axis not in (across, up)]
    best = whole[whole["status"] == "sufficient"]["completeness"].max()
    top = max(0.25, float(np.ceil(4 * best) / 4)) if best == best else 1.0
    groups: Any = whole.groupby([a["name"] for a in others]) if others else [((), whole)]
    named = [
        (", ".join(_cell(axis, part.iloc[0]) for axis in others) or "all hosts", part)
        for _, part in groups
    ]
    return Panels(across, up, named, top)


def _cell(axis: Mapping[str, Any], row: Any) -> str:
    """The cell of an axis that a line of the table is about, in words."""
    stem = stem_of(axis["name"])
    unit = f" {axis['unit']}" if axis["unit"] else ""
    if f"{stem}_lo" in row:
        return f"{axis['label']} {row[f'{stem}_lo']:.2f} to {row[f'{stem}_hi']:.2f}{unit}"
    return f"{axis['label']} {row[axis['name']]}{unit}"


def completeness_map(
    axes: Axes,
    cells: pd.DataFrame,
    across: Mapping[str, Any],
    up: Mapping[str, Any],
    top: float,
    palette: Palette,
) -> None:
    """Completeness in percent over two axes (name, label, unit), colours from 0 to `top`;
    insufficient cells are hatched and give their number instead."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    columns, lines = (list(dict.fromkeys(cells[a["name"]].sort_values())) for a in (across, up))
    found = {(r[across["name"]], r[up["name"]]): r for r in cells.to_dict("records")}
    text_of = lambda value: value if isinstance(value, str) else f"{value:.4g}"
    colours = colormaps["viridis"]
    small = len(columns) > 8
    for j, line in enumerate(lines):
        for i, column in enumerate(columns):
            cell = found[column, line]
            good = cell["status"] == "sufficient"
            colour = colours(0.08 + 0.9 * cell["completeness"] / top)
            axes.add_patch(
                Rectangle(
                    (i - 0.5, j - 0.5),
                    1,
                    1,
                    facecolor=colour if good else "none",
                    edgecolor=palette.faint,
                    linewidth=0.5,
                    hatch=None if good else "////",
                )
            )
            text = f"{100 * cell['completeness']:.0f}" if good else f"n={cell['n']}"
            bright = readable_on(colour[:3]) if good else palette.ink
            axes.text(
                i,
                j,
                text,
                ha="center",
                va="center",
                color=bright,
                fontsize=6.5 if small else (9 if good else 7),
            )
    axes.set(
        xlim=(-0.5, len(columns) - 0.5),
        ylim=(-0.5, len(lines) - 0.5),
        xlabel=title(across),
        ylabel=title(up),
    )
    axes.set_xticks(range(len(columns)), [text_of(value) for value in columns])
    axes.set_yticks(range(len(lines)), [text_of(value) for value in lines])
    axes.tick_params(length=0)


def readable_on(colour: Sequence[float]) -> str:
    """White or black, whichever has the larger contrast to a colour (red, green, blue up to 1) by
    the definition of WCAG 2; it is at least 4.58."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colour]
    luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear))
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"


class Series(NamedTuple):
    """One line of a panel: its name in the legend, and by cell (n,) the cell's name, completeness,
    ends of the interval, and whether the marker is filled."""

    name: str
    cells: Sequence[str]
    value: Float[np.ndarray, " n"]
    ends: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]
    filled: np.ndarray


def of_marginals(table: pd.DataFrame, axis: str, thresholds: Sequence[str]) -> list[Series]:
    """Completeness along one axis for several thresholds, with 95 % intervals by hosts and
    with the threshold's own uncertainty; not filled where there are too few injections."""
    made = []
    for name in thresholds[:MOST]:
        own = (table["axis"] == axis) & (table["threshold_name"] == name) & (table["n"] > 0)
        rows = table[own]
        numbers = {c: rows[c].to_numpy(float) for c in ("completeness", *_ENDS)}
        made.append(
            Series(
                in_words(name),
                [str(v) for v in rows["value"]],
                numbers["completeness"],
                (numbers[_ENDS[0]], numbers[_ENDS[1]]),
                (rows["status"] == "sufficient").to_numpy(),
            )
        )
    return made


_ENDS = ("lo95_total", "hi95_total")


def in_words(threshold: str) -> str:
    """The name of a threshold as a legend says it: p0.5 is "score > 0.5", fpr0.01 is "FPR 1 %"."""
    if threshold.startswith("fpr"):
        return f"FPR {100 * float(threshold.removeprefix('fpr')):g} %"
    return f"score > {threshold.removeprefix('p')}"


def along(axes: Axes, series: Sequence[Series], label: str, palette: Palette) -> None:
    """Completeness along one axis, the series beside one another."""
    places: dict[str, int] = {}
    for i, one in enumerate(series):
        for value in one.cells:
            places.setdefault(value, len(places))
        x = np.array([places[v] for v in one.cells]) + 0.12 * (i - (len(series) - 1) / 2)
        colour = palette.series[i]
        bars = np.clip([one.value - one.ends[0], one.ends[1] - one.value], 0.0, None)
        axes.errorbar(x, one.value, bars, fmt="none", ecolor=colour, elinewidth=1.0)
        line: Any = {"color": colour, "linestyle": DASHES[i], "linewidth": 1}
        axes.plot(x, one.value, **line)
        axes.plot([], [], **line, marker=MARKERS[i], label=one.name)  # what a legend shows
        for filled in (True, False):
            part = one.filled == filled
            face = colour if filled else "none"
            axes.plot(x[part], one.value[part], MARKERS[i], color=colour, markerfacecolor=face)
    axes.set_xticks(range(len(places)), [short(v) for v in places])
    axes.set(xlabel=label, ylabel="completeness", ylim=(0, None))
    axes.grid(axis="y")


def short(value: str) -> str:
    """The name of a cell; of the last open bin only where it begins."""
    return re.sub(r"-1e\+0?6$|-1000000$", "+", value)
