"""Images of a point source: closed forms, lenstronomy, derivatives. benchmarks/images.py counts
failures over thousands of scenes."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver

import lensjax as lj
from lensjax.mass import CORE, Mass, deflection
from tests.quick_compilation import OPTIONS

GRID = lj.PixelGrid(32, 0.25)


def lens(p):
    return lj.SIE(p[0], p[1], p[2], p[3], p[4]), lj.Shear(p[5], p[6])


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PointMass(Mass):
    """Images and magnifications in closed form, and quick to compile."""

    theta_e: jax.Array

    def deflection(self, x, y):
        rate = self.theta_e**2 / (x * x + y * y + CORE**2)
        return rate * x, rate * y

    def potential(self, x, y):
        return 0.5 * self.theta_e**2 * jnp.log(x * x + y * y + CORE**2)


@pytest.fixture(scope="module")
def solve():
    """(9,) parameters of an SIE, a shear and the source -> images, double precision, compiled."""
    run = jax.jit(lambda p: lj.point_images(lens(p), p[7], p[8], GRID), compiler_options=OPTIONS)

    def images(*p):
        with jax.enable_x64(True):
            return jax.tree.map(np.asarray, run(jnp.asarray(p, float)))

    return images


def places(images):
    found = np.stack([images.x, images.y], -1)[images.found]
    return found[np.lexsort(found.T)]


@pytest.mark.parametrize(("beta", "theta_e"), [(0.3, 1.5), (0.001, 1.0), (0.95, 1.0), (0.8, 0.5)])
def test_images_of_an_isothermal_sphere(solve, beta, theta_e):
    """theta = beta +- theta_E, magnified theta_E/beta +- 1; behind the second one there is none."""
    turn = 0.7
    c, s = np.cos(turn), np.sin(turn)
    images = solve(theta_e, 1.0, 0.3, 0.1, -0.2, 0.0, 0.0, 0.1 + beta * c, -0.2 + beta * s)
    both = np.array([beta + theta_e, beta - theta_e][: 1 + (beta < theta_e)])
    assert images.found.sum() == len(both)
    radius = ((images.x - 0.1) * c + (images.y + 0.2) * s)[: len(both)]
    # the core moves the image at r by theta_E CORE^2 / (2 r^2)
    np.testing.assert_allclose(radius, both, atol=2e-5)
    np.testing.assert_allclose(images.magnification[: len(both)], both / beta, rtol=1e-3)
    np.testing.assert_allclose(
        images.arrival[: len(both)], 0.5 * theta_e**2 - theta_e * np.abs(both), atol=1e-5
    )
    assert not images.x[~images.found].any() and not images.magnification[~images.found].any()


def test_places_and_magnifications_are_those_of_lenstronomy(solve):
    model = LensModel(["SIE", "SHEAR"])
    solver = LensEquationSolver(model)
    rng = np.random.default_rng(4)
    counts = []
    for _ in range(30):
        theta_e, q, phi = rng.uniform(0.7, 1.8), rng.uniform(0.4, 0.95), rng.uniform(0, np.pi)
        g1, g2, x, y = *rng.normal(0, 0.04, 2), *rng.normal(0, 0.2, 2)
        images = solve(theta_e, q, phi, 0.05, 0.02, g1, g2, x, y)
        f = (1 - q) / (1 + q)
        sie = {"theta_E": theta_e, "center_x": 0.05, "center_y": 0.02}
        sie |= {"e1": f * np.cos(2 * phi), "e2": f * np.sin(2 * phi)}
        kwargs = [sie, {"gamma1": g1, "gamma2": g2, "ra_0": 0, "dec_0": 0}]
        tx, ty = solver.image_position_from_source(
            x, y, kwargs, solver="analytical", magnification_limit=1e-3
        )
        truth = np.stack([tx, ty], -1)
        counts.append(len(truth))
        np.testing.assert_allclose(places(images), truth[np.lexsort(truth.T)], atol=1e-4)
        order = np.argsort(images.arrival[images.found])
        np.testing.assert_array_equal(order, np.arange(len(truth)))
        np.testing.assert_allclose(
            images.magnification[images.found],
            model.magnification(images.x[images.found], images.y[images.found], kwargs),
            rtol=2e-3,
        )
    assert {2, 4} <= set(counts)


def test_a_pair_about_to_merge_is_found_and_gone_beyond_the_caustic(solve):
    """Across a fold two images of opposite parity meet: their distance goes with the root of the
    source's, to some thousandths of an arcsec."""
    shape = (1.0, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0)
    low, high = 0.0, 0.4  # the fold along a diagonal
    for _ in range(40):
        middle = 0.5 * (low + high)
        four = solve(*shape, middle, 0.5 * middle).found.sum() == 4
        low, high = (middle, high) if four else (low, middle)
    for inside, apart in ((1e-3, 0.2), (1e-5, 0.02)):
        images = solve(*shape, low - inside, 0.5 * (low - inside))
        assert images.found.sum() == 4
        place = np.stack([images.x, images.y], -1)[:4]
        gap = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1)) + 9 * np.eye(4)
        assert gap.min() < apart
        first, second = np.unravel_index(gap.argmin(), gap.shape)
        assert images.magnification[first] * images.magnification[second] < 0
    assert solve(*shape, low + 1e-3, 0.5 * (low + 1e-3)).found.sum() == 2


def test_derivatives_are_those_of_the_implicit_function_theorem(solve):
    """In lens and source, of four images, against finite differences, and the matrix d theta/d beta
    against the inverse of A."""
    p = np.array([1.2, 0.6, 0.4, 0.02, -0.03, 0.03, -0.02, 0.03, 0.05])
    images = solve(*p)
    assert images.found.sum() == 4
    with jax.enable_x64(True):
        seen = lambda p: _numbers(lj.point_images(lens(p), p[7], p[8], GRID))
        slopes = np.asarray(jax.jit(jax.jacfwd(seen), compiler_options=OPTIONS)(jnp.asarray(p)))
        for i, h in enumerate(1e-5 * np.eye(9)):
            low, high = (_numbers(solve(*(p + k * h))) for k in (-1, 1))
            np.testing.assert_allclose(slopes[..., i], (high - low) / 2e-5, atol=1e-6, rtol=1e-4)
        assert not slopes[:, 4:].any()
        for k in range(4):
            by = jax.jacfwd(lambda t: t - jnp.stack(deflection(lens(p), t[0], t[1])))
            a = by(jnp.array([images.x[k], images.y[k]]))
            np.testing.assert_allclose(slopes[:2, k, 7:] @ a, np.eye(2), atol=1e-6)


def _numbers(images):
    return jnp.stack([images.x, images.y, images.magnification])


def test_derivatives_of_every_order_are_those_of_the_closed_form():
    """A point mass: 2 theta = beta +- sqrt(beta^2 + 4 theta_E^2). In reverse and forward mode."""
    with jax.enable_x64(True):

        def images(p):
            return lj.point_images(PointMass(p[0]), p[1], 0.0 * p[1], GRID, most=2).x

        def closed(p):
            root = jnp.sqrt(p[1] ** 2 + 4 * p[0] ** 2)
            return 0.5 * jnp.stack([p[1] + root, p[1] - root])

        def orders(f):
            second = jax.jacfwd(jax.jacrev(f))
            return jax.jit(lambda p: (f(p), jax.jacrev(f)(p), second(p), jax.jacfwd(second)(p)),
                           compiler_options=OPTIONS)  # fmt: skip

        p = jnp.array([1.1, 0.4])
        for found, true in zip(orders(images)(p), orders(closed)(p)):
            np.testing.assert_allclose(found, true, atol=2e-6)


def test_a_source_right_behind_the_lens_is_finite_and_a_batch_is_single_sources():
    """A sphere with the source on its centre has a ring for an image: nothing is NaN, in single
    precision. Of a batch every source is as it is alone."""
    x = jnp.array([0.0, 0.2, 0.8], jnp.float32)

    def seen(theta_e, x):
        return _numbers(lj.point_images(lj.SIE(theta_e, 1.0, 0.0), x, 0.0 * x, GRID)).sum(-1)

    run = jax.jit(
        jax.vmap(lambda t, x: jax.jvp(lambda t: seen(t, x), (t,), (1.0,)), (None, 0)),
        compiler_options=OPTIONS,
    )
    values, slopes = run(jnp.float32(1.0), x)
    assert np.isfinite(values).all() and np.isfinite(slopes).all()
    assert values.dtype == slopes.dtype == jnp.float32
    # images at x + 1 and x - 1, magnified 1/x + 1 and -(1/x - 1)
    np.testing.assert_allclose(values[1:], [[2 * b, 0, 2] for b in x[1:]], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"most": 0}, "most = 0"),
        ({"grid": 32}, "grid = 32"),
        ({"x": np.zeros(3)}, r"x has shape \(3,\)"),
        ({"y": np.nan}, "y = nan"),
        ({"faintest": -1.0}, "faintest = -1"),
        ({"mass": (lj.GaussianLight(1.0, 1.0),)}, "GaussianLight"),
    ],
)
def test_bad_input_is_refused(arguments, said):
    usual = {"mass": lj.SIE(1.0, 0.7, 0.0), "x": 0.1, "y": 0.0, "grid": GRID}
    with pytest.raises(lj.InputError, match=said):
        lj.point_images(**usual | arguments)
