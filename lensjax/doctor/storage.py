"""The disk where runs go: whether it can be written, what is free, and whether it is far away."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lensjax.doctor.finding import GB, Finding

DISK = 1.2
"""Disk space of the default run, GB."""
LEAST = 0.05
"""Disk space below which no step gets far, GB."""
SCRATCH = 0.5
"""Space that a step may need in the folder of temporary files, GB."""
FAR = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs")
"""Kinds of file systems on another machine, on which each of many small files costs a round
trip."""


def nearest(folder: Path) -> Path:
    """The folder itself, or the nearest of those around it that exists."""
    folder = folder.expanduser().absolute()
    return next(p for p in (folder, *folder.parents) if p.exists())


def kind(folder: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The kind of file system that a folder lies on; empty where the system does not tell."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    blank = lambda place: Path(re.sub(r"\\040", " ", place))
    here = folder.resolve()
    around = [(p, k) for _, place, k, *_ in lines if (p := blank(place)) in (here, *here.parents)]
    return max(around, key=lambda found: len(found[0].parts), default=(Path(), ""))[1]


def findings(out: Path, mounts: Path = Path("/proc/mounts")) -> Iterator[Finding]:
    """About the disk of a run directory, which need not exist, and that of temporary files."""
    place = nearest(out)
    free, sort = shutil.disk_usage(place).free, kind(place, mounts)
    values = {"folder": str(place), "free_bytes": free, "file_system": sort}
    elsewhere = "Choose another place with `--out`"
    if not place.is_dir():
        text = f"Runs cannot be written to {out}, because {place} is a file."
        yield Finding("broken", text, f"{elsewhere}, or move the file.", values)
    elif not os.access(place, os.W_OK | os.X_OK):
        text = f"Runs cannot be written to {out}: {place} gives no permission."
        yield Finding("broken", text, f"{elsewhere}, or change the permissions.", values)
    elif free < LEAST * GB:
        text = f"The disk of {place}, where runs go, is full ({free / GB:.2f} GB are free)."
        yield Finding("broken", text, f"{elsewhere}, or free some space.", values)
    elif free < DISK * GB:
        text = (
            f"{free / GB:.1f} GB are free in {place}, where runs go, and the default run takes "
            f"{DISK} GB."
        )
        yield Finding("note", text, f"{elsewhere}, or free some space.", values)
    else:
        text = f"{free / GB:.0f} GB are free in {place}, where runs go."
        yield Finding("ok", text, values=values)
    if sort in FAR:
        text = f"{place} lies on another machine ({sort}), where many small files are slow."
        yield Finding("slow", text, f"{elsewhere} on a disk of this machine.", values)
    yield from _temporary()


def _temporary() -> Iterator[Finding]:
    try:
        place = Path(tempfile.gettempdir())
    except FileNotFoundError:
        cure = "Set TMPDIR to a folder that can be written."
        yield Finding("broken", "There is no folder for temporary files that can be written.", cure)
        return
    free = shutil.disk_usage(place).free
    if free < SCRATCH * GB:
        text = f"Only {free / GB:.1f} GB are free in {place}, where Spark keeps what it sorts."
        cure = "Free some space there, or set TMPDIR to a folder with more."
        yield Finding("note", text, cure, {"folder": str(place), "free_bytes": free})
