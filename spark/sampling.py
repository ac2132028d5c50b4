"""Pool and positives → the sample: every object that gets a cutout, with its label, tier, weights
and split.

The negatives of a stratum are its first k by a hash of name and seed. They are taken with a window
function, so that the same rows come out however the pool is partitioned. `data.sampling.take` does
the same without Spark.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from data import columns, sampling, splits
from data.catalogue import ONE_OBJECT
from data.config import settings
from data.files import replacing
from data.manifest import SAMPLE_WEIGHTS
from data.sky import separation
from data.survey import Survey, default
from lensjax.errors import InputError
from spark.jobs import literal
from spark.tables import write_parquet

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession


@settings
class SampleSettings:
    """How many negatives, and how objects are split and weighted."""

    negatives_per_positive: Annotated[float, Field(gt=0, le=1000)] = 10.0
    """wanted in every stratum; the reference sample has 100"""
    n2_fraction: Annotated[float, Field(ge=0, le=1)] = 0.15
    """hard confusers (N2) among the negatives, a global target"""
    borrow: bool = True
    """whether a stratum short of negatives takes them from its neighbours, which is reported, or
    stays short"""
    seed: int = splits.SEED
    """of the split and of the order in which negatives are taken"""
    scheme: splits.Scheme = "70/15/15"
    weights: Literal["audit", "parity"] = "audit"
    """sample weights: audit gives tier B 0.5, parity gives everything 1"""


def sample(
    spark: SparkSession | None,
    out: Path,
    pool: Sequence[Path],
    s: SampleSettings,
    survey: Survey | None = None,
) -> dict[str, Any]:
    """Writes sample/sample.parquet (sorted by galaxy_id) and counts/sample.csv; returns figures.

    pool: the pool's files; positives/ is read too. An object that is listed in several files is
    kept once; an object that is a positive is never a negative. Without Spark (None) the pool is
    taken into memory. survey: the default survey if none. Raises InputError when splits leak
    (`data.splits.verify`), and when one name stands for two objects.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    positives = pq.read_table(
        out / "positives" / "positives.parquet", partitioning=None
    ).to_pandas()
    given = pq.read_table(out / "positives" / "given.parquet", partitioning=None).to_pandas()
    if not len(positives):
        raise InputError(
            f"{out}: no lens of the list matched a catalogue object (reasons in "
            "counts/unmatched.csv); nothing to train or audit with"
        )
    survey = survey or default()
    wanted = {
        (str(n), str(t)): int(k)
        for (n, t), k in positives.groupby([_nobs_bin(survey), "type_bin"]).size().items()
    }
    draw = (
        _Pool(pool, list(positives["galaxy_id"]), survey)
        if spark is None
        else _SparkPool(spark, pool, list(positives["galaxy_id"]), survey)
    )
    shares = sampling.allocate(
        wanted, draw.available(), s.negatives_per_positive, s.n2_fraction, s.borrow
    )
    negatives = draw.take(shares, s.seed)
    rows = pd.concat([_labelled(positives, 1, s), _labelled(negatives, 0, s)], ignore_index=True)
    rows["healpix_128"] = splits.healpix_128(
        rows["ra"].to_numpy(float), rows["dec"].to_numpy(float)
    )
    rows["split"] = splits.split(rows["healpix_128"].to_numpy(), s.seed, s.scheme)
    rows["source_cutout"] = _existing(rows, given)
    order = list(columns.names(survey, "sample"))
    rows = rows.reindex(columns=order).sort_values("galaxy_id").reset_index(drop=True)
    checked = {c: rows[c].to_numpy() for c in ("galaxy_id", "healpix_128", "split", "label")}
    figures = splits.verify({**checked, "cutout_path": checked["galaxy_id"]}, s.scheme)
    write_parquet(out / "sample" / "sample.parquet", rows, survey)
    _write_counts(out / "counts" / "sample.csv", shares, _nobs_bin(survey))
    n2 = sum(share.sampled for share in shares if share.pool == "N2")
    figures |= {
        key: sum(getattr(share, key) for share in shares)
        for key in ("wanted", "shortfall", "borrowed", "unfilled", "sampled")
    }
    return figures | {
        "n2_fraction": round(n2 / max(figures["sampled"], 1), 4),
        "pool": draw.figures,
    }


def _existing(rows: pd.DataFrame, given: pd.DataFrame) -> list[str | None]:
    """Path of the existing cutout of each object, or None.

    An existing cutout is an object's when it has its galaxy_id, with the release or without it
    (because such files say nothing of releases), and is at the same place.
    """
    import pandas as pd

    known: dict[str, Any] = dict(zip(given["galaxy_id"], given.itertuples(index=False)))

    def of(name: str, release: float, ra: float, dec: float) -> str | None:
        plain = name if pd.isna(release) else name.removesuffix(f"_{release:.0f}")
        for own in filter(None, map(known.get, dict.fromkeys((name, plain)))):
            there = (np.array([float(own.ra)]), np.array([float(own.dec)]))
            if separation(np.array([ra]), np.array([dec]), *there)[0] <= ONE_OBJECT:
                return own.path
        return None

    described = rows[["galaxy_id", "release", "ra", "dec"]]
    return [of(*row) for row in described.itertuples(index=False)]


def _labelled(frame: pd.DataFrame, label: int, s: SampleSettings) -> pd.DataFrame:
    tier = frame["tier"] if label else frame["pool"]
    return frame.assign(
        label=label,
        cutout_type="positive" if label else "negative",
        tier=tier,
        weight=tier.map(SAMPLE_WEIGHTS["audit"]),
        sample_weight=tier.map(SAMPLE_WEIGHTS[s.weights]),
        match_type=frame["type"] if label else None,
    )


def _nobs_bin(survey: Survey) -> str:
    return f"nobs_{survey.selection_band}_bin"


class _Pool:
    """The pool in memory."""

    def __init__(self, paths: Sequence[Path], positives: list[str], survey: Survey | None = None):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.stratum = [_nobs_bin(survey or default()), "type_bin", "pool"]
        whole = pa.concat_tables([pq.read_table(p, partitioning=None) for p in paths]).to_pandas()
        order = whole.sort_values(
            ["release", "ra", "dec"],
            ascending=[False, True, True],
            na_position="last",
            kind="stable",
        )
        _refuse_apart(order)
        once = order.drop_duplicates("galaxy_id")
        self.rows = once[~once["galaxy_id"].isin(positives)]
        self.figures = {
            "rows": len(whole),
            "listed_twice": len(whole) - len(once),
            "also_positive": len(once) - len(self.rows),
        }

    def available(self) -> dict[sampling.Stratum, int]:
        counts = self.rows[self.rows["pool"].isin(sampling.POOLS)].groupby(self.stratum).size()
        return {tuple(key): int(n) for key, n in counts.items()}

    def take(self, shares: list[sampling.Share], seed: int) -> pd.DataFrame:
        usable = self.rows[self.rows["pool"].isin(sampling.POOLS)]
        return sampling.take(usable, shares, seed, self.stratum)


def _refuse_apart(rows: pd.DataFrame) -> None:
    """Raises InputError when rows of one galaxy_id are more than ONE_OBJECT apart."""
    again = rows[rows.duplicated("galaxy_id", keep=False)]
    first = again.groupby("galaxy_id")[["ra", "dec"]].transform("first")
    places = (first["ra"], first["dec"], again["ra"], again["dec"])
    apart = separation(*(place.to_numpy(float) for place in places)) > ONE_OBJECT
    if apart.any():
        raise _two_objects(min(again["galaxy_id"][apart]))


def _two_objects(name: str) -> InputError:
    return InputError(
        f"galaxy_id {name} is the name of two objects of the pool, more than {ONE_OBJECT:g} arcsec "
        "apart; give every object of the catalogues a RELEASE, BRICKNAME and OBJID of its own"
    )


class _SparkPool:
    """The pool as a Spark table."""

    def __init__(
        self, spark: SparkSession, paths: Sequence[Path], positives: list[str], survey: Survey
    ):
        from pyspark.sql import Window
        from pyspark.sql import functions as F

        self.stratum = [_nobs_bin(survey), "type_bin", "pool"]
        self.names = columns.names(survey, "pool")
        whole = spark.read.schema(_ddl(survey)).parquet(*map(literal, paths))
        newest = Window.partitionBy("galaxy_id").orderBy(
            F.col("release").desc_nulls_last(), "ra", "dec"
        )
        nth = whole.withColumn("_nth", F.row_number().over(newest))
        east = F.abs((F.col("ra") - F.first("ra").over(newest) + 540) % 360 - 180)
        north = F.abs(F.col("dec") - F.first("dec").over(newest))
        apart = F.greatest(north, east * F.cos(F.radians("dec"))) * 3600
        nth = nth.withColumn("_apart", F.when(apart > ONE_OBJECT, F.col("galaxy_id")))
        self.rows = nth.withColumn(
            "_use", (F.col("_nth") == 1) & ~F.col("galaxy_id").isin(positives)
        )
        self.figures: dict[str, int] = {}

    def available(self) -> dict[sampling.Stratum, int]:
        from pyspark.sql import functions as F

        counts = self.rows.groupBy(*self.stratum).agg(
            F.count("*").alias("rows"),
            F.sum((F.col("_nth") > 1).cast("long")).alias("twice"),
            F.sum(F.col("_use").cast("long")).alias("usable"),
            F.min("_apart").alias("apart"),
        )
        found = counts.collect()
        if apart := [r["apart"] for r in found if r["apart"] is not None]:
            raise _two_objects(min(apart))
        rows, twice, usable = (sum(r[k] for r in found) for k in ("rows", "twice", "usable"))
        self.figures = {"rows": rows, "listed_twice": twice, "also_positive": rows - twice - usable}
        return {
            (r[self.stratum[0]], r["type_bin"], r["pool"]): r["usable"]
            for r in found
            if r["pool"] in sampling.POOLS
        }

    def take(self, shares: list[sampling.Share], seed: int) -> pd.DataFrame:
        from pyspark.sql import Window
        from pyspark.sql import functions as F

        stratum = self.stratum
        limits = [
            F.lit(x)
            for share in shares
            for x in (f"{share.nobs_bin}/{share.type_bin}/{share.pool}", share.sampled)
        ]
        quota = F.element_at(F.create_map(*limits), F.concat_ws("/", *stratum))
        # Hex digits sort like the number they write, so this is the order of data.splits.order_key.
        key = F.substring(F.sha2(F.concat(F.col("galaxy_id"), F.lit(f"_{seed}")), 256), 1, 16)
        place = F.row_number().over(Window.partitionBy(*stratum).orderBy("_key", "galaxy_id"))
        usable = self.rows.where("_use").where(quota > 0).withColumn("_key", key)
        chosen = usable.withColumn("_place", place).where(F.col("_place") <= quota)
        return chosen.select(*self.names).toPandas().sort_values("galaxy_id").reset_index(drop=True)


def _ddl(survey: Survey) -> str:
    """Spark schema of a pool file; given, so that no job has to infer it."""
    kinds = {"int64": "bigint", "float64": "double", "string": "string", "bool": "boolean"}
    return ", ".join(f"{c.name} {kinds[c.type]}" for c in columns.columns(survey, "pool"))


def _write_counts(path: Path, shares: Sequence[sampling.Share], nobs_bin: str) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        [dataclasses.asdict(share) for share in shares],
        columns=[f.name for f in dataclasses.fields(sampling.Share)],
    )
    numbers = frame.select_dtypes("number").columns
    total = {
        "nobs_bin": "total",
        "type_bin": "",
        "pool": "",
        "borrowed_from": "",
        **frame[numbers].sum().to_dict(),
    }
    total["positives"] = int(frame.drop_duplicates(["nobs_bin", "type_bin"])["positives"].sum())
    with replacing(path) as temporary:
        both = pd.concat([frame, pd.DataFrame([total])], ignore_index=True)
        both.rename(columns={"nobs_bin": nobs_bin}).to_csv(
            temporary, index=False, lineterminator="\n"
        )
