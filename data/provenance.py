"""What the header of a file says of its pixels, compared with what they are taken for.

A file can have the right name and hold something else: the image of another band or another brick,
a map of inverse variances, fluxes with another zero point. Where the header says so, the file is
refused. Where it says nothing, that is noted, and the note goes into the metadata of every cutout
made of the file (`meta_provenance`); it is never taken as a proof of anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from data.survey import Survey
from lensjax.errors import InputError

BAND_KEYS = ("FILTER", "BAND", "FILTNAM", "FILTNAME", "FILTER1")
KIND_KEYS = ("IMTYPE", "PRODTYPE", "IMAGETYP", "EXTNAME", "EXTTYPE", "DATATYPE")
ZERO_POINT_KEYS = (
    *("MAGZERO", "MAGZP", "MAGZPT", "MAGZEROP", "MAG_ZP", "ZEROPNT", "ZEROPOIN", "ZEROPT"),
    *("PHOTZP", "PHOTZERO", "ZP", "ZPT", "ZPMAG", "SA_ZP", "ABZP", "ABMAGZP"),
)
BRICK_KEYS = ("BRICKNAM", "BRICKNAME", "BRICK")
RELEASE_KEY, SIMULATED_KEY = "DRVERSIO", "SIMULATD"
SHARED_KEYS = (
    *BAND_KEYS,
    *ZERO_POINT_KEYS,
    *BRICK_KEYS,
    *("FLUXMAG0", "BUNIT", "IMTYPE", "PRODTYPE", "IMAGETYP", "DATATYPE"),
    *(RELEASE_KEY, SIMULATED_KEY, "DATE", "SURVEY", "VERSION"),
)
"""Keys that hold for every image of a file when they are in its primary header."""

NOT_AN_IMAGE = frozenset(
    "invvar ivar inv inverse wtmap weight weights wht wgt wt var variance varmap err error errors "
    "rms sigma std noise nexp expmap exposure exposures exptime nobs mask masks maskbits bitmask "
    "msk bpm badpix dq dqm dqmask flag flags quality psf psfex psfsize chi2 model resid residual "
    "residuals blobmodel depth psfdepth galdepth bkg background sky skymap seg segmap segmentation "
    "blob blobs flat bias dark zero".split()
)
"""Words that name something other than the flux of a coadd."""

ZERO_POINT_OF_UNIT = {
    **dict.fromkeys(("nanomaggy", "nanomaggies", "nmgy", "nmaggy", "nanomgy"), 22.5),
    **dict.fromkeys(("maggy", "maggies", "mgy"), 0.0),
    **dict.fromkeys(("njy", "nanojansky", "nanojanskys"), 31.4),
    **dict.fromkeys(("ujy", "microjansky", "microjanskys", "µjy", "μjy"), 23.9),
    **dict.fromkeys(("mjy", "millijansky"), 16.4),
    **dict.fromkeys(("jy", "jansky", "janskys"), 8.9),
}
"""AB magnitude of one unit, for units of flux density in lower case."""
SQUARED = re.compile(
    r"(magg(y|ies)|mgy|jy|janskys?|adu|electrons?|counts?|cts|dn)[ )]*(\^|\*\*)?[ (]*[-+]?2\b"
)
"""a power of a flux, as of variances and their inverse"""
SAME_ZERO_POINT = 0.01
"""magnitudes; 1 nanojansky is AB 31.400, or 31.4036 with the AB system's 3631 Jy rounded"""
SAME_SCALE = 0.01
"""fraction"""


def check(
    header: Mapping[str, Any],
    where: object,
    survey: Survey,
    *,
    band: str = "",
    brick: str = "",
    zero_point: float | None = None,
) -> tuple[str, ...]:
    """What the header leaves unsaid of an image, as names ("band", "zero point", ...).

    where: the file, for errors. band, brick: what the image is taken for, if one of each.
    zero_point: AB magnitude of one unit of the file, if it is not the survey's.
    Raises InputError when the header says that it is something else.
    """
    expected = survey.zero_point if zero_point is None else zero_point
    silent = [
        *_kind(header, where),
        *_flux_unit(header, where, expected),
        *(_band(header, where, survey, band) if band else ()),
        *(_brick(header, where, brick) if brick else ()),
    ]
    return tuple(silent)


def kind_problem(header: Mapping[str, Any]) -> str:
    """The card by which an image is not one of fluxes, as text; empty when no card says so."""
    for key in KIND_KEYS:
        words = re.split(r"[^a-z0-9]+", str(header.get(key, "")).lower())
        if NOT_AN_IMAGE.intersection(words):
            return f"{key} {str(header[key])!r}"
    unit = str(header.get("BUNIT", "")).strip()
    if re.match(r"1 */", unit) or SQUARED.search(unit.lower()):
        return f"BUNIT {unit!r}"
    return ""


def band_of(text: str, survey: Survey) -> str:
    """The band that the text of a FILTER card names; empty when it is not understood.

    The forms in use differ: `g`, `g DECam SDSS c0001 4720.0 1520.0`, `zd DECam k1038`, `HSC-I2`,
    `SDSS r`, `VIS`. A band of the survey is its name there; another band is in lower case.
    """
    words = [w for w in re.split(r"[^A-Za-z0-9]+", text) if w]
    own = {b.lower(): b for b in survey.bands}
    for word in words:
        if word in survey.bands or word.lower() in own:
            return word if word in survey.bands else own[word.lower()]
    for word in words:
        match = re.fullmatch(r"(?:bok|sdss|ps1|hsc)?([ugrizy])(?:d|s|p1|p|2|\d)?", word.lower())
        if match:
            return own.get(match[1], match[1])
        if re.fullmatch(r"vis|nir|nisp|[jhk]s?|f\d{3,4}[a-z]{1,2}", word.lower()):
            return word.lower()
    return ""


def _kind(header: Mapping[str, Any], where: object) -> tuple[str, ...]:
    if problem := kind_problem(header):
        raise InputError(
            f"{where}: {problem} in its header: this is not an image of fluxes; put the image there"
        )
    known = ("IMTYPE", "PRODTYPE", "IMAGETYP", "DATATYPE")
    return () if any(str(header.get(key, "")).strip() for key in known) else ("kind of image",)


def zero_points(header: Mapping[str, Any], where: object) -> dict[str, float]:
    """AB magnitudes of one unit of an image by the cards of its header that say it, each card as
    text. Raises InputError when the header says that the image is not a flux per pixel."""
    said: dict[str, float] = {}
    for key in ZERO_POINT_KEYS:
        value = _number(header.get(key))
        if math.isfinite(value):
            said[f"{key} {value:g}"] = value
    flux = _number(header.get("FLUXMAG0"))
    if math.isfinite(flux) and flux > 0:
        said[f"FLUXMAG0 {flux:g}"] = 2.5 * math.log10(flux)
    unit = str(header.get("BUNIT", "")).strip()
    if unit.lower() in ZERO_POINT_OF_UNIT:
        # MJy is a megajansky, mJy a millijansky; only here do capitals matter.
        said[f"BUNIT {unit!r}"] = 8.9 - 15 if unit == "MJy" else ZERO_POINT_OF_UNIT[unit.lower()]
    elif re.search(r"^mag(s|nitudes?)?\b|/ *(sr|arcsec)", unit.lower()):
        raise InputError(
            f"{where}: BUNIT {unit!r} in its header is not a flux per pixel; convert the image"
        )
    return said


def _flux_unit(header: Mapping[str, Any], where: object, expected: float) -> tuple[str, ...]:
    said = zero_points(header, where)
    for text, value in said.items():
        if abs(value - expected) > SAME_ZERO_POINT:
            raise InputError(
                f"{where}: {text} in its header means zero point {value:.4g}, expected "
                f"{expected:g}; convert the image, or set zero_point in the survey's definition"
            )
    return () if said else ("zero point",)


def _number(value: Any) -> float:
    """The value of a card as a number, also where it was written as text; NaN if it is none."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan


def _band(header: Mapping[str, Any], where: object, survey: Survey, band: str) -> tuple[str, ...]:
    understood = False
    for key in BAND_KEYS:
        text = str(header.get(key, "")).strip()
        found = band_of(text, survey)
        if found and found != band:
            raise InputError(
                f"{where}: {key} {text!r} in its header, expected band {band}; "
                "give the file its right name, or put the right image there"
            )
        understood = understood or bool(found)
    return () if understood else ("band",)


def _brick(header: Mapping[str, Any], where: object, brick: str) -> tuple[str, ...]:
    said = False
    for key in BRICK_KEYS:
        value = header.get(key)
        text = value.strip() if isinstance(value, str) else ""
        if text and text != brick:
            raise InputError(
                f"{where}: {key} {text!r} in its header, expected brick {brick}; "
                "put the file into its own brick's folder"
            )
        said = said or bool(text)
    return () if said else ("brick",)


def scale_problem(found: float, expected: float) -> str:
    """Why a pixel scale (arcsec) is not the expected one, within 1 %; empty when it is."""
    if abs(found / expected - 1) < SAME_SCALE:
        return ""
    return f"pixel scale {found:.6g}, expected {expected:g} arcsec"


def release(header: Mapping[str, Any]) -> int | None:
    """Number of the Legacy Surveys' data release that a header names (10 for 10000), if any."""
    value = header.get(RELEASE_KEY)
    text = str(value).strip()
    if not re.fullmatch(r"\d{4,5}(\.0*)?", text):
        return None
    return int(float(text)) // 1000


def simulated(header: Mapping[str, Any]) -> bool:
    """Whether a header says that its image was simulated."""
    return bool(header.get(SIMULATED_KEY))


def note(silent: Any, *more: str) -> str:
    """The metadata `provenance` of a cutout: what no header confirmed, and other remarks."""
    names = list(dict.fromkeys(silent))
    said = [f"not in the header: {', '.join(names)}"] if names else []
    return "; ".join([*said, *(text for text in more if text)])
