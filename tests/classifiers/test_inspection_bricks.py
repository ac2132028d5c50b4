"""Candidates of a scan over bricks are shown: their stamps are cut out of the coadds, and a name of
a table never becomes a path by itself."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scannable import BRICKS, SMALL, bricks

from classifiers.inspection import frombricks, verb
from classifiers.scanning.frombricks import Bricks as Scanned
from classifiers.scanning.stamps import Part
from lensjax.errors import InputError


@pytest.fixture(scope="module")
def survey(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """A folder of bricks, and its objects as a list of candidates has them."""
    root = tmp_path_factory.mktemp("bricks")
    table = bricks(root).to_pandas()
    ids = [f"{row.BRICKNAME}_{row.OBJID}" for row in table.itertuples()]
    columns = {"galaxy_id": ids, "ra": table["RA"], "dec": table["DEC"]}
    return root, pd.DataFrame({**columns, "brickname": table["BRICKNAME"], "score": 0.5})


def asked(folder: Path, root: Path, table: pd.DataFrame, **more) -> verb.Serve:
    table.to_csv(folder / "candidates.csv", index=False)
    values = {"bricks": root, "id": "galaxy_id", **more}
    return verb.Serve(folder / "candidates.csv", folder / "out", **values)


def test_every_stamp_is_the_one_that_a_scan_scores(survey, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    root, table = survey
    rows = pa.table(
        {
            "galaxy_id": table["galaxy_id"].tolist(),
            "ra": table["ra"].to_numpy(),
            "dec": table["dec"].to_numpy(),
            "brick": table["brickname"].tolist(),
            "release": [10000] * len(table),
        }
    )
    pq.write_table(rows, tmp_path / "rows.parquet")
    part = Part("a", len(table), (str(tmp_path / "rows.parquet"), 0))
    scanned = {s.known["galaxy_id"]: s.image for s in Scanned(root, SMALL, 32).stamps(part)}
    table.to_csv(tmp_path / "t.csv", index=False)
    where = frombricks.places(tmp_path / "t.csv", "galaxy_id")
    shown = frombricks.Bricks(root, SMALL, 32, where)
    compared = [id for id, image in scanned.items() if image is not None]
    assert len(compared) > 25
    for id in compared:
        np.testing.assert_array_equal(shown(id), scanned[id])


def test_a_brick_is_read_once_for_all_of_its_objects_and_memory_is_bounded(
    survey, tmp_path, monkeypatch
):
    root, table = survey
    read = []
    own = frombricks.read_brick
    monkeypatch.setattr(frombricks, "read_brick", lambda *a: read.append(a[1]) or own(*a))
    table.to_csv(tmp_path / "t.csv", index=False)
    where = frombricks.places(tmp_path / "t.csv", "galaxy_id")
    of = frombricks.Bricks(root, SMALL, 32, where)
    for id in where:
        assert of(id).shape == (32, 32, 3)
    assert sorted(read) == sorted(BRICKS)
    monkeypatch.setattr(frombricks, "KEPT", 5)
    small = frombricks.Bricks(root, SMALL, 32, where)
    for id in where:
        small(id)
    assert len(small._kept) == 12  # one brick's


@pytest.mark.parametrize("name", ["../../etc", "/etc", "a/b", "..", ".hidden", "1500p100\0"])
def test_a_hostile_brick_name_is_refused_with_its_row(survey, tmp_path, name):
    root, table = survey
    table = table.copy()
    table.loc[2, "brickname"] = name
    table.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet, row 3: brick name .* cannot be used"):
        frombricks.places(tmp_path / "t.parquet", "galaxy_id")
    if "\0" not in name:
        with pytest.raises(InputError, match=r"candidates\.csv, row 3: brick name"):
            verb.pictures_of(asked(tmp_path, root, table))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("ra", 400.0, "row 1: ra '400.0' is not an angle from 0 to 360"),
        ("dec", "north", "row 1: dec 'north' is not an angle from -90 to 90"),
        ("ra", None, "row 1: ra None is not an angle"),
    ],
)
def test_a_position_off_the_sky_is_refused_with_its_row(survey, tmp_path, column, value, said):
    root, table = survey
    table = table.astype({column: object})
    table.loc[0, column] = value
    with pytest.raises(InputError, match=said):
        verb.pictures_of(asked(tmp_path, root, table))


def test_what_cannot_be_cut_is_said_of_the_object_and_the_others_are_shown(
    survey, tmp_path, capsys
):
    root, table = survey
    table = table.copy()
    table.loc[0, "brickname"] = None
    table.loc[1, "ra"] = 151.0
    table.loc[4, "brickname"] = "1600p100"
    pictures = verb.pictures_of(asked(tmp_path, root, table))
    said = capsys.readouterr().out
    assert f"1 of {len(BRICKS) + 1} bricks have no image" in said and "1600p100" in said
    names = table["galaxy_id"]
    assert "no brickname" in pictures.problem(names[0])
    assert "lies outside the image of its brick 1500p100" in pictures.problem(names[1])
    assert "no image of brick 1600p100" in pictures.problem(names[4])
    assert pictures.problem(names[5]) == ""
    assert pictures.of(names[5], pictures.panels[0].name).startswith(b"\x89PNG")


def test_calibration_items_are_cut_out_of_the_same_bricks(survey, tmp_path):
    root, table = survey
    table.iloc[20:24].assign(truth="lens").to_csv(tmp_path / "known.csv", index=False)
    pictures = verb.pictures_of(
        asked(tmp_path, root, table.iloc[:10], calibration=tmp_path / "known.csv")
    )
    assert pictures.problem(table["galaxy_id"][21]) == ""


def test_one_folder_of_pixels_is_given_and_it_has_to_be_there(survey, tmp_path):
    root, table = survey
    for more in ({"bricks": None}, {"images": root}):
        with pytest.raises(InputError, match="give one of --images"):
            verb.pictures_of(asked(tmp_path, root, table, **more))
    with pytest.raises(InputError, match="no such folder of bricks"):
        verb.pictures_of(asked(tmp_path, tmp_path / "none", table))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=f"no image of any of the {len(BRICKS)} bricks"):
        verb.pictures_of(asked(tmp_path, tmp_path / "empty", table))
    with pytest.raises(InputError, match="no column 'brickname', which is needed"):
        verb.pictures_of(asked(tmp_path, root, table.drop(columns="brickname")))
    with pytest.raises(InputError, match="no object has a brickname"):
        verb.pictures_of(asked(tmp_path, root, table.assign(brickname=None)))
