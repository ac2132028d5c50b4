"""PSFs: flux, shape, kernels that stand for each other, real PsfEx models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import GRID, PSF, sie_scene

import lensjax as lj
from lensjax.cells import padded
from lensjax.psf import convolve

STAR = lj.Scene(source=lj.GaussianLight(jnp.ones(3), 0.01, 1.0, 0.0, 0.0, 0.0))


@pytest.mark.parametrize("psf, tolerance", [(PSF, 8e-4), (lj.Moffat(jnp.array([1.3, 1.2, 1.1]), 4.5), 2e-3)])
def test_a_point_source_is_the_psf(psf, tolerance):
    image = lj.render(STAR, GRID, psf)
    stamp = psf.stamp(GRID)
    np.testing.assert_allclose(image, stamp, atol=tolerance * float(stamp.max()))


def test_flux_is_conserved_and_a_loss_is_real():
    side, first = padded(GRID)
    nodes = jnp.zeros((side, side)).at[first + 50, first + 50].set(1.0)
    np.testing.assert_allclose(convolve(nodes, PSF, GRID).sum((0, 1)), 1.0, atol=2e-6)
    moffat = lj.Moffat(jnp.array([1.2]), 3.5)
    np.testing.assert_allclose(convolve(nodes, moffat, GRID).sum(), moffat.stamp(GRID).sum(), atol=2e-4)


def test_moffat_has_its_width():
    psf = lj.Moffat(jnp.array([1.2]), 2.5)
    stamp = np.asarray(psf.stamp(lj.PixelGrid(101, 0.02)))[..., 0]
    profile = stamp[50] / stamp[50, 50]
    np.testing.assert_allclose(profile[20], 0.5, atol=1e-3)
    assert (profile[[19, 81]][0] < 0.5) and profile[21] > 0.5


def test_a_kernel_made_of_a_gaussian_is_the_gaussian():
    kernel = lj.PixelKernel(jnp.moveaxis(PSF.stamp(lj.PixelGrid(41)), -1, 0))
    a, b = lj.render(sie_scene(), GRID, kernel), lj.render(sie_scene(), GRID, PSF)
    np.testing.assert_allclose(a, b, atol=1e-4 * float(b.max()))


def test_pixel_integration_widens_by_a_pixel():
    effective, twice = lj.render(STAR, GRID, PSF), lj.render(STAR, GRID, lj.Gaussian(PSF.fwhm, pixel_integrated=True))
    x, _ = GRID.mesh()
    variance = lambda image: (image * (x**2)[..., None]).sum((0, 1)) / image.sum((0, 1)) / GRID.scale**2  # noqa: E731
    np.testing.assert_allclose(variance(twice) - variance(effective), 1 / 12, atol=2e-3)


def test_psfex_models_of_real_exposures(survey_data):
    from astropy.io import fits

    found = sorted((survey_data / "psf" / "decam_psfex_g_r_z").glob("*"))
    assert found
    with fits.open(found[0]) as hdus:
        head, row = hdus[1].header, hdus[1].data[0]
        basis = np.asarray(row["PSF_MASK"] if "PSF_MASK" in hdus[1].columns.names else row["psf_mask"], np.float32)
        names = {n.lower(): n for n in hdus[1].columns.names}
        get = lambda k: float(head[k.upper()] if k.upper() in head else row[names[k]])  # noqa: E731
        model = lj.PsfEx(jnp.asarray(basis), get("polzero1"), get("polscal1"), get("polzero2"), get("polscal2"), get("psf_samp"))
    k = model.kernel(1000.0, 2000.0, 41)
    np.testing.assert_allclose(k.sum(), 1.0, atol=1e-5)
    assert np.unravel_index(np.argmax(k), k.shape) == (20, 20)
    assert jnp.abs(model.kernel(1900.0, 100.0, 41) - k).max() > 1e-5
    assert np.isfinite(jax.grad(lambda x: model.kernel(x, 2000.0, 41)[20, 20])(1000.0))
    image = lj.render(sie_scene(), GRID, lj.PixelKernel(jnp.stack([k] * 3)))
    np.testing.assert_allclose(image.sum((0, 1)), lj.render(sie_scene(), GRID, PSF).sum((0, 1)), rtol=3e-3)
