"""Metrics against scikit-learn, resamples against loops, thresholds and intervals against their definitions."""

import numpy as np
import pytest
from scipy.stats import beta
from sklearn import metrics as sk

from classifiers.evaluation import bootstrap, calibration, figures, metrics, thresholds
from classifiers.evaluation.intervals import jeffreys


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    label = (rng.random(400) < 0.2).astype(int)
    score = np.round(
        1 / (1 + np.exp(-(rng.normal(size=400) + 1.5 * label - 1))), 2
    )  # rounded: with ties
    return label, score


def test_areas_agree_with_scikit_learn(sample):
    label, score = sample
    c = metrics.curve(label, score)
    assert metrics.roc_auc(c) == pytest.approx(sk.roc_auc_score(label, score), abs=1e-12)
    assert metrics.average_precision(c) == pytest.approx(
        sk.average_precision_score(label, score), abs=1e-12
    )


def test_operating_points_agree_with_scikit_learn(sample):
    label, score = sample
    c = metrics.curve(label, score)
    false, true, _ = sk.roc_curve(label, score, drop_intermediate=False)
    assert metrics.recall_at_fpr(c, 0.05) == pytest.approx(true[false <= 0.05].max())
    precision, recall, _ = sk.precision_recall_curve(label, score)
    assert metrics.precision_at_recall(c, 0.9) == pytest.approx(precision[recall >= 0.9].max())
    assert metrics.recall_at_precision(c, 0.4) == pytest.approx(recall[precision >= 0.4].max())
    for t in (0.3, 0.5, 0.505, 0.9999, 0.0):
        assert metrics.recall(c, t) == pytest.approx(sk.recall_score(label, score > t))
        if (score > t).any():
            assert metrics.precision(c, t) == pytest.approx(sk.precision_score(label, score > t))
        assert metrics.false_positive_rate(c, t) == pytest.approx((score[label == 0] > t).mean())


def test_a_resample_counts_as_its_objects_repeated(sample):
    label, score = sample
    counts = next(bootstrap.resamples(len(label), 5, seed=3))
    assert counts.shape == (5, 400) and (counts.sum(1) == 400).all()
    together = metrics.curve(label, score, counts)
    for row, weights in enumerate(counts):
        y, p = np.repeat(label, weights), np.repeat(score, weights)
        assert metrics.roc_auc(together)[row] == pytest.approx(sk.roc_auc_score(y, p))
        assert metrics.average_precision(together)[row] == pytest.approx(
            sk.average_precision_score(y, p)
        )


def test_one_kind_of_object_has_no_ranking():
    c = metrics.curve(np.ones(4, int), np.linspace(0, 1, 4))
    assert all(
        np.isnan(f(c))
        for f in (
            metrics.roc_auc,
            lambda c: metrics.recall_at_fpr(c, 0.1),
            lambda c: metrics.false_positive_rate(c, 0.5),
        )
    )


def test_blocks_are_drawn_whole_and_widen_the_interval_of_clustered_objects():
    blocks = np.repeat(np.arange(30), 10)
    counts = next(bootstrap.resamples(300, 50, seed=1, blocks=blocks))
    assert (counts.reshape(50, 30, 10) == counts.reshape(50, 30, 10)[..., :1]).all()
    rng = np.random.default_rng(0)
    label = np.tile([0, 1], 150)
    score = np.repeat(rng.normal(size=30), 10) * label + rng.normal(size=300) * 0.1
    width = {}
    for name, cells in (("objects", None), ("cells", blocks)):
        found = bootstrap.replicates(
            {"auc": lambda c, _: metrics.roc_auc(c)}, label, score, 400, 0, cells
        )["auc"]
        bounds = bootstrap.interval(found)
        width[name] = bounds["hi95"] - bounds["lo95"]
    assert width["cells"] > 1.5 * width["objects"]


def test_calibration_of_honest_and_of_overconfident_scores():
    rng = np.random.default_rng(0)
    score = rng.random(20_000)
    label = (rng.random(20_000) < score).astype(int)
    assert calibration.ece(label, score) < 0.02
    assert calibration.ece(label, np.full(20_000, 0.9)) == pytest.approx(
        abs(label.mean() - 0.9), abs=0.01
    )
    assert calibration.mce(label, score) >= calibration.ece(label, score)
    bins = calibration.reliability(label, score)
    assert len(bins) == 15 and max(b["n"] for b in bins) - min(b["n"] for b in bins) <= 1
    by_hand = sum(b["n"] * abs(b["mean_score"] - b["fraction_lenses"]) for b in bins) / 20_000
    assert calibration.ece(label, score) == pytest.approx(by_hand)


def test_intervals_of_a_proportion():
    low, high = jeffreys(np.array([13, 0, 5]), np.array([134_149, 10, 5]), 0.95)
    assert low[0] == pytest.approx(5.4e-5, rel=0.02) and high[0] == pytest.approx(1.6e-4, rel=0.02)
    assert low[1] == 0 and high[2] == 1 and high[1] == pytest.approx(beta.ppf(0.975, 0.5, 10.5))


def test_a_threshold_keeps_its_rate_and_is_the_lowest_that_does():
    score = np.random.default_rng(0).random(1234)
    t = thresholds.threshold_at(score, 0.02)
    assert (score > t).mean() <= 0.02 < (score > np.nextafter(t, 0)).mean()


def test_targets_without_enough_false_positives_are_refused():
    rows = {
        r["name"]: r
        for r in thresholds.table(
            np.random.default_rng(0).random(1234),
            (0.5,),
            (0.02, 0.001),
            10,
            "validation non-lenses",
        )
    }
    assert (
        rows["fpr0.02"]["status"] == "ok"
        and rows["fpr0.02"]["fpr_lo95"]
        < rows["fpr0.02"]["fpr"]
        <= 0.02
        < rows["fpr0.02"]["fpr_hi95"]
    )
    assert rows["fpr0.001"]["threshold"] is None and rows["fpr0.001"]["status"].startswith(
        "insufficient: 1.23 false positives expected among 1234"
    )
    assert rows["p0.5"]["status"] == "ok"


def test_a_figure_without_support_says_why():
    label, score = np.ones(5, int), np.linspace(0.1, 0.9, 5)
    found = figures.estimated(figures.ranking(label, score), label, score, 10, 50, 0)
    assert (
        found["roc_auc"]["value"] is None
        and found["roc_auc"]["status"]
        == "insufficient: 5 lenses and 0 non-lenses, at least 10 needed"
    )
    at = figures.at_thresholds(label, score, (0.5,), 3)["0.5"]
    assert at["recall"]["value"] == pytest.approx(0.4) and at["precision"]["value"] is None
    assert at["false_positive_rate"]["status"] == "insufficient: 0 non-lenses, at least 3 needed"
