"""Every selected lens has one object or a reason, and no object has two lenses."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from crowded_survey import crowded, write
from small_survey import LENSES, sweep, write_cutout, write_lenses, write_survey

from data import catalogue, lenses
from data.selection import Selection
from data.survey import default
from lensjax.errors import InputError
from spark import nearest
from spark.crossmatch import CrossmatchSettings, crossmatch, near_lenses
from spark.pool import negative_pool

FILES = ["sweep/sweep-a.fits", "sweep/sweep-b.fits"]


def run(spark, out, root, files=FILES, given=(), on_bad_file="stop", **settings):
    listed, _ = lenses.read(root / "lenses.csv")
    refused = crossmatch(
        spark, out, root, files, list(given), listed, CrossmatchSettings(**settings), on_bad_file
    )
    counts = (
        pd.read_csv(out / "counts" / "crossmatch.csv", dtype=str)
        .set_index("quantity")["value"]
        .to_dict()
    )
    unmatched = pd.read_csv(out / "counts" / "unmatched.csv").set_index("name")["reason"].to_dict()
    return (
        pq.read_table(out / "positives" / "positives.parquet").to_pandas(),
        counts,
        unmatched,
        refused,
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_survey(tmp_path_factory.mktemp("survey"), cutouts=False)


def test_matches_what_was_put_there(root, tmp_path, spark):
    found, counts, unmatched, refused = run(spark, tmp_path, root)
    assert refused == [] and len(found) == LENSES and found["galaxy_id"].is_unique
    expected = {
        f"DESI-{name}{i}": f"0{seed}{(7 * i + 3) % 3:02d}m005_{7 * i + 3}"
        for seed, name in ((1, "a"), (2, "b"))
        for i in range(LENSES // 2)
    }
    assert dict(zip(found["lens_name"], found["galaxy_id"], strict=True)) == expected
    np.testing.assert_allclose(
        found["separation_arcsec"], 0.1 * np.cos(np.radians(found["dec"])), rtol=1e-3
    )
    assert counts["selected by name"] == str(LENSES + 2) and counts["listed"] == str(LENSES + 5)
    assert (counts["tier A"], counts["tier B"]) == ("2", str(LENSES - 2))
    assert (
        counts["separation arcsec, quantile 0.50"] == f"{found['separation_arcsec'].median():.4f}"
    )
    assert unmatched["DESI-far"].startswith("outside the footprint") and unmatched[
        "DESI-2as"
    ].startswith("outside the footprint")
    assert {"nobs_z_bin", "type_bin", "tier", "flux_r"} <= set(found.columns)


def test_reasons_for_no_match(root, tmp_path):
    table = sweep(1)
    near = [
        ("DESI-3as", table["RA"][5], table["DEC"][5] + 3 / 3600, "probable"),
        ("DESI-odd", table["RA"][6], table["DEC"][6], "rumour"),
    ]
    pair = [
        ("DESI-x", table["RA"][8], table["DEC"][8] + 0.5 / 3600, "probable"),
        ("DESI-y", table["RA"][8], table["DEC"][8] + 0.2 / 3600, "confident"),
    ]
    (tmp_path / "sweep").mkdir()
    table.write(tmp_path / "sweep" / "s.fits")
    write_lenses(tmp_path / "lenses.csv", [*near, *pair])
    found, counts, unmatched, _ = run(None, tmp_path / "out", tmp_path, ["sweep/s.fits"])
    assert found["lens_name"].tolist() == ["DESI-y"] and found["tier"].tolist() == ["A"]
    assert unmatched["DESI-3as"] == "no catalogue row within 1 arcsec (nearest at 3.00)"
    assert unmatched["DESI-odd"] == "grading 'rumour' has no tier"
    assert unmatched["DESI-x"] == "same object as DESI-y (0102m005_8)"
    assert (
        counts["unmatched, no catalogue row within 1 arcsec"]
        == counts["unmatched, same object"]
        == "1"
    )
    wider, *_ = run(None, tmp_path / "wide", tmp_path, ["sweep/s.fits"], radius=4.0)
    assert sorted(wider["lens_name"]) == ["DESI-3as", "DESI-y"]
    everything, *_ = run(None, tmp_path / "all", tmp_path, ["sweep/s.fits"], tiers={"rumour": "B"})
    assert everything["lens_name"].tolist() == ["DESI-odd"]


def test_positions_alone_are_matched_but_cannot_be_named(root, tmp_path):
    table = sweep(1)["RA", "DEC"]
    (tmp_path / "sweep").mkdir()
    table.write(tmp_path / "sweep" / "positions.fits")
    write_lenses(tmp_path / "lenses.csv", [("DESI-1", table["RA"][3], table["DEC"][3], "probable")])
    found, _, unmatched, _ = run(None, tmp_path / "out", tmp_path, ["sweep/positions.fits"])
    assert len(found) == 0 and "no BRICKNAME and OBJID" in unmatched["DESI-1"]
    write_cutout(tmp_path / "given", sweep(1)[3])
    found, _, unmatched, _ = run(
        None, tmp_path / "with", tmp_path, ["sweep/positions.fits"], ["given/0100m005_3.npz"]
    )
    assert found["galaxy_id"].tolist() == ["0100m005_3"] and unmatched == {}


def test_the_latest_release_wins(tmp_path):
    (tmp_path / "sweep").mkdir()
    sweep(1, release=8000).write(tmp_path / "sweep" / "old.fits")
    new = sweep(1, release=10000)
    new["OBJID"] += 500
    new["RA"] += 0.4 / 3600
    new.write(tmp_path / "sweep" / "new.fits")
    write_lenses(
        tmp_path / "lenses.csv", [("DESI-1", new["RA"][3] - 0.4 / 3600, new["DEC"][3], "probable")]
    )
    found, *_ = run(None, tmp_path / "out", tmp_path, ["sweep/old.fits", "sweep/new.fits"])
    assert found["galaxy_id"].tolist() == ["0100m005_503"] and found["release"].tolist() == [10000]


def test_unreadable_cutouts_stop_or_are_listed(root, tmp_path):
    (tmp_path / "sweep").mkdir()
    sweep(1).write(tmp_path / "sweep" / "s.fits")
    write_lenses(
        tmp_path / "lenses.csv", [("DESI-1", sweep(1)["RA"][3], sweep(1)["DEC"][3], "probable")]
    )
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="bad.npz"):
        run(None, tmp_path / "out", tmp_path, ["sweep/s.fits"], ["bad.npz"])
    found, *_, refused = run(
        None, tmp_path / "out2", tmp_path, ["sweep/s.fits"], ["bad.npz"], "quarantine"
    )
    assert len(found) == 1 and refused[0][0] == "bad.npz" and str(tmp_path) not in refused[0][1]


def test_two_cutouts_of_one_name_are_of_one_object_or_refused(root, tmp_path):
    table = sweep(1)
    (tmp_path / "sweep").mkdir()
    table["RA", "DEC"].write(tmp_path / "sweep" / "positions.fits")
    write_lenses(tmp_path / "lenses.csv", [("DESI-1", table["RA"][3], table["DEC"][3], "probable")])
    for folder in ("a", "b", "c"):
        table["RA"][3] += 190 * (folder == "c")
        write_cutout(tmp_path / folder, table[3])
    given = [f"{folder}/0100m005_3.npz" for folder in "abc"]
    made = tmp_path / "out"
    *_, refused = run(None, made, tmp_path, ["sweep/positions.fits"], given[:2])
    assert refused == [(given[1], f"0100m005_3 is also in {given[0]}")]
    assert pq.read_table(made / "positives" / "given.parquet")["path"].to_pylist() == given[:1]
    with pytest.raises(
        InputError, match=rf"{given[0]} and {given[2]} are both cutouts of .* apart"
    ):
        run(None, tmp_path / "out2", tmp_path, ["sweep/positions.fits"], given)


def test_a_name_that_no_lens_has(root, tmp_path):
    with pytest.raises(InputError, match=r"no lens of the list has 'HSC' in its name"):
        run(None, tmp_path, root, named="HSC")


def test_real_lenscat_and_cutouts(survey_data, tmp_path):
    """The five DR10 cutouts lie within 0.5 arcsec of a DESI-named entry, all of grading probable;
    three LRGs are matched but have no name."""
    listed, _ = lenses.read(survey_data / "lenses" / "lenscat" / "catalog.csv")
    given = sorted(
        str(p.relative_to(survey_data))
        for p in (survey_data / "images" / "ls_dr10_lens_cutouts").glob("*.npz")
    )
    crossmatch(
        None,
        tmp_path,
        survey_data,
        ["tractor/dr10_lrg/lrg_parent_total_lrg_v3.parquet"],
        given,
        listed,
        CrossmatchSettings(),
    )
    found = pq.read_table(tmp_path / "positives" / "positives.parquet").to_pandas()
    assert sorted(found["galaxy_id"]) == [
        "0001m040_4091",
        "0001m060_2396",
        "0001m372_9677",
        "0006p270_2574",
        "3598m030_3212",
    ]
    assert (found["tier"] == "B").all() and found["separation_arcsec"].max() < 0.5
    reasons = pd.read_csv(tmp_path / "counts" / "unmatched.csv")["reason"]
    assert len(reasons) == 5104 - 5 and reasons.str.contains("no BRICKNAME and OBJID").sum() == 3


def test_what_can_be_mapped_gives_the_rows_that_the_whole_file_gives(tmp_path):
    """With a table of which many rows are near lenses, some are not primary and some lie nowhere;
    rows are read whole where one name stands at two places."""
    table = crowded()
    write(tmp_path / "a.fits", table)
    rng = np.random.default_rng(0)
    of = rng.integers(0, len(table), 40)
    listed = lenses.Lenses(
        np.array([f"L{i}" for i in range(40)]),
        np.nan_to_num(np.asarray(table["RA"])[of]) + rng.uniform(-30, 30, 40) / 3600,
        np.clip(np.asarray(table["DEC"])[of], -90, 90),
        np.full(40, "probable"),
    )
    columns = near_lenses(tmp_path / "a.fits", listed, 60.0, default())
    whole = catalogue.read(tmp_path / "a.fits")
    assert 20 < len(columns["ra"]) < len(whole["ra"]) / 3
    one, other = (nearest.of_rows(c, listed, 60.0, default()) for c in (columns, whole))
    assert one.equals(other) and one.num_rows > 20
    table["BRICKNAME"][700], table["OBJID"][700] = table["BRICKNAME"][1], table["OBJID"][1]
    write(tmp_path / "twice.fits", table)
    with pytest.raises(InputError, match="are both called"):
        near_lenses(tmp_path / "twice.fits", listed, 60.0, default())


def test_what_the_pool_noted_stands_for_the_files(tmp_path):
    """Matches are the same bytes, from however many ranges, also of some of the lenses only, and
    when the files have gone; but a file that the pool refused is read."""
    table, root = crowded(), tmp_path
    write(root / "a.fits", table)
    write(root / "b.fits", sweep(1, rows=400))
    bare = sweep(2)[["RELEASE", "BRICKNAME", "OBJID", "RA", "DEC"]]
    bare.write(root / "positions.fits")
    at = [(f"DESI-{i}", table["RA"][i], table["DEC"][i] + 0.3 / 3600) for i in range(51, 71)]
    at += [(f"other-{i}", 20.0 + 0.5 * (i % 40), -15.0 + 0.6 * (i // 40)) for i in range(90)]
    at += [(f"DESI-p{i}", bare["RA"][i], bare["DEC"][i] + 9 / 3600) for i in range(9)]
    write_lenses(root / "lenses.csv", [(*one, "confident") for one in at])
    files, (listed, _) = ["a.fits", "b.fits", "positions.fits"], lenses.read(root / "lenses.csv")
    wide = CrossmatchSettings(named="DESI", radius=30.0, horizon=900.0)
    how = (files, [], listed, wide, "quarantine", default())
    for n in (1, 5):
        pool = root / f"run{n}" / "pool"
        size = -(-(root / "a.fits").stat().st_size // n)
        refused = negative_pool(
            None,
            pool.parent,
            root,
            files,
            listed,
            Selection(),
            "quarantine",
            range_bytes=size,
            horizon=wide.horizon,
        )
        assert [path for path, _ in refused] == ["positions.fits"]
    assert crossmatch(None, root / "read", root, *how) == []
    (root / "a.fits").unlink()
    (root / "b.fits").unlink()
    for n in (1, 5):
        assert crossmatch(None, root / f"{n}", root, *how, root / f"run{n}" / "pool") == []
        for path in sorted((root / "read").rglob("*.*")):
            assert (
                path.read_bytes() == (root / f"{n}" / path.relative_to(root / "read")).read_bytes()
            )
    found = pd.read_parquet(root / "read" / "positives" / "positives.parquet")
    assert len(found) > 20 and found["lens_name"].str.startswith("DESI-p").sum() == 9
