"""Real galaxies as sources."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import FLUX, GRID, PSF

import lensjax as lj
from lensjax.galaxy import cleaned
from lensjax.light import surface_brightness

LENS = lj.SIE(1.5, 0.7, 0.3)
SHEAR = lj.Shear(0.03, -0.02)


def gaussian_image(sigma=6.0, size=64):
    x = np.arange(size) - (size - 1) / 2
    return np.exp(-0.5 * (x[:, None] ** 2 + x[None, :] ** 2) / sigma**2).astype(np.float32)


def test_an_image_of_a_gaussian_is_the_gaussian():
    galaxy = lj.GalaxyImage(FLUX, gaussian_image(), 0.03, 0.5, 0.2, 0.1)
    same = lj.GaussianLight(FLUX, 0.18, 1.0, 0.0, 0.2, 0.1)
    a, b = (lj.render(lj.Scene(LENS, SHEAR, source), GRID, PSF) for source in (galaxy, same))
    np.testing.assert_allclose(a, b, atol=2e-3 * float(b.max()))


def test_orientation_and_flux():
    image = np.zeros((40, 40), np.float32)
    image[19:21, 30:32] = 1.0  # right of the centre
    galaxy = lj.GalaxyImage(jnp.ones(3), image, 0.1, jnp.pi / 2, 0.0, 0.0)
    out = lj.render(lj.Scene(source=galaxy), GRID, PSF)
    np.testing.assert_allclose(out.sum((0, 1)), 1.0, rtol=2e-3)
    x, y = GRID.mesh()
    np.testing.assert_allclose((out[..., 0] * y).sum(), 1.1, atol=0.01)
    np.testing.assert_allclose((out[..., 0] * x).sum(), 0.0, atol=0.01)


@pytest.fixture(scope="module")
def cosmos(survey_data):
    from astropy.io import fits

    for path in sorted((survey_data / "sources" / "cosmos_paltas").glob("*.fits*")):
        with fits.open(path) as hdus:
            for hdu in hdus:
                if getattr(hdu, "data", None) is not None and getattr(hdu.data, "ndim", 0) == 2 and hdu.is_image:
                    return np.asarray(hdu.data, np.float64)
    pytest.skip("no COSMOS stamp found")


def test_an_arc_of_a_real_galaxy_agrees_with_lenstronomys_interpolated_source(cosmos):
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    image = cleaned(cosmos)
    assert (image >= 0).all() and 0.005 < (image > 0).mean() < 0.9
    scale, grid = 0.03, lj.PixelGrid(61)
    with jax.enable_x64(True):
        galaxy = lj.GalaxyImage(jnp.ones(1), jnp.asarray(image), scale, 0.4, 0.15, -0.1)
        ours = np.asarray(lj.render(lj.Scene(LENS, SHEAR, galaxy), grid, lj.Gaussian(1.2), tol="4x4")[..., 0])
        t = (np.arange(244) - 121.5) * grid.scale / 4
        x, y = np.meshgrid(t, t)
        f = 0.3 / 1.7
        lens = [{"theta_E": 1.5, "e1": f * np.cos(0.6), "e2": f * np.sin(0.6)}, {"gamma1": 0.03, "gamma2": -0.02}]
        bx, by = LensModel(["SIE", "SHEAR"]).ray_shooting(x.ravel(), y.ravel(), lens)
        k = [{"image": image / image.sum() / scale**2, "amp": 1.0, "center_x": 0.15, "center_y": -0.1, "phi_G": 0.4, "scale": scale}]
        theirs = LightModel(["INTERPOL"]).surface_brightness(bx, by, k).reshape(244, 244)
        mine = np.asarray(surface_brightness(galaxy, jnp.asarray(bx), jnp.asarray(by))).reshape(244, 244)
    # lenstronomy interpolates with splines, here by cubic convolution: the same flux, and the same image once the PSF has smoothed it
    np.testing.assert_allclose(mine.sum(), theirs.sum(), rtol=0.02)
    from scipy.ndimage import gaussian_filter

    binned = gaussian_filter(theirs.reshape(61, 4, 61, 4).mean((1, 3)) * grid.pixel_area, 1.2 / 2.3548 / grid.scale, truncate=8)
    np.testing.assert_allclose(ours, binned, atol=0.02 * binned.max())


def test_gradients_through_a_galaxy_image():
    image = jnp.asarray(gaussian_image())

    def total(p):
        galaxy = lj.GalaxyImage(jnp.ones(3), image, p[0], p[1], p[2], p[3])
        return jnp.sum(surface_brightness(galaxy, jnp.linspace(-0.2, 0.2, 7), 0.05) * jnp.arange(7.0))

    from jax.test_util import check_grads

    with jax.enable_x64(True):
        check_grads(total, (jnp.array([0.03, 0.4, 0.011, 0.023]),), order=1, modes=("fwd", "rev"), eps=1e-6, atol=1e-4, rtol=1e-4)


def test_an_empty_image_is_refused():
    with pytest.raises(lj.InputError, match="stands out"):
        cleaned(np.zeros((32, 32)) + np.random.default_rng(0).normal(0, 1e-9, (32, 32)) * 0)
    with pytest.raises(lj.InputError, match="finite"):
        cleaned(np.full((32, 32), np.nan))
