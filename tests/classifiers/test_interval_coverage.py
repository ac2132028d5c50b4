"""How often the intervals of the other measures hold the truth."""

import numpy as np
import pytest
from scipy.special import expit

from classifiers.evaluation import figures

WORLDS = {
    "right": lambda x: x,
    "too hot": lambda x: 2 * x,
    "shifted": lambda x: x + 1,
}
"""What a finder makes of the true logit."""

NAMES = (
    "roc_auc",
    "average_precision",
    "recall_at_fpr_1e-2",
    "precision_at_recall_0.9",
    "brier",
    "log_loss",
)


def drawn(rng, n, world):
    """Labels and scores of n objects of which a tenth are lenses."""
    label = (rng.random(n) < 0.1).astype(int)
    x = rng.normal(np.where(label, 1.2, -1.2), 1.2) - np.log(9)
    return label, expit(WORLDS[world](x))


@pytest.mark.stress
@pytest.mark.parametrize("world", WORLDS)
def test_intervals_hold_the_truth(world):
    """A share of 300 is known to 1.3 points."""
    large = figures.estimated(
        *drawn(np.random.default_rng(10**6), 1_000_000, world), 10, 1, 0, names=NAMES
    )
    held = dict.fromkeys(NAMES, 0)
    for seed in range(300):
        label, score = drawn(np.random.default_rng(seed), 1500, world)
        found = figures.estimated(label, score, 10, 300, seed, names=NAMES)
        for name in NAMES:
            held[name] += found[name]["lo95"] <= large[name]["value"] <= found[name]["hi95"]
    print(world, {name: f"{count / 300:.3f}" for name, count in held.items()})
    assert all(count / 300 > 0.90 for count in held.values())
