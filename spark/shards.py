"""From the manifest to shards: the usable cutouts of each split in hashed order, one TFRecord file
for each task; and the same records as WebDataset and ArrayRecord, where they are asked for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from data import manifest, shardforms, shards, splits, tfrecord
from data.config import settings
from data.cutouts import read_npz
from data.folder import UNLABELLED
from data.names import inside
from data.survey import Survey, default, of_run
from lensjax.errors import InputError
from spark.cutouts import Refused
from spark.jobs import run_partitions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@settings
class ShardSettings:
    """How cutouts are packed into shards."""

    records_per_shard: Annotated[int, Field(ge=1, le=100_000)] = 1024
    """at most; 1024 records of the Legacy Surveys' stamps are 126 MB"""
    formats: tuple[shardforms.Form, ...] = ()
    """other forms of the same records, each in a folder shards/<form>"""


def write_shards(
    spark: SparkSession | None,
    out: Path,
    size: int,
    s: ShardSettings,
    seed: int = splits.SEED,
    survey: Survey | None = None,
) -> tuple[dict[str, Any], list[Refused]]:
    """Writes shards/ from manifest.parquet and its cutouts, and the other forms of `s.formats` from
    these shards; returns figures, and the usable cutouts that were left out for their size.

    Only rows with quality_ok go in. All records of a data set have one shape, so cutouts of another
    side than `size` (hosts of another survey) are returned as (path, galaxy_id, reason) and used
    from their files. There are no shards where every cutout is without a label: a folder of hosts.
    survey: the run's if none. Raises InputError when a cutout is missing, damaged
    or not as the manifest says.
    """
    survey = survey or of_run(out)
    folder = out / "shards" / shards.NAME / shards.VERSION
    (folder / shards.INDEX).unlink(missing_ok=True)
    listed = manifest.read(out / "manifest.parquet", survey).to_pylist()
    rows = [row for row in listed if row["quality_ok"]]
    left_out = [
        (
            r["cutout_path"],
            r["galaxy_id"],
            f"{r['size']} pixels, shards hold {size}: used from its file",
        )
        for r in rows
        if r["size"] != size
    ]
    usable = [row for row in rows if row["size"] == size]
    rows = [row for row in usable if row["cutout_type"] != UNLABELLED]
    if usable and not rows:
        return {"shards": 0, "records": dict.fromkeys(shards.SPLITS, 0), "bytes": 0}, left_out
    if not rows:
        raise InputError(
            f"{out / 'manifest.parquet'}: no usable cutout of {size} pixels, so no shards; see "
            "quarantine.csv for the reasons"
        )
    # Sorted by name first, so that equal keys, should they ever come, have one order.
    rows.sort(key=lambda row: row["galaxy_id"])
    planned = shards.plan(
        [row["split"] for row in rows],
        splits.order_key((row["galaxy_id"] for row in rows), seed),
        s.records_per_shard,
    )
    work = partial(pack, out=out, size=size, survey=survey)
    kept = shards.fields(survey)
    items = [
        (
            shard.file,
            [
                {"cutout_path": rows[i]["cutout_path"], **{k: rows[i][k] for k in kept}}
                for i in shard.rows
            ],
        )
        for shard in planned
    ]
    entries = run_partitions(spark, folder, items, work, "", "shards")
    written = [{**entry, **entry["counters"]} for entry in entries]
    note = (
        f"Cutouts of {survey.title} in {', '.join(survey.bands)} around galaxies, nanomaggies, "
        f"{survey.pixel_scale:g} arcsec a pixel; label 1 is a lens."
    )
    shards.finish(folder, planned, written, size, note, survey)
    for form in dict.fromkeys(s.formats):
        below = out / "shards" / form
        (below / shardforms.INDEX).unlink(missing_ok=True)
        convert = partial(shardforms.write, form=form, size=size, survey=survey)
        named = [(shardforms.file_name(one.file, form), folder / one.file) for one in planned]
        made = run_partitions(spark, below, named, convert, "", form)
        shardforms.finish(below, form, size, survey, planned, made)
    records = {
        name: sum(len(shard.rows) for shard in planned if shard.split == name)
        for name in shards.SPLITS
    }
    return {
        "shards": len(planned),
        "records": records,
        "bytes": sum(e["bytes"] for e in entries),
    }, left_out


def pack(
    rows: list[dict[str, Any]],
    temporary: Path,
    *,
    out: Path,
    size: int,
    survey: Survey | None = None,
) -> dict[str, Any]:
    """The work on one shard: its cutouts in order."""
    survey = survey or default()
    shape = (size, size, len(survey.bands))

    def example(row: dict[str, Any]) -> bytes:
        image, meta = read_npz(inside(out, row["cutout_path"], "manifest.parquet"))
        if image.shape != shape or meta["galaxy_id"] != row["galaxy_id"]:
            found = f"object {meta['galaxy_id']}, shape {'x'.join(map(str, image.shape))}"
            raise InputError(
                f"{row['cutout_path']}: {found}, the manifest says {row['galaxy_id']} of {size} "
                f"pixels in {len(survey.bands)} bands; run `lensjax survey --force`"
            )
        return shards.example(image, row, survey)

    records = tfrecord.write(temporary, (example(row) for row in rows))
    labels = np.array([row["label"] for row in rows])
    return {**shards.described(temporary, records), "positives": int((labels == 1).sum())}
