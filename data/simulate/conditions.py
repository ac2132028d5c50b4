"""Observing conditions that vary from brick to brick as they do over DR10: seeing, depth, extinction, exposures."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf

import numpy as np
from jaxtyping import Float, Int

BANDS = ("g", "r", "z")

# Quantiles over 1,506 regions of DR10 (south) with -18 < dec < 32 of the median r-band PSF FWHM (arcsec), the median r-band 5-sigma point-source
# depth (AB mag) and the median E(B-V). Figures derived from regions_summary_psf_depth.csv of github.com/aditrivaishnavi/toy_glens_kinematics.
PROBABILITY = (0.02, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.98)
FWHM_R = (1.084, 1.128, 1.180, 1.253, 1.375, 1.505, 1.632, 1.714, 1.821)
M5_R = (23.87, 23.98, 24.06, 24.15, 24.29, 24.52, 25.06, 25.22, 25.69)
EBV = (0.0174, 0.0203, 0.0235, 0.0323, 0.0476, 0.0768, 0.1185, 0.1580, 0.2312)
SEEING_DEPTH = -0.30  # rank correlation of the first two in the same table

M5_ONE_EXPOSURE = np.array(
    [23.85, 23.40, 22.50]
)  # g, r, z: depth of one exposure; n exposures reach 1.25 log10 n deeper
M5_OFFSET = np.array([0.45, 0.0, -0.85])  # g, r, z: depth against r
FWHM_RATIO = np.array([1.05, 1.0, 0.94])  # g, r, z: FWHM against r
EXTINCTION = np.array(
    [3.214, 2.165, 1.211]
)  # A / E(B-V) in DECam g, r, z (Legacy Surveys, DR8 and later)
SKY = np.array(
    [22.0, 21.0, 19.0]
)  # sky brightness, mag/arcsec^2, that sets the Poisson noise of objects
MOFFAT_BETA = 3.5  # of every PSF


@dataclass(frozen=True)
class Conditions:
    """What a brick was observed with, per band g, r, z where there are three values."""

    psfsize: Float[np.ndarray, " 3"]  # FWHM, arcsec
    m5: Float[np.ndarray, " 3"]  # 5-sigma point-source depth with all exposures, AB mag
    exposures: Int[np.ndarray, " 3"]
    ebv: float


def draw(rng: np.random.Generator) -> Conditions:
    """One brick's conditions: quantiles of the DR10 tables, seeing and depth correlated as there."""
    a, b, c = rng.standard_normal(3)
    b = SEEING_DEPTH * a + np.sqrt(1 - SEEING_DEPTH**2) * b
    seeing, depth, dust = (0.5 * (1 + erf(v / np.sqrt(2))) for v in (a, b, c))
    fwhm = np.interp(seeing, PROBABILITY, FWHM_R) * FWHM_RATIO * np.exp(rng.normal(0, 0.04, 3))
    m5 = np.interp(depth, PROBABILITY, M5_R) + M5_OFFSET + rng.normal(0, 0.10, 3)
    exposures = np.maximum(np.round(10 ** ((m5 - M5_ONE_EXPOSURE) / 1.25)), 1).astype(int)
    return Conditions(fwhm, m5, exposures, float(np.interp(dust, PROBABILITY, EBV)))


def transmission(ebv: Float[np.ndarray, "..."]) -> Float[np.ndarray, "... 3"]:
    """Fraction of light in g, r, z that Galactic dust lets through."""
    return 10 ** (-0.4 * np.asarray(ebv)[..., None] * EXTINCTION)


def exposure_map(
    exposures: int, size: int, rng: np.random.Generator
) -> Int[np.ndarray, "size size"]:
    """Number of exposures at every pixel of a brick: each exposure may have a gap between two chips running across it."""
    count = np.full((size, size), exposures, np.int16)
    for _ in range(exposures):
        crosses, vertical, start, width = (
            rng.random() < 0.35,
            rng.random() < 0.5,
            rng.integers(-60, size),
            rng.integers(40, 140),
        )
        if crosses:
            strip = slice(max(start, 0), max(start + width, 0))
            count[(slice(None), strip) if vertical else (strip, slice(None))] -= 1
    return np.maximum(count, 0)
