"""Several finders: sets against Python's own, rates that cost all the same, and shapes against a
world in which they are known."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from benchmarks.known_world import Truth, World, audit, replace, score, sky
from classifiers.audit import overlap, shapes, thresholds
from classifiers.audit.axes import ALL, Axis, Grid
from classifiers.audit.settings import AuditSettings
from data.config import validated
from lensjax.errors import InputError

FINDERS = {"a": "", "b": "_b", "c": "_c"}
GRID = Grid(
    (Axis("theta_e", "radius", "arcsec", "drawn", "theta_e", points=(1.0, 2.0)),),
    (),
    (Axis("source_mag", "magnitude", "mag", "measured", "source_mag", edges=(23.0, 24.0, 26.0)),),
)


def rows(n: int = 200) -> pd.DataFrame:
    """Injections with scores of three finders that look at the same thing."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=n)
    table = pd.DataFrame(
        {
            "galaxy_id": [f"g{i // 4}" for i in range(n)],
            "theta_e": rng.choice([1.0, 2.0], n),
            "source_mag": rng.uniform(23, 26, n),
        }
    )
    for ending in FINDERS.values():
        table[f"score{ending}"] = score(common + rng.normal(size=n))
        table[f"score_before{ending}"] = np.repeat(score(rng.normal(-2, 1, n // 4)), 4)
    return table


def test_every_measure_is_what_sets_of_injections_give():
    table = rows()
    found = overlap.table(table, FINDERS, overlap.looks(table, FINDERS, [0.5], []), GRID, 20)
    sets = {f: set(table.index[table[f"score{e}"] > 0.5]) for f, e in FINDERS.items()}
    bins = {(ALL, ALL): set(table.index)}
    for value in (1.0, 2.0):
        bins["theta_e", str(value)] = set(table.index[table["theta_e"] == value])
    faint = table["source_mag"] >= 24
    bins["source_mag", "23-24"] = set(table.index[~faint])
    bins["source_mag", "24-26"] = set(table.index[faint])
    lines = found.set_index(["axis", "value", "measure", "finder", "other"]).sort_index()
    assert len(lines) == len(found) == len(bins) * (3 + 3 + 2 + 9 + 6)
    for (axis, value), own in bins.items():
        expected = by_hand({f: s & own for f, s in sets.items()}, own)
        assert set(expected) == set(lines.loc[axis, value].index)
        for names, (hit, of) in expected.items():
            line = lines.loc[(axis, value, *names)]
            assert (line["k"], line["n"]) == (len(hit), len(of)), names
            assert line["share"] == pytest.approx(len(hit) / len(of))
            assert line["lo95"] <= line["share"] <= line["hi95"]
            assert line["hosts"] == table.loc[sorted(of), "galaxy_id"].nunique()
            assert line["status"] == ("sufficient" if len(own) >= 20 else "insufficient")


def by_hand(found: dict[str, set], own: set) -> dict[tuple[str, str, str], tuple[set, set]]:
    """Which injections have every measure, and of which: by operations on sets."""
    made = {
        ("any", "", ""): (set.union(*found.values()), own),
        ("all", "", ""): (set.intersection(*found.values()), own),
    }
    for f in found:
        rest = set.union(*(found[g] for g in found if g != f))
        made["finder", f, ""] = found[f], own
        made["unique", f, ""] = found[f] - rest, own
    for f, g in combinations(found, 2):
        made["both", f, g] = found[f] & found[g], own
        made["either", f, g] = found[f] | found[g], own
        made["overlap", f, g] = found[f] & found[g], found[f] | found[g]
    for f, g in permutations(found, 2):
        made["also", f, g] = found[f] & found[g], found[f]
    return made


def test_shares_are_by_weight_and_said_in_words():
    table = rows().assign(weight=np.linspace(0.1, 2, 200))
    looks = overlap.looks(table, FINDERS, [0.5], [])
    found = overlap.summary(overlap.table(table, FINDERS, looks, GRID, 20), "p0.5")
    line = next(m for m in found["measures"] if m["measure"] == "finder" and m["finder"] == "b")
    own = table["score_b"] > 0.5
    assert line["share"] == pytest.approx(table["weight"][own].sum() / table["weight"].sum())
    said = overlap.in_words(found)
    assert f"b finds {100 * line['share']:.1f} % (only it:" in said and "any of them" in said


def test_at_a_rate_of_the_hosts_every_finder_lets_as_many_pass():
    """Finder b scores everything higher; at 0.5 that looks like completeness, at a rate it does
    not."""
    table = rows(2000)
    for name in ("score", "score_before"):
        logit = np.log(table[name] / (1 - table[name]))
        table[f"{name}_b"] = score(logit + 1.0)
    finders = {"a": "", "b": "_b"}
    looks = overlap.looks(table, finders, [0.5], [0.1, 0.001])
    assert [look.name for look in looks] == ["p0.5", "hosts_fpr0.1", "hosts_fpr0.001"]
    alone = table.drop_duplicates("galaxy_id")
    for name, ending in finders.items():
        at = looks[1].at[name]
        assert (alone[f"score_before{ending}"] > at.value).sum() == 50 and len(at.negatives) == 500
    found = overlap.table(table, finders, looks, GRID, 20)
    lines = found[(found["axis"] == ALL) & (found["measure"] == "finder")]
    at = lines.pivot(index="look", columns="finder", values="share")
    assert at.loc["p0.5", "b"] > at.loc["p0.5", "a"] + 0.1
    assert at.loc["hosts_fpr0.1", "b"] == pytest.approx(at.loc["hosts_fpr0.1", "a"], abs=0.01)
    # What is not known of the threshold is part of the interval.
    line = lines[(lines["look"] == "hosts_fpr0.1") & (lines["finder"] == "a")].iloc[0]
    known = thresholds.known(
        table["score"].to_numpy(),
        np.ones(2000),
        table["galaxy_id"].to_numpy(),
        looks[1].at["a"],
    )
    np.testing.assert_allclose(known.interval(), (line["lo95"], line["hi95"]))
    assert line["lo95"] < known.share.interval()[0]
    (refused,) = found[found["look"] == "hosts_fpr0.001"].to_dict("records")
    assert refused["status"].startswith("a: insufficient: 0.5 false positives expected")
    assert overlap.summary(found, "p0.5")["refused"] == {"hosts_fpr0.001": refused["status"]}
    assert overlap.of_finders(looks)["b"].keys() == {"p0.5", "hosts_fpr0.1"}


def test_the_first_finder_keeps_a_name_of_its_own():
    assert overlap.columns("resnet18", ["onnx"]) == {"resnet18": "", "onnx": "_onnx"}
    assert overlap.columns("onnx", ["onnx"]) == {"audited": "", "onnx": "_onnx"}
    for name in ("before", "before_all", "a b", ""):
        with pytest.raises(InputError, match="more_finders"):
            validated(AuditSettings, {"more_finders": {name: "x.onnx"}}, "test")


WORLD = World(arc=1.0, base=-0.8)
OTHER = replace(WORLD, faint=-0.2, base=-1.2)
"""A world whose finder minds faint sources less, and finds less on the whole."""


def drawn(rng: np.random.Generator, other: World) -> tuple[pd.DataFrame, Truth]:
    """Injections scored by a finder of WORLD and by one of another world, with the same hosts and
    arcs and a noise of its own."""
    truth = Truth(WORLD)
    hosts = sky(WORLD, 160, rng)
    table = audit(WORLD, hosts, truth.axes, 2, 60, rng)
    place = table["galaxy_id"].to_numpy()
    arcs = (table["theta_e"], table["source_mag"], hosts.psf[place], hosts.depth[place])
    colour = other.red * (table["colour"] - 0.2)
    logit = other.smooth(*arcs) + colour + table["effect"] + rng.normal(size=len(table))
    return table.assign(score_other=score(logit)), truth


PAIR = {"first": "", "other": "_other"}


def shaped(table: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    look = overlap.Look("p0.5", dict.fromkeys(PAIR, thresholds.given([0.5])[0]))
    return shapes.table(table, PAIR, [look], grid, 50)


def test_finders_alike_have_no_shape_of_their_own_more_often_than_chance():
    """Two finders of one law, whose noise is their own: p is below 0.05 in one of 20 audits."""
    rng, p = np.random.default_rng(5), []
    for _ in range(60):
        table, truth = drawn(rng, WORLD)
        found = shaped(table, truth.axes)
        whole = found[(found["value"] == ALL) & (found["shape"] == "other")]
        p += whole[whole["axis"].isin(["theta_e", "psf_fwhm", "source_mag_bin"])]["p"].tolist()
    assert len(p) == 180 and 1 <= sum(v < 0.05 for v in p) <= binom.isf(1e-4, 180, 0.05)


def test_a_finders_own_shape_is_recovered_with_its_interval():
    """Log odds by magnitude, less their mean, of both finders by quadrature: half their difference
    is each one's own."""
    rng, held = np.random.default_rng(6), []
    worlds, exact = (WORLD, OTHER), []
    for world in worlds:
        truth = Truth(world)
        whole = truth.everywhere
        shares = [
            truth.completeness(0.0, replace(whole, mag=mag)) for mag in ((23, 24.5), (24.5, 26))
        ]
        exact.append(overlap.logits(np.array(shares)))
    centred = [e - e.mean() for e in exact]
    common, own = (centred[0] + centred[1]) / 2, (centred[1] - centred[0]) / 2
    for _ in range(40):
        table, truth = drawn(rng, OTHER)
        found = shaped(table, truth.axes)
        at = found[found["axis"] == "source_mag_bin"].set_index(["shape", "value"])
        for name, values in (("common", common), ("other", own), ("first", -own)):
            line = at.loc[name, "23-24.5"]
            held.append(line["lo95"] <= values[0] <= line["hi95"])
            assert at.loc[(name, ALL), "q"] < 0.05
    assert np.mean(held) >= binom.ppf(1e-4, 120, 0.95) / 120
    assert common[0] > 0.4 and abs(own[0]) > 0.2
    said = shapes.in_words(found, "p0.5", truth.axes)
    assert said[0].startswith("Common to all finders") and "source_mag" in said[0]
    assert any(w.startswith("other's own") and "source_mag" in w for w in said)
    assert not any("psf" in w for w in said if "own" in w)


def test_the_size_of_a_shape_has_the_noise_taken_off_and_bins_with_few_are_left_out():
    table, truth = drawn(np.random.default_rng(7), WORLD)
    found = shaped(table.assign(score_other=table["score"]), truth.axes)
    own = found[(found["shape"] == "other") & (found["value"] == ALL)]
    assert (own["size"] == 0).all() and (own["p"] == 1).all()
    assert "more than noise" in shapes.in_words(found, "p0.5", truth.axes)[-1]
    none = shaped(table.assign(score_other=0.1), truth.axes)
    assert none["status"].str.startswith("insufficient").all() and none["p"].isna().all()
    assert "0.0 finds or misses" in none[none["value"] != ALL]["status"].iloc[0]
