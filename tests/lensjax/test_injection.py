"""Injection, the arc's signal-to-noise ratio, core suppression and degradation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensjax as lj

GRID = lj.PixelGrid(101)
PSF = lj.Gaussian(jnp.array([1.3, 1.2, 1.1]))
SCENE = lj.Scene(lj.SIE(1.5, 0.7, 0.3), lj.Shear(0.03, -0.02), lj.Sersic(jnp.array([0.2, 0.25, 0.3]), 0.2, 1.0, 0.6, 0.8, 0.2, 0.1))


@pytest.fixture(scope="module")
def arc():
    return lj.render(SCENE, GRID, PSF)


def test_injection_adds_and_keeps_the_hosts_noise(arc):
    host = lj.sky_noise(jax.random.key(0), jnp.full(3, 0.01), GRID)
    np.testing.assert_array_equal(lj.inject(host, arc), host + arc)
    noiseless = lj.inject(host, arc, gain=1e12, key=jax.random.key(1))
    np.testing.assert_allclose(noiseless, host + arc, atol=1e-5)
    with pytest.raises(lj.InputError, match="key"):
        lj.inject(host, arc, gain=150.0)


def test_arc_snr_is_the_annulus_sum_over_its_noise(arc):
    y, x = np.mgrid[:101, :101] - 50
    mask = (np.hypot(x, y) >= 4) & (np.hypot(x, y) <= 16)
    expected = np.asarray(arc)[mask].sum(0) / (0.02 * np.sqrt(mask.sum()))
    np.testing.assert_allclose(lj.arc_snr(arc, 0.02), expected, rtol=1e-5)


def test_core_suppression_removes_the_inner_image_only(arc):
    out = lj.suppress_core(arc, 4.0)
    r = GRID.radius()
    assert (out[r < 2.9] == 0).all()
    np.testing.assert_array_equal(out[r > 5.1], arc[r > 5.1])


def test_a_degraded_galaxy_is_the_galaxy_seen_with_the_target_psf():
    scene = lj.Scene(source=lj.Sersic(jnp.array([5.0, 5.0, 5.0]), 0.6, 1.5, 0.7, 0.3))
    sharp, target = jnp.array([1.3, 1.2, 1.1]), jnp.array([1.7, 1.6, 1.5])
    host = lj.render(scene, GRID, lj.Gaussian(sharp))
    depth = jnp.full(3, 40.0)  # no noise to speak of
    out = lj.degrade(host, sharp, target, depth, depth, jax.random.key(0))
    wanted = lj.render(scene, GRID, lj.Gaussian(target))
    assert jnp.abs(out - wanted).max() < 1e-3 * wanted.max()


def test_degraded_noise_has_the_target_depth():
    fwhm, target = jnp.array([1.0, 1.0, 1.0]), jnp.array([1.0, 1.2, 1.6])
    shallow = jnp.array([23.0, 23.0, 23.0])
    sigma = lj.pixel_sigma(lj.psfdepth_from_m5(24.5), lj.Gaussian(fwhm), GRID)
    host = lj.sky_noise(jax.random.key(3), sigma, GRID)
    out = lj.degrade(host, fwhm, target, 24.5, shallow, jax.random.key(4))
    np.testing.assert_allclose(out.std((0, 1)), lj.pixel_sigma(lj.psfdepth_from_m5(shallow), lj.Gaussian(target), GRID), rtol=0.05)


def test_a_target_that_is_no_worse_leaves_the_host_alone():
    host = lj.sky_noise(jax.random.key(5), jnp.full(3, 0.01), GRID)
    out = lj.degrade(host, jnp.full(3, 1.3), jnp.full(3, 1.1), jnp.full(3, 23.0), jnp.full(3, 24.0), jax.random.key(6))
    np.testing.assert_allclose(out, host, atol=1e-6)
