"""Catalogue files → the negative pool: one Parquet file for each, with the rows that pass every
cut, and a table of what each cut removed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from data import catalogue
from data.columns import schema
from data.files import replacing
from data.lenses import Lenses
from data.names import LONGEST, as_text, is_safe
from data.selection import Selection, counters_of, judged, magnitude
from data.survey import Survey, default
from lensjax.errors import InputError
from spark.jobs import run_partitions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OnBadFile = Literal["stop", "quarantine"]
MOST_LISTED = 1000
"""Refused rows of one file that are listed one by one; the others are counted only."""


def negative_pool(
    spark: SparkSession | None,
    out: Path,
    root: Path,
    paths: Sequence[str],
    lenses: Lenses,
    selection: Selection,
    on_bad_file: OnBadFile = "stop",
    survey: Survey | None = None,
) -> list[tuple[str, object, str]]:
    """Writes pool/<name>.parquet for every catalogue file and counts/pool.csv; returns what it
    refused, (path, row, reason): whole files, with row "", and rows of which a value that the cuts
    need is missing or whose name cannot be used.

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
    refused: list[tuple[str, object, str]] = []
    for path, entry in zip(paths, entries, strict=True):
        if "error" in entry:
            refused.append((path, "", relative(entry["error"], root)))
        else:
            refused += [(path, row, reason) for row, reason in entry["counters"]["listed"]]
    whole = {path: reason for path, row, reason in refused if row == ""}
    counters = {path: e.get("counters", {}) for path, e in zip(paths, entries, strict=True)}
    write_counts(out / "counts" / "pool.csv", counters, whole, survey)
    return refused


def select_file(
    path: str,
    temporary: Path,
    *,
    root: Path,
    selection: Selection,
    lenses: Lenses,
    survey: Survey | None = None,
) -> dict[str, Any]:
    """The work on one catalogue file: read, cut, write. Returns the counters, with the release, a
    histogram of exposures, and the refused rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    survey = survey or default()
    columns = catalogue.read(root / path, survey)
    kept, counters, refused = judged(columns, selection, lenses.tree(), root / path, survey)
    known = catalogue.to_arrow(kept, survey)
    wanted = schema(survey, "pool")
    arrays = [
        known[field.name]
        if field.name in known.column_names
        else pa.array([value or None for value in kept[field.name].tolist()], pa.string())
        for field in wanted
    ]
    pq.write_table(pa.table(arrays, schema=wanted), temporary, compression="zstd")
    release = np.ma.compressed(columns.get("release", np.empty(0, int)))
    return {
        "release": int(release.max()) if len(release) else None,
        **counters,
        "histograms": histograms(kept, survey),
        "listed": refused[:MOST_LISTED],
    }


def histograms(kept: catalogue.Columns, survey: Survey) -> dict[str, dict[str, int]]:
    """Counts of the kept rows: by stratum, and by half magnitudes of the selection band."""
    band = survey.selection_band
    pairs = zip(kept[f"nobs_{band}_bin"], kept["type_bin"], strict=True)
    strata = Counter(f"{n}/{t}" for n, t in pairs)
    bright = Counter(f"{x:.1f}" for x in np.floor(2 * magnitude(kept[f"flux_{band}"])) / 2)
    return {"strata": dict(sorted(strata.items())), f"{band}_mag": dict(sorted(bright.items()))}


def unique_names(paths: Sequence[str]) -> list[str]:
    """A name for each file, which is safe (`data.names`): its stem, with its folder's name before
    it where stems repeat, and a number where that repeats too. Characters that a name may not have
    become `-`."""
    stems = [Path(p).name.split(".")[0] or Path(p).name for p in paths]
    often = Counter(stems)
    names = [
        _safe(s if often[s] == 1 else f"{Path(p).parent.name}-{s}")
        for p, s in zip(paths, stems, strict=True)
    ]
    often = Counter(names)
    return [n if often[n] == 1 else f"{n}-{i:04d}" for i, n in enumerate(names)]


def _safe(name: str) -> str:
    text = re.sub(r"[^A-Za-z0-9_.+-]", "-", name)[: LONGEST - 16]
    return text if is_safe(text) else f"file{text}"


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
    """counts/pool.csv: a row per file, in order, and a row `total`; a refused file has only its reason."""
    import pandas as pd

    rows = [
        {
            "file": as_text(name),
            "refused": as_text(refused.get(name, "")),
            **{k: v for k, v in c.items() if k not in ("histograms", "listed")},
        }
        for name, c in counters.items()
    ]
    frame = pd.DataFrame(rows)
    present = [c for c in frame.columns if c not in ("file", "refused", "release")]
    known = counters_of(survey)
    numbers = [*(c for c in known if c in present), *(c for c in present if c not in known)]
    total = {"file": "total", "refused": f"{len(refused)} files", **frame[numbers].sum().to_dict()}
    frame = pd.concat([frame, pd.DataFrame([total])], ignore_index=True)
    frame[[*numbers, "release"]] = frame[[*numbers, "release"]].astype("Int64")
    with replacing(path) as temporary:
        frame[["file", "release", *numbers, "refused"]].to_csv(
            temporary, index=False, lineterminator="\n"
        )
