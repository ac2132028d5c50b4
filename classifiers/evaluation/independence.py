"""A held-out table is made independent, by position, of the lenses that a finder was trained on.

Lens lists overlap: the same lens is in several of them, under several names and with positions that
differ by an arcsec; and finders that made later lists were trained on earlier ones. So names cannot
tell whether two entries are one lens, and every object near a training positive is removed from a
held-out table. Nothing more than independence by position is claimed for the rest: a finder that
was trained on the candidates of another finder shares its preferences, wherever the objects lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from classifiers.evaluation.predictions import Predictions
from data import lenses
from lensjax.errors import InputError, some

RADIUS = 10.0
"""arcsec: several times the largest Einstein radius of a galaxy"""


@dataclass(frozen=True)
class Freed:
    """What was done: the kept rows (n,), and a row for each removed object: row (counted from 1),
    id, label, ra, dec, list, lens (name of the nearest training positive), separation (arcsec).
    positives: how many there were. radius: arcsec."""

    kept: Bool[np.ndarray, " n"]
    removed: pd.DataFrame
    positives: int
    radius: float

    def __str__(self) -> str:
        return (
            f"{len(self.removed)} of {len(self.kept)} objects lie within {self.radius:g} arcsec of "
            f"one of {self.positives} training positives and were removed (removed.csv); the "
            f"{int(self.kept.sum())} others are independent of these by position"
        )


NOT_FREED = (
    "the table was not freed of training positives (--trained-on), so nothing says that these "
    "figures are of independent objects"
)


def freed(
    table: Predictions, lists: Sequence[str | Path], radius: float = RADIUS
) -> tuple[Predictions, Freed]:
    """The table without the objects within the radius (arcsec, inclusive) of a lens of the lists,
    whatever their label.

    table: with the columns ra and dec, in degrees. lists: lens lists that `data.lenses.read` reads.
    Raises InputError for a radius that is not above 0, lists that cannot be read, are empty or have
    rows without a position (which could not be kept apart), objects without a position, and where
    lenses or others are not left.
    """
    if not 0 < radius <= 3600:
        raise InputError(f"the radius is {radius} arcsec; it lies between 0 and 3600")
    ra, dec = (_degrees(table, name) for name in ("ra", "dec"))
    parts, names = [], []
    for path in lists:
        own, refused = lenses.read(path)
        if refused:
            raise InputError(
                f"{path}: {len(refused)} training positives have no position, the first in line "
                f"{refused[0][0]} ({refused[0][1]}); nothing can be kept apart from them"
            )
        if not len(own):
            raise InputError(f"{path}: holds no lens")
        parts.append(own)
        names += [str(path)] * len(own)
    whole = lenses.joined(parts)
    index, apart = lenses.nearest_within(whole, ra, dec, radius)
    near = np.flatnonzero(index >= 0)
    removed = pd.DataFrame(
        {
            "row": near + 1,
            "id": table.id[near],
            "label": table.label[near],
            "ra": ra[near],
            "dec": dec[near],
            "list": np.array(names)[index[near]],
            "lens": whole.name[index[near]],
            "separation": apart[near],
        }
    )
    kept = index < 0
    left = table.label[kept]
    if not 0 < left.sum() < len(left):
        raise InputError(
            f"of {len(table)} objects {len(near)} lie within {radius:g} arcsec of a training "
            f"positive; {int(left.sum())} lenses and {len(left) - int(left.sum())} others are left"
        )
    return table.rows(kept), Freed(kept, removed, len(whole), radius)


def _degrees(table: Predictions, name: str) -> Float[np.ndarray, " n"]:
    if name not in table.columns:
        raise InputError(f"column {name!r} was not read; positions are needed")
    limit = (0, 360) if name == "ra" else (-90, 90)
    numbers = pd.to_numeric(pd.Series(table.columns[name]), errors="coerce").to_numpy(np.float64)
    if (wrong := np.flatnonzero(~((numbers >= limit[0]) & (numbers <= limit[1])))).size:
        named = [f"row {i + 1} ({table.id[i]})" for i in wrong]
        raise InputError(f"{name} is no position in degrees in {some(named)}")
    return numbers
