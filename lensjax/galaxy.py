"""Real galaxies as sources: an image of a galaxy, seen through the lens.

A network tells parametric sources from real ones at a glance; a picture of a galaxy from HST has what they lack. `cleaned` takes background, neighbours
and the noise around the galaxy away. Its own PSF stays in the image: 0.1" for HST, which becomes 0.05" when a galaxy of 0.03" pixels stands
for a more distant one at scale = 0.015, and that is the smallest source of the priors.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.errors import InputError
from lensjax.mass import Coefficients

_LEVELS = 8
_EDGE = 6
"""Pixels of empty sky that an image gets on each side."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GalaxyImage:
    """A galaxy as an image (H, W) of pixels `scale` arcsec wide, turned by phi (radians, counter-clockwise), its centre at x, y (arcsec);
    flux (B,) nanomaggies is the image's sum in each band. The interpolating cubic spline between pixels: goes through every one of them, continuous
    curvature, exact flux, zero outside. A galaxy is made larger or smaller by its `scale`."""

    flux: Real
    image: Float[Array, "H W"]
    scale: Real
    phi: Real = 0.0
    x: Real = 0.0
    y: Real = 0.0

    def coefficients(self) -> Coefficients:
        image = jnp.asarray(self.image)
        image = jnp.pad(image / (jnp.sum(image) * self.scale**2), _EDGE)
        cos, sin = jnp.cos(self.phi) / self.scale, jnp.sin(self.phi) / self.scale
        # the largest pixel within 2^k pixels, for `bound`
        wide = [jnp.maximum(lax.stop_gradient(image), 0.0)]
        for k in range(_LEVELS):
            size = 2 ** (k + 1) + 1 if k == 0 else 2**k + 1
            wide.append(
                lax.reduce_window(wide[-1], -jnp.inf, lax.max, (size, size), (1, 1), "SAME")
            )
        return {
            "spline": _spline(image),
            "widest": jnp.stack(wide),
            "cos": cos,
            "sin": sin,
            "x": self.x,
            "y": self.y,
            "scale": self.scale,
        }

    @staticmethod
    def brightness(c: Coefficients, x: Array, y: Array) -> Float[Array, "..."]:
        row, column = _place(c, x, y)
        total = jnp.zeros_like(row)
        r0, c0 = jnp.floor(row), jnp.floor(column)
        wr, wc = _weights(row - r0), _weights(column - c0)
        for i in range(4):
            for j in range(4):
                total = total + wr[i] * wc[j] * _pixel(
                    c["spline"], r0.astype(int) + i - 1, c0.astype(int) + j - 1
                )
        return total

    @staticmethod
    def bound(c: Coefficients, x: Array, y: Array, reach: Array) -> Float[Array, "..."]:
        row, column = _place(c, x, y)
        height, width = c["spline"].shape
        r, q = jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)
        left = reach / c["scale"] - jnp.hypot(
            row - r, column - q
        )  # what is left of the reach at the image's edge
        level = jnp.clip(jnp.ceil(jnp.log2(jnp.maximum(left, 0.5))) + 1, 0, _LEVELS).astype(int)
        return jnp.where(
            left > -1, c["widest"][level, jnp.round(r).astype(int), jnp.round(q).astype(int)], 0.0
        )


def _place(c: Coefficients, x: Array, y: Array) -> tuple[Array, Array]:
    """Row and column (in the padded image) of a point in the source plane."""
    height, width = c["spline"].shape
    dx, dy = x - c["x"], y - c["y"]
    return (c["cos"] * dy - c["sin"] * dx) + (height - 1) / 2, (c["cos"] * dx + c["sin"] * dy) + (
        width - 1
    ) / 2


def _pixel(image: Array, row: Array, column: Array) -> Array:
    inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
    return jnp.where(
        inside,
        image[jnp.clip(row, 0, image.shape[0] - 1), jnp.clip(column, 0, image.shape[1] - 1)],
        0.0,
    )


def _spline(image: Float[Array, "H W"]) -> Float[Array, "H W"]:
    """Coefficients of the cubic B-splines that pass through the pixels: the image over the spline's spectrum, (2 + cos w)/3 on either axis.

    They fall by 0.27 a pixel, so that _EDGE pixels of nothing around the image are as good as an infinite sky."""
    wy, wx = (
        2 * np.pi * f for f in (np.fft.fftfreq(image.shape[0]), np.fft.rfftfreq(image.shape[1]))
    )
    spectrum = (2 + np.cos(wy))[:, None] * (2 + np.cos(wx))[None, :] / 9
    return jnp.fft.irfft2(
        jnp.fft.rfft2(image) / jnp.asarray(spectrum, image.dtype), s=image.shape
    ).astype(image.dtype)


def _weights(t: Array) -> list[Array]:
    """Cubic B-splines of the four pixels around a point t in [0, 1) past the second."""
    s = 1 - t
    return [s**3 / 6, (4 - 3 * t * t * (1 + s)) / 6, (4 - 3 * s * s * (1 + t)) / 6, t**3 / 6]


def cleaned(image: Float[np.ndarray, "H W"], threshold: float = 1.5) -> Float[np.ndarray, "H W"]:
    """A galaxy stamp made into a source: its border's median is subtracted, pixels that are not part of the central object (connected above
    `threshold` robust sigmas of the border, after smoothing by 3 x 3) are set to zero, and so are negative ones. Eager, NumPy.

    Raises InputError for an image that is not a finite 2-D array or has nothing above the threshold.
    """
    image = np.asarray(image, float)
    if image.ndim != 2 or min(image.shape) < 8 or not np.isfinite(image).all():
        raise InputError(
            f"galaxy image of shape {image.shape}: give a finite 2-D array of at least 8 x 8 pixels"
        )
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    image = image - np.median(border)
    sigma = 1.4826 * np.median(np.abs(border - np.median(border)))
    smooth = sum(np.roll(image, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
    bright = smooth > threshold * sigma
    middle = tuple(slice(n // 2 - n // 8, n // 2 + n // 8 + 1) for n in image.shape)
    found = np.zeros_like(bright)
    found[middle] = bright[middle]
    if not found.any():
        raise InputError("galaxy image: nothing near its centre stands out of the noise")
    while True:  # grow the central object into every bright pixel it touches
        grown = (
            found
            | np.roll(found, 1, 0)
            | np.roll(found, -1, 0)
            | np.roll(found, 1, 1)
            | np.roll(found, -1, 1)
        )
        grown = (grown & bright) | found
        if (grown == found).all():
            return np.where(found, np.maximum(image, 0.0), 0.0)
        found = grown
