"""Coadded images of bricks, FITS cubes, and cutouts sliced out of them.

A survey's definition says how the files of a brick are named, which bands there are, and what one
unit of a file is worth; images leave here in nanomaggies. All bands of a brick share one WCS. A
pixel of exactly 0 has no data and becomes NaN.

Centring: a cutout is placed so that the object is as near as whole pixels allow to its centre,
(size - 1) / 2 in both axes, which is where the renderer has (0, 0). The object is therefore up to
half a pixel from it in each axis; nothing is resampled. `Sliced.offset` is the rest: object minus
centre, in pixels (x, y).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from data import provenance, wcs
from data.names import safe_name
from data.stores import Place, Remote, place
from data.survey import Survey, default
from data.wcs import pixel_scale
from lensjax.errors import InputError

__all__ = [
    *("Brick", "Sliced", "corner", "image_path", "pixel_positions", "pixel_scale", "read_brick"),
    *("read_cube", "read_image", "slice_out", "with_nan"),
]

LARGEST_IMAGE = 10_000**2
CURE = "fetch or make the file again"


@dataclass(frozen=True)
class Brick:
    """The images of a brick.

    images: (ny, nx, bands) float32 nanomaggies, NaN where there is no data. header: of the first
    band that has a file. missing: the bands without a file. source: the folder of the files,
    relative to the survey's. silent: what the headers do not say (`data.provenance`).
    """

    name: str
    images: Float32[np.ndarray, "ny nx b"]
    header: Mapping[str, Any]
    missing: tuple[str, ...]
    source: str
    silent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sliced:
    """A cutout (size, size, bands), NaN outside the brick's image. `offset` (x, y) of the object
    from its centre, in pixels; `inside`: whether the object's own pixel lies on the image;
    `corner`: column and row of its first pixel in the brick's image."""

    image: Float32[np.ndarray, "s s b"]
    offset: tuple[float, float]
    inside: bool
    corner: tuple[int, int] = (0, 0)


def image_path(
    root: str | Place, brickname: str, band: str, survey: Survey | None = None, kind: str = "image"
) -> Place:
    """Where an image of a brick lies below a survey's folder; or flat in the folder itself, when it
    is there. kind: "image" or "invvar". Raises InputError when the brick's name is not one."""
    images = (survey or default()).images
    brick = safe_name(brickname, "brick name", root)
    fields = {"brick": brick, "brick3": brick[:3], "band": band}
    name = (images.image if kind == "image" else images.invvar).format(**fields)
    flat = place(root) / name
    return flat if flat.is_file() else place(root) / images.folder.format(**fields) / name


def read_image(path: str | Place) -> tuple[np.ndarray, dict[str, Any]]:
    """Pixels (float32) and header of the image in a FITS file, plain or compressed.

    The image is the first of two or three dimensions whose header does not call it something else
    (a map of weights, a mask). Cards of the primary header that hold for the whole file are added
    to its header. FITS checksums are verified where the file has them.
    Raises InputError naming the file when it is missing, not FITS, truncated, damaged, without an
    image of fluxes, or larger than a brick can be; and when several images of it show different
    parts of the sky.
    """
    from astropy.io import fits

    if isinstance(path := place(path), Remote):
        try:
            with path.copied() as local:
                return read_image(local)
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; {CURE}") from None
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
                chosen = _image_of(opened, path)
                shape = " x ".join(map(str, chosen.shape))
                if np.prod(chosen.shape, dtype=np.float64) > LARGEST_IMAGE:
                    raise InputError(
                        f"{path}: image of {shape} pixels, more than a brick can have; {CURE}"
                    )
                return np.asarray(chosen.data, np.float32), _cards(opened[0], chosen)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {CURE}") from None
    # astropy answers damage with nearly every type there is, TypeError and IndexError included.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(f"{path}: not a readable FITS image ({reason[:200]}); {CURE}") from None


def _image_of(hdus: Any, path: str | Place) -> Any:
    """The HDU that holds the image of fluxes; see `read_image`."""
    images = [hdu for hdu in hdus if hdu.is_image and len(hdu.shape) in (2, 3)]
    if not images:
        raise InputError(f"{path}: no image in it; {CURE}")
    headers = [_cards(hdus[0], hdu) for hdu in images]
    fluxes = [i for i, header in enumerate(headers) if not provenance.kind_problem(header)]
    if not fluxes:
        raise InputError(
            f"{path}: {provenance.kind_problem(headers[0])} in its header: this is not an image of "
            "fluxes; put the image there"
        )
    first, *others = fluxes
    for other in others:
        if not (wcs.has_wcs(headers[first]) and wcs.has_wcs(headers[other])):
            continue
        shape = images[first].shape[-2:]
        if shape != images[other].shape[-2:] or not wcs.same(headers[first], headers[other], shape):
            raise InputError(
                f"{path}: two images with different WCS; leave the one that is meant in the file"
            )
    return images[first]


def _cards(primary: Any, hdu: Any) -> dict[str, Any]:
    """Header of an image as a dictionary, with the primary header's cards that hold for it."""
    cards = {key: value for key, value in dict(hdu.header).items() if key}
    shared = {k: primary.header[k] for k in provenance.SHARED_KEYS if k in primary.header}
    return shared | cards


def read_brick(root: str | Place, brickname: str, survey: Survey | None = None) -> Brick:
    """The images of a brick; bands without a file are NaN and listed in `missing`.

    Raises InputError when a file is damaged, when no band has one, when the bands differ in shape,
    WCS or release, when some are simulated and some are not, when the pixel scale is not the
    survey's, and when a header contradicts what the file is taken for (`data.provenance`).
    """
    survey = survey or default()
    paths = {band: image_path(root, brickname, band, survey) for band in survey.bands}
    read = {band: read_image(path) for band, path in paths.items() if path.is_file()}
    if not read:
        raise InputError(
            f"{paths[survey.reference].parent}: no image of brick {brickname} in "
            f"{', '.join(survey.bands)}; {CURE}, or leave the brick out of the sample"
        )
    first = next(iter(read))
    shape, header = read[first][0].shape, read[first][1]
    if len(shape) != 2 or not wcs.has_wcs(header):
        raise InputError(f"{paths[first]}: no two-dimensional image with a WCS; {CURE}")
    wcs.wcs(header, paths[first])
    if problem := provenance.scale_problem(pixel_scale(header), survey.pixel_scale):
        raise InputError(f"{paths[first]}: {problem}; name the right survey, or {CURE}")
    silent: list[str] = []
    images = np.full((*shape, len(survey.bands)), np.nan, np.float32)
    factor = np.float32(survey.nanomaggies_per_unit)
    for band, (pixels, other) in read.items():
        path = paths[band]
        silent += provenance.check(other, path, survey, band=band, brick=brickname)
        if pixels.shape != shape or not wcs.has_wcs(other):
            raise InputError(f"{path}: shape or WCS differs from band {first}; {CURE}")
        if not wcs.same(header, other, shape):
            raise InputError(f"{path}: shape or WCS differs from band {first}; {CURE}")
        for what in (provenance.simulated, provenance.release):
            if what(other) != what(header):
                raise InputError(
                    f"{path}: {what.__name__} {what(other)} by its header, {what(header)} in band "
                    f"{first}; {CURE}"
                )
        images[..., survey.bands.index(band)] = with_nan(pixels) * factor
    try:
        source = paths[first].parent.relative_to(str(root)).as_posix()
    except ValueError:
        source = ""
    missing = tuple(band for band in survey.bands if band not in read)
    return Brick(brickname, images, header, missing, source, tuple(dict.fromkeys(silent)))


def with_nan(pixels: np.ndarray) -> np.ndarray:
    """NaN where a coadd has no data: exactly 0, or not finite."""
    return np.where((pixels == 0) | ~np.isfinite(pixels), np.float32(np.nan), pixels)


def pixel_positions(
    brick: Brick, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Column and row (from 0, centres at integers) of positions in degrees; NaN for positions that
    the projection cannot reach."""
    return wcs.pixel_positions(brick.header, ra, dec)


def slice_out(
    images: Float32[np.ndarray, "ny nx b"], x: float, y: float, size: int | None = None
) -> Sliced:
    """The size x size pixels about position (x, y), a copy; size: the default survey's if none."""
    size = size or default().stamp
    ny, nx, bands = images.shape
    out = np.full((size, size, bands), np.nan, np.float32)
    if not (np.isfinite(x) and np.isfinite(y)):
        return Sliced(out, (float("nan"), float("nan")), False)
    column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    left, top = corner(x, y, size)
    x0, x1, y0, y1 = max(left, 0), min(left + size, nx), max(top, 0), min(top + size, ny)
    if x0 < x1 and y0 < y1:
        out[y0 - top : y1 - top, x0 - left : x1 - left] = images[y0:y1, x0:x1]
    offset = (float(x) - (left + (size - 1) / 2), float(y) - (top + (size - 1) / 2))
    return Sliced(out, offset, 0 <= column < nx and 0 <= row < ny, (left, top))


def corner(x: float, y: float, size: int) -> tuple[int, int]:
    """Column and row of the first of the size x size pixels about a position that is finite.

    A stamp of odd size has the object's own pixel in its middle. The centre of one of even size is
    the corner of four pixels, and the object lies between the centres of these four.
    """
    if size % 2 == 0:
        return int(np.floor(x)) + 1 - size // 2, int(np.floor(y)) + 1 - size // 2
    return int(np.floor(x + 0.5)) - size // 2, int(np.floor(y + 0.5)) - size // 2


def read_cube(
    path: str | Place, survey: Survey | None = None
) -> tuple[Float32[np.ndarray, "h w b"], dict[str, Any]]:
    """A FITS cube as cutout services make it, (bands, H, W), as (H, W, bands of the survey) in
    nanomaggies with NaN where there is no data; and its header.

    Which plane is which band comes from the header (BANDS, or BAND0, BAND1, ...), never from the
    pixels. Raises InputError as `read_image` does, when the header does not name the bands once
    each, when a band of the survey is not among them, and when it contradicts what the file is
    taken for (`data.provenance`).
    """
    survey = survey or default()
    pixels, header = read_image(path)
    provenance.check(header, path, survey)
    bands = plane_bands(header, survey)
    if pixels.ndim != 3 or len(bands) != pixels.shape[0]:
        named = f"bands {''.join(bands)!r}" if bands else "no band names"
        raise InputError(
            f"{path}: image {pixels.shape} with {named} in the header; "
            "expected one plane a band, named by BANDS"
        )
    twice = [band for band in bands if bands.count(band) > 1]
    if twice:
        raise InputError(f"{path}: band {twice[0]} names two planes; {CURE}")
    missing = [band for band in survey.bands if band not in bands]
    if missing:
        raise InputError(
            f"{path}: bands {''.join(bands)!r}, without {', '.join(missing)}; "
            f"ask the cutout service for bands={survey.bands_text}"
        )
    planes = [with_nan(pixels[bands.index(band)]) for band in survey.bands]
    image = np.stack(planes, axis=-1) * np.float32(survey.nanomaggies_per_unit)
    return np.ascontiguousarray(image), header


def plane_bands(header: Mapping[str, Any], survey: Survey) -> list[str]:
    """Bands of the planes of a cube, as its header names them: BANDS in one word or with commas, or
    BAND0, BAND1, ...; empty when it does not."""
    text = str(header.get("BANDS") or "").strip()
    if not text:
        numbered = [str(header.get(f"BAND{i}", "")).strip() for i in range(16)]
        return [band for band in numbered if band]
    separated = [part for part in text.replace(",", " ").split() if part]
    if len(separated) > 1 or text in survey.bands:
        return separated
    return list(text)
