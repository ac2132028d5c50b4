"""What differs between surveys, in one frozen object.

A `Survey` says which bands there are and in which order, how large a pixel is, what one unit of
its image files is worth, how dust dims each band, at which radii stamps are measured, how its
catalogue and its files are named, and under which conditions it observed. Nothing else in this
project knows a band, a pixel scale or a zero point: whoever needs one takes it from here.

    survey = load("ls_dr10")              # a shipped definition, from data/surveys/
    survey = load("my/survey.yaml")       # one of your own, with the same keys
    survey = of_run(out)                  # the one that a run was made for
    survey = default()                    # the one of a run that names none

The channels of every stamp are `survey.bands`, in that order, on the last axis. Inside the project
every image is in nanomaggies; files are converted where they are read (`nanomaggies_per_unit`).
"""

from __future__ import annotations

import math
import re
import string
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import Field, TypeAdapter, model_validator

from data.config import settings, validated
from data.files import replacing
from data.stores import Place, Remote, place
from lensjax import yamlfile
from lensjax.errors import InputError, nearest
from lensjax.units import ZERO_POINT

DEFAULT = "ls_dr10"
"""The survey of a run that names none."""

OF_A_RUN = "survey.yaml"
"""File of a run directory that holds the survey's definition."""

DEFINITION = "definition.yaml"
"""File of a survey's own folder that holds its definition, where there is one."""

VIEWER = re.compile(r"https?://[^\s{}<>\"'`]+\{ra\}[^\s{}<>\"'`]*\{dec\}[^\s{}<>\"'`]*")
"""What an address with a position in it looks like."""

MOST_BANDS = 16
"""Bands that a survey may have: as many as a cutout can hold."""

Positive = Annotated[float, Field(gt=0)]
Ring = tuple[Positive, Positive]
Part = Literal["core", "annulus"]


@settings
class Radii:
    """Radii (arcsec) from the middle of a stamp at which its pixels are judged and measured."""

    core: Positive
    """the core, whose brightness is a shortcut feature"""
    annulus: Ring
    """inner and outer radius of the ring whose brightness is a shortcut feature"""
    outer: Positive
    """width of the outermost zone, measured inwards from the edge of the stamp"""
    central: Positive
    """half the side of the central square in which few pixels may be missing"""
    clear: Positive
    """no pixel may be missing within this radius"""
    arc: Ring
    """inner and outer radius of the ring in which arcs are measured"""
    neighbour: Positive = 11.0
    """no galaxy nearer than this to a listed lens is a negative"""


@settings
class Rgb:
    """How a stamp becomes a picture: three bands as red, green and blue, after Lupton et al. 2004.

    A survey with fewer than three bands names one band several times."""

    bands: tuple[str, str, str]
    scale: tuple[Positive, Positive, Positive]
    """factor on each of the three bands, so that a galaxy of flat colour looks neutral"""
    stretch: Positive
    softening: Positive


@settings
class Catalogue:
    """How a survey's catalogue names its columns."""

    columns: dict[str, str] = Field(default_factory=dict)
    """column of this project (`data/columns.py`) to column of the file. `{band}` and `{BAND}` stand
    for a band, in lower and upper case. A column that is not listed has the upper-case name."""
    zero_point: float = ZERO_POINT
    """AB magnitude of one unit of the catalogue's fluxes"""
    types: tuple[str, ...] = ("SER", "DEV", "REX")
    """morphological types that the negative pool takes"""
    mask_bits: dict[str, int] = Field(default_factory=dict)
    """bits of maskbits that exclude an object, by name"""
    dec: tuple[float, float] = (-90.0, 90.0)
    """declination limits of the survey (degrees), both exclusive"""
    magnitude_max: float = 20.0
    """magnitude in the selection band that negatives must be brighter than"""


@settings
class Images:
    """How a survey names its coadded images. `{brick}`, `{brick3}` (first three letters) and
    `{band}` are filled in; a name with other fields, or one that leads out of the survey's folder,
    is refused."""

    folder: str = "coadd/{brick3}/{brick}"
    image: str = "legacysurvey-{brick}-image-{band}.fits.fz"
    invvar: str = "legacysurvey-{brick}-invvar-{band}.fits.fz"
    layer: str = ""
    """name of the layer in the cutout service, written to every cutout"""

    @model_validator(mode="after")
    def _stay_below(self) -> Images:
        for key in ("folder", "image", "invvar"):
            text = getattr(self, key)
            try:
                fields = {
                    f: (c, s) for _, f, s, c in string.Formatter().parse(text) if f is not None
                }
            except ValueError as error:
                raise ValueError(f"images.{key} {text!r}: {error}") from None
            known = ("brick", "brick3", "band") if key != "folder" else ("brick", "brick3")
            if wrong := [f for f, more in fields.items() if f not in known or any(more)]:
                raise ValueError(f"images.{key} has field {wrong[0]!r}; use {', '.join(known)}")
            parts = PurePosixPath(text).parts
            if key != "folder" and "brick" not in fields:
                raise ValueError(f"images.{key} {text!r} is one file for all bricks; add {{brick}}")
            if text.startswith("/") or ".." in parts or (key != "folder" and len(parts) != 1):
                raise ValueError(f"images.{key} {text!r}: give a name below the survey's folder")
        return self


@settings
class Conditions:
    """How the survey observed, as quantiles over its regions: what a simulation draws from."""

    probability: tuple[float, ...]
    """cumulative probability of each quantile below"""
    fwhm: tuple[Positive, ...]
    """PSF FWHM in the reference band, arcsec"""
    m5: tuple[float, ...]
    """5-sigma point-source depth in the reference band, AB mag"""
    ebv: tuple[float, ...]
    """E(B-V), mag"""
    m5_offset: tuple[float, ...]
    """depth of each band against the reference band, mag"""
    m5_one_exposure: tuple[float, ...]
    """depth of one exposure in each band, AB mag"""
    sky: tuple[float, ...]
    """sky brightness in each band, mag/arcsec^2, which sets the Poisson noise of objects"""
    seeing_depth: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """rank correlation of FWHM and depth"""
    moffat_beta: Annotated[float, Field(gt=1)] = 3.5


@settings
class Survey:
    """A survey; see the module's docstring. Every tuple with one value per band is in the order of
    `bands`."""

    name: str
    """short name of letters, digits, `-` and `_`"""
    title: str
    """what people call it"""
    bands: tuple[str, ...]
    reference: str
    """band of the one PSF and the one depth that stand for an object, and of its shape"""
    selection_band: str
    """band of the magnitude limit and of the exposure strata"""
    pixel_scale: Annotated[float, Field(gt=0, le=100)]
    """arcsec per pixel"""
    stamp: Annotated[int, Field(ge=32, le=1024)]
    """side of a cutout, pixels, unless something else is asked for"""
    fwhm_ratio: tuple[Positive, ...]
    """PSF FWHM of each band over that of the reference band, used where only one is known"""
    extinction: tuple[Annotated[float, Field(ge=0)], ...]
    """A / E(B-V) of each band, on the scale of Schlegel, Finkbeiner & Davis 1998"""
    wavelength: tuple[Positive, ...]
    """effective wavelength of each band, nm"""
    radii: Radii
    rgb: Rgb
    conditions: Conditions
    zero_point: float = ZERO_POINT
    """AB magnitude of one unit of the image files"""
    colour: tuple[str, str] | None = None
    """two bands whose magnitude difference tells blue galaxies from red ones; none: no such cut"""
    catalogue: Catalogue = Catalogue()
    images: Images = Images()
    viewer: str = ""
    """address at which people look at a position, with {ra} and {dec} (degrees); empty: none"""
    source: str = ""
    """where the numbers come from"""

    def ring(self, part: Part) -> tuple[float, float]:
        """Inner and outer radius (pixels) of a part of a stamp: `core`, which an arc should not be
        needed to be in, and `annulus`, from there to where arcs end."""
        core, end = (r / self.pixel_scale for r in (self.radii.core, self.radii.arc[1]))
        return (0.0, core) if part == "core" else (core, end)

    @model_validator(mode="after")
    def _consistent(self) -> Survey:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise ValueError(f"name {self.name!r}: use letters, digits, - and _")
        known = f"bands are {', '.join(self.bands)}"
        if not self.bands or len({band.lower() for band in self.bands}) < len(self.bands):
            raise ValueError(f"bands {list(self.bands)}: give at least one, each once in any case")
        if len(self.bands) > MOST_BANDS:
            raise ValueError(f"{len(self.bands)} bands: give at most {MOST_BANDS}")
        if wrong := [b for b in self.bands if not re.fullmatch(r"[A-Za-z0-9]+", b)]:
            raise ValueError(f"band {wrong[0]!r}: use letters and digits")
        named = {"reference": [self.reference], "selection_band": [self.selection_band]}
        named |= {"rgb.bands": [*self.rgb.bands], "colour": [*(self.colour or ())]}
        for key, bands in named.items():
            if missing := [b for b in bands if b not in self.bands]:
                raise ValueError(f"{key} names band {missing[0]!r}; {known}; name one of them")
        per_band = {
            "fwhm_ratio": self.fwhm_ratio,
            "extinction": self.extinction,
            "wavelength": self.wavelength,
            "conditions.m5_offset": self.conditions.m5_offset,
            "conditions.m5_one_exposure": self.conditions.m5_one_exposure,
            "conditions.sky": self.conditions.sky,
        }
        for key, values in per_band.items():
            if len(values) != len(self.bands):
                raise ValueError(
                    f"{key} has {len(values)} values for {len(self.bands)} bands; "
                    f"give one for each of {', '.join(self.bands)}"
                )
        c = self.conditions
        per_region = {
            f"conditions.{k}": getattr(c, k) for k in ("probability", "fwhm", "m5", "ebv")
        }
        for key, values in (per_band | per_region | {"zero_point": (self.zero_point,)}).items():
            if not all(math.isfinite(value) for value in values):
                raise ValueError(f"{key} {list(values)}: give finite numbers")
        for key in ("image", "invvar"):
            if len(self.bands) > 1 and "{band}" not in getattr(self.images, key):
                raise ValueError(f"images.{key} is one file for all bands; add {{band}}")
        if not len(c.probability) == len(c.fwhm) == len(c.m5) == len(c.ebv):
            raise ValueError("conditions: probability, fwhm, m5 and ebv need equally many values")
        if any(b <= a for a, b in zip(c.probability, c.probability[1:])):
            raise ValueError("conditions.probability must increase")
        if self.viewer and not VIEWER.fullmatch(self.viewer):
            raise ValueError(
                f"viewer {self.viewer!r}: expected https://... with {{ra}} and {{dec}}, once each"
            )
        if self.fwhm_ratio[self.place] != 1:
            raise ValueError(f"fwhm_ratio of the reference band {self.reference} must be 1")
        for ring in (self.radii.annulus, self.radii.arc):
            if ring[0] >= ring[1]:
                raise ValueError(f"radii {list(ring)}: the inner radius must be the smaller one")
        return self

    @property
    def place(self) -> int:
        """Place of the reference band among the channels."""
        return self.bands.index(self.reference)

    @property
    def nanomaggies_per_unit(self) -> float:
        """Factor from the unit of the image files to nanomaggies."""
        return float(10 ** (0.4 * (ZERO_POINT - self.zero_point)))

    @property
    def bands_text(self) -> str:
        """The bands in order as one text, as cutouts record it: one word, with commas between the
        bands where a name has several letters."""
        return ("" if all(len(b) == 1 for b in self.bands) else ",").join(self.bands)

    @property
    def typical_fwhm(self) -> float:
        """Median PSF FWHM in the reference band, arcsec."""
        return float(np.interp(0.5, self.conditions.probability, self.conditions.fwhm))

    def pixels(self, arcsec: float) -> float:
        """A length on the sky in pixels."""
        return arcsec / self.pixel_scale

    def size(self, arcsec: float) -> int:
        """The smallest odd number of pixels that spans a length on the sky."""
        return 2 * math.ceil((self.pixels(arcsec) - 1) / 2 - 1e-9) + 1

    def per_band(self, *stems: str) -> tuple[str, ...]:
        """Names of columns of which there is one for every band: stem by stem, in band order."""
        return tuple(f"{stem}_{band}" for stem in stems for band in self.bands)


def names() -> list[str]:
    """Names of the shipped surveys."""
    found = resources.files("data") / "surveys"
    return sorted(p.name.removesuffix(".yaml") for p in found.iterdir() if _is_yaml(p.name))


@cache
def default() -> Survey:
    """The survey of a run that names none."""
    return load(DEFAULT)


def load(source: str | Path) -> Survey:
    """The survey of that name, or the one that a YAML file defines.

    Raises InputError for an unknown name and for a file that is missing, is not YAML, or does not
    define a survey; the message names the key.
    """
    name = str(source)
    if name in names():
        path = Path(str(resources.files("data") / "surveys" / f"{name}.yaml"))
    else:
        path = Path(name)
        if not path.is_file():
            known = names()
            raise InputError(
                f"survey {name!r}: neither a file nor one of {', '.join(known)} "
                f"{nearest(name, known)}".rstrip()
            )
    raw = yamlfile.read(path, f"survey {name}")
    if not isinstance(raw, dict):
        raise InputError(f"survey {name}: expected a mapping of keys to values, see data/surveys/")
    return validated(Survey, raw, f"survey {name}")


def plain(survey: Survey) -> dict[str, Any]:
    """The definition as plain values, as YAML and JSON hold it."""
    return TypeAdapter(Survey).dump_python(survey, mode="json")


def write(path: str | Path, survey: Survey) -> None:
    """Writes the definition; `load` reads it back."""
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(plain(survey), sort_keys=False, allow_unicode=True))


def of_run(out: str | Path) -> Survey:
    """The survey that a run directory was made for; the default one where the run does not say."""
    path = Path(out) / OF_A_RUN
    return load(path if path.is_file() else DEFAULT)


def chosen(definition: str, root: str | Place) -> Survey:
    """The survey that a catalogue's folder belongs to: the one asked for by name or path; else the
    one that `root` defines; else the default one. Raises InputError as `load` does."""
    own = place(root) / DEFINITION
    if definition or not own.is_file():
        return load(definition or DEFAULT)
    if isinstance(own, Remote):
        with own.copied() as local:
            return load(local)
    return load(own)


def _is_yaml(name: str) -> bool:
    return name.endswith(".yaml") and not name.startswith((".", "_"))
