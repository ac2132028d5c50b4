"""Figures of training and evaluation, as SVG (`drawing`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from classifiers.report.drawing import DASHES, FAINT, INK, MARKERS, SERIES, drawn, errors

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


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
            xerr=errors(table, "fpr", "lo95", "hi95"),
            fmt="none",
            ecolor=SERIES[0],
            elinewidth=1,
        )
        axes.errorbar(
            table["fpr"],
            y,
            xerr=errors(table, "fpr", "lo68", "hi68"),
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
