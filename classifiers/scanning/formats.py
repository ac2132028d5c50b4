"""The list of candidates as CSV, ECSV, FITS, VOTable, DS9 regions and Parquet.

ECSV and VOTable are written by `data.vo`, and FITS from the same packed rows, because astropy's
writers take minutes for a million rows. Tests read everything back with astropy.

CSV is what people open in a spreadsheet: a text that would be taken for a formula gets an
apostrophe in front (`data.names.as_text`), and numbers stay numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data import vo
from data.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

FORMULA = r"^([=+\-@])"
"""Beginning of a text that a spreadsheet takes for a formula, by the rule of
`data.names.as_text`."""
RADIUS = 3.0
"""arcsec of the circle around a candidate in DS9"""
BLOCK = 2880
"""bytes of a block; a FITS file is a whole number of them"""


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
        return vo.packed(self.table, vo.widths(self.table))


def _csv(listed: _List, text: str, path: Path) -> None:
    import pyarrow.compute as pc
    from pyarrow import csv

    table = listed.table
    for name in vo.texts(table.schema):
        safe = pc.replace_substring_regex(table[name], FORMULA, r"'\1")
        table = table.set_column(table.column_names.index(name), name, safe)
    csv.write_csv(table, path)


def _ecsv(listed: _List, text: str, path: Path) -> None:
    vo.write_ecsv(path, listed.table.schema, [listed.table], text)


def _fits(listed: _List, text: str, path: Path) -> None:
    from astropy.io import fits
    from numpy.lib.recfunctions import repack_fields

    table = listed.table
    rows = repack_fields(listed.packed[table.column_names])
    made = fits.BinTableHDU(rows[:0], name="CANDIDATES")
    made.header["NAXIS2"] = len(rows)
    for i, field in enumerate(table.schema, start=1):
        about = vo.about(field)
        if about.get("unit"):
            made.header[f"TUNIT{i}"] = about["unit"]
        if about.get("description"):
            made.header[f"TCOMM{i}"] = about["description"]
        if str(field.type) == "int64":
            made.header[f"TNULL{i}"] = vo.MISSING
    made.header["LENSJAX"] = text.encode("ascii", "backslashreplace").decode()
    with open(path, "wb") as handle:
        for header in (fits.PrimaryHDU().header, made.header):
            handle.write(header.tostring().encode("ascii"))
        handle.write(rows.tobytes())
        handle.write(bytes(-handle.tell() % BLOCK))


def _votable(listed: _List, text: str, path: Path) -> None:
    rows, schema = listed.packed, listed.table.schema
    widths = {name: rows.dtype[name].itemsize for name in vo.texts(schema)}
    vo.write_votable(path, schema, widths, len(rows), [rows], "candidates", text)


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
