"""How often the intervals of calibration errors hold the truth, before and after a calibration."""

import numpy as np
import pytest
from scipy.special import expit

from classifiers.evaluation import calibration, calibrators, figures

BENT = {
    "right": lambda x: x,
    "too hot": lambda x: 2 * x + 1,
    "bent": lambda x: x + 0.7 * np.sin(2 * x),
}
"""What a finder makes of the true logit."""


def drawn(rng, n, world):
    """Labels and logits of n objects; a tenth or so are lenses."""
    x = rng.normal(-2.2, 2, n)
    return (rng.random(n) < expit(x)).astype(int), BENT[world](x)


def errors(label, score, own):
    """ECE and MCE of a large sample in the bins of `own` scores."""
    ends = [own[part].max() for part in calibration.edges(own, calibration.BINS)][:-1]
    bins = np.searchsorted(ends, score)
    number = np.bincount(bins, minlength=len(ends) + 1)
    gaps = np.abs(np.bincount(bins, label - score, minlength=len(number)))
    return gaps.sum() / len(score), (gaps / np.maximum(number, 1)).max()


def shares(world, method, samples, n=1500, resamples=200):
    """In which share of samples the 95 % intervals of the ECE and the MCE hold the truth."""
    inside = []
    for seed in range(samples):
        rng = np.random.default_rng(seed)
        fitted, judged, all_of_it = (drawn(rng, size, world) for size in (n, n, 100_000))
        to = calibrators.fit(*fitted, method) if method else expit
        found = figures.estimated(
            judged[0], to(judged[1]), 10, resamples, 10**6 + seed, names=("ece", "mce")
        )
        truth = errors(all_of_it[0], to(all_of_it[1]), to(judged[1]))
        inside.append(
            [found[m]["lo95"] <= t <= found[m]["hi95"] for m, t in zip(("ece", "mce"), truth)]
        )
    return np.mean(inside, axis=0)


@pytest.mark.stress
@pytest.mark.parametrize("world", BENT)
@pytest.mark.parametrize("method", ["", "temperature", "platt", "isotonic", "beta"])
def test_intervals_of_calibration_errors_hold_the_truth(world, method):
    """A share of 150 is known to 1.8 points."""
    ece, mce = shares(world, method, 150)
    print(f"{world}, {method or 'as they are'}: ECE {ece:.3f}, MCE {mce:.3f}")
    assert ece > 0.88 and mce > 0.85


def test_a_small_error_after_calibration_is_inside_where_percentiles_alone_would_miss_it():
    """Twenty samples of the world in which percentiles of resamples hold the truth half of the
    time."""
    assert shares("bent", "platt", 20, resamples=100)[0] >= 0.75
