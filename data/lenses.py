"""Lists of known and candidate lenses: reading them, and matching them to catalogue objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from data.sky import SkyTree
from lensjax.errors import InputError

TIERS = {"confident": "A", "probable": "B"}
"""Tier of each lenscat grading."""


@dataclass(frozen=True)
class Lenses:
    """A lens list: name, position in degrees, and grading ("" when the list has none), each
    (n,)."""

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
    """A lens list in lenscat's CSV format, and its refused rows.

    Its columns are name, RA [deg], DEC [deg] and grading; others are not used. Plain RA and DEC are
    accepted as names of columns, in degrees. The refused are (line in the file, reason). Raises
    InputError when the file is missing, is not CSV, or has no RA or DEC column.
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
            f"{path}: no column {' or '.join(missing)}; a lens list needs positions in degrees "
            "(columns RA [deg], DEC [deg])"
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
    """Which rows (lens, its nearest object) to keep so that no object is used twice.

    For each object the closest lens is kept, of equally close ones that with the lower index. A
    lens that loses its object is not given the next nearest one, because two entries of one lens in
    the list would otherwise make its neighbour a positive.
    """
    order = np.lexsort((lens, separation))
    _, first = np.unique(obj[order], return_index=True)
    keep = np.zeros(len(lens), bool)
    keep[order[first]] = True
    return keep
