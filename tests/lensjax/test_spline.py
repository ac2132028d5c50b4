"""The spline that spreads points: its transform, and what it leaves of a point's place."""

import numpy as np
import pytest

import lensjax as lj
from lensjax.psf import FWHM_TO_SIGMA, beyond_pixels
from lensjax.spline import HALF, transform, weights

PIXELS = lj.PixelGrid(101)
SIDE = 128


def test_the_transform_is_the_fourier_integral_of_the_weights():
    """Of a point at t the spline is the weight of pixel k at the distance k - t."""
    t, w = np.polynomial.legendre.leggauss(20)
    distance = np.arange(-HALF, HALF + 1) - t[:, None] / 2
    for nu in (0.0, 0.2, 0.45, 0.68, 0.8, 1.0, 1.3):
        integral = np.sum(w[:, None] / 2 * weights(t / 2) * np.exp(-2j * np.pi * nu * distance))
        np.testing.assert_allclose(integral, transform(np.array(nu)), atol=1e-12)


def wrong(fwhm):
    """Largest error over the peak of points at 21 places in a pixel, on one axis, behind a Gaussian
    of that width (pixels)."""
    sigma, nu, pixel = fwhm * FWHM_TO_SIGMA, np.fft.rfftfreq(SIDE), np.arange(SIDE) - SIDE // 2
    through = np.exp(-2 * (np.pi * sigma * nu) ** 2) / transform(nu)
    found = []
    for t in np.linspace(-0.5, 0.5, 21):
        spread = np.zeros(SIDE)
        spread[SIDE // 2 - HALF : SIDE // 2 + HALF + 1] = weights(np.array([t]))[0]
        image = np.fft.irfft(np.fft.rfft(spread) * through, SIDE)
        truth = np.exp(-0.5 * ((pixel - t) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
        found.append(np.abs(image - truth).max() / truth.max())
    return max(found)


def test_a_point_behind_the_narrowest_psf_of_own_pixels_keeps_its_place():
    assert wrong(lj.Gaussian.own_pixels_from) < 4e-4  # a B-spline alone leaves 1.2e-3


@pytest.mark.parametrize("fwhm", [2.8, 3.0, 3.5, 4.0, 6.0])
def test_what_pixels_cannot_hold_is_known_within_a_factor_of_two(fwhm):
    stated = float(beyond_pixels(lj.Gaussian(fwhm * PIXELS.scale), PIXELS)[0])
    assert wrong(fwhm) < stated < 2 * wrong(fwhm)
