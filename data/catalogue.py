"""Reading survey catalogues: sweep and Tractor files of the Legacy Surveys, from DR3 to DR10, into one set of columns.

A column of an older release is mapped where it means exactly the same, otherwise it is absent, and whoever needs it refuses the file by the name of
the column. Nothing is guessed. A table with only RA and DEC is a catalogue too.

| here | DR9, DR10 | DR8 and older |
|---|---|---|
| shape_r, shape_e1, shape_e2 | SHAPE_R, SHAPE_E1, SHAPE_E2 | SHAPEDEV_* for DEV, SHAPEEXP_* for EXP and REX, 0 for PSF; null for COMP (two profiles) and SIMP |
| sersic | SERSIC | 4 for DEV, 1 for EXP and REX, 0 for PSF (as DR9 stores it); null for COMP and SIMP |
| maskbits | MASKBITS | DR8: MASKBITS. Before DR8 absent: bits 11 to 13 (MEDIUM, GALAXY, CLUSTER) were defined in DR8 |
| type | TYPE, stripped of padding | the same |

Columns as documented on legacysurvey.org (drN/catalogs, drN/bitmasks).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensjax.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Columns = dict[str, np.ndarray]

BANDS = ("g", "r", "z")
TEXT = ("brickname", "type")
WHOLE = ("release", "objid", "nobs_g", "nobs_r", "nobs_z", "maskbits")
REAL = (
    *("ra", "dec", "flux_g", "flux_r", "flux_z", "shape_r", "shape_e1", "shape_e2", "sersic"),
    *(f"{name}_{band}" for name in ("psfsize", "psfdepth", "galdepth") for band in BANDS),
    "ebv",
)
COLUMNS = ("galaxy_id", *TEXT, *WHOLE, *REAL)
"""Every column this module can return, in the order it is stored. Units: degrees, arcsec, nanomaggies, nanomaggies⁻², magnitudes."""

_OLD_SHAPES = tuple(
    f"shape{model}_{part}" for model in ("dev", "exp") for part in ("r", "e1", "e2")
)
_WANTED = (*TEXT, *WHOLE, *REAL, *_OLD_SHAPES, "brick_primary")
MASKBITS_COMPLETE = 8000
"""First RELEASE whose MASKBITS has all of the bits that the selection uses."""


def read(path: str | Path) -> Columns:
    """The catalogue in a FITS, Parquet or CSV file: column → (n,) array, with the columns the file can give (ra and dec always).

    Raises InputError naming the file when it is missing, truncated, not what its name says, fails its checksum, has no RA and DEC, or has a
    column of the wrong kind.
    """
    path = Path(path)
    name = path.name.lower()
    if not path.is_file():
        raise InputError(f"{path}: no such catalogue file")
    if name.endswith((".parquet", ".csv")):
        raw = _read_table(path)
    elif name.endswith((".fits", ".fits.gz", ".fits.fz", ".fit")):
        raw = _read_fits(path)
    else:
        raise InputError(f"{path}: not a catalogue; expected .fits, .fits.gz, .parquet or .csv")
    return standard({key: _checked(path, key, value) for key, value in raw.items()}, path)


def standard(raw: Columns, where: str | Path) -> Columns:
    """Maps the columns of any release (lower case) to this module's; see the table at its top. where: named in errors."""
    missing = [c.upper() for c in ("ra", "dec") if c not in raw]
    if missing:
        raise InputError(
            f"{where}: no column {' or '.join(missing)}; a catalogue needs positions in degrees"
        )
    out = {key: raw[key] for key in (*TEXT, *WHOLE, *REAL) if key in raw}
    if "type" in out and "shape_r" not in raw and all(c in raw for c in _OLD_SHAPES):
        kind = out["type"]
        dev, exp, point = kind == "DEV", np.isin(kind, ("EXP", "REX")), kind == "PSF"
        for part in ("r", "e1", "e2"):
            out[f"shape_{part}"] = np.select(
                [dev, exp, point], [raw[f"shapedev_{part}"], raw[f"shapeexp_{part}"], 0.0], np.nan
            )
        out["sersic"] = np.select([dev, exp, point], [4.0, 1.0, 0.0], np.nan)
    if "maskbits" in out and (
        out["release"].min(initial=MASKBITS_COMPLETE) < MASKBITS_COMPLETE
        if "release" in out
        else "sersic" not in raw
    ):
        del out["maskbits"]
    if "brickname" in out and "objid" in out:
        out["galaxy_id"] = (
            np.char.add(np.char.add(out["brickname"], "_"), out["objid"].astype(str))
            if len(out["objid"])
            else np.empty(0, "<U1")
        )
    if "brick_primary" in raw:
        out["brick_primary"] = raw["brick_primary"].astype(bool)
    return out


def require(columns: Columns, needed: Iterable[str], where: str | Path, purpose: str) -> None:
    """Raises InputError naming the columns that are absent, with the release and what they are needed for."""
    absent = [name for name in needed if name not in columns]
    missing = [
        c.upper()
        for name in absent
        for c in (("brickname", "objid") if name == "galaxy_id" else (name,))
        if c not in columns
    ]
    if missing:
        release = columns.get("release", np.empty(0))
        kind = f" (RELEASE {int(release[0])})" if len(release) else ""
        note = (
            "; MASKBITS before DR8 lacks the bits MEDIUM, GALAXY, CLUSTER"
            if kind and "MASKBITS" in missing and release[0] < MASKBITS_COMPLETE
            else ""
        )
        raise InputError(
            f"{where}{kind}: {purpose} needs {', '.join(missing)}, which this file does not give{note}; use a DR8 or later sweep"
        )


def take(columns: Columns, rows: np.ndarray) -> Columns:
    """The given rows (indices or mask) of every column."""
    return {key: value[rows] for key, value in columns.items()}


def to_arrow(columns: Columns, names: Iterable[str] = COLUMNS) -> pa.Table:
    """Arrow table with the named columns in that order; absent ones and NaN are null."""
    import pyarrow as pa

    n = len(columns["ra"])

    def column(name: str) -> pa.Array:
        kind = pa.int64() if name in WHOLE else pa.float64() if name in REAL else pa.string()
        if name not in columns:
            return pa.nulls(n, kind)
        return pa.array(
            columns[name].astype(object) if kind == pa.string() else columns[name],
            type=kind,
            from_pandas=True,
        )

    return pa.table({name: column(name) for name in names})


def _read_fits(path: Path) -> Columns:
    """Wanted columns of the first table of a FITS file, in native byte order, with its checksum verified when it has one."""
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message="(?i).*(checksum|datasum|truncated)")
            with fits.open(
                path, checksum=True, memmap=not path.name.endswith("gz"), lazy_load_hdus=False
            ) as hdus:
                table = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)), None)
                if table is None:
                    raise InputError(
                        f"{path}: no table in this FITS file; a catalogue is a binary table with RA and DEC"
                    )
                present = {name.lower(): name for name in table.columns.names}
                return {
                    key: np.array(table.data[present[key]]) for key in _WANTED if key in present
                }
    except InputError:
        raise
    except MemoryError:
        raise InputError(
            f"{path}: asks for more memory than there is; the header is damaged, fetch the file again"
        ) from None
    except (
        Exception
    ) as error:  # astropy and numpy raise a dozen kinds on damaged bytes, warnings among them
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{path}: not a readable FITS table ({_first_line(error)}); fetch it again"
        ) from None


def _read_table(path: Path) -> Columns:
    """Wanted columns of a Parquet or CSV file."""
    import pandas as pd
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() == ".csv":
            header = pd.read_csv(path, nrows=0).columns
            wanted = {name: str(name).lower() for name in header if str(name).lower() in _WANTED}
            text = {name: str for name, lower in wanted.items() if lower in TEXT}
            frame = pd.read_csv(path, usecols=list(wanted), dtype=text)  # type: ignore[arg-type, call-overload]
        else:
            wanted = {
                name: name.lower() for name in pq.read_schema(path).names if name.lower() in _WANTED
            }
            frame = pq.read_table(path, columns=list(wanted), partitioning=None).to_pandas()
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{path}: not a readable table ({_first_line(error)}); fetch it again"
        ) from None
    return {lower: frame[name].to_numpy() for name, lower in wanted.items()}


def _checked(path: Path, key: str, value: np.ndarray) -> np.ndarray:
    """The column with the type this module promises, or InputError."""
    if value.ndim != 1:
        raise InputError(
            f"{path}: column {key.upper()} has {value.ndim} dimensions, expected one value a row"
        )
    if key in TEXT:
        if value.dtype.kind not in "SUO":
            raise InputError(f"{path}: column {key.upper()} is {value.dtype}, expected text")
        try:
            text = np.char.decode(value, "ascii") if value.dtype.kind == "S" else value.astype(str)
        except UnicodeDecodeError:
            raise InputError(
                f"{path}: column {key.upper()} holds bytes that are not text; fetch the file again"
            ) from None
        return np.char.strip(text)
    if value.dtype.kind not in "iufb":
        raise InputError(
            f"{path}: column {key.upper()} is {'text' if value.dtype.kind in 'SUO' else value.dtype}, expected numbers"
        )
    if key == "brick_primary":
        return value.astype(bool)
    if key in WHOLE:
        if value.dtype.kind == "f" and not (
            np.isfinite(value).all() and (value == np.floor(value)).all()
        ):
            raise InputError(f"{path}: column {key.upper()} has values that are not whole numbers")
        return value.astype(np.int64)
    return value.astype(np.float64)


def _first_line(error: Any) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:160]
