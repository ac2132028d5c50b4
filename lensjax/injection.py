"""Injection: putting an arc into a real image, measuring it there, and making an image worse on purpose."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.noise import arc_noise, pixel_sigma
from lensjax.photometry import psfdepth_from_m5
from lensjax.psf import FWHM_TO_SIGMA, Gaussian

ARC_ANNULUS = (4.0, 16.0)
"""Inner and outer radius (pixels) of the region in which arcs are measured."""


def inject(
    host: Float[Array, "N N B"],
    arc: Float[Array, "N N B"],
    gain: Real | None = None,
    key: Array | None = None,
    core_radius: float = 0.0,
) -> Float[Array, "N N B"]:
    """Host plus arc, both in nanomaggies. The host's own noise stays as it is.

    gain (electrons per nanomaggy, scalar or (B,)) with a key adds the arc's photon noise; core_radius (pixels) > 0 suppresses the arc's
    inner image (`suppress_core`). Raises InputError for shapes that differ, a host with NaN pixels (outside of jit), or gain without key.
    """
    _check_host(host, arc)
    if core_radius:
        arc = suppress_core(arc, core_radius)
    if gain is not None:
        if key is None:
            raise InputError("inject: photon noise (gain) needs a random key; give key=jax.random.key(...)")
        arc = arc + arc_noise(key, arc, gain)
    return host + arc


def _check_host(host: Array, arc: Array) -> None:
    if jnp.shape(host) != jnp.shape(arc):
        raise InputError(f"inject: the host has shape {jnp.shape(host)}, the arc {jnp.shape(arc)}: render the arc on the host's grid")
    if not isinstance(host, jax.core.Tracer):
        bad = np.argwhere(~np.isfinite(np.asarray(host)))
        if bad.size:
            row, column, band = bad[0]
            raise InputError(f"inject: the host has {len(bad)} pixels that are not finite, first row {row}, column {column}, band {band}: choose another host")


def suppress_core(arc: Float[Array, "N N B"], radius: float) -> Float[Array, "N N B"]:
    """The arc without its inner image: nothing within `radius` pixels of the centre, a cosine edge of two pixels."""
    r = PixelGrid(arc.shape[0], 1.0).radius()
    edge = np.clip((r - radius) / 2 + 0.5, 0.0, 1.0)
    return arc * jnp.asarray(0.5 - 0.5 * np.cos(np.pi * edge), arc.dtype)[..., None]


def annulus(size: int, inner: float = ARC_ANNULUS[0], outer: float = ARC_ANNULUS[1]) -> np.ndarray:
    """Boolean mask (size, size) of the pixels whose centres lie within inner..outer pixels of the stamp's centre."""
    r = PixelGrid(size, 1.0).radius()
    return (r >= inner) & (r <= outer)


def arc_snr(arc: Float[Array, "N N B"], sigma: Real) -> Float[Array, " B"]:
    """Signal-to-noise ratio (B,) of the arc in the annulus 4-16 pixels: summed flux over the noise of as many sky pixels, sigma (B,)."""
    mask = annulus(arc.shape[0])
    signal = jnp.sum(arc * jnp.asarray(mask, arc.dtype)[..., None], axis=(0, 1))
    return signal / (jnp.asarray(sigma) * np.sqrt(mask.sum()))


def degrade(
    host: Float[Array, "N N B"],
    host_fwhm: Real,
    target_fwhm: Real,
    host_depth: Real,
    target_depth: Real,
    key: Array,
    scale: float = 0.262,
) -> Float[Array, "N N B"]:
    """A host (N, N, B) as a worse telescope would have seen it: convolved from host_fwhm to target_fwhm (arcsec, (B,)), with sky noise added
    down to target_depth (m5, AB mag, (B,)).

    The kernel is the Gaussian of variance target^2 - host^2. A target that is sharper or deeper than the host is left at the host's value,
    band by band (nothing can be added); compare the two beforehand. The convolution also smooths the host's own noise; what is added
    makes up the pixel variance, white, so that the total is that of the target depth at the target PSF. Pixels beyond the edge are taken
    as the edge pixel.
    """
    n = host.shape[0]
    grid = PixelGrid(n, scale)
    host_fwhm, target_fwhm = jnp.asarray(host_fwhm, host.dtype), jnp.asarray(target_fwhm, host.dtype)
    target_fwhm = jnp.maximum(host_fwhm, target_fwhm)
    variance = (target_fwhm**2 - host_fwhm**2) * (FWHM_TO_SIGMA / scale) ** 2
    matrix = _smoothing_matrix(n, variance)
    smooth = jnp.einsum("bik,klb,bjl->ijb", matrix, host, matrix, precision="highest")

    def sigma(m5, fwhm):
        return pixel_sigma(psfdepth_from_m5(jnp.asarray(m5, host.dtype)), Gaussian(fwhm), grid)

    left = sigma(host_depth, host_fwhm) ** 2 * jnp.sum(matrix[:, n // 2] ** 2, -1) ** 2
    added = jnp.sqrt(jnp.maximum(sigma(target_depth, target_fwhm) ** 2 - left, 0.0))
    return smooth + added * jax.random.normal(key, host.shape, host.dtype)


def _smoothing_matrix(n: int, variance: Float[Array, " B"]) -> Float[Array, "B n n"]:
    """Gaussian smoothing along one axis, rows summing to one, edge pixels repeated outwards; variance in pixels^2, 0 gives the identity.

    The kernel is the one whose spectrum is the Gaussian up to the Nyquist frequency: right for an image that its PSF has band-limited,
    at any width. Sampling a narrow Gaussian at pixels would not be.
    """
    m = 4 * n
    w = 2 * np.pi * np.arange(m // 2 + 1) / m
    spectrum = jnp.exp(-0.5 * variance[:, None] * jnp.asarray(w**2, variance.dtype))
    kernel = jnp.fft.irfft(spectrum, m, axis=-1)
    lag = np.arange(n)[:, None] - np.arange(-n, 2 * n)[None, :]
    full = kernel[:, lag % m] * (np.abs(lag) <= n)
    left, middle, right = full[..., :n].sum(-1), full[..., n : 2 * n], full[..., 2 * n :].sum(-1)
    middle = middle.at[..., 0].add(left).at[..., -1].add(right)
    return middle / middle.sum(-1, keepdims=True)
