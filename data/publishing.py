"""A finished run in an object store: its files by their content, and a list of them, stored last.

    publish(out, ["pool", "manifest.parquet"], "s3://bucket/run")
    fetch("s3://bucket/run", folder)

A file lies below objects/ under its SHA-256, so that one that is there is never overwritten and
nothing has to be renamed. manifest.json has the path, size and SHA-256 of every file, and is stored
when all of them are: who finds it finds everything, also while a newer run is being published.
Publishing again stores what is missing. Two that publish to one address at once both succeed; the
manifest is that of the later one.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from data.files import replacing, sha256, write_json
from data.names import inside
from data.stores import Remote, place
from data.storetroubles import StoreError
from lensjax.errors import InputError

MANIFEST = "manifest.json"
OBJECTS = "objects"
TOGETHER = 8
"""files that are stored at a time"""


def publish(out: Path, owned: Iterable[str], url: str) -> dict[str, int]:
    """Stores the files of a run; returns how many there are, how many had to be stored, and their
    bytes.

    owned: files and folders of the run, relative to `out`; those that are not there are left out.
    Raises InputError for an address that is not in s3://, StoreError as `data.stores` says.
    """
    target = store(url)
    entries: list[dict[str, Any]] = [
        {"path": p.relative_to(out).as_posix(), "bytes": p.stat().st_size, "sha256": sha256(p)}
        for p in _files(out, owned)
    ]
    there = (target / OBJECTS).sizes()
    missing = {e["sha256"]: e for e in entries if there.get(_below(e["sha256"])) != e["bytes"]}

    def put(entry: dict[str, Any]) -> int:
        path = out / entry["path"]
        (target / OBJECTS / _below(entry["sha256"])).put(path)
        if sha256(path) != entry["sha256"]:
            raise InputError(f"{path}: changed while it was published; run the command again")
        return int(entry["bytes"])

    with ThreadPoolExecutor(TOGETHER) as pool:
        stored = list(pool.map(put, missing.values()))
    with tempfile.TemporaryDirectory(prefix="lensjax-") as folder:
        write_json(Path(folder) / MANIFEST, {"files": entries})
        (target / MANIFEST).put(Path(folder) / MANIFEST)
    return {"files": len(entries), "stored": len(stored), "bytes": sum(stored)}


def fetch(url: str, folder: Path) -> list[Path]:
    """Writes a published run into a folder, and returns its files. Each is compared with its
    SHA-256. Raises InputError where nothing is published, and for a path that leads out of the
    folder, StoreError for a file whose content is another."""
    source, written = store(url), []
    if not (source / MANIFEST).is_file():
        raise InputError(f"{source / MANIFEST}: nothing is published here")
    with (source / MANIFEST).copied() as local:
        entries = json.loads(local.read_text())["files"]
    for entry in entries:
        path = inside(folder, entry["path"], source / MANIFEST)
        one = source / OBJECTS / _below(entry["sha256"])
        with replacing(path) as temporary:
            one.save(temporary)
            if sha256(temporary) != entry["sha256"]:
                raise StoreError(str(one), f"is not what the manifest says of {path}")
        written.append(path)
    return written


def store(url: str) -> Remote:
    """The place in a store to which runs can be published. Raises InputError for another place."""
    found = place(url)
    if not isinstance(found, Remote) or found.scheme != "s3":
        raise InputError("survey.publish: runs are published to s3://bucket/path")
    return found


def _below(digest: str) -> str:
    return f"{digest[:2]}/{digest}"


def _files(out: Path, owned: Iterable[str]) -> list[Path]:
    """The files of a run, sorted, without what an interrupted job left."""
    found: set[Path] = set()
    for name in owned:
        path = out / name
        found |= {path} if path.is_file() else {p for p in path.rglob("*") if p.is_file()}
    return sorted(p for p in found if not p.name.startswith("."))
