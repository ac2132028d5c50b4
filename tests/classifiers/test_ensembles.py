"""Ensembles: where stacking wins and where it does not, that nothing leaks, and how finders
differ."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ensemble_worlds import alike, planted, specialists, table
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

from classifiers.ensembles import combining, discovery, diversity, folds, selective, stacking
from classifiers.evaluation import comparison
from lensjax.errors import InputError


def compared(world, seed=0):
    q = combining.Question(folds=3, seed=seed)
    whole, _ = combining.scored(world, world.cell, q)
    return comparison.compare(whole, "average", "stacked", resamples=200).assign(
        finder="average", other="stacked"
    )


def test_stacking_wins_where_finders_know_different_things():
    found = compared(specialists())
    assert combining.verdict(found, "average_precision").startswith("stacking beats averaging")
    assert combining.verdict(found, "log_loss").startswith("stacking beats averaging: log_loss -")


def test_no_difference_is_seen_where_finders_are_alike():
    found = compared(alike())
    said = combining.verdict(found, "average_precision")
    assert said.startswith("no difference between stacking and averaging is seen")
    turned = found.assign(finder="average", other="stacked")
    turned[["difference", "lo95", "hi95"]] = [-0.2, -0.3, -0.1]
    assert combining.verdict(turned, "roc_auc").startswith("stacking is worse than averaging")
    with pytest.raises(InputError, match="primary is 'speed'; metrics are roc_auc"):
        combining.verdict(found, "speed")


def logistic(label, x, seed):
    """A quick fit that shares the network's place."""
    x = np.concatenate([x, x**2, np.round(x, 1)], axis=1)
    fitted = LogisticRegression(max_iter=500).fit(x, label)
    return lambda z: fitted.predict_proba(np.concatenate([z, z**2, np.round(z, 1)], axis=1))[:, 1]


def test_planted_labels_are_learned_only_where_a_cell_is_in_several_folds():
    world = planted(1500, 15)
    x = stacking.inputs(world)
    clean = stacking.out_of_fold(world.label, x, folds.of_groups(world.cell, 3))
    leaking = stacking.out_of_fold(world.label, x, folds.of_groups(np.arange(len(world)), 3))
    # 100 cells of unknown label: an AUC of one half to 0.06
    assert abs(roc_auc_score(world.label, clean) - 0.5) < 0.18
    assert roc_auc_score(world.label, leaking) > 0.75


def test_labels_of_a_fold_have_no_part_in_its_own_scores():
    world = specialists(900)
    x, fold = stacking.inputs(world), folds.of_groups(world.cell, 3)
    inside = fold == 1
    turned = np.where(inside, 1 - world.label, world.label)
    for fit in (stacking.network, logistic):
        first = stacking.out_of_fold(world.label, x, fold, 0, fit)
        second = stacking.out_of_fold(turned, x, fold, 0, fit)
        assert (first[inside] == second[inside]).all() and (first != second)[~inside].any()


def test_groups_that_share_any_key_are_one_and_lie_in_one_fold():
    cell = np.array([1, 1, 2, 2, 3, 4, 5])
    name = np.array(["a", "b", "b", "c", "d", "e", "f"])
    group = folds.joined(cell, name)
    assert len(set(group[:4])) == 1 and len(set(group)) == 4
    many = np.random.default_rng(0).integers(0, 300, 5000)
    fold = folds.of_groups(many, 5, 1)
    assert (pd.Series(fold).groupby(many).nunique() == 1).all()
    assert np.ptp(np.bincount(fold)) < 20
    assert (fold == folds.of_groups(many, 5, 1)).all()
    assert (fold != folds.of_groups(many, 5, 2)).any()
    with pytest.raises(InputError, match="2 groups .* fewer than the 3 folds"):
        folds.of_groups(np.array([0, 0, 1]), 3)
    with pytest.raises(InputError, match="folds is 1"):
        folds.of_groups(many, 1)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_the_network_is_the_one_of_scikit_learn_and_survives_json():
    world = specialists(600)
    x = stacking.inputs(world)
    net = stacking.network(world.label, x)
    assert net.hidden.shape == (3, stacking.UNITS)
    theirs = MLPClassifier((stacking.UNITS,), max_iter=1)
    theirs.fit((x - net.mean) / net.scale, world.label)
    theirs.coefs_ = [net.hidden, net.out[:, None]]
    theirs.intercepts_ = [net.bias, np.array([net.offset])]
    expected = theirs.predict_proba((x - net.mean) / net.scale)[:, 1]
    assert net(x) == pytest.approx(expected, abs=1e-12)
    assert (stacking.Stacker.of(net.state())(x) == net(x)).all()
    with pytest.raises(InputError, match="fitted to 3 lenses and 20 others"):
        stacking.network(np.repeat([1, 0], [3, 20]), np.zeros((23, 2)))


def test_conditions_are_numbers_and_names_are_free():
    world = specialists(60)
    depth = np.array(["22.5", "unknown"] + ["23"] * 58)
    dark = replace(world, columns={"depth": depth})
    with pytest.raises(InputError, match=r"condition 'depth' is no finite number in row 2 \(o0"):
        stacking.inputs(dark, ("depth",))
    good = replace(world, columns={"depth": np.where(depth == "unknown", "21", depth)})
    assert stacking.inputs(good, ("depth",)).shape == (60, 4)
    with pytest.raises(InputError, match="column 'seeing' was not read"):
        stacking.inputs(good, ("seeing",))
    with pytest.raises(InputError, match="a finder is called average"):
        named = replace(world, scores={"average": world.scores["a"], "b": world.scores["b"]})
        combining.scored(named, world.cell, combining.Question())
    with pytest.raises(InputError, match="two finders at least; there is a"):
        one = replace(world, scores={"a": world.scores["a"]})
        combining.scored(one, world.cell, combining.Question())


def test_correlation_and_disagreement_are_those_of_scipy_and_of_counting():
    world = replace(alike(500), columns={"kind": np.repeat(["ring", "disc"], 250)})
    found = diversity.correlations(world).set_index(["first", "second", "of"])
    lens = world.label == 1
    a, b = world.logits["a"][lens], world.logits["b"][lens]
    assert found.loc[("a", "b", "lenses"), "pearson"] == pytest.approx(pearsonr(a, b)[0])
    assert found.loc[("a", "b", "lenses"), "spearman"] == pytest.approx(spearmanr(a, b)[0])
    shares = diversity.disagreements(world, 0.3).set_index(["first", "second", "of"])
    a, c = world.scores["a"] > 0.3, world.scores["c"] > 0.3
    ring = world.columns["kind"] == "ring"
    row = shares.loc[("a", "c", "kind = ring")]
    assert row["value"] == (a != c)[ring].mean() and row["only_first"] == (a & ~c & ring).sum()
    flat = replace(world, logits={"a": world.logits["a"], "b": np.zeros(500)})
    assert diversity.correlations(flat)["status"].str.startswith("undefined").all()


def test_spread_tells_where_the_ensemble_is_wrong_if_it_does():
    rng = np.random.default_rng(0)
    n, noise = 4000, np.repeat([0.1, 3.0], 2000)
    y = (rng.random(n) < 0.5).astype(int)
    world = table(y, {k: 4 * y - 2 + noise * rng.normal(size=n) for k in "abc"}, np.arange(n))
    found = diversity.uncertainty(world, stacking.average(world), 0.5).set_index("part")
    assert found.loc["auc", "value"] > 0.8 and found.loc["5", "value"] > found.loc["2", "value"]
    wrong = (stacking.average(world) > 0.5) != (y == 1)
    assert found.loc["auc", "value"] == pytest.approx(roc_auc_score(wrong, diversity.spread(world)))
    always_wrong = diversity.uncertainty(world, 1.0 - y, 0.5).set_index("part")
    assert always_wrong.loc["auc", "status"].startswith("insufficient: 0 right objects")


def test_risk_is_the_mean_over_every_order_of_equally_sure_objects():
    wrong = np.array([1, 0, 0, 1, 0], bool)
    sure = np.array([0.9, 0.9, 0.5, 0.5, 0.1])
    rng, risks = np.random.default_rng(0), []
    for _ in range(4000):
        order = np.lexsort((rng.random(5), -sure))
        risks.append(np.cumsum(wrong[order]) / np.arange(1, 6))
    assert selective.curve(wrong, sure) == pytest.approx(np.mean(risks, axis=0), abs=0.02)
    assert selective.curve(wrong, sure) == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.4])
    best = selective.area(wrong, 1.0 - wrong)
    assert best["excess"] == 0 and selective.area(wrong, np.zeros(5))["aurc"] == pytest.approx(0.4)
    assert selective.margin(np.array([0.2, 0.6, 1.0]), 0.2) == pytest.approx([0, 0.5, 1])
    y = np.arange(100) % 2
    found = selective.table(y, np.where(y, 0.9, 0.6), np.arange(100.0), 0.5)
    assert found.iloc[-1][["n", "errors", "recall"]].tolist() == [100, 50, 1]
    assert found.iloc[0]["status"].startswith("insufficient: 5 objects")


def test_discoveries_are_counted_at_every_finder_s_own_threshold():
    world = specialists(2000)
    whole, _ = combining.scored(world, world.cell, combining.Question(folds=3))
    counts, listed = discovery.discoveries(whole, "stacked", ("a", "b", "c"), 0.02)
    above = {}
    for name, score in whole.scores.items():
        others = np.sort(score[whole.label == 0])[::-1]
        above[name] = score > others[int(0.02 * len(others))]
    any_member = above["a"] | above["b"] | above["c"]
    lens = whole.label == 1
    gained, lost = above["stacked"] & ~any_member, ~above["stacked"] & any_member
    got = counts.set_index(["of", "set"])["number"]
    assert got["lenses", "gained"] == (gained & lens).sum()
    assert got["lenses", "lost"] == (lost & lens).sum()
    assert got["others", "lost"] == (lost & ~lens).sum()
    assert set(listed.loc[listed["set"] == "gained", "id"]) == set(whole.id[gained])
    few, none = discovery.discoveries(whole, "stacked", ("a", "b", "c"), 1e-3)
    assert few["status"].str.startswith("insufficient").all() and not len(none)


def test_yields_are_counts_and_differences_are_paired():
    world = alike(1500)
    found = discovery.yields(world, "a", (50, 200), resamples=200)
    row = found.set_index(["finder", "budget"]).loc[("b", 200)]
    top = np.argsort(-world.scores["b"])[:200]
    assert row["lenses"] == pytest.approx(world.label[top].sum())
    # finders that are alike differ by far less than each is uncertain
    assert row["more_hi95"] - row["more_lo95"] < 0.6 * (row["hi95"] - row["lo95"])
    with pytest.raises(InputError, match="1 to 1500 fit"):
        discovery.yields(world, "a", (0,))
