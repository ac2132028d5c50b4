"""Sweep files → the negative pool: one Parquet file per sweep with the rows that pass every cut, and a table of what each cut removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from data import catalogue
from data.files import replacing
from data.lenses import Lenses
from data.selection import COUNTERS, Selection, magnitude, select
from lensjax.errors import InputError
from spark.jobs import run_partitions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = (*catalogue.COLUMNS, "nobs_z_bin", "type_bin", "pool", "confuser_category")
"""Of a pool file."""

OnBadFile = Literal["stop", "quarantine"]


def negative_pool(
    spark: SparkSession | None,
    out: Path,
    root: Path,
    paths: Sequence[str],
    lenses: Lenses,
    selection: Selection,
    on_bad_file: OnBadFile = "stop",
) -> list[tuple[str, str]]:
    """Writes pool/<name>.parquet for every catalogue file and counts/pool.csv; returns what it refused, (path, reason).

    paths: relative to `root` · lenses: every listed lens, whatever its grading. Raises InputError when a file is refused and on_bad_file is
    "stop", or when every file is refused.
    """
    work = partial(select_file, root=root, selection=selection, lenses=lenses)
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
    refused = [
        (path, relative(e["error"], root))
        for path, e in zip(paths, entries, strict=True)
        if "error" in e
    ]
    write_counts(
        out / "counts" / "pool.csv",
        {path: e.get("counters", {}) for path, e in zip(paths, entries, strict=True)},
        dict(refused),
    )
    return refused


def select_file(
    path: str, temporary: Path, *, root: Path, selection: Selection, lenses: Lenses
) -> dict[str, Any]:
    """The work on one catalogue file: read, cut, write; returns the counters, with the release and a histogram of z exposures."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = catalogue.read(root / path)
    kept, counters = select(columns, selection, lenses.tree(), root / path)
    table = catalogue.to_arrow(kept)
    for name in COLUMNS[-4:]:
        table = table.append_column(
            name, pa.array([value or None for value in kept[name].tolist()], pa.string())
        )
    pq.write_table(table, temporary, compression="zstd", store_schema=False)
    release = columns.get("release", np.empty(0, int))
    return {
        "release": int(release.max()) if len(release) else None,
        **counters,
        "histograms": histograms(kept),
    }


def histograms(kept: catalogue.Columns) -> dict[str, dict[str, int]]:
    """Quality check of one pool file: rows per stratum, and per half magnitude of z."""
    strata = Counter(f"{n}/{t}" for n, t in zip(kept["nobs_z_bin"], kept["type_bin"], strict=True))
    bright = Counter(f"{x:.1f}" for x in np.floor(2 * magnitude(kept["flux_z"])) / 2)
    return {"strata": dict(sorted(strata.items())), "z_mag": dict(sorted(bright.items()))}


def unique_names(paths: Sequence[str]) -> list[str]:
    """A name for each file: its stem, with its folder's name before it where stems repeat, and a number where that repeats too."""
    stems = [Path(p).name.split(".")[0] for p in paths]
    often = Counter(stems)
    names = [
        s if often[s] == 1 else f"{Path(p).parent.name}-{s}"
        for p, s in zip(paths, stems, strict=True)
    ]
    often = Counter(names)
    return [n if often[n] == 1 else f"{n}-{i:04d}" for i, n in enumerate(names)]


def relative(reason: str, root: Path) -> str:
    """An error message with paths relative to the survey's root, so that what is written does not depend on where the survey lies."""
    return reason.replace(f"{root}/", "")


def write_counts(
    path: Path, counters: Mapping[str, Mapping[str, Any]], refused: Mapping[str, str]
) -> None:
    """counts/pool.csv: a row per file, in order, and a row `total`; a refused file has only its reason."""
    import pandas as pd

    rows = [
        {
            "file": name,
            "refused": refused.get(name, ""),
            **{k: v for k, v in c.items() if k != "histograms"},
        }
        for name, c in counters.items()
    ]
    frame = pd.DataFrame(rows)
    present = [c for c in frame.columns if c not in ("file", "refused", "release")]
    numbers = [*(c for c in COUNTERS if c in present), *(c for c in present if c not in COUNTERS)]
    total = {"file": "total", "refused": f"{len(refused)} files", **frame[numbers].sum().to_dict()}
    frame = pd.concat([frame, pd.DataFrame([total])], ignore_index=True)
    frame[[*numbers, "release"]] = frame[[*numbers, "release"]].astype("Int64")
    with replacing(path) as temporary:
        frame[["file", "release", *numbers, "refused"]].to_csv(
            temporary, index=False, lineterminator="\n"
        )
