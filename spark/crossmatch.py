"""Lens list and catalogues → positives: every selected lens gets its nearest catalogue object, or
a reason why not.

In each catalogue file the row nearest to every lens is looked for (`spark.nearest`), within a
horizon. A lens without a row within the horizon is not covered by the catalogue; a lens with a row
that is too far away has no match. If the pool is up to date, these rows were noted when it was
made, and the files are not read again. The driver keeps the best row for each lens and makes the
matching one to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from data import catalogue
from data.catalogue import Columns
from data.config import settings
from data.files import replacing
from data.lenses import TIERS, Lenses, one_to_one
from data.names import as_text
from data.selection import nobs_bin, type_bin
from data.stores import Place, Remote, on_disk, pinned
from data.survey import Survey, default
from lensjax.errors import InputError
from spark import nearest, ranges
from spark.given import CHUNK, describe, once
from spark.jobs import outputs, run_partitions
from spark.pool import OnBadFile, nearest_of, relative, unique_names
from spark.tables import write_parquet

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession


@settings
class CrossmatchSettings:
    """Which lenses become positives, and how they are matched."""

    named: str = "DESI"
    """lenses with this in their name; empty for all"""
    radius: Annotated[float, Field(gt=0, le=30)] = 1.0
    """largest separation of a match, arcsec"""
    horizon: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """a lens with no catalogue row within this is outside the footprint, arcsec"""
    tiers: dict[str, str] = Field(default_factory=lambda: dict(TIERS))
    """tier of each grading; a lens with another grading is not used"""


def crossmatch(
    spark: SparkSession | None,
    out: Path,
    root: Place,
    paths: Sequence[str],
    given: Sequence[str],
    lenses: Lenses,
    s: CrossmatchSettings,
    on_bad_file: OnBadFile = "stop",
    survey: Survey | None = None,
    pool: Path | None = None,
) -> list[tuple[str, str]]:
    """Writes positives/positives.parquet, positives/given.parquet, counts/crossmatch.csv and
    counts/unmatched.csv; returns what it refused, (path, reason).

    paths: catalogues relative to `root`, for which RA and DEC are enough. given: existing NPZ
    cutouts relative to `root`, whose metadata count as rows of a catalogue. lenses: the whole list.
    survey: the default survey if none. pool: a finished one, made of these files and this list with
    this horizon; if none, every file is read. given.parquet has galaxy_id, path and position of
    the existing cutouts that can be read, one for each object. Raises InputError when two of them
    have one name and are not of one object.
    """
    import pandas as pd

    survey = survey or default()
    index = lenses.having(s.named)
    chosen = lenses.where(index)
    if not len(chosen):
        raise InputError(
            f"no lens of the list has {s.named!r} in its name; set survey.crossmatch.named, or "
            "give another list"
        )
    names = unique_names(paths)
    found = nearest_of(pool) if pool else {}
    now = iter(pinned([root / p for n, p in zip(names, paths, strict=True) if n not in found]))
    entries = run_partitions(
        spark,
        out / "positives" / "_nearest",
        [(n, (root / p if n in found else next(now), found.get(n))) for n, p in zip(names, paths)],
        partial(nearest_rows, lenses=lenses, chosen=index, horizon=s.horizon, survey=survey),
        ".parquet",
        "cross-match",
        on_bad_file,
    )
    refused = [
        (p, relative(e["error"], root)) for p, e in zip(paths, entries, strict=True) if "error" in e
    ]
    chunks = [
        (f"cutouts-{i:05d}", given[i * CHUNK : (i + 1) * CHUNK])
        for i in range(-(-len(given) // CHUNK))
    ]
    below = on_disk(root, "survey.given") if given else Path()
    reading = partial(describe, root=below, on_bad_file=on_bad_file, survey=survey)
    described = run_partitions(
        spark, out / "positives" / "_given", chunks, reading, ".parquet", "existing cutouts"
    )
    refused += [
        (path, relative(reason, root))
        for e in described
        for path, reason in e["counters"]["refused"]
    ]
    known = (
        _frame(_tables(outputs(out / "positives" / "_given")))
        if chunks
        else pd.DataFrame({"galaxy_id": [], "path": [], "ra": [], "dec": []}, dtype=object)
    )
    known, twice = once(known)
    refused += twice
    rows = _tables(outputs(out / "positives" / "_nearest"))
    if len(known):
        rows.append(nearest.of_rows(_as_catalogue(known), chosen, s.horizon, survey))
    matched, unmatched = match(_frame(rows), chosen, s)
    _write(out, matched, unmatched, known, lenses, chosen, survey)
    return refused


def _as_catalogue(known: pd.DataFrame) -> Columns:
    """Existing cutouts as rows of a catalogue; whole numbers that are missing are masked."""
    found: Columns = {}
    for name in known.columns:
        if name == "path" or known[name].isna().all():
            continue
        if str(known[name].dtype) == "Int64":
            absent = known[name].isna().to_numpy(bool)
            whole = known[name].fillna(0).to_numpy(np.int64)
            found[name] = np.ma.MaskedArray(whole, absent) if absent.any() else whole
        elif known[name].dtype == np.float64:
            found[name] = known[name].to_numpy()
        else:
            found[name] = known[name].fillna("").to_numpy(str)
    return found


def nearest_rows(
    task: tuple[Place, Path | None],
    temporary: Path,
    *,
    lenses: Lenses,
    chosen: np.ndarray,
    horizon: float,
    survey: Survey,
) -> dict[str, Any]:
    """The work on one catalogue file: the nearest row of every chosen lens that has one within the
    horizon, from what the pool has found in the file, or from the file itself."""
    import pyarrow.parquet as pq

    path, found = task
    if found is not None:
        table = nearest.of_lenses(pq.read_table(found, partitioning=None), chosen)
    else:
        some = lenses.where(chosen)
        table = nearest.of_rows(near_lenses(path, some, horizon, survey), some, horizon, survey)
    nearest.write(table, temporary)
    return {"lenses": table.num_rows}


def near_lenses(path: Place, lenses: Lenses, horizon: float, survey: Survey) -> Columns:
    """Columns of the rows of a catalogue that may have a lens within the horizon. If the file can
    be mapped, only these rows are read, besides all positions, names and checksums; otherwise all
    rows are returned. A file in a store is copied to disk first, once. Raises InputError as
    `catalogue.read`."""
    if isinstance(path, Remote) and path.is_file():
        with path.copied() as local:
            return near_lenses(local, lenses, horizon, survey)
    found = ranges.whole_range(path, survey)
    if found is None:
        return catalogue.read(path, survey)
    return nearest.rows_near(found, lenses, horizon)


def match(
    rows: pd.DataFrame, lenses: Lenses, s: CrossmatchSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(positives, unmatched lenses with reason) from the nearest rows of every file.

    Of the rows of several files within the radius, one that can be named (galaxy_id) wins, then the
    latest release, then the closest. No object has two lenses.
    """
    import pandas as pd

    rows = rows.assign(
        far=rows["separation"] > s.radius,
        nameless=rows["galaxy_id"].isna(),
        older=-rows["release"].astype("Float64").fillna(-1),
    )
    near = (
        rows.sort_values(["lens", "separation"], kind="stable")
        .groupby("lens")["separation"]
        .first()
    )
    best = (
        rows[~rows["far"]]
        .sort_values(["lens", "nameless", "older", "separation", "galaxy_id"], kind="stable")
        .drop_duplicates("lens")
    )
    tier = lenses.tier(s.tiers)
    reason = dict.fromkeys(
        range(len(lenses)), f"outside the footprint: no catalogue row within {s.horizon:g} arcsec"
    )
    for lens, separation in zip(near.index.to_numpy(int), near, strict=True):
        reason[lens] = f"no catalogue row within {s.radius:g} arcsec (nearest at {separation:.2f})"
    for lens in best.loc[best["nameless"], "lens"]:
        reason[lens] = "its catalogue row has no BRICKNAME and OBJID that can name it"
    best = best[~best["nameless"]]
    graded = tier[best["lens"].to_numpy(int)] != ""
    for lens in best.loc[~graded, "lens"]:
        reason[lens] = f"grading {str(lenses.grading[lens])!r} has no tier"
    best = best[graded]
    keep = one_to_one(
        best["lens"].to_numpy(int),
        best["galaxy_id"].to_numpy(str),
        best["separation"].to_numpy(float),
    )
    owner = dict(zip(best.loc[keep, "galaxy_id"], best.loc[keep, "lens"], strict=True))
    for lens, galaxy in best.loc[~keep, ["lens", "galaxy_id"]].itertuples(index=False):
        reason[lens] = f"same object as {lenses.name[owner[galaxy]]} ({galaxy})"
    best = (
        best[keep]
        .drop(columns=["far", "nameless", "older"])
        .sort_values("galaxy_id")
        .reset_index(drop=True)
    )
    index = best.pop("lens").to_numpy(int)
    matched = best.assign(
        lens_name=lenses.name[index],
        lens_ra=lenses.ra[index],
        lens_dec=lenses.dec[index],
        grading=lenses.grading[index],
        tier=tier[index],
    )
    lost = np.setdiff1d(np.arange(len(lenses)), index)
    missed = lenses.where(lost)
    reasons = pd.Series([reason[i] for i in lost], dtype=object)
    return matched, pd.DataFrame(
        {
            "name": missed.name,
            "ra": missed.ra,
            "dec": missed.dec,
            "grading": missed.grading,
            "reason": reasons,
        }
    )


def _write(
    out: Path,
    matched: pd.DataFrame,
    unmatched: pd.DataFrame,
    known: pd.DataFrame,
    lenses: Lenses,
    chosen: Lenses,
    survey: Survey,
) -> None:
    import pandas as pd

    separation = matched["separation"].to_numpy(float)
    nobs = f"nobs_{survey.selection_band}"
    exposures = matched[nobs].astype("Float64").fillna(0).to_numpy(float)
    matched = matched.assign(
        **{f"{nobs}_bin": nobs_bin(exposures)},
        type_bin=type_bin(matched["type"].fillna("").to_numpy(str)),
    ).rename(columns={"separation": "separation_arcsec"})
    write_parquet(out / "positives" / "positives.parquet", matched, survey)
    write_parquet(out / "positives" / "given.parquet", known, survey)
    kinds = (
        unmatched["reason"]
        .str.replace(r"( \(nearest.*| as .*|:.*)$", "", regex=True)
        .value_counts()
        .sort_index()
    )
    quantities: list[tuple[str, Any]] = [
        ("listed", len(lenses)),
        ("selected by name", len(chosen)),
        ("matched", len(matched)),
    ]
    quantities += [
        (f"tier {tier}", int(n)) for tier, n in matched["tier"].value_counts().sort_index().items()
    ]
    quantities += [(f"unmatched, {kind}", int(n)) for kind, n in kinds.items()]
    if len(separation):
        quantities += [
            (f"separation arcsec, quantile {q:.2f}", f"{np.quantile(separation, q):.4f}")
            for q in (0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
        ]
    for name, frame in {
        "crossmatch": pd.DataFrame(quantities, columns=["quantity", "value"]),
        "unmatched": unmatched,
    }.items():
        with replacing(out / "counts" / f"{name}.csv") as temporary:
            frame.map(as_text).to_csv(temporary, index=False, lineterminator="\n")


def _tables(paths: Sequence[Path]) -> list[Any]:
    import pyarrow.parquet as pq

    return [pq.read_table(path, partitioning=None) for path in paths]


def _frame(tables: Sequence[Any]) -> pd.DataFrame:
    """The rows of Arrow tables with one schema, integers nullable."""
    import pandas as pd
    import pyarrow as pa

    if not tables:
        raise InputError(
            "no catalogue file could be read for the cross-match; the reasons are above, and in "
            "the log of the negative pool"
        )
    return pa.concat_tables(tables).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
