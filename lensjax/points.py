r"""Light of point sources, a quasar's images for example, through the PSF.

A point at p is the image $\mathrm{PSF}(\theta - p)$ at the pixel centres. A Gaussian is written
down there. Of any other PSF its Fourier transform is taken on a grid FINE times as fine as the
pixels, multiplied by the phase $e^{-2\pi i k p}$, and transformed back. So places are exact to a
fraction of a pixel, and it can be differentiated in them. The fine grid holds frequencies up to one
cycle a pixel: what lies beyond is 1.3e-4 of the peak for a FWHM of 1.5 pixels, 2e-7 for two. A
`PixelKernel` is known at the pixels alone, so that FINE is 1 for it and its image between them is
what its Fourier transform says.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf
from jaxtyping import Array, Complex, Float

from lensjax.arrays import Real
from lensjax.checks import check_value, harmless
from lensjax.component import ANY
from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.images import point_images
from lensjax.mass import Mass
from lensjax.psf import FWHM_TO_SIGMA, PSF, Gaussian, PixelKernel, fft_size

FINE = 2
"""Samples of the PSF's transfer function per pixel and axis."""

REACH = 32
"""Least number of pixels beyond the edge of the stamp up to which a point's light is still seen;
half of the stamp if that is more."""


def point_sources(
    x: Float[Array, " P"], y: Float[Array, " P"], flux: Real, psf: PSF, grid: PixelGrid
) -> Float[Array, "N N B"]:
    """Image (N, N, B), in the units of the flux, of P points at x, y (arcsec) anywhere, between
    pixels and outside of the stamp as well.

    flux: (P, B), or (P,) for the same in every band of the PSF. Light that the PSF carries into the
    stamp from a point outside is included, but a point farther than REACH pixels from the edge adds
    nothing, and its derivatives are 0. Differentiable in everything but the grid. Raises InputError
    for shapes that do not fit and, outside of jit, for values that are not finite.
    """
    x, y, flux = (jnp.asarray(v) for v in (x, y, flux))
    _check(x, y, flux, psf, grid)
    dtype = jnp.result_type(x, y, flux, *jax.tree.leaves(psf), jnp.float32)
    x, y, flux = (v.astype(dtype) for v in (x, y, flux))
    return _image(x, y, flux, jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), psf), grid)


def lensed_point(
    mass: Mass | tuple[Mass, ...],
    x: Real,
    y: Real,
    flux: Real,
    psf: PSF,
    grid: PixelGrid,
    most: int = 5,
) -> Float[Array, "N N B"]:
    """Image (N, N, B) of a point source, a quasar, at x, y (arcsec, source plane) behind a lens,
    flux (B,) as it would be without the lens: at each of its images (`point_images`, searched in
    the stamp, at most `most`) flux times the absolute magnification. It adds to `render`'s image of
    the rest of the scene."""
    images = point_images(mass, x, y, grid, most)
    seen = jnp.abs(images.magnification)[:, None] * jnp.atleast_1d(jnp.asarray(flux))
    return point_sources(images.x, images.y, seen, psf, grid)


@partial(jax.jit, static_argnames=("grid",))
def _image(x: Array, y: Array, flux: Array, psf: PSF, grid: PixelGrid) -> Float[Array, "N N B"]:
    psf = harmless(psf)
    flux = flux[:, None] if flux.ndim == 1 else flux
    reach = max(REACH, grid.size // 2)
    limit = (0.5 * grid.size + reach) * grid.scale
    near = (jnp.abs(x) < limit) & (jnp.abs(y) < limit)
    x, y, flux = jnp.where(near, x, 0.0), jnp.where(near, y, 0.0), jnp.where(near[:, None], flux, 0)
    if isinstance(psf, Gaussian):
        return _by_lines(x, y, flux, psf, grid)
    return _by_phases(x, y, flux, psf, grid, fft_size(grid.size + 2 * reach))


def _by_lines(
    x: Array, y: Array, flux: Array, psf: Gaussian, grid: PixelGrid
) -> Float[Array, "N N B"]:
    """Points through a Gaussian: a row along x times a column along y."""
    sigma = jnp.atleast_1d(psf.fwhm) * FWHM_TO_SIGMA
    axis = jnp.asarray(grid.axis(), x.dtype)

    def line(place: Array) -> Float[Array, "P B N"]:
        d = (axis - place[:, None])[:, None, :] / sigma[:, None]
        if psf.pixel_integrated:
            half = 0.5 * grid.scale / sigma[:, None]
            return 0.5 * (erf((d + half) / np.sqrt(2.0)) - erf((d - half) / np.sqrt(2.0)))
        return jnp.exp(-0.5 * d * d) * (grid.scale / (np.sqrt(2 * np.pi) * sigma[:, None]))

    both = flux[:, :, None] * line(y)
    return jnp.einsum("pbi,pbj->ijb", both, line(x), precision="highest")


def _by_phases(
    x: Array, y: Array, flux: Array, psf: PSF, grid: PixelGrid, side: int
) -> Float[Array, "N N B"]:
    """Points through any PSF; `side` pixels are the period of the transforms."""
    fine = 1 if isinstance(psf, PixelKernel) else FINE
    full = fine * side
    transfer = psf.transfer(full, PixelGrid(fine * grid.size, grid.scale / fine))
    first = (grid.size - 1) / 2
    ey = _phases(fine * np.fft.fftfreq(full), y / grid.scale + first, psf)
    ex = _phases(fine * np.fft.rfftfreq(full), x / grid.scale + first, psf)
    spectrum = transfer * jnp.einsum("pb,pk,pl->bkl", flux.astype(ey.dtype), ey, ex)
    # Only every FINE-th row is wanted: the frequencies that these cannot tell apart are added up.
    folded = jnp.sum(spectrum.reshape(spectrum.shape[0], fine, side, -1), axis=1)
    rows = jnp.fft.ifft(folded, axis=1)[:, : grid.size]
    images = fine * jnp.fft.irfft(rows, full, axis=2)[:, :, ::fine][:, :, : grid.size]
    return jnp.moveaxis(images, 0, -1).astype(x.dtype)


def _phases(nu: np.ndarray, place: Array, psf: PSF) -> Complex[Array, "P F"]:
    """Factor of each frequency (cycles a pixel) for places in pixels from the first one. The
    highest frequency stands for its negative as well, so that its factor is the mean of the two."""
    turns = jnp.asarray(nu, place.dtype) * place[:, None]
    angle = 2 * jnp.pi * (turns - jnp.round(turns))
    highest = np.abs(nu) == np.abs(nu).max()
    pixel = jnp.asarray(np.sinc(nu) if psf.pixel_integrated else np.ones_like(nu), place.dtype)
    return pixel * jax.lax.complex(jnp.cos(angle), jnp.where(highest, 0.0, -jnp.sin(angle)))


def _check(x: Any, y: Any, flux: Any, psf: Any, grid: Any) -> None:
    """Refuses shapes that do not fit, and values that are not finite. Raises InputError."""
    if not isinstance(grid, PixelGrid):
        raise InputError(f"grid = {grid!r}: give PixelGrid(size, scale)")
    if not hasattr(psf, "transfer"):
        raise InputError(f"psf = {psf!r}: give a Gaussian, Moffat or PixelKernel")
    if x.ndim != 1 or x.shape != y.shape or flux.shape[:1] != x.shape or flux.ndim > 2:
        raise InputError(
            f"x, y and flux have shapes {x.shape}, {y.shape} and {flux.shape}: give (points,) "
            "twice and (points, bands)"
        )
    bands = {np.shape(leaf)[0] for leaf in jax.tree.leaves(psf) if np.ndim(leaf) > 0}
    if flux.ndim == 2:
        bands.add(flux.shape[1])
    if len(bands - {1}) > 1:
        counts = " and ".join(str(n) for n in sorted(bands))
        raise InputError(f"flux and psf have {counts} bands: give the same, or one")
    for name, value in (("x", x), ("y", y), ("flux", flux)):
        check_value(name, value, ANY)
    if hasattr(psf, "check"):
        psf.check(grid)
