"""Files and folders that are either whole or absent: they are written under a temporary name in the
same place and then renamed."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

PARTIAL, ASIDE = "partial", "aside"
"""Parts of the names of what is not finished yet, and of folders that were replaced"""


def unique(path: str | Path, suffix: str = "", kind: str = PARTIAL) -> Path:
    """A hidden name beside `path` that no other process, thread or machine uses, so that two who
    write one file at once never share what they have not finished.

    suffix: of the name, where what is written depends on it. kind: PARTIAL or ASIDE.
    """
    path = Path(path)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.{kind}{suffix}")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which takes the final name when the block ends without
    an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unique(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """As `replacing`, for a folder, which the block makes; `take_place` has the order of steps."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    restore(path.parent, path.name)
    temporary = unique(path)
    try:
        yield temporary
        take_place(temporary, path)
    finally:
        remove(temporary)


def take_place(new: Path, path: Path) -> None:
    """Gives a folder its final name, even if another folder has it.

    No system renames a folder onto one that has files. So the old one is renamed aside, the new one
    takes its name, and then the old one is removed. When the program is killed in between,
    `restore` gives the old one its name back. If several programs do this at once, the folder of
    the last one stays, whole.
    """
    while True:
        aside = unique(path, kind=ASIDE)
        with suppress(FileNotFoundError):
            os.rename(path, aside)
        try:
            os.rename(new, path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                with suppress(OSError):
                    os.rename(aside, path)
                raise
        else:
            return
        finally:
            if path.is_dir():
                remove(aside)


def restore(folder: str | Path, name: str = "*") -> None:
    """After a kill: folders that `take_place` has put aside get their names back where nothing has
    taken them, and are removed otherwise. folder: in which they are. name: of one, or of all."""
    marked = glob.escape(name) if name != "*" else name
    for aside in sorted(Path(folder).glob(f".{marked}.*.{ASIDE}")):
        path = aside.with_name(aside.name[1:].rsplit(".", 2)[0])
        if not path.exists():
            with suppress(OSError):  # another one was quicker
                os.rename(aside, path)
        remove(aside)


def remove(path: Path) -> None:
    """Removes a file, or a folder with all that is in it. It need not be there, and may be removed
    by somebody else at the same time."""
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """JSON with sorted keys, so that equal values are equal bytes."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")


def read_json(path: str | Path) -> dict[str, Any] | None:
    """A JSON object that a program of this project wrote; None where it is missing or damaged, so
    that what it notes counts as not done."""
    try:
        found = json.loads(Path(path).read_text())
    except (FileNotFoundError, ValueError):  # no JSON, or no text
        return None
    return found if isinstance(found, dict) else None


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """A table as CSV, numbers to eight digits."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.8g")


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
