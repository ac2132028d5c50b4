"""Names and paths that come from outside: which of them may become the name of a file.

Ids of objects, brick names and lens names are read from catalogues and tables that somebody else
wrote, and become names of files and folders here. A name like `../../xy` would lead out of the
run's folder, and Spark skips files whose names begin with `_` or `.`. Such names are refused where
they enter. What a name may hold is one rule for the whole project.
"""

from __future__ import annotations

import hashlib
import re
from numbers import Integral
from pathlib import Path, PurePosixPath
from typing import Any

from lensjax.errors import InputError

LONGEST = 120
"""characters; with an ending it stays well below the 255 bytes that a file system allows"""

SAFE = rf"[A-Za-z0-9][A-Za-z0-9_.+-]{{0,{LONGEST - 1}}}"
"""What a name may be, as a regular expression."""


def is_safe(value: Any) -> bool:
    """Whether a value may be a name: ASCII letters, digits and `_`, `-`, `+`, `.`, of which a
    letter or a digit comes first, at most LONGEST characters. Integers count as their digits."""
    text = str(value) if isinstance(value, Integral) and not isinstance(value, bool) else value
    return isinstance(text, str) and re.fullmatch(SAFE, text) is not None


def safe_name(value: Any, what: str, where: object) -> str:
    """The value as a name that can be part of a path.

    what: what it names, as the error says it ("brick name", "galaxy_id").
    where: the file, and the row if there is one, that it comes from.
    Raises InputError when the value is not a name by the rule of `is_safe`.
    """
    if is_safe(value):
        return str(value)
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
    raise InputError(
        f"{where}: {what} {shown} cannot be used in the name of a file; use at most {LONGEST} of "
        "A-Z a-z 0-9 _ - + . with a letter or digit first"
    )


def file_stem(name: str) -> str:
    """A name for what is made from a file: the file's name up to its first dot, where everything
    that `is_safe` does not allow is replaced.

    A name that is changed gets eight hex digits of a hash, so that two files never share one.
    """
    stem = name.lstrip(".").split(".")[0]
    plain = re.sub(r"[^A-Za-z0-9_+-]+", "-", stem).lstrip("_-+")[: LONGEST - 30]
    if stem == name.split(".")[0] and plain == stem and plain:
        return stem
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{plain or 'file'}-{digest}"


def inside(folder: str | Path, path: Any, where: object) -> Path:
    """`folder / path`, where `path` is a relative path that came from a table.

    where: the table, and the row if there is one. Raises InputError when the path is empty,
    absolute, or has a step upwards, so that it could lead out of the folder.
    """
    text = path if isinstance(path, str) else ""
    parts = PurePosixPath(text).parts
    if not parts or text.startswith("/") or ".." in parts or "\\" in text or "\0" in text:
        raise InputError(
            f"{where}: path {path!r} does not lie below {folder}; give a path relative to that "
            "folder, without `..`"
        )
    return Path(folder) / text


def as_text(value: Any) -> Any:
    """A value as a cell of a CSV file that people open in a spreadsheet.

    Text stays one line. A text that a spreadsheet would take for a formula, because it begins with
    one of = + - @, gets an apostrophe in front, as OWASP advises. Anything but text stays as it is.
    """
    if not isinstance(value, str):
        return value
    line = " ".join(value.split()) if re.search(r"[\r\n\t\0]", value) else value
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
