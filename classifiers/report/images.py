"""Stamps as small RGB pictures inside the page: z, r, g as red, green, blue with the asinh stretch of Lupton et al. 2004, one scale for all."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import Float, UInt8

SCALE = np.array(
    [2.2, 3.4, 6.0]
)  # of z, r, g: a galaxy of flat colour looks neutral, as in the Legacy Surveys' viewer
SOFT, STRETCH = 20.0, 0.25  # Q and stretch in scaled nanomaggies per pixel
MISSING = (150, 60, 160)


def rgb(stamp: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Picture (H, W, 3) of a stamp in nanomaggies (bands g, r, z), row 0 at the bottom as on the sky; missing pixels are purple."""
    missing = ~np.isfinite(stamp).all(-1)
    channels = np.nan_to_num(np.asarray(stamp, np.float64))[..., ::-1] * SCALE
    channels = channels - np.median(channels[~missing], axis=0) if (~missing).any() else channels
    mean = np.maximum(channels.mean(-1) + 0.02, 1e-9)
    factor = np.arcsinh(SOFT * mean / STRETCH) / np.arcsinh(SOFT * 8.0) / mean
    picture = np.clip((channels + 0.02) * factor[..., None], 0.0, 1.0)
    picture = (255 * picture / np.maximum(picture.max(-1, keepdims=True), 1.0)).astype(np.uint8)
    picture[missing] = MISSING
    return picture[::-1]


def png(stamp: Float[np.ndarray, "h w 3"], side: int = 64) -> str:
    """The picture's central pixels (at most side x side) as a data URI."""
    from PIL import Image

    start = max((stamp.shape[0] - side) // 2, 0)
    picture = Image.fromarray(rgb(stamp[start : start + side, start : start + side]))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
