"""The job engine of `data.jobs` with Spark's workers.

One task of Spark makes one output of the job. Everything else (names, atomic writes, what is noted,
going on after an interruption) is the engine's, so that a job gives the same bytes with Spark and
without.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipimport import zipimporter

from data.jobs import Item, Mapper, Task, Work, loop, outputs, run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["distributed", "outputs", "run_partitions"]


def run_partitions(
    spark: SparkSession | None,
    folder: str | Path,
    items: Sequence[Item],
    work: Work,
    suffix: str,
    label: str,
    on_error: Literal["stop", "quarantine"] = "stop",
) -> list[dict[str, Any]]:
    """`data.jobs.run` with Spark, or, when spark is None, in a plain loop without Java."""
    mapper = loop if spark is None else distributed(spark)
    return run(folder, items, work, suffix, label, mapper, on_error)


def distributed(spark: SparkSession) -> Mapper:
    """The mapper that makes one task of Spark for each item."""

    def mapped(
        items: Sequence[Item], task: Task, advance: Callable[[int], None]
    ) -> list[dict[str, Any]]:
        context = spark.sparkContext
        count = context.accumulator(0)

        def attempt(item: Item) -> dict[str, Any]:
            entry = task(item)
            count.add(1)
            rest()
            return entry

        finished = threading.Event()

        def follow() -> None:
            while not finished.wait(0.2):
                advance(count.value)

        watcher = threading.Thread(target=follow, daemon=True)
        watcher.start()
        try:
            entries = context.parallelize(list(items), len(items)).map(attempt).collect()
            advance(len(entries))
            return entries
        finally:
            finished.set()
            watcher.join()

    return mapped


def rest() -> None:
    """At the end of a task, so that the next one of this worker begins a tenth of a second sooner.

    Before each task, Spark makes Python read the list of files again of every archive that it
    imports from, pyspark's and Spark's own among them; after each task, Python looks through all
    objects for garbage. So the archives are forgotten here until something new is imported, and
    what the first task left is excluded from the search for good.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimporter):
            del sys.path_importer_cache[path]
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()


def literal(path: str | Path) -> str:
    """A path as Spark's readers take it, who would read brackets and stars in it as a pattern."""
    return "".join(f"\\{c}" if c in "{}[]*?\\" else c for c in str(path))
