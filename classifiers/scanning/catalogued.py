"""Which objects of a catalogue are scanned, brick by brick.

Each catalogue file becomes a small Parquet file of the rows that are to be scored, ordered by brick
and name, so that a brick's images are read once. This is a job of its own (`data.jobs`): a scan
that is resumed does not read its catalogues again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from classifiers.scanning import stamps
from data import catalogue
from data.names import file_stem
from data.photometry import magnitude
from data.survey import Survey
from lensjax.errors import InputError

CUTS = ("outside_dec_limits", "not_primary", "not_of_type", "fainter")
"""Why a row is left out, in the order in which the cuts are made: the survey's limits of
declination (both exclusive), BRICK_PRIMARY, and the settings types and magnitude_max."""
NAMELESS = "no position, or no brick and number that can be a name"
"""Why a row of a catalogue is refused before its brick is opened."""


@dataclass(frozen=True)
class Chosen:
    """The rows of a catalogue to score. types: empty for all. magnitude_max: in the selection band,
    None for all."""

    survey: Survey
    types: tuple[str, ...] = ()
    magnitude_max: float | None = None
    on_bad_file: str = "stop"

    def __call__(self, path: tuple[Path, str], temporary: Path) -> dict[str, Any]:
        """Writes the rows of a file (folder, name in it) and returns counts: rows, those of `CUTS`,
        nameless (which are written, to be refused), bricks (name and rows, in order), and which of
        `types` it has. Raises InputError for a file that cannot be read or lacks a column."""
        import pyarrow.parquet as pq

        folder, name = path
        try:
            found = catalogue.read(folder / name, self.survey)
            table, counts = self._rows(found, folder / name, name)
        except InputError as error:
            if self.on_bad_file == "stop":
                raise
            table, counts = self._nothing(), {"rows": 0, "bricks": [], "unreadable": str(error)}
        pq.write_table(table, temporary, compression="zstd")
        return counts

    def _rows(self, found: catalogue.Columns, where: Path, name: str) -> tuple[Any, dict[str, Any]]:
        import pyarrow as pa

        band = self.survey.selection_band
        needed = ["galaxy_id", *(["type"] if self.types else [])]
        needed += [f"flux_{band}"] if self.magnitude_max is not None else []
        catalogue.require(found, needed, where, "a scan", self.survey)
        n = len(found["ra"])
        counts: dict[str, Any] = {"rows": n}
        if self.types:
            counts["types"] = sorted({*self.types} & {*np.ma.filled(found["type"], "")})
        kept = np.ones(n, bool)
        for cut, passes in self._cuts(found).items():
            counts[cut] = int((kept & ~passes).sum())
            kept &= passes
        nameless = found["galaxy_id"] == ""
        nameless |= ~(np.isfinite(found["ra"]) & np.isfinite(found["dec"]))
        counts["nameless"] = int((nameless & kept).sum())
        # The nameless come first, as a brick without a name.
        brick = np.where(nameless, "", found["brickname"])
        order = np.lexsort((np.arange(n), found["galaxy_id"], brick))
        order = order[kept[order]]
        own = {**found, "row": np.arange(1, n + 1), "source": np.full(n, name), "brick": brick}
        fields = self._fields()
        columns = [_column(own, field, order) for field in fields]
        names, first, rows = np.unique(brick[order], return_index=True, return_counts=True)
        order = np.argsort(first)
        counts["bricks"] = [[str(names[i]), int(rows[i])] for i in order]
        return pa.table(columns, schema=pa.schema(fields)), counts

    def _cuts(self, found: catalogue.Columns) -> dict[str, Bool[np.ndarray, " n"]]:
        """The rows that pass each cut, by the name of its counter."""
        low, high = self.survey.catalogue.dec
        # A position that is NaN passes, and is refused as one.
        cuts = {"outside_dec_limits": ~((found["dec"] <= low) | (found["dec"] >= high))}
        if "brick_primary" in found:
            cuts["not_primary"] = np.asarray(np.ma.filled(found["brick_primary"], True), bool)
        if self.types:
            cuts["not_of_type"] = np.isin(found["type"], self.types)
        if self.magnitude_max is not None:
            flux = found[f"flux_{self.survey.selection_band}"]
            # NaN, as of a flux below 0, is not brighter than anything.
            cuts["fainter"] = magnitude(flux) <= self.magnitude_max
        return cuts

    def _fields(self) -> list[Any]:
        """Columns of the files: what is known of a row, and what only its brick is found by."""
        import pyarrow as pa

        known = stamps.columns(self.survey)
        kept = [f for f in stamps.schema(self.survey, ()) if f.name in known]
        return [*kept, pa.field("release", pa.int64()), pa.field("brick", pa.string())]

    def _nothing(self) -> Any:
        import pyarrow as pa

        return pa.schema(self._fields()).empty_table()


def _column(own: catalogue.Columns, field: Any, order: np.ndarray) -> Any:
    """Some rows of a column as Arrow has it; null where there is no value."""
    import pyarrow as pa

    if field.name not in own:
        return pa.nulls(len(order), field.type)
    values = own[field.name][order]
    plain = np.ma.getdata(values)
    plain = plain.astype(object) if field.type == pa.string() else plain
    return pa.array(plain, type=field.type, mask=catalogue.missing(values))


def parts(folder: Path, entries: Sequence[dict[str, Any]], rows_per_part: int) -> list[stamps.Part]:
    """Parts of whole bricks with about so many rows. folder: of the job's files. entries: what
    `data.jobs.run` returned of them."""
    made = []
    for entry in entries:
        start = rows = number = 0
        sizes = [n for _, n in entry["counters"]["bricks"]]
        for own, following in zip(sizes, [*sizes[1:], None]):
            rows += own
            if following is None or rows + following > rows_per_part:
                what = (str(folder / entry["file"]), start)
                made.append(stamps.Part(f"{entry['name']}-{number:05d}", rows, what))
                start, rows, number = start + rows, 0, number + 1
    return made


def names(files: Sequence[str]) -> list[str]:
    """A safe and different name for each file, which the names of its parts begin with."""
    stems = [file_stem(Path(name).name) for name in files]
    return [f"{stem}-c{i:05d}" for i, stem in enumerate(stems)]
