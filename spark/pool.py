"""From catalogue files to the negative pool.

Every catalogue file gives one Parquet file with the rows that pass every cut, and a row of a table
that says how many rows each cut removed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from data import catalogue, columns
from data.files import replacing
from data.lenses import Lenses
from data.names import as_text, file_stem
from data.selection import Selection, counters_of, judged, magnitude
from data.survey import Survey, default
from lensjax.errors import InputError
from spark.jobs import run_partitions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OnBadFile = Literal["stop", "quarantine"]
LISTED = 1000
"""Refused rows of one file that are listed one by one."""


def negative_pool(
    spark: SparkSession | None,
    out: Path,
    root: Path,
    paths: Sequence[str],
    lenses: Lenses,
    selection: Selection,
    on_bad_file: OnBadFile = "stop",
    survey: Survey | None = None,
) -> list[tuple[str, str]]:
    """Writes pool/<name>.parquet for every catalogue file and counts/pool.csv; returns the files
    that it refused, (path, reason). `refused_rows` tells the rows.

    paths: relative to `root`. lenses: every listed lens, whatever its grading. survey: the default
    survey if none. Raises InputError when a file is refused and on_bad_file is "stop", or when
    every file is refused.
    """
    survey = survey or default()
    work = partial(select_file, root=root, selection=selection, lenses=lenses, survey=survey)
    items = list(zip(unique_names(paths), paths, strict=True))
    entries = run_partitions(
        spark, out / "pool", items, work, ".parquet", "negative pool", on_bad_file
    )
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


def select_file(
    path: str,
    temporary: Path,
    *,
    root: Path,
    selection: Selection,
    lenses: Lenses,
    survey: Survey | None = None,
) -> dict[str, Any]:
    """The work on one catalogue file: read, cut, write.

    Returns the counters, the release, histograms of what was kept, and the rows that were refused
    one by one (row, reason).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    survey = survey or default()
    table = catalogue.read(root / path, survey)
    kept, counters, refused = judged(table, selection, lenses.tree(), root / path, survey)
    arrow = catalogue.to_arrow(kept, survey)
    for name in columns.names(survey, "pool")[arrow.num_columns :]:
        values = [value or None for value in kept[name].tolist()]
        arrow = arrow.append_column(name, pa.array(values, pa.string()))
    arrow = arrow.replace_schema_metadata(columns.schema(survey, "pool").metadata)
    pq.write_table(arrow, temporary, compression="zstd", store_schema=False)
    release = table.get("release", np.empty(0, int))
    known = np.ma.getdata(release)[~catalogue.missing(release)]
    listed: list[tuple[object, str]] = [*refused[:LISTED]]
    if len(refused) > LISTED:
        listed.append(("", f"{len(refused) - LISTED} more rows, counted in counts/pool.csv"))
    return {
        "release": int(known.max()) if len(known) else None,
        **counters,
        "histograms": histograms(kept, survey),
        "refused": listed,
    }


def histograms(kept: catalogue.Columns, survey: Survey) -> dict[str, dict[str, int]]:
    """Quality check of one pool file: rows in each stratum, and in each half magnitude of the
    selection band."""
    band = survey.selection_band
    pairs = zip(kept[f"nobs_{band}_bin"], kept["type_bin"], strict=True)
    strata = Counter(f"{n}/{t}" for n, t in pairs)
    bright = Counter(f"{x:.1f}" for x in np.floor(2 * magnitude(kept[f"flux_{band}"])) / 2)
    return {"strata": dict(sorted(strata.items())), f"{band}_mag": dict(sorted(bright.items()))}


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
