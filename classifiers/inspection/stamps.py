"""Where the pixels of an object come from: shards of this project, or a folder of cutouts.

    stamps = opened("runs/mine")           # a run directory or its shards
    stamps = opened("cutouts", survey)     # NPZ files, FITS cubes, or one FITS file a band
    stamps("J0123+0045")                   # (H, W, bands), nanomaggies

An object is read when it is asked for, and only then.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float32

from data import loader, shards, tfrecord
from data.folder import GUESSES, Folder
from data.names import inside, safe_name
from data.stampfile import read_stamp
from data.survey import Survey, chosen
from data.survey import load as load_survey
from lensjax.errors import InputError

Stamps = Callable[[str], Float32[np.ndarray, "h w b"]]
"""The stamp of an object by its id, nanomaggies; raises InputError when there is none."""


class Source(Protocol):
    """Stamps of one survey, all of the same side (pixels)."""

    @property
    def survey(self) -> Survey: ...

    @property
    def side(self) -> int: ...

    def __call__(self, id: str) -> Float32[np.ndarray, "h w b"]: ...


def opened(path: str | Path, survey: str = "", files: str = "", size: int = 0) -> Source:
    """The stamps below a folder. survey: name or definition, where the folder does not say it.
    files, size: of `Cutouts`. Raises InputError when there is no such folder, and as the survey's
    and the shards' readers do."""
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path}: no such folder of images")
    try:
        where = shards.located(path)
    except InputError:
        found = chosen(survey, path)
        return Cutouts(path, found, files, size or found.stamp)
    return Shards(where, load_survey(survey or str(shards.index(where)["survey"])))


class Shards:
    """Stamps of a folder with shards.json. It is gone through once, for the place of every object;
    the checksum of a record is compared when it is read."""

    def __init__(self, folder: Path, survey: Survey) -> None:
        listed = shards.index(folder)
        shards.agree(listed, survey, folder / shards.INDEX)
        self.survey, self.folder = survey, folder
        self.side = int(listed["size"])
        self._shape = (self.side, self.side, len(listed["bands"]))
        self._kinds = {"galaxy_id": str}
        self._place: dict[str, tuple[str, int, int]] = {}
        for entry in listed["shards"]:
            self._index(inside(folder, entry["file"], folder / shards.INDEX))

    def _index(self, path: Path) -> None:
        try:
            with (
                open(path, "rb") as handle,
                mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content,
            ):
                place = 0
                while place + tfrecord.HEADER.size <= len(content):
                    length = tfrecord.HEADER.unpack_from(content, place)[0]
                    start = place + tfrecord.HEADER.size
                    columns: dict[str, list[Any]] = {"galaxy_id": []}
                    loader.decode(content[start : start + length], None, columns, self._kinds)
                    end = start + length + tfrecord.FOOTER.size
                    self._place[columns["galaxy_id"][0]] = (path.name, place, end)
                    place = end
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise InputError(f"{path}: not a readable shard ({error}); {shards.AGAIN}") from None

    def __call__(self, id: str) -> Float32[np.ndarray, "h w b"]:
        """Raises InputError for an object that is in no shard, and for a damaged record."""
        if id not in self._place:
            raise InputError(f"no image of {id!r} in the shards")
        name, start, end = self._place[id]
        path = self.folder / name
        try:
            with open(path, "rb") as handle:
                handle.seek(start)
                content = handle.read(end - start)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        image = np.empty(self._shape, np.float32)
        loader.decode(next(tfrecord.records(content, path)), image, {}, {})
        return image


class Cutouts:
    """Stamps of a folder with a file, or one file a band, for each object."""

    def __init__(self, folder: Path, survey: Survey, files: str, size: int) -> None:
        """files: name of an object's file with {id} and, where there is one file a band, {band};
        empty: the usual names are tried (`data.folder.GUESSES`). size: side of the stamps,
        pixels."""
        self.survey, self.folder, self.side = survey, folder, size
        self.patterns: Sequence[str] = (files,) if files else GUESSES

    def __call__(self, id: str) -> Float32[np.ndarray, "h w b"]:
        """Raises InputError for a name that cannot be one of a file, when there is no file, and as
        `read_stamp` does."""
        name = safe_name(id, "id", self.folder)
        for pattern in self.patterns:
            bands = self.survey.bands if "{band}" in pattern else ("",)
            names = [pattern.replace("{id}", name).replace("{band}", band) for band in bands]
            if all(inside(self.folder, n, "file").is_file() for n in names):
                row = {"galaxy_id": name, "files": names, "row": name, "ra": None, "dec": None}
                return read_stamp(self.folder, row, Folder(), self.survey, self.side)[0]
        raise InputError(f"no image of {id!r} in {self.folder.name}")
