"""The negative pool of one row range of a catalogue file.

What depends on other rows of the survey is done when ranges are put together (`spark.joining`):
neighbours that make a merger, names that stand at two places, and checksums. For that a range hands
on, beside the rows that it keeps, every row's position, flux and a hash of its name, 32 bytes in
all. They lie on disk and are mapped.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data import catalogue, columns, mapped, ranges
from data.boxes import Box, box
from data.catalogue import Columns, Lazy, at, known, length
from data.namehash import name_hashes, two_places
from data.selection import Selection, completed, merging, of_cuts, passing, sorted_out
from data.sky import SkyTree
from data.stores import Place
from data.survey import Survey
from lensjax.errors import InputError
from spark import nearest
from spark.nearest import Near

LISTED = 1000
"""Refused rows of one file that are listed one by one."""
CHECKSUMS = ("FITS", "gzip", "reader", "none")
"""DATASUM and CHECKSUM of the table; the CRC of a gzipped file; what the reader of another kind
compares, such as those of Parquet's pages where they have some; nothing, because a table of FITS
has no checksum"""
_AROUND = pa.schema(
    [("key", pa.uint64()), ("ra", pa.float64()), ("dec", pa.float64()), ("flux", pa.float64())]
)


@dataclass(frozen=True)
class Facts:
    """What a range says of itself, as JSON can hold it.

    counters: of the range. refused: the first LISTED rows (counted from 1 in the file; reason).
    refusals: how many there are. release: the latest. where: box around its rows. data_sum: part of
    the checksum. declared: sums that the file says, the same in all of its ranges. verified: which
    checksums of the file are compared with its bytes, one of `CHECKSUMS`.
    """

    counters: dict[str, int]
    refused: list[tuple[int, str]]
    refusals: int
    release: int | None
    where: Box
    data_sum: int
    declared: mapped.Declared
    verified: str = "none"


@dataclass(frozen=True)
class Cut:
    """What one range gives.

    kept: the stage `pool`, in which only neighbours in this range make a merger. around: every
    row's hash of its name, position, and flux in the reference band (0 where there are no mergers).
    near: the rows nearest to lenses (`spark.nearest`), if they were asked for.
    """

    kept: pa.Table
    around: pa.Table
    facts: Facts
    near: pa.Table | None = None


def cut(
    path: Place,
    i: int,
    n: int,
    s: Selection,
    lenses: SkyTree | None,
    survey: Survey,
    near: Near | None = None,
) -> Cut | None:
    """Range i of n of a file. lenses: those whose neighbourhood is cut out. near: what rows near
    lenses are noted. None where one of several ranges finds that the file has to be read and judged
    whole, be it out of the ordinary or to be refused. Raises InputError as `catalogue.read` for a
    file that is one range."""
    s = completed(s, survey)
    try:
        found = ranges.opened(path, i, n, survey, of_cuts(s, survey))
        if found is not None and not (i == 0 and found.damaged_beside()):
            made = _cut(found, found.start, s, lenses, path, survey, near)
            facts = replace(
                made.facts,
                data_sum=found.data_sum,
                declared=found.declared,
                verified=_verified(found),
            )
            if n > 1 or not mapped.damaged(found.declared, found.data_sum):
                return replace(made, facts=facts)
    except InputError:
        pass  # whoever reads it whole says why
    return whole(path, s, lenses, survey, near) if n == 1 else None


def whole_range(path: Place, survey: Survey) -> ranges.Range | None:
    """A file as one range, whose columns are read when they are asked for. None where it has to be
    read and judged whole: it cannot be mapped, or something is wrong with it."""
    try:
        found = ranges.opened(path, 0, 1, survey, ("release", "brickname", "objid", "ra", "dec"))
        if found is None or found.damaged_beside():
            return None
        if mapped.damaged(found.declared, found.data_sum):
            return None
        around = _around(found, survey, merger=False)
    except InputError:
        return None
    key, ra, dec = ([np.asarray(around[name])] for name in ("key", "ra", "dec"))
    return None if two_places(key, ra, dec) else found


def whole(
    path: Place, s: Selection, lenses: SkyTree | None, survey: Survey, near: Near | None = None
) -> Cut:
    """A file that is read whole, as one range. Raises InputError as `catalogue.read`."""
    table = catalogue.read(path, survey)
    made = _cut(table, 0, completed(s, survey), lenses, path, survey, near)
    verified = "gzip" if path.name.lower().endswith(".gz") else "reader"
    return replace(made, facts=replace(made.facts, verified=verified))


def _verified(found: ranges.Range) -> str:
    """Which checksums of a file that is read in ranges are compared."""
    if not isinstance(found, ranges.FitsRange):
        return "reader"
    return "FITS" if any(said is not None for said in found.declared) else "none"


def _cut(
    found: Columns | Lazy,
    start: int,
    s: Selection,
    lenses: SkyTree | None,
    path: Place,
    survey: Survey,
    near: Near | None,
) -> Cut:
    alive, counters, refused = passing(found, s, lenses, path, survey)
    merger = merging(found, alive, s, survey) if s.merger else None
    kept, more = sorted_out(catalogue.take(found, alive), s, merger, survey)
    around = _around(found, survey, s.merger)
    every = np.arange(counters["rows"])
    release = known(at(found, "release", every)) if "release" in found else ()
    facts = Facts(
        counters | more,
        [(row + start, reason) for row, reason in refused[:LISTED]],
        len(refused),
        int(np.max(release)) if len(release) else None,
        box(np.asarray(around["ra"]), np.asarray(around["dec"])),
        0,
        (None, None),
    )
    noted = nearest.of_range(found, facts.where, near, survey) if near else None
    return Cut(pool_table(kept, survey), around, facts, noted)


def pool_table(kept: Columns, survey: Survey) -> pa.Table:
    """The stage `pool` as an Arrow table; what is absent or missing is null."""
    arrow = catalogue.to_arrow(kept, survey)
    for name in columns.names(survey, "pool")[arrow.num_columns :]:
        value = np.asarray(kept[name], str)
        arrow = arrow.append_column(name, pa.array(value, pa.string(), mask=value == ""))
    return arrow.replace_schema_metadata(columns.schema(survey, "pool").metadata)


def write(path: Path, found: Cut | None) -> dict[str, Any]:
    """Writes a range to a file of two or three Arrow streams; returns its facts, if there is
    one."""
    tables = (found.kept, found.around, found.near) if found else ()
    with pa.OSFile(str(path), "wb") as sink:
        for table in (t for t in tables if t is not None):
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
    return {"facts": json.dumps(asdict(found.facts)) if found else ""}


def facts(entry: dict[str, Any]) -> Facts | None:
    """What `write` returned; None where there was no range."""
    if not entry["facts"]:
        return None
    given = json.loads(entry["facts"])
    given["declared"], given["where"] = tuple(given["declared"]), tuple(given["where"])
    given["refused"] = [(row, reason) for row, reason in given["refused"]]
    return Facts(**given)


def read(path: Path, of_range: Facts) -> Cut:
    """A range that was written, mapped from its file."""
    with pa.memory_map(str(path)) as source:
        kept = pa.ipc.open_stream(source).read_all()
        around = pa.ipc.open_stream(source).read_all()
        more = source.tell() < source.size()
        near = pa.ipc.open_stream(source).read_all() if more else None
    return Cut(kept, around, of_range, near)


def _around(found: Columns | Lazy, survey: Survey, merger: bool) -> pa.Table:
    """Every row's hash, position and flux, without rows that have no position."""
    every = np.arange(length(found))
    column = lambda name: at(found, name, every)
    ra, dec = column("ra"), column("dec")
    flux = np.ma.getdata(column(f"flux_{survey.reference}")) if merger else np.zeros(len(every))
    brick = (
        found.raw("brickname", every)[0] if isinstance(found, ranges.Range) else column("brickname")
    )
    release = column("release") if "release" in found else None
    values = (name_hashes(release, brick, column("objid")), ra, dec, flux)
    good = np.isfinite(ra) & np.isfinite(dec)
    if not good.all():
        values = tuple(v[good] for v in values)
    return pa.table([pa.array(v) for v in values], schema=_AROUND)
