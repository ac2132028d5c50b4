"""Row ranges of a catalogue file, whose columns are read when the selection asks for them.

    for i in range(n := count(path)):
        columns = opened(path, i, n, survey)      # data.catalogue.Lazy; None: read the file whole

FITS tables that are stored plainly are mapped (`data.mapped`); Parquet files are read by row
groups. Everything else is read whole by `data.catalogue`: CSV, compressed FITS, tables from before
DR8, tables without brick names or object numbers, columns that are scaled, and files that are
damaged, so that there is one place that says what is wrong with a file. The values are the same in
all cases.

A range has at most RANGE_BYTES bytes of its file, a row group of Parquet more if the file has such
row groups. Mapped pages belong to the operating system, which may drop them; the memory of a range
itself is a few columns of its rows, and all columns of the rows that are kept. If the file is in an
object store (`data.stores`), only the range is fetched (of Parquet only the columns that are asked
for); a range of FITS is then held whole.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from data import cataloguefile, mapped
from data import columns as table
from data.catalogue import (
    BESIDE,
    Lazy,
    bits_lacking,
    file_name,
    galaxy_id,
    in_nanomaggies,
    wanted,
)
from data.stores import Place, Remote, pinned
from data.storetroubles import StoreError
from data.survey import Survey
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

RANGE_BYTES = 128 * 2**20
"""Bytes of a file that are one range. A sweep of DR10 has about a kilobyte a row."""
_DIRECT = ("ra", "dec", "brickname", "objid", "shape_r", "sersic")
"""Columns without which a table is read whole, because others have to be made from what is there"""


def count(path: Place, range_bytes: int = RANGE_BYTES) -> int:
    """The number of ranges of a file: 1 for one that is not there or can only be read whole."""
    if not divided(path) or not path.is_file():
        return 1
    return max(1, -(-path.stat().st_size // range_bytes))


def divided(path: Place) -> bool:
    """Whether a file's kind, by its name, is one that is read in ranges. A compressed file and CSV
    are read whole."""
    return path.name.lower().endswith((".fits", ".fit", ".parquet"))


def opened(path: Place, i: int, n: int, survey: Survey, first: Iterable[str] = ()) -> Range | None:
    """Range i of n of a file; None for a file, or a range, that has to be read whole.

    first: columns that will be asked for in most rows; they are read in one pass with the checksum.
    """
    found: Range | None
    if path.name.lower().endswith(".parquet"):
        found = ParquetRange.of(path, i, n, survey)
    else:
        found = FitsRange.of(path, i, n, survey, first)
    if found is None or not all(name in found for name in _DIRECT):
        return None
    if "release" in found and "maskbits" in found:
        if bits_lacking(found.at("release", np.arange(found.rows))):
            return None
    return found


class Range(Lazy):
    """Some rows of a catalogue file.

    start: the first one, counted from 0. declared: sums that the file says. data_sum: what the rows
    contribute to that of the table's data, 0 where there is none.
    """

    declared: mapped.Declared = (None, None)
    data_sum = 0

    def __init__(
        self, path: Place, survey: Survey, present: tuple[str, ...], start: int, rows: int
    ):
        self.path, self.survey, self.start, self.rows = path, survey, start, rows
        self._kinds = {**table.types(survey, "catalogue"), **BESIDE}
        self._present = frozenset(present)
        self._read: dict[str, np.ndarray] = {}  # columns that were asked for in every row
        self._named: tuple[np.ndarray, np.ndarray] = np.empty(0, int), np.empty(0, "<U1")

    @abstractmethod
    def raw(self, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Values of a column in some rows, and which are missing, as `cataloguefile.read`."""

    def damaged_beside(self) -> bool:
        """Whether a checksum of another part of the file is wrong."""
        return False

    def __contains__(self, name: object) -> bool:
        return name == "galaxy_id" or name in self._present

    def names(self) -> tuple[str, ...]:
        """Columns of the catalogue that the file has."""
        return tuple(n for n in table.names(self.survey, "catalogue") if n in self)

    def at(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Values of a column in some rows."""
        if name == "galaxy_id":
            return self._names_at(rows)
        every = len(rows) == self.rows
        if name in self._read:
            return self._read[name] if every else self._read[name][rows]
        value, unknown = self.raw(name, rows)
        shown = file_name(self.survey, name)
        value = cataloguefile.checked(self.path, shown, value, unknown, self._kinds[name])
        value = in_nanomaggies(self.survey, name, value)
        if every:
            self._read[name] = value
        return value

    def _names_at(self, rows: np.ndarray) -> np.ndarray:
        """galaxy_id of some rows. The last answer is kept: the selection asks for the names, and
        then again for those of the rows that it keeps."""
        known, names = self._named
        place = np.searchsorted(known, rows)
        if len(known) < len(rows) or not (known[np.minimum(place, len(known) - 1)] == rows).all():
            release = self.at("release", rows) if "release" in self else None
            names = galaxy_id(release, self.at("brickname", rows), self.at("objid", rows))
            self._named = rows, names
            return names
        return names[place]


class FitsRange(Range):
    """Rows of a mapped FITS table. file: the whole table."""

    def __init__(
        self, file: mapped.Mapped, survey: Survey, start: int, stop: int, first: Iterable[str]
    ):
        super().__init__(file.path, survey, file.names, start, stop - start)
        self.file, self.declared = file, file.declared()
        there = [name for name in first if name in file.names]
        self._data, self._first, self.data_sum = file.read(start, stop, there)

    @staticmethod
    def of(
        path: Place, i: int, n: int, survey: Survey, first: Iterable[str] = ()
    ) -> FitsRange | None:
        """Range i of n; None where the table cannot be mapped."""
        file = mapped.opened(path, wanted(survey), survey.catalogue.zero_point)
        if file is None:
            return None
        return FitsRange(file, survey, file.rows * i // n, file.rows * (i + 1) // n, first)

    def damaged_beside(self) -> bool:
        """Whether something of the file is damaged."""
        return self.file.damaged_beside()

    def raw(self, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Values of a column in some rows as stored, and which of them are missing."""
        stored = self._first[name] if name in self._first else self._data[name]
        return self.file.values(name, stored if len(rows) == self.rows else stored[rows])


class ParquetRange(Range):
    """Some row groups of a Parquet file."""

    def __init__(
        self,
        path: Place,
        survey: Survey,
        chosen: dict[str, str],
        footer: pq.FileMetaData,
        groups: range,
    ):
        sizes = [footer.row_group(g).num_rows for g in range(groups.stop)]
        start = sum(sizes[: groups.start])
        super().__init__(path, survey, tuple(chosen), start, sum(sizes) - start)
        self._chosen, self._footer, self._groups = chosen, footer, list(groups)
        self._held: dict[str, pa.ChunkedArray] = {}

    @staticmethod
    def of(path: Place, i: int, n: int, survey: Survey) -> ParquetRange | None:
        """Range i of n; None where the file is damaged."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            (path,) = pinned([path])
            with pq.ParquetFile(_source(path)) as file:
                names, footer = file.schema_arrow.names, file.metadata
        except StoreError:
            raise
        except (pa.ArrowException, OSError):
            return None
        asked = wanted(survey)
        chosen = {asked[x.lower()]: x for x in reversed(names) if x.lower() in asked}
        every = footer.num_row_groups
        groups = range(every * i // n, every * (i + 1) // n)
        return ParquetRange(path, survey, chosen, footer, groups)

    def raw(self, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Values of a column in some rows as stored, and which of them are missing."""
        import pyarrow as pa

        if name not in self._held:
            self._held[name] = self._load(self._chosen[name])
        column = self._held[name]
        if len(rows) < self.rows:
            column = column.take(pa.array(rows))
        try:
            return cataloguefile.parquet_column(column)
        except UnicodeDecodeError:
            raise InputError(
                f"{self.path}: column {self._chosen[name]} holds bytes that are no text in UTF-8; "
                "fetch the file again"
            ) from None

    def _load(self, name: str) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(
                _source(self.path), metadata=self._footer, page_checksum_verification=True
            ) as file:
                return file.read_row_groups(self._groups, columns=[name])[name]
        except StoreError:
            raise
        except (pa.ArrowException, OSError, KeyError) as error:
            raise InputError(
                f"{self.path}: not a readable table (column {name}: {type(error).__name__}); "
                "fetch it again"
            ) from None


def _source(path: Place) -> Any:
    """What pyarrow reads a file from."""
    return path.open() if isinstance(path, Remote) else path
