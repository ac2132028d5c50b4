"""The objects to inspect, in the order in which they are shown: candidates, with calibration items
mixed in among them.

Calibration items are known lenses, injections and confusers, from a table of their own with a
column `truth`. Where an object stands depends on names and the seed (candidates may be ranked by
score instead), not on the order of a table, so that it is the same whenever tables are read again.
An object that is in both tables is shown once: a candidate whose truth is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from data import splits, tables
from lensjax.errors import InputError, some

LENSES = ("lens", "injection")
OTHERS = ("confuser", "other")
"""What `truth` may say of a calibration item."""
TRUTH = "truth"

Order = Literal["shuffled", "ranked"]


@dataclass(frozen=True)
class Object:
    """number: place in the order, from 1. id: its name. calibration: whether its row is one of the
    table of calibration items. truth: one of LENSES and OTHERS, or empty where it is not known.
    about: the other columns of its row, JSON values."""

    number: int
    id: str
    calibration: bool
    truth: str
    about: dict[str, Any]


def read(
    candidates: str | Path,
    calibration: str | Path | None = None,
    *,
    id: str = "id",
    order: Order = "shuffled",
    score: str = "score",
    within: int = 0,
    seed: int = splits.SEED,
) -> list[Object]:
    """The objects of both tables (CSV, Parquet or FITS) in the order of inspection.

    id: column of the names. order: "shuffled", by a hash of name and seed; "ranked", candidates by
    falling `score`, which tells the grader something. within: all calibration items lie among the
    first so many objects, more than there are of them; 0: anywhere.
    Raises InputError, naming table and rows, for missing columns, ids that are empty or there
    twice, scores that are no numbers where they are asked for, a truth that is not one of LENSES
    and OTHERS, and `within` where calibration items would be alone.
    """
    found = _rows(Path(candidates), id)
    known = {} if calibration is None else _rows(Path(calibration), id, needed=(TRUTH,))
    truths = {name: _truth(name, row, calibration) for name, row in known.items()}
    own = [name for name in known if name not in found]
    ranked = _ordered(list(found), seed)
    if order == "ranked":
        scores = {name: _score(name, found[name], score, candidates) for name in ranked}
        ranked.sort(key=lambda name: -scores[name])
    if own and within and within <= len(own):
        raise InputError(
            f"within: {within} objects have no place for candidates beside {len(own)} calibration "
            "items; give more, or 0"
        )
    reach = min((within - len(own)) / len(ranked), 1.0) if within else 1.0
    place = {name: (i + 0.5) / len(ranked) for i, name in enumerate(ranked)}
    place |= dict(zip(own, reach * splits.order_key(own, seed) / 2.0**64))
    names = sorted(place, key=lambda name: (place[name], name))
    made = []
    for number, name in enumerate(names, 1):
        truth, listed = known.get(name, {}), found.get(name, {})
        # An empty cell of the candidates takes nothing from what the calibration items say.
        row = truth | {k: v for k, v in listed.items() if v is not None or k not in truth}
        about = {k: v for k, v in row.items() if k not in (id, TRUTH)}
        made.append(Object(number, name, name not in found, truths.get(name, ""), about))
    return made


def _ordered(names: Sequence[str], seed: int) -> list[str]:
    return [name for _, name in sorted(zip(splits.order_key(names, seed).tolist(), names))]


def _rows(path: Path, id: str, needed: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Rows of a table by the name of their object, as JSON values."""
    if not path.is_file():
        raise InputError(f"{path}: no such table")
    columns = tables.read(path)
    for name in (id, *needed):
        if name not in columns:
            raise InputError(f"{path}: no column {name!r}; it has {some(list(columns), 12)}")
    names = [None if v is None else str(v) for v in columns[id]]
    if not names:
        raise InputError(f"{path}: holds no objects")
    if empty := [f"row {i + 1}" for i, v in enumerate(names) if v is None]:
        raise InputError(f"{path}: {id} is empty in {some(empty)}")
    first: dict[Any, int] = {}
    twice = [
        f"row {i + 1} ({v!r}, as row {first[v] + 1})"
        for i, v in enumerate(names)
        if first.setdefault(v, i) != i
    ]
    if twice:
        raise InputError(f"{path}: ids that are there already: {some(twice)}")
    values = {name: _plain(of) for name, of in columns.items()}
    return {str(v): {n: of[i] for n, of in values.items()} for i, v in enumerate(names)}


def _plain(values: Sequence[Any]) -> list[Any]:
    """A column as JSON values: numbers where all of it are numbers, else text."""
    numbers = [_number(v) for v in values]
    if all(v is None or n is not None for v, n in zip(values, numbers)):
        return numbers
    return [v if v is None or isinstance(v, bool) else str(v) for v in values]


def _number(value: Any) -> float | int | None:
    """None for what is no finite number."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if not np.isfinite(number) or (isinstance(value, str) and "_" in value):
        return None
    whole = isinstance(value, int) or (isinstance(value, str) and value.lstrip("+-").isdigit())
    return int(value) if whole else number


def _truth(name: str, row: dict[str, Any], path: Any) -> str:
    if (truth := row[TRUTH]) in (*LENSES, *OTHERS):
        return str(truth)
    raise InputError(
        f"{path}, {name}: {TRUTH} {truth!r} is not one of {', '.join((*LENSES, *OTHERS))}"
    )


def _score(name: str, row: dict[str, Any], score: str, path: Any) -> float:
    if score not in row:
        raise InputError(f"{path}: no column {score!r} to rank by; it has {some(list(row), 12)}")
    if isinstance(row[score], int | float):
        return float(row[score])
    raise InputError(f"{path}, {name}: {score} {row[score]!r} is no number")
