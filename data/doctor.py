"""What `lensjax doctor` finds out about the folder of real data, LENSJAX_DATA."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from lensjax.doctor.finding import Finding
from lensjax.errors import some

MANIFEST = "MANIFEST.csv"
"""List of the files of the folder: a row each, with its path below the folder and its bytes."""
EXPORT = "export LENSJAX_DATA=/path/to/data"


def findings() -> Iterator[Finding]:
    """About the folder that LENSJAX_DATA names, and whether the files of its manifest are there."""
    given = os.environ.get("LENSJAX_DATA", "")
    values: dict[str, object] = {"LENSJAX_DATA": given}
    if not given:
        text = (
            "LENSJAX_DATA is not set: `lensjax run` simulates its survey, but `lensjax run real` "
            "has nothing to read, and tests on real data are skipped."
        )
        yield Finding("note", text, f"If you have the data: `{EXPORT}`.", values)
        return
    folder = Path(given).expanduser()
    if not folder.is_dir():
        text = f"LENSJAX_DATA is {given!r}, and there is no such folder."
        yield Finding(
            "broken", text, f"Say where it is, `{EXPORT}`, or `unset LENSJAX_DATA`.", values
        )
        return
    if not (folder / MANIFEST).is_file():
        text = (
            f"LENSJAX_DATA is {given!r}, which has no {MANIFEST}: tests on real data are skipped."
        )
        cure = f"Name the folder that has {MANIFEST}, if you want them (docs/real-data.md)."
        yield Finding("note", text, cure, values)
        return
    yield listed(folder, values)


def listed(folder: Path, values: dict[str, object]) -> Finding:
    """Whether the files of the manifest are there, and have their sizes."""
    try:
        with open(folder / MANIFEST, newline="", encoding="utf-8") as file:
            sizes = {row["path"]: int(row["bytes"]) for row in csv.DictReader(file)}
    except (KeyError, ValueError, TypeError, OSError) as error:
        text = f"{folder / MANIFEST} cannot be read ({type(error).__name__}: {error})."
        return Finding("broken", text, "Copy it again; it has the columns path and bytes.", values)
    odd = [name for name, size in sizes.items() if _size(folder / name) != size]
    values = {**values, "files": len(sizes), "odd": odd[:100]}
    if odd:
        text = f"Of {len(sizes)} files of LENSJAX_DATA's manifest, {len(odd)} are missing or have"
        return Finding("broken", f"{text} another size: {some(odd)}.", "Copy them again.", values)
    text = f"LENSJAX_DATA is {str(folder)!r}, with all {len(sizes)} files of its manifest."
    return Finding("ok", text, values=values)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
