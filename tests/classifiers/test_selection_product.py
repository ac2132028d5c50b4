"""Selections one after the other: closed forms, coverage, flags, and what is assumed."""

import numpy as np
import pytest
import selection_worlds as worlds

from classifiers.intervals import jeffreys
from classifiers.selection import Constant, SelectionFunction, Share, product
from classifiers.selection.factors import INDEPENDENT, multiplied
from lensjax.errors import InputError


@pytest.fixture(scope="module")
def finder():
    rows = worlds.injections(worlds.smooth, np.random.default_rng(0))
    return SelectionFunction.of(worlds.table(rows), name="finder")


POINT = {"theta_e": [1.0, 2.0, 9.0], "psf": 1.2, "depth": 23.3}


def test_values_multiply_and_log_symmetric_errors_add_in_squares():
    a, b = Constant(0.5, 0.5 / 1.2, 0.5 * 1.2), Constant(0.2, 0.2 / 1.5, 0.2 * 1.5)
    found = product(a, b).query()
    error = np.hypot(np.log(1.2), np.log(1.5))
    assert [float(v) for v in found[:3]] == pytest.approx(
        [0.1, 0.1 * np.exp(-error), 0.1 * np.exp(error)]
    )
    assert found.flag == "supported"


def test_an_exact_factor_scales_value_and_interval(finder):
    own = finder.query(**POINT)
    found = product(Constant(0.8), finder).query(**POINT)
    for one, other in zip(found[:3], own[:3]):
        np.testing.assert_allclose(one[:2], 0.8 * other[:2], rtol=1e-12)
    assert found.flag.tolist() == own.flag.tolist() and found.flag[2] == "outside"
    assert np.isnan(found.value[2]) and (found.lower[2], found.upper[2]) == (0.0, 1.0)


def test_nothing_found_is_nothing_in_all_with_an_upper_end():
    found = product(Share(0, 50), Share(30, 40)).query()
    assert (found.value, found.lower) == (0.0, 0.0)
    assert float(found.upper) == pytest.approx(float(jeffreys(0, 50, 0.95)[1]) * 0.75)
    both = product(Share(0, 50), Share(0, 20), Share(20, 20)).query()
    ends = [float(jeffreys(0, n, 0.95)[1]) for n in (50, 20)]
    assert float(both.upper) == pytest.approx(ends[0] * ends[1]) and both.value == 0.0


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_intervals_hold_as_often_as_they_say(level):
    rng = np.random.default_rng(1)
    rates, sizes, worlds_ = (0.35, 0.8, 0.6), (200, 60, 100), 4000
    k = np.stack([rng.binomial(n, p, worlds_) for n, p in zip(sizes, rates)])
    n = np.array(sizes)[:, None]
    low, high = jeffreys(k, np.broadcast_to(n, k.shape), level)
    _, lower, upper = multiplied(k / n, low, high)
    held = np.mean((lower <= np.prod(rates)) & (np.prod(rates) <= upper))
    assert held == pytest.approx(level, abs=0.02)


def test_the_interval_is_that_of_the_posterior():
    """Monte Carlo of the Beta posteriors of the factors."""
    rng = np.random.default_rng(2)
    counts = ((70, 200), (48, 60))
    draws = np.prod([rng.beta(k + 0.5, n - k + 0.5, 200_000) for k, n in counts], axis=0)
    found = product(*(Share(k, n) for k, n in counts)).query()
    np.testing.assert_allclose(
        [found.lower, found.upper], np.quantile(draws, [0.025, 0.975]), atol=0.004
    )


def test_every_factor_is_asked_for_its_own_axes(finder):
    grader = finder.summed("theta_e")
    whole = product(Share(9, 10, "pool"), finder, grader)
    assert [axis.name for axis in whole.axes] == ["theta_e", "psf_fwhm", "depth_m5", "source_mag"]
    found = whole.query(**POINT, source_mag=[23.5, 24.5, 25.5])
    parts = [
        finder.query(**POINT, source_mag=[23.5, 24.5, 25.5]),
        grader.query(theta_e=POINT["theta_e"], source_mag=[23.5, 24.5, 25.5]),
    ]
    np.testing.assert_allclose(found.value, 0.9 * parts[0].value * parts[1].value)
    nested = product(product(Share(9, 10), finder), grader).query(**POINT)
    np.testing.assert_allclose(nested.value, whole.query(**POINT).value)


def test_the_worst_flag_counts_and_independence_is_said(finder):
    lines = finder.table
    short = SelectionFunction.of(lines.assign(status="insufficient"), name="grader")
    found = product(finder, short).query(**POINT)
    assert found.flag.tolist() == ["insufficient", "insufficient", "outside"]
    assert found.note == INDEPENDENT and INDEPENDENT in str(product(finder, short))
    assert product(finder, short).name == "finder x grader"


@pytest.mark.parametrize(
    "ask, words",
    [
        (lambda f: product(), "a product needs selections"),
        (
            lambda f: product(f, Share(1, 2)).query(**POINT, colour=1.0),
            "no axis 'colour' in finder",
        ),
        (lambda f: product(f, Share(1, 2)).query(theta_e=1.0), "no value for psf_fwhm"),
        (lambda f: product(f, Share(1, 2)).query(**POINT, ra=1.0, dec=2.0), "no axis 'ra'"),
        (lambda f: Share(3, 2, "pool"), "pool: 3 of 2 is no share"),
        (lambda f: Constant(0.5, 0.6, 0.7), "should be from 0 to 1"),
        (
            lambda f: product(Constant(0.5, 0.4, 0.6)).query(level=0.9),
            "of level 0.95; ask for that",
        ),
    ],
)
def test_what_is_no_product_is_refused(finder, ask, words):
    with pytest.raises(InputError, match=words):
        ask(finder)
