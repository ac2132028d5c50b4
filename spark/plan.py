"""What a survey would take, without doing any of it: `lensjax survey --dry-run`.

Files are counted by their headers. The estimate is of the pool, which reads every row, and of the
cross-match, which takes what the pool has noted; the later steps depend on what these find. It is
the longer of two times, that of the processors and that of reading. The rate at which a core
applies the cuts was measured by benchmarks/survey.py on one machine, with files in memory; the rate
at which it looks for lenses is not measured by any benchmark. Other machines have other rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from data.config import Invocation
from data.ranges import RANGE_BYTES, count, divided
from data.stores import Place, Remote, pinned
from data.storetroubles import StoreError
from lensjax.errors import said
from spark.cluster import Cluster
from spark.inputs import SurveySettings, locate

POOL = 1.0e6
"""rows of a sweep that a core cuts in a second"""
NEAR = 3.7e6
"""rows of a sweep in which a core looks for lenses in a second, beside cutting them"""
START = 10.0
"""seconds until Spark has its workers"""
PER_TASK = 0.05
"""seconds of a core that a task takes besides its work"""
PER_ROW = 32
"""bytes that the ranges hand on for each row, beside the rows that they keep"""
GIB = 2**30


@dataclass(frozen=True)
class Plan:
    """files: how many. rows: of those whose headers say so. uncounted: the others, path and reason.
    bytes: of all files. ranges: tasks of the pool that read; for each file there are two more that
    put its rows and those near lenses together, and one that matches it. whole: files that one task
    reads and holds whole, because of their kind, and the bytes of the largest."""

    files: int
    rows: int
    uncounted: tuple[tuple[str, str], ...]
    bytes: int
    ranges: int
    whole: tuple[int, int] = (0, 0)


def planned(call: Invocation[SurveySettings]) -> list[str] | None:
    """What `--dry-run` says; None without it. Raises InputError as `locate` does."""
    s = call.settings
    if not s.dry_run:
        return None
    inputs = locate(call.out.absolute(), s)
    if not inputs.catalogues:
        return ["a table of cutouts stands for catalogues: there is nothing to plan"]
    return lines(plan(inputs.root, inputs.catalogues), s.cluster)


def plan(root: Place, paths: Sequence[str], range_bytes: int = RANGE_BYTES) -> Plan:
    """Counts the catalogue files; paths are relative to root."""
    rows, uncounted, files = 0, [], pinned([root / path for path in paths])
    for path, file in zip(paths, files, strict=True):
        try:
            rows += rows_in(file)
        except StoreError:
            raise
        except Exception as error:  # a dozen kinds on damaged bytes
            uncounted.append((path, said(error, 100)))
    sizes = [file.stat().st_size for file in files]
    ranges = sum(count(file, range_bytes) for file in files)
    whole = [size for size, file in zip(sizes, files, strict=True) if not divided(file)]
    held = len(whole), max(whole, default=0)
    return Plan(len(paths), rows, tuple(uncounted), sum(sizes), ranges, held)


def rows_in(path: Place) -> int:
    """Rows that the header of a catalogue says it has. Raises ValueError where none does, and what
    the readers of tables raise on damaged bytes."""
    from astropy.io import fits

    name = path.name.lower()
    if name.endswith(".parquet"):
        import pyarrow.parquet as pq

        with path.open("rb") as handle:
            return int(pq.read_metadata(handle).num_rows)
    if name.endswith(".csv"):
        raise ValueError("a CSV file does not say how many rows it has")
    source = path.open() if isinstance(path, Remote) else path
    with fits.open(source, lazy_load_hdus=True) as hdus:
        for hdu in hdus:
            if isinstance(hdu, fits.BinTableHDU):
                return int(hdu.header["ZNAXIS2" if hdu.header.get("ZTABLE") else "NAXIS2"])
    raise ValueError("no table in this FITS file")


def seconds(p: Plan, c: Cluster) -> tuple[float, float]:
    """Estimated time of the pool and of the cross-match."""
    cores = c.nodes * c.cores
    reading = p.bytes / 2**20 / (c.nodes * c.mib_per_second)
    work = p.rows / POOL + p.rows / NEAR

    def step(work: float, tasks: int) -> float:
        rounds = math.ceil(tasks / cores) / max(tasks / cores, 1e-9)  # the last one is not full
        return (work + tasks * PER_TASK) / cores * rounds

    return max(step(work, p.ranges), reading) + 2 * step(0, p.files), step(0, p.files)


def lines(p: Plan, c: Cluster) -> list[str]:
    """The plan and the estimate for people."""
    pool, match = seconds(p, c)
    total = START + pool + match
    hours = c.nodes * total / 3600
    found = [
        f"{p.files:,} catalogue files, {p.rows:,} rows, {p.bytes / GIB:,.1f} GiB",
        f"pool: {p.ranges:,} tasks read, {2 * p.files:,} put files together; "
        f"{p.rows * PER_ROW / GIB:,.1f} GiB of scratch below pool/_ranges until it is whole",
        f"crossmatch: {p.files:,} tasks",
        f"estimate for {c.nodes} machines of {c.cores} cores that read {c.mib_per_second:g} MiB/s "
        f"each: pool {_time(pool)}, crossmatch {_time(match)}, with the start {_time(total)}, "
        f"{hours:.2f} machine hours"
        + (f", costing {hours * c.price:.2f} at {c.price:g} an hour" if c.price else ""),
        "the sample, cutouts and shards depend on what these find, and are not in the estimate",
    ]
    if p.whole[0]:
        found.append(
            f"{p.whole[0]:,} files (.gz, .fz, .csv) have no ranges: one task reads each, and holds "
            f"its columns decompressed; the largest has {p.whole[1] / GIB:,.2f} GiB as it is"
        )
    for path, reason in p.uncounted:
        found.append(f"not counted: {path}: {reason}")
    return found


def _time(s: float) -> str:
    """Hours, minutes and seconds."""
    whole = round(s)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
