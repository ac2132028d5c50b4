"""The sample → cutout files: each brick is read once and everything wanted of it sliced out. What
a stamp lacks at the edge of its brick is taken from the bricks around it (`data.edges`).

A task makes one folder, cutouts/<brickname>/, with the NPZ files and `objects.parquet`. That table
has a row for every object, with its file and checksum, or why it has none. Existing cutouts of the
sample are copied, and external hosts converted, into folders of the same kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from data import folder, hosts, provenance, wcs
from data.coadds import Brick, pixel_positions, pixel_scale, read_brick, slice_out
from data.config import settings
from data.cutouts import PIPELINE_VERSION, cutout_path, read_npz, write_npz
from data.edges import completed
from data.names import inside, safe_name
from data.quality import measured
from data.stampfile import read_stamp
from data.stores import Place, on_disk
from data.survey import Survey, default
from lensjax.errors import InputError
from spark.jobs import outputs, run_partitions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OBJECTS = "objects.parquet"
Refused = tuple[str, str, str]
"""(path, object, reason)"""


@settings
class CutoutSettings:
    """What a cutout is, and which external hosts are added."""

    size: Annotated[int, Field(ge=0, le=1024)] = 0
    """side, pixels; 0 for the survey's"""
    stamps: tuple[str, ...] = ()
    """folders with one file <band>.fits a band, each a stack of stamps, relative to the survey's
    folder; hosts of size and scale of their own"""
    stack: hosts.Stack = hosts.Stack()
    """scale and zero point of these stamps"""
    cubes: tuple[str, ...] = ()
    """FITS cubes of a cutout service, relative to the survey's folder, cut into hosts side by
    side"""

    def side(self, survey: Survey | None = None) -> int:
        """Side of a cutout of the sample, pixels."""
        return self.size or (survey or default()).stamp


@dataclass(frozen=True)
class Source:
    """What one task makes cutouts of: rows of the sample in one brick, or a file or folder (`path`,
    relative) of external hosts."""

    kind: Literal["brick", "stamps", "cube"]
    name: str
    path: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)


def make_cutouts(
    spark: SparkSession | None,
    out: Path,
    root: Place,
    s: CutoutSettings,
    on_bad_file: Literal["stop", "quarantine"] = "stop",
    survey: Survey | None = None,
    table: folder.Folder = folder.Folder(),
) -> list[Refused]:
    """Writes cutouts/ from sample/sample.parquet and the coadds below `root`; returns what has no
    cutout and why. survey: the default survey if none. table: how the files of a folder of cutouts
    are to be read (`data.folder`).

    Objects off their brick's image, existing cutouts that cannot be read, and neighbours of a brick
    that its edge was not completed from (with "" as the object) are always returned.
    A brick that cannot be read is an InputError when on_bad_file is "stop"; else all of its objects
    are returned. So it is with names that cannot be part of a path.
    """
    import pyarrow.parquet as pq

    survey = survey or default()
    rows = (
        pq.read_table(out / "sample" / "sample.parquet", partitioning=None)
        .sort_by("galaxy_id")
        .to_pylist()
    )
    refused: list[Refused] = []
    bricks: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        try:
            cutout_path(row["brickname"], row["galaxy_id"])
        except InputError as error:
            if on_bad_file == "stop":
                raise
            refused.append(("sample/sample.parquet", str(row["galaxy_id"]), str(error)))
            continue
        bricks.setdefault(row["brickname"], []).append(row)
    sources = [Source("brick", name, rows=bricks[name]) for name in sorted(bricks)]
    sources += [Source("stamps", hosts.source_name(path), path) for path in s.stamps]
    sources += [Source("cube", hosts.source_name(path), path) for path in s.cubes]
    twice = [name for name, n in Counter(source.name for source in sources).items() if n > 1]
    if twice:
        raise InputError(
            f"cutouts: two hosts or bricks are called {twice[0]!r}; "
            "rename one of the files in survey.cutouts"
        )
    work = partial(cut, root=root, size=s.side(survey), survey=survey, stack=s.stack, table=table)
    items = [(source.name, source) for source in sources]
    entries = run_partitions(spark, out / "cutouts", items, work, "", "cutouts", on_bad_file)
    for source, entry in zip(sources, entries, strict=True):
        if "error" in entry:
            lost = source.rows or [{"galaxy_id": ""}]
            refused += [
                (source.path or source.name, row["galaxy_id"], entry["error"]) for row in lost
            ]
        else:
            refused += [tuple(r) for r in entry["counters"]["refused"]]
            refused += [tuple(r) for r in entry["counters"].get("unused", ())]
    _one_kind(entries)
    return refused


def _one_kind(entries: list[dict[str, Any]]) -> None:
    """Raises InputError when some bricks are simulated and some are not, by their headers."""
    kinds: dict[bool, str] = {}
    for entry in entries:
        simulated = entry.get("counters", {}).get("simulated")
        if simulated is not None:
            kinds.setdefault(simulated, entry["name"])
    if len(kinds) > 1:
        raise InputError(
            f"cutouts: brick {kinds[True]} is simulated and brick {kinds[False]} is not; "
            "keep the two in folders of their own"
        )


def objects(out: Path) -> list[dict[str, Any]]:
    """Rows of every objects.parquet that have a file, in the order of the job: galaxy_id,
    cutout_path, sha256, offset_x, offset_y (pixels), neighbour_pixels and neighbours (how many
    pixels are of other bricks, and which).

    Raises InputError when a path among them leads out of the run's folder.
    """
    import pyarrow.parquet as pq

    found = []
    for path in outputs(out / "cutouts"):
        for row in pq.read_table(path / OBJECTS, partitioning=None).to_pylist():
            if row["cutout_path"]:
                inside(out, row["cutout_path"], path / OBJECTS)
                found.append(row)
    return found


def cut(
    source: Source,
    temporary: Path,
    *,
    root: Place,
    size: int = 0,
    survey: Survey | None = None,
    stack: hosts.Stack = hosts.Stack(),
    table: folder.Folder = folder.Folder(),
) -> dict[str, Any]:
    """The work on one source: its NPZ files and objects.parquet in the folder `temporary`.

    size: side of a cutout of the sample, pixels; 0 for the survey's. Returns the numbers of
    objects, of cutouts, of files with a missing band and of those with pixels of neighbours; what
    was refused, and which neighbours were not used; and, of a brick that was read, whether it is
    simulated.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    survey = survey or default()
    size = size or survey.stamp
    temporary.mkdir(parents=True, exist_ok=True)
    kinds: set[bool] = set()
    unused: dict[str, str] = {}
    if source.kind == "brick":
        made = list(_of_sample(source, temporary, root, size, survey, table, kinds, unused))
    else:
        path = on_disk(root, "survey.cutouts") / source.path
        stamps = (
            hosts.stamps(path, survey, stack)
            if source.kind == "stamps"
            else hosts.cube_tiles(path, size, survey)
        )
        made = [_written(temporary, source.name, image, meta) for image, meta in stamps]
    text = ("galaxy_id", "cutout_path", "sha256", "missing", "reason", "neighbours")
    schema = pa.schema(
        [(c, pa.string()) for c in text]
        + [(c, pa.float64()) for c in ("offset_x", "offset_y")]
        + [("neighbour_pixels", pa.int64())]
    )
    pq.write_table(pa.Table.from_pylist(made, schema), temporary / OBJECTS, store_schema=False)
    refused = [
        [row.pop("path", source.name), row["galaxy_id"], row["reason"]]
        for row in made
        if row["reason"]
    ]
    counters = {
        "objects": len(made),
        "cutouts": len(made) - len(refused),
        "missing_band": sum(bool(row.get("missing")) for row in made),
        "from_neighbours": sum(bool(row.get("neighbour_pixels")) for row in made),
        "refused": refused,
        "unused": [
            [name, "", f"not used for the edge of brick {source.name}: {reason}"]
            for name, reason in sorted(unused.items())
        ],
    }
    return counters | ({"simulated": kinds.pop()} if kinds else {})


def _of_sample(
    source: Source,
    temporary: Path,
    root: Place,
    size: int,
    survey: Survey,
    table: folder.Folder,
    kinds: set[bool],
    unused: dict[str, str],
) -> Iterator[dict[str, Any]]:
    """Copies what exists and slices the rest of a brick; `kinds` gets whether it is simulated, and
    `unused` the neighbours that its edge was not completed from, and why."""
    sliced = []
    for row in source.rows:
        files = row.get("files") or [row.get("source_cutout")]
        if not files[0]:
            sliced.append(row)
            continue
        try:
            if row.get("files"):
                image, meta = read_stamp(on_disk(root, "survey.folder"), row, table, survey, size)
            else:
                image, meta = read_npz(root / files[0])
                meta |= {"galaxy_id": row["galaxy_id"]}  # may lack the release
            made = _written(temporary, source.name, image, meta)
        except InputError as error:
            made = {"galaxy_id": row["galaxy_id"], "reason": str(error), "path": files[0]}
        yield made
    if not sliced:
        return
    brick = read_brick(root, source.name, survey)
    kinds.add(provenance.simulated(brick.header))
    release, lies = provenance.release(brick.header), wcs.orientation(brick.header)
    scale = round(pixel_scale(brick.header), 6)
    ra, dec = (np.array([row[name] for row in sliced], np.float64) for name in ("ra", "dec"))
    columns, lines = pixel_positions(brick, ra, dec)
    edges = completed(brick, root, survey, columns, lines, size)
    unused |= edges.unused
    for row, column, line in zip(sliced, columns, lines):
        piece = slice_out(brick.images, column, line, size)
        ny, nx = brick.images.shape[:2]
        if not piece.inside:
            reason = (
                f"outside the {nx} x {ny} pixels of its brick's image "
                f"(column {column:.0f}, row {line:.0f})"
            )
            yield {"galaxy_id": row["galaxy_id"], "reason": reason}
            continue
        if release and row.get("release") and int(row["release"]) // 1000 != release:
            reason = f"of release {row['release']}, its brick's image of data release {release}"
            yield {"galaxy_id": row["galaxy_id"], "reason": reason}
            continue
        filled = edges.fill(piece)
        said = provenance.note(brick.silent, lies, filled.note)
        meta = metadata(filled.image, row, brick, survey, scale) | {"provenance": said}
        yield {
            **_written(temporary, source.name, filled.image, meta),
            "offset_x": piece.offset[0],
            "offset_y": piece.offset[1],
            "missing": ",".join(brick.missing),
            "neighbours": ",".join(filled.neighbours),
            "neighbour_pixels": filled.pixels,
        }


def _written(below: Path, name: str, image: np.ndarray, meta: Mapping[str, Any]) -> dict[str, Any]:
    galaxy_id = safe_name(meta["galaxy_id"], "galaxy_id", name)
    digest = write_npz(below / f"{galaxy_id}.npz", image, meta)
    return {
        "galaxy_id": galaxy_id,
        "cutout_path": cutout_path(name, galaxy_id),
        "sha256": digest,
        "reason": "",
    }


def carried(survey: Survey) -> dict[str, Any]:
    """Columns of the sample that a cutout file carries, with what stands for a missing value: ""
    for a text, -1 for a number of exposures, NaN for another number."""
    nan, selection = float("nan"), survey.selection_band
    return {
        "tier": "",
        "weight": nan,
        f"nobs_{selection}": -1,
        "match_type": "",
        "type": "",
        f"psfsize_{selection}": nan,
        f"flux_{survey.reference}": nan,
        "brickname": nan,
    }


def metadata(
    image: np.ndarray, row: Mapping[str, Any], brick: Brick, survey: Survey, scale: float
) -> dict[str, Any]:
    """What a sliced cutout says of itself: its origin, the catalogue's figures, the features of its
    pixels. scale: arcsec per pixel."""
    number = provenance.release(brick.header)
    layer = f"ls-dr{number}" if number else survey.images.layer
    files = survey.images.image.format(
        brick=brick.name, brick3=brick.name[:3], band=f"{{{','.join(survey.bands)}}}"
    )
    return {
        "galaxy_id": row["galaxy_id"],
        "ra": float(row["ra"]),
        "dec": float(row["dec"]),
        "cutout_type": row.get("cutout_type") or "",
        "size": image.shape[0],
        "pixel_scale": scale,
        "timestamp": str(brick.header.get("DATE", "")),
        "pipeline_version": PIPELINE_VERSION,
        "cutout_url": f"{brick.source}/{files}",
        "layer": "simulated" if provenance.simulated(brick.header) else layer,
        "survey": survey.name,
        "bands_requested": survey.bands_text,
        **{
            name: missing if row.get(name) is None else row[name]
            for name, missing in carried(survey).items()
        },
        **measured(image, survey, scale),
    }
