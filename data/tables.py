"""Tables that somebody else wrote, in CSV, ECSV, Parquet or FITS, as plain Python values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NOTHING = ("", "nan", "null", "none", "na", "n/a", "--")
"""Texts, in small letters, by which tables say that there is no value."""


def read_csv(path: Any, separator: str = ",", text: bool = True, **how: Any) -> pd.DataFrame:
    """A table of text in columns, as pandas reads it. text: keep every value as the text that it is
    (an id 007 keeps its zeros); else numbers are numbers. Raises InputError when rows have more
    values than the heading has names, where pandas would move every value to another column; and
    else what pandas raises."""
    import pandas as pd

    plain = {"dtype": str, "keep_default_na": False} if text else {}
    frame = pd.read_csv(path, sep=separator, skipinitialspace=True, **{**plain, **how})
    if len(frame) and not isinstance(frame.index, pd.RangeIndex):
        raise InputError(
            f"{path}: its rows have more values than its heading has names; remove what separates "
            "columns at the end of the rows, or give every column a name"
        )
    return frame


def read(path: Path) -> dict[str, list[Any]]:
    """A table as lists of Python values by column; empty text, NaN and masked values are None."""
    if not path.is_file():
        raise InputError(f"{path}: no such table; correct survey.folder.table")
    ending = path.name.lower().rsplit(".", 1)[-1]
    try:
        if ending == "csv":
            frame = read_csv(path)
            columns = {str(name): frame[name].str.strip().tolist() for name in frame.columns}
        elif ending == "parquet":
            import pyarrow.parquet as pq

            columns = pq.read_table(path, partitioning=None).to_pydict()
        elif ending in ("fits", "fit", "fz", "gz", "ecsv"):
            from astropy.table import Table

            how = {"format": "fits", "character_as_bytes": False}
            table = Table.read(path, **({"format": "ascii.ecsv"} if ending == "ecsv" else how))
            columns = {str(n): table[n].tolist() for n in table.colnames if table[n].ndim == 1}
        else:
            raise InputError(f"{path}: a table ends in .csv, .ecsv, .parquet or .fits")
    except InputError:
        raise
    except Exception as error:  # three readers with their own families of errors
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: not a readable table ({reason}); write it again") from None
    return {name: [_value(v) for v in values] for name, values in columns.items()}


def _value(value: Any) -> Any:
    """A value without the ways in which tables say that there is none."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        value = value.strip()
        return None if value.lower() in NOTHING else value
    return None if value is None or value != value else value
