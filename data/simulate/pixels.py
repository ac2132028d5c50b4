"""Pixels of a brick: rendered components pasted at their places, stars, exposures, noise and defects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

import lensjax as lj
from data.simulate.bricks import PIXEL
from data.simulate.conditions import MOFFAT_BETA, SKY, Conditions

STAMPS = {25: 256, 65: 64, 101: 32, 201: 8}  # stamp size (pixels): components rendered at once
FAINT = (
    5e-4  # nanomaggies per pixel that a stamp's edge may cut off, about a tenth of the sky noise
)
SATURATION = 30.0  # nanomaggies per pixel above which a star's core is lost
PSF_STAMP = 61


def psf_of(psfsize: ArrayLike) -> lj.Moffat:
    """The PSF of a coadd, per band, from its FWHM (arcsec)."""
    return lj.Moffat(jnp.asarray(psfsize, jnp.float32), MOFFAT_BETA)


def point_source(
    x: Float[np.ndarray, "..."], y: Float[np.ndarray, "..."], fwhm: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "... 3"]:
    """Flux per pixel of a unit point source at offsets x, y (pixels) from it, for a Moffat PSF of `fwhm` arcsec."""
    a2 = (np.asarray(fwhm) / PIXEL / 2) ** 2 / (2 ** (1 / MOFFAT_BETA) - 1)
    return (MOFFAT_BETA - 1) / (np.pi * a2) * (1 + (x**2 + y**2)[..., None] / a2) ** -MOFFAT_BETA


@partial(jax.jit, static_argnames=("size",))
def _render(
    rows: Float[Array, "k 9"], fwhm: Float[Array, " 3"], size: int
) -> Float[Array, "k size size 3"]:
    def one(r):
        return lj.render(
            lj.Scene(source=lj.Sersic(r[:3], *r[3:])), lj.PixelGrid(size, PIXEL), psf_of(fwhm)
        )

    return jax.vmap(one)(rows)


def stamp_sizes(rows: Float[np.ndarray, "k 9"], psfsize: Float[np.ndarray, " 3"]) -> np.ndarray:
    """Smallest stamp whose edge lies where each component is fainter than FAINT in every band, (k,) pixels."""
    from scipy.special import gammaln

    flux, r_eff, n, q = rows[:, :3].max(1), rows[:, 3], rows[:, 4], rows[:, 5]
    sizes = np.asarray(list(STAMPS))
    radius = (sizes / 2 - 6) * PIXEL  # the PSF spreads light over some six pixels more
    b = 2 * n - 1 / 3 + 4 / (405 * n)
    log_peak = 2 * n * np.log(b) - gammaln(2 * n) - np.log(2 * np.pi * q * n * r_eff**2)
    edge = (
        flux[:, None]
        * PIXEL**2
        * np.exp(log_peak[:, None] - b[:, None] * (radius / r_eff[:, None]) ** (1 / n[:, None]))
    )
    wing = (
        flux[:, None]
        * point_source(sizes / 2, np.zeros(len(sizes)), np.asarray(psfsize).max(keepdims=True))[
            :, 0
        ]
    )
    enough = edge + wing < FAINT
    enough[:, -1] = True
    return sizes[enough.argmax(1)]


def paste(
    canvas: Float[np.ndarray, "n n 3"],
    stamps: Float[np.ndarray, "k m m 3"],
    column: np.ndarray,
    row: np.ndarray,
) -> None:
    """Adds stamps (odd size) to the canvas with their middle pixels at (row, column), cut at the canvas's edge."""
    n, half = canvas.shape[0], stamps.shape[1] // 2
    for stamp, x, y in zip(stamps, column, row):
        x0, x1, y0, y1 = (
            max(x - half, 0),
            min(x + half + 1, n),
            max(y - half, 0),
            min(y + half + 1, n),
        )
        if x0 < x1 and y0 < y1:
            canvas[y0:y1, x0:x1] += stamp[
                y0 - y + half : y1 - y + half, x0 - x + half : x1 - x + half
            ]


def render_all(
    rows: Float[np.ndarray, "k 9"], psfsize: Float[np.ndarray, " 3"], size: int
) -> Float[np.ndarray, "k size size 3"]:
    """Stamps of components about their middle pixels, rendered in batches of one length so that one compiled function serves every brick."""
    batch, parts = STAMPS[size], [np.empty((0, size, size, 3), np.float32)]
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        padded = np.resize(some, (batch, rows.shape[1]))
        parts.append(
            np.asarray(
                _render(jnp.asarray(padded, jnp.float32), jnp.asarray(psfsize, jnp.float32), size)
            )[: len(some)]
        )
    return np.concatenate(parts)


def draw_components(
    canvas: Float[np.ndarray, "n n 3"],
    rows: Float[np.ndarray, "k 9"],
    x: np.ndarray,
    y: np.ndarray,
    psfsize: Float[np.ndarray, " 3"],
) -> None:
    """Renders components and adds them to the canvas. x, y (k,): the galaxies' pixel coordinates (0 is the middle of the first pixel)."""
    if not len(rows):
        return
    x, y = x + rows[:, 7] / PIXEL, y + rows[:, 8] / PIXEL
    column, row = np.round(x).astype(int), np.round(y).astype(int)
    local = rows.copy()
    local[:, 7], local[:, 8] = (x - column) * PIXEL, (y - row) * PIXEL
    sizes = stamp_sizes(rows, psfsize)
    for size in STAMPS:
        index = np.flatnonzero(sizes == size)
        paste(canvas, render_all(local[index], psfsize, size), column[index], row[index])


def draw_stars(
    canvas: Float[np.ndarray, "n n 3"],
    flux: Float[np.ndarray, "k 3"],
    x: np.ndarray,
    y: np.ndarray,
    psfsize: Float[np.ndarray, " 3"],
) -> None:
    """Point sources; bright ones get the wide halo that scattered light gives them in every telescope."""
    for f, sx, sy in zip(flux, x, y):
        bright = f.max() > 300  # about magnitude 16.3
        half = 150 if bright else PSF_STAMP // 2
        column, row = round(float(sx)), round(float(sy))
        dy, dx = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
        dx, dy = dx - (sx - column), dy - (sy - row)
        light = f * point_source(dx, dy, psfsize)
        if bright:
            light = 0.97 * light + 0.03 * f * (_halo(dx, dy))[..., None]
        paste(canvas, light[None].astype(np.float32), np.array([column]), np.array([row]))


def _halo(dx: np.ndarray, dy: np.ndarray, scale: float = 8.0) -> np.ndarray:
    """Unit-flux Moffat profile of beta 1.8 and core `scale` pixels."""
    beta = 1.8
    return (beta - 1) / (np.pi * scale**2) * (1 + (dx**2 + dy**2) / scale**2) ** -beta


@dataclass(frozen=True)
class Coadd:
    """One brick: image (n, n, 3) nanomaggies, invvar (n, n, 3), exposures (n, n, 3), and the sky noise of a pixel with every exposure (3,)."""

    image: Float[np.ndarray, "n n 3"]
    invvar: Float[np.ndarray, "n n 3"]
    nexp: Any
    sigma: Float[np.ndarray, " 3"]


def sky_sigma(conditions: Conditions) -> Float[np.ndarray, " 3"]:
    """Noise (nanomaggies) of a sky pixel where every exposure contributes, from depth and PSF: psfdepth = sum(psf^2)/sigma^2."""
    depth = lj.psfdepth_from_m5(jnp.asarray(conditions.m5, jnp.float32))
    return np.asarray(
        lj.pixel_sigma(depth, psf_of(conditions.psfsize), lj.PixelGrid(PSF_STAMP, PIXEL)),
        np.float64,
    )


def expose(
    light: Float[np.ndarray, "n n 3"],
    nexp: np.ndarray,
    conditions: Conditions,
    rng: np.random.Generator,
) -> Coadd:
    """Noise on the light of a brick: the sky's, smaller where more exposures overlap, and the objects' own photons.

    The photon noise follows from the sky's: a pixel of flux f on a sky of brightness s has variance sigma^2 (1 + f/s). invvar is that of the sky
    alone, as in the survey. Pixels without an exposure are 0 with invvar 0.
    """
    sigma = sky_sigma(conditions)
    sky = 10 ** (0.4 * (22.5 - SKY)) * PIXEL**2
    seen = nexp > 0
    variance = (sigma**2 * np.maximum(conditions.exposures, 1) / np.maximum(nexp, 1)).astype(
        np.float32
    )
    noise = rng.standard_normal(light.shape, np.float32) * np.sqrt(
        variance * (1 + np.maximum(light, 0) / sky.astype(np.float32))
    )
    image = np.where(seen, np.minimum(light, SATURATION) + noise, 0).astype(np.float32)
    invvar = np.where(seen & (light < SATURATION), 1 / variance, 0).astype(np.float32)
    return Coadd(image, invvar, nexp, sigma)


def with_holes(coadd: Coadd, rng: np.random.Generator) -> Coadd:
    """NaN patches, as left by masked cosmic rays and bad columns in some reprocessed coadds: a few small ones and a streak, one band each."""
    n = coadd.image.shape[0]
    image, invvar = coadd.image.copy(), coadd.invvar.copy()
    patches = [(rng.integers(4, 14), rng.integers(4, 14)) for _ in range(rng.integers(2, 6))] + [
        (2, n // 3)
    ]
    for height, width in patches:
        band, y, x = rng.integers(0, 3), rng.integers(0, n), rng.integers(0, n)
        image[y : y + height, x : x + width, band] = np.nan
        invvar[y : y + height, x : x + width, band] = 0
    return replace(coadd, image=image, invvar=invvar)
