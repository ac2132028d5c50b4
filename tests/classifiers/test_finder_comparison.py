"""Two finders on the same objects: DeLong by its definition, gains and losses by counting, and
intervals of the difference, which hold no difference where there is none."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binomtest, false_discovery_control, norm
from sklearn.metrics import roc_auc_score

from classifiers.evaluation import bootstrap, judging, metrics, predictions
from classifiers.evaluation.comparison import compare, delong
from lensjax.errors import InputError


def by_definition(y, a, b):
    """DeLong's variance from the components of every pair of a lens and another object."""
    lens, other = np.flatnonzero(y), np.flatnonzero(1 - y)
    psi = [np.heaviside(s[lens][:, None] - s[other], 0.5) for s in (a, b)]
    rows, columns = (np.cov([p.mean(axis) for p in psi]) for axis in (1, 0))
    s = rows / len(lens) + columns / len(other)
    return s[0, 0] + s[1, 1] - 2 * s[0, 1]


@pytest.mark.parametrize("digits", [0, 1, 8])
@pytest.mark.parametrize(("m", "n"), [(2, 2), (3, 50), (40, 60)])
def test_delong_is_its_definition(digits, m, n):
    rng = np.random.default_rng([m, n, digits])
    y = rng.permutation(np.repeat([1, 0], [m, n]))
    a = np.round(rng.normal(size=m + n) + y, digits)
    b = np.round(a + rng.normal(size=m + n), digits)
    found = delong(y, a, b)
    assert found.first == pytest.approx(roc_auc_score(y, a))
    assert found.second == pytest.approx(roc_auc_score(y, b))
    assert found.error**2 == pytest.approx(by_definition(y, a, b), abs=1e-12)
    if found.error:
        z = (found.second - found.first) / found.error
        assert found.p == pytest.approx(2 * norm.sf(abs(z)))
    assert delong(y, a, 3 * a).p == 1


def test_delong_by_cells_is_calibrated_where_the_lenses_of_a_cell_are_alike():
    """Two finders that see each cell's lenses better or worse, each in cells of its own."""
    rng, small = np.random.default_rng(5), {"cells": 0, "objects": 0}
    cell, y = np.repeat(np.arange(60), 20), np.tile(np.repeat([1, 0], 10), 60)
    for _ in range(200):
        common = 2 * y + rng.logistic(size=1200)
        a, b = (common + rng.normal(size=60)[cell] * y + rng.normal(size=1200) for _ in "ab")
        small["cells"] += delong(y, a, b, cell).p < 0.05
        small["objects"] += delong(y, a, b).p < 0.05
    assert 2 <= small["cells"] <= 20 and small["objects"] >= 35
    # where every object is a cell, the variances are the same up to n / (n - 1)
    apart = delong(y, a, b, np.arange(1200))
    assert apart.error == pytest.approx(delong(y, a, b).error, rel=2e-3)


def test_at_a_threshold_that_was_fixed_beforehand_mcnemars_test_is_exact():
    """Against SciPy's binomial test, for lenses and others; with cells there is no p. Of equal
    finders it calls one better in at most 5 % of tables."""
    rng, small = np.random.default_rng(8), 0
    y = np.repeat([1, 0], [200, 800])
    for _ in range(60):
        common = rng.normal(size=1000) + 2 * y
        scores = {name: expit(common + rng.normal(size=1000) - 1) for name in "ab"}
        table = predictions.Predictions(np.arange(1000).astype(str), y, scores, scores, {}, None)
        rows = compare(table, "a", "b", resamples=2, threshold=0.5).set_index("metric")
        small += rows.loc["recall_at_0.5", "p_value"] < 0.05
    assert small <= 8  # of 60, at 5 % more than 8 in 1 of 100 such tests
    for name, kind in (("recall", 1), ("false_positive_rate", 0)):
        a, b = ((scores[finder] > 0.5)[y == kind] for finder in "ab")
        row = rows.loc[f"{name}_at_0.5"]
        assert (row["gained"], row["lost"]) == ((b & ~a).sum(), (a & ~b).sum())
        assert row["difference"] == pytest.approx(b.mean() - a.mean())
        assert row["lo95"] <= row["difference"] <= row["hi95"]
        moved = int(row["gained"] + row["lost"])
        assert row["p_value"] == pytest.approx(binomtest(int(row["gained"]), moved).pvalue)
    by_cell = predictions.Predictions(table.id, y, scores, scores, {}, np.arange(1000) % 50)
    rows = compare(by_cell, "a", "b", resamples=2, threshold=0.5).set_index("metric")
    assert np.isnan(rows.loc["recall_at_0.5", "p_value"])


def test_delong_refuses_equal_finders_at_its_rate_and_intervals_hold_no_difference():
    rng, small, held = np.random.default_rng(1), 0, 0
    y = np.repeat([1, 0], [60, 140])
    for i in range(200):
        common = rng.normal(size=200) + y
        a, b = common + rng.normal(size=200), common + rng.normal(size=200)
        small += delong(y, a, b).p < 0.05
        samples = [metrics.Sample.of(y, s) for s in (a, b)]
        parts = [
            metrics.roc_auc(two.curve) - metrics.roc_auc(one.curve)
            for one, two in bootstrap.draws(samples, 200, i)
        ]
        ends = bootstrap.interval(np.concatenate(parts))
        held += ends["lo95"] <= 0 <= ends["hi95"]
    assert 2 <= small <= 20 and 180 <= held <= 199


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(2)
    y = np.repeat([1, 0], [200, 1800])
    common = rng.normal(size=2000) + 1.5 * y
    noise = {"worse": 1.5, "better": 0.1}
    scores = {k: expit(common - 1 + w * rng.normal(size=2000)) for k, w in noise.items()}
    ids = np.arange(2000).astype(str)
    return predictions.Predictions(ids, y, scores, scores, {}, np.arange(2000) // 4)


def test_a_better_finder_is_told_from_a_worse_one(table):
    rows = compare(table, "worse", "better", resamples=300).set_index("metric")
    auc = rows.loc["roc_auc"]
    y, scores = table.label, table.scores
    assert auc["difference"] == pytest.approx(
        roc_auc_score(y, scores["better"]) - roc_auc_score(y, scores["worse"])
    )
    assert 0 < auc["lo95"] < auc["lo68"] < auc["hi68"] < auc["hi95"] and auc["p_value"] < 1e-4
    found = rows.loc["recall_at_fpr_1e-2"]
    lens = y == 1
    a, b = (s[lens] > np.sort(s[~lens])[-19] for s in (scores["worse"], scores["better"]))
    gained, lost = int((b & ~a).sum()), int((a & ~b).sum())
    assert (found["gained"], found["lost"]) == (gained, lost)
    assert found["difference"] == pytest.approx((gained - lost) / 200)
    assert rows.loc["recall_at_fpr_1e-3", "status"].startswith("insufficient: 1.8 false")
    assert np.isnan(rows.loc["recall_at_fpr_1e-3", "difference"])
    assert rows.index[rows["p_value"].notna()].tolist() == ["roc_auc"]


def test_q_values_are_over_every_test_of_every_pair(table):
    more = {**table.scores, "other": table.scores["worse"] ** 2}
    three = predictions.Predictions(table.id, table.label, more, {}, {})
    pairs = [("worse", "better"), ("worse", "other")]
    found = judging.compared(three, judging.Question(resamples=20), pairs)
    known = found.dropna(subset="p_value")
    assert known["metric"].value_counts()["roc_auc"] == 2 and len(known) == 6
    np.testing.assert_allclose(known["q_value"], false_discovery_control(known["p_value"]))


@pytest.mark.stress
@pytest.mark.parametrize(
    ("n", "share", "rate"),
    [(1250, 0.2, 0.01), (2000, 0.2, 0.01), (20_000, 0.05, 0.01), (20_000, 0.05, 0.001)],
)
def test_intervals_hold_no_difference_of_equal_finders_at_a_rate(n, share, rate):
    """Thresholds are of the table. A share of 200 is known to 1.5 points; with 10 to 190 false
    positives expected, McNemar's test found a difference in 11 to 43 of 100 such tables."""
    rng, wrong = np.random.default_rng(2), 0
    for seed in range(200):
        y = (rng.random(n) < share).astype(int)
        common = 2 * y + rng.normal(size=n)
        samples = [metrics.Sample.of(y, common + rng.normal(size=n)) for _ in "ab"]
        spread = [
            metrics.recall_at_fpr(two.curve, rate) - metrics.recall_at_fpr(one.curve, rate)
            for one, two in bootstrap.draws(samples, 300, seed)
        ]
        ends = bootstrap.interval(np.concatenate(spread))
        wrong += not ends["lo95"] <= 0 <= ends["hi95"]
    print(n, share, rate, f"{wrong / 200:.3f}")
    assert wrong / 200 <= 0.09


def test_paired_intervals_are_narrower_than_of_two_samples(table):
    y, scores = table.label, table.scores
    samples = [metrics.Sample.of(y, s) for s in scores.values()]
    auc = {"auc": lambda d: metrics.roc_auc(d.curve)}
    apart = [bootstrap.replicates(auc, s, 300, i)["auc"] for i, s in enumerate(samples)]
    rows = compare(table, "worse", "better", resamples=300).set_index("metric")
    paired = rows.loc["roc_auc", "hi95"] - rows.loc["roc_auc", "lo95"]
    ends = bootstrap.interval(apart[1] - apart[0])
    assert paired < 0.9 * (ends["hi95"] - ends["lo95"])


def test_a_finder_against_itself_and_too_few_lenses(table):
    same = predictions.Predictions(
        table.id, table.label, {"a": table.scores["worse"], "b": table.scores["worse"]}, {}, {}
    )
    rows = compare(same, "a", "b", resamples=50)
    known = rows[rows["status"] == "ok"]
    assert (known["difference"] == 0).all() and (known["p_value"].dropna() == 1).all()
    few = table.rows(np.r_[0:5, 200:300])
    rows = compare(few, "worse", "better", resamples=50)
    assert rows["status"].str.startswith("insufficient: 5 lenses").all()
    with pytest.raises(InputError, match="no finder c in the table; there are worse, better"):
        compare(table, "worse", "c")
