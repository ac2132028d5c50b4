"""Cutout files → which may be used: every file is read back, its provenance checked, its pixels judged and measured.

A task makes validation/part-NNNNN.parquet: a row for every cutout with the manifest's columns that come from the file and its pixels, `quality_ok`, and
the `reason` when it is not. Rejected cutouts stay in the manifest, marked; files that cannot be read at all do not get there.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.cutouts import BANDS, PIXEL_SCALE, Meta, read_npz
from data.manifest import TYPES
from data.quality import FEATURES, features, rejected
from lensjax.errors import InputError
from spark.cutouts import Refused, objects
from spark.jobs import outputs, run_partitions

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

CHUNK = 256
SCALE_TOLERANCE = 0.01
TEXT = (
    "cutout_type",
    "timestamp",
    "pipeline_version",
    "cutout_url",
    "layer",
    "bands_requested",
    "tier",
    "match_type",
    "brickname",
    "type",
)
NUMBERS = ("ra", "dec", "pixel_scale", "weight")
COLUMNS = (
    "cutout_path",
    "filename",
    "galaxy_id",
    "size",
    *TEXT,
    *NUMBERS,
    "nobs_z",
    *FEATURES,
    "quality_ok",
)
"""Of a validation file, besides `reason`; names and types as in the manifest."""


def validate(spark: SparkSession | None, out: Path, size: int) -> list[Refused]:
    """Writes validation/ from what the cutout job made; returns the rejected and the unreadable: (path, galaxy_id, reason).

    size: side of a cutout of the sample, pixels. External hosts keep their own.
    """
    found = objects(out)
    chunks = [found[i : i + CHUNK] for i in range(0, len(found), CHUNK)]
    items = [
        (f"part-{i:05d}", [(o["galaxy_id"], o["cutout_path"]) for o in chunk])
        for i, chunk in enumerate(chunks)
    ]
    work = partial(judge, out=out, size=size)
    entries = run_partitions(spark, out / "validation", items, work, ".parquet", "validation")
    return [tuple(r) for entry in entries for r in entry["counters"]["refused"]]


def table(out: Path) -> pa.Table:
    """Every row of validation/, in the order of the cutouts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa.concat_tables(
        [pq.read_table(path, partitioning=None) for path in outputs(out / "validation")]
        or [_schema().empty_table()]
    )


def judge(chunk: list[tuple[str, str]], temporary: Path, *, out: Path, size: int) -> dict[str, Any]:
    """The work on a chunk of (galaxy_id, cutout_path)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, refused = [], []
    for galaxy_id, path in chunk:
        try:
            image, meta = read_npz(out / path)
        except InputError as error:
            refused.append([path, galaxy_id, str(error)])
            continue
        reason = wrong_provenance(image, meta, galaxy_id) or rejected(
            image, image.shape[0] if meta.get("cutout_type") == "host" else size
        )
        rows.append(_row(image, meta, path, reason))
        if reason:
            refused.append([path, galaxy_id, reason])
    pq.write_table(
        pa.Table.from_pylist(rows, _schema()), temporary, compression="zstd", store_schema=False
    )
    return {
        "cutouts": len(rows),
        "usable": sum(row["quality_ok"] for row in rows),
        "refused": refused,
    }


def wrong_provenance(image: np.ndarray, meta: Meta, galaxy_id: str) -> str:
    """Why a cutout is not what it should be, by what it says of itself; empty when it is.

    It must be the object it is filed under, have been asked for in bands grz (so that its channels are known to be g, r, z), at 0.262 arcsec a pixel
    (hosts of another survey within 1 %: DES has 0.263), with the size it has.
    """
    if meta["galaxy_id"] != galaxy_id:
        return f"is of object {meta['galaxy_id']}"
    if meta.get("bands_requested") != BANDS:
        return f"bands requested {meta.get('bands_requested', 'unknown')!r}, expected {BANDS!r}"
    scale = meta.get("pixel_scale", float("nan"))
    if not abs(scale / PIXEL_SCALE - 1) < SCALE_TOLERANCE:
        return f"pixel scale {scale}, expected {PIXEL_SCALE} arcsec"
    if meta.get("size") != image.shape[0]:
        return f"size {meta.get('size', 'unknown')} by its metadata, {image.shape[0]} by its pixels"
    return ""


def _row(image: np.ndarray, meta: Meta, path: str, reason: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "cutout_path": path,
        "filename": Path(path).name,
        "galaxy_id": meta["galaxy_id"],
        "size": image.shape[0],
    }
    row |= {name: str(meta[name]) if meta.get(name) else None for name in TEXT}
    row |= {name: _number(meta.get(name)) for name in NUMBERS}
    nobs = meta.get("nobs_z")
    row["nobs_z"] = int(nobs) if isinstance(nobs, int | float) and nobs >= 0 else None
    row |= {name: None if value != value else value for name, value in features(image).items()}
    return {**row, "quality_ok": not reason, "reason": reason}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _schema() -> pa.Schema:
    import pyarrow as pa

    make = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
    return pa.schema([(name, make[TYPES[name]]) for name in COLUMNS] + [("reason", pa.string())])
