"""Coadd bricks and FITS cubes of the Legacy Surveys, and cutouts sliced out of them.

A brick's images are legacysurvey-<brick>-image-<band>.fits.fz in nanomaggies, one WCS for all bands. A pixel of exactly 0 has no data there and becomes NaN.

Centring: a cutout is centred on the pixel whose centre is nearest to the object (ties go up), which becomes pixel (size // 2, size // 2). The object is
therefore up to half a pixel (0.13") from it in each axis; nothing is resampled. `Sliced.offset` is the rest: object minus pixel, in pixels (x, y).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from data.cutouts import BANDS, SIZE
from lensjax.errors import InputError

LARGEST_IMAGE = 10_000**2
WCS_KEYS = (
    "CTYPE1",
    "CTYPE2",
    "CRVAL1",
    "CRVAL2",
    "CRPIX1",
    "CRPIX2",
    "CD1_1",
    "CD1_2",
    "CD2_1",
    "CD2_2",
)
CURE = "fetch or make the file again"


@dataclass(frozen=True)
class Brick:
    """Images (ny, nx, 3) float32 nanomaggies, NaN where there is no data, of the bands g, r, z; `missing` names the bands without a file."""

    name: str
    images: Float32[np.ndarray, "ny nx 3"]
    header: Mapping[str, Any]
    missing: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Sliced:
    """A cutout (size, size, 3), NaN outside the brick's image; `offset` (x, y) of the object from its middle pixel, in pixels; `inside`: whether the
    object's own pixel lies on the image."""

    image: Float32[np.ndarray, "s s 3"]
    offset: tuple[float, float]
    inside: bool


def image_path(root: str | Path, brickname: str, band: str) -> Path:
    """Where a brick's image lies below a survey's folder; or flat in the folder itself, when it is there."""
    name = f"legacysurvey-{brickname}-image-{band}.fits.fz"
    flat = Path(root) / name
    return flat if flat.is_file() else Path(root) / "coadd" / brickname[:3] / brickname / name


def read_image(path: str | Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Pixels (float32) and header of the first image in a FITS file, plain or compressed; FITS checksums are verified where the file has them.

    Raises InputError naming the file when it is missing, not FITS, truncated, damaged, without an image, or larger than a brick can be.
    """
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Compressed images are only verified in the form in which they are stored.
            with fits.open(
                path, memmap=False, checksum=True, disable_image_compression=True
            ) as stored:
                damaged = [
                    i
                    for i, hdu in enumerate(stored)
                    if 0 in (hdu.verify_datasum(), hdu.verify_checksum())
                ]
            if damaged:
                raise InputError(
                    f"{path}: checksum of HDU {damaged[0]} is wrong, the file is damaged; {CURE}"
                )
            with fits.open(path, memmap=False) as opened:
                found = [hdu for hdu in opened if hdu.is_image and len(hdu.shape) in (2, 3)]
                if not found:
                    raise InputError(f"{path}: no image in it; {CURE}")
                if np.prod(found[0].shape, dtype=np.float64) > LARGEST_IMAGE:
                    raise InputError(
                        f"{path}: image of {' x '.join(map(str, found[0].shape))} pixels, more than a brick can have; {CURE}"
                    )
                return np.asarray(found[0].data, np.float32), dict(found[0].header)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {CURE}") from None
    except Exception as error:  # astropy answers damage with nearly every type there is, TypeError and IndexError included
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(f"{path}: not a readable FITS image ({reason[:200]}); {CURE}") from None


def read_brick(root: str | Path, brickname: str) -> Brick:
    """The three images of a brick; bands without a file are NaN and listed in `missing`.

    Raises InputError when a file is damaged, when no band has one, or when the bands differ in shape or WCS.
    """
    paths = {band: image_path(root, brickname, band) for band in BANDS}
    read = {band: read_image(path) for band, path in paths.items() if path.is_file()}
    if not read:
        raise InputError(
            f"{paths['r'].parent}: no image of brick {brickname} in {', '.join(BANDS)}; {CURE}, or leave the brick out of the sample"
        )
    first = next(iter(read))
    shape, header = read[first][0].shape, read[first][1]
    for band, (pixels, other) in read.items():
        if pixels.shape != shape or any(other.get(key) != header.get(key) for key in WCS_KEYS):
            raise InputError(f"{paths[band]}: shape or WCS differs from band {first}; {CURE}")
    if len(shape) != 2 or not all(key in header for key in WCS_KEYS[:6]):
        raise InputError(f"{paths[first]}: no two-dimensional image with a WCS; {CURE}")
    images = np.full((*shape, 3), np.nan, np.float32)
    for band, (pixels, _) in read.items():
        images[..., BANDS.index(band)] = with_nan(pixels)
    try:
        source = paths[first].parent.relative_to(root).as_posix()
    except ValueError:
        source = ""
    return Brick(
        brickname, images, header, tuple(band for band in BANDS if band not in read), source
    )


def with_nan(pixels: np.ndarray) -> np.ndarray:
    """NaN where a coadd has no data: exactly 0, or not finite."""
    return np.where((pixels == 0) | ~np.isfinite(pixels), np.float32(np.nan), pixels)


def pixel_positions(
    brick: Brick, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Column and row (from 0, centres at integers) of positions in degrees; NaN for positions the projection cannot reach."""
    x, y = wcs(brick.header).wcs_world2pix(
        np.asarray(ra, np.float64), np.asarray(dec, np.float64), 0
    )
    return np.asarray(x), np.asarray(y)


def wcs(header: Mapping[str, Any]) -> Any:
    """The astropy WCS of an image, from the cards named in WCS_KEYS alone."""
    from astropy.io import fits
    from astropy.wcs import WCS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WCS(fits.Header({key: header[key] for key in WCS_KEYS if key in header}))


def slice_out(
    images: Float32[np.ndarray, "ny nx 3"], x: float, y: float, size: int = SIZE
) -> Sliced:
    """The size x size pixels about position (x, y), a copy."""
    ny, nx = images.shape[:2]
    out = np.full((size, size, 3), np.nan, np.float32)
    if not (np.isfinite(x) and np.isfinite(y)):
        return Sliced(out, (float("nan"), float("nan")), False)
    column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    left, top = column - size // 2, row - size // 2
    x0, x1, y0, y1 = max(left, 0), min(left + size, nx), max(top, 0), min(top + size, ny)
    if x0 < x1 and y0 < y1:
        out[y0 - top : y1 - top, x0 - left : x1 - left] = images[y0:y1, x0:x1]
    return Sliced(out, (float(x) - column, float(y) - row), 0 <= column < nx and 0 <= row < ny)


def read_cube(path: str | Path) -> tuple[Float32[np.ndarray, "h w 3"], dict[str, Any]]:
    """A FITS cube as the cutout service makes it, primary HDU (bands, H, W), as (H, W, g r z) with NaN where there is no data; and its header.

    Which plane is which band comes from the header (BANDS, or BAND0, BAND1, ...), never from the pixels. Raises InputError as `read_image` does, when
    the header does not name the bands, and when g, r or z is not among them.
    """
    pixels, header = read_image(path)
    bands = str(
        header.get("BANDS") or "".join(str(header.get(f"BAND{i}", "")).strip() for i in range(9))
    ).strip()
    if pixels.ndim != 3 or len(bands) != pixels.shape[0]:
        named = f"bands {bands!r}" if bands else "no band names"
        raise InputError(
            f"{path}: image {pixels.shape} with {named} in the header; expected one plane a band, named by BANDS"
        )
    missing = [band for band in BANDS if band not in bands]
    if missing:
        raise InputError(
            f"{path}: bands {bands!r}, without {', '.join(missing)}; ask the cutout service for bands=grz"
        )
    planes = [with_nan(pixels[bands.index(band)]) for band in BANDS]
    return np.ascontiguousarray(np.stack(planes, axis=-1)), header


def pixel_scale(header: Mapping[str, Any]) -> float:
    """Arcsec per pixel by the header's CD or CDELT; NaN when it has neither."""
    if "CD1_1" in header:
        area = abs(
            header["CD1_1"] * header.get("CD2_2", 0.0)
            - header.get("CD1_2", 0.0) * header.get("CD2_1", 0.0)
        )
        return 3600.0 * float(np.sqrt(area))
    return 3600.0 * abs(float(header["CDELT1"])) if "CDELT1" in header else float("nan")
