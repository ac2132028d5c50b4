"""The power spectrum of the sky's noise in stamps of galaxies, in bins of spatial frequency."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Bool, Float

EDGES = (0.05, 0.15, 0.25, 0.35, 0.5)
"""Edges of the bins, cycles per pixel: from what a mask of an outer ring can tell apart from its
mean, up to the Nyquist frequency along an axis."""
INNER = 0.65
"""Share of the half side within which a stamp shows its galaxy."""
CLIP = 4.0
"""Robust standard deviations from the median beyond which a pixel is not sky."""


def sky(stamps: Float[np.ndarray, "n h h b"]) -> Bool[np.ndarray, "n h h b"]:
    """Pixels of the outer ring that show nothing but sky, as `lensjax.sky_correlation` takes them:
    finite, and within `CLIP` robust standard deviations of the ring's median."""
    side = stamps.shape[1]
    axis = np.arange(side) - (side - 1) / 2
    ring = np.hypot(axis[:, None], axis[None, :]) > INNER * (side // 2)
    values = np.where(ring[None, :, :, None], stamps, np.nan)
    median = np.nanmedian(values, axis=(1, 2), keepdims=True)
    sigma = 1.4826 * np.nanmedian(np.abs(values - median), axis=(1, 2), keepdims=True)
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
    stamps = np.asarray(stamps, np.float64)
    used = sky(stamps) if mask is None else mask
    number = used.sum((1, 2), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(used, stamps, 0.0).sum((1, 2), keepdims=True) / number
        rest = np.where(used, stamps - mean, 0.0)
        spectrum = np.abs(np.fft.rfft2(rest, axes=(1, 2))) ** 2 / number
    side = stamps.shape[1]
    rows, columns = np.fft.fftfreq(side), np.fft.rfftfreq(side)
    radius = np.hypot(rows[:, None], columns[None, :])
    # Frequencies that a real transform leaves out count through their mirror images.
    twice = np.where((columns == 0) | (columns == 0.5), 1.0, 2.0)[None, :] * np.ones((side, 1))
    found = []
    for low, high in itertools.pairwise(edges):
        inside = (radius >= low) & (radius < high)
        found.append(np.average(spectrum[:, inside], axis=1, weights=twice[inside]))
    return np.stack(found, axis=1)


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
