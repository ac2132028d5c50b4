"""Stamps as small RGB pictures inside the page: three bands of the survey with the asinh stretch of
Lupton et al. 2004, one scale for all."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import Float, UInt8

from data.survey import Survey

SIDE = 64
"""pixels of a stamp that are shown, along each side"""
MISSING = (150, 60, 160)
BRIGHTEST = 8.0
"""what is shown at full brightness, in units of the stretch over the softening"""
FLOOR = 0.02
"""brightness of the empty sky, so that its noise is seen"""


def rgb(stamp: Float[np.ndarray, "h w b"], survey: Survey) -> UInt8[np.ndarray, "h w 3"]:
    """Picture (H, W, 3) of a stamp in nanomaggies, row 0 at the bottom as on the sky; missing
    pixels are purple."""
    how = survey.rgb
    places = [survey.bands.index(band) for band in how.bands]
    missing = ~np.isfinite(stamp[..., places]).all(-1)
    channels = np.nan_to_num(np.asarray(stamp, np.float64))[..., places] * np.array(how.scale)
    channels = channels - np.median(channels[~missing], axis=0) if (~missing).any() else channels
    mean = np.maximum(channels.mean(-1) + FLOOR, 1e-9)
    full = np.arcsinh(how.softening * BRIGHTEST)
    factor = np.arcsinh(how.softening * mean / how.stretch) / full / mean
    picture = np.clip((channels + FLOOR) * factor[..., None], 0.0, 1.0)
    picture = (255 * picture / np.maximum(picture.max(-1, keepdims=True), 1.0)).astype(np.uint8)
    picture[missing] = MISSING
    return picture[::-1]


def png(stamp: Float[np.ndarray, "h w b"], survey: Survey, side: int = SIDE) -> str:
    """The picture's central pixels (at most side x side) as a data URI."""
    from PIL import Image

    start = max((stamp.shape[0] - side) // 2, 0)
    picture = Image.fromarray(rgb(stamp[start : start + side, start : start + side], survey))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
