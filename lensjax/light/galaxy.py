"""Real galaxies as sources: an image of a galaxy, seen through the lens.

A network easily tells parametric sources from real ones, because a picture of a galaxy from HST has
structure that they lack. The telescope's own PSF stays in the image. For HST it is 0.1", which
becomes 0.05" when a galaxy with pixels of 0.03" stands for a more distant one with scale = 0.015;
the smallest sources of the priors have this size. `data/galaxies.py` reads libraries of such
images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import NOT_NEGATIVE, POSITIVE, parameter
from lensjax.light.base import Light
from lensjax.light.focus import Focus, even

_LEVELS = 8
_EDGE = 6
"""Pixels of empty sky that an image gets on each side."""

LARGEST_LIBRARY = 2**28
"""Pixels that a library may have."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GalaxyImage(Light):
    """A galaxy as an image (H, W) of pixels `scale` arcsec wide, turned by phi (radians,
    counter-clockwise), its centre at x, y (arcsec); flux (B,) nanomaggies is the image's sum in
    each band. Between pixels it is the interpolating cubic spline: it goes through every one of
    them with continuous curvature and the exact flux, and is zero outside. A galaxy is made larger
    or smaller by its `scale`.

    In a prior the entry `library` names an NPZ file with `images` (n, H, W); every draw is one of
    them, each with the same probability."""

    flux: Real = parameter(NOT_NEGATIVE, drawn=False)
    image: Float[Array, "H W"] = parameter(drawn=False, normalised=True)
    scale: Real = parameter(POSITIVE, size=True)
    phi: Real = parameter(default=0.0)
    x: Real = parameter(default=0.0)
    y: Real = parameter(default=0.0)

    extra = "library"
    needs_extra = True

    @property
    def textured(self) -> bool:
        """See Light."""
        return True

    def prepared(self, pixel: float = 0.0) -> SplineImage:
        """The image as coefficients of a spline, with what bounds it."""
        image = jnp.asarray(self.image)
        image = jnp.pad(image / (jnp.sum(image) * self.scale**2), _EDGE)
        wide = [jnp.maximum(lax.stop_gradient(image), 0.0)]
        for k in range(_LEVELS):
            # Windows as wide as the last, to its left, on it and to its right, along either axis.
            step, last = 2 ** max(k - 1, 0), wide[-1]
            for window, apart in (((3, 1), (step, 1)), ((1, 3), (1, step))):
                last = lax.reduce_window(
                    last, -jnp.inf, lax.max, window, (1, 1), "SAME", window_dilation=apart
                )
            wide.append(last)
        spline, widest = _spline(image), jnp.stack(wide)
        return SplineImage(self.flux, spline, widest, self.scale, self.phi, self.x, self.y)

    def brightness(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Surface brightness at x, y (arcsec)."""
        return self.prepared().brightness(x, y)

    def bound(self, x: Real, y: Real, reach: Real) -> Float[Array, "..."]:
        """Upper bound of the brightness within `reach` (arcsec) of x, y."""
        return self.prepared().bound(x, y, reach)

    @classmethod
    def read_extra(cls, value: Any) -> Any:
        """The images (n, H, W) of a library, from an NPZ file or as an array. ValueError says what
        is wrong with it."""
        return library(value)

    @classmethod
    def draw_extra(cls, key: Array | None, n: int, kept: Any) -> dict[str, Any]:
        """Images of the library, each with the same probability; without a key the first."""
        images = jnp.asarray(kept)
        first = jnp.zeros(n, int)
        return {
            "image": images[first if key is None else jax.random.randint(key, (n,), 0, len(images))]
        }


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SplineImage(Light):
    """What a GalaxyImage becomes before rays are traced: the coefficients of its spline, and the
    largest pixel within 2^k pixels of each."""

    flux: Real
    spline: Float[Array, "H W"]
    widest: Float[Array, "K H W"]
    scale: Real
    phi: Real
    x: Real
    y: Real

    def brightness(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Surface brightness at x, y (arcsec)."""
        row, column = self._place(x, y)
        total = jnp.zeros_like(row)
        r0, c0 = jnp.floor(row), jnp.floor(column)
        wr, wc = _weights(row - r0), _weights(column - c0)
        for i in range(4):
            for j in range(4):
                at = r0.astype(int) + i - 1, c0.astype(int) + j - 1
                total = total + wr[i] * wc[j] * _pixel(self.spline, *at)
        return total

    def bound(self, x: Real, y: Real, reach: Real) -> Float[Array, "..."]:
        """Upper bound of the brightness within `reach` (arcsec) of x, y."""
        row, column = self._place(x, y)
        height, width = self.spline.shape
        r, q = jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)
        # what is left of the reach at the image's edge
        left = reach / self.scale - jnp.hypot(row - r, column - q)
        level = jnp.ceil(jnp.log2(jnp.maximum(left, 0.5))) + 1
        level = jnp.clip(level, 0, _LEVELS).astype(int)
        found = self.widest[level, jnp.round(r).astype(int), jnp.round(q).astype(int)]
        return jnp.where(left > -1, found, 0.0)

    def foci(self) -> Focus:
        """None: it changes from pixel to pixel, anywhere."""
        return even(self.scale)

    def _place(self, x: Real, y: Real) -> tuple[Array, Array]:
        """Row and column (in the padded image) of a point in the source plane."""
        height, width = self.spline.shape
        cos, sin = jnp.cos(self.phi) / self.scale, jnp.sin(self.phi) / self.scale
        dx, dy = x - self.x, y - self.y
        return cos * dy - sin * dx + (height - 1) / 2, cos * dx + sin * dy + (width - 1) / 2


def library(value: Any) -> np.ndarray:
    """Images (n, H, W), float32, of a library: a path to an NPZ file with an array `images`, or the
    array. Raises ValueError for what is not one, and for an image without light."""
    images = value
    if isinstance(value, str):
        try:
            with np.load(value, allow_pickle=False) as file:
                if "images" not in file:
                    raise ValueError(f"{value}: no array `images` in it")
                images = file["images"]
        except (OSError, EOFError) as error:
            raise ValueError(f"{value}: not a readable NPZ file ({error})") from None
    images = np.asarray(images)
    if images.ndim != 3 or images.dtype.kind not in "fiu" or not 0 < images.size < LARGEST_LIBRARY:
        raise ValueError(f"images {images.dtype} {images.shape}: give numbers (n, H, W)")
    images = images.astype(np.float32)
    bad = ~np.isfinite(images).all((1, 2)) | ~(images.sum((1, 2)) > 0)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise ValueError(f"image {first} is not finite or has no light ({int(bad.sum())} such)")
    return images


def _pixel(image: Array, row: Array, column: Array) -> Array:
    height, width = image.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    value = image[jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)]
    return jnp.where(inside, value, 0.0)


def _spline(image: Float[Array, "H W"]) -> Float[Array, "H W"]:
    """Coefficients of the cubic B-splines that pass through the pixels: the image over the spline's
    spectrum, (2 + cos w)/3 on either axis. They fall by 0.27 a pixel, so that _EDGE pixels of
    nothing around the image are as good as an infinite sky."""
    frequencies = np.fft.fftfreq(image.shape[0]), np.fft.rfftfreq(image.shape[1])
    wy, wx = (2 * np.pi * f for f in frequencies)
    spectrum = (2 + np.cos(wy))[:, None] * (2 + np.cos(wx))[None, :] / 9
    found = jnp.fft.irfft2(jnp.fft.rfft2(image) / jnp.asarray(spectrum, image.dtype), s=image.shape)
    return found.astype(image.dtype)


def _weights(t: Array) -> list[Array]:
    """Cubic B-splines of the four pixels around a point t in [0, 1) past the second."""
    s = 1 - t
    return [
        s**3 / 6,
        (4 - 3 * t * t * (1 + s)) / 6,
        (4 - 3 * s * s * (1 + t)) / 6,
        t**3 / 6,
    ]
