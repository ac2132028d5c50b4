"""Cutout files → which may be used: every file is read back and its provenance checked; its pixels
are judged, and measured if they were not before.

A task makes validation/part-NNNNN.parquet. It has a row for every cutout with the manifest's
columns that come from the file and its pixels, `quality_ok`, and the `reason` when it is not.
Rejected cutouts stay in the manifest, marked; files that cannot be read at all do not get there.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.columns import as_column
from data.cutouts import Meta, read_npz
from data.names import inside
from data.provenance import scale_problem
from data.quality import columns, known, rejected
from data.survey import Survey, default
from lensjax.errors import InputError
from lensjax.units import ZERO_POINT
from spark.cutouts import Refused, objects
from spark.jobs import outputs, run_partitions

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

CHUNK = 256
HOST = "host"
TEXT = (
    *("cutout_type", "timestamp", "pipeline_version", "cutout_url", "layer", "bands_requested"),
    *("tier", "match_type", "brickname", "type"),
)
NUMBERS = ("ra", "dec", "pixel_scale", "weight")


def types(survey: Survey) -> dict[str, str]:
    """Columns of a validation file and their types; names and types are those of the manifest,
    except `reason`."""
    return {
        **dict.fromkeys(("cutout_path", "filename", "galaxy_id"), "string"),
        "size": "int64",
        **dict.fromkeys(TEXT, "string"),
        **dict.fromkeys(NUMBERS, "float64"),
        f"nobs_{survey.selection_band}": "int64",
        **columns(survey),
        "quality_ok": "bool",
        "reason": "string",
    }


def validate(
    spark: SparkSession | None, out: Path, size: int = 0, survey: Survey | None = None
) -> list[Refused]:
    """Writes validation/ from what the cutout job made; returns the rejected and the unreadable:
    (path, galaxy_id, reason).

    size: side of a cutout of the sample, pixels; 0 for the survey's. External hosts keep their own.
    survey: the default survey if none.
    """
    found = objects(out)
    chunks = [found[i : i + CHUNK] for i in range(0, len(found), CHUNK)]
    items = [
        (f"part-{i:05d}", [(o["galaxy_id"], o["cutout_path"]) for o in chunk])
        for i, chunk in enumerate(chunks)
    ]
    work = partial(judge, out=out, size=size, survey=survey or default())
    entries = run_partitions(spark, out / "validation", items, work, ".parquet", "validation")
    return [tuple(r) for entry in entries for r in entry["counters"]["refused"]]


def table(out: Path, survey: Survey | None = None) -> pa.Table:
    """Every row of validation/, in the order of the cutouts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    empty = _schema(survey or default()).empty_table()
    parts = [pq.read_table(path, partitioning=None) for path in outputs(out / "validation")]
    return pa.concat_tables(parts or [empty])


def judge(
    chunk: list[tuple[str, str]],
    temporary: Path,
    *,
    out: Path,
    size: int = 0,
    survey: Survey | None = None,
) -> dict[str, Any]:
    """The work on a chunk of (galaxy_id, cutout_path)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    survey = survey or default()
    rows, refused = [], []
    for galaxy_id, path in chunk:
        try:
            image, meta = read_npz(inside(out, path, "cutouts"))
        except InputError as error:
            refused.append([path, galaxy_id, str(error)])
            continue
        side = image.shape[0] if meta.get("cutout_type") == HOST else size or survey.stamp
        reason = wrong_provenance(image, meta, galaxy_id, survey)
        rows.append(_row(image, meta, path, reason, side, survey))
        if rows[-1]["reason"]:
            refused.append([path, galaxy_id, rows[-1]["reason"]])
    pq.write_table(
        pa.Table.from_pylist(rows, _schema(survey)),
        temporary,
        compression="zstd",
        store_schema=False,
    )
    return {
        "cutouts": len(rows),
        "usable": sum(row["quality_ok"] for row in rows),
        "refused": refused,
    }


def wrong_provenance(
    image: np.ndarray, meta: Meta, galaxy_id: str, survey: Survey | None = None
) -> str:
    """Why a cutout is not what it should be, by what it says of itself; empty when it is.

    It must be the object that it is filed under, of the survey if it names one, asked for in the
    survey's bands (so that it is known which channel is which), in nanomaggies, of the survey's
    pixel scale within 1 % (so that stamps of DES can be hosts of the Legacy Surveys), and of the
    size and number of bands that it has.
    """
    survey = survey or default()
    if meta["galaxy_id"] != galaxy_id:
        return f"is of object {meta['galaxy_id']}"
    if meta.get("survey", survey.name) != survey.name:
        return f"is of survey {meta['survey']!r}, expected {survey.name!r}"
    if meta.get("bands_requested") != survey.bands_text:
        said = meta.get("bands_requested", "unknown")
        return f"bands requested {said!r}, expected {survey.bands_text!r}"
    if problem := scale_problem(_number(meta.get("pixel_scale")), survey.pixel_scale):
        return problem
    zero_point = meta.get("zero_point", ZERO_POINT)
    if zero_point != ZERO_POINT:
        return f"zero point {zero_point}, expected {ZERO_POINT} (nanomaggies)"
    if meta.get("size") != image.shape[0]:
        return f"size {meta.get('size', 'unknown')} by its metadata, {image.shape[0]} by its pixels"
    if image.shape[2] != len(survey.bands):
        return f"{image.shape[2]} bands, expected {len(survey.bands)}"
    return ""


def _row(
    image: np.ndarray, meta: Meta, path: str, reason: str, side: int, survey: Survey
) -> dict[str, Any]:
    """A row of the table. reason: why the file is refused before its pixels are looked at."""
    row: dict[str, Any] = {
        "cutout_path": path,
        "filename": Path(path).name,
        "galaxy_id": meta["galaxy_id"],
        "size": image.shape[0],
    }
    row |= {name: as_column(meta.get(name), "string") for name in TEXT}
    row |= {name: as_column(meta.get(name), "float64") for name in NUMBERS}
    name = f"nobs_{survey.selection_band}"
    nobs = as_column(meta.get(name), "int64")
    row[name] = None if nobs is None or nobs < 0 else nobs
    scale = _number(meta.get("pixel_scale"))
    if image.shape[2] == len(survey.bands):
        found = known(image, meta, survey, scale if scale > 0 else survey.pixel_scale)
        row |= {name: as_column(found[name], kind) for name, kind in columns(survey).items()}
        good = found["quality_ok"] and image.shape[0] == image.shape[1] == side
        reason = reason or ("" if good else rejected(image, side, survey, scale))
    return {**row, "quality_ok": not reason, "reason": reason}


def _number(value: Any) -> float:
    """A number of the metadata; NaN where there is none."""
    return float(value) if isinstance(value, int | float) else float("nan")


def _schema(survey: Survey) -> pa.Schema:
    import pyarrow as pa

    make = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
    return pa.schema([(name, make[kind]) for name, kind in types(survey).items()])
