"""Parquet files of positions as one VOTable and one ECSV, with units and descriptions.

    export(outputs(out / "pool"), out / "catalogue", ("vot", "ecsv"), survey, "negative pool")

Rows are in the order of `data.hatsexport.in_pixels`, so that the bytes depend on the rows only, not
on the files that they were in. Memory is that of a file and of AT_ONCE rows, however many there
are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data import columns, vo
from data.files import replacing
from data.hatsexport import INDEX, in_pixels
from data.survey import Survey
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["vot", "ecsv"]
STEM = "galaxies"
AT_ONCE = 100_000
"""rows of a pixel of HEALPix, at most where it can be divided"""


def file_name(kind: Kind) -> str:
    """Name of the file of a kind."""
    return f"{STEM}.{kind}"


def export(
    files: Sequence[Path],
    folder: Path,
    kinds: Sequence[Kind],
    survey: Survey,
    title: str,
    most: int = AT_ONCE,
) -> int:
    """Writes `folder/galaxies.<kind>` for every kind, each whole or not at all; returns the number
    of rows. files: of one schema, with ra and dec in degrees. title: kept in the files. Raises
    InputError where a position is missing, there are no rows, or a column is of another type than
    text, int64 and float64."""
    schema = _described(files, survey)
    widths, count = _widths(files, schema)
    if not count:
        raise InputError("no rows to write as VOTable or ECSV; leave survey.maps.formats empty")
    text = json.dumps({"rows": count, "survey": survey.name, "title": title}, sort_keys=True)

    def pieces() -> Iterator[pa.Table]:
        for _, table in in_pixels(files, "ra", "dec", most):
            yield table.drop_columns([INDEX]).cast(schema)

    for kind in dict.fromkeys(kinds):
        with replacing(folder / file_name(kind)) as temporary:
            if kind == "ecsv":
                vo.write_ecsv(temporary, schema, pieces(), text)
            else:
                packed = (vo.packed(piece, widths) for piece in pieces())
                vo.write_votable(temporary, schema, widths, count, packed, STEM, text)
    return count


def _described(files: Sequence[Path], survey: Survey) -> pa.Schema:
    """The schema of the files, with the units and descriptions of this project's columns where they
    have none of their own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not files:
        raise InputError("no files to write as VOTable or ECSV; leave survey.maps.formats empty")
    units = {column.name: column.unit for column in columns.columns(survey, "sample")}
    meant, fields = columns.descriptions(survey), []
    for field in pq.read_schema(files[0]):
        if str(field.type) not in ("string", "int64", "double"):
            raise InputError(
                f"{files[0]}: column {field.name} is {field.type}, which is not written as VOTable "
                "or ECSV; leave survey.maps.formats empty"
            )
        said: dict[str, Any] = {
            "unit": units.get(field.name, ""),
            "description": meant.get(field.name, ""),
            **vo.about(field),
        }
        fields.append(field.with_metadata({k: v for k, v in said.items() if v}))
    return pa.schema(fields)


def _widths(files: Sequence[Path], schema: pa.Schema) -> tuple[dict[str, int], int]:
    """Bytes of the longest text of each column of texts, and the number of rows."""
    import pyarrow.parquet as pq

    names, count = vo.texts(schema), 0
    longest = dict.fromkeys(names, 1)
    for path in files:
        count += pq.read_metadata(path).num_rows
        own = vo.widths(pq.read_table(path, columns=names, partitioning=None))
        longest = {name: max(longest[name], own[name]) for name in names}
    return longest, count
