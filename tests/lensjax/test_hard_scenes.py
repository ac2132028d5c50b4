"""Scenes of the domain that were wrong once: images at the default tolerance against the truth."""

import numpy as np
import pytest

import lensjax as lj
from benchmarks.domain import draw, truth
from benchmarks.errors import as_scene

NUMBERS = {
    "a ring of a galaxy of n = 7.4": 1361,  # 8e-3 with few lines of rays, spaced alike for all n
    "an image squeezed against a flat lens": 100,  # 2.5e-3 with a softer centre of the lens
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_scene_is_right_to_the_tolerance_and_its_error_is_stated(name, tmp_path):
    drawn, (true, _) = draw(NUMBERS[name]), truth(NUMBERS[name], tmp_path)
    psf, bounds = lj.Gaussian(np.float32(drawn.fwhm)), lj.Bounds(fwhm=(drawn.fwhm, drawn.fwhm))
    image, error = lj.render(as_scene(drawn), drawn.grid, psf, 1e-3, bounds, with_error=True)
    wrong = np.abs(np.asarray(image)[..., 0] - true).max()
    assert wrong < 1e-3 * true.max()
    assert wrong < error.pixel.max()


def test_a_thousand_times_brighter_galaxy_outside_of_the_stamp_is_seen_by_its_wings():
    """Two FWHM outside: 8e-3 of the peak was missing with a narrower margin. The truth is a closed
    form: a Gaussian behind a Gaussian PSF."""
    grid, fwhm, sigma = lj.PixelGrid(41, 0.1), 0.6, 0.05
    places = (1.0, grid.size * grid.scale / 2 + 2 * fwhm, 0.03), (1e-3, -0.3, 0.2)
    galaxies = tuple(
        lj.GaussianLight(np.float32([flux]), np.float32(sigma), x=np.float32(x), y=np.float32(y))
        for flux, x, y in places
    )
    scene = lj.Scene((lj.Shear(np.float32(0), np.float32(0)),), galaxies)
    image = np.asarray(lj.render(scene, grid, lj.Gaussian(np.float32([fwhm]))))[..., 0]
    x, y = grid.mesh()
    variance = sigma**2 + (fwhm / 2.3548200450309493) ** 2
    true = sum(
        flux * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * variance)) for flux, x0, y0 in places
    ) * (grid.pixel_area / (2 * np.pi * variance))
    assert np.abs(image - true).max() < 1e-4 * true.max()
