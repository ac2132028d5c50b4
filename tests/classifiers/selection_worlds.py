"""Worlds whose completeness is a formula, and the tables that an audit of them would give."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from classifiers.audit import completeness
from classifiers.audit.axes import Axis, Grid, columns_of

THETA_E = Axis(
    "theta_e", "Einstein radius", "arcsec", "drawn", "theta_e", points=(0.5, 1.0, 1.5, 2.0, 2.5)
)
PSF = Axis("psf_fwhm", "PSF FWHM in r", "arcsec", "host", "psf_fwhm", edges=(0.9, 1.1, 1.3, 1.5))
DEPTH = Axis("depth_m5", "5-sigma depth in r", "mag", "host", "depth_m5", edges=(23.0, 23.6, 24.2))
MAGNITUDE = Axis(
    "source_mag",
    "source magnitude",
    "mag",
    "measured",
    "source_mag",
    edges=(23.0, 24.0, 25.0, 26.0),
)
SNR = Axis("arc_snr_bin", "arc SNR", "", "measured", "arc_snr", edges=(0.0, 10.0, 1e6))
GRID = Grid((THETA_E,), (PSF, DEPTH), (MAGNITUDE, SNR))
THRESHOLDS = {"p0.3": 0.3, "p0.5": 0.5}

World = Callable[..., np.ndarray]


def smooth(theta_e, psf_fwhm, depth_m5, source_mag):
    """Rises with Einstein radius and depth, falls with PSF and magnitude."""
    z = 2.0 * (theta_e - 1.4) - 2.5 * (psf_fwhm - 1.2) + 0.8 * (depth_m5 - 23.6)
    return 0.9 / (1 + np.exp(-z + 0.9 * (source_mag - 24.5)))


def injections(
    world: World, rng: np.random.Generator, each: int = 200, per_host: int = 1, grid: Grid = GRID
) -> pd.DataFrame:
    """So many injections a cell, uniform within it, so many of them in each host. Found ones score
    0.9, others 0.1."""
    parts = []
    for i, theta_e in enumerate(grid.drawn[0].cells):
        for j, psf in enumerate(grid.host[0].cells):
            for k, depth in enumerate(grid.host[1].cells):
                host = np.arange(each) // per_host
                uniform = lambda edges, n: rng.uniform(*edges, n)
                of_host = {a.edges: uniform(a.edges, host[-1] + 1)[host] for a in (psf, depth)}
                parts.append(
                    pd.DataFrame(
                        {
                            "galaxy_id": [f"{i}-{j}-{k}-{h}" for h in host],
                            "theta_e": uniform(theta_e.edges, each),
                            "psf_fwhm": of_host[psf.edges],
                            "depth_m5": of_host[depth.edges],
                            "source_mag": rng.uniform(23.0, 26.0, each),
                            "cell_psf_fwhm": psf.value,
                            "cell_depth_m5": depth.value,
                        }
                    )
                )
    rows = pd.concat(parts, ignore_index=True)
    chance = world(*(rows[n] for n in ("theta_e", "psf_fwhm", "depth_m5", "source_mag")))
    found = rng.random(len(rows)) < chance
    return rows.assign(score=np.where(found, 0.9, 0.1), score_before=0.1, arc_snr=5.0)


def cells(grid: Grid = GRID) -> pd.DataFrame:
    rows = [
        {**columns_of(grid.drawn, point), **site.columns(), "hosts_available": 9}
        for site in grid.sites()
        for point in grid.points()
    ]
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame, sufficient: int = 100, grid: Grid = GRID) -> pd.DataFrame:
    return completeness.table(rows, cells(grid), THRESHOLDS, grid, sufficient)
