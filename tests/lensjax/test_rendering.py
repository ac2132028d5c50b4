"""The renderer: converged images, flux, magnification, gradients, and one function whatever wraps
it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import GRID, PSF, sie_scene

import lensjax as lj
from lensjax.reference import converged_points, lensed_sersic
from lensjax.rendering import _render

SMALL = lj.PixelGrid(61)
TINY = lj.PixelGrid(47)
CELLS = lj.PixelGrid(
    21, 3 * TINY.scale
)  # TINY and 8 pixels around it, for the adaptive truth to start from
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def image():
    return lj.render(sie_scene(), GRID, PSF)


@pytest.mark.parametrize("name", ["raw_notes", "arclike"])
def test_images_are_converged_to_the_tolerance(name):
    scenes = lj.priors(name).sample(jax.random.key(4), 3, theta_e=jnp.array([0.7, 1.2, 1.6]))
    fwhm = jnp.array([0.9, 1.1, 1.4])
    ours = jax.vmap(lambda s, f: lj.render(s, TINY, lj.Gaussian(f)))(scenes, fwhm)[..., 0]
    for i in range(3):
        one = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), scenes)
        truth = converged_points(lensed_sersic(one), CELLS, margin=0, accuracy=1e-7).convolved(
            TINY, float(fwhm[i])
        ) * float(one.source[0].flux[0])
        assert np.abs(ours[i] - truth).max() < 1e-3 * truth.max()
        np.testing.assert_allclose(ours[i].sum(), truth.sum(), rtol=1e-3)


def test_reference_magnifications():
    """theta_e 1.5", beta 0.5", R_e 0.15": 6.40; beta = 5 theta_e: 1.20; on the axis 2 theta_e <1/r>
    of the source, which is 98.6 for an exponential disc of R_e 0.0511" (33.6 for 0.15"). That last
    one is a whole ring as narrow as the priors' smallest source, beyond what the priors hold: 0.4 %
    at the default tolerance."""
    grid = lj.PixelGrid(101)

    def mu(beta, r_eff, tol=1e-3):
        scene = lj.Scene(
            (lj.SIE(1.5, 1.0, 0.0), lj.Shear(0.0, 0.0)),
            lj.Sersic(jnp.ones(3), r_eff, 1.0, 1.0, 0.0, beta, 0.0),
        )
        return float(lj.render(scene, grid, PSF, tol)[..., 0].sum())

    np.testing.assert_allclose(mu(0.5, 0.15), 6.40, atol=0.02)
    np.testing.assert_allclose(mu(7.5, 0.15), 1.20, atol=0.01)
    b = 1.6783470  # n = 1: <1/r> = b/R_e
    np.testing.assert_allclose(mu(0.0, 0.15), 2 * 1.5 * b / 0.15, rtol=2e-3)
    np.testing.assert_allclose(mu(0.0, 3 * b / 98.6), 98.6, rtol=4e-3)
    np.testing.assert_allclose(mu(0.0, 3 * b / 98.6, 5e-4), 98.6, rtol=5e-4)


@pytest.mark.parametrize("size", [64, 128, pytest.param(91, marks=pytest.mark.stress)])
def test_an_unlensed_galaxy_has_its_flux_at_its_place_at_any_size(size):
    grid = lj.PixelGrid(size)
    galaxy = lj.Sersic(jnp.array([1.0, 2.0, 3.0]), 0.7, 1.0, 0.7, 0.4, 0.37, -0.21)
    image = lj.render(lj.Scene(source=galaxy), grid, PSF)
    assert image.shape == (size, size, 3)
    np.testing.assert_allclose(image.sum((0, 1)), galaxy.flux, rtol=2e-4)
    x, y = grid.mesh()
    np.testing.assert_allclose((image[..., 0] * x).sum() / image[..., 0].sum(), 0.37, atol=1e-3)
    np.testing.assert_allclose((image[..., 0] * y).sum() / image[..., 0].sum(), -0.21, atol=1e-3)


def test_unlensed_galaxies_of_every_kind_are_converged():
    r_eff, n = jnp.array([0.05, 0.4, 3.0]), jnp.array([1.0, 4.0, 4.0])
    galaxies = lj.Sersic(
        jnp.ones((3, 3)), r_eff, n, *(jnp.full(3, v) for v in (0.6, 0.4, 0.05, -0.1))
    )
    ours = jax.vmap(lambda g: lj.render(lj.Scene(source=g), TINY, PSF))(galaxies)[..., 1]
    for i in range(3):
        one = lj.Scene(source=jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), galaxies))
        truth = converged_points(lensed_sersic(one), CELLS, margin=0, accuracy=1e-7).convolved(
            TINY, 1.2
        )
        assert np.abs(ours[i] - truth).max() < 2e-3 * truth.max()
        np.testing.assert_allclose(ours[i].sum(), truth.sum(), rtol=1e-3)


def test_no_light_and_no_lens_are_limits(image):
    assert (
        lj.render(
            lj.Scene(sie_scene().lens, lj.Sersic(jnp.zeros(3), 0.15, 1.0, 0.6, 0.8)),
            GRID,
            PSF,
        )
        == 0
    ).all()
    plain = lj.render(sie_scene(theta_e=0.0, gamma1=0.0, gamma2=0.0), GRID, PSF)
    np.testing.assert_allclose(plain.sum((0, 1)), [0.6, 1.0, 1.4], rtol=1e-3)


def test_magnification_of_a_small_source_is_one_over_det_a():
    from lensjax.mass import jacobian

    scene = sie_scene(x=0.9, y=0.5, r_eff=0.02, n=0.7)
    x, y = np.meshgrid(*[np.linspace(-4, 4, 1601)] * 2)
    with jax.enable_x64(True):
        precise = sie_scene(x=0.9, y=0.5)
        bx, by, axx, axy, ayx, ayy = jax.jit(
            lambda x, y: (*precise.trace(x, y), *jacobian(precise.lens, x, y))
        )(x, y)
        near = np.hypot(bx - 0.9, by - 0.5)
        mu = 1 / np.abs(axx * ayy - axy * ayx)
    minima = [
        (i, j)
        for i, j in zip(*np.where(near < 0.02))
        if near[i, j] == near[i - 4 : i + 5, j - 4 : j + 5].min()
    ]
    total = sum(mu[i, j] for i, j in minima)
    flux = lj.render(scene, GRID, PSF)[..., 1].sum()
    np.testing.assert_allclose(flux, total, rtol=0.02)


def test_jit_equals_eager_and_vmap_equals_a_loop_in_any_order():
    scenes = lj.priors("raw_notes").sample(KEY, 3, theta_e=1.5)
    run = jax.jit(jax.vmap(lambda s: lj.render(s, GRID, PSF)))
    batch, order = run(scenes), jnp.array([2, 0, 1])
    np.testing.assert_array_equal(run(jax.tree.map(lambda leaf: leaf[order], scenes)), batch[order])
    one = lj.render(jax.tree.map(lambda leaf: leaf[1], scenes), GRID, PSF)
    np.testing.assert_allclose(batch[1], one, atol=1e-5 * float(one.max()))


def test_new_values_do_not_compile_again(image):
    """New values of the scene, and of a PSF whose widths need the same margin."""
    before = _render._cache_size()
    lj.render(sie_scene(theta_e=2.0, q=0.9), GRID, lj.Gaussian(jnp.array([0.9, 1.0, 1.3])))
    assert _render._cache_size() == before


def test_the_flux_scales_band_by_band(image):
    same = lj.render(sie_scene(), GRID, lj.Gaussian(jnp.full(3, 1.2)))
    np.testing.assert_allclose(same[..., 0] / 0.6, same[..., 2] / 1.4, rtol=1e-5, atol=1e-9)


NAMES = (
    "theta_e",
    "q",
    "phi",
    "lens_x",
    "lens_y",
    "gamma1",
    "gamma2",
    "r_eff",
    "n",
    "source_q",
    "source_phi",
    "x",
    "y",
    "fwhm",
)
PLACES = {
    "ordinary": (1.5, 0.7, 0.3, 0.02, -0.03, 0.03, -0.02, 0.15, 1.0, 0.6, 0.8, 0.2, 0.1, 1.2),
    "round and unsheared": (1.5, 1.0, 0.3, 0.0, 0.0, 0.0, 0.0, 0.2, 1.0, 1.0, 0.0, 0.3, 0.0, 1.2),
    "source on the lens": (1.5, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 1.0, 1.0, 0.0, 0.0, 0.0, 1.2),
    "source on a caustic": (1.5, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 2.0, 0.8, 0.5, 0.37, 0.0, 1.0),
}


def smooth_loss(p, tol=1e-3):
    """A random projection of the image: every parameter changes it to first order."""
    values = dict(zip(NAMES, p))
    fwhm = values.pop("fwhm")
    image = lj.render(
        sie_scene(**values), SMALL, lj.Gaussian(fwhm * jnp.array([1.1, 1.0, 0.9])), tol
    )
    x, y = SMALL.mesh()
    return jnp.sum(
        image
        * jnp.asarray(np.cos(1.1 * x + 0.7 * y + 0.3) + np.sin(0.6 * x - 1.3 * y), image.dtype)[
            ..., None
        ]
    )


reverse = jax.jit(jax.grad(smooth_loss))


def test_gradients_are_finite_everywhere_and_right():
    value = jax.jit(
        lambda p: smooth_loss(p, 5e-4)
    )  # differences of less converged images also see the cells chosen anew
    for place, p in PLACES.items():
        p = jnp.array(p)
        g = np.asarray(reverse(p))
        assert np.isfinite(g).all(), place
        step = np.array(
            [3e-3, -3e-3, 1e-2, 3e-3, 3e-3, 3e-3, 3e-3, 3e-3, 2e-2, -1e-2, 1e-2, 3e-3, 3e-3, 1e-2]
        )
        one_sided = (np.asarray(p) + np.abs(step) > 1.0) & np.isin(NAMES, ["q", "source_q"])
        for i, h in enumerate(step):
            d = jnp.zeros(14).at[i].set(h)
            fd = (
                (4 * value(p + d) - 3 * value(p) - value(p + 2 * d)) / (2 * h)
                if one_sided[i]
                else (value(p + d) - value(p - d)) / (2 * h)
            )
            assert abs(fd - g[i]) < 0.06 * abs(g[i]) + 0.01 * np.abs(g).max(), (
                place,
                NAMES[i],
                fd,
                g[i],
            )


def test_forward_mode_equals_reverse_mode_everywhere():
    direction = jnp.linspace(-1, 1, 14)
    along = jax.jit(lambda p: jax.jvp(smooth_loss, (p,), (direction,))[1])
    for place, p in PLACES.items():
        g = reverse(jnp.array(p))
        np.testing.assert_allclose(
            along(jnp.array(p)),
            g @ direction,
            rtol=1e-3,
            atol=1e-4 * float(jnp.abs(g).sum()),
            err_msg=place,
        )
