"""Lens lists of any search as channels: positions, and whatever else their tables say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from data.tables import read_csv
from lensjax.errors import InputError, some

POSITIONS = (
    ("ra", "dec"),
    ("ra_coord", "dec_coord"),
    ("raj2000", "dej2000"),
    ("_raj2000", "_dej2000"),
    ("alpha_j2000", "delta_j2000"),
)
"""Names of the columns of right ascension and declination, in small letters, without "[deg]"."""


@dataclass(frozen=True)
class Channel:
    """One search: its name, and the position of each entry, ra and dec (n,) in degrees."""

    name: str
    ra: Float[np.ndarray, " n"]
    dec: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.ra)


def read(path: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table with the columns ra and dec (float64, degrees) and all others as they are, and its
    refused rows: row, why.

    CSV, TSV, Parquet, text of columns (.cat, .txt, .dat; the heading may be a comment), or what
    astropy reads (FITS, VOTable, ECSV). Raises InputError where the file is missing or no table, or
    has no columns of positions.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such list")
    try:
        found = _frame(path)
    except Exception as error:  # readers with their own families of errors
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"{path}: not a readable table ({reason})") from None
    plain = {str(c): str(c).strip().lower().removesuffix("[deg]").strip() for c in found.columns}
    for names in POSITIONS:
        own = [[c for c, p in plain.items() if p == name] for name in names]
        if all(len(one) == 1 for one in own):
            break
    else:
        raise InputError(
            f"{path}: no columns of positions, such as RA and DEC in degrees; it has "
            f"{some([*plain], 12)}"
        )
    ra, dec = (pd.to_numeric(found[c[0]], errors="coerce").to_numpy(np.float64) for c in own)
    bad = ~((ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90))
    why = [f"{ra[i]}, {dec[i]} is no position in degrees" for i in np.flatnonzero(bad)]
    refused = pd.DataFrame({"row": np.flatnonzero(bad) + 1, "why": why})
    found = found.drop(columns=[c[0] for c in own]).assign(ra=ra, dec=dec)
    return found[~bad].reset_index(drop=True), refused


def channels(specs: Sequence[str]) -> tuple[list[Channel], pd.DataFrame]:
    """Channels from words "name=path", or "name=path@column" for a file that joins several
    searches, which then is a channel for every value of the column; and the refused rows: list,
    row, why. Raises InputError as `read` does, for a word of another form, a column that is not
    there, an empty channel, and a name that is there twice."""
    found, refused = [], []
    for spec in specs:
        name, equals, where = spec.partition("=")
        path, _, column = where.partition("@")
        if not (name and equals and path):
            raise InputError(f"list {spec!r}: write name=path, or name=path@column")
        table, bad = read(path)
        refused.append(bad.assign(list=name))
        if column and column not in table:
            raise InputError(f"{path}: no column {column!r}; it has {some([*table.columns], 12)}")
        parts = table.groupby(column, sort=True) if column else [(name, table)]
        for value, part in parts:
            found.append(Channel(str(value), part["ra"].to_numpy(), part["dec"].to_numpy()))
    if empty := [c.name for c in found if not len(c)]:
        raise InputError(f"list {some(empty)} has no position")
    names = [c.name for c in found]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise InputError(f"two lists are called {some(twice)}")
    columns = ["list", "row", "why"]
    return found, pd.concat([pd.DataFrame(columns=columns), *refused])[columns]


def _frame(path: Path) -> pd.DataFrame:
    ending = path.suffix.lower()
    if ending == ".parquet":
        return pd.read_parquet(path)
    if ending in (".csv", ".tsv"):
        separator = "\t" if ending == ".tsv" else ","
        return read_csv(path, separator, text=False, low_memory=False)
    from astropy.table import Table

    if ending in (".cat", ".txt", ".dat"):
        lines = path.read_text().splitlines()
        commented = bool(lines) and lines[0].startswith("#")
        form = "ascii.commented_header" if commented else "ascii.basic"
        return Table.read(path, format=form).to_pandas()
    table = Table.read(path)
    return table[[name for name in table.colnames if table[name].ndim == 1]].to_pandas()
