"""From catalogue files to the negative pool.

Every catalogue file gives one Parquet file with the rows that pass every cut, and a row of a table
that says how many rows each cut removed. A large file is cut in ranges of rows (`data.ranges`), one
task each, before it becomes one of the pool; it gives the same bytes as if it were read whole.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from data import catalogue
from data.files import replacing
from data.jobs import finished
from data.lenses import Lenses
from data.names import LONGEST, as_text, file_stem
from data.ranges import RANGE_BYTES, count
from data.selection import Selection, counters_of, judged, magnitude
from data.survey import Survey, default
from lensjax.errors import InputError
from spark import ranges
from spark.jobs import run_partitions

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

OnBadFile = Literal["stop", "quarantine"]
Ranges = list[tuple[Path, dict[str, Any]]]
"""Where the ranges of a file lie, with what `spark.ranges.write` says of each."""
RANGES = "_ranges"
"""Folder below the pool's with the ranges of large files, until the pool is whole."""


def negative_pool(
    spark: SparkSession | None,
    out: Path,
    root: Path,
    paths: Sequence[str],
    lenses: Lenses,
    selection: Selection,
    on_bad_file: OnBadFile = "stop",
    survey: Survey | None = None,
    range_bytes: int = RANGE_BYTES,
) -> list[tuple[str, str]]:
    """Writes pool/<name>.parquet for every catalogue file and counts/pool.csv; returns the files
    that it refused, (path, reason). `refused_rows` tells the rows.

    paths: relative to `root`. lenses: every listed lens, whatever its grading. survey: the default
    survey if none. range_bytes: of a file that one task reads. Raises InputError when a file is
    refused and on_bad_file is "stop", or when every file is refused.
    """
    survey = survey or default()
    shared: dict[str, Any] = {
        "root": root,
        "selection": selection,
        "lenses": lenses,
        "survey": survey,
    }
    items = list(zip(unique_names(paths), paths, strict=True))
    cuts = cut_ranges(spark, out / "pool", items, shared, range_bytes)
    files = [(name, (path, cuts.get(path, []))) for name, path in items]
    entries = run_partitions(
        spark,
        out / "pool",
        files,
        partial(_select_file, **shared),
        ".parquet",
        "negative pool",
        on_bad_file,
    )
    shutil.rmtree(out / "pool" / RANGES, ignore_errors=True)
    if all("error" in e for e in entries):
        raise InputError(
            f"no catalogue file can give a negative pool; the first says: {entries[0]['error']}"
            if entries
            else "no catalogue files to read"
        )
    whole = {
        path: relative(e["error"], root)
        for path, e in zip(paths, entries, strict=True)
        if "error" in e
    }
    counters = {path: e.get("counters", {}) for path, e in zip(paths, entries, strict=True)}
    write_counts(out / "counts" / "pool.csv", counters, whole, survey)
    return list(whole.items())


def refused_rows(out: Path, paths: Sequence[str]) -> list[tuple[str, object, str]]:
    """Rows of catalogues that the finished pool refused one by one, because a value is missing or
    the name cannot be used: (path, row, reason). paths: as `negative_pool` was given them."""
    entries = json.loads((out / "pool" / "_job.json").read_text())["items"]
    return [
        (path, row, reason)
        for path, entry in zip(paths, entries, strict=True)
        for row, reason in entry.get("counters", {}).get("refused", [])
    ]


def cut_ranges(
    spark: SparkSession | None,
    pool: Path,
    items: Sequence[tuple[str, str]],
    known: dict[str, Any],
    range_bytes: int,
) -> dict[str, Ranges]:
    """Cuts the files that have several ranges and are not in the pool yet, a task for each range.
    Returns where their ranges lie, with what `ranges.write` says of each."""
    done = finished(pool, ".parquet")
    root = known["root"]
    tasks = [
        (f"{name[: LONGEST - 30]}-{f}-{i}-of-{n}", (path, i, n))
        for f, (name, path) in enumerate(items)
        if name not in done and (n := count(root / path, range_bytes)) > 1
        for i in range(n)
    ]
    if not tasks:
        return {}
    work = partial(_cut_range, **known)
    entries = run_partitions(spark, pool / RANGES, tasks, work, ".arrow", "row ranges")
    found: dict[str, Ranges] = {}
    for (_, (path, _, _)), entry in zip(tasks, entries, strict=True):
        place = pool / RANGES / entry["file"]
        found.setdefault(path, []).append((place, entry["counters"]))
    return found


def _cut_range(
    task: tuple[str, int, int],
    temporary: Path,
    *,
    root: Path,
    selection: Selection,
    lenses: Lenses,
    survey: Survey,
) -> dict[str, Any]:
    path, i, n = task
    return ranges.write(temporary, ranges.cut(root / path, i, n, selection, lenses.tree(), survey))


def _select_file(task: tuple[str, Ranges], temporary: Path, **shared: Any) -> dict[str, Any]:
    path, cuts = task
    return select_file(path, temporary, cuts=cuts, **shared)


def select_file(
    path: str,
    temporary: Path,
    *,
    root: Path,
    selection: Selection,
    lenses: Lenses,
    survey: Survey | None = None,
    cuts: Ranges | None = None,
) -> dict[str, Any]:
    """The work on one catalogue file: read, cut, write.

    cuts: ranges of the file that were cut before; where there are none the file is one range.
    Returns the counters, the release, histograms of what was kept, and the rows that were refused
    one by one (row, reason).
    """
    import pyarrow.parquet as pq

    survey = survey or default()
    parts: list[ranges.Cut] | None
    if cuts:
        usable = all("cut" in facts for _, facts in cuts)
        parts = [ranges.read(place, facts["cut"]) for place, facts in cuts] if usable else None
    else:
        only = ranges.cut(root / path, 0, 1, selection, lenses.tree(), survey)
        parts = [only] if only else None
    found = ranges.joined(parts, selection, survey) if parts else None
    arrow, counters, refused, total, release = found or _judged_whole(
        root / path, selection, lenses, survey
    )
    pq.write_table(arrow, temporary, compression="zstd", store_schema=False)
    listed: list[tuple[object, str]] = [*refused]
    if total > len(refused):
        listed.append(("", f"{total - len(refused)} more rows, counted in counts/pool.csv"))
    return {
        "release": release,
        **counters,
        "histograms": histograms(arrow, survey),
        "refused": listed,
    }


def _judged_whole(
    path: Path, selection: Selection, lenses: Lenses, survey: Survey
) -> tuple[pa.Table, dict[str, int], list[tuple[int, str]], int, int | None]:
    """As `ranges.joined`, of a file that is read whole. Raises InputError as `catalogue.read`."""
    table = catalogue.read(path, survey)
    kept, counters, refused = judged(table, selection, lenses.tree(), path, survey)
    release = table.get("release", np.empty(0, int))
    known = np.ma.getdata(release)[~catalogue.missing(release)]
    latest = int(known.max()) if len(known) else None
    listed = refused[: ranges.LISTED]
    return ranges.pool_table(kept, survey), counters, listed, len(refused), latest


def histograms(pool: pa.Table, survey: Survey) -> dict[str, dict[str, int]]:
    """Quality check of one pool file: rows in each stratum, and in each half magnitude of the
    selection band."""
    band = survey.selection_band
    keys = [f"nobs_{band}_bin", "type_bin"]
    rows = pool.select(keys).group_by(keys).aggregate([([], "count_all")]).to_pylist()
    strata = {f"{row[keys[0]]}/{row[keys[1]]}": row["count_all"] for row in rows}
    half = np.floor(2 * magnitude(pool[f"flux_{band}"].to_numpy())) / 2
    bright = zip(*np.unique(half, return_counts=True), strict=True)
    return {
        "strata": dict(sorted(strata.items())),
        f"{band}_mag": dict(sorted((f"{x:.1f}", int(n)) for x, n in bright)),
    }


def unique_names(paths: Sequence[str]) -> list[str]:
    """A name for each file that can be part of a path (`data.names`): its stem, with its folder's
    name before it where stems repeat, and a number where that repeats too."""
    stems = [file_stem(Path(p).name) for p in paths]
    often = Counter(stems)
    names = [
        s if often[s] == 1 else file_stem(f"{Path(p).parent.name}-{s}")
        for p, s in zip(paths, stems, strict=True)
    ]
    often = Counter(names)
    return [n if often[n] == 1 else f"{n}-{i:04d}" for i, n in enumerate(names)]


def relative(reason: str, root: Path) -> str:
    """An error message with paths relative to the survey's root, so that what is written does not
    depend on where the survey lies."""
    return reason.replace(f"{root}/", "")


def write_counts(
    path: Path,
    counters: Mapping[str, Mapping[str, Any]],
    refused: Mapping[str, str],
    survey: Survey,
) -> None:
    """counts/pool.csv: a row for each file, in order, and a row `total`; a refused file has only
    its reason."""
    import pandas as pd

    rows = [
        {
            "file": as_text(name),
            "refused": as_text(refused.get(name, "")),
            **{k: v for k, v in c.items() if k not in ("histograms", "refused")},
        }
        for name, c in counters.items()
    ]
    frame = pd.DataFrame(rows)
    present = [c for c in frame.columns if c not in ("file", "refused", "release")]
    order = counters_of(survey)
    numbers = [*(c for c in order if c in present), *(c for c in present if c not in order)]
    total = {"file": "total", "refused": f"{len(refused)} files", **frame[numbers].sum().to_dict()}
    frame = pd.concat([frame, pd.DataFrame([total])], ignore_index=True)
    frame[[*numbers, "release"]] = frame[[*numbers, "release"]].astype("Int64")
    with replacing(path) as temporary:
        frame[["file", "release", *numbers, "refused"]].to_csv(
            temporary, index=False, lineterminator="\n"
        )
