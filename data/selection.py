"""Which catalogue rows become negatives: the cuts, each with its counter, and the kinds of confuser.

Every threshold is a field of `Selection`; its defaults are the reference selection (Paper IV parity). Bounds are strict where the text says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field, model_validator

from data.catalogue import BANDS, Columns, require, take
from data.config import settings
from data.lenses import SkyTree

MASKBIT_NAMES = {
    "BRIGHT": 1,
    "ALLMASK_G": 5,
    "ALLMASK_R": 6,
    "ALLMASK_Z": 7,
    "MEDIUM": 11,
    "GALAXY": 12,
    "CLUSTER": 13,
}
CATEGORIES = ("ring_proxy", "edge_on_proxy", "blue_clumpy", "large_galaxy", "merger_neighbour")
COUNTERS = (
    *(
        "rows",
        "not_primary",
        "not_finite_position",
        "declination",
        "type",
        "maskbits",
        "nobs_g",
        "nobs_r",
        "nobs_z",
        "nobs",
    ),
    *(
        "flux_z_not_positive",
        "z_mag",
        "ebv",
        "galactic_latitude",
        "near_lens",
        "kept",
        "N1",
        "N2",
        *CATEGORIES,
    ),
)
"""Counters of `select` in the order of the cuts; pools of separate types come after them."""
NOBS_BINS = ("1-2", "3-5", "6-10", "11+")
TYPE_BINS = ("SER", "DEV", "REX")
OTHER = "other"
NEEDED = (
    "galaxy_id",
    "type",
    "maskbits",
    "nobs_g",
    "nobs_r",
    "nobs_z",
    "flux_g",
    "flux_r",
    "flux_z",
    "shape_r",
    "shape_e1",
    "shape_e2",
    "sersic",
)


@settings
class Selection:
    """Thresholds of the negative pool and of the confuser categories."""

    dec_min: float = -18.0
    """declination above this, degrees, strictly"""
    dec_max: float = 32.0
    """declination below this, degrees, strictly"""
    types: tuple[str, ...] = ("SER", "DEV", "REX")
    """Tractor types of the pool"""
    separate_types: tuple[str, ...] = ()
    """types that also pass the cuts but go to a pool named after them, never sampled with the others; for example EXP"""
    maskbits: tuple[Annotated[int, Field(ge=0, le=31)], ...] = tuple(MASKBIT_NAMES.values())
    """bits of MASKBITS that exclude an object"""
    nobs_min: Annotated[int, Field(ge=0)] = 3
    """exposures wanted in each of g, r, z"""
    z_mag_max: float = 20.0
    """z magnitude brighter than this, strictly"""
    lens_radius: Annotated[float, Field(ge=0)] = 11.0
    """farther than this from every listed lens, arcsec, strictly: 5″ + 2 × 3″"""
    ebv_max: Annotated[float, Field(gt=0)] | None = None
    """option: E(B−V) below this"""
    abs_b_min: Annotated[float, Field(ge=0, lt=90)] | None = None
    """option: |galactic latitude| above this, degrees"""
    ring_sersic_min: float = 4.0
    ring_flux_r_min: float = 5.0
    edge_ellipticity_min: Annotated[float, Field(ge=0, le=1)] = 0.50
    edge_shape_r_min: Annotated[float, Field(ge=0)] = 0.6
    blue_gr_max: float = 0.4
    blue_r_mag_max: float = 20.5
    large_shape_r_min: Annotated[float, Field(ge=0)] = 2.0
    large_flux_r_min: float = 3.0
    merger: bool = True
    """whether the last category, merger_neighbour, is used"""
    merger_inner: Annotated[float, Field(ge=0)] = 3.0
    merger_outer: Annotated[float, Field(ge=0)] = 6.0
    """a neighbour between these distances, arcsec"""
    merger_flux_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """comparable: the fainter has at least this fraction of the brighter's r flux"""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Selection:
        if not (self.dec_min < self.dec_max and self.merger_inner < self.merger_outer):
            raise ValueError("dec_min must be below dec_max, merger_inner below merger_outer")
        return self


def select(
    columns: Columns, s: Selection, lenses: SkyTree | None, where: str | Path = "catalogue"
) -> tuple[Columns, dict[str, int]]:
    """The rows that pass every cut, with bins, pool and category; and the counters.

    columns: of `data.catalogue.read` · lenses: every known or candidate lens · where: named in errors.
    Counters: `rows`; for each cut, in order, the rows it removed from those the cuts before it left; nobs_g, nobs_r, nobs_z overlap and are also
    counted together as `nobs`; `kept`; then one per pool and category. Raises InputError when the file lacks a column the cuts need.
    """
    require(
        columns, NEEDED + (("ebv",) if s.ebv_max is not None else ()), where, "the negative pool"
    )
    counters: dict[str, int] = {"rows": len(columns["ra"])}
    alive = np.arange(len(columns["ra"]))

    def cut(name: str, keeps: Callable[[Columns], np.ndarray]) -> None:
        nonlocal alive
        keep = keeps(take(columns, alive))
        counters[name] = int((~keep).sum())
        alive = alive[keep]

    bits = np.bitwise_or.reduce([np.int64(1) << bit for bit in s.maskbits], initial=np.int64(0))
    cut("not_primary", lambda c: c.get("brick_primary", np.ones(len(c["ra"]), bool)))
    cut("not_finite_position", lambda c: np.isfinite(c["ra"]) & np.isfinite(c["dec"]))
    cut("declination", lambda c: (c["dec"] > s.dec_min) & (c["dec"] < s.dec_max))
    cut("type", lambda c: np.isin(c["type"], (*s.types, *s.separate_types)))
    cut("maskbits", lambda c: (c["maskbits"] & bits) == 0)
    for band in BANDS:
        counters[f"nobs_{band}"] = int((columns[f"nobs_{band}"][alive] < s.nobs_min).sum())
    cut("nobs", lambda c: np.all([c[f"nobs_{band}"] >= s.nobs_min for band in BANDS], axis=0))
    cut("flux_z_not_positive", lambda c: np.isfinite(c["flux_z"]) & (c["flux_z"] > 0))
    cut("z_mag", lambda c: magnitude(c["flux_z"]) < s.z_mag_max)
    if s.ebv_max is not None:
        cut("ebv", lambda c: c["ebv"] < s.ebv_max)
    if s.abs_b_min is not None:
        cut(
            "galactic_latitude",
            lambda c: np.abs(galactic_latitude(c["ra"], c["dec"])) > s.abs_b_min,
        )
    cut(
        "near_lens",
        lambda c: (
            lenses.separation(c["ra"], c["dec"]) > s.lens_radius
            if lenses is not None
            else np.ones(len(c["ra"]), bool)
        ),
    )
    kept = take(columns, alive)
    counters["kept"] = len(alive)
    category = categories(kept, s, merging(columns, alive, s) if s.merger else None)
    separate = np.isin(kept["type"], s.separate_types) & ~np.isin(kept["type"], s.types)
    kept["pool"] = np.where(separate, kept["type"], np.where(category == "", "N1", "N2"))
    kept["confuser_category"] = np.where(separate, "", category)
    kept["nobs_z_bin"] = nobs_bin(kept["nobs_z"])
    kept["type_bin"] = type_bin(kept["type"])
    counters |= {
        pool: int((kept["pool"] == pool).sum()) for pool in ("N1", "N2", *s.separate_types)
    }
    counters |= {name: int((kept["confuser_category"] == name).sum()) for name in CATEGORIES}
    return kept, counters


def categories(
    c: Columns, s: Selection, merger: Bool[np.ndarray, " n"] | None = None
) -> np.ndarray:
    """Confuser category of each row, the first rule that holds; empty string when none does (pool N1).

    Fluxes and colours are as observed, not corrected for extinction. merger: rows with a comparable neighbour (`merging`).
    """
    r = magnitude(c["flux_r"])
    ellipticity = np.hypot(c["shape_e1"], c["shape_e2"])
    rules = [
        ((c["type"] == "DEV") | ((c["type"] == "SER") & (c["sersic"] >= s.ring_sersic_min)))
        & (c["flux_r"] >= s.ring_flux_r_min),
        (ellipticity >= s.edge_ellipticity_min) & (c["shape_r"] >= s.edge_shape_r_min),
        (magnitude(c["flux_g"]) - r <= s.blue_gr_max) & (r <= s.blue_r_mag_max),
        (c["shape_r"] >= s.large_shape_r_min) & (c["flux_r"] >= s.large_flux_r_min),
        merger if merger is not None else np.zeros(len(r), bool),
    ]
    return np.select(rules, CATEGORIES, "")


def merging(columns: Columns, rows: np.ndarray, s: Selection) -> Bool[np.ndarray, " k"]:
    """Whether each of the given rows has a neighbour of comparable r flux at merger_inner to merger_outer, among all rows of the catalogue.

    A neighbour in another file is not seen: at the border of a sweep the category is incomplete.
    """
    flux = columns["flux_r"]
    usable = np.flatnonzero(np.isfinite(columns["ra"]) & np.isfinite(columns["dec"]) & (flux > 0))
    found = np.zeros(len(rows), bool)
    if not len(usable) or not len(rows):
        return found
    tree = SkyTree(columns["ra"][usable], columns["dec"][usable])
    one, other, distance = tree.pairs(columns["ra"][rows], columns["dec"][rows], s.merger_outer)
    a, b = flux[rows[one]], flux[usable[other]]
    comparable = (
        (distance >= s.merger_inner)
        & (a > 0)
        & (np.minimum(a, b) >= s.merger_flux_ratio * np.maximum(a, b))
    )
    found[one[comparable]] = True
    return found


def magnitude(flux: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """AB magnitude of a flux in nanomaggies, 22.5 − 2.5 log10 f; NaN where the flux is not positive (no rule holds for NaN)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(flux > 0, 22.5 - 2.5 * np.log10(flux), np.nan)


def nobs_bin(nobs_z: np.ndarray) -> np.ndarray:
    """Stratum of the number of z exposures: 1-2, 3-5, 6-10, 11+; `other` below 1."""
    n = np.asarray(nobs_z)
    return np.select([n >= 11, n >= 6, n >= 3, n >= 1], ["11+", "6-10", "3-5", "1-2"], OTHER)


def type_bin(kind: np.ndarray) -> np.ndarray:
    """Stratum of the Tractor type: SER, DEV, REX; `other` for the rest."""
    return np.where(np.isin(kind, TYPE_BINS), kind, OTHER)


def galactic_latitude(
    ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Galactic latitude in degrees of J2000 positions in degrees; north galactic pole at 192.85948, +27.12825 (IAU 1958, J2000)."""
    pole_ra, pole_dec = np.radians(192.85948), np.radians(27.12825)
    a, d = np.radians(ra), np.radians(dec)
    sine = np.sin(d) * np.sin(pole_dec) + np.cos(d) * np.cos(pole_dec) * np.cos(a - pole_ra)
    return np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))
