"""Fluxes, magnitudes and depths."""

import jax
import jax.numpy as jnp
import numpy as np

import lensjax as lj


def test_zero_point_and_round_trip():
    np.testing.assert_allclose(lj.nanomaggies(22.5), 1.0, rtol=1e-6)
    np.testing.assert_allclose(lj.nanomaggies(20.0), 10.0, rtol=1e-6)
    m = jnp.linspace(15.0, 28.0, 14)
    np.testing.assert_allclose(lj.magnitudes(lj.nanomaggies(m)), m, rtol=1e-6)


def test_depth_is_five_sigma():
    np.testing.assert_allclose(lj.depth_m5(1.0), 22.5 - 2.5 * np.log10(5.0), rtol=1e-6)
    np.testing.assert_allclose(
        lj.psfdepth_from_m5(lj.depth_m5(jnp.array([30.0, 700.0]))), [30.0, 700.0], rtol=1e-5
    )


def test_a_flux_without_magnitude_is_nan_and_its_gradient_is_not():
    assert np.isnan(lj.magnitudes(0.0)) and np.isnan(lj.magnitudes(-1.0))
    assert np.isfinite(jax.grad(lambda f: jnp.where(f > 0, lj.magnitudes(f), 0.0))(0.0))
