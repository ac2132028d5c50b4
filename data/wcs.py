"""Where pixels lie on the sky, by the header of a FITS image.

Every card that the FITS standard knows for this is read, by astropy: a CD matrix, CDELT alone, PC
with CDELT, CROTA2, LONPOLE and LATPOLE, the distortions SIP and TPV. The project looks at pixel
positions only. How an image lies on the sky does not matter to it, rotated or mirrored, as long as
pixels are square and of the same size; `orientation` says how it lies.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from lensjax.errors import InputError

CARDS = re.compile(
    r"WCSAXES|NAXIS[123]?|CTYPE\d|CUNIT\d|CRVAL\d|CRPIX\d|CDELT\d|CROTA\d|CD\d_\d|PC\d_\d|PV\d_\d+"
    r"|LONPOLE|LATPOLE|RADESYS|RADECSYS|EQUINOX|EPOCH|(A|B|AP|BP)_(ORDER|DMAX|\d_\d)"
)
REQUIRED = ("CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2")
SIZE_CARDS = re.compile(r"CD\d_\d|PC\d_\d|CDELT\d")
SAME_PLACE = 0.05
"""pixels: two images whose pixels lie nearer than this to each other have the same WCS"""


def has_wcs(header: Mapping[str, Any]) -> bool:
    """Whether a header places its pixels on the sky at all."""
    return all(key in header for key in REQUIRED)


def wcs(header: Mapping[str, Any], where: object = "image") -> Any:
    """The astropy WCS of the first two axes of an image.

    Raises InputError, naming `where`, when the header has no usable WCS: cards that are missing or
    contradict each other, no scale at all, axes other than right ascension and declination, or a
    reference system other than ICRS and J2000.
    """
    from astropy.io import fits
    from astropy.wcs import WCS

    cards = {
        key: value
        for key, value in header.items()
        if CARDS.fullmatch(key) and isinstance(value, int | float | str)
    }
    cure = "write its WCS again"
    missing = [key for key in REQUIRED if key not in cards]
    if missing:
        raise InputError(f"{where}: no {missing[0]} in its header, so it has no WCS; {cure}")
    sizes = {key for key in cards if SIZE_CARDS.fullmatch(key)}
    if not sizes or sizes in ({"CDELT1"}, {"CDELT2"}):
        raise InputError(
            f"{where}: neither CD nor PC nor CDELT1 and CDELT2 in its header, so its pixels have "
            f"no size; {cure}"
        )
    kinds = f"{cards['CTYPE1']!r}, {cards['CTYPE2']!r}"
    if re.search(r"-(TNX|ZPX)", kinds):
        raise InputError(
            f"{where}: CTYPE {kinds} have a distortion of IRAF that is not read; "
            "convert it to TPV or SIP"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Two axes: the third of a cube counts bands, and is no position.
            found = WCS(fits.Header(cards), naxis=2)
            matrix = np.asarray(found.pixel_scale_matrix, np.float64)
    except Exception as error:  # wcslib and astropy have many types of their own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{where}: its WCS cannot be used ({reason}); {cure}") from None
    inner = found.wcs
    if {str(inner.lngtyp).strip(), str(inner.lattyp).strip()} != {"RA", "DEC"}:
        raise InputError(f"{where}: CTYPE {kinds} are not right ascension and declination; {cure}")
    system, equinox = str(inner.radesys).strip().upper(), float(inner.equinox)
    if system.startswith("FK4") or (
        np.isfinite(equinox) and equinox != 2000 and system in ("", "FK5")
    ):
        raise InputError(
            f"{where}: positions of {system} {equinox:g}, expected ICRS or J2000; {cure}"
        )
    if not np.isfinite(matrix).all() or np.linalg.det(matrix) == 0:
        raise InputError(f"{where}: the matrix of its WCS is singular; {cure}")
    return found


def pixel_positions(
    header: Mapping[str, Any], ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Column and row (from 0, centres at integers) of positions in degrees; NaN for positions that
    the projection cannot reach. Distortions are taken into account."""
    ra, dec = np.atleast_1d(np.asarray(ra, np.float64)), np.atleast_1d(np.asarray(dec, np.float64))
    found = wcs(header)
    if found.has_distortion:
        x, y = found.all_world2pix(ra, dec, 0, ra_dec_order=True, quiet=True)
    else:
        x, y = found.wcs_world2pix(ra, dec, 0, ra_dec_order=True)
    return np.asarray(x), np.asarray(y)


def sky_positions(
    header: Mapping[str, Any], x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Right ascension and declination (degrees) of columns and rows counted from 0."""
    x, y = np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
    ra, dec = wcs(header).all_pix2world(x, y, 0, ra_dec_order=True)
    return np.asarray(ra), np.asarray(dec)


def pixel_scale(header: Mapping[str, Any]) -> float:
    """Arcsec per pixel: the root of the area of a pixel at the reference position.

    NaN when the header says nothing of the size of pixels. Raises InputError as `wcs` does, and
    when pixels are not square within 1 %.
    """
    if not any(SIZE_CARDS.fullmatch(key) for key in header):
        return float("nan")
    if not has_wcs(header):
        header = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", **header}
        header = dict.fromkeys(REQUIRED, 0.0) | header
    matrix = _jacobian(header)
    sides, area = np.hypot(matrix[0], matrix[1]), abs(float(np.linalg.det(matrix)))
    if abs(sides[0] / sides[1] - 1) > 0.01 or area < 0.99 * sides[0] * sides[1]:
        raise InputError(
            f"image: pixels of {3600 * sides[0]:.4g} x {3600 * sides[1]:.4g} arcsec are not square;"
            " resample the image"
        )
    return 3600.0 * float(np.sqrt(area))


def _distorted(header: Mapping[str, Any], found: Any) -> bool:
    """Whether more than a matrix and a projection lie between pixels and sky. astropy hides TPV in
    a projection that it calls TAN, so the header itself is asked."""
    return bool(found.has_distortion) or any(
        re.fullmatch(r"PV\d_\d+", key) or "TPV" in str(header[key])
        for key in header
        if key.startswith(("PV", "CTYPE"))
    )


def _jacobian(header: Mapping[str, Any]) -> Float[np.ndarray, "2 2"]:
    """Degrees to the east and to the north (rows) per pixel along x and y (columns), at the
    reference pixel."""
    found = wcs(header)
    plain = str(found.wcs.lonpole).strip() in ("180.0", "nan") and found.wcs.lng == 0
    if plain and not _distorted(header, found):
        return np.asarray(found.pixel_scale_matrix, np.float64)
    x, y = (float(v) - 1 for v in found.wcs.crpix)
    step = 0.5
    ra, dec = found.all_pix2world(
        x + step * np.array([1, -1, 0, 0]), y + step * np.array([0, 0, 1, -1]), 0, ra_dec_order=True
    )
    east = (np.array([ra[0] - ra[1], ra[2] - ra[3]]) + 180) % 360 - 180
    return np.array([east * np.cos(np.radians(dec.mean())), [dec[0] - dec[1], dec[2] - dec[3]]])


def same(first: Mapping[str, Any], second: Mapping[str, Any], shape: tuple[int, int]) -> bool:
    """Whether two images of one shape (rows, columns) show the same sky, whatever cards say so."""
    x = np.array([0, shape[1] - 1, 0, shape[1] - 1, (shape[1] - 1) / 2])
    y = np.array([0, 0, shape[0] - 1, shape[0] - 1, (shape[0] - 1) / 2])
    there_x, there_y = pixel_positions(second, *sky_positions(first, x, y))
    return bool(np.all(np.hypot(there_x - x, there_y - y) < SAME_PLACE))


def orientation(header: Mapping[str, Any]) -> str:
    """How an image lies on the sky, in words, if not with north up and east to the left, and
    whether it is distorted; empty otherwise."""
    matrix, said = _jacobian(header), []
    if np.linalg.det(matrix) > 0:
        said.append("mirrored")
    north = np.linalg.solve(matrix, [0.0, 1.0])
    angle = float(np.degrees(np.arctan2(-north[0], north[1])))
    if abs(angle) > 0.5:
        said.append(f"north {angle:.1f} degrees from up towards the left")
    if _distorted(header, wcs(header)):
        said.append("distorted")
    return ", ".join(said)
