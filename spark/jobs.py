"""One output per item, made in parallel, written once, and never made twice.

A job turns a list of named items (sweep files, bricks, shards) into one file each (or one folder of files each). An output is written under a
temporary name that carries the task attempt and then renamed; beside it a small note in `_done/` says what was written. When every item is done
the driver commits the job with `_job.json` (name, file, bytes, SHA-256 and counters of each item), then `_SUCCESS`. A job that was interrupted
does only what is missing, and because the outputs are functions of their items it ends with the bytes of an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data.files import sha256, write_json
from lensjax.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Item = tuple[str, Any]
Work = Callable[[Any, Path], dict[str, Any]]


def run_partitions(
    spark: SparkSession | None,
    folder: str | Path,
    items: Sequence[Item],
    work: Work,
    suffix: str,
    label: str,
    on_error: Literal["stop", "quarantine"] = "stop",
) -> list[dict[str, Any]]:
    """Makes `folder/<name><suffix>` for every item and returns one dict per item, in the order of the items.

    spark: None runs the same work in a plain loop, without Java · items: (name, payload) with names unique and usable as file names ·
    work: function of (payload, temporary path) that writes a file, or makes a folder of files, at the temporary path and returns
    counters (a JSON-able dict) · suffix: such as ".parquet"; "" for folders · label: of the progress bar ·
    on_error: what an InputError from `work` means. "stop": every other item is still done, then InputError names the first one refused and how many.
    "quarantine": its dict has `error` (one line) in place of file, bytes, sha256 and counters, and the job succeeds without it.

    Returned dicts: name, file, bytes, sha256, counters; or name, error. An item is done again when its output is missing or has another size.
    Raises OSError as it came (a full disk), with what is done kept.
    """
    folder = Path(folder)
    names = [name for name, _ in items]
    if len(set(names)) != len(names):
        raise ValueError(f"job {label!r}: two items have the same name")
    (folder / "_done").mkdir(parents=True, exist_ok=True)
    (folder / "_SUCCESS").unlink(missing_ok=True)
    _sweep(folder)
    done = _finished(folder, suffix)
    missing = [item for item in items if item[0] not in done]
    task = _Task(folder, suffix, work)
    fresh = (
        _distributed(spark, missing, task, label)
        if spark is not None
        else _loop(missing, task, label)
    )
    # Through JSON, so that a resumed job returns what an uninterrupted one does, to the order of the keys.
    by_name = done | {
        entry["name"]: json.loads(json.dumps(entry, sort_keys=True)) for entry in fresh
    }
    entries = [by_name[name] for name in names]
    for entry in entries:
        if "errno" in entry:
            raise OSError(entry["errno"], entry["error"], entry["filename"])
    refused = [entry for entry in entries if "error" in entry]
    if refused and on_error == "stop":
        more = f" (and {len(refused) - 1} more refused)" if len(refused) > 1 else ""
        raise InputError(refused[0]["error"] + more)
    write_json(folder / "_job.json", {"items": entries, "suffix": suffix})
    (folder / "_SUCCESS").touch()
    shutil.rmtree(folder / "_done")
    return entries


def outputs(folder: str | Path) -> list[Path]:
    """Paths that a committed job wrote, in the order of its items. Raises InputError when the job has not finished."""
    folder = Path(folder)
    if not (folder / "_SUCCESS").is_file():
        raise InputError(f"{folder}: this job has not finished; run the step that writes it again")
    return [
        folder / entry["file"]
        for entry in json.loads((folder / "_job.json").read_text())["items"]
        if "file" in entry
    ]


class _Task:
    """One item's work with its atomic write; runs on an executor or in the loop. Only InputError and OSError are answers; the rest is a defect."""

    def __init__(self, folder: Path, suffix: str, work: Work):
        self.folder, self.suffix, self.work = folder, suffix, work

    def __call__(self, item: Item, attempt: int) -> dict[str, Any]:
        name, payload = item
        final = self.folder / f"{name}{self.suffix}"
        temporary = self.folder / f".{name}.{attempt}.partial{self.suffix}"
        try:
            counters = self.work(payload, temporary)
            size, digest = _measure(temporary)
            if final.is_dir():
                shutil.rmtree(final)
            os.replace(temporary, final)
            entry = {
                "name": name,
                "file": final.name,
                "bytes": size,
                "sha256": digest,
                "counters": counters,
            }
            write_json(self.folder / "_done" / f"{name}.json", entry)
            return entry
        except InputError as error:
            return {"name": name, "error": str(error)}
        except OSError as error:
            if error.errno is None:
                raise
            return {
                "name": name,
                "error": error.strerror or str(error),
                "errno": error.errno,
                "filename": str(error.filename or final),
            }
        finally:
            _remove(temporary)


def _loop(items: Sequence[Item], task: _Task, label: str) -> list[dict[str, Any]]:
    with _bar(label, len(items)) as advance:
        entries = []
        for i, item in enumerate(items):
            entries.append(task(item, i))
            advance(len(entries))
        return entries


def _distributed(
    spark: SparkSession, items: Sequence[Item], task: _Task, label: str
) -> list[dict[str, Any]]:
    """One Spark task per item; the driver's progress bar follows an accumulator."""
    if not items:
        return []
    context = spark.sparkContext
    count = context.accumulator(0)

    def attempt(item: Item) -> dict[str, Any]:
        from pyspark import TaskContext

        running = TaskContext.get()
        entry = task(item, running.taskAttemptId() if running else 0)
        count.add(1)
        return entry

    finished = threading.Event()
    with _bar(label, len(items)) as advance:

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


class _bar:
    """Progress on standard error, silent when that is not a terminal; the block gets a function of the number done."""

    def __init__(self, label: str, total: int):
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self.progress = Progress(
            *columns, console=Console(stderr=True), disable=not sys.stderr.isatty()
        )
        self.task = self.progress.add_task(label, total=total)

    def __enter__(self) -> Callable[[int], None]:
        self.progress.start()
        return lambda n: self.progress.update(self.task, completed=n)

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def _finished(folder: Path, suffix: str) -> dict[str, dict[str, Any]]:
    """Items noted as done whose output is still there with its size, from a committed job or an interrupted one."""
    notes: list[dict[str, Any]] = []
    if (folder / "_job.json").is_file():
        job = json.loads((folder / "_job.json").read_text())
        notes += job["items"] if job["suffix"] == suffix else []
    notes += [json.loads(path.read_text()) for path in sorted((folder / "_done").glob("*.json"))]
    return {
        entry["name"]: entry
        for entry in notes
        if "file" in entry and _size(folder / entry["file"]) == entry["bytes"]
    }


def _members(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _size(path: Path) -> int | None:
    return sum(p.stat().st_size for p in _members(path)) if path.exists() else None


def _measure(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file; of a folder, the sum and the digest of its sorted relative names and digests."""
    if not path.is_dir():
        return path.stat().st_size, sha256(path)
    listing = "".join(f"{p.relative_to(path)} {sha256(p)}\n" for p in _members(path))
    return _size(path) or 0, hashlib.sha256(listing.encode()).hexdigest()


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Removes what interrupted attempts left."""
    for path in folder.glob(".*.partial*"):
        _remove(path)
