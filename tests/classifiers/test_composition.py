"""What a list holds, against a survey that was written out object by object."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, norm

from classifiers.evaluation import composition
from lensjax.errors import InputError


@pytest.fixture(scope="module")
def objects():
    rng = np.random.default_rng(0)
    kind = np.repeat(["", "ring", "spiral", "plain"], [60, 50, 80, 300])
    y = (kind == "").astype(int)
    middle = {"": 2.0, "ring": 1.0, "spiral": 0.5, "plain": -0.5}
    x = rng.normal(size=490) + np.array([middle[k] for k in kind])
    return y, np.round(1 / (1 + np.exp(-x)), 2), kind


def scenario(share, name="s"):
    return pd.DataFrame([{"scenario": name, "kind": k, "share": v} for k, v in share.items()])


def test_budgets_of_the_table_itself(objects):
    y, p, _ = objects
    rows = composition.at_budgets(y, p, (5, 40, 490), resamples=200).set_index("budget")
    assert rows.loc[5, "status"] == "insufficient: 5 objects, at least 10 needed"
    order = np.lexsort((np.arange(490), -p))
    cut = p[order][39]
    inside, tied = p > cut, p == cut
    expected = y[inside].sum() + (40 - inside.sum()) * y[tied].mean()
    assert rows.loc[40, "lenses"] == pytest.approx(expected)
    assert rows.loc[40, "lo95"] < expected / 40 < rows.loc[40, "hi95"]
    assert rows.loc[490, "purity"] == pytest.approx(60 / 490)
    with pytest.raises(InputError, match="budgets are .491.; the table has 490"):
        composition.at_budgets(y, p, (491,))


def test_a_scenario_is_the_survey_with_objects_repeated(objects):
    """Every kind is repeated a whole number of times, and the longer table is counted."""
    y, p, kind = objects
    times = {"": 1, "ring": 3, "spiral": 2, "plain": 5}
    repeat = np.array([times[k] for k in kind])
    long_y, long_p, long_kind = (np.repeat(v, repeat) for v in (y, p, kind))
    n = len(long_y)
    share = {k or "lens": (long_kind == k).sum() / n for k in times}
    lists, parts = composition.of_top(y, p, kind, scenario(share), n, (100, 400), resamples=100)
    for k in (100, 400):
        cut = np.sort(long_p)[::-1][k - 1]
        inside, tied = long_p > cut, long_p == cut
        part = (k - inside.sum()) / tied.sum()
        rows = parts[parts["budget"] == k].set_index("kind")
        for name in times:
            own = long_kind == name
            expected = (inside & own).sum() + part * (tied & own).sum()
            assert rows.loc[name or "lens", "number"] == pytest.approx(expected)
        assert rows["number"].sum() == pytest.approx(k)
        assert rows["fraction"].sum() == pytest.approx(1)
        row = lists[lists["budget"] == k].iloc[0]
        assert row["purity"] * k == pytest.approx(rows.loc["lens", "number"])
        assert row["lo95"] < row["purity"] < row["hi95"] and row["threshold"] == cut
        seen = rows.loc["ring", "seen"]
        assert rows.loc["ring", "lo95"] == pytest.approx(
            n * share["ring"] * beta.ppf(0.025, seen + 0.5, 50 - seen + 0.5)
        )


def test_a_list_that_rests_on_nothing_says_so(objects):
    y, p, kind = objects
    p = np.where(kind == "plain", p * 0.3, p)  # none is among the highest
    rare = scenario({"lens": 1e-3, "ring": 1e-3, "spiral": 1e-3, "plain": 0.997})
    lists, parts = composition.of_top(y, p, kind, rare, 1e6, (800, 1500), resamples=50)
    assert lists["purity"].isna().all()
    assert "no example is in the list of plain (up to" in lists.iloc[1]["status"]
    plain = parts[(parts["kind"] == "plain") & (parts["budget"] == 1500)].iloc[0]
    assert plain["number"] == 0 and plain["hi95"] > 1500
    few = np.flatnonzero(kind != "ring")
    few = np.r_[few, np.flatnonzero(kind == "ring")[:4]]
    _, parts = composition.of_top(y[few], p[few], kind[few], rare, 1e6, (800,), resamples=50)
    ring = parts[parts["kind"] == "ring"].iloc[0]
    assert ring["status"] == "insufficient: 4 examples, at least 10 needed"
    assert np.isnan(ring["number"])


def test_a_kind_that_the_survey_has_not_is_counted_and_carries_no_purity(objects):
    """By hand: its examples above the list's threshold, which are none behind the purity."""
    y, p, kind = objects
    p = p + np.where(kind == "ring", 0.003, 0)  # rings share no score with other kinds
    own = scenario({"lens": 1e-3, "ring": 0.0, "spiral": 0.0, "plain": 0.999})
    lists, parts = composition.of_top(y, p, kind, own, 1e6, (2000, 20_000), resamples=50)
    for row in lists.to_dict("records"):
        seen = parts[parts["budget"] == row["budget"]].set_index("kind")["seen"]
        assert seen["ring"] == (p[kind == "ring"] > row["threshold"]).sum() > 0
        assert row["seen"] == pytest.approx(seen["plain"])
        assert parts.loc[parts["kind"] == "ring", "number"].eq(0).all()


def test_intervals_of_a_survey_s_purity_hold_the_truth():
    """Lenses N(2, 1) and others N(0, 1) in a survey with 1 % lenses; the first 1 % are taken."""
    from scipy.optimize import brentq

    cut = brentq(lambda t: 0.01 * norm.sf(t - 2) + 0.99 * norm.sf(t) - 0.01, 0, 6)
    true = 0.01 * norm.sf(cut - 2) / 0.01
    rng, held = np.random.default_rng(1), 0
    y, share = np.repeat([1, 0], [100, 4000]), scenario({"lens": 0.01, "rest": 0.99})
    kind = np.where(y == 1, "", "rest")
    for i in range(100):
        score = norm.cdf(rng.normal(size=4100) + 2 * y - 1)
        lists, _ = composition.of_top(y, score, kind, share, 1e6, (10_000,), 10, 100, i)
        held += lists.iloc[0]["lo95"] <= true <= lists.iloc[0]["hi95"]
    assert 88 <= held <= 100


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (
            {"lens": 0.1, "ring": 0.1, "spiral": 0.1, "plain": 0.1},
            "sum to 0.4, of which lenses 0.1",
        ),
        ({"lens": 0.0, "ring": 0.5, "spiral": 0.5, "plain": 0.0}, "sum to 1, of which lenses 0;"),
        (
            {"lens": 0.5, "ring": 0.5},
            "kinds lens, ring; the objects have lens, plain, ring, spiral",
        ),
        ({"lens": 1.5, "ring": -0.5, "spiral": 0, "plain": 0}, "row 1 has the share 1.5"),
    ],
)
def test_scenarios_that_describe_no_survey_are_refused(objects, share, words):
    with pytest.raises(InputError, match=words):
        composition.of_top(*objects, scenario(share), 1e6, (100,))


def test_other_choices_that_make_no_list_are_refused(objects):
    y, p, kind = objects
    good = scenario({"lens": 0.1, "ring": 0.2, "spiral": 0.2, "plain": 0.5})
    with pytest.raises(InputError, match="budgets are .0."):
        composition.of_top(y, p, kind, good, 1e6, (0,))
    with pytest.raises(InputError, match="no lenses are of the kind 'lens'"):
        composition.of_top(y, p, np.where(kind == "ring", "lens", kind), good, 1e6, (10,))
    with pytest.raises(InputError, match="lack the column share"):
        composition.of_top(y, p, kind, good.drop(columns="share"), 1e6, (10,))
