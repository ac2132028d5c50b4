"""The negative pool of one row range of a catalogue file, and of a file from its ranges.

A range is cut by itself (`cut`). What depends on the whole file is done when its ranges are put
together (`joined`): neighbours that make a merger, names that stand at two places, and checksums.
For that a range hands on, beside the rows that it keeps, every row's position, flux and a hash of
its name, 32 bytes in all. So the pool of a file has the same bytes however many ranges it was cut
into.

Putting together takes 8 bytes a row of the file, the file's part of the pool, and the neighbours
near it; what the ranges hand on is mapped from disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data import catalogue, columns, mapped, ranges
from data.catalogue import ONE_OBJECT, OWN_RELEASE, missing
from data.selection import (
    CATEGORIES,
    Selection,
    completed,
    merging,
    of_cuts,
    passing,
    sorted_out,
)
from data.sky import Sieve, SkyTree, separation, unit_vectors
from data.survey import Survey
from lensjax.errors import InputError

LISTED = 1000
"""Refused rows of one file that are listed one by one."""
_MERGER = CATEGORIES[-1]
_AROUND = pa.schema(
    [("key", pa.uint64()), ("ra", pa.float64()), ("dec", pa.float64()), ("flux", pa.float64())]
)


@dataclass(frozen=True)
class Cut:
    """What one range gives.

    kept: the stage `pool`, in which nothing is a merger yet. around: every row's hash of its name
    (0: none), position and flux in the reference band; none where no file-wide question needs it.
    counters: of the range. refused: the first LISTED rows (counted from 1 in the file; reason).
    refusals: how many there are. release: the latest. data_sum: part of the checksum.
    declared: sums that the file says, the same in all of its ranges.
    """

    kept: pa.Table
    around: pa.Table
    counters: dict[str, int]
    refused: list[tuple[int, str]]
    refusals: int
    release: int | None
    data_sum: int
    declared: mapped.Declared


def cut(
    path: Path, i: int, n: int, s: Selection, lenses: SkyTree | None, survey: Survey
) -> Cut | None:
    """Range i of n of a file. None where the file has to be read and judged whole, be it because it
    is out of the ordinary or because it is to be refused: whoever reads it whole says why."""
    s = completed(s, survey)
    try:
        found = ranges.opened(path, i, n, survey, of_cuts(s, survey))
        if found is None:
            return None
        if i == 0 and found.damaged_beside():
            return None
        alive, counters, refused = passing(found, s, lenses, path, survey)
        kept, more = sorted_out(catalogue.take(found, alive), s, None, survey)
        every = np.arange(found.rows)
        release = _known(found, "release", every)
        return Cut(
            pool_table(kept, survey),
            _around(found, every, survey, s.merger),
            counters | more,
            [(row + found.start, reason) for row, reason in refused[:LISTED]],
            len(refused),
            int(release.max()) if len(release) else None,
            found.data_sum,
            found.declared,
        )
    except InputError:
        return None


def joined(
    cuts: Sequence[Cut], s: Selection, survey: Survey
) -> tuple[pa.Table, dict[str, int], list[tuple[int, str]], int, int | None] | None:
    """A file's part of the pool from its ranges in order: rows, counters, refused rows, how many of
    these there are, and the latest release. None where the file has to be judged whole, because a
    checksum is wrong or one name seems to stand at two places."""
    s = completed(s, survey)
    if mapped.damaged(cuts[0].declared, sum(c.data_sum for c in cuts)):
        return None
    if _name_at_two_places([c.around for c in cuts]):
        return None
    kept = pa.concat_tables([c.kept for c in cuts]).combine_chunks()
    if s.merger:
        kept = _with_mergers(kept, [c.around for c in cuts], s, survey)
    counters: dict[str, int] = {}
    for c in cuts:
        counters = {k: counters.get(k, 0) + v for k, v in c.counters.items()}
    for name, values in (
        ("pool", ("N1", "N2", *s.separate_types)),
        ("confuser_category", CATEGORIES),
    ):
        found = {v["values"]: v["counts"] for v in pc.value_counts(kept[name]).to_pylist()}
        counters |= {value: found.get(value, 0) for value in values}
    refused = [one for c in cuts for one in c.refused][:LISTED]
    releases = [c.release for c in cuts if c.release is not None]
    total = sum(c.refusals for c in cuts)
    return kept, counters, refused, total, max(releases) if releases else None


def pool_table(kept: catalogue.Columns, survey: Survey) -> pa.Table:
    """The stage `pool` as an Arrow table; what is absent or missing is null."""
    arrow = catalogue.to_arrow(kept, survey)
    for name in columns.names(survey, "pool")[arrow.num_columns :]:
        value = np.asarray(kept[name], str)
        arrow = arrow.append_column(name, pa.array(value, pa.string(), mask=value == ""))
    return arrow.replace_schema_metadata(columns.schema(survey, "pool").metadata)


def write(path: Path, found: Cut | None) -> dict[str, Any]:
    """Writes a range to a file of two Arrow streams; the counters say whether there is one."""
    with pa.OSFile(str(path), "wb") as sink:
        for table in (found.kept, found.around) if found else ():
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
    if found is None:
        return {"whole": True}
    facts: dict[str, Any] = {
        "counters": found.counters,
        "refused": found.refused,
        "refusals": found.refusals,
    }
    facts |= {"release": found.release}
    facts |= {"data_sum": found.data_sum, "declared": found.declared}
    return {"cut": json.dumps(facts)}


def read(path: Path, facts: str) -> Cut:
    """A range that was written, mapped from its file. facts: what `write` returned as `cut`."""
    with pa.memory_map(str(path)) as source:
        kept = pa.ipc.open_stream(source).read_all()
        around = pa.ipc.open_stream(source).read_all()
    known = json.loads(facts)
    known["declared"] = tuple(known["declared"])
    known["refused"] = [(row, reason) for row, reason in known["refused"]]
    return Cut(kept=kept, around=around, **known)


def _known(found: ranges.Range, name: str, rows: np.ndarray) -> np.ndarray:
    """The values that a column has, without the missing ones; none where there is no column."""
    if name not in found:
        return np.empty(0, int)
    value = found.at(name, rows)
    return np.ma.getdata(value)[~missing(value)]


def _around(found: ranges.Range, rows: np.ndarray, survey: Survey, merger: bool) -> pa.Table:
    """Every row's hash, position and flux, without rows that have no position."""
    ra, dec = found.at("ra", rows), found.at("dec", rows)
    flux = found.at(f"flux_{survey.reference}", rows) if merger else np.zeros(len(rows))
    key = _hashes(found, rows)
    good = np.isfinite(ra) & np.isfinite(dec)
    values = (key, ra, dec, flux)
    if not good.all():
        values = tuple(v[good] for v in values)
    return pa.table([pa.array(v) for v in values], schema=_AROUND)


def _hashes(found: ranges.Range, rows: np.ndarray) -> np.ndarray:
    """A hash of each row's release, brick and number, (n,) uint64, without making the name."""
    brick = _words(found.raw("brickname", rows)[0])
    number = np.ma.getdata(found.at("objid", rows)).astype(np.uint64)
    mixed = _mixed(number)
    if "release" in found:
        release = found.at("release", rows)
        known = np.where(missing(release), OWN_RELEASE, np.ma.getdata(release))
        mixed = _mixed(mixed ^ known.astype(np.uint64))
    for word in brick:
        mixed = _mixed(mixed ^ word)
    return mixed


def _words(text: np.ndarray) -> Iterable[np.ndarray]:
    """A text column as 64-bit numbers, (n,) each, without blanks around the text."""
    if text.dtype.kind == "O":
        text = text.astype(str)
    if not len(text):
        return ()
    code = np.ascontiguousarray(text)
    blank = code.view(np.uint8) == ord(" ")
    if blank.any():
        code = np.char.strip(code)
    letters = code.view(np.uint32 if code.dtype.kind == "U" else np.uint8).reshape(len(code), -1)
    letters = letters.astype(np.uint8)
    width = -(-letters.shape[1] // 8) * 8
    if letters.shape[1] < width:
        letters = np.pad(letters, ((0, 0), (0, width - letters.shape[1])))
    return np.ascontiguousarray(letters).view(np.uint64).T


def _mixed(x: np.ndarray) -> np.ndarray:
    """The mixing step of SplitMix64 (Steele, Lea & Flood 2014), one to one."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _name_at_two_places(around: Sequence[pa.Table]) -> bool:
    """Whether rows of one hash are apart. Two names of one hash are as good as never, and do no
    harm: the file is then read whole."""
    keys = np.concatenate([np.asarray(t["key"]) for t in around])
    ordered = np.sort(keys)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return False
    rows = np.flatnonzero(np.isin(keys, twice))
    rows = rows[np.argsort(keys[rows], kind="stable")]
    ra, dec = (np.concatenate([np.asarray(t[c]) for t in around])[rows] for c in ("ra", "dec"))
    same = keys[rows][1:] == keys[rows][:-1]
    apart = separation(ra[:-1][same], dec[:-1][same], ra[1:][same], dec[1:][same])
    return bool((apart > ONE_OBJECT).any())


def _with_mergers(
    kept: pa.Table, around: Sequence[pa.Table], s: Selection, survey: Survey
) -> pa.Table:
    """The rows of N1 that have a comparable neighbour become mergers of N2. No other row can: the
    category is the last of the rules."""
    name = f"flux_{survey.reference}"
    plain = np.flatnonzero(np.asarray(pc.equal(kept["pool"], "N1")))
    ra, dec = (np.asarray(kept[c])[plain] for c in ("ra", "dec"))
    flux = kept[name].to_numpy()[plain]
    if not len(plain) or not (flux > 0).any():
        return kept
    faintest = s.merger_flux_ratio * flux[flux > 0].min()
    sieve = Sieve(unit_vectors(ra, dec), s.merger_outer)
    near: list[tuple[np.ndarray, ...]] = []
    for table in around:
        others = tuple(np.asarray(table[c]) for c in ("ra", "dec", "flux"))
        bright = np.flatnonzero(others[2] >= faintest * (1 - 1e-9))
        others = tuple(c[bright] for c in others)
        passed = np.flatnonzero(sieve.passes(others[0], others[1]))
        near.append(tuple(c[passed] for c in others))
    names = ("ra", "dec", name)
    every = dict(zip(names, (np.concatenate(c) for c in zip(*near, (ra, dec, flux), strict=True))))
    rows = np.arange(len(every["ra"]) - len(plain), len(every["ra"]))
    merger = np.zeros(kept.num_rows, bool)
    merger[plain] = merging(every, rows, s, survey)
    for column, value in (("pool", "N2"), ("confuser_category", _MERGER)):
        place = kept.schema.get_field_index(column)
        changed = pc.if_else(pa.array(merger), value, kept[column])
        kept = kept.set_column(place, kept.schema.field(column), changed)
    return kept.combine_chunks()
