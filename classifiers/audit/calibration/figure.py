"""The figure of a calibration: observables of held-out lenses and of injections before and
after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.audit.calibration.lenses import Real
from classifiers.audit.calibration.observables import plain
from data.files import replacing

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
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    across = min(4, len(names))
    down = -(-len(names) // across)
    style: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    paths = [folder / "observables.png", folder / "observables.pdf"]
    with matplotlib.rc_context(style):
        figure, grid = pyplot.subplots(
            down, across, figsize=(2.7 * across, 2.5 * down), squeeze=False, layout="constrained"
        )
        for axes in grid.ravel()[len(names) :]:
            axes.set_axis_off()
        for axes, name, column in zip(grid.ravel(), names, columns):
            ends = []
            for (word, how), sample in zip(STYLES.items(), samples):
                values = np.sort(plain(sample.values[sample.seen][:, [column]], [name])[name])
                if len(values):
                    axes.step(
                        values, np.arange(1, len(values) + 1) / len(values), label=word, **how
                    )
                    ends += list(np.quantile(values, WITHIN))
            if ends and max(ends) > min(ends):
                axes.set_xlim(min(ends), max(ends))
            if name in ("arc_snr", "arc_area") and ends and min(ends) > 0:
                axes.set_xscale("log")
            axes.set(xlabel=label(name), ylim=(0, 1))
        grid[0, 0].set_ylabel("share below")
        grid[0, 0].legend(frameon=False, fontsize=7.5)
        for path, metadata in zip(paths, ({"Software": None}, {"CreationDate": None})):
            with replacing(path) as temporary:
                kind = path.suffix[1:]
                figure.savefig(temporary, format=kind, dpi=150, metadata=metadata)
        pyplot.close(figure)
    return paths
