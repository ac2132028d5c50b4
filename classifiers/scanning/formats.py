"""The list of candidates as CSV, ECSV, FITS, VOTable, DS9 regions and Parquet.

Astropy's writers go through a table cell by cell, or through its texts several times, which takes
minutes for a million rows. Here astropy or a few lines make the header, and the body is written
column by column: ECSV by Arrow's writer of CSV, and FITS and VOTable (in its binary form, BINARY2,
VOTable 1.4, section 5.4) as rows of a numpy structure. Tests read everything back with astropy.

CSV is what people open in a spreadsheet: a text that would be taken for a formula gets an
apostrophe in front (`data.names.as_text`), and numbers stay numbers.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from data.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

FORMULA = r"^([=+\-@])"
"""Beginning of a text that a spreadsheet takes for a formula, by the rule of
`data.names.as_text`."""
LONGEST = 400
"""characters of a text in FITS and VOTable"""
RADIUS = 3.0
"""arcsec of the circle around a candidate in DS9"""
BLOCK = 2880
"""bytes of a block; a FITS file is a whole number of them"""
MISSING = -1
"""stands for a missing whole number; none of ours is negative"""
CHUNK = 3 << 18
"""bytes that are encoded together, a multiple of 3"""


def write(table: pa.Table, about: Mapping[str, Any], folder: Path, name: str, kinds: Any) -> None:
    """Writes `folder/name.<kind>` for every kind. about: what holds for the whole list, kept by
    ECSV, FITS, VOTable and Parquet as JSON."""
    import json

    text, listed = json.dumps(about, sort_keys=True, default=str), _List(table)
    for kind in kinds:
        with replacing(folder / f"{name}.{kind}") as temporary:
            WRITERS[kind](listed, text, temporary)


@dataclass(frozen=True)
class _List:
    """A table that is packed once for FITS and VOTable."""

    table: pa.Table

    @cached_property
    def packed(self) -> np.ndarray:
        return _packed(self.table)


def _about(field: pa.Field) -> dict[str, str]:
    """Unit and description of a column, where it has them."""
    return {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}


def _texts(table: pa.Table) -> list[str]:
    import pyarrow as pa

    return [field.name for field in table.schema if pa.types.is_string(field.type)]


def _csv(listed: _List, text: str, path: Path) -> None:
    import pyarrow.compute as pc
    from pyarrow import csv

    table = listed.table
    for name in _texts(table):
        safe = pc.replace_substring_regex(table[name], FORMULA, r"'\1")
        table = table.set_column(table.column_names.index(name), name, safe)
    csv.write_csv(table, path)


def _ecsv(listed: _List, text: str, path: Path) -> None:
    from astropy.table import Table
    from pyarrow import csv

    empty = Table(meta={"lensjax": text})
    for field in listed.table.schema:
        kind = {"string": str, "double": float, "int64": np.int64}[str(field.type)]
        about = _about(field)
        empty[field.name] = np.empty(0, kind)
        empty[field.name].unit = about.get("unit")
        empty[field.name].description = about.get("description")
    header = io.StringIO()
    empty.write(header, format="ascii.ecsv", delimiter=",")
    with open(path, "wb") as handle:
        handle.write(header.getvalue().encode())
        csv.write_csv(listed.table, handle, csv.WriteOptions(include_header=False))


def _bytes(column: pa.ChunkedArray) -> np.ndarray:
    """Texts as ASCII of one length, with backslashes for what is none."""
    values = column.fill_null("").to_numpy()
    try:
        found = values.astype("S")
    except UnicodeEncodeError:
        found = np.array([v.encode("ascii", "backslashreplace") for v in values], "S")
    return found.astype(f"S{min(max(found.dtype.itemsize, 1), LONGEST)}", copy=False)


def _packed(table: pa.Table) -> np.ndarray:
    """The rows as FITS and VOTable store them: one after the other, big-endian, texts of one
    length; a missing whole number is `MISSING`, another NaN. In front of each row (field
    `missing`) are VOTable's bits of the missing values."""
    bits = np.zeros((len(table), -(-table.num_columns // 8)), np.uint8)
    for i, name in enumerate(table.column_names):
        if table[name].null_count:
            absent = table[name].is_null().to_numpy().astype(np.uint8)
            bits[:, i // 8] |= absent << (7 - i % 8)
    arrays: dict[str, np.ndarray] = {"missing": bits}
    kinds: list[tuple[str, str]] = [("missing", f"({bits.shape[1]},)u1")]
    for field in table.schema:
        own = table[field.name]
        if str(field.type) == "string":
            arrays[field.name] = _bytes(own)
            kinds.append((field.name, arrays[field.name].dtype.str))
        elif str(field.type) == "int64":
            arrays[field.name] = own.fill_null(MISSING).to_numpy()
            kinds.append((field.name, ">i8"))
        else:
            arrays[field.name] = own.to_numpy()
            kinds.append((field.name, ">f8"))
    rows = np.empty(len(table), np.dtype(kinds))
    for name, array in arrays.items():
        rows[name] = array
    return rows


def _fits(listed: _List, text: str, path: Path) -> None:
    from astropy.io import fits
    from numpy.lib.recfunctions import repack_fields

    table = listed.table
    rows = repack_fields(listed.packed[table.column_names])
    made = fits.BinTableHDU(rows[:0], name="CANDIDATES")
    made.header["NAXIS2"] = len(rows)
    for i, field in enumerate(table.schema, start=1):
        about = _about(field)
        if about.get("unit"):
            made.header[f"TUNIT{i}"] = about["unit"]
        if about.get("description"):
            made.header[f"TCOMM{i}"] = about["description"]
        if str(field.type) == "int64":
            made.header[f"TNULL{i}"] = MISSING
    made.header["LENSJAX"] = text.encode("ascii", "backslashreplace").decode()
    with open(path, "wb") as handle:
        for header in (fits.PrimaryHDU().header, made.header):
            handle.write(header.tostring().encode("ascii"))
        handle.write(rows.tobytes())
        handle.write(bytes(-handle.tell() % BLOCK))


def _votable(listed: _List, text: str, path: Path) -> None:
    table, rows = listed.table, listed.packed
    fields = []
    for field in table.schema:
        about = _about(field)
        datatype = {"int64": 'datatype="long"', "double": 'datatype="double"'}.get(str(field.type))
        length = rows.dtype[field.name].itemsize
        datatype = datatype or f'datatype="char" arraysize="{length}"'
        unit = f" unit={quoteattr(about['unit'])}" if about.get("unit") else ""
        fields.append(
            f"<FIELD name={quoteattr(field.name)} {datatype}{unit}>"
            f"<DESCRIPTION>{escape(about.get('description', ''))}</DESCRIPTION></FIELD>\n"
        )
    with open(path, "wb") as handle:
        handle.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
            f'<RESOURCE type="results">\n<TABLE name="candidates" nrows="{len(table)}">\n'
            f"<DESCRIPTION>{escape(text)}</DESCRIPTION>\n{''.join(fields)}"
            '<DATA><BINARY2><STREAM encoding="base64">\n'.encode()
        )
        content = memoryview(rows.tobytes())
        for start in range(0, len(content), CHUNK):
            handle.write(base64.b64encode(content[start : start + CHUNK]) + b"\n")
        handle.write(b"</STREAM></BINARY2></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n")


def _regions(listed: _List, text: str, path: Path) -> None:
    """A circle for each candidate that has a position, with its rank and name; known lenses are
    green."""
    import pyarrow.compute as pc

    table = listed.table
    good = table.filter(pc.and_(pc.is_valid(table["ra"]), pc.is_valid(table["dec"])))
    names = pc.replace_substring_regex(good["galaxy_id"].fill_null(""), r"[^A-Za-z0-9_.+-]", "?")
    known: list[Any] = [None] * len(good)
    if "known_lens" in good.column_names:
        known = good["known_lens"].to_pylist()
    columns = (good[name].to_pylist() for name in ("rank", "ra", "dec", "score"))
    lines = [
        f'circle({ra:.6f},{dec:.6f},{RADIUS:g}") # color={"green" if lens else "yellow"} '
        f"text={{{rank} {name} {score:.4f}}}\n"
        for rank, ra, dec, score, name, lens in zip(*columns, names.to_pylist(), known)
    ]
    with open(path, "w", encoding="ascii") as handle:
        handle.write("# Region file format: DS9 version 4.1\nfk5\n")
        handle.writelines(lines)


def _parquet(listed: _List, text: str, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(
        listed.table.replace_schema_metadata({"lensjax": text}), path, compression="zstd"
    )


WRITERS: Mapping[str, Callable[[_List, str, Path], None]] = {
    "csv": _csv,
    "ecsv": _ecsv,
    "fits": _fits,
    "vot": _votable,
    "reg": _regions,
    "parquet": _parquet,
}
