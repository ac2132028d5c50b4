"""What somebody's cutout files say of themselves, before a survey is known that they belong to.

A FITS header may say bands, pixel scale and zero point; arrays of an NPZ file may have the names of
bands. `facts` reports what is said, with NaN or nothing where it is not. Nothing is concluded from
the pixels but the shape of the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from data import provenance, wcs
from data.coadds import plane_bands, read_image
from data.cutouts import read_arrays, read_npz
from data.ownsurvey import known_wavelengths
from data.survey import MOST_BANDS, default
from lensjax.errors import InputError
from lensjax.units import ZERO_POINT


@dataclass(frozen=True)
class Facts:
    """What the files of one object say.

    name: of the first file. side: of the image, pixels; 0 where it is not square. channels: how
    many images it has; 0 where its shape leaves that open. bands: their names in the order of the
    file, empty where it has none. pixel_scale: arcsec, NaN where it is not said. zero_point: AB
    magnitude of one unit, NaN where it is not said. arrays: names of the images of an NPZ file, of
    which more than one is a choice that has to be made.
    """

    name: str
    side: int = 0
    channels: int = 0
    bands: tuple[str, ...] = ()
    pixel_scale: float = math.nan
    zero_point: float = math.nan
    arrays: tuple[str, ...] = ()


def facts(paths: Sequence[Path], array: str = "", bands: Sequence[str] = ()) -> Facts:
    """What the files of an object say: one file, or one a band.

    array: name of the image in an NPZ file. bands: which band each of several files is, in their
    order, or which arrays of an NPZ file are bands besides those of known names. Raises InputError
    when a file cannot be read or holds no image.
    """
    if paths[0].suffix == ".npz":
        return _of_npz(paths[0], array, bands)
    headers, images = [], []
    for path in paths:
        image, header = read_image(path)
        headers.append(header)
        images.append(image)
    scale = wcs.pixel_scale(headers[0])
    points = {v for p, h in zip(paths, headers) for v in provenance.zero_points(h, p).values()}
    one = points.pop() if len(points) == 1 else math.nan
    named = tuple(bands) if len(paths) > 1 else _planes(headers[0], images[0])
    shape = (len(paths), *images[0].shape[-2:]) if len(paths) > 1 else images[0].shape
    side, channels = _shape(shape)
    return Facts(paths[0].name, side, channels, named, scale, one)


def by_band(folder: Path, name: str) -> dict[str, Path]:
    """The FITS files of an object, one a band, by bands of known names in order of wavelength:
    `name_g.fits` or `name-g.fits`."""
    known, found = known_wavelengths(), {}
    for path in sorted(folder.glob(f"{escape(name)}[_-]*.fits*")):
        band = path.name[len(name) + 1 :].split(".")[0]
        if band.lower() in known:
            found[band] = path
    return {band: found[band] for band in sorted(found, key=lambda band: known[band.lower()])}


def _of_npz(path: Path, array: str, said: Sequence[str]) -> Facts:
    arrays = read_arrays(path, large=None)
    if "cutout" in arrays and "meta_galaxy_id" in arrays and not array:
        image, meta = read_npz(path)
        text = str(meta.get("bands_requested", ""))
        bands = tuple(text.split(",")) if "," in text else tuple(text)
        bands = (text,) if image.shape[-1] == 1 and text else bands
        scale, point = meta.get("pixel_scale", math.nan), meta.get("zero_point", ZERO_POINT)
        return Facts(path.name, *_shape(image.shape), bands, float(scale), float(point))
    if array and array not in arrays:
        raise InputError(f"{path}: no array {array!r} (found {', '.join(arrays)})")
    images = [name for name, value in arrays.items() if value.ndim in (2, 3)]
    planes = [name for name in images if arrays[name].ndim == 2]
    alike = len({arrays[name].shape for name in planes}) == 1
    own = known_wavelengths()
    named = all(name in said or name.lower() in own for name in planes)
    if not array and len(planes) > 1 and planes == images and alike and named:
        side, _ = _shape(arrays[planes[0]].shape)
        return Facts(path.name, side, len(planes), tuple(planes))
    if not array and len(images) != 1:
        return Facts(path.name, arrays=tuple(images))
    return Facts(path.name, *_shape(arrays[array or images[0]].shape))


def _planes(header: Mapping[str, Any], image: np.ndarray) -> tuple[str, ...]:
    """The bands that a header names, if these are as many as the image has."""
    count = 1 if image.ndim == 2 else image.shape[0]
    text = str(header.get("BANDS") or "").strip()
    named = [text] if count == 1 and text else plane_bands(header, default())
    if not named and count == 1:
        cards = (str(header.get(key, "")).strip() for key in provenance.BAND_KEYS)
        found = (provenance.band_of(card, default()) for card in cards if card)
        named = [band for band in found if band][:1]
    return tuple(named) if len(named) == count else ()


def _shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Side and number of channels of an image (H, W), (H, W, bands) or (bands, H, W)."""
    if len(shape) == 2:
        return (shape[0] if shape[0] == shape[1] else 0), 1
    if shape[0] == shape[1] and shape[2] <= MOST_BANDS:
        return shape[0], shape[2]
    if shape[1] == shape[2] and shape[0] <= MOST_BANDS:
        return shape[1], shape[0]
    return 0, 0
