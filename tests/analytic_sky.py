"""One analytic image of the sky, seen by bricks of the grid that overlap, each with its own WCS."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from data.brickgrid import Brick, brick_containing
from data.coadds import image_path
from data.survey import Survey, load

SCALE, SIDE, STAMP = 3.0, 316, 41
"""arcsec; pixels of a brick's image, 8 more on each side than its cell; pixels of a stamp"""
DR10 = load("ls_dr10")
_GROWN = SCALE / DR10.pixel_scale
SURVEY: Survey = replace(
    DR10,
    pixel_scale=SCALE,
    stamp=STAMP,
    radii=replace(
        DR10.radii,
        **{k: getattr(DR10.radii, k) * _GROWN / 2.6 for k in ("core", "outer", "central", "clear")},
        annulus=tuple(r * _GROWN / 2.6 for r in DR10.radii.annulus),
        arc=tuple(r * _GROWN / 2.6 for r in DR10.radii.arc),
    ),
)
"""pixels of 3 arcsec, so that a brick is small"""
STEEPEST = 0.3 * 2 * np.pi / 16 * np.sqrt(2)
"""no less than the gradient of the sky anywhere, per pixel"""


def sky(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Brightness in g, r, z: waves of 16 pixels, never 0."""
    x = ((ra + 180) % 360 - 180) * 3600 / SCALE * np.cos(np.radians(dec))
    y = dec * 3600 / SCALE
    k = 2 * np.pi / 16
    return np.stack([2 + 0.3 * np.sin(k * x + b) * np.sin(k * y + 2 * b) for b in range(3)], -1)


def header(brick: Brick, side: int = SIDE, **cards: object) -> fits.Header:
    values = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": brick.ra, "CRVAL2": brick.dec}
    values |= {"CRPIX1": (side + 1) / 2, "CRPIX2": (side + 1) / 2, "DRVERSIO": 10000}
    values |= {"CD1_1": -SCALE / 3600, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SCALE / 3600}
    return fits.Header(values | {"BRICKNAM": brick.name, "DATE": "2020-01-02"} | cards)


def seen(brick: Brick, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The sky at pixels of a brick, which may lie off its image."""
    return sky(*WCS(header(brick)).wcs_pix2world(x, y, 0))


@cache
def _pixels(brick: Brick) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return seen(brick, x.ravel(), y.ravel()).reshape(SIDE, SIDE, 3).astype("f4")


def write(root: Path, bricks: Iterable[Brick], bands: str = "grz", **cards: object) -> None:
    """Files of bricks, uncompressed, so that values can be compared exactly."""
    for brick in bricks:
        pixels = _pixels(brick)
        for band in bands:
            path = image_path(root, brick.name, band)
            path.parent.mkdir(parents=True, exist_ok=True)
            image = fits.ImageHDU(pixels[..., "grz".index(band)], header(brick, **cards))
            hdus = fits.HDUList([fits.PrimaryHDU(), image])
            hdus.writeto(path, checksum=True, overwrite=True)


def around(ra: float, dec: float) -> list[Brick]:
    """The bricks that meet within 0.001 deg of a position, the one to the south-west first."""
    found = [brick_containing(ra + i, dec + j) for j in (-1e-3, 1e-3) for i in (-1e-3, 1e-3)]
    return list(dict.fromkeys(found))
