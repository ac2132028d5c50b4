"""VOTable and ECSV, written in pieces, so that a table needs not fit into memory.

Astropy's writers go through a table cell by cell, or through its texts several times, which takes
minutes for a million rows. Here astropy or a few lines make the header, and the body is written
column by column: ECSV by Arrow's writer of CSV, VOTable in its binary form (BINARY2, VOTable 1.4,
section 5.4) as rows of a numpy structure. Columns are texts, whole numbers and numbers; the fields
of their Arrow schema have a unit and a description. Tests read everything back with astropy.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST = 400
"""characters of a text in FITS and VOTable"""
MISSING = -1
"""stands for a missing whole number; none of ours is negative"""
CHUNK = 3 << 18
"""bytes that are encoded together, a multiple of 3"""


def about(field: pa.Field) -> dict[str, str]:
    """Unit and description of a column, where it has them."""
    return {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}


def texts(schema: pa.Schema) -> list[str]:
    """Columns of texts."""
    import pyarrow as pa

    return [field.name for field in schema if pa.types.is_string(field.type)]


def widths(table: pa.Table) -> dict[str, int]:
    """Bytes that the longest text of each of the text columns takes, 1 at least."""
    return {name: _ascii(table[name]).dtype.itemsize for name in texts(table.schema)}


def packed(table: pa.Table, widths: Mapping[str, int]) -> np.ndarray:
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
            arrays[field.name] = _ascii(own)
            kinds.append((field.name, f"S{widths[field.name]}"))
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


def write_votable(
    path: Path,
    schema: pa.Schema,
    widths: Mapping[str, int],
    count: int,
    pieces: Iterable[np.ndarray],
    name: str,
    text: str,
) -> None:
    """Writes a VOTable of `count` rows. pieces: what `packed` returns, one piece after the other.
    name, text: of the table."""
    fields = []
    for field in schema:
        said = about(field)
        datatype = {"int64": 'datatype="long"', "double": 'datatype="double"'}.get(str(field.type))
        datatype = datatype or f'datatype="char" arraysize="{widths[field.name]}"'
        unit = f" unit={quoteattr(said['unit'])}" if said.get("unit") else ""
        fields.append(
            f"<FIELD name={quoteattr(field.name)} {datatype}{unit}>"
            f"<DESCRIPTION>{escape(said.get('description', ''))}</DESCRIPTION></FIELD>\n"
        )
    with open(path, "wb") as handle:
        handle.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
            f'<RESOURCE type="results">\n<TABLE name="{name}" nrows="{count}">\n'
            f"<DESCRIPTION>{escape(text)}</DESCRIPTION>\n{''.join(fields)}"
            '<DATA><BINARY2><STREAM encoding="base64">\n'.encode()
        )
        left = b""
        for rows in pieces:
            content = memoryview(left + rows.tobytes())
            whole = len(content) // CHUNK * CHUNK
            for start in range(0, whole, CHUNK):
                handle.write(base64.b64encode(content[start : start + CHUNK]) + b"\n")
            left = bytes(content[whole:])
        if left:
            handle.write(base64.b64encode(left) + b"\n")
        handle.write(b"</STREAM></BINARY2></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n")


def write_ecsv(path: Path, schema: pa.Schema, pieces: Iterable[pa.Table], text: str) -> None:
    """Writes an ECSV table of pieces of one schema, one after the other; text is kept in it."""
    from astropy.table import Table
    from pyarrow import csv

    empty = Table(meta={"lensjax": text})
    for field in schema:
        kind = {"string": str, "double": float, "int64": np.int64}[str(field.type)]
        empty[field.name] = np.empty(0, kind)
        empty[field.name].unit = about(field).get("unit")
        empty[field.name].description = about(field).get("description")
    header = io.StringIO()
    empty.write(header, format="ascii.ecsv", delimiter=",")
    with open(path, "wb") as handle:
        handle.write(header.getvalue().encode())
        for piece in pieces:
            csv.write_csv(piece, handle, csv.WriteOptions(include_header=False))


def _ascii(column: pa.ChunkedArray) -> np.ndarray:
    """Texts as ASCII of one length, with backslashes for what is none."""
    values = column.fill_null("").to_numpy()
    try:
        found = values.astype("S")
    except UnicodeEncodeError:
        found = np.array([v.encode("ascii", "backslashreplace") for v in values], "S")
    return found.astype(f"S{min(max(found.dtype.itemsize, 1), LONGEST)}", copy=False)
