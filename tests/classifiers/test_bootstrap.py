"""Curves of sorted samples and resamples of them against scikit-learn, also where scores are tied
and classes tiny; and whether intervals hold the truth."""

import numpy as np
import pytest
from scipy.stats import binom, chisquare, norm
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from classifiers.evaluation import bootstrap, calibration, drawing, figures, metrics

RNG = np.random.default_rng(0)
MANY = (RNG.random(300) < 0.2).astype(int)
CASES = {
    "distinct": (MANY, 1 / (1 + np.exp(-RNG.normal(size=300) - MANY))),
    "ties": (MANY, np.round(RNG.random(300), 1)),
    "two values": (MANY, RNG.integers(0, 2, 300).astype(float)),
    "one value": (MANY, np.full(300, 0.5)),
    "perfect": (MANY, MANY * 0.8 + 0.1),
    "reversed": (MANY, 0.9 - MANY * 0.8 + 1e-3 * RNG.random(300)),
    "one lens": (np.eye(1, 40, 7, dtype=int)[0], RNG.random(40)),
    "one other": (1 - np.eye(1, 40, 7, dtype=int)[0], RNG.random(40)),
    "two objects, one score": (np.array([0, 1]), np.array([0.5, 0.5])),
}


def truth(y, p):
    """Every metric by scikit-learn."""
    false, true, _ = sk.roc_curve(y, p, drop_intermediate=False)
    precision, recall, _ = sk.precision_recall_curve(y, p)
    others = (y == 0).sum()
    return {
        "roc_auc": sk.roc_auc_score(y, p),
        "average_precision": sk.average_precision_score(y, p),
        "recall_at_fpr_1e-2": true[false <= 1e-2].max(),
        "recall_at_fpr_1e-3": true[false <= 1e-3].max(),
        "recall_at_fpr_1e-4": true[false <= 1e-4].max(),
        "precision_at_recall_0.9": precision[recall >= 0.9].max(),
        "recall_at_precision_0.9": recall[precision >= 0.9].max(),
        "brier": sk.brier_score_loss(y, p),
        "log_loss": sk.log_loss(y, p),
        "tpr0": true[np.round(false * others) < 1].max(),
        "tpr10": true[np.round(false * others) < 10].max(),
    }


@pytest.mark.parametrize("case", CASES)
def test_metrics_of_a_sorted_sample_and_its_resamples_are_scikit_learns(case):
    y, p = CASES[case]
    sample = metrics.Sample.of(y, p)
    functions = figures.ranking(sample)
    drawn = bootstrap.Draws.of(sample, next(bootstrap.resamples(len(y), 8, 1)))
    itself = bootstrap.Draws.of(sample)
    compared = [(y, p, {name: f(itself) for name, f in functions.items()})]
    for row, counts in enumerate(drawn.counts.astype(int)):
        again = np.repeat(sample.label, counts), np.repeat(sample.score, counts)
        if 0 < again[0].sum() < len(again[0]):
            compared.append((*again, {name: f(drawn)[row] for name, f in functions.items()}))
    for label, score, found in compared:
        found |= {
            n: metrics.before(label, score, k)[label == 1].mean() for n, k in figures.FEW.items()
        }
        for name, value in truth(label, score).items():
            assert found[name] == pytest.approx(value, abs=1e-12), name


def test_a_sample_has_few_corners_and_every_order_of_rows_gives_them():
    y, p = CASES["ties"]
    assert len(metrics.Sample.of(*CASES["one lens"]).starts) <= 3
    order = RNG.permutation(len(y))
    one, two = metrics.Sample.of(y, p), metrics.Sample.of(y[order], p[order])
    assert (one.starts == two.starts).all() and (p[one.order] == one.score).all()
    assert (y[order][two.order] == two.label).all()


def test_calibration_errors_are_those_of_scikit_learns_quantile_bins():
    y, p = CASES["distinct"]
    true, mean = calibration_curve(y, p, n_bins=15, strategy="quantile")
    assert calibration.ece(y, p) == pytest.approx(np.abs(true - mean).mean(), abs=1e-12)
    assert calibration.mce(y, p) == pytest.approx(np.abs(true - mean).max(), abs=1e-12)


def test_calibration_errors_of_resamples_are_those_of_repeated_objects_in_the_same_bins():
    for case in ("ties", "two values", "one value", "distinct"):
        y, p = CASES[case]
        counts = next(bootstrap.resamples(len(y), 5, 2))
        ece, mce = calibration.ece(y, p, counts), calibration.mce(y, p, counts)
        for row, n in enumerate(counts):
            parts = calibration.edges(p)
            gaps = np.array([abs(np.sum(n[i] * (y[i] - p[i]))) for i in parts])
            sizes = np.array([n[i].sum() for i in parts])
            assert ece[row] == pytest.approx(gaps.sum() / n.sum(), abs=1e-12)
            assert mce[row] == pytest.approx((gaps[sizes > 0] / sizes[sizes > 0]).max(), abs=1e-12)


def test_chance_explains_the_calibration_error_of_honest_scores_and_not_of_others():
    rng = np.random.default_rng(3)
    p = rng.random(2000)
    y = (rng.random(2000) < p).astype(int)
    chance = calibration.by_chance(p)
    assert calibration.ece(y, p) == pytest.approx(chance["ece"].mean(), rel=0.5)
    assert calibration.mce(y, p) < chance["mce"].max()
    assert calibration.ece(y, p**2) > 3 * calibration.by_chance(p**2)["ece"].mean()
    honest, hot = (figures.estimated(y, s, 10, 100, 0, names=("ece",))["ece"] for s in (p, p**2))
    assert honest["lo95"] == 0 < honest["hi95"] and hot["lo95"] > hot["by_chance"] > 0


def test_purity_of_equal_scores_is_the_mean_over_their_orders():
    rng = np.random.default_rng(4)
    y, p = (rng.random(40) < 0.4).astype(int), rng.integers(0, 4, 40) / 4
    c = metrics.Sample.of(y, p).curve(np.ones(40))
    for k in (1, 7, 20, 40):
        orders = [rng.permutation(40) for _ in range(2000)]
        found = np.mean([y[o][np.argsort(-p[o], kind="stable")][:k].mean() for o in orders])
        assert metrics.purity(c, k / 40) == pytest.approx(found, abs=0.03)
    assert metrics.purity(c, 1.0) == pytest.approx(y.mean())


def test_draws_of_two_samples_are_of_the_same_objects():
    y, p = CASES["distinct"]
    one, two = metrics.Sample.of(y, p), metrics.Sample.of(y, RNG.random(300))
    for blocks in (None, np.arange(300) // 10):
        a, b = next(bootstrap.draws([one, two], 4, 5, blocks))
        rows = np.argsort(one.order), np.argsort(two.order)
        assert (a.counts[:, rows[0]] == b.counts[:, rows[1]]).all()
        if blocks is not None:
            by_block = a.counts[:, rows[0]].reshape(4, 30, 10)
            assert (by_block == by_block[..., :1]).all()
    reversed_scores = metrics.Sample.of(y, -p)
    a, b = next(bootstrap.draws([one, reversed_scores], 4, 5))
    assert metrics.roc_auc(a.curve) == pytest.approx(1 - metrics.roc_auc(b.curve))


def test_rates_that_the_sample_cannot_carry_are_insufficient():
    y, p = np.r_[np.ones(50, int), np.zeros(5000, int)], RNG.random(5050)
    found = figures.estimated(y, p, 10, 20, 0)
    assert found["recall_at_fpr_1e-2"]["status"] == "ok"
    assert found["recall_at_fpr_1e-3"]["status"].startswith("insufficient: 5 false positives")
    assert found["recall_at_fpr_1e-4"]["value"] is None
    assert list(found) == list(figures.NAMES)
    for cells, status in ((9, "insufficient: 9 cells of the sky, at least 10 needed"), (10, "ok")):
        one = figures.estimated(y, p, 10, 20, 0, np.arange(5050) % cells, ("roc_auc",))["roc_auc"]
        assert one["status"].startswith(status)
    few = figures.before(y[45:], p[45:], 10)
    assert few["tpr0"]["status"] == "insufficient: 5 lenses, at least 10 needed"


def test_q_values_are_benjamini_and_hochbergs():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    ordered = np.array([0.01, 0.03, 0.04, 0.5])
    by_hand = np.minimum.accumulate((ordered * 4 / np.arange(1, 5))[::-1])[::-1]
    q = figures.q_values(p)
    assert q[[0, 3, 2, 4]] == pytest.approx(by_hand) and np.isnan(q[1])


def test_intervals_hold_the_truth_at_their_rate():
    """Normal scores, whose AUC, recall and purity are known; 95 % of 300 is known to 1.3 points."""
    rng, d, rate = np.random.default_rng(6), 1.5, 0.1
    y = np.repeat([1, 0], [80, 320])
    true = {"auc": norm.cdf(d / np.sqrt(2)), "recall": norm.sf(norm.isf(rate) - d)}
    functions = {
        "auc": lambda drawn: metrics.roc_auc(drawn.curve),
        "recall": lambda drawn: metrics.recall_at_fpr(drawn.curve, rate),
    }
    held = {(name, level): 0 for name in true for level in (68, 95)}
    for i in range(300):
        sample = metrics.Sample.of(y, rng.normal(size=400) + d * y)
        for name, values in bootstrap.replicates(functions, sample, 300, i).items():
            ends = bootstrap.interval(values)
            for level in (68, 95):
                held[name, level] += ends[f"lo{level}"] <= true[name] <= ends[f"hi{level}"]
    for (name, level), count in held.items():
        assert abs(100 * count / 300 - level) < (8 if level == 68 else 3.5), (name, level, count)


def test_cells_hold_the_truth_of_clustered_objects_where_single_objects_do_not():
    rng, held = np.random.default_rng(7), {"objects": 0, "cells": 0}
    y, cell = np.tile([0, 0, 0, 1], 150), np.repeat(np.arange(60), 10)
    function = {"auc": lambda drawn: metrics.roc_auc(drawn.curve)}
    within = norm.cdf(1 / np.sqrt(2 * 1.7))  # variance 1 of an object and 0.7 of its cell
    for i in range(150):
        score = rng.normal(size=600) + y + np.sqrt(0.7) * rng.normal(size=(2, 60))[y, cell]
        sample = metrics.Sample.of(y, score)
        for name, blocks in (("objects", None), ("cells", cell)):
            ends = bootstrap.interval(bootstrap.replicates(function, sample, 200, i, blocks)["auc"])
            held[name] += ends["lo95"] <= within <= ends["hi95"]
    assert held["cells"] >= 0.9 * 150 and held["objects"] < held["cells"] - 8


@pytest.mark.parametrize("n", [10, drawing.FEW - 1, drawing.FEW, 20_001])
def test_counts_are_those_of_draws_with_replacement(n):
    """Their law is binomial, and any part of the objects has a binomial number of draws."""
    draw = drawing.Drawing(np.random.default_rng(8))
    counts = np.stack([draw(n) for _ in range(max(60, 30_000 // n))])
    assert (counts.sum(1) == n).all() and (counts >= 0).all() and (counts % 1 == 0).all()
    seen = np.bincount(counts.astype(int).ravel(), minlength=8)
    expected = binom(n, 1 / n).pmf(np.arange(7)) * counts.size
    expected = np.append(expected, counts.size - expected.sum())
    assert chisquare(np.append(seen[:7], seen[7:].sum()), expected).pvalue > 1e-3
    third = counts[:, : n // 3].sum(1)
    share = (n // 3) / n
    z = (third.mean() - n * share) / np.sqrt(n * share * (1 - share) / len(third))
    assert abs(z) < 3.5
    assert third.var() / (n * share * (1 - share)) == pytest.approx(1, abs=0.45)
