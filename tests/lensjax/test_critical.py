"""Critical curves, caustics and cuts: closed forms, and how the number of
images changes across them."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensjax as lj
from lensjax.mass import Mass, magnification
from tests.quick_compilation import OPTIONS

GRID = lj.PixelGrid(60, 0.1)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def area(curve):
    x, y = (curve - curve.mean(0)).T
    return 0.5 * abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))


def inside(curve, x, y):
    """Winding number of a closed curve about a point is not 0."""
    turn = np.unwrap(np.arctan2(curve[:, 1] - y, curve[:, 0] - x))
    return abs(turn[-1] - turn[0]) > np.pi


@pytest.mark.parametrize("size", [60, 61])
def test_the_critical_curve_of_a_sphere_is_its_einstein_ring_and_the_caustic_a_point(size):
    """Also where the middle pixel is on the lens's centre."""
    lens = lj.SIE(1.3, 1.0, 0.4, 0.1 * (size == 60), 0.0)
    (curve,) = lj.critical_curves(lens, lj.PixelGrid(size, 0.1))
    (caustic,) = lj.caustics(lens, lj.PixelGrid(size, 0.1))
    centre = np.array([lens.x, 0.0])
    np.testing.assert_allclose(np.hypot(*(curve - centre).T), 1.3, atol=1e-6)
    np.testing.assert_allclose(caustic - centre, 0, atol=1e-6)
    assert len(curve) > 80 and (curve[0] == curve[-1]).all()


@pytest.mark.parametrize("q", [0.4, 0.8])
def test_an_ellipsoid_has_the_area_of_its_einstein_radius_and_a_closed_form_caustic(q):
    """Kormann, Schneider & Bartelmann 1994: the convergence is 1/2 on the critical curve, and the
    cusps are at sqrt(q) theta_E (1/q - atan(f/q)/f) and sqrt(q) theta_E (1 - atanh(f)/f)."""
    lens = lj.SIE(1.2, q, 0.5)
    (curve,) = lj.critical_curves(lens, GRID)
    np.testing.assert_allclose(area(curve), np.pi * 1.2**2, rtol=2e-3)
    turned = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    u, v = (curve @ turned).T
    np.testing.assert_allclose(1.2 / np.sqrt(q * u**2 + v**2 / q), 1, atol=1e-5)
    (caustic,) = lj.caustics(lens, GRID)
    f = np.sqrt(1 - q * q)
    ends = (
        np.sqrt(1 / q) - np.sqrt(q) / f * np.arctan(f / q),
        (np.sqrt(q) - np.sqrt(q) / f * np.arctanh(f)),
    )
    np.testing.assert_allclose(
        np.abs(caustic @ turned).max(0), 1.2 * np.abs(np.array(ends)), atol=3e-3
    )


def test_the_number_of_images_changes_at_caustics_and_cuts():
    """Four inside of the caustic, two between it and the cut, one outside of the cut."""
    lens = lj.SIE(1.2, 0.7, 0.5, 0.1, 0.0), lj.Shear(0.03, 0.02)
    (caustic,), (cut,) = lj.caustics(lens, GRID), lj.cuts(lens)
    assert (cut[0] == pytest.approx(cut[-1])) and area(cut) > 5 * area(caustic)
    run = jax.jit(
        jax.vmap(lambda x, y: jnp.sum(lj.point_images(lens, x, y, GRID).found)),
        compiler_options=OPTIONS,
    )
    x, y = np.random.default_rng(0).uniform(-1.4, 1.4, (2, 60))
    x[:20] *= 0.1
    y[:20] *= 0.1
    near = [
        min(np.hypot(*(c - p).T).min() for c in (caustic, cut)) < 0.03 for p in np.stack([x, y], -1)
    ]
    expected = [1 + inside(cut, *p) + 2 * inside(caustic, *p) for p in zip(x, y)]
    assert {1, 2, 4} <= set(expected)
    np.testing.assert_array_equal(np.asarray(run(x, y))[~np.array(near)],
                                  np.array(expected)[~np.array(near)])  # fmt: skip


def test_two_lenses_far_apart_have_two_curves_and_cuts():
    apart = lj.SIE(0.6, 0.8, 0.0, -1.6, 0.0), lj.SIE(0.5, 0.7, 1.0, 1.7, 0.2)
    curves = lj.critical_curves(apart, GRID)
    assert len(curves) == len(lj.cuts(apart)) == 2
    points = jnp.asarray(np.concatenate(curves).T)
    inverse = jax.jit(lambda p: 1 / magnification(apart, *p), compiler_options=OPTIONS)(points)
    assert np.abs(inverse).max() < 1e-6


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Plummer(Mass):
    """A sphere with a core, whose two critical curves have closed forms."""

    theta_e: jax.Array
    core: jax.Array
    x: float = 0.0
    y: float = 0.0

    def deflection(self, x, y):
        dx, dy = x - self.x, y - self.y
        rate = self.theta_e**2 / (dx * dx + dy * dy + self.core**2)
        return rate * dx, rate * dy


def test_a_lens_with_a_core_has_a_tangential_and_a_radial_curve_and_no_cut():
    """alpha = b^2 r / (r^2 + c^2) is r where r^2 = b^2 - c^2, and its slope is 1 where
    (r^2 + c^2)^2 + b^2 (r^2 + c^2) = 2 b^2 c^2."""
    b, c = 1.4, 0.4
    lens = Plummer(jnp.array(b), jnp.array(c), 0.1, -0.1)
    outer, inner = lj.critical_curves(lens, GRID)
    radius = lambda curve: np.hypot(*(curve - np.array([0.1, -0.1])).T)
    np.testing.assert_allclose(radius(outer), np.sqrt(b**2 - c**2), atol=1e-9)
    radial = np.sqrt(0.5 * (-(b**2) + np.sqrt(b**4 + 8 * b**2 * c**2)) - c**2)
    np.testing.assert_allclose(radius(inner), radial, atol=1e-9)
    point, ring = lj.caustics(lens, GRID)
    np.testing.assert_allclose(radius(point), 0, atol=1e-9)
    np.testing.assert_allclose(radius(ring), b**2 * radial / (radial**2 + c**2) - radial)
    assert lj.cuts(lens) == []


def test_a_lens_without_curves_has_none_and_bad_input_is_refused():
    assert lj.critical_curves(lj.Shear(0.1, 0.0), GRID) == lj.cuts(lj.Shear(0.1, 0.0)) == []
    with pytest.raises(lj.InputError, match="GaussianLight"):
        lj.critical_curves((lj.GaussianLight(1.0, 1.0),), GRID)
    with pytest.raises(lj.InputError, match="grid = 5"):
        lj.caustics(lj.SIE(1.0, 0.7, 0.0), 5)
