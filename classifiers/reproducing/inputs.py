"""Whether everything that steps read is still as it was, and the folder to do them again in.

Nothing is copied: the new folder has links to what the steps before wrote.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import data.stores
from classifiers.reproducing.recorded import Recorded
from data.files import sha256, write_json
from data.stores import Remote
from lensjax.errors import InputError

SHORT = 16
"""Digits of a SHA-256 in a message."""
MARK = Path("reproduced") / "of.json"
"""In the new folder: what is done again there."""


def checked(asked: Recorded) -> list[str]:
    """Compares every file that the steps read with the record: files from outside of the run, and
    the outputs of steps that are not done again.

    Returns a line for every file of which the record has no SHA-256, and that is as large as it
    was. Raises InputError, with the file and both hashes, for one that is missing or has changed.
    """
    unsure = []
    for step in asked.before:
        for output in asked.records[step]["outputs"]:
            path, then = asked.out / output["path"], output["sha256"]
            _same(path, then, f"the record of {step!r}")
    for step in asked.steps:
        for entry in asked.records[step]["external"]:
            if isinstance(stored := data.stores.place(entry[0]), Remote):
                _same_stored(stored, entry, step)
        known = asked.records[step].get("external_sha256", {})
        for path, entry in _external(asked, step):
            then, whose = known.get(entry[0]), f"the record of {step!r}"
            if then:
                _same(path, then, whose)
            elif not path.exists():
                raise InputError(
                    f"{path}: missing, and {step!r} read it; no SHA-256 of it is known{_from(path)}"
                )
            elif path.is_file() and path.stat().st_size != entry[1]:
                raise InputError(
                    f"{path}: has changed: {path.stat().st_size} bytes, {entry[1]} in {whose}, "
                    "which has no SHA-256 of it"
                )
            else:
                unsure.append(f"{path}: as large as it was; {whose} has no SHA-256 of it")
    return unsure


def _same(path: Path, then: str, whose: str) -> None:
    if not path.is_file():
        raise InputError(f"{path}: missing; SHA-256 {then[:SHORT]} in {whose}{_from(path)}")
    now = sha256(path)
    if now != then:
        raise InputError(
            f"{path}: has changed: SHA-256 {now[:SHORT]}, and {then[:SHORT]} in {whose}"
        )


def _from(path: Path) -> str:
    """What to do about a missing file that the run named relative to the folder it was made in."""
    if path.is_absolute():
        return ""
    return (
        "; the run named it relative to the folder in which it was made: call `lensjax reproduce` "
        "in that folder"
    )


def _same_stored(stored: Remote, entry: Sequence[Any], step: str) -> None:
    """A file of an object store is known by its size and the store's own mark."""
    if entry[1] == "absent":
        return
    try:
        found = stored.stat()
    except FileNotFoundError:
        raise InputError(f"{stored}: missing, and {step!r} read it") from None
    if [found.st_size, found.mark] != list(entry[1:]):
        raise InputError(
            f"{stored}: has changed: {found.st_size} bytes, mark {found.mark}, and {entry[1]} "
            f"bytes, mark {entry[2]} in the record of {step!r}"
        )


def _external(asked: Recorded, step: str) -> Iterator[tuple[Path, Sequence[Any]]]:
    """The files on disk that a step read from outside of the run, as it named them, and what its
    record has of each. Files of the run that are written by steps come with these."""
    names = set().union(*(top(asked, name) for name in asked.records))
    for entry in asked.records[step]["external"]:
        path = data.stores.place(entry[0])
        if entry[1] == "absent" or isinstance(path, Remote):
            continue
        inside = within(path, asked.out)
        if inside is None or inside.parts[0] not in names:
            yield path, entry


def within(path: Path, folder: Path) -> Path | None:
    """The path relative to the folder, where it lies in it."""
    relative = Path(os.path.relpath(path.absolute(), folder.absolute()))
    return None if relative.parts[:1] == ("..",) else relative


def top(asked: Recorded, step: str) -> set[str]:
    """Names in the run directory below which a step writes."""
    return {Path(output["path"]).parts[0] for output in asked.records[step]["outputs"]}


def place(asked: Recorded, out: Path) -> None:
    """Makes the folder in which the steps are done again: links to what other steps wrote and to
    files of the user's in the run directory, and copies of their records. The same command again
    continues there. Raises InputError for a folder that has anything else in it."""
    keys = {name: one["key"] for name, one in asked.records.items()}
    mark, known = {"steps": list(asked.steps), "keys": keys}, out / MARK
    if within(out, asked.out) is not None or within(asked.out, out) is not None:
        raise InputError(f"{out}: --out has to be another folder than the run's, and not inside it")
    if known.is_file() and json.loads(known.read_text()) != mark:
        raise InputError(f"{out}: something else was done again here; choose a new --out")
    if not known.is_file() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is not empty; choose a new folder for --out")
    write_json(known, mark)
    for step in asked.before:
        (out / "records").mkdir(exist_ok=True)
        shutil.copy(asked.path(step), out / "records" / f"{step}.json")
        for name in top(asked, step):
            _link(out / name, asked.out / name)
    for step in asked.steps:
        for path, _ in _external(asked, step):
            if (inside := within(path, asked.out)) is not None:
                _link(out / inside, path)


def _link(place: Path, target: Path) -> None:
    if not place.is_symlink():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target.absolute())
