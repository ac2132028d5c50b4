"""What holds for every component.

The catalogue is complete, masses are lenstronomy's, potentials have the deflection as gradient,
lights hold their flux, and derivatives are finite at every edge.
"""

from dataclasses import replace

import catalogue
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensjax as lj
from lensjax.light import brighter, larger, surface_brightness
from lensjax.mass import CORE, deflection, potential

RNG = np.random.default_rng(3)
R, PHI = RNG.uniform(0.3, 6, 300), RNG.uniform(0, 2 * np.pi, 300)
X, Y = 0.11 + R * np.cos(PHI), -0.07 + R * np.sin(PHI)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def test_every_component_is_in_the_catalogue():
    assert catalogue.missing() == set()


@pytest.mark.parametrize("name", catalogue.MASSES)
def test_deflections_and_potentials_are_lenstronomys(name, monkeypatch):
    """To 1e-8 with the softening of the centre off; with it, to what it does at these radii."""
    from lenstronomy.LensModel.lens_model import LensModel

    entry = catalogue.MASSES[name]
    several = isinstance(entry.lenstronomy, tuple)
    names = list(entry.lenstronomy) if several else [entry.lenstronomy]
    given = [dict(a) for a in (entry.arguments if several else (entry.arguments,))]
    for module in ("sie", "epl", "nfw", "multipole", "dpie"):
        monkeypatch.setattr(f"lensjax.mass.{module}.CORE", 0.0)
    jax.clear_caches()
    if "alpha_Rs" in given[0]:
        halo = lj.NFW(entry.component.theta_e, entry.component.r_s)
        given[0]["alpha_Rs"] = float(halo.alpha_rs())
        ring = deflection(halo, jnp.float64(halo.theta_e), jnp.float64(0.0))
        assert float(ring[0]) == pytest.approx(halo.theta_e, rel=1e-12)
    theirs = LensModel(names)
    ax, ay = deflection(entry.component, X, Y)
    bx, by = theirs.alpha(X, Y, given)
    # lenstronomy's SIE is an EPL whose own softening and series leave 1e-7.
    limit = 2e-7 if name in ("SIE", "EPL") else 1e-8
    np.testing.assert_allclose(ax, bx, atol=limit)
    np.testing.assert_allclose(ay, by, atol=limit)
    psi, theirs_psi = potential(entry.component, X, Y), theirs.potential(X, Y, given)
    difference = np.asarray(psi) - theirs_psi
    np.testing.assert_allclose(difference - difference[0], 0, atol=5 * limit)
    jax.clear_caches()


@pytest.mark.parametrize("name", catalogue.MASSES)
def test_the_gradient_of_the_potential_is_the_deflection(name):
    mass = catalogue.MASSES[name].component
    ax, ay = deflection(mass, X, Y)
    total = lambda x, y: jnp.sum(potential(mass, x, y))
    gx, gy = jax.grad(total, argnums=(0, 1))(jnp.asarray(X), jnp.asarray(Y))
    # The softening moves either by (CORE / r)^2 of itself.
    np.testing.assert_allclose(ax, gx, atol=20 * (CORE / 0.2) ** 2)
    np.testing.assert_allclose(ay, gy, atol=20 * (CORE / 0.2) ** 2)


def _finite(function, *arguments):
    values, gradients = jax.value_and_grad(function, argnums=tuple(range(len(arguments))))(
        *arguments
    )
    assert np.isfinite(values)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", catalogue.MASSES)
def test_masses_and_their_gradients_are_finite_at_every_edge(name, dtype):
    entry = catalogue.MASSES[name]
    cast = lambda thing: jax.tree.map(lambda v: jnp.asarray(v, dtype), thing)
    centre = entry.component.centre or (0.0, 0.0)
    scale = getattr(entry.component, "r_s", 1.0)
    # The centre, beside it, on the axes, at the scale radius and on both sides of it, far away.
    at = np.array([0.0, 1e-7, 1e-4, 0.3, 0.999999, 1.0, 1.000001, 50.0]) * scale
    x = cast(np.concatenate([centre[0] + at, np.full(at.size, centre[0])]))
    y = cast(np.concatenate([np.full(at.size, centre[1]), centre[1] - at]))

    def total(mass, x, y):
        ax, ay = deflection(mass, x, y)
        return jnp.sum(ax) + 0.7 * jnp.sum(ay) + 0.3 * jnp.sum(potential(mass, x, y))

    for change in ({}, *entry.edges):
        _finite(jax.jit(total), cast(replace(entry.component, **change)), x, y)


@pytest.mark.parametrize("name", catalogue.LIGHTS)
def test_lights_hold_a_flux_of_one_and_their_gradients_are_finite(name):
    light = catalogue.LIGHTS[name]
    step = 0.01
    axis = (np.arange(800) - 399.5) * step
    x, y = np.meshgrid(axis, axis)
    total = float(jnp.sum(surface_brightness(light, x, y))) * step**2
    assert total == pytest.approx(1.0, abs=2e-3)
    sum_at = lambda light, x, y: jnp.sum(surface_brightness(light, x, y))
    place = jnp.asarray([light.x, light.x + 1e-8, 0.4]), jnp.asarray([light.y, light.y, 0.1])
    _finite(sum_at, jax.tree.map(lambda v: jnp.asarray(v, jnp.float64), light), *place)


@pytest.mark.parametrize("name", catalogue.LIGHTS)
def test_bounds_are_not_below_the_brightness_within_reach(name):
    light = jax.tree.map(lambda v: jnp.asarray(v, jnp.float64), catalogue.LIGHTS[name])
    light = light.prepared(0.262)
    x, y = (jnp.asarray(RNG.uniform(-0.6, 0.6, 200)) for _ in "xy")
    angle = jnp.asarray(RNG.uniform(0, 2 * np.pi, 200))
    # An image knows its largest pixel in square windows only: it answers for half of the reach.
    reach = 0.05 if name == "GalaxyImage" else 0.1
    near = light.brightness(x + reach * jnp.cos(angle), y + reach * jnp.sin(angle))
    largest = float(light.brightness(light.x + 0.0, light.y + 0.0))
    assert (near <= light.bound(x, y, 0.1) + 0.02 * largest).all()


def test_a_light_is_made_brighter_and_larger_about_its_own_place():
    for light in catalogue.LIGHTS.values():
        twice = larger(brighter(light, 3.0), 2.0)
        np.testing.assert_allclose(twice.flux, 3 * light.flux)
        dx, dy = 0.07, -0.04
        there = surface_brightness(twice, light.x + 2 * dx, light.y + 2 * dy)
        own = surface_brightness(light, light.x + dx, light.y + dy)
        np.testing.assert_allclose(4 * there, own, rtol=2e-3)
    both = brighter(tuple(catalogue.LIGHTS.values()), 2.0)
    assert [float(b.flux[0]) for b in both] == [1.2] * len(both)


@pytest.mark.parametrize("q", [0.5, 0.2, 0.1])
@pytest.mark.parametrize("slope", [1.2, 2.0, 2.8])
def test_a_flat_power_law_is_its_series_summed_to_the_end(q, slope):
    """Tessore & Metcalf 2015, equation 29, to 1e-6 of theta_E where the core does not matter, and
    what rounding leaves of that in single precision."""
    x, y = np.cos(PHI), np.sin(PHI)
    z = q * x + 1j * y
    r, t, f = abs(z), slope - 1, (1 - q) / (1 + q)
    e = z / r
    term, total = np.ones_like(e), np.ones_like(e)
    for k in range(1, 200):
        term = term * -f * (2 * k - (2 - t)) / (2 * k + (2 - t)) * e * e
        total = total + term
    exact = 2 * np.sqrt(q) / (1 + q) * (np.sqrt(q) / r) ** (t - 1) * e * total
    for dtype, limit in ((jnp.float64, 1e-6), (jnp.float32, 4e-6)):
        cast = lambda v, dtype=dtype: jnp.asarray(v, dtype)
        lenses = [lj.EPL(*map(cast, (1.0, slope, q, 0.0, 0.0, 0.0)))]
        if slope == 2.0:
            lenses.append(lj.SIE(*map(cast, (1.0, q, 0.0, 0.0, 0.0))))
        for lens in lenses:
            ax, ay = (np.asarray(a, float) for a in deflection(lens, cast(x), cast(y)))
            softened = 2 * (CORE / r) ** 2
            assert (abs(ax + 1j * ay - exact) < limit + softened).all()
