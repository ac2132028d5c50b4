"""The figure of a calibration: observables of held-out lenses and of injections before and
after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.calibration.lenses import Real
from classifiers.audit.calibration.observables import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = {"arc_radius": "arcsec", "arc_width": "arcsec", "arc_area": "arcsec²", "theta_e": "arcsec"}
LABELS = {
    "arc_snr": "arc-annulus SNR",
    "arc_radius": "arc radius",
    "arc_width": "arc width",
    "arc_area": "arc area",
    "theta_e": "Einstein radius",
}
STYLES: dict[str, dict[str, Any]] = {
    "lenses, held out": {"color": "black", "linewidth": 1.8},
    "injections before": {"color": "#d55e00", "linestyle": "--", "linewidth": 1.4},
    "injections after": {"color": "#0072b2", "linewidth": 1.4},
}
WITHIN = (0.01, 0.99)
"""quantiles between which an axis reaches"""


def label(name: str) -> str:
    """An observable as an axis has it, with its unit."""
    if name.startswith("arc_mag_"):
        return f"arc magnitude in {name.removeprefix('arc_mag_')}, mag"
    if name not in LABELS:
        return f"arc {name.removeprefix('arc_').replace('_', ' − ')}, mag"
    unit = UNITS.get(name)
    return f"{LABELS[name]}, {unit}" if unit else LABELS[name]


def write(
    folder: Path, names: Sequence[str], columns: Sequence[int], samples: Sequence[Real]
) -> list[Path]:
    """observables.png and .pdf: the cumulative distribution of every observable in the samples
    (held-out lenses, injections before, after), those that are seen. columns: places of the
    observables. Equal samples give equal bytes."""
    from classifiers.selection import figures

    def panel(i: int) -> figures.Draw:
        name, column = names[i], columns[i]

        def draw(axes: Axes) -> None:
            ends = []
            for (word, how), sample in zip(STYLES.items(), samples):
                values = np.sort(plain(sample.values[sample.seen][:, [column]], [name])[name])
                if len(values):
                    below = np.arange(1, len(values) + 1) / len(values)
                    axes.step(values, below, label=word, **how)
                    ends += list(np.quantile(values, WITHIN))
            if ends and max(ends) > min(ends):
                axes.set_xlim(min(ends), max(ends))
            if name in ("arc_snr", "arc_area") and ends and min(ends) > 0:
                axes.set_xscale("log")
            axes.set(xlabel=label(name), ylim=(0, 1))
            if i == 0:
                axes.set_ylabel("share below")
                axes.legend(frameon=False, fontsize=7.5)

        return draw

    return figures.save(folder / "observables", [panel(i) for i in range(len(names))], 2.5, 4)
