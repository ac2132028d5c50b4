"""The sample → cutout files: each brick is read once and everything wanted of it sliced out.

A task makes one folder, cutouts/<brickname>/, with the NPZ files and `objects.parquet`: a row for every object, with its file and checksum, or why it
has none. Existing cutouts of the sample are copied, and external hosts converted, into folders of the same kind.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from data import hosts
from data.coadds import Brick, pixel_positions, pixel_scale, read_brick, slice_out
from data.config import settings
from data.cutouts import BANDS, PIPELINE_VERSION, cutout_path, read_npz, write_npz
from data.quality import features, rejected
from lensjax.errors import InputError
from spark.jobs import outputs, run_partitions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OBJECTS = "objects.parquet"
# Of the sample's columns, those a cutout file carries.
CARRIED = ("tier", "weight", "nobs_z", "match_type", "type", "psfsize_z", "flux_r", "brickname")
Refused = tuple[str, str, str]
"""(path, object, reason)"""


@settings
class CutoutSettings:
    """What a cutout is, and which external hosts are added."""

    size: Annotated[int, Field(ge=32, le=1024)] = 101
    """side, pixels"""
    stamps: tuple[str, ...] = ()
    """folders with g.fits, r.fits, z.fits of stamps at zero point 30 (DES), relative to the survey's folder; hosts of size and scale of their own"""
    cubes: tuple[str, ...] = ()
    """FITS cubes of the cutout service, relative to the survey's folder, cut into hosts side by side"""


@dataclass(frozen=True)
class Source:
    """What one task makes cutouts of: rows of the sample in one brick, or a file or folder (`path`, relative) of external hosts."""

    kind: Literal["brick", "stamps", "cube"]
    name: str
    path: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)


def make_cutouts(
    spark: SparkSession | None,
    out: Path,
    root: Path,
    s: CutoutSettings,
    on_bad_file: Literal["stop", "quarantine"] = "stop",
) -> list[Refused]:
    """Writes cutouts/ from sample/sample.parquet and the coadds below `root`; returns what has no cutout and why.

    Objects off their brick's image, and existing cutouts that cannot be read, are always returned; a brick that cannot be read is
    an InputError when on_bad_file is "stop", else all of its objects are returned.
    """
    import pyarrow.parquet as pq

    rows = (
        pq.read_table(out / "sample" / "sample.parquet", partitioning=None)
        .sort_by("galaxy_id")
        .to_pylist()
    )
    bricks: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        bricks.setdefault(row["brickname"], []).append(row)
    sources = [Source("brick", name, rows=bricks[name]) for name in sorted(bricks)]
    sources += [Source("stamps", hosts.source_name(path), path) for path in s.stamps]
    sources += [Source("cube", hosts.source_name(path), path) for path in s.cubes]
    twice = [name for name, n in Counter(source.name for source in sources).items() if n > 1]
    if twice:
        raise InputError(
            f"cutouts: two hosts or bricks are called {twice[0]!r}; rename one of the files in survey.cutouts"
        )
    work = partial(cut, root=root, size=s.size)
    entries = run_partitions(
        spark,
        out / "cutouts",
        [(source.name, source) for source in sources],
        work,
        "",
        "cutouts",
        on_bad_file,
    )
    refused: list[Refused] = []
    for source, entry in zip(sources, entries, strict=True):
        if "error" in entry:
            lost = source.rows or [{"galaxy_id": ""}]
            refused += [
                (source.path or source.name, row["galaxy_id"], entry["error"]) for row in lost
            ]
        else:
            refused += [tuple(r) for r in entry["counters"]["refused"]]
    return refused


def objects(out: Path) -> list[dict[str, Any]]:
    """Rows of every objects.parquet that have a file, in the order of the job: galaxy_id, cutout_path, sha256, offset_x, offset_y (pixels)."""
    import pyarrow.parquet as pq

    return [
        row
        for folder in outputs(out / "cutouts")
        for row in pq.read_table(folder / OBJECTS, partitioning=None).to_pylist()
        if row["cutout_path"]
    ]


def cut(source: Source, temporary: Path, *, root: Path, size: int) -> dict[str, Any]:
    """The work on one source: its NPZ files and objects.parquet in the folder `temporary`; counts objects, cutouts, files with a missing band."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    temporary.mkdir(parents=True, exist_ok=True)
    if source.kind == "brick":
        made = list(_of_sample(source, temporary, root, size))
    else:
        path = root / source.path
        stamps = hosts.des_stamps(path) if source.kind == "stamps" else hosts.cube_tiles(path, size)
        made = [_written(temporary, source.name, image, meta) for image, meta in stamps]
    text, number = (
        ("galaxy_id", "cutout_path", "sha256", "missing", "reason"),
        ("offset_x", "offset_y"),
    )
    schema = pa.schema([(c, pa.string()) for c in text] + [(c, pa.float64()) for c in number])
    pq.write_table(pa.Table.from_pylist(made, schema), temporary / OBJECTS, store_schema=False)
    refused = [
        [row.pop("path", source.name), row["galaxy_id"], row["reason"]]
        for row in made
        if row["reason"]
    ]
    return {
        "objects": len(made),
        "cutouts": len(made) - len(refused),
        "missing_band": sum(bool(row.get("missing")) for row in made),
        "refused": refused,
    }


def _of_sample(source: Source, folder: Path, root: Path, size: int) -> Iterator[dict[str, Any]]:
    """Copies what exists and slices the rest of a brick."""
    sliced = []
    for row in source.rows:
        if row.get("source_cutout"):
            try:
                image, meta = read_npz(root / row["source_cutout"])
            except InputError as error:
                yield {
                    "galaxy_id": row["galaxy_id"],
                    "reason": str(error),
                    "path": row["source_cutout"],
                }
                continue
            yield _written(folder, source.name, image, meta)
        else:
            sliced.append(row)
    if not sliced:
        return
    brick = read_brick(root, source.name)
    x, y = pixel_positions(brick, [r["ra"] for r in sliced], [r["dec"] for r in sliced])  # type: ignore[arg-type]
    for row, column, line in zip(sliced, x, y):
        piece = slice_out(brick.images, column, line, size)
        if not piece.inside:
            ny, nx = brick.images.shape[:2]
            reason = f"outside the {nx} x {ny} pixels of its brick's image (column {column:.0f}, row {line:.0f})"
            yield {"galaxy_id": row["galaxy_id"], "reason": reason}
            continue
        made = _written(folder, source.name, piece.image, metadata(piece.image, row, brick))
        yield {
            **made,
            "offset_x": piece.offset[0],
            "offset_y": piece.offset[1],
            "missing": ",".join(brick.missing),
        }


def _written(folder: Path, name: str, image: np.ndarray, meta: Mapping[str, Any]) -> dict[str, Any]:
    path = folder / f"{meta['galaxy_id']}.npz"
    write_npz(path, image, meta)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "galaxy_id": meta["galaxy_id"],
        "cutout_path": cutout_path(name, meta["galaxy_id"]),
        "sha256": digest,
        "reason": "",
    }


def metadata(image: np.ndarray, row: Mapping[str, Any], brick: Brick) -> dict[str, Any]:
    """What a sliced cutout says of itself: origin, the catalogue's figures, the features of its pixels. A missing text is "", a missing number NaN."""
    release = brick.header.get("DRVERSIO")
    carried = {key: row.get(key) for key in CARRIED}
    for key, value in carried.items():
        if value is None:
            carried[key] = (
                ""
                if key in ("tier", "match_type", "type")
                else -1
                if key == "nobs_z"
                else float("nan")
            )
    return {
        "galaxy_id": row["galaxy_id"],
        "ra": float(row["ra"]),
        "dec": float(row["dec"]),
        "cutout_type": row.get("cutout_type") or "",
        "size": image.shape[0],
        "pixel_scale": round(pixel_scale(brick.header), 6),
        "timestamp": str(brick.header.get("DATE", "")),
        "pipeline_version": PIPELINE_VERSION,
        "cutout_url": f"{brick.source}/legacysurvey-{brick.name}-image-{{{','.join(BANDS)}}}.fits.fz",
        "layer": "simulated"
        if brick.header.get("SIMULATD")
        else f"ls-dr{int(release) // 1000}"
        if release
        else "",
        "bands_requested": BANDS,
        **carried,
        **features(image),
        "quality_ok": not rejected(image, image.shape[0]),
    }
