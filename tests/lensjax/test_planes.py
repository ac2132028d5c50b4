"""Several planes: against lenstronomy's recursion, and the limits in which they are one plane."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensjax as lj
from lensjax.mass import deflection, jacobian, potential

REDSHIFTS, SOURCE = [0.3, 0.5, 0.9], 2.0
PLANES = (
    (lj.DPIE(1.1, 0.2, 5.0, 0.7, 0.4, 0.1, -0.05), lj.Shear(0.03, -0.02)),
    (lj.DPIE(0.4, 0.15, 4.0, 0.8, 1.0, -0.6, 0.5),),
    (lj.DPIE(0.3, 0.1, 3.0, 0.6, 2.0, 0.4, 0.3),),
)
RNG = np.random.default_rng(8)
X, Y = RNG.uniform(-3, 3, (2, 200))


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def _lenstronomys(z_source: float, convention: float):
    """lenstronomy's model of PLANES and its arguments; a DPIE is the difference of two NIEs."""
    from astropy.cosmology import FlatLambdaCDM
    from lenstronomy.LensModel.lens_model import LensModel

    names, arguments, redshifts = [], [], []
    for z, masses in zip(REDSHIFTS, PLANES):
        for m in masses:
            if isinstance(m, lj.Shear):
                names.append("SHEAR")
                arguments.append({"gamma1": m.gamma1, "gamma2": m.gamma2})
                redshifts.append(z)
                continue
            share, rise = (1 - m.q) / (1 + m.q), m.r_cut / (m.r_cut - m.r_core)
            same = {"e1": share * np.cos(2 * m.phi), "e2": share * np.sin(2 * m.phi)}
            same |= {"center_x": m.x, "center_y": m.y}
            for sign, radius in ((1, m.r_core), (-1, m.r_cut)):
                names.append("NIE")
                arguments.append({"theta_E": sign * m.theta_e * rise, "s_scale": radius, **same})
                redshifts.append(z)
    model = LensModel(
        names,
        multi_plane=True,
        lens_redshift_list=redshifts,
        z_source=z_source,
        z_source_convention=convention,
        cosmo=FlatLambdaCDM(H0=70, Om0=0.3, Tcmb0=0),
    )
    return model, arguments


def _planes(redshifts=REDSHIFTS, masses=PLANES) -> lj.Planes:
    return lj.Planes(masses, lj.Cosmology().plane_ratios(redshifts, SOURCE))


def test_rays_go_where_lenstronomys_go(monkeypatch):
    monkeypatch.setattr("lensjax.mass.dpie.CORE", 0.0)
    model, arguments = _lenstronomys(SOURCE, SOURCE)
    theirs = model.ray_shooting(X, Y, arguments)
    ax, ay = deflection(_planes(), X, Y)
    np.testing.assert_allclose((X - ax, Y - ay), theirs, atol=1e-8)
    hessian = np.array(model.hessian(X, Y, arguments))
    ours = np.array(jacobian(_planes(), X, Y))
    np.testing.assert_allclose(ours, [[1], [0], [0], [1]] - hessian, atol=1e-5)
    assert np.abs(ours[1] - ours[2]).max() > 1e-3  # the deflection is no gradient


@pytest.mark.parametrize("j", [1, 2])
def test_light_in_front_of_a_plane_is_not_bent_by_it(j, monkeypatch):
    """Light at the distance of a plane; deflections are scaled to the source behind all."""
    monkeypatch.setattr("lensjax.mass.dpie.CORE", 0.0)
    model, arguments = _lenstronomys(REDSHIFTS[j] - 1e-9, SOURCE)
    theirs = model.ray_shooting(X, Y, arguments)
    ax, ay = deflection(_planes().in_front(j), X, Y)
    np.testing.assert_allclose((X - ax, Y - ay), theirs, atol=2e-8)


def test_one_plane_and_planes_at_one_distance_are_the_plain_lens():
    plain = deflection(PLANES[0] + PLANES[1], X, Y)
    one = lj.Planes((PLANES[0] + PLANES[1],))
    np.testing.assert_allclose(deflection(one, X, Y), plain, atol=1e-14)
    np.testing.assert_allclose(deflection(_planes([0.4] * 2, PLANES[:2]), X, Y), plain, atol=1e-14)
    behind = lj.Planes(PLANES[:2], (1.0,), (1.0, 0.0))
    np.testing.assert_allclose(deflection(behind, X, Y), deflection(PLANES[0], X, Y), atol=1e-14)


def test_images_and_gradients_of_a_scene_with_planes():
    """Through `render` and under vmap, without change: one plane gives the plain lens's image, and
    the gradient in a ratio is a finite difference."""
    grid, psf = lj.PixelGrid(31), lj.Gaussian(1.2)
    source = lj.Sersic(jnp.ones(1), 0.3, 1.0, 0.7, 0.3, 0.1, 0.05)
    sie = lj.SIE(1.2, 0.8, 0.3)
    masses = sie, lj.DPIE(0.3, 0.2, 3.0, 0.8, 1.0, 0.5, 0.2)

    def draw(ratio, strengths):
        return lj.render(lj.Scene(lj.Planes(masses, (ratio,), strengths), source), grid, psf, "4x4")

    alone = draw(0.3, (1.0, 0.0))
    plain = lj.render(lj.Scene(sie, source), grid, psf, "4x4")
    np.testing.assert_allclose(alone, plain, atol=1e-6)
    measure = lambda ratio: jnp.sum(draw(ratio, (1.0, 1.0)) ** 2)
    both = jax.jit(jax.vmap(jax.value_and_grad(measure)))(jnp.array([0.3, 0.3 - 1e-6, 0.3 + 1e-6]))
    expected = (both[0][2] - both[0][1]) / 2e-6
    np.testing.assert_allclose(both[1][0], expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_gradients_are_finite_at_every_edge(dtype):
    """Rays on a centre, planes at one distance, a plane at the source's, round lenses."""

    def total(ratios, x, y):
        lens = lj.Planes(((lj.SIE(1.0, 1.0, 0.0),), (lj.SIE(0.5, 1.0, 0.0),), PLANES[2]), ratios)
        return sum(jnp.sum(jnp.stack(deflection(m, x, y))) for m in (lens, lens.in_front(2)))

    for first in (0.0, 0.4, 1.0):
        for second in (0.0, 1.0):
            ratios = jnp.asarray(first, dtype), jnp.asarray(second, dtype)
            places = jnp.asarray([0.0, 1e-6, 1.0], dtype), jnp.asarray([0.0, 0.0, 0.5], dtype)
            found = jax.value_and_grad(total, argnums=(0, 1, 2))(ratios, *places)
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def _scene(planes):
    return lj.render(
        lj.Scene(planes, lj.Sersic(1.0, 0.2, 1.0, 1.0, 0.0)), lj.PixelGrid(5), lj.Gaussian(1.2)
    )


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: potential(_planes(), 1.0, 1.0), "Planes has no potential"),
        (lambda: _scene(lj.Planes(PLANES, (0.3,))), r"ratios: 1 for 3 planes; give 2"),
        (lambda: _scene(lj.Planes(PLANES, (0.3, 1.4))), r"ratios\[1\] = 1.4: .*between 0 and 1"),
        (lambda: _scene(lj.Planes(PLANES, (0.3, 0.4), (1.0,))), "strengths: 1 for 3 planes"),
        (lambda: _scene(lj.Planes(((lj.SIE(1.0, 0.05, 0.0),),))), "q = 0.05: .*between 0.1 and 1"),
        (lambda: _scene(lj.Planes(())), "masses is empty"),
        (lambda: _scene(lj.Planes(((1.0,),))), r"masses\[0\] holds a float, which is no Mass"),
        (lambda: _planes().in_front(3), "in_front = 3: .*from 1 to 2"),
        (
            lambda: lj.prior_from("mine", {"lens": {"Planes": {}}, "source": {"Sersic": {}}}),
            "Planes cannot be drawn",
        ),
    ],
)
def test_what_makes_no_planes_is_refused(call, said):
    with pytest.raises(lj.InputError, match=said):
        call()


def test_a_flag_tells_of_bad_planes_inside_jit():
    flags = jax.jit(jax.vmap(lambda r, q: lj.valid(lj.Planes(((lj.SIE(1.0, q, 0.0),),) * 2, (r,)))))
    found = flags(jnp.array([0.3, 1.2, 0.3]), jnp.array([0.7, 0.7, 0.05]))
    np.testing.assert_array_equal(found, [True, False, False])
