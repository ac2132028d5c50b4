"""Functions of the complex ellipticity against numpy's inverse tangent, in the disc of q = 0.1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lensjax.mass.series import atan_ratio, halved_atan_ratio, power_ratio

RNG = np.random.default_rng(6)
F = 0.9 / 1.1
W = F * np.sqrt(RNG.uniform(0, 1, 400)) * np.exp(2j * np.pi * RNG.uniform(0, 1, 400))
W = np.append(W, [F, -F, 1j * F])
EXACT = np.arctan(np.sqrt(W)) / np.sqrt(W)
SLOPE = (1 / (1 + W) - EXACT) / (2 * W)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def _both(ratio, w):
    """Value and derivative at w."""
    w = np.asarray(w)
    at = jnp.asarray(w.real), jnp.asarray(w.imag)
    (gr, gi), (dr, di) = jax.jvp(ratio, at, (jnp.ones_like(at[0]), jnp.zeros_like(at[1])))
    return np.asarray(gr) + 1j * np.asarray(gi), np.asarray(dr) + 1j * np.asarray(di)


@pytest.mark.parametrize(
    "ratio, limit, of_slope",
    [
        (atan_ratio, 1e-6, 2e-5),
        (lambda wr, wi: power_ratio(1.0, wr, wi), 1e-6, 2e-5),
        (halved_atan_ratio, 1e-10, 1e-9),
    ],
    ids=["atan_ratio", "power_ratio", "halved_atan_ratio"],
)
def test_the_ratio_is_the_inverse_tangent_over_its_argument(ratio, limit, of_slope):
    found, slope = _both(ratio, W)
    assert abs(found - EXACT).max() < limit
    assert abs(slope - SLOPE).max() < of_slope
    round_lens, its_slope = _both(ratio, 0j)  # q = 1: 1 - w/3
    assert abs(round_lens - 1) < limit and abs(its_slope + 1 / 3) < of_slope


@pytest.mark.parametrize("ratio", [atan_ratio, halved_atan_ratio])
def test_second_derivatives_are_finite_differences_of_the_first(ratio):
    first = lambda w: jax.jvp(ratio, (w, 0.1 * w), (1.0, 0.3))[1][0]
    for w in (0.0, 0.5, -0.7):
        expected = (first(w + 1e-6) - first(w - 1e-6)) / 2e-6
        assert float(jax.grad(first)(w)) == pytest.approx(float(expected), rel=1e-6)
