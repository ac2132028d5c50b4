"""One engine for work that is cut into items: each item makes one file or folder, which is whole or
not there.

    entries = run(folder, items, work, suffix=".parquet", label="pool")      # a plain loop
    entries = run(folder, items, work, ".parquet", "pool", mapper=...)       # somebody else's loop

Every output is written under a temporary name and then renamed, and noted below `_done` with its
size and SHA-256. An interrupted job therefore goes on with the items it lacks and ends with the
same bytes. `_job.json` lists all outputs, and `_SUCCESS` says that the job is whole.

A mapper applies the task to the items in any way and any order, and says how many are done. `loop`
is the simplest one; `spark.jobs` has one that gives each item to a worker of Spark.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

from data.files import PARTIAL, read_json, remove, restore, sha256, take_place, unique, write_json
from data.names import safe_name
from data.progress import Lines
from lensjax.errors import InputError

Item = tuple[str, Any]
"""(name, payload)"""
Work = Callable[[Any, Path], dict[str, Any]]
"""Takes the payload and a temporary path, writes a file or makes a folder of files there, and
returns counters that JSON can hold."""
Task = Callable[[Item], dict[str, Any]]
"""One item's work with its atomic write. Several may do one item at once, as Spark's tasks do."""
Mapper = Callable[[Sequence[Item], Task, Callable[[int], None]], list[dict[str, Any]]]
"""Takes items, task and a function to be told how many are done; returns what the task returned."""
Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Takes label and number of items; its block gets a function to call with the number done."""


def loop(items: Sequence[Item], task: Task, advance: Callable[[int], None]) -> list[dict[str, Any]]:
    """The mapper that does one item after the other."""
    entries = []
    for item in items:
        entries.append(task(item))
        advance(len(entries))
    return entries


def run(
    folder: str | Path,
    items: Sequence[Item],
    work: Work,
    suffix: str,
    label: str,
    mapper: Mapper = loop,
    on_error: Literal["stop", "quarantine"] = "stop",
    bar: Bar | None = None,
) -> list[dict[str, Any]]:
    """Makes `folder/<name><suffix>` for every item; returns one dict for each, in their order.

    items: names are unique, and safe (`data.names`). suffix: such as ".parquet"; "" for folders.
    label: of the progress bar. bar: makes another one than the usual. on_error: what an InputError
    from `work` means. "stop": every other item is still done, then InputError names the first one
    refused and how many there are. "quarantine": its dict has `error` (one line) in place of file,
    bytes, sha256 and counters, and the job succeeds without it.

    The dicts have name, file, bytes, sha256 and counters; or name and error. An item is done again
    when its output is missing or has another size. An OSError (a full disk) is raised as it came,
    and what is done is kept. Raises InputError when another process works in this folder.
    """
    folder = Path(folder)
    names = [safe_name(name, "name of an item", f"{folder} ({label})") for name, _ in items]
    if len(set(names)) != len(names):
        raise ValueError(f"job {label!r}: two items have the same name")
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        return _run(folder, items, work, suffix, label, mapper, on_error, bar)


def _run(
    folder: Path,
    items: Sequence[Item],
    work: Work,
    suffix: str,
    label: str,
    mapper: Mapper,
    on_error: Literal["stop", "quarantine"],
    bar: Bar | None,
) -> list[dict[str, Any]]:
    names = [name for name, _ in items]
    (folder / "_done").mkdir(exist_ok=True)
    (folder / "_SUCCESS").unlink(missing_ok=True)
    _sweep(folder)
    done = _finished(folder, suffix)
    missing = [item for item in items if item[0] not in done]
    fresh: list[dict[str, Any]] = []
    if missing:
        with (bar or _bar)(label, len(missing)) as advance:
            fresh = mapper(missing, _Task(folder, suffix, work), advance)
    # Through JSON, so that a resumed job returns what an uninterrupted one does, to the order of
    # the keys.
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
    _sweep(folder)  # of workers that died and whose items others have done
    write_json(folder / "_job.json", {"items": entries, "suffix": suffix})
    (folder / "_SUCCESS").touch()
    shutil.rmtree(folder / "_done")
    return entries


def finished(folder: str | Path, suffix: str) -> set[str]:
    """Names of the items of a job, whole or interrupted, that it would not do again."""
    return set(_finished(Path(folder), suffix))


def outputs(folder: str | Path) -> list[Path]:
    """Paths that a committed job wrote, in the order of its items.

    Raises InputError when the job has not finished, and when a path of it leads out of its folder.
    """
    folder = Path(folder)
    job = read_json(folder / "_job.json") or {}
    if not (folder / "_SUCCESS").is_file() or "items" not in job:
        raise InputError(f"{folder}: this job has not finished; run the step that writes it again")
    return [
        folder / safe_name(entry["file"], "file", folder / "_job.json")
        for entry in job["items"]
        if "file" in entry
    ]


class _Task:
    """One item's work with its atomic write. InputError and OSError are answers, which the entry
    holds; anything else is a defect and is raised."""

    def __init__(self, folder: Path, suffix: str, work: Work):
        self.folder, self.suffix, self.work = folder, suffix, work

    def __call__(self, item: Item) -> dict[str, Any]:
        name, payload = item
        final = self.folder / f"{name}{self.suffix}"
        temporary = unique(self.folder / name, self.suffix)
        try:
            counters = self.work(payload, temporary)
            size, digest = _measure(temporary)
            if not temporary.is_dir():
                os.replace(temporary, final)
            elif not (final.is_dir() and _measure(final) == (size, digest)):
                take_place(temporary, final)
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
            remove(temporary)


class _bar:
    """Progress on standard error: a bar on a terminal, elsewhere a line now and then
    (`data.progress`). The block gets a function to call with the number of items that are done."""

    def __init__(self, label: str, total: int):
        self.progress: Any = None
        self.lines = Lines(label, total)
        if not sys.stderr.isatty():
            return
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
        self.progress = Progress(*columns, console=Console(stderr=True))
        self.progress.add_task(label, total=total)

    def __enter__(self) -> Callable[[int], None]:
        if (bar := self.progress) is None:
            return self.lines
        bar.start()
        return lambda n: bar.update(bar.task_ids[0], completed=n)

    def __exit__(self, *_: object) -> None:
        if self.progress is not None:
            self.progress.stop()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds a lock on a folder, which ends with the process. Where a file system has no locks of
    folders, only the lock of the run's step protects it. Raises InputError when another process
    holds it."""
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(place)
        raise InputError(
            f"{folder}: another process writes here; wait for it or choose another --out"
        ) from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(place)


def _finished(folder: Path, suffix: str) -> dict[str, dict[str, Any]]:
    """Items noted as done whose output is still there with its size, from a committed job or an
    interrupted one."""
    job = read_json(folder / "_job.json") or {}
    notes = job.get("items", []) if job.get("suffix") == suffix else []
    notes += [read_json(path) or {} for path in sorted((folder / "_done").glob("*.json"))]
    return {
        entry["name"]: entry
        for entry in notes
        if {"name", "file", "bytes"} <= set(entry)
        and _size(folder / entry["file"]) == entry["bytes"]
    }


def _members(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _size(path: Path) -> int | None:
    return sum(p.stat().st_size for p in _members(path)) if path.exists() else None


def _measure(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file. Of a folder: the sum, and the digest of its sorted relative
    names and digests."""
    if not path.is_dir():
        return path.stat().st_size, sha256(path)
    listing = "".join(f"{p.relative_to(path)} {sha256(p)}\n" for p in _members(path))
    return _size(path) or 0, hashlib.sha256(listing.encode()).hexdigest()


def _sweep(folder: Path) -> None:
    """Removes what interrupted attempts left, and puts back what they had put aside."""
    restore(folder)
    for path in folder.glob(f".*.{PARTIAL}*"):
        remove(path)
