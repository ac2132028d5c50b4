"""Pixels of a brick: rendered components pasted at their places, stars, exposures, noise, defects.

Everything is in nanomaggies per pixel of the survey; B is its number of bands, in its order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

import lensjax as lj
from data.simulate.conditions import Conditions, typical
from data.simulate.shapes import SHAPE, Rows
from data.survey import Survey

LARGEST = 52.6
"""Side of the largest stamp on which a galaxy is rendered, arcsec."""
SATURATED = 14.8
"""AB magnitude of the star whose brightest pixel just saturates in typical seeing."""
HALO_FROM = 16.3
"""AB magnitude of the faintest star with a visible halo of scattered light."""
HALO = 39.3
"""How far from a star its halo is drawn, arcsec."""


def psf_of(survey: Survey, psfsize: ArrayLike) -> lj.Moffat:
    """The PSF of a coadd, per band, from its FWHM (arcsec)."""
    return lj.Moffat(jnp.asarray(psfsize, jnp.float32), survey.conditions.moffat_beta)


def psf_within(survey: Survey, psfsize: ArrayLike, size: int) -> lj.PSF:
    """The PSF of a coadd (`psf_of`) for stamps of `size` pixels.

    On stamps that are wider than `psf_stamp` it ends there, as the stars of `draw_stars` do. This
    halves the work of a convolution with wings that have no end.
    """
    psf, side = psf_of(survey, psfsize), psf_stamp(survey)
    if size < side:
        return psf
    return lj.PixelKernel(kernel(psf, lj.PixelGrid(side, survey.pixel_scale)))


@partial(jax.jit, static_argnames=("grid",))
def kernel(psf: lj.PSF, grid: lj.PixelGrid) -> Float[Array, "B size size"]:
    """Shares of a point source's flux in the pixels of a stamp."""
    return jnp.moveaxis(psf.stamp(grid), -1, 0)


_pixel_sigma = jax.jit(lj.pixel_sigma, static_argnames=("grid",))


def psf_stamp(survey: Survey) -> int:
    """Side (odd, pixels) of a stamp that holds all of a PSF but a few parts in a thousand."""
    return survey.size(11.6 * float(typical(survey).psfsize[survey.place]))


def point_source(
    survey: Survey,
    x: Float[np.ndarray, "..."],
    y: Float[np.ndarray, "..."],
    fwhm: Float[np.ndarray, " B"],
) -> Float[np.ndarray, "... B"]:
    """Flux per pixel of a unit point source at offsets x, y (pixels), for a Moffat PSF.

    fwhm is in arcsec.
    """
    beta = survey.conditions.moffat_beta
    a2 = (np.asarray(fwhm) / survey.pixel_scale / 2) ** 2 / (2 ** (1 / beta) - 1)
    return (beta - 1) / (np.pi * a2) * (1 + (x**2 + y**2)[..., None] / a2) ** -beta


AT_ONCE = 8
"""Stamps rendered together: as many as stay in a processor's cache. A last batch is filled up, so a
larger number would also render more that nobody needs."""
_WITHOUT_A_LENS = lj.Bounds(theta_e=1.0)
"""No ring has to be resolved. With the cells that one of this size would get, pixels of random
galaxies differ by less than a thousandth of the peak from those with the cells of the domain's
largest ring."""


@partial(jax.jit, static_argnames=("grid",))
def _render(
    flux: Float[Array, "k B"], shape: Float[Array, "k 6"], psf: lj.PSF, grid: lj.PixelGrid
) -> Float[Array, "k size size B"]:
    one = lambda f, s: lj.render(
        lj.Scene(source=(lj.Sersic(f, *s),)), grid, psf, bounds=_WITHOUT_A_LENS
    )
    return jax.vmap(one)(flux, shape)


def sides(survey: Survey) -> tuple[int, ...]:
    """Sides (odd, pixels, increasing) of the stamps on which components are rendered.

    The third is the survey's own stamp.
    """
    stamp = survey.stamp
    largest = max(survey.size(LARGEST), stamp | 1)
    return tuple(sorted({stamp // 4 | 1, round(0.64 * stamp) | 1, stamp | 1, largest}))


def stamp_sizes(
    survey: Survey, rows: Rows, psfsize: Float[np.ndarray, " B"]
) -> Int[np.ndarray, " k"]:
    """Side (pixels) of the smallest stamp at whose edge each component is hardly visible.

    That is where it is fainter than a tenth of the typical sky noise of a pixel in every band.
    """
    from scipy.special import gammaln

    usual, sizes = typical(survey), np.asarray(sides(survey))
    faint = 0.1 * sky_sigma(survey, usual)[survey.place]
    flux = rows[:, : -len(SHAPE)].max(1)
    r_eff, n, q = rows[:, -len(SHAPE) :][:, :3].T
    radius = (
        sizes / 2 * survey.pixel_scale - 1.15 * usual.psfsize[survey.place]
    )  # the PSF spreads light beyond it
    b = 2 * n - 1 / 3 + 4 / (405 * n)
    log_peak = 2 * n * np.log(b) - gammaln(2 * n) - np.log(2 * np.pi * q * n * r_eff**2)
    fall = b[:, None] * (radius / r_eff[:, None]) ** (1 / n[:, None])
    rim = flux[:, None] * survey.pixel_scale**2 * np.exp(log_peak[:, None] - fall)
    widest = np.asarray(psfsize).max(keepdims=True)
    wing = flux[:, None] * point_source(survey, sizes / 2, 0 * sizes, widest)[:, 0]
    enough = rim + wing < faint
    enough[:, -1] = True
    return sizes[enough.argmax(1)]


def paste(
    canvas: Float[np.ndarray, "n n B"],
    stamps: Float[np.ndarray, "k m m B"],
    column: Int[np.ndarray, " k"],
    row: Int[np.ndarray, " k"],
) -> None:
    """Adds stamps (m odd) to the canvas, cut at its edge, their middle pixels at (row, column)."""
    n, half = canvas.shape[0], stamps.shape[1] // 2
    for stamp, x, y in zip(stamps, column, row):
        x0, x1 = max(x - half, 0), min(x + half + 1, n)
        y0, y1 = max(y - half, 0), min(y + half + 1, n)
        if x0 < x1 and y0 < y1:
            left, top = x - half, y - half
            canvas[y0:y1, x0:x1] += stamp[y0 - top : y1 - top, x0 - left : x1 - left]


def render_all(
    survey: Survey, rows: Rows, psfsize: Float[np.ndarray, " B"], size: int
) -> Float[np.ndarray, "k size size B"]:
    """Stamps of one of the `sides` of components about their middle pixels.

    They are rendered AT_ONCE together, so that one compiled function serves every brick.
    """
    grid, psf = lj.PixelGrid(size, survey.pixel_scale), psf_within(survey, psfsize, size)
    parts = [np.empty((0, size, size, len(survey.bands)), np.float32)]
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        padded = np.resize(some, (AT_ONCE, rows.shape[1])).astype(np.float32)
        light, shape = padded[:, : -len(SHAPE)], padded[:, -len(SHAPE) :]
        parts.append(np.asarray(_render(light, shape, psf, grid))[: len(some)])
    return np.concatenate(parts)


def draw_components(
    survey: Survey,
    canvas: Float[np.ndarray, "n n B"],
    rows: Rows,
    x: Float[np.ndarray, " k"],
    y: Float[np.ndarray, " k"],
    psfsize: Float[np.ndarray, " B"],
) -> None:
    """Renders components and adds them to the canvas.

    x, y are the pixel coordinates of the galaxies (0 is the middle of the first pixel).
    """
    if not len(rows):
        return
    scale = survey.pixel_scale
    x, y = x + rows[:, -2] / scale, y + rows[:, -1] / scale
    column, row = np.round(x).astype(int), np.round(y).astype(int)
    local = rows.copy()
    local[:, -2], local[:, -1] = (x - column) * scale, (y - row) * scale
    sizes = stamp_sizes(survey, rows, psfsize)
    for size in sides(survey):
        index = np.flatnonzero(sizes == size)
        stamps = render_all(survey, local[index], psfsize, size)
        paste(canvas, stamps, column[index], row[index])


def draw_stars(
    survey: Survey,
    canvas: Float[np.ndarray, "n n B"],
    flux: Float[np.ndarray, "k B"],
    x: Float[np.ndarray, " k"],
    y: Float[np.ndarray, " k"],
    psfsize: Float[np.ndarray, " B"],
) -> None:
    """Adds point sources to the canvas.

    Bright ones get the wide halo that scattered light gives them in every telescope.
    """
    small, large = psf_stamp(survey) // 2, round(survey.pixels(HALO))
    for f, sx, sy in zip(flux, x, y):
        bright = f.max() > 10 ** (0.4 * (22.5 - HALO_FROM))
        half = max(small, large) if bright else small
        column, row = round(float(sx)), round(float(sy))
        dy, dx = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
        dx, dy = dx - (sx - column), dy - (sy - row)
        light = f * point_source(survey, dx, dy, psfsize)
        if bright:
            light = 0.97 * light + 0.03 * f * _halo(dx, dy, survey.pixels(2.1))[..., None]
        paste(canvas, light[None].astype(np.float32), np.array([column]), np.array([row]))


def _halo(dx: np.ndarray, dy: np.ndarray, scale: float) -> np.ndarray:
    """Moffat profile of unit flux, beta 1.8 and a core of `scale` pixels."""
    beta = 1.8
    return (beta - 1) / (np.pi * scale**2) * (1 + (dx**2 + dy**2) / scale**2) ** -beta


@dataclass(frozen=True)
class Coadd:
    """One brick."""

    image: Float[np.ndarray, "n n B"]
    """nanomaggies"""
    invvar: Float[np.ndarray, "n n B"]
    """inverse variance of the sky noise, nanomaggies^-2"""
    nexp: Int[np.ndarray, "n n B"]
    """number of exposures"""
    sigma: Float[np.ndarray, " B"]
    """sky noise of a pixel with every exposure, nanomaggies"""


def sky_sigma(survey: Survey, conditions: Conditions) -> Float[np.ndarray, " B"]:
    """Noise (nanomaggies) of a sky pixel to which every exposure contributes.

    It follows from depth and PSF: psfdepth = sum(psf^2) / sigma^2.
    """
    depth = lj.psfdepth_from_m5(jnp.asarray(conditions.m5, jnp.float32))
    grid = lj.PixelGrid(psf_stamp(survey), survey.pixel_scale)
    psf = psf_of(survey, conditions.psfsize)
    return np.asarray(_pixel_sigma(depth, psf, grid), np.float64)


def saturation(survey: Survey) -> float:
    """Nanomaggies per pixel above which a star's core is lost."""
    usual, zero = typical(survey), np.zeros(())
    peak = point_source(survey, zero, zero, usual.psfsize)[survey.place]
    return float(10 ** (0.4 * (22.5 - SATURATED)) * peak)


def expose(
    survey: Survey,
    light: Float[np.ndarray, "n n B"],
    nexp: Int[np.ndarray, "n n B"],
    conditions: Conditions,
    rng: np.random.Generator,
) -> Coadd:
    """Adds noise to the light of a brick: that of the sky and that of the objects' own photons.

    The sky's is smaller where more exposures overlap. The photon noise follows from it: a pixel of
    flux f on a sky of brightness s has variance sigma^2 (1 + f/s). invvar is that of the sky alone,
    as in the Legacy Surveys. Pixels without an exposure are 0 and have invvar 0.
    """
    sigma, most = sky_sigma(survey, conditions), saturation(survey)
    sky = 10 ** (0.4 * (22.5 - np.asarray(survey.conditions.sky))) * survey.pixel_scale**2
    seen = nexp > 0
    variance = sigma**2 * np.maximum(conditions.exposures, 1) / np.maximum(nexp, 1)
    variance = variance.astype(np.float32)
    photons = 1 + np.maximum(light, 0) / sky.astype(np.float32)
    noise = rng.standard_normal(light.shape, np.float32) * np.sqrt(variance * photons)
    image = np.where(seen, np.minimum(light, most) + noise, 0).astype(np.float32)
    invvar = np.where(seen & (light < most), 1 / variance, 0).astype(np.float32)
    return Coadd(image, invvar, nexp, sigma)


def with_holes(coadd: Coadd, rng: np.random.Generator) -> Coadd:
    """NaN patches, as masked cosmic rays and bad columns leave them in some reprocessed coadds.

    There are a few small ones and a streak, each in one band.
    """
    n, bands = coadd.image.shape[1:]
    image, invvar = coadd.image.copy(), coadd.invvar.copy()
    few = range(rng.integers(2, 6))
    patches = [(int(rng.integers(4, 14)), int(rng.integers(4, 14))) for _ in few]
    for height, width in [*patches, (2, n // 3)]:
        band, y, x = rng.integers(0, bands), rng.integers(0, n), rng.integers(0, n)
        image[y : y + height, x : x + width, band] = np.nan
        invvar[y : y + height, x : x + width, band] = 0
    return replace(coadd, image=image, invvar=invvar)
