"""Several finders on the page: what each finds of the same injections, what only it finds, and in
what the shapes of their completeness agree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.report.collect import Run
from classifiers.report.drawing import DASHES, MARKERS, SERIES, drawn, errors
from classifiers.report.page import Figures, Section, Table, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

OPEN = r"-1e\+0?6$|-1000000$"
"""How the name of a bin without an upper end ends."""
SHOWN = ("look", "measure", "finder", "other", "share", "lo95", "hi95", "n", "k", "status")


def section(run: Run) -> list[Section]:
    """The section, where several finders were asked."""
    table = run.table("finders", ["look", "measure", "finder", "share", "axis", "value"])
    if not run.audit or table is None or not run.audit.get("finders"):
        return []
    found = run.audit["finders"]
    words = [
        "All finders scored the same stamps. A score of one finder is no score of another: at the "
        "looks called hosts_fpr every finder has the threshold that this share of the hosts "
        "passes without an arc, so that all pay the same price. Intervals (95 %) are by hosts.",
        *found["shapes"],
        *(f"Not compared at {name}: {why}." for name, why in found["refused"].items()),
    ]
    blocks: list[Any] = [Words(words)]
    looks = [found["look"], *(n for n in dict.fromkeys(table["look"]) if n.startswith("hosts_fpr"))]
    shown = []
    for axis in run.audit["axes"]:
        own = table[(table["axis"] == axis["name"]) & (table["measure"] == "finder")]
        for look in looks:
            part = own[own["look"] == look]
            if part["value"].nunique() > 1:
                title = f"{axis['label']}, {axis['unit']}" if axis["unit"] else axis["label"]
                alt = f"Completeness of every finder against {title}, {look}"
                caption = f"{look}, with 95 % intervals by hosts; hollow: insufficient."
                shown.append((alt, figure(part, f"{axis['name']}-{look}", title), caption))
    if shown:
        blocks.append(Figures(shown))
    every = table[(table["axis"] == "all") & table["share"].notna()]
    caption = (
        "What finders find together and alone, of all injections. unique: found by no other; "
        "overlap: found by both of what either finds; also: what the other finds of what it finds"
    )
    columns = [c for c in SHOWN if c in every]
    blocks.append(Table("finders_together", caption, every[columns]))
    blocks.append(Table("finders", "The same in every bin", table, folded=True))
    shape = run.table("finder_shapes")
    if shape is not None:
        caption = (
            "Shapes of the completeness along every axis, in log odds: what is common to all "
            "finders, and each finder's own"
        )
        blocks.append(Table("finder_shapes", caption, shape, folded=True))
    return [Section("finders", "Finders together", blocks)]


def figure(table: pd.DataFrame, name: str, label: str) -> str:
    """Completeness of every finder along an axis."""
    values = list(dict.fromkeys(table["value"]))
    finders = list(dict.fromkeys(table["finder"]))[:4]

    def draw(axes: Axes) -> None:
        for i, finder in enumerate(finders):
            own = table[(table["finder"] == finder) & (table["n"] > 0)]
            x = np.array([values.index(v) for v in own["value"]])
            x = x + 0.12 * (i - (len(finders) - 1) / 2)
            axes.errorbar(
                x,
                own["share"],
                yerr=errors(own, "share", "lo95", "hi95"),
                color=SERIES[i],
                ecolor=SERIES[i],
                linestyle=DASHES[i],
                linewidth=1,
                elinewidth=1.2,
                label=finder,
            )
            for filled in (True, False):
                part = (own["status"] == "sufficient").to_numpy() == filled
                face = SERIES[i] if filled else "none"
                axes.plot(
                    x[part],
                    own["share"].to_numpy()[part],
                    MARKERS[i],
                    color=SERIES[i],
                    markerfacecolor=face,
                )
        axes.set_xticks(range(len(values)), [re.sub(OPEN, "+", str(v)) for v in values])
        axes.set(xlabel=label, ylabel="completeness", ylim=(0, None))
        axes.grid(axis="y")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)

    return drawn(f"finders-{name}".replace("_", "-").replace(".", "-"), draw)
