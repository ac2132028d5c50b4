"""Columns out of a catalogue file, FITS, Parquet or CSV: values, which are missing, and their type.

What a file says is missing is missing, whatever stands in its place: TNULL of FITS, null of
Parquet, NaN where whole numbers are stored as floats, an undefined logical, an empty field of CSV.
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data import fpacked
from data.declared import unit_problem
from data.stores import Place, Remote
from data.tables import read_csv
from lensjax.errors import InputError
from lensjax.units import ZERO_POINT

if TYPE_CHECKING:
    import pyarrow as pa

_NOTHING = ("", "nan", "null", "none", "n/a", "--")
"""What stands in a text for a missing value, in lower case."""
_TRUTH = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}

Raw = dict[str, tuple[np.ndarray, np.ndarray | None]]
"""Column to its values and a mask of those that are missing (None: the values themselves say)."""


def read(path: Place, wanted: dict[str, str], zero_point: float = ZERO_POINT) -> Raw:
    """Wanted columns of a file, by the name that they have here.

    wanted: name in the file, in lower case, to name here. Columns that the file lacks are absent.
    zero_point: of its fluxes. Raises InputError naming the file when it is missing, truncated, not
    what its name says, fails its checksum, or declares another unit (TUNIT). A file in a store is
    copied to disk first.
    """
    name = path.name.lower()
    if not path.is_file():
        raise InputError(f"{path}: no such catalogue file")
    if isinstance(path, Remote):
        with path.copied() as local:
            return read(local, wanted, zero_point)
    if name.endswith(".csv"):
        return _read_csv(path, wanted)
    if name.endswith(".parquet"):
        return _read_parquet(path, wanted)
    if name.endswith((".fits", ".fits.gz", ".fits.fz", ".fit")):
        return _read_fits(path, wanted, zero_point)
    raise InputError(f"{path}: not a catalogue; expected .fits, .fits.gz, .parquet or .csv")


def _read_fits(path: Path, wanted: dict[str, str], zero_point: float) -> Raw:
    """Wanted columns of the first table of a FITS file, in native byte order. The checksum is
    verified where there is one."""
    from astropy.io import fits

    with _readable(path, "FITS table"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message="(?i).*(checksum|datasum|truncated)")
        if path.name.lower().endswith(".gz"):
            _unzip(path)
        with fits.open(
            path, checksum=True, memmap=not path.name.endswith("gz"), lazy_load_hdus=False
        ) as hdus:
            found = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)), None)
            if found is None:
                raise InputError(
                    f"{path}: no table in this FITS file; a catalogue is a binary table with RA "
                    "and DEC: give another file, or fetch this one again if its header is damaged"
                )
            if found.header.get("ZTABLE"):
                found = fpacked.unpacked(path, found, wanted)
            present = {name.lower(): name for name in reversed(found.columns.names)}
            for name, key in wanted.items():
                unit = found.columns[present[name]].unit if name in present else None
                if problem := unit_problem(key, unit, zero_point):
                    raise InputError(
                        f"{path}: column {present[name]} {problem}; convert it, or mend its TUNIT"
                    )
            return {
                key: _fits_column(path, found, present[name])
                for name, key in wanted.items()
                if name in present
            }


def _unzip(path: Path) -> None:
    """Reads a gzipped file to its end, where its checksum stands, which astropy does not look at.
    Raises what gzip raises on one that is cut or changed."""
    with gzip.open(path) as handle:
        while handle.read(1 << 20):
            pass


def _fits_column(path: Path, hdu: Any, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Values of a column of a table, and which of them are missing.

    TNULL is compared with what is stored, before TSCAL and TZERO, as the FITS standard says.
    An undefined logical is stored as a zero byte.
    """
    column = hdu.columns[name]
    if str(column.format).lstrip("01")[:1] in ("P", "Q"):
        raise InputError(
            f"{path}: column {name} has arrays of variable length, expected one value a row; write "
            "it as a column of single values"
        )
    stored = hdu.data.view(np.ndarray)[name]
    unknown = None
    if stored.ndim == 1:
        if str(column.format).endswith("L"):
            unknown = ~np.isin(stored.view(np.uint8), [ord("T"), ord("F")])
        elif stored.dtype.kind in "iu" and isinstance(column.null, int | np.integer):
            unknown = stored == column.null
    return np.array(hdu.data[name]), unknown


def _read_parquet(path: Path, wanted: dict[str, str]) -> Raw:
    """Wanted columns of a Parquet file."""
    import pyarrow.parquet as pq

    out: Raw = {}
    with _readable(path):
        names = pq.read_schema(path).names
        chosen = {name.lower(): name for name in reversed(names) if name.lower() in wanted}
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            read = file.read(columns=list(chosen.values()))
        for lower, name in chosen.items():
            out[wanted[lower]] = parquet_column(read[name])
    return out


def parquet_column(chunks: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray | None]:
    """Values of a column of Parquet, and which of them are null. Text has one Python string for
    each of its different values, not for each row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = chunks.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    unknown = np.asarray(pc.is_null(column).to_numpy(zero_copy_only=False), bool)
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        column = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        coded = column.fill_null("").dictionary_encode()
        words = np.array(coded.dictionary.to_pylist() or [""], str)
        return words[np.asarray(coded.indices)], unknown if unknown.any() else None
    elif pa.types.is_binary(column.type):
        column = column.fill_null(b"")
    values = column.to_numpy(zero_copy_only=False)
    return values, unknown if unknown.any() else None


def _read_csv(path: Path, wanted: dict[str, str]) -> Raw:
    """Wanted columns of a CSV file, as text and numbers; an empty field is a missing value."""
    out: Raw = {}
    with _readable(path):
        header = [str(name) for name in read_csv(path, nrows=1).columns]
        chosen = {n.strip().lower(): n for n in reversed(header) if n.strip().lower() in wanted}
        frame = read_csv(path, usecols=list(chosen.values()))
        for lower, name in chosen.items():
            text = frame[name].str.strip()
            unknown = text.str.lower().isin(_NOTHING).to_numpy(bool)
            out[wanted[lower]] = text.where(~unknown, "").to_numpy(str), unknown
    return out


@contextmanager
def _readable(path: Path, what: str = "table") -> Iterator[None]:
    """Turns what the readers of tables raise on damaged bytes into one line that names the file."""
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        raise InputError(
            f"{path}: asks for more memory than there is; the header is damaged, fetch the file "
            "again"
        ) from None
    except Exception as error:  # a dozen kinds on damaged bytes, warnings among them
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{path}: not a readable {what} ({_first_line(error)}); fetch it again"
        ) from None


def checked(
    path: Place, name: str, value: np.ndarray, unknown: np.ndarray | None, kind: str
) -> np.ndarray:
    """The column with the type that it has in the table, or InputError. name: in the file."""
    if value.ndim != 1:
        raise InputError(
            f"{path}: column {name} has {value.ndim} dimensions, expected one value a row"
        )
    unknown = np.zeros(len(value), bool) if unknown is None else unknown
    if kind == "string":
        text = _text(path, name, value)
        return np.where(unknown, "", text) if unknown.any() else text
    csv = path.name.lower().endswith(".csv")
    if kind == "bool" and value.dtype.kind in "SUO":
        words = np.char.lower(_text(path, name, value))
        if wrong := [w for w in np.unique(words[~unknown]) if w not in _TRUTH]:
            raise InputError(f"{path}: column {name} holds {wrong[0]!r}, expected true or false")
        return _masked(np.array([_TRUTH.get(w, False) for w in words], bool), unknown)
    if csv:
        value = _numbers(path, name, np.where(unknown, "0", value))
    if value.dtype.kind not in "iufb":
        found = "text" if value.dtype.kind in "SUO" else value.dtype
        raise InputError(f"{path}: column {name} is {found}, expected numbers")
    if kind == "float64":
        number = value.astype(np.float64)
        number[unknown] = np.nan
        return number
    if value.dtype.kind == "f":
        unknown = unknown | np.isnan(value)
        value = np.where(unknown, 0, value)
        if not (np.isfinite(value).all() and (value == np.floor(value)).all()):
            raise InputError(f"{path}: column {name} has values that are not whole numbers")
        digits = np.finfo(value.dtype).nmant + 1
        if len(value) and np.abs(value).max() >= 2.0**digits:
            raise InputError(
                f"{path}: column {name} has whole numbers beyond 2^{digits} that are stored as "
                f"{value.dtype}, which rounds them; write the table again with 64-bit integers"
            )
    value = np.where(unknown, 0, value) if unknown.any() else value
    if kind == "bool":
        if not np.isin(value, (0, 1)).all():
            raise InputError(f"{path}: column {name} has values other than 0 and 1")
        return _masked(value.astype(bool), unknown)
    if len(value) and not (-(2**63) <= int(value.min()) and int(value.max()) < 2**63):
        raise InputError(f"{path}: column {name} has numbers beyond 64 bits")
    return _masked(value.astype(np.int64), unknown)


def _masked(value: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """A masked array where a value is missing, a plain one where none is."""
    return np.ma.MaskedArray(value, unknown) if unknown.any() else value


def _text(path: Place, name: str, value: np.ndarray) -> np.ndarray:
    """A column as text without blanks around it, (n,) str."""
    if value.dtype.kind == "O" and all(isinstance(v, bytes) for v in value):
        value = value.astype("S")
    if value.dtype.kind not in "SUO" or (
        value.dtype.kind == "O" and not all(isinstance(v, str | None) for v in value)
    ):
        raise InputError(f"{path}: column {name} is {value.dtype}, expected text")
    if not len(value):
        return np.empty(0, "<U1")
    if value.dtype.kind != "S":
        return np.char.strip(value.astype(str))
    # Each byte becomes a code point. numpy's own decoding makes a Python string of every row.
    code = np.ascontiguousarray(value).view(np.uint8).reshape(len(value), -1)
    if code.shape[1] and code.max() > 127:
        raise InputError(
            f"{path}: column {name} holds bytes that are not text; fetch the file again"
        )
    text = code.astype(np.uint32).view(f"U{max(code.shape[1], 1)}").reshape(-1)
    blank = (code <= ord(" ")) & (code > 0)
    return np.char.strip(text) if blank.any() else text


def _numbers(path: Place, name: str, text: np.ndarray) -> np.ndarray:
    """A column of CSV as numbers."""
    import pandas as pd

    try:
        return pd.to_numeric(pd.Series(text, dtype=object)).to_numpy()
    except (ValueError, TypeError):
        raise InputError(f"{path}: column {name} is text, expected numbers") from None


def _first_line(error: Any) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:160]
