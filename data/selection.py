"""Which catalogue rows become negatives: the cuts, each with its counter, and kinds of confuser.

Every threshold is a field of `Selection`. What is not set there is the survey's
(`data.survey.Catalogue`); for DR10 that is the reference selection (Paper IV parity). Bounds are
strict where the text says so. The magnitude limit and the strata of exposures are in the survey's
selection band, fluxes of confusers in its reference band.

A row of which a cut needs a value that is missing (no MASKBITS, no number of exposures, no type)
does not pass that cut. It is counted apart, as `<cut>_unknown`, and listed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field, model_validator

from data import photometry
from data.catalogue import Columns, Lazy, at, file_name, length, missing, require, take
from data.config import settings
from data.sky import Sieve, SkyTree, galactic_latitude, unit_vectors
from data.stores import Place
from data.survey import Survey, default
from lensjax.errors import InputError

CATEGORIES = ("ring_proxy", "edge_on_proxy", "blue_clumpy", "large_galaxy", "merger_neighbour")
NOBS_BINS = ("1-2", "3-5", "6-10", "11+")
TYPE_BINS = ("SER", "DEV", "REX")
OTHER = "other"


@settings
class Selection:
    """Thresholds of the negative pool and of the confuser categories."""

    dec_min: float | None = None
    """declination above this, degrees, strictly; none: the survey's limit"""
    dec_max: float | None = None
    """declination below this, degrees, strictly; none: the survey's limit"""
    types: tuple[str, ...] | None = None
    """morphological types of the pool; none: the survey's"""
    separate_types: tuple[str, ...] = ()
    """types that also pass the cuts but go to a pool named after them, which is never sampled with
    the others; for example EXP"""
    maskbits: tuple[Annotated[int, Field(ge=0, le=62)], ...] | None = None
    """bits of maskbits that exclude an object; none: the survey's"""
    nobs_min: Annotated[int, Field(ge=0)] = 3
    """exposures wanted in each band"""
    magnitude_max: float | None = None
    """magnitude in the selection band brighter than this, strictly; none: the survey's limit"""
    lens_radius: Annotated[float, Field(ge=0)] | None = None
    """farther than this from every listed lens, arcsec, strictly; none: the survey's radius"""
    ebv_max: Annotated[float, Field(gt=0)] | None = None
    """option: E(B-V) below this"""
    abs_b_min: Annotated[float, Field(ge=0, lt=90)] | None = None
    """option: absolute galactic latitude above this, degrees"""
    ring_sersic_min: float = 4.0
    """ring_proxy: DEV, or SER with a Sersic index of at least this"""
    ring_flux_min: float = 5.0
    """ring_proxy: flux in the reference band at least this, nanomaggies"""
    edge_ellipticity_min: Annotated[float, Field(ge=0, le=1)] = 0.50
    """edge_on_proxy: ellipticity at least this"""
    edge_radius_min: Annotated[float, Field(ge=0)] = 0.6
    """edge_on_proxy: half-light radius at least this, arcsec"""
    blue_colour_max: float = 0.4
    """blue_clumpy: the survey's colour at most this, mag"""
    blue_magnitude_max: float = 20.5
    """blue_clumpy: magnitude in the reference band at most this"""
    large_radius_min: Annotated[float, Field(ge=0)] = 2.0
    """large_galaxy: half-light radius at least this, arcsec"""
    large_flux_min: float = 3.0
    """large_galaxy: flux in the reference band at least this, nanomaggies"""
    merger: bool = True
    """whether the last category, merger_neighbour, is used"""
    merger_inner: Annotated[float, Field(ge=0)] = 3.0
    """merger_neighbour: a neighbour at least this far, arcsec"""
    merger_outer: Annotated[float, Field(ge=0)] = 6.0
    """merger_neighbour: and at most this far, arcsec"""
    merger_flux_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """merger_neighbour: the fainter has at least this fraction of the brighter's flux"""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Selection:
        low, high = self.dec_min, self.dec_max
        if low is not None and high is not None and not low < high:
            raise ValueError("dec_min must be below dec_max")
        if not self.merger_inner < self.merger_outer:
            raise ValueError("merger_inner must be below merger_outer")
        return self


def completed(s: Selection, survey: Survey) -> Selection:
    """The selection with the survey's values where none are set. Raises InputError when the limits
    of declination leave nothing."""
    known = survey.catalogue
    of_survey: dict[str, Any] = {
        "dec_min": known.dec[0],
        "dec_max": known.dec[1],
        "types": known.types,
        "maskbits": tuple(known.mask_bits.values()),
        "magnitude_max": known.magnitude_max,
        "lens_radius": survey.radii.neighbour,
    }
    open_ = {name: value for name, value in of_survey.items() if getattr(s, name) is None}
    full = dataclasses.replace(s, **open_)
    low, high = full.dec_min, full.dec_max
    if low is None or high is None or not low < high:
        raise InputError(
            f"survey.pool: dec_min {low} must be below dec_max {high} (limits of {survey.name}: "
            f"{known.dec[0]:g} to {known.dec[1]:g})"
        )
    return full


def needed(s: Selection, survey: Survey) -> tuple[str, ...]:
    """Columns that the cuts and categories need. s: completed."""
    plain, masked = ("galaxy_id", "type", "maskbits"), survey.catalogue.mask_bits or s.maskbits
    shape = ("shape_r", "shape_e1", "shape_e2", "sersic")
    fluxes = {survey.selection_band, survey.reference, *(survey.colour or ())}
    return (
        *(name for name in plain if name != "maskbits" or masked),
        *survey.per_band("nobs"),
        *(f"flux_{band}" for band in survey.bands if band in fluxes),
        *shape,
    )


def of_cuts(s: Selection, survey: Survey) -> tuple[str, ...]:
    """Columns that the cuts, the names and the neighbours need in most rows."""
    plain = ("release", "brickname", "objid", "type", "ra", "dec", "maskbits", "brick_primary")
    flux = (f"flux_{band}" for band in survey.bands if band in _of_flux(s, survey))
    option = ("ebv",) if s.ebv_max is not None else ()
    return (*plain, *survey.per_band("nobs"), *flux, *option)


def _of_flux(s: Selection, survey: Survey) -> set[str]:
    return {survey.selection_band, *((survey.reference,) if s.merger else ())}


def counters_of(survey: Survey) -> tuple[str, ...]:
    """Counters of `select` in the order of the cuts; pools of separate types come after them."""
    band = survey.selection_band
    return (
        *("rows", "primary_unknown", "not_primary", "not_finite_position", "declination"),
        *("type_unknown", "type", "maskbits_unknown", "maskbits", "nobs_unknown"),
        *survey.per_band("nobs"),
        *("nobs", f"flux_{band}_not_positive", f"{band}_mag", "ebv", "galactic_latitude"),
        *("near_lens", "nameless", "kept", "N1", "N2", *CATEGORIES),
    )


def select(
    columns: Columns,
    s: Selection,
    lenses: SkyTree | None,
    where: str | Place = "catalogue",
    survey: Survey | None = None,
) -> tuple[Columns, dict[str, int]]:
    """The rows that pass every cut, with bins, pool and category; and the counters.

    columns: of `data.catalogue.read`. lenses: every known or candidate lens. where: named in
    errors. survey: the default survey if none.
    Counters: `rows`; for each cut, in order, the rows it removed from those that the cuts before it
    left, where those with a missing value are counted apart; nobs of each band overlap and are also
    counted together as `nobs`; `kept`; then one for each pool and category.
    Raises InputError when the file lacks a column that the cuts need.
    """
    kept, counters, _ = judged(columns, s, lenses, where, survey)
    return kept, counters


class _Rows:
    """Some rows of a catalogue; a column is taken when it is asked for, without its mask."""

    def __init__(self, columns: Columns | Lazy, rows: np.ndarray):
        self._columns, self._rows = columns, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: str) -> np.ndarray:
        return np.ma.getdata(at(self._columns, name, self._rows))


def judged(
    columns: Columns,
    s: Selection,
    lenses: SkyTree | None,
    where: str | Place = "catalogue",
    survey: Survey | None = None,
) -> tuple[Columns, dict[str, int], list[tuple[int, str]]]:
    """As `select`, and the rows that were refused because of a missing value or a name that cannot
    be used: (row, counted from 1; reason)."""
    survey = survey or default()
    s = completed(s, survey)
    alive, counters, refused = passing(columns, s, lenses, where, survey)
    merger = merging(columns, alive, s, survey) if s.merger else None
    kept, more = sorted_out(take(columns, alive), s, merger, survey)
    return kept, counters | more, refused


def passing(
    columns: Columns | Lazy,
    s: Selection,
    lenses: SkyTree | None,
    where: str | Place,
    survey: Survey,
) -> tuple[np.ndarray, dict[str, int], list[tuple[int, str]]]:
    """The rows that pass every cut, ascending; the counters up to `kept`; and the rows refused, as
    `judged` gives them.

    s: completed. A row is looked at cut by cut until the first cut that it fails, because the
    counters name this cut. The order of the cuts is fixed by the counters: a row that two cuts
    would remove is counted for the earlier one. So a column is read in no more rows than the
    counters need, and a column that no cut needs is not read.
    """
    option = ("ebv",) if s.ebv_max is not None else ()
    require(columns, needed(s, survey) + option, where, "the negative pool", survey)
    n = length(columns)
    counters: dict[str, int] = {"rows": n}
    alive = np.arange(n)
    refused: list[tuple[int, str]] = []

    def cut(name: str, keeps: Callable[[_Rows], np.ndarray]) -> np.ndarray:
        nonlocal alive
        keep = np.asarray(keeps(_Rows(columns, alive)), bool)
        lost, alive = alive[~keep], alive[keep]
        counters[name] = len(lost)
        return lost

    def unknown(name: str, *needs: str) -> None:
        absent = np.stack([missing(at(columns, k, alive)) for k in needs])
        gone = np.asarray(absent.any(axis=0))
        first = np.argmax(absent[:, gone], axis=0)
        for row, which in zip(cut(f"{name}_unknown", lambda c: ~gone), first, strict=True):
            refused.append((int(row) + 1, f"no {file_name(survey, needs[which])}"))

    every = lambda c: np.ones(len(c), bool)
    types, radius = s.types or (), s.lens_radius or 0.0
    band, bands = survey.selection_band, survey.bands
    flux = f"flux_{band}"
    if "brick_primary" in columns:
        unknown("primary", "brick_primary")
    cut("not_primary", lambda c: c["brick_primary"] if "brick_primary" in columns else every(c))
    cut("not_finite_position", lambda c: np.isfinite(c["ra"]) & np.isfinite(c["dec"]))
    cut("declination", lambda c: (c["dec"] > s.dec_min) & (c["dec"] < s.dec_max))
    unknown("type", "type")
    cut("type", lambda c: np.isin(c["type"], (*types, *s.separate_types)))
    if s.maskbits and "maskbits" in columns:
        bits = np.bitwise_or.reduce([np.int64(1) << bit for bit in s.maskbits])
        unknown("maskbits", "maskbits")
        cut("maskbits", lambda c: (c["maskbits"] & bits) == 0)
    else:
        counters |= {"maskbits_unknown": 0, "maskbits": 0}
    unknown("nobs", *survey.per_band("nobs"))
    left = _Rows(columns, alive)
    few = {b: left[f"nobs_{b}"] < s.nobs_min for b in bands}
    counters |= {f"nobs_{b}": int(low.sum()) for b, low in few.items()}
    cut("nobs", lambda c: ~np.any(list(few.values()), axis=0))
    cut(f"{flux}_not_positive", lambda c: np.isfinite(c[flux]) & (c[flux] > 0))
    cut(f"{band}_mag", lambda c: magnitude(c[flux]) < s.magnitude_max)
    if s.ebv_max is not None:
        unknown("ebv", "ebv")
        cut("ebv", lambda c: c["ebv"] < s.ebv_max)
    if s.abs_b_min is not None:
        cut(
            "galactic_latitude",
            lambda c: np.abs(galactic_latitude(c["ra"], c["dec"])) > s.abs_b_min,
        )
    cut(
        "near_lens",
        lambda c: ~lenses.within(c["ra"], c["dec"], radius) if lenses is not None else every(c),
    )
    for row in cut("nameless", lambda c: c["galaxy_id"] != ""):
        one = np.array([row])
        brick = str(at(columns, "brickname", one)[0]) if "brickname" in columns else ""
        refused.append((int(row) + 1, f"brick {brick[:80]!r} and its number cannot name a file"))
    counters["kept"] = len(alive)
    return alive, counters, sorted(refused)


def sorted_out(
    kept: Columns, s: Selection, merger: Bool[np.ndarray, " n"] | None, survey: Survey
) -> tuple[Columns, dict[str, int]]:
    """The kept rows with bins, pool and category, and a counter for each pool and category.

    s: completed. merger: rows with a comparable neighbour (`merging`).
    """
    kept, band = dict(kept), survey.selection_band
    category = categories(kept, s, merger, survey)
    separate = np.isin(kept["type"], s.separate_types) & ~np.isin(kept["type"], s.types or ())
    kept["pool"] = np.where(separate, kept["type"], np.where(category == "", "N1", "N2"))
    kept["confuser_category"] = np.where(separate, "", category)
    kept[f"nobs_{band}_bin"] = nobs_bin(np.ma.getdata(kept[f"nobs_{band}"]))
    kept["type_bin"] = type_bin(kept["type"])
    counters = {pool: int((kept["pool"] == pool).sum()) for pool in ("N1", "N2", *s.separate_types)}
    counters |= {name: int((kept["confuser_category"] == name).sum()) for name in CATEGORIES}
    return kept, counters


def categories(
    c: Columns,
    s: Selection,
    merger: Bool[np.ndarray, " n"] | None = None,
    survey: Survey | None = None,
) -> np.ndarray:
    """Confuser category of each row, the first rule that holds; "" when none does (pool N1).

    Fluxes and colours are as observed, not corrected for extinction. A survey without a colour has
    no blue_clumpy. merger: rows with a comparable neighbour (`merging`).
    """
    survey = survey or default()
    flux = c[f"flux_{survey.reference}"]
    ellipticity = np.hypot(c["shape_e1"], c["shape_e2"])
    never = np.zeros(len(flux), bool)
    blue = never
    if survey.colour is not None:
        one, other = (magnitude(c[f"flux_{band}"]) for band in survey.colour)
        blue = (one - other <= s.blue_colour_max) & (magnitude(flux) <= s.blue_magnitude_max)
    rules = [
        ((c["type"] == "DEV") | ((c["type"] == "SER") & (c["sersic"] >= s.ring_sersic_min)))
        & (flux >= s.ring_flux_min),
        (ellipticity >= s.edge_ellipticity_min) & (c["shape_r"] >= s.edge_radius_min),
        blue,
        (c["shape_r"] >= s.large_radius_min) & (flux >= s.large_flux_min),
        merger if merger is not None else never,
    ]
    return np.select(rules, CATEGORIES, "")


Sources = tuple[np.ndarray, np.ndarray, np.ndarray]
"""RA and Dec (degrees) and flux in the reference band (nanomaggies) of some sources, (n,) each"""


def merging(
    columns: Columns | Lazy, rows: np.ndarray, s: Selection, survey: Survey | None = None
) -> Bool[np.ndarray, " k"]:
    """Whether each of the given rows has, among all rows of the catalogue, a comparable neighbour
    (`comparable`). For neighbours in other catalogues the caller calls `comparable` itself."""
    names = ("ra", "dec", f"flux_{(survey or default()).reference}")
    n = length(columns)
    every = tuple(np.ma.getdata(at(columns, name, np.arange(n))) for name in names)
    ra, dec, flux = (value[rows] for value in every)
    return comparable((ra, dec, flux), every, s)  # type: ignore[arg-type]


def comparable(these: Sources, others: Sources, s: Selection) -> Bool[np.ndarray, " k"]:
    """Whether each of these has among the others one of comparable flux at merger_inner to
    merger_outer. A source that lacks a position or a positive flux has no neighbour and is no
    neighbour."""
    found = np.zeros(len(these[0]), bool)

    def usable(sources: Sources, faintest: float) -> np.ndarray:
        ra, dec, flux = sources
        return np.flatnonzero((flux > faintest) & np.isfinite(ra) & np.isfinite(dec))

    one = usable(these, 0.0)
    if not len(one) or not len(others[0]):
        return found
    ra, dec, flux = (value[one] for value in these)
    other = usable(others, s.merger_flux_ratio * float(flux.min()) * (1 - 1e-9))
    sieve = Sieve(unit_vectors(ra, dec), s.merger_outer)
    other = other[sieve.passes(others[0][other], others[1][other])]
    tree = SkyTree(others[0][other], others[1][other])
    i, j, distance = tree.pairs(ra, dec, s.merger_outer)
    a, b = flux[i], others[2][other[j]]
    alike = np.minimum(a, b) >= s.merger_flux_ratio * np.maximum(a, b)
    found[one[i[alike & (distance >= s.merger_inner)]]] = True
    return found


def magnitude(flux: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """AB magnitude of a flux in nanomaggies; NaN where the flux is not positive, for no rule holds
    for NaN."""
    return np.where(flux > 0, photometry.magnitude(flux), np.nan)


def nobs_bin(nobs: np.ndarray) -> np.ndarray:
    """Stratum of the number of exposures: 1-2, 3-5, 6-10, 11+; `other` below 1."""
    n = np.asarray(nobs)
    return np.select([n >= 11, n >= 6, n >= 3, n >= 1], ["11+", "6-10", "3-5", "1-2"], OTHER)


def type_bin(kind: np.ndarray) -> np.ndarray:
    """Stratum of the morphological type: SER, DEV, REX; `other` for the rest."""
    return np.where(np.isin(kind, TYPE_BINS), kind, OTHER)
