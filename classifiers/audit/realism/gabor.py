"""Features of stamps that no network has learnt: how strongly each band of the arc region answers
to a bank of Gabor filters, four scales and six orientations (Daugman 1985, JOSA A 2, 1160).

A probe on them asks whether lenses and injections differ in texture, size or colour in a way that
does not depend on any finder.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float

from lensjax.errors import InputError
from lensjax.grid import PixelGrid

SCALES, ORIENTATIONS = 4, 6
WAVELENGTH = (1.0, 6.0)
"""shortest and longest wavelength of the bank, arcsec: about the seeing, and an Einstein ring"""
WIDTH = 0.56
"""sigma of the envelope over the wavelength: a bandwidth of one octave (Petkov & Kruizinga 1997)"""
SOFTENING = 3.0
"""brightness, in standard deviations of the sky, above which features grow as its logarithm only"""
CHUNK = 64


def bank(
    size: int, scale: float, wavelength: tuple[float, float] = WAVELENGTH
) -> Complex[np.ndarray, "f s s"]:
    """The filters' transfer functions (24, size, size) on the grid of np.fft.fft2, without answer
    to a constant. scale: arcsec per pixel. wavelength: shortest and longest, arcsec. Raises
    InputError when the shortest is below two pixels."""
    if wavelength[0] < 2 * scale:
        raise InputError(
            f'a Gabor filter of wavelength {wavelength[0]:g}" needs pixels of half of it; they '
            f'have {scale:g}"'
        )
    frequency = np.fft.fftfreq(size, scale)
    fx, fy = np.meshgrid(frequency, frequency)
    made = []
    for length in np.geomspace(*wavelength, SCALES):
        sigma = WIDTH * length
        for turn in np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS:
            along = np.cos(turn) * fx + np.sin(turn) * fy
            across = -np.sin(turn) * fx + np.cos(turn) * fy
            envelope = lambda f0, a=along, c=across, s=sigma: np.exp(
                -2 * np.pi**2 * s**2 * ((a - f0) ** 2 + c**2)
            )
            # What the envelope alone passes is taken away, so that a constant gives nothing.
            at0 = np.exp(-2 * np.pi**2 * sigma**2 / length**2)
            made.append(envelope(1 / length) - at0 * envelope(0.0))
    return np.stack(made).astype(np.complex64)


def features(
    stamps: Float[np.ndarray, "n h h b"],
    sigma: Float[np.ndarray, "n b"],
    sky: Float[np.ndarray, "n b"],
    scale: float,
    radius: float,
) -> Float[np.ndarray, "n f"]:
    """Features (n, 24 x 2 x B) of stamps in nanomaggies: natural log of the mean, and of the mean
    square, of every filter's absolute answer within `radius` (arcsec) of the centre.

    sigma, sky (n, B): scatter and level of the background, nanomaggies. Pixels without data and
    bands without a background count as empty sky. scale: arcsec per pixel.
    """
    from scipy.fft import fft2, ifft2

    side = min(2 * int(np.ceil(1.5 * radius / scale)) + stamps.shape[1] % 2, stamps.shape[1])
    start = (stamps.shape[1] - side) // 2
    part = stamps[:, start : start + side, start : start + side]
    good = np.isfinite(sigma) & (sigma > 0)
    unit = np.where(good, sigma, np.inf)[:, None, None]
    level = np.nan_to_num(sky)[:, None, None]
    bright = np.nan_to_num((part - level) / unit, posinf=0.0, neginf=0.0)
    bright = np.arcsinh(bright / SOFTENING).astype(np.float32)
    inside = PixelGrid(side, scale).radius() * scale <= radius
    filters = bank(side, scale)
    found = []
    for first in range(0, len(bright), CHUNK):
        waves = fft2(np.moveaxis(bright[first : first + CHUNK], 3, 1), workers=-1)
        means = []
        for one in filters:
            answer = np.abs(ifft2(waves * one, workers=-1))[..., inside]
            means += [answer.mean(-1), (answer**2).mean(-1)]
        found.append(np.log(np.stack(means, -1) + 1e-4).reshape(len(waves), -1))
    width = len(filters) * 2 * stamps.shape[-1]
    return np.concatenate([np.empty((0, width)), *found]).astype(np.float64)
