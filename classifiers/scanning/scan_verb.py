"""The verb `scan`: every part scored, the best ranked, the refused listed."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from classifiers import finders
from classifiers.evaluation.verb import PROVENANCE
from classifiers.scanning import ranking, sources
from classifiers.scanning.progress import Rows
from classifiers.scanning.readahead import ahead
from classifiers.scanning.scoring import Scoring
from classifiers.scanning.settings import ScanSettings
from data import jobs
from data.config import Invocation
from data.files import read_json, replacing, write_json
from data.names import as_text
from data.verb import Done, Reads
from lensjax.errors import InputError, some

if TYPE_CHECKING:
    import pyarrow as pa

LATER = ("top", "rank", "on_bad_file", "ahead")
"""Settings that do not change scores: with others, a scan goes on where it was."""
QUESTION = "question.json"
FOLDER, SUMMARY, TOP, REFUSED = "scan", "summary.json", "top.parquet", "refused.csv"


def reads(s: ScanSettings, out: Path) -> Reads:
    """The step that makes what is scanned, unless that lies outside the run; the training, unless
    every finder is from elsewhere."""
    after = [] if s.root else [sources.MAKES[s.source]]
    after += ["train"] if "" in s.named.values() else []
    files = [path for text in s.named.values() for path in finders.files(text, out)]
    return Reads(after, [*files, *(sources.read_from(s, out) if s.root else ())])


def work(call: Invocation[ScanSettings]) -> Done:
    """The step `scan`."""
    if call.force:
        shutil.rmtree(call.out / FOLDER, ignore_errors=True)
    found, rate = scan(call.settings, call.out, another="replace")
    shutil.rmtree(call.out / sources.OBJECTS, ignore_errors=True)
    names = (SUMMARY, TOP, REFUSED, "parts/_job.json")
    lines = [
        f"{found['rows']} rows: {found['scored']} scored, {found['refused']} refused"
        + "".join(f", {n} {cut.replace('_', ' ')}" for cut, n in found["left_out"].items()),
        *(f"{name}: not read, {why}" for name, why in found["unreadable"].items()),
        *(f"scan.types: no object is of type {kind!r}" for kind in found["unseen_types"]),
    ]
    if found["doubled_ids"]:
        lines.append(f"{found['doubled_ids']} ids stand for several rows: {some(found['doubled'])}")
    if rate:
        lines.append(f"{rate:.0f} rows/s read and scored")
    lines.append(str(call.out / FOLDER))
    notes = {k: found[k] for k in ("rows", "scored", "refused")}
    return Done([f"{FOLDER}/{name}" for name in names], {**notes, "rows_per_second": rate}, lines)


def scan(
    s: ScanSettings,
    out: Path,
    mapper: jobs.Mapper | None = None,
    another: Literal["refuse", "replace"] = "refuse",
) -> tuple[dict[str, Any], float]:
    """Scores everything that is not scored yet, ranks, and writes scan/ of a run; returns
    summary.json and rows a second (0 where nothing was left to do).

    mapper: who works on the parts (`spark.jobs.distributed`); this process, with a thread that
    reads ahead, if None. another: what happens when a scan of something else is there. Raises
    InputError as `sources.planned` and `finders.load` do; for a shard or brick that cannot be read,
    once everything else is scored; and where no row has a score.
    """
    survey, folder = sources.survey(s, out), out / FOLDER
    loaded = {name: finders.load(text, out) for name, text in s.named.items()}
    question = _question(s, out, loaded)
    _claim(folder, question, another)
    plan = sources.planned(s, out, survey, mapper or jobs.loop)
    _whole(plan)
    rows = Rows(sum(part.rows for part in plan.parts))
    tick = rows.tick if mapper is None else None  # it cannot be sent to another process
    state = json.dumps(question["finders"], sort_keys=True, default=str)
    job = Scoring(plan.source, s.named, out, state, s.batch, tick)
    items = [(part.name, part) for part in plan.parts]
    local = ahead(plan.source, s.batch, s.ahead) if s.ahead else jobs.loop

    def counted(left: Any, task: jobs.Task, advance: Any) -> list[dict[str, Any]]:
        rows.start(rows.total - sum(part.rows for _, part in left))
        return (mapper or local)(left, task, advance)

    bar = rows.bar if mapper is None else None
    entries = jobs.run(folder / "parts", items, job, ".parquet", "scan", counted, bar=bar)
    rate = rows.rate if rows.new else 0.0
    counters = [entry["counters"] for entry in entries]
    ranked = ranking.Ranked([*s.named], s.ranked_by)
    _write_refused(folder)
    ids: list[np.ndarray] = [np.empty(0, np.uint64)]
    parts = _noted(ranking.tables(folder), ids)
    top = ranking.best(parts, ranked, s.top)
    _write_top(folder / TOP, top)
    doubled = _doubled(folder, np.concatenate(ids))
    found = {
        "survey": survey.name,
        "source": s.source,
        "root": s.root,
        "rows": plan.rows,
        **{k: sum(c[k] for c in counters) for k in ("scored", "refused")},
        "left_out": plan.left_out,
        "unreadable": plan.unreadable,
        "unseen_types": list(plan.unseen_types),
        "parts": len(entries),
        "ranked_by": s.ranked_by,
        "finders": {
            name: {"name": f.name, "info": {k: f.info[k] for k in PROVENANCE if k in f.info}}
            for name, f in loaded.items()
        },
        "doubled_ids": len(doubled),
        "doubled": doubled[:100],
    }
    write_json(folder / SUMMARY, found)
    return found, rate


def _question(s: ScanSettings, out: Path, loaded: Mapping[str, finders.Finder]) -> dict[str, Any]:
    """What the scores depend on: settings without those of `LATER`, finders, and the input's files
    by size and time of their last change."""
    stats = [(str(path), path.stat()) for path in sources.read_from(s, out)]
    files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return {
        "settings": {k: v for k, v in dataclasses.asdict(s).items() if k not in LATER},
        "finders": {name: dict(finder.info) for name, finder in loaded.items()},
        "files_sha256": hashlib.sha256(json.dumps(files).encode()).hexdigest(),
    }


def _claim(folder: Path, question: dict[str, Any], another: Literal["refuse", "replace"]) -> None:
    """Makes a folder that of a scan. Raises InputError when it is that of another one, unless this
    is to be replaced."""
    path, text = folder / QUESTION, json.dumps(question, sort_keys=True, default=str)
    if folder.is_dir():
        if read_json(path) != json.loads(text):
            if another == "refuse":
                raise InputError(
                    f"{folder}: holds a scan with other settings, finders or catalogues; remove it "
                    "or choose another folder"
                )
            shutil.rmtree(folder)
    write_json(path, question)


def _whole(plan: sources.Planned) -> None:
    """Every row of the input is in a part or was left out by name."""
    parts = sum(part.rows for part in plan.parts)
    if plan.rows != parts + sum(plan.left_out.values()):
        raise AssertionError(f"{plan.rows} rows, {parts} in parts, {plan.left_out}")


def _noted(parts: Iterable[pa.Table], ids: list[np.ndarray]) -> Iterable[pa.Table]:
    """The same parts; a hash of every id is added to `ids`, eight bytes for each."""
    import pandas as pd

    for part in parts:
        own = part["galaxy_id"].drop_null()
        ids.append(pd.util.hash_array(own.to_numpy(zero_copy_only=False), categorize=False))
        yield part


def _doubled(folder: Path, hashed: np.ndarray) -> list[str]:
    """Ids of several rows, sorted."""
    import pandas as pd

    values, times = np.unique(hashed, return_counts=True)
    again = values[times > 1]
    if not len(again):
        return []
    counts: dict[str, int] = {}
    for part in ranking.tables(folder, ["galaxy_id"]):
        own = part["galaxy_id"].drop_null().to_numpy(zero_copy_only=False)
        for name in own[np.isin(pd.util.hash_array(own, categorize=False), again)]:
            counts[name] = counts.get(name, 0) + 1
    return sorted(name for name, n in counts.items() if n > 1)


def _write_top(path: Path, top: pa.Table) -> None:
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        pq.write_table(top.drop_columns("refused"), temporary, compression="zstd")


def _write_refused(folder: Path) -> None:
    """scan/refused.csv: source, row, galaxy_id, reason of every row without a score."""
    import pyarrow.compute as pc

    names = ("source", "row", "galaxy_id", "refused")
    with replacing(folder / REFUSED) as temporary, open(temporary, "w", newline="") as handle:
        lines = csv.writer(handle)
        lines.writerow(["source", "row", "galaxy_id", "reason"])
        for part in ranking.tables(folder, names):
            for row in part.filter(pc.is_valid(part["refused"])).to_pylist():
                lines.writerow([as_text(row[name]) for name in names])


def summary(out: Path) -> Mapping[str, Any]:
    """What a finished scan says of itself. Raises InputError when there is none."""
    path = out / FOLDER / SUMMARY
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        raise InputError(f"{path}: no finished scan; run `lensjax scan --out {out}`") from None
