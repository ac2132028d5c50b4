"""A missing value is never taken for a value, in any file format; nor is one object for another."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from data import catalogue
from data.catalogue import galaxy_id, missing
from data.selection import Selection, judged, select
from data.survey import default, load
from lensjax.errors import InputError

N = 3


def plain(**changes) -> dict[str, list]:
    """Three clean galaxies of one brick as plain lists; a change replaces a column."""
    row = {"RELEASE": 10000, "BRICKNAME": "0001p002", "TYPE": "SER", "DEC": 0.2, "SERSIC": 2.0}
    row |= {"SHAPE_R": 1.0, "SHAPE_E1": 0.0, "SHAPE_E2": 0.0, "MASKBITS": 0}
    row |= {f"FLUX_{b}": 20.0 for b in "GRZ"} | {f"NOBS_{b}": 5 for b in "GRZ"}
    table = {name: [value] * N for name, value in row.items()}
    table |= {"OBJID": list(range(N)), "RA": [0.1, 0.2, 0.3]}
    return table | changes


def as_fits(path, table, **columns) -> None:
    forms = {int: "J", float: "D", str: "10A"}
    made = [
        fits.Column(name=k, format=forms[type(v[0])], array=np.array(v))
        for k, v in table.items()
        if k not in columns
    ]
    fits.BinTableHDU.from_columns([*made, *columns.values()]).writeto(path)


@pytest.mark.parametrize(
    "column",
    [
        fits.Column("MASKBITS", "I", null=-32768, array=np.array([0, -32768, 0], np.int16)),
        fits.Column("MASKBITS", "J", null=99, array=np.array([0, 99, 0], np.int32)),
        fits.Column("MASKBITS", "B", null=255, array=np.array([0, 255, 0], np.uint8)),
        fits.Column("MASKBITS", "K", null=0, array=np.array([2, 0, 2])),
        fits.Column("MASKBITS", "E", array=np.array([0, np.nan, 0], np.float32)),
    ],
    ids=lambda c: f"{c.format} {c.null}",
)
def test_an_integer_that_fits_calls_missing_does_not_pass_as_clean(tmp_path, column):
    as_fits(tmp_path / "t.fits", plain(), MASKBITS=column)
    read = catalogue.read(tmp_path / "t.fits")
    assert missing(read["maskbits"]).tolist() == [False, True, False]
    kept, counters, refused = judged(read, Selection(maskbits=(0,)), None)
    assert kept["objid"].tolist() == [0, 2] and counters["maskbits_unknown"] == 1
    assert refused == [(2, "no MASKBITS")] and counters["maskbits"] == 0
    assert catalogue.to_arrow(read)["galaxy_id"].null_count == 0


def test_tnull_is_compared_with_what_is_stored_before_scale_and_offset(tmp_path):
    """An unsigned 16-bit column is stored with TZERO 32768; its stored 7 is 32775."""
    column = fits.Column("NOBS_G", "I", bzero=32768, null=7, array=np.array([5, 6, 7], np.uint16))
    as_fits(tmp_path / "t.fits", plain(), NOBS_G=column)
    read = catalogue.read(tmp_path / "t.fits")
    assert not missing(read["nobs_g"]).any() and read["nobs_g"].tolist() == [5, 6, 7]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("name", "counter"),
    [("MASKBITS", "maskbits_unknown"), ("NOBS_R", "nobs_unknown"), ("TYPE", "type_unknown")],
)
def test_null_and_empty_are_missing(tmp_path, ending, name, counter):
    import pandas as pd

    values = [plain()[name][0], None, plain()[name][0]]
    table, path = plain(**{name: values}), tmp_path / f"t.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table(table), path)
    else:
        pd.DataFrame({k: pd.Series(v, dtype=object) for k, v in table.items()}).to_csv(path)
    kept, counters = select(catalogue.read(path), Selection(), None)
    assert kept["objid"].tolist() == [0, 2] and counters[counter] == 1


def test_an_undefined_logical_is_not_primary_and_not_secondary(tmp_path):
    logical = fits.Column("BRICK_PRIMARY", "L", array=np.array([True, False, True]))
    as_fits(tmp_path / "t.fits", plain(), BRICK_PRIMARY=logical)
    content = bytearray((tmp_path / "t.fits").read_bytes())
    with fits.open(tmp_path / "t.fits") as hdus:
        data = hdus[1].data.view(np.ndarray)
        first = hdus.info(output=False) and hdus[1]._data_offset
        at = first + 2 * data.dtype.itemsize + data.dtype.fields["BRICK_PRIMARY"][1]
    content[at] = 0
    (tmp_path / "t.fits").write_bytes(bytes(content))
    counters = select(catalogue.read(tmp_path / "t.fits"), Selection(), None)[1]
    found = [counters[k] for k in ("primary_unknown", "not_primary", "kept")]
    assert found == [1, 1, 1]


@pytest.mark.parametrize(
    ("words", "primary"),
    [("TFT", [1, 0, 1]), ("101", [1, 0, 1]), (["true", "False", "T"], [1, 0, 1])],
)
def test_true_and_false_may_be_words(tmp_path, words, primary):
    pq.write_table(pa.table(plain(BRICK_PRIMARY=list(words))), tmp_path / "t.parquet")
    assert catalogue.read(tmp_path / "t.parquet")["brick_primary"].tolist() == primary


def test_large_whole_numbers_with_nulls_keep_every_digit(tmp_path):
    """LS_ID is beyond what float64 holds exactly."""
    number = (10000 << 40) | (331234 << 16) | 4091
    table = {k: v for k, v in plain().items() if k not in ("OBJID", "BRICKNAME", "RELEASE")}
    pq.write_table(pa.table(table | {"LS_ID": [number, None, number + 1]}), tmp_path / "t.parquet")
    read = catalogue.read(tmp_path / "t.parquet")
    assert read["galaxy_id"].tolist() == ["331234_4091", "", "331234_4092"]
    counters = select(read, Selection(), None)[1]
    assert counters["nameless"] == 1 and counters["kept"] == 2


@pytest.mark.parametrize("column", [[1e16, 2.0, 3.0], pa.array([2.0**24, 1.0, 2.0], pa.float32())])
def test_whole_numbers_that_were_rounded_as_floats_are_refused(tmp_path, column):
    table = {k: v for k, v in plain().items() if k not in ("OBJID", "BRICKNAME", "RELEASE")}
    pq.write_table(pa.table(table | {"LS_ID": column}), tmp_path / "t.parquet")
    with pytest.raises(
        InputError, match=r"LS_ID has whole .* as float.., which rounds them; write"
    ):
        catalogue.read(tmp_path / "t.parquet")


def test_one_brick_and_number_in_two_releases_are_two_objects(tmp_path):
    table = plain(RELEASE=[9010, 9012, 10000], OBJID=[7, 7, 7])
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    names = catalogue.read(tmp_path / "t.parquet")["galaxy_id"].tolist()
    assert names == ["0001p002_7_9010", "0001p002_7_9012", "0001p002_7"]
    assert galaxy_id(9010, "b", 7).tolist() == ["b_7_9010"]
    assert galaxy_id(None, np.array(["b", "../x", ""]), 7).tolist() == ["b_7", "", ""]


@pytest.mark.parametrize("brick", ["BRICKNAME", "BRICKID"])
def test_one_name_at_two_places_is_refused(tmp_path, brick):
    table = {k: v for k, v in plain(OBJID=[7, 8, 7]).items() if k != "BRICKNAME"}
    table[brick] = ["0001p002"] * N if brick == "BRICKNAME" else [331234] * N
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="rows 1 and 3 are both called .*_7, and are 720.0 arcsec"):
        catalogue.read(tmp_path / "t.parquet")
    pq.write_table(pa.table(table | {"RA": [0.1, 0.2, 0.1]}), tmp_path / "t.parquet")
    assert len(catalogue.read(tmp_path / "t.parquet")["ra"]) == N


@pytest.mark.parametrize("brick", ["../../xy", "a/b", "_x", ".x", "a b", "é", "x" * 300])
def test_a_brick_whose_name_is_no_name_of_a_file_gets_no_row_in_the_pool(tmp_path, brick):
    pq.write_table(pa.table(plain(BRICKNAME=["a1", brick, "a1"])), tmp_path / "t.parquet")
    kept, counters, refused = judged(catalogue.read(tmp_path / "t.parquet"), Selection(), None)
    assert kept["objid"].tolist() == [0, 2] and counters["nameless"] == 1
    assert refused[0][0] == 2 and "cannot name a file" in refused[0][1]


def test_a_survey_of_other_columns_units_and_bands(tmp_path):
    """One band in microjansky, no masks and no colour."""
    from dataclasses import replace

    survey = load("euclid_vis")
    named = {"flux_{band}": "flux_{BAND}_sersic", "ra": "right_ascension", "objid": "object_id"}
    known = replace(survey.catalogue, columns=named, zero_point=23.9, mask_bits={})
    survey = replace(survey, catalogue=known)
    table = plain()
    table |= {"right_ascension": table.pop("RA"), "Object_ID": table.pop("OBJID")}
    table |= {"flux_VIS_sersic": [100.0] * N, "NOBS_VIS": [5] * N}
    del table["MASKBITS"]
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    read = catalogue.read(tmp_path / "t.parquet", survey)
    np.testing.assert_allclose(read["flux_vis"], 100 * 10 ** (-0.4 * 1.4))
    kept, counters = select(read, Selection(), None, survey=survey)
    assert counters["kept"] == N and counters["vis_mag"] == 0 and counters["blue_clumpy"] == 0
    assert kept["nobs_vis_bin"].tolist() == ["3-5"] * N
    with pytest.raises(InputError, match="needs flux_VIS_sersic"):
        select({k: v for k, v in read.items() if k != "flux_vis"}, Selection(), None, "t", survey)
    assert catalogue.file_name(default(), "psfsize_g") == "PSFSIZE_G"
