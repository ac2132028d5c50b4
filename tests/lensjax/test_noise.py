"""What psfdepth means in a pixel, the sky's scatter and photon noise."""

import jax
import jax.numpy as jnp
import numpy as np

import lensjax as lj

GRID = lj.PixelGrid(101)


def test_pixel_sigma_makes_the_psf_fit_as_deep_as_psfdepth():
    psf = lj.Gaussian(jnp.array([1.3, 1.2, 1.1]))
    depth = jnp.array([900.0, 500.0, 120.0])
    sigma = lj.pixel_sigma(depth, psf, GRID)
    stamp = psf.stamp(GRID)
    noise = jax.vmap(lambda k: lj.sky_noise(k, sigma, GRID))(
        jax.random.split(jax.random.key(0), 400)
    )
    fitted = (noise * stamp).sum((1, 2)) / (stamp**2).sum((0, 1))
    np.testing.assert_allclose(fitted.std(0), 1 / np.sqrt(depth), rtol=0.1)


def test_sky_sigma_ignores_sources():
    host = lj.sky_noise(jax.random.key(1), jnp.array([0.01, 0.02, 0.03]), GRID)
    host = host.at[5:9, 5:9].add(3.0) + lj.render(
        lj.Scene(source=lj.Sersic(jnp.full(3, 50.0), 0.8, 2.0, 0.8, 0.3)), GRID, lj.Gaussian(1.2)
    )
    np.testing.assert_allclose(lj.sky_sigma(host), [0.01, 0.02, 0.03], rtol=0.05)


def test_photon_noise_has_the_variance_of_the_counts():
    arc = jnp.full((64, 64, 1), 0.3).at[:32].set(0.0)
    noise = lj.arc_noise(jax.random.key(2), arc, 150.0)
    assert (noise[:32] == 0).all()
    np.testing.assert_allclose(noise[32:].std(), np.sqrt(0.3 / 150), rtol=0.05)
    assert jnp.abs(lj.arc_noise(jax.random.key(2), arc, 1e12)).max() < 1e-5


def test_photon_noise_has_a_finite_slope_however_faint_the_arc_and_large_the_gain():
    arc = jnp.asarray([0.0, 1e-45, 1e-38, 2e-38, 1e-30, 1e-12, 1.0], jnp.float32).reshape(7, 1, 1)
    for gain in (150.0, 1e12):
        noise, slope = jax.jvp(
            lambda scale, gain=gain: lj.arc_noise(jax.random.key(0), arc * scale, gain),
            (jnp.float32(1),),
            (jnp.float32(1),),
        )
        assert np.isfinite(noise).all() and np.isfinite(slope).all()
        np.testing.assert_allclose(slope[3:], 0.5 * noise[3:], rtol=1e-5)
