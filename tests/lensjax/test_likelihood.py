"""The Gaussian likelihood of an image: against scipy, masks, derivatives, the second ones too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import lensjax as lj
from tests.quick_compilation import OPTIONS

GRID, PSF = lj.PixelGrid(21, 0.3), lj.Gaussian(jnp.array([1.1]))
P = np.array([1.0, 0.7, 0.3, 0.02, 5.0, 0.2, 0.7, 0.15, 0.1])
"""theta_e, q, phi, gamma1, flux, sigma, q, x, y"""


def scene(p):
    lens = lj.SIE(p[0], p[1], p[2]), lj.Shear(p[3], 0.01)
    return lj.Scene(lens, lj.GaussianLight(p[4][None], p[5], p[6], 0.8, p[7], p[8]))


def images(bands=2):
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, (2, 7, 7, bands))


def test_it_is_the_sum_of_normal_densities_for_every_form_of_sigma():
    model, image = images()
    for sigma in (0.5, np.array([0.5, 0.7]), np.random.default_rng(1).uniform(0.3, 1, (7, 7, 2))):
        expected = norm.logpdf(image, model, sigma).sum()
        np.testing.assert_allclose(lj.gaussian_log_likelihood(model, image, sigma), expected, 1e-5)


def test_missing_pixels_do_not_count_and_leave_gradients_finite():
    model, image = images()
    sigma = np.full((7, 7, 2), 0.5)
    image[2, 3, 0], sigma[1, 1, 1], sigma[0, 0, 0] = np.nan, np.inf, np.nan
    keep = np.isfinite(image) & np.isfinite(sigma)
    expected = norm.logpdf(image[keep], model[keep], sigma[keep]).sum()
    value, (by_model, by_sigma) = jax.value_and_grad(lj.gaussian_log_likelihood, (0, 2))(
        jnp.asarray(model), jnp.asarray(image), jnp.asarray(sigma)
    )
    np.testing.assert_allclose(value, expected, 1e-5)
    residual = (image - model)[keep]
    np.testing.assert_allclose(by_model[keep], residual / 0.25, rtol=1e-4)
    np.testing.assert_allclose(by_sigma[keep], residual**2 / 0.125 - 2, rtol=1e-3, atol=1e-4)
    assert not by_model[~keep].any() and not by_sigma[~keep].any()


def test_hessians_are_finite_differences_of_the_gradient():
    """Double precision, a generic scene. The cells that are refined stay the same over so small a
    step, as derivatives take for granted."""
    with jax.enable_x64(True):
        f = lambda p, image: lj.log_likelihood(scene(p), image, 0.02, PSF, GRID, 1e-2)
        gradient = jax.grad(f)
        compiled = lambda f: jax.jit(f, compiler_options=OPTIONS)
        image = compiled(lambda p: lj.render(scene(p), GRID, PSF, 1e-2))(jnp.asarray(P * 1.02))
        run = compiled(lambda p, t: jax.jvp(lambda p: gradient(p, image), (p,), (t,)))
        h, hessian = 1e-6, []
        for axis in np.eye(P.size):
            slope, row = run(jnp.asarray(P), axis)
            low, high = (run(jnp.asarray(P + k * h * axis), axis)[0] for k in (-1, 1))
            np.testing.assert_allclose(
                row, (high - low) / (2 * h), rtol=1e-4, atol=1e-5 * abs(row).max()
            )
            hessian.append(row)
        largest = np.abs(hessian).max()
        np.testing.assert_allclose(hessian, np.transpose(hessian), rtol=1e-8, atol=1e-8 * largest)
        assert np.isfinite(slope).all() and np.linalg.eigvalsh(hessian)[0] < 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": np.zeros((7, 7, 1))}, r"image has shape \(7, 7, 1\), it should be \(7, 7, 2\)"),
        ({"image": np.full((7, 7, 2), np.inf)}, "infinite"),
        ({"sigma": np.ones(3)}, r"sigma has shape \(3,\)"),
        ({"sigma": np.array([0.5, 0.0])}, "sigma = 0: it should be larger than 0"),
    ],
)
def test_bad_input_is_refused(change, said):
    model, image = images()
    usual = {"model": model, "image": image, "sigma": 0.5}
    with pytest.raises(lj.InputError, match=said):
        lj.gaussian_log_likelihood(**usual | change)
