"""Stamps cut out of coadds in memory, at the positions of a catalogue. They are the pixels that the
survey's cutout files hold (`spark.cutouts`), without the files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np

from classifiers.scanning.catalogued import NAMELESS
from classifiers.scanning.stamps import Part, Stamp
from data import provenance
from data.coadds import pixel_positions, pixel_scale, read_brick, slice_out
from data.edges import completed
from data.quality import rejected
from data.survey import Survey
from lensjax.errors import InputError


@dataclass(frozen=True)
class Bricks:
    """Coadds below `root`, and the rows of `catalogued`, which say where stamps are cut."""

    root: Path
    survey: Survey
    side: int
    on_bad_file: Literal["stop", "quarantine"] = "stop"

    def stamps(self, part: Part) -> Iterator[Stamp]:
        """See `stamps.Source`. A brick without readable images is one that cannot be read; an
        object off its brick's image, or of another data release, is one refused row."""
        file, start = part.what
        rows = _table(file, os.stat(file).st_mtime_ns).slice(start, part.rows).to_pylist()
        for brick, own in groupby(rows, lambda row: row.pop("brick")):
            yield from self._brick(brick, list(own))

    def _brick(self, name: str | None, rows: list[dict[str, Any]]) -> Iterator[Stamp]:
        if not name:
            yield from (Stamp(row, None, NAMELESS) for row in rows)
            return
        try:
            brick = read_brick(self.root, name, self.survey)
        except InputError as error:
            if self.on_bad_file == "stop":
                raise
            yield from (Stamp(row, None, str(error)) for row in rows)
            return
        scale = round(pixel_scale(brick.header), 6)
        release = provenance.release(brick.header)
        ra, dec = (np.array([row[k] for row in rows], np.float64) for k in ("ra", "dec"))
        columns, lines = pixel_positions(brick, ra, dec)
        edges = completed(brick, self.root, self.survey, columns, lines, self.side)
        for row, x, y in zip(rows, columns, lines):
            own = row.pop("release")
            piece = slice_out(brick.images, x, y, self.side)
            reason = "" if piece.inside else "outside its brick's image"
            if not reason and release and own and own // 1000 != release:
                reason = f"of release {own}, its brick's image of data release {release}"
            filled = edges.fill(piece)
            if not reason and (reason := rejected(filled.image, self.side, self.survey, scale)):
                reason = "; ".join([reason, *(edges.unused[name] for name in filled.unused)])
            yield Stamp(row, None if reason else filled.image, reason)


@lru_cache(maxsize=1)
def _table(file: str, changed: int) -> Any:
    """A file of rows, kept for the next of its parts. changed: time of its last change (ns), so
    that the file of an earlier scan in this process is not taken for it."""
    import pyarrow.parquet as pq

    return pq.read_table(file, partitioning=None, memory_map=True)
