"""The pool as VOTable and ECSV: opened by astropy, with every row, unit and description."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.table import Table
from crowded_survey import crowded, frame, made, write_near_lenses

from data import columns, voexport
from data.survey import default
from data.voexport import export
from lensjax.errors import InputError
from spark.jobs import outputs
from spark.maps import MapSettings, make_maps

FORMATS = {"vot": "votable", "ecsv": "ascii.ecsv"}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A run with a pool of two files."""
    root = tmp_path_factory.mktemp("vo")
    table = crowded(150)
    held = frame(table)
    for i, piece in enumerate((held[:61], held[61:])):
        pq.write_table(pa.Table.from_pandas(piece, preserve_index=False), root / f"{i}.parquet")
    write_near_lenses(root / "l.csv", table)
    made(root, root / "out", ["0.parquet", "1.parquet"])
    return root / "out"


def opened(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nanomaggies are no unit of the IVOA
        return Table.read(path, format=FORMATS[path.suffix[1:]])


def of_pandas(out):
    whole = pd.concat([pd.read_parquet(p) for p in outputs(out / "pool")])
    return whole.sort_values("galaxy_id", ignore_index=True)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_setting_writes_every_row_with_units_and_descriptions(out, kind):
    pool = outputs(out / "pool")
    figures = make_maps(None, out, pool, MapSettings(nside=32, more=(), formats=("vot", "ecsv")))
    table, whole = opened(out / "catalogue" / f"galaxies.{kind}"), of_pandas(out)
    assert len(table) == len(whole) == figures["table_rows"] > 20
    assert table.colnames == list(whole.columns)
    table.sort("galaxy_id")
    meant, known = columns.descriptions(default()), columns.columns(default(), "pool")
    for column in known:
        own, other = table[column.name], whole[column.name]
        assert own.description == meant[column.name]
        assert units.Unit(str(own.unit or "")) == units.Unit(column.unit), column.name
        absent = other.isna().to_numpy()
        if column.type == "string":
            assert [str(v) for v in own[~absent]] == other[~absent].tolist()
        else:
            values = np.ma.filled(np.ma.asarray(own, float), np.nan)
            np.testing.assert_array_equal(values, other.to_numpy(float))
        hidden = np.ma.getmaskarray(np.ma.asarray(own)) | np.zeros(len(own), bool)
        if column.type == "string" and absent.any():
            assert all(hidden[absent] | (np.asarray(own[absent].astype(str)) == ""))


def test_the_bytes_depend_on_the_rows_only_and_not_on_how_many_are_written_at_once(out, tmp_path):
    pool, survey = outputs(out / "pool"), default()
    rows = pq.ParquetDataset(pool).read()
    shuffled = rows.take(np.random.default_rng(0).permutation(len(rows)))
    cuts = [0, 5, 40, len(rows)]
    files = [tmp_path / f"{i}.parquet" for i in range(3)]
    for path, start, stop in zip(files, cuts, cuts[1:]):
        pq.write_table(shuffled.slice(start, stop - start), path)
    for most in (60, 1000):
        for name, some in (("a", pool), ("b", files[::-1])):
            folder = tmp_path / f"{name}-{most}"
            assert export(some, folder, ("vot", "ecsv"), survey, "t", most) == len(rows)
            for kind in FORMATS:
                file = voexport.file_name(kind)
                first = (tmp_path / f"a-{most}" / file).read_bytes()
                assert (folder / file).read_bytes() == first
    for kind in FORMATS:
        few, many = (opened(tmp_path / f"a-{n}" / f"galaxies.{kind}") for n in (60, 1000))
        assert sorted(few["galaxy_id"]) == sorted(many["galaxy_id"])


def test_nothing_is_written_unless_it_is_asked_for_and_what_cannot_be_is_refused(out, tmp_path):
    pool = outputs(out / "pool")
    make_maps(None, tmp_path, pool, MapSettings(nside=32, more=()))
    assert not (tmp_path / "catalogue").exists()
    odd = tmp_path / "odd.parquet"
    for table, said in (
        ({"galaxy_id": ["a"], "ra": [1.0], "dec": [np.nan]}, "a position is missing"),
        ({"galaxy_id": ["a"], "ra": [1.0], "dec": [2.0], "good": [True]}, "column good is bool"),
        ({"galaxy_id": pa.array([], pa.string())}, "no rows to write"),
    ):
        pq.write_table(pa.table(table), odd)
        with pytest.raises(InputError, match=said):
            export([odd], tmp_path / "no", ("vot",), default(), "t")
    assert not list((tmp_path / "no").glob("*"))


def test_every_column_of_pool_and_sample_is_described():
    meant = columns.descriptions(default())
    for stage in ("pool", "sample"):
        assert [n for n in columns.names(default(), stage) if not meant.get(n)] == []
