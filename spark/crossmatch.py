"""Lens list and catalogues → positives: every selected lens gets its nearest catalogue object, or a
reason why not.

Workers find, in each catalogue file, the nearest row of every lens, within a horizon that tells
"nothing close" from "not covered". The driver keeps the best one for each lens and makes the
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
from data.columns import names
from data.config import settings
from data.files import replacing
from data.lenses import TIERS, Lenses, one_to_one
from data.names import as_text
from data.selection import nobs_bin, type_bin
from data.sky import SkyTree
from data.stores import Place, on_disk
from data.survey import Survey, default
from lensjax.errors import InputError
from spark import ranges
from spark.given import CHUNK, describe
from spark.jobs import outputs, run_partitions
from spark.pool import OnBadFile, relative, unique_names
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
) -> list[tuple[str, str]]:
    """Writes positives/positives.parquet, positives/given.parquet, counts/crossmatch.csv and
    counts/unmatched.csv; returns what it refused, (path, reason).

    paths: catalogues relative to `root`, for which RA and DEC are enough. given: existing NPZ
    cutouts relative to `root`, whose metadata count as rows of a catalogue. lenses: the whole list.
    survey: the default survey if none. given.parquet has galaxy_id, path and position of every
    existing cutout that can be read.
    """
    import pandas as pd

    survey = survey or default()
    chosen = lenses.named(s.named) if s.named else lenses
    if not len(chosen):
        raise InputError(
            f"no lens of the list has {s.named!r} in its name; set survey.crossmatch.named, or "
            "give another list"
        )
    nearest = partial(nearest_rows, root=root, lenses=chosen, horizon=s.horizon, survey=survey)
    items = list(zip(unique_names(paths), paths, strict=True))
    entries = run_partitions(
        spark,
        out / "positives" / "_nearest",
        items,
        nearest,
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
    rows = _tables(outputs(out / "positives" / "_nearest"))
    if len(known):
        rows.append(nearest_table(_as_catalogue(known), chosen, s.horizon, survey))
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
    path: str,
    temporary: Path,
    *,
    root: Place,
    lenses: Lenses,
    horizon: float,
    survey: Survey | None = None,
) -> dict[str, Any]:
    """The work on one catalogue file: the nearest row of every lens that has one within the
    horizon."""
    import pyarrow.parquet as pq

    columns, rows = near_lenses(root / path, lenses, horizon, survey or default())
    table = nearest_table(columns, lenses, horizon, survey)
    pq.write_table(table, temporary, compression="zstd", store_schema=False)
    return {"rows": rows, "lenses": table.num_rows}


def near_lenses(path: Place, lenses: Lenses, horizon: float, survey: Survey) -> tuple[Columns, int]:
    """Columns of the rows of a catalogue that may have a lens within the horizon, and how many rows
    the catalogue has. Of a file that can be mapped only these rows are read, besides all positions,
    names and checksums; of another file all rows are given. Raises InputError as
    `catalogue.read`."""
    found = ranges.whole_range(path, survey)
    if found is None:
        columns = catalogue.read(path, survey)
        return columns, len(columns["ra"])
    every = np.arange(found.rows)
    ra, dec = found.at("ra", every), found.at("dec", every)
    placed = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    near = placed[lenses.tree().within(ra[placed], dec[placed], horizon * (1 + 1e-6))]
    columns = catalogue.take(found, near)
    if "brick_primary" in found:
        columns["brick_primary"] = found.at("brick_primary", near)
    return columns, found.rows


def nearest_table(
    columns: Columns, lenses: Lenses, horizon: float, survey: Survey | None = None
) -> Any:
    """Arrow table of the catalogue's columns, one row for each lens within the horizon, with `lens`
    (index in the list) and `separation` (arcsec)."""
    import pyarrow as pa

    survey = survey or default()
    primary = columns.get("brick_primary", np.ones(len(columns["ra"]), bool))
    usable = np.isfinite(columns["ra"]) & np.isfinite(columns["dec"])
    usable &= np.ma.filled(primary, False)
    kinds = names(survey, "catalogue")
    columns = catalogue.take({k: v for k, v in columns.items() if k in kinds}, usable)
    index, separation = SkyTree(columns["ra"], columns["dec"]).nearest(lenses.ra, lenses.dec)
    lens = np.flatnonzero(separation <= horizon)
    table = catalogue.to_arrow(catalogue.take(columns, index[lens]), survey)
    return table.append_column("lens", pa.array(lens)).append_column(
        "separation", pa.array(separation[lens])
    )


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
