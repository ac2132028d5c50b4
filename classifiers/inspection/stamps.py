"""Where the pixels of an object come from: shards of this project, or a folder of cutouts.

    stamps = opened("runs/mine")           # a run directory or its shards
    stamps = opened("cutouts", survey)     # NPZ files, FITS cubes, or one FITS file a band
    stamps("J0123+0045")                   # (H, W, bands), nanomaggies

An object is read when it is asked for, and only then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float32

from data import shards, streaming
from data.folder import Folder, files_of, filled
from data.names import safe_name
from data.stampfile import read_pixels
from data.survey import Survey, chosen
from data.survey import load as load_survey
from lensjax.errors import InputError

Stamps = Callable[[str], Float32[np.ndarray, "h w b"]]
"""The stamp of an object by its id, nanomaggies; raises InputError when there is none."""


class Source(Protocol):
    """Stamps of one survey, all of the same side (pixels)."""

    @property
    def survey(self) -> Survey:
        """Survey whose bands and pixels the stamps have."""
        ...

    @property
    def side(self) -> int:
        """Pixels along a side of a stamp."""
        ...

    def __call__(self, id: str) -> Float32[np.ndarray, "h w b"]:
        """Stamp (h, w, b) of the object of this id, in nanomaggies."""
        ...


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
    the checksum of a record is compared when its stamp is read."""

    def __init__(self, folder: Path, survey: Survey) -> None:
        listed = shards.index(folder)
        shards.agree(listed, survey, folder / shards.INDEX)
        self.survey, self.side = survey, int(listed["size"])
        self._place: dict[str, tuple[streaming.Records, int]] = {}
        for split in shards.SPLITS:
            records = streaming.records(folder, split)
            self._place |= {id: (records, row) for row, id in enumerate(records.ids())}

    def __call__(self, id: str) -> Float32[np.ndarray, "h w b"]:
        """Raises InputError for an object that is in no shard, and for a damaged record."""
        if id not in self._place:
            raise InputError(f"no image of {id!r} in the shards")
        records, row = self._place[id]
        return records[row]


class Cutouts:
    """Stamps of a folder with a file, or one file a band, for each object."""

    def __init__(self, folder: Path, survey: Survey, files: str, size: int) -> None:
        """files: as in `data.folder.Folder`. size: side of the stamps, pixels. Raises InputError
        for `files` with other fields than {id} and {band}."""
        if files:
            filled(files, "id", survey)
        self.survey, self.folder, self.side = survey, folder, size
        self._table = Folder(files=files)

    def __call__(self, id: str) -> Float32[np.ndarray, "h w b"]:
        """Raises InputError for a name that cannot be one of a file, when there is no file, and as
        `read_pixels` does."""
        name = safe_name(id, "id", self.folder)
        files = files_of(self.folder, name, None, self._table, self.survey)
        row = {"galaxy_id": name, "files": files, "row": name}
        return read_pixels(self.folder, row, self._table, self.survey, self.side)[0]
