"""A catalogue in which many objects have a companion, and some rows cannot be used."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.table import Table, vstack
from small_survey import sweep, write_lenses

from data import catalogue, lenses
from data.selection import Selection, judged
from data.survey import default
from spark.jobs import outputs
from spark.pool import negative_pool, write_pool
from spark.ranges import pool_table

HALF = 400
CUTS = (
    *("primary_unknown", "not_primary", "not_finite_position", "declination", "type_unknown"),
    *("type", "maskbits_unknown", "maskbits", "nobs_unknown", "nobs", "flux_z_not_positive"),
    *("z_mag", "near_lens", "nameless", "kept"),
)
"""Counters that add up to the rows of a catalogue"""


def crowded(half: int = HALF) -> Table:
    """Every object of the first half has a companion 4 arcsec away in the second; one row or the
    other is missing something, or cannot be named."""
    one, other = sweep(1, rows=half), sweep(1, rows=half)
    other["DEC"] += 4 / 3600
    other["OBJID"] += half
    table = vstack([one, other])
    table["BRICKNAME"] = table["BRICKNAME"].astype("S9")
    table["BRICKNAME"][17], table["BRICKNAME"][-9] = b"../x", b" 0101m005"
    table["RA"][5], table["DEC"][-10], table["FLUX_Z"][9] = np.nan, np.inf, -1
    table["EBV"][3] = np.nan
    return table


def write(path: Path, table: Table, checksum: bool = True) -> None:
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


def frame(table: Table) -> pd.DataFrame:
    """The table for Parquet, with a null."""
    found = table.to_pandas()
    for name in ("BRICKNAME", "TYPE"):
        found[name] = np.asarray(table[name]).astype(str)
    found["MASKBITS"] = found["MASKBITS"].astype("Int64").mask(np.arange(len(found)) == 30)
    return found


def write_near_lenses(path: Path, table: Table) -> None:
    """Lenses beside nine of the objects, and one far away."""
    near = [
        (f"L{i}", table["RA"][i], table["DEC"][i] + 3 / 3600, "probable") for i in range(51, 60)
    ]
    write_lenses(path, [("far", 200.0, -80.0, "probable"), *near])


def known(root: Path) -> lenses.Lenses:
    return lenses.read(root / "l.csv")[0]


def made(root, out, files, n=1, spark=None, how="stop", selection=None):
    """The pool of some files whose first is cut into n ranges; returns (pools, counts)."""
    size = max(20_000 // n, -(-(root / files[0]).stat().st_size // n))
    chosen = selection or Selection()
    negative_pool(spark, out, root, files, known(root), chosen, how, range_bytes=size)
    counts = pd.read_csv(out / "counts" / "pool.csv").set_index("file")
    return [p.read_bytes() for p in outputs(out / "pool")], counts


def read_whole(root, file) -> bytes:
    """The pool of a file as the plain functions make it, without ranges."""
    kept, _, _ = judged(catalogue.read(root / file), Selection(), known(root).tree())
    return as_bytes(pool_table(kept, default()), root / f"{file}.pool")


def as_bytes(table: pa.Table, path: Path) -> bytes:
    """A table as the pool's files store it."""
    write_pool(table, path, default())
    return path.read_bytes()


def rows_of(pools: list[bytes]) -> pd.DataFrame:
    """The rows of some files of the pool, in the order of their names."""
    tables = [pq.read_table(io.BytesIO(p)) for p in pools]
    return pa.concat_tables(tables).sort_by("galaxy_id").to_pandas()
