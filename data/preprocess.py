"""Preprocessing `raw_robust`: the one function between a cutout and a classifier.

Training, evaluation and the scoring of injections all use it. It crops about the centre; then, in
each band, it sets NaN to 0, takes the median m and the median absolute deviation MAD over an
annulus, computes (x - m) / (MAD + 1e-8), and clips.

The centre of a stamp is (size - 1) / 2 in both axes: the middle pixel of an odd stamp, the corner
shared by the four middle pixels of an even one. A crop starts (H - crop) // 2 pixels from either
edge. Where stamp and crop are not both odd or both even, the centre of the crop is therefore half a
pixel from that of the stamp: the middle pixel of an odd stamp is pixel 32 of its 64-pixel crop.

The median is the exact one, that of numpy: the mean of the two middle values of an even number
(`lensjax.medians`).

A stamp whose MAD is 0 in a band (blank, or one value in more than half of the annulus) still has a
result: what differs from the median goes to the clip, the rest to 0. `flat` names such stamps.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int
from pydantic import Field, model_validator

from data.config import settings
from lensjax.errors import InputError, nearest
from lensjax.medians import median

EPSILON = 1e-8
SMALLEST_CROP = 16

Fraction = Annotated[float, Field(gt=0.0, le=1.0)]
Radius = Annotated[float, Field(ge=0.0, le=1024.0)]


@settings
class Preprocess:
    """How a cutout becomes a classifier's input."""

    crop: Annotated[int, Field(ge=0, le=1024)] = 0
    """side of the central crop, pixels; 0 for the whole stamp"""
    annulus: tuple[Fraction, Fraction] = (0.65, 0.90)
    """inner and outer radius of the background annulus, as fractions of the crop's half-width
    (crop // 2 pixels); a pixel at radius r belongs to it where inner <= r < outer"""
    clip: Annotated[float, Field(gt=0.0)] = 10.0
    """values beyond this many MAD are set to it"""
    keep: tuple[Radius, Radius] | None = None
    """inner and outer radius (pixels) of the ring that is seen, inner <= r < outer from the middle
    of the crop; the rest is set to 0, the sky, after normalisation. None: all of it is seen"""

    @model_validator(mode="after")
    def _large_enough(self) -> Preprocess:
        if 0 < self.crop < SMALLEST_CROP:
            raise ValueError(f"crop {self.crop}: use at least {SMALLEST_CROP} pixels, or 0 for all")
        if self.keep and not self.keep[0] < self.keep[1]:
            raise ValueError(f"keep {self.keep}: the inner radius is below the outer one")
        return self

    @property
    def said(self) -> dict[str, Any]:
        """The settings as JSON values, without `keep` where all of the stamp is seen: a program
        that does not know of rings reads what has none, and refuses what has one."""
        found = asdict(self)  # type: ignore[call-overload]
        return found if self.keep else {k: v for k, v in found.items() if k != "keep"}

    def of(self, side: int) -> Preprocess:
        """The same settings with the crop that stamps of this side get: never 0."""
        return self if self.crop else replace(self, crop=side)


PRESETS = {
    "raw_robust": Preprocess(),
    "raw_robust_64": Preprocess(crop=64),
    # 20 to 32 pixels of a 64-pixel crop. It lies in the light of galaxies and lowers the contrast
    # of arcs; it is here for comparison with early models.
    "legacy_annulus": Preprocess(crop=64, annulus=(20 / 32, 32 / 32)),
}


def preset(name: str) -> Preprocess:
    """Settings by name. Raises InputError with the known names."""
    if name not in PRESETS:
        raise InputError(
            f"preprocessing {name!r} is unknown; {nearest(name, PRESETS)}the presets are "
            f"{', '.join(PRESETS)}"
        )
    return PRESETS[name]


def annulus_pixels(p: Preprocess, side: int = 0) -> Int[np.ndarray, " n"]:
    """Flat indices (row * crop + column) of the annulus pixels of a cropped stamp.

    side: of the stamp, where the crop is the whole of it. Raises InputError when the annulus holds
    too few pixels.
    """
    crop = p.of(side).crop
    half, centre = crop // 2, (crop - 1) / 2
    y, x = np.mgrid[:crop, :crop] - centre
    r = np.hypot(y, x)
    inside = np.flatnonzero((r >= p.annulus[0] * half) & (r < p.annulus[1] * half))
    if inside.size < 16:
        raise InputError(
            f"annulus {p.annulus} of a {crop}-pixel crop holds {inside.size} pixels; widen it "
            "(inner < outer, fractions of the half-width)"
        )
    return inside


def kept_pixels(p: Preprocess, side: int = 0) -> Float32[np.ndarray, "s s 1"]:
    """1 in the pixels of a cropped stamp that are seen, 0 in the others.

    side: of the stamp, where the crop is the whole of it. Raises InputError when no pixel is seen.
    """
    crop = p.of(side).crop
    y, x = np.mgrid[:crop, :crop] - (crop - 1) / 2
    inner, outer = p.keep or (0.0, np.inf)
    r = np.hypot(y, x)
    seen = (r >= inner) & (r < outer)
    if not seen.any():
        raise InputError(f"keep {p.keep}: a crop of {crop} pixels has no pixel in this ring")
    return seen[..., None].astype(np.float32)


def cropped(
    images: Float[Array, "*batch h w c"], size: int
) -> Float[Array, "*batch {size} {size} c"]:
    """The central size x size pixels; all of them where size is 0.

    Raises InputError when the stamp is smaller or not square.
    """
    height, width = images.shape[-3:-1]
    size = size or height
    if height != width or height < size:
        raise InputError(
            f"a stamp of {height} x {width} pixels cannot be cropped to {size} x {size}; "
            "set crop to at most the stamp's side"
        )
    start = (height - size) // 2
    return images[..., start : start + size, start : start + size, :]


def _background(
    filled: Float[Array, "*batch h w c"], p: Preprocess
) -> tuple[Float[Array, "*batch c"], Float[Array, "*batch c"]]:
    """Median and MAD of each band over the annulus of cropped stamps without NaN."""
    ring = annulus_pixels(p, filled.shape[-2])
    pixels = filled.reshape(*filled.shape[:-3], -1, filled.shape[-1])[..., ring, :]
    # The pixels lead, so that every counting pass adds long contiguous rows.
    first = jnp.moveaxis(pixels, -2, 0)
    centre = median(first)
    return centre, median(jnp.abs(first - centre))


def _filled(images: Float[Array, "*batch h w c"], p: Preprocess) -> Float[Array, "*batch s s c"]:
    x = cropped(jnp.asarray(images, jnp.float32), p.crop)
    return jnp.where(jnp.isnan(x), 0.0, x)


def raw_robust(
    images: Float[Array, "*batch h w c"], p: Preprocess = PRESETS["raw_robust"]
) -> Float[Array, "*batch s s c"]:
    """Normalised stamps: float32, within ±clip, free of NaN. Works under jit, vmap and grad.

    images: nanomaggies, bands last; NaN where there is no data; any leading axes. The result does
    not change under x -> a x + b (a > 0) away from the clip and the 1e-8. Raises InputError when
    the stamp is smaller than the crop. Give a batch as leading axes rather than by vmap: the values
    are the same, and the medians run several times faster.
    """
    x = _filled(images, p)
    centre, mad = _background(x, p)
    # Multiplied by a reciprocal instead of divided. XLA makes this change in some compilations and
    # not in others, which would cost the last bit.
    scale = 1.0 / (mad + EPSILON)
    y = (x - centre[..., None, None, :]) * scale[..., None, None, :]
    seen = jnp.clip(jnp.where(jnp.isnan(y), 0.0, y), -p.clip, p.clip)
    return seen if p.keep is None else seen * kept_pixels(p, x.shape[-2])


def flat(
    images: Float[Array, "*batch h w c"], p: Preprocess = PRESETS["raw_robust"]
) -> Bool[Array, "*batch"]:
    """Stamps with a MAD of exactly 0 in some band. They are blank or padded, and must not be
    trained on or scored without saying so."""
    return jnp.any(_background(_filled(images, p), p)[1] == 0.0, axis=-1)
