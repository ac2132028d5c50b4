"""Point-spread functions.

A survey describes its *effective* PSF, the pixel included: image = (light (x) PSF) sampled at pixel centres, times the pixel's area. That is
the default. `pixel_integrated=True` integrates over the pixel once more, as the simulations do that bin light to pixels and then convolve
with the PSF sampled at pixels (lenstronomy among them); the two differ by 1-2 % of the peak at DR10's seeing.

The light comes as B-spline coefficients on the pixel grid (cells.py), so the convolution is a product in Fourier space with the PSF's transfer
function over the spline's, sinc^SPLINE. Exact up to what a pixel grid can hold of the PSF: frequencies beyond half a cycle per pixel,
where a Gaussian of FWHM 0.9" (0.7") has fallen to 3e-5 (2e-3).
"""

from dataclasses import dataclass, field
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from lensjax.arrays import Real
from lensjax.cells import MARGIN, SPLINE, padded
from lensjax.grid import PixelGrid

FWHM_TO_SIGMA = 1 / 2.3548200450309493
MOFFAT_BETAS = (2.5, 3.5, 4.5)
"""The survey's own choices of the Moffat exponent."""


class PSF(Protocol):
    """What a PSF can do."""

    @property
    def pixel_integrated(self) -> bool: ...

    def transfer(self, side: int, grid: PixelGrid) -> Complex[Array, "B S F"] | Float[Array, "B S F"]:
        """Fourier transform at the frequencies of rfft2 on side x side pixels; 1 at frequency 0."""
        ...

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]:
        """Image of a point source of unit flux at the centre of the grid."""
        ...


def convolve(nodes: Float[Array, "M M"], psf: PSF, grid: PixelGrid) -> Float[Array, "N N B"]:
    """Image of light given as B-spline coefficients on the padded grid (cells.nodes), in the units of the coefficients."""
    side, first = padded(grid)
    full = fft_size(side + MARGIN - 1)
    shape = lambda nu: np.sinc(nu) / np.sinc(nu) ** SPLINE if psf.pixel_integrated else 1 / np.sinc(nu) ** SPLINE  # noqa: E731
    fy, fx = (jnp.asarray(shape(nu), nodes.dtype) for nu in (np.fft.fftfreq(full), np.fft.rfftfreq(full)))
    spectrum = jnp.fft.rfft2(nodes, s=(full, full)) * (fy[:, None] * fx[None, :])
    images = jnp.fft.irfft2(psf.transfer(full, grid) * spectrum, s=(full, full))
    part = slice(first, first + grid.size)
    return jnp.moveaxis(images[:, part, part], 0, -1).astype(nodes.dtype)


def fft_size(least: int) -> int:
    """Smallest even product of 2, 3 and 5 that is at least `least`."""
    for n in range(least, 2 * least + 2):
        rest = n
        for p in (2, 3, 5):
            while rest % p == 0:
                rest //= p
        if rest == 1 and n % 2 == 0:
            return n
    raise AssertionError(least)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Gaussian:
    """Gaussian PSF, fwhm (B,) in arcsec."""

    fwhm: Real
    pixel_integrated: bool = field(default=False, metadata={"static": True})

    def _sigma(self, grid: PixelGrid) -> Float[Array, " B"]:
        """In pixels."""
        return jnp.atleast_1d(jnp.asarray(self.fwhm)) * (FWHM_TO_SIGMA / grid.scale)

    def transfer(self, side: int, grid: PixelGrid) -> Float[Array, "B S F"]:
        rate = 2 * jnp.pi**2 * self._sigma(grid)[:, None] ** 2
        ty, tx = (jnp.exp(-rate * jnp.asarray(nu**2, rate.dtype)) for nu in (np.fft.fftfreq(side), np.fft.rfftfreq(side)))
        return ty[:, :, None] * tx[:, None, :]

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]:
        sigma = self._sigma(grid)[:, None]
        d = jnp.asarray(grid.axis() / grid.scale, sigma.dtype)
        line = jnp.exp(-0.5 * (d / sigma) ** 2) / (jnp.sqrt(2 * jnp.pi) * sigma)
        return jnp.einsum("bi,bj->ijb", line, line, precision="highest")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Moffat:
    """Moffat PSF, fwhm (B,) in arcsec: I = (beta - 1)/(pi a^2) (1 + r^2/a^2)^-beta with a = fwhm / (2 sqrt(2^(1/beta) - 1)). The survey's
    own fits have beta 2.5, 3.5 or 4.5; any beta > 1, scalar or (B,), is accepted."""

    fwhm: Real
    beta: Real = 3.5
    pixel_integrated: bool = field(default=False, metadata={"static": True})

    def _sample(self, dx: np.ndarray, dy: np.ndarray, grid: PixelGrid) -> Float[Array, "B ..."]:
        """Flux per pixel at offsets in pixels."""
        fwhm = jnp.atleast_1d(jnp.asarray(self.fwhm)) / grid.scale
        beta = jnp.broadcast_to(jnp.asarray(self.beta, fwhm.dtype), fwhm.shape)
        a = 0.5 * fwhm / jnp.sqrt(jnp.exp2(1 / beta) - 1)
        a, beta = (v.reshape(-1, *(1,) * np.ndim(dx)) for v in (a, beta))
        r2 = jnp.asarray(dx**2 + dy**2, a.dtype)
        return (beta - 1) / (jnp.pi * a**2) * jnp.exp(-beta * jnp.log1p(r2 / a**2))

    def transfer(self, side: int, grid: PixelGrid) -> Float[Array, "B S F"]:
        lag = np.fft.fftfreq(side, 1 / side)
        dx, dy = np.meshgrid(lag, lag)
        return jnp.fft.rfft2(self._sample(dx, dy, grid)).real

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]:
        x, y = grid.mesh()
        return jnp.moveaxis(self._sample(x / grid.scale, y / grid.scale, grid), 0, -1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PixelKernel:
    """A pixelised effective PSF, kernel (B, K, K), K odd, sampled at pixels with its centre in the middle one. Normalised here, band by
    band; between its samples it is what its Fourier transform says."""

    kernel: Float[Array, "B K K"]
    pixel_integrated: bool = field(default=False, metadata={"static": True})

    def _normalised(self) -> Float[Array, "B K K"]:
        return self.kernel / jnp.sum(self.kernel, axis=(-2, -1), keepdims=True)

    def transfer(self, side: int, grid: PixelGrid) -> Complex[Array, "B S F"]:
        k = self._normalised()
        size = k.shape[-1]
        wide = jnp.pad(k, ((0, 0), (0, side - size), (0, side - size)))
        return jnp.fft.rfft2(jnp.roll(wide, -(size // 2), (1, 2)))

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]:
        k = self._normalised()
        if grid.size % 2 == 0:
            k = jnp.pad(k, ((0, 0), (0, 1), (0, 1)))  # half a pixel off: the centre of an even stamp is a corner
            k = 0.25 * (k + jnp.roll(k, 1, 1) + jnp.roll(k, 1, 2) + jnp.roll(k, (1, 1), (1, 2)))
        gap = grid.size - k.shape[-1]
        before, cut = max(gap // 2, 0), max(-gap // 2, 0)
        k = jnp.pad(k, ((0, 0), (before, max(gap - before, 0)), (before, max(gap - before, 0))))
        return jnp.moveaxis(k[:, cut : cut + grid.size, cut : cut + grid.size], 0, -1)
