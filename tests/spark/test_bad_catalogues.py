"""Catalogue files that are damaged or unusual: each is named, or read as an ordinary one would be.

One line an outcome. Nothing is lost and nothing stands twice: the pool of a good file beside it has
the bytes that it has alone, and a file that can be read gives the rows that the same table gives as
plain FITS.
"""

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from crowded_survey import CUTS, crowded, frame, known, made, write, write_near_lenses
from fpack import fpack
from small_survey import sweep, write_survey

from data import lenses
from data.selection import Selection
from lensjax.errors import InputError
from spark.crossmatch import CrossmatchSettings, crossmatch
from spark.jobs import outputs
from spark.pool import negative_pool
from spark.sampling import SampleSettings, sample

HALF = 120
FILES = ["sweep/sweep-a.fits", "sweep/sweep-b.fits"]
SAME = ""
"""the file gives the rows of the ordinary one"""


def plain(path, table):
    write(path, table)


def bytes_of(change):
    """The ordinary file, whose bytes are changed."""

    def make(path, table):
        write(path, table)
        path.write_bytes(change(bytearray(path.read_bytes())))

    return make


def columns_of(change):
    """The ordinary file with other columns: change takes their list and the number of rows."""

    def make(path, table):
        write(path, table)
        with fits.open(path) as hdus:
            made = change(list(hdus[1].columns), len(table))
            changed = fits.BinTableHDU.from_columns(made)
        changed.writeto(path, checksum=True, overwrite=True)

    return make


def table_of(change):
    """The ordinary file of a table that is changed in place."""

    def make(path, table):
        change(table)
        write(path, table)

    return make


def parquet(change=lambda content: content, **options):
    """A Parquet file of several row groups, whose bytes are changed."""

    def make(path, table):
        held = frame(table)
        held["BRICK_PRIMARY"] = np.arange(len(table)) % 50 > 0
        pq.write_table(pa.Table.from_pandas(held), path, row_group_size=64, **options)
        path.write_bytes(change(bytearray(path.read_bytes())))

    return make


def flipped(at):
    """Flips a bit of the byte at an offset, or so far from the end."""

    def change(content):
        content[at] ^= 16
        return content

    return change


def instead(name, form, array, **options):
    """The list of columns with one of them in another form."""

    def change(columns, n):
        other = fits.Column(name, form, array=array(n), **options)
        return [other if c.name == name else c for c in columns]

    return change


def unsigned(table):
    table["NOBS_G"] = table["NOBS_G"].astype(np.uint16)


def text_for_numbers(table):
    table["NOBS_R"] = table["NOBS_R"].astype("S2")


def one_name_twice(table):
    table["OBJID"][200], table["BRICKNAME"][200] = table["OBJID"][1], table["BRICKNAME"][1]
    table["DEC"][200] = 3.0


def of_three_releases(table):
    table["RELEASE"] = np.where(np.arange(len(table)) < 150, 9010, 7000).astype(np.int16)


def fpacked(change=lambda content: content):
    """The ordinary file as fpack compresses it, in tiles of 64 rows, whose bytes are changed."""

    def make(path, table):
        write(path.with_suffix(""), table)
        fpack(path.with_suffix(""), path, rows=64)
        path.write_bytes(change(bytearray(path.read_bytes())))

    return make


def zipped(path, table, checksum=True):
    write(path.with_suffix(""), table, checksum)
    path.write_bytes(gzip.compress(path.with_suffix("").read_bytes(), 1, mtime=0))


def zipped_and(change):
    """The gzipped file without a checksum of FITS, whose bytes are changed."""

    def make(path, table):
        zipped(path, table, checksum=False)
        path.write_bytes(change(bytearray(path.read_bytes())))

    return make


def under_another_name(path, table):
    fpacked()(path.with_suffix(".fits.fz"), table)
    path.with_suffix(".fits.fz").rename(path)


def by_another_method(content):
    """The method by which one column is compressed, and no checksum."""
    for old, new in (
        (b"'GZIP_2  '", b"'PLIO_1  '"),
        (b"CHECKSUM=", b"COMMENT  "),
        (b"DATASUM =", b"COMMENT  "),
    ):
        content = content.replace(old, new)
    return content


def many(n):
    return np.array([np.ones(2)] * n, "O")


NOT_FITS = "not a readable FITS table"
NOT_TABLE = "not a readable table"
OUTCOMES = [
    # what, name of the file, how it is made, what is said of it
    ("ordinary", "t.fits", plain, SAME),
    ("cut in half", "t.fits", bytes_of(lambda c: c[: len(c) // 2]), NOT_FITS),
    ("cut in the header", "t.fits", bytes_of(lambda c: c[:4000]), "no table"),
    ("without its last block", "t.fits", bytes_of(lambda c: c[:-2880]), NOT_FITS),
    ("no bytes", "t.fits", bytes_of(lambda c: b""), NOT_FITS),
    ("a page of HTML", "t.fits", bytes_of(lambda c: b"<html>503</html>" * 999), NOT_FITS),
    ("bit flipped, first rows", "t.fits", bytes_of(flipped(20_000)), NOT_FITS),
    ("bit flipped, last rows", "t.fits", bytes_of(flipped(-9000)), NOT_FITS),
    ("bit flipped, header", "t.fits", bytes_of(flipped(2880 + 10)), "no table"),
    ("bytes after the end", "t.fits", bytes_of(lambda c: c + b"x" * 99), SAME),
    ("text for numbers", "t.fits", table_of(text_for_numbers), "NOBS_R is text, expected numbers"),
    ("no SHAPE_R", "t.fits", table_of(lambda t: t.remove_column("SHAPE_R")), "needs SHAPE_R"),
    ("no position", "t.fits", table_of(lambda t: t.remove_column("RA")), "RA"),
    (
        "one name at two places",
        "t.fits",
        table_of(one_name_twice),
        "rows 2 and 201 are both called",
    ),
    ("releases before DR8", "t.fits", table_of(of_three_releases), "needs MASKBITS"),
    ("columns in another order", "t.fits", columns_of(lambda c, n: c[::-1]), SAME),
    ("unsigned integers, TZERO", "t.fits", table_of(unsigned), SAME),
    (
        "arrays of variable length",
        "t.fits",
        columns_of(instead("SERSIC", "PE()", many)),
        "variable",
    ),
    (
        "two values a row",
        "t.fits",
        columns_of(instead("SERSIC", "2E", lambda n: np.ones((n, 2)))),
        "SERSIC",
    ),
    ("gzipped", "t.fits.gz", zipped, SAME),
    ("gzipped, cut", "t.fits.gz", zipped_and(lambda c: c[:-4000]), NOT_FITS),
    ("gzipped, bit flipped", "t.fits.gz", zipped_and(flipped(-3000)), NOT_FITS),
    ("fpacked", "t.fits.fz", fpacked(), SAME),
    ("fpacked, cut", "t.fits.fz", fpacked(lambda c: c[:-6000]), NOT_FITS),
    ("fpacked, bit flipped", "t.fits.fz", fpacked(flipped(-9000)), NOT_FITS),
    (
        "fpacked by a rare method",
        "t.fits.fz",
        fpacked(by_another_method),
        "by PLIO_1, which cannot",
    ),
    ("fpacked, called .fits", "t.fits", under_another_name, SAME),
    ("another ending", "t.dat", plain, "not a catalogue"),
    ("Parquet, little-endian", "t.parquet", parquet(), SAME),
    ("Parquet, cut", "t.parquet", parquet(lambda c: c[:-500]), NOT_TABLE),
    ("Parquet, no bytes", "t.parquet", parquet(lambda c: b""), NOT_TABLE),
    (
        "Parquet, bit flipped",
        "t.parquet",
        parquet(flipped(9000), write_page_checksum=True),
        NOT_TABLE,
    ),
    ("FITS called Parquet", "t.parquet", plain, NOT_TABLE),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The ordinary file, a good one, and what they give."""
    root = tmp_path_factory.mktemp("bad")
    table = crowded(HALF)
    write(root / "ordinary.fits", table)
    write(root / "good.fits", sweep(2, rows=60), checksum=False)
    write_near_lenses(root / "l.csv", table)
    return root


@pytest.fixture(scope="module")
def expected(root):
    """Pools and counts of the ordinary file and the good one."""
    return made(root, root / "out", ["ordinary.fits", "good.fits"])


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize(("what", "name", "make", "said"), OUTCOMES, ids=[x[0] for x in OUTCOMES])
def test_a_catalogue_is_read_or_named(root, expected, tmp_path, what, name, make, said, n):
    make(tmp_path / name, crowded(HALF))
    for beside in ("good.fits", "l.csv"):
        (tmp_path / beside).symlink_to(root / beside)
    (ordinary, good), counts = expected
    files = [name, "good.fits"]
    found, table = made(tmp_path, tmp_path / "out", files, n, how="quarantine")
    reason = table.loc[name, "refused"]
    assert found[-1] == good
    if said == SAME:
        assert pd.isna(reason) and len(found) == 2
        assert found[0] == ordinary
        assert (
            table.loc[name, list(CUTS)].tolist() == counts.loc["ordinary.fits", list(CUTS)].tolist()
        )
        return
    assert len(found) == 1 and said in reason and name in reason and "\n" not in reason
    size = max(20_000, (tmp_path / name).stat().st_size // n)
    with pytest.raises(InputError, match=name):
        negative_pool(
            *(None, tmp_path / "stop", tmp_path, files, known(tmp_path), Selection()),
            range_bytes=size,
        )


def test_a_file_given_twice_is_counted_and_sampled_once(tmp_path):
    """The pool has the file's rows twice, and says so; the sample takes every object once."""
    root = write_survey(tmp_path / "survey", cutouts=False)
    (root / "copy.fits").write_bytes((root / "sweep/sweep-a.fits").read_bytes())
    listed, _ = lenses.read(root / "lenses.csv")
    figures, rows = [], []
    for out, files in ((tmp_path / "once", FILES), (tmp_path / "twice", [*FILES, "copy.fits"])):
        negative_pool(None, out, root, files, listed, Selection())
        crossmatch(None, out, root, files, [], listed, CrossmatchSettings())
        settings = SampleSettings(negatives_per_positive=4.0)
        figures.append(sample(None, out, outputs(out / "pool"), settings))
        rows.append(pq.read_table(out / "sample" / "sample.parquet"))
    assert figures[0]["pool"]["listed_twice"] == 0 < figures[1]["pool"]["listed_twice"]
    assert rows[0].equals(rows[1])
