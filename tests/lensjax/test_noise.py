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


def test_fine_sky_sigma_is_that_of_the_noise_under_smooth_light_alike_or_not():
    """Faint sources, blurred, and a gradient, under white noise and under that of a coadd."""
    rng, side = np.random.default_rng(3), 101
    y, x = np.mgrid[:side, :side] - 50.0
    smooth = 0.02 * np.exp(-np.hypot(x, y) / 30)
    for row, column in rng.uniform(-50, 50, (120, 2)):
        smooth += 0.02 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 1.9**2))
    kernel = np.outer([0.25, 1.0, 0.25], [0.25, 1.0, 0.25])
    kernel /= np.sqrt((kernel**2).sum())
    alike = np.array([0.25**2, 0.5, 1 + 2 * 0.25**2, 0.5, 0.25**2]) / (1 + 2 * 0.25**2)
    correlation = np.outer(alike, alike)[..., None] * np.ones(3)
    found, usual = [], []
    for seed in range(12):
        white = np.random.default_rng(seed).normal(size=(side + 2, side + 2, 3))
        coadd = sum(
            kernel[i, j] * white[i : i + side, j : j + side] for i in range(3) for j in range(3)
        )
        for noise, of in ((white[1:-1, 1:-1], None), (coadd, jnp.asarray(correlation))):
            host = jnp.asarray(0.02 * noise + smooth[..., None], jnp.float32)
            host = host.at[:3].set(jnp.nan)
            found.append(lj.fine_sky_sigma(host, of))
            usual.append(lj.sky_sigma(host))
    every, plain = (np.array(v).reshape(12, 2, 3).mean((0, 2)) for v in (found, usual))
    np.testing.assert_allclose(every, 0.02, rtol=0.01)
    assert (plain > 1.05 * 0.02).all()


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
