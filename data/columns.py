"""Every column of the project, once: its name, type and unit, where it comes from, who has it.

A name with `{band}` stands for one column a band of the survey; `{reference}` and `{selection}`
stand for the survey's reference band and selection band. For the Legacy Surveys in g, r, z,
`nobs_{selection}_bin` is `nobs_z_bin`.

    columns(survey, "manifest")     # the columns of a stage, in the order of its files
    types(survey, "manifest")       # the same as {name: type}
    schema(survey, "manifest")      # the same as an Arrow schema, with units in the field metadata

The stages are `catalogue` (what is read from a survey's tables), `pool` (the negatives), `sample`
(what gets a cutout), `manifest` (one row a cutout), `shard` (what goes with the pixels) and
`scores` (what figures of a finder are broken down by).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

from data.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa

Type = Literal["string", "int64", "float64", "bool"]
Stage = Literal["catalogue", "pool", "sample", "manifest", "shard", "scores"]
STAGES: tuple[Stage, ...] = ("catalogue", "pool", "sample", "manifest", "shard", "scores")


@dataclass(frozen=True)
class Column:
    """A column, or one for each band."""

    name: str
    type: Type
    unit: str
    """as FITS writes it; empty for text, numbers of things and true or false"""
    origin: str
    """catalogue, selection, cutout (its file and metadata), pixels, split, sample, or lenses"""
    stages: tuple[Stage, ...]
    required: tuple[Stage, ...] = ()
    """stages in whose files it may not be missing or null"""


def _rows(origin: str, stages: str, *rows: str) -> list[Column]:
    """Columns of one origin and the same stages, from lines `name type unit`, with `!` at the end
    of a name that is required in the manifest and in shards."""
    initial = {stage[:2]: stage for stage in STAGES}
    of = tuple(initial[word] for word in stages.split())
    made = []
    for row in rows:
        name, kind, *unit = row.split()
        needed = tuple(s for s in of if s in ("manifest", "shard")) if name[-1] == "!" else ()
        text = " ".join(unit)
        made.append(Column(name.rstrip("!"), cast(Type, kind), text, origin, of, needed))
    return made


ALL: tuple[Column, ...] = (
    *_rows("cutout", "ma", "cutout_path! string", "filename string"),
    Column("galaxy_id", "string", "", "catalogue", STAGES, ("shard",)),
    *_rows("sample", "sa ma sh sc", "label! int64"),
    *_rows("sample", "sa ma", "cutout_type string"),
    *_rows("catalogue", "ca po sa ma sh sc", "ra float64 deg", "dec float64 deg"),
    *_rows("cutout", "ma", "size int64 pixel", "pixel_scale float64 arcsec/pixel"),
    *_rows("cutout", "ma", "timestamp string", "pipeline_version string", "cutout_url string"),
    *_rows("cutout", "ma", "layer string", "bands_requested string"),
    *_rows("sample", "sa ma sh sc", "tier string"),
    *_rows("sample", "sa ma", "weight float64"),
    *_rows("catalogue", "ca po sa ma sh sc", "nobs_{selection} int64"),
    *_rows("sample", "sa ma", "match_type string"),
    *_rows("catalogue", "ca po sa ma", "brickname string"),
    *_rows("pixels", "ma", "nan_count_{band} int64 pixel"),
    *_rows("pixels", "ma", "nan_frac float64", "central_nan_frac float64", "has_{band} bool"),
    *_rows(
        "pixels",
        "ma",
        *(
            f"{name}_{{reference}} float64 nanomaggy"
            for name in (
                *("core_brightness", "core_max", "annulus_brightness", "annulus_std"),
                *("outer_brightness", "radial_gradient", "mad", "std", "median", "mean"),
                *("percentile_1", "percentile_99"),
            )
        ),
        "clip_frac_{reference} float64",
        "quality_ok bool",
    ),
    *_rows("split", "sa ma sh sc", "split! string"),
    *_rows("sample", "sa ma sh", "sample_weight! float64"),
    *_rows("selection", "po sa ma sh sc", "pool string", "confuser_category string"),
    *_rows("selection", "po sa ma sh sc", "nobs_{selection}_bin string"),
    *_rows("catalogue", "ca po sa ma sh", "type string"),
    *_rows("selection", "po sa ma sh sc", "type_bin string"),
    *_rows("split", "sa ma sh sc", "healpix_128 int64"),
    *_rows("catalogue", "ca po sa ma sh", "psfsize_{band} float64 arcsec"),
    *_rows("catalogue", "ca po sa ma sh", "psfdepth_{band} float64 nanomaggy-2"),
    *_rows("catalogue", "ca po sa ma sh", "galdepth_{band} float64 nanomaggy-2"),
    *_rows("catalogue", "sc", "psfsize_{reference} float64 arcsec"),
    *_rows("catalogue", "sc", "psfdepth_{reference} float64 nanomaggy-2"),
    *_rows("catalogue", "ca po sa ma sh sc", "ebv float64 mag"),
    *_rows("catalogue", "ca po sa", "release int64", "objid int64", "nobs_{band} int64"),
    *_rows("catalogue", "ca po sa", "maskbits int64", "flux_{band} float64 nanomaggy"),
    *_rows("catalogue", "ca po sa", "shape_r float64 arcsec", "shape_e1 float64"),
    *_rows("catalogue", "ca po sa", "shape_e2 float64", "sersic float64"),
    *_rows("lenses", "sa", "lens_name string", "separation_arcsec float64 arcsec"),
    *_rows("sample", "sa", "source_cutout string"),
    *_rows("pixels", "sc", "logit float64", "score float64"),
)
"""The table. Its order is that of the manifest; what the manifest lacks comes after it."""

DESCRIPTIONS: dict[str, str] = {
    "galaxy_id": "brick, number in the brick and, for other releases than DR10, release",
    "brickname": "brick that the object belongs to",
    "type": "morphological type of the catalogue's fit",
    "release": "number of the release",
    "objid": "number in the brick",
    "nobs_{band}": "exposures in {band} at the object",
    "maskbits": "bits of the masks at the object",
    "ra": "right ascension, ICRS",
    "dec": "declination, ICRS",
    "flux_{band}": "flux in {band}, not corrected for dust",
    "shape_r": "half-light radius",
    "shape_e1": "first component of the ellipticity",
    "shape_e2": "second component of the ellipticity",
    "sersic": "Sersic index",
    "psfsize_{band}": "FWHM of the PSF in {band}",
    "psfdepth_{band}": "inverse variance of the flux of a point source in {band}",
    "galdepth_{band}": "inverse variance of the flux of a round galaxy of 0.45 arcsec in {band}",
    "ebv": "reddening E(B-V)",
    "nobs_{selection}_bin": "bin of the exposures in {selection}, for the strata",
    "type_bin": "bin of the type, for the strata",
    "pool": "N1 for what a finder meets, N2 for hard confusers",
    "confuser_category": "rule by which it is a hard confuser",
    "healpix_128": "HEALPix pixel, nside 128, nested, that decides over the split",
    "label": "1 for a lens, 0 for none",
    "cutout_type": "positive, negative or host",
    "tier": "A for a graded lens, B for a probable one, N1 or N2",
    "weight": "weight of the tier",
    "sample_weight": "weight in training",
    "match_type": "type of the catalogue row that a lens was matched to",
    "split": "train, val or test",
    "lens_name": "name in the lens list",
    "separation_arcsec": "distance of the lens list's position from the catalogue's",
    "source_cutout": "file of an existing cutout",
}
"""What the columns of the pool and the sample are, by the patterns of their names."""

_CATALOGUE = (
    *("galaxy_id", "brickname", "type", "release", "objid", "nobs_{band}", "maskbits"),
    *("ra", "dec", "flux_{band}", "shape_r", "shape_e1", "shape_e2", "sersic"),
    *("psfsize_{band}", "psfdepth_{band}", "galdepth_{band}", "ebv"),
)
_POOL = (*_CATALOGUE, "nobs_{selection}_bin", "type_bin", "pool", "confuser_category")
ORDER: dict[Stage, tuple[str, ...]] = {
    "catalogue": _CATALOGUE,
    "pool": _POOL,
    "sample": (
        *(*_POOL, "healpix_128", "label", "cutout_type", "tier", "weight", "sample_weight"),
        *("match_type", "split", "lens_name", "separation_arcsec", "source_cutout"),
    ),
    "shard": (
        *("galaxy_id", "label", "split", "sample_weight", "tier", "pool", "confuser_category"),
        *("type", "type_bin", "nobs_{selection}_bin", "nobs_{selection}", "ra", "dec"),
        *("healpix_128", "ebv", "psfsize_{band}", "psfdepth_{band}", "galdepth_{band}"),
    ),
    "scores": (
        *("galaxy_id", "split", "label", "tier", "pool", "confuser_category", "type_bin"),
        *("nobs_{selection}_bin", "nobs_{selection}", "psfsize_{reference}"),
        *("psfdepth_{reference}", "ebv", "ra", "dec", "healpix_128", "logit", "score"),
    ),
}
"""Order of the columns in files of the stages whose order is not that of the table."""


def columns(survey: Survey, stage: Stage) -> tuple[Column, ...]:
    """The columns that files of a stage have for a survey, in order, each name once."""
    return _columns(survey.bands, survey.reference, survey.selection_band, stage)


@lru_cache(maxsize=64)
def _columns(
    bands: tuple[str, ...], reference: str, selection: str, stage: Stage
) -> tuple[Column, ...]:
    found: dict[str, Column] = {}
    for column in ALL:
        if stage in column.stages:
            for name in _expanded(column.name, bands, reference, selection):
                found.setdefault(name, replace(column, name=name))
    if stage not in ORDER:
        return tuple(found.values())
    ordered = (n for p in ORDER[stage] for n in _expanded(p, bands, reference, selection))
    return tuple(found[name] for name in ordered)


def _expanded(pattern: str, bands: tuple[str, ...], reference: str, selection: str) -> list[str]:
    """The names that a pattern stands for."""
    each = bands if "{band}" in pattern else ("",)
    return [pattern.format(band=b, reference=reference, selection=selection) for b in each]


def names(survey: Survey, stage: Stage) -> tuple[str, ...]:
    """Names of the columns of a stage, in order."""
    return tuple(column.name for column in columns(survey, stage))


def types(survey: Survey, stage: Stage) -> dict[str, Type]:
    """Name and type of the columns of a stage, in order."""
    return {column.name: column.type for column in columns(survey, stage)}


def descriptions(survey: Survey) -> dict[str, str]:
    """What the columns of the pool and the sample are, by name."""
    one = {"reference": survey.reference, "selection": survey.selection_band}
    return {
        pattern.format(band=band, **one): text.format(band=band, **one)
        for pattern, text in DESCRIPTIONS.items()
        for band in (survey.bands if "{band}" in pattern else ("",))
    }


def required(survey: Survey, stage: Stage) -> tuple[str, ...]:
    """Names of the columns that may not be missing or null in files of a stage."""
    return tuple(column.name for column in columns(survey, stage) if stage in column.required)


def schema(survey: Survey, stage: Stage, only: Iterable[str] | None = None) -> pa.Schema:
    """Arrow schema of a stage: types, units in the field metadata, and the survey's name.

    only: names to leave in it; all if None.
    """
    import pyarrow as pa

    make = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
    chosen = None if only is None else set(only)
    fields = [
        pa.field(
            column.name,
            make[column.type],
            nullable=stage not in column.required,
            metadata={"unit": column.unit} if column.unit else None,
        )
        for column in columns(survey, stage)
        if chosen is None or column.name in chosen
    ]
    return pa.schema(fields, metadata={"survey": survey.name})


def as_column(value: Any, kind: str) -> Any:
    """A value that somebody wrote, as a column of this type has it; None where it is none: a number
    that is not finite, a text for a number, a fraction for a whole number."""
    value = value.item() if hasattr(value, "item") else value
    if kind == "string":
        nothing = value is None or value == "" or value != value
        return None if nothing else str(value)
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if kind == "float64":
        return float(value)
    whole = int(value)
    return whole if whole == value and -(2**63) <= whole < 2**63 else None
