"""The definition of a survey of which only bands, pixel scale and zero point are known.

A survey's definition says more than that (`data.survey.Survey`). What a folder of somebody's
cutouts leaves open is filled in here by rules that are stated below, so that it need not be asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data.survey import Radii, Rgb, Survey, load, names
from lensjax.errors import InputError

OPTICAL = "lsst"
"""shipped survey whose extinction coefficients others are interpolated between"""
INFRARED = -1.61
"""power of the wavelength that extinction follows beyond 0.9 micrometres (Cardelli, Clayton &
Mathis 1989, equation 2a)"""
SEEING = -0.2
"""power of the wavelength that the width of an atmospheric PSF follows (Fried 1966)"""
FIRST = ("r", "i", "vis")
"""bands that become the reference band if they are there, the first before the others"""


def known_wavelengths() -> dict[str, float]:
    """Effective wavelengths (nm) of the bands of the shipped surveys by name, in lower case."""
    found: dict[str, float] = {}
    for name in names():
        survey = load(name)
        found |= dict(zip((b.lower() for b in survey.bands), survey.wavelength))
    optical = load(OPTICAL)
    return found | dict(zip(optical.bands, optical.wavelength))


def extinction(wavelength: float) -> float:
    """A / E(B-V) at a wavelength (nm), on the scale of Schlegel, Finkbeiner & Davis 1998:
    interpolated in logarithms between the bands of a shipped survey, and a power law beyond."""
    survey = load(OPTICAL)
    ends = survey.wavelength
    inside = float(np.clip(wavelength, ends[0], ends[-1]))
    value = math.exp(np.interp(math.log(inside), np.log(ends), np.log(survey.extinction)))
    return value * max(wavelength / ends[-1], 1.0) ** INFRARED


def own_survey(
    bands: Sequence[str],
    pixel_scale: float,
    zero_point: float,
    side: int,
    *,
    reference: str = "",
    wavelengths: Sequence[float] = (),
    name: str = "own",
    title: str = "Own cutouts",
) -> Survey:
    """A definition from what is known.

    pixel_scale: arcsec. zero_point: AB magnitude of one unit of the files. side: of a cutout,
    pixels. reference: band of shape, PSF and depth; empty: r, i or vis where it is there, else the
    middle one. wavelengths: effective ones (nm) of the bands; empty: those of shipped surveys.

    Widths of the PSF relative to the reference band follow the wavelength (`SEEING`), extinction is
    interpolated, and pictures, radii and observing conditions are those of the shipped survey with
    the nearest pixel scale, radii no larger than fit the cutout. Raises InputError for bands of
    unknown wavelength and as `Survey` does.
    """
    known = known_wavelengths()
    unknown = [band for band in bands if band.lower() not in known]
    if wavelengths and len(wavelengths) != len(bands):
        raise InputError(
            f"wavelengths: {len(wavelengths)} values for {len(bands)} bands; give one for each of "
            f"{', '.join(bands)}"
        )
    if unknown and not wavelengths:
        raise InputError(
            f"wavelengths: that of band {unknown[0]} is not known; give them all, in nm, or use "
            f"names among {', '.join(known)}"
        )
    waves = tuple(wavelengths) or tuple(known[band.lower()] for band in bands)
    usual = [b for first in FIRST for b in bands if b.lower() == first]
    chosen = reference or [*usual, bands[len(bands) // 2]][0]
    if chosen not in bands:
        raise InputError(f"reference: {chosen!r} is none of the bands {', '.join(bands)}")
    like = min(map(load, names()), key=lambda s: abs(math.log(s.pixel_scale / pixel_scale)))
    near = [int(np.argmin(np.abs(np.array(like.wavelength) - wave))) for wave in waves]
    taken = lambda values: tuple(values[i] for i in near)
    middle, order = waves[list(bands).index(chosen)], np.argsort(waves)[::-1]
    red, blue = bands[order[0]], bands[order[-1]]
    c = like.conditions
    return replace(
        like,
        name=name,
        title=title,
        bands=tuple(bands),
        reference=chosen,
        selection_band=chosen,
        colour=None,
        pixel_scale=pixel_scale,
        zero_point=zero_point,
        stamp=side,
        fwhm_ratio=tuple(round((wave / middle) ** SEEING, 4) for wave in waves),
        extinction=tuple(round(extinction(wave), 3) for wave in waves),
        wavelength=waves,
        radii=_fitting(like.radii, side * pixel_scale / (like.stamp * like.pixel_scale)),
        rgb=Rgb(
            bands=(red, bands[order[len(order) // 2]], blue),
            scale=like.rgb.scale if len(bands) > 1 else (3.0, 3.0, 3.0),
            stretch=like.rgb.stretch,
            softening=like.rgb.softening,
        ),
        conditions=replace(
            c,
            m5_offset=taken(c.m5_offset),
            m5_one_exposure=taken(c.m5_one_exposure),
            sky=taken(c.sky),
        ),
        viewer="",
        source=f"given by the user; the rest follows from rules and from {like.name}",
    )


def _fitting(radii: Radii, factor: float) -> Radii:
    """Radii for stamps that are smaller by a factor; the same for larger ones."""
    if factor >= 1:
        return radii
    return replace(
        radii,
        core=radii.core * factor,
        annulus=(radii.annulus[0] * factor, radii.annulus[1] * factor),
        outer=radii.outer * factor,
        central=radii.central * factor,
        clear=radii.clear * factor,
    )


def with_bands(survey: Survey, bands: Sequence[str]) -> Survey:
    """A survey with some of its bands, in the given order. Raises InputError for a band that it
    does not have."""
    if missing := [band for band in bands if band not in survey.bands]:
        raise InputError(
            f"bands: {survey.name} has no band {missing[0]!r}; it has {', '.join(survey.bands)}"
        )
    if tuple(bands) == survey.bands:
        return survey
    places = [survey.bands.index(band) for band in bands]
    taken = lambda values: tuple(values[i] for i in places)
    reference = survey.reference if survey.reference in bands else bands[len(bands) // 2]
    ratio = survey.fwhm_ratio[survey.bands.index(reference)]
    order = np.argsort(taken(survey.wavelength))[::-1]
    red, middle, blue = (bands[order[i]] for i in (0, len(order) // 2, len(order) - 1))
    whole = set(survey.rgb.bands) <= set(bands)
    c = survey.conditions
    return replace(
        survey,
        bands=tuple(bands),
        reference=reference,
        selection_band=survey.selection_band if survey.selection_band in bands else reference,
        colour=survey.colour if set(survey.colour or ()) <= set(bands) else None,
        fwhm_ratio=tuple(value / ratio for value in taken(survey.fwhm_ratio)),
        extinction=taken(survey.extinction),
        wavelength=taken(survey.wavelength),
        rgb=survey.rgb if whole else replace(survey.rgb, bands=(red, middle, blue)),
        conditions=replace(
            c,
            m5_offset=taken(c.m5_offset),
            m5_one_exposure=taken(c.m5_one_exposure),
            sky=taken(c.sky),
        ),
    )
