"""The largest few of many numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensjax.choose import _bisected, _by_digits, _by_sorting, _keys, largest, nth_largest

FORMS = {"sorting": _by_sorting, "digits": _by_digits}
"""How a card chooses of few numbers and of many. What it runs, a processor can run as well."""


@pytest.mark.parametrize("size", [1, 2, 31, 99, 100, 720, 1009, 1521, 2048, 2560, 4999, 19321])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.9])
@pytest.mark.parametrize("form", ["here", *FORMS])
def test_they_are_those_of_a_sort(size, share, form):
    values = np.random.default_rng(size).exponential(size=size).astype(np.float32) ** 4
    count = max(int(share * size), 1)
    places = np.asarray(jax.jit(FORMS.get(form, largest), static_argnums=1)(values, count))
    assert np.unique(places).size == count
    smallest = np.sort(values)[-count]
    assert values[places].min() >= smallest * (1 - 2.0**-7)
    assert set(np.flatnonzero(values > smallest * (1 + 2.0**-7))) <= set(places)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, -1.0, 1e-30, 1.0, 1.0, 2.0, 3e38]), min_size=300, max_size=300),
    st.integers(1, 299),
    st.sampled_from([largest, _by_sorting, _by_digits]),
)
def test_ties_zeros_and_negatives_fill_up_without_repeats(values, count, choose):
    places = np.asarray(choose(jnp.asarray(values, jnp.float32), count))
    clipped = np.maximum(np.asarray(values), 0)
    assert np.unique(places).size == count and places.min() >= 0 and places.max() < 300
    np.testing.assert_array_equal(np.sort(clipped[places]), np.sort(clipped)[-count:])


def test_of_equals_the_first_are_taken():
    np.testing.assert_array_equal(np.sort(largest(jnp.ones(700), 40)), np.arange(40))


def test_asking_for_more_than_there_are_gives_all():
    np.testing.assert_array_equal(largest(jnp.arange(5.0), 9), np.arange(5))


def test_a_batch_is_its_items_and_double_precision_is_allowed():
    values = np.random.default_rng(0).random((6, 720))
    one_by_one = [np.asarray(largest(jnp.asarray(v), 50)) for v in values]
    np.testing.assert_array_equal(
        jax.vmap(lambda v: largest(v, 50))(jnp.asarray(values)), one_by_one
    )
    with jax.enable_x64(True):
        np.testing.assert_array_equal(largest(jnp.asarray(values[0]), 50), one_by_one[0])


@pytest.mark.parametrize(
    "size, count", [(100, 1), (720, 128), (1521, 80), (2560, 64), (2560, 2559)]
)
def test_a_card_finds_the_threshold_that_a_processor_finds(size, count):
    values = np.random.default_rng(count).exponential(size=size).astype(np.float32) ** 4
    values[::3] = 0.0
    values[1::7] = 2.0
    keys = _keys(jnp.asarray(values))
    wanted = int(np.sort(np.asarray(keys))[-count])
    assert int(nth_largest(keys.astype(jnp.uint32), count)) == wanted
    assert int(_bisected(keys[None], count)) == wanted
