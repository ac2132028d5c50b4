"""Metrics against scikit-learn, resamples against loops, thresholds against their definition."""

import numpy as np
import pytest
from sklearn import metrics as sk

from classifiers.evaluation import bootstrap, calibration, figures, metrics, thresholds


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
        times = weights.astype(int)
        y, p = np.repeat(label, times), np.repeat(score, times)
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
            {"auc": lambda d: metrics.roc_auc(d.curve)},
            metrics.Sample.of(label, score),
            400,
            0,
            cells,
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


def test_objects_of_one_score_are_in_one_bin_whatever_the_order_of_rows():
    score = np.full(300, 0.5)
    for label in (np.repeat([0, 1], 150), np.tile([0, 1], 150), np.repeat([1, 0], 150)):
        assert calibration.ece(label, score) == calibration.mce(label, score) == 0
    rng = np.random.default_rng(0)
    score = np.round(rng.random(400) ** 3, 1)
    label = (rng.random(400) < score).astype(int)
    bins = calibration.edges(score)
    assert sorted(np.concatenate(bins)) == list(range(400))
    held = [set(score[part]) for part in bins]
    assert sum(map(len, held)) == len(set(score)) and 1 < len(bins) <= calibration.BINS
    order = rng.permutation(400)
    for measure in (calibration.ece, calibration.mce):
        assert measure(label, score) == pytest.approx(measure(label[order], score[order]))


def test_bins_without_ties_are_of_equal_number():
    score = np.random.default_rng(0).random(1000)
    assert {len(part) for part in calibration.edges(score)} == {66, 67}
    assert [len(part) for part in calibration.edges(score[:3])] == [1, 1, 1]
    assert calibration.edges(score[:0]) == []


def test_a_threshold_keeps_its_rate_and_no_higher_rate_would_keep_it():
    score = np.random.default_rng(0).random(1234)
    t = thresholds.threshold_at(score, 0.02)
    assert (score > t).sum() == 24 and (score > t).mean() <= 0.02 < 25 / 1234


def test_a_threshold_is_round_and_the_same_when_last_digits_differ():
    rng = np.random.default_rng(1)
    score = rng.random(300)
    for rate in (0.05, 0.1, 0.3):
        t = thresholds.threshold_at(score, rate)
        assert len(str(t)) <= 7
        for _ in range(20):
            assert thresholds.threshold_at(score + rng.uniform(-1e-7, 1e-7, 300), rate) == t


@pytest.mark.parametrize(
    ("low", "high", "round"),
    [
        (0.2, 0.8, 0.5),
        (0.93, 1.0, 0.96),
        (0.1234, 0.1239, 0.1236),
        (0.3, 0.3, 0.3),
        (0, 1e-9, 5e-10),
    ],
)
def test_the_roundest_number_of_a_gap(low, high, round):
    found = thresholds.roundest(low, high)
    assert found == pytest.approx(round, rel=0.02) and low <= found


def test_equal_scores_pass_together_or_not_at_all():
    score = np.repeat([0.1, 0.4, 0.8], [50, 40, 10])
    assert 0.4 < thresholds.threshold_at(score, 0.3) < 0.8
    assert 0.1 < thresholds.threshold_at(score, 0.5) < 0.4
    assert 0.8 < thresholds.threshold_at(score, 0.05) < 1
    assert thresholds.threshold_at(np.full(20, 0.5), 0.1) > 0.5
    assert thresholds.threshold_at(np.ones(20), 0.1) == 1


def test_the_operating_threshold_is_the_one_nearest_a_half():
    assert thresholds.operating((0.3, 0.5, 0.7)) == 0.5
    assert thresholds.operating((0.9, 0.4, 0.6)) == 0.4
    assert thresholds.operating([0.99]) == 0.99


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
    found = figures.estimated(label, score, 10, 50, 0)
    assert (
        found["roc_auc"]["value"] is None
        and found["roc_auc"]["status"]
        == "insufficient: 5 lenses and 0 non-lenses, at least 10 needed"
    )
    at = figures.at_thresholds(label, score, (0.5,), 3)["0.5"]
    assert at["recall"]["value"] == pytest.approx(0.4) and at["precision"]["value"] is None
    assert at["false_positive_rate"]["status"] == "insufficient: 0 non-lenses, at least 3 needed"
