"""The injections of an audit as a file that others can use: every injection, found or not, with the
density that it was drawn from, and how many there were.

The table has one row per injection, see docs/injections.md for its columns. `about` says what holds
for all of them; it is written into the file's own metadata. Its keys:

- total_generated: number of draws, those included that could not be injected
- density_over: names of the columns that `ln_p_draw` is a density over
- proposal: distribution of each of these, as a prior's YAML has it; `bins` is uniform in each of
  some bins, and equally many fall in each
- thresholds: name to score, of the first finder
- finder_thresholds: the same for every finder by its name, where there are several
- finders: name to what is known of each; the scores of the first are in `score`, of another in
  `score_NAME`
- prior, settings, survey, hosts, versions: what it was made from
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from data.files import replacing
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

KEY = b"lensjax"
"""Key of the file's metadata that holds `about` as JSON."""

HDF = (".h5", ".hdf5", ".hdf")
"""Endings of names of HDF5 files."""

NEEDED = ("total_generated", "density_over")


@dataclass(frozen=True)
class InjectionSet:
    """A table of injections and what holds for all of them, see the module's docstring."""

    table: pd.DataFrame
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def total(self) -> int:
        """Number of draws, which is at least that of the rows."""
        return int(self.about["total_generated"])

    @property
    def density_over(self) -> list[str]:
        """Columns that `ln_p_draw` is a density over."""
        return list(self.about["density_over"])

    @property
    def ln_p_draw(self) -> Float[np.ndarray, " n"]:
        """Natural logarithm of the density that each injection was drawn from."""
        return self.table["ln_p_draw"].to_numpy(np.float64)

    def score(self, finder: str = "") -> Float[np.ndarray, " n"]:
        """Scores of a finder, of the first by its name or without one. Raises InputError for one
        that was not asked."""
        column = "score" if finder in ("", self._first) else f"score_{finder}"
        if column not in self.table:
            known = ", ".join(filter(None, self.about.get("finders", {}))) or "one only"
            raise InputError(f"no scores of finder {finder!r} in this set; there are {known}")
        return self.table[column].to_numpy(np.float64)

    def thresholds(self, finder: str = "") -> dict[str, float]:
        """Thresholds of a finder by their names, of the first by its name or without one."""
        of_finders = self.about.get("finder_thresholds") or {}
        if finder in ("", self._first):
            return (of_finders.get(self._first) or {}) | (self.about.get("thresholds") or {})
        return of_finders.get(finder) or {}

    @property
    def _first(self) -> str:
        """Name of the first finder, "" where it is not known."""
        return str((self.about.get("finders") or {}).get("", {}).get("name", ""))

    def save(self, path: str | Path) -> None:
        """Writes a Parquet file, or HDF5 where the name ends in .h5, .hdf5 or .hdf (see
        `classifiers.audit.hdf`). Raises InputError for a column that HDF5 cannot hold."""
        path = Path(path)
        if path.suffix in HDF:
            from classifiers.audit import hdf

            return hdf.save(path, self.table, self.about)
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.table, preserve_index=False)
        kept = table.schema.metadata or {}
        about = json.dumps(self.about, sort_keys=True).encode()
        with replacing(path) as temporary:
            pq.write_table(
                table.replace_schema_metadata({**kept, KEY: about}), temporary, compression="zstd"
            )

    @classmethod
    def load(cls, path: str | Path) -> InjectionSet:
        """Reads a Parquet file, or HDF5 by the name's ending as `save` does. Raises InputError,
        naming the file, when it is missing, is no injection set, or contradicts itself."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such injection set; run `lensjax audit`")
        if path.suffix in HDF:
            from classifiers.audit import hdf

            read, about = hdf.load(path)
            return cls(read, checked(path, about, [str(name) for name in read], len(read)))
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            about = json.loads((table.schema.metadata or {}).get(KEY, b"null"))
        except (OSError, ValueError, pa.ArrowException) as error:
            said = " ".join(str(error).split())[:120]
            raise InputError(f"{path}: cannot be read as an injection set ({said})") from None
        return cls(table.to_pandas(), checked(path, about, table.column_names, table.num_rows))


def checked(path: Path, about: Any, columns: list[str], rows: int) -> dict[str, Any]:
    """`about`, refused by InputError where it does not fit the table."""
    if not isinstance(about, dict) or any(key not in about for key in NEEDED):
        raise InputError(
            f"{path}: does not say {' and '.join(NEEDED)}, so it is no injection set; make it "
            "with `lensjax audit`"
        )
    wanted = ["ln_p_draw", *about["density_over"]]
    if missing := [name for name in wanted if name not in columns]:
        raise InputError(f"{path}: column {missing[0]!r} is missing, though it is said to be there")
    if int(about["total_generated"]) < rows:
        raise InputError(
            f"{path}: {rows} rows, but only {about['total_generated']} draws; it contradicts itself"
        )
    return about
