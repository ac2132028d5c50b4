"""Point-spread functions.

A survey describes its *effective* PSF, the pixel included: image = (light (x) PSF) sampled at pixel centres, times the pixel's area. That is
the default. `pixel_integrated=True` integrates over the pixel once more, as the simulations do that bin light to pixels and then convolve
with the PSF sampled at pixels (lenstronomy among them); the two differ by 1-2 % of the peak at DR10's seeing.

A PSF convolves light that is binned to CELLS x CELLS cells a pixel: at native resolution binning alone costs 3e-3 of the peak.
"""

from dataclasses import dataclass, field
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.grid import PixelGrid

CELLS = 2
FWHM_TO_SIGMA = 1 / 2.3548200450309493
MOFFAT_BETAS = (2.5, 3.5, 4.5)


class PSF(Protocol):
    """What a PSF can do: the image (N, N, B) of cells (2N, 2N) of light, and its value at an offset."""

    def convolve(self, cells: Float[Array, "M M"], grid: PixelGrid) -> Float[Array, "N N B"]: ...

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]: ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Gaussian:
    """Gaussian PSF, fwhm (B,) in arcsec. Separable: one small matrix for each axis bins to pixels and convolves."""

    fwhm: Real
    pixel_integrated: bool = field(default=False, metadata={"static": True})

    def _variance(self, grid: PixelGrid) -> Float[Array, " B"]:
        """Variance in pixels^2."""
        return (jnp.atleast_1d(jnp.asarray(self.fwhm)) * (FWHM_TO_SIGMA / grid.scale)) ** 2

    def _matrix(self, offset: np.ndarray, cell: float, grid: PixelGrid) -> Float[Array, "B N M"]:
        """Response at pixel i to a cell at `offset[i, j]` pixels from it, `cell` pixels wide."""
        variance = (self._variance(grid) + cell**2 / 12)[:, None, None]
        d = jnp.asarray(offset, variance.dtype)
        if self.pixel_integrated:
            edge = lambda t: jax.scipy.special.erf(t / jnp.sqrt(2 * variance))  # noqa: E731
            return 0.5 * (edge(d + 0.5) - edge(d - 0.5))
        return jnp.exp(-0.5 * d**2 / variance) / jnp.sqrt(2 * jnp.pi * variance)

    def convolve(self, cells: Float[Array, "M M"], grid: PixelGrid) -> Float[Array, "N N B"]:
        n, m = grid.size, CELLS * grid.size
        offset = np.arange(n)[:, None] - ((np.arange(m)[None, :] + 0.5) / CELLS - 0.5)
        a = self._matrix(offset, 1 / CELLS, grid)
        return jnp.einsum("bik,kl,bjl->ijb", a, cells, a, precision="highest")

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]:
        """Image of a point source of unit flux at the centre of the grid."""
        a = self._matrix((np.arange(grid.size) - (grid.size - 1) / 2)[None, :], 0.0, grid)[:, 0]
        return jnp.einsum("bi,bj->ijb", a, a, precision="highest")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Moffat:
    """Moffat PSF, fwhm (B,) in arcsec: I = (beta - 1)/(pi a^2) (1 + r^2/a^2)^-beta with a = fwhm / (2 sqrt(2^(1/beta) - 1)). The survey's
    own fits have beta = 2.5, 3.5 or 4.5; any beta (B,) or scalar > 1 is accepted."""

    fwhm: Real
    beta: Real = 3.5
    pixel_integrated: bool = field(default=False, metadata={"static": True})

    def sample(self, dx: np.ndarray, dy: np.ndarray, grid: PixelGrid) -> Float[Array, "B ..."]:
        """PSF (flux per pixel) at offsets in pixels."""
        fwhm = jnp.atleast_1d(jnp.asarray(self.fwhm)) / grid.scale
        beta = jnp.broadcast_to(jnp.asarray(self.beta, fwhm.dtype), fwhm.shape)
        a = 0.5 * fwhm / jnp.sqrt(jnp.exp2(1 / beta) - 1)
        a, beta = (v.reshape(-1, *(1,) * np.ndim(dx)) for v in (a, beta))
        r2 = jnp.asarray(dx**2 + dy**2, a.dtype)
        return (beta - 1) / (jnp.pi * a**2) * jnp.exp(-beta * jnp.log1p(r2 / a**2))

    def convolve(self, cells: Float[Array, "M M"], grid: PixelGrid) -> Float[Array, "N N B"]:
        dx, dy = np.meshgrid(_cell_offsets(grid.size), _cell_offsets(grid.size))
        kernel = self.sample(dx, dy, grid)
        return _convolve_fft(cells, kernel, self.pixel_integrated)

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]:
        """Image of a point source of unit flux at the centre of the grid."""
        x, y = grid.mesh()
        return jnp.moveaxis(self.sample(x / grid.scale, y / grid.scale, grid), 0, -1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PixelKernel:
    """A pixelised effective PSF, kernel (B, K, K), K odd, sampled at pixels with its centre in the middle one. Normalised here, band by
    band; between its samples it is interpolated by cubic convolution (Keys 1981)."""

    kernel: Real
    pixel_integrated: bool = field(default=False, metadata={"static": True})

    def _normalised(self) -> Float[Array, "B K K"]:
        k = jnp.asarray(self.kernel)
        return k / jnp.sum(k, axis=(-2, -1), keepdims=True)

    def convolve(self, cells: Float[Array, "M M"], grid: PixelGrid) -> Float[Array, "N N B"]:
        k = self._normalised()
        d = _cell_offsets(grid.size)
        half = (k.shape[-1] - 1) / 2
        w = jnp.asarray(_keys(d[:, None] - (np.arange(k.shape[-1]) - half)[None, :]), k.dtype)
        return _convolve_fft(cells, jnp.einsum("ik,bkl,jl->bij", w, k, w, precision="highest"), self.pixel_integrated)

    def stamp(self, grid: PixelGrid) -> Float[Array, "N N B"]:
        """Image of a point source of unit flux at the centre of the grid."""
        k = self._normalised()
        half = (k.shape[-1] - 1) / 2
        d = np.arange(grid.size) - (grid.size - 1) / 2
        w = jnp.asarray(_keys(d[:, None] - (np.arange(k.shape[-1]) - half)[None, :]), k.dtype)
        return jnp.einsum("ik,bkl,jl->ijb", w, k, w, precision="highest")


def _cell_offsets(size: int) -> np.ndarray:
    """Offsets (pixels) from a pixel centre to every cell that can reach it."""
    return (np.arange(2 * CELLS * size) - CELLS * size + 0.5) / CELLS


def _convolve_fft(cells: Float[Array, "M M"], kernel: Float[Array, "B L L"], pixel_integrated: bool) -> Float[Array, "N N B"]:
    """Sum over cells of kernel(pixel - cell), kernel given at `_cell_offsets`."""
    m = cells.shape[-1]
    if pixel_integrated:
        box = np.array([0.25, 0.5, 0.25])  # a pixel seen from cells half as wide: trapezium of three
        kernel = _smooth(_smooth(kernel, box, -1), box, -2)
    f = jnp.fft.rfft2(kernel) * jnp.fft.rfft2(cells, s=kernel.shape[-2:])
    full = jnp.fft.irfft2(f, s=kernel.shape[-2:])
    start = m + CELLS // 2 - 1
    return jnp.moveaxis(full[:, start : start + m : CELLS, start : start + m : CELLS], 0, -1).astype(cells.dtype)


def _smooth(a: Array, w: np.ndarray, axis: int) -> Array:
    return w[0] * jnp.roll(a, -1, axis) + w[1] * a + w[2] * jnp.roll(a, 1, axis)


def _keys(t: np.ndarray) -> np.ndarray:
    """Cubic convolution kernel (Keys 1981, a = -1/2) at t samples."""
    t = np.abs(t)
    inner, outer = (1.5 * t - 2.5) * t**2 + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t <= 1, inner, np.where(t < 2, outer, 0.0))
