"""Is a cutout fit for use, and what does it look like without a network: the numbers of the manifest, from the pixels alone.

Radii are in pixels from the central pixel (H // 2, W // 2); values in nanomaggies, of the r band. Infinite pixels count as NaN.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from data.cutouts import BANDS, SIZE

CORE, ANNULUS, OUTER = 8, (20, 40), 25
CENTRAL, MOST_CENTRAL_NAN, CLEAR_RADIUS = 25, 0.02, 8.0
BACKGROUND = (0.65, 0.90)  # of the half-width: where data.preprocess measures median and MAD
FEATURES = (
    *(f"nan_count_{band}" for band in BANDS),
    "nan_frac",
    "central_nan_frac",
    *(f"has_{band}" for band in BANDS),
    *(
        "core_brightness_r",
        "core_max_r",
        "annulus_brightness_r",
        "annulus_std_r",
        "outer_brightness_r",
        "radial_gradient_r",
    ),
    *("mad_r", "std_r", "median_r", "mean_r", "percentile_1_r", "percentile_99_r", "clip_frac_r"),
)


@lru_cache(maxsize=16)
def _masks(height: int, width: int) -> dict[str, Bool[np.ndarray, "h w"]]:
    y, x = np.ogrid[:height, :width]
    r = np.hypot(y - height // 2, x - width // 2)
    half = min(height, width) // 2
    from_middle = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    return {
        "core": r <= CORE,
        "annulus": (r >= ANNULUS[0]) & (r <= ANNULUS[1]),
        "outer": r >= half - OUTER,
        "clear": r < CLEAR_RADIUS,
        "background": (from_middle >= BACKGROUND[0] * half) & (from_middle < BACKGROUND[1] * half),
    }


def _central(image: np.ndarray) -> np.ndarray:
    """The central 50 x 50 pixels."""
    y, x = image.shape[0] // 2, image.shape[1] // 2
    return image[max(y - CENTRAL, 0) : y + CENTRAL, max(x - CENTRAL, 0) : x + CENTRAL]


def features(image: Float32[np.ndarray, "h w 3"]) -> dict[str, Any]:
    """The columns named in FEATURES; NaN where no pixel is valid.

    Of the r band: median of the core (r <= 8), its maximum, median and standard deviation of the annulus (20 <= r <= 40), median outside (r >= H // 2 - 25),
    core minus outside, and over all pixels MAD, standard deviation, median, mean, percentiles 1 and 99 and the fraction beyond these two.
    """
    missing = ~np.isfinite(image)
    counts = missing.sum((0, 1))
    out: dict[str, Any] = {f"nan_count_{band}": int(n) for band, n in zip(BANDS, counts)}
    out |= {"nan_frac": float(missing.mean()), "central_nan_frac": float(_central(missing).mean())}
    out |= {f"has_{band}": bool(n < missing[..., 0].size) for band, n in zip(BANDS, counts)}
    masks, r, valid = _masks(*image.shape[:2]), image[..., 1], ~missing[..., 1]
    core, annulus, outer = (r[masks[name] & valid] for name in ("core", "annulus", "outer"))
    every = r[valid]
    nan = float("nan")
    out["core_brightness_r"] = float(np.median(core)) if core.size else nan
    out["core_max_r"] = float(core.max()) if core.size else nan
    out["annulus_brightness_r"] = float(np.median(annulus)) if annulus.size else nan
    out["annulus_std_r"] = float(annulus.std()) if annulus.size else nan
    out["outer_brightness_r"] = float(np.median(outer)) if outer.size else nan
    out["radial_gradient_r"] = out["core_brightness_r"] - out["outer_brightness_r"]
    if not every.size:
        return out | dict.fromkeys(FEATURES[-7:], nan)
    median = np.median(every)
    low, high = np.percentile(every, (1, 99))
    out |= {
        "mad_r": float(np.median(np.abs(every - median))),
        "std_r": float(every.std()),
        "median_r": float(median),
        "mean_r": float(every.mean()),
    }
    out |= {
        "percentile_1_r": float(low),
        "percentile_99_r": float(high),
        "clip_frac_r": float(((every < low) | (every > high)).mean()),
    }
    return out


def rejected(image: Float32[np.ndarray, "h w 3"], size: int = SIZE) -> str:
    """Why a cutout must not be used, in a few words; empty when it may.

    Another shape than (size, size, 3) · a band without any valid pixel · more than 2 % NaN in the central 50 x 50 · any NaN within r < 8 px of the
    central pixel · a band whose background annulus, NaN taken as 0, has a MAD of 0 (blank or padded: preprocessing would blow it up to the clip).
    """
    if image.shape != (size, size, 3):
        return f"shape {'x'.join(map(str, image.shape))}, expected {size}x{size}x3"
    missing = ~np.isfinite(image)
    absent = [band for i, band in enumerate(BANDS) if missing[..., i].all()]
    if absent:
        return f"no data in band {', '.join(absent)}"
    masks = _masks(size, size)
    central = _central(missing).mean()
    if central > MOST_CENTRAL_NAN:
        return f"{100 * central:.1f} % of the central 50x50 pixels are NaN"
    if missing[masks["clear"]].any():
        return f"NaN within {CLEAR_RADIUS:g} pixels of the centre"
    background = np.where(missing, 0, image)[masks["background"]]
    flat = np.median(np.abs(background - np.median(background, 0)), 0) == 0
    if flat.any():
        return f"blank background in band {', '.join(band for band, f in zip(BANDS, flat) if f)} (MAD 0)"
    return ""
