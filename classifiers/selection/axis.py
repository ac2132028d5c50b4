"""The axes of a completeness table, as its lines have them, and where a value lies along them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from classifiers.audit.axes import ALL, STEMS, Axis, stem_of
from classifiers.audit.settings import KNOWN
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NO_AXES = ("hosts_available",)
NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
BIN = re.compile(f"^{NUMBER}-{NUMBER}$")
"""Name of a bin, for example "23-24"."""
Kind = Literal["drawn", "host", "measured", ""]


class Place(NamedTuple):
    """Where values lie along an axis. position: the value, moved to the outermost centre where it
    lies beyond it; of a word its number. beyond: how far it was moved. outside: in no cell.
    between: at no centre."""

    position: Float[np.ndarray, "*n"]
    beyond: Float[np.ndarray, "*n"]
    outside: Bool[np.ndarray, "*n"]
    between: Bool[np.ndarray, "*n"]


@dataclass(frozen=True)
class TableAxis:
    """An axis of a table. column: the column that says in which cell a line is. values: what the
    column says of each cell, in order: numbers or text. centres: (m,); of words 0, 1, 2, ....
    low, high: edges of the cells (m,), the same as the centres where injections were made at points
    or in words. kind: of `classifiers.audit.axes`; empty where the table does not say."""

    name: str
    label: str
    unit: str
    kind: Kind
    column: str
    values: tuple[Any, ...]
    centres: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    words: bool = False

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def title(self) -> str:
        """Label and unit, for figures."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def numbers(self, asked: Any) -> np.ndarray:
        """Values that were asked for, as an array: text for words, else as `as_numbers` has
        them."""
        return (
            np.asarray(asked).astype(str) if self.words else as_numbers(self.name, self.unit, asked)
        )

    def place(self, asked: np.ndarray) -> Place:
        """Where values that `numbers` gave lie."""
        if self.words:
            number = {str(v): i for i, v in enumerate(self.values)}
            position = np.array([number.get(v, -1) for v in asked.ravel()], np.float64)
            position = position.reshape(asked.shape)
            nothing = np.zeros(asked.shape)
            return Place(np.maximum(position, 0.0), nothing, position < 0, nothing > 0)
        centres = np.array(self.centres)
        slack = 1e-9 * max(1.0, float(np.abs(centres).max()))
        inside = (asked >= self.low[0] - slack) & (asked <= self.high[-1] + slack)
        position = np.clip(asked, centres[0], centres[-1])
        nearest = np.abs(position[..., None] - centres).min(-1)
        return Place(position, np.abs(asked - position), ~inside, nearest > slack)


def by_name(
    values: Mapping[str, Any], known: Sequence[str], kind: str, owner: str
) -> dict[str, Any]:
    """The values of a query by the full names of axes. known: these names. Raises InputError for
    another name, and for one that is given in full and shortened as well; kind and owner: what the
    message calls an axis, and what it is of."""
    full = {short: name for name, short in STEMS.items()}
    given: dict[str, Any] = {}
    for asked, value in values.items():
        name = full[asked] if asked not in known and full.get(asked) in known else asked
        if name not in known:
            raise InputError(f"no {kind} {asked!r} in {owner}; there are {', '.join(known)}")
        if name in given:
            alike = " and ".join(a for a in values if full.get(a, a) == name)
            raise InputError(f"{alike} are the same {kind}; give one of them")
        given[name] = value
    return given


def as_numbers(name: str, unit: str, asked: Any) -> Float[np.ndarray, "*n"]:
    """Values of an axis as float64 in its unit; quantities of astropy are converted. Raises
    InputError, naming the axis, for another unit, for what is no number and for NaN."""
    if hasattr(asked, "unit"):
        asked = _converted(name, unit, asked)
    try:
        found = np.asarray(asked, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name}: {asked!r} is no number") from None
    if np.isnan(found).any():
        where = f", value {int(np.argmax(np.isnan(found.ravel())))}" if found.ndim else ""
        raise InputError(f"{name} is NaN{where}: leave such queries out")
    return found


def _converted(name: str, unit: str, asked: Any) -> Any:
    """A quantity of astropy in the unit of an axis."""
    from astropy import units

    try:
        # An AB magnitude is one of the table's magnitudes; units.mag alone does not convert.
        if unit == "mag" and asked.unit in (units.ABmag, units.mag):
            return asked.value
        return asked.to_value(units.Unit(unit))
    except (units.UnitConversionError, units.UnitTypeError, ValueError):
        raise InputError(f"{name} is in {unit or 'no unit'}, not in {asked.unit}") from None


def axes_of(table: pd.DataFrame, about: Mapping[str, Any]) -> tuple[TableAxis, ...]:
    """The axes of a table: those that span its cells, then the measured ones. about: says of each
    axis, under `axes`, what `classifiers.audit.axes.Axis` has; where it is missing, the table's own
    columns tell."""
    known = {str(entry["name"]): entry for entry in about.get("axes", ())}
    columns = [str(c) for c in table.columns]
    before = columns[: columns.index("threshold_name")]
    names = [n for n in before if n not in NO_AXES and not n.endswith(("_lo", "_hi"))]
    made = [_spanning(name, table, known.get(name, {})) for name in names]
    for column in columns:
        if column.endswith("_bin") and column not in before:
            name = column.removesuffix("_bin")
            entry = known.get(name, known.get(column, {}))
            made.append(_measured(name, column, table[column], entry))
    return tuple(made)


def _said(name: str, entry: Mapping[str, Any]) -> tuple[str, str, Kind]:
    """Label, unit and kind of an axis."""
    label, unit = KNOWN.get(name, (name.replace("_", " "), ""))
    return entry.get("label", label), entry.get("unit", unit), entry.get("kind", "")


def _spanning(name: str, table: pd.DataFrame, entry: Mapping[str, Any]) -> TableAxis:
    """An axis that spans the grid, from its column and those of its edges."""
    label, unit, kind = _said(name, entry)
    if table[name].dtype.kind not in "fiu":
        words = tuple(dict.fromkeys(table[name]))
        return _of_words(name, label, kind, name, words)
    stem = stem_of(name)
    if f"{stem}_lo" not in table:
        points = tuple(float(v) for v in np.unique(table[name]))
        return TableAxis(name, label, unit, kind, name, points, points, points, points)
    cells = table[[name, f"{stem}_lo", f"{stem}_hi"]].drop_duplicates().sort_values(name)
    centre, low, high = (tuple(map(float, cells[c])) for c in cells)
    return TableAxis(name, label, unit, kind, name, centre, centre, low, high)


def _measured(name: str, column: str, lines: pd.Series, entry: Mapping[str, Any]) -> TableAxis:
    """A measured axis, from the names of its bins."""
    label, unit, _ = _said(name, entry)
    names = [str(v) for v in dict.fromkeys(lines) if v != ALL]
    edges = _edges(names, entry)
    if edges is None:
        return _of_words(name, label, "measured", column, tuple(names))
    order = np.argsort([edges[n][0] for n in names])
    names = [names[i] for i in order]
    low, high = (tuple(edges[n][i] for n in names) for i in (0, 1))
    centres = tuple(0.5 * (a + b) for a, b in zip(low, high))
    return TableAxis(name, label, unit, "measured", column, tuple(names), centres, low, high)


def _edges(names: Iterable[str], entry: Mapping[str, Any]) -> dict[str, tuple[float, float]] | None:
    """Edges of bins by name; None where the names are words."""
    names = set(names)
    if entry.get("edges"):
        plain: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
        axis = Axis(**plain)
        known = {n: c.edges for n, c in zip(axis.names(), axis.cells) if c.edges}
        if names <= set(known):
            return {n: known[n] for n in names}
    found = {n: m.groups() for n in names if (m := BIN.match(n))}
    if set(found) != names:
        return None
    return {n: (float(a), float(b)) for n, (a, b) in found.items()}


def _of_words(name: str, label: str, kind: Kind, column: str, words: tuple[Any, ...]) -> TableAxis:
    places = tuple(float(i) for i in range(len(words)))
    return TableAxis(name, label, "", kind, column, words, places, places, places, True)
