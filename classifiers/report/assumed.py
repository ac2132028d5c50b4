"""What was assumed, on the page: the change of completeness under every treatment, what missed arcs
lack, and why they were missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from classifiers.report.collect import Run
from classifiers.report.drawing import FAINT, INK, MARKERS, SERIES, drawn, errors
from classifiers.report.page import Figures, Table, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

KINDS = ("assumption", "perturbation", "finder", "population")
SHOWN = (
    "treatment",
    "kind",
    "sentence",
    "change",
    "lo95",
    "hi95",
    "gained",
    "lost",
    "mcnemar_p",
    "status",
)


def assumptions(run: Run) -> list[Any]:
    """Treatments with their figure, counterfactuals, and the causes of misses."""
    if not run.audit:
        return [Words(["No audit in this run (`lensjax audit`)."])]
    blocks: list[Any] = []
    table = run.table("treatments", ["treatment", "kind", "change", "status", "axis"])
    if table is None:
        blocks.append(Words(["The audit was asked for no treatments, so nothing is said here."]))
    else:
        blocks += _treatments(table)
    changes = run.table("counterfactuals", ["search", "parameter", "change", "found"])
    if changes is not None:
        caption = (
            "The smallest change with which the finder finds each of some missed arcs: each "
            "parameter alone, and all together (norm in standard deviations of what occurs)"
        )
        blocks.append(Table("counterfactuals", caption, changes, folded=True))
    causes = run.table("causes", ["cause", "n", "share"])
    if causes is not None:
        caption = "Missed arcs by the first cause that holds"
        blocks.append(Table("causes", caption, causes))
    return blocks


def _treatments(table: pd.DataFrame) -> list[Any]:
    overall = table[table["axis"] == "all"]
    done = overall[overall["status"] == "done"]
    blocks: list[Any] = [
        Words(
            [
                "Each treatment changes one assumption and keeps hosts, geometry and random keys. "
                "The change of completeness is in percentage points; its 95 % interval is by "
                "hosts. Gained and lost count injections of the sample, and p is that of the exact "
                "McNemar test. The systematic interval is the range over the treatments of kind "
                "assumption; other populations, perturbations and the finder's own settings are no "
                "part of it."
            ]
        )
    ]
    if len(done):
        caption = "Change of completeness, percentage points, with 95 % intervals by hosts."
        alt = "Change of completeness per treatment: " + ", ".join(
            f"{name} {change:+.1f}" for name, change in zip(done["treatment"], done["change"])
        )
        blocks.append(Figures([(alt, figure(done), caption)]))
    shown = [c for c in SHOWN if c in overall]
    blocks.append(Table("treatments", "One assumption changed at a time", overall[shown]))
    blocks.append(
        Table(
            "treatments_by_bin", "The same in every bin", table[table["status"] == "done"], (), True
        )
    )
    return blocks


def figure(done: pd.DataFrame) -> str:
    """Change per treatment with its interval, one kind below the other."""
    kinds = [k for k in KINDS if (done["kind"] == k).any()]
    ordered = [done[done["kind"] == k] for k in kinds]

    def draw(axes: Axes) -> None:
        top = len(done)
        labels: list[str] = []
        for i, (kind, rows) in enumerate(zip(kinds, ordered)):
            y = [top - len(labels) - j for j in range(len(rows))]
            labels += rows["treatment"].tolist()
            axes.errorbar(
                rows["change"],
                y,
                xerr=errors(rows, "change", "lo95", "hi95"),
                fmt=MARKERS[i % 4],
                color=SERIES[i % 4],
                ecolor=SERIES[i % 4],
                elinewidth=1.2,
                label=kind,
            )
        axes.axvline(0, color=FAINT, linewidth=0.8)
        axes.set_yticks(range(top, 0, -1), [name.replace("_", " ") for name in labels], color=INK)
        axes.set(xlabel="change of completeness, percentage points", ylim=(0.2, top + 0.8))
        axes.grid(axis="x")
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2)

    return drawn("treatments", draw, width=5.2, height=1.4 + 0.24 * len(done))
