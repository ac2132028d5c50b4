"""A file's part of the pool from its ranges, and from the ranges of the survey that touch them.

A neighbour that makes a merger counts wherever it is: in another range, in another file, across RA
0. A range has a box around its rows (`data.boxes`). Only ranges whose boxes are close enough to
  hold neighbours are looked at, and of those only the rows near the border. So the rows of the pool
  are the same however the rows of the survey are cut into files and ranges.

To put a file together, its part of the pool is held in memory, and 8 bytes a row of the file for
the names; everything else that the ranges have written is mapped from disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data import catalogue, stores
from data.boxes import inside, meeting
from data.namehash import two_places
from data.selection import CATEGORIES, Selection, comparable, completed
from data.survey import Survey
from spark import ranges
from spark.ranges import LISTED, Cut, Facts

_MERGER = CATEGORIES[-1]
Place = tuple[Path, Facts]
"""Where a range lies, and what it says of itself"""


@dataclass(frozen=True)
class Piece:
    """A range of a file, and those of this and other files that touch it."""

    own: Place
    touching: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Joined:
    """A file's part of the pool. refused: its first LISTED rows, of `refusals` in all."""

    kept: pa.Table
    counters: dict[str, int]
    refused: list[tuple[int, str]]
    refusals: int
    release: int | None


def pieces(files: dict[str, list[Place]], s: Selection) -> dict[str, tuple[Piece, ...]]:
    """The ranges of each file with those that touch them."""
    every = [place for places in files.values() for place in places]
    if not s.merger or len(every) < 2:
        return {path: tuple(Piece(p) for p in places) for path, places in files.items()}
    near = iter(meeting(np.array([facts.where for _, facts in every]), s.merger_outer))
    return {
        path: tuple(Piece(place, tuple(every[i] for i in next(near))) for place in places)
        for path, places in files.items()
    }


def joined(path: stores.Place, of_file: Sequence[Piece], s: Selection, survey: Survey) -> Joined:
    """A file's part of the pool, its ranges in order. Raises InputError where one name stands at
    two places of the file."""
    s = completed(s, survey)
    cuts = [ranges.read(*piece.own) for piece in of_file]
    around = [[np.asarray(c.around[name]) for c in cuts] for name in ("key", "ra", "dec")]
    if two_places(*around):
        catalogue.read(path, survey)  # which refuses it, and names the rows
    tables = [
        _with_mergers(c, piece.touching, s, survey) if piece.touching else c.kept
        for c, piece in zip(cuts, of_file, strict=True)
    ]
    kept = pa.concat_tables(tables).combine_chunks()
    counters: dict[str, int] = {}
    for c in cuts:
        counters = {k: counters.get(k, 0) + v for k, v in c.facts.counters.items()}
    for name, values in (
        ("pool", ("N1", "N2", *s.separate_types)),
        ("confuser_category", CATEGORIES),
    ):
        found = {v["values"]: v["counts"] for v in pc.value_counts(kept[name]).to_pylist()}
        counters |= {value: found.get(value, 0) for value in values}
    return Joined(
        kept,
        counters,
        [one for c in cuts for one in c.facts.refused][:LISTED],
        sum(c.facts.refusals for c in cuts),
        max((c.facts.release for c in cuts if c.facts.release is not None), default=None),
    )


def _with_mergers(c: Cut, touching: Sequence[Place], s: Selection, survey: Survey) -> pa.Table:
    """The rows of N1 that have a comparable neighbour in another range become mergers of N2. No
    other row can become one, because this category is the last of the rules."""
    kept, outer = c.kept, s.merger_outer
    plain = np.flatnonzero(np.asarray(pc.equal(kept["pool"], "N1")))
    ra, dec, flux = (
        kept[name].to_numpy()[plain] for name in ("ra", "dec", f"flux_{survey.reference}")
    )
    merger = np.zeros(kept.num_rows, bool)
    for place, facts in touching:
        near = inside(ra, dec, facts.where, outer)
        if not near.any():
            continue
        around = ranges.read(place, facts).around
        x, y, z = (np.asarray(around[name]) for name in ("ra", "dec", "flux"))
        other = inside(x, y, c.facts.where, outer)
        found = comparable((ra[near], dec[near], flux[near]), (x[other], y[other], z[other]), s)
        merger[plain[near]] |= found
    if not merger.any():
        return kept
    for column, value in (("pool", "N2"), ("confuser_category", _MERGER)):
        place_of = kept.schema.get_field_index(column)
        changed = pc.if_else(pa.array(merger), value, kept[column])
        kept = kept.set_column(place_of, kept.schema.field(column), changed)
    return kept
