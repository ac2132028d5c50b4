"""Lists of known and candidate lenses: reading them, and matching them to positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from data.files import replacing
from data.sky import SkyTree
from data.stores import Place, Remote, place
from data.tables import read_csv
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

TIERS = {"confident": "A", "probable": "B"}
"""Tier of each lenscat grading."""

OF_A_RUN = "known_lenses.parquet"
"""File of a run directory with the lens list that its survey was made with."""

ROUNDING = 1e-6
"""arcsec that a radius is widened by, so that a lens at exactly the radius counts as within it
whatever the rounding of degrees"""


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
        """Tree of the positions, for searches on the sky."""
        return SkyTree(self.ra, self.dec)

    def where(self, rows: np.ndarray | Bool[np.ndarray, " n"]) -> Lenses:
        """The given rows."""
        return Lenses(self.name[rows], self.ra[rows], self.dec[rows], self.grading[rows])

    def having(self, part: str) -> Int[np.ndarray, " m"]:
        """Places in the list of those with `part` in their name; of all if it is empty."""
        found = np.char.find(self.name, part) >= 0 if len(self) and part else np.ones(len(self))
        return np.flatnonzero(found)

    def tier(self, tiers: dict[str, str]) -> np.ndarray:
        """Tier of each lens by its grading; '' where the grading has none."""
        return np.array([tiers.get(g, "") for g in self.grading], dtype="<U2")


def read(path: str | Place) -> tuple[Lenses, list[tuple[int, str]]]:
    """A lens list in lenscat's format, and its refused rows.

    CSV, or the same as Parquet (*.parquet) or separated by tabs (*.tsv). Its columns are name,
    RA [deg], DEC [deg] and grading; others are not used. Plain RA and DEC are accepted as names of
    columns, in degrees, and grade for grading, in any case. The refused are (line in the file,
    reason). Raises InputError when the file is missing, is of none of these formats, or has no RA
    or DEC column.
    """
    import pandas as pd

    path = place(path)
    if not path.is_file():
        raise InputError(f"{path}: no such lens list")
    if isinstance(path, Remote):
        with path.copied() as local:
            return read(local)
    kind = {".parquet": "Parquet", ".tsv": "TSV"}.get(path.suffix, "CSV")
    try:
        if kind == "Parquet":
            frame = pd.read_parquet(path).astype(object)
            frame = frame.where(frame.notna(), "").map(str)
        else:
            frame = read_csv(path, "\t" if kind == "TSV" else ",")
    except InputError:
        raise
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: not a {kind} lens list ({str(error).splitlines()[0][:120]})"
        ) from None
    frame = _named(frame, path)
    if "grading" not in frame and "grade" in frame:
        frame = frame.rename(columns={"grade": "grading"})
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


def _named(frame: pd.DataFrame, path: Place) -> pd.DataFrame:
    """The columns by their names in small letters; of RA and RA [deg] the latter is RA. Raises
    InputError when two columns of one name remain."""
    plain = {c: str(c).strip().lower() for c in frame.columns}
    degrees = {name.removesuffix("[deg]").strip() for name in plain.values() if "[deg]" in name}
    kept = [c for c, name in plain.items() if name not in degrees]
    names = [plain[c].removesuffix("[deg]").strip() for c in kept]
    for name in ("name", "ra", "dec", "grading", "grade"):
        if names.count(name) > 1:
            both = " and ".join(repr(c) for c, own in zip(kept, names, strict=True) if own == name)
            raise InputError(f"{path}: columns {both} are both {name}; remove or rename one")
    return frame[kept].set_axis(names, axis=1)


def write(path: str | Path, lenses: Lenses) -> None:
    """Writes a list as Parquet, to the last bit of its positions; `read` reads it back."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"name": lenses.name, "ra": lenses.ra, "dec": lenses.dec, "grading": lenses.grading}
    with replacing(path) as temporary:
        pq.write_table(pa.table({k: v.tolist() for k, v in columns.items()}), temporary)


def joined(lists: Sequence[Lenses]) -> Lenses:
    """Several lists, one after the other; an entry that is in two of them stays twice."""
    empty = np.empty(0)
    parts = [*lists, Lenses(empty.astype(str), empty, empty, empty.astype(str))]
    columns = zip(*((p.name, p.ra, p.dec, p.grading) for p in parts))
    return Lenses(*(np.concatenate(own) for own in columns))


def nearest_within(
    lenses: Lenses, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"], radius: float
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """For each position (degrees) the place of its nearest lens in the list, or -1 where none lies
    within the radius (arcsec, inclusive), and the distance of the nearest (arcsec). A position that
    is NaN has no lens, at distance NaN."""
    ra, dec = np.asarray(ra, np.float64), np.asarray(dec, np.float64)
    known = np.isfinite(ra) & np.isfinite(dec)
    index, apart = np.full(len(ra), -1), np.full(len(ra), np.nan)
    index[known], apart[known] = lenses.tree().nearest(ra[known], dec[known])
    return np.where(apart <= radius + ROUNDING, index, -1), apart


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
