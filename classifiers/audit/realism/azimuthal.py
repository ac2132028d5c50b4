"""What is left of stamps when the central galaxy is taken away by an azimuthal model.

The model has no parameters to fit: the galaxy is as bright everywhere on an elliptical ring as the
median pixel of that ring. The ellipse is that of the core, whose light an arc does not reach, and
an arc that covers less than half of a ring leaves the median nearly as it was. What is measured on
the residual of a real lens and on that of an injection is therefore measured in the same way.

Functions with an argument `xp` work on arrays of that module, numpy or jax.numpy: in JAX the same
code has derivatives (`calibration.observables`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float

from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.noise import MAD_TO_SIGMA

ANGLES = 64
"""samples of a ring"""
OUTER = 0.65
"""the background is measured farther from the centre than this, in half-widths of the stamp"""
CORE = (0.25, 0.87)
"""smallest and largest size of the core whose shape is used: sigma of a round Gaussian, in units of
the survey's FWHM"""
ROUNDEST, FLATTEST = 1.0, 0.3
STEPS = 8
"""iterations of the adaptive moments; more change the axis ratio by less than 0.01"""
CHUNK = 256
"""stamps worked on together, which bounds the memory"""


@dataclass(frozen=True)
class Residuals:
    """Of n stamps, their central s x s pixels. residual and model (n, s, s, B): nanomaggies; where
    a pixel is missing the residual is NaN. sigma (n, B): scatter of a background pixel, and sky
    (n, B): its median, nanomaggies. q (n,): axis ratio of the rings, phi (n,): position angle of
    their major axis, rad, and centre (n, 2): theirs, arcsec. radius (s, s): of the pixels from the
    stamp's centre, arcsec. scale: arcsec per pixel. fwhm: of the survey's PSF, arcsec."""

    residual: Float[np.ndarray, "n s s b"]
    model: Float[np.ndarray, "n s s b"]
    sigma: Float[np.ndarray, "n b"]
    sky: Float[np.ndarray, "n b"]
    q: Float[np.ndarray, " n"]
    phi: Float[np.ndarray, " n"]
    centre: Float[np.ndarray, "n 2"]
    radius: Float[np.ndarray, "s s"]
    scale: float
    fwhm: float

    def __len__(self) -> int:
        return len(self.residual)

    def ring(self, inner: float, outer: float) -> Bool[np.ndarray, "s s"]:
        """The pixels from `inner` to `outer` arcsec from the centre."""
        slack = 1e-6 * self.scale
        return (self.radius >= inner - slack) & (self.radius <= outer + slack)


def outside(size: int) -> Bool[np.ndarray, "h h"]:
    """The background pixels of a stamp of this side (lensjax.sky_sigma takes the same)."""
    return PixelGrid(size, 1.0).radius() > OUTER * (size // 2)


def background(
    stamps: Float[np.ndarray, "n h h b"],
) -> tuple[Float[np.ndarray, "n b"], Float[np.ndarray, "n b"]]:
    """Median and scatter (from the median absolute deviation) of the outer pixels of stamps, both
    (n, B), in the stamps' unit; pixels more than 4 sigma above the median, which are sources, are
    left out once. NaN where a band has no pixel."""
    import warnings

    values = np.asarray(stamps, np.float32)[:, outside(stamps.shape[1])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a band without any pixel is NaN
        for _ in range(2):
            median = np.nanmedian(values, axis=1, keepdims=True)
            spread = MAD_TO_SIGMA * np.nanmedian(np.abs(values - median), axis=1, keepdims=True)
            values = np.where(values > median + 4 * spread, np.nan, values)
    return median[:, 0].astype(np.float64), spread[:, 0].astype(np.float64)


def core_shape(
    image: Float[np.ndarray, "n s s"], scale: float, fwhm: float
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, "n 2"]]:
    """Axis ratio (n,), position angle of the major axis from x towards y (n,), rad, and centre
    (n, 2), arcsec, of the cores of galaxies.

    The centre is the centroid under a round Gaussian weight of sigma CORE[0], iterated. The shape
    is that of adaptive second moments, whose Gaussian weight has the object's own shape (Bernstein
    & Jarvis 2002, AJ 123, 583, section 3; Hirata & Seljak 2003, MNRAS 343, 459, equation 5), within
    the sizes of CORE. Of every two pixels opposite each other the fainter one is used, so that an
    arc or a neighbour on one side leaves no trace. Galaxies without positive light get round rings
    about the stamp's centre. scale: arcsec per pixel. fwhm: of the PSF, arcsec.
    """
    least, largest = CORE[0] * fwhm, CORE[1] * fwhm
    near = min(2 * int(2.5 * largest / scale) + image.shape[1] % 2, image.shape[1])
    start = (image.shape[1] - near) // 2
    image = np.nan_to_num(np.asarray(image[:, start : start + near, start : start + near], float))
    x, y = PixelGrid(near, scale).mesh()
    points = np.stack([x.ravel(), y.ravel()], -1)
    n = len(image)
    round_ = np.repeat(np.eye(2)[None] * least**2, n, 0)
    centre = np.zeros((n, 2))
    for _ in range(STEPS):
        step, _, good = _moments(image, points, centre, round_)
        centre = np.where(good[:, None], np.clip(centre + 2 * step, -scale, scale), 0.0)
    even = np.minimum(image, image[:, ::-1, ::-1])
    shape = np.repeat(np.eye(2)[None] * largest**2 / 2, n, 0)
    for _ in range(STEPS):
        _, second, good = _moments(even, points, np.zeros((n, 2)), shape)
        # A Gaussian under a weight of its own shape has half its moments.
        shape = _kept(np.where(good[:, None, None], 2 * second, np.eye(2)), least, largest)
    values, vectors = np.linalg.eigh(shape)
    minor, major = values.T
    q = np.sqrt(minor / major)
    return q, np.arctan2(vectors[:, 1, 1], vectors[:, 0, 1]), centre


def _moments(
    image: np.ndarray, points: np.ndarray, centre: np.ndarray, shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centroid (n, 2) from `centre` and second moments (n, 2, 2) about it of images under Gaussian
    weights of this shape (n, 2, 2), arcsec, and where there is light."""
    away = points[None] - centre[:, None]
    radius2 = np.einsum("npi,nij,npj->np", away, np.linalg.inv(shape), away, optimize=True)
    weight = image.reshape(radius2.shape) * np.exp(-0.5 * radius2)
    total = weight.sum(1)
    safe = np.where(total > 0, total, 1.0)[:, None]
    step = np.einsum("np,npi->ni", weight, away) / safe
    away = away - step[:, None]
    second = np.einsum("np,npi,npj->nij", weight, away, away, optimize=True) / safe[..., None]
    return step, second, total > 0


def _kept(
    shape: Float[np.ndarray, "n 2 2"], least: float, largest: float
) -> Float[np.ndarray, "n 2 2"]:
    """Second moments with axis ratio and size (arcsec) inside the bounds."""
    values, vectors = np.linalg.eigh(shape)
    low, high = (np.maximum(values[:, i], 1e-12) for i in (0, 1))
    q = np.clip(np.sqrt(low / np.maximum(high, low)), FLATTEST, ROUNDEST)
    size2 = np.clip(np.sqrt(low * high), least**2, largest**2)
    axes = np.stack([size2 * q, size2 / q], -1)
    return np.einsum("nik,nk,njk->nij", vectors, axes, vectors)


def subtracted(
    stamps: Float[np.ndarray, "n h h b"], scale: float, outer: float, fwhm: float, band: int = 0
) -> Residuals:
    """Stamps (n, H, H, B), nanomaggies, NaN where there is no data, without their central galaxy.

    scale: arcsec per pixel. outer: radius (arcsec) up to which the residual is wanted. fwhm: of
    the survey's PSF, arcsec. band: the one that the shape of the rings is measured in. Never raises
    for values: a stamp without data has residuals that are NaN. Raises InputError for stamps that
    are not square or are smaller than the circle of radius `outer`.
    """
    stamps = np.asarray(stamps, np.float32)
    if stamps.ndim != 4 or stamps.shape[1] != stamps.shape[2]:
        raise InputError(f"stamps of shape {stamps.shape}: give (n, H, H, B)")
    side = stamps.shape[1]
    wanted = min(2 * int(np.ceil(outer / scale)) + 2 + side % 2, side)
    if outer > scale * side / 2:
        raise InputError(
            f'stamps of {side} pixels of {scale:g}" do not hold a circle of radius {outer:g}"; '
            "give larger stamps or a smaller arc ring"
        )
    parts = [
        _subtracted(stamps[i : i + CHUNK], scale, fwhm, band, wanted)
        for i in range(0, max(len(stamps), 1), CHUNK)
    ]
    residual, model, *rest = (np.concatenate(p) for p in zip(*parts))
    sigma, sky, q, phi, centre = rest
    radius = PixelGrid(wanted, scale).radius() * scale
    return Residuals(residual, model, sigma, sky, q, phi, centre, radius, scale, fwhm)


def _subtracted(
    stamps: np.ndarray, scale: float, fwhm: float, band: int, wanted: int
) -> tuple[np.ndarray, ...]:
    """The arrays of `Residuals` of a chunk of stamps, in its order."""
    import warnings

    sky, sigma, q, phi, centre = core(stamps, scale, fwhm, band, wanted)
    part = middle(stamps, wanted) - sky[:, None, None].astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a ring without pixels is filled
        model = ring_model(part, q, phi, centre / scale)
    return part - model, model, sigma, sky, q, phi, centre


def core(
    stamps: Float[np.ndarray, "n h h b"], scale: float, fwhm: float, band: int, wanted: int
) -> tuple[np.ndarray, ...]:
    """What the model of a galaxy starts from: sky and sigma (n, B), q, phi (n,) and centre (n, 2)
    as in `Residuals`, of the central `wanted` pixels. Other arguments as for `subtracted`."""
    sky, sigma = background(stamps)
    part = middle(stamps, wanted) - sky[:, None, None].astype(np.float32)
    return sky, sigma, *core_shape(part[..., band], scale, fwhm)


def middle(stamps: Any, side: int) -> Any:
    """The central pixels (n, side, side, B) of stamps (n, H, H, B); numpy or jax.numpy."""
    start = (stamps.shape[1] - side) // 2
    return stamps[:, start : start + side, start : start + side]


def ring_model(
    part: Float[Array, "n s s b"] | Float[np.ndarray, "n s s b"],
    q: Any,
    phi: Any,
    centre: Any,
    xp: Any = np,
) -> Any:
    """The galaxy (n, s, s, B) whose brightness on every elliptical ring is the median pixel of
    `part` there, NaN being no pixel. q, phi (n,): axis ratio and position angle (rad) of the rings;
    centre (n, 2): theirs, pixels. xp: numpy or jax.numpy."""
    wanted = part.shape[1]
    # Rings in units of the pixel; the outermost one reaches beyond the edge of the part along the
    # minor axis.
    steps = np.arange(int(np.ceil(wanted / 2 / np.sqrt(FLATTEST))) + 3)
    profile = _profiles(part, steps, q, phi, centre, xp)
    x, y = PixelGrid(wanted, 1.0).mesh()
    dx, dy = x - centre[:, :1, None], y - centre[:, 1:, None]
    c, s = xp.cos(phi)[:, None, None], xp.sin(phi)[:, None, None]
    major, minor = c * dx + s * dy, c * dy - s * dx
    root = xp.sqrt(q)[:, None, None]
    at = xp.clip(xp.hypot(major * root, minor / root), 0, steps[-1] - 1e-6)
    low = at.astype(int)
    more = (at - low)[..., None].astype(np.float32)
    place = np.arange(len(part))[:, None, None]
    return (1 - more) * profile[place, low] + more * profile[place, low + 1]


def _profiles(
    part: Any, steps: np.ndarray, q: Any, phi: Any, centre: Any, xp: Any
) -> Float[np.ndarray, "n r b"] | Float[Array, "n r b"]:
    """Median brightness of each elliptical ring, bilinear between pixels; a ring without pixels
    has that of the last one with any, and 0 before there was one."""
    angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
    root = xp.sqrt(q)[:, None, None]
    major = steps[:, None] * np.cos(angle) / root
    minor = steps[:, None] * np.sin(angle) * root
    c, s = xp.cos(phi)[:, None, None], xp.sin(phi)[:, None, None]
    half = (part.shape[1] - 1) / 2
    column = c * major - s * minor + centre[:, :1, None] + half
    row = s * major + c * minor + centre[:, 1:, None] + half
    inside = (column >= 0) & (row >= 0) & (column < half * 2) & (row < half * 2)
    x0, y0 = (xp.where(inside, v, 0.0).astype(int) for v in (column, row))
    fx, fy = (xp.where(inside, v, 0.0)[..., None] % 1 for v in (column, row))
    n = np.arange(len(part))[:, None, None]
    top = (1 - fx) * part[n, y0, x0] + fx * part[n, y0, x0 + 1]
    below = (1 - fx) * part[n, y0 + 1, x0] + fx * part[n, y0 + 1, x0 + 1]
    values = xp.where(inside[..., None], (1 - fy) * top + fy * below, np.nan)
    median = xp.nanmedian(values, axis=2)
    known = xp.isfinite(median)
    place = xp.where(known, np.arange(len(steps))[:, None], 0)
    last = xp.maximum.accumulate(place, axis=1)
    filled = xp.where(known, median, 0.0)
    return xp.take_along_axis(filled, last, axis=1).astype(np.float32)
