"""The power spectrum of the sky's noise in stamps of galaxies, in bins of spatial frequency."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from lensjax.noise import MAD_TO_SIGMA
from lensjax.psf import FWHM_TO_SIGMA

EDGES = (0.05, 0.15, 0.25, 0.35, 0.5)
"""Edges of the bins, cycles per pixel: from the lowest frequency that shows in an outer ring whose
mean is subtracted, up to the Nyquist frequency along an axis."""
INNER = 0.65
"""Share of the half side within which a stamp shows its galaxy."""
CLIP = 4.0
"""Robust standard deviations from the median beyond which a pixel is not sky."""
SOURCES = 0.001
"""Power of a Gaussian PSF below which unresolved sources do not show."""
HIGHEST = 0.3
"""Cycles per pixel beyond which there is noise alone, however sharp the PSF is said to be."""


def sky(stamps: Float[np.ndarray, "n h h b"]) -> Bool[np.ndarray, "n h h b"]:
    """Pixels of the outer ring (that of `lensjax.sky_sigma`) that show nothing but sky: finite, and
    within `CLIP` robust standard deviations of the ring's median."""
    side = stamps.shape[1]
    axis = np.arange(side) - (side - 1) / 2
    ring = np.hypot(axis[:, None], axis[None, :]) > INNER * (side // 2)
    values = np.where(ring[None, :, :, None], stamps, np.nan)
    median = np.nanmedian(values, axis=(1, 2), keepdims=True)
    sigma = MAD_TO_SIGMA * np.nanmedian(np.abs(values - median), axis=(1, 2), keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.abs(values - median) < CLIP * sigma


def power(
    stamps: Float[np.ndarray, "n h h b"],
    mask: Bool[np.ndarray, "n h h b"] | None = None,
    edges: tuple[float, ...] = EDGES,
) -> Float[np.ndarray, "n k b"]:
    """Power of each stamp in bins of spatial frequency and in each band, in the square of the
    stamps' unit: for white noise the variance of a pixel in every bin.

    It is the periodogram of the pixels of the mask (default `sky`) less their mean, over the number
    of these pixels. The mask smooths the spectrum over about one over its width, which stays inside
    of a bin. NaN for a stamp without such pixels.
    """
    spectrum = periodogram(stamps, mask)
    rows, columns, twice = _frequencies(stamps.shape[1])
    radius = np.hypot(rows, columns)
    found = []
    for low, high in pairwise(edges):
        inside = (radius >= low) & (radius < high)
        found.append(np.average(spectrum[:, inside], axis=1, weights=twice[inside]))
    return np.stack(found, axis=1)


def periodogram(
    stamps: Float[np.ndarray, "n h h b"], mask: Bool[np.ndarray, "n h h b"] | None = None
) -> Float[np.ndarray, "n h f b"]:
    """Squared modulus of the Fourier transform of the pixels of a mask (default `sky`) less their
    mean, over the number of these pixels, at the frequencies of rfft2."""
    stamps = np.asarray(stamps, np.float64)
    used = sky(stamps) if mask is None else mask
    number = used.sum((1, 2), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(used, stamps, 0.0).sum((1, 2), keepdims=True) / number
        rest = np.where(used, stamps - mean, 0.0)
        return np.abs(np.fft.rfft2(rest, axes=(1, 2))) ** 2 / number


def _frequencies(
    side: int,
) -> tuple[Float[np.ndarray, "h 1"], Float[np.ndarray, "1 f"], Float[np.ndarray, "h f"]]:
    """Frequencies of rfft2 along rows and columns, cycles per pixel, and how often each counts:
    those that a real transform leaves out count through their mirror images."""
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    twice = np.where((columns == 0) | (columns == 0.5), 1.0, 2.0) * np.ones((side, 1))
    return rows, columns, twice


def correlation(
    stamps: Float[np.ndarray, "n h h b"], fwhm: Float[np.ndarray, " b"], lag: int = 2
) -> Float[np.ndarray, "l l b"]:
    """Correlation of the noise between pixels up to `lag` apart along each axis (L = 2 lag + 1; the
    middle is 1), the mean over stamps of one survey. fwhm: of their PSF, pixels.

    Wings of galaxies and sources too faint to be masked make neighbours alike too, but they have
    passed the PSF: beyond the frequency at which its power is `SOURCES` there is noise alone. There
    the coefficients c of P(k) = sum_l c_l cos(2 pi k l), the spectrum of noise without longer
    correlation (Wiener-Khinchin), are fitted to the mean periodogram, by least squares relative to
    P; towards low frequencies the sum continues it. A mask makes of c_l the product with its own
    autocorrelation, by which it is divided. Raises ValueError when no stamp has sky.
    """
    mask = sky(stamps)
    spectrum = periodogram(stamps, mask)
    rows, columns, twice = _frequencies(stamps.shape[1])
    radius = np.hypot(rows, columns)
    steps = range(-lag, lag + 1)
    # P(k) = P(-k), so that opposite lags have one coefficient.
    half = [(y, x) for y in steps for x in steps if (y, x) >= (0, 0)]
    found = np.zeros((len(steps), len(steps), spectrum.shape[-1]))
    for band, width in enumerate(np.asarray(fwhm, np.float64)):
        sigma = width * FWHM_TO_SIGMA
        lowest = min(np.sqrt(-np.log(SOURCES)) / (2 * np.pi * sigma), HIGHEST)
        far = radius >= lowest
        own = spectrum[..., band][:, far]
        good = np.isfinite(own).all(1) & (own.sum(1) > 0)
        own = own[good]
        if not len(own):
            raise ValueError("no stamp has pixels of sky to measure the noise on")
        power = (own / np.average(own, axis=1, weights=twice[far])[:, None]).mean(0)
        terms = np.stack(
            [
                (1.0 if (y, x) == (0, 0) else 2.0) * np.cos(2 * np.pi * (rows * y + columns * x))
                for y, x in half
            ],
            -1,
        )[far]
        model = np.ones(len(power))
        for _ in range(4):
            weight = np.sqrt(twice[far]) / model
            c = np.linalg.lstsq(terms * weight[:, None], power * weight, rcond=None)[0]
            model = np.maximum(terms @ c, 0.02 * c[0])
        held = mask[good, ..., band].astype(np.float64)
        double = 2 * stamps.shape[1]
        pairs = np.fft.irfft2(
            (np.abs(np.fft.rfft2(held, s=(double, double))) ** 2).mean(0), s=(double, double)
        )
        c = [value / (pairs[y, x] / pairs[0, 0]) for (y, x), value in zip(half, c)]
        for (y, x), value in zip(half, np.array(c) / c[0]):
            found[lag + y, lag + x, band] = found[lag - y, lag - x, band] = value
    return found


def ratio(
    first: Float[np.ndarray, "n ..."], second: Float[np.ndarray, "n ..."]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Mean of `second` over that of `first`, and its standard error, where row i of both belongs to
    pair i: the linearised variance of a ratio of means (Cochran 1977, Sampling Techniques, chapter
    6). Pairs that are not finite are left out; NaN with fewer than two."""
    good = np.isfinite(first) & np.isfinite(second)
    n = good.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (np.where(good, v, 0.0).sum(0) / n for v in (first, second))
        value = b / a
        rest = np.where(good, second - value * first, 0.0)
        error = np.sqrt((rest**2).sum(0) / (n * (n - 1.0))) / a
    few = n < 2
    return np.where(few, np.nan, value), np.where(few, np.nan, error)
