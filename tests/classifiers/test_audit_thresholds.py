"""The uncertainty of a threshold: against order statistics, by hand, and refused with a reason."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from classifiers.audit import thresholds as carried
from classifiers.evaluation import thresholds
from classifiers.intervals import combined, observed

NEGATIVES = np.random.default_rng(0).random(2000)


@pytest.mark.parametrize(("n", "rate"), [(2000, 0.005), (2000, 0.05), (525, 0.05), (300, 0.3)])
def test_the_interval_of_a_threshold_lies_between_those_of_order_statistics(n, rate):
    """So many scores pass a threshold that is too low, or too high, with at most 2.5 %; one more or
    one fewer would be more probable."""
    score = NEGATIVES[:n]
    low, high = thresholds.ends(score, rate, n)
    most, fewest = int((score > low).sum()), int((score > high).sum())
    truth = binom(n, rate)
    assert truth.sf(most) < 0.025 < truth.sf(most - 3)
    assert truth.cdf(fewest - 1) < 0.025 < truth.cdf(fewest + 2)
    assert low <= thresholds.threshold_at(score, rate) <= high


def test_the_true_threshold_is_inside_in_95_of_100_samples():
    rng, rate, n = np.random.default_rng(1), 0.01, 2500
    ends = np.array([thresholds.ends(rng.random(n), rate, n) for _ in range(600)])
    held = (ends[:, 0] <= 1 - rate) & (1 - rate <= ends[:, 1])
    assert 0.93 <= held.mean() <= 0.975


def test_jeffreys_turned_round_holds_the_rate_at_its_ends():
    from classifiers.intervals import jeffreys

    low, high = observed(0.02, 800)
    assert jeffreys(low * 800, 800, 0.95)[1] == pytest.approx(0.02, rel=1e-6)
    assert jeffreys(high * 800, 800, 0.95)[0] == pytest.approx(0.02, rel=1e-6)
    assert observed(1e-6, 10) == (0.0, 0.0) and observed(1 - 1e-6, 10) == (1.0, 1.0)


def test_equal_scores_keep_an_interval_on_the_safe_side():
    score = np.r_[np.full(40, 0.9), np.linspace(0.1, 0.5, 960)]
    low, high = thresholds.ends(score, 0.02, 1000)
    assert low < 0.9 <= high < 1.0


def test_negatives_carry_a_rate_by_number_and_by_independence():
    n = thresholds.fewest(1e-3)
    assert 0.999**n <= 0.025 < 0.999 ** (n - 1)
    said = thresholds.insufficient(1e-3, 9990, 9990, 10)
    assert "9.99 false positives expected among 9990" in said
    assert not thresholds.insufficient(1e-3, 10_000, 10_000, 10)
    said = thresholds.insufficient(1e-3, 10_000, n - 1, 10)
    assert f"count as {n - 1} independent ones, at least {n} needed" in said
    # Whole cells of the sky that score high know less than as many single galaxies.
    score, cells = np.sort(NEGATIVES[:1000]), np.repeat(np.arange(250), 4)
    alone, together = (
        thresholds.table(score, (), (0.05,), 10, "negatives", group)[0]
        for group in (np.arange(1000), cells)
    )
    assert alone["threshold"] == together["threshold"]
    assert together["n_effective"] < 0.3 * alone["n_effective"]
    assert together["threshold_lo95"] < alone["threshold_lo95"]
    assert together["threshold_hi95"] > alone["threshold_hi95"]


def test_objects_of_one_cell_go_together_and_others_by_name():
    table = pd.DataFrame({"galaxy_id": list("abcdb"), "healpix_128": [5, 5, 7, None, None]})
    group = thresholds.together(table)
    assert group[0] == group[1] == 5 and group[2] == 7 and len(set(group[2:])) == 3
    alone = thresholds.together(table[["galaxy_id"]])
    assert alone[1] == alone[4] and len(set(alone)) == 4


def test_two_errors_add_up_in_quadrature_end_by_end():
    low, high = combined(0.5, (0.47, 0.52), (0.46, 0.6))
    assert low == pytest.approx(0.5 - 0.05) and high == pytest.approx(0.5 + np.hypot(0.02, 0.1))
    assert combined(0.5, (0.47, 0.52), (0.46, 0.6), 1.0)[0] == pytest.approx(0.43)
    assert combined(0.5, (0.47, 0.52), (0.46, 0.6), -1.0)[0] == pytest.approx(0.49)
    assert combined(0.01, (0.0, 0.02), (0.0, 0.03))[0] == 0.0
    np.testing.assert_allclose(combined(0.3, (0.2, 0.4), (0.3, 0.3)), (0.2, 0.4))


def injections() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores 0.01, 0.02, ... of four injections into each of 25 hosts, and weights."""
    rng = np.random.default_rng(2)
    return rng.permutation(np.arange(1, 101) / 100), rng.uniform(1, 2, 100), np.arange(100) // 4


def test_completeness_at_a_rate_spans_what_the_threshold_may_be():
    score, weight, host = injections()
    t = carried.Threshold("fpr0.1", 0.5, 0.4, 0.7, 0.1, np.array([100]), np.array([False]))
    found = carried.known(score, weight, host, t)
    share = lambda at: weight[score > at].sum() / weight.sum()
    assert found.share.value == pytest.approx(share(0.5)) and found.correlation == 0
    assert found.at_high == pytest.approx(share(0.7)) and found.at_low == pytest.approx(share(0.4))
    low, high = found.share.interval()
    expected = combined(share(0.5), (low, high), (share(0.7), share(0.4)))
    np.testing.assert_allclose(found.interval(), expected)
    assert found.interval()[0] < low and found.interval()[1] > high
    (fixed,) = carried.given([0.5])
    assert carried.known(score, weight, host, fixed).interval() == (low, high)


def test_hosts_that_are_negatives_too_join_both_errors():
    """By hand: hosts 0 to 9 score high without an arc, and all of their injections are found."""
    host = np.arange(100) // 4
    score = np.where(host < 10, 0.9, 0.1) + np.where(host % 2, 0.0, 0.09)
    negatives = np.arange(50)
    t = carried.Threshold("f", 0.5, 0.15, 0.95, 0.2, negatives, negatives < 10)
    found = carried.known(score, np.ones(100), host, t)
    away = 4 * ((np.arange(25) < 10) - 0.4)
    theirs = (negatives < 10) - 0.2
    expected = -(away * theirs[:25]).sum() / np.sqrt((away**2).sum() * (theirs**2).sum())
    assert found.correlation == pytest.approx(expected) and expected < -0.5
    alone = found._replace(correlation=0.0).interval()
    assert alone[0] < found.interval()[0] and found.interval()[1] < alone[1]


MINE = {"model": "resnet18", "weights_sha256": "a", "seed": 1}


@pytest.fixture
def evaluated(tmp_path):
    """A run directory with an evaluation of the finder MINE: 400 validation negatives."""
    folder = tmp_path / "evaluation"
    folder.mkdir()
    n = 400
    scores = pd.DataFrame(
        {"galaxy_id": [f"g{i}" for i in range(2 * n)], "score": NEGATIVES[: 2 * n]}
    )
    scores = scores.assign(label=0, split=np.where(np.arange(2 * n) < n, "val", "test"))
    scores.to_parquet(folder / "scores.parquet")
    rows = thresholds.table(NEGATIVES[:n], (0.5, 0.7), (0.05, 0.001), 10, "validation non-lenses")
    pd.DataFrame(rows).to_csv(folder / "thresholds.csv", index=False)
    about = {"on": "test", "classifier": {**MINE, "name": "resnet18"}}
    (folder / "metrics.json").write_text(json.dumps(about))
    return tmp_path


def test_the_thresholds_of_a_run_come_with_their_negatives(evaluated):
    found = {t.name: t for t in carried.asked(evaluated, (0.3, 0.5), MINE)}
    assert list(found) == ["p0.3", "p0.5", "p0.7", "fpr0.05", "fpr0.001"]
    at = found["fpr0.05"]
    assert at.uncertain and at.low < at.value < at.high and not found["p0.7"].uncertain
    assert at.negatives.tolist() == [f"g{i}" for i in range(400)]
    assert at.above.sum() == 20 == (NEGATIVES[:400] > at.value).sum()
    assert list(carried.values(found.values())) == ["p0.3", "p0.5", "p0.7", "fpr0.05"]
    score, weight, host = injections()
    table = carried.table(list(found.values()), score, weight, host).set_index("threshold_name")
    line = table.loc["fpr0.05"]
    assert line["lo95_total"] <= line["lo95_hosts"] <= line["completeness"] <= line["hi95_total"]
    assert table.loc["fpr0.001"].drop(["fpr_target", "status"]).isna().all()
    said, refused = carried.in_words(table.reset_index())
    assert len(said) == len(refused) == 1 and "false-positive rate of 5 %" in said[0]
    assert "0.4 false positives expected among 400 validation non-lenses" in refused[0]


@pytest.mark.parametrize(
    "info, words", [({**MINE, "weights_sha256": "b"}, "another finder"), ({}, "another finder")]
)
def test_rates_of_another_finder_are_refused_and_said(evaluated, info, words):
    found = {t.name: t for t in carried.asked(evaluated, (0.5,), info)}
    assert words in found["fpr0.05"].status and np.isnan(found["fpr0.05"].value)
    assert found["fpr0.001"].status.startswith("insufficient") and found["p0.7"].status == "ok"


def test_an_evaluation_without_intervals_of_thresholds_has_to_be_made_again(evaluated):
    path = evaluated / "evaluation" / "thresholds.csv"
    pd.read_csv(path).drop(columns="threshold_lo95").to_csv(path, index=False)
    (at,) = [t for t in carried.asked(evaluated, (0.5,), MINE) if t.name == "fpr0.05"]
    assert "threshold_lo95" in at.status and "evaluate" in at.status
    (evaluated / "evaluation" / "metrics.json").unlink()
    (at,) = [t for t in carried.asked(evaluated, (0.5,), MINE) if t.name == "fpr0.05"]
    assert "metrics.json is missing" in at.status
    assert [t.name for t in carried.asked(evaluated / "none", (0.5,), MINE)] == ["p0.5"]
