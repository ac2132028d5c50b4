"""A pool has the same bytes however its files are cut into ranges; every row is accounted for."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table, vstack
from small_survey import sweep, write_lenses

from data import catalogue, lenses, ranges
from data.files import sha256
from data.selection import CATEGORIES, Selection, judged
from data.survey import default
from lensjax.errors import InputError
from spark import pool as pools
from spark.jobs import outputs
from spark.pool import negative_pool, refused_rows
from spark.ranges import pool_table

HALF = 400
CUTS = (
    *("primary_unknown", "not_primary", "not_finite_position", "declination", "type_unknown"),
    *("type", "maskbits_unknown", "maskbits", "nobs_unknown", "nobs", "flux_z_not_positive"),
    *("z_mag", "near_lens", "nameless", "kept"),
)


def crowded() -> Table:
    """Every object of the first half has a companion 4 arcsec away in the second; one row or the
    other is missing something, or cannot be named."""
    one, other = sweep(1, rows=HALF), sweep(1, rows=HALF)
    other["DEC"] += 4 / 3600
    other["OBJID"] += HALF
    table = vstack([one, other])
    table["BRICKNAME"] = table["BRICKNAME"].astype("S9")
    table["BRICKNAME"][17], table["BRICKNAME"][611] = b"../x", b" 0101m005"
    table["RA"][5], table["DEC"][700], table["FLUX_Z"][9] = np.nan, np.inf, -1
    table["EBV"][3] = np.nan
    return table


def write(path, table: Table, checksum: bool = True) -> None:
    """FITS with a logical column of which one row is undefined, and a TNULL."""
    columns = [c for c in fits.BinTableHDU(table).columns if c.name != "MASKBITS"]
    primary = np.ones(len(table), bool)
    primary[::50] = False
    bits = np.array(table["MASKBITS"])
    bits[30] = -99
    columns.insert(3, fits.Column("BRICK_PRIMARY", "L", array=primary))
    columns.append(fits.Column("MASKBITS", "J", null=-99, array=bits))
    columns.append(fits.Column("NOT_READ", "PE()", array=np.array([np.ones(3)] * len(bits), "O")))
    fits.BinTableHDU.from_columns(columns).writeto(path, checksum=checksum)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("crowded")
    table = crowded()
    write(root / "a.fits", table)
    write(root / "b.fits", sweep(2, rows=HALF), checksum=False)
    pq.write_table(pa.Table.from_pandas(_frame(table)), root / "p.parquet", row_group_size=90)
    far = [("far", 200.0, -80.0, "probable")]
    near = [
        (f"L{i}", table["RA"][i], table["DEC"][i] + 3 / 3600, "probable") for i in range(51, 60)
    ]
    write_lenses(root / "l.csv", far + near)
    return root


def _frame(table: Table) -> pd.DataFrame:
    frame = table.to_pandas()
    for name in ("BRICKNAME", "TYPE"):
        frame[name] = np.asarray(table[name]).astype(str)
    frame["MASKBITS"] = frame["MASKBITS"].astype("Int64").mask(np.arange(len(frame)) == 30)
    return frame


def _known(root):
    return lenses.read(root / "l.csv")[0]


def made(root, out, files, n=1, spark=None, how="stop"):
    """The pool of some files whose first is cut into n ranges; returns (pools, counts)."""
    size = -(-(root / files[0]).stat().st_size // n)
    negative_pool(spark, out, root, files, _known(root), Selection(), how, range_bytes=size)
    counts = pd.read_csv(out / "counts" / "pool.csv").set_index("file")
    return [p.read_bytes() for p in outputs(out / "pool")], counts


def read_whole(root, file) -> bytes:
    """The pool of a file as the plain functions make it, without ranges."""
    columns = catalogue.read(root / file)
    kept, _, _ = judged(columns, Selection(), _known(root).tree())
    return as_bytes(pool_table(kept, default()), root / f"{file}.pool")


def as_bytes(table: pa.Table, path) -> bytes:
    """A table as the pool's files store it."""
    pools.write_pool(table, path, default())
    return path.read_bytes()


@pytest.mark.parametrize("file", ["a.fits", "b.fits", "p.parquet"])
def test_any_number_of_ranges_gives_the_bytes_of_the_file_read_whole(root, tmp_path, file):
    assert ranges.opened(root / file, 0, 1, default()) is not None
    expected = read_whole(root, file)
    counts = []
    for n in (1, 2, 7):
        (found,), table = made(root, tmp_path / str(n), [file], n)
        assert found == expected
        assert not (tmp_path / str(n) / "pool" / "_ranges").exists()
        counts.append(table)
    jobs = {sha256(tmp_path / str(n) / "pool" / "_job.json") for n in (1, 2, 7)}
    assert len(jobs) == 1 and all(counts[0].equals(c) for c in counts)
    total = counts[0].loc["total"]
    assert total["rows"] == sum(total.get(c, 0) for c in CUTS) and total["kept"] > 50
    assert total["N2"] == sum(total[c] for c in CATEGORIES)
    if file != "b.fits":
        assert total["merger_neighbour"] > 5 and total["maskbits_unknown"] == 1
        assert total["nameless"] == 1 and total["near_lens"] > 0
        reasons = [(row, why) for _, row, why in refused_rows(tmp_path / "7", [file])]
        assert [row for row, _ in reasons] == [18, 31] and reasons[1][1] == "no MASKBITS"


def test_order_of_files_and_spark_change_nothing(root, tmp_path, spark):
    one, _ = made(root, tmp_path / "one", ["a.fits", "b.fits"], 1)
    other, _ = made(root, tmp_path / "other", ["b.fits", "a.fits"], 7)
    sparked, _ = made(root, tmp_path / "spark", ["a.fits", "b.fits"], 7, spark)
    assert one == other[::-1] == sparked


def test_the_same_rows_in_other_files_give_the_same_rows(tmp_path):
    """Of objects without neighbours, because a neighbour in another file is not seen."""
    table = sweep(3, rows=300)
    write_lenses(tmp_path / "l.csv", [("far", 200.0, -80.0, "probable")])
    table.write(tmp_path / "whole.fits")
    for i, piece in enumerate((table[:37], table[37:38], table[38:38], table[38:])):
        piece.write(tmp_path / f"piece-{i}.fits")
    pieces = [f"piece-{i}.fits" for i in range(4)]
    (whole,), counts = made(tmp_path, tmp_path / "whole", ["whole.fits"], 2)
    cut, other = made(tmp_path, tmp_path / "cut", pieces, 1)
    joined = pa.concat_tables([pq.read_table(io.BytesIO(p)) for p in cut]).combine_chunks()
    assert as_bytes(joined, tmp_path / "joined") == whole
    for table in (counts, other):
        assert (table["rows"] == table[[c for c in CUTS if c in table]].sum(axis=1)).all()
    same = [c for c in counts.columns if c not in ("refused", "release")]
    assert counts.loc["total", same].tolist() == other.loc["total", same].tolist()


def damage(kind, path, table):
    """Writes a damaged or odd table; returns the reason why it is refused, None if it is not."""
    if kind == "variable length":
        write(path, table)
        with fits.open(path) as hdus:
            kept = [c for c in hdus[1].columns if c.name not in ("SERSIC", "NOT_READ")]
            many = np.array([np.ones(2)] * len(table), "O")
            kept.append(fits.Column("SERSIC", "PE()", array=many))
            made = fits.BinTableHDU.from_columns(kept)
            made.writeto(path.with_suffix(".new"), checksum=True)
        path.with_suffix(".new").rename(path)
        return "column SERSIC has arrays of variable length"
    if kind == "wrong type":
        table["NOBS_R"] = table["NOBS_R"].astype("S2")
        write(path, table)
        return "column NOBS_R is text, expected numbers"
    if kind == "lacks a column":
        del table["SHAPE_R"]
        write(path, table)
        return "needs SHAPE_R"
    if kind == "one name twice":
        table["OBJID"][700], table["BRICKNAME"][700] = table["OBJID"][1], table["BRICKNAME"][1]
        table["DEC"][700] = 3.0
        write(path, table)
        return "rows 2 and 701 are both called"
    write(path, table)
    whole = bytearray(path.read_bytes())
    if kind == "truncated":
        del whole[len(whole) // 2 :]
    elif kind == "empty":
        whole.clear()
    else:
        at = {"bit flip early": 20000, "bit flip late": len(whole) - 9000}[kind]
        whole[at] ^= 16
    path.write_bytes(whole)
    return "not a readable FITS table"


@pytest.mark.parametrize(
    "kind",
    [
        *("truncated", "empty", "bit flip early", "bit flip late", "wrong type"),
        *("variable length", "lacks a column", "one name twice"),
    ],
)
@pytest.mark.parametrize("n", [1, 5])
def test_what_is_damaged_is_named_and_loses_nothing_else(root, tmp_path, kind, n):
    reason = damage(kind, tmp_path / "bad.fits", crowded())
    for name in ("b.fits", "l.csv"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    size = max(20_000, (tmp_path / "bad.fits").stat().st_size) // n
    call = (None, tmp_path / "out", tmp_path, ["bad.fits", "b.fits"], _known(root), Selection())
    with pytest.raises(InputError, match=f"bad.fits.*{reason}"):
        negative_pool(*call, range_bytes=size)
    ((path, why),) = negative_pool(*call, "quarantine", range_bytes=size)
    assert path == "bad.fits" and reason in why and "\n" not in why
    assert outputs(tmp_path / "out" / "pool")[0].read_bytes() == read_whole(root, "b.fits")


@pytest.mark.parametrize("kind", ["unsigned", "gz", "old", "little"])
def test_what_cannot_be_mapped_is_read_whole(root, tmp_path, kind):
    table = sweep(4, rows=200)
    name = "t.fits.gz" if kind == "gz" else "t.parquet" if kind == "little" else "t.fits"
    if kind == "unsigned":
        table["NOBS_G"] = table["NOBS_G"].astype(np.uint16)
    if kind == "old":
        table["RELEASE"] = np.where(np.arange(200) < 150, 9010, 7000).astype(np.int16)
    if kind == "little":
        pq.write_table(pa.Table.from_pandas(_frame(table)), tmp_path / name, row_group_size=64)
    else:
        table.write(tmp_path / name)
    (tmp_path / "l.csv").write_bytes((root / "l.csv").read_bytes())
    if kind == "old":
        with pytest.raises(InputError, match="needs MASKBITS"):
            made(tmp_path, tmp_path / "out", [name], 4)
        return
    (found,), _ = made(tmp_path, tmp_path / "out", [name], 4)
    assert found == read_whole(tmp_path, name) and len(found) > 1000


def test_an_interrupted_pool_goes_on_and_does_only_what_is_missing(root, tmp_path, monkeypatch):
    files = ["a.fits", "b.fits"]
    whole, _ = made(root, tmp_path / "whole", files, 3)
    real, calls = pools.ranges.cut, []

    def failing(path, i, n, *rest):
        calls.append((path.name, i))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(path, i, n, *rest)

    monkeypatch.setattr(pools.ranges, "cut", failing)
    with pytest.raises(KeyboardInterrupt):
        made(root, tmp_path / "out", files, 3)
    again, _ = made(root, tmp_path / "out", files, 3)
    assert again == whole and calls[:2] not in (calls[3:5], calls[4:6])
    assert len(calls) == len(set(calls)) + 1
