"""The laws of lensing, in images: symmetries, scaling, superposition, surface brightness."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lensjax as lj
from lensjax.light import sersic_b, surface_brightness

GRID = lj.PixelGrid(61)
FWHM = 1.2
angle = st.floats(-3, 3)
LENS = {
    "theta_e": st.floats(0.5, 2.0),
    "q": st.floats(0.5, 1.0),
    "phi": angle,
    "lens_x": st.floats(-0.2, 0.2),
    "lens_y": st.floats(-0.2, 0.2),
}
SHEAR = {"gamma1": st.floats(-0.1, 0.1), "gamma2": st.floats(-0.1, 0.1)}
SOURCE = {
    "r_eff": st.floats(0.2, 0.5),
    "n": st.floats(0.6, 2.0),
    "source_q": st.floats(0.4, 1.0),
    "source_phi": angle,
}
SOURCE |= {"x": st.floats(-1, 1), "y": st.floats(-1, 1)}
scenes = st.fixed_dictionaries(LENS | SHEAR | SOURCE)
few = settings(max_examples=12, deadline=None)


def build(p):
    lens = lj.SIE(*(p[k] for k in LENS))
    return lj.Scene(
        (lens, lj.Shear(*(p[k] for k in SHEAR))),
        lj.Sersic(p.get("flux", 1.0), *(p[k] for k in SOURCE)),
    )


@jax.jit
def _image(p, fwhm):
    return lj.render(build(p), GRID, lj.Gaussian(fwhm))[..., 0]


def image(p, **change):
    return np.asarray(
        _image(
            {k: jnp.float32(v) for k, v in (p | {"flux": 1.0} | change).items()}, jnp.float32(FWHM)
        )
    )


def same(a, b, tolerance=2e-3):
    """Each is within 1e-3 of the peak of the truth."""
    np.testing.assert_allclose(a, b, atol=tolerance * max(np.max(a), 1e-12))


@few
@given(scenes)
def test_turning_the_sky_turns_the_image(p):
    quarter = {
        "phi": p["phi"] + np.pi / 2,
        "source_phi": p["source_phi"] + np.pi / 2,
        "gamma1": -p["gamma1"],
        "gamma2": -p["gamma2"],
    }
    places = {"lens_x": -p["lens_y"], "lens_y": p["lens_x"], "x": -p["y"], "y": p["x"]}
    same(image(p, **quarter, **places), np.rot90(image(p), -1))


@few
@given(scenes)
def test_a_mirror_mirrors_the_image(p):
    mirrored = {k: -p[k] for k in ("phi", "source_phi", "gamma2", "lens_y", "y")}
    same(image(p, **mirrored), image(p)[::-1])


@few
@given(scenes, st.integers(-6, 6), st.integers(-6, 6))
def test_moving_everything_moves_the_image(p, i, j):
    p = p | {"gamma1": 0.0, "gamma2": 0.0}  # shear has a place of its own: the stamp's centre
    dx, dy = j * GRID.scale, i * GRID.scale
    moved = image(p, lens_x=p["lens_x"] + dx, lens_y=p["lens_y"] + dy, x=p["x"] + dx, y=p["y"] + dy)
    inner = slice(6, GRID.size - 6)
    same(np.roll(moved, (-i, -j), (0, 1))[inner, inner], image(p)[inner, inner])


@few
@given(scenes)
def test_a_lens_moved_in_a_shear_is_a_source_moved(p):
    """Shear is linear: about the lens instead of the stamp's centre it differs by a shift of the
    source plane."""
    gx, gy = (
        p["gamma1"] * p["lens_x"] + p["gamma2"] * p["lens_y"],
        p["gamma2"] * p["lens_x"] - p["gamma1"] * p["lens_y"],
    )
    centred = image(
        p, lens_x=0.0, lens_y=0.0, x=p["x"] - p["lens_x"] + gx, y=p["y"] - p["lens_y"] + gy
    )
    flux = image(p).sum()
    np.testing.assert_allclose(centred.sum(), flux, rtol=0.01)


@few
@given(scenes)
def test_scaling_every_length_scales_nothing_else(p):
    half = {k: 0.5 * p[k] for k in ("theta_e", "lens_x", "lens_y", "r_eff", "x", "y")}
    same(_half_scale({k: jnp.float32(v) for k, v in (p | {"flux": 1.0} | half).items()}), image(p))


@jax.jit
def _half_scale(p):
    return lj.render(
        build(p), lj.PixelGrid(GRID.size, 0.5 * GRID.scale), lj.Gaussian(jnp.float32(0.5 * FWHM))
    )[..., 0]


@few
@given(scenes, st.floats(1e-3, 1e3))
def test_an_image_is_linear_in_the_flux(p, flux):
    same(image(p, flux=flux), flux * image(p), 1e-5)


def test_images_of_several_sources_add():
    first, second = (
        lj.Sersic(jnp.array([1.0, 2.0]), r, 1.0, 0.7, 0.4, x, 0.1)
        for r, x in ((0.3, 0.2), (0.4, -0.5))
    )
    lens, psf = lj.SIE(1.2, 0.7, 0.3), lj.Gaussian(jnp.array([1.2, 1.0]))
    both = lj.render(lj.Scene(lens, source=(first, second)), GRID, psf)
    alone = [lj.render(lj.Scene(lens, source=s), GRID, psf) for s in (first, second)]
    same(both, sum(alone), 1e-5)


@few
@given(scenes)
def test_surface_brightness_is_conserved(p):
    """A sky of even brightness looks the same through any lens, and no image is brighter than its
    source."""
    size, b = 4000.0, float(sersic_b(0.5))
    even = image(
        p, r_eff=size, n=0.5, source_q=1.0, flux=np.pi * size**2 / b
    )  # exp(-b r^2/R_e^2) is 1 over the stamp
    np.testing.assert_allclose(even, GRID.pixel_area, rtol=2e-3)
    (source,) = build({k: jnp.float32(v) for k, v in p.items()}).source
    assert image(p).max() < float(surface_brightness(source, source.x, source.y)) * GRID.pixel_area


@pytest.mark.parametrize("beta", [0.4, 0.7, 1.1])
def test_the_isothermal_sphere_magnifies_by_its_formula(beta):
    """theta = beta +- theta_e; mu = 2 theta_e/beta for beta < theta_e, 1 + theta_e/beta beyond;
    exact for a disc's average of 1/beta."""
    theta_e, r_eff = 1.0, 0.06
    p = {
        "theta_e": theta_e,
        "q": 1.0,
        "phi": 0.0,
        "lens_x": 0.0,
        "lens_y": 0.0,
        "gamma1": 0.0,
        "gamma2": 0.0,
    }
    p |= {"r_eff": r_eff, "n": 0.5, "source_q": 1.0, "source_phi": 0.0, "x": beta, "y": 0.0}
    # <1/|beta|> over a Gaussian of sigma^2 = R_e^2/(2 b) is (1 + sigma^2/(2 beta^2))/beta to that
    # order
    mean = (1 + r_eff**2 / (4 * float(sersic_b(0.5)) * beta**2)) / beta
    mu = 2 * theta_e * mean if beta < 1 - 3 * r_eff else 1 + theta_e * mean
    tolerance = 3e-3 if abs(beta - theta_e) > 3 * r_eff else 0.05
    np.testing.assert_allclose(image(p).sum(), mu, rtol=tolerance)
