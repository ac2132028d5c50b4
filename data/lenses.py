"""Lists of known and candidate lenses: reading them, distances on the sky, and matching them to catalogue objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from lensjax.errors import InputError

ARCSEC = np.pi / 180.0 / 3600.0
TIERS = {"confident": "A", "probable": "B"}
"""Tier of each lenscat grading."""


def unit_vectors(
    ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n 3"]:
    """Unit vectors of positions in degrees; distances between them are chords, free of the trouble at RA 0 and at the poles."""
    a, d = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def chord(arcsec: float) -> float:
    """Chord on the unit sphere of an angle in arcsec."""
    return float(2.0 * np.sin(0.5 * arcsec * ARCSEC))


class SkyTree:
    """KD-tree over positions in degrees. Angles in and out are arcsec."""

    def __init__(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]):
        from scipy.spatial import cKDTree

        self.size = len(ra)
        self._tree = cKDTree(unit_vectors(ra, dec)) if self.size else None

    def nearest(
        self, ra: Float[np.ndarray, " m"], dec: Float[np.ndarray, " m"]
    ) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Index of the nearest tree position and its separation; -1 and infinity in an empty tree."""
        if self._tree is None or len(ra) == 0:
            return np.full(len(ra), -1), np.full(len(ra), np.inf)
        distance, index = self._tree.query(unit_vectors(ra, dec))
        return index, 2.0 * np.arcsin(np.minimum(distance / 2.0, 1.0)) / ARCSEC

    def separation(
        self, ra: Float[np.ndarray, " m"], dec: Float[np.ndarray, " m"]
    ) -> Float[np.ndarray, " m"]:
        """Separation from the nearest tree position."""
        return self.nearest(ra, dec)[1]

    def pairs(
        self, ra: Float[np.ndarray, " m"], dec: Float[np.ndarray, " m"], radius: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every (position, tree position) pair within the radius: their indices and separation."""
        if self._tree is None or len(ra) == 0:
            return np.empty(0, int), np.empty(0, int), np.empty(0)
        vectors = unit_vectors(ra, dec)
        lists = self._tree.query_ball_point(vectors, chord(radius))
        one = np.repeat(np.arange(len(vectors)), [len(found) for found in lists])
        other = (
            np.concatenate([np.asarray(sorted(found), int) for found in lists])
            if len(one)
            else np.empty(0, int)
        )
        distance = np.linalg.norm(vectors[one] - self._tree.data[other], axis=1)
        return one, other, 2.0 * np.arcsin(np.minimum(distance / 2.0, 1.0)) / ARCSEC


@dataclass(frozen=True)
class Lenses:
    """A lens list: name, position in degrees, and grading ('' when the list has none); each (n,)."""

    name: np.ndarray
    ra: Float[np.ndarray, " n"]
    dec: Float[np.ndarray, " n"]
    grading: np.ndarray

    def __len__(self) -> int:
        return len(self.name)

    def tree(self) -> SkyTree:
        return SkyTree(self.ra, self.dec)

    def where(self, rows: np.ndarray | Bool[np.ndarray, " n"]) -> Lenses:
        """The given rows."""
        return Lenses(self.name[rows], self.ra[rows], self.dec[rows], self.grading[rows])

    def named(self, part: str) -> Lenses:
        """Those with `part` in their name."""
        return self.where(np.char.find(self.name, part) >= 0 if len(self) else np.empty(0, bool))

    def tier(self, tiers: dict[str, str]) -> np.ndarray:
        """Tier of each lens by its grading; '' where the grading has none."""
        return np.array([tiers.get(g, "") for g in self.grading], dtype="<U2")


def read(path: str | Path) -> tuple[Lenses, list[tuple[int, str]]]:
    """A lens list in lenscat's CSV format: name, RA [deg], DEC [deg], grading (other columns are not used); and the rows refused.

    Plain RA and DEC are accepted as column names, in degrees. The refused are (line in the file, reason). Raises InputError when the file is
    missing, is not CSV, or has no RA or DEC column.
    """
    import pandas as pd

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such lens list")
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: not a CSV lens list ({str(error).splitlines()[0][:120]})"
        ) from None
    frame.columns = [str(c).strip().lower().removesuffix("[deg]").strip() for c in frame.columns]
    missing = [c.upper() for c in ("ra", "dec") if c not in frame]
    if missing:
        raise InputError(
            f"{path}: no column {' or '.join(missing)}; a lens list needs positions in degrees (columns RA [deg], DEC [deg])"
        )
    ra, dec = (
        pd.to_numeric(frame[c].str.strip(), errors="coerce").to_numpy(np.float64)
        for c in ("ra", "dec")
    )
    bad = ~((ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90))
    refused = [
        (int(i) + 2, f"RA {frame['ra'][i]!r}, DEC {frame['dec'][i]!r} is not a position in degrees")
        for i in np.flatnonzero(bad)
    ]
    good = np.flatnonzero(~bad)
    text = {
        c: frame[c].str.strip().to_numpy(str) if c in frame else np.full(len(frame), "")
        for c in ("name", "grading")
    }
    return Lenses(text["name"][good], ra[good], dec[good], text["grading"][good]), refused


def one_to_one(
    lens: Int[np.ndarray, " n"], obj: np.ndarray, separation: Float[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Which (lens, nearest object) rows to keep so that no object is used twice: for each object the closest lens, then the lower lens index.

    A lens that loses its object is not given the next nearest: two list entries of one lens would otherwise make its neighbour a positive.
    """
    order = np.lexsort((lens, separation))
    _, first = np.unique(obj[order], return_index=True)
    keep = np.zeros(len(lens), bool)
    keep[order[first]] = True
    return keep
