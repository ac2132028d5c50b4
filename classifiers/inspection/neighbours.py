"""What a network takes an object for: the stamps nearest to it in feature space, from the table
that `lensjax shortcuts --neighbours` writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifiers.inspection.objects import Object
from data import tables
from lensjax.errors import InputError, some

SHOWN = 12
"""neighbours of an object that the page shows at most"""
LABELS = {"0": "not a lens", "1": "lens"}
"""what the table's neighbour_label means"""


@dataclass(frozen=True)
class Neighbour:
    """id: name of the stamp. label: one of LABELS' values, or empty where it is not known."""

    id: str
    label: str


Neighbours = Mapping[str, tuple[Neighbour, ...]]
"""By the id of the object, nearest first."""


def read(path: str | Path) -> Neighbours:
    """The neighbours in a CSV or Parquet table with columns id and neighbour, and where they are
    there place (1 for the nearest; otherwise the order of rows) and neighbour_label (0 or 1).

    A table without rows, or an empty file, has none: there was no wrong object to look for
    neighbours of. Raises InputError, naming file and row, for a missing table or column, an empty
    name, and for a place or label that is none.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such table of neighbours; lensjax shortcuts writes it")
    if path.suffix.lower() == ".csv" and not path.read_bytes().strip(b' \r\n"'):
        return {}
    columns = tables.read(path)
    for name in ("id", "neighbour"):
        if name not in columns:
            raise InputError(
                f"{path}: no column {name!r}; it has {some(list(columns), 12)}; give "
                "neighbours.csv of lensjax shortcuts"
            )
    found: dict[str, dict[int, Neighbour]] = {}
    for i, (own, other) in enumerate(zip(columns["id"], columns["neighbour"])):
        where = f"{path}, row {i + 1}"
        if own is None or other is None:
            raise InputError(f"{where}: id or neighbour is empty")
        near = found.setdefault(str(own), {})
        place = _place(columns["place"][i], where) if "place" in columns else len(near) + 1
        if place in near:
            raise InputError(f"{where}: {own!r} has a neighbour at place {place} already")
        label = columns["neighbour_label"][i] if "neighbour_label" in columns else None
        near[place] = Neighbour(str(other), _label(label, where))
    return {own: tuple(near[k] for k in sorted(near))[:SHOWN] for own, near in found.items()}


def of_these(
    found: Neighbours, made: Iterable[Object], mixed: bool, path: str | Path
) -> Neighbours:
    """Those of the objects of an inspection. mixed: whether calibration items are among them.

    Raises InputError where there are neighbours and none is of these objects, and where only some
    objects have neighbours and a grader could recognise calibration items by that.
    """
    names = [o.id for o in made]
    own = {name: found[name] for name in names if name in found}
    if found and not own:
        raise InputError(
            f"{path}: no object of this inspection is in it; it has neighbours of {some([*found])}"
        )
    if own and mixed and (without := [name for name in names if name not in own]):
        raise InputError(
            f"{path}: {len(without)} objects have no neighbours, which may tell calibration items; "
            "leave --neighbours out, or inspect without --calibration"
        )
    return own


def _place(value: Any, where: str) -> int:
    try:
        if float(value) == int(float(value)) >= 1:
            return int(float(value))
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"{where}: place {value!r} is not 1, 2, ...")


def _label(value: Any, where: str) -> str:
    if value is None:
        return ""
    text = str(int(value)) if isinstance(value, bool) or value in (0, 1) else str(value)
    if text not in LABELS:
        raise InputError(f"{where}: neighbour_label {value!r} is not 0 or 1")
    return LABELS[text]
