"""Is a cutout fit for use, and what does it look like without a network?

The answers are columns of the manifest, computed from the pixels alone. All radii come from the
survey in arcsec and are converted with the cutout's own pixel scale. They are measured from the
centre of the stamp, (H - 1) / 2 and (W - 1) / 2: the middle pixel of an odd stamp. Values are in
nanomaggies and of the survey's reference band. Infinite pixels count as missing.

The pixels of a cutout are measured once, when the cutout is written: `measured` gives what is to be
stored with them, and `known` gives it back to whoever reads the same pixels again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from data.survey import Radii, Survey, default

MOST_CENTRAL_NAN = 0.02
BACKGROUND = (0.65, 0.90)
"""inner and outer radius, as fractions of the half-width, of the ring in which `data.preprocess`
measures median and MAD"""
MEASURES = (
    *("core_brightness", "core_max", "annulus_brightness", "annulus_std", "outer_brightness"),
    *("radial_gradient", "mad", "std", "median", "mean", "percentile_1", "percentile_99"),
    "clip_frac",
)
"""Features of the reference band; the name of the band is added to each."""
DIGEST = "measured"
"""Name of the metadata that says of which pixels the stored features are."""


def columns(survey: Survey) -> dict[str, str]:
    """Names and types (int64, float64, bool) of the features, in the order of the manifest."""
    return {
        **dict.fromkeys(survey.per_band("nan_count"), "int64"),
        **dict.fromkeys(("nan_frac", "central_nan_frac"), "float64"),
        **dict.fromkeys(survey.per_band("has"), "bool"),
        **dict.fromkeys((f"{name}_{survey.reference}" for name in MEASURES), "float64"),
    }


@lru_cache(maxsize=16)
def _masks(
    height: int, width: int, radii: Radii, pixel_scale: float
) -> dict[str, Bool[np.ndarray, "h w"]]:
    """Masks of a stamp by name; `central` is the square in which few pixels may be missing."""

    def pixels(arcsec: float) -> float:
        # Rounded, because the quotient of two such numbers is not exactly the whole number of
        # pixels that a radius can be.
        return round(arcsec / pixel_scale, 6)

    y, x = np.ogrid[:height, :width]
    r = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    half = min(height, width) // 2
    side, row, column = max(round(pixels(radii.central)), 1), height // 2, width // 2
    central = (y >= row - side) & (y < row + side) & (x >= column - side) & (x < column + side)
    return {
        "core": r <= pixels(radii.core),
        "annulus": (r >= pixels(radii.annulus[0])) & (r <= pixels(radii.annulus[1])),
        "outer": r >= half - pixels(radii.outer),
        "clear": r < pixels(radii.clear),
        "background": (r >= BACKGROUND[0] * half) & (r < BACKGROUND[1] * half),
        "central": central,
    }


def features(
    image: Float32[np.ndarray, "h w b"],
    survey: Survey | None = None,
    pixel_scale: float | None = None,
) -> dict[str, Any]:
    """The features named by `columns`; NaN where no pixel is valid.

    image: nanomaggies, bands of the survey (the default survey if none is given).
    pixel_scale: arcsec per pixel of this image, if it is not the survey's.
    Of the reference band: median of the core and its maximum, median and standard deviation of the
    annulus, median of the outermost zone, core minus outermost zone; and over all pixels MAD,
    standard deviation, median, mean, percentiles 1 and 99 and the fraction beyond these two.
    """
    survey = survey or default()
    missing = ~np.isfinite(image)
    counts = missing.sum((0, 1))
    masks = _masks(*image.shape[:2], survey.radii, pixel_scale or survey.pixel_scale)
    out: dict[str, Any] = {f"nan_count_{b}": int(n) for b, n in zip(survey.bands, counts)}
    out |= {
        "nan_frac": float(missing.mean()),
        "central_nan_frac": float(missing[masks["central"]].mean()),
    }
    out |= {f"has_{b}": bool(n < missing[..., 0].size) for b, n in zip(survey.bands, counts)}
    plane, valid = image[..., survey.place], ~missing[..., survey.place]
    values = _measures(plane, valid, masks)
    return out | {f"{name}_{survey.reference}": values[name] for name in MEASURES}


def _measures(
    plane: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    masks: Mapping[str, Bool[np.ndarray, "h w"]],
) -> dict[str, float]:
    """The numbers of one band that MEASURES names."""
    core, annulus, outer = (plane[masks[name] & valid] for name in ("core", "annulus", "outer"))
    every, out = plane[valid], dict.fromkeys(MEASURES, float("nan"))
    if core.size:
        out |= {"core_brightness": float(np.median(core)), "core_max": float(core.max())}
    if annulus.size:
        out |= {
            "annulus_brightness": float(np.median(annulus)),
            "annulus_std": float(annulus.std()),
        }
    if outer.size:
        out["outer_brightness"] = float(np.median(outer))
    out["radial_gradient"] = out["core_brightness"] - out["outer_brightness"]
    if not every.size:
        return out
    median = np.median(every)
    low, high = np.percentile(every, (1, 99))
    return out | {
        "mad": float(np.median(np.abs(every - median))),
        "std": float(every.std()),
        "median": float(median),
        "mean": float(every.mean()),
        "percentile_1": float(low),
        "percentile_99": float(high),
        "clip_frac": float(((every < low) | (every > high)).mean()),
    }


def rejected(
    image: Float32[np.ndarray, "h w b"],
    size: int | None = None,
    survey: Survey | None = None,
    pixel_scale: float | None = None,
) -> str:
    """Why a cutout must not be used, in a few words; empty when it may.

    size: the side it should have, pixels, if it is not the survey's.
    A cutout is rejected when its shape is not (size, size, number of bands); when a band has no
    valid pixel; when more than 2 % of the pixels of the central square are missing; when any pixel
    near the centre is missing; and when the background ring of a band, with missing pixels taken
    as 0, has a MAD of 0. Such a band is blank or padded, and preprocessing would blow it up to the
    clip.
    """
    survey = survey or default()
    size, bands = size or survey.stamp, survey.bands
    if image.shape != (size, size, len(bands)):
        shape = "x".join(map(str, image.shape))
        return f"shape {shape}, expected {size}x{size}x{len(bands)}"
    missing = ~np.isfinite(image)
    absent = [band for i, band in enumerate(bands) if missing[..., i].all()]
    if absent:
        return f"no data in band {', '.join(absent)}"
    scale = pixel_scale or survey.pixel_scale
    masks = _masks(size, size, survey.radii, scale)
    some = missing.any()
    central = missing[masks["central"]].mean() if some else 0.0
    if central > MOST_CENTRAL_NAN:
        side = 2 * max(round(survey.radii.central / scale), 1)
        return f"{100 * central:.1f} % of the central {side}x{side} pixels are NaN"
    if some and missing[masks["clear"]].any():
        return f"NaN within {round(survey.radii.clear / scale, 1):g} pixels of the centre"
    background = (np.where(missing, 0, image) if some else image)[masks["background"]]
    # The medians take most of the time, and are needed only where neighbours are equal, which is
    # rare in sky noise: where the MAD is 0, more than half of the pixels are equal, and so at least
    # two that follow each other when the last is followed by the first.
    if not (background == np.roll(background, 1, 0)).any():
        return ""
    flat = np.median(np.abs(background - np.median(background, 0)), 0) == 0
    if flat.any():
        named = ", ".join(band for band, f in zip(bands, flat) if f)
        return f"blank background in band {named} (MAD 0)"
    return ""


def measured(
    image: Float32[np.ndarray, "h w b"], survey: Survey, pixel_scale: float
) -> dict[str, Any]:
    """Metadata that a cutout carries of its own pixels: the features, `quality_ok`, and a digest of
    the pixels and of everything else that they follow from."""
    return {
        **features(image, survey, pixel_scale),
        "quality_ok": not rejected(image, image.shape[0], survey, pixel_scale),
        DIGEST: _digest(image, survey, pixel_scale),
    }


def known(
    image: Float32[np.ndarray, "h w b"],
    meta: Mapping[str, Any],
    survey: Survey,
    pixel_scale: float,
) -> dict[str, Any]:
    """What `measured` returns for these pixels: taken from the metadata where they hold it for
    exactly these pixels and this survey, and measured where they do not."""
    names = (*columns(survey), "quality_ok", DIGEST)
    if meta.get(DIGEST) == _digest(image, survey, pixel_scale) and all(n in meta for n in names):
        return {name: meta[name] for name in names}
    return measured(image, survey, pixel_scale)


def _digest(image: np.ndarray, survey: Survey, pixel_scale: float) -> str:
    """Fingerprint of the pixels and of all that the features follow from; the leading number is
    that of the rules in this module, and grows when they change."""
    s = survey
    rules = (1, s.radii, s.bands, s.reference, float(pixel_scale), image.shape, str(image.dtype))
    digest = hashlib.sha256(repr(rules).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()[:32]
