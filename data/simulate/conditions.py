"""Observing conditions that vary from brick to brick: seeing, depth, extinction, exposures.

The distributions are the survey's own (`Survey.conditions`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf

import numpy as np
from jaxtyping import Float, Int

from data.survey import Survey

GAP = (10.5, 36.7)
"""Width (arcsec) of the gap between two chips, smallest and largest."""

SHARP = 0.8
"""FWHM of the sharpest brick, in units of the survey's lowest quantile."""


@dataclass(frozen=True)
class Conditions:
    """What a brick was observed with. Arrays have one value per band."""

    psfsize: Float[np.ndarray, " B"]
    """PSF FWHM, arcsec"""
    m5: Float[np.ndarray, " B"]
    """5-sigma point-source depth with all exposures, AB mag"""
    exposures: Int[np.ndarray, " B"]
    ebv: float


def draw(survey: Survey, rng: np.random.Generator) -> Conditions:
    """One brick's conditions: from the survey's quantiles, seeing and depth correlated.

    n exposures reach 1.25 log10 n magnitudes deeper than one, so the depth gives their number.
    """
    c, bands = survey.conditions, len(survey.bands)
    first, second, third = rng.standard_normal(3)
    second = c.seeing_depth * first + np.sqrt(1 - c.seeing_depth**2) * second
    seeing, depth, dust = (0.5 * (1 + erf(v / np.sqrt(2))) for v in (first, second, third))
    fwhm = np.interp(seeing, c.probability, c.fwhm) * np.asarray(survey.fwhm_ratio)
    fwhm = fwhm * np.exp(rng.normal(0, 0.04, bands))
    m5 = np.interp(depth, c.probability, c.m5) + np.asarray(c.m5_offset)
    m5 = m5 + rng.normal(0, 0.10, bands)
    exposures = np.maximum(np.round(10 ** ((m5 - np.asarray(c.m5_one_exposure)) / 1.25)), 1)
    ebv = float(np.interp(dust, c.probability, c.ebv))
    return Conditions(fwhm, m5, exposures.astype(int), ebv)


def sharpest(survey: Survey) -> Conditions:
    """Sharper than any of the survey's quantiles, and as deep as its upper tenth: hosts that can be
    degraded to nearly everything that the survey has."""
    c = survey.conditions
    deep = float(np.interp(0.95, c.probability, c.m5))
    common = typical(survey)
    m5 = common.m5 - common.m5[survey.place] + deep
    exposures = np.maximum(np.round(10 ** ((m5 - np.asarray(c.m5_one_exposure)) / 1.25)), 1)
    fwhm = SHARP * c.fwhm[0] * np.asarray(survey.fwhm_ratio)
    return Conditions(fwhm, m5, exposures.astype(int), common.ebv)


def typical(survey: Survey) -> Conditions:
    """The survey's median conditions."""
    c = survey.conditions
    m5, ebv = (float(np.interp(0.5, c.probability, q)) for q in (c.m5, c.ebv))
    depth = m5 + np.asarray(c.m5_offset)
    exposures = np.maximum(np.round(10 ** ((depth - np.asarray(c.m5_one_exposure)) / 1.25)), 1)
    fwhm = survey.typical_fwhm * np.asarray(survey.fwhm_ratio)
    return Conditions(fwhm, depth, exposures.astype(int), ebv)


def transmission(survey: Survey, ebv: Float[np.ndarray, "..."]) -> Float[np.ndarray, "... B"]:
    """Fraction of the light in each band that Galactic dust lets through."""
    return 10 ** (-0.4 * np.asarray(ebv)[..., None] * np.asarray(survey.extinction))


def exposure_map(
    survey: Survey, exposures: int, size: int, rng: np.random.Generator
) -> Int[np.ndarray, "size size"]:
    """Number of exposures at every pixel of a brick in one band.

    Each exposure may have a gap between two chips that runs across the brick.
    """
    count = np.full((size, size), exposures, np.int16)
    narrow, wide = (round(survey.pixels(width)) for width in GAP)
    for _ in range(exposures):
        crosses, vertical = rng.random() < 0.35, rng.random() < 0.5
        start, width = rng.integers(-3 * narrow // 2, size), rng.integers(narrow, wide)
        if crosses:
            strip = slice(max(start, 0), max(start + width, 0))
            count[(slice(None), strip) if vertical else (strip, slice(None))] -= 1
    return np.maximum(count, 0)
