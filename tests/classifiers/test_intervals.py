"""The interval of a proportion and the depths of tables, against scipy and lensjax."""

import numpy as np
import pytest
from scipy.stats import beta

import lensjax as lj
from classifiers.intervals import jeffreys, weighted
from data.photometry import depth_m5, magnitude


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_ends_are_quantiles_of_the_beta_distribution(level):
    k, n = np.array([1, 6, 7, 199, 13]), np.array([10, 7, 431, 200, 134_149])
    found = np.stack(jeffreys(k, n, level))
    assert np.allclose(found, beta(k + 0.5, n - k + 0.5).interval(level), rtol=1e-9)


def test_none_all_and_nothing_are_one_convention():
    low, high = jeffreys(np.array([0, 200, 0, 0]), np.array([200, 200, 0, 5]), 0.95)
    assert low.tolist()[0] == 0 and high[1] == 1 and (low[2], high[2]) == (0, 1)
    assert high[0] == pytest.approx(beta.ppf(0.975, 0.5, 200.5)) and high[3] < 1
    assert [float(end) for end in jeffreys(0, 0, 0.68)] == [0, 1]


def test_an_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    k = rng.binomial(40, 0.3, 20_000)
    low, high = jeffreys(k, np.full(20_000, 40), 0.95)
    assert ((low <= 0.3) & (high >= 0.3)).mean() == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("k", "n"), [(3, 2), (1, 0), (-1, 5)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(ValueError):
        jeffreys(k, n, 0.95)


def test_depths_are_those_of_lensjax_without_its_rounding():
    psfdepth = np.array([100.0, 734.2, 2500.0])
    assert np.allclose(depth_m5(psfdepth), lj.depth_m5(psfdepth), atol=1e-5)
    assert depth_m5(2500.0) == 22.5 - 2.5 * np.log10(0.1) == magnitude(0.1)
    assert np.isnan(depth_m5([-1.0, np.nan])).all() and np.isneginf(depth_m5(0.0))


def test_a_weighted_share_of_single_trials_is_jeffreys():
    found = np.arange(40) < 7
    share = weighted(found, np.full(40, 2.0), np.arange(40))
    low, high = jeffreys(7, 40, 0.95)
    assert share.value == 7 / 40 and share.n_eff == pytest.approx(39)
    np.testing.assert_allclose(share.interval(), [low, high], atol=0.003)


@pytest.mark.parametrize("share, alike", [(0.12, 0.3), (0.5, 0.5)])
def test_intervals_hold_where_hosts_share_what_happens(share, alike):
    """Of 1,000 sets of 60 hosts with 4 injections each, of hosts that differ, 93 to 97 % of the
    95 % intervals hold the truth."""
    rng, hosts = np.random.default_rng(1), np.repeat(np.arange(60), 4)
    a, b = share * (1 / alike - 1), (1 - share) * (1 / alike - 1)
    held = 0
    for _ in range(1000):
        found = rng.random(240) < rng.beta(a, b, 60)[hosts]
        got = weighted(found, rng.lognormal(0, 0.5, 240), hosts)
        low, high = got.interval()
        held += low <= share <= high
    assert 930 <= held <= 970


def test_nothing_or_all_found_is_as_well_known_as_there_are_hosts():
    hosts = np.repeat(np.arange(10), 20)
    none = weighted(np.zeros(200, bool), np.ones(200), hosts)
    every = weighted(np.ones(200, bool), np.ones(200), hosts)
    assert none.interval()[0] == none.value == 0.0 and none.n_eff == pytest.approx(10)
    assert every.interval()[0] == pytest.approx(1 - none.interval()[1])
    assert weighted(np.zeros(0, bool), np.zeros(0), np.zeros(0)).interval() == (0.0, 1.0)
    with pytest.raises(ValueError, match="weights"):
        weighted(np.ones(2, bool), np.array([1.0, -1.0]), np.arange(2))
