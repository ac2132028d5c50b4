"""Files below a folder by a pattern, of which none is left out without a word."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from lensjax.errors import InputError

WILD = frozenset("*?[")


def below(folder: Path, pattern: str) -> list[str]:
    """Files below a folder that a pattern as of `Path.glob` matches: sorted, relative to it.

    Other than there, `**` goes into folders behind links too, into each folder once, and InputError
    names a folder that cannot be listed and a file whose name is no text. Raises ValueError for an
    empty or absolute pattern.
    """
    parts = PurePosixPath(pattern).parts
    if not parts or parts[0] == "/":
        raise ValueError("expected a pattern relative to the folder")
    found: dict[str, None] = {".": None}
    for part in parts[:-1]:
        steps = (
            _folders(folder, at) if part == "**" else _matched(folder, at, part) for at in found
        )
        found = {name: None for own in steps for name in own if (folder / name).is_dir()}
    last = "*" if parts[-1] == "**" else parts[-1]
    names = {name for at in found for name in _matched(folder, at, last)}
    files = sorted(os.path.normpath(name) for name in names if (folder / name).is_file())
    for name in files:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{folder}: the file name {os.fsencode(name)!r} is no UTF-8; rename the file"
            ) from None
    return files


def _matched(folder: Path, at: str, part: str) -> list[str]:
    """What in the folder `at` has a name that a part of a pattern matches."""
    if not WILD & set(part):
        return [os.path.join(at, part)]
    return [os.path.join(at, e.name) for e in _entries(folder / at) if fnmatchcase(e.name, part)]


def _folders(folder: Path, at: str) -> Iterator[str]:
    """The folder `at` and all below it, each once; those behind links come after the others, so
    that a folder with a name of its own keeps it."""
    seen: set[tuple[int, int]] = set()
    waiting, links = [at], list[str]()
    while waiting or links:
        own = waiting.pop() if waiting else links.pop(0)
        there = (folder / own).stat()
        if (there.st_dev, there.st_ino) in seen:
            continue
        seen.add((there.st_dev, there.st_ino))
        yield own
        for entry in _entries(folder / own):
            if entry.is_dir():
                (links if entry.is_symlink() else waiting).append(os.path.join(own, entry.name))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            f"{folder}: this folder cannot be listed ({error.strerror}), so that files in it would "
            "be left out; make it readable, or take it away"
        ) from None
