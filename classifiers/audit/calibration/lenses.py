"""Real lenses to calibrate on: stamps of a run, or a table of their observables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from classifiers.audit.calibration.observables import (
    THETA_E,
    Ruler,
    compared,
    is_magnitude,
    measurable,
    measure,
)
from classifiers.audit.realism.comparison import Sample
from data.splits import order_key
from data.survey import Survey
from data.tables import read_csv
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 20
"""lenses in either half below which nothing is fitted or judged"""
FEW = 100
"""lenses below which it is said that they are few"""
MAGNITUDES = (5.0, 40.0)
COLOURS = (-10.0, 10.0)
SEEN = "seen"
KEY = b"lensjax_calibration"
"""of the metadata of a Parquet table of observables: the survey that they were measured on"""


@dataclass(frozen=True)
class Real:
    """l real lenses. values (l, all): observables as they are compared, in the order of
    `measurable` and then theta_e, NaN where a table does not have one. weight (l,): share by which
    the detectability gate sees each, and seen (l,): whether it does. group (l,): names. sample:
    their stamps, None for a table."""

    values: Float[np.ndarray, "l all"]
    weight: Float[np.ndarray, " l"]
    seen: Bool[np.ndarray, " l"]
    group: np.ndarray
    sample: Sample | None = None

    def __len__(self) -> int:
        return len(self.group)

    def take(self, which: np.ndarray) -> Real:
        """Those at these places."""
        own = {k: getattr(self, k)[which] for k in ("values", "weight", "seen", "group")}
        return replace(
            self, **own, sample=None if self.sample is None else taken(self.sample, which)
        )


def taken(sample: Sample, which: np.ndarray) -> Sample:
    """The stamps at these places."""
    found = sample.found
    arrays = ("residual", "model", "sigma", "sky", "q", "phi", "centre")
    return Sample(
        sample.stamps[which],
        sample.table.iloc[which].reset_index(drop=True),
        replace(found, **{k: getattr(found, k)[which] for k in arrays}),
        sample.signs.take(which),
    )


def asked(survey: Survey, observables: Sequence[str]) -> tuple[str, ...]:
    """Names of the observables that are compared, in order. Raises InputError for one that this
    survey does not have."""
    every = (*measurable(survey), THETA_E)
    if unknown := [name for name in observables if name not in every]:
        raise InputError(
            f"calibrate.observables: there is no {unknown[0]!r}; in the bands "
            f"{', '.join(survey.bands)} there are {', '.join(every)}"
        )
    return tuple(n for n in every if n in observables) if observables else measurable(survey)


def halves(group: np.ndarray, share: float, seed: int) -> Bool[np.ndarray, " l"]:
    """Which lenses are held out: about this share of them, by a hash of their names, so that the
    same lens always is."""
    key = order_key(np.asarray(group).astype(str), seed)
    return np.asarray(key.astype(np.float64) / 2.0**64 < share)


def check(fit: int, held: int, where: str) -> None:
    """Refuses, by InputError, too few lenses."""
    for n, what in ((fit, "to fit"), (held, "held out")):
        if n < FEWEST:
            raise InputError(
                f"{where}: {n} lenses {what}, {FEWEST} are needed; give more lenses, or another "
                "calibrate.held_out"
            )


def of_stamps(
    sample: Sample, passed: Bool[np.ndarray, " l"], ruler: Ruler, batch: int, theta_e: bool
) -> Real:
    """Real lenses from stamps. passed: by the detectability gate. Lenses without data in a band are
    left out. Raises InputError where an Einstein radius is asked for and not known."""
    values, ln_seen = measure(sample.stamps, ruler, batch)
    radius = sample.table[THETA_E].to_numpy(np.float64)
    values = np.concatenate([values, np.log(np.where(radius > 0, radius, np.nan))[:, None]], 1)
    whole = np.flatnonzero(np.isfinite(ln_seen))
    found = Real(values, np.exp(ln_seen), passed, sample.group, sample).take(whole)
    unknown = ~np.isfinite(found.values[:, -1])
    if theta_e and unknown.any():
        raise InputError(
            f"lens {found.group[unknown][0]} has no theta_e ({unknown.sum()} such lenses); leave "
            "theta_e out of calibrate.observables"
        )
    return found


def of_table(path: Path, names: Sequence[str], survey: Survey) -> Real:
    """Real lenses from a table with the columns `names`, and galaxy_id and `seen` where it has
    them. Raises InputError for a table that cannot be read, lacks a column, has a value that is
    none or cannot be in the column's unit, or was measured in other bands."""
    table = _read(path, survey)
    for name in names:
        if name not in table:
            raise InputError(f"{path}: no column {name!r}; {_missing(table, name, names, survey)}")
    columns = {name: _numbers(path, table, name, survey) for name in names}
    every = (*measurable(survey), THETA_E)
    values = np.full((len(table), len(every)), np.nan)
    values[:, [every.index(n) for n in names]] = compared(columns, names)
    ids = table["galaxy_id"] if "galaxy_id" in table else table.index
    group = np.asarray(ids).astype(str)
    if len(np.unique(group)) < len(group):
        names_, counts = np.unique(group, return_counts=True)
        raise InputError(f"{path}: galaxy_id {names_[counts > 1][0]} stands twice; keep one row")
    seen = np.ones(len(table), bool)
    if SEEN in table:
        if not table[SEEN].isin([0, 1]).all():
            raise InputError(f"{path}: column {SEEN!r} should be true or false in every row")
        seen = table[SEEN].to_numpy(bool)
    return Real(values, seen.astype(np.float64), seen, group)


def _read(path: Path, survey: Survey) -> pd.DataFrame:
    import pyarrow.parquet as pq

    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"calibrate.lenses: {path}: a table of lenses ends in .csv or .parquet")
    if not path.is_file():
        raise InputError(f"calibrate.lenses: {path}: no such file")
    try:
        if path.suffix == ".csv":
            return read_csv(path, text=False, dtype={"galaxy_id": str})
        made = pq.read_table(path, partitioning=None)
    except InputError as error:
        raise InputError(f"calibrate.lenses: {error}") from None
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(f"calibrate.lenses: {path}: cannot be read ({said})") from None
    told = (made.schema.metadata or {}).get(KEY)
    if told is not None and told.decode() != described(survey):
        raise InputError(
            f"{path}: measured on {told.decode()}, and this run is {described(survey)}; measure "
            "the lenses on stamps of this survey"
        )
    return made.to_pandas()


def described(survey: Survey) -> str:
    """What observables depend on: bands, reference band and ring for arcs."""
    inner, outer = survey.radii.arc
    bands = "-".join(survey.bands)
    return f'{survey.name} ({bands}, {survey.reference}, arcs at {inner:g}-{outer:g}")'


def _missing(table: pd.DataFrame, name: str, names: Sequence[str], survey: Survey) -> str:
    """What to do about a missing column."""
    own = measurable(survey)
    others = [c for c in table if str(c).startswith("arc_") and c not in own]
    if others and is_magnitude(name):
        return (
            f"it has {others[0]!r}: measure the lenses in the bands of this survey, or leave "
            "columns out with calibrate.observables"
        )
    return f"it needs {', '.join(names)}; add it, or leave it out with calibrate.observables"


def _numbers(path: Path, table: pd.DataFrame, name: str, survey: Survey) -> np.ndarray:
    """A column whose values can be what they should be."""
    import pandas as pd

    values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
    low, high, unit = _range(name, survey)
    wrong = ~((values >= low) & (values <= high))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}, row {row}: {name} is {table[name].iloc[row]}, which should be {low:g} to "
            f"{high:g} {unit}; correct it, or leave the row out".replace("  ", " ")
        )
    return values


def _range(name: str, survey: Survey) -> tuple[Any, Any, str]:
    """What an observable can be, and its unit."""
    if name == f"arc_mag_{survey.reference}":
        return *MAGNITUDES, "mag (AB)"
    if is_magnitude(name):
        return *COLOURS, "mag"
    outer = survey.radii.arc[1]
    ends = {
        "arc_snr": (1e-6, 1e6, ""),
        "arc_area": (1e-6, np.pi * outer**2, "arcsec^2"),
        THETA_E: (1e-3, 60.0, "arcsec"),
    }
    return ends.get(name, (1e-6, outer, "arcsec"))
