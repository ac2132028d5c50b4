"""A folder of somebody's cutouts with a table, as the input of a run.

The table (CSV, ECSV, Parquet or FITS) has a row for each object: an id, and as far as they are
known position, label, PSF and depth in each band, E(B-V) and split. The folder has the pixels of
each object as an NPZ file (one of ours, or plain arrays), as a FITS cube, or as one FITS file a
band.
The survey's definition says bands, pixel scale and zero point; sides are the survey's unless the
run asks for another.

    rows, refused = read_table(folder, settings, survey)   # what the table says, row by row
    figures, refused = take_in(out, folder, settings, survey)     # sample/sample.parquet of a run

The pixels are read by `data.stampfile.read_stamp`. `take_in` stands in for the steps from the
catalogue to the sample; the steps after it (cutouts, validation, manifest, shards) are those of any
survey. An object without a label is a host for the audit, and can be scored; it is in no training
and in no figure of an evaluation. What is refused is named by file and row, and nothing is dropped
silently.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping
from dataclasses import field
from operator import itemgetter
from os.path import normpath
from pathlib import Path
from typing import Any, Literal

import numpy as np

from data import splits, tables
from data.config import settings
from data.files import replacing
from data.names import inside, safe_name
from data.photometry import psfdepth
from data.survey import Survey
from lensjax.errors import InputError

UNLABELLED = "unlabelled"
"""`cutout_type` of an object whose table has no label for it"""
GUESSES = (
    *("{id}.npz", "{id}.fits", "{id}.fits.fz", "{id}.fits.gz"),
    *("{id}_{band}.fits", "{id}-{band}.fits", "{id}_{band}.fits.fz", "{id}-{band}.fits.fz"),
    *("{id}/{band}.fits", "{band}/{id}.fits"),
)
"""Names of files that are tried, in this order, when none is set."""
TIER, POOL = {1: "A", 0: "N1"}, {1: None, 0: "N1"}
LARGEST = float(np.finfo(np.float32).max)
"""of the numbers that shards store"""
Refused = tuple[str, object, str]
"""(path, row, reason)"""


@settings
class Folder:
    """A table and the folder of cutouts that it belongs to."""

    table: str = ""
    """table of the objects, relative to the folder or absolute: .csv, .ecsv, .parquet or .fits;
    empty: there is none and the run starts from a catalogue"""
    columns: dict[str, str] = field(default_factory=dict)
    """column of ours to column of the table, where the names differ. Ours are id, ra, dec, label,
    split, tier, sample_weight, ebv, file, and, with the name of a band added, psfsize (FWHM,
    arcsec), psfdepth (inverse variance, nanomaggy^-2), m5 (5-sigma depth, AB mag)"""
    files: str = ""
    """name of an object's file, relative to the folder, with {id} and, where there is one file a
    band, {band}; empty: the column `file` if there is one, else the usual names are tried"""
    array: str = ""
    """name of the array in NPZ files that are not ours; empty: the only image in them"""
    zero_point: float | None = None
    """AB magnitude of one unit of the files, if it is not the survey's"""
    lenses: str = ""
    """list of known lenses in lenscat's format, relative to the folder: galaxies near one of them
    are no hosts of an audit; empty: none is known"""


def columns_known(survey: Survey) -> tuple[str, ...]:
    """Columns that a table may have, `id` first."""
    plain = ("id", "ra", "dec", "label", "split", "tier", "sample_weight", "ebv", "file")
    return (*plain, *survey.per_band("psfsize", "psfdepth", "m5"))


def table_path(folder: str | Path, s: Folder, key: str = "survey.folder.table") -> Path:
    """Where the table is. key: the setting that names it. Raises InputError for a relative path
    that leads out of the folder."""
    own = Path(s.table)
    return own if own.is_absolute() else inside(folder, s.table, key)


def read_table(
    folder: str | Path, s: Folder, survey: Survey
) -> tuple[list[dict[str, Any]], list[Refused]]:
    """Rows of the table that can be used, sorted by id, and the refused ones as (table, row, why).

    Rows are counted from 1, without the line of names. A row has `row`, `galaxy_id`, `files`
    (relative to the folder; one, or one a band in the survey's order), `ra`, `dec` (degrees, NaN
    where unknown), `label` (1, 0 or None), `split` (or None) and the other known columns (None
    where missing). Raises InputError when the table cannot be read or a column of `columns` is not
    there.
    """
    folder = Path(folder)
    if s.files:
        filled(s.files, "id", survey)
    found = _columns(table_path(folder, s), s, survey)
    good: list[dict[str, Any]] = []
    refused: list[Refused] = []
    seen: dict[str, list[int]] = {}
    for i, value in enumerate(found["id"]):
        seen.setdefault(str(value), []).append(i + 1)
    for i, value in enumerate(found["id"]):
        raw = {name: values[i] for name, values in found.items()}
        try:
            rows = seen[str(value)]
            if len(rows) > 1:
                raise InputError(
                    f"id {value!r} is also in row {next(r for r in rows if r != i + 1)}"
                )
            good.append({"row": i + 1, **_row(folder, raw, s, survey)})
        except InputError as error:
            refused.append((s.table, i + 1, str(error)))
    good, shared = _of_one_row(good, s.table)
    refused = sorted([*refused, *shared], key=itemgetter(1))
    return sorted(good, key=lambda row: row["galaxy_id"]), refused


def _of_one_row(
    rows: list[dict[str, Any]], table: str
) -> tuple[list[dict[str, Any]], list[Refused]]:
    """Rows whose files no other row has, and the others: one stamp would be several objects, which
    may come into several splits."""
    owners: dict[str, list[int]] = {}
    for row in rows:
        for file in set(map(normpath, row["files"])):
            owners.setdefault(file, []).append(row["row"])
    good: list[dict[str, Any]] = []
    refused: list[Refused] = []
    for row in rows:
        both = [(f, owners[normpath(f)]) for f in row["files"] if len(owners[normpath(f)]) > 1]
        if both:
            file, own = both[0]
            other = next(r for r in own if r != row["row"])
            refused.append((table, row["row"], f"{file} is also the file of row {other}"))
        else:
            good.append(row)
    return good, refused


def take_in(
    out: Path,
    folder: Path,
    s: Folder,
    survey: Survey,
    *,
    scheme: splits.Scheme = "70/15/15",
    seed: int = splits.SEED,
    on_bad_file: Literal["stop", "quarantine"] = "stop",
) -> tuple[dict[str, Any], list[Refused]]:
    """Writes out/sample/sample.parquet from the table; returns figures and the refused rows.

    The split of an object is that of the table, else that of its HEALPix cell, else (without a
    position) that of its id. Objects without a label are in split test. Raises InputError when no
    row can be used, when a cell of the sky would be in two splits, and for the first refused row
    when on_bad_file is "stop".
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, refused = read_table(folder, s, survey)
    if refused and on_bad_file == "stop":
        path, row, reason = refused[0]
        raise InputError(
            f"{folder / path}, row {row}: {reason}; mend the row, or set survey.on_bad_file to "
            "quarantine"
        )
    if not rows:
        why = f"row {refused[0][1]}: {refused[0][2]}" if refused else "it has no rows"
        raise InputError(f"{folder / s.table}: no row that can be used ({why})")
    _split(rows, scheme, seed, folder / s.table)
    digits = 1 if len(rows) <= 4096 else 2
    for row in rows:
        label = row["label"]
        row["brickname"] = f"group{splits.order_key([row['galaxy_id']], seed)[0]:016x}"[
            : 5 + digits
        ]
        row["cutout_type"] = {1: "positive", 0: "negative", None: UNLABELLED}[label]
        row["tier"] = row["tier"] or TIER.get(label)  # type: ignore[arg-type]
        row["pool"] = POOL.get(label)  # type: ignore[arg-type]
        row["weight"] = 1.0
        row["sample_weight"] = 1.0 if row["sample_weight"] is None else row["sample_weight"]
        row["label"] = label or 0
        row["ra"], row["dec"] = (None if math.isnan(row[k]) else row[k] for k in ("ra", "dec"))
    with replacing(out / "sample" / "sample.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(rows, _schema(survey)), temporary, store_schema=False)
    kinds = [row["cutout_type"] for row in rows]
    names = ("positive", "negative", UNLABELLED)
    return {"rows": len(rows), **{name: kinds.count(name) for name in names}}, refused


def _row(folder: Path, raw: Mapping[str, Any], s: Folder, survey: Survey) -> dict[str, Any]:
    """One row of the table, checked. Raises InputError with the reason alone."""
    name = safe_name(raw["id"], "id", s.table) if raw["id"] is not None else None
    if name is None:
        raise InputError("no id")
    number = {
        key: as_number(raw.get(key), key)
        for key in columns_known(survey)
        if key not in ("id", "split", "tier", "file")
    }
    ra, dec = number["ra"], number["dec"]
    if (ra is None) != (dec is None):
        raise InputError(f"{'ra' if ra is None else 'dec'} is missing; give both or neither")
    if ra is not None and dec is not None and not (-360 <= ra <= 360 and -90 <= dec <= 90):
        raise InputError(f"ra {ra:g}, dec {dec:g} is not a position in degrees")
    if number["label"] not in (None, 0.0, 1.0):
        raise InputError(f"label {raw['label']!r}, expected 1 (lens), 0, or nothing")
    for key, value in number.items():
        if key.startswith(("psfsize", "psfdepth", "sample_weight")) and value is not None:
            if value < 0 or (value == 0 and key.startswith("psfsize")):
                raise InputError(f"{key} {value:g} is not positive")
            if value > LARGEST:
                raise InputError(f"{key} {value:g} is larger than any that can be stored")
    for key, allowed in {"split": splits.NAMES, "tier": ("A", "B", "N1", "N2")}.items():
        if raw.get(key) is not None and raw[key] not in allowed:
            raise InputError(f"{key} {raw[key]!r}, expected one of {', '.join(allowed)}")
    row = {
        "galaxy_id": name,
        "ra": math.nan if ra is None or dec is None else ra % 360,
        "dec": math.nan if ra is None or dec is None else dec,
        "label": None if number["label"] is None else int(number["label"]),
        **{key: raw.get(key) for key in ("split", "tier")},
        **{key: number[key] for key in ("ebv", "sample_weight", *survey.per_band("psfsize"))},
    }
    for band in survey.bands:
        depth, m5 = number[f"psfdepth_{band}"], number[f"m5_{band}"]
        row[f"psfdepth_{band}"] = depth if m5 is None else float(psfdepth(m5))
    return row | {"files": files_of(folder, name, raw.get("file"), s, survey)}


def files_of(folder: Path, name: str, given: Any, s: Folder, survey: Survey) -> list[str]:
    """Files of an object, relative to the folder, all of which are there. given: what the column
    `file` says. Raises InputError where one is missing."""
    patterns = (given,) if given is not None and not s.files else (s.files,) if s.files else GUESSES
    missing = ""
    for pattern in patterns:
        names = filled(str(pattern), name, survey)
        paths = [inside(folder, file, "file") for file in names]
        absent = [file for file, path in zip(names, paths) if not path.is_file()]
        if not absent:
            return names
        if len(absent) < len(names) or not missing:
            missing = absent[0]
    raise InputError(f"{missing}: no such file")


def filled(pattern: str, name: str, survey: Survey) -> list[str]:
    """A pattern of file names with its fields filled in: one name, or one a band. Raises
    InputError for other fields than {id} and {band}."""
    try:
        parts = [part[1:] for part in string.Formatter().parse(pattern) if part[1] is not None]
    except ValueError as error:
        raise InputError(f"file name {pattern!r}: {error}") from None
    fields = {name for name, _, _ in parts}
    if fields - {"id", "band"} or any(form or conversion for _, form, conversion in parts):
        raise InputError(
            f"file name {pattern!r}: use the fields {{id}} and {{band}} only, as they stand here"
        )
    bands = survey.bands if "band" in fields else ("",)
    return [pattern.format(id=name, band=band) for band in bands]


def as_number(value: Any, key: str) -> float | None:
    """A value of a table as a number; None where it is missing. key: how messages name it. Raises
    InputError for what is no finite number."""
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{key} {value!r} is not a number") from None
    if math.isnan(number):
        return None
    if math.isinf(number):
        raise InputError(f"{key} {value!r} is not finite")
    return number


def _columns(path: Path, s: Folder, survey: Survey) -> dict[str, list[Any]]:
    """Known columns of the table, as lists of Python values; None where a value is missing."""
    known = columns_known(survey)
    if unknown := [key for key in s.columns if key not in known]:
        raise InputError(
            f"survey.folder.columns names {unknown[0]!r}; the columns of {survey.name} are "
            f"{', '.join(known)}"
        )
    table = tables.read(path)
    lower = {name.lower(): name for name in reversed(list(table))}
    found = {}
    for key in known:
        wanted = s.columns.get(key)
        if wanted is not None and wanted not in table:
            raise InputError(
                f"{path}: no column {wanted!r} (survey.folder.columns.{key}); it has "
                f"{', '.join(list(table)[:30])}"
            )
        if wanted is not None or key.lower() in lower:
            found[key] = table[wanted if wanted is not None else lower[key.lower()]]
    if "id" not in found:
        raise InputError(
            f"{path}: no column 'id'; name the column of the ids in survey.folder.columns.id"
        )
    return found


def _split(rows: list[dict[str, Any]], scheme: splits.Scheme, seed: int, where: Path) -> None:
    """Gives every row its HEALPix cell (None without a position) and its split."""
    placed = [row for row in rows if not math.isnan(row["ra"])]
    position = [np.array([row[k] for row in placed], np.float64) for k in ("ra", "dec")]
    cells = splits.healpix_128(*position)
    by_cell = splits.split(cells, seed, scheme)
    for row in rows:
        row["healpix_128"] = None
    for row, cell, name in zip(placed, cells.tolist(), by_cell.tolist()):
        row["healpix_128"], row["split"] = cell, row["split"] or name
    seen: dict[int, dict[str, Any]] = {}
    for row in rows:
        if row["label"] is None:
            row["split"] = "test"
            continue
        if row["split"] is None:
            u = splits.uniform(row["galaxy_id"], seed)  # type: ignore[arg-type]
            row["split"] = next(name for name, bound in splits.BOUNDS[scheme] if u < bound)
        cell = row["healpix_128"]
        other = seen.setdefault(cell, row) if cell is not None else row
        if other["split"] != row["split"]:
            raise InputError(
                f"{where}, rows {other['row']} and {row['row']}: both in HEALPix cell {cell}, in "
                f"splits {other['split']} and {row['split']}; leave the column split out, then "
                "cells of the sky are kept together"
            )


def _schema(survey: Survey) -> Any:
    import pyarrow as pa

    text = ("galaxy_id", "brickname", "cutout_type", "tier", "pool", "split")
    plain = ("ra", "dec", "weight", "sample_weight", "ebv")
    real = (*plain, *survey.per_band("psfsize", "psfdepth"))
    return pa.schema(
        [(name, pa.string()) for name in text]
        + [(name, pa.int64()) for name in ("label", "healpix_128", "row")]
        + [(name, pa.float64()) for name in real]
        + [("files", pa.list_(pa.string()))]
    )
