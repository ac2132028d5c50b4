"""The tables of an ensemble drawn, besides those that `evaluation.plots` draws."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from classifiers.ensembles.combining import COMBINED
from classifiers.evaluation import plots
from classifiers.selection.figures import Draw, save
from classifiers.selection.plots import PRINT
from data.cutouts import read_npz
from data.files import replacing
from data.survey import Survey
from lensjax.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 48
"""Suspects of a gallery, and of one row."""
ACROSS = 8


def draw(tables: Mapping[str, pd.DataFrame], out: Path) -> list[Path]:
    """Draws `selective` (risk against coverage), `yields` (lenses against objects inspected),
    `uncertainty` (share of wrong objects by the members' spread), and what `evaluation.plots`
    draws; returns the files."""
    files = plots.draw(tables, out)
    panels = {"selective": _selective, "uncertainty": _uncertainty, "yields": _yields}
    for name, make in panels.items():
        if name in tables and (drawn := make(tables[name])):
            files += save(out / name, drawn, 2.9)
    return files


def _selective(table: pd.DataFrame) -> list[Draw]:
    good = table[table["status"] == "ok"]

    def panel(value: str, label: str) -> Draw:
        def draw(axes: Axes) -> None:
            for i, (of, part) in enumerate(good.groupby(["finder", "by"], sort=False)):
                x, y = (part[c].to_numpy(np.float64) for c in ("coverage", value))
                plots.series(axes, i, x, y, f"{of[0]}, by {of[1]}", marks=False)
                if value == "value":
                    low, high = (part[c].to_numpy(np.float64) for c in ("lo95", "hi95"))
                    axes.fill_between(x, low, high, color=PRINT.series[i], alpha=0.15, linewidth=0)
            axes.set(xlabel="coverage, surest objects first", ylabel=label, xlim=(0, 1))
            axes.set_ylim(0, None if value == "value" else 1.02)
            axes.grid()
            axes.legend(loc="best", fontsize=7)

        return draw

    risk = panel("value", "risk (share wrong)")
    return [risk, panel("recall", "recall of covered lenses")] if len(good) else []


def _uncertainty(table: pd.DataFrame) -> list[Draw]:
    good = table[(table["status"] == "ok") & (table["part"] != "auc")]

    def draw(axes: Axes) -> None:
        for i, (name, part) in enumerate(good.groupby("finder", sort=False)):
            x = part["part"].astype(float).to_numpy() + 0.1 * i - 0.05
            y = part["value"].to_numpy(np.float64)
            plots.bars(axes, i, x, y, part)
            plots.series(axes, i, x, y, str(name), marks=True)
        axes.set(xlabel="fifth of the objects by the members' spread", ylabel="share wrong")
        axes.set_ylim(0, None)
        axes.grid()
        axes.legend(loc="best")

    return [draw] if len(good) else []


def _yields(table: pd.DataFrame) -> list[Draw]:
    # The combined finders come first: they are what is asked about.
    ours = table["finder"].isin(COMBINED)
    ordered = pd.concat([table[ours], table[~ours]])
    return plots.by_budget(ordered, "finder", value="lenses", label="lenses among them")


def gallery(suspects: pd.DataFrame, manifest: pd.DataFrame, run: Path, out: Path, s: Survey) -> int:
    """`suspects.png`: pictures of the first suspects with their probabilities, from the cutouts of
    a run directory; returns how many. manifest: galaxy_id and cutout_path, relative to the run.
    Raises InputError, with the path, for a cutout that cannot be read."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from classifiers.report.images import rgb

    first = suspects.head(SHOWN)
    paths = manifest.set_index("galaxy_id")["cutout_path"]
    if missing := [i for i in first["id"] if i not in paths.index]:
        raise InputError(f"{run}: the manifest has no cutout of {missing[0]}")
    rows = -(-len(first) // ACROSS)
    if not rows:
        return 0
    figure, grid = pyplot.subplots(
        rows, ACROSS, figsize=(ACROSS, 1.3 * rows), squeeze=False, layout="constrained"
    )
    for axes in grid.ravel():
        axes.set_axis_off()
    for axes, row in zip(grid.ravel(), first.to_dict("records")):
        axes.imshow(rgb(read_npz(run / paths[row["id"]])[0], s))
        axes.set_title(f"{row['id']}\n{row['probability']:.2f}, {row['action']}", fontsize=5)
    with replacing(out / "suspects.png") as temporary:
        figure.savefig(temporary, format="png", dpi=200, metadata={"Software": None})
    pyplot.close(figure)
    return len(first)
