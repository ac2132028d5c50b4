"""Real galaxies as sources."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import FLUX, GRID, PSF

import lensjax as lj
from data.galaxies import cleaned
from lensjax.light import surface_brightness

LENS = lj.SIE(1.5, 0.7, 0.3)
SHEAR = lj.Shear(0.03, -0.02)


def gaussian_image(sigma=6.0, size=64):
    x = np.arange(size) - (size - 1) / 2
    return np.exp(-0.5 * (x[:, None] ** 2 + x[None, :] ** 2) / sigma**2).astype(np.float32)


def test_an_image_of_a_gaussian_is_the_gaussian():
    galaxy = lj.GalaxyImage(FLUX, gaussian_image(), 0.03, 0.5, 0.2, 0.1)
    same = lj.GaussianLight(FLUX, 0.18, 1.0, 0.0, 0.2, 0.1)
    a, b = (lj.render(lj.Scene((LENS, SHEAR), source), GRID, PSF) for source in (galaxy, same))
    np.testing.assert_allclose(a, b, atol=2e-3 * float(b.max()))


def test_orientation_and_flux():
    image = np.zeros((64, 64), np.float32)
    image[31:33, 42:44] = 1.0  # right of the centre
    galaxy = lj.GalaxyImage(jnp.ones(3), image, 0.1, jnp.pi / 2, 0.0, 0.0)
    out = lj.render(lj.Scene((lj.SIE(0.0, 1.0, 0.0), lj.Shear(0.0, 0.0)), galaxy), GRID, PSF)
    np.testing.assert_allclose(out.sum((0, 1)), 1.0, rtol=2e-3)
    x, y = GRID.mesh()
    np.testing.assert_allclose((out[..., 0] * y).sum(), 1.1, atol=0.01)
    np.testing.assert_allclose((out[..., 0] * x).sum(), 0.0, atol=0.01)


def test_the_spline_goes_through_every_pixel_and_is_scipys_between():
    from scipy.interpolate import RectBivariateSpline

    image = gaussian_image(3.0, 40)[:, 4:-3] * (1 + 0.3 * np.random.default_rng(0).random((40, 33)))
    with jax.enable_x64(True):
        galaxy = lj.GalaxyImage(1.0, jnp.asarray(image), 0.1)
        y, x = ((np.arange(n) - (n - 1) / 2) * 0.1 for n in image.shape)
        at = surface_brightness(galaxy, *np.meshgrid(x, y)) * image.sum() * 0.01
        np.testing.assert_allclose(at, image, atol=1e-5 * image.max())
        between = np.random.default_rng(1).uniform(-1, 1, (2, 300))
        theirs = RectBivariateSpline(y, x, image, kx=3, ky=3).ev(between[1], between[0])
        np.testing.assert_allclose(
            surface_brightness(galaxy, *between) * image.sum() * 0.01,
            theirs,
            atol=1e-4 * image.max(),
        )


@pytest.fixture(scope="module")
def cosmos(survey_data):
    """Galaxies of the GalSim COSMOS sample, as the HST saw them."""
    from astropy.io import fits

    with fits.open(
        survey_data / "sources" / "cosmos_paltas" / "real_galaxy_images_23.5_n1.fits"
    ) as hdus:
        return [np.asarray(hdu.data, np.float64) for hdu in hdus]


def test_arcs_of_real_galaxies_agree_with_lenstronomys_interpolated_source(cosmos):
    """lenstronomy's rays and INTERPOL profile on 12 x 12 points a pixel, through the effective PSF
    at their own places. INTERPOL is linear between
    pixels: given the stamp it is another galaxy by up to a hundredth of the arc's peak, given
    SciPy's cubic spline of it on pixels a fifth as wide it is the same."""
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel
    from scipy.interpolate import RectBivariateSpline

    from lensjax.reference import Points

    scale, grid, fwhm, count, finer = 0.03, lj.PixelGrid(41), 1.2, 12, 5
    t = (np.arange(41 * count) - (41 * count - 1) / 2) * grid.scale / count
    x, y = (a.ravel() for a in np.meshgrid(t, t))
    f = 0.3 / 1.7
    k = [
        {"theta_E": 1.5, "e1": f * np.cos(0.6), "e2": f * np.sin(0.6)},
        {"gamma1": 0.03, "gamma2": -0.02},
    ]
    bx, by = LensModel(["SIE", "SHEAR"]).ray_shooting(x, y, k)

    def theirs(image, scale):
        source = {
            "image": image / image.sum() / scale**2,
            "amp": 1.0,
            "center_x": 0.15,
            "center_y": -0.1,
            "phi_G": 0.4,
            "scale": scale,
        }
        return Points(
            x,
            y,
            LightModel(["INTERPOL"]).surface_brightness(bx, by, [source])
            * (grid.scale / count) ** 2,
        ).convolved(grid, fwhm)

    @jax.jit
    def ours(image):
        galaxy = lj.GalaxyImage(jnp.ones(1), image, scale, 0.4, 0.15, -0.1)
        return lj.render(lj.Scene((LENS, SHEAR), galaxy), grid, lj.Gaussian(fwhm), tol=1e-3)[..., 0]

    for stamp in (cosmos[2], cosmos[4], cosmos[5]):
        image = cleaned(stamp)
        assert (image >= 0).all() and 0.005 < (image > 0).mean() < 0.9
        image = np.pad(image, [((90 - n) // 2, 91 - n - (90 - n) // 2) for n in image.shape])
        axis = np.arange(91) - 45.0
        fine = np.arange(91 * finer) / finer - 45.5 + 0.5 / finer
        mine = np.asarray(ours(jnp.asarray(image, jnp.float32)))
        same = theirs(RectBivariateSpline(axis, axis, image, kx=3, ky=3)(fine, fine), scale / finer)
        np.testing.assert_allclose(mine, same, atol=1e-3 * same.max())
        np.testing.assert_allclose(mine.sum(), same.sum(), rtol=1e-3)
        other = theirs(image, scale)
        np.testing.assert_allclose(mine, other, atol=1e-2 * other.max())


def test_the_stated_error_of_an_image_with_negative_pixels_is_a_number():
    noisy = gaussian_image() + np.random.default_rng(0).normal(0, 0.1, (64, 64)).astype(np.float32)
    galaxy = lj.GalaxyImage(FLUX, noisy - 0.02, 0.03, 0.5, 0.2, 0.1)
    with pytest.warns(lj.RenderWarning, match="a pixel of this image may be wrong"):
        image, error = lj.render(lj.Scene(LENS, galaxy), lj.PixelGrid(41), PSF, with_error=True)
    assert np.isfinite(error.pixel).all() and np.isfinite(error.flux).all()
    assert (np.asarray(error.relative(image)) < 0.1).all()


def test_gradients_through_a_galaxy_image():
    image = jnp.asarray(gaussian_image())

    def total(p):
        galaxy = lj.GalaxyImage(jnp.ones(3), image, p[0], p[1], p[2], p[3])
        return jnp.sum(
            surface_brightness(galaxy, jnp.linspace(-0.2, 0.2, 7), 0.05) * jnp.arange(7.0)
        )

    from jax.test_util import check_grads

    with jax.enable_x64(True):
        check_grads(
            jax.jit(total),
            (jnp.array([0.03, 0.4, 0.011, 0.023]),),
            order=1,
            modes=("fwd", "rev"),
            eps=1e-6,
            atol=1e-4,
            rtol=1e-4,
        )


def test_an_empty_image_is_refused():
    with pytest.raises(lj.InputError, match="stands out"):
        cleaned(np.zeros((32, 32)) + np.random.default_rng(0).normal(0, 1e-9, (32, 32)) * 0)
    with pytest.raises(lj.InputError, match="finite"):
        cleaned(np.full((32, 32), np.nan))
