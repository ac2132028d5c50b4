"""Reading a survey's catalogues into the project's columns: FITS, Parquet or CSV.

The columns are those of the stage `catalogue` in `data.columns`. How a file names them, and in
which unit its fluxes are, is said by the survey (`survey.catalogue`). A column that a file does not
have is absent from the result; code that needs it refuses the file and names the column. Nothing is
guessed. A table with only RA and DEC is a catalogue too.

Sweep and Tractor files of the Legacy Surveys are read from DR3 to DR10. A column of an older
release is mapped where it means exactly the same.

| here | DR9, DR10 | DR8 and older |
|---|---|---|
| shape_r, shape_e1, shape_e2 | SHAPE_R, SHAPE_E1, SHAPE_E2 | SHAPEDEV_* for DEV, SHAPEEXP_* for EXP
and REX, 0 for PSF; missing for COMP (two profiles) and SIMP |
| sersic | SERSIC | 4 for DEV, 1 for EXP and REX, 0 for PSF, as DR9 stores it; missing for COMP and
SIMP |
| maskbits | MASKBITS | DR8: MASKBITS. Absent before, because bits 11 to 13 (MEDIUM, GALAXY,
CLUSTER) were defined in DR8 |

**Missing values.** A missing number is NaN, a missing text is "", and a column of whole numbers or
of true and false in which a value is missing is a masked array. Missing is what the file says is
missing: TNULL of FITS, null of Parquet, NaN where whole numbers are stored as floats, an undefined
logical, an empty field of CSV. No number stands for a missing one (`missing`).

**Identity.** An object is (RELEASE, BRICKNAME or BRICKID, OBJID): the same brick and number are
other objects in another release. `galaxy_id` is `brick_objid` for an object of release 10000, which
is DR10's, or of a table without releases, and `brick_objid_release` for an object of any other
release. So the names of a run on DR10 stay short, and a run over tables of several releases, or a
table that holds several, mixes up nothing. A table with LS_ID alone has it unpacked, as
RELEASE x 2^40 + BRICKID x 2^16 + OBJID. An object whose brick or number is missing, or whose
brick's name cannot be part of a path, has galaxy_id "". A table in which one name stands at two
places of the sky is refused.

Columns are as documented on legacysurvey.org (drN/catalogs, drN/bitmasks).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from data import cataloguefile
from data import columns as table
from data.names import is_safe
from data.sky import separation
from data.stores import Place, place
from data.survey import Survey, default
from lensjax.errors import InputError
from lensjax.units import ZERO_POINT

if TYPE_CHECKING:
    import pyarrow as pa

Columns = dict[str, np.ndarray]


class Lazy(ABC):
    """Columns of a table that are read when they are asked for, and only in the rows that are
    asked for. Values are as `read` gives them."""

    rows: int

    @abstractmethod
    def __contains__(self, name: object) -> bool:
        """Whether there is such a column."""

    @abstractmethod
    def at(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Values of a column in some rows, (k,). rows: indices, ascending, each once."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The columns that there are, galaxy_id among them."""


OWN_RELEASE = 10000
"""RELEASE whose objects are named without it."""
MASKBITS_COMPLETE = 8000
"""First RELEASE whose MASKBITS has all of the bits that the selection uses."""
ONE_OBJECT = 1.0
"""Two rows of one name that are farther apart than this (arcsec) are two objects."""
_OLD_SHAPES = tuple(
    f"shape{model}_{part}" for model in ("dev", "exp") for part in ("r", "e1", "e2")
)
BESIDE = {
    **dict.fromkeys(_OLD_SHAPES, "float64"),
    "brick_primary": "bool",
    "brickid": "int64",
    "ls_id": "int64",
}
"""Columns that are read besides those of the table, and their types."""


def read(path: str | Place, survey: Survey | None = None) -> Columns:
    """The catalogue in a FITS, Parquet or CSV file: column to (n,) array, with the columns that the
    file can give; ra and dec always.

    survey: whose catalogue it is; the default survey if none. Raises InputError naming the file
    when it is missing, truncated, not what its name says, fails its checksum, has no RA and DEC,
    has a column of the wrong kind, or has one name for two objects.
    """
    path, survey = place(path), survey or default()
    raw = cataloguefile.read(path, wanted(survey), survey.catalogue.zero_point)
    kinds = {**table.types(survey, "catalogue"), **BESIDE}
    checked = {
        key: cataloguefile.checked(path, file_name(survey, key), value, unknown, kinds[key])
        for key, (value, unknown) in raw.items()
    }
    return standard(checked, path, survey)


def file_name(survey: Survey, column: str) -> str:
    """What a survey's files call a column: as `survey.catalogue.columns` says, else its name in
    upper case."""
    given = survey.catalogue.columns
    if column in given:
        return given[column]
    for band in survey.bands:
        pattern = given.get(f"{column.removesuffix(f'_{band}')}_{{band}}")
        if column.endswith(f"_{band}") and pattern:
            return pattern.replace("{band}", band).replace("{BAND}", band.upper())
    return column.upper()


def wanted(survey: Survey) -> dict[str, str]:
    """Name in the file, in lower case, to column of this project."""
    names = [n for n in table.names(survey, "catalogue") if n != "galaxy_id"]
    names += [n for n in BESIDE if n not in names]
    return {file_name(survey, name).lower(): name for name in reversed(names)}


def standard(raw: Columns, where: str | Place, survey: Survey | None = None) -> Columns:
    """The columns of this project from those of any release, which have their names in lower case;
    see the top of this module. where: named in errors."""
    survey = survey or default()
    absent = [file_name(survey, c) for c in ("ra", "dec") if c not in raw]
    if absent:
        raise InputError(
            f"{where}: no column {' or '.join(absent)}; a catalogue needs positions in degrees"
        )
    kinds = table.types(survey, "catalogue")
    out = {key: raw[key] for key in kinds if key in raw}
    old = all(c in raw for c in _OLD_SHAPES)
    if "type" in out and "shape_r" not in raw and old:
        kind = out["type"]
        dev, exp, point = kind == "DEV", np.isin(kind, ("EXP", "REX")), kind == "PSF"
        for part in ("r", "e1", "e2"):
            out[f"shape_{part}"] = np.select(
                [dev, exp, point], [raw[f"shapedev_{part}"], raw[f"shapeexp_{part}"], 0.0], np.nan
            )
        out["sersic"] = np.select([dev, exp, point], [4.0, 1.0, 0.0], np.nan)
    if "maskbits" in out and (
        bits_lacking(out["release"]) if "release" in out else old and "sersic" not in raw
    ):
        del out["maskbits"]
    _identify(out, raw, where)
    out = {key: in_nanomaggies(survey, key, value) for key, value in out.items()}
    if "brick_primary" in raw:
        out["brick_primary"] = raw["brick_primary"]
    return out


def bits_lacking(release: np.ndarray) -> bool:
    """Whether an object is of a release whose MASKBITS lacks bits that the selection uses."""
    return bool((known(release) < MASKBITS_COMPLETE).any())


def in_nanomaggies(survey: Survey, column: str, value: np.ndarray) -> np.ndarray:
    """A column of the survey's files with fluxes in nanomaggies; other columns as they are."""
    factor = float(10 ** (0.4 * (ZERO_POINT - survey.catalogue.zero_point)))
    if factor == 1 or not column.startswith(("flux_", "psfdepth_", "galdepth_")):
        return value
    return value * factor if column.startswith("flux_") else value / factor**2


def _identify(out: Columns, raw: Columns, where: str | Place) -> None:
    """Adds galaxy_id, and brickname, objid and release as far as other columns give them."""
    if "ls_id" in raw and ("objid" not in out or not ("brickname" in out or "brickid" in raw)):
        packed = raw["ls_id"]
        out["release"] = packed >> 40
        out["objid"] = packed & 0xFFFF
        raw = {**raw, "brickid": (packed >> 16) & 0xFFFFFF}
    if "brickname" not in out and "brickid" in raw:
        out["brickname"] = np.where(
            missing(raw["brickid"]), "", np.ma.getdata(raw["brickid"]).astype(str)
        )
    if "brickname" not in out or "objid" not in out:
        return
    out["galaxy_id"] = galaxy_id(out.get("release"), out["brickname"], out["objid"])
    _refuse_doubles(out, where)


def galaxy_id(
    release: np.ndarray | int | None, brickname: np.ndarray | str, objid: np.ndarray | int
) -> np.ndarray:
    """Names of objects, (n,) str; see "Identity" at the top of this module.

    release: one for all, one each, or None where it is not known. A masked release is not known; an
    object whose brickname is "" or not safe (`data.names`), or whose objid is masked or negative,
    has the name "".
    """
    brick = np.atleast_1d(np.asarray(brickname, str))
    number = np.ma.atleast_1d(objid)
    n = max(len(brick), len(number))
    if not n:
        return np.empty(0, "<U1")
    brick = np.broadcast_to(brick, n)
    bricks, back = np.unique(brick, return_inverse=True)
    nameless = ~np.array([is_safe(str(b)) for b in bricks])[back.reshape(-1)]
    digits = np.broadcast_to(np.ma.getdata(number).astype(np.int64), n)
    nameless |= np.broadcast_to(missing(number), n) | (digits < 0)
    names = np.char.add(np.char.add(brick, "_"), digits.astype(str))
    if release is not None:
        known = np.broadcast_to(np.ma.getdata(np.ma.atleast_1d(release)).astype(np.int64), n)
        other = ~np.broadcast_to(missing(np.ma.atleast_1d(release)), n) & (known != OWN_RELEASE)
        if other.any():
            tail = np.where(other, np.char.add("_", known.astype(str)), "")
            names = np.char.add(names, tail)
    return np.where(nameless, "", names)


def _refuse_doubles(out: Columns, where: str | Place) -> None:
    """Raises InputError when one galaxy_id stands at two places of the sky."""
    rows = np.flatnonzero(
        (out["galaxy_id"] != "") & np.isfinite(out["ra"]) & np.isfinite(out["dec"])
    )
    names = out["galaxy_id"][rows]
    order = rows[np.argsort(names, kind="stable")]
    a, b = order[:-1], order[1:]
    same = out["galaxy_id"][a] == out["galaxy_id"][b]
    a, b = a[same], b[same]
    apart = separation(out["ra"][a], out["dec"][a], out["ra"][b], out["dec"][b])
    if (apart > ONE_OBJECT).any():
        i = int(np.argmax(apart > ONE_OBJECT))
        raise InputError(
            f"{where}: rows {a[i] + 1} and {b[i] + 1} are both called {out['galaxy_id'][a[i]]}, "
            f"and are {apart[i]:.1f} arcsec apart; give every object a RELEASE, BRICKNAME and "
            "OBJID of its own"
        )


def missing(values: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Where a column has no value: masked, NaN or an empty text."""
    values = np.ma.atleast_1d(values)
    plain, masked = np.ma.getdata(values), np.ma.getmaskarray(values)
    if plain.dtype.kind == "f":
        return masked | np.isnan(plain)
    return masked | (plain == "") if plain.dtype.kind == "U" else masked.copy()


def known(value: np.ndarray) -> np.ndarray:
    """The values of a column that are not missing, (k,)."""
    return np.ma.getdata(value)[~missing(value)]


def require(
    columns: Columns | Lazy,
    needed: Iterable[str],
    where: str | Place,
    purpose: str,
    survey: Survey | None = None,
) -> None:
    """Raises InputError naming the columns that are absent, with the release and what they are
    needed for."""
    survey = survey or default()
    absent = [name for name in needed if name not in columns]
    lacking = [
        file_name(survey, c)
        for name in absent
        for c in (("brickname", "objid") if name == "galaxy_id" else (name,))
        if c not in columns
    ]
    if lacking:
        given = "release" in columns and not isinstance(columns, Lazy)
        release = columns["release"] if given else np.empty(0)  # type: ignore[index]
        known = len(release) and not missing(release)[0]
        kind = f" (RELEASE {int(release[0])})" if known else ""
        note = (
            "; MASKBITS before DR8 lacks the bits MEDIUM, GALAXY, CLUSTER"
            if kind and "MASKBITS" in lacking and release[0] < MASKBITS_COMPLETE
            else ""
        )
        raise InputError(
            f"{where}{kind}: {purpose} needs {', '.join(lacking)}, which this file does not give"
            f"{note}; use a DR8 or later sweep, or name the columns in the survey's definition"
        )


def take(columns: Columns | Lazy, rows: np.ndarray) -> Columns:
    """The given rows (indices; of arrays, or a mask) of every column."""
    if isinstance(columns, Lazy):
        return {name: columns.at(name, rows) for name in columns.names()}
    return {key: value[rows] for key, value in columns.items()}


def length(columns: Columns | Lazy) -> int:
    """The number of rows."""
    return columns.rows if isinstance(columns, Lazy) else len(columns["ra"])


def at(columns: Columns | Lazy, name: str, rows: np.ndarray) -> np.ndarray:
    """The given rows (indices) of a column."""
    return columns.at(name, rows) if isinstance(columns, Lazy) else columns[name][rows]


def to_arrow(columns: Columns, survey: Survey | None = None) -> pa.Table:
    """Arrow table with the columns of the stage `catalogue`; what is absent or missing is null."""
    import pyarrow as pa

    schema, n = table.schema(survey or default(), "catalogue"), len(columns["ra"])

    def column(field: pa.Field) -> pa.Array:
        if field.name not in columns:
            return pa.nulls(n, field.type)
        value = columns[field.name]
        return pa.array(np.ma.getdata(value), type=field.type, mask=missing(value))

    return pa.table([column(field) for field in schema], schema=schema)
