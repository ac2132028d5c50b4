"""Noise: what psfdepth means in a pixel, the sky's scatter, and the photon noise of an arc."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from lensjax.arrays import Real
from lensjax.checks import check_value
from lensjax.component import POSITIVE
from lensjax.grid import PixelGrid
from lensjax.medians import masked_median
from lensjax.psf import PSF

MAD_TO_SIGMA = 1.4826022185056018
_SMOOTH = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
"""Binomial weights of the smoothing in `fine_sky_sigma`."""
_FINE = np.pad([[1.0]], 2) - np.outer(_SMOOTH, _SMOOTH)
"""What an image of a single bright pixel is when its smoothed image is subtracted."""
LEAST_SHARE = 0.02
"""Least variance of the fine structure of noise in units of that of white noise, so that errors of
a measured correlation cannot make it negative."""


def pixel_sigma(psfdepth: Real, psf: PSF, grid: PixelGrid) -> Float[Array, " B"]:
    """Standard deviation of a sky pixel (nanomaggies), (B,), from psfdepth (B,) (nanomaggies^-2).

    A point source fitted with its own PSF has inverse variance sum(psf^2)/sigma^2, the PSF being
    the effective one at the pixels. Raises
    InputError for a psfdepth that is not larger than 0: a band without exposures has no depth.
    """
    check_value("psfdepth", psfdepth, POSITIVE)
    stamp = psf.stamp(PixelGrid(max(grid.size // 2 * 2 + 1, 63), grid.scale))
    return jnp.sqrt(jnp.sum(stamp**2, axis=(0, 1)) / jnp.asarray(psfdepth))


def sky_noise(key: Array, sigma: Real, grid: PixelGrid) -> Float[Array, "N N B"]:
    """White Gaussian noise (N, N, B) of standard deviation sigma (B,), nanomaggies."""
    sigma = jnp.atleast_1d(jnp.asarray(sigma))
    return sigma * jax.random.normal(
        key, (grid.size, grid.size, sigma.shape[-1]), jnp.result_type(sigma, jnp.float32)
    )


def sky_sigma(host: Float[Array, "N N B"], inner: float = 0.65) -> Float[Array, " B"]:
    """Standard deviation of the sky (B,) from the MAD of the host's outer pixels, farther than
    `inner` half-widths from the centre; pixels more than 4 sigma above the median (sources) are
    masked once. For stamps in linear units that have noise of their own."""
    return _sky(host, inner)[2]


def fine_sky_sigma(
    host: Float[Array, "N N B"],
    correlation: Float[Array, "L L B"] | None = None,
    inner: float = 0.65,
) -> Float[Array, " B"]:
    """Standard deviation of the sky's noise (B,) from what a binomial smoothing over 5 x 5 pixels
    takes away from the host's outer pixels. Smooth light does not show there: wings of the galaxy
    and faint sources, which have passed the PSF, make `sky_sigma` some per cent too large.

    It is the median of the absolute differences over that of noise of scatter 1. correlation: of
    the noise between pixels (as for `degrade`); white noise without it. Pixels are those of
    `sky_sigma`, as far as their neighbours are among them as well.
    """
    keep, _, _ = _sky(host, inner)
    reach = len(_SMOOTH) // 2

    def along(image: Array, combine: Any, axis: int) -> Array:
        n = image.shape[axis] - 2 * reach
        parts = [jax.lax.slice_in_dim(image, i, i + n, axis=axis) for i in range(len(_SMOOTH))]
        return combine(parts)

    weighted = lambda parts: sum(w * part for w, part in zip(_SMOOTH, parts))
    smooth = along(along(host, weighted, 0), weighted, 1)
    all_kept = lambda parts: jnp.all(jnp.stack(parts), axis=0)
    good = along(along(keep, all_kept, 0), all_kept, 1)
    fine = host[reach:-reach, reach:-reach] - smooth
    scatter = MAD_TO_SIGMA * _median(jnp.abs(fine), good)
    alike = np.fft.irfft2(np.abs(np.fft.rfft2(_FINE, s=(16, 16))) ** 2, s=(16, 16))
    if correlation is None:
        return scatter / np.sqrt(alike[0, 0])
    lag = min(correlation.shape[0] // 2, 2 * reach)
    steps = np.arange(-lag, lag + 1)
    middle = correlation.shape[0] // 2
    near = correlation[middle - lag : middle + lag + 1, middle - lag : middle + lag + 1]
    shares = jnp.asarray(alike[np.ix_(steps, steps)], host.dtype)
    share = jnp.sum(near * shares[..., None], axis=(0, 1))
    return scatter / jnp.sqrt(jnp.maximum(share, LEAST_SHARE * alike[0, 0]))


def sky_correlation(
    host: Float[Array, "N N B"], lag: int = 2, inner: float = 0.65
) -> Float[Array, "L L B"]:
    """Correlation of the sky's noise between pixels up to `lag` apart along each axis (L = 2 lag +
    1; the middle is 1), from the outer pixels as in `sky_sigma`, those more than 4 sigma from the
    median left out. Resampling to a coadd makes neighbours alike; wings of the galaxy and faint
    sources do so as well, so that an audit fits the noise's power spectrum where these do not reach
    (`classifiers.audit.noisepower`). A stamp without any such pixels has uncorrelated noise."""
    keep, median, sigma = _sky(host, inner)
    keep = keep & (host > median - 4 * sigma)
    value = jnp.where(keep, host - median, 0.0)
    n = host.shape[0]

    def product(dy: int, dx: int) -> Array:
        there = slice(max(dy, 0), n + min(dy, 0)), slice(max(dx, 0), n + min(dx, 0))
        here = slice(max(-dy, 0), n + min(-dy, 0)), slice(max(-dx, 0), n + min(-dx, 0))
        pairs = jnp.sum(keep[here] & keep[there], axis=(0, 1))
        return jnp.sum(value[here] * value[there], axis=(0, 1)) / jnp.maximum(pairs, 1)

    steps = range(-lag, lag + 1)
    found = jnp.stack([jnp.stack([product(dy, dx) for dx in steps]) for dy in steps])
    own = found[lag, lag]
    white = jnp.zeros_like(found).at[lag, lag].set(1.0)
    return jnp.where(own > 0, found / jnp.where(own > 0, own, 1.0), white)


def _sky(host: Float[Array, "N N B"], inner: float) -> tuple[Array, Array, Array]:
    """Which outer pixels show nothing but sky (N, N, B), their median (B,) and scatter (B,)."""
    n = host.shape[0]
    outside = jnp.asarray(PixelGrid(n, 1.0).radius() > inner * (n // 2))[..., None]

    def robust(keep):
        median = _median(host, keep)
        return median, MAD_TO_SIGMA * _median(jnp.abs(host - median), keep)

    median, sigma = robust(jnp.broadcast_to(outside, host.shape))
    keep = outside & (host < median + 4 * sigma)
    return keep, *robust(keep)


def _median(image: Float[Array, "N N B"], keep: Bool[Array, "N N B"]) -> Float[Array, " B"]:
    """Median of the pixels that are kept."""
    rows = lambda a: jnp.moveaxis(a, -1, 0).reshape(a.shape[-1], -1)
    return masked_median(rows(image), rows(keep))


def arc_noise(key: Array, arc: Float[Array, "N N B"], gain: Real) -> Float[Array, "N N B"]:
    """Photon noise of the arc: variance arc/gain, gain in electrons per nanomaggy (scalar or (B,)).
    gain -> infinity: none.

    Gaussian, because an arc's pixels hold hundreds of electrons on top of the sky's;
    differentiable, and zero where the arc is.
    """
    # Below `tiny`, also after the division by the gain, processors see 0, where the root has no
    # slope.
    positive = arc > jnp.finfo(arc.dtype).tiny
    sigma = jnp.where(
        positive, jnp.sqrt(jnp.where(positive, arc, 1.0)) / jnp.sqrt(jnp.asarray(gain)), 0.0
    )
    return sigma * jax.random.normal(key, arc.shape, arc.dtype)
