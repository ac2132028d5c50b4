"""Conformal sets hold the true label as often as they say, and lists are as pure as they say."""

import numpy as np
import pytest
from ensemble_worlds import table

from classifiers.evaluation import conformal
from classifiers.evaluation.judge_verb import command
from lensjax.errors import InputError


def sample(rng, n, share=0.1, shift=0.0):
    y = (rng.random(n) < share).astype(int)
    y[:2] = 0, 1
    return table(y, {"a": 2.5 * y + rng.normal(size=n) + shift}, None)


def test_p_values_are_counts_and_ties_count_as_strange():
    p = conformal.p_values(np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.0, 0.5, 0.6, 1.0]))
    assert p == pytest.approx([1, 0.8, 0.4, 0.2])


def test_each_class_is_covered_as_often_as_was_asked_for():
    """Over 300 pairs of samples; scores that are no probabilities at all change nothing."""
    rng, covered = np.random.default_rng(0), []
    for _ in range(300):
        validation, test = sample(rng, 300, 0.2, 2.0), sample(rng, 200, 0.2, 2.0)
        rows = conformal.judged(validation, test, "a", 0.9, None)[1].set_index("what")["number"]
        lenses = test.label.sum()
        covered.append((rows["covered lenses"] / lenses, rows["covered others"] / (200 - lenses)))
    mean, error = np.mean(covered, axis=0), np.std(covered, axis=0) / np.sqrt(300)
    assert (mean > 0.9 - 3 * error).all() and (mean < 0.9 + 1 / 40 + 3 * error).all()


def test_false_discoveries_are_as_rare_as_was_asked_for():
    rng, shares, found = np.random.default_rng(1), [], 0
    for _ in range(200):
        validation, test = sample(rng, 1000), sample(rng, 400)
        rows = conformal.judged(validation, test, "a", None, 0.2)[0]
        own = rows[rows["discovered"]]
        found += len(own)
        shares.append((own["label"] == 0).mean() if len(own) else 0.0)
    # exactly 0.2 times the share of others for independent p-values
    assert abs(np.mean(shares) - 0.2 * 0.9) < 3 * np.std(shares) / np.sqrt(200) and found > 1000


def test_sets_are_made_of_the_two_p_values():
    rng = np.random.default_rng(2)
    validation, test = sample(rng, 400), sample(rng, 300)
    rows, summary = conformal.judged(validation, test, "a", 0.8, 0.5)
    lens, other = rows["p_lens"] > 0.2, rows["p_other"] > 0.2
    assert ((rows["set"] == "either") == (lens & other)).all()
    assert ((rows["set"] == "lens") == (lens & ~other)).all()
    counts = summary.set_index("what")["number"]
    assert counts[list(conformal.SETS)].sum() == 300
    # a lens has a higher score than others, so discovered ones are those above a score
    score = test.scores["a"]
    inside = rows["discovered"].to_numpy()
    assert score[inside].min() >= score[~inside].max()


def test_levels_that_validation_cannot_carry_are_refused():
    rng = np.random.default_rng(3)
    validation, test = sample(rng, 100), sample(rng, 100)
    with pytest.raises(InputError, match="coverage 0.99 needs 99 validation lenses; there are"):
        conformal.judged(validation, test, "a", 0.99, None)
    with pytest.raises(InputError, match="false_discovery is 1.5; it lies between 0 and 1"):
        conformal.judged(validation, test, "a", None, 1.5)
    with pytest.raises(InputError, match="name the column of --split"):
        command(["x.csv", "--coverage", "0.9"])
