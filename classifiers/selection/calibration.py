"""How well an emulator is calibrated, on injections into hosts that it never saw, beside the binned
table of the same injections.

Both predict the probability that an injection is found. The table's prediction is the completeness
of the injection's cell among the injections that were fitted (along the axes of the set, and in
bins of a magnitude of the source where that is an input). Errors are weighted to the population.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from classifiers.audit.axes import Axis
from classifiers.audit.completeness import cells_along
from classifiers.audit.injectionset import InjectionSet
from classifiers.evaluation.calibration import brier, by_chance, ece, edges
from classifiers.intervals import weighted
from classifiers.selection.emulator import Emulator
from classifiers.selection.fitting import Data

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BINS = 10
EMULATOR, TABLE = "emulator", "table"


@dataclass(frozen=True)
class Calibration:
    """figures: by `emulator` and `table`, `brier` (mean squared difference of probability and
    outcome, Brier 1950), `ece` (expected calibration error, `classifiers.evaluation.calibration`)
    and `ece_of_chance`, the mean of what a perfectly calibrated prediction of these probabilities
    would have; injections and hosts that were held out. bins: the reliability of either, bins of
    about equally many injections: n, predicted, found, and its 95 % interval by hosts."""

    figures: dict[str, Any]
    bins: pd.DataFrame

    def __str__(self) -> str:
        one, other = self.figures[EMULATOR], self.figures[TABLE]
        words = [
            f"on {self.figures['injections']} injections into {self.figures['hosts']} hosts that "
            "were held out:"
        ]
        for name, found in ((EMULATOR, one), (TABLE, other)):
            words.append(
                f"{name} Brier {found['brier']:.4f}, ECE {found['ece']:.4f} "
                f"({found['ece_of_chance']:.4f} by chance);"
            )
        return " ".join(words).rstrip(";")


def calibrated(injections: InjectionSet, emulator: Emulator, data: Data) -> Calibration:
    """Calibration of an emulator on the injections that `fit` held out. injections: the set that
    it was fitted to, and data: as `fit` returned it."""
    import pandas as pd

    held = data.held
    columns = {a.name: data.inputs[held, i] for i, a in enumerate(emulator.axes)}
    predicted = {
        EMULATOR: np.asarray(emulator.completeness(columns), np.float64),
        TABLE: _of_the_table(injections, emulator, data)[held],
    }
    found, weight, host = data.found[held], data.weight[held], data.host[held]
    figures: dict[str, Any] = {"injections": int(held.sum()), "hosts": len(np.unique(host))}
    lines = []
    for name, p in predicted.items():
        figures[name] = _errors(found, p, weight)
        lines += [{"prediction": name, **line} for line in _reliability(found, p, weight, host)]
    return Calibration(figures, pd.DataFrame(lines))


def _errors(
    found: np.ndarray, p: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"]
) -> dict[str, float]:
    """Brier score and expected calibration error, and the latter by chance alone."""
    return {
        "brier": float(np.average(brier(found, p), weights=weight)),
        "ece": float(ece(found, p, weight, BINS)),
        "ece_of_chance": float(by_chance(p, weight, BINS)["ece"].mean()),
    }


def _reliability(
    found: np.ndarray,
    p: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    host: Int[np.ndarray, " n"],
) -> list[dict[str, float]]:
    lines = []
    for part in edges(p, BINS):
        if not weight[part].any():
            continue
        share = weighted(found[part], weight[part], host[part])
        low, high = (float(v) for v in share.interval())
        lines.append(
            {
                "n": len(part),
                "predicted": float(np.average(p[part], weights=weight[part])),
                "found": share.value,
                "lo95": low,
                "hi95": high,
            }
        )
    return lines


def _of_the_table(
    injections: InjectionSet, emulator: Emulator, data: Data
) -> Float[np.ndarray, " n"]:
    """Completeness of each injection's cell among the fitted ones; of all where the cell has
    none."""
    import pandas as pd

    table = injections.table
    keys: dict[str, Any] = {}
    for entry in injections.about.get("axes", ()):
        plain: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
        axis = Axis(**plain)
        keys[axis.name] = pd.factorize(cells_along(axis, table))[0]
    if any(a.name == "source_mag" for a in emulator.axes):
        keys["source_mag_bin"] = np.floor(table["source_mag"].to_numpy(np.float64))
    weight = np.where(data.held, 0.0, data.weight)
    whole = float(np.average(data.found, weights=weight))
    if not keys:
        return np.full(len(table), whole)
    sums = pd.DataFrame({**keys, "w": weight, "found": weight * data.found})
    by_cell = sums.groupby(list(keys), dropna=False)[["w", "found"]].transform("sum")
    w = by_cell["w"].to_numpy()
    return np.where(w > 0, by_cell["found"].to_numpy() / np.where(w > 0, w, 1.0), whole)


def draw(found: Calibration, stem: Path) -> list[Path]:
    """The reliability of both as a figure in PDF and PNG; intervals are 95 %, by hosts."""
    from classifiers.selection import figures
    from classifiers.selection.plots import DASHES, MARKERS, PRINT

    def panel(axes: Axes) -> None:
        top = float(found.bins[["predicted", "hi95"]].to_numpy().max()) * 1.05
        axes.plot([0, top], [0, top], color=PRINT.faint, linestyle=":", linewidth=1)
        for i, name in enumerate((EMULATOR, TABLE)):
            rows = found.bins[found.bins["prediction"] == name]
            x, y = rows["predicted"].to_numpy(), rows["found"].to_numpy()
            bars = np.clip([y - rows["lo95"], rows["hi95"] - y], 0.0, None)
            colour = PRINT.series[i]
            axes.errorbar(x, y, bars, fmt="none", ecolor=colour, elinewidth=1)
            label = f"{name}, ECE {found.figures[name]['ece']:.3f}"
            axes.plot(x, y, color=colour, linestyle=DASHES[i], marker=MARKERS[i], label=label)
        axes.set(
            xlabel="predicted completeness", ylabel="share found", xlim=(0, top), ylim=(0, top)
        )
        axes.grid()
        axes.legend(loc="upper left")

    return figures.save(stem, [panel], 3.2)
