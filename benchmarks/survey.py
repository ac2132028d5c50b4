"""How many rows of a sweep a second the negative pool takes. `python -m benchmarks.survey --help`

Files in the format of a DR10 sweep are simulated (`benchmarks.sweepfile`) in a temporary folder. In
the same run the same rows go through astropy and pandas, and through a memory map
(`benchmarks.sweeppeers`). Sizes are 1 to 8 times the rows asked for, as one file and cut into files
of an eighth; the files are in the page cache as far as they fit. On a machine that others use the
processor seconds say more than the others: they are those of all processes of this one.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import tyro

from benchmarks.sweepfile import layout, write_sweep
from benchmarks.sweeppeers import with_a_map, with_astropy
from data import record
from data.files import write_json
from data.lenses import Lenses
from data.lenses import read as read_lenses
from data.ranges import RANGE_BYTES
from data.selection import Selection

OUT = Path("benchmarks/results/survey-cpu.json")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Question:
    """What is measured."""

    rows: int = 1_700_000
    times: tuple[int, ...] = (1, 2, 4, 8)
    """sizes, as multiples of rows"""
    large: int = 0
    """one more size, once, with Spark only; 16 is 27 million rows"""
    cores: int = 2
    repeats: int = 3
    range_mib: int = RANGE_BYTES // 2**20
    """of a file that one task reads"""
    out: Annotated[Path, tyro.conf.arg(help=f"default {OUT}")] = OUT


def family() -> list[int]:
    """This process and those below it: Java, and Spark's Python workers."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(_stat(int(folder.name))[1])
        except OSError:
            continue
    found = [os.getpid()]
    for one in found:
        found += [pid for pid, parent in parents.items() if parent == one]
    return found


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def processor_seconds() -> float:
    """What this process and those below it have used."""
    total = 0
    for pid in family():
        try:
            total += sum(int(x) for x in _stat(pid)[11:15])
        except OSError:
            continue
    return total / TICKS


def own_mib() -> int:
    """Memory of this process and those below it that is not a mapped file."""
    total = 0
    for pid in family():
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(x.split()[1]) for x in lines if x.startswith(("RssAnon", "RssShmem")))
    return total // 1024


@contextmanager
def watched() -> Iterator[list[int]]:
    """The list has the largest `own_mib` of the block as its only element."""
    largest, over = [own_mib()], threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            largest[0] = max(largest[0], own_mib())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield largest
    finally:
        over.set()
        thread.join()


def timed(what: str, rows: int, work: Callable[[Path], int], root: Path, n: int) -> dict[str, Any]:
    """A line of the result."""
    seconds, processor, kept = [], [], 0
    with watched() as largest:
        for i in range(n):
            start, used = time.perf_counter(), processor_seconds()
            kept = work(root / f"{what.replace(' ', '-')}-{rows}-{i}")
            seconds.append(round(time.perf_counter() - start, 3))
            processor.append(round(processor_seconds() - used, 2))
    line = {
        "what": what,
        "rows": rows,
        "seconds": seconds,
        "processor_seconds": processor,
        "rows_per_second": round(rows / statistics.median(seconds)),
        "rows_per_processor_second": round(rows / statistics.median(processor)),
        "kept": kept,
        "largest_mib": largest[0],
        "load": round(os.getloadavg()[0], 2),
    }
    print(line, flush=True)
    return line


def measured(q: Question, root: Path, spark: Any) -> list[dict[str, Any]]:
    """The lines of every size."""
    import pandas as pd

    from spark.pool import negative_pool

    lenses, lines = _lenses(root), []

    def pool(engine: Any, files: list[str]) -> Callable[[Path], int]:
        def work(out: Path) -> int:
            size = q.range_mib * 2**20
            negative_pool(engine, out, root, files, lenses, Selection(), range_bytes=size)
            return int(pd.read_csv(out / "counts" / "pool.csv")["kept"].iloc[-1])

        return work

    for k in q.times:
        rows, one = k * q.rows, root / "one.fits"
        write_sweep(one, q.rows, k)
        mapped, framed = partial(with_a_map, one), partial(with_astropy, one)
        eighth = [f"eighth-{i}.fits" for i in range(8)]
        for i, name in enumerate(eighth):
            write_sweep(root / name, rows // 8, 1, i)
        if k == q.times[0]:
            pool(spark, eighth[:1])(root / "warm")  # Java and Python start
            lines.append(timed("memory map", rows, mapped, root, 3))
            lines.append(timed("one process", rows, pool(None, ["one.fits"]), root, q.repeats))
        n = q.repeats if k < 8 else 2
        lines.append(timed("astropy and pandas", rows, framed, root, n))
        lines.append(timed("one file", rows, pool(spark, ["one.fits"]), root, q.repeats))
        lines.append(timed("eight files", rows, pool(spark, eighth), root, q.repeats))
        for name in (*eighth, one.name):
            (root / name).unlink()
    if q.large:
        files = [f"large-{i}.fits" for i in range(q.large)]
        for i, name in enumerate(files):
            write_sweep(root / name, q.rows, 1, i)
        lines.append(timed("many files", q.large * q.rows, pool(spark, files), root, 1))
    return lines


def main(q: Question) -> dict[str, Any]:
    """Measures, and writes the JSON file."""
    from spark.session import session

    with TemporaryDirectory() as folder, session("lensjax benchmark", cores=q.cores) as spark:
        lines = measured(q, Path(folder), spark)
    result = described(q, lines)
    write_json(q.out, result)
    return result


def described(q: Question, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The result: what was measured on what, and ratios. Of a shared machine those by processor
    seconds are the ones that mean something; there Spark's processes count as one core."""
    rate = {
        (x["what"], x["rows"]): (x["rows_per_second"], x["rows_per_processor_second"])
        for x in lines
    }
    sizes = [k * q.rows for k in q.times]

    def ratio(one: str, other: str) -> dict[str, list[float]]:
        pairs = [(rate[one, n], rate[other, n]) for n in sizes]
        return {
            "by_clock": [round(a[0] / b[0], 2) for a, b in pairs],
            "by_processor": [round(a[1] / b[1], 2) for a, b in pairs],
        }

    first, last = (rate["one file", n][1] for n in (sizes[0], sizes[-1]))
    return {
        "commit": record.commit(),
        "simulated": "all rows: columns of a DR10 sweep, those that the pool does not use zero; "
        "no clustering; page cache warm as far as memory goes",
        "columns": len(layout().names or ()),
        "bytes_per_row": layout().itemsize,
        "cores": q.cores,
        "range_mib": q.range_mib,
        "one_file_over_astropy_and_pandas": ratio("one file", "astropy and pandas"),
        "one_file_over_eight_files": ratio("one file", "eight files"),
        "processor_seconds_a_row_largest_size_over_smallest": round(first / last, 3),
        "lines": lines,
    }


def _lenses(root: Path) -> Lenses:
    """Thirty thousand listed lenses all over the sky."""
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 30_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 30_000)))
    rows = [f"L{i},{a:.6f},{d:.6f},-,galaxy,probable,x" for i, (a, d) in enumerate(zip(ra, dec))]
    text = "\n".join(["name,RA [deg],DEC [deg],zlens,type,grading,ref", *rows])
    (root / "lenses.csv").write_text(text + "\n")
    return read_lenses(root / "lenses.csv")[0]


if __name__ == "__main__":
    main(tyro.cli(Question))
