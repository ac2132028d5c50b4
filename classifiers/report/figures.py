"""Figures as SVG inside the page. Text stays text, and colours are the page's own variables, so
that light and dark are one file.

Matplotlib draws with placeholder colours that are replaced by `var(--...)` afterwards.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

INK, FAINT = "#010101", "#020202"
SERIES = ("#030303", "#040404", "#050505", "#060606")
VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    **{c: f"var(--s{i})" for i, c in enumerate(SERIES, 1)},
}
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")


def drawn(name: str, draw: Callable[[Axes], None], width: float = 4.6, height: float = 3.2) -> str:
    """An SVG element of what `draw` puts on the axes; equal drawings are equal text."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.size": 9.5,
        "font.family": "DejaVu Sans",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": FAINT,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": FAINT,
        "grid.alpha": 0.35,
        "grid.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "lines.linewidth": 1.8,
        "lines.markersize": 4.5,
        "hatch.linewidth": 0.6,
    }
    with matplotlib.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
        pyplot.close(figure)
    return cleaned(buffer.getvalue(), name)


def cleaned(text: str, name: str) -> str:
    """The bare svg element, which has no prolog or metadata, scales with its column, and has its
    own identifiers and colours by variable."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'(id="|url\(#|href="#)', lambda m: f"{m.group(0)}{name}-", text)
    text = text.replace("'DejaVu Sans'", "inherit").replace("DejaVu Sans", "inherit")
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    return re.sub(r"<style.*?</style>", "", text, flags=re.S).replace(
        "<svg", '<svg aria-hidden="true"', 1
    )


def _errors(table: pd.DataFrame, value: str, low: str, high: str) -> np.ndarray:
    v = table[value].to_numpy(float)
    return np.clip(
        np.stack([v - table[low].to_numpy(float), table[high].to_numpy(float) - v]), 0.0, None
    )


def learning(epochs: pd.DataFrame, best: int | None) -> list[tuple[str, str]]:
    """Loss and validation AUC against epoch: (alternative text, svg)."""

    def loss(axes: Axes) -> None:
        for i, (column, label) in enumerate(
            (("train_loss", "training"), ("val_loss", "validation"))
        ):
            if column in epochs:
                axes.plot(
                    epochs["epoch"],
                    epochs[column],
                    color=SERIES[i],
                    linestyle=DASHES[i],
                    label=label,
                )
        _mark(axes, best)
        axes.set(xlabel="epoch", ylabel="cross-entropy")
        axes.legend()
        axes.grid(axis="y")

    def auc(axes: Axes) -> None:
        axes.plot(
            epochs["epoch"],
            epochs["val_auc"].astype(float),
            color=SERIES[1],
            marker="o",
            markersize=3,
        )
        _mark(axes, best)
        axes.set(xlabel="epoch", ylabel="validation AUC")
        axes.grid(axis="y")

    last = epochs.iloc[-1]
    made = [
        (f"Loss against epoch; last epoch {last['train_loss']:.3f} training", drawn("loss", loss))
    ]
    if "val_auc" in epochs and epochs["val_auc"].notna().any():
        made.append(
            (
                f"Validation AUC against epoch; last epoch {float(last['val_auc']):.3f}",
                drawn("auc", auc),
            )
        )
    return made


def _mark(axes: Axes, best: int | None) -> None:
    if best is not None:
        axes.axvline(best, color=FAINT, linewidth=1, linestyle=":")
        axes.annotate(
            "kept",
            (best, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            xytext=(3, 4),
            fontsize=8,
            color=INK,
        )


def roc(curve: pd.DataFrame, thresholds: pd.DataFrame | None) -> str:
    """Recall against false-positive rate (logarithmic), with the table's thresholds marked."""
    rate = curve["false_positive_rate"].to_numpy(float)
    floor = max(min(rate[rate > 0], default=1e-3) / 2, 1e-6)

    def draw(axes: Axes) -> None:
        axes.plot(np.maximum(rate, floor), curve["recall"], color=SERIES[0], drawstyle="steps-post")
        axes.plot(
            [floor, *np.geomspace(floor, 1, 60)],
            [floor, *np.geomspace(floor, 1, 60)],
            color=FAINT,
            linestyle=":",
            linewidth=1,
        )
        shown = (
            []
            if thresholds is None
            else [r for r in thresholds.to_dict("records") if np.isfinite(r["threshold"])]
        )
        for i, row in enumerate(shown):
            at = (
                int(
                    np.searchsorted(
                        -curve["threshold"].to_numpy(float), -row["threshold"], side="left"
                    )
                )
                - 1
            )
            x, y = (max(rate[at], floor), curve["recall"].iloc[at]) if at >= 0 else (floor, 0.0)
            axes.plot(
                x,
                y,
                MARKERS[i % 4],
                color=SERIES[1 + i % 3],
                label=f"{row['name']} ({row['threshold']:.2f})",
                markersize=6,
            )
        axes.set(
            xscale="log",
            xlabel="false-positive rate",
            ylabel="recall",
            xlim=(floor, 1),
            ylim=(0, 1.02),
        )
        axes.grid()
        if shown:
            axes.legend(title="threshold", title_fontsize=8.5, loc="lower right")

    return drawn("roc", draw)


def reliability(bins: pd.DataFrame) -> str:
    """Observed fraction of lenses against mean score."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1, label="calibrated")
        axes.plot(
            bins["mean_score"],
            bins["fraction_lenses"],
            color=SERIES[0],
            marker="o",
            label="bins of equal number",
        )
        axes.set(
            xlabel="mean score of the bin",
            ylabel="fraction of lenses",
            xlim=(-0.02, 1.02),
            ylim=(-0.02, 1.02),
        )
        axes.grid()
        axes.legend(loc="upper left")

    return drawn("reliability", draw)


def confusers(table: pd.DataFrame, threshold: float) -> str:
    """False-positive rate per category with 68 and 95 % intervals, at one threshold."""
    table = table.iloc[::-1].reset_index(drop=True)

    def draw(axes: Axes) -> None:
        y = np.arange(len(table))
        axes.errorbar(
            table["fpr"],
            y,
            xerr=_errors(table, "fpr", "lo95", "hi95"),
            fmt="none",
            ecolor=SERIES[0],
            elinewidth=1,
        )
        axes.errorbar(
            table["fpr"],
            y,
            xerr=_errors(table, "fpr", "lo68", "hi68"),
            fmt="o",
            color=SERIES[0],
            ecolor=SERIES[0],
            elinewidth=3,
        )
        axes.set(
            xlabel=f"false-positive rate at {threshold:g}",
            xlim=(0, None),
            ylim=(-0.6, len(table) - 0.4),
        )
        axes.set_yticks(
            y,
            [
                f"{'ordinary' if c == 'none' else c.replace('_', ' ')} ({n})"
                for c, n in zip(table["category"], table["n"])
            ],
        )
        axes.grid(axis="x")

    return drawn("confusers", draw, height=0.9 + 0.36 * len(table))


def histogram(groups: dict[str, np.ndarray]) -> str:
    """Shares of scores per group, logarithmic."""

    def draw(axes: Axes) -> None:
        edges = np.linspace(0, 1, 26)
        for i, (name, score) in enumerate(groups.items()):
            share = np.histogram(score, edges)[0] / max(len(score), 1)
            axes.stairs(
                np.where(share > 0, share, np.nan),
                edges,
                color=SERIES[i % 4],
                linestyle=DASHES[i % 4],
                linewidth=1.8,
                label=f"{name} ({len(score)})",
            )
        axes.set(yscale="log", xlabel="score", ylabel="share per bin", xlim=(0, 1))
        axes.grid(axis="y")
        axes.legend()

    return drawn("scores", draw)


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
                yerr=_errors(rows, "completeness", "lo95", "hi95"),
                fmt="none",
                ecolor=SERIES[i],
                elinewidth=1,
            )
            axes.errorbar(
                x,
                rows["completeness"],
                yerr=_errors(rows, "completeness", "lo68", "hi68"),
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
