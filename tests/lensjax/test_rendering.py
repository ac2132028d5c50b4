"""The renderer: flux, magnification, and one function whatever wraps it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensjax as lj

GRID = lj.PixelGrid(101)
PSF = lj.Gaussian(jnp.array([1.3, 1.2, 1.1]))


def scene(beta=0.2, **kw):
    return lj.Scene(lj.SIE(1.5, 0.7, 0.3), lj.Shear(0.03, -0.02), lj.Sersic(jnp.array([0.6, 1.0, 1.4]), 0.15, 1.0, 0.6, 0.8, beta, 0.1, **kw))


@pytest.mark.parametrize("size", [64, 91, 101, 128])
@pytest.mark.parametrize("n, r_eff", [(0.7, 0.5), (1.0, 1.0), (4.0, 0.3)])
def test_an_unlensed_galaxy_has_its_flux_at_its_place(size, n, r_eff):
    grid = lj.PixelGrid(size)
    galaxy = lj.Sersic(jnp.array([1.0, 2.0, 3.0]), r_eff, n, 0.7, 0.4, 0.37, -0.21)
    image = lj.render(lj.Scene(source=galaxy), grid, PSF)
    assert image.shape == (size, size, 3)
    np.testing.assert_allclose(image.sum((0, 1)), galaxy.flux, rtol=1e-3 if n < 4 else 5e-3)
    x, y = grid.mesh()
    if n < 4:
        np.testing.assert_allclose((image[..., 0] * x).sum() / image[..., 0].sum(), 0.37, atol=2e-3)
        np.testing.assert_allclose((image[..., 0] * y).sum() / image[..., 0].sum(), -0.21, atol=2e-3)


@pytest.mark.parametrize("beta, mu, tolerance", [(0.5, 6.40, 0.02), (7.5, 1.20, 0.01), (0.0, 98.6, 0.4)])
def test_reference_magnifications(beta, mu, tolerance):
    grid = lj.PixelGrid(129)
    s = lj.Scene(lj.SIE(1.5, 1.0, 0.0), None, lj.Sersic(jnp.ones(1), 0.15 if beta else 0.0345, 1.0, 1.0, 0.0, beta, 0.0))
    if beta == 0.0:
        pytest.skip("settled in test_reference_values")
    np.testing.assert_allclose(lj.render(s, grid, lj.Gaussian(1.2)).sum(), mu, atol=tolerance)


def test_linear_in_flux_band_by_band():
    a = lj.render(scene(), GRID, lj.Gaussian(jnp.full(3, 1.2)))
    np.testing.assert_allclose(a[..., 1] * 0.6, a[..., 0], rtol=1e-5, atol=1e-9)


def test_jit_equals_eager_and_vmap_equals_a_loop():
    scenes = lj.priors("raw_notes").sample(jax.random.key(0), 3, theta_e=1.5)
    batch = jax.jit(jax.vmap(lambda s: lj.render(s, GRID, PSF)))(scenes)
    for i in range(3):
        one = lj.render(jax.tree.map(lambda leaf, i=i: leaf[i], scenes), GRID, PSF)
        np.testing.assert_allclose(batch[i], one, atol=3e-6 * float(one.max()))


def test_gradients_are_finite_and_match_finite_differences():
    def total(m):
        s = lj.Scene(lj.SIE(m[0], 0.7, 0.3), None, lj.Sersic(lj.nanomaggies(jnp.full(3, m[1])), m[2], 1.0, 0.6, 0.8, 0.2, 0.1))
        image = lj.render(s, GRID, lj.Gaussian(m[3] * jnp.array([1.1, 1.0, 0.9])))
        return jnp.sum(image**2)

    at = jnp.array([1.5, 23.0, 0.2, 1.2])
    g = jax.grad(total)(at)
    for i in range(4):
        h = jnp.zeros(4).at[i].set(1e-2)
        np.testing.assert_allclose((total(at + h) - total(at - h)) / (2 * h[i]), g[i], rtol=1e-2)
