"""The work on one part: its rows become one Parquet file, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from classifiers import finders
from classifiers.finders import Finder, scored
from classifiers.scanning.readahead import Opened
from classifiers.scanning.stamps import Batch, Part, Source, batches, schema
from lensjax.errors import InputError

MOST_BAD = 0.5
"""A finder that refuses more than this share of a batch is broken, not the stamps."""
LONGEST = 500
"""characters of a reason"""


@dataclass(frozen=True)
class Scoring:
    """What is done with a part; see `data.jobs.Work`. named: name to finder. out: the run, which
    finders are loaded for. state: what the finders are; a process that has loaded them in another
    state, for an earlier scan, loads them again. tick: is told how many rows are done."""

    source: Source
    named: Mapping[str, str]
    out: Path
    state: str
    batch: int
    tick: Callable[[int], None] | None = None

    def __call__(self, part: Part | Opened, temporary: Path) -> dict[str, Any]:
        """Writes the file and returns the numbers of rows, of scored and of refused ones. Raises
        InputError as the source does, and where a finder fails on most of a batch."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        own = part.part if isinstance(part, Opened) else part
        if isinstance(part, Opened):
            found = part.batches
        else:
            bands = len(self.source.survey.bands)
            found = batches(self.source.stamps(part), self.source.side, bands, self.batch)
        of = schema(self.source.survey, [*self.named])
        tables = []
        for batch in found:
            tables.append(pa.Table.from_pylist(self._rows(batch), of))
            if self.tick is not None:
                self.tick(len(batch.known))
        table = pa.concat_tables(tables) if tables else of.empty_table()
        if table.num_rows != own.rows:
            raise InputError(
                f"part {own.name}: {table.num_rows} rows came, {own.rows} were announced; the "
                "input has changed, start the scan again with --force"
            )
        pq.write_table(table.combine_chunks(), temporary, compression="zstd")
        refused = len(table) - table["refused"].null_count
        return {"rows": own.rows, "scored": own.rows - refused, "refused": refused}

    def _rows(self, batch: Batch) -> list[dict[str, Any]]:
        rows, reason = [dict(known) for known in batch.known], list(batch.reason)
        ids = [str(rows[i].get("galaxy_id") or f"row {rows[i]['row']}") for i in batch.place]
        for name, text in self.named.items():
            found, why = answers(_loaded(text, self.out, self.state), batch.images, self.batch, ids)
            for place, logit, score, problem in zip(batch.place, *found, why):
                if problem:
                    reason[place] = f"finder {name}: {problem}"
                else:
                    rows[place] |= {f"logit_{name}": float(logit), f"score_{name}": float(score)}
        for row, problem in zip(rows, reason):
            row["refused"] = problem[:LONGEST] or None
        return rows


@lru_cache(maxsize=16)
def _loaded(text: str, out: Path, state: str) -> Finder:
    return finders.load(text, out)


def answers(
    finder: Finder, images: Float32[np.ndarray, "n h w c"], size: int, ids: Sequence[str]
) -> tuple[tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]], list[str]]:
    """Logits and scores of stamps, and for each the reason why it has none, empty where it has.

    A finder refuses a batch as a whole (`finders.scored`). It is halved until the stamps are found
    that it cannot score. size: of a full batch. ids: names of the stamps. Raises
    InputError, the finder's own, when it refuses more than `MOST_BAD` of them.
    """
    logit, score = np.full(len(images), np.nan), np.full(len(images), np.nan)
    why = [""] * len(images)
    waiting = [np.arange(len(images))] if len(images) else []
    first: InputError | None = None
    bad = 0
    while waiting:
        rows = waiting.pop()
        try:
            own = images if len(rows) == len(images) else images[rows]
            found = scored(finder, own, [ids[int(i)] for i in rows], size)
        except InputError as error:
            first = first or error
            if len(rows) > 1:
                waiting += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
                continue
            bad += 1
            if bad > max(MOST_BAD * len(images), 1):
                raise first from None
            why[int(rows[0])] = str(error)
            continue
        logit[rows], score[rows] = found
    return (logit, score), why
