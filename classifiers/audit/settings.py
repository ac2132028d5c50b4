"""What an audit is asked: the grid, the hosts, the prior of the sources, the thresholds."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from classifiers.audit.grid import Axes
from data.config import settings

Positive = Annotated[float, Field(gt=0, le=100)]
Depth = Annotated[float, Field(ge=10, le=35)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


def _steps(first: float, last: float, step: float) -> tuple[float, ...]:
    return tuple(round(float(v), 6) for v in np.arange(first, last + step / 2, step))


SPEC_GRID = {
    "theta_e": _steps(0.5, 3.0, 0.25),
    "psf_edges": _steps(0.825, 1.875, 0.15),
    "depth_edges": _steps(22.25, 24.75, 0.5),
}


@settings
class AuditSettings:
    """Settings of the audit. Angles and FWHM in arcsec, depths are 5 sigma AB magnitudes of a point source in r."""

    grid: Literal["small", "spec_grid"] = "small"
    """small: the axes below. spec_grid: 11 Einstein radii x 7 PSF widths x 5 depths, whatever the axes below say."""
    theta_e: tuple[Positive, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
    """Einstein radii of the grid, arcsec."""
    psf_edges: tuple[Positive, ...] = ()
    """Edges of the PSF FWHM cells (r band), arcsec; empty: three cells of equally many hosts."""
    depth_edges: tuple[Depth, ...] = ()
    """Edges of the depth cells (r band, 5 sigma, AB mag); empty: two cells of equally many hosts."""
    injections: Count = 200
    """Injections per cell of the grid."""
    per_host: Count = 4
    """At most so many injections per host and cell: 200 injections into three hosts would say nothing about hosts."""
    sufficient: Count = 200
    """Cells and bins with fewer injections are marked insufficient."""
    prior: str = "arclike"
    """Name of the prior in lensjax/priors.yaml that sources, shear and lens shapes are drawn from."""
    source_magnitude: Annotated[tuple[float, float], Field(min_length=2, max_length=2)] = (
        23.0,
        26.0,
    )
    """Range of the unlensed r magnitude, uniform."""
    magnitude_edges: tuple[float, ...] = (23.0, 24.0, 25.0, 26.0)
    """Edges of the source magnitude bins of the table."""
    mode: Literal["matched", "degraded"] = "matched"
    """matched: hosts whose own PSF and depth fall in the cell. degraded: better hosts convolved and noised to the cell's centre."""
    splits: tuple[Literal["val", "test"], ...] = ("val", "test")
    """Splits whose negatives are hosts. With a classifier of another run, every negative of this run that it was not trained on."""
    host_list: str = ""
    """CSV with a column galaxy_id: use only these hosts. Refused when one of them was trained on."""
    classifier: str = ""
    """Folder `training` of another run whose classifier is audited; empty: this run's own."""
    psf_fwhm: Annotated[tuple[Positive, ...], Field(max_length=3)] = ()
    """FWHM in g, r, z assumed for hosts whose table has none, arcsec; empty: such hosts are refused."""
    thresholds: tuple[Probability, ...] = (0.3, 0.5, 0.7)
    """Score thresholds, beside those of evaluation/thresholds.csv."""
    moffat_beta: Annotated[float, Field(ge=0)] = 0.0
    """Beta of the Moffat PSF that arcs are blurred with (the survey's fits have 2.5, 3.5 or 4.5); 0: Gaussian of the same FWHM."""
    gain: Annotated[float, Field(ge=0)] = 0.0
    """Electrons per nanomaggy for the Poisson noise of the arc; 0: none."""
    gate_snr: Annotated[float, Field(ge=0)] = 10.0
    """An injection counts as observable when the matched-filter SNR of its arc, all bands together, is at least this."""
    sensitivity_sample: Annotated[int, Field(ge=0)] = 192
    """Injections over which the gradient is taken; 0: no sensitivity."""
    batch: Count = 48
    """Injections rendered and scored together."""
    seed: int = 42

    @model_validator(mode="after")
    def _ordered(self) -> AuditSettings:
        for name in ("theta_e", "psf_edges", "depth_edges", "magnitude_edges", "source_magnitude"):
            values = getattr(self, name)
            if any(b <= a for a, b in pairwise(values)):
                raise ValueError(f"{name}: {list(values)} must increase")
        if not self.theta_e or len(self.magnitude_edges) < 2 or not self.splits:
            raise ValueError("theta_e and splits need a value, magnitude_edges two")
        if len(self.psf_edges) == 1 or len(self.depth_edges) == 1:
            raise ValueError("psf_edges and depth_edges need two values or none")
        if 0 < self.moffat_beta <= 1:
            raise ValueError(
                f"moffat_beta: a Moffat PSF needs beta above 1 (0 for a Gaussian), got {self.moffat_beta}"
            )
        if len(self.psf_fwhm) not in (0, 3):
            raise ValueError(f"psf_fwhm: give three values (g, r, z), got {len(self.psf_fwhm)}")
        return self

    def axes(self, psf: np.ndarray, depth: np.ndarray) -> Axes:
        """The grid's axes; where the settings leave edges empty they follow from the hosts' own r FWHM and depth, (n,) each."""
        if self.grid == "spec_grid":
            return Axes(**SPEC_GRID)
        return Axes(
            self.theta_e,
            self.psf_edges or equal_count_edges(psf, 3),
            self.depth_edges or equal_count_edges(depth, 2),
        )


def equal_count_edges(values: np.ndarray, cells: int) -> tuple[float, ...]:
    """Edges with two decimals that part `values` into cells of about equally many, all inside. Fewer cells when values coincide."""
    values = np.asarray(values, np.float64)
    inner = np.quantile(values, np.arange(1, cells) / cells)
    edges = [
        np.floor(values.min() * 100) / 100,
        *np.round(inner, 2),
        np.floor(values.max() * 100 + 1) / 100,
    ]
    return tuple(float(v) for v in np.unique(np.round(edges, 2)))
