"""Where the settings say that stamps come from: the folder, its survey, the parts, and what the
scan's record depends on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifiers.scanning import catalogued
from classifiers.scanning.frombricks import Bricks
from classifiers.scanning.fromfolder import CUTOUTS, Cutouts
from classifiers.scanning.fromshards import Shards
from classifiers.scanning.settings import ScanSettings
from classifiers.scanning.stamps import Part, Source
from data import jobs, shards
from data.config import external, matching
from data.folder import read_table, table_path
from data.listing import below
from data.survey import DEFINITION, OF_A_RUN, Survey, chosen, load, of_run
from data.survey import write as write_definition
from lensjax.errors import InputError

OWNED = {"bricks": "survey", "shards": "shards", "folder": "cutouts"}
"""Folder of a run for each kind of source."""
MAKES = {"bricks": "simulate", "shards": "survey", "folder": "survey"}
"""The step that makes it."""
OBJECTS = "scan/objects"
"""Folder of a run for the rows of catalogues that are scanned (`catalogued`), while they are."""


@dataclass(frozen=True)
class Planned:
    """A source and its parts. rows: of the input. left_out: rows that were not asked for, by the
    name of the cut. unreadable: catalogues that could not be read, with the reason. unseen_types:
    of the types that were asked for, those that no object has."""

    source: Source
    parts: list[Part]
    rows: int
    left_out: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    unseen_types: tuple[str, ...] = ()


def root(s: ScanSettings, out: Path) -> Path:
    """The folder that stamps come from. Raises InputError when it is not there."""
    found = external(s.root, "scan.root").absolute() if s.root else out / OWNED[s.source]
    if not found.is_dir():
        step = f"run `lensjax {MAKES[s.source]} --out {out}` first, or set scan.root"
        raise InputError(f"{found}: no such folder; {'correct scan.root' if s.root else step}")
    return found


def survey(s: ScanSettings, out: Path) -> Survey:
    """The survey of the run; where it has none yet, the one that is asked for, or that the folder
    has, becomes the run's. Raises InputError when another one is asked for than the run's."""
    if (out / OF_A_RUN).is_file():
        own = of_run(out)
        if s.definition and load(s.definition) != own:
            raise InputError(
                f"scan.definition: {s.definition} is not {own.name}, which {out} is of; choose "
                "another --out"
            )
        return own
    found = chosen(s.definition, root(s, out))
    write_definition(out / OF_A_RUN, found)
    return found


def read_from(s: ScanSettings, out: Path) -> Iterable[Path]:
    """Files that a scan depends on. Of bricks these are the catalogues, not the images, of which
    there are too many to look at before every start."""
    where = root(s, out)
    if (where / DEFINITION).is_file():
        yield where / DEFINITION
    if s.source == "shards":
        yield shards.located(where) / shards.INDEX
    elif s.source == "bricks":
        yield from (where / name for name in matching(where, s.sweeps, "scan.sweeps"))
    elif s.table.table:
        yield table_path(where, s.table, "scan.table.table")
        yield where
        rows, _ = read_table(where, s.table, survey(s, out))
        yield from sorted({where / file for row in rows for file in row["files"]})
    else:
        yield from (where / name for name in below(where, CUTOUTS))


def planned(s: ScanSettings, out: Path, of: Survey, mapper: jobs.Mapper = jobs.loop) -> Planned:
    """The source and its parts. Catalogues of bricks are read here, into `OBJECTS`."""
    where, side = root(s, out), s.size or of.stamp
    if s.source == "shards":
        records = Shards.of(where, of, s.splits, s.on_bad_file)
        parts = records.parts()
        return Planned(records, parts, sum(p.rows for p in parts))
    if s.source == "folder":
        files = Cutouts(where, of, side, s.table)
        parts = files.parts(s.rows_per_part)
        return Planned(files, parts, sum(p.rows for p in parts))
    names, folder = matching(where, s.sweeps, "scan.sweeps"), out / OBJECTS
    work = catalogued.Chosen(of, s.types, s.magnitude_max, s.on_bad_file)
    items = [(key, (where, name)) for key, name in zip(catalogued.names(names), names)]
    entries = jobs.run(folder, items, work, ".parquet", "catalogues", mapper)
    counts: list[dict[str, Any]] = [entry["counters"] for entry in entries]
    seen = {kind for c in counts for kind in c.get("types", ())}
    cuts = [k for k in catalogued.CUTS if any(c.get(k) for c in counts)]
    return Planned(
        Bricks(where, of, side, s.on_bad_file),
        catalogued.parts(folder, entries, s.rows_per_part),
        sum(c["rows"] for c in counts),
        {cut: sum(c.get(cut, 0) for c in counts) for cut in cuts},
        {n: c["unreadable"] for n, c in zip(names, counts) if "unreadable" in c},
        tuple(kind for kind in s.types if kind not in seen),
    )
