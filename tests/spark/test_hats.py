"""HATS catalogues: those that are read, refused, and written."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crowded_survey import crowded, frame, made, rows_of, write_near_lenses

from data import hats
from data.hatsexport import DEEPEST, INDEX, export, partitions
from data.survey import default
from lensjax.errors import InputError
from spark.inputs import SurveySettings, locate
from spark.jobs import outputs
from spark.maps import MapSettings, make_maps

HALF = 150


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A table as two files of Parquet, and as a HATS catalogue."""
    root = tmp_path_factory.mktemp("hats")
    table = crowded(HALF)
    held = frame(table)
    held = held[np.isfinite(held["RA"]) & np.isfinite(held["DEC"])]
    for i, piece in enumerate((held[:37], held[37:])):
        pq.write_table(pa.Table.from_pandas(piece, preserve_index=False), root / f"{i}.parquet")
    files = [root / "0.parquet", root / "1.parquet"]
    export(files, root / "dr10", "a sweep", "RA", "DEC", most=40)
    write_near_lenses(root / "l.csv", table)
    return root


def test_a_hats_catalogue_gives_the_rows_of_its_table(root, tmp_path):
    assert not hats.named(root, "0.parquet") and hats.named(root, "dr10")
    files = hats.parts(root, "dr10", default())
    assert len(files) > 4 and len({file.split("/")[2] for file in files}) > 1
    plain, counts = made(root, tmp_path / "plain", ["0.parquet", "1.parquet"])
    found, same = made(root, tmp_path / "hats", files)
    pd.testing.assert_frame_equal(rows_of(found), rows_of(plain))
    shown = ["rows", "kept", "N1", "N2", "maskbits", "near_lens", "nameless"]
    assert counts.loc["total", shown].tolist() == same.loc["total", shown].tolist()
    rows = {file: int(same.loc[file, "rows"]) for file in files}
    assert hats.short(root, ["dr10", "0.parquet", "*.parquet"], rows) == []
    rows[files[0]] -= 1
    ((folder, reason),) = hats.short(root, ["dr10"], rows)
    assert folder == "dr10" and "hats_nrows is" in reason


def test_the_setting_takes_a_folder(root):
    settings = SurveySettings(root=str(root), sweeps=("dr10", "0.parquet"), lenses="l.csv")
    found = locate(root / "out", settings).catalogues
    assert found == [*hats.parts(root, "dr10", default()), "0.parquet"]


def changed(key, value):
    """The properties with another value."""

    def change(folder):
        lines = (folder / "hats.properties").read_text().splitlines()
        kept = [line for line in lines if not line.startswith(key)]
        (folder / "hats.properties").write_text("\n".join([*kept, f"{key} = {value}"]))

    return change


LISTINGS = [
    (b"", "not a readable table .No columns"),
    (b"\xff\xfe\x00", "not a readable table"),
    (b"Norder,Npix\n5\n", "not everywhere a whole number"),
    (b"Norder,Npix\nx,y\n", "not everywhere a whole number"),
    (b'"Norder,Npix\n5,77\n', "not a readable table|no columns"),
]


def listing(content):
    return lambda folder: (folder / hats.PARTITIONS).write_bytes(content)


def lost(folder):
    next((folder / "dataset").rglob("Npix=*.parquet")).unlink()


def unlisted(folder):
    rows = (folder / hats.PARTITIONS).read_text().splitlines()
    (folder / hats.PARTITIONS).write_text("\n".join(rows[:-1]) + "\n")


def odd(folder):
    part = next((folder / "dataset").rglob("Npix=*.parquet"))
    part.rename(part.with_name("Npix=x.parquet"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed("dataproduct_type", "margin"), "of the type 'margin', expected object or source"),
        (changed("hats_col_ra", "ALPHA"), "hats_col_ra is 'ALPHA'.* reads 'RA'"),
        (lost, r"partition_info.csv: the partition of order \d+, pixel \d+ has no file"),
        (unlisted, "has a file and is not listed"),
        (odd, "no numbers in this path"),
        *((listing(content), rf"partition_info.csv: .*{said}") for content, said in LISTINGS),
    ],
)
def test_what_is_no_whole_catalogue_is_named(root, tmp_path, change, said):
    export([root / "0.parquet"], tmp_path / "c", "c", "RA", "DEC", most=10)
    change(tmp_path / "c")
    with pytest.raises(InputError, match=said):
        hats.parts(tmp_path, "c", default())


def test_partitions_are_the_largest_that_are_small_enough():
    rng = np.random.default_rng(0)
    pixels, n = np.unique(rng.integers(0, 12 * 4**DEEPEST // 50, 3000), return_counts=True)
    counts = pd.Series(n, pixels)
    from collections import Counter

    found = partitions(Counter(counts.to_dict()), 100)
    covered = 0
    for order, number in found:
        inside = pixels >> 2 * (DEEPEST - order) == number
        parent = pixels >> 2 * (DEEPEST - order + 1) == number >> 2
        covered += inside.sum()
        assert 0 < n[inside].sum() <= 100 and (order == 0 or n[parent].sum() > 100)
    assert covered == len(pixels)


def test_an_exported_pool_has_every_row_once_and_the_same_bytes(root, tmp_path):
    made(root, tmp_path, ["0.parquet", "1.parquet"])
    pool = outputs(tmp_path / "pool")
    figures = export(pool, tmp_path / "a", "pool", most=30)
    export(pool[::-1], tmp_path / "b", "pool", most=30)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    files = [p for p in files if (tmp_path / "a" / p).is_file()]
    assert all(
        (tmp_path / "a" / p).read_bytes() == (tmp_path / "b" / p).read_bytes() for p in files
    )
    parts = [p for p in files if p.suffix == ".parquet"]
    found = pd.concat(
        [pq.read_table(tmp_path / "a" / p, partitioning=None).to_pandas() for p in parts]
    )
    whole = pd.concat([pd.read_parquet(p) for p in pool])
    assert figures == {"rows": len(whole), "partitions": len(parts)}
    assert found.pop(INDEX).dtype == np.int64
    key = ["galaxy_id", "ra"]
    pd.testing.assert_frame_equal(
        found.sort_values(key, ignore_index=True), whole.sort_values(key, ignore_index=True)
    )
    assert pq.read_metadata(tmp_path / "a" / "dataset" / "_metadata").num_rows == len(whole)
    with pytest.raises(InputError, match="is not empty"):
        export(pool, tmp_path / "a", "pool")


def test_a_setting_writes_the_pool_of_a_run_as_hats(root, tmp_path):
    """The maps of a run that was killed after the export begin again, to the same bytes."""
    made(root, tmp_path, ["0.parquet", "1.parquet"])
    pool = outputs(tmp_path / "pool")
    make_maps(None, tmp_path, pool, MapSettings(nside=32, more=()))
    assert not (tmp_path / "hats").exists()
    settings, bytes_ = MapSettings(nside=32, more=(), hats=30), []
    for _ in range(2):
        figures = make_maps(None, tmp_path, pool, settings)
        files = sorted(p for p in (tmp_path / "hats").rglob("*") if p.is_file())
        bytes_.append([p.read_bytes() for p in files])
    assert bytes_[0] == bytes_[1]
    parts = [p for p in files if p.name.startswith("Npix=")]
    assert figures["hats_partitions"] == len(parts) > 1
    rows = [pq.read_metadata(p).num_rows for p in parts]
    assert max(rows) <= 30 and sum(rows) == sum(pq.read_metadata(p).num_rows for p in pool)
    said = hats.properties(tmp_path / "hats")
    assert said["obs_title"] == f"galaxies of {default().title}"
    assert (said["hats_nrows"], said["hats_col_ra"]) == (str(sum(rows)), "ra")


def test_lsdb_opens_an_exported_pool(root, tmp_path):
    lsdb = pytest.importorskip("lsdb")
    made(root, tmp_path, ["0.parquet", "1.parquet"])
    pool = outputs(tmp_path / "pool")
    figures = export(pool, tmp_path / "a", "pool", most=30)
    opened = lsdb.open_catalog(tmp_path / "a", columns="all")
    assert len(opened) == figures["rows"] and opened.npartitions == figures["partitions"]
    table, whole = opened.compute(), pd.concat([pd.read_parquet(p) for p in pool])
    assert sorted(table["galaxy_id"]) == sorted(whole["galaxy_id"])
    ra, dec = table[["ra", "dec"]].iloc[0]
    assert len(opened.cone_search(ra, dec, 5).compute()) >= 1
