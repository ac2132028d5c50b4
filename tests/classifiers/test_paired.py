"""The exact McNemar test and the paired change, beside what they are by hand."""

from math import comb

import numpy as np
import pytest

from classifiers.audit.paired import compared, mcnemar


@pytest.mark.parametrize(("gained", "lost"), [(0, 5), (3, 1), (7, 7), (12, 30), (1, 0)])
def test_mcnemar_is_the_two_sided_binomial_sum(gained, lost):
    n, k = gained + lost, min(gained, lost)
    by_hand = min(1.0, 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n)
    assert mcnemar(gained, lost) == pytest.approx(by_hand)


def test_mcnemar_of_no_change_is_1():
    assert mcnemar(0, 0) == 1.0


def test_a_change_is_the_difference_of_two_weighted_shares():
    before = np.array([1, 1, 0, 0], bool)
    after = np.array([1, 0, 1, 1], bool)
    weight = np.array([1.0, 2.0, 3.0, 4.0])
    found = compared(before, after, weight, np.arange(4))
    assert (found.gained, found.lost) == (2, 1)
    assert found.change == pytest.approx((3 + 4 - 2) / 10) == found.after - found.before


def test_the_interval_holds_in_95_of_100_samples_of_clustered_injections():
    """Five injections a host share the host's own chance to change."""
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        up = rng.beta(1.0, 4.0, 80)[:, None]
        draw = rng.random((80, 5))
        before = (draw < 0.1 * (1 - up)).ravel()
        after = before | (rng.random((80, 5)) < up).ravel()
        found = compared(before, after, np.ones(400), np.repeat(np.arange(80), 5))
        truth = 0.2 - 0.1 * (0.2 - (0.04 + 0.2 * 0.8 / 6))
        inside += found.low <= truth <= found.high
    assert 0.90 <= inside / 200 <= 0.99


def test_no_change_in_a_sample_is_not_certainty():
    same = np.zeros(40, bool)
    found = compared(same, same, np.ones(40), np.repeat(np.arange(20), 2))
    assert found.low < 0 < found.high and found.high < 0.15 and found.p == 1.0


def test_the_same_change_everywhere_is_not_certainty_either():
    none, every = np.zeros(40, bool), np.ones(40, bool)
    found = compared(none, every, np.ones(40), np.repeat(np.arange(20), 2))
    assert found.change == found.high == 1.0 and 0.85 < found.low < 1.0
    # A third of every host's injections: the sums of three are rounded, and are equal all the same.
    third = np.tile([True, False, False], 20)
    found = compared(np.zeros(60, bool), third, np.ones(60), np.repeat(np.arange(20), 3))
    assert found.low < found.change - 0.1 and found.high > found.change + 0.1
    alone = compared(none, every, np.ones(40), np.zeros(40))
    assert alone.low < 0.3
