"""The best rows of any number of parts, in any order of the parts, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.scanning.settings import MEAN
from data import jobs
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

FAR = 1e3
"""a logit beyond which scores are 0 or 1"""
ORDER = [
    *(("score", "descending"), ("logit", "descending")),
    *(("galaxy_id", "ascending"), ("source", "ascending"), ("row", "ascending")),
]
"""Scores first; where they are equal, logits, which do not end at 1; then names, so that the order
is always the same."""


@dataclass(frozen=True)
class Ranked:
    """Which score ranks. finders: names of all. by: one of them, or `settings.MEAN`."""

    finders: Sequence[str]
    by: str

    @property
    def used(self) -> list[str]:
        """The finders whose scores it is made of."""
        return [*self.finders] if self.by == MEAN else [self.by]

    def of(self, table: pa.Table) -> pa.Table:
        """The rows that have been scored, with the columns score and logit that rank them in
        front: of one finder, or the means of all."""
        import pyarrow.compute as pc

        table = table.filter(pc.is_null(table["refused"]))
        for kind in ("logit", "score"):
            own = [np.asarray(table[f"{kind}_{name}"], np.float64) for name in self.used]
            # A score of exactly 0 or 1 has an infinite logit, of which there is no mean.
            values = np.mean(np.clip(own, -FAR, FAR), axis=0) if len(own) > 1 else own[0]
            table = table.add_column(0, kind, [values])
        return table


class Best:
    """The first `number` rows in `ORDER` of all that are added; 0: every row."""

    def __init__(self, number: int):
        self.number = number
        self._parts: list[Any] = []
        self._rows, self._floor = 0, -np.inf

    def add(self, table: pa.Table) -> None:
        """More rows. Those below the worst of enough others are passed over at once."""
        import pyarrow.compute as pc

        if self._floor > -np.inf:
            table = table.filter(pc.greater_equal(table["score"], self._floor))
        if not len(table):
            return
        self._parts.append(table)
        self._rows += len(table)
        if self.number and self._rows > 2 * self.number + 10_000:
            self._parts = [self.table()]
            self._rows = len(self._parts[0])
            self._floor = self._parts[0]["score"][-1].as_py()

    def table(self) -> pa.Table:
        """The best rows so far, best first. Raises InputError when there is none."""
        import pyarrow as pa

        if not self._parts:
            raise InputError("no row has a score; see scan/refused.csv for the reasons")
        found = pa.concat_tables(self._parts).sort_by(ORDER)
        return found.slice(0, self.number).combine_chunks() if self.number else found


def tables(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The parts of a scan, one after the other. folder: `scan` of a run. Raises InputError when the
    scan has not finished."""
    import pyarrow.parquet as pq

    chosen = None if columns is None else list(columns)
    for path in jobs.outputs(folder / "parts"):
        yield pq.read_table(path, columns=chosen, partitioning=None)


def best(parts: Iterable[pa.Table], ranked: Ranked, number: int, minimum: float = 0.0) -> pa.Table:
    """The best rows of some parts with at least a score of `minimum`, with their rank from 1.
    Raises InputError where there is none, and says whether scores or high ones are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kept, highest = Best(number), -np.inf
    for part in parts:
        rows = ranked.of(part)
        if len(rows):
            highest = max(highest, pc.max(rows["score"]).as_py())
        kept.add(rows.filter(pc.greater_equal(rows["score"], minimum)) if minimum else rows)
    if -np.inf < highest < minimum:
        raise InputError(
            f"no row scores {minimum:g} or more, the highest is {highest:.3g}: lower minimum"
        )
    found = kept.table()
    return found.add_column(0, "rank", pa.array(np.arange(1, len(found) + 1), pa.int64()))
