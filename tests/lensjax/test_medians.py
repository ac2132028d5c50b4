"""Medians against numpy: with ties, signs and values left out, in both forms, and their
gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensjax.medians import (
    _ordered,
    _smallest_by_bisection,
    _smallest_by_digits,
    masked_median,
    median,
)


def test_median_is_numpys_for_odd_even_tied_and_signed_values():
    rng = np.random.default_rng(2)
    for n in (1, 2, 5, 16, 1001):
        plain, tied = rng.normal(size=(n, 3)), rng.integers(-2, 3, (n, 3))
        x = np.hstack(
            [plain, tied, np.zeros((n, 1)), plain * 10.0 ** rng.integers(-30, 30, (n, 3))]
        ).astype(np.float32)
        np.testing.assert_array_equal(np.asarray(jax.jit(median)(x)), np.median(x, 0))


def test_gradient_of_the_median_goes_to_the_middle_values():
    g = jax.jit(jax.grad(lambda x: median(x[:, None])[0]))
    np.testing.assert_array_equal(g(jnp.array([3.0, -1.0, 7.0])), [1, 0, 0])
    np.testing.assert_array_equal(g(jnp.array([3.0, -1.0, 7.0, 4.0])), [0.5, 0, 0, 0.5])
    np.testing.assert_array_equal(g(jnp.array([2.0, 2.0, 2.0, 2.0])), [0.25] * 4)


@pytest.mark.parametrize("number", [1, 16, 17, 1000])
def test_a_card_finds_the_medians_that_a_processor_finds(number):
    """Negative and positive values, zeros of both signs, ties, and the largest floats."""
    rng = np.random.default_rng(number)
    values = rng.normal(size=(number, 6)).astype(np.float32)
    values[:, 1], values[::2, 2], values[::3, 3] = 0.0, -0.0, 3.4e38
    values[:, 4], values[1::2, 5] = np.round(values[:, 4]), -3.4e38
    keys = _ordered(jnp.asarray(values))
    for wanted in {1, (number - 1) // 2 + 1, number}:
        expected = np.sort(np.asarray(keys), axis=0)[wanted - 1]
        for find in (_smallest_by_digits, _smallest_by_bisection):
            np.testing.assert_array_equal(np.asarray(find(keys, wanted, 0)), expected)


@pytest.mark.parametrize("n", [1, 2, 7, 16, 1001])
def test_the_median_of_what_is_kept_is_numpys_and_nan_where_nothing_is(n, as_on_a_card):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(6, n)).astype(np.float32)
    x[1], x[2, ::3], x[3] = np.round(x[1]), np.nan, -np.abs(x[3]) * 1e30
    keep = rng.random((6, n)) < 0.6
    keep[4], keep[5] = True, False
    kept = [row[k & ~np.isnan(row)] for row, k in zip(x, keep)]
    wanted = np.array([np.median(v) if len(v) else np.nan for v in kept], np.float32)
    np.testing.assert_array_equal(jax.jit(masked_median)(x, keep), wanted)
    with as_on_a_card():
        np.testing.assert_array_equal(jax.jit(masked_median)(x, keep), wanted)


def test_the_gradient_of_a_masked_median_goes_to_the_middle_of_what_is_kept():
    slope = jax.jit(jax.grad(lambda x, keep: jnp.nansum(masked_median(x, keep))))
    x = jnp.array([3.0, 100.0, -1.0, 7.0, jnp.nan, 4.0])
    keep = jnp.array([True, False, True, True, True, True])
    np.testing.assert_array_equal(slope(x, keep), [0.5, 0, 0, 0, 0, 0.5])
    np.testing.assert_array_equal(slope(x, keep.at[5].set(False)), [1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(slope(x, jnp.zeros(6, bool)), np.zeros(6))
