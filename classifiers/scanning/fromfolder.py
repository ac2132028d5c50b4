"""Stamps out of a folder of cutout files: with a table as `data.folder` reads it, or without one,
where every file is an NPZ cutout of this project."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifiers.scanning.stamps import Part, Stamp, columns
from data import provenance
from data.columns import as_column
from data.cutouts import read_npz
from data.folder import Folder, read_table
from data.listing import below
from data.quality import rejected
from data.stampfile import named, read_pixels
from data.survey import Survey
from lensjax.errors import InputError

CUTOUTS = "**/*.npz"
"""the files of a folder without a table"""


@dataclass(frozen=True)
class Cutouts:
    """Files of one cutout each. table: how they are listed; without one, NPZ files below
    `folder`."""

    folder: Path
    survey: Survey
    side: int
    table: Folder = Folder()

    def parts(self, rows_per_part: int) -> list[Part]:
        """Parts of consecutive rows, sorted by id or by path; and one of the rows of a table that
        were refused. Raises InputError when there is no file, or the table or a folder cannot be
        read."""
        refused: list[Any] = []
        rows: list[Any] = []
        if self.table.table:
            rows, refused = read_table(self.folder, self.table, self.survey)
        elif self.folder.is_dir():
            rows = list(enumerate(below(self.folder, CUTOUTS), start=1))
        if not rows and not refused:
            raise InputError(f"{self.folder}: no cutouts there; set scan.root or scan.table.table")
        parts = [Part("refused", len(refused), refused)] if refused else []
        for i, start in enumerate(range(0, len(rows), rows_per_part)):
            part = rows[start : start + rows_per_part]
            parts.append(Part(f"part-{i:06d}", len(part), part))
        return parts

    def stamps(self, part: Part) -> Iterator[Stamp]:
        """See `stamps.Source`. A file that cannot be read is one refused row."""
        for row in part.what:
            if part.name == "refused":
                table, line, reason = row
                yield Stamp({"source": table, "row": line}, None, reason)
            elif isinstance(row, tuple):
                yield self._of_ours(*row)
            else:
                yield self._listed(row)

    def _listed(self, row: dict[str, Any]) -> Stamp:
        known = {name: row[name] for name in columns(self.survey) if name in row}
        known |= {"source": named(row), **{k: _number(row[k]) for k in ("ra", "dec")}}
        try:
            image, _, _ = read_pixels(self.folder, row, self.table, self.survey, self.side)
        except InputError as error:
            return Stamp(known, None, str(error))
        return Stamp(known, image)

    def _of_ours(self, number: int, path: str) -> Stamp:
        known: dict[str, Any] = {"source": path, "row": number}
        try:
            image, meta = read_npz(self.folder / path)
        except (InputError, OSError) as error:
            return Stamp(known, None, str(error))
        kinds = columns(self.survey).items()
        known |= {n: as_column(meta.get(n), kind) for n, (kind, _) in kinds if n not in known}
        said = meta.get("bands_requested", self.survey.bands_text)
        if said != self.survey.bands_text:
            return Stamp(known, None, f"bands {said}, expected {self.survey.bands_text}")
        scale = as_column(meta.get("pixel_scale", self.survey.pixel_scale), "float64")
        if scale is None:
            return Stamp(known, None, f"pixel scale {meta['pixel_scale']!r} is no number")
        reason = provenance.scale_problem(scale, self.survey.pixel_scale)
        reason = reason or rejected(image, self.side, self.survey, scale)
        return Stamp(known, None if reason else image, reason)


def _number(value: Any) -> Any:
    """None for NaN and an empty text, else the value."""
    return None if value == "" or (isinstance(value, float) and math.isnan(value)) else value
