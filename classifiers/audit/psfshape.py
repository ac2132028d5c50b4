"""Size and shape of the image of a point source, as one number each."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from lensjax.psf import FWHM_TO_SIGMA

FINE = 16
"""Points of the interpolated image per pixel and axis."""


def fwhm(image: Float[np.ndarray, "k k"]) -> float:
    """Full width at half maximum in pixels: the diameter of the circle that has the area of the
    image above half of its maximum, between pixels a cubic spline.

    For a Gaussian of FWHM 2 pixels or more it is right to 1 %. Raises ValueError for an image
    that is not finite or has no light.
    """
    from scipy.ndimage import map_coordinates

    image = np.asarray(image, np.float64)
    if not np.isfinite(image).all() or not image.max() > 0:
        raise ValueError("the image of a point source should be finite and have light")
    row, column = np.unravel_index(int(np.argmax(image)), image.shape)
    above = float((image > 0.5 * image.max()).sum())
    reach = min(int(2 * np.sqrt(above / np.pi)) + 3, max(image.shape) // 2 + 1)
    steps = np.arange(-reach, reach + 1 / FINE, 1 / FINE)
    y, x = np.meshgrid(row + steps, column + steps, indexing="ij")
    fine = map_coordinates(image, [y, x], order=3, mode="constant")
    return float(2 * np.sqrt((fine > 0.5 * fine.max()).sum() / np.pi) / FINE)


def ellipticity(image: Float[np.ndarray, "k k"]) -> tuple[float, float]:
    """Components (e1, e2) of the ellipticity, from second moments weighted by a circular Gaussian
    of the image's own FWHM about its centroid: e1 = (Q_xx - Q_yy) / (Q_xx + Q_yy) and
    e2 = 2 Q_xy / (Q_xx + Q_yy), with x along columns (Kaiser, Squires & Broadhurst 1995, ApJ 449,
    460, section 2). 0, 0 for a round image. Raises ValueError as `fwhm` does.
    """
    image = np.asarray(image, np.float64)
    sigma = fwhm(image) * FWHM_TO_SIGMA
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64)
    at = np.unravel_index(int(np.argmax(image)), image.shape)
    centre = np.array([float(at[0]), float(at[1])])
    for _ in range(8):
        weight = image * np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * sigma**2))
        moved = np.array([(weight * y).sum(), (weight * x).sum()]) / weight.sum()
        # A Gaussian weight of the image's own width lets the centroid go half of the way.
        centre = centre + 2 * (moved - centre)
    dy, dx = y - centre[0], x - centre[1]
    weight = image * np.exp(-(dy**2 + dx**2) / (2 * sigma**2))
    xx, yy, xy = ((weight * q).sum() for q in (dx**2, dy**2, dx * dy))
    return float((xx - yy) / (xx + yy)), float(2 * xy / (xx + yy))
