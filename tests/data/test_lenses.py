"""Lens lists are read whole or refused row by row; distances on the sky are right everywhere."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import catalogue, lenses, tables
from lensjax.errors import InputError

LIST = """name,RA [deg],DEC [deg],zlens,type,grading,ref
DESI-001.0000+02.0000,1.0,2.0,-,galaxy,confident,x
J0001,359.9999,-89.0,0.5,galaxy,probable,x
"A, with a comma",12.5,3,0.4,group,probable,x
"""


def test_reads_lenscat_format(tmp_path):
    (tmp_path / "l.csv").write_text(LIST)
    found, refused = lenses.read(tmp_path / "l.csv")
    assert len(found) == 3 and refused == []
    assert found.tier(lenses.TIERS).tolist() == ["A", "B", "B"]
    assert found.where(found.having("DESI")).name.tolist() == ["DESI-001.0000+02.0000"]
    assert found.tier({"confident": "A"}).tolist() == ["A", "", ""]


def test_rows_without_a_position_are_listed_with_their_line(tmp_path):
    (tmp_path / "l.csv").write_text(
        LIST
        + "bad,,1,-,galaxy,probable,x\nhms,10:20:30,1,-,galaxy,probable,x\n"
        + "far,400,1,-,galaxy,probable,x\npole,1,91,-,a,b,x\n"
    )
    found, refused = lenses.read(tmp_path / "l.csv")
    assert len(found) == 3 and [line for line, _ in refused] == [5, 6, 7, 8]
    assert "'10:20:30'" in refused[1][1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,ra_hms,grading\na,b,c\n", "no column RA or DEC"),
        ("name,RA\na,1\n", "no column DEC"),
        ('a,"b\nc', "not a CSV"),
        ("", "not a CSV"),
    ],
)
def test_a_list_without_positions_is_refused(tmp_path, text, message):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(InputError, match=f"l.csv: {message}"):
        lenses.read(tmp_path / "l.csv")
    with pytest.raises(InputError, match="no such lens list"):
        lenses.read(tmp_path / "none.csv")


def test_a_list_is_the_same_as_csv_tsv_and_parquet_and_after_writing(tmp_path):
    frame = pd.DataFrame(
        {"Name": ["a", "b", "c"], "RA": [0.1, 359.123456789012, 7.0], "grade": ["A", None, "C"]}
    ).assign(DEC=[1 / 3, -89.999999999999, np.nan])
    frame.to_csv(tmp_path / "l.csv", index=False)
    frame.to_csv(tmp_path / "l.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "l.parquet")
    for ending in ("csv", "tsv", "parquet"):
        found, refused = lenses.read(tmp_path / f"l.{ending}")
        assert found.name.tolist() == ["a", "b"] and found.grading.tolist() == ["A", ""]
        assert [line for line, _ in refused] == [4]
        assert found.ra.tolist() == frame["RA"][:2].tolist()
        assert found.dec.tolist() == frame["DEC"][:2].tolist()
    lenses.write(tmp_path / "again.parquet", found)
    again, refused = lenses.read(tmp_path / "again.parquet")
    assert refused == [] and again.dec.tolist() == found.dec.tolist()
    lenses.write(tmp_path / "none.parquet", found.where(np.zeros(2, bool)))
    assert len(lenses.read(tmp_path / "none.parquet")[0]) == 0
    (tmp_path / "no.parquet").write_text("name,RA,DEC")
    with pytest.raises(InputError, match="no.parquet: not a Parquet lens list"):
        lenses.read(tmp_path / "no.parquet")


def test_separations_agree_with_astropy():
    from astropy.coordinates import SkyCoord

    rng = np.random.default_rng(2)
    ra, dec = rng.uniform(0, 360, 300), np.degrees(np.arcsin(rng.uniform(-1, 1, 300)))
    ra2, dec2 = (
        ra + rng.normal(0, 20, 300) / 3600,
        np.clip(dec + rng.normal(0, 20, 300) / 3600, -90, 90),
    )
    index, separation = lenses.SkyTree(ra, dec).nearest(ra2, dec2)
    theirs = SkyCoord(ra2, dec2, unit="deg").match_to_catalog_sky(SkyCoord(ra, dec, unit="deg"))
    np.testing.assert_array_equal(index, theirs[0])
    np.testing.assert_allclose(separation, theirs[1].arcsec, atol=1e-7)


def test_pairs_and_empty_trees():
    tree = lenses.SkyTree(np.array([10.0, 10.0, 50.0]), np.array([0.0, 4 / 3600, 0.0]))
    one, other, separation = tree.pairs(np.array([10.0, 80.0]), np.array([0.0, 0.0]), 5.0)
    assert one.tolist() == [0, 0] and other.tolist() == [0, 1]
    np.testing.assert_allclose(separation, [0.0, 4.0], atol=1e-7)
    empty = lenses.SkyTree(np.empty(0), np.empty(0))
    assert np.isinf(empty.separation(np.array([1.0]), np.array([1.0]))).all()
    assert empty.pairs(np.array([1.0]), np.array([1.0]), 5.0)[0].size == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), min_size=1, max_size=12))
def test_one_to_one_keeps_the_closest_lens_of_each_object(pairs):
    lens = np.arange(len(pairs))
    obj = np.array([f"g{o}" for o, _ in pairs])
    separation = np.array([s for _, s in pairs])
    keep = lenses.one_to_one(lens, obj, separation)
    for name in set(obj):
        mine = np.flatnonzero(obj == name)
        winner = min(mine, key=lambda i: (separation[i], lens[i]))
        assert keep[mine].sum() == 1 and keep[winner]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_of_two_columns_of_a_name_the_one_in_degrees_counts(tmp_path, ending):
    path = tmp_path / f"l.{ending}"

    def written(columns):
        frame = pd.DataFrame({name: [value] for name, value in columns.items()})
        frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
        return path

    sexagesimal = {"name": "a", "RA": "10:12:13", "DEC": "-1:30:00"}
    found, refused = lenses.read(written({**sexagesimal, "RA [deg]": 153.05, "DEC [deg]": -1.5}))
    assert (found.ra.tolist(), found.dec.tolist(), refused) == ([153.05], [-1.5], [])
    with pytest.raises(InputError, match=r"columns 'ra' and 'RA' are both ra; remove or rename"):
        lenses.read(written({"name": "a", "ra": 1.0, "RA": 1.0, "DEC": 2.0}))


def test_rows_longer_than_the_heading_are_refused_by_every_reader(tmp_path):
    """One value more in every row would move all columns by one."""
    from classifiers.audit import choosing, matching
    from classifiers.ensembles import cleaning
    from classifiers.training import choice

    path = tmp_path / "t.csv"
    path.write_text("galaxy_id,RA,DEC,action\na,1,2,keep,\nb,3,4,keep,\n")
    for read in (
        lenses.read,
        tables.read,
        catalogue.read,
        choice.left_out,
        matching.read,
        cleaning.read,
        lambda path: choosing.read_table(path, ["galaxy_id"], "audit.trained_on"),
    ):
        with pytest.raises(InputError, match=r"t\.csv: its rows have more values than its heading"):
            read(path)
    path.write_text(
        "brickname,objid,ra,dec\n0001m002,1,10.5,-1.5,\n"
    )  # all of its columns are read
    with pytest.raises(InputError, match="more values than its heading"):
        catalogue.read(path)
    path.write_text("galaxy_id, RA, DEC\n007, 1, 2\n")
    assert len(lenses.read(path)[0]) == 1 and choice.left_out(path) == {"007"}


def test_lenscat(survey_data):
    found, refused = lenses.read(survey_data / "lenses" / "lenscat" / "catalog.csv")
    assert len(found) == 32838 and not refused and len(found.having("DESI")) == 5104
    tiers = found.tier(lenses.TIERS)
    assert (tiers == "A").sum() == 2309 and (tiers == "B").sum() == 30529
