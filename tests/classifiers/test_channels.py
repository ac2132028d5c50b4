"""Searches compared: merging by position, overlaps, what a choice depends on, and the verb."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord, search_around_sky

from classifiers.channels import apart, chosen, lists, merging, overlap, parent
from classifiers.channels.verb import command
from lensjax.errors import InputError

ARCSEC = 1 / 3600


def channel(name, ra, dec):
    return lists.Channel(name, np.asarray(ra, float), np.asarray(dec, float))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """1500 galaxies over the sky with a magnitude, a type and a number without a meaning. One
    search prefers the bright, one the faint, one chooses blindly; every list has positions of its
    own, 0.3 arcsec off."""
    out, rng = tmp_path_factory.mktemp("channels"), np.random.default_rng(5)
    n = 1500
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-0.5, 0.5, n)))
    mag, kind = rng.uniform(17, 21, n), rng.choice(["DEV", "SER"], n)
    population = pd.DataFrame({"RA": ra, "DEC": dec, "mag": mag, "kind": kind})
    population["noise"] = rng.normal(size=n)
    population.to_parquet(out / "population.parquet")
    logit = {"bright": 1.5 * (18.5 - mag), "faint": 1.5 * (mag - 19.5), "blind": np.full(n, -1.0)}
    parts = []
    for name, x in logit.items():
        own = rng.random(n) < 1 / (1 + np.exp(-x))
        shifted = dec[own] + 0.3 * ARCSEC * rng.choice([-1, 1], own.sum())
        parts.append(pd.DataFrame({"ra": ra[own], "dec": shifted, "search": name}))
    parts[0].drop(columns="search").to_csv(out / "bright.csv", index=False)
    pd.concat(parts[1:]).to_csv(out / "others.tsv", index=False, sep="\t")
    return out


def test_entries_within_the_radius_are_one_object_and_doubts_are_told():
    a = channel("a", [10, 20, 359.9999, 50, 70], [0, 0, 60, 0, 0])
    # beside a's first; two near its second; across RA 0; too far; a chain with the next list
    b = channel(
        "b",
        [10 + 2 * ARCSEC, 20 + ARCSEC, 20 - ARCSEC, 0.0003, 50 + 3.5 * ARCSEC, 70 + 2 * ARCSEC],
        [0, 0, 0, 60, 0, 0],
    )
    c = channel("c", [70 + 4 * ARCSEC], [0])
    found = merging.merged([a, b, c], 3)
    table = found.table()
    assert table["channels"].tolist() == ["a + b", "a + b", "a + b", "a", "a + b + c", "b"]
    doubtful = found.doubtful()
    assert doubtful["why"].tolist() == ["b has 2 entries", "wider than the radius"]
    assert doubtful["width"].to_numpy() == pytest.approx([2, 4], abs=1e-6)
    turned = merging.merged([c, b, a], 3)
    key = lambda m: sorted(frozenset(t.split(" + ")) for t in m.table()["channels"])
    assert len(turned) == len(found) and {*key(turned)} == {*key(found)}
    with pytest.raises(InputError, match="radius is 0"):
        merging.merged([a, b], 0)


def test_pairs_are_those_of_astropy():
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 400), rng.uniform(-89, 89, 400)
    near = dec + rng.uniform(0, 6, 400) * ARCSEC
    a, b = channel("a", ra, dec), channel("b", ra[:300], near[:300])
    one, other = (SkyCoord(x.ra * u.deg, x.dec * u.deg) for x in (a, b))
    expected = len(search_around_sky(one, other, 3 * u.arcsec)[0])
    row = overlap.pairs(merging.merged([a, b], 3)).iloc[0]
    assert row["both"] == expected and row["either"] == 700 - expected
    assert row["value"] == pytest.approx(expected / (700 - expected))
    assert row["chance"] == 0 and row["of_second"] == pytest.approx(expected / 300)


def test_lists_without_a_common_sky_share_nothing_of_it_and_combinations_are_exclusive():
    north, south = np.arange(20.0), np.arange(20.0) * 2
    a = channel("a", [*north, *north], [40.0] * 20 + [-40.0] * 20)
    b, c = channel("b", south, [-40.0] * 20), channel("c", north[:5], [40.0] * 5)
    found = merging.merged([a, b, c])
    rows = overlap.pairs(found).set_index(["first", "second"])
    assert rows.loc[("b", "c"), "shared_sky_number"] == 0
    assert rows.loc[("a", "b"), "shared_sky"] > rows.loc[("a", "b"), "value"]
    counts = overlap.combinations_of(found).set_index("channels")["number"]
    assert counts.to_dict() == {"a": 25, "a + b": 10, "b": 10, "a + c": 5}


def test_a_choice_is_told_from_its_features_and_a_blind_one_is_not(world):
    specs = [f"bright={world / 'bright.csv'}", f"rest={world / 'others.tsv'}@search"]
    channels, refused = lists.channels(specs)
    assert [c.name for c in channels] == ["bright", "blind", "faint"] and not len(refused)
    features = ("mag", "kind", "noise")
    own, coverage = parent.read([world / "population.parquet"], features, channels)
    assert coverage["in_parent"].tolist() == [1500, *map(len, channels)]
    measured, curves, rows = chosen.chosen(own, {"mag": -1}, resamples=100)
    auc = measured[measured["metric"] == "roc_auc"].set_index("channel")
    assert auc.loc["bright", "lo95"] > 0.75
    assert auc.loc["blind", "lo95"] < 0.5 < auc.loc["blind", "hi95"]
    # the slope that was asked for holds where the truth is the other way too
    for name in ("bright", "faint"):
        curve = curves[(curves["channel"] == name) & (curves["feature"] == "mag")]
        assert (np.diff(curve["probability"]) <= 1e-12).all()
    kinds = curves[curves["feature"] == "kind"]["at"].unique()
    assert sorted(kinds) == ["DEV", "SER"] and len(rows) == 1500
    pairs = apart.told_apart(own, resamples=100).set_index(["first", "second"])
    assert pairs.loc[("bright", "faint"), "lo95"] > 0.75
    assert pairs.loc[("bright", "faint"), "accuracy"] > pairs.loc[("bright", "blind"), "accuracy"]


def test_the_same_choice_twice_cannot_be_told_apart():
    rng = np.random.default_rng(2)
    n = 1200
    inside = {name: rng.random(n) < 0.3 for name in "ab"}
    ra, dec, cell = rng.uniform(0, 360, n), np.zeros(n), np.arange(n) // 20
    own = parent.Parent(("x", "y"), rng.normal(size=(n, 2)), {}, inside, ra, dec, cell)
    row = apart.told_apart(own, resamples=200).iloc[0]
    assert row["lo95"] < 0.5 < row["hi95"] and 0.4 < row["auc"] < 0.6
    few = apart.told_apart(own, minimum=1000).iloc[0]
    assert few["status"].startswith("insufficient") and few["accuracy"] is None


def test_rows_without_a_feature_are_counted_and_left_out(tmp_path):
    table = pd.DataFrame({"ra": [1, 2, 3, 3], "dec": [0, 0, 0, 0], "z": [0.5, -99, 0.2, 0.9]})
    table.to_csv(tmp_path / "p.csv", index=False)
    own, coverage = parent.read([tmp_path / "p.csv"], ["z"], [channel("a", [2, 3], [0, 0])])
    assert own.x.tolist() == [[0.5], [0.2]] and own.inside["a"].tolist() == [False, True]
    assert coverage.set_index("channel").loc["a"].tolist() == [2, 2, 1]
    with pytest.raises(InputError, match="no column mag"):
        parent.read([tmp_path / "p.csv"], ["mag"], [])
    with pytest.raises(InputError, match="monotone x is no feature"):
        chosen.slopes(own, {"x": 1})
    with pytest.raises(InputError, match="a slope is -1"):
        chosen.slopes(own, {"z": 2})


def test_the_verb_writes_tables_and_figures(world, tmp_path, capsys):
    arguments = [f"bright={world / 'bright.csv'}", f"rest={world / 'others.tsv'}@search"]
    arguments += ["--resamples", "20", "--out", str(tmp_path)]
    assert command(arguments) == 0
    assert "bright, faint: " in capsys.readouterr().out
    names = {"objects", "doubtful", "overlap", "combinations", "refused"}
    assert names == {path.stem for path in tmp_path.glob("*.csv")}
    assert {path.stem for path in tmp_path.glob("*.p??")} == {"combinations", "overlap"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bright.csv"], "write name=path"),
        (["a=bright.csv"], "there is one channel, a"),
        (["a=bright.csv", "a=bright.csv"], "two lists are called a"),
        (["a=missing.csv", "b=bright.csv"], "no such list"),
        (["a=bright.csv@grade", "b=bright.csv"], "no column 'grade'"),
        (["a=bright.csv", "b=bright.csv", "--features", "mag"], "go together"),
        (["a=empty.csv", "b=bright.csv"], "no columns of positions"),
    ],
)
def test_lists_that_cannot_be_used_are_refused(world, monkeypatch, arguments, words):
    monkeypatch.chdir(world)
    (world / "empty.csv").write_text("name,mag\nx,20\n")
    with pytest.raises(InputError, match=words):
        command(arguments)


def test_rows_without_a_position_are_named(tmp_path):
    (tmp_path / "l.cat").write_text("# name RA DEC\nx 10 20\ny 400 20\n")
    table, refused = lists.read(tmp_path / "l.cat")
    assert len(table) == 1 and refused["row"].tolist() == [2] and "400" in refused["why"][0]
