"""Completeness tables as files: every format holds the same numbers, units and provenance; the
published table is read, and its sums are those that were published."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import selection_worlds as worlds
from astropy import units
from astropy.io import fits
from astropy.table import QTable, Table

from classifiers.selection import SelectionFunction, published, tablefile
from data.files import sha256
from lensjax.errors import InputError

ABOUT = {
    "axes": [
        {"name": a.name, "label": a.label, "unit": a.unit, "kind": a.kind, "column": a.column}
        for a in (*worlds.GRID.axes, *worlds.GRID.measured)
    ],
    "prior": "arclike, “as drawn”",
    "finder": {"name": "resnet18", "manifest_sha256": "0" * 64},
}
POINTS = {"theta_e": [0.4, 1.2, 9.0], "psf": 1.2, "depth": 23.5, "source_mag": 24.2}


@pytest.fixture(scope="module")
def table():
    rows = worlds.injections(worlds.smooth, np.random.default_rng(0))
    return worlds.table(rows[rows["cell_depth_m5"] == 23.3])  # half of the cells are empty


@pytest.mark.parametrize("ending", tablefile.ENDINGS)
def test_every_format_is_the_same_table_and_the_same_bytes_again(table, tmp_path, ending):
    for name in ("a", "b"):
        tablefile.write(table, ABOUT, tmp_path / f"{name}{ending}")
    assert sha256(tmp_path / f"a{ending}") == sha256(tmp_path / f"b{ending}")
    found, about = tablefile.read(tmp_path / f"a{ending}")
    pd.testing.assert_frame_equal(found, table, check_dtype=False, rtol=1e-7)
    assert about == ({} if ending == ".csv" else ABOUT)
    asked = SelectionFunction.load(tmp_path / f"a{ending}").query(**POINTS)
    wanted = SelectionFunction.of(table).query(**POINTS)
    for one, other in zip(asked[:3], wanted[:3]):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert asked.flag.tolist() == wanted.flag.tolist()


def test_units_and_meanings_go_with_the_columns(table, tmp_path):
    for ending in tablefile.ENDINGS:
        tablefile.write(table, ABOUT, tmp_path / f"t{ending}")
    for ending, kind in ((".ecsv", "ascii.ecsv"), (".fits", "fits")):
        read = QTable.read(tmp_path / f"t{ending}", format=kind)
        assert read["theta_e"].unit == read["psf_hi"].unit == units.arcsec
        assert read["depth_m5"].unit == units.mag
    assert "lower edge" in Table.read(tmp_path / "t.ecsv")["psf_lo"].description
    with fits.open(tmp_path / "t.fits", checksum=True) as opened:
        header = opened["COMPLETENESS"].header
        names = list(opened["COMPLETENESS"].columns.names)
        assert header[f"TUNIT{names.index('theta_e') + 1}"] == "arcsec"
        assert header[f"TCOMM{names.index('k') + 1}"] == "injections that were found"
        assert json.loads(header["LENSJAX"]) == ABOUT
    field = pq.read_schema(tmp_path / "t.parquet").field("depth_lo")
    assert field.metadata[b"unit"] == b"mag" and b"lower edge" in field.metadata[b"description"]


def test_it_is_found_by_run_and_by_the_audit_s_folder(table, tmp_path):
    tablefile.write(table, ABOUT, tmp_path / "run" / "audit" / "completeness.parquet")
    wanted = SelectionFunction.of(table).query(**POINTS).value
    for path in (tmp_path / "run", tmp_path / "run" / "audit"):
        np.testing.assert_array_equal(SelectionFunction.load(path).query(**POINTS).value, wanted)
    shutil.rmtree(tmp_path / "run" / "audit")
    with pytest.raises(InputError, match="run: no such completeness table; run `lensjax audit`"):
        SelectionFunction.load(tmp_path / "run")


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("t.txt", "theta_e\n1\n", "ends in .parquet, .csv, .ecsv, .fits"),
        ("t.csv", "theta_e,k\n1,2\n", "not a completeness table, column 'threshold_name'"),
        ("t.csv", "", "cannot be read as a table"),
        ("t.parquet", "PAR1", "cannot be read as a table"),
        ("t.fits", "<html>", "cannot be read as a table"),
        ("t.ecsv", "a,b\n1,2\n", "cannot be read as a table"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words) as error:
        SelectionFunction.load(tmp_path / name)
    assert "\n" not in str(error.value) and name in str(error.value)


@pytest.fixture(scope="module")
def theirs(survey_data):
    folder = survey_data / "reference" / "ls_dr10_selection_function"
    return folder / "grid_no_poisson_selection_function.csv"


def test_the_published_numbers_come_out_of_the_published_table(theirs):
    ask = SelectionFunction.load(theirs, 0.3)
    lines = ask.lines(ask.needed)
    assert (lines["k"].sum(), lines["n"].sum()) == (5697, 110_000)
    assert round(100 * 5697 / 110_000, 2) == 5.18
    along = lines.groupby("theta_e")[["k", "n"]].sum()
    share = (100 * along["k"] / along["n"]).round(2)
    assert share[[0.5, 1.5, 2.5, 3.0]].tolist() == [0.22, 5.59, 8.33, 7.15]
    assert len(lines) == 385 and (lines["n"] == 0).sum() == 165
    strict = SelectionFunction.load(theirs, "fpr0.001")
    assert strict.threshold == pytest.approx(0.806, abs=5e-4)
    found = strict.lines(strict.needed)
    assert round(100 * found["k"].sum() / found["n"].sum(), 2) == 2.89


def test_the_published_table_answers_queries(theirs):
    ask, raw = SelectionFunction.load(theirs, 0.3), pd.read_csv(theirs)
    one = raw.query(
        "theta_e == 2 and psf_fwhm == 1.2 and depth_5sig == 24 and threshold == 0.3"
    ).set_index("source_mag_bin")
    point = {"theta_e": 2.0, "psf": 1.2, "depth": 24.0}
    found = ask.query(**point)
    assert float(found.value) == one.loc["all", "completeness"] and found.flag == "supported"
    assert found.lower <= one.loc["all", "ci95_lo"] and found.upper >= one.loc["all", "ci95_hi"]
    bright = ask.query(**point, source_mag=23.5)
    assert float(bright.value) == one.loc["23-24", "completeness"]
    lensed = ask.query(**point, arc_mag=21.0)
    assert float(lensed.value) == one.loc["lensed_20-22", "completeness"]
    # No host had these conditions, and nothing is made up for them.
    assert ask.query(theta_e=2.0, psf=1.0, depth=22.5).flag == "insufficient"
    assert np.isnan(ask.query(theta_e=2.0, psf=1.0, depth=22.5).value)
    # Einstein radii were points, so that nothing is known beyond the last one.
    assert ask.query(theta_e=[2.1, 3.1], psf=1.2, depth=24.0).flag.tolist() == [
        "interpolated",
        "outside",
    ]
    assert published.is_published(raw)
