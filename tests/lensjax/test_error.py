"""What the renderer says of its own errors: larger where it is wrong, and part of compiled code."""

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import sie_scene

import lensjax as lj
from lensjax.reference import converged_points, lensed_sersic


def one_band(**values):
    found = sie_scene(**values)
    (source,) = found.source
    return replace(found, source=(replace(source, flux=jnp.ones(1)),))


SCENES = {
    "an arc": (one_band(), 0.262),
    "a ring behind a cluster": (
        one_band(x=0.0, y=0.0, q=0.98, theta_e=5.0, r_eff=0.05, gamma1=0.0, gamma2=0.0),
        0.262,
    ),
    "a small source in small pixels": (one_band(r_eff=0.03, theta_e=1.0), 0.1),
    "a cusp": (one_band(r_eff=0.1, n=6.0), 0.262),
}

HARD = {
    "the ring of a cusp": (
        one_band(x=0.0, y=0.0, q=0.995, theta_e=5.0, n=8.0, r_eff=0.02, gamma1=0.0, gamma2=0.0),
        0.262,
    )
}


def rendered(name, **more):
    """Image (N, N), what is said of its errors, and the error that it has."""
    scene, scale = (SCENES | HARD)[name]
    grid, fwhm = lj.PixelGrid(61, scale), 4.2 * scale
    image, error = lj.render(scene, grid, lj.Gaussian(np.array([fwhm])), with_error=True, **more)
    points = converged_points(lensed_sersic(scene), grid, margin=8, accuracy=1e-6)
    return image, error, np.asarray(image)[..., 0] - points.convolved(grid, fwhm)


@pytest.mark.filterwarnings("ignore::lensjax.rendering.RenderWarning")
@pytest.mark.parametrize("name", SCENES)
def test_the_true_error_is_below_the_stated_one(name):
    image, error, wrong = rendered(name)
    assert np.abs(wrong).max() < error.pixel.max()
    assert abs(wrong.sum()) < error.flux[0]
    stated = float(error.relative(image)[0])
    assert stated < 5e-3 if name == "an arc" else np.isfinite(stated)


@pytest.mark.parametrize("name", HARD)
def test_an_image_that_is_wrong_by_more_than_the_tolerance_is_warned_of(name):
    with pytest.warns(lj.RenderWarning, match="may be wrong by .* of its peak"):
        image, _, wrong = rendered(name)
    assert np.abs(wrong).max() > 1e-3 * image.max()


def test_nothing_is_warned_of_where_the_light_is_smooth():
    galaxy = lj.Scene(source=(lj.GaussianLight(jnp.ones(1), 1.0),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image, error = lj.render(galaxy, lj.PixelGrid(61), lj.Gaussian(1.3), with_error=True)
    assert error.relative(image)[0] < 1e-3


def test_the_stated_error_belongs_to_a_compiled_batch_and_changes_no_derivative():
    scene, psf, grid = one_band(), lj.Gaussian(1.2), lj.PixelGrid(61)
    both = jax.tree.map(lambda v: jnp.stack([v, v]), scene)
    image, error = jax.jit(jax.vmap(lambda s: lj.render(s, grid, psf, with_error=True)))(both)
    assert image.shape == error.pixel.shape == (2, 61, 61, 1)
    assert error.flux.shape == (2, 1)
    np.testing.assert_allclose(image[0], lj.render(scene, grid, psf), atol=1e-6 * image.max())

    def stated(scene):
        return jnp.sum(lj.render(scene, grid, psf, with_error=True)[1].pixel)

    slopes = jax.tree.leaves(jax.jit(jax.grad(stated))(scene))
    assert all(float(jnp.abs(slope).max()) == 0 for slope in slopes)


def test_a_psf_that_its_pixels_cannot_hold_is_said():
    scene, grid = one_band(), lj.PixelGrid(61, 0.262)
    with pytest.warns(lj.RenderWarning):
        image, error = lj.render(scene, grid, lj.Gaussian(0.2), with_error=True)
    assert error.relative(image)[0] > 0.02


def test_a_fixed_rule_that_knows_no_error_is_refused():
    with pytest.raises(lj.InputError, match="4x4"):
        lj.render(one_band(), lj.PixelGrid(61), lj.Gaussian(1.2), "4x4", with_error=True)
