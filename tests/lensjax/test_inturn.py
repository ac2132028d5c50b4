"""A batch a few items at a time is the batch of `jax.vmap`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensjax as lj


def item(scene, x):
    return {"sum": scene["a"] * x.sum(), "each": jnp.sin(scene["b"] * x)}


def batch(count):
    rng = np.random.default_rng(count)
    a, b, x = (jnp.asarray(rng.normal(size=s)) for s in ((count,), (count, 3), (count, 3)))
    return {"a": a, "b": b}, x


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 21])
def test_results_are_those_of_vmap_for_every_length(count):
    args = batch(count)
    mapped, whole = jax.jit(lj.in_turn(item))(*args), jax.vmap(item)(*args)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), mapped, whole)


def test_derivatives_are_those_of_vmap():
    args = batch(11)

    def total(mapping):
        return lambda *args: jnp.sum(mapping(item)(*args)["each"] ** 2)

    slopes, expected = (jax.grad(total(m), (0, 1))(*args) for m in (lj.in_turn, jax.vmap))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), slopes, expected)


def test_a_batch_of_batches_may_be_mapped():
    outer = jax.tree.map(lambda v: jnp.stack([v, 2 * v]), batch(9))
    found = jax.vmap(lj.in_turn(item))(*outer)
    expected = jax.vmap(jax.vmap(item))(*outer)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)


def test_a_card_gets_the_whole_batch_without_a_loop(as_on_a_card):
    with as_on_a_card():
        text = str(jax.make_jaxpr(lj.in_turn(item))(*batch(40)))
    assert "scan" not in text
    assert "scan" in str(jax.make_jaxpr(lj.in_turn(item))(*batch(40)))


def test_memory_does_not_grow_with_the_batch():
    """Intermediate results are those of a few items, however many there are."""

    def wide(x):
        return jnp.sum(jnp.sort(jnp.cos(x * jnp.arange(100_000.0))))

    def needed(mapping, count):
        compiled = jax.jit(mapping(wide)).lower(jnp.ones(count)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    few, many = (needed(lj.in_turn, n) for n in (16, 128))
    assert many < 1.5 * few
    assert needed(jax.vmap, 128) > 4 * many
