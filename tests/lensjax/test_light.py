"""Profiles: flux, half-light radius, conformance, clumps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.special import gammainc

import lensjax as lj
from lensjax.light import ClumpySersic, sersic_b, surface_brightness


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def integral(light, half=60.0):
    """Over the plane, in polar coordinates that are dense at the centre."""
    r = np.logspace(-7, np.log10(half), 3000)
    phi = np.linspace(0, 2 * np.pi, 65)[:-1]
    x, y = r[:, None] * np.cos(phi), r[:, None] * np.sin(phi)
    ring = (
        np.asarray(
            surface_brightness(light, x + np.asarray(light.x if hasattr(light, "x") else 0.0), y)
        ).mean(1)
        * 2
        * np.pi
        * r
    )
    return np.trapezoid(ring * r, np.log(r))


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0])
def test_b_makes_r_eff_the_half_light_radius(n):
    np.testing.assert_allclose(
        gammainc(2 * n, float(sersic_b(n))), 0.5, atol=2e-4 if n < 1 else 2e-5
    )


@pytest.mark.parametrize(
    "n, r_eff, q", [(0.5, 0.4, 1.0), (1.0, 0.15, 0.6), (2.5, 0.05, 0.3), (4.0, 0.5, 0.8)]
)
def test_the_source_plane_integral_is_one(n, r_eff, q):
    np.testing.assert_allclose(
        integral(lj.Sersic(1.0, r_eff, n, q, 0.4)), 1.0, atol=2e-4 if n < 4 else 2e-3
    )


def test_clumps_leave_the_total_alone():
    galaxy = lj.Sersic(2.0, 0.3, 1.0, 0.6, 0.8)
    clumps = lj.Clumps(
        jnp.array([0.2, 0.15, 0.0]),
        jnp.array([0.5, -0.8, 0.1]),
        jnp.array([0.3, 0.2, 0.0]),
        jnp.array([0.2, 0.3, 0.25]),
    )
    light = ClumpySersic(**vars(galaxy), clumps=clumps)
    x, y = np.meshgrid(*[(np.arange(1200) - 599.5) * 0.01] * 2)
    np.testing.assert_allclose(np.sum(surface_brightness(light, x, y)) * 1e-4, 1.0, atol=1e-3)
    moved = (
        np.asarray(surface_brightness(light, x, y) - 0.65 * surface_brightness(galaxy, x, y)).sum()
        * 1e-4
    )
    np.testing.assert_allclose(moved, 0.35, rtol=1e-6)


def test_clump_flux_is_exact_over_the_prior():
    """Share of the smooth part and integrals of the knots (2 pi sigma^2 peak) are one galaxy."""
    scenes = lj.priors("raw_notes").sample(jax.random.key(0), 500)

    def total(light):
        knots = sum(2 * jnp.pi * peak / (-2 * rate) for _, _, peak, rate in light._knots())
        return 1 - light.clumps.fraction.sum() + knots

    np.testing.assert_allclose(jax.jit(jax.vmap(total))(scenes.source[0]), 1.0, atol=1e-6)


def test_gaussian_light():
    light = lj.GaussianLight(1.0, 0.3, 0.5, 0.7, 0.0, 0.0)
    np.testing.assert_allclose(integral(light), 1.0, atol=1e-5)


@pytest.mark.parametrize("q", [1.0, 0.5])
@pytest.mark.parametrize("x, y", [(0.1, 0.05), (1.0, 0.0)])
def test_gradients_forward_and_reverse(q, x, y):
    def f(p):
        return jnp.log(surface_brightness(lj.Sersic(1.0, p[0], p[1], p[2], p[3], p[4], p[5]), x, y))

    check_grads(
        f,
        (jnp.array([0.3, 1.5, q, 0.4, 0.02, -0.01]),),
        order=1,
        modes=("fwd", "rev"),
        atol=1e-5,
        rtol=1e-5,
        eps=1e-6,
    )


@pytest.mark.parametrize("n", [0.5, 1.0, 4.0])
def test_gradients_are_finite_on_the_source_centre(n):
    f = lambda p: surface_brightness(lj.Sersic(1.0, p[0], p[1], p[2], p[3], p[4], p[5]), 0.0, 0.0)
    p = jnp.array([0.3, n, 0.7, 0.4, 0.0, 0.0])
    assert np.isfinite(jax.grad(f)(p)).all() and np.isfinite(jax.jacfwd(f)(p)).all()


@pytest.mark.parametrize("n, size", [(3.0, 0.05), (4.0, 0.1), (6.0, 0.1), (8.0, 0.1), (8.0, 1.0)])
def test_the_flux_of_a_steep_core_is_kept_wherever_it_lies(n, size):
    """Rendered flux against the closed form within the circle in the stamp and around the square
    that is seen, at four places within a pixel."""
    from scipy.special import gammainc, gammaincinv

    grid, b = lj.PixelGrid(61), gammaincinv(2 * n, 0.5)
    seen = np.array([0.5 * grid.size, (0.5 * grid.size + 11) * 2**0.5]) * grid.scale
    low, high = gammainc(2 * n, b * (seen / size) ** (1 / n))
    x = jnp.array([0.0, 0.03, 0.05, 0.131])

    def flux(x):
        galaxy = lj.Sersic(jnp.ones(1), size, n, 1.0, 0.0, x, x / 3)
        return lj.render(lj.Scene(source=galaxy), grid, lj.Gaussian(1.2)).sum()

    found = np.asarray(jax.vmap(flux)(x))
    assert found.min() > low - 1e-3 and found.max() < high + 1e-3
    assert np.ptp(found) < 1e-3


@pytest.mark.parametrize("n", [0.4, 1.0, 2.5])
def test_profiles_without_a_steep_core_are_rendered_as_they_are(n):
    galaxy = lj.Sersic(1.0, 0.1, n, 0.7, 0.3)
    x = jnp.linspace(-0.3, 0.3, 101)
    np.testing.assert_array_equal(
        galaxy.prepared(0.262).brightness(x, 0.01), galaxy.brightness(x, 0.01)
    )


def test_a_galaxy_said_not_to_be_steep_is_the_same_without_core_and_its_index_is_checked():
    grid, psf = lj.PixelGrid(21), lj.Gaussian(1.2)
    image = lambda n, steep: lj.render(
        lj.Scene(source=lj.Sersic(jnp.ones(1), 0.2, n, 0.7, 0.3, steep=steep)), grid, psf
    )
    smooth, steep = image(2.4, False), image(2.4, True)
    np.testing.assert_allclose(smooth, steep, atol=1e-3 * float(steep.max()))
    with pytest.raises(lj.InputError, match="n = 3: .*between 0.4 and 2.5 where steep is false"):
        image(3.0, False)
    valid = jax.jit(jax.vmap(lambda n: lj.valid(lj.Sersic(1.0, 0.2, n, 0.7, 0.3, steep=False))))
    assert valid(jnp.array([0.5, 2.5, 3.0])).tolist() == [True, True, False]


def test_gradients_through_a_steep_core_are_finite_and_right():
    with jax.enable_x64(True):

        def middle(p):
            galaxy = lj.Sersic(1.0, p[0], p[1], p[2], 0.3, p[3], 0.0).prepared(5.0)
            return galaxy.brightness(jnp.array([0.0, 0.004, 0.02]), 0.0).sum()

        for p in ([0.12, 4.0, 0.8, 0.001], [1.0, 8.0, 1.0, 0.0], [0.1, 2.5, 0.8, 0.0]):
            found = jax.grad(middle)(jnp.array(p))
            assert np.isfinite(found).all()
            if p[1] != 2.5 and p[3]:
                h = 1e-7 * np.eye(4)
                steps = [(middle(p + d) - middle(p - d)) / 2e-7 for d in h]
                np.testing.assert_allclose(found, steps, rtol=1e-4, atol=1e-4)
