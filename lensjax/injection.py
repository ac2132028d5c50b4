"""Injection: putting an arc into a real image, measuring it there, and making an image worse on
purpose."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.checks import check_image, check_value
from lensjax.component import ANY, POSITIVE
from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.noise import arc_noise, pixel_sigma
from lensjax.photometry import psfdepth_from_m5
from lensjax.psf import FWHM_TO_SIGMA, Gaussian, fft_size

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

    gain (electrons per nanomaggy, scalar or (B,)) with a key adds the arc's photon noise;
    core_radius (pixels) > 0 suppresses the arc's inner image (`suppress_core`). Raises InputError
    for shapes that differ, half precision, a gain without key or not larger than 0, and, outside of
    jit, pixels that are not finite. Inside jit such a pixel of the arc adds nothing, and a pixel
    that the host lacks stays NaN, because missing is not the same as empty; `lensjax.valid(host,
    arc)` tells whether there is such a pixel.
    """
    check_image("inject: arc", arc)
    check_image("inject: host", host, jnp.shape(arc))
    if not 0 <= core_radius < np.inf:
        raise InputError(f"inject: core_radius = {core_radius}: it should be 0 (pixels) or larger")
    if core_radius:
        arc = suppress_core(arc, core_radius)
    arc = jnp.where(jnp.isfinite(arc), arc, 0.0)
    if gain is not None:
        if key is None:
            raise InputError(
                "inject: photon noise (gain) needs a random key; give key=jax.random.key(...)"
            )
        check_value("inject: gain", gain, POSITIVE)
        arc = arc + arc_noise(key, arc, gain)
    return host + arc


def suppress_core(arc: Float[Array, "N N B"], radius: Real) -> Float[Array, "N N B"]:
    """The arc without its inner image: nothing within `radius` pixels of the centre, a cosine edge
    of two pixels."""
    r = jnp.asarray(PixelGrid(arc.shape[0], 1.0).radius(), arc.dtype)
    edge = jnp.clip((r - radius) / 2 + 0.5, 0.0, 1.0)
    return arc * (0.5 - 0.5 * jnp.cos(np.pi * edge))[..., None]


def annulus(size: int, inner: float = ARC_ANNULUS[0], outer: float = ARC_ANNULUS[1]) -> np.ndarray:
    """Boolean mask (size, size) of the pixels whose centres lie within inner..outer pixels of the
    stamp's centre."""
    r = PixelGrid(size, 1.0).radius()
    return (r >= inner) & (r <= outer)


def arc_snr(arc: Float[Array, "N N B"], sigma: Real) -> Float[Array, " B"]:
    """Signal-to-noise ratio (B,) of the arc in the annulus 4-16 pixels: summed flux over the noise
    of as many sky pixels, sigma (B,)."""
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
    scale: float = PixelGrid.scale,
    host_sigma: Real | None = None,
    correlation: Float[Array, "L L B"] | None = None,
) -> Float[Array, "N N B"]:
    """A host (N, N, B) as a worse telescope would have seen it: convolved from host_fwhm to
    target_fwhm (arcsec, (B,)), with sky noise added down to target_depth (m5, AB mag, (B,)).

    The kernel is the Gaussian of variance target^2 - host^2. It also smooths the host's own noise,
    so what is added has the spectrum that is missing, sigma_target^2 - sigma_host^2 |kernel|^2: the
    sum has the noise of a survey's image again, with the pixel variance and the point-source depth
    of the target. host_sigma: scatter of the noise of the host's pixels (B,) where it was measured
    (`fine_sky_sigma`); the scatter of the target then follows from it and from the two depths.
    correlation: of the survey's noise between neighbouring pixels (`sky_correlation` of blank sky);
    without it the noise is white.

    A target that is sharper or deeper than the host is left at the host's value, band by band
    (nothing can be added, nor on scales where the host's noise is above the target's); compare the
    two beforehand. Pixels beyond the edge are taken as the edge pixel.
    Raises InputError for a host that is not finite or in half precision and for widths that are not
    larger than 0.
    """
    check_image("degrade: host", host)
    for name, fwhm in (("host_fwhm", host_fwhm), ("target_fwhm", target_fwhm)):
        check_value(f"degrade: {name}", fwhm, POSITIVE)
    for name, depth in (("host_depth", host_depth), ("target_depth", target_depth)):
        check_value(f"degrade: {name}", depth, ANY)
    n = host.shape[0]
    grid = PixelGrid(n, scale)
    host_fwhm, target_fwhm = (
        jnp.asarray(host_fwhm, host.dtype),
        jnp.asarray(target_fwhm, host.dtype),
    )
    target_fwhm = jnp.maximum(host_fwhm, target_fwhm)
    variance = (target_fwhm**2 - host_fwhm**2) * (FWHM_TO_SIGMA / scale) ** 2
    matrix = _smoothing_matrix(n, variance)
    smooth = jnp.einsum("bik,klb,bjl->ijb", matrix, host, matrix, precision="highest")

    def sigma(m5, fwhm):
        return pixel_sigma(psfdepth_from_m5(jnp.asarray(m5, host.dtype)), Gaussian(fwhm), grid)

    own, target = sigma(host_depth, host_fwhm), sigma(target_depth, target_fwhm)
    if host_sigma is not None:
        target = target / own * jnp.asarray(host_sigma, host.dtype)
        own = jnp.asarray(host_sigma, host.dtype)
    return smooth + _noise(key, target, own, variance, host, correlation)


def _noise(
    key: Array,
    target: Float[Array, " B"],
    own: Float[Array, " B"],
    variance: Float[Array, " B"],
    host: Float[Array, "N N B"],
    correlation: Float[Array, "L L B"] | None,
) -> Float[Array, "N N B"]:
    """Noise to be added to noise of the scatter `own` that a Gaussian of `variance` (pixels^2) has
    smoothed: the sum has the spectrum from before the smoothing, and the scatter `target`."""
    n, side = host.shape[0], fft_size(host.shape[0])
    white = jax.random.normal(key, (side, side, host.shape[-1]), host.dtype)
    wy, wx = (2 * np.pi * f for f in (np.fft.fftfreq(side), np.fft.rfftfreq(side)))
    w2 = jnp.asarray(wy[:, None, None] ** 2 + wx[None, :, None] ** 2, host.dtype)
    missing = target**2 - own**2 * jnp.exp(-variance * w2)
    if correlation is not None:
        missing = missing * _spectrum(correlation, wy, wx).astype(host.dtype)
    some = missing > 0
    amplitude = jnp.where(some, jnp.sqrt(jnp.where(some, missing, 1.0)), 0.0)
    return jnp.fft.irfft2(
        amplitude * jnp.fft.rfft2(white, axes=(0, 1)), s=(side, side), axes=(0, 1)
    )[:n, :n].astype(host.dtype)


LEAST_POWER = 0.02
"""Least power of measured noise at any frequency, its variance being 1: errors of the measured
correlation must not make it negative."""


def _spectrum(correlation: Float[Array, "L L B"], wy: np.ndarray, wx: np.ndarray) -> Array:
    """Power spectrum (Y, X, B) of noise of variance 1 at angular frequencies: the cosine transform
    of its correlation (Wiener-Khinchin), which rounding and measurement do not let fall to 0."""
    lag = correlation.shape[0] // 2
    steps = np.arange(-lag, lag + 1)
    cos_y, sin_y = np.cos(wy[:, None] * steps), np.sin(wy[:, None] * steps)
    cos_x, sin_x = np.cos(wx[:, None] * steps), np.sin(wx[:, None] * steps)
    power = jnp.einsum("ya,xb,abc->yxc", cos_y, cos_x, correlation, precision="highest")
    power = power - jnp.einsum("ya,xb,abc->yxc", sin_y, sin_x, correlation, precision="highest")
    return jnp.maximum(power, LEAST_POWER)


def _smoothing_matrix(n: int, variance: Float[Array, " B"]) -> Float[Array, "B n n"]:
    """Gaussian smoothing along one axis, rows summing to one, edge pixels repeated outwards;
    variance in pixels^2, 0 gives the identity.

    The kernel is the one whose spectrum is the Gaussian up to the Nyquist frequency: right for an
    image that its PSF has band-limited, at any width. Sampling a narrow Gaussian at pixels would
    not be.
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
