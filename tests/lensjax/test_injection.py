"""Injection, the arc's signal-to-noise ratio, core suppression and degradation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensjax as lj

GRID = lj.PixelGrid(101)
PSF = lj.Gaussian(jnp.array([1.3, 1.2, 1.1]))
SCENE = lj.Scene(
    (lj.SIE(1.5, 0.7, 0.3), lj.Shear(0.03, -0.02)),
    lj.Sersic(jnp.array([0.2, 0.25, 0.3]), 0.2, 1.0, 0.6, 0.8, 0.2, 0.1),
)


@pytest.fixture(scope="module")
def arc():
    return lj.render(SCENE, GRID, PSF)


def test_injection_adds_and_keeps_the_hosts_noise(arc):
    host = lj.sky_noise(jax.random.key(0), jnp.full(3, 0.01), GRID)
    np.testing.assert_array_equal(lj.inject(host, arc), host + arc)
    noiseless = lj.inject(host, arc, gain=1e12, key=jax.random.key(1))
    np.testing.assert_allclose(noiseless, host + arc, atol=1e-5)
    # paired: the same host, arc and key; only the noise differs, with variance arc / gain
    noisy = (
        jax.vmap(lambda k: lj.inject(host, arc, gain=jnp.array([100.0, 150.0, 300.0]), key=k))(
            jax.random.split(jax.random.key(2), 200)
        )
        - host
        - arc
    )
    bright = np.asarray(arc[..., 1] > 0.3 * arc[..., 1].max())
    pull = np.asarray(noisy)[:, bright] / np.sqrt(
        np.asarray(arc)[bright] / np.array([100.0, 150.0, 300.0])
    )
    np.testing.assert_allclose(pull.std((0, 1)), 1.0, rtol=0.03)


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


def test_degrading_conserves_flux():
    host = lj.render(
        lj.Scene(source=lj.Sersic(jnp.array([5.0, 2.0, 1.0]), 0.5, 1.0, 0.7, 0.3, 0.4, -0.3)),
        GRID,
        lj.Gaussian(1.1),
    )
    out = lj.degrade(
        host, jnp.full(3, 1.1), jnp.array([1.2, 1.5, 1.8]), 40.0, 40.0, jax.random.key(0)
    )
    np.testing.assert_allclose(out.sum((0, 1)), host.sum((0, 1)), rtol=1e-5)
    even = jnp.full_like(host, 0.3)
    np.testing.assert_allclose(
        lj.degrade(
            even, jnp.full(3, 1.1), jnp.array([1.2, 1.5, 1.8]), 40.0, 40.0, jax.random.key(0)
        ),
        even,
        rtol=1e-5,
    )


@pytest.mark.parametrize("own", [25.0, 24.0])
def test_degraded_noise_is_white_with_the_pixel_variance_and_the_depth_of_the_target(own):
    fwhm, target = jnp.array([1.0, 1.1, 1.0]), jnp.array([1.0, 1.2, 1.6])
    depth = lj.psfdepth_from_m5(23.0)
    sigma = lj.pixel_sigma(lj.psfdepth_from_m5(own), lj.Gaussian(fwhm), GRID)
    run = jax.jit(
        jax.vmap(
            lambda k: lj.degrade(
                lj.sky_noise(jax.random.fold_in(k, 0), sigma, GRID), fwhm, target, own, 23.0, k
            )
        )
    )
    images = np.asarray(run(jax.random.split(jax.random.key(3), 24)))[:, 8:-8, 8:-8]
    expected = np.asarray(lj.pixel_sigma(depth, lj.Gaussian(target), GRID))
    np.testing.assert_allclose(images.std((0, 1, 2)), expected, rtol=0.02)
    neighbours = [
        (images[:, i:] * images[:, : images.shape[1] - i]).mean((0, 1, 2)) / expected**2
        for i in (1, 2, 4)
    ]
    np.testing.assert_allclose(neighbours, 0.0, atol=0.02)
    stamp = np.asarray(lj.Gaussian(target).stamp(lj.PixelGrid(15)))
    fits = [
        (images[:, i : i + 15, j : j + 15] * stamp).sum((1, 2)) / (stamp**2).sum((0, 1))
        for i in range(0, 70, 10)
        for j in range(0, 70, 10)
    ]
    np.testing.assert_allclose(np.concatenate(fits).std(0), 1 / np.sqrt(depth), rtol=0.06)


def test_gradients_of_degradation_are_finite_where_nothing_is_added():
    host = lj.sky_noise(jax.random.key(5), jnp.full(3, 0.01), lj.PixelGrid(21))
    f = lambda t, d: (lj.degrade(host, jnp.full(3, 1.3), t, 23.0, d, jax.random.key(6)) ** 2).sum()
    slopes = jax.jit(jax.grad(f, (0, 1)))
    for t in (1.3, 1.1, 1.6):
        assert all(np.isfinite(g).all() for g in slopes(jnp.full(3, t), jnp.full(3, 23.0)))


def test_a_target_that_is_no_worse_leaves_the_host_alone():
    host = lj.sky_noise(jax.random.key(5), jnp.full(3, 0.01), GRID)
    out = lj.degrade(
        host,
        jnp.full(3, 1.3),
        jnp.full(3, 1.1),
        jnp.full(3, 23.0),
        jnp.full(3, 24.0),
        jax.random.key(6),
    )
    np.testing.assert_allclose(out, host, atol=1e-6)


def test_degraded_noise_keeps_the_correlation_of_the_survey_measured_from_stamps():
    """Native noise of a resampled coadd, degraded from a sharper and deeper one: the same scatter,
    correlation and power spectrum as native noise at the target."""
    kernel = np.outer([0.25, 1.0, 0.25], [0.25, 1.0, 0.25])
    kernel /= np.sqrt((kernel**2).sum())
    wide = lj.PixelGrid(GRID.size + 2)

    def native(key, sigma):
        white = lj.sky_noise(key, jnp.ones(3), wide)
        out = sum(
            kernel[i, j] * white[i : i + GRID.size, j : j + GRID.size]
            for i in range(3)
            for j in range(3)
        )
        return sigma * out

    fwhm, target = jnp.array([1.0, 1.1, 1.0]), jnp.array([1.2, 1.3, 1.5])
    own, wanted = (
        lj.pixel_sigma(lj.psfdepth_from_m5(m5), lj.Gaussian(w), GRID)
        for m5, w in ((24.5, fwhm), (23.0, target))
    )
    keys = jax.random.split(jax.random.key(5), 48)
    hosts = jax.vmap(native, (0, None))(keys, own)
    correlation = jnp.mean(jax.vmap(lj.sky_correlation)(hosts), 0)
    row = np.convolve([0.25, 1, 0.25], [0.25, 1, 0.25]) / (1 + 2 * 0.25**2)
    np.testing.assert_allclose(correlation, np.outer(row, row)[..., None] * np.ones(3), atol=0.03)

    def worse(key, host):
        return lj.degrade(
            host, fwhm, target, 24.5, 23.0, key, host_sigma=own, correlation=correlation
        )

    made = np.asarray(jax.jit(jax.vmap(worse))(keys, hosts))[:, 8:-8, 8:-8]
    real = np.asarray(jax.vmap(native, (0, None))(jax.random.split(jax.random.key(9), 48), wanted))[
        :, 8:-8, 8:-8
    ]
    np.testing.assert_allclose(made.std((0, 1, 2)), real.std((0, 1, 2)), rtol=0.03)
    power = [np.abs(np.fft.rfft2(x, axes=(1, 2))) ** 2 for x in (made, real)]
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(85), np.fft.rfftfreq(85), indexing="ij"))
    for low in np.arange(0.02, 0.5, 0.08):
        ring = (radius >= low) & (radius < low + 0.08)
        a, b = (p[:, ring].mean((0, 1)) for p in power)
        np.testing.assert_allclose(a, b, rtol=0.12 if low < 0.1 else 0.04)
