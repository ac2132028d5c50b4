"""Rays placed where the light is: fluxes of cells against fine sums, and errors that the cells
know."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick_compilation
from hypothesis import given, settings
from hypothesis import strategies as st

import lensjax as lj
from lensjax.light.focus import even, joined, nearest
from lensjax.mass import trace
from lensjax.placing import look, seen

SIDE = 0.262
LENS = (lj.SIE(1.5, 0.7, 0.3), lj.Shear(0.03, -0.02))
compiled = jax.jit(look, static_argnames="rule", compiler_options=quick_compilation.OPTIONS)


def looked(light, x, y, side=SIDE, rule=(8, 12), mass=LENS, look=look):
    light = jax.tree.map(jnp.asarray, light).prepared()
    x, y = (jnp.asarray([v], float) for v in (x, y))
    return light, look(mass, light, light.foci(), (x, y, jnp.full_like(x, side)), rule=rule)


def fine(light, x, y, side=SIDE, mass=LENS, count=1500):
    """Flux of a cell by count x count rays."""
    t = (np.arange(count) + 0.5) / count - 0.5
    t, u = np.meshgrid(t, t)
    beta = trace(mass, x + side * t, y + side * u)
    return float(np.mean(light.brightness(beta.real, beta.imag))) * side**2


@pytest.mark.parametrize("n, within", [(0.5, 1e-3), (1.0, 2e-3)])
@pytest.mark.parametrize("size", [0.03, 0.1, 0.4])
def test_a_cell_s_flux_is_that_of_a_fine_sum(size, n, within):
    """The pixel that holds the middle of an image, where the light is steepest."""
    with jax.enable_x64(True):
        x, y = 1.62, 0.41
        beta = trace(LENS, jnp.asarray(x), jnp.asarray(y))
        galaxy = lj.Sersic(1.0, size, n, 0.6, 0.8, beta.real + 0.004, beta.imag, steep=False)
        light, found = looked(galaxy, x, y)
        truth = fine(light, x, y)
        flux = float(jnp.sum(found.value * found.placed.weight))
        assert abs(flux - truth) < within * truth
        assert abs(flux - truth) < 3 * float(found.need[0]) + 1e-5 * truth


def test_brightness_with_its_derivative_is_the_brightness_that_was_looked_at():
    with jax.enable_x64(True):
        light, found = looked(lj.Sersic(1.0, 0.1, 1.0, 0.7, 0.2, 0.2, 0.1), 1.6, 0.5)
        np.testing.assert_allclose(seen(LENS, light, found.placed), found.value, rtol=1e-9)


def test_a_cell_with_the_centre_of_a_lens_knows_that_it_is_wrong():
    galaxy = lj.Sersic(1.0, 0.3, 1.0, 0.7, 0.2, 1.2, 0.4)
    _, torn = looked(galaxy, 0.01, 0.02)
    _, whole = looked(galaxy, 2.5, 0.8)
    share = [float(f.need[0] / jnp.sum(f.value * f.placed.weight)) for f in (torn, whole)]
    assert share[0] > 0.3 and share[1] < 1e-3


@given(
    *(st.floats(-3, 3) for _ in "xy"),
    *(st.floats(-2, 2) for _ in "xy"),
    st.sampled_from([0.02, 0.3]),
    st.sampled_from([0.4, 1.0, 8.0]),
    st.sampled_from([0.05, 1.0]),
    st.sampled_from([0.0, 0.1, 6.0]),
)
@settings(max_examples=40, deadline=None)
def test_nothing_is_ever_not_a_number(x, y, sx, sy, size, n, q, theta_e):
    mass = (lj.SIE(theta_e, 1.0, 0.0),)
    galaxy = lj.Sersic(1.0, size, n, q, 0.3, sx, sy)
    _, found = looked(galaxy, x, y, rule=(4, 6), mass=mass, look=compiled)
    for value in jax.tree.leaves(found):
        assert np.isfinite(np.asarray(value, float)).all()


def test_the_brightest_focus_of_a_cell_is_chosen():
    galaxy = lj.Sersic(1.0, 0.2, 1.0, 1.0, 0.0, 0.0, 0.0).foci()
    knot = lj.GaussianLight(1.0, 0.02, 1.0, 0.0, 0.5, 0.0).foci()
    both = joined(galaxy, knot)
    step = jnp.full(2, 0.02 + 0j)
    chosen = nearest(both, jnp.asarray([0.05 + 0j, 0.49 + 0j]), step, 1j * step)
    np.testing.assert_allclose(chosen.x, [0.0, 0.5])
    assert float(even(0.3).core[0]) > 1e6
