"""Two scenes whose images touch the centre of the lens: seen from the corners of a cell around it,
nothing is there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick_compilation

import lensjax as lj
from lensjax import inparts
from lensjax.cells import _bright
from lensjax.reference import converged_points, lensed_sersic

GRID = lj.PixelGrid(101)
NEAR_THE_CENTRE = {
    "a cell of three pixels": lj.Scene(
        (
            lj.SIE(0.58808279, 0.62069547, 0.47027218, 0.03733259, 0.01037563),
            lj.Shear(0.02755935, 0.12975408),
        ),
        lj.Sersic(
            jnp.ones(1), 0.07815478, 0.72947598, 0.6509707, 1.83778679, 0.46615034, 0.30972019
        ),
    ),
    "one pixel beside it": lj.Scene(
        (
            lj.SIE(0.78981638, 0.91639823, 0.19433033, -0.04852659, -0.01055291),
            lj.Shear(0.02104092, 0.00314859),
        ),
        lj.ClumpySersic(
            *(jnp.ones(1), 0.07459272, 2.15894866, 0.54506975, 2.61635423),
            *(0.34399021, -0.5171032),
            lj.Clumps(*(jnp.array([v]) for v in (0.29848397, 0.6427241, 0.12041814, 0.25871098))),
        ),
    ),
}


@pytest.mark.parametrize("tol", [1e-3, 5e-4])
@pytest.mark.parametrize("name", NEAR_THE_CENTRE)
def test_images_beside_the_centre_of_the_lens_are_converged(name, tol):
    scene = NEAR_THE_CENTRE[name]
    points = converged_points(
        lensed_sersic(jax.tree.map(lambda leaf: np.asarray(leaf, float), scene)),
        GRID,
        margin=8,
        accuracy=2e-7,
    )
    truth = points.convolved(GRID, 1.37)
    image = np.asarray(lj.render(scene, GRID, lj.Gaussian(1.37), tol)[..., 0], float)
    assert np.abs(image - truth).max() < tol * truth.max()
    assert abs(image.sum() / truth.sum() - 1) < tol


@pytest.mark.parametrize("name", NEAR_THE_CENTRE)
def test_the_derivative_of_all_rays_at_once_is_that_in_parts(name):
    scene = NEAR_THE_CENTRE[name]
    lensed = scene.lens, scene.source[0].prepared(0.262)
    rng = np.random.default_rng(0)
    rays = tuple(jnp.asarray(rng.uniform(-2, 2, 2780), jnp.float32) for _ in "xy")
    way = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.3), lensed)
    whole = np.asarray(inparts.change_of_all(_bright, lensed, way, rays))
    parts = np.asarray(inparts.change_in_parts(_bright, lensed, way, rays, 512))
    assert whole.shape == parts.shape == (2780,)
    scale = np.abs(parts).max()
    assert scale > 0
    np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize(
    "twice", [False, pytest.param(True, marks=pytest.mark.stress)], ids=["once", "twice"]
)
def test_a_card_sees_the_same_image_and_the_same_derivatives_without_a_loop(as_on_a_card, twice):
    (scene, _), psf = NEAR_THE_CENTRE.values(), lj.Gaussian(1.37)
    scene = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), scene)
    way = jax.tree.map(lambda leaf: 0.1 * jnp.ones_like(leaf), scene)

    def squared(s):
        image = lj.render(s, GRID, psf, 1e-2)
        return jnp.sum(image**2), image

    def everything(s):
        slope = jax.grad(squared, has_aux=True)
        if not twice:
            return slope(s)
        forward = jax.jvp(lambda s: squared(s)[0], (s,), (way,))[1]
        return *slope(s), forward, jax.jvp(lambda s: slope(s)[0], (s,), (way,))[1]

    def lowered():
        return jax.jit(lambda s: everything(s)).lower(scene)

    here = lowered()
    with as_on_a_card():
        card = lowered()
    assert "while" in here.as_text() and "while" not in card.as_text()
    made = [form.compile(quick_compilation.OPTIONS) for form in (card, here)]
    results = [jax.tree.leaves(run(scene)) for run in made]
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.abs(b).max())
