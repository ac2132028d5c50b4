"""From catalogue files to the negative pool.

Every catalogue file gives one Parquet file with the rows that pass every cut, and a row of a table
that says how many rows each cut removed. Files are cut in ranges of rows (`spark.ranges`), one task
each; then the ranges of a file become one of the pool (`spark.joining`). The rows are the same
however the survey is cut into files and ranges.
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

from data import columns, mapped
from data.files import replacing
from data.jobs import Work, finished
from data.lenses import Lenses
from data.names import LONGEST, as_text, file_stem
from data.ranges import RANGE_BYTES, count
from data.selection import Selection, completed, counters_of, magnitude
from data.stores import Place, pinned
from data.survey import Survey, default
from lensjax.errors import InputError
from spark import joining, nearest, ranges
from spark.jobs import outputs, run_partitions

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

OnBadFile = Literal["stop", "quarantine"]
RANGES = "_ranges"
"""Folder below the pool's with the ranges of files, until the pool is whole."""
NEAR = "_near"
"""Folder below the pool's with the rows of each file that are nearest to lenses"""
BESIDE = ("histograms", "refused", "verified")
"""What a finished pool says of a file besides its counters"""
Places = dict[str, list[tuple[Path, ranges.Facts | None]]]
"""The ranges of each name, where they lie and what they say; None: the file is to be read whole"""


def negative_pool(
    spark: SparkSession | None,
    out: Path,
    root: Place,
    paths: Sequence[str],
    lenses: Lenses,
    selection: Selection,
    on_bad_file: OnBadFile = "stop",
    survey: Survey | None = None,
    range_bytes: int = RANGE_BYTES,
    horizon: float | None = None,
) -> list[tuple[str, str]]:
    """Writes pool/<name>.parquet for every catalogue file and counts/pool.csv; returns the files
    that it refused, (path, reason). `refused_rows` tells the rows.

    paths: relative to `root`. lenses: every listed lens, whatever its grading. survey: the default
    survey if none. range_bytes: of a file that one task reads. horizon: arcsec, within which the
    row nearest to each lens is noted below pool/_near, for the cross-match; if none, no row is.
    Raises InputError when a file is refused and on_bad_file is "stop", or when every file is
    refused.
    """
    survey = survey or default()
    items = list(zip(unique_names(paths), paths, strict=True))
    folder, files = out / "pool", []
    done = finished(folder, ".parquet")
    if horizon is not None:
        done &= finished(folder / NEAR, ".parquet")
    if {name for name, _ in items} - done:
        work = partial(
            cut_range, selection=selection, lenses=lenses, survey=survey, horizon=horizon
        )
        now = dict(zip((name for name, _ in items), pinned([root / path for path in paths])))
        parts = {name: count(file, range_bytes) for name, file in now.items()}
        found, bad = cut_ranges(spark, folder / RANGES, now, parts, work)
        if horizon is not None:
            noted = list(found.items())
            run_partitions(spark, folder / NEAR, noted, join_near, ".parquet", "rows near lenses")
        pieces = joining.pieces(found, completed(selection, survey))
        files = [(name, (file, bad.get(name) or pieces[name])) for name, file in now.items()]
    entries = run_partitions(
        spark,
        folder,
        files or [(name, None) for name, _ in items],
        partial(join_file, selection=selection, survey=survey),
        ".parquet",
        "negative pool",
        on_bad_file,
    )
    shutil.rmtree(folder / RANGES, ignore_errors=True)
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


def checksums(out: Path) -> dict[str, Any]:
    """How the finished pool has verified the bytes of its files, for the run record: `pass`, in
    which, and the number of files of each of `ranges.CHECKSUMS` that it was so for."""
    entries = json.loads((out / "pool" / "_job.json").read_text())["items"]
    found = Counter(e["counters"].get("verified") for e in entries if "counters" in e)
    return {"pass": "pool", **{kind: found[kind] for kind in ranges.CHECKSUMS if found[kind]}}


def nearest_of(pool: Path) -> dict[str, Path]:
    """Where the rows nearest to lenses lie that a finished pool has noted, by the names of the
    files that it did not refuse."""
    accepted = {path.stem for path in outputs(pool)}
    return {path.stem: path for path in outputs(pool / NEAR) if path.stem in accepted}


def cut_ranges(
    spark: SparkSession | None,
    folder: Path,
    files: Mapping[str, Place],
    parts: Mapping[str, int],
    work: Work,
) -> tuple[dict[str, list[joining.Place]], dict[str, str]]:
    """Cuts every file, a task for each range; returns the ranges of each name, and of those that
    are refused the reason.

    files: by name. parts: number of ranges of each. work: `cut_range`.
    A file of several ranges that turns out to be damaged, or out of the ordinary, is read whole in
    a task of its own.
    """
    bad: dict[str, str] = {}

    def cut(tasks: Sequence[tuple[str, Place, int, int]], below: Path) -> Places:
        named = [(f"{x[0][: LONGEST - 30]}-{k}", x[1:]) for k, x in enumerate(tasks)]
        entries = run_partitions(
            spark, below, named, work, ".arrow", "row ranges", on_error="quarantine"
        )
        found: Places = {}
        for (name, *_), entry in zip(tasks, entries, strict=True):
            if "error" in entry:
                bad[name] = entry["error"]
            else:
                place = below / entry["file"], ranges.facts(entry["counters"])
                found.setdefault(name, []).append(place)
        return found

    tasks = [(name, files[name], i, n) for name, n in parts.items() for i in range(n)]
    found = cut(tasks, folder)
    again = {n for n, places in found.items() if not _complete([facts for _, facts in places])}
    if again:
        whole = [(name, file, 0, 1) for name, file in files.items() if name in again]
        found = {n: v for n, v in found.items() if n not in again} | cut(whole, folder / "whole")
    return {name: found[name] for name in files if name in found}, bad  # type: ignore[misc]


def _complete(of_file: Sequence[ranges.Facts | None]) -> bool:
    """Whether every range could be cut, and the checksums are right."""
    known = [facts for facts in of_file if facts is not None]
    total = sum(facts.data_sum for facts in known)
    return len(known) == len(of_file) and not mapped.damaged(known[0].declared, total)


def cut_range(
    task: tuple[Place, int, int],
    temporary: Path,
    *,
    selection: Selection,
    lenses: Lenses,
    survey: Survey,
    horizon: float | None,
) -> dict[str, Any]:
    """The work on range i of n of a catalogue file."""
    near = None if horizon is None else nearest.Near(lenses, horizon)
    found = ranges.cut(*task, selection, lenses.tree(), survey, near)
    return ranges.write(temporary, found)


def join_near(of_file: Sequence[joining.Place], temporary: Path) -> dict[str, Any]:
    """The work on the rows near lenses of one catalogue file, after its ranges were cut."""
    cuts = [ranges.read(*place) for place in of_file]
    table = nearest.of_file([c.near for c in cuts if c.near is not None])
    nearest.write(table, temporary)
    return {"lenses": table.num_rows}


def join_file(
    task: tuple[Place, str | Sequence[joining.Piece]],
    temporary: Path,
    *,
    selection: Selection,
    survey: Survey,
) -> dict[str, Any]:
    """The work on one catalogue file after its ranges were cut, or refused with a reason.

    Returns the counters, the release, histograms of what was kept, the rows that were refused one
    by one (row, reason), and which checksums were compared.
    """
    path, pieces = task
    if isinstance(pieces, str):
        raise InputError(pieces)
    found = joining.joined(path, pieces, selection, survey)
    write_pool(found.kept, temporary, survey)
    listed: list[tuple[object, str]] = [*found.refused]
    if found.refusals > len(listed):
        listed.append(("", f"{found.refusals - len(listed)} more rows, counted in counts/pool.csv"))
    return {
        "release": found.release,
        **found.counters,
        "histograms": histograms(found.kept, survey),
        "refused": listed,
        "verified": pieces[0].own[1].verified,
    }


def write_pool(table: pa.Table, path: Path, survey: Survey) -> None:
    """A part of the pool as Parquet. Texts that repeat, and integers, are stored as places in a
    list of their values. Floating-point numbers are not, because they hardly repeat, and looking
    for repetitions takes most of the time."""
    import pyarrow.parquet as pq

    kinds = columns.types(survey, "pool").items()
    coded = [name for name, kind in kinds if kind != "float64" and name != "galaxy_id"]
    pq.write_table(table, path, compression="zstd", store_schema=False, use_dictionary=coded)


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


def relative(reason: str, root: Place) -> str:
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
            **{k: v for k, v in c.items() if k not in BESIDE},
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
