"""Stamps of candidates that have no files of their own: cut out of coadds, where the table says.

A scan over bricks scores stamps in memory and writes none, so its list of candidates comes with a
position and the name of a brick (`brickname`, `ra`, `dec`). The pixels are the same as those that
the scan saw (`classifiers.scanning.frombricks`).

    where = places(Path("candidates.csv"), "galaxy_id")
    stamps = Bricks(Path("survey"), survey, survey.stamp, where)
    stamps("1500p100_7")                   # (side, side, bands), nanomaggies

A brick is read when the first of its objects is asked for, and the stamps of all its objects are
cut then and kept for a while.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from data import tables
from data.coadds import image_path, pixel_positions, read_brick, slice_out
from data.edges import completed
from data.names import safe_name
from data.survey import Survey
from lensjax.errors import InputError, some

BRICK, RA, DEC = "brickname", "ra", "dec"
"""Columns that say where an object is: its brick, and its position in degrees (ICRS)."""
KEPT = 1000
"""how many stamps are kept in memory, at least those of one brick"""


@dataclass(frozen=True)
class Position:
    """brick: its name. ra, dec: degrees."""

    brick: str
    ra: float
    dec: float


def places(path: Path, id: str) -> dict[str, Position]:
    """Where the objects of a table (CSV, Parquet, FITS) are, by their id. Objects without a brick
    are left out.

    Raises InputError, with the table and the row, for a brick name that cannot be part of a path,
    and for a position that is no number or not on the sky; and for missing columns.
    """
    columns = tables.read(path)
    if missing := [name for name in (id, BRICK, RA, DEC) if name not in columns]:
        raise InputError(
            f"{path}: no column {missing[0]!r}, which is needed to cut stamps out of bricks; it "
            f"has {some(list(columns), 12)}"
        )
    found = {}
    rows = zip(*(columns[name] for name in (id, BRICK, RA, DEC)))
    for number, (name, brick, ra, dec) in enumerate(rows, 1):
        if brick is None or name is None:
            continue
        where = f"{path}, row {number}"
        place = Position(
            safe_name(brick, "brick name", where),
            _degrees(ra, RA, (0.0, 360.0), where),
            _degrees(dec, DEC, (-90.0, 90.0), where),
        )
        found[str(name)] = place
    return found


def _degrees(value: Any, name: str, limits: tuple[float, float], where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not limits[0] <= number <= limits[1]:
        raise InputError(
            f"{where}: {name} {value!r} is not an angle from {limits[0]:g} to {limits[1]:g} "
            "degrees; correct it, or empty its brickname"
        )
    return number


class Bricks:
    """Stamps of objects at given places of coadds. May be asked from several threads, of which one
    reads at a time."""

    def __init__(
        self, root: Path, survey: Survey, side: int, where: Mapping[str, Position]
    ) -> None:
        """root: folder of the coadds, as the survey's definition names them. side: pixels of a
        stamp. Raises InputError when there is no such folder, when no object has a brick, and when
        none of the bricks has an image there."""
        if not root.is_dir():
            raise InputError(f"{root}: no such folder of bricks")
        if not where:
            raise InputError(f"no object has a {BRICK}, so none can be cut out of {root}")
        self.survey, self.side = survey, side
        self._root, self._where = root, where
        self._own: dict[str, list[str]] = defaultdict(list)
        for id, place in where.items():
            self._own[place.brick].append(id)
        self.absent = tuple(
            sorted(
                brick
                for brick in self._own
                if not any(image_path(root, brick, b, survey).is_file() for b in survey.bands)
            )
        )
        """Bricks of the objects that have no image below `root`."""
        if len(self.absent) == len(self._own):
            path = image_path(root, self.absent[0], survey.reference, survey)
            raise InputError(
                f"{root}: no image of any of the {len(self._own)} bricks of the table, such as "
                f"{path}; give the folder that holds the coadds as --bricks, or the survey that "
                "they are of as --survey"
            )
        self._kept: OrderedDict[str, Float32[np.ndarray, "h w b"] | None] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def bricks(self) -> int:
        """How many bricks the objects lie in."""
        return len(self._own)

    def __call__(self, id: str) -> Float32[np.ndarray, "h w b"]:
        """The stamp (side, side, bands) of an object, nanomaggies, NaN where there is no image.
        Raises InputError for an object without a brick or outside its brick's image, and as
        `data.coadds.read_brick` does."""
        if id not in self._where:
            raise InputError(f"the table has no {BRICK} for {id!r}")
        with self._lock:
            if id not in self._kept:
                self._read(self._where[id].brick)
            self._kept.move_to_end(id)
            image = self._kept[id]
        if image is None:
            place = self._where[id]
            raise InputError(
                f"{id!r} at {place.ra:.5f}, {place.dec:+.5f} lies outside the image of its brick "
                f"{place.brick}"
            )
        return image

    def _read(self, name: str) -> None:
        """Cuts the stamps of all objects of a brick; forgets those that were not asked for."""
        brick, own = read_brick(self._root, name, self.survey), self._own[name]
        ra, dec = (np.array([getattr(self._where[id], k) for id in own]) for k in (RA, DEC))
        columns, lines = pixel_positions(brick, ra, dec)
        edges = completed(brick, self._root, self.survey, columns, lines, self.side)
        for id, x, y in zip(own, columns, lines):
            piece = slice_out(brick.images, x, y, self.side)
            self._kept[id] = edges.fill(piece).image if piece.inside else None
            self._kept.move_to_end(id)
        while len(self._kept) > max(KEPT, len(own)):
            self._kept.popitem(last=False)
