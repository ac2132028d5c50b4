"""Steps that are the same for every ray are found and worked out once; results stay as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import subjaxprs
from scenes import sie_scene

from lensjax.cells import _bright
from lensjax.inparts import change_in_parts
from lensjax.once import split

X = jnp.linspace(-2.0, 2.0, 700)
Y = jnp.linspace(1.5, -1.0, 700)


def steps(jaxpr) -> set[str]:
    """Names of the steps of a traced function, also of those within its steps."""
    found = {step.primitive.name for step in jaxpr.eqns}
    return found.union(*(steps(inner) for inner in subjaxprs(jaxpr)))


@pytest.fixture(scope="module")
def lensed():
    scene = jax.tree.map(jnp.asarray, sie_scene())
    return scene.lens, scene.source[0].prepared(0.262)


def seen(lensed, x, y):
    return _bright(lensed, (x, y))


def test_both_parts_together_are_the_function(lensed):
    first, rest = split(seen, lensed, X, Y)
    other = jax.tree.map(lambda leaf: 1.01 * leaf, lensed)
    for once, x, y in ((lensed, X, Y), (other, Y, X)):
        expected = seen(once, x, y)
        np.testing.assert_allclose(rest(first(once), x, y), expected, rtol=1e-5)


def test_both_parts_together_have_the_function_s_derivative(lensed):
    first, rest = split(seen, lensed, X, Y)
    slope = jax.grad(lambda once: jnp.sum(rest(first(once), X, Y)))(lensed)
    expected = jax.grad(lambda once: jnp.sum(seen(once, X, Y)))(lensed)
    for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_step_as_large_as_the_rays_is_not_kept():
    first, rest = split(lambda p, x: x + jnp.cos(p) * jnp.ones(700), jnp.float32(0.5), X)
    assert [np.shape(value) for value in first(jnp.float32(0.5))] == [()]
    np.testing.assert_allclose(rest(first(jnp.float32(0.5)), X), X + np.cos(0.5), rtol=1e-6)


def test_constants_and_results_that_need_no_ray_stay():
    first, rest = split(lambda p, x: (p * np.arange(3.0), 2.0, x), jnp.float32(0.5), X)
    product, two, rays = rest(first(jnp.float32(3.0)), Y)
    np.testing.assert_allclose(product, [0, 3, 6])
    assert two == 2.0
    np.testing.assert_array_equal(rays, Y)


def test_the_loop_of_the_derivative_has_no_sine_of_a_lens_s_angle(lensed):
    tangent = jax.tree.map(jnp.ones_like, lensed)
    whole = jax.make_jaxpr(lambda p, d: change_in_parts(_bright, p, d, (X, Y), 512))(
        lensed, tangent
    ).jaxpr
    (loop,) = [step for step in whole.eqns if step.primitive.name == "scan"]
    inside = steps(loop.params["jaxpr"].jaxpr)
    assert {"sin", "cos"} <= steps(whole) - inside
    assert "exp" in inside
