"""Deflection, potential, Jacobian and magnification against lenstronomy and against themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

import lensjax as lj
from lensjax.mass import CORE, convergence, deflection, jacobian, magnification, potential

DRAWS = 500


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def draws():
    r = np.random.default_rng(3)
    n = DRAWS
    p = {"theta_e": r.uniform(0.5, 3, n), "q": r.uniform(0.4, 0.995, n), "phi": r.uniform(0, np.pi, n), "x": r.normal(0, 0.05, n), "y": r.normal(0, 0.05, n)}
    radius, angle = r.uniform(0.1, 6.0, n), r.uniform(0, 2 * np.pi, n)
    return p, r.uniform(1.6, 2.4, n), p["x"] + radius * np.cos(angle), p["y"] + radius * np.sin(angle)


@pytest.mark.parametrize("kind", ["SIE", "EPL"])
def test_five_hundred_draws_agree_with_lenstronomy(kind):
    from lenstronomy.LensModel.lens_model import LensModel

    p, slope, x, y = draws()
    mass = lj.SIE(**p) if kind == "SIE" else lj.EPL(slope=slope, **p)
    ours = [np.asarray(a) for a in (*deflection(mass, x, y), potential(mass, x, y), *jacobian(mass, x, y), magnification(mass, x, y))]
    model = LensModel([kind])
    for i in range(DRAWS):
        f = (1 - p["q"][i]) / (1 + p["q"][i])
        k = {"theta_E": p["theta_e"][i], "e1": f * np.cos(2 * p["phi"][i]), "e2": f * np.sin(2 * p["phi"][i]), "center_x": p["x"][i], "center_y": p["y"][i]}
        if kind == "EPL":
            k["gamma"] = slope[i]
        fxx, fxy, fyx, fyy = model.hessian(x[i], y[i], [k])
        theirs = [*model.alpha(x[i], y[i], [k]), model.potential(x[i], y[i], [k]), 1 - fxx, -fxy, -fyx, 1 - fyy]
        mine = np.array([a[i] for a in ours])
        # lenstronomy's SIE has a core of 1e-9, ours CORE: (CORE/r)^2/2 of the deflection, twice that of its derivatives, at r >= q 0.1"
        np.testing.assert_allclose(mine[:7], theirs, atol=3e-5 * p["theta_e"][i] / 0.5, rtol=2e-4)
        det = theirs[3] * theirs[6] - theirs[4] * theirs[5]
        np.testing.assert_allclose(1 / mine[7], det, atol=3e-4, rtol=1e-4)


def test_shear_and_sums_agree_with_lenstronomy():
    from lenstronomy.LensModel.lens_model import LensModel

    x, y = np.random.default_rng(0).uniform(-4, 4, (2, 100))
    mass = (lj.SIE(1.3, 0.7, 0.4, 0.1, -0.1), lj.SIE(0.4, 0.9, 1.0, 1.5, 1.0), lj.Shear(0.04, -0.03))
    f1, f2 = 0.3 / 1.7, 0.1 / 1.9
    k = [
        {"theta_E": 1.3, "e1": f1 * np.cos(0.8), "e2": f1 * np.sin(0.8), "center_x": 0.1, "center_y": -0.1},
        {"theta_E": 0.4, "e1": f2 * np.cos(2.0), "e2": f2 * np.sin(2.0), "center_x": 1.5, "center_y": 1.0},
        {"gamma1": 0.04, "gamma2": -0.03, "ra_0": 0.0, "dec_0": 0.0},
    ]
    model = LensModel(["SIE", "SIE", "SHEAR"])
    np.testing.assert_allclose(deflection(mass, x, y), model.alpha(x, y, k), atol=2e-6)
    np.testing.assert_allclose(potential(mass, x, y), model.potential(x, y, k), atol=2e-6)


def test_isothermal_sphere_limit():
    x, y = np.random.default_rng(1).uniform(-3, 3, (2, 200))
    r = np.hypot(x, y)
    ax, ay = deflection(lj.SIE(1.5, 1.0, 0.7), x, y)
    np.testing.assert_allclose([ax, ay], [1.5 * x / r, 1.5 * y / r], atol=1e-5)
    np.testing.assert_allclose(convergence(lj.SIE(1.5, 1.0, 0.7), x, y), 0.75 / r, rtol=1e-4)
    near = deflection(lj.SIE(1.5, 1 - 1e-9, 0.7), x, y)
    np.testing.assert_allclose(near, (ax, ay), atol=1e-8)
    steep = deflection(lj.EPL(1.5, 2.0, 0.6, 0.7), x, y)
    np.testing.assert_allclose(steep, deflection(lj.SIE(1.5, 0.6, 0.7), x, y), atol=1e-8)


angle = st.floats(-3, 3)
place = st.floats(-4, 4)


@settings(max_examples=40, deadline=None)
@given(q=st.floats(0.2, 1.0), phi=angle, turn=angle, x=place, y=place, scale=st.floats(0.3, 3))
def test_rotation_reflection_and_scaling(q, phi, turn, x, y, scale):
    lens = lj.SIE(1.0, q, phi)
    ax, ay = deflection(lens, x, y)
    c, s = np.cos(turn), np.sin(turn)
    rotated = deflection(lj.SIE(1.0, q, phi + turn), c * x - s * y, s * x + c * y)
    np.testing.assert_allclose(rotated, (c * ax - s * ay, s * ax + c * ay), atol=1e-9)
    np.testing.assert_allclose(deflection(lj.SIE(1.0, q, -phi), x, -y), (ax, -ay), atol=1e-9)
    if np.hypot(x, y) > 0.05:
        np.testing.assert_allclose(deflection(lens, scale * x, scale * y), (ax, ay), atol=1e-3)  # but for the core
    np.testing.assert_allclose(deflection(lj.SIE(scale, q, phi), x, y), (scale * ax, scale * ay), atol=1e-9)
    moved = deflection(lj.SIE(1.0, q, phi, 0.3, -0.2), x + 0.3, y - 0.2)
    np.testing.assert_allclose(moved, (ax, ay), atol=1e-9)


def test_deflection_is_the_gradient_of_the_potential():
    x, y = np.random.default_rng(2).uniform(-3, 3, (2, 100))
    for mass in (lj.SIE(1.2, 0.6, 0.5, 0.1, 0.2), lj.EPL(1.2, 2.2, 0.6, 0.5, 0.1, 0.2), lj.Shear(0.05, 0.1)):
        grad = jax.vmap(jax.grad(lambda t, m=mass: potential(m, t[0], t[1])))(jnp.stack([x, y], 1))
        np.testing.assert_allclose(grad.T, deflection(mass, x, y), atol=2e-5)


@pytest.mark.parametrize("q", [1.0, 0.999, 0.5, 0.2])
@pytest.mark.parametrize("x, y", [(1.0, 0.4), (0.0, 1.0), (1.0, 0.0), (0.02, -0.01)])
def test_gradients_forward_and_reverse(q, x, y):
    def f(p):
        return jnp.stack(deflection((lj.SIE(p[0], p[1], p[2], p[3], p[4]), lj.Shear(p[5], p[6])), x, y))

    check_grads(f, (jnp.array([1.5, q, 0.3, 0.0, 0.0, 0.0, 0.0]),), order=1, modes=("fwd", "rev"), atol=1e-4, rtol=1e-4, eps=1e-6)


def test_gradients_are_finite_on_the_lens_centre():
    def f(p, x):
        return jnp.sum(jnp.stack(deflection(lj.SIE(p[0], p[1], p[2], x[0], x[1]), 0.0, 0.0)))

    for q in (1.0, 0.7):
        g = jax.grad(f, (0, 1))(jnp.array([1.5, q, 0.3]), jnp.zeros(2))
        assert all(np.isfinite(v).all() and np.abs(v).max() < 3 * 1.5 / CORE for v in g)
