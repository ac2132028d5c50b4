"""Deflection, potential, Jacobian and magnification: laws of lensing, limits, gradients.
test_conformance.py has lenstronomy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lensjax as lj
from lensjax.mass import CORE, convergence, deflection, jacobian, potential
from lensjax.reference import sie_deflection


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


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


@pytest.mark.parametrize("q", [0.1, 0.3, 1.0])
def test_a_hundredth_of_an_arcsec_from_the_centre_the_lens_is_that_without_core(q):
    phi = np.linspace(0, 2 * np.pi, 50)
    x, y = 0.01 * np.cos(phi), 0.01 * np.sin(phi)
    singular = sie_deflection(x, y, 1.5, q, 0.4)
    np.testing.assert_allclose(deflection(lj.SIE(1.5, q, 0.4), x, y), singular, atol=2e-4)


angle = st.floats(-3, 3)
place = st.floats(-4, 4)


@jax.jit
def _bent(theta_e, slope, q, phi, cx, cy, x, y):
    """Deflection and potential of an SIE and of an EPL."""
    lenses = lj.SIE(theta_e, q, phi, cx, cy), lj.EPL(theta_e, slope, q, phi, cx, cy)
    return jnp.array([[*deflection(m, x, y), potential(m, x, y)] for m in lenses])


def bent(theta_e, slope, q, phi, x, y, cx=0.0, cy=0.0):
    return np.asarray(
        _bent(*(jnp.asarray(v, float) for v in (theta_e, slope, q, phi, cx, cy, x, y)))
    )


@settings(max_examples=60, deadline=None)
@given(
    slope=st.floats(1.3, 2.7),
    q=st.floats(0.2, 1.0),
    phi=angle,
    turn=angle,
    x=place,
    y=place,
    scale=st.floats(0.3, 3),
)
def test_rotation_reflection_translation_and_scaling(slope, q, phi, turn, x, y, scale):
    found = bent(1.0, slope, q, phi, x, y)
    ax, ay, psi = found.T
    c, s = np.cos(turn), np.sin(turn)
    size = 1e-9 * (1 + np.abs(found).max())
    rotated = bent(1.0, slope, q, phi + turn, c * x - s * y, s * x + c * y)
    np.testing.assert_allclose(rotated.T, (c * ax - s * ay, s * ax + c * ay, psi), atol=size)
    np.testing.assert_allclose(bent(1.0, slope, q, -phi, x, -y).T, (ax, -ay, psi), atol=size)
    np.testing.assert_allclose(bent(1.0, slope, q, phi + np.pi, x, y), found, atol=size)
    np.testing.assert_allclose(
        bent(1.0, slope, q, phi, x + 0.3, y - 0.2, 0.3, -0.2), found, atol=size
    )
    # all lengths times scale, the softened core apart; and alpha ~ theta_e^(slope - 1)
    core = 4 * (CORE / min(q, 1.0)) ** 2 / (x * x + y * y + CORE**2) / min(scale, 1.0) ** 2
    far = bent(scale, slope, q, phi, scale * x, scale * y)
    np.testing.assert_allclose(
        far, found * [scale, scale, scale**2], rtol=min(core, 1.0) + 1e-9, atol=10 * scale * CORE
    )
    power = scale ** np.array([[1.0], [slope - 1]])
    np.testing.assert_allclose(
        bent(scale, slope, q, phi, x, y), power * found, rtol=1e-9, atol=size
    )


@settings(max_examples=25, deadline=None)
@given(slope=st.floats(1.5, 2.5), q=st.floats(0.5, 1.0), phi=angle, r=st.floats(0.1, 4), at=angle)
def test_no_curl_and_the_potential_has_the_convergence(slope, q, phi, r, at):
    """A is symmetric, and 2 kappa is the Laplacian of psi: kappa = (3 - slope)/2 (theta_e/R)^(slope
    - 1) with R^2 = q u^2 + v^2/q."""
    x, y = r * np.cos(at + phi), r * np.sin(at + phi)
    for values, kind in zip(_curvature(slope, q, phi, x, y), (2.0, slope)):
        axx, axy, ayx, ayy, hxx, hxy, hyy = np.asarray(values)
        size = 1e-6 + 200 * (CORE / (q * r)) ** 2 / r
        np.testing.assert_allclose(axy, ayx, atol=size)
        np.testing.assert_allclose([1 - axx, -axy, 1 - ayy], [hxx, hxy, hyy], atol=size)
        kappa = (
            0.5
            * (3 - kind)
            * (q * (r * np.cos(at)) ** 2 + (r * np.sin(at)) ** 2 / q) ** (-0.5 * (kind - 1))
        )
        np.testing.assert_allclose(1 - 0.5 * (axx + ayy), kappa, atol=size, rtol=1e-4)


@jax.jit
def _curvature(slope, q, phi, x, y):
    out = []
    for m in (lj.SIE(1.0, q, phi), lj.EPL(1.0, slope, q, phi)):
        (hxx, hxy), (_, hyy) = jax.hessian(lambda p, m=m: potential(m, p[0], p[1]))(
            jnp.stack([x, y])
        )
        out.append(jnp.stack([*jacobian(m, x, y), hxx, hxy, hyy]))
    return out


def test_deflection_is_the_gradient_of_the_potential():
    x, y = np.random.default_rng(2).uniform(-3, 3, (2, 100))
    for mass in (
        lj.SIE(1.2, 0.6, 0.5, 0.1, 0.2),
        lj.EPL(1.2, 2.2, 0.6, 0.5, 0.1, 0.2),
        lj.Shear(0.05, 0.1),
    ):
        grad = jax.vmap(jax.grad(lambda t, m=mass: potential(m, t[0], t[1])))(jnp.stack([x, y], 1))
        np.testing.assert_allclose(grad.T, deflection(mass, x, y), atol=2e-5)
        # Its values, which a rule for derivatives knows nothing of, rise as the deflection says.
        step = 1e-4
        rise = [
            (potential(mass, x + dx, y + dy) - potential(mass, x - dx, y - dy)) / (2 * step)
            for dx, dy in ((step, 0), (0, step))
        ]
        np.testing.assert_allclose(rise, deflection(mass, x, y), atol=2e-5)


def everything(p):
    """Deflection, potential and Jacobian of SIE + shear, deflection of an EPL, at a ray: 13
    parameters and the ray's x, y."""
    mass, x, y = (lj.SIE(*p[:5]), lj.Shear(p[11], p[12])), p[13], p[14]
    return jnp.stack(
        [
            *deflection(mass, x, y),
            potential(mass, x, y),
            *jacobian(mass, x, y),
            *deflection(lj.EPL(p[5], p[6], *p[7:11]), x, y),
        ]
    )


POINTS = [(1.0, 0.4), (0.0, 1.0), (1.0, 0.0), (0.02, -0.01), (0.0, 0.0)]
DEGENERATE = [
    [1.5, q, 0.3, 0.0, 0.0, 0.5, slope, q, 1.0, 0.0, 0.0, gamma, -gamma, x, y]
    for q in (1.0, 0.999, 0.5, 0.2)
    for slope, gamma in ((2.0, 0.0), (1.7, 0.05))
    for x, y in POINTS
]
"""Round lenses, no shear, rays on the axes, near the lenses' centre and on it."""


def test_gradients_equal_finite_differences_at_every_degenerate_point():
    forward, reverse = (
        np.asarray(jax.jit(jax.vmap(mode(everything)))(jnp.array(DEGENERATE)))
        for mode in (jax.jacfwd, jax.jacrev)
    )
    assert (
        np.abs(reverse - forward) <= 1e-9 * (1 + np.abs(forward).max((1, 2), keepdims=True))
    ).all()
    value = jax.jit(jax.vmap(everything))
    for p, slopes in zip(np.array(DEGENERATE), forward):
        h = 3e-6 if np.hypot(*p[13:]) > 0.1 else 1e-9  # the core is CORE wide
        both = np.asarray(value(jnp.asarray(p + h * np.concatenate([np.eye(15), -np.eye(15)]))))
        expected = ((both[:15] - both[15:]) / (2 * h)).T
        # rounding of the difference: 1e-16 of a value that is as steep as theta_e/CORE
        np.testing.assert_allclose(
            slopes,
            expected,
            rtol=1e-4,
            atol=1e-6 * (1 + np.abs(expected).max()) + 1e-14 / h * (1 + np.abs(both).max()),
        )


def test_values_and_gradients_are_finite_in_single_precision():
    with jax.enable_x64(False):
        p = jnp.array(DEGENERATE)
        value, slopes = (
            jax.jit(jax.vmap(everything))(p),
            jax.jit(jax.vmap(jax.jacfwd(everything)))(p),
        )
        assert str(value.dtype) == str(slopes.dtype) == "float32"
        assert np.isfinite(value).all() and np.isfinite(slopes).all()


def test_gradients_of_a_source_on_a_caustic():
    """Brightness at a ray on the critical curve, the source's centre where that ray lands and a
    little beside it."""
    from lensjax.light import surface_brightness

    mass = (lj.SIE(1.5, 0.6, 0.3), lj.Shear(0.05, 0.02))
    det = lambda r: float(
        jnp.subtract(
            *(lambda a: (a[0] * a[3], a[1] * a[2]))(
                jacobian(mass, r * np.cos(0.7), r * np.sin(0.7))
            )
        )
    )
    low, high = 0.5, 3.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if det(middle) < 0 else (low, middle)
    assert abs(det(low)) < 1e-9
    x, y = low * np.cos(0.7), low * np.sin(0.7)
    ax, ay = deflection(mass, x, y)

    def seen(p):
        bx, by = deflection((lj.SIE(*p[:5]), lj.Shear(p[5], p[6])), p[13], p[14])
        return jnp.log(
            surface_brightness(lj.Sersic(1.0, p[7], p[12], *p[8:12]), p[13] - bx, p[14] - by)
        )

    def difference(f, p, h=1e-7):
        steps = h * jnp.concatenate([jnp.eye(p.size), -jnp.eye(p.size)])
        both = jax.vmap(f)(p + steps)
        return (both[: p.size] - both[p.size :]) / (2 * h)

    modes = [
        jax.jit(g) for g in (lambda p: difference(seen, p), jax.jacfwd(seen), jax.jacrev(seen))
    ]
    for n, beside in ((0.5, 0.0), (1.0, 0.03), (2.5, 0.03)):
        p = np.array(
            [
                1.5,
                0.6,
                0.3,
                0.0,
                0.0,
                0.05,
                0.02,
                0.15,
                0.7,
                0.4,
                x - float(ax) + beside,
                y - float(ay),
                n,
                x,
                y,
            ]
        )
        expected, forward, reverse = (np.asarray(f(jnp.asarray(p))) for f in modes)
        np.testing.assert_allclose(forward, expected, atol=1e-5, rtol=1e-4)
        np.testing.assert_allclose(reverse, forward, atol=1e-9)
    with jax.enable_x64(False):  # a cusp right on the caustic, in single precision
        assert np.isfinite(
            jax.grad(seen)(jnp.asarray(np.where(np.arange(p.size) == 10, p - 0.03, p), jnp.float32))
        ).all()
