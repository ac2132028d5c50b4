"""Real galaxies from outside the survey as hosts for injected arcs, as cutout files.

They come as stacks of stamps, one file a band, or as pieces of a FITS cube. They are label 0, in
split `test`, in no pool, and belong to no stratum. Stamps keep their own size and pixel scale;
nothing is resampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float32
from pydantic import Field

from data import provenance, wcs
from data.coadds import read_cube, read_image, with_nan
from data.config import settings
from data.cutouts import PIPELINE_VERSION
from data.names import safe_name
from data.quality import measured
from data.survey import Survey, default
from lensjax.errors import InputError
from lensjax.units import ZERO_POINT

Stamp = tuple[Float32[np.ndarray, "h w b"], dict[str, Any]]


@settings
class Stack:
    """What stacks of stamps are in; the defaults are those of the Dark Energy Survey."""

    pixel_scale: Annotated[float, Field(gt=0, le=100)] = 0.263
    """arcsec per pixel"""
    zero_point: float = 30.0
    """AB magnitude of one unit of the files"""
    layer: str = "des"
    """name written to every cutout"""


def stamps(
    folder: str | Path, survey: Survey | None = None, stack: Stack = Stack()
) -> Iterator[Stamp]:
    """Stamps of a folder with one file `<band>.fits` a band, each (n, H, W), in nanomaggies.

    Positions are not recorded in such files and are NaN. Raises InputError when a band is missing,
    damaged, or by its header another one, or when the files differ in shape.
    """
    survey, folder = survey or default(), Path(folder)
    planes: list[np.ndarray] = []
    silent: list[str] = []
    for band in survey.bands:
        path = folder / f"{band}.fits"
        pixels, header = read_image(path)
        silent += provenance.check(header, path, survey, band=band, zero_point=stack.zero_point)
        planes.append(pixels)
    if planes[0].ndim != 3 or len({p.shape for p in planes}) > 1:
        shapes = ", ".join(f"{band} {p.shape}" for band, p in zip(survey.bands, planes))
        raise InputError(
            f"{folder}: stamps of different shapes ({shapes}); "
            "expected (n, H, W), the same in every band"
        )
    factor = np.float32(10 ** (0.4 * (ZERO_POINT - stack.zero_point)))
    files = f"{folder.name}/{{{','.join(survey.bands)}}}.fits"
    name = source_name(folder)
    for i, image in enumerate(np.stack(planes, axis=-1)):
        image = np.ascontiguousarray(with_nan(image) * factor)
        meta = _meta(name, i, image, survey, stack.pixel_scale, stack.layer, f"{files}[{i}]")
        yield image, meta | {"provenance": provenance.note(silent)}


def cube_tiles(
    path: str | Path, size: int | None = None, survey: Survey | None = None
) -> Iterator[Stamp]:
    """As many whole size x size pieces of a cube as fit side by side about its centre, with the
    position of each middle pixel. size: pixels, the survey's stamp if none.

    Raises InputError when the cube is not one, is smaller than a piece, or has pixels of another
    size than the survey's.
    """
    survey, path = survey or default(), Path(path)
    size = size or survey.stamp
    image, header = read_cube(path, survey)
    down, across = image.shape[0] // size, image.shape[1] // size
    if not down * across:
        raise InputError(
            f"{path}: {image.shape[0]} x {image.shape[1]} pixels, "
            f"less than one piece of {size} x {size}"
        )
    scale = round(wcs.pixel_scale(header), 6)
    if problem := provenance.scale_problem(scale, survey.pixel_scale):
        raise InputError(f"{path}: {problem}; ask the cutout service for the survey's scale")
    top, left = (image.shape[0] - down * size) // 2, (image.shape[1] - across * size) // 2
    version = str(header.get("VERSION", "")).strip().lower()
    layer = f"ls-{version}" if version.startswith("dr") else survey.images.layer
    name, silent = source_name(path), provenance.check(header, path, survey)
    lies = wcs.orientation(header) if wcs.has_wcs(header) else "no WCS"
    for i in range(down * across):
        y, x = top + i // across * size, left + i % across * size
        tile = np.ascontiguousarray(image[y : y + size, x : x + size])
        where = f"{path.name}[{y}:{y + size},{x}:{x + size}]"
        meta = _meta(name, i, tile, survey, scale, layer, where)
        meta |= {"provenance": provenance.note(silent, lies)}
        if wcs.has_wcs(header):
            middle = [x + (size - 1) / 2], [y + (size - 1) / 2]
            ra, dec = wcs.sky_positions(header, *middle)  # type: ignore[arg-type]
            meta |= {"ra": float(ra[0]), "dec": float(dec[0])}
        yield tile, meta


def source_name(path: str | Path) -> str:
    """Name that stands for a brick in the ids of these hosts: the letters and digits of the file's
    or folder's name. Raises InputError when there are none."""
    stem = Path(path).name
    for ending in (".gz", ".fz", ".fits", ".fit"):
        stem = stem.removesuffix(ending)
    name = "".join(c for c in stem if c.isascii() and c.isalnum())
    if not name:
        raise InputError(f"{path}: no letter or digit in its name; rename it")
    return safe_name(name, "name", path)


def _meta(
    name: str,
    number: int,
    image: np.ndarray,
    survey: Survey,
    scale: float,
    layer: str,
    source: str,
) -> dict[str, Any]:
    return {
        "galaxy_id": f"{name}_{number}",
        "ra": float("nan"),
        "dec": float("nan"),
        "cutout_type": "host",
        "size": image.shape[0],
        "pixel_scale": scale,
        "timestamp": "",
        "pipeline_version": PIPELINE_VERSION,
        "cutout_url": source,
        "layer": layer,
        "bands_requested": survey.bands_text,
        "brickname": name,
        **measured(image, survey, scale),
    }
