"""Figures of completeness for papers: PDF with embedded fonts, and PNG of 300 dots an inch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.selection import plots
from classifiers.selection.plots import PRINT, Series
from data.files import replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN = 3.5
"""Width of a journal's column, inches."""
PAGE = 12
"""Panels of one figure at most."""
STYLE: Any = {
    "font.size": 8.5,
    "font.family": "DejaVu Sans",
    "pdf.fonttype": 42,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
}

Draw = Callable[["Axes"], None]


def save(
    stem: Path, draws: Sequence[Draw], height: float, columns: int = 2, legend: bool = False
) -> list[Path]:
    """Panels as one figure in `stem`.pdf and .png; returns the files. The same drawing gives the
    same bytes. height: of a panel, inches. legend: whether that of the first panel stands above
    all of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(columns, len(draws))
    rows = -(-len(draws) // columns)
    with matplotlib.rc_context(STYLE):
        size = (COLUMN * columns, height * rows)
        figure, grid = pyplot.subplots(
            rows, columns, figsize=size, layout="constrained", squeeze=False
        )
        for axes, draw in zip(grid.ravel(), draws):
            draw(axes)
        if legend:
            known = grid[0, 0].get_legend_handles_labels()
            figure.legend(*known, loc="outside upper center", ncols=2 * columns)
        for axes in grid.ravel()[len(draws) :]:
            axes.set_axis_off()
        return written(figure, stem)


def written(figure: Figure, stem: Path, dots: int = 300) -> list[Path]:
    """Writes a figure of pyplot to `stem`.pdf and .png without dates or names of programs, and
    closes it; returns the files. To be called in the figure's own style. dots: of the PNG, an
    inch."""
    from matplotlib import pyplot

    files = []
    for kind, about in (
        (".pdf", {"CreationDate": None, "Creator": None, "Producer": None}),
        (".png", {"Software": None}),
    ):
        files.append(stem.with_name(f"{stem.name}{kind}"))
        with replacing(files[-1]) as temporary:
            figure.savefig(temporary, format=kind[1:], dpi=dots, metadata=about)
    pyplot.close(figure)
    return files


def marginals(
    table: pd.DataFrame,
    axes: Sequence[Mapping[str, Any]],
    thresholds: Sequence[str],
    stem: Path,
) -> list[Path]:
    """Completeness along every axis that has several cells, a panel each, with 95 %
    intervals. table: of `classifiers.audit.completeness.marginals`."""
    shown = [a for a in axes if table[table["axis"] == a["name"]]["value"].nunique() > 1]
    series = {a["name"]: plots.of_marginals(table, a["name"], thresholds) for a in shown}
    draws = [_panel(series[a["name"]], plots.title(a)) for a in shown]
    return save(stem, draws, 2.6, legend=True) if draws else []


def _panel(series: Sequence[Series], label: str) -> Draw:
    return lambda axes: plots.along(axes, series, label, PRINT)


def maps(whole: pd.DataFrame, axes: Sequence[Mapping[str, Any]], stem: Path) -> list[Path]:
    """Maps of completeness in percent over two axes, a panel for each combination of the others;
    insufficient cells are hatched. More than `PAGE` panels become several figures, -2, -3, ...
    whole: a line for every cell at one threshold."""
    layout = plots.panels(whole, axes)
    if layout is None:
        return []
    draws = [_map(label, part, layout) for label, part in layout.maps]
    height = 1.4 + 0.3 * whole[layout.up["name"]].nunique()
    files = []
    for number, start in enumerate(range(0, len(draws), PAGE), 1):
        name = stem if number == 1 else stem.with_name(f"{stem.name}-{number}")
        files += save(name, draws[start : start + PAGE], height)
    return files


def _map(label: str, part: pd.DataFrame, layout: plots.Panels) -> Draw:
    def draw(axes: Axes) -> None:
        plots.completeness_map(axes, part, layout.across, layout.up, layout.top, PRINT)
        axes.set_title(f"completeness in %\n{label}", fontsize=8.5)

    return draw
