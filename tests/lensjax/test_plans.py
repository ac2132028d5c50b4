"""How closely to look follows from pixels, PSF and bounds; nonsense is refused."""

import jax
import jax.numpy as jnp
import pytest

import lensjax as lj
from lensjax.field import Field
from lensjax.plans import Bounds, fields, plan, tolerance

GRID = lj.PixelGrid(101, 0.05)


def test_a_narrow_psf_gets_half_pixels_and_a_wide_one_a_margin():
    (wide,), (narrow,) = (fields(lj.Gaussian(f), GRID, Bounds()) for f in (1.0, 0.1))
    assert wide.step == 1 and wide.margin >= 1.8 * 20
    assert narrow.step == 2 and narrow.grid == lj.PixelGrid(201, 0.025)
    assert narrow.margin * 0.025 >= 1.8 * 0.1


def test_a_traced_psf_gets_both_unless_bounds_say_which():
    counts = []

    def count(bounds):
        def f(fwhm):
            counts.append(len(fields(lj.Gaussian(fwhm), GRID, bounds)))
            return fwhm

        jax.jit(f)(jnp.float32(0.3))

    count(Bounds())
    count(Bounds(fwhm=(0.2, 0.4)))
    assert counts == [2, 1]


def test_more_is_looked_at_for_tighter_tolerances_larger_rings_cusps_and_textures():
    field = Field(lj.PixelGrid(101))
    seen = lambda tol, theta_e, **light: plan(tol, field, Bounds(theta_e), **light).seen(field)
    assert seen(1e-2, 1.5) < seen(1e-3, 1.5) < seen(5e-4, 1.5)
    assert seen(1e-3, 1.5) < seen(1e-3, 6.0) < seen(1e-3, 6.0, cusped=True)
    assert seen(1e-3, 1.5) < seen(1e-3, 1.5, textured=True)


def test_the_field_holds_the_stamp_and_its_margin():
    for field in (Field(GRID, 1, 11), Field(GRID, 2, 8), Field(lj.PixelGrid(32), 1, 20)):
        last = field.first + field.grid.size
        assert field.first - 2 >= field.margin and field.side - 2 - last >= field.margin - 1


def test_nonsense_is_refused():
    with pytest.raises(lj.InputError, match="theta_e = -1"):
        Bounds(theta_e=-1)
    with pytest.raises(lj.InputError, match="fwhm = "):
        Bounds(fwhm=(2.0, 1.0))
    with pytest.raises(lj.InputError, match="smallest tolerance"):
        tolerance(1e-6)
    with pytest.raises(lj.InputError, match="4x4"):
        tolerance("5x5")
