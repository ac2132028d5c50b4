r"""The spline with which a point of light is spread over the pixels around it (`spreading.py`).

What is left of a point's place on the grid is that the frequency $1 - \nu$ (cycles a pixel) looks
like $\nu$, where the weights have both. The quartic B-spline $b$ has the transform
$\mathrm{sinc}^5 \nu$. Here the weights are $b + b'' / (2 \pi \nu_0)^2$, with the transform
$\mathrm{sinc}^5 \nu \, (1 - \nu^2 / \nu_0^2)$: the zero at $\nu_0$ is put where the aliases of a
narrow PSF are. At FWHM 3 pixels it leaves 4e-4 of a point's peak along each axis, the B-spline
alone 1.2e-3, for the same work. (Kernels of this kind: Blu, Thevenaz & Unser 2001, IEEE Trans.
Image Process. 10, 1069.)
"""

from __future__ import annotations

import numpy as np

ORDER = 5
"""A point is spread over ORDER x ORDER pixels."""

HALF = ORDER // 2

ZERO = 0.68
"""Frequency (cycles a pixel) at which the transform is 0. Of 0.57 to 0.9 it is the one with the
smallest error of a point at FWHM 3 pixels."""


def weights(t: np.ndarray) -> np.ndarray:
    """Weights (len(t), ORDER) on the pixels around one, for points at t (pixels, |t| <= 1/2) from
    its centre: of the quartic B-spline and its second derivative, see above."""
    d = np.abs(t[:, None] - np.arange(-HALF, HALF + 1))
    parts = d <= 0.5, d <= 1.5, d <= 2.5
    value = (
        115 / 192 - 5 / 8 * d**2 + d**4 / 4,
        (55 + 20 * d - 120 * d**2 + 80 * d**3 - 16 * d**4) / 96,
        (2.5 - d) ** 4 / 24,
    )
    bent = -5 / 4 + 3 * d**2, -5 / 2 + 5 * d - 2 * d**2, (2.5 - d) ** 2 / 2
    return np.select(parts, value) + np.select(parts, bent) / (2 * np.pi * ZERO) ** 2


def transform(nu: np.ndarray) -> np.ndarray:
    """Fourier transform of these weights at frequencies nu (cycles a pixel)."""
    return np.sinc(nu) ** ORDER * (1 - (nu / ZERO) ** 2)
